"""The frozen module: every kind of state by itself, and what the result looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine.engine import Engine, wat
from isolet.snapshot import sections
from isolet.snapshot.capture import Initialised
from isolet.snapshot.sections import Module, parse
from snapshot.observed import both_ways, freeze, quick_engine

GUESTS = Path(__file__).parent.parent / "guests"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = quick_engine()
    yield made
    made.close()


def guest(state: str, initialiser: str, handler: str = "") -> bytes:
    """A guest with this state, changed at initialisation, and used by an event."""
    return wat(f"""(module
      (import "isolet" "answer" (func $answer (result i32)))
      (memory (export "memory") 2 20)
      {state}
      (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
      (elem declare func $one $two $answer)
      (func (export "isolet_init") {initialiser})
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) {handler} (i64.load (i32.const 0))))""")


def frozen(engine: Engine, wasm: bytes) -> tuple[Module, Initialised]:
    rewritten, made = freeze(engine, wasm)
    assert rewritten is not None, made.warnings
    return parse(rewritten), made


def sum_of(table: str, slots: int) -> str:
    calls = "(i64.const 0)"
    for slot in range(slots):
        calls = f"(i64.add {calls} (i64.extend_i32_u (call_indirect {table} (result i32) (i32.const {slot}))))"
    return f"(i64.store (i32.const 0) {calls})"


# Each entry alone decides whether the two sides agree: what it changes, and the event that looks at it.
STATE = {
    "i32": ("(global $g (mut i32) (i32.const 0))", "(global.set $g (i32.const 0x80000001))"),
    "i64": ("(global $g (mut i64) (i64.const 0))", "(global.set $g (i64.const 0x8000000000000001))"),
    "f32": ("(global $g (mut f32) (f32.const 0))", "(global.set $g (f32.reinterpret_i32 (i32.const 0xffa00001)))"),
    "f64": (
        "(global $g (mut f64) (f64.const 0))",
        "(global.set $g (f64.reinterpret_i64 (i64.const 0xfff4000000000001)))",
    ),
    "v128": (
        "(global $g (mut v128) (v128.const i64x2 0 0))",
        "(global.set $g (v128.const i64x2 0x8000000000000000 -1))",
    ),
    "reference to a function": ("(global $g (mut funcref) (ref.null func))", "(global.set $g (ref.func $two))"),
    "reference to an import": ("(global $g (mut funcref) (ref.null func))", "(global.set $g (ref.func $answer))"),
    "reference set to null": ("(global $g (mut funcref) (ref.func $one))", "(global.set $g (ref.null func))"),
    "memory": ("", "(i32.store (i32.const 70000) (i32.const 7))"),
    "first byte": ("", "(i32.store8 (i32.const 0) (i32.const 7))"),
    "last byte": ("", "(i32.store8 (i32.const 131071) (i32.const 7))"),
    "memory grown": ("", "(drop (memory.grow (i32.const 3)))"),
    "memory grown and written": (
        "",
        "(drop (memory.grow (i32.const 3))) (i32.store8 (i32.const 327679) (i32.const 9))",
    ),
    "active data overwritten": ('(data (i32.const 0) "\\ff\\ff")', "(i32.store8 (i32.const 0) (i32.const 0))"),
    "active data erased": ('(data (i32.const 0) "\\ff")', "(i32.store8 (i32.const 0) (i32.const 0))"),
    "table.set": (
        "(table $t 2 funcref) (elem (i32.const 0) $one $one)",
        "(table.set (i32.const 1) (ref.func $two))",
        sum_of("$t", 2),
    ),
    "table.set of an import": ("(table $t 1 funcref)", "(table.set (i32.const 0) (ref.func $answer))", sum_of("$t", 1)),
    "table.set to null": (
        "(table $t 1 funcref) (elem (i32.const 0) $one)",
        "(table.set (i32.const 0) (ref.null func))",
        sum_of("$t", 1),
    ),
    "table.fill": (
        "(table $t 3 funcref)",
        "(table.fill (i32.const 0) (ref.func $two) (i32.const 3))",
        sum_of("$t", 3),
    ),
    "table.grow": (
        "(table $t 1 funcref) (elem (i32.const 0) $one)",
        "(drop (table.grow (ref.func $two) (i32.const 1)))",
        sum_of("$t", 2),
    ),
    "table.copy": (
        "(table $t 2 funcref) (table $u 2 funcref) (elem (table $u) (i32.const 0) func $one $two)",
        "(table.copy $t $u (i32.const 0) (i32.const 0) (i32.const 2))",
        sum_of("$t", 2),
    ),
    "table.init": (
        "(table $t 2 funcref) (elem func $two $one)",
        "(table.init $t 0 (i32.const 0) (i32.const 0) (i32.const 2))",
        sum_of("$t", 2),
    ),
    "table that nobody changes": ("(table $t 2 funcref) (elem (i32.const 0) $one $two)", "", sum_of("$t", 2)),
    "second table": (
        "(table $t 1 funcref) (table $u 1 3 funcref)",
        "(drop (table.grow $u (ref.func $two) (i32.const 2))) (table.set $u (i32.const 0) (ref.func $one))",
        sum_of("$u", 3),
    ),
    "data dropped": (
        '(data "abc")',
        "(data.drop 0)",
        "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
    ),
    "data kept": ('(data "abc")', "", "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop 0)"),
    "active data counts as dropped": (
        '(data (i32.const 8) "abc") (data "def")',
        "",
        "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
    ),
    "passive data behind active": (
        '(data (i32.const 8) "abc") (data "def")',
        "",
        "(memory.init 1 (i32.const 0) (i32.const 0) (i32.const 3))",
    ),
    "elements dropped": (
        "(table $t 1 funcref) (elem func $two)",
        "(elem.drop 0)",
        "(table.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
    ),
    "elements kept": (
        "(table $t 1 funcref) (elem func $two)",
        "",
        f"(table.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop 0) {sum_of('$t', 1)}",
    ),
    "active elements count as dropped": (
        "(table $t 1 funcref) (elem (i32.const 0) $two)",
        "",
        "(table.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
    ),
}


@pytest.mark.parametrize("state", STATE.values(), ids=STATE)
def test_state_comes_back(engine: Engine, state: tuple[str, ...]) -> None:
    expected, actual = both_ways(engine, guest(*state), [("isolet_handle", 0, 0)] * 2)
    assert actual == expected


def test_start_function_has_run_and_is_gone(engine: Engine) -> None:
    module, _ = frozen(engine, guest("(func $s (i32.store8 (i32.const 4096) (i32.const 9))) (start $s)", ""))
    assert module.start is None
    expected, actual = both_ways(engine, module.wasm, [("isolet_handle", 0, 0)])
    assert actual == expected
    assert actual.memory[4096] == 9


def test_initialisers_are_not_exported_any_more(engine: Engine) -> None:
    module, _ = frozen(engine, wat((GUESTS / "remembers.wat").read_text()))
    assert [e.name for e in module.exports] == ["memory", "isolet_buffer", "isolet_handle"]


def test_memory_is_one_dense_segment_from_first_to_last_set_byte(engine: Engine) -> None:
    module, made = frozen(engine, guest('(data (i32.const 70000) "a") (data (i32.const 70100) "b")', ""))
    assert made.captured is not None
    assert made.captured.image_start == 65536
    assert len(made.captured.image) == 70101 - 65536
    assert len(module.data) == 1
    assert module.data_count is None


def test_segments_keep_their_numbers(engine: Engine) -> None:
    state = '(data "p") (data (i32.const 8) "a") (data (i32.const 9) "b") (data "q")'
    module, _ = frozen(engine, guest(state, "", "(data.drop 0)"))
    assert [d.active for d in module.data] == [False, True, False, False]
    assert module.data_count == 4


def test_image_is_added_where_no_segment_was_active(engine: Engine) -> None:
    module, _ = frozen(engine, guest('(data "p")', "(i32.store8 (i32.const 9) (i32.const 1))", "(data.drop 0)"))
    assert [d.active for d in module.data] == [False, True]


def test_empty_memory_has_no_segment(engine: Engine) -> None:
    module, made = frozen(engine, guest("", ""))
    assert module.data == ()
    assert made.captured is not None
    assert made.captured.image == b""


def test_code_types_and_imports_are_the_original_bytes(engine: Engine) -> None:
    wasm = guest('(data "p") (table 1 funcref)', "(data.drop 0) (table.set (i32.const 0) (ref.func $one))")
    module, _ = frozen(engine, wasm)
    for section in (sections.TYPE, sections.IMPORT, sections.FUNCTION, sections.CODE):
        assert module.payload(section) == parse(wasm).payload(section)


def test_memory_may_grow_as_far_as_before(engine: Engine) -> None:
    module, _ = frozen(engine, guest("", "(drop (memory.grow (i32.const 3)))"))
    assert module.memories == ((5, 20),)


def test_reference_that_only_an_initialiser_declared_stays_declared(engine: Engine) -> None:
    """ref.func needs its function outside of code: in an export, an element or a global. All of those may go."""
    wasm = wat("""(module (memory (export "memory") 2) (table 1 funcref)
      (func $init (export "isolet_init") (i32.store8 (i32.const 1) (i32.const 1)))
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64)
        (table.set (i32.const 0) (ref.func $init)) (call_indirect (i32.const 0)) (i64.load (i32.const 0))))""")
    expected, actual = both_ways(engine, wasm, [("isolet_handle", 0, 0)])
    assert actual == expected
    assert actual.tables == {0: [0]}


def test_freezing_twice_changes_nothing(engine: Engine) -> None:
    state = '(table 3 funcref) (data "p") (data (i32.const 9) "x") (global (mut i64) (i64.const 3))'
    once, first = freeze(engine, guest(state, "(table.set (i32.const 1) (ref.func $one)) (data.drop 0)"))
    assert once is not None
    assert first.captured is not None
    twice, second = freeze(engine, once)
    assert twice is not None
    # The dropped segment is an empty one in the first snapshot already.
    assert second.captured == replace(first.captured, data_dropped=frozenset())


def test_large_sparse_memory_is_still_one_segment(engine: Engine) -> None:
    """wasmtime would copy a sparse image at every instantiation."""
    wasm = guest("", "(drop (memory.grow (i32.const 18))) (i32.store8 (i32.const 1310719) (i32.const 1))")
    module, made = frozen(engine, wasm)
    assert made.captured is not None
    assert made.captured.pages * limits.WASM_PAGE_BYTES == 20 * 65536
    assert [d.active for d in module.data] == [True]
