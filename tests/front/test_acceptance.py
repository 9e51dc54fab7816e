from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isolet import limits
from isolet.errors import Throttled, WorkerLost
from isolet.front.acceptance import Acceptance

pytestmark = pytest.mark.anyio


class Keeper:
    def __init__(self, answer: Any = None) -> None:
        self.messages: list[list[Any]] = []
        self.answer = answer

    async def __call__(self, operation: str, body: list[Any]) -> list[bool]:
        assert operation == "accept"
        self.messages.append(body)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or [True] * len(body)


async def submitted(keeper: Keeper, *sizes: int, tenants: str = "a") -> list[Exception | None]:
    acceptance, ended = Acceptance(keeper), asyncio.Event()
    results: dict[int, Exception | None] = {}

    def done(number: int, error: Exception | None) -> None:
        assert number not in results, "once"
        results[number] = error
        if len(results) == len(sizes):
            ended.set()

    for number, size in enumerate(sizes):
        acceptance.submit(
            [number, tenants[number % len(tenants)]], size, lambda error, number=number: done(number, error)
        )  # type: ignore[misc]
    async with asyncio.timeout(10):
        await ended.wait()
    return [results[number] for number in range(len(sizes))]


async def test_events_of_one_turn_are_one_message() -> None:
    keeper = Keeper()
    assert await submitted(keeper, 1, 2, 3) == [None, None, None]
    assert keeper.messages == [[[0, "a"], [1, "a"], [2, "a"]]]


async def test_each_tenant_has_messages_of_its_own() -> None:
    """One's commit is not another's."""
    keeper = Keeper()
    await submitted(keeper, 1, 1, 1, tenants="ab")
    assert keeper.messages == [[[0, "a"], [2, "a"]], [[1, "b"]]]


async def test_large_events_are_several_messages() -> None:
    keeper = Keeper()
    await submitted(keeper, *[limits.ACCEPT_MESSAGE_BYTES // 2] * 5)
    assert [len(message) for message in keeper.messages] == [2, 2, 1]


async def test_lost_keeper_fails_all_of_a_message() -> None:
    results = await submitted(Keeper(WorkerLost("gone")), 1, 1)
    assert all(isinstance(error, WorkerLost) for error in results)


async def test_event_without_room_is_throttled_alone() -> None:
    first, second = await submitted(Keeper([True, False]), 1, 1)
    assert first is None
    assert isinstance(second, Throttled)
    assert second.reason == "CallerRateLimitExceeded"
