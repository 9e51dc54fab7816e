from __future__ import annotations

import asyncio

import pytest

from isolet.build_turns import BuildTurns
from isolet.clock import ManualClock
from isolet.errors import Throttled
from keeping import Given, run


def test_a_tenant_waits_for_its_own_builds_and_others_do_not() -> None:
    async def main() -> None:
        turns = BuildTurns(3, ManualClock(), Given(builds_at_once=2))
        began, gate = list[str](), asyncio.Event()

        async def build(tenant: str) -> None:
            async with turns.turn(tenant):
                began.append(tenant)
                await gate.wait()

        tasks = [asyncio.ensure_future(build(tenant)) for tenant in ("a", "a", "a", "a", "b")]
        for _ in range(5):
            await asyncio.sleep(0)
        assert began == ["a", "a", "b"]
        assert turns.used("a") == {"builds_at_once": 2, "builds_waiting": 2, "builds_per_h": 0}
        gate.set()
        await asyncio.wait(tasks)
        assert began[3:] == ["a", "a"]

    run(main)


def test_more_than_may_wait_are_refused_and_so_are_more_than_an_hour_has() -> None:
    async def main() -> None:
        clock, given = ManualClock(), Given(builds_at_once=1, builds_waiting=1, builds_per_h=4)
        turns = BuildTurns(3, clock, given)
        async with turns.turn("a"):
            turns.admit("a")
            waits = asyncio.ensure_future(turns.turn("a").__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(Throttled) as refused:
                turns.admit("a")
            assert (refused.value.limit, refused.value.reason) == ("builds_waiting", "CallerRateLimitExceeded")
            turns.admit("b")
        await waits
        given.values["builds_waiting"] = 5
        for _ in range(3):
            turns.admit("a")
        with pytest.raises(Throttled) as refused:
            turns.admit("a")
        assert (refused.value.limit, refused.value.retry_after_s) == ("builds_per_h", 60)
        assert given.refused == [("a", "builds_waiting"), ("a", "builds_per_h")]
        clock.advance(900)
        turns.admit("a")
        with pytest.raises(Throttled):
            turns.admit("a")

    run(main)
