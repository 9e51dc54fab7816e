"""`isolet bench claims`: what isolet says it is ahead in, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bench_compare import add_comparison
from .bench_output import OUTPUT, benches, cache, finish, require_output
from .options import Verb, as_json
from .steps import Steps

if TYPE_CHECKING:
    from ..lab.claims import Claim, Court
    from ..lab.report import Report

_METHOD = """
Each claim is measured against whom it names, all in one run: peers start, idle, and are measured in turn, in
interleaved rounds (`isolet bench compare` says how, and what each does otherwise). A ratio is the median of the rounds'
ratios, with the interval in which a bootstrap over the rounds finds it in 95 of 100 cases; a claim holds if the median
does.

The client of servers takes a part of the two processors that these also need. workerd runs JavaScript on one thread in
an isolate that it reuses; isolet runs C in a fresh one each time. Processes are called in a row without HTTP, isolet in
the same language over HTTP. The growth of cost is measured as by `isolet bench density`.
"""


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet bench claims                              some minutes; the first time peers are installed
  isolet bench claims --output benches/results     JSON and a page
  isolet bench claims --rounds 3 --functions 100   a quick look
""",
)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Of each round.")
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes, or threads, of servers."
)
@click.option(
    "--functions", type=click.IntRange(2, 100_000), default=10_000, show_default=True, help="Deployed at most."
)
@click.option("--peers", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where peers are.")
@OUTPUT
@as_json
def claims(functions: int, peers: Path | None, output: Path | None, as_json: bool, **said: Any) -> None:
    """Measure every claim of isolet's against the peer that it names, and say which hold."""
    from ..lab import claims as lab
    from ..lab import peers as lab_peers

    require_output(output)
    found = lab_peers.find(peers or benches() / "peers")
    with Steps() as steps:
        court = lab.measure(found, cache(), lab_peers.Settings(**said), functions, steps.begin)
        steps.end()
    finish(_report(court, said | {"functions": functions}), "claims", output, as_json)


def _report(court: Court, settings: dict[str, Any]) -> Report:
    from ..lab.report import Report, Table

    found = court.claims()
    columns = ["claim", "target", "found", "isolet", "the other", "holds"]
    contenders = [*court.hello, *court.state]
    report = Report(
        title="What isolet claims, and what was found",
        command=" ".join(["isolet", *sys.argv[1:]]),
        settings=settings,
        method=_METHOD,
        tables=[Table("Claims", columns, [_row(claim) for claim in found])],
        data={
            "claims": [claim.as_plain() for claim in found],
            "contenders": [contender.as_plain() for contender in contenders],
            "density": court.grown.as_plain(),
        },
    )
    add_comparison(report, contenders)
    return report


def _row(claim: Claim) -> list[str]:
    target = f"{'≥' if claim.at_least else '≤'} {claim.target:,g}"
    if claim.found is None:
        return [claim.text, target, f"not measured: {claim.reason.partition(chr(10))[0]}", "", "", ""]
    value, low, high = (f"{part:,.0f}" if claim.target >= 100 else f"{part:.3g}" for part in claim.found)
    return [claim.text, target, f"{value} ({low}…{high})", claim.ours, claim.theirs, "yes" if claim.holds else "no"]
