"""Entries that outlive invocations: as a dict would keep them, with versions that never come twice, and bounded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet import limits
from isolet.clock import ManualClock
from isolet.errors import CallRefused
from isolet.quota import DEFAULTS
from isolet.storage.database import Database
from isolet.storage.kv import Kv, _Share

TENANT = "000000000000"


class House:
    def __init__(self, kv: Kv, clock: ManualClock, database: Database) -> None:
        self.kv = kv
        self.clock = clock
        self.database = database

    async def __call__(self, verb: str, key: str, value: bytes | None = None, **options: Any) -> Any:
        return await self.kv.serve(TENANT, verb, "n", key, value, options)

    async def rows(self) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda db: db.execute("SELECT key, bytes FROM kv ORDER BY id").fetchall())

    async def counted(self) -> tuple[int, int]:
        """What the tenant is said to have, entries and bytes; checked against what it has."""
        said = await self.database.read(lambda db: db.execute("SELECT entries, bytes FROM kv_tenants").fetchone())
        rows = await self.rows()
        assert (said or (0, 0)) == (len(rows), sum(row[1] for row in rows))
        return said or (0, 0)


def run(path: Path, main: Callable[[House], Awaitable[None]]) -> None:
    async def live() -> None:
        database, clock = Database(path), ManualClock()
        await database.open()
        try:
            async with asyncio.timeout(60):
                await main(House(Kv(database, clock), clock, database))
        finally:
            await database.close()

    asyncio.run(live())


def test_what_was_put_is_got_and_listed_and_deleted_once(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        assert await kv("get", "a") is None
        assert await kv("put", "a", b"1") == {"version": 1}
        assert await kv("get", "a") == {"value": b"1", "version": 1}
        assert await kv("put", "a", b"") == {"version": 2}
        assert await kv("get", "a") == {"value": b"", "version": 2}
        assert await kv("list", "") == {"keys": ["a"], "more": False}
        assert await kv("delete", "a") is True
        assert await kv("delete", "a") is False
        assert await kv("list", "") == {"keys": [], "more": False}
        assert await kv.counted() == (0, 0)

    run(tmp_path / "db", main)


def test_a_version_never_comes_twice_also_after_a_delete(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        seen = []
        for _ in range(3):
            seen.append((await kv("put", "a", b"x"))["version"])
            seen.append((await kv("put", "b", b"x"))["version"])
            await kv("delete", "a")
        assert seen == sorted(set(seen))

    run(tmp_path / "db", main)


def test_compare_and_set_writes_only_at_the_version_it_names(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        version = (await kv("put", "a", b"1", if_version=0))["version"]
        for stale in (0, version + 1, version - 1):
            with pytest.raises(CallRefused) as refused:
                await kv("put", "a", b"2", if_version=stale)
            assert refused.value.kind == "Conflict"
            assert f"version {version}" in refused.value.message
            with pytest.raises(CallRefused):
                await kv("delete", "a", if_version=stale)
        assert await kv("get", "a") == {"value": b"1", "version": version}
        later = (await kv("put", "a", b"2", if_version=version))["version"]
        assert await kv("delete", "a", if_version=later) is True
        with pytest.raises(CallRefused):
            await kv("delete", "a", if_version=later)
        assert await kv("delete", "a", if_version=0) is False

    run(tmp_path / "db", main)


def test_of_many_who_count_with_compare_and_set_nobody_is_lost(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        async def add() -> None:
            while True:
                entry = await kv("get", "n") or {"value": b"0", "version": 0}
                try:
                    await kv("put", "n", b"%d" % (int(entry["value"]) + 1), if_version=entry["version"])
                except CallRefused:
                    continue
                return

        await asyncio.gather(*(add() for _ in range(50)))
        assert (await kv("get", "n"))["value"] == b"50"

    run(tmp_path / "db", main)


def test_an_entry_whose_time_is_over_is_not_there_from_that_moment_on(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        await kv("put", "a", b"1", ttl_s=10)
        await kv("put", "b", b"1", ttl_s=0.0001)
        await kv("put", "c", b"1")
        kv.clock.advance(9.999)
        assert (await kv("list", ""))["keys"] == ["a", "c"]
        kv.clock.advance(0.001)
        assert await kv("get", "a") is None
        assert (await kv("list", ""))["keys"] == ["c"]
        assert await kv("delete", "a") is False
        assert len(await kv.rows()) == 2, "b's row waits for the sweep"
        assert (await kv("put", "b", b"2", if_version=0))["version"] == 5
        await kv.counted()

    run(tmp_path / "db", main)


def test_a_put_replaces_an_entry_with_its_ttl(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        await kv("put", "a", b"1", ttl_s=1)
        await kv("put", "a", b"2")
        kv.clock.advance(100)
        assert (await kv("get", "a"))["value"] == b"2"

    run(tmp_path / "db", main)


def test_sweeping_removes_what_is_over_and_writes_nothing_when_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(kv: House) -> None:
        monkeypatch.setattr(limits, "KV_SWEEP_ENTRIES", 3)
        for index in range(10):
            await kv("put", f"{index}", b"x", ttl_s=1 if index % 5 else None)
        commits = kv.database.commits
        assert await kv.kv.sweep() == 0
        assert kv.database.commits == commits
        kv.clock.advance(1)
        assert await kv.kv.sweep() == 8
        assert (await kv.counted())[0] == 2

    run(tmp_path / "db", main)


def test_a_tenant_keeps_so_much_and_what_is_over_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(kv: House) -> None:
        monkeypatch.setitem(DEFAULTS, "kv_entries", 3)
        monkeypatch.setattr(limits, "KV_SWEEP_ENTRIES", 1)
        for key in "abc":
            await kv("put", key, b"x", ttl_s=5 if key != "c" else None)
        with pytest.raises(CallRefused) as refused:
            await kv("put", "d", b"x")
        assert refused.value.kind == "LimitExceeded"
        assert await kv.kv.put("another", "n", "d", b"x") == {"version": 1}, "others have room of their own"
        await kv("put", "a", b"y", ttl_s=5)
        kv.clock.advance(5)
        await kv("put", "d", b"x")
        await kv("put", "e", b"x")
        assert (await kv("list", ""))["keys"] == ["c", "d", "e"]
        monkeypatch.setitem(DEFAULTS, "kv_bytes", 3 * limits.KV_ENTRY_BYTES + 100)
        with pytest.raises(CallRefused):
            await kv("put", "c", bytes(200))
        await kv("put", "c", bytes(90))
        await kv("put", "c", bytes(10))
        assert (await kv.kv.used(TENANT))["kv_entries"] == 3

    run(tmp_path / "db", main)


def test_namespaces_and_tenants_do_not_see_each_other(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        kv = house.kv
        await kv.put("t1", "n", "k", b"1")
        await kv.put("t2", "n", "k", b"2")
        await kv.put("t1", "m", "k", b"3")
        assert (await kv.get("t1", "n", "k") or {})["value"] == b"1"
        assert await kv.get("t2", "m", "k") is None
        assert (await kv.keys("t1", "n", ""))["keys"] == ["k"]
        assert await kv.delete("t2", "n", "k")
        assert await kv.get("t1", "n", "k") is not None

    run(tmp_path / "db", main)


def test_keys_come_in_the_order_of_their_bytes_in_pages(tmp_path: Path) -> None:
    keys = ["", "a", "a\0", "a\uffff", "a\U0010ffff", "aa", "ab", "b", "é", "\x7f", "𝄞"][1:]

    async def main(kv: House) -> None:
        for key in reversed(keys):
            await kv("put", key, b"")
        ordered = sorted(keys, key=str.encode)
        assert (await kv("list", ""))["keys"] == ordered
        assert (await kv("list", "a"))["keys"] == [key for key in ordered if key.startswith("a")]
        seen: list[str] = []
        page = await kv("list", "a", limit=2)
        while page["keys"]:
            assert len(page["keys"]) <= 2
            seen += page["keys"]
            if not page["more"]:
                break
            page = await kv("list", "a", limit=2, after=seen[-1])
        assert seen == [key for key in ordered if key.startswith("a")]

    run(tmp_path / "db", main)


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async def put(kv: House) -> None:
        await kv("put", "a", bytes(range(256)))

    async def get(kv: House) -> None:
        assert await kv("get", "a") == {"value": bytes(range(256)), "version": 1}
        assert await kv("put", "a", b"") == {"version": 2}

    run(tmp_path / "db", put)
    run(tmp_path / "db", get)


_WRITER = """
import asyncio, sys
from pathlib import Path
from isolet.clock import SystemClock
from isolet.storage.database import Database
from isolet.storage.kv import Kv

