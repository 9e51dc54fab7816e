"""Runs a function's directory as the product does: its own build, the real engine, the real host functions.

Shared by the tests of SDKs, languages and functions. `Guest` initialises in every invocation; `FrozenGuest` is restored
from a snapshot, as deployed functions are.
"""

from __future__ import annotations

import atexit
import functools
import json
import tempfile
import uuid
import weakref
from pathlib import Path
from typing import Any

import msgpack

from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, Template
from isolet.engine.host import Wait
from isolet.engine.isolate import Isolate, drive
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages.build import build
from isolet.languages.package import Package
from isolet.manifest import Manifest, load
from isolet.model import SnapshotInfo
from isolet.snapshot import capture
from isolet.snapshot.make import Made, Maker

ROOT = Path(__file__).parent.parent
ENTROPY = bytes(range(16))
DEADLINE_MS = 4_102_444_800_000


# Guests live in caches of modules; what they hold of wasmtime must go before its library does.
_guests: weakref.WeakSet[Guest] = weakref.WeakSet()


@atexit.register
def _release() -> None:
    for guest in list(_guests):
        del guest.template
    template.cache_clear()


@functools.cache
def engine() -> Engine:
    return Engine(EngineSettings(pooling=False), IMPORTS)


@functools.cache
def built(directory: Path) -> Package:
    return build(directory, load(directory))


@functools.cache
def template(directory: Path) -> Template:
    return engine().link(engine().compile(built(directory).wasm))


@functools.cache
def maker() -> Maker:
    return Maker(IMPORTS)


@functools.cache
def restored_engine() -> Engine:
    """As a worker's: what artifacts are for."""
    return Engine(EngineSettings(isolates_max=16), IMPORTS)


def finish(wait: Wait) -> None:
    """No test waits: a sleep is over at once."""
    wait.finish(0)


class Guest:
    """A function built from `directory`. `log`, `fuel`, `memory_bytes` and `waits` are of its last invocation."""

    def __init__(self, directory: Path, environment: dict[str, str] | None = None) -> None:
        self.manifest: Manifest = load(directory)
        self.package = built(directory)
        settings = self.manifest.settings
        variables = [f"{k}={v}".encode() for k, v in (environment or settings.environment).items()]
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.manifest.name}"
        self.constants = HostConstants(
            self.manifest.name, "$LATEST", arn, settings.memory_mb, variables, {}, settings.handler
        )
        self.packed_constants = abi.pack_constants(
            name=self.manifest.name, version="$LATEST", arn=arn, memory_mb=settings.memory_mb, log_stream="tests"
        )
        self.log: list[Any] = []
        self.fuel = 0
        self.memory_bytes = 0
        self.waits: list[str] = []
        self.engine, self.template, self.buffer = self._prepared(directory)
        _guests.add(self)

    def _prepared(self, directory: Path) -> tuple[Engine, Template, tuple[int, int]]:
        return engine(), template(directory), (0, 0)

    def serve(self, envelope: bytes, memory_mb: int | None = None) -> bytes:
        """The outcome of an envelope, both as bytes."""
        memory = (memory_mb or self.manifest.settings.memory_mb) * limits.MIB
        state = HostState(self.constants)
        self.waits = []
        isolate = Isolate(self.engine, self.template, memory, self.manifest.settings.fuel, state)
        try:
            return drive(isolate.serve(envelope, *self.buffer), self._waited)
        finally:
            self.log = list(state.finish()[0])
            self.fuel, self.memory_bytes = isolate.fuel_used, isolate.memory_bytes

    def _waited(self, wait: Wait) -> None:
        self.waits.append(wait.kind)
        finish(wait)

    def envelope(self, event: Any, entropy: bytes = ENTROPY) -> bytes:
        return abi.pack_envelope(
            msgpack.packb(event), self.packed_constants, str(uuid.UUID(int=7)), DEADLINE_MS, entropy
        )

    def invoke(self, event: Any, entropy: bytes = ENTROPY, memory_mb: int | None = None) -> Any:
        """The handler's result. Raises isolet's GuestErrors: `Raised` for an error of the handler's."""
        return abi.unpack_outcome(self.serve(self.envelope(event, entropy), memory_mb))


class FrozenGuest(Guest):
    """The same, restored from a snapshot; `snapshot` is what the builder said of it."""

    snapshot: SnapshotInfo

    def _prepared(self, directory: Path) -> tuple[Engine, Template, tuple[int, int]]:
        made = self._made(directory)
        self.snapshot = made.info
        with tempfile.TemporaryDirectory() as scratch:
            artifact = Path(scratch) / "artifact"
            artifact.write_bytes(made.artifact)
            loaded = restored_engine().link(restored_engine().load(str(artifact)))
        return restored_engine(), loaded, (made.info.buffer_ptr, made.info.buffer_len)

    def _made(self, directory: Path) -> Made:
        settings = self.manifest.settings
        warmup = (directory / settings.warmup).read_bytes() if settings.warmup else None
        return maker().make(
            self.package.wasm,
            capture.Guest(
                witness=lambda: HostState(self.constants, initialising=True),
                memory_bytes_max=settings.memory_mb * limits.MIB,
                warmup=self.envelope(json.loads(warmup)) if warmup else None,
            ),
        )


def http_event(method: str, path: str, *, body: str | bytes | None = None, **more: Any) -> dict[str, Any]:
    """A request as an event in payload format 2.0, as small as the front door makes it."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": method, "path": path}},
        "isBase64Encoded": isinstance(body, bytes),
        **more,
    }
    if body is not None:
        event["body"] = body
    return event
