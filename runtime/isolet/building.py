"""The inside of a builder's process: it limits itself, builds what it is asked for, says so, and ends (builder.py).

    limits → namespaces → the request → imports, engine, interpreter's parts → the walls close → the package

Laws:
- The limits are set before a byte of the request is read, and the walls are closed before one of the package is: what
  looks at a tenant's bytes has no file but the descriptors that it was handed, no network, no other process, no rights.
- It has no key and no path: what it makes it writes into descriptors; its keeper seals and stores (storage/handed.py).
- Nothing is imported once the walls are closed: there is nothing to import from.
- It imports what it needs when it needs it, and nothing that it does not: no asyncio. Starting takes a third of what
  building a small program takes, and its deployer waits for it.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import resource
import sys
import time
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
from .languages.interpreters import of_runtime
from .model import LATEST, SnapshotInfo
from .plain import snapshot_to_plain
from .sandbox import namespaces
from .sandbox.confinement import confine
from .storage.packages import MODULE_FILE, PackageFiles

if TYPE_CHECKING:
    from .snapshot.capture import Guest

Progress = Callable[[str], None]

_REQUEST_BYTES_MAX: Final = 1 * limits.MIB
# Address space is reserved, not used: a linear memory of 4 GiB and its guards for each of two engines; and as much
# again as the memory limit is for libraries, stacks of threads and arenas of malloc.
_RESERVED_BYTES: Final = 2 * 5 * limits.GIB
_DESCRIPTORS_MAX: Final = 64
# Threads: the compiler's, one for each processor. As root, the user is nobody else's; else the namespace counts.
_PROCESSES_MAX: Final = 256
# What an interpreter has while it boots.
_BASE_MEMORY_MB: Final = 128
# What would be imported when it is first used, behind the walls.
_LATE: Final = (
    *("isolet.hostcalls.layers", "isolet.hostcalls.state", "isolet.snapshot.capture"),
    *("encodings.cp437", "encodings.ascii", "encodings.latin_1", "encodings.unicode_escape"),
)
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
    # Whose artifact it becomes. Empty: nobody's in particular.
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What a builder's process is told. Files are numbers of descriptors that it was handed."""

    name: str = ""
    arn: str = ""
    memory_mb: int = _BASE_MEMORY_MB
    version: str = LATEST
    handler: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    warmup: str = ""
    # Of a program: the runtime, and the parts of its interpreter: name → (digest, descriptor). Without parts they are
    # what is to be made, of the interpreter alone.
    runtime: str = ""
    parts: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    package: int = -1
    layers: Sequence[int] = ()
    outlets: Sequence[int] = ()


def main(arguments: list[str]) -> int:
    """The process. Answers its exit status; what went wrong with the module has been said on stdout."""
    cpu_s, memory_bytes = map(int, arguments)
    _limit(cpu_s, memory_bytes)
    namespaces.die_with_parent()  # nobody waits for an answer once the keeper is gone
    room = namespaces.apart()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is not an answer

    def say(**said: Any) -> None:
        answers.write(msgpack.packb(said))
        answers.flush()

    name = "the function"
    try:
        task = _read_task(sys.stdin.buffer)
        name = task.name

        def close() -> None:
            _close(room)
            say(walls=room.notes)

        say(**_build(task, close, lambda phase: say(phase=phase)))
    except IsoletError as error:
        error.__traceback__ = None
        say(error=error_to_plain(error))
    except MemoryError:
        say(error=error_to_plain(out_of_memory(name, memory_bytes)))
    return 0


def _limit(cpu_s: int, memory_bytes: int) -> None:
    """What this process may use, before it reads anything. The kernel keeps to it, whatever compiles."""
    for what, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_DATA, memory_bytes),  # memory that is written to; reservations do not count
        (resource.RLIMIT_AS, memory_bytes * 2 + _RESERVED_BYTES),
        (resource.RLIMIT_FSIZE, limits.ARTIFACT_BYTES_MAX),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        _, allowed = resource.getrlimit(what)
        if allowed != resource.RLIM_INFINITY:
            most = min(most, allowed)
        # SIGXCPU says which limit it was; SIGKILL, at the hard limit, would not.
        hard = most + 1 if what == resource.RLIMIT_CPU and allowed == resource.RLIM_INFINITY else most
        resource.setrlimit(what, (most, hard))
    _give_way()


