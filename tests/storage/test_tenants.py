"""What the operator set for tenants: durable, in memory, one change after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from isolet.errors import InvalidParameter
from isolet.storage.database import Database
from isolet.storage.tenants import DEFAULTS, Tenants, TenantSettings
from keeping import run

ACCOUNT = "111122223333"
OTHER = "444455556666"


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Tenants]:
    database = Database(directory / "keeper.db")
    await database.open()
    tenants = Tenants(database)
    await tenants.load()
    try:
        yield tenants
    finally:
        await database.close()


def test_a_tenant_that_nobody_set_anything_has_the_defaults(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as tenants:
            assert tenants.get(ACCOUNT) == DEFAULTS == TenantSettings("standard", False, {})
            assert tenants.all() == {}

    run(main)


def test_what_was_set_is_there_after_a_restart_and_of_that_tenant_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as tenants:
            await tenants.change(OTHER, lambda old: replace(old, tier="trusted", own=True))
            await tenants.change(ACCOUNT, lambda old: replace(old, limits={"concurrency": 5, "rate": 2.5}))
        async with opened(tmp_path) as tenants:
            assert tenants.get(ACCOUNT) == TenantSettings(limits={"concurrency": 5, "rate": 2.5})
            assert tenants.get(OTHER) == TenantSettings("trusted", True)
            assert list(tenants.all()) == [ACCOUNT, OTHER]

    run(main)


def test_changes_of_one_tenant_at_once_all_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as tenants:

            def named(name: str) -> asyncio.Task[TenantSettings]:
                return asyncio.ensure_future(
                    tenants.change(ACCOUNT, lambda old: replace(old, limits={**old.limits, name: 1}))
                )

            names = [f"limit{number}" for number in range(20)]
            await asyncio.gather(*map(named, names))
            assert sorted(tenants.get(ACCOUNT).limits) == sorted(names)
            await tenants.load()
            assert sorted(tenants.get(ACCOUNT).limits) == sorted(names)

    run(main)


def test_a_change_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as tenants:
            kept = await tenants.change(ACCOUNT, lambda old: replace(old, tier="strict"))

            def refuse(old: TenantSettings) -> TenantSettings:
                raise InvalidParameter("no")

            with pytest.raises(InvalidParameter, match="no"):
                await tenants.change(ACCOUNT, refuse)
            assert tenants.get(ACCOUNT) == kept
            for wrong in ("12", "11112222333a", "１１１１２２２２３３３３", ""):
                with pytest.raises(InvalidParameter, match="twelve digits"):
                    await tenants.change(wrong, lambda old: old)

    run(main)
