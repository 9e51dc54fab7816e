"""What is still to be told of asynchronous invocations that ended: rows that storage/queue.py writes and this removes.

Laws:
- At least once: a row goes when its destination has it, or when it is older than DELIVERY_AGE_S.
- What goes to another function becomes an event in the transaction that removes the row: exactly once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..samples import flags
from . import metrics
from .database import Database
from .queue import Accepted, accept

_POSTED = "id, tenant, name, destination, request_id, attributes, trace_id, depth, created_ms, attempts, due_ms, body"


class Posted(NamedTuple):
    id: int
    tenant: str
    name: str  # of the function whose invocation ended
    destination: str
    request_id: str
    attributes: str  # of a dead letter; "": a record
    trace_id: str
    depth: int
    created_ms: int
    attempts: int
    due_ms: int
    body: bytes


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self, now_ms: int, under_way: Collection[int], held: Collection[str], count: int
    ) -> tuple[list[Posted], int | None]:
        """What is due and not under way, of each destination that is not held up to `count`, the longest due first; and
        when the next falls due."""

        def job(db: sqlite3.Connection) -> tuple[list[Posted], int | None]:
            found: list[Posted] = []
            for destination in _destinations(db):
                if destination in held:
                    continue
                where = "destination = ? AND due_ms <= ? ORDER BY due_ms, id LIMIT ?"
                what = (destination, now_ms, count + len(under_way))
                rows = map(Posted._make, db.execute(f"SELECT {_POSTED} FROM deliveries WHERE {where}", what))
                found += [posted for posted in rows if posted.id not in under_way][:count]
            (next_ms,) = db.execute("SELECT min(due_ms) FROM deliveries WHERE due_ms > ?", (now_ms,)).fetchone()
            return sorted(found, key=lambda posted: (posted.due_ms, posted.id)), next_ms

        return await self._database.read(job)

    async def delivered(self, id: int) -> None:
        await self._database.write(lambda db: db.execute("DELETE FROM deliveries WHERE id = ?", (id,)))

    async def count_failure(self, posted: Posted, now_ms: int) -> None:
        """Adds an attempt that failed to the metrics of its function."""
        metric = "DeadLetterErrors" if posted.attributes else "DestinationDeliveryFailures"
        await self._database.write(
            lambda db: metrics.count(db, posted.tenant, posted.name, now_ms, metric, flags(1, 1))
        )

    async def later(self, id: int, due_ms: int) -> None:
        """It is tried again at `due_ms`."""
        statement = "UPDATE deliveries SET attempts = attempts + 1, due_ms = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(statement, (due_ms, id)))

    async def give_up(self, before_ms: int) -> dict[str, int]:
        """Removes what is older; how many, by destination."""

        def job(db: sqlite3.Connection) -> dict[str, int]:
            # Rows are in the order of their time: the first that is young enough ends the search.
            query = "SELECT id FROM deliveries WHERE created_ms >= ? ORDER BY id LIMIT 1"
            young = db.execute(query, (before_ms,)).fetchone()
            where, what = ("id < ?", young) if young is not None else ("TRUE", ())
            counts = f"SELECT destination, count(*) FROM deliveries WHERE {where} GROUP BY destination"
            old = dict(db.execute(counts, what).fetchall())
            if old:
                db.execute(f"DELETE FROM deliveries WHERE {where}", what)
            return old

        return await self._database.write(job)

    async def by_tenant(self) -> dict[str, int]:
        """How many each tenant has."""
        query = "SELECT tenant, count(*) FROM deliveries GROUP BY tenant"
        return await self._database.read(lambda db: dict(db.execute(query).fetchall()))

    async def hand_over(self, id: int, event: Accepted, now_ms: int) -> int | None:
        """The id of the event that a delivery has become; None if the delivery is gone."""

        def job(db: sqlite3.Connection) -> int | None:
            if db.execute("DELETE FROM deliveries WHERE id = ?", (id,)).rowcount == 0:
                return None
            return accept(db, [event], now_ms)[0]

        return await self._database.write(job)


def _destinations(db: sqlite3.Connection) -> Iterator[str]:
    """Each once: by a look into the index each, however many rows there are."""
    destination = ""
    while True:
        query = "SELECT min(destination) FROM deliveries WHERE destination > ?"
        (destination,) = db.execute(query, (destination,)).fetchone()
        if destination is None:
            return
        yield destination
