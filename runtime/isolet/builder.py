"""The builder: a process per build, which compiles and initialises what a tenant uploaded, and may die of it.

Compilation of hostile input takes gigabytes, minutes, or the process. So it happens in one that limits itself before it
reads a byte, has nothing of the server's in its environment, and is gone afterwards.

    keeper                                   python -m isolet.building CPU_S MEMORY_BYTES
    build(request, progress) ── stdin ──→    one msgpack map: the task
             ↑   ── package, layers, parts → descriptors to read
             ↑           ← the artifact ──   a descriptor to write
             ↑             ←── stdout ──     msgpack maps: {phase}…, then {snapshot} or {error}
             └── the last of stderr, when it died without an answer

Laws:
- `build` answers a SnapshotInfo whose artifact is stored and sealed, or raises; the process is gone in any case, and
  so is what it wrote.
- The key that artifacts are trusted by is never in a process that looks at a tenant's bytes: what the builder wrote is
  hashed, sealed and named here.
- What a builder says is believed of its own artifact only, and only if it can be so: a tenant's module may have taken
  the process over. What the artifact is loaded together with, and whose it is, is known here.
- Whatever the module is to blame for is a ModuleInvalid that says which limit and what to do: CPU and memory by the
  builder's own limits, wall time by the parent's clock. Only a death that nobody planned is a BuilderLost.
- Who gets no CPU is not to blame: a builder never waits, so one that had little CPU within its wall time goes on until
  PATIENCE times of it, and then the machine is too busy.

The process itself is building.py, and only it imports the engine: a keeper that builds holds no wasmtime.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgpack

from . import limits
from .building import BuildRequest, Progress, Task, out_of_memory
from .engine.fingerprint import fingerprint
from .errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    BuilderLost,
    BuildTimedOut,
    ModuleInvalid,
    Overloaded,
    StorageUnavailable,
)
from .frames import error_from_plain
from .languages.interpreters import Interpreter, of_runtime
from .model import SnapshotInfo
from .plain import snapshot_from_plain
from .preparing import parts
from .storage.artifacts import Artifacts, Incoming, read_key

logger = logging.getLogger("isolet.builder")

# What a phase of `build` may be, in their order; the middle ones are snapshot/make.py's.
PHASES: Final = ("starting", "validating", "compiling", "initialising", "freezing", "optimising", "storing")

# The first build in a language also compiles its interpreter, which is ours and not the tenant's to pay for: Python
# takes 8 CPU-seconds, and as long as a slow machine needs.
_INTERPRETER_CPU_S: Final = 120
_INTERPRETER_WALL_S: Final = 300.0
_INTERPRETER_MEMORY_BYTES: Final = 2 * limits.GIB
_PARTS: Final = ("code", "base", "library")
# Of a part, its seal says nothing beside its digest.
_PART: Final = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)
PATIENCE: Final = 8
COMPILING: Final = "compiling "
# What a builder may say went wrong.
_ERRORS: Final = (
    *("ModuleInvalid", "InvalidParameter", "StorageUnavailable", "EngineFault", "ToolchainMissing"),
    *("ArtifactCorrupt", "ArtifactMissing"),
)
_PHASE_CHARS_MAX: Final = 64
_WARNING_CHARS_MAX, _WARNINGS_MAX = 4_000, 100
_STDERR_BYTES_MAX: Final = 8 * limits.KIB
_ANSWER_BYTES_MAX: Final = 1 * limits.MIB


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one process may use."""

    cpu_s: int
    wall_s: float
    memory_bytes: int


async def build(
    request: BuildRequest,
    progress: Progress = lambda phase: None,
    *,
    cpu_s: int = limits.BUILD_CPU_S,
    wall_s: float = limits.BUILD_WALL_S,
    memory_bytes: int = limits.BUILD_MEMORY_BYTES,
) -> SnapshotInfo:
    """Builds in a process of its own; `progress` is told each of PHASES as it begins.

    Raises ModuleInvalid or InvalidParameter (the module's or its settings' fault), StorageUnavailable, EngineFault,
    BuilderLost. When it is cancelled, the process is killed.
    """
    progress(PHASES[0])
    artifacts = Artifacts(Path(request.artifacts_path), read_key(Path(request.key_path)), fingerprint())
    bounds = Bounds(cpu_s, wall_s, memory_bytes)
    interpreter = of_runtime(request.runtime)
    if interpreter is None:
        return await _build(request, artifacts, {}, bounds, progress)

    async def make() -> Mapping[str, str]:
        return await _prepare(artifacts, interpreter, progress)

    kept, key = _kept(request.cache_path), await asyncio.to_thread(lambda: interpreter.key)
    try:
        return await _build(request, artifacts, await parts(artifacts, kept, key, make), bounds, progress)
    except (ArtifactCorrupt, ArtifactMissing) as reason:
        logger.warning("the parts of %s are made again: %s", interpreter.name, reason)
    return await _build(request, artifacts, await parts(artifacts, kept, key, make, damaged=True), bounds, progress)


