"""wasmtime-py's public classes: a Store and an instance per call, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from isolet.lab.works import Work

from .. import building

NAME = "wasmtime-py, public classes"
KIND = "call"
LANGUAGES = ("c",)
FRESH = True
DIFFERS = {
    "instance": "fresh for every call, from the pooling allocator; initialised in every one",
    "isolation": "wasm, in the caller's process",
    "metering": "fuel and a memory limit; no deadline",
    "note": "no HTTP, no event: bytes in, bytes out",
}
_FUEL = 10**12
_MEMORY = 16 * 1024 * 1024


def install(cache: Path) -> str:
    return building.installed("wasmtime")


@contextlib.contextmanager
def calling(work: Work, language: str, cache: Path) -> Iterator[Callable[[str], str]]:
    import wasmtime

    config = wasmtime.Config()
    config.consume_fuel = True
    pool = wasmtime.PoolingAllocationConfig() if hasattr(wasmtime, "PoolingAllocationConfig") else None
    if pool is not None:
        config.allocation_strategy = pool
    engine = wasmtime.Engine(config)
    module = wasmtime.Module(engine, building.module(work.name, Path(__file__).parent / "shim.c", cache))
    linker = wasmtime.Linker(engine)
    linker.define_wasi()

    def call(body: str) -> str:
        store = wasmtime.Store(engine)
        store.set_limits(_MEMORY, 10_000, 1, 4, 1)
        store.set_fuel(_FUEL)
        store.set_wasi(wasmtime.WasiConfig())
        exports = linker.instantiate(store, module).exports(store)
        exports["_initialize"](store)
        exports["prepare_work"](store)
        payload = body.encode()
        at = exports["buffer"](store, len(payload))
        memory = exports["memory"]
        memory.write(store, payload, at)
        packed = exports["handle"](store, at, len(payload)) & 0xFFFFFFFFFFFFFFFF
        start = packed >> 32
        return bytes(memory.read(store, start, start + (packed & 0xFFFFFFFF))).decode()

    yield call
