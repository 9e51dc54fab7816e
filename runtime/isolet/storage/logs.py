"""Log segments: one row a batch of invocations, holding their packed records; lines are made when somebody reads.

Laws:
- A group keeps LOG_STORE_BYTES_MAX, a tenant its `log_stored_bytes`, everybody together LOG_TOTAL_BYTES_MAX; the oldest
  segments go first, and where it is everybody's, those of the tenant that keeps most. The segment that was written last
  always stays. What is older than a group's retention is removed by `sweep`.
- A group's and a stream's `bytes` are the sums of their segments', always: both change in the transaction that adds or
  removes one.
- Events have a place: (segment, number of the line in it). Places only grow, so that a reader who gives the last place
  it saw gets each later event once, and none twice.
- Logs outlive their function, as in CloudWatch: a deleted function's last words can still be read.

A segment's `form` says how its lines are made: `Text`, or `JSON <application level> <system level>` (log_lines.py), or
`put`: lines that a client gave, as `[ms, text]`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from .. import limits
from ..errors import ResourceExists, UnknownLogs
from ..log_lines import Line, group_name, lines_of, stream_name
from ..model import Logging
from ..records import Batch, unpack_records
from .database import Database

# What a row costs beside its records.
SEGMENT_OVERHEAD_BYTES = 128
# Segments read at a time: at most 8 × 4 MiB are decoded between two looks at what the reader wanted.
_SEGMENTS_AT_ONCE = 8
# Segments that one page looks through before it answers with what it found: a filter that matches nothing is no
# license to read everything.
_SEGMENTS_PER_PAGE = 256
# Segments that one transaction of a sweep removes.
_SWEPT_AT_ONCE = 1_000
_DAY_MS = 86_400_000


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
    end: str = "\n"  # what the line ended with and its text is without; a client's own lines are whole


class Page(NamedTuple):
    events: list[Event]  # in the order of their places
    place: Place  # of the last line looked at, kept or not
    more: bool  # there are lines beyond `place` that were not looked at


class Group(NamedTuple):
    name: str
    bytes: int
    created_ms: int
    retention_days: int | None
    tags: Mapping[str, str]


class Stream(NamedTuple):
    name: str
    created_ms: int
    first_ms: int | None  # None: it has no events
    last_ms: int | None
    taken_ms: int | None
    bytes: int


class _Segment(NamedTuple):
    id: int
    stream: str
    version: str
    memory_mb: int
    step_ms: int
    form: str
    last_ms: int
    records: bytes


# ── parts of jobs ───────────────────────────────────────────────────────────────────────────────────────────────


def append(db: sqlite3.Connection, worker: str, step_ms: int, batch: Batch) -> None:
    """Part of a job: stores a batch's records as a segment and drops what is now too much of its group."""
    logging = batch.logging
    group = _group_of(db, batch.tenant, group_name(batch.name, logging), batch.first_ms)
    name = stream_name(batch.last_ms, batch.name, batch.version, worker, logging)
    form = f"JSON {logging.application_level} {logging.system_level}" if logging.format == "JSON" else "Text"
    what = (batch.version, batch.memory_mb, step_ms, form, batch.first_ms, batch.last_ms)
    _add(db, group, _stream_of(db, group, name, batch.first_ms), what, batch.last_ms, batch.records)


def _add(
    db: sqlite3.Connection,
    group: int,
    stream: int,
    what: tuple[str, int, int, str, int, int],
    taken_ms: int,
    records: bytes,
) -> None:
    size = len(records) + SEGMENT_OVERHEAD_BYTES
    *_, first_ms, last_ms = what
    db.execute(
        "INSERT INTO log_segments"
        " (group_id, stream_id, version, memory_mb, step_ms, form, first_ms, last_ms, bytes, records)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (group, stream, *what, size, records),
    )
    db.execute(
        "UPDATE log_streams SET bytes = bytes + ?, first_ms = min(ifnull(first_ms, ?), ?),"
        " last_ms = max(ifnull(last_ms, ?), ?), taken_ms = ? WHERE id = ?",
        (size, first_ms, first_ms, last_ms, last_ms, taken_ms, stream),
    )
    db.execute("UPDATE log_groups SET bytes = bytes + ? WHERE id = ?", (size, group))
    (kept,) = db.execute("SELECT bytes FROM log_groups WHERE id = ?", (group,)).fetchone()
    if kept > limits.LOG_STORE_BYTES_MAX:
        _drop_excess(db, kept - limits.LOG_STORE_BYTES_MAX, "group_id = ? ORDER BY id", (group,))


