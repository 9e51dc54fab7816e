"""Bulk instructions in slices: none works for longer than a chunk before its guest can be suspended.

wasmtime charges memory.fill, memory.copy and memory.init a fuel a byte, and the table ones a fuel an element, but it
looks at the fuel before such an instruction and never during it: a fill of 64 MiB with 100 fuel left is done in full,
and the event loop waits. So each becomes a call of a function of ours that works in chunks, in a loop, and a loop is
where a guest yields. No charge is added for bytes: a slice of them takes no longer than a slice of other code.

Laws:
- The metered module does what the original does: the same bytes, the same traps, and what is out of bounds traps
  before anything is written. What is small, or not wholly in bounds, is done by the instruction itself; the loop runs
  only where nothing can fail (but for a dropped segment, where its first chunk traps).
- Between two chunks only fuel, time or its client can end the guest, and nobody sees its memory after that.
- Our functions come after the module's own, so that every index keeps its meaning. Custom sections are left out.
- A module with nothing to do is answered as it came, the same object.

Left alone: memory.init of segments that are no longer than a chunk, or are active and thus empty; what is invalid,
which the engine refuses; table.fill, table.init and table.grow, which take 0.2–0.3 ms for 100,000 elements, all that
there can be. table.copy takes 4.5–7 ms for them, since it makes function references that nobody has needed yet, 80 ns
and one fuel each: its chunks are so small that the loop around them costs what the time is worth.

Measured, in CPU time, optimised, on fresh memory, wasmtime 50.0.1:

| | before | after | longest slice (of 300,000 fuel) |
|---|---|---|---|
| memory.fill of 64 MiB; 300 MiB | 25.6 ms; 119 ms, at once | 25.8 ms; 123 ms | 0.2–0.3 ms |
| memory.copy of 64 MiB | 39.4 ms, at once | 40.0 ms | 0.4 ms |
| memory.init of 8 MB | 2.7 ms, at once | 2.7 ms | 0.2 ms |
| table.copy of 90,000 new elements | 7.0 ms, at once | 7.1 ms | 2.7 ms |
| memory.fill, memory.copy of 0–1,024 bytes | 3–11 ns | 2.2 ns and 9 fuel more | |
| accesslog (C), 3 MB of log | 11.2 ms, 150,483,447 fuel | 11.2 ms, 150,493,662 fuel | |
| thumbnail (Go), a photograph | 53.2 ms, 835,145,733 fuel | 53.0 ms, 835,276,376 fuel | |

The pass over 3.9 MB of Go, 466 such instructions in 2,387 functions: 14 ms, and 57 ms to parse what it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .. import limits
from . import instructions, sections
from .instructions import Instruction
from .sections import CODE, FUNCTION, I32, TYPE, Module, Reader, Signature, signed, unsigned

# All four take (i32, i32, i32).
_SIGNATURE: Final = Signature(bytes((I32, I32, I32)), b"")

# What is called for what: the opcode, and the segment or the two tables.
_Key = tuple[int, tuple[int, ...]]


def meter(module: Module) -> bytes:
    """The module with bulk instructions in slices. It must be valid (validate.py), but for the types of its code."""
    sites: dict[int, list[tuple[Instruction, _Key]]] = {}
    functions: dict[_Key, bytes | None] = {}
    for found in instructions.lengthy(module):
        key = found.opcode, found.immediates
        if key not in functions:
            functions[key] = _function(module, found)
        if functions[key] is not None:
            sites.setdefault(found.function, []).append((found, key))
    if not sites:
        return module.wasm

    ours = {key: code for key, code in functions.items() if code is not None}
    first = module.imported_functions + len(module.functions)
    calls = {key: b"\x10" + unsigned(first + number) for number, key in enumerate(ours)}
    own = (_patched(module, function, sites.get(function, ()), calls) for function in range(len(module.bodies)))
    payloads = module.payloads()
    type_ = _type(module, payloads)
    payloads[FUNCTION] = _appended(payloads[FUNCTION], [unsigned(type_)] * len(ours))
    payloads[CODE] = sections.vector(unsigned(len(code)) + code for code in (*own, *ours.values()))
    return sections.emit(payloads)


def _type(module: Module, payloads: dict[int, bytes]) -> int:
    """The index of our functions' type, which is added if the module has none like it."""
    if _SIGNATURE in module.types:
        return module.types.index(_SIGNATURE)
    payloads[TYPE] = _appended(payloads[TYPE], [b"\x60" + sections.vector([bytes((I32,))] * 3) + b"\0"])
    return len(module.types)


def _appended(payload: bytes, entries: Iterable[bytes]) -> bytes:
    """A section that is one vector, with more entries at its end."""
    reader = Reader(payload, 0, len(payload), "vector")
    count, added = reader.u32(), list(entries)
    return unsigned(count + len(added)) + payload[reader.position :] + b"".join(added)


def _patched(
    module: Module, function: int, sites: Iterable[tuple[Instruction, _Key]], calls: Mapping[_Key, bytes]
) -> bytes:
    """A function's code with calls in the place of these instructions."""
    start, end = module.bodies[function]
    parts = []
    for found, key in sites:
        parts += [module.wasm[start : found.start], calls[key]]
        start = found.end
    parts.append(module.wasm[start:end])
    return b"".join(parts)


