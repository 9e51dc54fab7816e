"""The pipeline: a module becomes an artifact to be born from, or is refused, or runs unfrozen with a warning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.engine.isolate import Isolate, drive
from isolet.errors import ModuleInvalid
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.snapshot import sections
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import PHASES, Made, Maker
from isolet.snapshot.sections import parse

GUESTS = Path(__file__).parent.parent / "guests"
MEMORY = 32 * limits.MIB
EVENT = b"\x82\xa5event\xc0\xa7context\x80"


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker(IMPORTS)


@pytest.fixture(scope="module")
def worker() -> Iterator[Engine]:
    """The engine of a worker, that artifacts are for."""
    made = Engine(EngineSettings(isolates_max=4), IMPORTS)
    yield made
    made.close()


def constants() -> HostConstants:
    return HostConstants("f", "1", "arn", 32, (), {})


def make(maker: Maker, wasm: bytes, warmup: bytes | None = None) -> Made:
    return maker.make(wasm, Guest(MEMORY, lambda: HostState(constants(), initialising=True), warmup))


def named(name: str) -> bytes:
    return wat((GUESTS / f"{name}.wat").read_text())


def born(worker: Engine, made: Made, directory: Path) -> Isolate:
    path = directory / "artifact"
    path.write_bytes(made.artifact)
    template = worker.link(worker.load(str(path)))
    return Isolate(worker, template, MEMORY, 10**9, HostState(constants()))


def test_artifact_of_the_builder_s_engine_serves_in_a_worker_s(maker: Maker, worker: Engine, tmp_path: Path) -> None:
    made = make(maker, named("remembers"))
    assert maker.fingerprint == worker.fingerprint
    isolate = born(worker, made, tmp_path)
    assert drive(isolate.serve(EVENT, made.info.buffer_ptr, made.info.buffer_len)) == bytes((1, 1, 1))


def test_info_says_what_was_made(maker: Maker) -> None:
    info = make(maker, named("remembers")).info
    assert info.baked
    assert info.warnings == ()
    assert (info.buffer_ptr, info.buffer_len) == (65536, 65536)
    assert info.memory_bytes == 8 * 65536
    assert info.image_bytes == 2
    assert info.init_fuel > 0
    assert info.build_s > 0


def test_phases_are_told_in_order(maker: Maker) -> None:
    told: list[str] = []
    made = maker.make(
        named("remembers"), Guest(MEMORY, lambda: HostState(constants(), initialising=True), None), told.append
    )
    assert tuple(told) == PHASES
    assert tuple(phase for phase, _ in made.phases_s) == PHASES


def test_module_that_cannot_be_frozen_runs_its_initialisation_in_every_isolate(
    maker: Maker, worker: Engine, tmp_path: Path
) -> None:
    made = make(maker, named("initialiser_calls"))
    info = made.info
    assert not info.baked
    assert (info.buffer_ptr, info.buffer_len, info.image_bytes) == (0, 0, 0)
    assert info.warnings[0].startswith("initialisation cannot be frozen: ")
    assert "it runs in every invocation" in info.warnings[-1]
    isolate = born(worker, made, tmp_path)
    waits: list[str] = []

    def slept(wait: object) -> None:
        waits.append(wait.kind)  # type: ignore[attr-defined]
        wait.finish(0)  # type: ignore[attr-defined]

    assert drive(isolate.serve(EVENT, 0, 0), slept) == (1).to_bytes(4, "little")  # the length of the reply, nil
    assert waits == ["sleep"]


def test_module_that_the_validator_refuses_is_refused_with_its_words(maker: Maker) -> None:
    wasm = wat("""(module (memory (export "memory") 2)
      (func (export "isolet_buffer") (param i32) (result i32) (i64.const 1))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))""")
    with pytest.raises(ModuleInvalid, match="type mismatch"):
        make(maker, wasm)


@pytest.mark.slow
def test_module_that_no_pool_holds_is_refused_when_it_is_made(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker would find out at the first event."""
    monkeypatch.setattr(limits, "MODULE_FUNCTIONS_MAX", 100_000)
    plain = parse(named("remembers"))
    functions, globals_ = 90_000, 99_000
    payloads = plain.payloads()
    body, first = b"\2\0\x0b", len(plain.functions)
    types = {name: index for index, name in enumerate(map(str, plain.types))}
    payloads[sections.FUNCTION] = sections.vector(
        (*map(sections.unsigned, plain.functions), *([sections.unsigned(types["() -> ()"])] * functions))
    )
    payloads[sections.GLOBAL] = sections.vector([b"\x7b\1\xfd\x0c" + bytes(16) + b"\x0b"] * globals_)
    payloads[sections.ELEMENT] = sections.vector(
        [b"\3\0" + sections.vector(sections.unsigned(first + n) for n in range(functions))]
    )
    bodies = (plain.wasm[b.start : b.end] for b in plain.bodies)
    payloads[sections.CODE] = sections.vector((*(sections.unsigned(len(b)) + b for b in bodies), *([body] * functions)))
    with pytest.raises(ModuleInvalid, match="does not fit in an isolate; have fewer functions and globals"):
        make(maker, sections.emit(payloads))


def test_warmup_is_in_the_snapshot(maker: Maker, worker: Engine, tmp_path: Path) -> None:
    made = make(maker, named("remembers"), warmup=EVENT)
    isolate = born(worker, made, tmp_path)
    assert drive(isolate.serve(EVENT, made.info.buffer_ptr, made.info.buffer_len)) == bytes((1, 2, 2))


def test_many_isolates_of_one_snapshot_do_not_see_each_other(maker: Maker, worker: Engine, tmp_path: Path) -> None:
    made = make(maker, named("remembers"))
    path = tmp_path / "artifact"
    path.write_bytes(made.artifact)
    template = worker.link(worker.load(str(path)))
    for _ in range(100):
        isolate = Isolate(worker, template, MEMORY, 10**9, HostState(constants()))
        assert drive(isolate.serve(EVENT, made.info.buffer_ptr, made.info.buffer_len)) == bytes((1, 1, 1))


def test_large_sparse_image_is_mapped_and_not_copied(maker: Maker, worker: Engine, tmp_path: Path) -> None:
    """25 MiB with a byte at each end: 6 to 9 ms if it were copied at every instantiation. Counted, not timed."""
    wasm = wat("""(module (memory (export "memory") 400)
      (func (export "isolet_init")
        (i32.store8 (i32.const 9) (i32.const 1)) (i32.store8 (i32.const 26214399) (i32.const 1)))
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 10)))""")
    made = make(maker, wasm)
    assert made.info.image_bytes == 26_214_400
    path = tmp_path / "artifact"
    path.write_bytes(made.artifact)
    template = worker.link(worker.load(str(path)))
    touched = []
    for _ in range(3):
        isolate = Isolate(worker, template, MEMORY, 10**9, HostState(constants()))
        before = page_faults()
        drive(isolate.instantiate())
        touched.append(page_faults() - before)
        print(f"restored in {isolate.restore_ns / 1000:.1f} µs, {touched[-1]} page faults")
        isolate.close()
    assert max(touched[1:]) < 100  # of 6,400 pages


def page_faults() -> int:
    """Minor and major faults of this process so far."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[7]) + int(fields[9])


def test_timing_is_printed_for_a_person(maker: Maker) -> None:
    began_s = time.perf_counter()
    made = make(maker, named("remembers"))
    print({phase: f"{seconds * 1000:.1f} ms" for phase, seconds in made.phases_s}, time.perf_counter() - began_s)
    assert sum(seconds for _, seconds in made.phases_s) == pytest.approx(made.info.build_s)
