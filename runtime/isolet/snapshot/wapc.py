"""A waPC guest becomes a guest of ours: one pass, bytes in, bytes out (sdk/abi.md, section 11).

waPC is an ABI of bytes in, bytes out with SDKs of its own: the guest exports `__guest_call(operation_len,
payload_len)`, fetches both with the import `wapc.__guest_request`, and answers with `wapc.__guest_response` or
`__guest_error`. This pass appends the exports that our host calls; hostcalls/wapc.py is the other half of the
conversation.

Laws:
- A module that exports no `__guest_call`, or an `isolet_handle` of its own, is answered as it came, the same object.
- No import is added: imports come first among functions, so that every index in the code would change. Every guest
  imports `__guest_request`, and our glue goes through the same door, with operation addresses that no memory has.
- The guest's memory is the guest's. Its allocator may believe that whatever memory grew by is its own, so that the
  input buffer is pages that nobody has had, is read before the guest runs, and is zeros again when it does. The outcome
  lies wherever there is room, since nothing runs after it.

What became of `_start` and `wapc_init`: they are called, in this order, by `isolet_init`, and thus before the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .. import abi, limits
from ..errors import ModuleInvalid
from . import sections
from .sections import CODE, EXPORT, FUNCTION, GLOBAL, I32, I64, IMPORT, KIND_FUNCTION, MEMORY, TYPE, Module, Signature

GUEST_CALL: Final = "__guest_call"

_INITIALISERS: Final = ("_start", "wapc_init")
_NOTHING: Final = Signature(b"", b"")
_CALL: Final = Signature(bytes((I32, I32)), bytes((I32,)))
_REQUEST: Final = Signature(bytes((I32, I32)), b"")
_BUFFER: Final = Signature(bytes((I32,)), bytes((I32,)))
_HANDLE: Final = Signature(bytes((I32, I32)), bytes((I64,)))
# A guest that declares how large its memory may grow did not reckon with our buffers: an event and an outcome.
_PAGES_OURS: Final = 2 * (limits.PAYLOAD_BYTES_MAX + limits.ENVELOPE_BYTES_MAX) // limits.WASM_PAGE_BYTES
# Of wasi_unstable, what means the same in preview1: older TinyGo and Rust print with these.
_UNSTABLE: Final = frozenset(
    {
        *("args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get"),
        *("fd_close", "fd_fdstat_get", "fd_prestat_get", "fd_prestat_dir_name", "fd_read", "fd_write"),
        *("proc_exit", "random_get", "sched_yield"),
    }
)


def adapt(wasm: bytes) -> bytes:
    """`wasm`, or if it is a waPC guest, the guest that our host can run. ModuleInvalid if it is neither whole."""
    if GUEST_CALL.encode() not in wasm or len(wasm) > limits.MODULE_BYTES_MAX:
        return wasm
    module = sections.parse(wasm)
    exports = {e.name: e.target for e in module.exports if e.kind == KIND_FUNCTION}
    if GUEST_CALL not in exports or "isolet_handle" in exports:
        return wasm
    _require(module, GUEST_CALL, exports[GUEST_CALL], _CALL)
    initialisers = [(name, exports[name]) for name in _INITIALISERS if name in exports]
    for name, function in initialisers:
        _require(module, name, function, _NOTHING)
    return _extended(module, _request(module), exports[GUEST_CALL], [function for _, function in initialisers])


def _require(module: Module, name: str, function: int, expected: Signature) -> None:
    if function >= module.imported_functions + len(module.functions):
        raise ModuleInvalid(f"the export `{name}` is function {function:,}, which is not there")
    actual = module.signature(function)
    if actual != expected:
        raise ModuleInvalid(f"the export `{name}` is {actual}, and waPC has it as {expected}; use a waPC SDK")


def _request(module: Module) -> int:
    """The index of the imported `__guest_request`."""
    functions = (i for i in module.imports if i.kind == KIND_FUNCTION)
    for index, imported in enumerate(functions):
        if (imported.module, imported.name) == ("wapc", "__guest_request"):
            return index
    raise ModuleInvalid(
        f"the module exports `{GUEST_CALL}` and does not import `wapc.__guest_request`, which gives a waPC guest its "
        "requests; use a waPC SDK"
    )


def _extended(module: Module, request: int, guest_call: int, initialisers: list[int]) -> bytes:
    payloads = module.payloads()
    types = len(module.types)
    payloads[TYPE] = _appended(payloads[TYPE], map(_type, (_BUFFER, _HANDLE, _NOTHING)))
    if all(i.kind == KIND_FUNCTION for i in module.imports):  # others are refused, in validate.py's words
        payloads[IMPORT] = sections.vector(map(_import, module.imports))
    if len(module.memories) == 1:
        minimum, maximum = module.memories[0]
        if maximum is not None:
            payloads[MEMORY] = sections.vector([sections.bounds(minimum, min(maximum + _PAGES_OURS, 1 << 16))])
    payloads[GLOBAL] = _appended(payloads.get(GLOBAL, _NONE), [_ZERO, _ZERO])

    names = {
        "request": request,
        "guest_call": guest_call,
        "buffer": len(module.globals),
        "room": len(module.globals) + 1,
    }
    bodies = {
        "isolet_buffer": _assemble(1, _BUFFER_CODE, names),
        "isolet_handle": _assemble(2, _HANDLE_CODE, names),
    }
    if initialisers:
        bodies["isolet_init"] = _assemble(0, " ".join(f"call {function}" for function in initialisers) + " end", names)
    own = [sections.unsigned(types + i) for i in range(len(bodies))]
    payloads[FUNCTION] = _appended(payloads.get(FUNCTION, _NONE), own)
    code = [sections.unsigned(len(body)) + body for body in bodies.values()]
    payloads[CODE] = _appended(payloads.get(CODE, _NONE), code)
    first = module.imported_functions + len(module.functions)
    payloads[EXPORT] = sections.vector(
        (
            *(_export(e.name, e.kind, e.target) for e in module.exports if e.name not in (GUEST_CALL, *_INITIALISERS)),
            *(_export(name, KIND_FUNCTION, first + i) for i, name in enumerate(bodies)),
        )
    )
    return sections.emit(payloads)


# A section without entries.
_NONE: Final = b"\0"
# A mutable i32 that starts as 0.
_ZERO: Final = bytes((I32, 1, 0x41, 0, sections.END))


def _type(signature: Signature) -> bytes:
    return b"\x60" + b"".join(sections.vector(bytes((t,)) for t in side) for side in signature)


def _import(imported: sections.Import) -> bytes:
    module = imported.module
    if module == "wasi_unstable" and imported.name in _UNSTABLE:
        module = "wasi_snapshot_preview1"
    return sections.name(module) + sections.name(imported.name) + b"\0" + sections.unsigned(imported.type)


def _export(name: str, kind: int, target: int) -> bytes:
    return sections.name(name) + bytes((kind,)) + sections.unsigned(target)


def _appended(payload: bytes, entries: Iterable[bytes]) -> bytes:
    """A section that is one vector, with more entries at its end."""
    reader = sections.Reader(payload, 0, len(payload), "vector")
    count, added = reader.u32(), list(entries)
    return sections.unsigned(count + len(added)) + payload[reader.position :] + b"".join(added)


# ── the glue ────────────────────────────────────────────────────────────────────────────────────────────────────

# Fresh pages for `local {length}`: how many stays there, the first one's number is left on the stack, or -1.
_GROW: Final = """
    local.get {length} i32.const 1 i32.sub i32.const 16 i32.shr_u i32.const 1 i32.add local.tee {length}
    memory.grow 0"""

# (length) → address. Local 1 is the address.
_BUFFER_CODE: Final = f"""
    {_GROW.format(length=0)} local.tee 1 i32.const -1 i32.eq
    if i32.const 0 return end
    local.get 0 i32.const 16 i32.shl global.set room
    local.get 1 i32.const 16 i32.shl local.tee 1 global.set buffer
    local.get 1
    end"""

# (address, length of the envelope) → address << 32 | length of the outcome. Local 2 is the latter, local 3 the former.
# The host leaves the lengths of operation and payload, then that of the outcome, where the envelope was.
_HANDLE_CODE: Final = f"""
    i32.const {abi.WAPC_AT - (1 << 32)} local.get 0 call request
    i32.const {abi.WAPC_BEGIN - (1 << 32)} local.get 1 call request
    i32.const {abi.WAPC_END - (1 << 32)}
      local.get 0 i32.load 2 0
      local.get 0 i32.load 2 4
      local.get 0 i64.const 0 i64.store 3 0
      call guest_call
    call request
    local.get 0 local.set 3
    local.get 0 i32.load 2 0 local.tee 2 global.get room i32.gt_u
    if
      local.get 2 local.set 1
      {_GROW.format(length=1)} i32.const 1 i32.add i32.const 16 i32.shl local.tee 3
      if local.get 3 i32.const 65536 i32.sub local.set 3 end
    end
    i32.const {abi.WAPC_TAKE - (1 << 32)} local.get 3 call request
    local.get 3 i64.extend_i32_u i64.const 32 i64.shl local.get 2 i64.extend_i32_u i64.or
    end"""

_OPCODES: Final = {
    "if": b"\x04\x40", "end": b"\x0b", "return": b"\x0f", "call": b"\x10",
    "local.get": b"\x20", "local.set": b"\x21", "local.tee": b"\x22", "global.get": b"\x23", "global.set": b"\x24",
    "i32.load": b"\x28", "i64.store": b"\x37", "memory.grow": b"\x40", "i32.const": b"\x41", "i64.const": b"\x42",
    "i32.eq": b"\x46", "i32.gt_u": b"\x4b", "i32.add": b"\x6a", "i32.sub": b"\x6b", "i32.shl": b"\x74",
    "i32.shr_u": b"\x76", "i64.or": b"\x84", "i64.shl": b"\x86", "i64.extend_i32_u": b"\xad",
}  # fmt: skip


def _assemble(locals_: int, text: str, names: Mapping[str, int]) -> bytes:
    """A function's code with so many further locals of i32, from the names and immediates of its instructions."""
    code = bytearray(b"\1" + sections.unsigned(locals_) + bytes((I32,)) if locals_ else b"\0")
    immediate = sections.unsigned
    for word in text.split():
        opcode = _OPCODES.get(word)
        if opcode is not None:
            code += opcode
            immediate = sections.signed if word.endswith(".const") else sections.unsigned
        else:
            code += immediate(names[word] if word in names else int(word))
    return bytes(code)
