"""Asynchronous invocations on the disk: accepted, claimed, retried, gone; what is to be told of them; the books.

Laws:
- accepted = succeeded + dead_lettered + expired + those that are here: each change of one is in the transaction of the
  change of the other. `dead_lettered` are all that were given up after their attempts, `expired` all that grew too old,
  whether or not their function names somebody who is to be told.
- An attempt is counted, and that is on the disk, before it is run.
- What is to be told of an event's end is stored in the transaction that ends it.
- Ending an event that is gone does nothing: whoever ends it twice ends it once.

The database is one keeper's at a time: what is leased when a keeper starts was the one's before it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .. import retry
from ..event_records import Delivery, Ending, Event, deliveries
from ..model import EventPolicy
from ..retry import Counts, Delays, Ended, Fate, Verdict
from ..samples import Samples, flags
from . import metrics
from .database import Database

# (db, tenant, name, qualifier) → what is to become of its events. Part of a job.
PolicyIn = Callable[[sqlite3.Connection, str, str, str], EventPolicy]

_EVENT = (
    "id, request_id, tenant, name, qualifier, body, client_context, trace_id, depth, accepted_ms, attempts, losses,"
    " throttles"
)
_INSERT = (
    "INSERT INTO events (request_id, tenant, name, qualifier, body, client_context, trace_id, depth, accepted_ms,"
    " attempts, losses, throttles, due_ms, leased) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_CLAIM = (
    "UPDATE events SET leased = 1, attempts = attempts + 1, losses = losses + 1 WHERE id = ? AND leased = 0"
    f" RETURNING {_EVENT}"
)
_COLUMN = {Fate.SUCCEEDED: "succeeded", Fate.EXHAUSTED: "dead_lettered", Fate.EXPIRED: "expired"}
# The values of a new row of the books, by the one that is not zero.
_ONE = {
    "accepted": "?, 0, 0, 0",
    "succeeded": "0, ?, 0, 0",
    "dead_lettered": "0, 0, ?, 0",
    "expired": "0, 0, 0, ?",
}


class Accepted(NamedTuple):
    """What a caller sent; its id is that of the request."""

    request_id: str
    tenant: str
    name: str
    qualifier: str  # as asked
    body: bytes  # JSON
    client_context: bytes = b"\xc0"  # msgpack
    trace_id: str = ""
    depth: int = 0


class Stored(NamedTuple):
    """What the queue's order needs to know of an event."""

    id: int
    tenant: str
    name: str
    bytes: int
    losses: int
    due_ms: int


class Claimed(NamedTuple):
    event: Event
    ends_ms: int  # it is too old from then on
    wants_result: bool = True  # whether somebody is told what a success answers


class Totals(NamedTuple):
    accepted: int
    succeeded: int
    dead_lettered: int
    expired: int


class Books(NamedTuple):
    accepted: int
    succeeded: int
    dead_lettered: int
    expired: int
    queued: int

    @property
    def balance(self) -> int:
        """0."""
        return self.accepted - self.succeeded - self.dead_lettered - self.expired - self.queued