def _kept(cache_path: str) -> Artifacts | None:
    """The user's cache of compiled interpreters."""
    if not cache_path:
        return None
    path = Path(cache_path)
    try:
        key = read_key(path.with_suffix(".key"))
    except StorageUnavailable:
        return None  # it only saves time
    return Artifacts(path, key, fingerprint(), limits.INTERPRETERS_KEPT_BYTES_MAX)


async def _prepare(artifacts: Artifacts, interpreter: Interpreter, progress: Progress) -> Mapping[str, str]:
    """Makes an interpreter's parts."""
    with contextlib.ExitStack() as opened:
        incoming = [opened.enter_context(artifacts.incoming()) for _ in _PARTS]
        task = Task(runtime=interpreter.runtime, outlets=[each.descriptor for each in incoming])
        bounds = Bounds(_INTERPRETER_CPU_S, _INTERPRETER_WALL_S, _INTERPRETER_MEMORY_BYTES)
        answer = await _run(interpreter.name, task, task.outlets, bounds, progress)
        made: dict[str, str] = answer["parts"]
        for digest, each in zip(answer["written"], incoming, strict=False):
            stored = await asyncio.to_thread(artifacts.adopt, each.path, _PART)
            assert stored.digest == digest, "an interpreter's parts are our own work"
        await asyncio.to_thread(artifacts.bind, interpreter.key, made)
        return made


async def _build(
    request: BuildRequest, artifacts: Artifacts, made: Mapping[str, str], bounds: Bounds, progress: Progress
) -> SnapshotInfo:
    with contextlib.ExitStack() as opened:
        incoming: Incoming = opened.enter_context(artifacts.incoming())
        package, *layers = (
            opened.enter_context(_package(path)) for path in (request.package_path, *request.layer_paths)
        )
        handed = {}
        for name, digest in made.items():
            handed[name] = digest, artifacts.readable(digest)
            opened.callback(os.close, handed[name][1])
        task = Task(
            name=request.name,
            arn=request.arn,
            memory_mb=request.memory_mb,
            version=request.version,
            handler=request.handler,
            environment=dict(request.environment),
            warmup=request.warmup,
            runtime=request.runtime if made else "",
            parts=handed,
            package=package,
            layers=layers,
            outlets=[incoming.descriptor],
        )
        descriptors = (package, *layers, incoming.descriptor, *(descriptor for _, descriptor in handed.values()))
        answer = await _run(request.name, task, descriptors, bounds, progress)
        info = _believed(answer["snapshot"], request, made)
        return await asyncio.to_thread(artifacts.adopt, incoming.path, info, request.tenant)


@contextlib.contextmanager
def _package(path: str) -> Iterator[int]:
    """A descriptor of a stored package."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageUnavailable(f"the package cannot be read ({error.strerror}); deploy again") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _run(name: str, task: Task, descriptors: Sequence[int], bounds: Bounds, progress: Progress) -> dict[str, Any]:
    """One builder, from its start to its end; what it answered. Raises what it said, or what its death means."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-s", "-m", "isolet.building", str(bounds.cpu_s), str(bounds.memory_bytes)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parent.parent)},
        cwd="/",
        start_new_session=True,
    )
    had = _Had(process.pid, bounds)
    try:
        async with asyncio.timeout(None) as deadline:
            watch = asyncio.ensure_future(had.watch(deadline))
            try:
                answer, last_words = await _converse(process, task, progress)
                status = await process.wait()
            finally:
                watch.cancel()
    except TimeoutError:
        raise had.too_long(name) from None
    finally:
        await _end(process)
    if answer is None:
        raise _death(name, status, last_words, bounds.cpu_s, bounds.memory_bytes)
    if "error" in answer:
        kind, words = answer["error"]
        raise error_from_plain([kind, {"message": words["message"]}])
    return answer


class _Had:
    """What a builder has had of its wall time, and of the CPU within it."""

    def __init__(self, pid: int, bounds: Bounds) -> None:
        self._pid = pid
        self._wall_s = bounds.wall_s
        self._starved = False

    async def watch(self, deadline: asyncio.Timeout) -> None:
        """Ends the time when it is over."""
        for _ in range(PATIENCE):
            await asyncio.sleep(self._wall_s)
            self._starved = _cpu_s(self._pid) < self._wall_s / 2
            if not self._starved:
                break
        deadline.reschedule(asyncio.get_running_loop().time())

    def too_long(self, name: str) -> BuildTimedOut | Overloaded:
        if self._starved:
            return Overloaded(
                f"building {name} got little CPU in {self._wall_s * PATIENCE:g} s; deploy again when the machine is "
                "less busy"
            )
        return BuildTimedOut(
            f"building {name} took more than {self._wall_s:g} s; make the module smaller, or initialise less"
        )


