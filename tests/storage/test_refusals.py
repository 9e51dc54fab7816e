"""Refused builds: each tenant's own, for a time, a bounded number, across restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from isolet.clock import ManualClock
from isolet.storage.database import Database
from isolet.storage.refusals import Refusals

pytestmark = pytest.mark.anyio

ERROR = ["ModuleInvalid", {"message": "no"}]


@asynccontextmanager
async def refusals(directory: Path, clock: ManualClock, **bounds: Any) -> AsyncIterator[Refusals]:
    database = Database(directory / "db")
    await database.open()
    made = Refusals(database, clock, **bounds)
    await made.load()
    yield made
    await database.close()


async def test_refusal_is_its_tenant_s_alone_and_survives_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with refusals(tmp_path, clock) as first:
        await first.put("a", b"key", ERROR, 60)
        assert first.get("a", b"key") == ERROR
    async with refusals(tmp_path, clock) as second:
        assert second.get("a", b"key") == ERROR
        assert second.get("b", b"key") is None
        assert second.get("a", b"other") is None


async def test_refusal_ends_after_its_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with refusals(tmp_path, clock) as kept:
        await kept.put("a", b"key", ERROR, 60)
        clock.advance(61)
        assert kept.get("a", b"key") is None
        await kept.put("a", b"key", ERROR, 60)
        assert kept.get("a", b"key") == ERROR


async def test_oldest_of_a_tenant_leaves_for_its_newest(tmp_path: Path) -> None:
    clock = ManualClock()
    async with refusals(tmp_path, clock, tenant_max=2) as kept:
        await kept.put("b", b"0", ERROR, 60)
        for key in (b"1", b"2", b"3"):
            await kept.put("a", key, ERROR, 60)
            clock.advance(1)
        assert [kept.get("a", key) is not None for key in (b"1", b"2", b"3")] == [False, True, True]
        assert kept.get("b", b"0") == ERROR
    async with refusals(tmp_path, clock, tenant_max=2) as again:
        assert [again.get("a", key) is not None for key in (b"1", b"2", b"3")] == [False, True, True]


async def test_who_floods_pushes_out_its_own(tmp_path: Path) -> None:
    async with refusals(tmp_path, ManualClock(), total_max=5) as kept:
        await kept.put("quiet", b"key", ERROR, 60)
        for number in range(20):
            await kept.put("loud", b"%d" % number, ERROR, 60)
        assert kept.get("quiet", b"key") == ERROR
        assert sum(kept.get("loud", b"%d" % number) is not None for number in range(20)) == 4
