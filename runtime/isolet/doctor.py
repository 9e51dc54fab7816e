"""Is this machine fit to serve? Checks of the machine, the data directory, the engine and the compilers.

    isolet doctor
      └── examine ── per check that may take its process along ── python -m isolet.doctor CHECK N ──→ a Finding in JSON

Laws:
- A check answers a Finding; it never raises, whatever it meets. What kills its process is a Finding of the parent's.
- A Finding that is not fine says what is wrong and what to do about it.
- Nothing is left behind: what a check writes it removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from . import limits
from .config import Config
from .engine import selftest
from .errors import IsoletError
from .model import SnapshotInfo
from .sandbox import audit


class Verdict(StrEnum):
    FINE = "fine"
    NOTE = "note"  # it serves, with a drawback
    WRONG = "wrong"


class Finding(NamedTuple):
    check: str
    verdict: Verdict
    found: str
    cure: str = ""


# What a check answers, without its own name.
_Answer = tuple[Verdict, str, str]
_Run = Callable[[Config], _Answer]


_REPORT = "report it, with this line"


class Check(NamedTuple):
    group: str
    run: _Run
    # Whether it runs in a process of its own: the engine's checks may be the death of theirs.
    apart: bool = False
    # The cure of that death.
    revival: str = _REPORT


def _fine(found: str) -> _Answer:
    return Verdict.FINE, found, ""


def _note(found: str, cure: str) -> _Answer:
    return Verdict.NOTE, found, cure


def _wrong(found: str, cure: str) -> _Answer:
    return Verdict.WRONG, found, cure


# ── the machine ─────────────────────────────────────────────────────────────────────────────────────────────────

_PYTHON_OLDEST, _PYTHON_BEFORE = (3, 11), (3, 14)
_WASMTIME_MAJOR = "50"
# What wasmtime's wheels are made for.
_PROCESSORS = ("x86_64", "AMD64", "aarch64", "arm64")


def _python(_config: Config) -> _Answer:
    kind, version = platform.python_implementation(), platform.python_version()
    if kind != "CPython" or not _PYTHON_OLDEST <= sys.version_info[:2] < _PYTHON_BEFORE or sys.maxsize < 2**32:
        return _wrong(f"{kind} {version}, {platform.architecture()[0]}", "use 64-bit CPython 3.11, 3.12 or 3.13")
    return _fine(f"{kind} {version}")


def _wasmtime(_config: Config) -> _Answer:
    cure = "pip install 'wasmtime>=50.0.1,<51'"
    try:
        version = importlib.metadata.version("wasmtime")
    except importlib.metadata.PackageNotFoundError:
        return _wrong("not installed", cure)
    if version.partition(".")[0] != _WASMTIME_MAJOR:
        return _wrong(f"{version}, whose C API and artifacts are others", cure)
    from .engine.advisories import loaded

    release, said = loaded()
    of_library = ".".join(map(str, release)) if said else "an unknown release"
    return _fine(version if of_library == version else f"{version}, which carries the library of {of_library}")


# After so long, there will be advisories that this release of isolet has not heard of.
_ADVISORIES_DAYS_MAX = 60


def _advisories(_config: Config) -> _Answer:
    from .engine.advisories import exposures, loaded, read

    as_of, known = read()
    concerning = list(exposures(loaded()[0], known))
    reached = [exposure.advisory.id for exposure in concerning if exposure.reached]
    found = f"{len(concerning)} known of this wasmtime as of {as_of}, {len(reached)} through what is in use"
    if reached:
        return _wrong(f"{found}: {', '.join(reached)}", "upgrade isolet; `isolet doctor --advisories` says more")
    if (datetime.date.today() - as_of).days > _ADVISORIES_DAYS_MAX:
        return _note(found, "that is long ago: upgrade isolet, or look at wasmtime's releases")
    return _fine(found)


def _processor(_config: Config) -> _Answer:
    machine, count = platform.machine(), os.cpu_count() or 1
    if machine not in _PROCESSORS:
        return _wrong(machine, "use an x86-64 or arm64 machine: wasmtime generates code for no other")
    found = f"{machine}, {count} CPU{'s' if count > 1 else ''}"
    features = _features()
    if machine == "x86_64" and features:
        if not {"sse4_1", "ssse3"} <= features:
            return _note(f"{found}, without SSE 4.1: SIMD is slow", "use a machine made after 2010")
        found += ", " + " ".join(name for name in ("avx2", "bmi2", "avx512f") if name in features)
    return _fine(found.rstrip(", "))


def _features() -> frozenset[str]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def _descriptors(config: Config) -> _Answer:
    # `serve` raises the soft limit as far as it needs to (server.py).
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections, beside = config.http.connections, limits.DESCRIPTORS_BESIDE + config.snapshots
    if hard == resource.RLIM_INFINITY or hard >= connections + beside:
        return _fine("unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}")
    cure = f"raise the hard limit: ulimit -Hn {connections + beside}"
    if hard < (least := 2 * limits.DESCRIPTORS_BESIDE):
        return _wrong(f"{hard:,} open files at most, and a worker needs {least}", cure)
    return _note(f"{hard:,} open files at most, so fewer than {connections:,} connections a worker", cure)


def _cordons(config: Config) -> _Answer:
    layout = config.layout
    found = ", ".join(
        f"{name} {count}{' (the door)' if name == layout.door and config.cordons else ''}"
        for name, count in sorted(layout.workers.items(), key=lambda item: item[0] != layout.door)
    )
    if config.cordons and not hasattr(socket, "SO_PEERCRED"):
        return _wrong(f"{found}; this system does not say which process connects", "serve several tiers on Linux only")
    if config.cordons and layout.door == "standard":
        cure = 'give the door a tier without tenants: door = "front", and [cordons] front = 1'
        return _note(f"{found}; every tenant is in the door's tier unless it was moved", cure)
    return _fine(found)


def _address_space(config: Config) -> _Answer:
    needed = config.isolates * selftest.SLOT_BYTES
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < needed:
        fit = max((soft - limits.GIB) // selftest.SLOT_BYTES, 0)
        cure = "ulimit -v unlimited" + (f", or set `isolates` to at most {fit}" if fit else "")
        return _wrong(f"{_gib(soft)} allowed, and {config.isolates:,} isolates reserve {_gib(needed)}", cure)
    return _fine(f"{'unlimited' if soft == resource.RLIM_INFINITY else _gib(soft)}; {_gib(needed)} will be reserved")


# wasmtime aborts the process that cannot have its pool.
_MORE_SPACE = "ulimit -v unlimited; sysctl vm.overcommit_memory=0; or set fewer `isolates` in isolet.toml"


def _reservation(config: Config) -> _Answer:
    """The pool of a worker, as large as it is configured."""
    from .engine.engine import Engine, EngineSettings

    began = time.perf_counter()
    try:
        Engine(EngineSettings(pooling=True, isolates_max=config.isolates)).close()
    except Exception as error:
        said = " ".join(str(error).split())
        return _wrong(f"a pool of {config.isolates:,} isolates cannot be made: {said}", _MORE_SPACE)
    return _fine(f"{config.isolates:,} slots in {(time.perf_counter() - began) * 1000:.0f} ms")


def _gib(size: int) -> str:
    return f"{size / limits.GIB:,.0f} GiB"


# ── the data directory and the port ─────────────────────────────────────────────────────────────────────────────

_FREE_BYTES_MIN = limits.GIB
# What a keeper syncs before it answers; above it, every deployment and every asynchronous event is felt.
_SYNC_S_MAX = 0.05
_SYNCS = 8


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[Path]:
    """The directory itself, or, if it is not there yet, the nearest one above that it will be made in."""
    while not path.exists() and path != path.parent:
        path = path.parent
    scratch = Path(tempfile.mkdtemp(prefix=".isolet-doctor-", dir=path))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _data(config: Config) -> _Answer:
    data = config.data.absolute()
    if data.exists() and not data.is_dir():
        return _wrong(f"{config.data} is no directory", "name another one with --data")
    try:
        with _directory(data):
            free = shutil.disk_usage(data if data.exists() else _nearest(data)).free
    except OSError as error:
        return _wrong(f"{config.data}: {error.strerror}", "make it writable for this user, or name another with --data")
    if free < _FREE_BYTES_MIN:
        return _note(f"{config.data}, {free // limits.MIB:,} MiB free", "free some: artifacts take 0.2 to 10 MB each")
    return _fine(f"{config.data}, {_gib(free)} free")


def _nearest(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _sync(config: Config) -> _Answer:
    """What it takes until a write is on the disk."""
    try:
        with _directory(config.data.absolute()) as scratch:
            memory = _is_memory(scratch)
            times = [_write_and_sync(scratch / str(number)) for number in range(_SYNCS)]
    except OSError as error:
        return _wrong(f"writing fails: {error.strerror}", "name another directory with --data")
    median = sorted(times)[_SYNCS // 2]
    if memory:
        return _note("a file system in memory: a restart of the machine loses everything", "name a disk with --data")
    if median > _SYNC_S_MAX:
        return _note(f"{median * 1000:.0f} ms, which every deployment waits for", "put the data on a faster disk")
    return _fine(f"{median * 1000:.1f} ms")


def _write_and_sync(path: Path) -> float:
    began = time.perf_counter()
    with path.open("wb") as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def _is_memory(path: Path) -> bool:
    """Whether a path is on a tmpfs, by the longest mount point above it."""
    with contextlib.suppress(OSError):
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        above = [(point, kind) for point, kind in mounts if path.is_relative_to(point.replace("\\040", " "))]
        return bool(above) and max(above, key=lambda mount: len(mount[0]))[1] in ("tmpfs", "ramfs")
    return False


def _port(config: Config) -> _Answer:
    where = f"{config.host}:{config.port}"
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((config.host, config.port))
        except OSError as error:
            cure = "that is fine if it is isolet itself; else choose another with --port"
            return _note(f"{where}: {error.strerror}", cure)
    return _fine(f"{where} is free")


# ── the sandbox ─────────────────────────────────────────────────────────────────────────────────────────────────


def _second_wall(_config: Config) -> _Answer:
    """What a worker's is made of here."""
    means = audit.survey()
    if missing := audit.missing(means):
        return _note(f"{audit.described(means)}; missing: {'; '.join(missing)}", "see there, or accept it")
    return _fine(audit.described(means))


