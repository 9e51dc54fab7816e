"""Bulk instructions in slices: what they do is what they did, and a guest can be stopped in the middle."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet import limits
from isolet.engine import isolate as isolating
from isolet.engine.engine import Engine, EngineSettings, Template, wat
from isolet.engine.inspection import Inspected
from isolet.engine.isolate import drive
from isolet.errors import GuestError, ModuleInvalid, OutOfFuel, TimedOut
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages import toolchain
from isolet.snapshot import sections
from isolet.snapshot.instructions import MEMORY_COPY, MEMORY_FILL, MEMORY_INIT, TABLE_COPY, lengthy
from isolet.snapshot.meter import meter
from isolet.snapshot.sections import parse, unsigned
from plane import Plane
from running import ROOT, Guest, http_event

GUESTS = Path(__file__).parent.parent / "guests"
CHUNK, ELEMENTS = limits.BULK_CHUNK_BYTES, limits.BULK_CHUNK_ELEMENTS
FUEL = 10**10


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineSettings(pooling=False, optimise=False), IMPORTS)
    yield made
    made.close()


def metered(wasm: bytes) -> bytes:
    return meter(parse(wasm))


Call = tuple[str, *tuple[int, ...]]


def ran(engine: Engine, template: Template, calls: Sequence[Call]) -> tuple[list[str], bytes, list[list[str | None]]]:
    """(what each call answered, memory after them, tables `a` and `b` if there are). Calls end at the first trap."""
    isolate = Inspected(engine, template, 64 * limits.MIB, FUEL)
    answers = []
    try:
        drive(isolate.instantiate())
        for name, *arguments in calls:
            try:
                answers.append(f"{name} {drive(isolate.call(name, *arguments))}")
            except GuestError as error:
                answers.append(f"{name} {error!r}")
                break
        memory = isolate.memory()
        if not isolate.has_function("f0"):
            return answers, memory, []
        names: dict[int | None, str | None] = {isolate.function_identity(name): name for name in FUNCTIONS}
        return answers, memory, [[names.get(identity) for identity in isolate.table(name)] for name in "ab"]
    finally:
        isolate.close()


def called(engine: Engine, wasm: bytes, *calls: Call) -> tuple[list[str], bytes]:
    return ran(engine, engine.link(engine.compile(wasm)), calls)[:2]


# ── the same as before ──────────────────────────────────────────────────────────────────────────────────────────

PAGES = 5
SIZE = PAGES * limits.WASM_PAGE_BYTES
LONG, SHORT, TABLE = 3 * CHUNK + 5, 100, 12


def bytes_of(length: int) -> str:
    return "".join(f"\\{(i * 7 + i // 251) & 255:02x}" for i in range(length))


FUNCTIONS = [f"f{n}" for n in range(2 * TABLE)]

# One export for every instruction.
EVERYTHING = f"""(module
  (memory (export "memory") {PAGES} 8)
  (data (i32.const 1000) "{bytes_of(5000)}")
  (data $long "{bytes_of(LONG)}") (data $short "{bytes_of(SHORT)}") (data $active (i32.const 0) "active")
  (table $a (export "a") {TABLE} funcref) (table $b (export "b") {TABLE + 3} funcref)
  (elem (table $a) (i32.const 0) func {" ".join(f"${name}" for name in FUNCTIONS[: TABLE - 2])})
  (elem (table $b) (i32.const 2) func {" ".join(f"${name}" for name in FUNCTIONS[TABLE:])})
  {" ".join(f'(func ${name} (export "{name}"))' for name in FUNCTIONS)}
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "long") (param i32 i32 i32) (memory.init $long (local.get 0) (local.get 1) (local.get 2)))
  (func (export "short") (param i32 i32 i32) (memory.init $short (local.get 0) (local.get 1) (local.get 2)))
  (func (export "active") (param i32 i32 i32) (memory.init $active (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (data.drop $long) (data.drop $short))
  (func (export "grow") (drop (memory.grow (i32.const 1))))
  (func (export "aa") (param i32 i32 i32) (table.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "ab") (param i32 i32 i32) (table.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "ba") (param i32 i32 i32) (table.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "bb") (param i32 i32 i32) (table.copy $b $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "wipe") (param i32 i32 i32) (table.fill $a (local.get 0) (ref.null func) (local.get 2))))"""


@pytest.fixture(scope="module")
def everything() -> tuple[bytes, bytes]:
    original = wat(EVERYTHING)
    return original, metered(original)


U32 = st.integers(0, 2**32 - 1)
# Near the edges of memory, of chunks, of segments, of 32 bits; and anywhere.
EDGES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 1, LONG - 1, LONG, LONG + 1, SHORT, SIZE - 1, SIZE)
EDGE = st.one_of(st.sampled_from((*EDGES, SIZE + 1, 2**31, 2**32 - CHUNK, 2**32 - 1)))
ADDRESS = st.one_of(st.integers(0, SIZE), st.integers(0, 2 * CHUNK), EDGE)
LENGTH = st.one_of(st.integers(0, 2 * CHUNK), st.integers(0, SIZE), EDGE)
SLOT = st.one_of(st.integers(0, TABLE), st.sampled_from((TABLE + 1, TABLE + 3, TABLE + 4, 2**32 - 2, 2**32 - 1)))
CALL = st.one_of(
    st.tuples(st.just("fill"), ADDRESS, U32, LENGTH),
    st.tuples(st.sampled_from(("copy", "copy", "long", "short", "active")), ADDRESS, ADDRESS, LENGTH),
    # In bounds and long, mostly: destination, and how far from it the source is.
    st.builds(
        lambda to, by, length: ("copy", to, max(0, to + by), length),
        st.integers(0, CHUNK),
        st.integers(-CHUNK, CHUNK),
        st.integers(CHUNK, 3 * CHUNK),
    ),
    st.tuples(st.sampled_from(("aa", "ab", "ba", "bb")), SLOT, SLOT, SLOT),
    st.builds(lambda name: (name,), st.sampled_from(("drop", "grow"))),
    st.tuples(st.just("wipe"), SLOT, st.just(0), st.integers(0, 3)),
)


@pytest.fixture(scope="module")
def templates(engine: Engine, everything: tuple[bytes, bytes]) -> list[Template]:
    return [engine.link(engine.compile(wasm)) for wasm in everything]


def holds(engine: Engine, templates: list[Template], calls: list[Call]) -> None:
    expected, actual = (ran(engine, template, calls) for template in templates)
    assert actual[0] == expected[0]
    assert actual[1] == expected[1]
    assert actual[2] == expected[2]


CALLS = st.lists(CALL, min_size=1, max_size=6)


@settings(max_examples=1_000, deadline=None)
@given(calls=CALLS)
def test_metered_module_does_what_the_original_does(
    engine: Engine, templates: list[Template], calls: list[Call]
) -> None:
    holds(engine, templates, calls)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(calls=CALLS)
def test_metered_module_does_what_the_original_does_thoroughly(
    engine: Engine, templates: list[Template], calls: list[Call]
) -> None:
    holds(engine, templates, calls)


@pytest.mark.parametrize("pair", ["aa", "ab", "ba", "bb"])
def test_copying_tables_is_the_same_for_all_places_and_lengths(
    engine: Engine, templates: list[Template], pair: str
) -> None:
    places = (0, 1, 4, 9, TABLE - 1, TABLE, TABLE + 2, TABLE + 3, TABLE + 4, 2**32 - 1)
    for call in itertools.product([pair], places, places, (*places, ELEMENTS + 1)):
        holds(engine, templates, [call])


OUTSIDE = [
    ("fill", SIZE - 2 * CHUNK, 1, 2 * CHUNK + 1),
    ("fill", SIZE + 1, 1, 0),
    ("fill", 2**32 - 1, 1, 2 * CHUNK),
    ("fill", 2 * CHUNK, 1, 2**32 - CHUNK),
    ("copy", SIZE - 2 * CHUNK, 0, 2 * CHUNK + 1),
    ("copy", 0, SIZE - 2 * CHUNK, 2 * CHUNK + 1),
    ("copy", 0, 2**32 - CHUNK, 2 * CHUNK),
    ("copy", 2**32 - CHUNK, 0, 2 * CHUNK),
    ("copy", 1, SIZE + 1, 0),
    ("long", 0, 1, LONG),
    ("long", 0, 2**32 - CHUNK, 2 * CHUNK),
    ("long", SIZE - 2 * CHUNK, 0, 2 * CHUNK + 1),
    ("long", 0, LONG + 1, 0),
    ("active", 0, 0, 1),
]


@pytest.mark.parametrize("call", OUTSIDE, ids=str)
def test_what_is_out_of_bounds_traps_before_a_byte_is_written(
    engine: Engine, everything: tuple[bytes, bytes], call: Call
) -> None:
    original, changed = everything
    (answer,), memory = called(engine, changed, call)
    assert "outside linear memory" in answer
    assert memory == called(engine, original)[1], "as it was born"


def test_dropped_segment_traps_before_a_byte_is_written(engine: Engine, everything: tuple[bytes, bytes]) -> None:
    answers, memory = called(engine, everything[1], ("long", 0, 0, LONG), ("drop",), ("fill", 0, 3, 9))
    assert len(answers) == 3
    again, after = called(
        engine, everything[1], ("long", 0, 0, LONG), ("drop",), ("fill", 0, 3, 9), ("long", 9, 0, LONG)
    )
    assert "outside linear memory" in again[-1]
    assert after == memory


def test_edges_that_are_inside_are_done(engine: Engine, everything: tuple[bytes, bytes]) -> None:
    calls = [
        ("fill", 0, 1, SIZE),
        ("fill", SIZE, 1, 0),
        ("long", SIZE - LONG, 0, LONG),
        ("long", SIZE, LONG, 0),
        ("copy", 0, CHUNK, SIZE - CHUNK),
        ("copy", CHUNK, 0, SIZE - CHUNK),
        ("copy", 5, 5, SIZE - 5),
        ("active", 0, 0, 0),
    ]
    answers, memory = called(engine, everything[1], *calls)
    assert len(answers) == len(calls)
    assert "Trapped" not in answers[-1]
    assert (answers, memory) == called(engine, everything[0], *calls)


# ── the bytes of the module ─────────────────────────────────────────────────────────────────────────────────────


def with_body(code: bytes, functions: int = 1) -> bytes:
    """A module with a memory, a passive segment longer than a chunk, `go` of this code, and more functions, empty."""
    body = b"\0" + code + b"\x0b"
    empty = b"\2\0\x0b" * (functions - 1)
    return sections.emit(
        {
            sections.TYPE: b"\1\x60\0\0",
            sections.FUNCTION: unsigned(functions) + b"\0" * functions,
            sections.MEMORY: b"\1\0\4",
            sections.EXPORT: b"\2" + sections.name("go") + b"\0\0" + sections.name("memory") + b"\2\0",
            sections.DATA_COUNT: b"\1",
            sections.CODE: unsigned(functions) + unsigned(len(body)) + body + empty,
            sections.DATA: b"\1\1" + unsigned(CHUNK + 9) + bytes(i % 251 for i in range(CHUNK + 9)),
        }
    )


def const(value: int) -> bytes:
    return b"\x41" + sections.signed(value)


ARGUMENTS = const(5) + const(2) + const(CHUNK + 7)
SPELLINGS = {
    "fill": b"\xfc\x0b\0",
    "fill, number of 2 bytes": b"\xfc\x8b\0\0",
    "fill, number of 5 bytes": b"\xfc\x8b\x80\x80\x80\0\0",
    "copy": b"\xfc\x0a\0\0",
    "copy, number of 3 bytes": b"\xfc\x8a\x80\0\0\0",
    "init": b"\xfc\x08\0\0",
    "init, all long": b"\xfc\x88\x80\0\x80\x80\x80\x80\0\0",
    "init, segment of 5 bytes": b"\xfc\x08\x80\x80\x80\x80\0\0",
}


@pytest.mark.parametrize("functions", [1, 130, 16_390])
@pytest.mark.parametrize("instruction", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_is_found_and_does_what_it_did(engine: Engine, instruction: bytes, functions: int) -> None:
    """Also where the index of what is called takes two or three bytes."""
    if functions > 130 and len(instruction) > 4:
        return
    original = with_body(ARGUMENTS + instruction, functions)
    changed = metered(original)
    assert len(parse(changed).functions) == functions + 1
    assert instruction not in changed[: parse(changed).bodies[functions].start]
    assert called(engine, changed, ("go",)) == called(engine, original, ("go",))


BAIT = b"\xfc\x0b\x00\xfc\x0a\x00\x00\xfc\x08\x00\x00\xfc\x0e\x00\x00\xfc"


@pytest.mark.parametrize(
    "code",
    [
        b"\xfd\x0c" + BAIT + b"\x1a",  # v128.const
        b"\x44" + BAIT[:8] + b"\x1a",  # f64.const
        b"\x43" + BAIT[:4] + b"\x1a",
        b"\x41\xfc\x0b\x1a",  # i32.const, drop
        b"\x42\xfc\x8a\x00\x1a",  # i64.const, drop
        const(0) + b"\x28\x02\xfc\x08\x1a",  # i32.load, its offset
    ],
    ids=["v128", "f64", "f32", "i32", "i64", "offset"],
)
def test_bytes_inside_immediates_are_left_alone(code: bytes) -> None:
    wasm = with_body(code)
    assert metered(wasm) is wasm
    # And with a real one behind it, only that one changes.
    changed = parse(metered(with_body(code + ARGUMENTS + b"\xfc\x0b\0")))
    body = changed.bodies[0]
    assert changed.wasm[body.start : body.end] == b"\0" + code + ARGUMENTS + b"\x10\x01\x0b"


def test_module_without_long_instructions_is_the_same_object() -> None:
    for text in (
        "(module (func))",
        "(module)",
        f'(module (memory 1) (data "{"a" * CHUNK}") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 9))))',
        f'(module (memory 2) (data (i32.const 0) "{"a" * (CHUNK + 1)}")'
        " (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 9))))",
    ):
        wasm = wat(text)
        assert metered(wasm) is wasm


@pytest.mark.parametrize(
    "instruction",
    [b"\xfc\x0b\x01", b"\xfc\x0a\0\x01", b"\xfc\x0a\x01\0", b"\xfc\x08\x01\0", b"\xfc\x08\0\x01", b"\xfc\x0e\0\0"],
    ids=bytes.hex,
)
def test_what_does_not_exist_is_left_for_the_engine_to_refuse(engine: Engine, instruction: bytes) -> None:
    """Another memory, another segment, a table where there is none."""
    wasm = with_body(ARGUMENTS + instruction)
    assert metered(wasm) is wasm
    with pytest.raises(ModuleInvalid):
        engine.compile(wasm)


def test_sites_share_their_function_and_its_type() -> None:
    operands = "(local.get 0) (local.get 1) (local.get 2)"
    one = f"(memory.fill {operands}) (memory.copy {operands})"
    original = parse(wat(f"(module (memory 1) (func (param i32 i32 i32) {one * 3}) (func (param i32 i32 i32) {one}))"))
    changed = parse(meter(original))
    assert changed.types == original.types
    assert changed.functions == (0, 0, 0, 0)
    assert [found.opcode for found in lengthy(original)] == [MEMORY_FILL, MEMORY_COPY] * 4
    assert {found.function for found in lengthy(changed)} == {2, 3}, "only in the functions of ours"


def test_type_is_added_where_there_is_none() -> None:
    changed = parse(metered(wat("(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))")))
    assert [str(type_) for type_ in changed.types] == ["() -> ()", "(i32, i32, i32) -> ()"]
    assert changed.functions == (0, 1)


def test_everything_else_keeps_its_place(everything: tuple[bytes, bytes]) -> None:
    original, changed = map(parse, everything)
    assert changed.exports == original.exports
    assert changed.types == original.types
    assert changed.functions[: len(original.functions)] == original.functions
    assert len(changed.data) == changed.data_count == len(original.data)
    assert [e.functions for e in changed.elements] == [e.functions for e in original.elements]
    kinds = [MEMORY_FILL, MEMORY_COPY, MEMORY_INIT, TABLE_COPY, TABLE_COPY, TABLE_COPY, TABLE_COPY]
    added = [found.function for found in lengthy(changed) if found.function >= len(original.functions)]
    assert len(set(added)) == len(kinds)
    for section in (sections.EXPORT, sections.ELEMENT, sections.DATA, sections.DATA_COUNT, sections.TABLE):
        assert changed.payload(section) == original.payload(section)


def test_malformed_code_is_refused() -> None:
    with pytest.raises(ModuleInvalid, match="function 0"):
        metered(with_body(ARGUMENTS + b"\xfc\x0b\x80\x80\x80\x80\x80\x80\x00"))


# ── slices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def slices(engine: Engine, text: str, fuel: int = FUEL, *, pages: int = 2048) -> tuple[int, str, int]:
    """(slices, how it ended, bytes of memory that are set) of a module's `go`, metered."""
    template = engine.link(engine.compile(metered(wat(text.replace("MEMORY", f'(memory (export "memory") {pages})')))))
    isolate = Inspected(engine, template, pages * limits.WASM_PAGE_BYTES, fuel)
    try:
        drive(isolate.instantiate())
        try:
            drive(isolate.call("go"))
            end = "returned"
        except OutOfFuel:
            end = "out of fuel"
        memory = isolate.memory()
        return isolate.slices, end, len(memory) - memory.count(0)
    finally:
        isolate.close()


LONG_WORK = {
    "fill": "(memory.fill (i32.const 9) (i32.const 7) (i32.const 33554432))",
    "copy upwards": "(memory.copy (i32.const 9) (i32.const 33554432) (i32.const 33554432))",
    "copy downwards": "(memory.copy (i32.const 100000) (i32.const 0) (i32.const 33554432))",
}


@pytest.mark.parametrize("instruction", LONG_WORK.values(), ids=LONG_WORK)
def test_one_instruction_takes_as_many_slices_as_it_is_long(
    engine: Engine, instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No slice takes long: one that did would make those after it smaller.
    monkeypatch.setattr(isolating, "perf_counter_ns", itertools.count().__next__)
    count, end, _ = slices(engine, f'(module MEMORY (func (export "go") {instruction}))')
    assert end == "returned"
    # A slice is a fuel a byte, and what is over of a chunk.
    assert 33_554_432 / (limits.SLICE_FUEL + CHUNK) <= count <= 33_554_432 / limits.SLICE_FUEL + 1


def test_initialisation_from_a_segment_takes_slices(engine: Engine) -> None:
    length = 4 * limits.SLICE_FUEL
    text = f"""(module MEMORY (data "{"a" * length}")
      (func (export "go") (memory.init 0 (i32.const 1) (i32.const 0) (i32.const {length}))))"""
    count, end, changed = slices(engine, text, pages=32)
    assert (end, changed) == ("returned", length)
    assert count >= 3


def test_table_copy_costs_its_time_and_takes_slices(engine: Engine) -> None:
    size = limits.TABLE_ELEMENTS_MAX
    text = f"""(module MEMORY (table $a {size} funcref) (table $b {size} funcref)
      (func (export "go") (table.copy $a $b (i32.const 0) (i32.const 0) (i32.const {size}))))"""
    count, end, _ = slices(engine, text, pages=1)
    assert end == "returned"
    assert count >= 2


@pytest.mark.parametrize("instruction", LONG_WORK.values(), ids=LONG_WORK)
def test_fuel_that_ends_stops_the_instruction_in_its_middle(engine: Engine, instruction: str) -> None:
    fuel = 1_000_000
    set_all = '(data (i32.const 0) "\\01")' if "copy" in instruction else ""
    text = f'(module MEMORY {set_all} (func (export "go") {instruction}))'
    count, end, changed = slices(engine, text, fuel)
    assert end == "out of fuel"
    assert count >= 3
    if not set_all:
        assert fuel - 2 * CHUNK <= changed <= fuel + CHUNK


@pytest.mark.anyio
async def test_bulk_guest_yields_and_runs_out_of_fuel(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("bulk_fill", memory_mb=80, fuel=3 * 64 * limits.MIB, timeout_s=60)
    outcome = await plane.invoke(target)
    assert isinstance(outcome.error, OutOfFuel)
    assert outcome.usage.slices > 3 * 64 * limits.MIB / (limits.SLICE_FUEL + CHUNK)
    assert outcome.usage.memory_bytes == 64 * limits.MIB + 2 * limits.WASM_PAGE_BYTES
    assert plane.engine.live == 0


@pytest.mark.anyio
async def test_bulk_guest_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    outcome = await plane.invoke(plane.target("bulk_fill", memory_mb=80, timeout_s=0.05, fuel=limits.FUEL_MAX))
    assert isinstance(outcome.error, TimedOut)
    assert outcome.usage.slices > 1
    assert plane.engine.live == 0


# ── what compilers make ─────────────────────────────────────────────────────────────────────────────────────────


def compiled_c(source: Path, scratch: Path) -> bytes:
    cache = toolchain.cache_directory() / "zig"
    command: list[str | Path] = [toolchain.ensure(toolchain.ZIG, print), "cc", "-target", "wasm32-wasi"]
    command += ["-mexec-model=reactor", "-O2", source, "-o", scratch / "c.wasm"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(scratch / "cache")}
    subprocess.run(command, env=environment, check=True)
    return (scratch / "c.wasm").read_bytes()


def outcome(engine: Engine, wasm: bytes, event: bytes, constants: HostConstants, memory_mb: int) -> tuple[bytes, int]:
    """(outcome, slices)"""
    template = engine.link(engine.compile(wasm))
    isolate = Inspected(engine, template, memory_mb * limits.MIB, FUEL, HostState(constants))
    return drive(isolate.serve(event, 0, 0)), isolate.slices


@pytest.mark.parametrize("by", [0, 1, 3, 200])
def test_libc_moves_memory_as_before(engine: Engine, by: int, c_module: bytes) -> None:
    constants = HostConstants("bulk", "1", "arn", 64, (), {})
    event = bytes((0x81, by))
    assert metered(c_module) is not c_module
    expected, _ = outcome(engine, c_module, event, constants, 64)
    answered, _ = outcome(engine, metered(c_module), event, constants, 64)
    assert answered == expected
    assert len(set(msgpack.unpackb(answered)["ok"])) >= 6


@pytest.fixture(scope="module")
def c_module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled_c(GUESTS / "libc" / "bulk.c", tmp_path_factory.mktemp("bulk"))


LOG_LINE = '192.0.2.{n} - - [10/Oct/2000:13:{n:02}:36 -0700] "GET /page/{n} HTTP/1.0" 200 2326\n'


def test_function_in_c_answers_as_before(engine: Engine) -> None:
    guest = Guest(ROOT / "functions" / "accesslog")
    log = "".join(LOG_LINE.format(n=n % 60) for n in range(5_000))
    event = guest.envelope(http_event("POST", "/accesslog", body=log))
    wasm = guest.package.wasm
    assert len(list(lengthy(parse(wasm)))) > 1
    expected, _ = outcome(engine, wasm, event, guest.constants, 32)
    assert outcome(engine, metered(wasm), event, guest.constants, 32)[0] == expected


@pytest.mark.slow
def test_function_in_go_answers_as_before(engine: Engine) -> None:
    guest = Guest(ROOT / "functions" / "thumbnail")
    event = guest.envelope(http_event("GET", "/thumbnail"))
    wasm = guest.package.wasm
    assert len(list(lengthy(parse(wasm)))) > 100
    expected, _ = outcome(engine, wasm, event, guest.constants, 128)
    assert outcome(engine, metered(wasm), event, guest.constants, 128)[0] == expected
