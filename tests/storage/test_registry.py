from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from isolet.model import (
    Alias,
    Function,
    FunctionUrl,
    Reserved,
    Route,
    Served,
    Settings,
    SnapshotInfo,
    State,
    Target,
    UpdateStatus,
)
from isolet.plain import url_to_plain
from isolet.storage import attachments
from isolet.storage import registry as rows
from isolet.storage.database import Database
from isolet.storage.registry import Entry, Registry, VersionEntry

T = TypeVar("T")

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


class Rows(Registry):
    """The registry with its parts of jobs as jobs of their own."""

    async def create(self, entry: Entry) -> bool:
        return await self._database.write(lambda db: rows.create(db, entry))

    async def replace(self, entry: Entry, revision: str) -> bool:
        return await self._database.write(lambda db: rows.replace(db, entry, revision))

    async def delete(self, tenant: str, name: str) -> bool:
        return await self._database.write(lambda db: rows.delete(db, tenant, name))

    async def do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.write(job)


def run(path: Path, main: Callable[[Rows], Awaitable[None]]) -> None:
    async def opened() -> None:
        database = Database(path / "db")
        await database.open()
        try:
            await main(Rows(database))
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

    async def write(registry: Rows) -> None:
        for entry in entries:
            assert await registry.create(entry)

    async def read(registry: Rows) -> None:
        assert await registry.all() == entries
        assert await registry.get("000000000000", "resize") == entries[0]
        assert await registry.get("000000000000", "nobody") is None

    run(tmp_path, write)
    run(tmp_path, read)


def test_name_is_taken_once_per_tenant(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
        assert await registry.create(Entry(function("a"), None))
        assert not await registry.create(Entry(function("a", "r2"), None))
        assert await registry.create(Entry(function("a", tenant="111111111111"), None))
        entry = await registry.get("000000000000", "a")
        assert entry is not None
        assert entry.function.revision_id == "r1"

    run(tmp_path, main)


def test_change_made_from_an_older_revision_does_nothing(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
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
    async def main(registry: Rows) -> None:
        await registry.create(Entry(function("a"), None))
        changes = (registry.replace(Entry(function("a", f"n{n}"), None), "r1") for n in range(50))
        assert sum(await asyncio.gather(*changes)) == 1

    run(tmp_path, main)


def test_pages_are_in_order_and_of_one_tenant(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
        for name in ("d", "b", "a", "c"):
            await registry.create(Entry(function(name), None))
        await registry.create(Entry(function("e", tenant="111111111111"), None))
        first = await registry.page("000000000000", after="", count=3)
        assert [entry.function.name for entry in first] == ["a", "b", "c"]
        rest = await registry.page("000000000000", after="c", count=3)
        assert [entry.function.name for entry in rest] == ["d"]

    run(tmp_path, main)


# ── versions, aliases, attachments ──────────────────────────────────────────────────────────────────────────────


def version(number: int, name: str = "a") -> VersionEntry:
    frozen = replace(function(name, f"v{number}"), version=str(number), state=State.ACTIVE, snapshot=SNAPSHOT)
    return VersionEntry(frozen, target(frozen))


def test_served_is_all_that_a_worker_must_know(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "live", "NONE")

    async def main(registry: Rows) -> None:
        first = replace(function("a"), state=State.ACTIVE, snapshot=SNAPSHOT)

        def job(db: sqlite3.Connection) -> Served | None:
            rows.create(db, Entry(first, target(first)))
            rows.put_version(db, version(1))
            rows.put_version(db, version(10)._replace(target=None))
            rows.put_version(db, version(2))
            rows.put_alias(db, first.tenant, "a", Alias("live", "1", {"2": 0.5}))
            attachments.put(db, first.tenant, "a", attachments.CONCURRENCY, {"limit": 3, "slot": 7})
            attachments.put(db, first.tenant, "a", attachments.URL, {"url": url_to_plain(url)}, "live")
            return rows.served(db, first.tenant, "a")

        served = await registry.do(job)
        assert served == Served(
            *(first.tenant, "a", (target(first), version(1).target, version(2).target)),  # type: ignore[arg-type]
            *((Alias("live", "1", {"2": 0.5}),), (url,), Reserved(3, 7)),
        )
        assert await registry.served() == [served]
        listed = await registry.versions(first.tenant, "a", 1, 10)
        assert [entry.function.version for entry in listed] == ["2", "10"]

    run(tmp_path, main)


def test_function_that_cannot_run_in_any_version_is_not_served(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
        await registry.create(Entry(function("a")))
        assert await registry.served() == []

    run(tmp_path, main)


def test_what_belongs_to_a_function_goes_with_it_but_its_numbers_do_not_come_again(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
        first = function("a")

        def made(db: sqlite3.Connection) -> int:
            rows.create(db, Entry(first))
            number = rows.next_version(db, first.tenant, "a")
            rows.put_version(db, version(number))
            rows.put_alias(db, first.tenant, "a", Alias("live", str(number)))
            attachments.put(db, first.tenant, "a", attachments.POLICY, {"statements": {}}, "live")
            return number

        assert await registry.do(made) == 1
        assert await registry.delete(first.tenant, "a")
        assert await registry.all_versions() == []
        assert await registry.aliases(first.tenant, "a") == []
        assert await registry.do(lambda db: attachments.of_function(db, first.tenant, "a")) == {}
        assert await registry.do(made) == 2

    run(tmp_path, main)


def test_what_is_attached_to_an_alias_goes_with_it(tmp_path: Path) -> None:
    async def main(registry: Rows) -> None:
        tenant = "000000000000"

        def job(db: sqlite3.Connection) -> list[tuple[str, str]]:
            rows.put_alias(db, tenant, "a", Alias("live", "1"))
            for qualifier in ("", "live"):
                attachments.put(db, tenant, "a", attachments.POLICY, {"statements": {}}, qualifier)
            assert rows.delete_alias(db, tenant, "a", "live")
            assert not rows.delete_alias(db, tenant, "a", "live")
            return list(attachments.of_function(db, tenant, "a"))

        assert await registry.do(job) == [(attachments.POLICY, "")]

    run(tmp_path, main)


def test_snapshot_is_exchanged_wherever_a_function_has_it(tmp_path: Path) -> None:
    other = replace(SNAPSHOT, digest="ef" * 32)

    async def main(registry: Rows) -> None:
        first = replace(function("a"), state=State.ACTIVE, snapshot=SNAPSHOT)

        def job(db: sqlite3.Connection) -> None:
            rows.create(db, Entry(first, target(first)))
            rows.put_version(db, version(1))
            rows.exchange(db, first.tenant, "a", SNAPSHOT.digest, other)
            rows.exchange(db, first.tenant, "a", "00" * 32, SNAPSHOT)

        await registry.do(job)
        entry, published = await registry.get(first.tenant, "a"), await registry.version(first.tenant, "a", 1)
        assert entry is not None
        assert published is not None
        for one in (entry, published):
            assert one.target is not None
            assert (one.function.snapshot, one.target.snapshot) == (other, other)
        assert entry.function.revision_id == first.revision_id

    run(tmp_path, main)
