"""Which instructions of a module touch what cannot be seen from outside (tables, segments, references to functions),
and which ones work for as long as their operands say.

Laws:
- `survey` and `lengthy` find every such instruction, at its exact place, or raise ModuleInvalid: they walk the code,
  they do not guess from bytes. Types are not checked; the engine does that.
- A walk is linear in the code and made of one regular expression: it happens in `re`, which jumps from one notable
  instruction to the next, and Python sees those only. Measured: 2.9 MB of Go code, 2,448 functions, 0.06 s; a loop in
  Python over the same 1.2 million instructions takes 1.5 s.

The opcodes are those of core wasm 2.0 with tail calls and relaxed SIMD; numbers in brackets are sections of its
specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, NamedTuple

from .. import limits
from ..errors import ModuleInvalid
from .sections import Data, Element, Module, Reader

TABLE_SET: Final = 0x26
REF_FUNC: Final = 0xD2
# Prefixed instructions are spelled prefix << 8 | number.
MEMORY_INIT, DATA_DROP, MEMORY_COPY, MEMORY_FILL = 0xFC08, 0xFC09, 0xFC0A, 0xFC0B
TABLE_INIT, ELEM_DROP, TABLE_COPY, TABLE_GROW, TABLE_FILL = 0xFC0C, 0xFC0D, 0xFC0E, 0xFC0F, 0xFC11
TABLE_CHANGES: Final = frozenset((TABLE_SET, TABLE_INIT, TABLE_COPY, TABLE_GROW, TABLE_FILL))
DROPS: Final = frozenset((DATA_DROP, ELEM_DROP))
_SURVEYED: Final = TABLE_CHANGES | DROPS | {REF_FUNC}
_LENGTHY: Final = frozenset((MEMORY_INIT, MEMORY_COPY, MEMORY_FILL, TABLE_COPY))

_BR_TABLE, _SELECT_TYPED = 0x0E, 0x1C
_PREFIX_BULK, _PREFIX_SIMD = 0xFC, 0xFD


class Instruction(NamedTuple):
    """Which instruction, and where."""

    opcode: int
    function: int  # the index among the functions defined in the module
    start: int  # in Module.wasm
    end: int
    immediates: tuple[int, ...]

    @property
    def segment(self) -> int:
        """What a drop drops, or an initialisation copies from."""
        return self.immediates[0]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a module's code can do to its own tables and segments."""

    tables_change: bool
    refers: bool  # ref.func: a function that is referred to must be declared outside of code
    drops: tuple[Instruction, ...]  # of passive segments; dropping another one does nothing


def survey(module: Module) -> Survey:
    """Walks all code once. ModuleInvalid if it is malformed or has more drops than a module may have items."""
    tables_change = refers = False
    drops: list[Instruction] = []
    for found in _walk(module, range(len(module.bodies)), _SURVEYED):
        if found.opcode == REF_FUNC:
            refers = True
        elif found.opcode in TABLE_CHANGES:
            tables_change = True
        elif found.opcode in DROPS and _is_passive(module, found):
            drops.append(found)
            if len(drops) > limits.MODULE_ITEMS_MAX:
                raise ModuleInvalid(
                    f"more than {limits.MODULE_ITEMS_MAX:,} instructions that drop segments; drop in a loop"
                )
    return Survey(tables_change, refers, tuple(drops))


def _is_passive(module: Module, drop: Instruction) -> bool:
    segments: Sequence[Data | Element] = module.data if drop.opcode == DATA_DROP else module.elements
    if drop.segment >= len(segments):
        raise ModuleInvalid(
            f"function {drop.function:,} drops segment {drop.segment:,}, but there are {len(segments):,}"
        )
    return segments[drop.segment].passive


# How an instruction of _LENGTHY begins, its number in any length. Immediates may look like it, too.
_LIKE_LENGTHY: Final = re.compile(rb"\xfc(?:[\x08\x0a\x0b\x0e]|[\x88\x8a\x8b\x8e]\x80{0,3}\x00)")


def lengthy(module: Module) -> Iterator[Instruction]:
    """Every memory.init, memory.copy, memory.fill and table.copy, in the order of the code.

    Only functions with bytes that look like one are walked; ModuleInvalid if the code of those is malformed.
    """
    looks = _LIKE_LENGTHY.search
    functions = (f for f, body in enumerate(module.bodies) if looks(module.wasm, body.start, body.end))
    return _walk(module, functions, _LENGTHY)


def _walk(module: Module, functions: Iterable[int], notable: frozenset[int]) -> Iterator[Instruction]:
    """The notable instructions of these functions, in the order of the code."""
    plain_run = _plain_run(notable)
    for function in functions:
        body = module.bodies[function]
        reader = Reader(module.wasm, body.start, body.end, f"code section, function {function:,}: code")
        _skip_locals(reader)
        while True:
            reader.position = start = plain_run.match(module.wasm, reader.position, body.end).end()  # type: ignore[union-attr]
            if start == body.end:
                break
            opcode, immediates = _step(reader, notable)
            if opcode in notable:
                yield Instruction(opcode, function, start, reader.position, immediates)


def _skip_locals(reader: Reader) -> None:
    for _ in range(reader.count()):
        reader.u32()
        reader.value_type()


# ── immediates ──────────────────────────────────────────────────────────────────────────────────────────────────
# How many LEB128 integers and how many further bytes follow an opcode, [5.4].


class _Shape(NamedTuple):
    integers: int = 0
    rest: int = 0


_NOTHING, _INDEX, _PAIR = _Shape(), _Shape(1), _Shape(2)


