"""The snapshot as a module: the original code, born in the state that initialisation left.

Laws:
- Instantiating the result and calling an export does what calling it on the initialised instance would have done:
  result, memory, globals and tables (the theorem; tests/snapshot/test_theorem.py).
- Indices of types, functions, tables, globals and segments are the original's, so that code stays raw, byte for byte.
- Memory is one dense data segment. wasmtime maps an image copy-on-write if it is dense; a sparse one (under half full,
  over 16 MiB) it copies at every instantiation, in 6–9 ms (DESIGN section 5).
- An active segment counts as dropped once it was copied [4.5.4], and a dropped segment is one of length 0: so each
  active or dropped segment becomes an empty passive one in its place.
- The start section and the exports `_initialize` and `isolet_init` are gone: they ran. Custom sections are gone: nobody
  reads names at run time, and debug sections are most of a module's bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import sections
from .instructions import Survey
from .sections import (
    DATA,
    DATA_COUNT,
    ELEMENT,
    END,
    EXPORT,
    GLOBAL,
    KIND_FUNCTION,
    MEMORY,
    START,
    TABLE,
    Limits,
    Module,
)

INITIALISERS: Final = ("_initialize", "isolet_init")


@dataclass(frozen=True, slots=True)
class Captured:
    """The state of an initialised instance, as capture.py reads it."""

    pages: int  # of linear memory
    image_start: int  # where the first byte of `image` lies; a multiple of the machine's page
    image: bytes  # from there to the last byte that is not zero
    globals: Mapping[int, int | None]  # every mutable one: its bits, or the index of the function that it refers to
    tables: Mapping[int, Sequence[int | None]]  # those that may have changed: indices of functions
    data_dropped: frozenset[int] = frozenset()
    elements_dropped: frozenset[int] = frozenset()


def rewrite(module: Module, survey: Survey, captured: Captured) -> bytes:
    """The frozen module. All three arguments must be of the same module."""
    payloads = module.payloads()
    payloads.pop(START, None)
    payloads[MEMORY] = sections.vector([sections.bounds(captured.pages, module.memories[0].maximum)])
    payloads[EXPORT] = _exports(module)
    if module.globals:
        payloads[GLOBAL] = sections.vector(_globals(module, captured))
    if captured.tables:
        payloads[TABLE] = sections.vector(
            _table(table, captured.tables.get(index)) for index, table in enumerate(module.tables)
        )
    elements = [*_elements(module, captured), *_declaration(module, survey, captured)]
    if elements:
        payloads[ELEMENT] = sections.vector(elements)
    segments = list(_data(module, captured))
    payloads.pop(DATA, None)
    if segments:
        payloads[DATA] = sections.vector(segments)
    if module.data_count is not None:
        payloads[DATA_COUNT] = sections.unsigned(len(segments))
    return sections.emit(payloads)


def stripped(module: Module) -> bytes:
    """The module as it came, without custom sections: what runs when it cannot be frozen."""
    return sections.emit(module.payloads())


def _exports(module: Module) -> bytes:
    return sections.vector(
        sections.name(e.name) + bytes((e.kind,)) + sections.unsigned(e.target)
        for e in module.exports
        if e.name not in INITIALISERS
    )


# ── globals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _globals(module: Module, captured: Captured) -> Iterator[bytes]:
    for index, global_ in enumerate(module.globals):
        if global_.mutable:
            yield bytes((global_.type, 1)) + constant(global_.type, captured.globals[index]) + bytes((END,))
        else:
            yield module.wasm[global_.start : global_.end]


def constant(type_: int, value: int | None) -> bytes:
    """The instruction that gives these bits, exactly: a NaN keeps its payload."""
    match type_, value:
        case sections.FUNCREF, int(function):
            return b"\xd2" + sections.unsigned(function)
        case sections.FUNCREF, None:
            return bytes((0xD0, sections.FUNCREF))
        case sections.I32, int(bits):
            return b"\x41" + sections.signed(bits - ((bits & 1 << 31) << 1))
        case sections.I64, int(bits):
            return b"\x42" + sections.signed(bits - ((bits & 1 << 63) << 1))
        case sections.F32, int(bits):
            return b"\x43" + struct.pack("<I", bits)
        case sections.F64, int(bits):
            return b"\x44" + struct.pack("<Q", bits)
        case sections.V128, int(bits):
            return b"\xfd\x0c" + bits.to_bytes(16, "little")
        case _:
            raise AssertionError(f"a {sections.VALUE_TYPES[type_]} cannot be {value!r}")


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(table: Limits, content: Sequence[int | None] | None) -> bytes:
    minimum = table.minimum if content is None else len(content)
    return bytes((sections.FUNCREF,)) + sections.bounds(minimum, table.maximum)


# Passive segments of length 0.
_NO_ELEMENTS: Final = b"\1\0\0"
_NO_DATA: Final = b"\1\0"


def _elements(module: Module, captured: Captured) -> Iterator[bytes]:
    """The original segments, spent ones emptied; then, if tables changed, what is in them now."""
    for index, element in enumerate(module.elements):
        if index in captured.elements_dropped or (element.active and captured.tables):
            yield _NO_ELEMENTS
        else:
            yield module.wasm[element.start : element.end]
    for table, content in captured.tables.items():
        for start, run in _runs(content):
            offset = b"\x41" + sections.signed(start) + bytes((END,))
            yield b"\2" + sections.unsigned(table) + offset + b"\0" + sections.vector(map(sections.unsigned, run))


def _runs(content: Sequence[int | None]) -> Iterator[tuple[int, list[int]]]:
    """The stretches of a table without null: (first index, functions)."""
    start, run = 0, list[int]()
    for index, function in enumerate((*content, None)):
        if function is not None:
            if not run:
                start = index
            run.append(function)
        elif run:
            yield start, run
            run = []


def _declaration(module: Module, survey: Survey, captured: Captured) -> Iterator[bytes]:
    """A segment that only declares: code may refer to these functions, and what declared them may be gone now."""
    if not survey.refers:
        return
    declared = {f for e in module.elements for f in e.functions}
    declared.update(f for g in module.globals for f in g.functions)
    declared.update(e.target for e in module.exports if e.kind == KIND_FUNCTION and e.name in INITIALISERS)
    if declared:
        yield b"\3\0" + sections.vector(map(sections.unsigned, sorted(declared)))


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _data(module: Module, captured: Captured) -> Iterator[bytes]:
    """The image, in the place of the first active segment so that the number of segments stays within its limit."""
    image = _image(captured)
    if module.data_count is not None:  # otherwise no code names a segment, and none is needed
        for index, segment in enumerate(module.data):
            if segment.active and image:
                yield image
                image = b""
            elif segment.active or index in captured.data_dropped:
                yield _NO_DATA
            else:
                yield module.wasm[segment.start : segment.end]
    if image:
        yield image


def _image(captured: Captured) -> bytes:
    if not captured.image:
        return b""
    start = captured.image_start
    offset = b"\x41" + sections.signed(start - ((start & 1 << 31) << 1)) + bytes((END,))
    return b"\0" + offset + sections.unsigned(len(captured.image)) + captured.image
