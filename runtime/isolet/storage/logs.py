"""Log segments: one row a batch of invocations, holding their packed records; lines are made when somebody reads.

Laws:
- A function keeps LOG_STORE_BYTES_MAX, everybody together LOG_TOTAL_BYTES_MAX; the oldest segments go first. The
  segment that was written last always stays.
- Events have a place: (segment, number of the line in it). Places only grow, so that a reader who gives the last place
  it saw gets each later event once, and none twice.
- Logs outlive their function, as in CloudWatch: a deleted function's last words can still be read.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from .. import limits
from ..log_lines import lines_of, stream_name
from ..records import DAY_MS, Batch, unpack_records
from .database import Database

# What a row costs beside its records.
SEGMENT_OVERHEAD_BYTES = 128
# Segments read at a time: at most 8 × 4 MiB are decoded between two looks at what the reader wanted.
_SEGMENTS_AT_ONCE = 8
# Segments that one page looks through before it answers with what it found: a filter that matches nothing is no
# license to read everything.
_SEGMENTS_PER_PAGE = 256


class Place(NamedTuple):
    segment: int
    line: int  # counted from 1: Place(segment, 0) is before all of a segment


START = Place(0, 0)
END = Place(2**62, 0)


class Event(NamedTuple):
    place: Place
    stream: str
    ms: int
    text: str
    taken_ms: int  # CloudWatch's ingestion time


class Page(NamedTuple):
    events: list[Event]  # in the order of their places
    place: Place  # of the last line looked at, kept or not
    more: bool  # there are lines beyond `place` that were not looked at


class Group(NamedTuple):
    name: str  # of the function
    bytes: int
    created_ms: int


class Stream(NamedTuple):
    name: str
    first_ms: int
    last_ms: int
    bytes: int


class _Segment(NamedTuple):
    id: int
    version: str
    worker: str
    memory_mb: int
    step_ms: int
    last_ms: int
    records: bytes


def append(db: sqlite3.Connection, worker: str, step_ms: int, batch: Batch) -> None:
    """Part of a job: stores a batch's records as a segment and drops what is now too much of its function."""
    size = len(batch.records) + SEGMENT_OVERHEAD_BYTES
    db.execute(
        "INSERT INTO log_segments"
        " (tenant, name, version, worker, memory_mb, step_ms, first_ms, last_ms, bytes, records)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(batch.tenant, batch.name, batch.version, worker, batch.memory_mb, step_ms),
            *(batch.first_ms, batch.last_ms, size, batch.records),
        ),
    )
    db.execute(
        "INSERT INTO log_sizes (tenant, name, bytes, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
        (batch.tenant, batch.name, size, batch.first_ms),
    )
    whose = (batch.tenant, batch.name)
    (kept,) = db.execute("SELECT bytes FROM log_sizes WHERE tenant = ? AND name = ?", whose).fetchone()
    if kept > limits.LOG_STORE_BYTES_MAX:
        _drop(db, kept - limits.LOG_STORE_BYTES_MAX, "tenant = ? AND name = ? ORDER BY id", whose)


def bound(db: sqlite3.Connection) -> None:
    """Part of a job, after any number of `append`s: drops the oldest segments of all that are too much together."""
    (total,) = db.execute("SELECT sum(bytes) FROM log_sizes").fetchone()
    if total is not None and total > limits.LOG_TOTAL_BYTES_MAX:
        _drop(db, total - limits.LOG_TOTAL_BYTES_MAX, "true ORDER BY id", ())


def _drop(db: sqlite3.Connection, excess: int, where: str, what: tuple[str, ...]) -> None:
    """Deletes from the front of a selection until `excess` bytes are gone, but never the segment just written."""
    (newest,) = db.execute("SELECT max(id) FROM log_segments").fetchone()
    doomed: list[tuple[int, str, str, int]] = []
    for row in db.execute(f"SELECT id, tenant, name, bytes FROM log_segments WHERE {where}", what):
        if excess <= 0 or row[0] == newest:
            break
        doomed.append(row)
        excess -= row[3]
    db.executemany("DELETE FROM log_segments WHERE id = ?", [(row[0],) for row in doomed])
    shrink = "UPDATE log_sizes SET bytes = bytes - ? WHERE tenant = ? AND name = ?"
    db.executemany(shrink, [(size, tenant, name) for _, tenant, name, size in doomed])


