"""`isolet bench compare`: isolet beside what people would use instead."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console
from .bench_output import OUTPUT, TIMES, benches, cache, finish, require_output, times
from .options import Verb, as_json
from .steps import Steps

if TYPE_CHECKING:
    from ..lab.peers import Contender, Peer
    from ..lab.report import Report, Table

_COMPARE_METHOD = """
Every peer runs the same work, bytes in and bytes out, from the same source in its language (benches/works); what is
around it is in benches/peers. Its answer is compared with the expected one first. All peers of a table start, idle, and
are measured in turn, in interleaved rounds: machines are shared and their speed drifts.

Servers are loaded over HTTP by one client in a process of its own; it takes a processor of its own while it runs, which
matters where there are two. What is no server is called in a row in this process. Servers and calls are never in one
table of ratios.

A ratio is the median of the rounds' ratios to isolet's in the same round, with the interval in which a bootstrap over
the rounds finds it in 95 of 100 cases. What a peer does otherwise (a fresh instance per request or not, isolation,
metering) is in the table: a peer that reuses an instance does less for the request, on purpose.
"""


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet bench compare                          all peers, all works; the first time they are installed
  isolet bench compare --work hello,state --language c
  isolet bench compare --peer isolet,workerd --output workerd.html
  isolet bench compare --list                   what is there, and in what it differs

Adding a peer is adding a folder with a peer.py in it: see benches/peers and `--peers`.
""",
)
@click.option("--peer", "chosen", metavar="NAMES", help="Folders of benches/peers, with commas.  [default: all]")
@click.option("--work", "works", metavar="NAMES", help="hello, json, echo, cpu, state.  [default: all]")
@click.option("--language", "languages", metavar="NAMES", help="c, javascript, python.  [default: all]")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Of each round.")
@click.option("--connections", default="1,32", show_default=True, metavar="NUMBERS", help="Of the closed loops.")
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes, or threads, of servers."
)
@click.option("--peers", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where peers are.")
@click.option("--list", "list_", is_flag=True, help="Say what peers there are, and measure nothing.")
@OUTPUT
@as_json
def compare(
    chosen: str | None,
    works: str | None,
    languages: str | None,
    connections: str,
    peers: Path | None,
    list_: bool,
    output: Path | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Measure isolet and what people would use instead, side by side, on the same work."""
    from ..lab import peers as lab_peers
    from ..lab.works import LANGUAGES, WORKS

    found = lab_peers.find(peers or benches() / "peers")
    wanted = _chosen(chosen, [peer.folder for peer in found], "peer")
    found = [peer for peer in found if peer.folder in wanted]
    if list_:
        _list_peers(found, as_json)
        return
    require_output(output)
    settings = lab_peers.Settings(connections=_numbers(connections), **said)
    contenders: list[Contender] = []
    with Steps() as steps:
        for language in _chosen(languages, LANGUAGES, "language"):
            for work in _chosen(works, list(WORKS), "work"):
                contenders += lab_peers.compare(found, WORKS[work], language, cache(), settings, steps.begin)
        steps.end()
    report = _comparison(contenders, said | {"connections": connections})
    finish(report, "compare", output, as_json)


def _chosen(said: str | None, known: Sequence[str], what: str) -> list[str]:
    """The words that were asked for, in the order that is known."""
    if said is None:
        return list(known)
    words = [word.strip() for word in said.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise click.UsageError(f"there is no {what} {word!r}; there are {', '.join(known)}")
    return [word for word in known if word in words]


def _numbers(said: str) -> list[int]:
    try:
        numbers = [int(word) for word in said.split(",")]
    except ValueError:
        raise click.UsageError(f"{said!r} are no numbers with commas between them") from None
    if not all(0 < number <= 1_000 for number in numbers):
        raise click.UsageError("connections are 1 to 1,000")
    return numbers


def _list_peers(found: Sequence[Peer], as_json: bool) -> None:
    if as_json:
        console.say_json(
            [
                {
                    "folder": peer.folder,
                    "name": peer.name,
                    "kind": peer.kind,
                    "languages": list(peer.languages),
                    "freshInstance": peer.fresh,
                    "differs": peer.differs,
                }
                for peer in found
            ]
        )
        return
    for peer in found:
        what = "a server" if peer.kind == "http" else "called in this process"
        console.say(f"{peer.folder}: {peer.name}, {what}; {', '.join(peer.languages)}", "bold")
        console.pairs(peer.differs)


def _comparison(contenders: Sequence[Contender], settings: dict[str, Any]) -> Report:
    from ..lab.report import Report

    report = Report(
        title="isolet beside its peers",
        command=" ".join(["isolet", *sys.argv[1:]]),
        settings=settings,
        method=_COMPARE_METHOD,
        tables=_summaries(contenders),
        data={"contenders": [contender.as_plain() for contender in contenders]},
    )
    add_comparison(report, contenders)
    return report


def add_comparison(report: Report, contenders: Sequence[Contender]) -> None:
    """A table for each work, language and kind of peer, and a picture for each load."""
    from ..lab import plots

    groups: dict[tuple[str, str, str], list[Contender]] = {}
    for contender in contenders:
        groups.setdefault((contender.work.name, contender.language, contender.peer.kind), []).append(contender)
    for (work, language, kind), group in groups.items():
        table, bars = _comparison_table(work, language, kind, group)
        report.tables.append(table)
        for what, rates in bars.items():
            title = f"{work}-{language}-{what}".replace(" ", "-")
            report.figures[title] = partial(plots.bars, rates, "a second", title)


def _summaries(contenders: Sequence[Contender]) -> list[Table]:
    """For each language: every peer's medians on every work, one request or call at a time."""
    from ..lab.figures import estimate
    from ..lab.report import Table

    found = []
    for language in dict.fromkeys(one.language for one in contenders):
        spoken = [one for one in contenders if one.language == language]
        works = list(dict.fromkeys(one.work.name for one in spoken))
        rows = []
        for name in dict.fromkeys(one.peer.name for one in spoken):
            by_work = {one.work.name: one for one in spoken if one.peer.name == name}
            first = next(iter(by_work.values())).peer
            rows.append([name, "HTTP" if first.kind == "http" else "calls", "fresh" if first.fresh else "reused"])
            for work in works:
                times = by_work[work].times if work in by_work else {}
                single = times.get("1 connection") or times.get("calls")
                rows[-1].append(f"{estimate(single.medians).value:,.0f}" if single and single.medians else "—")
        found.append(Table(f"Medians in {language}, µs, one at a time", ["peer", "how", "instance", *works], rows))
    return found


def _comparison_table(
    work: str, language: str, kind: str, group: Sequence[Contender]
) -> tuple[Table, dict[str, dict[str, float]]]:
    """The table, and a bar's length for each contender by what was tried."""
    from ..lab.figures import estimate, ratio
    from ..lab.report import Table

    ours = next((one for one in group if one.peer.folder.startswith("isolet") and not one.reason), None)
    rows: list[list[str]] = []
    bars: dict[str, dict[str, float]] = {}
    for what in dict.fromkeys(what for one in group for what in one.times):
        for one in group:
            if what not in one.times:
                continue
            rounds, rates = one.times[what], one.rates[what]
            rate = estimate(rates)
            bars.setdefault(what, {})[one.peer.name] = rate.value
            beside = ""
            if ours is not None and one is not ours and len(ours.rates.get(what, [])) == len(rates):
                found = ratio(ours.rates[what], rates)
                beside = f"{found.value:.2f} ({found.low:.2f}…{found.high:.2f})"
            fresh = "fresh" if one.peer.fresh else "reused"
            rows.append(
                [one.peer.name, what, fresh, f"{rate.value:,.0f}", beside, *times(rounds.all)],
            )
    for one in group:
        if one.reason:
            rows.append([one.peer.name, "not measured: " + one.reason.partition("\n")[0], "", "", "", "", "", "", ""])
    where = "over HTTP" if kind == "http" else "called in a row"
    columns = ["peer", "load", "instance", "a second", "isolet to it", *TIMES]
    return Table(f"{work} in {language}, {where}", columns, rows), bars
