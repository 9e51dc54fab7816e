"""The engine: one wasmtime engine with its pools, and the linker with every import a guest may have.

Laws:
- One Engine a process serves; the builder makes its own, without pools. What changes generated code (`_codegen`) is the
  same in both, or the builder's artifacts would not load.
- Modules are compiled from the eight magic bytes on: wasmtime's constructor would also take WAT text.
- A host function never raises through wasm: the trampoline notes the failure on the running isolate and traps.
- Guests run on one thread, the event loop's; the running isolate is therefore one cell, and a host call needs no
  look-up.

Settings and their reasons are in `_codegen`, `_pools` and `_features`; the attacks behind them in SECURITY terms: every
proposal that is off is code of wasmtime's that a tenant cannot reach.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from .. import limits
from ..errors import ArtifactCorrupt, EngineFault, GuestError, ModuleInvalid, without_frames
from . import binding, workingset
from .fingerprint import CODEGEN, fingerprint
from .host import HostFunction, Wait
from .workingset import WorkingSet

MAGIC = b"\0asm\1\0\0\0"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What differs between processes. `pooling`: workers; without: the builder, one guest at a time."""

    pooling: bool = True
    isolates_max: int = limits.ISOLATES_MAX
    # The builder's first compilation runs once and is thrown away: unoptimised, it costs two thirds.
    optimise: bool = True
    tables_max: int = 4
    # Whether a guest has the process for itself, as in a builder: nobody waits for its slices to end.
    alone: bool = False


class Module:
    """Compiled code. `imports`: (module, name, kind) and `exports`: (name, kind) as wasmtime sees them."""

    __slots__ = ("__weakref__", "_module")

    def __init__(self, module: wasmtime.Module) -> None:
        self._module = module

    def serialize(self) -> bytes:
        return bytes(self._module.serialize())

    @property
    def address(self) -> int:
        return ctypes.cast(self._module.ptr(), ctypes.c_void_p).value or 0


class Code:
    """Compiled code whose memory and globals are imports: `names`, all from `state_module`. Each isolate defines its
    own."""

    __slots__ = ("module", "names", "state_module")

    def __init__(self, module: Module, state_module: str, names: Sequence[str]) -> None:
        self.module = module
        self.state_module = state_module.encode()
        self.names = tuple(name.encode() for name in names)


class Template:
    """A module with its imports resolved: what isolates are instantiated from. Owns its InstancePre and keeps its
    module.

    With `code`, the module is a state, which exports what the code imports (snapshot/split.py). `initialisers` are the
    exports that an isolate of a snapshot which is not initialised calls first.
    """

    __slots__ = ("address", "code", "initialisers", "module", "penance_ends_ns", "slice_fuel", "written")

    def __init__(
        self,
        module: Module,
        address: int,
        code: Code | None = None,
        initialisers: tuple[str, ...] = ("_initialize", "isolet_init"),
    ) -> None:
        self.module = module
        self.address = address
        self.code = code
        self.initialisers = initialisers
        # The fuel of its isolates' first slices, and until when they get no larger (isolate.py).
        self.slice_fuel = limits.SLICE_FIRST_FUEL
        self.penance_ends_ns = 0
        # What an invocation wrote of its memory; None until one was looked at (workingset.py).
        self.written: WorkingSet | None = None

    def __del__(self) -> None:
        address, self.address = self.address, 0
        if address:
            binding.instance_pre_delete(address)


