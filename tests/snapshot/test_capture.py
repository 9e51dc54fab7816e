"""Initialisation in the builder: its order, its failures, what cannot be frozen, the warm-up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.errors import ModuleInvalid
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.snapshot import capture as capturing
from isolet.snapshot.capture import Guest, Initialised, capture
from isolet.snapshot.instructions import survey
from isolet.snapshot.instrument import instrument
from isolet.snapshot.sections import parse

GUESTS = Path(__file__).parent.parent / "guests"
EVENT = b"\x82\xa5event\xc0\xa7context\x80"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineSettings(pooling=False, optimise=False), IMPORTS)
    yield made
    made.close()


def witness() -> HostState:
    return HostState(HostConstants("f", "1", "arn", 1, (), {}), initialising=True)


def initialise(
    engine: Engine, wasm: bytes, warmup: bytes | None = None, fuel: int = 10_000_000, wall_s: float = 60.0
) -> Initialised:
    module = parse(wasm)
    windows = instrument(module, survey(module))
    template = engine.link(engine.compile(windows.wasm))
    return capture(engine, template, windows, Guest(8 * limits.MIB, witness, warmup, fuel, wall_s))


def named(name: str) -> bytes:
    return wat((GUESTS / f"{name}.wat").read_text())


def counts(initialised: Initialised) -> bytes:
    """What `remembers.wat` counted: initialisations, buffers, events."""
    assert initialised.captured is not None
    return initialised.captured.image[:3].ljust(3, b"\0")


def test_initialiser_runs_once_and_a_buffer_is_asked_for_once(engine: Engine) -> None:
    initialised = initialise(engine, named("remembers"))
    assert counts(initialised) == bytes((1, 1, 0))
    assert initialised.buffer_ptr == 65536
    assert initialised.warnings == ()
    assert initialised.fuel > 0


def test_warmup_is_handled_before_the_snapshot_and_a_new_buffer_asked_for(engine: Engine) -> None:
    initialised = initialise(engine, named("remembers"), warmup=EVENT)
    assert counts(initialised) == bytes((1, 2, 1))
    assert initialised.buffer_ptr == 2 * 65536
    assert initialised.warnings == ()


def test_warmup_that_traps_leaves_nothing_in_the_snapshot(engine: Engine) -> None:
    initialised = initialise(engine, named("handler_traps"), warmup=EVENT)
    assert initialised.captured is not None
    assert initialised.captured.image == b"\1"
    assert len(initialised.warnings) == 1
    assert "without the warm-up event: the handler failed on it: wasm trap" in initialised.warnings[0]


def test_start_function_then_initialize_then_init(engine: Engine) -> None:
    wasm = wat("""(module (memory (export "memory") 2)
      (func $note (param i32)
        (i32.store8 (i32.load8_u (i32.const 0)) (local.get 0))
        (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))))
      (data (i32.const 0) "\\01")
      (func $start (call $note (i32.const 10))) (start $start)
      (func (export "isolet_init") (call $note (i32.const 12)))
      (func (export "_initialize") (call $note (i32.const 11)))
      (func (export "isolet_buffer") (param i32) (result i32) (call $note (i32.const 13)) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (call $note (i32.const 14)) (i64.const 0)))""")
    initialised = initialise(engine, wasm, warmup=EVENT)
    assert initialised.captured is not None
    assert initialised.captured.image[:7] == bytes((7, 10, 11, 12, 13, 14, 13))


def refusal(engine: Engine, wasm: bytes, **more: float) -> str:
    with pytest.raises(ModuleInvalid) as refused:
        initialise(engine, wasm, **more)  # type: ignore[arg-type]
    return refused.value.message


def test_initialiser_that_traps_refuses_the_module_with_its_last_words(engine: Engine) -> None:
    message = refusal(engine, named("initialiser_traps"))
    assert message.startswith("initialisation failed in `isolet_init`: wasm trap: an unreachable instruction")
    assert message.endswith("its last words: no table found")


def test_start_function_that_traps_refuses_the_module(engine: Engine) -> None:
    assert "failed in the start function" in refusal(engine, named("start_trap"))


def test_initialiser_that_spins_spends_its_fuel(engine: Engine) -> None:
    assert "failed in `_initialize`: spent its 1,000,000 fuel" in refusal(
        engine, named("initialiser_spins"), fuel=1_000_000
    )


def test_initialiser_that_takes_too_long_is_stopped(engine: Engine) -> None:
    message = refusal(engine, named("initialiser_spins"), fuel=10**15, wall_s=0.0)
    assert "it took more than 0 s" in message


def test_guest_without_a_buffer_is_refused(engine: Engine) -> None:
    assert "failed in `isolet_buffer(65536)`: it answered 0" in refusal(engine, named("no_buffer"))


def test_buffer_outside_memory_is_refused(engine: Engine) -> None:
    assert "bytes 65,537…131,073 are outside" in refusal(engine, named("buffer_outside"))


def test_initialiser_that_exits_refuses_the_module(engine: Engine) -> None:
    wasm = wat("""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 2) (func (export "_initialize") (call $exit (i32.const 3)))
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))""")
    assert "failed in `_initialize`" in refusal(engine, wasm)


@pytest.mark.parametrize("name", ["initialiser_calls", "initialiser_insists"])
def test_initialiser_that_asks_for_a_capability_cannot_be_frozen(engine: Engine, name: str) -> None:
    """Also when it fails because it was denied: in an isolate it would not have been."""
    initialised = initialise(engine, named(name))
    assert initialised.captured is None
    assert initialised.buffer_ptr == 0
    assert any("sleep" in warning or "call" in warning for warning in initialised.warnings)


def test_image_beyond_the_limit_is_not_frozen(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing.limits, "SNAPSHOT_IMAGE_BYTES_MAX", 65536)
    wasm = wat("""(module (memory (export "memory") 3) (data (i32.const 0) "a") (data (i32.const 65536) "b")
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))""")
    initialised = initialise(engine, wasm)
    assert initialised.captured is None
    assert "initialised memory spans 65,537 bytes, and at most 65,536 are frozen" in initialised.warnings[0]


def test_isolates_are_gone_afterwards(engine: Engine) -> None:
    before = engine.live
    initialise(engine, named("remembers"), warmup=EVENT)
    with pytest.raises(ModuleInvalid):
        initialise(engine, named("initialiser_traps"))
    assert engine.live == before