class Logs:
    """Reading what `append` stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self, tenant: str) -> list[Group]:
        query = "SELECT name, bytes, created_ms FROM log_sizes WHERE tenant = ? ORDER BY name"
        return await self._database.read(lambda db: [Group._make(row) for row in db.execute(query, (tenant,))])

    async def streams(self, tenant: str, name: str) -> list[Stream]:
        """By name. One a worker, version and day."""
        query = (
            "SELECT version, worker, min(first_ms), max(last_ms), sum(bytes) FROM log_segments"
            f" WHERE tenant = ? AND name = ? GROUP BY version, worker, last_ms / {DAY_MS}"
        )
        rows = await self._database.read(lambda db: db.execute(query, (tenant, name)).fetchall())
        return sorted(
            Stream(stream_name(last_ms, version, worker), first_ms, last_ms, size)
            for version, worker, first_ms, last_ms, size in rows
        )

    async def page(
        self,
        tenant: str,
        name: str,
        *,
        after: Place = START,
        first_ms: int = 0,
        last_ms: int = 2**62,
        count: int = limits.LOG_EVENTS_MAX,
        keep: Callable[[Event], bool] = lambda _: True,
    ) -> Page:
        """Up to `count` events within the times (both included) that `keep` keeps, from the place `after` on."""
        events: list[Event] = []
        place = after
        for _ in range(_SEGMENTS_PER_PAGE // _SEGMENTS_AT_ONCE):
            segments = await self._segments(tenant, name, place, first_ms, last_ms)
            found = await asyncio.to_thread(_events, segments, place)
            for event in found:
                place = event.place
                if first_ms <= event.ms <= last_ms and keep(event):
                    events.append(event)
                    if len(events) == count:
                        return Page(events, place, more=True)
            if len(segments) < _SEGMENTS_AT_ONCE:
                return Page(events, place, more=False)
        return Page(events, place, more=True)

    async def last(
        self, tenant: str, name: str, *, before: Place = END, count: int, keep: Callable[[Event], bool] = lambda _: True
    ) -> list[Event]:
        """The last `count` events before a place that `keep` keeps, in the order of their places."""
        events: list[Event] = []
        for _ in range(_SEGMENTS_PER_PAGE // _SEGMENTS_AT_ONCE):
            segments = await self._segments_before(tenant, name, before)
            found = await asyncio.to_thread(_events, segments[::-1], START)
            events = [event for event in found if event.place < before and keep(event)] + events
            if len(events) >= count or len(segments) < _SEGMENTS_AT_ONCE:
                break
            before = Place(segments[-1].id, 0)
        return events[-count:]

    async def delete(self, tenant: str, name: str) -> bool:
        """Forgets a function's logs. False when there were none."""

        def job(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM log_segments WHERE tenant = ? AND name = ?", (tenant, name))
            gone = db.execute("DELETE FROM log_sizes WHERE tenant = ? AND name = ?", (tenant, name))
            return gone.rowcount == 1

        return await self._database.write(job)

    async def _segments(self, tenant: str, name: str, after: Place, first_ms: int, last_ms: int) -> list[_Segment]:
        # The segment of `after` itself comes again: there may be lines left in it.
        where = "tenant = ? AND name = ? AND id >= ? AND last_ms >= ? AND first_ms <= ? ORDER BY id"
        return await self._select(where, (tenant, name, after.segment, first_ms, last_ms))

    async def _segments_before(self, tenant: str, name: str, before: Place) -> list[_Segment]:
        where = "tenant = ? AND name = ? AND id <= ? ORDER BY id DESC"
        return await self._select(where, (tenant, name, before.segment))

    async def _select(self, where: str, what: tuple[str | int, ...]) -> list[_Segment]:
        query = (
            f"SELECT id, version, worker, memory_mb, step_ms, last_ms, records FROM log_segments WHERE {where} LIMIT ?"
        )
        return await self._database.read(
            lambda db: [_Segment._make(row) for row in db.execute(query, (*what, _SEGMENTS_AT_ONCE))]
        )


def _events(segments: list[_Segment], after: Place) -> list[Event]:
    """Every line of the segments that comes after a place."""
    events = []
    for segment in segments:
        stream = stream_name(segment.last_ms, segment.version, segment.worker)
        number = 0
        for record in unpack_records(segment.records):
            for line in lines_of(record, segment.version, segment.memory_mb, segment.step_ms):
                number += 1
                place = Place(segment.id, number)
                if place > after:
                    events.append(Event(place, stream, line.ms, line.text, segment.last_ms))
    return events
