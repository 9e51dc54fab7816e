from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from isolet.event_records import Ending
from isolet.model import EventPolicy
from isolet.retry import Ended
from isolet.storage.database import Database
from isolet.storage.outbox import Outbox
from isolet.storage.queue import Accepted, EventQueue

TENANT = "000000000000"
NOW_MS = 1_700_000_000_000


class Post:
    """A queue whose functions tell their ends to the destination that their name says, and its outbox."""

    def __init__(self, database: Database) -> None:
        def policy_in(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> EventPolicy:
            return EventPolicy(on_success=name)

        self.queue = EventQueue(database, policy_in)
        self.outbox = Outbox(database)

    async def ended(self, name: str, now_ms: int = NOW_MS) -> None:
        """One more event of this function is over."""
        ids = await self.queue.accept([Accepted(str(uuid.uuid4()), TENANT, name, "", b"{}")], now_ms)
        (one,) = await self.queue.claim([id for id in ids if id is not None], now_ms)
        await self.queue.end(one.event.id, Ending(Ended.SUCCEEDED, "1", b"1"), now_ms)

    async def due(self, now_ms: int = NOW_MS, held: tuple[str, ...] = (), count: int = 9) -> list[str]:
        found, _ = await self.outbox.due(now_ms, (), held, count)
        return [posted.destination for posted in found]


def run(path: Path, main: Callable[[Post], Awaitable[None]]) -> None:
    async def opened() -> None:
        database = Database(path / "db")
        await database.open()
        try:
            await main(Post(database))
        finally:
            await database.close()

    asyncio.run(opened())


def test_each_destination_has_its_share_of_a_turn(tmp_path: Path) -> None:
    async def main(post: Post) -> None:
        for name in ["a", "a", "a", "b", "c"]:
            await post.ended(name)
        assert await post.due(count=2) == ["a", "a", "b", "c"]
        assert await post.due(held=("a", "c")) == ["b"]

    run(tmp_path, main)


def test_what_is_under_way_is_not_found_again(tmp_path: Path) -> None:
    async def main(post: Post) -> None:
        await post.ended("a")
        await post.ended("a")
        (first,), _ = await post.outbox.due(NOW_MS, (), (), 1)
        (second,), _ = await post.outbox.due(NOW_MS, {first.id}, (), 1)
        assert second.id != first.id

    run(tmp_path, main)


def test_delivery_waits_for_its_time(tmp_path: Path) -> None:
    async def main(post: Post) -> None:
        await post.ended("a")
        (one,), none = await post.outbox.due(NOW_MS, (), (), 1)
        assert none is None
        await post.outbox.later(one.id, NOW_MS + 500)
        assert await post.outbox.due(NOW_MS + 499, (), (), 1) == ([], NOW_MS + 500)
        ((again,), _) = await post.outbox.due(NOW_MS + 500, (), (), 1)
        assert (again.id, again.attempts) == (one.id, 1)

    run(tmp_path, main)


def test_what_is_too_old_is_given_up(tmp_path: Path) -> None:
    async def main(post: Post) -> None:
        for ms in range(3):
            await post.ended("ab"[ms % 2], NOW_MS + ms)
        assert await post.outbox.give_up(NOW_MS + 2) == {"a": 1, "b": 1}
        assert await post.outbox.give_up(NOW_MS + 2) == {}
        assert await post.outbox.by_tenant() == {TENANT: 1}
        assert await post.outbox.give_up(NOW_MS + 9) == {"a": 1}

    run(tmp_path, main)


def test_delivery_to_a_function_becomes_an_event_once(tmp_path: Path) -> None:
    async def main(post: Post) -> None:
        await post.ended("a")
        (one,), _ = await post.outbox.due(NOW_MS, (), (), 1)
        for found in (False, True):
            event = Accepted(str(uuid.uuid4()), TENANT, "listens", "", one.body)
            assert (await post.outbox.hand_over(one.id, event, NOW_MS) is None) is found
        books = await post.queue.books(TENANT, "listens")
        assert (books.accepted, books.queued) == (1, 1)
        assert await post.due() == []

    run(tmp_path, main)
