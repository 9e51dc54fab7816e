"""What can be observed of an instance: answers, traps, memory, globals, tables, dropped segments.

Written apart from capture.py and rewrite.py, so that a mistake in those is not made here too: both modules that are
compared are instrumented and read through wasmtime.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from isolet import limits
from isolet.engine.engine import Code, Engine, EngineSettings
from isolet.engine.host import HostFunction
from isolet.engine.inspection import Inspected
from isolet.engine.isolate import drive
from isolet.errors import GuestError
from isolet.snapshot.boot import NO_BASE
from isolet.snapshot.capture import Guest, Initialised, capture
from isolet.snapshot.instructions import survey
from isolet.snapshot.instrument import instrument
from isolet.snapshot.meter import meter
from isolet.snapshot.rewrite import rewrite
from isolet.snapshot.sections import FUNCREF, Data, Element, parse
from isolet.snapshot.split import MEMORY_NAME, STATE_MODULE, global_name, split, windows
from isolet.snapshot.state import packed, unpacked

MEMORY = 8 * limits.MIB
FUEL = 20_000_000


def answer(_guest: Any) -> int:
    return 42


HOST = (HostFunction("isolet", "answer", "", "i", answer),)


def quick_engine() -> Engine:
    return Engine(EngineSettings(pooling=False, optimise=False), HOST)


class NoWitness:
    """Host functions that noticed nothing."""

    def __init__(self) -> None:
        self.forbidden: list[str] = []

    def forbid(self, reason: str) -> None:
        self.forbidden.append(reason)

    def frozen_problems(self) -> list[str]:
        return list(self.forbidden)

    def finish(self) -> tuple[tuple[tuple[int, int, bytes], ...], int]:
        return (), 0


class InitialisationFailed(Exception):
    """The guest fails before it could be frozen: nothing to compare."""


@dataclass
class Observation:
    """Everything, after some calls."""

    answers: list[str] = field(default_factory=list)
    memory: bytes = b""
    globals: dict[int, Any] = field(default_factory=dict)
    tables: dict[int, list[int | None]] = field(default_factory=dict)
    data_dropped: set[int] = field(default_factory=set)
    elements_dropped: set[int] = field(default_factory=set)


class Observed:
    """An instance of `wasm` that can be looked into."""

    def __init__(self, engine: Engine, wasm: bytes) -> None:
        self.module = parse(wasm)
        self.windows = instrument(self.module, survey(self.module))
        self.template = engine.link(engine.compile(self.windows.wasm))
        self.isolate = Inspected(engine, self.template, MEMORY, FUEL)
        self.answers: list[str] = []

    def call(self, name: str, *arguments: int) -> None:
        """Calls an export and notes its result or its trap."""
        try:
            self.answers.append(f"{name} {drive(self.isolate.call(name, *arguments)):#x}")
        except GuestError as error:
            self.answers.append(f"{name} {type(error).__name__} {getattr(error, 'trap', '')}")

    def start(self, *, initialise: bool = True) -> None:
        """To where an event may come. Raises what initialisation raises."""
        drive(self.isolate.instantiate())
        if initialise:
            drive(self.isolate.initialise())
            drive(self.isolate.call("isolet_buffer", limits.INPUT_BUFFER_BYTES))

    def observe(self) -> Observation:
        isolate, windows = self.isolate, self.windows
        index_of = {isolate.function_identity(name): index for index, name in windows.functions.items()}
        globals_: dict[int, Any] = {}
        for index, name in windows.globals.items():
            bits = isolate.global_value(name)[1]
            is_reference = self.module.globals[index].type == FUNCREF
            globals_[index] = index_of.get(bits) if is_reference else bits
        return Observation(
            list(self.answers),
            isolate.memory(),
            globals_,
            {i: [None if f is None else index_of[f] for f in isolate.table(n)] for i, n in windows.tables.items()},
            {s for s, name in windows.data_drops.items() if isolate.global_value(name)[1]},
            {s for s, name in windows.element_drops.items() if isolate.global_value(name)[1]},
        )

    def close(self) -> None:
        self.isolate.close()


def freeze(engine: Engine, wasm: bytes, warmup: bytes | None = None) -> tuple[bytes | None, Initialised]:
    """The frozen module and how it came about, as make.py makes it; None if it could not be frozen."""
    module = parse(meter(parse(wasm)))
    surveyed = survey(module)
    windows = instrument(module, surveyed)
    template = engine.link(engine.compile(windows.wasm))
    guest = Guest(MEMORY, NoWitness, warmup, FUEL)
    initialised = capture(engine, template, windows, guest)
    captured = initialised.captured
    return (None if captured is None else rewrite(module, surveyed, captured)), initialised


def both_ways(
    engine: Engine, wasm: bytes, calls: Iterable[tuple[str, *tuple[int, ...]]]
) -> tuple[Observation, Observation]:
    """The theorem's two sides: initialise then call the original, and meter, snapshot, restore, call."""
    calls = list(calls)
    expected = _initialised(engine, wasm, calls)
    frozen, made = freeze(engine, wasm)
    assert frozen is not None, made.warnings
    assert made.captured is not None
    restored = Observed(engine, frozen)
    try:
        restored.start(initialise=False)
        for name, *arguments in calls:
            restored.call(name, *arguments)
        actual = restored.observe()
    finally:
        restored.close()
    # A segment that was dropped before the snapshot is an empty one now, and may be dropped again; so may an active
    # one, which counts as dropped from the beginning and is therefore not observed.
    original = parse(wasm)
    actual.data_dropped = _passive(original.data, actual.data_dropped | made.captured.data_dropped)
    actual.elements_dropped = _passive(original.elements, actual.elements_dropped | made.captured.elements_dropped)
    return expected, actual


