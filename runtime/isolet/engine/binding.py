"""The wheel's C API with prototypes of our own: what runs once per invocation, or once per host call.

wasmtime-py's public classes build Python objects for every value and are synchronous only; the shared library that the
wheel carries exports the asynchronous half too. Our prototypes take and give plain integers (addresses), arguments
are preallocated words, and nothing is converted.

Laws:
- Addresses are ints; 0 is NULL. Who makes a thing deletes it: a Store after its futures.
- Calls hold the GIL (`PyDLL`): releasing it around a 0.1 µs call costs as much as the call, and another Python thread
  that took it in a slice would keep it for a whole switch interval (5 ms). What compiles or loads uses the public
  classes, which release it.
- The layouts of `Frame` are checked against wasmtime-py's own structures at import.

Where there was a C compiler, the calls do without ctypes (`_calls.c`): they take ints, bytes and None.

Measured (2 cores, CPython 3.11, wasmtime 50.0.1): a call through ctypes and these prototypes 0.15–0.30 µs, the same
through the public classes' wrappers 0.5–1.2 µs; through `_calls.c` 0.02 µs, which takes a sixth of a worker's CPU time
for a hello over HTTP.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from ctypes import c_bool, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any, Final

from wasmtime import _ffi as _public

_calls: Any = None
with contextlib.suppress(ImportError):  # it need not be compiled
    _calls = importlib.import_module("._calls", __package__)

# Whether they are: for reports.
are_compiled: Final = _calls is not None

_library = ctypes.PyDLL(str(_public.filename))
_RESULTS: Final = {None: "v", c_void_p: "p", c_bool: "b", c_size_t: "u", c_uint64: "u"}


def _prototype(name: str, restype: Any, *argtypes: Any) -> Any:
    return prototype(_library, name, restype, *argtypes)


def prototype(library: ctypes.CDLL, name: str, restype: Any, *argtypes: Any) -> Any:
    """A function of `library`. What it is given must be ints, bytes and None."""
    function = getattr(library, name)
    function.restype = restype
    function.argtypes = argtypes
    if _calls is None:
        return function
    return _calls.Call(ctypes.cast(function, c_void_p).value or 0, _RESULTS[restype], len(argtypes))


if _calls is None:
    memmove, string_at = ctypes.memmove, ctypes.string_at
else:
    memmove, string_at = _calls.memmove, _calls.string_at


_P = c_void_p

# ── a Store's life ──────────────────────────────────────────────────────────────────────────────────────────────
store_new = _prototype("wasmtime_store_new", _P, _P, _P, _P)  # (engine, data, finalizer) → store
store_context = _prototype("wasmtime_store_context", _P, _P)
# (store, memory_bytes, table_elements, instances, tables, memories)
store_limiter = _prototype("wasmtime_store_limiter", None, _P, c_int64, c_int64, c_int64, c_int64, c_int64)
store_delete = _prototype("wasmtime_store_delete", None, _P)
set_fuel = _prototype("wasmtime_context_set_fuel", _P, _P, c_uint64)  # → error
get_fuel = _prototype("wasmtime_context_get_fuel", _P, _P, _P)  # (context, out u64*) → error
set_yield_interval = _prototype("wasmtime_context_fuel_async_yield_interval", _P, _P, c_uint64)  # → error

# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────
# (instance_pre, context, instance*, trap**, error**) → future
instantiate_async = _prototype("wasmtime_instance_pre_instantiate_async", _P, _P, _P, _P, _P, _P)
# (instance_pre, context, instance*, trap**) → error; only while the Store does not yield, and without imports that
# suspend
instantiate_now = _prototype("wasmtime_instance_pre_instantiate", _P, _P, _P, _P, _P)
# (linker, context, module, instance*, trap**, error**) → future
linker_instantiate_async = _prototype("wasmtime_linker_instantiate_async", _P, _P, _P, _P, _P, _P, _P)
# (context, func*, args*, nargs, results*, nresults, trap**, error**) → future
call_async = _prototype("wasmtime_func_call_async", _P, _P, _P, _P, c_size_t, _P, c_size_t, _P, _P)
future_poll = _prototype("wasmtime_call_future_poll", c_bool, _P)
future_delete = _prototype("wasmtime_call_future_delete", None, _P)

# ── reaching into an instance ───────────────────────────────────────────────────────────────────────────────────
# (context, instance*, name, name_len, extern*) → found
export_get = _prototype("wasmtime_instance_export_get", c_bool, _P, _P, ctypes.c_char_p, c_size_t, _P)
# (caller, name, name_len, extern*) → found: the same from inside a host function
caller_export_get = _prototype("wasmtime_caller_export_get", c_bool, _P, ctypes.c_char_p, c_size_t, _P)
memory_data = _prototype("wasmtime_memory_data", _P, _P, _P)  # (context, memory*) → address
memory_data_size = _prototype("wasmtime_memory_data_size", c_size_t, _P, _P)
global_get = _prototype("wasmtime_global_get", None, _P, _P, _P)  # (context, global*, val*)
table_size = _prototype("wasmtime_table_size", c_uint64, _P, _P)
table_get = _prototype("wasmtime_table_get", c_bool, _P, _P, c_uint64, _P)  # (context, table*, index, val*) → in bounds

# ── linking ─────────────────────────────────────────────────────────────────────────────────────────────────────
linker_new = _prototype("wasmtime_linker_new", _P, _P)
linker_delete = _prototype("wasmtime_linker_delete", None, _P)
_NAME = (ctypes.c_char_p, c_size_t)
define_func = _prototype("wasmtime_linker_define_func_unchecked", _P, _P, *_NAME, *_NAME, _P, _P, _P, _P)
define_async_func = _prototype("wasmtime_linker_define_async_func", _P, _P, *_NAME, *_NAME, _P, _P, _P, _P)
linker_allow_shadowing = _prototype("wasmtime_linker_allow_shadowing", None, _P, c_bool)
linker_define = _prototype("wasmtime_linker_define", _P, _P, _P, *_NAME, *_NAME, _P)  # (linker, context, …, extern*)
instantiate_pre = _prototype("wasmtime_linker_instantiate_pre", _P, _P, _P, _P)  # (linker, module, out) → error
instance_pre_delete = _prototype("wasmtime_instance_pre_delete", None, _P)
functype_new = _prototype("wasm_functype_new", _P, _P, _P)  # takes both vectors
functype_delete = _prototype("wasm_functype_delete", None, _P)
valtype_new = _prototype("wasm_valtype_new", _P, ctypes.c_uint8)
valtype_vec_new = _prototype("wasm_valtype_vec_new", None, _P, c_size_t, _P)

# ── what went wrong ─────────────────────────────────────────────────────────────────────────────────────────────
trap_new = _prototype("wasmtime_trap_new", _P, ctypes.c_char_p, c_size_t)
trap_code = _prototype("wasmtime_trap_code", c_bool, _P, _P)
trap_message = _prototype("wasm_trap_message", None, _P, _P)
trap_delete = _prototype("wasm_trap_delete", None, _P)
error_message = _prototype("wasmtime_error_message", None, _P, _P)
error_delete = _prototype("wasmtime_error_delete", None, _P)
byte_vec_delete = _prototype("wasm_byte_vec_delete", None, _P)

# Raw callbacks: (env, caller, raw values, count) → trap, and the asynchronous form with its continuation.
FuncCallback = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_void_p, c_size_t)
AsyncFuncCallback = ctypes.CFUNCTYPE(
    None, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p
)
Continuation = ctypes.CFUNCTYPE(c_bool, c_void_p)

VAL_BYTES: Final = ctypes.sizeof(_public.wasmtime_val_t)
VAL_RAW_BYTES: Final = ctypes.sizeof(_public.wasmtime_val_raw_t)
KIND_I32, KIND_I64, KIND_F32, KIND_F64, KIND_V128, KIND_FUNCREF, KIND_EXTERNREF = range(7)
EXTERN_FUNC, EXTERN_GLOBAL, EXTERN_TABLE, EXTERN_MEMORY = range(4)

assert (VAL_BYTES, VAL_RAW_BYTES) == (32, 16), "Frame counts a value as four words, host calls a raw one as two"
assert ctypes.sizeof(_public.wasmtime_extern_t) == 32, "Frame counts an extern as four words"
assert _public.wasmtime_extern_t.of.offset == 8, "an extern's item is its second word"
assert _public.wasmtime_val_t.of.offset == 8, "a value's bits are its second word"
assert ctypes.sizeof(_public.wasmtime_instance_t) == 16, "Frame counts an instance as two words"
assert ctypes.sizeof(_public.wasmtime_func_t) == 16, "a function is its store and one pointer"


class Frame:
    """The words that the C API reads and writes during one isolate's life, at addresses that never move.

    A future keeps pointers to its arguments, results and error slots until it is deleted, so they belong to the isolate
    and not to a call. Frames are reused through `free`: making one costs 2 µs.
    """

    __slots__ = (
        "arguments_at",
        "error_at",
        "fuel_at",
        "handle_at",
        "handle_extern_at",
        "instance_at",
        "item_at",
        "item_extern_at",
        "memory_at",
        "memory_extern_at",
        "result_at",
        "trap_at",
        "words",
    )

    INSTANCE, TRAP, ERROR, MEMORY, HANDLE, ITEM, ARGUMENTS, RESULT, FUEL, WORDS = 0, 2, 3, 4, 8, 12, 16, 32, 36, 38

    def __init__(self) -> None:
        if _calls is None:
            self.words: Any = (c_uint64 * Frame.WORDS)()
            at = ctypes.addressof(self.words)
        else:
            self.words = _calls.Words(Frame.WORDS)
            at = self.words.address
        self.instance_at = at
        self.trap_at = at + 8 * Frame.TRAP
        self.error_at = at + 8 * Frame.ERROR
        self.memory_extern_at = at + 8 * Frame.MEMORY
        self.memory_at = self.memory_extern_at + 8
        self.handle_extern_at = at + 8 * Frame.HANDLE
        self.handle_at = self.handle_extern_at + 8
        self.item_extern_at = at + 8 * Frame.ITEM
        self.item_at = self.item_extern_at + 8
        self.arguments_at = at + 8 * Frame.ARGUMENTS
        self.result_at = at + 8 * Frame.RESULT
        self.fuel_at = at + 8 * Frame.FUEL


def _take_text(read: Any, thing: int) -> str:
    vector = (c_uint64 * 2)()  # wasm_byte_vec_t: size, data
    read(thing, ctypes.addressof(vector))
    text = ctypes.string_at(vector[1], vector[0]) if vector[0] else b""
    byte_vec_delete(ctypes.addressof(vector))
    return text.rstrip(b"\0").decode("utf-8", "replace")


def take_error(error: int) -> str:
    """The message of a wasmtime_error_t; the error is deleted."""
    try:
        return _take_text(error_message, error)
    finally:
        error_delete(error)


def take_trap(trap: int) -> tuple[int | None, str]:
    """A trap as plain values (code or None, message); the trap is deleted: keeping it would keep its Store's slot."""
    code = ctypes.c_uint8()
    try:
        has_code = trap_code(trap, ctypes.addressof(code))
        return (code.value if has_code else None), _take_text(trap_message, trap)
    finally:
        trap_delete(trap)


_KIND_OF = {"i": 0, "I": 1, "f": 2, "d": 3}


def _vector(types: str) -> Any:
    vector = (c_uint64 * 2)()
    kinds = (c_uint64 * max(1, len(types)))(*(valtype_new(_KIND_OF[t]) for t in types))
    valtype_vec_new(ctypes.addressof(vector), len(types), ctypes.addressof(kinds))
    return vector


def functype(params: str, results: str) -> int:
    """A new wasm_functype_t from spelled types ("iiI"); the caller deletes it."""
    parameters, outcomes = _vector(params), _vector(results)
    return int(functype_new(ctypes.addressof(parameters), ctypes.addressof(outcomes)))
