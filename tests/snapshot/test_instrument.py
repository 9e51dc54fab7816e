"""The windows: all state can be read through them, and the module behaves as before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isolet.engine.engine import Engine, wat
from isolet.snapshot.instructions import survey
from isolet.snapshot.instrument import Instrumented, instrument
from isolet.snapshot.sections import parse
from snapshot.observed import Observed, quick_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = quick_engine()
    yield made
    made.close()


def windows(text: str) -> Instrumented:
    module = parse(wat(text))
    return instrument(module, survey(module))


HANDLER = """
  (memory (export "memory") 2)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
"""


def test_mutable_globals_get_names_and_others_none() -> None:
    made = windows(
        "(module (global i32 (i32.const 1)) (global (mut i32) (i32.const 2)) (global (mut f64) (f64.const 3)))"
    )
    assert made.globals == {1: "__isolet_global_1", 2: "__isolet_global_2"}
    assert made.tables == made.functions == made.data_drops == made.element_drops == {}


def test_tables_that_never_change_get_no_window() -> None:
    """A Go program has thousands of functions in its table: they need not be named if nobody moves them."""
    assert windows("(module (table 1 funcref) (func $f) (elem (i32.const 0) $f))").tables == {}


def test_tables_that_may_change_show_every_function_they_could_hold() -> None:
    made = windows("""(module (import "isolet" "answer" (func $a (result i32))) (table 2 funcref)
      (func $f (table.set (i32.const 0) (ref.null func))) (func $g) (func $h (export "h")) (func $never)
      (global funcref (ref.func $g)) (elem (i32.const 0) $a $f))""")
    assert made.tables == {0: "__isolet_table_0"}
    assert made.functions == {i: f"__isolet_function_{i}" for i in (0, 1, 2, 3)}


def test_export_that_was_there_stays() -> None:
    made = windows('(module (global (export "g") (mut i32) (i32.const 2)))')
    assert [e.name for e in parse(made.wasm).exports] == ["g", "__isolet_global_0"]


def test_custom_sections_are_left_out() -> None:
    made = windows('(module (@custom "name" "") (@custom ".debug_info" "0123456789") (func $f))')
    assert b"debug" not in made.wasm


def test_flags_tell_what_was_dropped(engine: Engine) -> None:
    wasm = wat(f"""(module {HANDLER}
      (table 1 funcref) (elem func) (elem func) (data "a") (data "b") (data "c")
      (func (export "isolet_init") (local i32)
        (data.drop 1) (if (local.get 0) (then (data.drop 2))) (elem.drop 0) (data.drop 1))
      (func (export "isolet_handle") (param i32 i32) (result i64) (elem.drop 1) (i64.const 0)))""")
    observed = Observed(engine, wasm)
    observed.start()
    seen = observed.observe()
    assert seen.data_dropped == {1}
    assert seen.elements_dropped == {0}
    observed.call("isolet_handle", 0, 0)
    assert observed.observe().elements_dropped == {0, 1}
    observed.close()


def test_drops_in_unreachable_code_stay_valid(engine: Engine) -> None:
    made = windows('(module (data "a") (func unreachable (data.drop 0) drop (data.drop 0)))')
    engine.compile(made.wasm)


def test_references_are_read_as_indices(engine: Engine) -> None:
    wasm = wat(f"""(module (import "isolet" "answer" (func $a (result i32))) {HANDLER}
      (table 4 8 funcref) (global $r (mut funcref) (ref.null func)) (global $n (mut funcref) (ref.null func))
      (func $f) (elem declare func $f $a)
      (func (export "isolet_init")
        (table.set (i32.const 1) (ref.func $f)) (table.set (i32.const 3) (ref.func $a))
        (drop (table.grow (ref.func $f) (i32.const 1)))
        (global.set $r (ref.func $a)))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))""")
    observed = Observed(engine, wasm)
    observed.start()
    seen = observed.observe()
    assert seen.tables == {0: [None, 2, None, 0, 2]}
    assert seen.globals == {0: 0, 1: None}
    observed.close()
