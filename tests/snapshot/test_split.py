"""A program's state beside its interpreter's code: split, boot and state, with a small interpreter in C."""

from __future__ import annotations

import functools
import lzma
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import running
from isolet import abi, limits
from isolet.engine.engine import wat
from isolet.engine.isolate import Isolate, drive
from isolet.errors import EngineFault, ModuleInvalid
from isolet.hostcalls.state import HostConstants, HostState
from isolet.languages.interpreters import Interpreter
from isolet.model import SnapshotInfo
from isolet.snapshot import library, sections
from isolet.snapshot.boot import INITIALISERS, NO_BASE, Booted, Booter, code_of, without_stack
from isolet.snapshot.capture import Guest
from isolet.snapshot.instructions import survey
from isolet.snapshot.rewrite import Captured
from isolet.snapshot.split import Layout, Unsplittable, split, state_module
from isolet.snapshot.state import Base, packed, unpacked
from isolet.storage.artifacts import Artifacts, read_key

LIBRARY = {"words/first": b"hello"}
TABLE_BYTES = 1 << 20


@functools.cache
def interpreter_module() -> bytes:
    return running.built(running.ROOT / "tests" / "guests" / "interpreter").wasm


@dataclass(frozen=True, slots=True)
class Small(Interpreter):
    """An interpreter whose files are in `directory`."""

    directory: Path = Path()

    @property
    def module_path(self) -> Path:
        return self.directory / "small.wasm.xz"

    @property
    def library_path(self) -> Path:
        return self.directory / "library.xz"


class House:
    """A builder's booter and a worker's isolates, over the same artifacts."""

    def __init__(self, directory: Path) -> None:
        small = Small("small", "small", directory)
        small.module_path.write_bytes(lzma.compress(interpreter_module(), preset=0))
        small.library_path.write_bytes(lzma.compress(msgpack.packb(LIBRARY), preset=0))
        self.engine = running.restored_engine()
        self.artifacts = Artifacts(directory / "artifacts", read_key(directory / "key"), self.engine.fingerprint)
        self.booter = Booter(self.engine, self.artifacts, small)
        self.phases: list[str] = []

    def boot(self, program: str, memory_mb: int = 4, warmup: bytes | None = None) -> Booted:
        def guest(library: Mapping[str, bytes]) -> Guest:
            constants = self.constants(program, library)
            return Guest(memory_mb * limits.MIB, lambda: HostState(constants, initialising=True), warmup)

        return self.booter.boot(lambda library: guest(library), guest, self.phases.append)

    def constants(self, program: str, library: Mapping[str, bytes]) -> HostConstants:
        return HostConstants("f", "$LATEST", "arn", 4, (), {"program": program.encode()}, library=library)

    def call(self, info: SnapshotInfo, program: str) -> dict[str, Any]:
        """One invocation as a worker makes it, from what is stored."""

        with self.artifacts.open(info.base_digest) as base_file:
            base = unpacked(zlib.decompress(Path(base_file.path).read_bytes()), NO_BASE)
        with self.artifacts.open(info.code_digest) as code_file:
            code = code_of(self.engine, code_file.path, base.layout)
        with self.artifacts.open(info.digest) as file:
            state = unpacked(zlib.decompress(Path(file.path).read_bytes()), Base(info.base_digest, base.memory))
        template = self.engine.link_state(self.engine.compile(state.module), code, INITIALISERS)
        isolate = Isolate(
            self.engine, template, 4 * limits.MIB, limits.FUEL_DEFAULT, HostState(self.constants(program, LIBRARY))
        )
        packed_constants = abi.pack_constants(name="f", version="1", arn="a", memory_mb=4, log_stream="s")
        envelope = abi.pack_envelope(b"\x80", packed_constants, str(uuid.uuid4()), 1, bytes(16))
        outcome = drive(isolate.serve(envelope, info.buffer_ptr, info.buffer_len), running.finish)
        answer: dict[str, Any] = msgpack.unpackb(outcome)["ok"]
        return answer


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_program_is_called_as_it_was_initialised(house: House) -> None:
    booted = house.boot("print 1")
    for _ in range(3):
        answer = house.call(booted.info, "print 1")
        del answer["sum"]
        assert answer == {"program": "print 1", "library": "hello", "boots": 1, "inits": 1, "calls": 1}
    assert booted.info.baked
    assert booted.info.buffer_len == limits.INPUT_BUFFER_BYTES


def test_a_warm_up_event_is_in_the_state(house: House) -> None:
    constants = abi.pack_constants(name="f", version="1", arn="a", memory_mb=4, log_stream="s")
    warmup = abi.pack_envelope(b"\x80", constants, str(uuid.uuid4()), 1, bytes(16))
    assert house.call(house.boot("print 1", warmup=warmup).info, "print 1")["calls"] == 2


def test_the_interpreter_is_compiled_once_a_machine(house: House) -> None:
    first = house.boot("print 1").info
    assert any("compiling" in phase for phase in house.phases)
    house.phases.clear()
    second = house.boot("print 2").info
    assert not any("compiling" in phase for phase in house.phases)
    assert (first.code_digest, first.base_digest) == (second.code_digest, second.base_digest)
    assert first.digest != second.digest
    assert house.call(second, "print 2")["sum"] == house.call(first, "print 1")["sum"]


