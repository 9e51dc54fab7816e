"""The builder: a process per build, which compiles and initialises what a tenant uploaded, and may die of it.

Compilation of hostile input takes gigabytes, minutes, or the process. So it happens in one that limits itself before it
reads a byte, has nothing of the server's in its environment, and is gone afterwards.

    keeper                                   python -m isolet.builder CPU_S MEMORY_BYTES
    build(request, progress) ── stdin ──→    one msgpack map: the request
             ↑             ←── stdout ──     msgpack maps: {phase}…, then {snapshot} or {error}
             └── the last of stderr, when it died without an answer

Laws:
- `build` answers a SnapshotInfo whose artifact is stored and sealed, or raises; the process is gone in any case.
- Whatever the module is to blame for is a ModuleInvalid that says which limit and what to do: CPU and memory by the
  builder's own limits, wall time by the parent's clock. Only a death that nobody planned is a BuilderLost.

Only the child imports the engine: a keeper that builds holds no wasmtime.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgpack

from . import abi, limits
from .errors import BuilderLost, InvalidParameter, IsoletError, ModuleInvalid, StorageUnavailable
from .frames import error_from_plain, error_to_plain
from .languages.interpreters import Interpreter, of_runtime
from .model import LATEST, SnapshotInfo
from .plain import snapshot_from_plain, snapshot_to_plain
from .storage.packages import MODULE_FILE, PackageFiles

if TYPE_CHECKING:
    from .snapshot.capture import Guest
    from .storage.artifacts import Artifacts

# What a phase of `build` may be, in their order; the middle ones are snapshot/make.py's.
PHASES: Final = ("starting", "validating", "compiling", "initialising", "freezing", "optimising", "storing")

_STDERR_BYTES_MAX: Final = 8 * limits.KIB
_ANSWER_BYTES_MAX: Final = 1 * limits.MIB
_REQUEST_BYTES_MAX: Final = 1 * limits.MIB
# Address space is reserved, not used: a linear memory of 4 GiB and its guards for each of two engines; and as much
# again as the memory limit is for libraries, stacks of threads and arenas of malloc.
_RESERVED_BYTES: Final = 2 * 5 * limits.GIB
_DESCRIPTORS_MAX: Final = 64
# What an interpreter has while it boots.
_BASE_MEMORY_MB: Final = 128
# The first build in a language also compiles its interpreter, which is ours and not the tenant's to pay for: Python
# takes 8 CPU-seconds. The phase that says so gives as much again.
_INTERPRETER: Final = "compiling "
_INTERPRETER_WALL_S: Final = 300.0
_INTERPRETER_CPU_S: Final = 120
# Builds give way to invocations.
_NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is built, for whom, and where the artifact goes."""

    package_path: str  # a zip with function.wasm in it
    name: str
    arn: str
    memory_mb: int
    artifacts_path: str
    key_path: str
    version: str = LATEST
    handler: str = "handle"
    environment: Mapping[str, str] = field(default_factory=dict)
    # A file of the package: a JSON event, handled once before the snapshot. Empty: none.
    warmup: str = ""
    # Lambda's name of what runs it: an interpreter's, or anything else for a package with a module in it.
    runtime: str = "provided.al2023"
    # Where compiled interpreters outlive the server's data. Empty: nowhere.
    cache_path: str = ""


Progress = Callable[[str], None]


# ── the keeper's side ───────────────────────────────────────────────────────────────────────────────────────────


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
    deadline = asyncio.timeout(wall_s)

    def told(phase: str) -> None:
        if phase.startswith(_INTERPRETER):
            deadline.reschedule(asyncio.get_running_loop().time() + _INTERPRETER_WALL_S)
        progress(phase)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-s", "-m", "isolet.builder", str(cpu_s), str(memory_bytes)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parent.parent)},
        start_new_session=True,
    )
    try:
        async with deadline:
            answer, last_words = await _converse(process, request, told)
            status = await process.wait()
    except TimeoutError:
        raise ModuleInvalid(
            f"building {request.name} took more than {wall_s:g} s; make the module smaller, or initialise less"
        ) from None
    finally:
        await _end(process)
    if answer is None:
        raise _death(request, status, last_words, cpu_s, memory_bytes)
    if "error" in answer:
        raise error_from_plain(answer["error"])
    return snapshot_from_plain(answer["snapshot"])


