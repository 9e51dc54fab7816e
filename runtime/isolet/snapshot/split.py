"""An interpreter as two modules: `code`, compiled once for everybody, and `state`, what it starts from.

    code    functions, types, tables; imports its memory and its mutable globals from `isolet_state`; no data
    state   memory, those globals, one dense data segment; no code

A program is then a state: deploying it compiles nothing, and a thousand programs share the interpreter's machine code
(DESIGN: memory and globals as imports cost nothing measurable in warm calls).

Laws:
- Instantiating `state` and then `code` with what it exports does what instantiating the module would have done.
- The index spaces of types, functions and tables are the module's own, and so is that of globals: all globals up to the
  last mutable one are imported, immutable ones too, so that code stays raw, byte for byte.
- Tables stay with the code: an interpreter whose code changes them cannot be split, nor one that has passive segments.
  That is checked; compilers of C make neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from . import sections
from .instructions import Survey
from .instrument import Instrumented
from .rewrite import Captured, constant
from .sections import (
    DATA,
    DATA_COUNT,
    END,
    EXPORT,
    FUNCREF,
    GLOBAL,
    IMPORT,
    KIND_GLOBAL,
    KIND_MEMORY,
    MEMORY,
    START,
    Module,
)
from .validate import RESERVED_PREFIX

STATE_MODULE: Final = "isolet_state"
MEMORY_NAME: Final = "memory"


class Unsplittable(Exception):
    """Why a module cannot be split. The builder's: interpreters are ours, so that it is a defect of ours."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What all states of one code have in common. `globals`: (value type, mutable) of each that is imported."""

    pages_max: int | None
    globals: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Split:
    code: bytes
    first: bytes  # the state module that the interpreter itself starts from
    layout: Layout


def global_name(index: int) -> str:
    return f"g{index}"


def split(module: Module, survey: Survey) -> Split:
    """Both modules. `survey` must be of the same module. Raises Unsplittable."""
    shared = max((index + 1 for index, each in enumerate(module.globals) if each.mutable), default=0)
    _require_splittable(module, survey, shared)
    layout = Layout(module.memories[0].maximum, tuple((g.type, g.mutable) for g in module.globals[:shared]))
    return Split(_code(module, layout), _first(module, layout), layout)


def windows(layout: Layout) -> Instrumented:
    """How the imported globals are read from an instance of the code."""
    names = {index: f"{RESERVED_PREFIX}global_{index}" for index in range(len(layout.globals))}
    return Instrumented(b"", names, {}, {}, {}, {})


def state_module(layout: Layout, captured: Captured) -> bytes:
    """The state module of a captured instance of the code."""
    payloads = _frame(layout, captured.pages)
    if layout.globals:
        payloads[GLOBAL] = sections.vector(
            bytes((type_, mutable)) + constant(type_, captured.globals[index]) + bytes((END,))
            for index, (type_, mutable) in enumerate(layout.globals)
        )
    return b"".join((sections.emit(payloads), *_data(captured.image_start, captured.image)))


def _data(start: int, image: bytes) -> Iterator[bytes]:
    """The data section, the last one: one active segment of memory 0. In parts, since an image is copied once then."""
    if not image:
        return
    offset = b"\x41" + sections.signed(start - ((start & 1 << 31) << 1)) + bytes((END,))
    head = b"\1\0" + offset + sections.unsigned(len(image))
    yield bytes((DATA,)) + sections.unsigned(len(head) + len(image)) + head
    yield image


def _require_splittable(module: Module, survey: Survey, shared: int) -> None:
    if module.start is not None:
        raise Unsplittable("it has a start section")
    if survey.tables_change:
        raise Unsplittable("its code changes tables")
    if module.data_count is not None or survey.drops or any(segment.passive for segment in module.data):
        # Only a module that counts its data segments may name one in code [5.5.16].
        raise Unsplittable("it has passive data segments, or code that names one")
    if any(each.type == FUNCREF for each in module.globals[:shared]):
        raise Unsplittable("a global that the state would have holds a function, and a state has none")


# ── code ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _code(module: Module, layout: Layout) -> bytes:
    payloads = module.payloads()
    for section in (MEMORY, GLOBAL, DATA, DATA_COUNT, START):
        payloads.pop(section, None)
    payloads[IMPORT] = _imports(module, layout)
    shared = len(layout.globals)
    if kept := [module.wasm[each.start : each.end] for each in module.globals[shared:]]:
        payloads[GLOBAL] = sections.vector(kept)
    payloads[EXPORT] = sections.vector(
        (
            *(sections.name(e.name) + bytes((e.kind,)) + sections.unsigned(e.target) for e in module.exports),
            *(
                sections.name(name) + bytes((KIND_GLOBAL,)) + sections.unsigned(index)
                for index, name in windows(layout).globals.items()
            ),
        )
    )
    return sections.emit(payloads)


def _imports(module: Module, layout: Layout) -> bytes:
    """The functions as they were, then memory and globals: the kinds have index spaces of their own."""
    functions = [
        sections.name(i.module) + sections.name(i.name) + bytes((i.kind,)) + sections.unsigned(i.type)
        for i in module.imports
    ]
    minimum, maximum = module.memories[0]
    memory = _import(MEMORY_NAME, KIND_MEMORY, sections.bounds(minimum, maximum))
    globals_ = [
        _import(global_name(index), KIND_GLOBAL, bytes((type_, mutable)))
        for index, (type_, mutable) in enumerate(layout.globals)
    ]
    return sections.vector([*functions, memory, *globals_])


def _import(name: str, kind: int, type_: bytes) -> bytes:
    return sections.name(STATE_MODULE) + sections.name(name) + bytes((kind,)) + type_


# ── state ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _frame(layout: Layout, pages: int) -> dict[int, bytes]:
    """Memory and exports: what every state has."""
    return {
        MEMORY: sections.vector([sections.bounds(pages, layout.pages_max)]),
        EXPORT: sections.vector(_exports(len(layout.globals))),
    }


def _exports(globals_: int) -> Iterator[bytes]:
    yield sections.name(MEMORY_NAME) + bytes((KIND_MEMORY, 0))
    for index in range(globals_):
        yield sections.name(global_name(index)) + bytes((KIND_GLOBAL,)) + sections.unsigned(index)


def _first(module: Module, layout: Layout) -> bytes:
    """The module's own memory, globals and data, as they came."""
    shared = len(layout.globals)
    payloads = _frame(layout, module.memories[0].minimum)
    if shared:
        payloads[GLOBAL] = sections.vector(module.wasm[each.start : each.end] for each in module.globals[:shared])
    if module.data:
        payloads[DATA] = sections.vector(module.wasm[each.start : each.end] for each in module.data)
    return sections.emit(payloads)
