from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from isolet.model import Function, Route, Settings, SnapshotInfo, State, Target, UpdateStatus
from isolet.storage.database import Database
from isolet.storage.registry import Entry, Registry

SETTINGS = Settings(
    description="résizes ✓",
    environment={"LEVEL": "debug", "ÄÖ": "\n"},
    http=True,
    routes=(Route("GET", "/accounts/{id}"), Route("ANY", "/{rest+}")),
    language="go",
)
SNAPSHOT = SnapshotInfo("ab" * 32, True, ("unfrozen: no",), 4_096, 65_536, 1 << 20, 70_000, 123_456, 0.25, 10_000)


def function(name: str, revision: str = "r1", tenant: str = "000000000000") -> Function:
    return Function(
        tenant=tenant,
        name=name,
        settings=SETTINGS,
        package_digest="cd" * 32,
        code_sha256="q83v",
        code_bytes=1_000,
        module_bytes=900,
        state=State.PENDING,
        state_reason="The function is being created.",
        snapshot=None,
        revision_id=revision,
        last_modified_s=1_700_000_000.125,
        role="arn:aws:iam::000000000000:role/r",
        tags={"team": "a"},
    )


def target(of: Function) -> Target:
    return Target(
        of.tenant,
        of.name,
        of.version,
        SNAPSHOT,
        of.package_digest,
        3.0,
        1 << 27,
        10**9,
        {"A": "b"},
        True,
        SETTINGS.routes,
    )


def run(path: Path, main: Callable[[Registry], Awaitable[None]]) -> None:
    async def opened() -> None:
        database = Database(path / "db")
        await database.open()
        try:
            await main(Registry(database))
        finally:
            await database.close()

    asyncio.run(opened())


def test_function_and_target_survive_a_restart_exactly(tmp_path: Path) -> None:
    active = replace(
        function("resize"),
        state=State.ACTIVE,
        snapshot=SNAPSHOT,
        update_status=UpdateStatus.FAILED,
        update_reason="why",
    )
    entries = [Entry(active, target(active), function("resize", "r0")), Entry(function("zoom"))]

    async def write(registry: Registry) -> None:
        for entry in entries:
            assert await registry.create(entry)

    async def read(registry: Registry) -> None:
        assert await registry.all() == entries
        assert await registry.get("000000000000", "resize") == entries[0]
        assert await registry.get("000000000000", "nobody") is None

    run(tmp_path, write)
    run(tmp_path, read)


def test_name_is_taken_once_per_tenant(tmp_path: Path) -> None:
    async def main(registry: Registry) -> None:
        assert await registry.create(Entry(function("a"), None))
        assert not await registry.create(Entry(function("a", "r2"), None))
        assert await registry.create(Entry(function("a", tenant="111111111111"), None))
        entry = await registry.get("000000000000", "a")
        assert entry is not None
        assert entry.function.revision_id == "r1"

    run(tmp_path, main)


def test_change_made_from_an_older_revision_does_nothing(tmp_path: Path) -> None:
    async def main(registry: Registry) -> None:
        first = function("a")
        await registry.create(Entry(first, None))
        second = replace(first, revision_id="r2", code_sha256="second")
        assert await registry.replace(Entry(second, target(second)), "r1")
        assert not await registry.replace(Entry(replace(first, revision_id="r3"), None), "r1")
        assert await registry.get(first.tenant, "a") == Entry(second, target(second))
        assert await registry.delete(first.tenant, "a")
        assert not await registry.delete(first.tenant, "a")
        assert not await registry.replace(Entry(second, None), "r2")
        assert await registry.get(first.tenant, "a") is None

    run(tmp_path, main)


def test_of_many_changes_at_once_one_wins(tmp_path: Path) -> None:
    async def main(registry: Registry) -> None:
        await registry.create(Entry(function("a"), None))
        changes = (registry.replace(Entry(function("a", f"n{n}"), None), "r1") for n in range(50))
        assert sum(await asyncio.gather(*changes)) == 1

    run(tmp_path, main)


def test_pages_are_in_order_and_of_one_tenant(tmp_path: Path) -> None:
    async def main(registry: Registry) -> None:
        for name in ("d", "b", "a", "c"):
            await registry.create(Entry(function(name), None))
        await registry.create(Entry(function("e", tenant="111111111111"), None))
        first = await registry.page("000000000000", after="", count=3)
        assert [entry.function.name for entry in first] == ["a", "b", "c"]
        rest = await registry.page("000000000000", after="c", count=3)
        assert [entry.function.name for entry in rest] == ["d"]

    run(tmp_path, main)
