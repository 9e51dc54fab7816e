"""The isolate, with one .wat guest per fault, on the real engine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.engine import isolate as isolating
from isolet.engine.engine import Engine, EngineSettings, Template, wat
from isolet.engine.host import HostFunction, Wait
from isolet.engine.inspection import Inspected
from isolet.engine.isolate import drive
from isolet.errors import (
    AbiViolation,
    EngineFault,
    Exited,
    GuestError,
    ModuleInvalid,
    OutOfFuel,
    OutOfMemory,
    Overloaded,
    ResponseTooLarge,
    Trapped,
)

GUESTS = Path(__file__).parent.parent / "guests"
MEMORY = 2 * limits.MIB
FUEL = 50_000_000


def call(guest: Any, ptr: int, length: int) -> int | Wait:
    """`isolet.call` of these tests: waits if asked for bytes, answers 7 for none."""
    guest.charge(10)
    return Wait("test", guest.read(ptr, length)) if length else 7


def log(guest: Any, level: int, ptr: int, length: int) -> None:
    guest.charge(limits.HOST_CALL_FUEL)
    guest.state.append((level, guest.read(ptr, length)))


def leave(guest: Any, status: int) -> None:
    raise Exited(f"exit {status}")


def defect(guest: Any) -> int:
    raise ZeroDivisionError("a defect of the host's")


IMPORTS = (
    HostFunction("isolet", "call", "ii", "i", call, suspends=True),
    HostFunction("isolet", "log", "iii", "", log),
    HostFunction("wasi_snapshot_preview1", "proc_exit", "i", "", leave),
    HostFunction("test", "defect", "", "i", defect),
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(EngineSettings(isolates_max=64), IMPORTS)


def template(engine: Engine, name: str) -> Template:
    return engine.link(engine.compile(wat((GUESTS / f"{name}.wat").read_text())))


def isolate(engine: Engine, name: str, *, memory: int = MEMORY, fuel: int = FUEL) -> Inspected:
    return Inspected(engine, template(engine, name), memory, fuel, state=[])


@pytest.fixture(autouse=True)
def nothing_left(engine: Engine) -> Iterator[None]:
    yield
    assert engine.live == 0
    assert engine.running == [None]


def test_echo_answers_its_event(engine: Engine) -> None:
    guest = isolate(engine, "echo")
    assert drive(guest.serve(b"\x81\xa2ok\x01", 1024, 4096)) == b"\x81\xa2ok\x01"
    assert guest.fuel_used > 0
    assert guest.memory_bytes == limits.WASM_PAGE_BYTES
    assert guest.restore_ns > 0


def test_event_larger_than_the_recorded_buffer_asks_the_guest(engine: Engine) -> None:
    guest = isolate(engine, "echo")
    assert drive(guest.serve(b"x" * 5000, 1024, 4096)) == b"x" * 5000


def test_event_that_the_guest_has_no_buffer_for_is_out_of_memory(engine: Engine) -> None:
    with pytest.raises(OutOfMemory, match="no buffer"):
        drive(isolate(engine, "echo").serve(b"x" * 100_000, 1024, 4096))


def test_unfrozen_module_is_initialised_in_every_isolate(engine: Engine) -> None:
    for _ in range(2):
        assert drive(isolate(engine, "initialised").serve(b"", 0, 0)) == b"IB"


FAULTS: list[tuple[str, type[GuestError], str]] = [
    ("unreachable", Trapped, "unreachable"),
    ("out_of_bounds", Trapped, "load or store outside"),
    ("divide_by_zero", Trapped, "division by zero"),
    ("recursion", Trapped, "call stack is exhausted"),
    ("call_null", Trapped, "empty table slot"),
    ("bad_signature", Trapped, "another signature"),
    ("float_conversion", Trapped, "float that does not fit"),
    ("infinite_loop", OutOfFuel, "raise `fuel`"),
    ("start_loop", OutOfFuel, "raise `fuel`"),
    ("start_trap", Trapped, "unreachable"),
    ("grow_until_refused", OutOfMemory, "raise `memory_mb`"),
    ("outcome_outside", AbiViolation, "outside the guest's memory"),
    ("outcome_wraps", AbiViolation, "outside the guest's memory"),
    ("outcome_huge", ResponseTooLarge, "exceeded maximum allowed payload size"),
    ("log_pointer_negative", AbiViolation, "outside the guest's memory"),
    ("log_storm", OutOfFuel, "host calls"),
    ("exits", Exited, "exit 3"),
    ("defect", EngineFault, "ZeroDivisionError"),
]


@pytest.mark.parametrize(("name", "kind", "words"), FAULTS, ids=[f[0] for f in FAULTS])
def test_fault_is_its_own_typed_error(engine: Engine, name: str, kind: type[GuestError], words: str) -> None:
    guest = isolate(engine, name)
    with pytest.raises(kind, match=words) as caught:
        drive(guest.serve(b"event", 1024, 4096))
    assert "Traceback" not in str(caught.value)
    assert guest.fuel_used <= FUEL
    # The same guest a second time: a fault leaves nothing behind that changes it.
    with pytest.raises(kind, match=words):
        drive(isolate(engine, name).serve(b"event", 1024, 4096))


def test_trapped_isolate_is_never_called_again(engine: Engine) -> None:
    guest = isolate(engine, "unreachable")
    with pytest.raises(Trapped):
        drive(guest.serve(b"", 1024, 4096))
    with pytest.raises(AssertionError):
        drive(guest.call("isolet_buffer", 1))


def test_more_memory_than_allowed_at_birth_is_refused(engine: Engine) -> None:
    with pytest.raises(OutOfMemory):
        drive(isolate(engine, "born_large").serve(b"", 1024, 4096))


def test_growth_stops_at_the_limit(engine: Engine) -> None:
    guest = isolate(engine, "grow_and_answer")
    drive(guest.serve(b"", 1024, 4096))
    assert guest.memory_bytes == MEMORY


def test_table_growth_stops_at_the_limit(engine: Engine) -> None:
    outcome = drive(isolate(engine, "grow_table").serve(b"", 1024, 4096))
    assert int.from_bytes(outcome, "little") <= limits.TABLE_ELEMENTS_MAX


def test_loop_yields_after_every_slice(engine: Engine) -> None:
    guest = isolate(engine, "infinite_loop", fuel=10 * limits.SLICE_FUEL)
    steps = 0
    running = guest.serve(b"", 1024, 4096)
    with contextlib.suppress(OutOfFuel):
        while next(running) is None:
            steps += 1
    # Its first slices are smaller.
    assert 9 <= steps <= 9 + 3
    assert guest.fuel_used == 10 * limits.SLICE_FUEL


def test_storm_of_host_calls_yields_too(engine: Engine) -> None:
    """Paying for host calls must not restart the slice: the guest yields once a slice's worth of calls was made."""
    guest = isolate(engine, "log_storm", fuel=10 * limits.SLICE_FUEL)
    running = guest.serve(b"", 1024, 4096)
    calls, before = [], 0
    with contextlib.suppress(OutOfFuel):
        while next(running) is None:
            calls.append(guest.host_calls - before)
            before = guest.host_calls
    assert len(calls) >= 8
    assert max(calls) <= limits.SLICE_FUEL // limits.HOST_CALL_FUEL + 1