class EventQueue:
    def __init__(self, database: Database, policy_in: PolicyIn, delays: Delays | None = None) -> None:
        self._database = database
        self._policy_in = policy_in
        self._delays = delays or Delays()

    async def restore(self, now_ms: int) -> list[Stored]:
        """All events, at the start of a keeper: attempts of the one before are ended as lost."""

        def job(db: sqlite3.Connection) -> list[Stored]:
            leased = [id for (id,) in db.execute("SELECT id FROM events WHERE leased = 1 ORDER BY id").fetchall()]
            for id in leased:
                self._end(db, id, Ending(Ended.LOST), now_ms)
            query = "SELECT id, tenant, name, length(body), losses, due_ms FROM events ORDER BY due_ms, id"
            return [Stored(*row) for row in db.execute(query)]

        return await self._database.write(job)

    async def accept(self, events: Sequence[Accepted], now_ms: int) -> list[int | None]:
        """The id of each, once all are durable; None for one whose request id is known: it was accepted before."""
        tenants = {event.tenant for event in events}
        whose = tenants.pop() if len(tenants) == 1 else ""
        return await self._database.write(lambda db: accept(db, events, now_ms), whose)

    async def claim(self, ids: Iterable[int], now_ms: int, tenant: str = "") -> list[Claimed]:
        """Those of them that are there, each with an attempt counted that the caller may now run. They are `tenant`'s,
        in whose turn this and `end` are done."""

        def job(db: sqlite3.Connection) -> list[Claimed]:
            events = [_event(row) for id in ids for row in db.execute(_CLAIM, (id,)).fetchall()]
            for event in events:
                age_ms = max(0, now_ms - event.accepted_ms)
                aged = Samples(1, age_ms, age_ms, age_ms)
                metrics.count(db, event.tenant, event.name, now_ms, "AsyncEventAge", aged)
            policies = [(event, self._policy(db, event)) for event in events]
            return [
                Claimed(event, event.accepted_ms + 1000 * policy.age_s, bool(policy.on_success))
                for event, policy in policies
            ]

        return await self._database.write(job, tenant)

    async def end(self, id: int, ending: Ending, now_ms: int, tenant: str = "") -> tuple[Verdict, int] | None:
        """What becomes of an event whose attempt ended, and how many are to be told; None if it is gone."""
        return await self._database.write(lambda db: self._end(db, id, ending, now_ms), tenant)

    async def books(self, tenant: str | None = None, name: str | None = None) -> Books:
        """Of a tenant, of a function, or of all."""

        def job(db: sqlite3.Connection) -> Books:
            where = "(? IS NULL OR tenant = ?) AND (? IS NULL OR name = ?)"
            what = (tenant, tenant, name, name)
            (queued,) = db.execute(f"SELECT count(*) FROM events WHERE {where}", what).fetchone()
            return Books(*_totals(db, where, what), queued)

        return await self._database.read(job)

    async def totals(self) -> Totals:
        """The books of all, without counting what is queued."""
        return await self._database.read(lambda db: _totals(db, "TRUE", ()))

    async def oldest_ms(self) -> int | None:
        """When the longest queued event was accepted."""
        query = "SELECT accepted_ms FROM events ORDER BY id LIMIT 1"
        row = await self._database.read(lambda db: db.execute(query).fetchone())
        return None if row is None else row[0]

    # ── parts of jobs ───────────────────────────────────────────────────────────────────────────────────────────

    def _policy(self, db: sqlite3.Connection, event: Event) -> EventPolicy:
        return self._policy_in(db, event.tenant, event.name, event.qualifier)

    def _end(self, db: sqlite3.Connection, id: int, ending: Ending, now_ms: int) -> tuple[Verdict, int] | None:
        row = db.execute(f"SELECT {_EVENT} FROM events WHERE id = ? AND leased = 1", (id,)).fetchone()
        if row is None:
            return None
        event = _event(row)
        policy = self._policy(db, event)
        verdict = retry.verdict(
            ending.ended,
            event.counts,
            policy,
            accepted_ms=event.accepted_ms,
            now_ms=now_ms,
            delays=self._delays,
        )
        if verdict.fate is Fate.AGAIN:
            statement = "UPDATE events SET leased = 0, attempts = ?, losses = ?, throttles = ?, due_ms = ? WHERE id = ?"
            db.execute(statement, (*verdict.counts, verdict.due_ms, id))
            return verdict, 0
        db.execute("DELETE FROM events WHERE id = ?", (id,))
        _book(db, event.tenant, event.name, _COLUMN[verdict.fate], 1)
        if verdict.fate is not Fate.SUCCEEDED:
            metrics.count(db, event.tenant, event.name, now_ms, "AsyncEventsDropped", flags(1, 1))
        told = deliveries(event, ending, verdict, policy, now_ms)
        for delivery in told:
            _post(db, delivery, now_ms)
        return verdict, len(told)


def accept(db: sqlite3.Connection, events: Sequence[Accepted], now_ms: int) -> list[int | None]:
    ids: list[int | None] = []
    new: Counter[tuple[str, str]] = Counter()
    for event in events:
        row = db.execute(_INSERT, (*event, now_ms, now_ms)).fetchone()
        ids.append(None if row is None else row[0])
        if row is not None:
            new[event.tenant, event.name] += 1
    for (tenant, name), count in new.items():
        _book(db, tenant, name, "accepted", count)
        metrics.count(db, tenant, name, now_ms, "AsyncEventsReceived", flags(count, count))
    return ids


def _book(db: sqlite3.Connection, tenant: str, name: str, column: str, count: int) -> None:
    db.execute(
        f"INSERT INTO books (tenant, name, accepted, succeeded, dead_lettered, expired) VALUES (?, ?, {_ONE[column]})"
        f" ON CONFLICT DO UPDATE SET {column} = {column} + excluded.{column}",
        (tenant, name, count),
    )


def _totals(db: sqlite3.Connection, where: str, what: Sequence[Any]) -> Totals:
    sums = ", ".join(f"coalesce(sum({column}), 0)" for column in Totals._fields)
    return Totals._make(db.execute(f"SELECT {sums} FROM books WHERE {where}", what).fetchone())


def _post(db: sqlite3.Connection, delivery: Delivery, now_ms: int) -> None:
    db.execute(
        "INSERT INTO deliveries (tenant, name, destination, request_id, attributes, trace_id, depth, body, created_ms,"
        " attempts, due_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        (*delivery, now_ms, now_ms),
    )


def _event(row: Sequence[Any]) -> Event:
    return Event._make((*row[:-3], Counts._make(row[-3:])))