def test_what_is_stored_of_a_program_does_not_repeat_its_interpreter(house: House) -> None:
    info = house.boot("print 1").info
    assert info.image_bytes > TABLE_BYTES
    assert info.artifact_bytes < TABLE_BYTES // 16


def test_a_lost_part_of_the_interpreter_is_made_again(house: House) -> None:
    lost = house.boot("print 1").info
    (house.artifacts._directory / f"{lost.base_digest}.seal").unlink()
    house.phases.clear()
    again = house.boot("print 1").info
    assert any("compiling" in phase for phase in house.phases)
    assert house.call(again, "print 1")["program"] == "print 1"


def test_a_program_that_calls_a_capability_initialises_in_every_invocation(house: House) -> None:
    booted = house.boot("call")
    assert not booted.info.baked
    assert "sleep" in " ".join(booted.info.warnings)
    answer = house.call(booted.info, "call")
    assert (answer["program"], answer["boots"], answer["inits"]) == ("call", 1, 1)


def test_a_program_that_traps_is_refused_with_the_reason(house: House) -> None:
    with pytest.raises(ModuleInvalid, match="initialisation failed in `isolet_init`"):
        house.boot("trap")


def test_less_memory_than_the_interpreter_needs_is_refused_with_the_cure(house: House) -> None:
    house.boot("print 1")
    with pytest.raises(ModuleInvalid, match="raise `memory_mb`"):
        house.boot("print 1", memory_mb=1)


def test_an_interpreter_that_does_not_boot_is_our_fault_not_the_programs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Small, "read_library", lambda self: {})  # it traps without its word
    with pytest.raises(EngineFault, match="small does not boot"):
        house.boot("print 1")


# ── the passes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(module (memory 1) (func $f) (start $f))", "start section"),
        ("(module (memory 1) (table 1 funcref) (func (table.set (i32.const 0) (ref.null func))))", "tables"),
        ('(module (memory 1) (data "x"))', "passive"),
        ("(module (memory 1) (global (mut funcref) (ref.null func)))", "function"),
    ],
)
def test_what_cannot_be_split_says_why(text: str, reason: str) -> None:
    module = sections.parse(wat(text))
    with pytest.raises(Unsplittable, match=reason):
        split(module, survey(module))


def test_globals_keep_their_indices_and_values() -> None:
    """The immutable one in between is imported too; the last one stays where it was."""
    module = sections.parse(
        wat(
            """(module (memory (export "memory") 1)
                 (global (mut i32) (i32.const -1)) (global i64 (i64.const 7)) (global (mut f64) (f64.const 2.5))
                 (global i32 (i32.const 9)) (func (export "isolet_handle") (param i32 i32) (result i64)
                   (i64.add (global.get 1) (i64.extend_i32_u (global.get 3)))))"""
        )
    )
    parts = split(module, survey(module))
    assert [mutable for _, mutable in parts.layout.globals] == [True, False, True]
    code = sections.parse(parts.code)
    assert [i.name for i in code.imports if i.module == "isolet_state"] == ["memory", "g0", "g1", "g2"]
    assert len(code.globals) == 1
    first = sections.parse(parts.first)
    assert [module.wasm[g.start : g.end] for g in module.globals[:3]] == [
        first.wasm[g.start : g.end] for g in first.globals
    ]


LAYOUT = Layout(None, ((sections.I32, True), (sections.V128, False)))


def _captured(start: int, image: bytes) -> Captured:
    return Captured(40, start, image, {0: 0xFFFFFFFF, 1: 1 << 127}, {})


images = st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=40)), max_size=6)


def _image(writes: list[tuple[int, bytes]], under: bytes = b"") -> bytes:
    memory = bytearray(under)
    for at, data in writes:
        memory.extend(bytes(max(0, at + len(data) - len(memory))))
        memory[at : at + len(data)] = data
    return bytes(memory)


@given(images, images, st.sampled_from([0, 65536]))
def test_a_state_is_whole_again_with_its_base(
    base_writes: list[tuple[int, bytes]], writes: list[tuple[int, bytes]], start: int
) -> None:

    base = Base("b" * 64, bytes(start) + _image(base_writes))
    captured = _captured(start, _image(writes, base.memory[start:]))
    stored = zlib.decompress(packed(LAYOUT, captured, base))
    state = unpacked(stored, base)
    assert (state.layout, state.captured) == (LAYOUT, captured)
    assert state.module == state_module(LAYOUT, captured)


def test_a_memory_that_shrank_to_zeros_is_zero() -> None:

    base = Base("b" * 64, b"\1" * 20_000)
    captured = _captured(0, b"\1" * 4096)
    assert unpacked(zlib.decompress(packed(LAYOUT, captured, base)), base).captured == captured


def test_the_stack_below_its_pointer_is_not_stored() -> None:
    captured = Captured(3, 0, b"\1" * 70_000 + b"\2" * 10_000, {0: 70_000}, {})
    cut = without_stack(captured)
    assert cut.image_start == 65_536
    assert cut.image == bytes(70_000 - 65_536) + b"\2" * 10_000


def test_a_library_gives_its_files_from_one_mapped_one(tmp_path: Path) -> None:
    files = {"b/second": b"2" * 5000, "a": b"", "first": b"1"}
    path = tmp_path / "library"
    path.write_bytes(library.packed(files))
    read = library.Library(str(path))
    path.unlink()
    assert dict(read) == files
    assert "none" not in read
    assert library.packed(dict(reversed(files.items()))) == library.packed(files)
