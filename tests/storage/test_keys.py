"""Access keys: who may sign, kept so that a copy of the database signs nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isolet import limits
from isolet.clock import ManualClock
from isolet.errors import CallRefused, InvalidParameter
from isolet.storage.database import Database
from isolet.storage.keys import Keys
from keeping import run

ACCOUNT = "111122223333"


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Keys]:
    database = Database(directory / "keeper.db")
    await database.open()
    keys = Keys(database, ManualClock(), directory / "secrets.key")
    await keys.load()
    try:
        yield keys
    finally:
        await database.close()


def test_a_key_looks_like_awss_and_signs_for_its_account_also_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as keys:
            assert (len(keys), keys.any) == (0, False)
            key, secret = await keys.create(ACCOUNT, "the build server")
            assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key.id)
            assert re.fullmatch(r"[A-Za-z0-9/+]{40}", secret)
            assert (key.account, key.description, key.revoked_ms) == (ACCOUNT, "the build server", None)
        async with opened(tmp_path) as keys:
            assert keys.get(key.id) == (ACCOUNT, secret)
            assert await keys.all() == [key]
            assert secret not in repr(keys.get(key.id))

    run(main)


def test_the_database_alone_has_no_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as keys:
            key, secret = await keys.create(ACCOUNT)
        assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
        (tmp_path / "secrets.key").unlink()
        async with opened(tmp_path) as keys:
            assert keys.get(key.id) is None
            assert (len(keys), keys.any) == (0, True)
            assert [one.id for one in await keys.all()] == [key.id]

    run(main)


def test_a_row_given_to_another_account_opens_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as keys:
            key, _ = await keys.create(ACCOUNT)
            await keys._database.write(lambda db: db.execute("UPDATE access_keys SET account = '000000000000'"))
            await keys.load()
            assert keys.get(key.id) is None

    run(main)


def test_a_revoked_key_stays_in_the_list_without_its_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as keys:
            key, _ = await keys.create(ACCOUNT)
            kept, _ = await keys.create(ACCOUNT)
            revoked = await keys.revoke(key.id)
            assert revoked.revoked_ms == key.created_ms
            assert await keys.revoke(key.id) == revoked
            assert keys.get(key.id) is None
            assert len(keys) == 1
            rows = await keys._database.read(lambda db: db.execute("SELECT id, secret FROM access_keys").fetchall())
            assert {id: sealed is None for id, sealed in rows} == {key.id: True, kept.id: False}
        async with opened(tmp_path) as keys:
            assert keys.get(key.id) is None
            assert {one.id for one in await keys.all()} == {key.id, kept.id}
            with pytest.raises(InvalidParameter, match="isolet keys list"):
                await keys.revoke("AKIANOBODY")

    run(main)


@pytest.mark.parametrize("account", ["", "12345678901", "1234567890123", "12345678901x", "１２３４５６７８９０１２"])
def test_an_account_is_twelve_digits(tmp_path: Path, account: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as keys:
            with pytest.raises(InvalidParameter, match="twelve digits"):
                await keys.create(account)
            with pytest.raises(InvalidParameter, match="one line"):
                await keys.create(ACCOUNT, "two\nlines")

    run(main)


def test_there_is_an_end_to_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCESS_KEYS_MAX", 2)

    async def main() -> None:
        async with opened(tmp_path) as keys:
            key, _ = await keys.create(ACCOUNT)
            await keys.create(ACCOUNT)
            with pytest.raises(CallRefused, match="revoke some"):
                await keys.create(ACCOUNT)
            await keys.revoke(key.id)
            await keys.create(ACCOUNT)

    run(main)
