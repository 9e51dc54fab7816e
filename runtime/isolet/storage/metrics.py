"""Metrics: samples of each function, summed by the minute and later by the hour.

Laws:
- A minute is kept for MINUTES_KEPT_S, then it becomes part of its hour, which is kept for HOURS_KEPT_S. Precedent:
  CloudWatch, 15 days and 455. Beyond METRIC_ROWS_MAX rows the oldest minutes become part of their hours earlier, and
  then the oldest hours go.
- Samples are added in the transaction that takes the records they were summed from (intake.py): as exact as the ledger.

A row is what one function, asked for by one name and run in one version, did in one period: `{metric: samples}`.
Concurrency is kept as the peak of each worker; the peaks of a minute are added up, so that with several workers the
number is an upper bound (exact with one), noticed when an invocation ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack

from .. import limits
from ..datapoints import CONCURRENCY
from ..records import HOUR_S, MINUTE_S, Batch
from ..samples import Samples, flags
from .database import Database

MINUTES_KEPT_S = 15 * 86_400
HOURS_KEPT_S = 455 * 86_400
# Minutes that one transaction of a sweep makes part of their hours.
_FOLDED_AT_ONCE = 500
_PEAKS = "peaks"


class Row(NamedTuple):
    name: str
    qualifier: str
    version: str
    start_s: int
    period_s: int
    samples: Mapping[str, Samples]
    peaks: Mapping[str, int]  # by worker: its most concurrent invocations of the function


def add(db: sqlite3.Connection, worker: str, batch: Batch) -> None:
    """Part of a job: adds a batch to its minute."""
    totals = batch.totals
    count, errors, throttles = totals.invocations, totals.errors, totals.throttles
    samples = {
        "Invocations": flags(count, count),
        "Errors": flags(count, errors),
        "Throttles": flags(count + throttles, throttles),
        **batch.samples,
    }
    peaks = {worker[:16]: batch.running} if batch.running else {}
    _merge(
        db,
        (batch.tenant, batch.name, batch.minute * MINUTE_S, MINUTE_S, batch.qualifier, batch.version),
        samples,
        peaks,
    )


def count(db: sqlite3.Connection, tenant: str, name: str, at_ms: int, metric: str, samples: Samples) -> None:
    """Part of a job: adds to a metric that is not an invocation's own (AsyncEventsReceived …)."""
    minute_s = at_ms // (1000 * MINUTE_S) * MINUTE_S
    _merge(db, (tenant, name, minute_s, MINUTE_S, "", ""), {metric: samples}, {})


_Key = tuple[str, str, int, int, str, str]
_WHERE = "tenant = ? AND name = ? AND start_s = ? AND period_s = ? AND qualifier = ? AND version = ?"


def _merge(db: sqlite3.Connection, key: _Key, samples: Mapping[str, Samples], peaks: Mapping[str, int]) -> None:
    samples = {metric: added for metric, added in samples.items() if added.size}
    if not samples:
        return
    row = db.execute(f"SELECT sums FROM metrics WHERE {_WHERE}", key).fetchone()
    if row is None:
        columns = "tenant, name, start_s, period_s, qualifier, version, sums"
        insert = f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        db.execute(insert, (*key, _pack(samples, peaks)))
        return
    stored, kept = _unpack(row[0])
    for metric, added in samples.items():
        stored[metric] = stored.get(metric, Samples()).plus(added)
    for worker, peak in peaks.items():
        kept[worker] = max(kept.get(worker, 0), peak)
    db.execute(f"UPDATE metrics SET sums = ? WHERE {_WHERE}", (_pack(stored, kept), *key))


def _pack(samples: Mapping[str, Samples], peaks: Mapping[str, int]) -> bytes:
    plain: dict[str, Any] = {metric: of.to_plain() for metric, of in samples.items()}
    packed: bytes = msgpack.packb(plain | ({_PEAKS: dict(peaks)} if peaks else {}))
    return packed