def test_waiting_guest_resumes_with_the_status(engine: Engine) -> None:
    guest = isolate(engine, "waits")
    running = guest.serve(b"hello", 1024, 4096)
    wait = next(running)
    assert isinstance(wait, Wait)
    assert wait.argument == b"hello"
    wait.finish(3)
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == b"hel", "the guest answers as many bytes as the status says"


def test_suspending_function_may_answer_at_once(engine: Engine) -> None:
    assert drive(isolate(engine, "waits").serve(b"", 1024, 4096)) == b"\0" * 7


@pytest.mark.parametrize("guest", ["infinite_loop", "waits"])
def test_dropped_mid_run_frees_everything(engine: Engine, guest: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    maps = 0
    for round_ in range(3):
        running = [isolate(engine, guest).serve(b"hello", 1024, 4096) for _ in range(60)]
        for one in running:
            next(one)
        assert engine.live == 60
        for one in running:
            one.close()
        assert engine.live == 0
        now = len(Path("/proc/self/maps").read_text().splitlines())
        if round_ == 1:
            maps = now
    assert now <= maps, "after a first round has touched every slot, mappings stay"
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_slot_left_is_overloaded(engine: Engine) -> None:
    running = [isolate(engine, "infinite_loop").serve(b"", 1024, 4096) for _ in range(65)]
    for one in running[:64]:
        next(one)
    with pytest.raises(Overloaded):
        next(running[64])
    for one in running:
        one.close()


def test_start_section_may_call_the_host(engine: Engine) -> None:
    guest = isolate(engine, "start_logs")
    assert drive(guest.serve(b"", 1024, 4096)) == b"hi"
    assert guest.state == [(2, b"hi")]


def test_isolates_share_nothing(engine: Engine) -> None:
    """A guest that counts in memory, in a global and in its table answers one every time."""
    shared = template(engine, "counts")
    for _ in range(20):
        assert drive(Inspected(engine, shared, MEMORY, FUEL).serve(b"", 1024, 4096)) == b"\x01\x01\x01"


def test_wat_text_and_components_are_not_compiled(engine: Engine) -> None:
    for wasm in (b"(module)", b"", b"\0asm", b"\0asm\x0d\0\1\0"):
        with pytest.raises(ModuleInvalid):
            engine.compile(wasm)


def test_unknown_import_is_named(engine: Engine) -> None:
    module = engine.compile(wat('(module (import "env" "abort" (func)))'))
    with pytest.raises(ModuleInvalid, match="abort"):
        engine.link(module)


@pytest.mark.parametrize(
    "module",
    [
        "(module (memory i64 1))",
        "(module (memory 1) (memory 1))",
        "(module (memory 1 1 shared))",
        "(module (tag))",
        "(module (type (struct)))",
        "(module (func (param (ref func))))",
    ],
    ids=["memory64", "multi-memory", "threads", "exceptions", "gc", "function-references"],
)
def test_proposals_that_are_off_stay_off(engine: Engine, module: str) -> None:
    with pytest.raises(ModuleInvalid):
        engine.compile(wat(module))


def test_globals_tables_and_identities_are_read(engine: Engine) -> None:
    guest = isolate(engine, "state")
    try:
        drive(guest.instantiate())
        assert guest.global_value("i32") == (0, 0xFFFFFFFE)
        assert guest.global_value("i64") == (1, 0xFFFFFFFFFFFFFFFD)
        assert guest.global_value("f64") == (3, 0x3FF8000000000000)
        assert guest.global_value("v128") == (4, 0x0000000400000003_0000000200000001)
        first, second = guest.function_identity("first"), guest.function_identity("second")
        assert guest.table("table") == [None, first, second, None]
    finally:
        guest.close()


class Ticking:
    """A clock that goes on by so much whenever somebody looks."""

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


def slices(engine: Engine, of: Template, fuel: int) -> int:
    guest = Inspected(engine, of, MEMORY, fuel)
    with contextlib.suppress(OutOfFuel):
        drive(guest.serve(b"", 1024, 4096))
    return guest.slices


def test_slices_that_are_slow_in_cpu_time_become_smaller(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stay so for the next isolates of the function, for a while."""
    spins = template(engine, "infinite_loop")
    fuel = 20 * limits.SLICE_FUEL
    ordinary = slices(engine, spins, fuel)
    monkeypatch.setattr(isolating, "perf_counter_ns", wall := Ticking(10 * limits.SLICE_SLOW_NS))
    monkeypatch.setattr(isolating, "thread_time_ns", Ticking(10 * limits.SLICE_SLOW_NS))
    assert slices(engine, spins, fuel) > 20 * ordinary
    assert spins.slice_fuel == limits.SLICE_FUEL_MIN
    wall.step_ns = 1
    assert slices(engine, spins, fuel) > 20 * ordinary, "quick, and not yet trusted"
    wall.now_ns += int(limits.SLICE_PENANCE_S * 1e9)
    slices(engine, spins, fuel)
    assert slices(engine, spins, fuel) <= ordinary + 3


def test_slice_that_was_interrupted_is_not_slow(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    spins = template(engine, "infinite_loop")
    fuel = 20 * limits.SLICE_FUEL
    ordinary = slices(engine, spins, fuel)
    monkeypatch.setattr(isolating, "perf_counter_ns", Ticking(10 * limits.SLICE_SLOW_NS))
    monkeypatch.setattr(isolating, "thread_time_ns", Ticking(1))
    interrupted = slices(engine, spins, fuel)
    assert spins.slice_fuel == limits.SLICE_FIRST_FUEL
    assert interrupted <= 4 * ordinary