def _self_audit(_config: Config) -> _Answer:
    """Forbidden acts, tried behind it."""
    means = audit.survey()
    outcomes = audit.audit(means)
    through = [f"{outcome.act} ({outcome.how})" for outcome in outcomes if not outcome.held]
    if not through:
        return _fine(f"all of {len(outcomes)} forbidden acts were refused")
    found = f"{len(through)} of {len(outcomes)} forbidden acts were not refused: {', '.join(through)}"
    if means.whole:
        return _wrong(found, _REPORT)
    return _note(found, "use a kernel that has what is missing above")


# ── the engine ──────────────────────────────────────────────────────────────────────────────────────────────────


def _of_selftest(name: str) -> _Run:
    promise = selftest.CHECKS[name][0]

    def run(_config: Config) -> _Answer:
        failures = selftest.run((name,))
        return _wrong(failures[0].found, failures[0].cure) if failures else _fine(promise)

    return run


_WALLS = "run on Linux 6.7 or later; as another user than root, allow user namespaces (user.max_user_namespaces)"

# Remembers in memory, a global and its table that it was initialised, and answers from all three.
_SNAPSHOT_GUEST = """
(module
  (memory (export "memory") 2)
  (global $left (mut i32) (i32.const 0))
  (table $table 2 funcref)
  (elem declare func $seven)
  (func $seven (result i32) (i32.const 7))
  (func (export "isolet_init")
    (i32.store8 (i32.const 70000) (i32.const 100))
    (global.set $left (i32.const 20))
    (table.set $table (i32.const 1) (ref.func $seven)))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (i32.store8 (i32.const 0)
      (i32.add (i32.load8_u (i32.const 70000))
        (i32.add (global.get $left) (call_indirect $table (result i32) (i32.const 1)))))
    (i32.store8 (i32.const 70000) (i32.const 1))
    (i64.const 1)))
"""
_SNAPSHOT_ANSWER = bytes([127])


