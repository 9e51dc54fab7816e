"""Windows into a module: exports through which all of its state can be read after initialisation.

Memory is exported already. Added are, under `__isolet_…`: every mutable global; every table, if code can change tables;
then also every function that a table or a global could hold, so that a reference found there gets its index back.
Whether a passive segment was dropped cannot be read at all: each drop is followed by setting a flag, a global of ours.

Laws:
- The instrumented module behaves as the original one does; it only spends three more instructions after a drop.
- It is run once, in the builder, and thrown away: the snapshot is made from the original (rewrite.py).
- Custom sections are left out: nobody reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from . import sections
from .instructions import DATA_DROP, Instruction, Survey
from .sections import CODE, EXPORT, FUNCREF, GLOBAL, I32, KIND_FUNCTION, KIND_GLOBAL, KIND_TABLE, Module
from .validate import RESERVED_PREFIX


@dataclass(frozen=True, slots=True)
class Instrumented:
    """The module, and the names of its windows by index."""

    wasm: bytes
    globals: Mapping[int, str]  # the mutable ones
    tables: Mapping[int, str]  # all, or none if no code changes tables
    functions: Mapping[int, str]  # whatever a table or a global may hold
    data_drops: Mapping[int, str]  # passive segment → a global that is 1 once it was dropped
    element_drops: Mapping[int, str]


def instrument(module: Module, survey: Survey) -> Instrumented:
    """`module` with windows. It must be valid (validate.py), and `survey` its own."""
    globals_ = _names("global", (i for i, g in enumerate(module.globals) if g.mutable))
    tables = _names("table", range(len(module.tables)) if survey.tables_change else ())
    holds_functions = bool(tables) or any(module.globals[i].type == FUNCREF for i in globals_)
    functions = _names("function", sorted(_referable(module)) if holds_functions else ())
    data_drops = _names("data", sorted({d.segment for d in survey.drops if d.opcode == DATA_DROP}))
    element_drops = _names("element", sorted({d.segment for d in survey.drops if d.opcode != DATA_DROP}))

    flags = {name: len(module.globals) + i for i, name in enumerate((*data_drops.values(), *element_drops.values()))}
    payloads = module.payloads()
    payloads[EXPORT] = sections.vector(
        (
            *(_export(e.name, e.kind, e.target) for e in module.exports),
            *(_export(name, KIND_GLOBAL, index) for index, name in globals_.items()),
            *(_export(name, KIND_TABLE, index) for index, name in tables.items()),
            *(_export(name, KIND_FUNCTION, index) for index, name in functions.items()),
            *(_export(name, KIND_GLOBAL, index) for name, index in flags.items()),
        )
    )
    if flags:
        payloads[GLOBAL] = sections.vector(
            (*(module.wasm[g.start : g.end] for g in module.globals), *([_FLAG] * len(flags)))
        )
        flag_of = {(True, s): flags[n] for s, n in data_drops.items()} | {
            (False, s): flags[n] for s, n in element_drops.items()
        }
        payloads[CODE] = _with_flags(module, survey.drops, flag_of)
    return Instrumented(sections.emit(payloads), globals_, tables, functions, data_drops, element_drops)


# A mutable i32 that starts as 0.
_FLAG: Final = bytes((I32, 1, 0x41, 0, sections.END))


def _names(what: str, indices: Iterable[int]) -> dict[int, str]:
    return {index: f"{RESERVED_PREFIX}{what}_{index}" for index in indices}


def _export(name: str, kind: int, target: int) -> bytes:
    return sections.name(name) + bytes((kind,)) + sections.unsigned(target)


def _referable(module: Module) -> Iterator[int]:
    """Every function that a reference can be made to: [3.4.1] wants them declared outside of code."""
    for element in module.elements:
        yield from element.functions
    for global_ in module.globals:
        yield from global_.functions
    for export in module.exports:
        if export.kind == KIND_FUNCTION:
            yield export.target


def _with_flags(module: Module, drops: Iterable[Instruction], flag_of: Mapping[tuple[bool, int], int]) -> bytes:
    """The code section with `i32.const 1; global.set $flag` after each drop."""
    by_function: dict[int, list[Instruction]] = {}
    for drop in drops:
        by_function.setdefault(drop.function, []).append(drop)
    return sections.vector(
        _body(module.wasm, body.start, body.end, by_function.get(function, ()), flag_of)
        for function, body in enumerate(module.bodies)
    )


def _body(
    wasm: bytes, start: int, end: int, drops: Iterable[Instruction], flag_of: Mapping[tuple[bool, int], int]
) -> bytes:
    parts = []
    for drop in drops:
        flag = flag_of[drop.opcode == DATA_DROP, drop.segment]
        parts += [wasm[start : drop.end], b"\x41\x01\x24", sections.unsigned(flag)]
        start = drop.end
    parts.append(wasm[start:end])
    code = b"".join(parts)
    return sections.unsigned(len(code)) + code
