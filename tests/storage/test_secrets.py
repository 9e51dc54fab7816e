"""Secrets at rest: sealed, bound to their place, with a current and a previous value, gone when they are to be."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isolet.clock import ManualClock
from isolet.errors import CallRefused, SecretDeleted, SecretExists, StorageUnavailable, UnknownSecret
from isolet.quota import DEFAULTS
from isolet.storage.database import Database
from isolet.storage.secrets import Change, Secrets

TENANT = "000000000000"
VALUE = "correct horse battery staple"


class House:
    def __init__(self, secrets: Secrets, clock: ManualClock, database: Database) -> None:
        self.secrets = secrets
        self.clock = clock
        self.database = database

    async def set(self, name: str = "K", value: str | bytes = VALUE, version: str = "v" * 32) -> None:
        await self.secrets.create(TENANT, name, Change("", value, version))

    async def put(self, value: str | bytes, version: str, name: str = "K") -> None:
        await self.secrets.change(TENANT, name, Change(None, value, version))

    async def execute(self, sql: str) -> list[tuple[object, ...]]:
        return await self.database.write(lambda db: db.execute(sql).fetchall())


def run(directory: Path, main: Callable[[House], Awaitable[None]]) -> None:
    async def live() -> None:
        database, clock = Database(directory / "db"), ManualClock()
        await database.open()
        try:
            await main(House(Secrets(database, clock, directory / "secrets.key"), clock, database))
        finally:
            await database.close()

    asyncio.run(live())


@pytest.mark.parametrize("value", [VALUE, "é\0\n", b"\0\xff", b"text", "s", b"s"])
def test_a_value_comes_back_as_it_was_and_of_its_type(tmp_path: Path, value: str | bytes) -> None:
    async def main(house: House) -> None:
        await house.set(value=value)
        got = await house.secrets.serve(TENANT, "K")
        assert (type(got), got) == (type(value), value)

    run(tmp_path, main)


def test_neither_database_nor_log_has_the_value_and_the_key_is_its_owners(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set()
        await house.put("another " + VALUE, "w" * 32)
        assert repr(await house.secrets.value(TENANT, "K")).find("horse") < 0
        assert repr(Change(None, VALUE, "")).find("horse") < 0
        assert stat.S_IMODE((tmp_path / "secrets.key").stat().st_mode) == 0o600

    run(tmp_path, main)
    for path in tmp_path.iterdir():
        assert b"horse" not in path.read_bytes(), path.name


def test_the_same_value_is_never_sealed_twice_alike(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set("A", version="a" * 32)
        await house.set("B", version="a" * 32)
        rows = await house.execute("SELECT sealed FROM secret_versions")
        assert len({row[0] for row in rows}) == 2

    run(tmp_path, main)


def test_a_row_in_another_place_does_not_open(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set("A")
        await house.set("B", value="hers")
        await house.execute("UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE name = 'A')")
        assert await house.secrets.serve(TENANT, "A") == VALUE
        with pytest.raises(StorageUnavailable) as refused:
            await house.secrets.serve(TENANT, "B")
        assert "put the key back" in refused.value.message
        assert "horse" not in refused.value.message

    run(tmp_path, main)


def test_every_bit_counts(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set(value="x")
        ((sealed,),) = await house.execute("SELECT sealed FROM secret_versions")
        assert isinstance(sealed, bytes)
        for bit in range(8 * len(sealed)):
            flipped = bytearray(sealed)
            flipped[bit // 8] ^= 1 << bit % 8
            await house.execute(f"UPDATE secret_versions SET sealed = x'{flipped.hex()}'")
            with pytest.raises(StorageUnavailable):
                await house.secrets.serve(TENANT, "K")

    run(tmp_path, main)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    async def put(house: House) -> None:
        await house.set()

    async def get(house: House) -> None:
        with pytest.raises(StorageUnavailable):
            await house.secrets.serve(TENANT, "K")

    run(tmp_path, put)
    (tmp_path / "secrets.key").unlink()
    run(tmp_path, get)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        (tmp_path / "secrets.key").write_bytes(bytes(32))
        (tmp_path / "secrets.key").chmod(0o644)
        with pytest.raises(StorageUnavailable, match="others can read it"):
            await house.set()

    run(tmp_path, main)


def test_the_value_before_stays_and_older_ones_go(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set(value="1", version="1" * 32)
        for number in "234":
            await house.put(number, number * 32)
        assert await house.secrets.serve(TENANT, "K") == "4"
        assert (await house.secrets.value(TENANT, "K", stage="AWSPREVIOUS")).value == "3"
        assert (await house.secrets.value(TENANT, "K", version="3" * 32)).value == "3"
        for version in ("2" * 32, "x" * 32):
            with pytest.raises(UnknownSecret):
                await house.secrets.value(TENANT, "K", version=version)
        with pytest.raises(UnknownSecret):
            await house.secrets.value(TENANT, "K", version="3" * 32, stage="AWSCURRENT")
        assert len(await house.execute("SELECT 1 FROM secret_versions")) == 2

    run(tmp_path, main)


def test_a_request_that_comes_twice_changes_nothing_and_another_value_is_refused(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set()
        await house.set()
        with pytest.raises(SecretExists):
            await house.set(value="other")
        with pytest.raises(SecretExists):
            await house.set(version="w" * 32)
        await house.put(VALUE, "v" * 32)
        with pytest.raises(SecretExists) as refused:
            await house.put("other", "v" * 32)
        assert "other" not in refused.value.message
        assert len(await house.execute("SELECT 1 FROM secret_versions")) == 1

    run(tmp_path, main)


def test_what_is_marked_for_deletion_answers_nobody_comes_back_or_goes(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set()
        secret, gone_ms = await house.secrets.delete(TENANT, "K", 7)
        assert gone_ms == int(house.clock.wall_s() * 1000) + 7 * 86_400_000
        with pytest.raises(CallRefused) as refused:
            await house.secrets.serve(TENANT, "K")
        assert refused.value.kind == "UnknownSecret"
        for attempt in (house.secrets.value(TENANT, "K"), house.put("x", "x" * 32), house.set(version="w" * 32)):
            with pytest.raises(SecretDeleted):
                await attempt
        with pytest.raises(SecretDeleted):
            await house.secrets.delete(TENANT, "K", 7)
        await house.secrets.restore(TENANT, "K")
        assert await house.secrets.serve(TENANT, "K") == VALUE
        await house.secrets.delete(TENANT, "K", 7)
        house.clock.advance(7 * 86_400)
        with pytest.raises(UnknownSecret):
            await house.secrets.describe(TENANT, "K")
        assert await house.secrets.all(TENANT) == []
        await house.set(value="anew", version="w" * 32)
        assert (await house.secrets.describe(TENANT, "K")).suffix != secret.suffix
        assert await house.secrets.serve(TENANT, "K") == "anew"

    run(tmp_path, main)


def test_sweeping_removes_what_is_over(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.set("A")
        await house.set("B")
        await house.secrets.delete(TENANT, "A", 7)
        house.clock.advance(7 * 86_400)
        await house.secrets.sweep()
        commits = house.database.commits
        await house.secrets.sweep()
        assert house.database.commits == commits
        assert len(await house.execute("SELECT 1 FROM secret_versions")) == 1
        await house.secrets.delete(TENANT, "B", None)
        assert await house.execute("SELECT name FROM secrets UNION SELECT name FROM secret_versions") == []

    run(tmp_path, main)


def test_tenants_have_secrets_of_their_own_and_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "secrets", 2)

    async def main(house: House) -> None:
        await house.set("A")
        await house.set("B")
        with pytest.raises(CallRefused) as refused:
            await house.set("C")
        assert refused.value.kind == "LimitExceeded"
        with pytest.raises(CallRefused):
            await house.secrets.serve("111111111111", "A")
        await house.secrets.create("111111111111", "A", Change("", "hers", "v" * 32))
        assert await house.secrets.serve(TENANT, "A") == VALUE

    run(tmp_path, main)