def _snapshot(_config: Config) -> _Answer:
    """A deployment in small: a builder's process makes a snapshot, which is restored and called, twice."""
    with tempfile.TemporaryDirectory(prefix="isolet-doctor-") as scratch:
        here = Path(scratch)
        began = time.perf_counter()
        info = _built(here)
        built_ms = (time.perf_counter() - began) * 1000
        if not info.baked:
            return _wrong(f"the snapshot is not frozen: {'; '.join(info.warnings)}", _REPORT)
        answers, restore_us = _restored(here, info.digest, info.memory_bytes, info.buffer_ptr, info.buffer_len)
    if set(answers) != {_SNAPSHOT_ANSWER}:
        return _wrong(f"restored isolates answer {answers}, not {_SNAPSHOT_ANSWER!r}", _REPORT)
    return _fine(f"built in {built_ms:.0f} ms, restored in {restore_us:.0f} µs")


def _builder(config: Config) -> _Answer:
    """What a builder's walls consist of here: one is started, and tells what it was not given."""
    from . import builder

    with tempfile.TemporaryDirectory(prefix="isolet-doctor-") as scratch:
        _built(Path(scratch))
    bounds = config.build
    limited = f"{bounds.cpu_s} s of CPU, {bounds.memory_bytes // limits.MIB:,} MiB, no environment, no key"
    if builder.lacking:
        return _note(f"{limited}; {'; '.join(sorted(builder.lacking))}", _WALLS)
    return _fine(f"{limited}; empty root, no network, no other process, Landlock, seccomp")


def _built(here: Path) -> SnapshotInfo:
    from .builder import build
    from .building import BuildRequest
    from .engine.engine import wat

    _package(here / "package.zip", wat(_SNAPSHOT_GUEST))
    arn = "arn:aws:lambda:us-east-1:000000000000:function:doctor"
    return asyncio.run(
        build(BuildRequest(str(here / "package.zip"), "doctor", arn, 1, str(here / "artifacts"), str(here / "key")))
    )