async def main():
    database = Database(Path(sys.argv[1]))
    await database.open()
    kv = Kv(database, SystemClock())

    async def write(writer):
        for number in range(10**9):
            written = await kv.serve("t", "put", "n", f"{writer}", b"%d" % number, {})
            print(writer, number, written["version"], flush=True)

    await asyncio.gather(*(write(writer) for writer in range(8)))

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path / "db"], stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout):
            if not line.endswith("\n"):
                break  # killed in the middle of it
            key, number, version = line.split()
            seen[key] = (int(number), int(version))
            if count == 500:
                writer.kill()

    async def main(house: House) -> None:
        for key, (number, version) in seen.items():
            entry = await house.kv.get("t", "n", key)
            assert entry is not None
            # The last word may have been lost on its way to us, but not on its way to the disk.
            assert (int(entry["value"]), entry["version"]) >= (number, version)
        await house.counted()

    run(tmp_path / "db", main)


def test_writes_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        before = kv.database.commits
        await asyncio.gather(*(kv("put", f"{index}", b"x") for index in range(limits.KV_TENANT_CALLS_MAX)))
        assert kv.database.commits - before < limits.KV_TENANT_CALLS_MAX // 4

    run(tmp_path / "db", main)


@pytest.mark.parametrize(
    "size", [limits.KV_LARGE_BYTES - 1, limits.KV_LARGE_BYTES, limits.KV_LARGE_BYTES + 1, limits.KV_VALUE_BYTES_MAX]
)
def test_values_of_every_size_come_back_whole(tmp_path: Path, size: int) -> None:
    async def main(kv: House) -> None:
        value = bytes(index % 251 for index in range(size))
        await kv("put", "é" * 256, value)
        for entry in await asyncio.gather(*(kv("get", "é" * 256) for _ in range(10))):
            assert entry == {"value": value, "version": 1}
        await kv("put", "é" * 256, b"")
        assert (await kv("get", "é" * 256))["value"] == b""

    run(tmp_path / "db", main)


