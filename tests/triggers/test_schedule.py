"""Rules that fire: once for an instant, whatever the clock and the keeper do meanwhile. Time is a ManualClock's."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.asynchronous import Asynchronous
from isolet.clock import ManualClock
from isolet.errors import StorageUnavailable
from isolet.event_policies import policy_in
from isolet.fleet import Fleet
from isolet.quota import DEFAULTS
from isolet.storage.database import Database
from isolet.storage.queue import EventQueue
from isolet.storage.schedules import Schedules, Target
from isolet.triggers.schedule import ScheduleTrigger
from keeping import running_keeper

pytestmark = pytest.mark.anyio

TENANT, OTHER = "000000000000", "111111111111"
HOUR_S = 3_600
NOON = "2026-11-27T12:00:00Z"
ARN = f"arn:aws:lambda:us-east-1:{TENANT}:function:f"


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def text_of(instant_s: float) -> str:
    return f"{datetime.fromtimestamp(instant_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


class House:
    """A trigger whose turns tests take, and the queue that it fills: no worker takes anything out."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self.database = database
        self.schedules = Schedules(database)
        self.asynchronous = Asynchronous(EventQueue(database, policy_in), Fleet(1), clock)
        self.trigger = ScheduleTrigger(self.schedules, self.asynchronous.hand_over_all, clock)
        self.schedules.on_change = self.trigger.changed

    async def put(self, name: str, expression: str, *targets: Target, tenant: str = TENANT) -> None:
        await self.schedules.put(tenant, name, expression, self.clock.wall_s())
        await self.schedules.put_targets(tenant, name, targets or [Target("t", ARN)])

    async def run(self, duration_s: int, step_s: int = 30) -> None:
        for _ in range(0, duration_s, step_s):
            self.clock.advance(step_s)
            await self.trigger.turn()

    async def rows(self) -> list[tuple[Any, ...]]:
        query = "SELECT tenant, name, qualifier, body FROM events ORDER BY id"
        return await self.database.read(lambda db: db.execute(query).fetchall())

    async def times(self) -> list[str]:
        return [json.loads(body)["time"] for *_, body in await self.rows()]


@asynccontextmanager
async def opened(directory: Path, clock: ManualClock) -> AsyncIterator[House]:
    database = Database(directory / "keeper.db")
    await database.open()
    house = House(database, clock)
    try:
        async with asyncio.timeout(60):
            await house.asynchronous.open()
            await house.trigger.restore()
            yield house
    finally:
        await house.asynchronous.close()
        await database.close()


def noon(offset_s: float = 0) -> ManualClock:
    return ManualClock(seconds(NOON) + offset_s)


async def test_event_is_eventbridges_or_what_the_target_says(tmp_path: Path) -> None:
    async with opened(tmp_path, noon(10.5)) as house:
        await house.put("r", "cron(* * * * ? *)", Target("a", f"{ARN}:live"), Target("b", ARN, '{"mine": "ü"}'))
        await house.run(60)
        (tenant, name, qualifier, event), second = await house.rows()
        assert (tenant, name, qualifier) == (TENANT, "f", "live")
        said = json.loads(event)
        assert len(said.pop("id")) == 36
        assert said == {
            "version": "0",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": TENANT,
            "time": "2026-11-27T12:01:00Z",
            "region": "us-east-1",
            "resources": [f"arn:aws:events:us-east-1:{TENANT}:rule/r"],
            "detail": {},
        }
        assert second == (TENANT, "f", "", '{"mine": "ü"}'.encode())
        assert await house.asynchronous.books(TENANT, "f") == (2, 0, 0, 0, 2)


async def test_next_turn_is_at_the_next_instant_or_within_a_minute(tmp_path: Path) -> None:
    async with opened(tmp_path, noon(20)) as house:
        assert await house.trigger.turn() is None
        await house.put("r", "cron(* * * * ? *)")
        assert await house.trigger.turn() == 40
        await house.schedules.put(TENANT, "r", "rate(1 hour)", house.clock.wall_s())
        assert await house.trigger.turn() == limits.SCHEDULE_LOOK_S
        await house.schedules.switch(TENANT, "r", False, house.clock.wall_s())
        assert await house.trigger.turn() is None


async def test_rate_fires_each_period_from_when_it_was_made(tmp_path: Path) -> None:
    async with opened(tmp_path, noon(17)) as house:
        await house.put("r", "rate(2 minutes)")
        await house.run(420)
        assert await house.times() == ["2026-11-27T12:02:17Z", "2026-11-27T12:04:17Z", "2026-11-27T12:06:17Z"]


