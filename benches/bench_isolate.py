"""The life of an isolate: pack, restore, call, unpack, free; and the restore alone against a cold start.

Claims: a full life costs at most 0.30 of the same through wasmtime-py's public classes; a function with state to
initialise is restored in microseconds, whatever its initialisation took.

Control and ours run the same module bytes for the life (functions/hello, C), in the same process, in interleaved
rounds. The control is what the documentation of wasmtime-py shows: Store, set_limits, set_fuel, Linker.instantiate,
exports by name, Memory.write and read; its engine has the pooling allocator and fuel as ours has. Both pack the same
event and unpack the same outcome with msgpack.

How a reader could be misled: nothing here goes through a socket (bench_http.py does), both sides are warm, and the
control does not suspend: it could not run a second guest meanwhile.

What was tried, in this order, life of hello (same machine, rounds as below):
- nested generators (instantiate, handle) in `serve`: 22.0 µs; one flat generator: 19.9.
- resident slot of 32 KiB with a 16 MiB stack before the data (the C compiler's default): 22; 128 KiB with a stack of 64
  KiB: 16.6. Every page that must fault in again costs about 2.5 µs here, unmapping another 2.
- argument kinds and empty trap slots kept as invariants of a frame instead of written each time: 0.6 µs.
Refused: PyDLL against CDLL for the calls (releasing the lock 20 times an isolate costs 1.5 µs and lets a thread keep
it).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import msgpack
import wasmtime
from wasmtime import _ffi as ffi

from harness import Comparison, Contender, arguments, compare, microseconds, write_result
from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, Template
from isolet.engine.isolate import Isolate, drive
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages.build import build
from isolet.manifest import load
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Maker

ROOT = Path(__file__).parent.parent
MEMORY = 64 * limits.MIB
FUEL = 10_000_000_000
EVENT = {"hello": "world", "padding": "x" * 170}
REQUEST_ID = "0b2f3f52-9d5c-4f36-8a5e-5d5b0f7c3f11"


def constants() -> HostConstants:
    return HostConstants(
        name="hello", version="$LATEST", arn="arn:bench", memory_mb=64, environment=(), package={}, handler="handle"
    )


def packed_constants() -> bytes:
    return abi.pack_constants(name="hello", version="$LATEST", arn="arn:bench", memory_mb=64, log_stream="bench")


# ── ours ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Ours:
    """A frozen module, and lives of its isolates as the invoker runs them."""

    def __init__(self, engine: Engine, maker: Maker, wasm: bytes) -> None:
        host = constants()
        made = maker.make(wasm, Guest(MEMORY, lambda: HostState(host, initialising=True), None))
        path = Path(sys.argv[0]).parent / "results" / ".bench.cwasm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made.artifact)
        try:
            self.template: Template = engine.link(engine.load(str(path)))
        finally:
            path.unlink()
        self.engine, self.host, self.info = engine, host, made.info
        self.constants = packed_constants()

    def life(self) -> Any:
        payload = abi.pack_envelope(msgpack.packb(EVENT), self.constants, REQUEST_ID, 1_700_000_000_000, bytes(16))
        isolate = Isolate(self.engine, self.template, MEMORY, FUEL, HostState(self.host))
        outcome = drive(isolate.serve(payload, self.info.buffer_ptr, self.info.buffer_len))
        return abi.unpack_outcome(outcome)

    def restore(self) -> None:
        isolate = Isolate(self.engine, self.template, MEMORY, FUEL)
        drive(isolate.instantiate())
        isolate.close()


# ── controls ────────────────────────────────────────────────────────────────────────────────────────────────────


def public_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    pool = ffi.wasmtime_pooling_allocation_config_new()
    ffi.wasmtime_pooling_allocation_config_max_memory_size_set(pool, limits.MEMORY_MB_MAX * limits.MIB)
    ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    ffi.wasmtime_pooling_allocation_config_delete(pool)
    return wasmtime.Engine(config)


class Public:
    """The same module through wasmtime-py's public classes. `cold`: initialised in every instance."""

    def __init__(self, engine: wasmtime.Engine, wasm: bytes, cold: bool) -> None:
        self.engine, self.cold = engine, cold
        self.module = wasmtime.Module(engine, wasm)
        self.linker = wasmtime.Linker(engine)
        self.linker.define_wasi()
        for function in IMPORTS:
            if function.module == abi.MODULE:
                self._define(function.name, function.params, function.results)
        self.constants = {"function_name": "hello", "function_version": "$LATEST", "function_arn": "arn:bench"} | {
            "memory_limit_mb": 64,
            "log_group": "/aws/lambda/hello",
            "log_stream": "bench",
        }

    def _define(self, name: str, params: str, results: str) -> None:
        i32 = wasmtime.ValType.i32()
        kind = wasmtime.FuncType([i32] * len(params), [i32] * len(results))
        self.linker.define_func(abi.MODULE, name, kind, lambda *_: -2 if results else None)

    def life(self) -> Any:
        store = wasmtime.Store(self.engine)
        store.set_limits(MEMORY, limits.TABLE_ELEMENTS_MAX, 1, 4, 1)
        store.set_fuel(FUEL)
        store.set_wasi(wasmtime.WasiConfig()) if self.cold else None
        exports = self.linker.instantiate(store, self.module).exports(store)
        if self.cold:
            for name in ("_initialize", "isolet_init"):
                if name in exports:
                    exports[name](store)
        context = self.constants | {"request_id": REQUEST_ID, "deadline_ms": 1_700_000_000_000, "entropy": bytes(16)}
        payload = msgpack.packb({"event": EVENT, "context": context})
        memory = exports["memory"]
        ptr = exports["isolet_buffer"](store, len(payload))
        memory.write(store, payload, ptr)
        packed = exports["isolet_handle"](store, ptr, len(payload)) & 0xFFFFFFFFFFFFFFFF
        outcome = bytes(memory.read(store, packed >> 32, (packed >> 32) + (packed & 0xFFFFFFFF)))
        used = FUEL - store.get_fuel()
        assert used > 0
        return msgpack.unpackb(outcome)["ok"]