class Engine:
    """wasmtime's engine, its linker, and the cell of the isolate that is running."""

    def __init__(self, settings: EngineSettings, imports: Sequence[HostFunction] = ()) -> None:
        self.settings = settings
        self._fingerprint = fingerprint()
        config = wasmtime.Config()
        configure(config, settings)
        if settings.pooling:
            _pools(config, settings)
            if not settings.alone:  # a builder restores nothing twice, and holds no descriptor without need
                workingset.prepare()
        self._engine = wasmtime.Engine(config)
        self.address: int = ctypes.cast(self._engine.ptr(), ctypes.c_void_p).value or 0
        self.tables_max = settings.tables_max
        self.running: list[Any] = [None]
        self.frames: list[binding.Frame] = []
        self.live = 0  # isolates with a Store
        # Runs the steps that free a large isolate, for the tenant and function that its state names. None: at once.
        self.bury: Callable[[Any, Generator[None, None, None]], None] | None = None
        self._keep: list[object] = []  # callbacks live as long as the linker
        self._linker: int = binding.linker_new(self.address)
        # Where code finds its state: each isolate defines its own memory and globals here, over those of the one
        # before. Not the linker above: nothing of a Store's may be found by a module that is linked for all.
        self.state_linker: int = binding.linker_new(self.address)
        self._continuation = binding.Continuation(self._continue)
        for function in imports:
            self._define(function)
        binding.linker_allow_shadowing(self.state_linker, True)

    # ── modules ─────────────────────────────────────────────────────────────────────────────────────────────────

    def compile(self, wasm: bytes) -> Module:
        """Compiles a core module. Takes from milliseconds to seconds; hostile input may take the process: builder only.

        Raises ModuleInvalid with the validator's message.
        """
        if wasm[:8] != MAGIC:
            raise ModuleInvalid("not a core WebAssembly module: it must start with 00 61 73 6d 01 00 00 00")
        try:
            return Module(wasmtime.Module(self._engine, wasm))
        except wasmtime.WasmtimeError as error:
            raise ModuleInvalid(" ".join(str(error).split())) from None

    def load(self, path: str) -> Module:
        """Maps a compiled artifact. Only a file whose MAC was verified: wasmtime trusts its content.

        Raises ArtifactCorrupt if wasmtime refuses it (another version, other settings).
        """
        try:
            return Module(wasmtime.Module.deserialize_file(self._engine, path))
        except wasmtime.WasmtimeError as error:
            raise ArtifactCorrupt(f"wasmtime does not load the artifact: {' '.join(str(error).split())}") from None

    def link(self, module: Module) -> Template:
        """Resolves the imports of `module`. Raises ModuleInvalid if one is unknown or of another type."""
        out = ctypes.c_uint64()
        error = binding.instantiate_pre(self._linker, module.address, ctypes.addressof(out))
        if error:
            raise ModuleInvalid(" ".join(binding.take_error(error).split()))
        template = Template(module, out.value)
        if self.settings.alone:
            template.slice_fuel = limits.SLICE_FUEL
        return template

    def link_state(self, state: Module, code: Code, initialisers: tuple[str, ...]) -> Template:
        """A state with the code that runs on it. Raises ModuleInvalid if `state` imports anything."""
        template = self.link(state)
        template.code = code
        template.initialisers = initialisers
        return template

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that change whenever an artifact of another engine must not be loaded here."""
        return self._fingerprint

    # ── host functions ──────────────────────────────────────────────────────────────────────────────────────────

    def _define(self, function: HostFunction) -> None:
        module, name = function.module.encode(), function.name.encode()
        type_ = binding.functype(function.params, function.results)
        if function.suspends:
            callback: Any = binding.AsyncFuncCallback(self._suspending(function))
            define = binding.define_async_func
        else:
            callback = binding.FuncCallback(self._immediate(function))
            define = binding.define_func
        callback_at = ctypes.cast(callback, ctypes.c_void_p).value
        for linker in (self._linker, self.state_linker):
            error = define(linker, module, len(module), name, len(name), type_, callback_at, None, None)
            if error:
                raise EngineFault(f"{function.module}.{function.name}: {binding.take_error(error)}")
        binding.functype_delete(type_)
        self._keep.append(callback)

    def _immediate(self, function: HostFunction) -> Callable[..., int]:
        """The callback of a host function that answers at once. Raw values are 16 bytes apart."""
        running, run = self.running, function.func
        decode = struct.Struct("<" + "".join(_RAW[p] for p in function.params)).unpack
        raw_bytes = binding.VAL_RAW_BYTES * len(function.params)
        result = _RESULT.get(function.results)
        string_at = binding.string_at

        def callback(_env: int, caller: int, raw: int, _count: int) -> int:
            isolate = running[0]
            try:
                if not isolate.born:
                    isolate.find_memory(caller)
                isolate.host_calls += 1
                answer = run(isolate, *decode(string_at(raw, raw_bytes)))
                if result is not None:
                    result.from_address(raw).value = answer
                return 0
            except BaseException as error:
                return _failed(isolate, function, error)

        return callback

    def _suspending(self, function: HostFunction) -> Callable[..., None]:
        """The callback of a host function that may suspend. Values are 32 bytes apart, their bits in the second
        word."""
        running, run, continuation = self.running, function.func, self._continuation
        decode = struct.Struct("<" + "".join(_VAL[p] for p in function.params)).unpack
        val_bytes = binding.VAL_BYTES * len(function.params)
        kind = _KIND[function.results]
        continuation_at = ctypes.cast(continuation, ctypes.c_void_p).value or 0

        def callback(
            _env: int, caller: int, args: int, _nargs: int, results: int, _nresults: int, trap: int, then: int
        ) -> None:
            isolate = running[0]
            words = (ctypes.c_uint64 * 3).from_address(then)
            words[0], words[1], words[2] = continuation_at, 0, 0
            isolate.wait = None
            try:
                if not isolate.born:
                    isolate.find_memory(caller)
                isolate.host_calls += 1
                answer = run(isolate, *decode(binding.string_at(args, val_bytes)))
                if isinstance(answer, Wait):
                    isolate.wait, isolate.wait_result_at = answer, results
                else:
                    _write_val(results, kind, answer)
            except BaseException as error:
                ctypes.c_uint64.from_address(trap).value = _failed(isolate, function, error)

        return callback

    def _continue(self, _env: int) -> bool:
        """Polled while a suspending host function is under way: True once its answer is in the guest's result slot."""
        isolate = self.running[0]
        wait = isolate.wait
        if wait is None:
            return True
        if not wait.ready:
            return False
        isolate.wait = None
        _write_val(isolate.wait_result_at, binding.KIND_I32, wait.status)
        return True

    def close(self) -> None:
        """Deletes the linkers; every isolate and template must be gone. For tests that make many engines."""
        linkers = (self._linker, self.state_linker)
        self._linker = self.state_linker = 0
        for linker in filter(None, linkers):
            binding.linker_delete(linker)


