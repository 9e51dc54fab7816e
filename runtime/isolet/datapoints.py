"""Metrics as CloudWatch gives them: which samples belong to a metric and its dimensions, in which period, and what a
statistic says of them. Pure.

Laws:
- The namespace `AWS/Lambda` has Lambda's own metrics, under Lambda's names and units; `isolet` has what Lambda has no
  name for.
- `FunctionName` alone is all of a function; with `Resource` (`name`, `name:alias` or `name:version`) what was asked for
  by that name, with `ExecutedVersion` what of it that version ran; without dimensions, all functions of the account.
- Periods count from the start of the request, which is rounded down to the minute. A period without samples has no
  datapoint.
- Concurrency is a level: its samples are minutes, and the functions' and workers' peaks of a minute add up.
- Percentiles (`p50`, `p99.9`) are of Duration and RestoreDuration, and as exact as samples.py says: within 16 % of the
  value, interpolated, never outside what occurred.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from .errors import InvalidParameter
from .samples import Samples

LAMBDA, OURS = "AWS/Lambda", "isolet"
CONCURRENCY = "ConcurrentExecutions"


class Metric(NamedTuple):
    namespace: str
    unit: str
    divisor: int = 1  # of the integers that are kept
    spread: bool = False  # its percentiles are known


METRICS: Mapping[str, Metric] = {
    "Invocations": Metric(LAMBDA, "Count"),
    "Errors": Metric(LAMBDA, "Count"),
    "Throttles": Metric(LAMBDA, "Count"),
    "Duration": Metric(LAMBDA, "Milliseconds", 1_000_000, True),
    CONCURRENCY: Metric(LAMBDA, "Count"),
    "AsyncEventsReceived": Metric(LAMBDA, "Count"),
    "AsyncEventsDropped": Metric(LAMBDA, "Count"),
    "AsyncEventAge": Metric(LAMBDA, "Milliseconds"),
    "DeadLetterErrors": Metric(LAMBDA, "Count"),
    "DestinationDeliveryFailures": Metric(LAMBDA, "Count"),
    "RestoreDuration": Metric(OURS, "Milliseconds", 1_000_000, True),
    "BilledDuration": Metric(OURS, "Milliseconds"),
    "CpuTime": Metric(OURS, "Milliseconds", 1_000_000),
    "FuelUsed": Metric(OURS, "Count"),
}
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,10})?|100)")


class Row(Protocol):
    """storage/metrics.py's."""

    @property
    def name(self) -> str: ...
    @property
    def qualifier(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def start_s(self) -> int: ...
    @property
    def samples(self) -> Mapping[str, Samples]: ...
    @property
    def peaks(self) -> Mapping[str, int]: ...


class Wanted(NamedTuple):
    """Of whom a metric is asked for; None: of all. `known` is False for dimensions that no function has."""

    function: str | None = None
    qualifier: str | None = None
    version: str | None = None
    known: bool = True

    def has(self, row: Row) -> bool:
        return (
            self.known
            and self.function in (None, row.name)
            and self.qualifier in (None, row.qualifier)
            and self.version in (None, row.version)
        )


def wanted(dimensions: Mapping[str, str]) -> Wanted:
    function, resource = dimensions.get("FunctionName"), dimensions.get("Resource")
    version = dimensions.get("ExecutedVersion")
    if dimensions.keys() - {"FunctionName", "Resource", "ExecutedVersion"}:
        return Wanted(known=False)
    if resource is None:
        return Wanted(function, None, version)
    name, _, qualifier = resource.partition(":")
    return Wanted(name, "" if qualifier == "$LATEST" else qualifier, version, function in (None, name))


def periods(rows: Iterable[Row], metric: str, of: Wanted, start_s: int, period_s: int) -> dict[int, Samples]:
    """The samples of each period, by its start; those that have any, in their order."""
    if metric == CONCURRENCY:
        return _levels(rows, of, start_s, period_s)
    found: dict[int, Samples] = {}
    for row in rows:
        samples = row.samples.get(metric)
        if samples is not None and of.has(row):
            at = start_s + (row.start_s - start_s) // period_s * period_s
            found[at] = found.get(at, Samples()).plus(samples)
    return dict(sorted(found.items()))


def _levels(rows: Iterable[Row], of: Wanted, start_s: int, period_s: int) -> dict[int, Samples]:
    # A peak is of the whole function, and stands in each of its rows that saw it.
    minutes: dict[int, dict[tuple[str, str], int]] = {}
    found: dict[int, Samples] = {}
    for row in rows:
        if not of.has(row):
            continue
        for worker, peak in row.peaks.items():
            minute = minutes.setdefault(row.start_s, {})
            minute[row.name, worker] = max(minute.get((row.name, worker), 0), peak)
        if (aged := row.samples.get(CONCURRENCY)) is not None:
            at = start_s + (row.start_s - start_s) // period_s * period_s
            found[at] = found.get(at, Samples()).plus(aged)
    for minute_s, peaks in minutes.items():
        at, level = start_s + (minute_s - start_s) // period_s * period_s, sum(peaks.values())
        found[at] = found.get(at, Samples()).plus(Samples(1, level, level, level))
    return dict(sorted(found.items()))


def require_statistic(metric: str, statistic: str) -> None:
    """Refuses what `value` cannot say. Raises InvalidParameter."""
    if statistic in STATISTICS:
        return
    if not _PERCENTILE.fullmatch(statistic):
        raise InvalidParameter(f"The value {statistic} for parameter Stat is not supported.")
    known = METRICS.get(metric)
    if known is not None and not known.spread:
        spread = " and ".join(name for name, of in METRICS.items() if of.spread)
        raise InvalidParameter(f"Percentiles are kept of {spread}, not of {metric}; use one of {', '.join(STATISTICS)}")


def value(metric: str, statistic: str, samples: Samples) -> float:
    """What a statistic says, in the metric's unit. Needs what `require_statistic` lets pass, and a sample at least."""
    if statistic == "SampleCount":
        return float(samples.size)
    said: float
    if statistic == "Average":
        said = samples.sum / samples.size
    elif statistic == "Sum":
        said = samples.sum
    elif statistic == "Minimum":
        said = samples.low
    elif statistic == "Maximum":
        said = samples.high
    else:
        said = samples.percentile(float(statistic[1:]))
    return said / METRICS[metric].divisor
