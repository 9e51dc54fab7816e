"""`isolet bench`: the cold-start laboratory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console
from .bench_claims import claims
from .bench_compare import compare
from .bench_copy import Copy, take
from .bench_growth import density, metering
from .bench_output import OUTPUT, TIMES, finish, require_output, times
from .client import Client
from .credentials import TEST, Endpoint
from .options import Verb, as_json, endpoint, write_examples
from .steps import Steps

if TYPE_CHECKING:
    from ..lab.colds import Colds
    from ..lab.figures import Rounds
    from ..lab.load import Job
    from ..lab.phases import Phases
    from ..lab.report import Report, Table

_EPILOG = """\
Examples:
  isolet bench hello                           phases, colds and load of a deployed function
  isolet bench hello --rate 500 --seconds 10   open loop: what users feel at 500 requests a second
  isolet bench hello --connections 32          closed loop: what the server can do at most
  isolet bench hello -d '{"name": "Ada"}'      through Invoke, with this event
  isolet bench hello --plot hello.svg --html hello.html --csv hello.csv
  isolet bench run compare                     a function whose name is a verb's
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
@OUTPUT
@endpoint
@as_json
def run(
    name: str,
    endpoint: Endpoint,
    as_json: bool,
    plot: Path | None,
    csv_: Path | None,
    output: Path | None,
    **said: Any,
) -> None:
    """Measure the deployed function NAME: what an invocation spends where, its four colds, and its load."""
    from ..lab.stamps import require_sources

    outputs = [(plot, ""), (csv_, ".csv"), (said["html"], ".html")]
    _require_writable(outputs)
    require_output(output)
    require_sources()
    with Client(endpoint) as client, Steps() as steps:
        copy = take(client, name)
        found = _Session(client, copy, steps, said, sweep=bool(plot or said["html"] or output)).measure()
        steps.end()
    written = []
    if csv_:
        written.append(found.write(csv_))
    if said["html"]:
        written.append(found.write(said["html"]))
    if plot:
        written += found.save_plots(plot)
    for path in written:
        console.note(f"written: {path}")
    finish(found, name.rpartition(":")[2], output, as_json)


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


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────


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
                *times(rounds.all),
                f"{middle.low:,.1f}…{middle.high:,.1f}",
                f"{failed:,}",
            ]
        )
    columns = ["load", "answers/s", "95 %", *TIMES, "median, 95 %", "failed"]
    return Table("Load on the server at the endpoint", columns, rows)


def _phase_tables(phases: Phases) -> list[Table]:
    from ..lab.phases import PHASES, SUMS
    from ..lab.report import Table

    rows = [[name, *times(phases.times[name].all), f"{phases.faults.get(name, 0.0):.1f}"] for name in (*PHASES, *SUMS)]
    note = f"Wrappers cost {phases.stamp_ns:.0f} ns each, in the phase that they end."
    tables = [Table("Phases of an invocation over HTTP, one connection", ["phase", *TIMES, "faults"], rows, note)]
    if phases.first_call.medians:
        first, second = phases.first_call.all, phases.second_call.all
        touch = first.median - second.median
        rows = [["first call of an isolate", *times(first)], ["second call of the same", *times(second)]]
        tables.append(
            Table("First touch", ["call", *TIMES], rows, f"First touches cost {touch:,.1f} µs of a call (medians).")
        )
    return tables


def _cold_table(colds: Colds) -> Table:
    from ..lab.colds import COLDS, MEANING
    from ..lab.report import Table

    rows = [
        [name, f"{colds.times[name].count}", *times(colds.times[name])] for name in COLDS if colds.times[name].count
    ]
    note = "\n".join(f"{name}: {MEANING[name]}" for name in COLDS)
    if colds.kept:
        note += (
            f"\nThe kernel kept up to {100 * colds.kept:.0f} % of the artifacts' pages: disk-cold is that much warmer."
        )
    return Table("Colds, as a client sees them", ["cold", "times", *TIMES], rows, note)


for _verb in (claims, compare, density, metering):
    bench.add_command(_verb)
