"""A worker's snapshots: one load for many who wait, a bound, and a rebuild for what is missing or corrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.engine.isolate import Isolate, drive
from isolet.errors import ModuleInvalid, StorageUnavailable
from isolet.model import SnapshotInfo
from isolet.snapshot.cache import SnapshotCache
from isolet.storage.artifacts import KEY_BYTES, Artifacts

pytestmark = pytest.mark.anyio

INFO = SnapshotInfo("", True, (), 65536, 65536, 131072, 0, 0, 0.0, 0)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineSettings(isolates_max=4))
    yield made
    made.close()


class Storage:
    """Artifacts on disk, and a keeper that builds what it is asked for."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.artifacts = Artifacts(directory, bytes(KEY_BYTES), engine.fingerprint)
        self.texts: dict[str, str] = {}
        self.rebuilt: list[str] = []
        self.changed = ""  # what a rebuild adds to the module, as clocks and random bytes would

    def build(self, number: int) -> SnapshotInfo:
        text = f'(module (memory (export "memory") 2) (global i32 (i32.const {number})) '
        info = self._store(text + ")")
        self.texts[info.digest] = text
        return info

    def _store(self, text: str) -> SnapshotInfo:
        return self.artifacts.write(self.engine.compile(wat(text)).serialize(), INFO)

    async def rebuild(self, digest: str) -> SnapshotInfo:
        self.rebuilt.append(digest)
        await asyncio.sleep(0)
        return self._store(self.texts[digest] + self.changed + ")")

    def cache(self, loaded_max: int = 10) -> SnapshotCache:
        return SnapshotCache(self.engine, self.artifacts, self.rebuild, lambda digest: {}, loaded_max)


@pytest.fixture
def storage(engine: Engine, tmp_path: Path) -> Storage:
    return Storage(engine, tmp_path)