# A parameter in a raw value (16 bytes) and in a wasmtime_val_t (32 bytes, bits at 8).
_RAW = {"i": "I12x", "I": "Q8x", "f": "f12x", "d": "d8x"}
_VAL = {"i": "8xI20x", "I": "8xQ16x", "f": "8xf20x", "d": "8xd16x"}
_RESULT: dict[str, Any] = {"i": ctypes.c_uint32, "I": ctypes.c_uint64, "f": ctypes.c_float, "d": ctypes.c_double}
_KIND = {"": 0, "i": binding.KIND_I32, "I": binding.KIND_I64}


def _write_val(at: int, kind: int, value: int | None) -> None:
    words = (ctypes.c_uint64 * 2).from_address(at)
    words[0] = kind
    words[1] = (value or 0) & 0xFFFFFFFFFFFFFFFF


def _failed(isolate: Any, function: HostFunction, error: BaseException) -> int:
    """Notes why the host ended this guest, and makes the trap that does it. Never raises."""
    if not isinstance(error, GuestError):
        where = f"{function.module}.{function.name}"
        error = EngineFault(f"host function {where} failed: {type(error).__name__}: {error}")
    without_frames(error)
    if isolate is not None:
        isolate.failure = error
    return int(binding.trap_new(b"ended by the host", 17))


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────


def configure(config: wasmtime.Config, settings: EngineSettings) -> None:
    """What is off, and how code is made: all of an engine's settings but its pools."""
    _features(config)
    _codegen(config, settings)


def _codegen(config: wasmtime.Config, settings: EngineSettings) -> None:
    for name, value in CODEGEN.items():
        setattr(config, name, value)
    config.strategy = "cranelift"  # never Winch
    config.cranelift_opt_level = "speed" if settings.optimise else "none"
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), limits.FIBER_STACK_BYTES)
    # A worker compiles states only, which have no code: threads for it would serve nobody.
    ffi.wasmtime_config_parallel_compilation_set(config.ptr(), not settings.pooling)


def _features(config: wasmtime.Config) -> None:
    """Off: whatever no compiler of ours needs. (Switching reference types or SIMD off aborts the process: they
    stay.)"""
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_exceptions = False
    config.wasm_function_references = False
    config.wasm_gc = False
    config.gc_support = False
    config.wasm_component_model = False
    config.wasm_stack_switching = False
    config.wasm_custom_page_sizes = False
    config.wasm_wide_arithmetic = False
    config.shared_memory = False
    # Deterministic where it is used at all: a relaxed result may not differ between machines.
    config.wasm_relaxed_simd_deterministic = True


def _pools(config: wasmtime.Config, settings: EngineSettings) -> None:
    """Slots for everything an isolate has, all sized together: the smallest pool would be the limit of all."""
    count = settings.isolates_max
    pool = ffi.wasmtime_pooling_allocation_config_new()
    for name, value in {
        "total_core_instances": 2 * count,  # a state and its code are two
        "total_memories": count,
        "total_tables": count * settings.tables_max,
        "total_stacks": count,
        # A VMContext of a Go program with 6,000 functions takes 200 KB; the size is reserved, not touched.
        "max_core_instance_size": 4 * limits.MIB,
        "max_tables_per_module": settings.tables_max,
        "max_memories_per_module": 1,
        "max_memory_size": limits.MEMORY_MB_MAX * limits.MIB,
        "table_elements": limits.TABLE_ELEMENTS_MAX,
        "linear_memory_keep_resident": limits.MEMORY_KEEP_RESIDENT_BYTES,
        "table_keep_resident": 16 * limits.KIB,
        "async_stack_keep_resident": 16 * limits.KIB,
        # Slots that keep their copy-on-write image: the next isolate of the same function resets pages instead of
        # mapping anew.
        "max_unused_warm_slots": count,
    }.items():
        getattr(ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    ffi.wasmtime_pooling_allocation_config_delete(pool)


def wat(text: str | bytes) -> bytes:
    """WAT text as a binary module. Raises ModuleInvalid with the parser's message, line and column."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise ModuleInvalid(str(error)) from None