async def test_keeper_that_was_down_fires_once_for_the_latest_instant_missed(tmp_path: Path) -> None:
    clock = noon()
    async with opened(tmp_path, clock) as house:
        await house.put("r", "rate(5 minutes)")
        await house.run(300)
    clock.advance(2 * HOUR_S + 100)
    async with opened(tmp_path, clock) as house:
        await house.trigger.turn()
        await house.trigger.turn()
        assert await house.times() == ["2026-11-27T12:05:00Z", "2026-11-27T14:05:00Z"]
        await house.run(240)
        assert (await house.times())[2:] == ["2026-11-27T14:10:00Z"]


async def test_restart_at_the_instant_itself_repeats_nothing(tmp_path: Path) -> None:
    clock = noon()
    async with opened(tmp_path, clock) as house:
        await house.put("r", "cron(* * * * ? *)")
        await house.run(60)
    for _ in range(3):
        async with opened(tmp_path, clock) as house:
            await house.trigger.turn()
            assert await house.times() == ["2026-11-27T12:01:00Z"]


async def test_disabled_rule_does_not_fire_nor_make_up_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "rate(1 minute)")
        await house.put("other", "rate(1 hour)")
        await house.schedules.switch(TENANT, "r", False, house.clock.wall_s())
        await house.run(600)
        assert await house.times() == []
        await house.schedules.switch(TENANT, "r", True, house.clock.wall_s())
        await house.run(120)
        assert await house.times() == ["2026-11-27T12:11:00Z", "2026-11-27T12:12:00Z"]


async def test_deleted_rule_and_removed_target_fire_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "rate(1 minute)", Target("a", ARN), Target("b", ARN))
        await house.run(60)
        await house.schedules.remove_targets(TENANT, "r", ["a"])
        await house.run(60)
        assert len(await house.rows()) == 3
        await house.schedules.remove_targets(TENANT, "r", ["b"])
        await house.run(60)
        await house.schedules.delete(TENANT, "r")
        await house.run(60)
        assert len(await house.rows()) == 3


async def test_clock_an_hour_forward_fires_once_and_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "cron(* * * * ? *)")
        await house.run(60)
        house.clock.jump(HOUR_S)
        await house.trigger.turn()
        await house.run(60)
        assert await house.times() == ["2026-11-27T12:01:00Z", "2026-11-27T13:01:00Z", "2026-11-27T13:02:00Z"]


@pytest.mark.parametrize("expression", ["rate(1 minute)", "cron(* * * * ? *)"])
async def test_clock_an_hour_back_goes_on_from_the_present(tmp_path: Path, expression: str) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", expression)
        await house.run(300)
        house.clock.jump(-HOUR_S)
        assert await house.trigger.turn() in (59.0, 60.0)
        await house.run(600, step_s=15)
        times = await house.times()
        assert times[:5] == [f"2026-11-27T12:0{minute}:00Z" for minute in range(1, 6)]
        assert len(times) == 15
        assert len(set(times)) == 15
        assert all("2026-11-27T11:05:00Z" < time <= "2026-11-27T11:15:00Z" for time in times[5:])


async def test_clock_that_goes_an_hour_forward_and_back_fires_for_no_instant_twice(tmp_path: Path) -> None:
    clock = noon()
    async with opened(tmp_path, clock) as house:
        await house.put("minutely", "cron(* * * * ? *)")
        await house.put("daily", "cron(0 13 * * ? *)", Target("d", ARN[:-1] + "daily"))
        await house.run(120)
        clock.jump(HOUR_S)
        await house.trigger.turn()
        clock.jump(-HOUR_S)
        await house.trigger.turn()
    async with opened(tmp_path, clock) as house:
        await house.run(2 * HOUR_S, step_s=60)
        rows = await house.rows()
        for name in ("f", "daily"):
            times = [json.loads(body)["time"] for _, function, _, body in rows if function == name]
            assert len(set(times)) == len(times)
        assert times == ["2026-11-27T13:00:00Z"]
        assert len(rows) == 123


async def test_rule_that_is_changed_after_the_clock_was_set_back_does_not_repeat_its_latest_instant(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, noon(-60)) as house:
        await house.put("r", "cron(0 12 * * ? *)")
        await house.run(120)
        house.clock.jump(-120)
        await house.schedules.switch(TENANT, "r", False, house.clock.wall_s())
        await house.schedules.switch(TENANT, "r", True, house.clock.wall_s())
        await house.put("r", "cron(0/10 12 * * ? *)")
        await house.run(900)
        assert await house.times() == [NOON, "2026-11-27T12:10:00Z"]