def _group_of(db: sqlite3.Connection, tenant: str, name: str, now_ms: int) -> int:
    """A group's id; it is made if it is not there."""
    row = db.execute("SELECT id FROM log_groups WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    if row is not None:
        return int(row[0])
    made = db.execute(
        "INSERT INTO log_groups (tenant, name, created_ms, bytes, tags) VALUES (?, ?, ?, 0, '{}')",
        (tenant, name, now_ms),
    )
    assert made.lastrowid is not None, "a row was inserted"
    return made.lastrowid


def _stream_of(db: sqlite3.Connection, group: int, name: str, now_ms: int, made: bool = False) -> int:
    row = db.execute("SELECT id FROM log_streams WHERE group_id = ? AND name = ?", (group, name)).fetchone()
    if row is not None:
        return int(row[0])
    new = db.execute(
        "INSERT INTO log_streams (group_id, name, created_ms, made, bytes) VALUES (?, ?, ?, ?, 0)",
        (group, name, now_ms, made),
    )
    assert new.lastrowid is not None, "a row was inserted"
    return new.lastrowid


def bound(db: sqlite3.Connection, allowed: Mapping[str, int] | None = None) -> None:
    """Part of a job, after any number of `append`s: drops the oldest segments of what is too much together. `allowed`:
    what each tenant may keep that has written."""
    for tenant, most in (allowed or {}).items():
        (kept,) = db.execute(f"SELECT {_SUM} FROM log_groups WHERE tenant = ?", (tenant,)).fetchone()
        if kept > most:
            _drop_of(db, tenant, kept - most, most)
    (total,) = db.execute(f"SELECT {_SUM} FROM log_groups").fetchone()
    while total > limits.LOG_TOTAL_BYTES_MAX:
        fullest, _ = db.execute(f"SELECT tenant, {_SUM} FROM log_groups GROUP BY tenant ORDER BY 2 DESC").fetchone()
        _drop_of(db, fullest, total - limits.LOG_TOTAL_BYTES_MAX, limits.LOG_TOTAL_BYTES_MAX)
        before, (total,) = total, db.execute(f"SELECT {_SUM} FROM log_groups").fetchone()
        if total == before:
            return  # all that there is of it was written last


_SUM = "coalesce(sum(bytes), 0)"


def _drop_of(db: sqlite3.Connection, tenant: str, excess: int, most: int) -> None:
    """A tenant's oldest. A little more than is too much: finding them reads the rows of all of its segments."""
    of = "group_id IN (SELECT id FROM log_groups WHERE tenant = ?) ORDER BY id"
    _drop_excess(db, excess + most // 16, of, (tenant,))


async def kept(database: Database, tenant: str) -> int:
    """Bytes of a tenant's segments."""
    query = f"SELECT {_SUM} FROM log_groups WHERE tenant = ?"
    (size,) = await database.read(lambda db: db.execute(query, (tenant,)).fetchone())
    return int(size)


# (segment, group, stream, bytes)
_Doomed = tuple[int, int, int, int]
_DOOMED = "SELECT id, group_id, stream_id, bytes FROM log_segments WHERE"


def _drop_excess(db: sqlite3.Connection, excess: int, where: str, what: tuple[int | str, ...]) -> None:
    """Deletes from the front of a selection until `excess` bytes are gone, but never the segment just written."""
    (newest,) = db.execute("SELECT max(id) FROM log_segments").fetchone()
    doomed: list[_Doomed] = []
    for row in db.execute(f"{_DOOMED} {where}", what):
        if excess <= 0 or row[0] == newest:
            break
        doomed.append(row)
        excess -= row[3]
    _drop(db, doomed)


def _drop(db: sqlite3.Connection, doomed: Sequence[_Doomed]) -> None:
    """Deletes segments, and the streams that are empty now, but for those that a client made."""
    db.executemany("DELETE FROM log_segments WHERE id = ?", [(row[0],) for row in doomed])
    shrink = "UPDATE log_groups SET bytes = bytes - ? WHERE id = ?"
    db.executemany(shrink, [(size, group) for _, group, _, size in doomed])
    sizes: dict[int, int] = {}
    for _, _, stream, size in doomed:
        sizes[stream] = sizes.get(stream, 0) + size
    for stream, size in sizes.items():
        db.execute(
            "UPDATE log_streams SET bytes = bytes - ?,"
            " first_ms = (SELECT min(first_ms) FROM log_segments WHERE stream_id = log_streams.id)"
            " WHERE id = ?",
            (size, stream),
        )
        db.execute("DELETE FROM log_streams WHERE id = ? AND bytes = 0 AND NOT made", (stream,))


# ── reading and managing ────────────────────────────────────────────────────────────────────────────────────────


class Logs:
    """Reading what `append` stored, and what clients may do with groups and streams.

    Methods that need a group or stream that is not there raise UnknownLogs, in CloudWatch's words.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self, tenant: str) -> list[Group]:
        """By name."""
        query = "SELECT name, bytes, created_ms, retention_days, tags FROM log_groups WHERE tenant = ? ORDER BY name"
        return await self._database.read(lambda db: [_group(row) for row in db.execute(query, (tenant,))])

    async def group(self, tenant: str, group: str) -> Group | None:
        query = "SELECT name, bytes, created_ms, retention_days, tags FROM log_groups WHERE tenant = ? AND name = ?"
        row = await self._database.read(lambda db: db.execute(query, (tenant, group)).fetchone())
        return None if row is None else _group(row)

    async def streams(self, tenant: str, group: str) -> list[Stream]:
        """By name. One a worker, version and day."""
        query = (
            "SELECT s.name, s.created_ms, s.first_ms, s.last_ms, s.taken_ms, s.bytes FROM log_streams s"
            " JOIN log_groups g ON g.id = s.group_id WHERE g.tenant = ? AND g.name = ? ORDER BY s.name"
        )
        return await self._database.read(lambda db: [Stream._make(row) for row in db.execute(query, (tenant, group))])

    async def page(
        self,
        tenant: str,
        group: str,
        *,
        stream: str | None = None,
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
            # The segment of `place` itself comes again: there may be lines left in it.
            segments = await self._segments(
                *(tenant, group, stream, "s.id >= ? AND s.last_ms >= ? AND s.first_ms <= ? ORDER BY s.id"),
                *(place.segment, first_ms, last_ms),
            )
            found = await asyncio.to_thread(_events, segments, place)
            for event in found:
                place = event.place
                if first_ms <= event.ms <= last_ms and keep(event):
                    events.append(event)
                    if len(events) == count:
                        return Page(events, place, more=True)
            if len(segments) < _SEGMENTS_AT_ONCE:
                return Page(events, place, more=False)
            place = max(place, Place(segments[-1].id + 1, 0))
        return Page(events, place, more=True)

    async def last(
        self,
        tenant: str,
        group: str,
        *,
        stream: str | None = None,
        before: Place = END,
        first_ms: int = 0,
        last_ms: int = 2**62,
        count: int,
    ) -> list[Event]:
        """The last `count` events before a place and within the times, in the order of their places."""
        events: list[Event] = []
        for _ in range(_SEGMENTS_PER_PAGE // _SEGMENTS_AT_ONCE):
            segments = await self._segments(
                *(tenant, group, stream, "s.id <= ? AND s.last_ms >= ? AND s.first_ms <= ? ORDER BY s.id DESC"),
                *(before.segment, first_ms, last_ms),
            )
            found = await asyncio.to_thread(_events, segments[::-1], START)
            events = [event for event in found if event.place < before and first_ms <= event.ms <= last_ms] + events
            if len(events) >= count or len(segments) < _SEGMENTS_AT_ONCE:
                break
            before = Place(segments[-1].id, 0)
        return events[-count:]

    async def create_group(self, tenant: str, group: str, tags: Mapping[str, str], now_ms: int) -> None:
        """Raises ResourceExists."""

        def job(db: sqlite3.Connection) -> None:
            if _find_group(db, tenant, group) is not None:
                raise ResourceExists("The specified log group already exists")
            made = _group_of(db, tenant, group, now_ms)
            db.execute("UPDATE log_groups SET tags = ? WHERE id = ?", (json.dumps(dict(tags)), made))

        await self._database.write(job)

    async def create_stream(self, tenant: str, group: str, stream: str, now_ms: int) -> None:
        """Raises ResourceExists."""

        def job(db: sqlite3.Connection) -> None:
            of = _require_group(db, tenant, group)
            if _find_stream(db, of, stream) is not None:
                raise ResourceExists("The specified log stream already exists")
            _stream_of(db, of, stream, now_ms, made=True)

        await self._database.write(job)

    async def put(self, tenant: str, group: str, stream: str, lines: Sequence[tuple[int, str]], now_ms: int) -> None:
        """Stores a client's own lines, (ms, text) each."""

        def job(db: sqlite3.Connection) -> None:
            of = _require_group(db, tenant, group)
            to = _find_stream(db, of, stream)
            if to is None:
                raise UnknownLogs("The specified log stream does not exist.")
            if not lines:
                return
            packed = b"".join(msgpack.packb([ms, text]) for ms, text in lines)
            first_ms, last_ms = min(lines)[0], max(lines)[0]
            _add(db, of, to, ("", 0, 0, "put", first_ms, last_ms), now_ms, packed)
            bound(db)

        await self._database.write(job)

    async def delete_group(self, tenant: str, group: str) -> None:
        def job(db: sqlite3.Connection) -> None:
            of = _require_group(db, tenant, group)
            for table, column in (("log_segments", "group_id"), ("log_streams", "group_id"), ("log_groups", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (of,))

        await self._database.write(job)

    async def delete_stream(self, tenant: str, group: str, stream: str) -> None:
        def job(db: sqlite3.Connection) -> None:
            found = _find_stream(db, _require_group(db, tenant, group), stream)
            if found is None:
                raise UnknownLogs("The specified log stream does not exist.")
            _drop(db, db.execute(f"{_DOOMED} stream_id = ?", (found,)).fetchall())
            db.execute("DELETE FROM log_streams WHERE id = ?", (found,))

        await self._database.write(job)

    async def retain(self, tenant: str, group: str, days: int | None) -> None:
        """Sets the retention; None: forever, within the bounds of the store."""

        def job(db: sqlite3.Connection) -> None:
            of = _require_group(db, tenant, group)
            db.execute("UPDATE log_groups SET retention_days = ? WHERE id = ?", (days, of))

        await self._database.write(job)

    async def tag(self, tenant: str, group: str, tags: Mapping[str, str], gone: Sequence[str] = ()) -> None:
        """Sets and removes tags."""

        def job(db: sqlite3.Connection) -> None:
            of = _require_group(db, tenant, group)
            (stored,) = db.execute("SELECT tags FROM log_groups WHERE id = ?", (of,)).fetchone()
            now = {key: value for key, value in (json.loads(stored) | dict(tags)).items() if key not in gone}
            db.execute("UPDATE log_groups SET tags = ? WHERE id = ?", (json.dumps(now), of))

        await self._database.write(job)

    async def sweep(self, now_ms: int) -> None:
        """Removes what is older than its group's retention."""

        def job(db: sqlite3.Connection) -> bool:
            doomed: list[_Doomed] = []
            for group, days in db.execute(
                "SELECT id, retention_days FROM log_groups WHERE retention_days IS NOT NULL"
            ).fetchall():
                where = "group_id = ? AND last_ms < ? ORDER BY id LIMIT ?"
                what = (group, now_ms - days * _DAY_MS, _SWEPT_AT_ONCE - len(doomed))
                doomed += db.execute(f"{_DOOMED} {where}", what)
            _drop(db, doomed)
            return len(doomed) == _SWEPT_AT_ONCE

        while await self._database.write(job):
            pass

    async def _segments(self, tenant: str, group: str, stream: str | None, where: str, *what: int) -> list[_Segment]:
        def job(db: sqlite3.Connection) -> list[_Segment]:
            of = _find_group(db, tenant, group)
            to = None if of is None or stream is None else _find_stream(db, of, stream)
            if of is None or (stream is not None and to is None):
                return []
            column, value = ("group_id", of) if to is None else ("stream_id", to)
            return [
                _Segment._make(row)
                for row in db.execute(
                    "SELECT s.id, t.name, s.version, s.memory_mb, s.step_ms, s.form, s.last_ms, s.records"
                    " FROM log_segments s JOIN log_streams t ON t.id = s.stream_id"
                    f" WHERE s.{column} = ? AND {where} LIMIT ?",
                    (value, *what, _SEGMENTS_AT_ONCE),
                )
            ]

        return await self._database.read(job)


def _group(row: tuple[Any, ...]) -> Group:
    name, size, created_ms, retention_days, tags = row
    return Group(name, size, created_ms, retention_days, json.loads(tags))


def _find_group(db: sqlite3.Connection, tenant: str, group: str) -> int | None:
    row = db.execute("SELECT id FROM log_groups WHERE tenant = ? AND name = ?", (tenant, group)).fetchone()
    return None if row is None else int(row[0])


def _require_group(db: sqlite3.Connection, tenant: str, group: str) -> int:
    found = _find_group(db, tenant, group)
    if found is None:
        raise UnknownLogs("The specified log group does not exist.")
    return found


def _find_stream(db: sqlite3.Connection, group: int, stream: str) -> int | None:
    row = db.execute("SELECT id FROM log_streams WHERE group_id = ? AND name = ?", (group, stream)).fetchone()
    return None if row is None else int(row[0])


def _events(segments: list[_Segment], after: Place) -> list[Event]:
    """Every line of the segments that comes after a place."""
    events = []
    for segment in segments:
        end = "" if segment.form == "put" else "\n"
        for number, line in enumerate(_lines(segment), start=1):
            place = Place(segment.id, number)
            if place > after:
                events.append(Event(place, segment.stream, line.ms, line.text, segment.last_ms, end))
    return events


def _lines(segment: _Segment) -> list[Line]:
    if segment.form == "put":
        unpacker = msgpack.Unpacker(None, max_buffer_size=max(len(segment.records), 1))
        unpacker.feed(segment.records)
        return [Line(ms, text) for ms, text in unpacker]
    format_, *levels = segment.form.split(" ")
    logging = Logging(format_, *levels)
    return [
        line
        for record in unpack_records(segment.records)
        for line in lines_of(record, segment.version, segment.memory_mb, segment.step_ms, logging)
    ]