def _unpack(packed: bytes) -> tuple[dict[str, Samples], dict[str, int]]:
    plain = msgpack.unpackb(packed)
    peaks = plain.pop(_PEAKS, {})
    return {metric: Samples.from_plain(of) for metric, of in plain.items()}, peaks


class MetricRows:
    """Reading what `add` summed up, and letting it age."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, tenant: str, name: str | None, first_s: int, end_s: int, period_s: int) -> list[Row]:
        """Of one function or all of a tenant, that began within [first_s, end_s) and are as long as a period at most,
        by their start."""

        def job(db: sqlite3.Connection) -> list[Row]:
            where = "tenant = ? AND (? IS NULL OR name = ?) AND start_s >= ? AND start_s < ? AND period_s <= ?"
            return [
                Row._make((*row[:5], *_unpack(row[5])))
                for row in db.execute(
                    f"SELECT name, qualifier, version, start_s, period_s, sums FROM metrics WHERE {where}"
                    " ORDER BY start_s, name, qualifier, version",
                    (tenant, name, name, first_s, end_s, period_s),
                )
            ]

        return await self._database.read(job)

    async def names(self, tenant: str, since_s: int) -> list[tuple[str, str, frozenset[str]]]:
        """(function, qualifier, its metrics) that had samples since then, by name."""

        def job(db: sqlite3.Connection) -> list[tuple[str, str, frozenset[str]]]:
            found: dict[tuple[str, str], set[str]] = {}
            for name, qualifier, sums in db.execute(
                "SELECT name, qualifier, sums FROM metrics WHERE id IN (SELECT max(id) FROM metrics"
                " WHERE tenant = ? AND start_s >= ? GROUP BY name, qualifier, version)",
                (tenant, since_s),
            ):
                samples, peaks = _unpack(sums)
                found.setdefault((name, qualifier), set()).update(samples, [CONCURRENCY] if peaks else [])
            return [(name, qualifier, frozenset(metrics)) for (name, qualifier), metrics in sorted(found.items())]

        return await self._database.read(job)

    async def sweep(self, now_s: int) -> None:
        """Makes old minutes part of their hours, and forgets old hours."""

        def job(db: sqlite3.Connection) -> bool:
            (rows,) = db.execute("SELECT ifnull(max(id) - min(id) + 1, 0) FROM metrics").fetchone()
            before_s = now_s - (MINUTES_KEPT_S if rows <= limits.METRIC_ROWS_MAX else HOUR_S)
            folded = _fold(db, before_s)
            if rows > limits.METRIC_ROWS_MAX and folded < _FOLDED_AT_ONCE:
                db.execute(
                    "DELETE FROM metrics WHERE id < (SELECT max(id) FROM metrics) - ?", (limits.METRIC_ROWS_MAX,)
                )
            db.execute("DELETE FROM metrics WHERE period_s = ? AND start_s < ?", (HOUR_S, now_s - HOURS_KEPT_S))
            return folded == _FOLDED_AT_ONCE

        while await self._database.write(job):
            pass


def _fold(db: sqlite3.Connection, before_s: int) -> int:
    """Makes some minutes before a time part of their hours; says how many."""
    minutes = db.execute(
        "SELECT id, tenant, name, start_s, qualifier, version, sums FROM metrics WHERE period_s = ? AND start_s < ?"
        " ORDER BY start_s LIMIT ?",
        (MINUTE_S, before_s // HOUR_S * HOUR_S, _FOLDED_AT_ONCE),
    ).fetchall()
    for _, tenant, name, start_s, qualifier, version, sums in minutes:
        samples, peaks = _unpack(sums)
        if peaks:
            peak = sum(peaks.values())
            samples[CONCURRENCY] = Samples(1, peak, peak, peak)
        _merge(db, (tenant, name, start_s // HOUR_S * HOUR_S, HOUR_S, qualifier, version), samples, {})
    db.executemany("DELETE FROM metrics WHERE id = ?", [(row[0],) for row in minutes])
    return len(minutes)