def _shapes(*groups: tuple[_Shape, Iterable[int]]) -> dict[int, _Shape]:
    return {opcode: shape for shape, opcodes in groups for opcode in opcodes}


_ONE_BYTE: Final = _shapes(
    (_NOTHING, (0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1)),  # unreachable nop else end return drop select is_null
    (_NOTHING, range(0x45, 0xC5)),  # all arithmetic, and sign extension
    (_INDEX, (0x02, 0x03, 0x04)),  # block loop if: a type, which is a signed integer of 33 bits
    (_INDEX, (0x0C, 0x0D, 0x10, 0x12)),  # br br_if call return_call
    (_PAIR, (0x11, 0x13)),  # call_indirect return_call_indirect
    (_INDEX, range(0x20, 0x27)),  # local.get set tee, global.get set, table.get set
    (_PAIR, range(0x28, 0x3F)),  # loads and stores: alignment, offset
    (_INDEX, (0x3F, 0x40)),  # memory.size grow
    (_INDEX, (0x41, 0x42)),  # i32.const i64.const
    (_Shape(0, 4), (0x43,)),
    (_Shape(0, 8), (0x44,)),
    (_INDEX, (0xD0, REF_FUNC)),
)
_BULK: Final = _shapes(
    (_NOTHING, range(0x08)),  # saturating truncation
    (_PAIR, (0x08, 0x0A, 0x0C, 0x0E)),  # memory.init copy, table.init copy
    (_INDEX, (0x09, 0x0B, 0x0D, 0x0F, 0x10, 0x11)),  # data.drop memory.fill elem.drop table.grow size fill
)
_SIMD: Final = _shapes(
    (_NOTHING, range(0x0E, 0x100)),
    (_NOTHING, range(0x100, 0x114)),  # relaxed
    (_PAIR, (*range(0x0C), 0x5C, 0x5D)),  # loads and stores
    (_Shape(0, 16), (0x0C, 0x0D)),  # v128.const, i8x16.shuffle
    (_Shape(0, 1), range(0x15, 0x23)),  # extract and replace lane
    (_Shape(2, 1), range(0x54, 0x5C)),  # load and store lane
)
_PREFIXED: Final = {_PREFIX_BULK: _BULK, _PREFIX_SIMD: _SIMD}


def _step(reader: Reader, notable: frozenset[int]) -> tuple[int, tuple[int, ...]]:
    """Moves over one instruction of any kind: (opcode, immediates if it is notable)."""
    opcode = reader.byte()
    if opcode == _BR_TABLE:
        _skip_integers(reader, reader.u32() + 1)
        return opcode, ()
    if opcode == _SELECT_TYPED:
        reader.skip(reader.u32())  # value types of one byte each
        return opcode, ()
    shapes = _PREFIXED.get(opcode)
    number = opcode if shapes is None else reader.u32()
    shape = (_ONE_BYTE if shapes is None else shapes).get(number)
    if shape is None:
        raise reader.invalid(
            f"instruction {opcode:#04x} {number} is not known, or belongs to a proposal switched off here"
        )
    full = opcode if shapes is None else opcode << 8 | number
    if full in notable:
        return full, tuple([reader.u32() for _ in range(shape.integers)])
    _skip_integers(reader, shape.integers)
    reader.skip(shape.rest)
    return full, ()


def _skip_integers(reader: Reader, count: int) -> None:
    if count > reader.end - reader.position:
        raise reader.invalid(f"{count:,} integers in {reader.end - reader.position:,} bytes")
    match = _integers(count).match(reader.data, reader.position, reader.end)
    if match is None:
        raise reader.invalid("an integer that does not end")
    reader.position = match.end()


# ── the walk as one regular expression ──────────────────────────────────────────────────────────────────────────
# Every quantifier is possessive: an encoding has one reading, so that going back could never help.

_INTEGER: Final = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"


@lru_cache(maxsize=256)
def _integers(count: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:%b){%d}" % (_INTEGER, count))


def _alternatives(shapes: dict[int, _Shape], notable: frozenset[int], prefix: int | None = None) -> Iterator[bytes]:
    """For each shape, the opcodes that have it and what follows them; without the notable ones: a run ends there."""
    by_shape: dict[_Shape, list[int]] = {}
    for number, shape in shapes.items():
        if (number if prefix is None else prefix << 8 | number) not in notable:
            by_shape.setdefault(shape, []).append(number)
    for shape, numbers in by_shape.items():
        # A prefixed number is LEB128 itself: one byte here, and the rare longer ones are for `_step`.
        one_byte = b"".join(rb"\x%02x" % n for n in numbers if prefix is None or n < 0x80)
        start = b"" if prefix is None else rb"\x%02x" % prefix
        yield start + b"[" + one_byte + b"]" + _INTEGER * shape.integers + b"." * shape.rest
    if prefix == _PREFIX_SIMD:
        # Without immediates are all numbers of two bytes: 0x80 to 0xff, and the relaxed ones.
        yield rb"\xfd[\x80-\xff]\x01|\xfd[\x80-\x93]\x02"


@cache
def _plain_run(notable: frozenset[int]) -> re.Pattern[bytes]:
    """Matches as many instructions as follow each other without a notable one."""
    alternatives = (
        *_alternatives(_ONE_BYTE, notable),
        *_alternatives(_BULK, notable, _PREFIX_BULK),
        *_alternatives(_SIMD, notable, _PREFIX_SIMD),
    )
    return re.compile(b"(?s:" + b"|".join(alternatives) + b")*+")