async def test_loaded_snapshot_is_there_at_once(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    assert cache.peek(info.digest) is None
    loaded = await cache.load(info)
    assert cache.peek(info.digest) is loaded
    assert await cache.load(info) is loaded
    assert loaded.info == info
    assert storage.rebuilt == []


async def test_seal_is_believed_and_not_the_route(storage: Storage) -> None:
    info = storage.build(1)
    lie = SnapshotInfo(info.digest, True, (), 1, 2, 3, 4, 5, 6.0, 7)
    assert (await storage.cache().load(lie)).info == info


async def test_isolates_are_born_from_what_was_loaded(storage: Storage) -> None:
    loaded = await storage.cache().load(storage.build(1))
    isolate = Isolate(storage.engine, loaded.template, 1 << 20, 1_000)
    drive(isolate.instantiate())
    assert isolate.memory_size() == 131072
    isolate.close()


async def test_concurrent_loads_are_one(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    (storage.directory / f"{info.digest}.seal").unlink()
    loads = await asyncio.gather(*(cache.load(info) for _ in range(20)))
    assert len(set(map(id, loads))) == 1
    assert storage.rebuilt == [info.digest]


async def test_cancelled_load_goes_on_for_the_others(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    first, second = asyncio.ensure_future(cache.load(info)), asyncio.ensure_future(cache.load(info))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).info == info
    assert first.cancelled()


@pytest.mark.parametrize("suffix", [".cwasm", ".seal"])
async def test_corrupt_artifact_is_built_again(storage: Storage, suffix: str) -> None:
    cache, info = storage.cache(), storage.build(1)
    path = storage.directory / (info.digest + suffix)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    loaded = await cache.load(info)
    assert loaded.info == info
    assert storage.rebuilt == [info.digest]
    assert path.with_name(path.name + ".corrupt").exists()


async def test_rebuilt_snapshot_may_have_another_digest(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    (storage.directory / f"{info.digest}.seal").unlink()
    storage.changed = "(global i32 (i32.const 7))"
    loaded = await cache.load(info)
    assert loaded.info.digest != info.digest
    assert cache.peek(info.digest) is loaded


async def test_artifact_of_another_engine_is_built_again(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    storage.artifacts._fingerprint = b"an older engine"
    storage._store(storage.texts[info.digest] + ")")
    storage.artifacts._fingerprint = storage.engine.fingerprint
    await cache.load(info)
    assert storage.rebuilt == [info.digest]


async def test_failure_reaches_all_and_is_not_kept(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    text = storage.texts.pop(info.digest)
    (storage.directory / f"{info.digest}.seal").unlink()

    async def fails(digest: str) -> SnapshotInfo:
        raise StorageUnavailable("the disk is full")

    cache._rebuild = fails
    ended = await asyncio.gather(*(cache.load(info) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in ended] == [StorageUnavailable] * 3
    storage.texts[info.digest] = text
    cache._rebuild = storage.rebuild
    assert (await cache.load(info)).info == info


async def test_module_with_an_import_that_is_gone_is_refused(storage: Storage) -> None:
    info = storage._store('(module (import "isolet" "retired" (func)) (memory (export "memory") 1))')
    with pytest.raises(ModuleInvalid, match="retired"):
        await storage.cache().load(info)


async def test_least_recently_used_leaves_first(storage: Storage) -> None:
    cache = storage.cache(loaded_max=2)
    one, two, three = storage.build(1), storage.build(2), storage.build(3)
    await cache.load(one)
    await cache.load(two)
    cache.peek(one.digest)
    await cache.load(three)
    assert [cache.peek(info.digest) is not None for info in (one, two, three)] == [True, False, True]
    assert len(cache) == 2


async def test_template_outlives_its_place_in_the_cache(storage: Storage) -> None:
    cache = storage.cache(loaded_max=1)
    loaded = await cache.load(storage.build(1))
    isolate = Isolate(storage.engine, loaded.template, 1 << 20, 1_000)
    drive(isolate.instantiate())
    del loaded
    await cache.load(storage.build(2))
    assert isolate.memory_size() == 131072
    isolate.close()


async def test_forgotten_snapshot_is_loaded_anew(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    loaded = await cache.load(info)
    cache.forget(info.digest)
    assert cache.peek(info.digest) is None
    assert await cache.load(info) is not loaded


async def test_snapshot_that_is_forgotten_while_it_is_loaded_is_not_kept(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    loading = asyncio.ensure_future(cache.load(info))
    await asyncio.sleep(0)
    cache.forget(info.digest)
    assert (await loading).info == info
    assert cache.peek(info.digest) is None
    assert cache.image_bytes == 0
    assert (await cache.load(info)).info == info
    assert cache.peek(info.digest) is not None


async def test_snapshot_that_is_forgotten_while_it_is_loaded_and_asked_for_again_is_kept(storage: Storage) -> None:
    cache, info = storage.cache(), storage.build(1)
    loading = asyncio.ensure_future(cache.load(info))
    await asyncio.sleep(0)
    cache.forget(info.digest)
    again = asyncio.ensure_future(cache.load(info))
    assert await loading is await again
    assert cache.peek(info.digest) is await again


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────

IMAGE = 100_000


class Images(Storage):
    """Snapshots that say they hold IMAGE bytes each."""

    def _store(self, text: str) -> SnapshotInfo:
        return self.artifacts.write(self.engine.compile(wat(text)).serialize(), replace(INFO, image_bytes=IMAGE))

    def bounded(self, images: float, idle: float = 100, idle_s: float = 1000) -> SnapshotCache:
        return SnapshotCache(
            self.engine,
            self.artifacts,
            self.rebuild,
            lambda digest: {},
            image_bytes_max=int(images * IMAGE),
            idle_bytes_max=int(idle * IMAGE),
            idle_s=idle_s,
        )


@pytest.fixture
def images(engine: Engine, tmp_path: Path) -> Images:
    return Images(engine, tmp_path)


async def test_images_are_bounded_by_their_bytes_least_recently_used_first(images: Images) -> None:
    cache, infos = images.bounded(2.5), [images.build(number) for number in range(3)]
    for info in infos[:2]:
        await cache.load(info)
    cache.peek(infos[0].digest)
    await cache.load(infos[2])
    assert [cache.peek(info.digest) is not None for info in infos] == [True, False, True]
    assert cache.image_bytes == 2 * IMAGE
    cache.close()


async def test_one_image_that_is_larger_than_the_bound_is_kept_while_it_is_the_last(images: Images) -> None:
    cache, infos = images.bounded(0.5), [images.build(number) for number in range(2)]
    for info in infos:
        await cache.load(info)
    assert [cache.peek(info.digest) is not None for info in infos] == [False, True]
    cache.close()


async def test_what_nobody_calls_leaves_until_little_is_kept(images: Images) -> None:
    cache, infos = images.bounded(100, idle=2, idle_s=0.01), [images.build(number) for number in range(5)]
    for info in infos:
        await cache.load(info)
    async with asyncio.timeout(30):
        while len(cache) > 2:
            await asyncio.sleep(0.01)
    assert cache.image_bytes == 2 * IMAGE
    assert cache.peek(infos[4].digest) is not None, "the oldest leave first"
    assert (await cache.load(infos[0])).info == infos[0]
    cache.close()


async def test_what_is_called_stays(images: Images) -> None:
    cache, infos = images.bounded(100, idle=0, idle_s=0.01), [images.build(number) for number in range(2)]
    for info in infos:
        await cache.load(info)
    async with asyncio.timeout(30):
        while len(cache) > 1:
            assert cache.peek(infos[0].digest) is not None
            await asyncio.sleep(0)
    assert cache.peek(infos[0].digest) is not None
    cache.close()