def _give_way() -> None:
    """Lets invocations go first. Where the kernel gives each session its own share of the processors (sched_autogroup),
    niceness counts within a session only, and a builder has one of its own: the session is to be nice, too."""
    os.nice(_NICENESS)
    for _ in range(3):
        try:
            Path("/proc/self/autogroup").write_text(str(_NICENESS))
        except BlockingIOError:  # who is not root may say so ten times a second, all together
            time.sleep(0.1)
        except OSError:
            return  # a kernel without
        else:
            return


def _close(room: namespaces.Room) -> None:
    """Closes the walls. What is needed is open and imported."""
    for module in _LATE:
        importlib.import_module(module)
    room.enter()
    # Not before: as another user than root, what the user's other processes have would count.
    if room.alone:
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES_MAX, _PROCESSES_MAX))
    confine(room.notes)


def _read_task(stream: BinaryIO) -> Task:
    said = stream.read(_REQUEST_BYTES_MAX + 1)
    if len(said) > _REQUEST_BYTES_MAX:
        raise InvalidParameter(f"a build request has more than {_REQUEST_BYTES_MAX:,} bytes")
    return Task(**msgpack.unpackb(said, use_list=False))


def _build(task: Task, close: Callable[[], None], progress: Progress) -> dict[str, Any]:
    """What is answered: a snapshot, or the digests of an interpreter's parts in the order of the outlets."""
    if not task.runtime:
        return {"snapshot": snapshot_to_plain(_build_module(task, close, progress))}
    from .engine.engine import Engine, EngineSettings
    from .hostcalls.table import IMPORTS
    from .snapshot.boot import Booter
    from .storage.handed import Handed

    interpreter = of_runtime(task.runtime)
    assert interpreter is not None, "modules have no runtime here"
    engine = Engine(EngineSettings(alone=True, isolates_max=1), IMPORTS)
    handed = Handed(dict(task.parts.values()), task.outlets)
    booter = Booter(engine, handed, interpreter, close if task.parts else lambda: None)
    if not task.parts:  # nothing of a tenant's: our own files, by their paths
        from .snapshot.make import Phases

        booter.prepare(_base_guest, Phases(progress))
        return {"parts": handed.bindings, "written": handed.written}
    digests = {name: digest for name, (digest, _) in task.parts.items()}
    booted = booter.boot_prepared(digests, lambda library: _guest(task, library), progress)
    return {"snapshot": snapshot_to_plain(booted.info)}


def _build_module(task: Task, close: Callable[[], None], progress: Progress) -> SnapshotInfo:
    from .hostcalls.table import IMPORTS
    from .snapshot.make import Maker
    from .storage.handed import Handed

    maker = Maker(IMPORTS)
    close()
    made = maker.make(_module(task.package), _guest(task, {}), progress)
    progress("storing")
    return Handed({}, task.outlets).write(made.artifact, made.info)


def _guest(task: Task, library: Mapping[str, bytes]) -> Guest:
    """What a function is initialised with."""
    from .hostcalls.layers import Layers
    from .hostcalls.state import HostConstants, HostState
    from .snapshot.capture import Guest

    package = PackageFiles.of(_file(task.package))
    constants = HostConstants(
        name=task.name,
        version=task.version,
        arn=task.arn,
        memory_mb=task.memory_mb,
        environment=[f"{key}={value}".encode() for key, value in task.environment.items()],
        package=package,
        handler=task.handler,
        library=library,
        layers=Layers([PackageFiles.of(_file(layer), hidden="") for layer in task.layers]),
    )
    return Guest(
        memory_bytes_max=task.memory_mb * limits.MIB,
        witness=lambda: HostState(constants, initialising=True),
        warmup=_warmup(task, package),
    )


def _file(descriptor: int) -> BinaryIO:
    return io.BufferedReader(io.FileIO(descriptor, closefd=False))


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


def _warmup(task: Task, package: Mapping[str, bytes]) -> bytes | None:
    """The envelope of the warm-up event."""
    if not task.warmup:
        return None
    try:
        event = json.loads(package[task.warmup])
    except KeyError:
        raise InvalidParameter(f"`warmup` names {task.warmup}, which is not in the package; add it") from None
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"the warm-up event {task.warmup} is not JSON: {error}") from None
    constants = abi.pack_constants(
        name=task.name, version=task.version, arn=task.arn, memory_mb=task.memory_mb, log_stream="build"
    )
    # The deadline may be kept by the guest and frozen: it is the largest that every language can hold.
    return abi.pack_envelope(abi.pack(event), constants, str(uuid.uuid4()), 2**53 - 1, os.urandom(limits.ENTROPY_BYTES))


def _module(package: int) -> bytes:
    """`function.wasm` of a package. The zip was checked when it was taken in."""
    try:
        with zipfile.ZipFile(_file(package)) as archive:
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
