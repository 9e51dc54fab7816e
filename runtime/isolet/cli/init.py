"""`isolet init`: a working function to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from . import console
from .options import Verb

# As in languages/starter.py, which is not imported before it is needed.
_TEMPLATES = Path(__file__).parent.parent / "languages" / "templates"
_LANGUAGE = click.Choice(sorted(path.name for path in _TEMPLATES.iterdir()))


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet init hello                     Python, in the new directory hello/
  isolet init resize --language go
  isolet dev hello                      then: serve it, and deploy it again at every change
""",
)
@click.argument("name")
@click.option(
    "--language",
    "-l",
    type=_LANGUAGE,
    default="python",
    show_default=True,
    help="What it is written in.",
)
def init(name: str, language: str) -> None:
    """Make the directory NAME with a working function in it.

    Nothing that exists is overwritten. Compilers are installed by the first build.
    """
    from ..languages import starter

    directory = Path(name)
    for file in starter.create(name, language, directory):
        console.say(str(file))
    console.note(f"now: isolet dev {name}, or with a server running: isolet deploy {name}")
