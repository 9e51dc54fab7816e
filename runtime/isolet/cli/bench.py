"""`isolet bench`: the cold-start laboratory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console
from .bench_copy import Copy, take
from .client import Client
from .credentials import TEST, Endpoint
from .options import Verb, as_json, endpoint, write_examples
from .steps import Steps

if TYPE_CHECKING:
    from ..lab.colds import Colds
    from ..lab.density import Density
    from ..lab.figures import Rounds
    from ..lab.load import Job
    from ..lab.peers import Contender, Peer
    from ..lab.phases import Phases
    from ..lab.report import Report, Table

_EPILOG = """\
Examples:
  isolet bench hello                           phases, colds and load of a deployed function
  isolet bench hello --rate 500 --seconds 10   open loop: what users feel at 500 requests a second
  isolet bench hello --connections 32          closed loop: what the server can do at most
  isolet bench hello -d '{"name": "Ada"}'      through Invoke, with this event
  isolet bench hello --plot hello.svg --html hello.html --csv hello.csv
A function whose name is a verb's: isolet bench run compare
"""

_METHOD = """
Load goes to the server at the endpoint, from a client in a process of its own. In the closed loop each connection sends
its next request when it has its answer; in the open loop requests are sent when they are due and their time begins
then, so that a server that stalls is charged with all that it kept waiting.

