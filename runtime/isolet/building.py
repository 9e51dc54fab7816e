"""The inside of a builder's process: it limits itself, builds what it is asked for, says so, and ends (builder.py).

Laws:
- The limits are set before a byte of the request is read.
- It imports what it needs when it needs it, and nothing that it does not: no asyncio. Starting takes a third of what
  building a small program takes, and its deployer waits for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgpack

from . import abi, limits
from .errors import InvalidParameter, IsoletError, ModuleInvalid, StorageUnavailable
from .frames import error_to_plain
from .languages.interpreters import Interpreter, of_runtime
from .model import LATEST, SnapshotInfo
from .plain import snapshot_to_plain
from .storage.packages import MODULE_FILE, PackageFiles

if TYPE_CHECKING:
    from .snapshot.capture import Guest
    from .storage.artifacts import Artifacts

Progress = Callable[[str], None]

_REQUEST_BYTES_MAX: Final = 1 * limits.MIB
# Address space is reserved, not used: a linear memory of 4 GiB and its guards for each of two engines; and as much
# again as the memory limit is for libraries, stacks of threads and arenas of malloc.
_RESERVED_BYTES: Final = 2 * 5 * limits.GIB
_DESCRIPTORS_MAX: Final = 64
# What an interpreter has while it boots.
_BASE_MEMORY_MB: Final = 128
# The first build in a language also compiles its interpreter, which is ours and not the tenant's to pay for: Python
# takes 8 CPU-seconds. The phase that begins so gives as much again.
INTERPRETER: Final = "compiling "
INTERPRETER_CPU_S: Final = 120
# Builds give way to invocations.
_NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is built, for whom, and where the artifact goes."""

    package_path: str  # a zip with function.wasm in it, or source
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
    # Zips that are merged under /opt, the lowest first.
    layer_paths: Sequence[str] = ()
    # Where compiled interpreters outlive the server's data. Empty: nowhere.
    cache_path: str = ""


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
            if phase.startswith(INTERPRETER):
                _, hard = resource.getrlimit(resource.RLIMIT_CPU)
                resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
            say(phase=phase)

        info = _build(request, told)
        say(snapshot=snapshot_to_plain(info))
    except IsoletError as error:
        error.__traceback__ = None
        say(error=error_to_plain(error))
    except MemoryError:
        say(error=error_to_plain(out_of_memory(name, memory_bytes)))
    return 0


def _limit(cpu_s: int, memory_bytes: int) -> None:
    """What this process may use, before it reads anything. The kernel keeps to it, whatever compiles."""
    for what, soft, hard in (
        # SIGXCPU says which limit it was; SIGKILL would not.
        (resource.RLIMIT_CPU, cpu_s, cpu_s + INTERPRETER_CPU_S),
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
    from .hostcalls.layers import Layers
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
        layers=Layers([PackageFiles(Path(path), hidden="") for path in request.layer_paths]),
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


def out_of_memory(name: str, memory_bytes: int) -> ModuleInvalid:
    return ModuleInvalid(
        f"building {name} needs more than {memory_bytes // limits.MIB:,} MiB of memory; make the module smaller, "
        "or initialise less"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