def _cpu_s(pid: int) -> float:
    """CPU-seconds of a process and its children; enough to be to blame, where nobody can tell."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # After the name, which may hold anything but ends with ")": fields 3 and up; utime and stime are 14 and 15.
        stats = [Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split() for number in (pid, *children)]
    except OSError:
        return float("inf")
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


# What builders of this process had to do without.
lacking: set[str] = set()


def _note(notes: Sequence[str]) -> None:
    """Says it once."""
    for what in set(notes) - lacking:
        lacking.add(what)
        logger.warning("builders have weaker walls here: %s", what)


async def _converse(
    process: asyncio.subprocess.Process, task: Task, progress: Progress
) -> tuple[dict[str, Any] | None, str]:
    """Sends the task; reads to the end of both streams: (the answer if there was one, the last of stderr)."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    last_words = asyncio.ensure_future(_last_of(process.stderr))
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgpack.packb(asdict(task)))
            process.stdin.close()
        answer = await _answer(process.stdout, progress)
        return answer, await last_words
    finally:
        last_words.cancel()


async def _answer(stream: asyncio.StreamReader, progress: Progress) -> dict[str, Any] | None:
    unpacker = msgpack.Unpacker(max_buffer_size=_ANSWER_BYTES_MAX)
    answer: dict[str, Any] | None = None
    while data := await stream.read(64 * limits.KIB):
        try:
            unpacker.feed(data)
            for said in unpacker:
                answer = _heard(said, progress) or answer
        except (ValueError, TypeError, msgpack.UnpackException):
            return None  # not our protocol: whatever it was, it did not build
    return answer


def _heard(said: dict[str, Any], progress: Progress) -> dict[str, Any] | None:
    """The answer, if it is one. Raises ValueError for what a builder of ours does not say."""
    match said:
        case {"phase": str(phase)} if phase in PHASES or phase.startswith(COMPILING):
            progress(phase[:_PHASE_CHARS_MAX])
        case {"walls": [*notes]} if all(isinstance(note, str) for note in notes):
            _note(notes)
        case {"error": [str(kind), {"message": str()}]} if kind in _ERRORS:
            return said
        case {"snapshot": dict()} | {"parts": dict(), "written": list()}:
            return said
        case _:
            raise ValueError("not our protocol")
    return None


def _believed(plain: dict[str, Any], request: BuildRequest, made: Mapping[str, str]) -> SnapshotInfo:
    """What is sealed of what a builder says. Raises BuilderLost for what cannot be."""
    try:
        said = snapshot_from_plain(plain)
        memory_bytes = _number(said.memory_bytes, request.memory_mb * limits.MIB)
        info = SnapshotInfo(
            digest="",
            baked=bool(said.baked),
            warnings=tuple(str(warning)[:_WARNING_CHARS_MAX] for warning in said.warnings[:_WARNINGS_MAX]),
            buffer_ptr=_number(said.buffer_ptr, memory_bytes),
            buffer_len=_number(said.buffer_len, memory_bytes - said.buffer_ptr),
            memory_bytes=memory_bytes,
            image_bytes=_number(said.image_bytes, memory_bytes),
            artifact_bytes=0,
            build_s=float(said.build_s),
            init_fuel=_number(said.init_fuel, limits.INIT_FUEL * 2),
            code_digest=made.get("code", ""),
            base_digest=made.get("base", ""),
            library_digest=made.get("library", ""),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise BuilderLost(f"the builder of {request.name} answered what cannot be; deploy again") from None
    return info


def _number(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not such a number")
    return value


async def _last_of(stream: asyncio.StreamReader) -> str:
    kept = b""
    while data := await stream.read(64 * limits.KIB):
        kept = (kept + data)[-_STDERR_BYTES_MAX:]
    return kept.decode(errors="replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """The process is gone when this returns."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def _death(name: str, status: int, last_words: str, cpu_s: int, memory_bytes: int) -> ModuleInvalid | BuilderLost:
    """Why a builder ended without an answer."""
    if status == -signal.SIGXCPU:
        return ModuleInvalid(
            f"building {name} used its {cpu_s} s of CPU; make the module smaller: split its largest functions"
        )
    if status == -signal.SIGABRT and "memory allocation" in last_words:
        return out_of_memory(name, memory_bytes)
    if status == -signal.SIGABRT and "overflowed its stack" in last_words:
        return ModuleInvalid(f"{name} is nested too deeply to be compiled; nest blocks less deeply")
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    said = last_words.splitlines()[-1] if last_words else "it said nothing"
    return BuilderLost(f"the builder of {name} {how}: {said}")