# ── the functions ───────────────────────────────────────────────────────────────────────────────────────────────
# In each, local 0 is where to and local 2 how much; local 1 is where from, or the value of a fill.

_MEMORY_BYTES: Final = "memory.size 0 i64.extend_i32_u i64.const 16 i64.shl"


def _function(module: Module, found: Instruction) -> bytes | None:
    """The code of the function to call in the place of this instruction, None to leave it where it is."""
    match found.opcode, found.immediates:
        case (instructions.MEMORY_FILL, (0,)):
            return _upwards("memory.fill 0", moving={0: _MEMORY_BYTES})
        case (instructions.MEMORY_COPY, (0, 0)):
            return _either_way("memory.copy 0 0", (_MEMORY_BYTES, _MEMORY_BYTES), limits.BULK_CHUNK_BYTES)
        case (instructions.MEMORY_INIT, (segment, 0)):
            length = _passive_bytes(module, segment)
            if length > limits.BULK_CHUNK_BYTES:
                return _upwards(f"memory.init {segment} 0", moving={0: _MEMORY_BYTES, 1: f"i64.const {length}"})
        case (instructions.TABLE_COPY, (to, source)) if max(to, source) < len(module.tables):
            sizes = f"table.size {to} i64.extend_i32_u", f"table.size {source} i64.extend_i32_u"
            return _either_way(f"table.copy {to} {source}", sizes, limits.BULK_CHUNK_ELEMENTS)
    return None


def _passive_bytes(module: Module, segment: int) -> int:
    """The length of a passive data segment, 0 of what is none."""
    if segment >= len(module.data) or not module.data[segment].passive:
        return 0
    _, start, end = module.data[segment]
    reader = Reader(module.wasm, start + 1, end, "data")
    return reader.u32()


def _upwards(instruction: str, moving: Mapping[int, str]) -> bytes:
    """`moving`: the locals that are addresses, and the size of what each is an address in."""
    chunk = limits.BULK_CHUNK_BYTES
    return _sliced(instruction, moving, _loop_upwards(instruction, moving, chunk), chunk)


def _either_way(instruction: str, sizes: tuple[str, str], chunk: int) -> bytes:
    """From the end where the source begins below the destination and reaches into it, else from the start."""
    loops = f"""
        local.get 0 local.get 1 i32.sub local.get 2 i32.lt_u
        if
          loop
            local.get 2 i32.const {chunk} i32.sub local.set 2
            local.get 0 local.get 2 i32.add local.get 1 local.get 2 i32.add i32.const {chunk} {instruction}
            local.get 2 i32.const {chunk} i32.gt_u br_if 0
          end
        else
          {_loop_upwards(instruction, (0, 1), chunk)}
        end"""
    return _sliced(instruction, {0: sizes[0], 1: sizes[1]}, loops, chunk)


def _loop_upwards(instruction: str, moving: Iterable[int], chunk: int) -> str:
    return f"""
        loop
          local.get 0 local.get 1 i32.const {chunk} {instruction}
          {" ".join(f"local.get {local} i32.const {chunk} i32.add local.set {local}" for local in moving)}
          local.get 2 i32.const {chunk} i32.sub local.tee 2 i32.const {chunk} i32.gt_u br_if 0
        end"""


def _sliced(instruction: str, moving: Mapping[int, str], loops: str, chunk: int) -> bytes:
    """The loops leave a last chunk. It, what is small, and what will trap are done by one instruction at the end."""
    return _assemble(f"""
        block
          local.get 2 i32.const {chunk} i32.le_u br_if 0
          {" ".join(_leave_if_outside(local, size) for local, size in moving.items())}
          {loops}
        end
        local.get 0 local.get 1 local.get 2 {instruction}
        end""")


def _leave_if_outside(start: int, size: str) -> str:
    """Leaves the block if what begins at local `start` ends beyond `size`, an i64: in 64 bits nothing wraps."""
    return f"local.get {start} i64.extend_i32_u local.get 2 i64.extend_i32_u i64.add {size} i64.gt_u br_if 0"


_OPCODES: Final = {
    "block": b"\x02\x40", "loop": b"\x03\x40", "if": b"\x04\x40", "else": b"\x05", "end": b"\x0b", "br_if": b"\x0d",
    "local.get": b"\x20", "local.set": b"\x21", "local.tee": b"\x22", "i32.const": b"\x41", "i64.const": b"\x42",
    "i32.lt_u": b"\x49", "i32.gt_u": b"\x4b", "i32.le_u": b"\x4d", "i32.add": b"\x6a", "i32.sub": b"\x6b",
    "i64.gt_u": b"\x56", "i64.add": b"\x7c", "i64.shl": b"\x86", "i64.extend_i32_u": b"\xad",
    "memory.size": b"\x3f", "memory.init": b"\xfc\x08", "memory.copy": b"\xfc\x0a", "memory.fill": b"\xfc\x0b",
    "table.size": b"\xfc\x10", "table.copy": b"\xfc\x0e",
}  # fmt: skip


def _assemble(text: str) -> bytes:
    """A function's code without further locals, from the names and immediates of its instructions."""
    code, immediate = bytearray(b"\0"), unsigned
    for word in text.split():
        opcode = _OPCODES.get(word)
        if opcode is None:
            code += immediate(int(word))
        else:
            code += opcode
            immediate = signed if word.endswith(".const") else unsigned
    return bytes(code)