def test_large_values_wait_for_each_other_and_small_ones_for_none_of_them(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        await kv("put", "large", bytes(limits.KV_VALUE_BYTES_MAX))
        await kv("put", "small", b"x")
        share = kv.kv._shares[TENANT] = _Share()
        async with share.large:  # as if a large value were being read
            large = asyncio.ensure_future(kv("get", "large"))
            writing = asyncio.ensure_future(kv("put", "large", bytes(limits.KV_LARGE_BYTES + 1)))
            assert (await kv("get", "small"))["value"] == b"x"
            assert (await kv("put", "small", b"y"))["version"] == 3
            assert not large.done()
            assert not writing.done()
        await asyncio.gather(large, writing)

    run(tmp_path / "db", main)


def test_a_tenant_has_a_bounded_share_of_the_database(tmp_path: Path) -> None:
    async def main(kv: House) -> None:
        asked = [asyncio.ensure_future(kv("put", f"{index}", b"x")) for index in range(1_000)]
        await asyncio.sleep(0)
        assert len(kv.database._tasks) <= limits.KV_TENANT_CALLS_MAX
        await asyncio.gather(*asked)
        assert (await kv.counted())[0] == 1_000

    run(tmp_path / "db", main)


# ── against a model ─────────────────────────────────────────────────────────────────────────────────────────────

_keys = st.sampled_from(["a", "ab", "b", "é", "\0"])
_versions = st.one_of(st.none(), st.just("present"), st.just(0), st.integers(1, 9))
_steps = st.one_of(
    st.tuples(st.just("put"), _keys, st.binary(max_size=3), st.sampled_from([None, None, 1, 5]), _versions),
    st.tuples(st.just("delete"), _keys, _versions),
    st.tuples(st.just("get"), _keys),
    st.tuples(
        st.just("list"), st.sampled_from(["", "a", "b", "zz"]), st.integers(1, 4), st.sampled_from(["", "a", "b"])
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 4.0])),
    st.tuples(st.just("sweep")),
)


class Model:
    """A dict: key → (value, version, when it ends)."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[bytes, int, float]] = {}
        self.now = 0.0

    def there(self) -> dict[str, tuple[bytes, int, float]]:
        return {key: entry for key, entry in self.entries.items() if entry[2] > self.now}

    def version(self, key: str) -> int:
        return self.there().get(key, (b"", 0, 0.0))[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=30))
def test_kv_is_a_dict(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]) -> None:
    async def main(kv: House) -> None:
        model = Model()
        for step in steps:
            await take(kv, model, step)
        await kv.counted()

    run(tmp_path_factory.mktemp("kv") / "db", main)


async def take(kv: House, model: Model, step: tuple[Any, ...]) -> None:
    what = step[0]
    if what == "wait":
        model.now += step[1]
        kv.clock.advance(step[1])
    elif what == "sweep":
        await kv.kv.sweep()
        assert len(await kv.rows()) == len(model.there())
    elif what == "get":
        there = model.there().get(step[1])
        assert await kv("get", step[1]) == (None if there is None else {"value": there[0], "version": there[1]})
    elif what == "list":
        keys = sorted((key for key in model.there() if key.startswith(step[1]) and key > step[3]), key=str.encode)
        assert await kv("list", step[1], limit=step[2], after=step[3]) == {
            "keys": keys[: step[2]],
            "more": len(keys) > step[2],
        }
    else:
        await change(kv, model, step)


async def change(kv: House, model: Model, step: tuple[Any, ...]) -> None:
    what, key, if_version = step[0], step[1], step[-1]
    present = model.version(key)
    wanted = present if if_version == "present" else if_version
    options = {} if wanted is None else {"if_version": wanted}
    if what == "put" and step[3] is not None:
        options["ttl_s"] = step[3]
    asked = kv(what, key, step[2] if what == "put" else None, **options)
    if wanted is not None and wanted != present:
        with pytest.raises(CallRefused) as refused:
            await asked
        assert refused.value.kind == "Conflict"
        return
    answer = await asked
    if what == "delete":
        assert answer is (present > 0)
        model.entries.pop(key, None)
        return
    assert answer["version"] > max([version for _, version, _ in model.entries.values()], default=0)
    model.entries[key] = (step[2], answer["version"], model.now + (step[3] or float("inf")))
