"""`/metrics` in Prometheus' text format: what the keeper counted from its workers' batches, and its workers' gauges.

Laws:
- Counters are the keeper's own sums of differences that workers send. A worker that dies leaves what it had sent; one
  that starts adds to it: no counter goes back while the keeper lives, and when it restarts all begin at zero, which
  Prometheus knows how to read.
- Series are bounded: METRIC_FUNCTIONS_MAX functions have their own label, all others share `_other`; classes of errors
  are ours by name; workers are counted 0, 1, 2 …, so that a replaced worker continues its predecessor's gauges.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from . import errors, lag, limits
from .cordons import STANDARD
from .errors import IsoletError
from .model import DEFAULT_TENANT
from .quota import LIMITS
from .records import Batch, Totals
from .samples import BOUNDS, Samples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "_other"
_NS_PER_S = 1_000_000_000

# Upper bounds of the histograms' buckets; one more bucket holds what is beyond. A duration is between a restore (20 µs)
# and Lambda's longest timeout; restores are between 5 µs and the 10 ms of an image that is copied.
_MS = 1_000_000
DURATION_BOUNDS_NS = (
    *(50_000, 100_000, 200_000, 500_000),
    *(_MS * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000, 900_000)),
)
RESTORE_BOUNDS_NS = tuple(1_000 * n for n in (5, 10, 15, 20, 30, 50, 100, 200, 500, 1_000, 5_000, 10_000, 50_000))
assert {*DURATION_BOUNDS_NS, *RESTORE_BOUNDS_NS} < set(BOUNDS), "each bucket is some whole ones of the samples'"

# What a worker may answer to `gauges`, and what it means. Anything else is not shown.
GAUGES: Mapping[str, str] = {
    "isolates_live": "Isolates that exist: running, runnable, waiting and spare.",
    "isolates_spare": "Isolates restored ahead, for an invocation that may come.",
    "pool_slots": "Isolates that the worker's pool can hold.",
    "slices_runnable": "Invocations that wait for their next slice of fuel.",
    "isolates_waiting": "Isolates whose guest waits for a reply or sleeps.",
    "invocations_in_flight": "Invocations admitted and not answered.",
    "snapshots_loaded": "Snapshots that isolates can be born from at once.",
    "connections_open": "Open connections of clients.",
    "http_requests": "Requests that this worker's door has answered since it started.",
    "http_refused": "Requests that it refused before they were served.",
    "http_swept": "Connections that a deadline or a bound ended.",
    "http_clients_left": "Connections whose client left while a request was under way.",
    "attempts_ended": "Attempts of asynchronous invocations that have ended, since this worker started.",
    "http_passed": "Requests that were passed on to workers of other cordons, since this worker started.",
    **{
        f"{capability}_{what}": f"{counted} `{capability}`, since this worker started."
        for capability in ("kv", "fetch", "invoke", "secrets")
        for what, counted in (
            ("calls", "Answered calls of"),
            ("bytes_sent", "Bytes that guests sent with calls of"),
            ("bytes_received", "Bytes that guests were answered by"),
        )
    },
}

# Of asynchronous invocations, from the keeper.
EVENT_GAUGES: Mapping[str, str] = {
    "events_queued": "Asynchronous events that are accepted and not over.",
    "events_running": "Attempts of asynchronous events that are under way.",
    "events_oldest_age_seconds": "Age of the longest accepted event that is not over.",
    "deliveries_queued": "Ends of asynchronous events that are still to be told to their destinations.",
}

_NONE = Samples()


class _Function:
    """Sums of one function, or of all that share a label."""

    __slots__ = ("dropped", "durations", "errors", "restores", "totals")

    def __init__(self) -> None:
        self.totals = Totals()
        self.errors: dict[str, int] = {}
        self.durations = Samples()
        self.restores = Samples()
        self.dropped = 0

    def add(self, batch: Batch) -> None:
        self.totals = self.totals.plus(batch.totals)
        for kind, count in batch.errors.items():
            known = kind if _is_ours(kind) else "Other"
            self.errors[known] = self.errors.get(known, 0) + count
        self.durations = self.durations.plus(batch.samples.get("Duration", _NONE))
        self.restores = self.restores.plus(batch.samples.get("RestoreDuration", _NONE))
        self.dropped += batch.records_dropped


def _is_ours(kind: str) -> bool:
    cls = getattr(errors, kind, None)
    return isinstance(cls, type) and issubclass(cls, IsoletError)


class Metrics:
    """The keeper's. `add` takes every batch once; `text` is a scrape."""

    def __init__(self) -> None:
        self._functions: dict[str, _Function] = {}
        # By (tenant, limit): what was refused for it, in workers.
        self._limited: Counter[tuple[str, str]] = Counter()
        # Builds since the keeper started, by how they ended: "succeeded", or the error's class.
        self.builds: dict[str, int] = {}

    def add(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            label = batch.name if batch.tenant == DEFAULT_TENANT else f"{batch.tenant}/{batch.name}"
            if label not in self._functions and len(self._functions) >= limits.METRIC_FUNCTIONS_MAX:
                label = OTHER
            self._functions.setdefault(label, _Function()).add(batch)
            for limit, count in batch.limited.items():
                if limit in LIMITS:
                    self._limited[batch.tenant, limit] += count

    def count_build(self, result: str) -> None:
        self.builds[result] = self.builds.get(result, 0) + 1

    def text(
        self,
        workers: Mapping[int, Mapping[str, float]],
        functions: int = 0,
        events: Mapping[str, float] | None = None,
        books: Mapping[str, int] | None = None,
        ended: Mapping[str, int] | None = None,
        refused: Mapping[tuple[str, str], int] | None = None,
        cordons: Mapping[int, str] | None = None,
    ) -> bytes:
        """The scrape: `workers` are the gauges of each, by its number; `functions` is how many are deployed; `events`
        are the EVENT_GAUGES, `books` what became of events since there are any; `ended` are the workers that have ended
        since the server started, by why; `refused` is what the keeper itself refused for a limit, by (tenant, limit);
        `cordons` says of each worker whose it is.
        """
        registry = CollectorRegistry(auto_describe=False)
        limited = self._limited + Counter(refused or {})
        families = [
            *self._counters(),
            _refusals(limited),
            *_gauges(workers, functions, cordons or {}),
            *_ended(ended or {}),
        ]
        registry.register(_Once([*families, *_events(events or {}, books or {})]))
        return generate_latest(registry)

    def _counters(self) -> Iterable[Metric]:
        def counter(name: str, help_text: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
            family = CounterMetricFamily(f"isolet_{name}", help_text, labels=labels)
            for key, value in sorted(values.items()):
                family.add_metric(list(key), value)
            return family

        functions = self._functions
        sums = {(name,): of.totals for name, of in functions.items()}
        yield counter(
            "invocations",
            "Invocations that ran, however they ended.",
            {key: totals.invocations for key, totals in sums.items()},
            "function",
        )
        yield counter(
            "errors",
            "Invocations that failed or were refused, by class of error.",
            {(name, kind): count for name, of in functions.items() for kind, count in of.errors.items()},
            *("function", "class"),
        )
        yield counter(
            "throttles",
            "Invocations that admission refused.",
            {key: totals.throttles for key, totals in sums.items()},
            "function",
        )
        yield counter("fuel", "Fuel spent.", {key: totals.fuel for key, totals in sums.items()}, "function")
        yield counter(
            "cpu_seconds",
            "Time inside slices.",
            {key: totals.cpu_ns / _NS_PER_S for key, totals in sums.items()},
            "function",
        )
        yield counter(
            "billed_seconds", "Billed time.", {key: totals.billed_ms / 1000 for key, totals in sums.items()}, "function"
        )
        yield counter(
            "log_records_dropped",
            "Invocations whose log lines found no room on their way.",
            {(name,): of.dropped for name, of in functions.items()},
            "function",
        )
        yield counter("builds", "Builds, by how they ended.", {(key,): n for key, n in self.builds.items()}, "result")
        yield self._histogram(
            "duration_seconds",
            "From admission to outcome.",
            DURATION_BOUNDS_NS,
            {name: of.durations for name, of in functions.items()},
        )
        yield self._histogram(
            "restore_seconds",
            "From nothing to an isolate with its snapshot.",
            RESTORE_BOUNDS_NS,
            {name: of.restores for name, of in functions.items()},
        )

    def _histogram(
        self, name: str, help_text: str, bounds_ns: tuple[int, ...], values: Mapping[str, Samples]
    ) -> Metric:
        family = HistogramMetricFamily(f"isolet_{name}", help_text, labels=["function"])
        edges = [f"{bound / _NS_PER_S:g}" for bound in bounds_ns] + ["+Inf"]
        for label, samples in sorted(values.items()):
            counts = [float(_up_to(samples, bound)) for bound in bounds_ns] + [float(samples.size)]
            family.add_metric([label], list(zip(edges, counts, strict=True)), samples.sum / _NS_PER_S)
        return family


def _up_to(samples: Samples, bound_ns: int) -> int:
    """How many samples are at most a bound that is one of BOUNDS."""
    last = bisect_left(BOUNDS, bound_ns)
    return sum(count for bucket, count in samples.buckets.items() if bucket <= last)


def _refusals(counted: Mapping[tuple[str, str], int]) -> Metric:
    """The tenants with the most have their own label."""
    family = CounterMetricFamily(
        "isolet_limit_refusals",
        "What was refused for a tenant's limit: invocations, events, builds, calls; of log_bytes_per_s, lines.",
        labels=["tenant", "limit"],
    )
    totals: Counter[str] = Counter()
    for (tenant, _), count in counted.items():
        totals[tenant] += count
    labelled = {tenant for tenant, _ in totals.most_common(limits.METRIC_TENANTS_MAX)}
    shown: Counter[tuple[str, str]] = Counter()
    for (tenant, limit), count in counted.items():
        shown[tenant if tenant in labelled else OTHER, limit] += count
    for key, count in sorted(shown.items()):
        family.add_metric(list(key), count)
    return family


def _gauges(workers: Mapping[int, Mapping[str, float]], functions: int, cordons: Mapping[int, str]) -> Iterable[Metric]:
    yield GaugeMetricFamily("isolet_workers", "Workers that are connected and answer.", value=len(workers))
    yield GaugeMetricFamily("isolet_functions", "Functions that workers serve.", value=functions)
    for name, help_text in GAUGES.items():
        family = GaugeMetricFamily(f"isolet_{name}", help_text, labels=["worker", "cordon"])
        for number, gauges in sorted(workers.items()):
            if name in gauges:
                family.add_metric([str(number), cordons.get(number, STANDARD)], gauges[name])
        if family.samples:
            yield family
    yield _lag(workers, cordons)


def _lag(workers: Mapping[int, Mapping[str, float]], cordons: Mapping[int, str]) -> Metric:
    family = HistogramMetricFamily(
        "isolet_loop_lag_seconds",
        "How late the worker's event loop came to who was ready.",
        labels=["worker", "cordon"],
    )
    edges = [f"{bound / _NS_PER_S:g}" for bound in lag.BOUNDS_NS] + ["+Inf"]
    for number, gauges in sorted(workers.items()):
        buckets, total_s = lag.buckets_of(gauges)
        labels = [str(number), cordons.get(number, STANDARD)]
        family.add_metric(labels, list(zip(edges, buckets, strict=True)), total_s)
    return family


def _ended(endings: Mapping[str, int]) -> Iterable[Metric]:
    if endings:
        family = CounterMetricFamily("isolet_workers_ended", "Workers that ended, by why.", labels=["why"])
        for why, count in endings.items():
            family.add_metric([why], count)
        yield family


def _events(gauges: Mapping[str, float], books: Mapping[str, int]) -> Iterable[Metric]:
    for name, value in gauges.items():
        yield GaugeMetricFamily(f"isolet_{name}", EVENT_GAUGES[name], value=value)
    if books:
        family = CounterMetricFamily("isolet_events", "Asynchronous events, by what became of them.", labels=["fate"])
        for fate, count in books.items():
            family.add_metric([fate], count)
        yield family


class _Once(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
