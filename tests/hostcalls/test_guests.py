"""Host functions as guests meet them: through the real engine, from .wat, and from C and Go with their libraries."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, Template, wat
from isolet.engine.host import Wait
from isolet.engine.isolate import Isolate, drive
from isolet.errors import AbiViolation, GuestError, OutOfFuel
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages import toolchain

GUESTS = Path(__file__).parent.parent / "guests"
PACKAGE = {"data/greeting.txt": b"Hello from the package.\n", "data/other": b"", "function.wasm": b"\0asm"}
CONSTANTS = HostConstants("files", "$LATEST", "arn:aws:lambda:x", 128, [b"COLOUR=blue"], PACKAGE)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(isolates_max=4), IMPORTS)
    yield engine
    engine.close()


class Ran:
    """One isolate run to its end: `value` or `error`, its log, what it waited for."""

    def __init__(
        self, engine: Engine, template: Template, event: bytes = b"", *, fuel: int = limits.FUEL_DEFAULT
    ) -> None:
        self.state = HostState(CONSTANTS)
        self.waits: list[Any] = []
        self.value: Any = None
        self.error: GuestError | None = None
        isolate = Isolate(engine, template, 64 * limits.MIB, fuel, self.state)
        try:
            drive(isolate.instantiate())
            drive(isolate.initialise(), self.wait)
            buffer = drive(isolate.call("isolet_buffer", limits.INPUT_BUFFER_BYTES))
            self.value = abi.unpack_outcome(drive(isolate.handle(event, buffer, limits.INPUT_BUFFER_BYTES), self.wait))
        except GuestError as error:
            self.error = error
        finally:
            isolate.close()
        self.fuel, self.slices = isolate.fuel_used, isolate.slices
        entries, self.dropped = self.state.finish()
        self.lines = [text.decode() for level, _, text in entries if level == 2]
        self.errors = [text.decode() for level, _, text in entries if level == 4]

    def wait(self, wait: Wait) -> None:
        assert wait.kind == "sleep"
        self.waits.append(wait.argument)
        assert isinstance(wait.argument, float)
        time.sleep(wait.argument)  # what the scheduler's timer does
        wait.finish(0)


def run(engine: Engine, name: str, event: bytes = b"", **options: Any) -> Ran:
    return Ran(engine, engine.link(engine.compile(wat((GUESTS / f"{name}.wat").read_text()))), event, **options)


# ── .wat ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_written_and_read_back(engine: Engine) -> None:
    ran = run(engine, "wasi_files")
    assert ran.error is None
    assert ran.value == "hello"


def test_a_new_isolate_finds_tmp_empty(engine: Engine) -> None:
    assert run(engine, "wasi_files").value == "hello"
    second = run(engine, "wasi_files")
    assert second.state.descriptors.tmp.volume.nodes_used == 1


def test_poll_suspends_the_guest_and_time_passes(engine: Engine) -> None:
    ran = run(engine, "wasi_poll", (3_000_000).to_bytes(8, "little"))
    assert ran.error is None
    assert ran.waits == [0.003]
    assert ran.value >= 3_000_000
    assert run(engine, "wasi_poll", bytes(8)).waits == []


def test_a_capability_suspends_and_its_reply_is_taken(engine: Engine) -> None:
    slept = run(engine, "asks", msgpack.packb(["sleep", 2]))
    assert (slept.value, slept.waits) == (None, [0.002])
    assert len(run(engine, "asks", msgpack.packb(["random", 60_000])).value) == 60_000


@pytest.mark.parametrize(
    ("request_", "status"),
    [(b"\xc1", -1), (["fly"], -2), (["sleep", 10**6], -4), (["random", 65_537], -4), (["random", -1], -1)],
)
def test_a_refused_request_is_a_status_in_the_guest(engine: Engine, request_: Any, status: int) -> None:
    raw = request_ if isinstance(request_, bytes) else msgpack.packb(request_)
    assert run(engine, "asks", raw).value == status


def test_a_vector_outside_memory_ends_the_guest_and_writes_nothing(engine: Engine) -> None:
    ran = run(engine, "iovec_outside")
    assert isinstance(ran.error, AbiViolation)
    assert ran.lines == []


def test_a_storm_of_the_cheapest_call_yields_and_ends(engine: Engine) -> None:
    ran = run(engine, "clock_storm", fuel=3_000_000)
    assert isinstance(ran.error, OutOfFuel)
    assert ran.slices >= 3_000_000 // limits.SLICE_FUEL // 2, "others had their turns"
    ran = run(engine, "clock_storm")
    assert isinstance(ran.error, OutOfFuel)
    assert "100,000 host calls" in ran.error.message


def test_a_storm_of_lines_is_cut(engine: Engine) -> None:
    ran = run(engine, "log_storm", fuel=200_000_000)
    assert isinstance(ran.error, OutOfFuel)
    assert len(ran.lines) + ran.dropped > 30_000
    assert sum(len(line) + limits.LOG_ENTRY_BYTES for line in ran.lines) <= limits.LOG_INVOCATION_BYTES_MAX


# ── C and Go ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def c_guest(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Template:
    scratch = tmp_path_factory.mktemp("c")
    cache = toolchain.cache_directory() / "zig"
    command: list[str | Path] = [toolchain.ensure(toolchain.ZIG, print), "cc", "-target", "wasm32-wasi"]
    command += ["-mexec-model=reactor", "-O2"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(scratch / "cache")}
    subprocess.run([*command, GUESTS / "libc" / "files.c", "-o", scratch / "c.wasm"], env=environment, check=True)
    return engine.link(engine.compile((scratch / "c.wasm").read_bytes()))


@pytest.mark.slow
def test_c_and_its_libc(engine: Engine, c_guest: Template) -> None:
    ran = Ran(engine, c_guest)
    assert ran.error is None
    assert ran.errors == ["to stderr"]
    assert ran.lines == [
        "initialising files",
        "initialised 1, colour blue",
        "package: Hello from the package.",
        "write to the package: Read-only file system",
        "create in the package: Read-only file system",
        "outside: No such file or directory",
        "escape: Operation not permitted",
        "size 8890, sum 499500",
        "truncate: done",
        "stat: done",
        "now 7 bytes, a file 1, recent 1",
        "mkdir: done",
        "mkdir again: File exists",
        "rename: done",
        "rename between volumes: Cross-device link",
        "rmdir full: Directory not empty",
        "access: done",
        "symlink: Not supported",
        "remove: done",
        "remove the directory: done",
        '/tmp: 302 entries, 300 numbered, in order 1, again from "."',
        '/var/task/data: 4 entries, 0 numbered, in order 1, again from "."',
        "/none: No such file or directory",
        "sparse: 1 at 5000000, end 10000001",
        "too large: No space left on device",
        "nanosleep: done",
        "slept long enough 1",
        "this century 1, year with TZ UTC fine 1",
        "random 1, terminal 1, stdin ends 1",
        "no newline at the end",
    ]
    assert ran.waits == [0.02]


@pytest.fixture(scope="module")
def go_guest(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Template:
    program = toolchain.ensure(toolchain.GO, print)
    target = tmp_path_factory.mktemp("go") / "go.wasm"
    environment = {
        **os.environ,
        "GOOS": "wasip1",
        "GOARCH": "wasm",
        "GOFLAGS": "-mod=mod",
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOROOT": str(program.resolve().parent.parent),
        "GOCACHE": str(toolchain.cache_directory() / "go"),
    }
    command: list[str | Path] = [program, "build", "-buildmode=c-shared", "-buildvcs=false", "-ldflags=-s -w"]
    command += ["-o", target, "."]
    subprocess.run(command, cwd=GUESTS / "gofiles", env=environment, check=True)
    return engine.link(engine.compile(target.read_bytes()))


@pytest.mark.slow
def test_go_and_its_library(engine: Engine, go_guest: Template) -> None:
    ran = Ran(engine, go_guest)
    assert ran.error is None
    assert ran.errors == ["to stderr"]
    assert ran.lines == [
        "initialised files colour blue args [files]",
        'package: "Hello from the package.\\n" <nil>',
        'relative: "Hello from the package.\\n" <nil>',
        "write to the package: open /var/task/data/greeting.txt: Read-only file system",
        "outside: true",
        "a directory: read /var/task: Is a directory",
        "write: <nil>",
        "read back: true <nil>",
        "mkdir: <nil>",
        "rename: <nil>",
        "stat: 12000000 false -rw------- true <nil>",
        "times: <nil>",
        "modified: 2020-02-29 12:00:00 +0000 UTC",
        "append: <nil>",
        'now: 0 "twe!" <nil>',
        "close: <nil> true",
        "symlink: true",
        "readdir: 301 true file-with-a-longish-name-299 <nil>",
        "walked: 5",
        "remove: <nil>",
        "left: 0 <nil>",
        "temporary: true <nil>",
        "none: true",
        "later than initialisation: true",
        "slept long enough: true",
        "tick 0",
        "tick 1",
        "tick 2",
        "timed out",
        "zone Local true",
        "random true",
        "stdin <nil>",
        "no newline at the end",
    ]
    assert ran.waits, "sleeping suspends"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c_guest", "go_guest"])
def test_their_libraries_initialise_into_what_can_be_frozen(
    engine: Engine, language: str, request: pytest.FixtureRequest
) -> None:
    state = HostState(CONSTANTS, initialising=True)
    isolate = Isolate(engine, request.getfixturevalue(language), 64 * limits.MIB, limits.INIT_FUEL, state)
    try:
        drive(isolate.instantiate())
        drive(isolate.initialise())
    finally:
        isolate.close()
    assert state.frozen_problems() == []
