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
  isolet doctor --advisories
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
@click.option(
    "--advisories", is_flag=True, help="List what is known against this wasmtime, and why it does not reach us."
)
@as_json
@click.pass_context
def doctor(ctx: click.Context, data: str | None, path: Path | None, advisories: bool, as_json: bool) -> None:
    """Try the engine on this machine, and look at what a server needs of it.

    A guest runs into every wall (out of bounds, recursion, an infinite loop, its memory limit), a snapshot is made and
    restored, the pool is reserved, the disk is synced; each check that may crash has a process of its own.
    """
    if advisories:
        ctx.exit(_list_advisories(as_json))
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


def _list_advisories(as_json: bool) -> int:
    """The exit status: 1 if one of them reaches this server."""
    from ..engine.advisories import NEEDS, exposures, loaded, read

    as_of, known = read()
    release, said = loaded()
    concerning = list(exposures(release, known))
    reached = [exposure for exposure in concerning if exposure.reached]
    if as_json:
        console.say_json(
            {
                "as_of": as_of.isoformat(),
                "wasmtime": ".".join(map(str, release)),
                "told_by_the_library": said,
                "advisories": [
                    {
                        "id": exposure.advisory.id,
                        "date": exposure.advisory.date.isoformat(),
                        "summary": exposure.advisory.summary,
                        "fixed": [".".join(map(str, version)) for version in exposure.advisory.fixed],
                        "reached": exposure.reached,
                        "absent": {need: NEEDS[need][0] for need in exposure.absent},
                    }
                    for exposure in concerning
                ],
            }
        )
        return FAILED if reached else 0
    assumed = "" if said else " (assumed: the library does not say)"
    console.say(f"wasmtime {'.'.join(map(str, release))}{assumed}, as of {as_of}", "bold")
    for exposure in concerning:
        mark, style = _MARKS["wrong" if exposure.reached else "fine"]
        advisory = exposure.advisory
        console.say_parts((f"  {mark} ", style), (f"{advisory.id}  {advisory.date}  ", ""), (advisory.summary, "dim"))
        for need in exposure.absent[:1]:
            console.say_parts((f"      {need}: {NEEDS[need][0]}", "dim"))
    console.say(f"{len(concerning)} known, {len(reached)} through what is in use")
    return FAILED if reached else 0
