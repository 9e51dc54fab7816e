"""The builder: a process per build, which compiles and initialises what a tenant uploaded, and may die of it.

Compilation of hostile input takes gigabytes, minutes, or the process. So it happens in one that limits itself before it
reads a byte, has nothing of the server's in its environment, and is gone afterwards.

    keeper                                   python -m isolet.building CPU_S MEMORY_BYTES
    build(request, progress) ── stdin ──→    one msgpack map: the request
             ↑             ←── stdout ──     msgpack maps: {phase}…, then {snapshot} or {error}
             └── the last of stderr, when it died without an answer

Laws:
- `build` answers a SnapshotInfo whose artifact is stored and sealed, or raises; the process is gone in any case.
- Whatever the module is to blame for is a ModuleInvalid that says which limit and what to do: CPU and memory by the
  builder's own limits, wall time by the parent's clock. Only a death that nobody planned is a BuilderLost.

The process itself is building.py, and only it imports the engine: a keeper that builds holds no wasmtime.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgpack

from . import limits
from .building import INTERPRETER, BuildRequest, Progress, out_of_memory
from .errors import BuilderLost, ModuleInvalid
from .frames import error_from_plain
from .model import SnapshotInfo
from .plain import snapshot_from_plain

# What a phase of `build` may be, in their order; the middle ones are snapshot/make.py's.
PHASES: Final = ("starting", "validating", "compiling", "initialising", "freezing", "optimising", "storing")

_STDERR_BYTES_MAX: Final = 8 * limits.KIB
_ANSWER_BYTES_MAX: Final = 1 * limits.MIB
# While an interpreter is compiled, once a machine, a build may take as long as a slow machine needs.
_INTERPRETER_WALL_S: Final = 300.0


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
        if phase.startswith(INTERPRETER):
            deadline.reschedule(asyncio.get_running_loop().time() + _INTERPRETER_WALL_S)
        progress(phase)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-s", "-m", "isolet.building", str(cpu_s), str(memory_bytes)),
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
        return out_of_memory(request.name, memory_bytes)
    if status == -signal.SIGABRT and "overflowed its stack" in last_words:
        return ModuleInvalid(f"{request.name} is nested too deeply to be compiled; nest blocks less deeply")
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    said = last_words.splitlines()[-1] if last_words else "it said nothing"
    return BuilderLost(f"the builder of {request.name} {how}: {said}")