# ── the bench ───────────────────────────────────────────────────────────────────────────────────────────────────


def wasm_of(directory: Path) -> bytes:
    return build(directory, load(directory)).wasm


def main() -> None:
    parsed = arguments(__doc__ or "")
    engine = Engine(EngineSettings(isolates_max=64), IMPORTS)
    maker, public = Maker(IMPORTS), public_engine()
    comparisons: list[Comparison] = []

    hello = wasm_of(ROOT / "functions" / "hello")
    ours, control = Ours(engine, maker, hello), Public(public, hello, cold=False)
    assert ours.life() == control.life(), "both sides answer the same"
    comparisons.append(_compare(parsed, "life of an isolate, hello in C", control.life, ours.life, ours.restore))

    for name, what in (("table", "C, 1 MiB table filled in init"), ("gomap", "Go, 20,000-entry map built in init()")):
        wasm = wasm_of(ROOT / "benches" / "guests" / name)
        ours, control = Ours(engine, maker, wasm), Public(public, wasm, cold=True)
        assert ours.life() == control.life(), "both sides answer the same"
        comparisons.append(_compare(parsed, f"cold against restored: {what}", control.life, ours.life, ours.restore))
    write_result("isolate", parsed, comparisons=[comparison.as_json() for comparison in comparisons])


def _compare(
    parsed: Any, title: str, control: Callable[[], Any], life: Callable[[], Any], restore: Callable[[], Any]
) -> Comparison:
    calls = 20 if parsed.smoke else 2000
    slow = microseconds(control, 3)() > 1000
    return compare(
        title,
        "µs",
        (
            Contender("wasmtime-py's public classes", microseconds(control, max(3, calls // 50) if slow else calls)),
            Contender("isolet: full life", microseconds(life, calls)),
            Contender("isolet: restore alone", microseconds(restore, calls)),
        ),
        parsed.rounds,
    )


if __name__ == "__main__":
    main()
