"""The theorem over what compilers make: the example functions in C and Go, with their real initialised state.

Both sides start from one initialisation, since it may read clocks and random bytes: the instance that was frozen goes
on, beside one that was restored. Clocks and random bytes are the same for both from there on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings
from isolet.engine.host import HostFunction
from isolet.engine.inspection import Inspected
from isolet.engine.isolate import drive
from isolet.hostcalls.state import HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages.build import COMPILERS
from isolet.manifest import load
from isolet.snapshot.capture import _read
from isolet.snapshot.instructions import survey
from isolet.snapshot.instrument import Instrumented, instrument
from isolet.snapshot.rewrite import rewrite
from isolet.snapshot.sections import Module, parse
from running import ROOT, Guest, http_event
from sources import needs_python

pytestmark = needs_python

FUNCTIONS = ROOT / "functions"
LOG_LINE = '192.0.2.{n} - - [10/Oct/2000:13:{n:02}:36 -0700] "GET /page/{n} HTTP/1.0" 200 2326\n'
EVENTS: dict[str, list[Any]] = {
    "hello": [http_event("GET", "/"), {"any": "event"}],
    "account": [
        http_event("GET", "/accounts/1042"),
        http_event("POST", "/accounts/1042/deposits", body="amount=10", headers={"content-type": "text/plain"}),
        http_event("GET", "/nothing"),
    ],
    "accesslog": [http_event("POST", "/accesslog", body="".join(LOG_LINE.format(n=n % 60) for n in range(500)))],
    "thumbnail": [json.loads((FUNCTIONS / "thumbnail" / "event.json").read_text()), {"image": ""}],
}


def steady(function: HostFunction) -> HostFunction:
    """Clocks and random bytes by the count of host calls, so that both sides see the same."""
    if function.name == "clock_time_get":
        return replace(
            function, func=lambda guest, clock, precision, out: guest.write_u64(out, guest.state.tick()) or 0
        )
    if function.name == "random_get":
        return replace(function, func=lambda guest, ptr, length: guest.write(ptr, guest.state.noise(length)) or 0)
    return function


class SteadyState(HostState):
    """A HostState that can be wound back to where an event comes."""

    __slots__ = ("ticks",)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.ticks = 0

    def tick(self) -> int:
        self.ticks += 1
        return 1_700_000_000_000_000_000 + self.ticks * 1_000_000

    def noise(self, length: int) -> bytes:
        return bytes(self.tick() * 7 % 251 for _ in range(length))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineSettings(pooling=False, optimise=False), [steady(function) for function in IMPORTS])
    yield made
    made.close()


class Side:
    """An instrumented instance of a function."""

    def __init__(self, engine: Engine, wasm: bytes, guest: Guest) -> None:
        self.module: Module = parse(wasm)
        self.windows: Instrumented = instrument(self.module, survey(self.module))
        template = engine.link(engine.compile(self.windows.wasm))
        self.state = SteadyState(guest.constants)
        memory = guest.manifest.settings.memory_mb * limits.MIB
        self.isolate = Inspected(engine, template, memory, 10**11, self.state)
        drive(self.isolate.instantiate())

    def handle(self, envelope: bytes, buffer_ptr: int) -> bytes:
        return drive(self.isolate.handle(envelope, buffer_ptr, limits.INPUT_BUFFER_BYTES))


def holds(engine: Engine, name: str) -> None:
    guest = Guest(FUNCTIONS / name)
    for event in EVENTS[name]:
        initialised = Side(engine, guest.package.wasm, guest)
        drive(initialised.isolate.initialise())
        buffer_ptr = drive(initialised.isolate.call("isolet_buffer", limits.INPUT_BUFFER_BYTES))
        captured = _read(initialised.isolate, initialised.windows)
        frozen = rewrite(initialised.module, survey(initialised.module), captured)

        restored = Side(engine, frozen, guest)
        assert restored.isolate.memory() == initialised.isolate.memory()
        initialised.state.ticks = restored.state.ticks = 0
        envelope = guest.envelope(event)
        expected = initialised.handle(envelope, buffer_ptr)
        assert restored.handle(envelope, buffer_ptr) == expected
        assert len(expected) > 4
        after, before = (_read(side.isolate, side.windows) for side in (restored, initialised))
        assert after.globals == before.globals
        assert after.tables == before.tables
        assert restored.isolate.memory() == initialised.isolate.memory()
        restored.isolate.close()
        initialised.isolate.close()


@pytest.mark.parametrize("name", ["hello", "account", "accesslog"])
def test_restored_function_in_c_is_the_initialised_one(engine: Engine, name: str) -> None:
    holds(engine, name)


@pytest.mark.slow
def test_restored_function_in_go_is_the_initialised_one(engine: Engine) -> None:
    holds(engine, "thumbnail")


def test_compiled_examples_are_all_here() -> None:
    directories = [path.parent for path in FUNCTIONS.glob("*/function.toml")]
    compiled = {path.name for path in directories if load(path).settings.language in COMPILERS}
    assert compiled == set(EVENTS)