Phases and colds are measured on servers of the laboratory's own, on this machine, with a copy of the function. Phases:
an embedded server, one connection, wrappers around the functions that an invocation passes (their cost is said and is
in the phase that each ends); no isolate is restored ahead. Page faults are counted in a run of their own (getrusage of
the worker's thread). Colds: `isolet serve` with one worker, a request at a time, its client's time.

Percentiles are of all that was recorded, in HDR histograms with three digits. A median of rounds is quoted with the
interval in which a bootstrap over the rounds finds it in 95 of 100 cases.
"""


_OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The result: .json, .csv, .html, .svg, .png; or a directory: JSON and HTML, named by date and machine.",
)


class _Bench(click.Group):
    """Whoever is no verb is a function: `isolet bench hello` is `isolet bench run hello`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(_EPILOG, formatter)


@click.group(cls=_Bench, subcommand_metavar="NAME | COMMAND [ARGS]...")
def bench() -> None:
    """Measure cold starts: a function's phases, its colds, its load."""


@bench.command(cls=Verb, epilog=_EPILOG)
@click.argument("name")
@click.option("--data", "-d", metavar="JSON", help="Call through Invoke with this event.  [default: GET over HTTP]")
@click.option("--path", default="", metavar="PATH", help="Behind the function's URL, with its query.")
@click.option("--connections", type=click.IntRange(1, 1_000), default=32, show_default=True, help="Of the closed loop.")
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="Open loop: requests a second.")
@click.option("--seconds", type=click.FloatRange(0.1), default=3.0, show_default=True, help="Of each round of load.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of load, and of phases.")
@click.option("--requests", type=click.IntRange(1), default=2_000, show_default=True, help="Of each round of phases.")
@click.option("--repeats", type=click.IntRange(0), default=20, show_default=True, help="Of each cold; 0: none.")
@click.option("--builds", type=click.IntRange(0), default=5, show_default=True, help="Of the build cold.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Plots: FILE (.svg, .png) and beside it.")
@click.option("--csv", "csv_", type=click.Path(path_type=Path), metavar="FILE", help="Tables for spreadsheets.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="A page with tables, plots, method.")
@endpoint
@as_json
def run(name: str, endpoint: Endpoint, as_json: bool, plot: Path | None, csv_: Path | None, **said: Any) -> None:
    """Measure the deployed function NAME: what an invocation spends where, its four colds, and its load."""
    outputs = [(plot, ""), (csv_, ".csv"), (said["html"], ".html")]
    _require_writable(outputs)
    with Client(endpoint) as client, Steps() as steps:
        copy = take(client, name)
        found = _Session(client, copy, steps, said, sweep=bool(plot or said["html"])).measure()
        steps.end()
    written = []
    if csv_:
        written.append(found.write(csv_))
    if said["html"]:
        written.append(found.write(said["html"]))
    if plot:
        written += found.save_plots(plot)
    if as_json:
        console.say_json(found.as_plain())
    else:
        show(found)
    for path in written:
        console.note(f"written: {path}")


def _require_writable(outputs: Sequence[tuple[Path | None, str]]) -> None:
    """Before minutes of measuring: what could not be written then is refused now."""
    for path, suffix in outputs:
        if path is None:
            continue
        if suffix and path.suffix != suffix:
            raise click.UsageError(f"{path} must end in {suffix}")
        if not suffix:
            from ..lab import plots

            plots.require_format(path)
        if not path.absolute().parent.is_dir():
            raise click.UsageError(f"there is no directory {path.parent}")


def show(found: Report) -> None:
    """A report, for people."""
    console.say(found.title, "bold")
    for table in found.tables:
        console.say("")
        console.say(table.title, "bold")
        console.say_table(table.columns, table.rows, right=table.columns[1:])
        if table.note:
            console.say(table.note, "dim")


class _Session:
    """One function's measurements, and what they become."""

    def __init__(self, client: Client, copy: Copy, steps: Steps, said: dict[str, Any], sweep: bool) -> None:
        self._client = client
        self._copy = copy
        self._steps = steps
        self._said = said
        self._sweep = sweep

    def measure(self) -> Report:
        from ..lab.report import Report

        loads = self._loads()
        sweep = self._throughput() if self._sweep else []
        phases = asyncio.run(self._phases())
        colds = self._colds() if self._said["repeats"] else None
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in self._said.items()}
        found = Report(
            title=f"{self._copy.name}: where an invocation's time goes",
            command=" ".join(["isolet", *sys.argv[1:]]),
            settings={"endpoint": str(self._client.endpoint), **settings},
            method=_METHOD,
        )
        found.tables = [_load_table(loads), *_phase_tables(phases), *([_cold_table(colds)] if colds else [])]
        found.data = {
            "load": {name: rounds.as_plain() | {"rates": rates} for name, (rounds, rates, _) in loads.items()},
            "phases": phases.as_plain(),
            **({"colds": colds.as_plain()} if colds else {}),
            **({"throughput": sweep} if sweep else {}),
        }
        found.figures = _figures(self._copy.name, loads, phases, colds, sweep)
        return found

    # ── load, on the endpoint's own server ──────────────────────────────────────────────────────────────────────

    def _job(self, base: str, client: Client) -> Job:
        """The request, for the server at `base`."""
        from ..lab.load import Job
        from ..routing import prefix_name

        name, data = self._copy.name, self._said["data"]
        if data is not None:
            body = data.encode()
            url, headers = client.signed("POST", f"/2015-03-31/functions/{name}/invocations", body)
            return Job(url=url, method="POST", headers=headers, body=data)
        account = client.configuration(name)["FunctionArn"].split(":")[4]
        return Job(url=f"{base}/fn/{prefix_name(account, name)}/{self._said['path'].lstrip('/')}")

    def _loads(self) -> dict[str, tuple[Rounds, list[float], int]]:
        """By name: (times, requests a second of each round, failures)."""
        from ..lab import load
        from ..lab.figures import Rounds

        said = self._said
        jobs: dict[str, dict[str, Any]] = {"1 connection": {"connections": 1}}
        if said["connections"] > 1:
            jobs[f"{said['connections']} connections"] = {"connections": said["connections"]}
        if said["rate"]:
            jobs[f"{said['rate']:g} a second, open loop"] = {"connections": said["connections"], "rate": said["rate"]}
        found: dict[str, tuple[Rounds, list[float], int]] = {name: (Rounds(), [], 0) for name in jobs}
        for number in range(said["rounds"]):
            for name, options in jobs.items():
                self._steps.begin(f"load: round {number + 1} of {said['rounds']}, {name}")
                job = replace(self._job(self._client.endpoint, self._client), seconds=said["seconds"], **options)
                result = load.run(job)
                self._require_answers(result)
                rounds, rates, failed = found[name]
                rounds.add(result.times)
                found[name] = (rounds, [*rates, round(result.rate, 1)], failed + result.failed)
        return found

    def _require_answers(self, result: Any) -> None:
        if not result.times.count:
            how = ", ".join(f"{count} × {why}" for why, count in result.failures.items()) or "no answer"
            cure = "" if self._said["data"] is not None else "; call it through Invoke: -d '{}'"
            raise click.ClickException(f"{self._copy.name} does not answer as expected ({how}){cure}")

    def _throughput(self) -> list[tuple[float, float, float]]:
        from ..lab import load

        points = []
        for connections in (1, 2, 4, 8, 16, 32, 64, 128):
            self._steps.begin(f"throughput: {connections} connections")
            job = replace(self._job(self._client.endpoint, self._client), connections=connections)
            result = load.run(replace(job, seconds=self._said["seconds"]))
            points.append((round(result.rate, 1), result.times.median, result.times.at(99)))
        return points

    # ── phases and colds, on servers of our own ─────────────────────────────────────────────────────────────────

    async def _phases(self) -> Phases:
        from ..config import load as configured
        from ..lab import phases
        from ..server import embedded

        with tempfile.TemporaryDirectory(prefix="isolet-bench-") as data:
            config = configured(None, arguments={"host": "127.0.0.1", "port": "0", "data": data, "workers": "1"})
            async with embedded(config) as server:
                job = await asyncio.to_thread(self._copied, server.url)
                said = self._said
                return await phases.measure(server, job, said["rounds"], said["requests"], self._steps.begin)

    def _colds(self) -> Colds:
        from ..lab import colds, house

        self._steps.begin("colds: a server of our own")
        with house.serving(1) as server:
            job = self._copied(server.url)
            return colds.measure(server, job, self._said["repeats"], self._said["builds"], self._steps.begin)

    def _copied(self, url: str) -> Job:
        """Deploys the copy there; the request for it."""
        with Client(url, TEST) as client:
            self._copy.deploy(client, self._steps)
            return self._job(url, client)


