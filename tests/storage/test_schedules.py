"""Rules and targets on the disk: an account's own, fired in one transaction with their events, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isolet.errors import LimitExceeded, UnknownResource, ValidationFailed
from isolet.limits import SCHEDULES_TENANT_MAX as RULES_MAX
from isolet.standing import begun
from isolet.storage.database import Database
from isolet.storage.queue import Accepted
from isolet.storage.schedules import TARGETS_MAX, Schedules, Target

pytestmark = pytest.mark.anyio

TENANT, OTHER = "000000000000", "111111111111"
NOW_S = 1_700_000_000.5
RATE = "rate(1 minute)"
TARGET = Target("t", f"arn:aws:lambda:us-east-1:{TENANT}:function:f")


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Schedules]:
    database = Database(directory / "keeper.db")
    await database.open()
    try:
        async with asyncio.timeout(60):
            yield Schedules(database)
    finally:
        await database.close()


async def queued(schedules: Schedules) -> list[str]:
    query = "SELECT request_id FROM events ORDER BY id"
    return await schedules._database.read(lambda db: [id for (id,) in db.execute(query)])


def event(request_id: str) -> Accepted:
    return Accepted(request_id, TENANT, "f", "", b"{}")


async def test_rule_is_what_was_put_also_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S, description="d", role="x", tags={"k": "v"})
        await schedules.put_targets(TENANT, "r", [TARGET, Target("s", TARGET.arn + ":live", '{"a":1}', "y")])
        found = await schedules.rule(TENANT, "r")
    async with opened(tmp_path) as schedules:
        rule = await schedules.rule(TENANT, "r")
        assert rule == (await schedules.rules(TENANT))[0]
        assert (rule.expression, rule.enabled, rule.description, rule.role) == (RATE, True, "d", "x")
        assert rule.standing == found.standing == begun(NOW_S)
        assert await schedules.targets(TENANT, "r") == (Target("s", TARGET.arn + ":live", '{"a":1}', "y"), TARGET)
        assert await schedules.tags(TENANT, "r") == {"k": "v"}
        assert await schedules.names_by_target(TENANT, TARGET.arn) == ["r"]


async def test_put_replaces_all_but_targets_and_tags(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S, description="d", tags={"k": "v"})
        await schedules.put_targets(TENANT, "r", [TARGET])
        await schedules.put(TENANT, "r", RATE, NOW_S + 30, tags={"other": "v"})
        rule = await schedules.rule(TENANT, "r")
        assert rule.description == ""
        assert rule.standing == begun(NOW_S), "the same expression goes on"
        assert await schedules.targets(TENANT, "r") == (TARGET,)
        assert await schedules.tags(TENANT, "r") == {"k": "v"}
        await schedules.put(TENANT, "r", "rate(2 minutes)", NOW_S + 40)
        assert (await schedules.rule(TENANT, "r")).standing == begun(NOW_S + 40)


async def test_enabled_again_it_begins_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S)
        await schedules.switch(TENANT, "r", True, NOW_S + 10)
        assert (await schedules.rule(TENANT, "r")).standing == begun(NOW_S)
        await schedules.switch(TENANT, "r", False, NOW_S + 20)
        assert await schedules.armed() == []
        await schedules.switch(TENANT, "r", True, NOW_S + 3_600)
        (armed,) = await schedules.armed([(TENANT, "r"), (TENANT, "none")])
        assert armed.rule.standing == begun(NOW_S + 3_600)


async def test_account_sees_its_own_rules_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S)
        await schedules.put_targets(TENANT, "r", [TARGET])
        assert await schedules.rules(OTHER) == []
        assert await schedules.names_by_target(OTHER, TARGET.arn) == []
        for call in (
            schedules.rule(OTHER, "r"),
            schedules.targets(OTHER, "r"),
            schedules.tags(OTHER, "r"),
            schedules.tag(OTHER, "r", {"k": "v"}),
            schedules.switch(OTHER, "r", False, NOW_S),
            schedules.put_targets(OTHER, "r", [TARGET]),
            schedules.remove_targets(OTHER, "r", ["t"]),
        ):
            with pytest.raises(UnknownResource, match="Rule r does not exist on EventBus default"):
                await call
        await schedules.delete(OTHER, "r")
        assert (await schedules.rule(TENANT, "r")).enabled


async def test_rule_with_targets_is_not_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S)
        await schedules.put_targets(TENANT, "r", [TARGET])
        with pytest.raises(ValidationFailed, match="Rule can't be deleted since it has targets"):
            await schedules.delete(TENANT, "r")
        assert await schedules.remove_targets(TENANT, "r", ["t", "none"]) == ["none"]
        await schedules.delete(TENANT, "r")
        await schedules.delete(TENANT, "r")
        assert await schedules.rules(TENANT) == []


async def test_more_than_an_account_may_have_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await asyncio.gather(*(schedules.put(TENANT, f"r{number}", RATE, NOW_S) for number in range(RULES_MAX)))
        with pytest.raises(LimitExceeded):
            await schedules.put(TENANT, "more", RATE, NOW_S)
        await schedules.put(TENANT, "r0", RATE, NOW_S)
        await schedules.put(OTHER, "r", RATE, NOW_S)
        await schedules.put_targets(TENANT, "r0", [Target(f"t{n}", TARGET.arn) for n in range(TARGETS_MAX - 1)])
        with pytest.raises(LimitExceeded):
            await schedules.put_targets(TENANT, "r0", [Target(f"u{n}", TARGET.arn) for n in range(2)])
        assert len(await schedules.targets(TENANT, "r0")) == TARGETS_MAX - 1
        with pytest.raises(LimitExceeded):
            await schedules.tag(TENANT, "r0", {f"k{n}": "" for n in range(51)})


async def test_fire_queues_the_events_and_moves_the_rule_on_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as schedules:
        await schedules.put(TENANT, "r", RATE, NOW_S)
        (armed,) = await schedules.armed()
        standing = armed.rule.standing.after(1_700_000_060)
        ids = await schedules.fire(armed.rule, standing, [event("a"), event("b")], 1)
        assert ids is not None
        assert all(id is not None for id in ids)
        assert (await schedules.rule(TENANT, "r")).standing == standing
        assert await schedules.fire(armed.rule, standing, [event("c")], 1) is None, "it fired for this instant"
        assert await queued(schedules) == ["a", "b"]


@pytest.mark.parametrize("change", ["put", "disable", "targets", "delete", "again"])
async def test_rule_that_changed_does_not_fire_as_it_was(tmp_path: Path, change: str) -> None:
    async with opened(tmp_path) as schedules:
        told: list[tuple[str, str]] = []
        await schedules.put(TENANT, "r", RATE, NOW_S)
        (armed,) = await schedules.armed()
        schedules.on_change = lambda tenant, name: told.append((tenant, name))
        if change == "put":
            await schedules.put(TENANT, "r", RATE, NOW_S)
        elif change == "disable":
            await schedules.switch(TENANT, "r", False, NOW_S)
        elif change == "targets":
            await schedules.put_targets(TENANT, "r", [TARGET])
        else:
            await schedules.delete(TENANT, "r")
        if change == "again":
            await schedules.put(TENANT, "r", RATE, NOW_S)
        assert set(told) == {(TENANT, "r")}
        assert await schedules.fire(armed.rule, armed.rule.standing.after(1_700_000_060), [event("a")], 1) is None
        assert await queued(schedules) == []