async def _converse(
    process: asyncio.subprocess.Process, request: BuildRequest, progress: Progress
) -> tuple[dict[str, Any] | None, str]:
    """Sends the request; reads to the end of both streams: (the answer if there was one, the last of stderr)."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    last_words = asyncio.ensure_future(_last_of(process.stderr))
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgpack.packb(asdict(request)))
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
                if "phase" in said:
                    progress(said["phase"])
                else:
                    answer = said
        except (ValueError, TypeError, msgpack.UnpackException):
            return None  # not our protocol: whatever it was, it did not build
    return answer


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


def _death(
    request: BuildRequest, status: int, last_words: str, cpu_s: int, memory_bytes: int
) -> ModuleInvalid | BuilderLost:
    """Why a builder ended without an answer."""
    if status == -signal.SIGXCPU:
        return ModuleInvalid(
            f"building {request.name} used its {cpu_s} s of CPU; make the module smaller: split its largest functions"
        )
    if status == -signal.SIGABRT and "memory allocation" in last_words:
        return _out_of_memory(request.name, memory_bytes)
    if status == -signal.SIGABRT and "overflowed its stack" in last_words:
        return ModuleInvalid(f"{request.name} is nested too deeply to be compiled; nest blocks less deeply")
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    said = last_words.splitlines()[-1] if last_words else "it said nothing"
    return BuilderLost(f"the builder of {request.name} {how}: {said}")


def _out_of_memory(name: str, memory_bytes: int) -> ModuleInvalid:
    return ModuleInvalid(
        f"building {name} needs more than {memory_bytes // limits.MIB:,} MiB of memory; make the module smaller, "
        "or initialise less"
    )


# ── the child's side ────────────────────────────────────────────────────────────────────────────────────────────


def main(arguments: list[str]) -> int:
    """The process. Answers its exit status; what went wrong with the module has been said on stdout."""
    cpu_s, memory_bytes = map(int, arguments)
    _limit(cpu_s, memory_bytes)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is not an answer

    def say(**said: Any) -> None:
        answers.write(msgpack.packb(said))
        answers.flush()

    name = "the function"
    try:
        request = _read_request(sys.stdin.buffer)
        name = request.name

        def told(phase: str) -> None:
            if phase.startswith(_INTERPRETER):
                _, hard = resource.getrlimit(resource.RLIMIT_CPU)
                resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
            say(phase=phase)

        info = _build(request, told)
        say(snapshot=snapshot_to_plain(info))
    except IsoletError as error:
        error.__traceback__ = None
        say(error=error_to_plain(error))
    except MemoryError:
        say(error=error_to_plain(_out_of_memory(name, memory_bytes)))
    return 0


def _limit(cpu_s: int, memory_bytes: int) -> None:
    """What this process may use, before it reads anything. The kernel keeps to it, whatever compiles."""
    for what, soft, hard in (
        # SIGXCPU says which limit it was; SIGKILL would not.
        (resource.RLIMIT_CPU, cpu_s, cpu_s + _INTERPRETER_CPU_S),
        (resource.RLIMIT_DATA, memory_bytes, memory_bytes),  # memory that is written to; reservations do not count
        (resource.RLIMIT_AS, memory_bytes * 2 + _RESERVED_BYTES, memory_bytes * 2 + _RESERVED_BYTES),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS_MAX, _DESCRIPTORS_MAX),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, allowed = resource.getrlimit(what)
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)
        resource.setrlimit(what, (soft, hard))
    os.nice(_NICENESS)
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG: nobody waits for an answer once the keeper is gone.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _read_request(stream: BinaryIO) -> BuildRequest:
    said = stream.read(_REQUEST_BYTES_MAX + 1)
    if len(said) > _REQUEST_BYTES_MAX:
        raise InvalidParameter(f"a build request has more than {_REQUEST_BYTES_MAX:,} bytes")
    return BuildRequest(**msgpack.unpackb(said))


def _build(request: BuildRequest, progress: Progress) -> SnapshotInfo:
    interpreter = of_runtime(request.runtime)
    return _build_module(request, progress) if interpreter is None else _build_source(request, interpreter, progress)


def _build_module(request: BuildRequest, progress: Progress) -> SnapshotInfo:
    from .hostcalls.table import IMPORTS
    from .snapshot.make import Maker
    from .storage.artifacts import Artifacts, read_key

    module = _module(Path(request.package_path))
    maker = Maker(IMPORTS)
    artifacts = Artifacts(Path(request.artifacts_path), read_key(Path(request.key_path)), maker.fingerprint)
    made = maker.make(module, _guest(request, {}), progress)
    progress("storing")
    return artifacts.write(made.artifact, made.info)


def _build_source(request: BuildRequest, interpreter: Interpreter, progress: Progress) -> SnapshotInfo:
    from .engine.engine import Engine, EngineSettings
    from .hostcalls.table import IMPORTS
    from .snapshot.boot import Booter
    from .storage.artifacts import Artifacts, read_key

    engine = Engine(EngineSettings(isolates_max=1), IMPORTS)
    artifacts = Artifacts(Path(request.artifacts_path), read_key(Path(request.key_path)), engine.fingerprint)
    booter = Booter(engine, artifacts, interpreter, _kept(request, engine.fingerprint))
    return booter.boot(_base_guest, lambda library: _guest(request, library), progress).info


def _kept(request: BuildRequest, fingerprint: bytes) -> Artifacts | None:
    """The user's cache of compiled interpreters."""
    from .storage.artifacts import Artifacts, read_key

    if not request.cache_path:
        return None
    path = Path(request.cache_path)
    try:
        return Artifacts(path, read_key(path.with_suffix(".key")), fingerprint, limits.INTERPRETERS_KEPT_BYTES_MAX)
    except StorageUnavailable:
        return None  # it only saves time


