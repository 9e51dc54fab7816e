"""An interpreter's parts: made once, taken from a cache, mended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from isolet.errors import StorageUnavailable
from isolet.model import SnapshotInfo
from isolet.preparing import parts
from isolet.storage.artifacts import KEY_BYTES, Artifacts

pytestmark = pytest.mark.anyio

INFO = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)
KEY = b"an interpreter"


class Server:
    """One with its own artifacts and key; it makes parts when it must."""

    def __init__(self, directory: Path, name: str) -> None:
        self.artifacts = Artifacts(directory / name, name.encode().ljust(KEY_BYTES), b"engine")
        self.kept = Artifacts(directory / "kept", b"kept".ljust(KEY_BYTES), b"engine")
        self.made = 0

    async def make(self) -> Mapping[str, str]:
        self.made += 1
        await asyncio.sleep(0)
        digests = {part: self.artifacts.write(part.encode(), INFO).digest for part in ("code", "base")}
        self.artifacts.bind(KEY, digests)
        return digests

    async def parts(self, damaged: bool = False) -> Mapping[str, str]:
        return await parts(self.artifacts, self.kept, KEY, self.make, damaged=damaged)

    def content(self, digest: str) -> bytes:
        with self.artifacts.open(digest) as verified:
            return Path(verified.path).read_bytes()


async def test_builds_that_begin_at_once_make_the_parts_once(tmp_path: Path) -> None:
    server = Server(tmp_path, "one")
    found = await asyncio.gather(*(server.parts() for _ in range(5)))
    assert server.made == 1
    assert all(each == found[0] for each in found)
    assert server.content(found[0]["code"]) == b"code"


async def test_second_server_takes_the_parts_that_the_first_one_made(tmp_path: Path) -> None:
    one, two = Server(tmp_path, "one"), Server(tmp_path, "two")
    assert await one.parts() == await two.parts()
    assert (one.made, two.made) == (1, 0)
    assert two.content((await two.parts())["base"]) == b"base"


async def test_what_is_damaged_in_the_cache_is_made_again_and_mended(tmp_path: Path) -> None:
    digests = await Server(tmp_path, "one").parts()
    content = tmp_path / "kept" / f"{digests['code']}.cwasm"
    content.write_bytes(b"c0de")
    two, three = Server(tmp_path, "two"), Server(tmp_path, "three")
    assert two.content((await two.parts())["code"]) == b"code"
    assert three.content((await three.parts())["code"]) == b"code"
    assert (two.made, three.made) == (1, 0)


async def test_what_a_builder_found_damaged_comes_from_the_cache_again(tmp_path: Path) -> None:
    server = Server(tmp_path, "one")
    digests = await server.parts()
    (tmp_path / "one" / f"{digests['code']}.cwasm").write_bytes(b"c0de")
    assert await server.parts(damaged=True) == digests
    assert server.content(digests["code"]) == b"code"
    assert server.made == 1


async def test_failure_to_make_leaves_the_lock_to_the_next(tmp_path: Path) -> None:
    server = Server(tmp_path, "one")
    make = server.make

    async def fails() -> Mapping[str, str]:
        raise StorageUnavailable("the disk is full")

    server.make = fails  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        await server.parts()
    server.make = make  # type: ignore[method-assign]
    assert set(await server.parts()) == {"code", "base"}
