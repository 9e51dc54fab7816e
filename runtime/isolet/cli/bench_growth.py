"""`isolet bench density` and `isolet bench metering`: how cost grows, and what fuel costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bench_output import OUTPUT, benches, cache, finish, require_output
from .options import Verb, as_json
from .steps import Steps

if TYPE_CHECKING:
    from ..lab.density import Density
    from ..lab.report import Report

_DENSITY_METHOD = """
One worker of isolet's own in a process of its own, with its door and without a keeper. Functions are small programs,
each with a snapshot that no other has; none leaves while it is measured. Memory is the process's proportional set
(Pss). What one costs is the slope of a line through all sizes, by least squares; how straight that line is, is said
(R²).

The cost of the last function against the first: closed loop, one connection, each in turn, round by round; against
alone: the median of the last of so many to that of the only one of a server, of the same run.
"""

_METERING_METHOD = """
The same module by the same compiler settings: by wasmtime's public classes without fuel, the same with fuel, and in
isolates of ours, which yield to the loop after each slice. All three run in turn, round by round; ratios are to the
first, of the same round, with the interval in which a bootstrap over the rounds finds their median in 95 of 100 cases.
Checksums must agree.
"""


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet bench density                               1,000 functions, 1,000 live isolates: a minute
  isolet bench density --functions 10000 --output density.html
""",
)
@click.option("--functions", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@click.option("--live", type=click.IntRange(1, 4_096), default=1_000, show_default=True, help="Isolates that wait.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of latencies.")
@OUTPUT
@as_json
def density(functions: int, live: int, rounds: int, output: Path | None, as_json: bool) -> None:
    """Measure what many functions and many live isolates cost, and how that grows."""
    from ..lab import density as lab

    require_output(output)
    with Steps() as steps:
        found = lab.measure(functions, live, rounds, steps.begin)
        steps.end()
    settings = {"functions": functions, "live": live, "rounds": rounds}
    finish(_density_report(found, settings), "density", output, as_json)


def _density_report(found: Density, settings: dict[str, Any]) -> Report:
    from ..lab import plots
    from ..lab.density import fit
    from ..lab.report import Report, Table

    kinds = {"deployed": found.deployed, "loaded": found.loaded, "live isolate": found.live}
    memory, fits = [], {}
    for name, points in kinds.items():
        slope, _, straight = fit([(float(number), float(size)) for number, size in points.items()])
        each = max(slope, 1.0)
        fits[name] = f"{slope / 1000:,.1f} KB each"
        memory.append([name, f"{max(points):,}", f"{slope / 1000:,.1f}", f"{straight:.3f}", f"{2**30 / each:,.0f}"])
    growth = [
        [
            f"{number:,}",
            f"{sorted(found.first_us[number])[len(found.first_us[number]) // 2]:,.1f}",
            f"{sorted(found.last_us[number])[len(found.last_us[number]) // 2]:,.1f}",
            *(
                f"{ratio.value:.2f} ({ratio.low:.2f}…{ratio.high:.2f})"
                for ratio in (found.last_to_first(number), found.against_alone(number))
            ),
        ]
        for number in found.last_us
    ]
    notes = (
        f"Loading one takes {found.load_ms:.2f} ms; one core does {found.isolates_per_s:,.0f} whole isolates a second."
    )
    in_mb = {name: [(float(n), size / 1e6) for n, size in points.items()] for name, points in kinds.items()}
    return Report(
        title="Density: what many functions and many live isolates cost",
        command=" ".join(["isolet", *sys.argv[1:]]),
        settings=settings,
        method=_DENSITY_METHOD,
        tables=[
            Table("Memory of each", ["what", "up to", "KB each", "R²", "in a GiB"], memory, notes),
            Table(
                "A request of the first and the last of so many functions",
                ["functions", "first, µs", "last, µs", "last to first", "last to one alone"],
                growth,
            ),
        ],
        figures={
            "memory": lambda: plots.growth(in_mb, "how many", "MB of the process", fits),
            "latency": lambda: plots.growth(
                {
                    name: [(float(number), sorted(rounds)[len(rounds) // 2]) for number, rounds in points.items()]
                    for name, points in (("first", found.first_us), ("last", found.last_us))
                },
                "functions",
                "median, µs",
            ),
        },
        data={"density": found.as_plain()},
    )


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet bench metering
  isolet bench metering --rounds 15 --output metering.json
""",
)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option(
    "--kernels", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where kernels in C are."
)
@OUTPUT
@as_json
def metering(rounds: int, kernels: Path | None, output: Path | None, as_json: bool) -> None:
    """Measure what fuel costs guests that only compute."""
    from ..lab import metering as lab
    from ..lab import plots
    from ..lab.report import Report, Table

    require_output(output)
    with Steps() as steps:
        found = lab.measure(kernels or benches() / "kernels", cache(), rounds, steps.begin)
        steps.end()
    columns = ["kernel", "unmetered, ms", "with fuel", "in isolet", "M fuel", "slices"]
    costs = {kernel.name: kernel.cost(lab.OURS).value for kernel in found}
    report = Report(
        title="Metering: what fuel costs",
        command=" ".join(["isolet", *sys.argv[1:]]),
        settings={"rounds": rounds},
        method=_METERING_METHOD,
        tables=[Table("Time to unmetered", columns, lab.table(found))],
        figures={"metering": lambda: plots.bars(costs, "time to unmetered", digits=2)},
        data={"kernels": [kernel.as_plain() for kernel in found]},
    )
    finish(report, "metering", output, as_json)
