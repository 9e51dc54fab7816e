"""`isolet doctor`: is this machine fit to serve?"""

from __future__ import annotations

from pathlib import Path

import click

from . import console
from .options import FAILED, Verb, as_json
from .serve import configuration

_MARKS = {"fine": ("✓", "green"), "note": ("!", "yellow"), "wrong": ("✗", "bold red")}


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet doctor
  isolet doctor --data /var/lib/isolet
  isolet doctor --json | jq '.[] | select(.verdict != "fine")'

Exit status: 0 fit, perhaps with notes; 1 something is wrong.
""",
)
@click.option("--data", metavar="DIR", help="The server's data directory.  [default: .isolet]")
@click.option(
    "--config",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The server's configuration.  [default: isolet.toml, if there is one]",
)
@as_json
@click.pass_context
def doctor(ctx: click.Context, data: str | None, path: Path | None, as_json: bool) -> None:
    """Try the engine on this machine, and look at what a server needs of it.

    A guest runs into every wall (out of bounds, recursion, an infinite loop, its memory limit), a snapshot is made and
    restored, the pool is reserved, the disk is synced; each check that may crash has a process of its own.
    """
    config = configuration(ctx, path, {"data": data})
    from ..doctor import CHECKS, Verdict, examine  # here: it brings the engine

    found = []
    group = ""
    for finding in examine(config):
        found.append(finding)
        if as_json:
            continue
        if CHECKS[finding.check].group != group:
            group = CHECKS[finding.check].group
            console.say(group, "bold")
        console.say_parts(
            (f"  {_MARKS[finding.verdict][0]} ", _MARKS[finding.verdict][1]),
            (f"{finding.check:<16}", ""),
            (finding.found, "dim" if finding.verdict is Verdict.FINE else ""),
        )
        if finding.cure:
            console.say_parts((f"{'':20}→ {finding.cure}", "yellow"))
    wrong = sum(finding.verdict is Verdict.WRONG for finding in found)
    if as_json:
        console.say_json([finding._asdict() for finding in found])
    elif wrong:
        console.fail(f"{wrong} of {len(found)} checks failed; the arrows say what to do")
    else:
        console.say("fit to serve")
    if wrong:
        ctx.exit(FAILED)