def _initialised(engine: Engine, wasm: bytes, calls: Iterable[tuple[str, *tuple[int, ...]]]) -> Observation:
    initialised = Observed(engine, wasm)
    try:
        try:
            initialised.start()
        except GuestError as error:
            raise InitialisationFailed(error.message) from None
        for name, *arguments in calls:
            initialised.call(name, *arguments)
        return initialised.observe()
    finally:
        initialised.close()


class Split(Observed):
    """An instance of a state, as it is stored, and the code beside it. Raises Unsplittable."""

    def __init__(self, engine: Engine, wasm: bytes) -> None:
        self.module = parse(meter(parse(wasm)))
        parts = split(self.module, survey(self.module))
        names = (MEMORY_NAME, *map(global_name, range(len(parts.layout.globals))))
        code = Code(engine.compile(parts.code), STATE_MODULE, names)
        first = engine.link_state(engine.compile(parts.first), code, ())
        self.windows = windows(parts.layout)
        made = capture(engine, first, self.windows, Guest(MEMORY, NoWitness, None, FUEL))
        assert made.captured is not None, made.warnings
        state = unpacked(zlib.decompress(packed(parts.layout, made.captured, NO_BASE)), NO_BASE)
        self.template = engine.link_state(engine.compile(state.module), code, ())
        self.isolate = Inspected(engine, self.template, MEMORY, FUEL)
        self.answers = []


def split_ways(
    engine: Engine, wasm: bytes, calls: Iterable[tuple[str, *tuple[int, ...]]]
) -> tuple[Observation, Observation]:
    """The same for the split form: initialise then call the original, and split, store, restore, call."""
    calls = list(calls)
    expected = _initialised(engine, wasm, calls)
    restored = Split(engine, wasm)
    try:
        restored.start(initialise=False)
        for name, *arguments in calls:
            restored.call(name, *arguments)
        return expected, restored.observe()
    finally:
        restored.close()


def _passive(segments: Sequence[Data | Element], dropped: set[int]) -> set[int]:
    return {index for index in dropped if segments[index].passive}