def _guest(request: BuildRequest, library: Mapping[str, bytes]) -> Guest:
    """What a function is initialised with."""
    from .hostcalls.state import HostConstants, HostState
    from .snapshot.capture import Guest

    package = PackageFiles(Path(request.package_path))
    constants = HostConstants(
        name=request.name,
        version=request.version,
        arn=request.arn,
        memory_mb=request.memory_mb,
        environment=[f"{key}={value}".encode() for key, value in request.environment.items()],
        package=package,
        handler=request.handler,
        library=library,
    )
    return Guest(
        memory_bytes_max=request.memory_mb * limits.MIB,
        witness=lambda: HostState(constants, initialising=True),
        warmup=_warmup(request, package),
    )


def _base_guest(library: Mapping[str, bytes]) -> Guest:
    """What an interpreter is booted with: nobody's name, files or environment."""
    from .hostcalls.state import HostConstants, HostState
    from .snapshot.capture import Guest

    constants = HostConstants("", LATEST, "", _BASE_MEMORY_MB, (), {}, handler="", library=library)
    return Guest(
        memory_bytes_max=_BASE_MEMORY_MB * limits.MIB,
        witness=lambda: HostState(constants, initialising=True),
        warmup=None,
    )


def _warmup(request: BuildRequest, package: Mapping[str, bytes]) -> bytes | None:
    """The envelope of the warm-up event."""
    if not request.warmup:
        return None
    try:
        event = json.loads(package[request.warmup])
    except KeyError:
        raise InvalidParameter(f"`warmup` names {request.warmup}, which is not in the package; add it") from None
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"the warm-up event {request.warmup} is not JSON: {error}") from None
    constants = abi.pack_constants(
        name=request.name, version=request.version, arn=request.arn, memory_mb=request.memory_mb, log_stream="build"
    )
    # The deadline may be kept by the guest and frozen: it is the largest that every language can hold.
    return abi.pack_envelope(abi.pack(event), constants, str(uuid.uuid4()), 2**53 - 1, os.urandom(limits.ENTROPY_BYTES))


def _module(path: Path) -> bytes:
    """`function.wasm` of a package. The zip was checked when it was taken in."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(MODULE_FILE)
    except KeyError:
        raise ModuleInvalid(f"the package has no {MODULE_FILE} at its top; put the compiled module there") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise StorageUnavailable(f"the package cannot be read ({error}); deploy again") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
