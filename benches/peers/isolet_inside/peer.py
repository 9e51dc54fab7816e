"""isolet's isolates without its server: the whole life of each, in this process, as a worker has it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from isolet import abi, heap, limits
from isolet.engine.engine import Engine, EngineSettings
from isolet.engine.isolate import Isolate, drive
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.lab.works import Work
from isolet.languages.build import build
from isolet.manifest import load
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Maker
from isolet.storage.artifacts import Artifacts

from .. import building
from ..isolet.peer import source

NAME = "isolet, in process"
KIND = "call"
LANGUAGES = ("c",)
FRESH = True
DIFFERS = {
    "instance": "fresh for every call, restored from a snapshot",
    "isolation": "wasm, in the caller's process",
    "metering": "fuel, slices, a memory limit",
    "note": "no HTTP; each call packs an event with its context and checks the outcome",
}
_MEMORY_MB = 8


def install(cache: Path) -> str:
    return building.installed("isolet")


@contextlib.contextmanager
def calling(work: Work, language: str, cache: Path) -> Iterator[Callable[[str], str]]:
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        heap.keep()
        directory = source(work, language, Path(scratch))
        wasm = build(directory, load(directory)).wasm
        engine = Engine(EngineSettings(isolates_max=64), IMPORTS)
        arn = "arn:aws:lambda:us-east-1:000000000000:function:work"
        constants = HostConstants(work.name, "$LATEST", arn, _MEMORY_MB, (), {})
        guest = Guest(_MEMORY_MB * limits.MIB, lambda: HostState(constants, initialising=True), None)
        made = Maker(IMPORTS).make(wasm, guest)
        artifacts = Artifacts(Path(scratch) / "artifacts", bytes(32), engine.fingerprint)
        info = artifacts.write(made.artifact, made.info)
        with artifacts.open(info.digest) as verified:
            template = engine.link(engine.load(verified.path))
        packed = abi.pack_constants(
            name=work.name, version="$LATEST", arn=arn, memory_mb=_MEMORY_MB, log_stream="bench"
        )

        def call(body: str) -> str:
            event = abi.pack({"body": body})
            payload = abi.pack_envelope(event, packed, "0" * 36, 2**53 - 1, bytes(limits.ENTROPY_BYTES))
            isolate = Isolate(engine, template, _MEMORY_MB * limits.MIB, limits.FUEL_DEFAULT)
            isolate.state = HostState(constants)
            outcome = abi.unpack_outcome(drive(isolate.serve(payload, info.buffer_ptr, info.buffer_len)))
            answer: str = outcome["body"]
            return answer

        yield call
