"""Parsing and emitting: valid modules come through unchanged, and other bytes raise ModuleInvalid and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.engine.engine import wat
from isolet.errors import ModuleInvalid
from isolet.snapshot import sections
from isolet.snapshot.instructions import survey
from isolet.snapshot.sections import Module, Signature, emit, parse
from snapshot.programs import programs

GUESTS = sorted((Path(__file__).parent.parent / "guests").glob("*.wat"))

EVERYTHING = wat("""
(module
  (type (func (param i32 i64 f32 f64 v128 funcref) (result i32 i64)))
  (import "isolet" "log" (func (param i32 i32 i32)))
  (memory (export "memory") 1 9)
  (table $t (export "table") 3 7 funcref)
  (table 1 funcref)
  (global i32 (i32.const -1))
  (global (mut i64) (i64.const 0x8000000000000000))
  (global f32 (f32.const nan:0x200001))
  (global (mut f64) (f64.const -0))
  (global (mut v128) (v128.const i32x4 1 2 3 4))
  (global (mut funcref) (ref.func $f))
  (global i32 (i32.add (i32.const 1) (i32.mul (i32.const 2) (i32.const 3))))
  (func $f (export "f") (result i32) (local i32 i64) (i32.const 7))
  (func $start)
  (start $start)
  (elem (i32.const 0) $f)
  (elem func $f $f)
  (elem declare func $f)
  (elem (table 1) (i32.const 0) func $f)
  (elem (table $t) (i32.const 1) funcref (ref.func $f) (ref.null func))
  (elem funcref (ref.null func))
  (data (i32.const 8) "active")
  (data "passive")
  (func (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 1)))
  (@custom "note" "hello"))