def _figures(
    name: str,
    loads: dict[str, tuple[Rounds, list[float], int]],
    phases: Phases,
    colds: Colds | None,
    sweep: list[tuple[float, float, float]],
) -> dict[str, Callable[[], Any]]:
    from ..lab import plots
    from ..lab.phases import PHASES

    curves = {load: rounds.all for load, (rounds, _, _) in loads.items()} | (dict(colds.times) if colds else {})
    medians = {phase: phases.times[phase].all.median for phase in PHASES}
    figures: dict[str, Callable[[], Any]] = {
        "latency": lambda: plots.latencies(curves),
        "phases": lambda: plots.stacked(medians),
    }
    if sweep:
        figures["throughput"] = lambda: plots.throughput({name: sweep})
    return figures


# ── beside peers ────────────────────────────────────────────────────────────────────────────────────────────────

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


@bench.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet bench compare                          all peers, all works; the first time they are installed
  isolet bench compare --work hello,state --language c
  isolet bench compare --peer isolet,workerd --html workerd.html
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
@_OUTPUT
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

    found = lab_peers.find(peers or _benches() / "peers")
    wanted = _chosen(chosen, [peer.folder for peer in found], "peer")
    found = [peer for peer in found if peer.folder in wanted]
    if list_:
        _list_peers(found, as_json)
        return
    _require_output(output)
    settings = lab_peers.Settings(connections=_numbers(connections), **said)
    contenders: list[Contender] = []
    with Steps() as steps:
        for language in _chosen(languages, LANGUAGES, "language"):
            for work in _chosen(works, list(WORKS), "work"):
                contenders += lab_peers.compare(found, WORKS[work], language, _cache(), settings, steps.begin)
        steps.end()
    report = _comparison(contenders, said | {"connections": connections})
    _finish(report, "compare", output, as_json)


def _benches() -> Path:
    """The benches of a checkout, which a wheel has not."""
    there = Path(__file__).parents[3] / "benches"
    if not (there / "peers").is_dir():
        raise click.UsageError("peers are in isolet's source: clone it, or name their directory with --peers")
    return there


def _cache() -> Path:
    from ..languages.toolchain import cache_directory

    return cache_directory() / "bench"


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


