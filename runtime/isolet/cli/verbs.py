"""`isolet`: its verbs, in the order in which a newcomer meets them."""

from __future__ import annotations

import click

from .bench import bench
from .deploy import deploy
from .dev import dev
from .doctor import doctor
from .functions import delete, invoke, list_
from .init import init
from .keys import keys
from .languages import languages
from .limits import limits
from .logs import logs
from .options import write_examples
from .secrets import secrets
from .serve import serve
from .tenants import tenants
from .usage import usage

_EPILOG = """\
From nothing to an answer:
  isolet serve                          in one terminal
  isolet init hello                     in another
  isolet deploy hello
  isolet invoke hello -d '{"name": "Ada"}'
"""


class _Verbs(click.Group):
    """Lists verbs in the order of use; the alphabet would begin with `delete`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(_EPILOG, formatter)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Functions compiled to WebAssembly, each invocation in a fresh isolate born from a snapshot.",
)
@click.version_option(package_name="isolet", prog_name="isolet")
def main() -> None:
    pass


for _verb in (
    *(
        serve,
        init,
        dev,
        deploy,
        list_,
        invoke,
        logs,
        usage,
        delete,
        secrets,
        keys,
        limits,
        tenants,
        languages,
        bench,
        doctor,
    ),
):
    main.add_command(_verb)
