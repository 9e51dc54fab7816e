"""The walk over code: it finds what it looks for at its exact place, whatever stands before it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.engine.engine import wat
from isolet.errors import ModuleInvalid
from isolet.snapshot import sections
from isolet.snapshot.instructions import DATA_DROP, ELEM_DROP, survey
from isolet.snapshot.sections import parse

# Immediates that look like what is looked for: elem.drop is fc 0d, table.set is 26, ref.func is d2.
LEB = b"\xfc\x8d\x00"
BAIT = b"\xfc\x0d\x26\xd2\xfc\x09\x00\x26\xfc\x0d\x26\xd2\xfc\x09\x00\x26"
DROP = b"\xfc\x0d\x00"


def shapes() -> dict[bytes, bytes]:
    """opcode → immediates, from the table of the specification [5.4]; blocks are opened and never closed."""
    found: dict[bytes, bytes] = {}
    for opcode in (0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1, *range(0x45, 0xC5)):
        found[bytes((opcode,))] = b""
    for opcode in (0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, 0x12, *range(0x20, 0x26), 0x3F, 0x40, 0x41, 0x42, 0xD0):
        found[bytes((opcode,))] = LEB
    for opcode in (0x11, 0x13, *range(0x28, 0x3F)):
        found[bytes((opcode,))] = LEB + LEB
    found[b"\x43"], found[b"\x44"] = BAIT[:4], BAIT[:8]
    found[b"\x0e"] = b"\x02" + LEB * 3
    found[b"\x1c"] = b"\x01\x7f"
    for number in range(8):
        found[bytes((0xFC, number))] = b""
    found[b"\xfc\x08"] = found[b"\xfc\x0a"] = LEB + LEB
    found[b"\xfc\x0b"] = found[b"\xfc\x10"] = LEB
    for number in range(0x114):
        if number < 12 or number in (0x5C, 0x5D):
            immediates = LEB + LEB
        elif number in (12, 13):
            immediates = BAIT
        elif 0x15 <= number <= 0x22:
            immediates = b"\x26"
        elif 0x54 <= number <= 0x5B:
            immediates = LEB + LEB + b"\xd2"
        else:
            immediates = b""
        found[b"\xfd" + sections.unsigned(number)] = immediates
        if number < 0x80:  # the same number, spelled longer than it must be
            found[b"\xfd" + bytes((number | 0x80, 0))] = immediates
    return found


def with_body(code: bytes, local_groups: bytes = b"\0") -> bytes:
    """A module with one passive element segment and one function of this code."""
    body = local_groups + code
    return sections.emit(
        {
            sections.TYPE: b"\1\x60\0\0",
            sections.FUNCTION: b"\1\0",
            sections.TABLE: b"\1\x70\0\1",
            sections.ELEMENT: b"\1\1\0\0",
            sections.CODE: b"\1" + sections.unsigned(len(body)) + body,
        }
    )


@pytest.mark.parametrize("opcode", shapes(), ids=lambda opcode: opcode.hex())
def test_walk_skips_the_immediates_of(opcode: bytes) -> None:
    before = opcode + shapes()[opcode]
    wasm = with_body(before + DROP + before + b"\x0b")
    found = survey(parse(wasm))
    assert [(d.opcode, d.function, d.segment) for d in found.drops] == [(ELEM_DROP, 0, 0)]
    assert wasm[: found.drops[0].end].endswith(before + DROP)
    assert not found.tables_change
    assert not found.refers


@given(st.lists(st.sampled_from(sorted(shapes())), max_size=40))
def test_walk_finds_a_drop_after_any_instructions(opcodes: list[bytes]) -> None:
    before = b"".join(opcode + shapes()[opcode] for opcode in opcodes)
    wasm = with_body(before + DROP + b"\x0b", local_groups=b"\2\5\x7f\1\x7b")
    assert [wasm[: d.end].endswith(before + DROP) for d in survey(parse(wasm)).drops] == [True]


@pytest.mark.parametrize(
    "instruction",
    [
        "(table.set (i32.const 0) (ref.null func))",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 1))",
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
        "(table.init 0 (i32.const 0) (i32.const 0) (i32.const 0))",
        "(drop (table.grow (ref.null func) (i32.const 0)))",
    ],
)
def test_what_changes_tables_is_noticed(instruction: str) -> None:
    module = parse(wat(f"(module (table 1 funcref) (elem func) (func {instruction}))"))
    found = survey(module)
    assert found.tables_change
    assert not found.refers
    assert found.drops == ()


def test_what_reads_tables_changes_nothing() -> None:
    module = parse(wat("(module (table 1 funcref) (func (drop (table.get (i32.const 0))) (drop (table.size))))"))
    assert not survey(module).tables_change


def test_reference_to_a_function_is_noticed() -> None:
    assert survey(parse(wat("(module (func $f (drop (ref.func $f))) (elem declare func $f))"))).refers


def test_only_drops_of_passive_segments_count() -> None:
    module = parse(
        wat("""(module (memory 1) (table 1 funcref)
          (data (i32.const 0) "a") (data "b") (elem (i32.const 0) func) (elem func) (elem declare func)
          (func (data.drop 0) (data.drop 1) (elem.drop 0) (elem.drop 1) (elem.drop 2)))""")
    )
    assert [(d.opcode, d.segment) for d in survey(module).drops] == [(DATA_DROP, 1), (ELEM_DROP, 1)]


MALFORMED = {
    "an opcode of exceptions": (b"\x06\x40\x0b", "instruction 0x06 6 is not known"),
    "an opcode of garbage collection": (b"\xfb\x00\x00", "instruction 0xfb"),
    "an opcode of threads": (b"\xfe\x03\x00", "instruction 0xfe"),
    "an unknown bulk operation": (b"\xfc\x17", "instruction 0xfc 23"),
    "an unknown SIMD operation": (b"\xfd\x94\x02", "instruction 0xfd 276"),
    "an integer without end": (b"\x41\x80\x80", "does not end"),
    "a constant cut short": (b"\x44\0\0\0", "8 bytes announced, 3 left"),
    "a prefix at the end": (b"\xfc", "it ends too early"),
    "a branch table longer than its code": (b"\x0e\xff\xff\xff\xff\x0f\0", "integers in"),
    "a drop of no segment": (b"\xfc\x0d\x07", "drops segment 7, but there are 1"),
    "an integer of eleven bytes": (b"\x42" + b"\x80" * 11 + b"\0", "does not end"),
}


@pytest.mark.parametrize(("code", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_code_is_refused_with_function_and_reason(code: bytes, reason: str) -> None:
    with pytest.raises(ModuleInvalid) as refused:
        survey(parse(with_body(code)))
    assert reason in refused.value.message
    assert "function 0" in refused.value.message


def test_more_drops_than_items_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_ITEMS_MAX", 1_000)
    with pytest.raises(ModuleInvalid, match="drop in a loop"):
        survey(parse(with_body(DROP * (limits.MODULE_ITEMS_MAX + 1) + b"\x0b")))


def test_large_function_takes_neither_stack_nor_memory() -> None:
    """The regular expression runs over megabytes in one match."""
    code = (b"\x20\x00\x41\xff\xff\x03\x6a\x21\x00" * 400_000)[: limits.MODULE_FUNCTION_BYTES_MAX - 100]
    code = code[: len(code) - len(code) % 9]
    began_s = time.process_time()
    found = survey(parse(with_body(code + DROP + b"\x0b")))
    assert len(found.drops) == 1
    print(f"{len(code):,} bytes in {time.process_time() - began_s:.3f} s")