def _require_output(output: Path | None) -> None:
    if output is None or output.is_dir():
        return
    suffixes = (".json", ".csv", ".html", ".svg", ".png")
    if output.suffix not in suffixes:
        raise click.UsageError(f"{output} is no directory, and ends in none of {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"there is no directory {output.parent}")


def _finish(report: Report, what: str, output: Path | None, as_json: bool) -> None:
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
    from ..lab import plots
    from ..lab.report import Report

    report = Report(
        title="isolet beside its peers",
        command=" ".join(["isolet", *sys.argv[1:]]),
        settings=settings,
        method=_COMPARE_METHOD,
        data={"contenders": [contender.as_plain() for contender in contenders]},
    )
    groups: dict[tuple[str, str, str], list[Contender]] = {}
    for contender in contenders:
        groups.setdefault((contender.work.name, contender.language, contender.peer.kind), []).append(contender)
    for (work, language, kind), group in groups.items():
        table, bars = _comparison_table(work, language, kind, group)
        report.tables.append(table)
        for what, rates in bars.items():
            title = f"{work}-{language}-{what}".replace(" ", "-")
            report.figures[title] = partial(plots.bars, rates, "a second", title)
    return report


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
            times, rates = one.times[what], one.rates[what]
            rate = estimate(rates)
            bars.setdefault(what, {})[one.peer.name] = rate.value
            beside = ""
            if ours is not None and one is not ours and len(ours.rates.get(what, [])) == len(rates):
                found = ratio(ours.rates[what], rates)
                beside = f"{found.value:.2f} ({found.low:.2f}…{found.high:.2f})"
            fresh = "fresh" if one.peer.fresh else "reused"
            rows.append(
                [one.peer.name, what, fresh, f"{rate.value:,.0f}", beside, *_times(times.all)],
            )
    for one in group:
        if one.reason:
            rows.append([one.peer.name, "not measured: " + one.reason.partition("\n")[0], "", "", "", "", "", "", ""])
    where = "over HTTP" if kind == "http" else "called in a row"
    columns = ["peer", "load", "instance", "a second", "isolet to it", *_TIMES]
    return Table(f"{work} in {language}, {where}", columns, rows), bars


# ── density, metering ───────────────────────────────────────────────────────────────────────────────────────────

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


@bench.command(
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
@_OUTPUT
@as_json
def density(functions: int, live: int, rounds: int, output: Path | None, as_json: bool) -> None:
    """Measure what many functions and many live isolates cost, and how that grows."""
    from ..lab import density as lab

    _require_output(output)
    with Steps() as steps:
        found = lab.measure(functions, live, rounds, steps.begin)
        steps.end()
    settings = {"functions": functions, "live": live, "rounds": rounds}
    _finish(_density_report(found, settings), "density", output, as_json)


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


@bench.command(
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
@_OUTPUT
@as_json
def metering(rounds: int, kernels: Path | None, output: Path | None, as_json: bool) -> None:
    """Measure what fuel costs guests that only compute."""
    from ..lab import metering as lab
    from ..lab import plots
    from ..lab.report import Report, Table

    _require_output(output)
    with Steps() as steps:
        found = lab.measure(kernels or _benches() / "kernels", _cache(), rounds, steps.begin)
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
    _finish(report, "metering", output, as_json)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────

_TIMES = ("p50 µs", "p90 µs", "p99 µs", "p99.9 µs")


def _times(rounds: Any) -> list[str]:
    return [f"{rounds.at(percentile):,.1f}" for percentile in (50, 90, 99, 99.9)]


def _load_table(loads: dict[str, tuple[Rounds, list[float], int]]) -> Table:
    from ..lab.figures import estimate
    from ..lab.report import Table

    rows = []
    for name, (rounds, rates, failed) in loads.items():
        rate = estimate(rates)
        middle = estimate(rounds.medians)
        rows.append(
            [
                name,
                f"{rate.value:,.0f}",
                f"{rate.low:,.0f}…{rate.high:,.0f}",
                *_times(rounds.all),
                f"{middle.low:,.1f}…{middle.high:,.1f}",
                f"{failed:,}",
            ]
        )
    columns = ["load", "answers/s", "95 %", *_TIMES, "median, 95 %", "failed"]
    return Table("Load on the server at the endpoint", columns, rows)


def _phase_tables(phases: Phases) -> list[Table]:
    from ..lab.phases import PHASES, SUMS
    from ..lab.report import Table

    rows = [[name, *_times(phases.times[name].all), f"{phases.faults.get(name, 0.0):.1f}"] for name in (*PHASES, *SUMS)]
    note = f"Wrappers cost {phases.stamp_ns:.0f} ns each, in the phase that they end."
    tables = [Table("Phases of an invocation over HTTP, one connection", ["phase", *_TIMES, "faults"], rows, note)]
    if phases.first_call.medians:
        first, second = phases.first_call.all, phases.second_call.all
        touch = first.median - second.median
        rows = [["first call of an isolate", *_times(first)], ["second call of the same", *_times(second)]]
        tables.append(
            Table("First touch", ["call", *_TIMES], rows, f"First touches cost {touch:,.1f} µs of a call (medians).")
        )
    return tables


def _cold_table(colds: Colds) -> Table:
    from ..lab.colds import COLDS, MEANING
    from ..lab.report import Table

    rows = [
        [name, f"{colds.times[name].count}", *_times(colds.times[name])] for name in COLDS if colds.times[name].count
    ]
    note = "\n".join(f"{name}: {MEANING[name]}" for name in COLDS)
    if colds.kept:
        note += (
            f"\nThe kernel kept up to {100 * colds.kept:.0f} % of the artifacts' pages: disk-cold is that much warmer."
        )
    return Table("Colds, as a client sees them", ["cold", "times", *_TIMES], rows, note)
