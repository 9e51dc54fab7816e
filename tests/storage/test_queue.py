from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isolet import limits
from isolet.event_records import Ending
from isolet.model import EventPolicy
from isolet.retry import Delays, Ended, Fate
from isolet.samples import Samples
from isolet.storage.database import Database
from isolet.storage.metrics import MetricRows
from isolet.storage.queue import Accepted, Books, EventQueue

TENANT = "000000000000"
NOW_MS = 1_700_000_000_000
QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
FAILED = Ending(Ended.FAILED, "$LATEST", b'{"errorMessage":"no"}', "no")
SUCCEEDED = Ending(Ended.SUCCEEDED, "$LATEST", b"1")


def event(name: str = "f", body: bytes = b'{"a": 1}') -> Accepted:
    return Accepted(str(uuid.uuid4()), TENANT, name, "", body, trace_id="Root=1-2-3")


def run(path: Path, main: Callable[[EventQueue, Database], Awaitable[None]], policy: EventPolicy | None = None) -> None:
    def policy_in(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> EventPolicy:
        return policy or EventPolicy()

    async def opened() -> None:
        database = Database(path / "db")
        await database.open()
        try:
            await main(EventQueue(database, policy_in, Delays()), database)
        finally:
            await database.close()

    asyncio.run(opened())


async def claimed(queue: EventQueue, *events: Accepted) -> list[int]:
    ids = [id for id in await queue.accept(events, NOW_MS) if id is not None]
    assert [one.event.id for one in await queue.claim(ids, NOW_MS)] == ids
    return ids


def test_event_is_claimed_as_it_was_accepted(tmp_path: Path) -> None:
    async def main(queue: EventQueue, _: Database) -> None:
        sent = event()
        ids = await queue.accept([sent], NOW_MS)
        (one,) = await queue.claim([id for id in ids if id is not None], NOW_MS)
        got = one.event
        assert (got.request_id, got.name, got.body, got.trace_id, got.accepted_ms, got.counts.attempts) == (
            *(sent.request_id, "f", b'{"a": 1}', "Root=1-2-3", NOW_MS),
            1,
        )
        assert one.ends_ms == NOW_MS + 21_600_000

    run(tmp_path, main)


def test_claimed_event_cannot_be_claimed_again(tmp_path: Path) -> None:
    async def main(queue: EventQueue, _: Database) -> None:
        ids = await claimed(queue, event())
        assert await queue.claim(ids, NOW_MS) == []

    run(tmp_path, main)


def test_known_request_id_is_accepted_once(tmp_path: Path) -> None:
    async def main(queue: EventQueue, _: Database) -> None:
        sent = event()
        first, second = await queue.accept([sent, sent], NOW_MS)
        assert (first is None, second is None) == (False, True)
        assert await queue.books() == Books(1, 0, 0, 0, 1)

    run(tmp_path, main)


def test_ending_twice_ends_once(tmp_path: Path) -> None:
    async def main(queue: EventQueue, _: Database) -> None:
        (id,) = await claimed(queue, event())
        assert (await queue.end(id, SUCCEEDED, NOW_MS)) is not None
        assert (await queue.end(id, FAILED, NOW_MS)) is None
        assert await queue.books() == Books(1, 1, 0, 0, 0)

    run(tmp_path, main)


def test_failures_end_in_the_dead_letters(tmp_path: Path) -> None:
    async def main(queue: EventQueue, database: Database) -> None:
        sent = event()
        (id,) = await claimed(queue, sent)
        for delay_s in (60, 120):
            ended = await queue.end(id, FAILED, NOW_MS)
            assert ended is not None
            assert (ended[0].fate, ended[0].due_ms) == (Fate.AGAIN, NOW_MS + 1000 * delay_s)
            assert (await queue.books()).balance == 0
            assert len(await queue.claim([id], NOW_MS)) == 1
        ended = await queue.end(id, FAILED, NOW_MS)
        assert ended is not None
        assert (ended[0].fate, ended[1]) == (Fate.EXHAUSTED, 1)
        assert await queue.books() == Books(1, 0, 1, 0, 0)
        query = "SELECT destination, body, attributes FROM deliveries"
        ((destination, body, attributes),) = await database.read(lambda db: db.execute(query).fetchall())
        assert (destination, body) == (QUEUE, sent.body)
        told = {"RequestID": sent.request_id, "ErrorCode": "200", "ErrorMessage": "no"}
        assert json.loads(attributes) == told

    run(tmp_path, main, EventPolicy(dead_letter=QUEUE))


def test_keeper_that_starts_takes_back_what_was_under_way(tmp_path: Path) -> None:
    async def before(queue: EventQueue, _: Database) -> None:
        await claimed(queue, event())
        await queue.accept([event("g")], NOW_MS)

    async def after(queue: EventQueue, _: Database) -> None:
        waiting, lost = await queue.restore(NOW_MS + 5)
        assert (waiting.name, waiting.losses, waiting.due_ms) == ("g", 0, NOW_MS)
        assert (lost.name, lost.losses, lost.due_ms) == ("f", 1, NOW_MS + 1_005)
        (got,) = [one.event for one in await queue.claim([lost.id], NOW_MS)]
        assert got.counts.attempts == 2
        assert (await queue.books()).balance == 0

    run(tmp_path, before)
    run(tmp_path, after)


def test_message_that_takes_its_keeper_along_is_given_up(tmp_path: Path) -> None:
    async def accept(queue: EventQueue, _: Database) -> None:
        await claimed(queue, event())

    async def again(queue: EventQueue, _: Database) -> None:
        await queue.claim([stored.id for stored in await queue.restore(NOW_MS)], NOW_MS)

    async def books(queue: EventQueue, _: Database) -> None:
        assert await queue.books() == Books(1, 0, 1, 0, 0)

    run(tmp_path, accept)
    for _ in range(limits.EVENT_LOSSES_MAX):
        run(tmp_path, again)
    run(tmp_path, books)


@pytest.mark.parametrize("seed", range(5))
def test_books_balance_whatever_happens(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    async def main(queue: EventQueue, _: Database) -> None:
        ids: list[int] = []
        for _ in range(60):
            events = [event(chance.choice("fgh")) for _ in range(chance.randrange(4))]
            ids += [id for id in await queue.accept(events, NOW_MS) if id is not None]
            claim = chance.sample(ids, min(len(ids), 3))
            await queue.claim(claim, NOW_MS)
            for id in claim:
                await queue.end(id, Ending(chance.choice(list(Ended)), payload=b"{}"), NOW_MS)
            if chance.random() < 0.1:
                await queue.restore(NOW_MS)
            assert (await queue.books()).balance == 0
            for name in "fgh":
                assert (await queue.books(TENANT, name)).balance == 0

    run(tmp_path, main, EventPolicy(retries=1, dead_letter=QUEUE))


def test_what_becomes_of_events_is_counted_for_metrics(tmp_path: Path) -> None:
    async def main(queue: EventQueue, database: Database) -> None:
        ids = [id for id in await queue.accept([event(), event(), event()], NOW_MS) if id is not None]
        await queue.claim(ids, NOW_MS + 40)
        await queue.end(ids.pop(), SUCCEEDED, NOW_MS + 50)
        await queue.end(ids.pop(), FAILED, NOW_MS + 7 * 3_600_000)
        rows = await MetricRows(database).rows(TENANT, "f", 0, 2**40, 60)
        found = {metric: samples for row in rows for metric, samples in row.samples.items()}
        assert found["AsyncEventsReceived"] == Samples(3, 3, 1, 1)
        assert found["AsyncEventAge"] == Samples(3, 120, 40, 40)
        assert found["AsyncEventsDropped"] == Samples(1, 1, 1, 1)

    run(tmp_path, main)