""")


def uleb(value: int) -> bytes:
    return sections.unsigned(value)


def section(number: int, payload: bytes) -> bytes:
    return bytes((number,)) + uleb(len(payload)) + payload


def module(*parts: bytes) -> bytes:
    return sections.MAGIC + b"".join(parts)


def test_parts_are_what_the_text_says() -> None:
    parsed = parse(EVERYTHING)
    assert Signature(b"\x7f\x7e\x7d\x7c\x7b\x70", b"\x7f\x7e") in parsed.types
    assert [(i.module, i.name) for i in parsed.imports] == [("isolet", "log")]
    assert parsed.memories == ((1, 9),)
    assert parsed.tables == ((3, 7), (1, None))
    assert [(g.type, g.mutable) for g in parsed.globals] == [
        (sections.I32, False), (sections.I64, True), (sections.F32, False), (sections.F64, True),
        (sections.V128, True), (sections.FUNCREF, True), (sections.I32, False),
    ]  # fmt: skip
    assert parsed.globals[5].functions == (1,)
    assert [(e.name, e.kind, e.target) for e in parsed.exports] == [("memory", 2, 0), ("table", 1, 0), ("f", 0, 1)]
    assert parsed.start == 2
    assert [(e.active, e.declarative, e.passive, e.table, e.functions) for e in parsed.elements] == [
        (True, False, False, 0, (1,)),
        (False, False, True, 0, (1, 1)),
        (False, True, False, 0, (1,)),
        (True, False, False, 1, (1,)),
        (True, False, False, 0, (1,)),
        (False, False, True, 0, ()),
    ]
    assert [d.active for d in parsed.data] == [True, False]
    assert parsed.data_count == 2
    assert len(parsed.bodies) == len(parsed.functions) == 3
    assert str(parsed.signature(0)) == "(i32, i32, i32) -> ()"
    assert str(parsed.signature(1)) == "() -> (i32)"


def without_customs(wasm: bytes) -> list[tuple[int, bytes]]:
    parsed = parse(wasm)
    return [(s.id, wasm[s.start : s.end]) for s in parsed.sections if s.id != sections.CUSTOM]


@pytest.mark.parametrize("wasm", [EVERYTHING, *(wat(path.read_text()) for path in GUESTS)])
def test_emitting_what_was_parsed_changes_nothing(wasm: bytes) -> None:
    again = emit(parse(wasm).payloads())
    assert without_customs(again) == without_customs(wasm)


@given(programs())
def test_emitting_generated_programs_changes_nothing(text: str) -> None:
    wasm = wat(text)
    assert without_customs(emit(parse(wasm).payloads())) == without_customs(wasm)


@given(st.integers(0, 2**64))
def test_unsigned_reads_as_it_was_written(value: int) -> None:
    encoded = sections.unsigned(value)
    assert sum((b & 0x7F) << 7 * i for i, b in enumerate(encoded)) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_reads_as_it_was_written(value: int) -> None:
    encoded = sections.signed(value)
    decoded = sum((b & 0x7F) << 7 * i for i, b in enumerate(encoded))
    if encoded[-1] & 0x40:
        decoded -= 1 << 7 * len(encoded)
    assert decoded == value
    assert len(encoded) <= 10


TYPE_SECTION = section(1, b"\1\x60\0\0")
MALFORMED = {
    "nothing": (b"", "it starts with 'nothing'"),
    "not wasm": (b"\x7fELF\2\1\1\0", "not a WebAssembly module"),
    "a component": (b"\0asm\x0d\0\1\0", "this is a component"),
    "another version": (b"\0asm\2\0\0\0", "version '02 00 00 00'"),
    "text": (b"  (module)", "WebAssembly text"),
    "a comment": (b";; a guest\n(module)", "WebAssembly text"),
    "section without length": (module(b"\1"), "it ends too early"),
    "section beyond the end": (module(b"\1\x0a\0"), "10 bytes announced, 1 left"),
    "length of six bytes": (module(b"\1\x80\x80\x80\x80\x80\0"), "more than 32 bits"),
    "length of 33 bits": (module(b"\1\xff\xff\xff\xff\x1f"), "more than 32 bits"),
    "unknown section": (module(section(13, b"\0")), "section 13 belongs to a proposal"),
    "section twice": (module(TYPE_SECTION, TYPE_SECTION), "twice or out of order"),
    "section out of order": (module(section(3, b"\0"), TYPE_SECTION), "twice or out of order"),
    "datacount after code": (module(section(10, b"\0"), section(12, b"\0")), "datacount section is there twice or out"),
    "bytes after a vector": (module(section(1, b"\0\0")), "1 bytes too many"),
    "vector beyond its section": (module(section(1, b"\5\x60\0\0")), "5 entries in 3 bytes"),
    "too many types": (module(section(1, uleb(10_001) + b"\x60")), "10,001 entries, and at most 10,000"),
    "too many functions": (module(section(3, uleb(100_001) + b"\0")), "100,001 entries, and at most 100,000"),
    "a struct type": (module(section(1, b"\1\x5f\0")), "type 0x5f is not a function type"),
    "externref": (module(section(1, b"\1\x60\1\x6f\0")), "value type 0x6f"),
    "function of an unknown type": (module(section(3, b"\1\0")), "type 0, but there are 0"),
    "function without code": (module(TYPE_SECTION, section(3, b"\1\0")), "declares 1 functions but has code for 0"),
    "shared memory": (module(section(5, b"\1\3\1\1")), "it is shared"),
    "memory64": (module(section(5, b"\1\4\1")), "it is 64-bit"),
    "memory of a page size": (module(section(5, b"\1\x08\1\0")), "of form 0x08"),
    "table of externref": (module(section(4, b"\1\x6f\0\1")), "reference type 0x6f"),
    "mutability of 2": (module(section(6, b"\1\x7f\2\x41\0\x0b")), "mutability 0x02"),
    "global computed by a call": (module(section(6, b"\1\x7f\0\x10\0\x0b")), "instruction 0x10 is not constant"),
    "global without end": (module(section(6, b"\1\x7f\0\x41\0")), "it ends too early"),
    "constant of eleven bytes": (module(section(6, b"\1\x7e\0\x42" + b"\x80" * 11 + b"\0\x0b")), "more than 10 bytes"),
    "reference to no function": (module(section(6, b"\1\x70\0\xd2\0\x0b")), "function 0, but there are 0"),
    "export of kind 4": (module(section(7, b"\1\1a\4\0")), "kind of export 0x04"),
    "name not UTF-8": (module(section(7, b"\1\2\xc3\x28\0\0")), "not UTF-8"),
    "long name": (module(section(7, b"\1" + uleb(5_000) + b"a" * 5_000 + b"\0\0")), "a name of 5,000 bytes"),
    "start of no function": (module(section(8, b"\0")), "start function is number 0"),
    "element form 8": (module(section(9, b"\1\x08")), "element segment of form 0x08"),
    "element kind 1": (module(section(9, b"\1\1\1\0")), "element kind 0x01"),
    "element of no function": (module(section(9, b"\1\1\0\1\0")), "function 0, but there are 0"),
    "data form 3": (module(section(11, b"\1\3")), "data segment of form 0x03"),
    "data beyond its section": (module(section(11, b"\1\1\x05ab")), "5 bytes announced, 2 left"),
    "another number of data": (
        module(section(12, b"\2"), section(11, b"\1\1\0")),
        "announces 2 data segments but has 1",
    ),
    "body beyond its section": (module(section(10, b"\1\x05\0")), "5 bytes announced, 1 left"),
}


@pytest.mark.parametrize(("wasm", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_module_is_refused_with_its_reason(wasm: bytes, reason: str) -> None:
    with pytest.raises(ModuleInvalid) as refused:
        parse(wasm)
    assert reason in refused.value.message


def test_function_that_is_too_large_is_refused() -> None:
    length = limits.MODULE_FUNCTION_BYTES_MAX + 1
    wasm = module(TYPE_SECTION, section(3, b"\1\0"), section(10, b"\1" + uleb(length) + bytes(length)))
    with pytest.raises(ModuleInvalid, match="split it"):
        parse(wasm)


def parsed_or_refused(wasm: bytes) -> Module | None:
    """Whatever the bytes are: a module whose code can be surveyed, or ModuleInvalid, and nothing else."""
    try:
        parsed = parse(wasm)
        survey(parsed)
    except ModuleInvalid:
        return None
    return parsed


def test_every_truncation_is_refused_or_a_module() -> None:
    for length in range(len(EVERYTHING)):
        parsed_or_refused(EVERYTHING[:length])


def test_every_changed_byte_is_refused_or_a_module() -> None:
    for at in range(len(EVERYTHING)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF, EVERYTHING[at] ^ 1, EVERYTHING[at] ^ 0x80):
            parsed_or_refused(EVERYTHING[:at] + bytes((value,)) + EVERYTHING[at + 1 :])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_a_module(tail: bytes) -> None:
    parsed_or_refused(sections.MAGIC + tail)


@given(st.randoms(use_true_random=False), programs())
def test_mutants_are_refused_or_modules(chance: random.Random, text: str) -> None:
    wasm = bytearray(wat(text))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(8, len(wasm))
        match chance.randrange(3):
            case 0:
                wasm[at] = chance.randrange(256)
            case 1:
                del wasm[at : at + chance.randint(1, 4)]
            case _:
                wasm[at:at] = chance.randbytes(chance.randint(1, 4))
        if len(wasm) <= 8:
            break
    parsed_or_refused(bytes(wasm))