async def test_clock_set_back_while_the_keeper_was_down_stops_nothing(tmp_path: Path) -> None:
    clock = noon()
    async with opened(tmp_path, clock) as house:
        await house.put("r", "rate(1 minute)")
        await house.run(60)
    clock.jump(-HOUR_S)
    async with opened(tmp_path, clock) as house:
        await house.trigger.turn()
        await house.run(120)
        assert len(await house.times()) == 3


async def test_rule_waits_while_its_account_has_too_many_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "rate(1 minute)", Target("a", ARN), Target("b", ARN))
        await house.put("r", "rate(1 minute)", tenant=OTHER)
        monkeypatch.setitem(DEFAULTS, "events", 1)
        await house.run(60)
        assert [tenant for tenant, *_ in await house.rows()] == [OTHER], "all of a rule's targets, or none"
        monkeypatch.setitem(DEFAULTS, "events", 1_000)
        await house.run(30, step_s=10)
        rows = await house.rows()
        assert [tenant for tenant, *_ in rows] == [OTHER, TENANT, TENANT]
        assert json.loads(rows[-1][3])["time"] == "2026-11-27T12:01:00Z"


async def test_storage_that_fails_delays_a_fire_and_loses_none(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "rate(1 minute)")
        await house.trigger.turn()
        write = house.database.write

        async def full(job: Any) -> Any:
            raise StorageUnavailable("no room")

        house.database.write = full  # type: ignore[method-assign]
        await house.run(60)
        assert await house.times() == []
        house.database.write = write  # type: ignore[method-assign]
        await house.run(30, step_s=10)
        assert await house.times() == ["2026-11-27T12:01:00Z"]


async def test_change_that_could_not_be_read_is_read_later(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        await house.put("r", "rate(1 minute)")
        read = house.database.read

        async def broken(job: Any) -> Any:
            raise StorageUnavailable("no answer")

        house.database.read = broken  # type: ignore[method-assign]
        with pytest.raises(StorageUnavailable):
            await house.trigger.turn()
        house.database.read = read  # type: ignore[method-assign]
        await house.run(60)
        assert await house.times() == ["2026-11-27T12:01:00Z"]


async def test_crash_within_a_fire_leaves_neither_half(tmp_path: Path) -> None:
    clock = noon()
    async with opened(tmp_path, clock) as house:
        await house.put("r", "rate(1 minute)", Target("a", ARN), Target("b", ARN))
        await house.trigger.turn()
        before = await house.schedules.rule(TENANT, "r")

        def fail(db: sqlite3.Connection) -> None:
            db.execute(
                "CREATE TRIGGER fails BEFORE INSERT ON events WHEN (SELECT count(*) FROM events) = 1"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )

        await house.database.write(fail)
        await house.run(60)
        assert await house.rows() == []
        assert await house.schedules.rule(TENANT, "r") == before
        await house.database.write(lambda db: db.execute("DROP TRIGGER fails"))
        await house.run(30, step_s=10)
        assert len(await house.rows()) == 2


async def test_many_rules_of_one_instant_share_few_transactions(tmp_path: Path) -> None:
    async with opened(tmp_path, noon()) as house:
        names = [f"r{number}" for number in range(250)]
        await asyncio.gather(*(house.put(name, "cron(* * * * ? *)") for name in names))
        await house.trigger.turn()
        commits = house.database.commits
        await house.run(60)
        assert len(await house.rows()) == 250
        assert house.database.commits - commits < 50


async def test_keeper_fires_by_itself_and_hears_of_new_rules(tmp_path: Path) -> None:
    async with asyncio.timeout(60), running_keeper(tmp_path) as keeper:
        clock, trigger = keeper._clock, keeper.schedule_trigger
        assert isinstance(clock, ManualClock)
        fired, hand_over = asyncio.Event(), trigger._hand_over

        async def noticed(*arguments: Any) -> None:
            await hand_over(*arguments)
            fired.set()

        trigger._hand_over = noticed
        await keeper.schedules.put(TENANT, "r", "rate(1 minute)", clock.wall_s())
        await keeper.schedules.put_targets(TENANT, "r", [Target("t", ARN)])
        clock.advance(61)
        trigger.wake()
        await fired.wait()
        assert (await keeper.asynchronous.books(TENANT, "f")).accepted == 1
