"""Where the results of `isolet bench` go: files, a table for people, JSON for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console

if TYPE_CHECKING:
    from ..lab.report import Report

OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The result: .json, .csv, .html, .svg, .png; or a directory: JSON and HTML, named by date and machine.",
)


def require_output(output: Path | None) -> None:
    if output is None or output.is_dir():
        return
    suffixes = (".json", ".csv", ".html", ".svg", ".png")
    if output.suffix not in suffixes:
        raise click.UsageError(f"{output} is no directory, and ends in none of {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"there is no directory {output.parent}")


def finish(report: Report, what: str, output: Path | None, as_json: bool) -> None:
    """Writes, and shows."""
    from ..lab.report import default_path

    written: list[Path] = []
    if output is not None and output.is_dir():
        path = default_path(output, what)
        written = [report.write(path), report.write(path.with_suffix(".html"))]
    elif output is not None:
        written = report.save_plots(output) if output.suffix in (".svg", ".png") else [report.write(output)]
    if as_json:
        console.say_json(report.as_plain())
    else:
        show(report)
    for path in written:
        console.note(f"written: {path}")


def show(found: Report) -> None:
    """A report, for people."""
    console.say(found.title, "bold")
    for table in found.tables:
        console.say("")
        console.say(table.title, "bold")
        console.say_table(table.columns, table.rows, right=table.columns[1:])
        if table.note:
            console.say(table.note, "dim")


TIMES = ("p50 µs", "p90 µs", "p99 µs", "p99.9 µs")


def times(rounds: Any) -> list[str]:
    return [f"{rounds.at(percentile):,.1f}" for percentile in (50, 90, 99, 99.9)]


def benches() -> Path:
    """The benches of a checkout, which a wheel has not."""
    there = Path(__file__).parents[3] / "benches"
    if not (there / "peers").is_dir():
        raise click.UsageError("peers are in isolet's source: clone it, or name their directory with --peers")
    return there


def cache() -> Path:
    from ..languages.toolchain import cache_directory

    return cache_directory() / "bench"