def _package(path: Path, wasm: bytes) -> None:
    from .languages.package import pack

    path.write_bytes(pack(wasm, {}))


def _restored(
    here: Path, digest: str, memory_bytes: int, buffer_ptr: int, buffer_len: int
) -> tuple[list[bytes], float]:
    """(what isolates of the artifact answer, the shortest of their restores in µs)."""
    from .engine.engine import Engine, EngineSettings
    from .engine.isolate import Isolate, drive
    from .hostcalls.table import IMPORTS
    from .storage.artifacts import Artifacts, read_key

    engine = Engine(EngineSettings(pooling=True, isolates_max=2), IMPORTS)
    artifacts = Artifacts(here / "artifacts", read_key(here / "key"), engine.fingerprint)
    with artifacts.open(digest) as verified:
        template = engine.link(engine.load(verified.path))
    answers, restores_ns = [], []
    for _ in range(10):
        isolate = Isolate(engine, template, memory_bytes, limits.FUEL_DEFAULT)
        answers.append(drive(isolate.serve(b"", buffer_ptr, buffer_len)))
        restores_ns.append(isolate.restore_ns)
    return answers, min(restores_ns) / 1000


# ── the compilers ───────────────────────────────────────────────────────────────────────────────────────────────


def _compiler(name: str) -> _Run:
    def run(_config: Config) -> _Answer:
        from .languages import toolchain

        tool = {"Zig": toolchain.ZIG, "Go": toolchain.GO}[name]
        found = toolchain.find(tool)
        if found is not None:
            return _fine(str(found))
        size = tool.installed_bytes // 1_000_000
        language = {"Zig": "C", "Go": "Go"}[name]
        return _note(
            f"not installed; the first `isolet deploy` of {language} fetches it (about {size} MB)",
            f"to have it now: pip install {tool.distribution}=={tool.version}",
        )

    return run


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────────────

CHECKS: dict[str, Check] = {
    "python": Check("machine", _python),
    "wasmtime": Check("machine", _wasmtime),
    "processor": Check("machine", _processor),
    "open files": Check("machine", _descriptors),
    "cordons": Check("machine", _cordons),
    "address space": Check("machine", _address_space),
    "data directory": Check("data", _data),
    "sync to disk": Check("data", _sync),
    "port": Check("data", _port),
    "advisories": Check("engine", _advisories),
    "pool": Check("engine", _reservation, apart=True, revival=_MORE_SPACE),
    **{name: Check("engine", _of_selftest(name), True, cure) for name, (_, _, cure) in selftest.CHECKS.items()},
    "snapshot": Check("engine", _snapshot, apart=True),
    "builder": Check("engine", _builder),
    "second wall": Check("sandbox", _second_wall, apart=True),
    "self-audit": Check("sandbox", _self_audit, apart=True),
    "C compiler": Check("compilers", _compiler("Zig")),
    "Go compiler": Check("compilers", _compiler("Go")),
}

# A check apart takes half a second; the slowest, a build, a few.
_APART_S_MAX = 120.0


def examine(config: Config, names: Sequence[str] = tuple(CHECKS)) -> Iterator[Finding]:
    """The findings of these checks in their order, each as soon as it is there."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        yield from pool.map(lambda name: _examined(name, config), names)


def _examined(name: str, config: Config) -> Finding:
    return _apart(name, config) if CHECKS[name].apart else here(name, config)


def here(name: str, config: Config) -> Finding:
    """One check, in this process."""
    try:
        return Finding(name, *CHECKS[name].run(config))
    except IsoletError as error:
        return Finding(name, Verdict.WRONG, error.message, _REPORT)
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Finding(name, Verdict.WRONG, f"the check itself failed: {said}", _REPORT)


def _apart(name: str, config: Config) -> Finding:
    """One check, in a process of its own."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "isolet.doctor", name, str(config.isolates)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "RUST_BACKTRACE": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_APART_S_MAX,
        )
    except subprocess.TimeoutExpired:
        return Finding(
            name, Verdict.WRONG, f"no answer after {_APART_S_MAX:g} s", "look at what the machine is busy with"
        )
    with contextlib.suppress(ValueError, TypeError, IndexError):
        check, verdict, found, cure = json.loads(child.stdout.splitlines()[-1])
        return Finding(check, Verdict(verdict), found, cure)
    status = child.returncode
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    words = [line.strip() for line in child.stderr.splitlines() if line.strip() and not line.startswith("note:")]
    last = words[-1] if words else "it said nothing"
    return Finding(name, Verdict.WRONG, f"the process that tried it {how}: {last}", CHECKS[name].revival)


def main(arguments: list[str]) -> int:
    """The child's side of `_apart`."""
    name, isolates = arguments
    print(json.dumps(here(name, Config(isolates=int(isolates)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
