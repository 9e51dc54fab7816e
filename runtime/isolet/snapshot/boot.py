"""From an interpreter to the state of a program: what the builder does for source.

    interpreter ─ meter, split ─→ code ──── compiled once a machine
                                   │  `_initialize`, `isolet_boot`
                                   ├──────→ base state: the interpreter is up, no program yet
                                   │  `isolet_init`: the program's own top-level code; a warm-up event
                                   └──────→ state: stored as what differs from the base

Laws:
- Whoever deploys a program compiles nothing, once the interpreter's parts are made (preparing.py says when). They are
  made of our own files alone: no tenant's bytes are in the process that makes what all tenants run on.
- A program that cannot be frozen runs its top-level code in every invocation, from the base state.
- The stack is not stored: below the stack pointer nothing is alive, and what initialisation left there is noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from .. import limits
from ..engine.engine import Code, Engine, Template
from ..errors import ArtifactCorrupt, ArtifactMissing, EngineFault, ModuleInvalid
from ..languages.interpreters import Interpreter
from ..model import SnapshotInfo
from ..storage.artifacts import Verified
from . import sections
from .capture import Guest, Initialised, capture
from .instructions import survey
from .instrument import Instrumented
from .library import Library
from .library import packed as library_packed
from .make import Phases, Progress
from .meter import meter
from .rewrite import Captured
from .split import MEMORY_NAME, STATE_MODULE, Layout, Split, Unsplittable, global_name, split, windows
from .state import Base, State, packed, unpacked

# What an isolate of a program that could not be frozen calls first.
INITIALISERS = ("isolet_init",)
NO_BASE = Base("", b"")
# What the phase begins with in which an interpreter is compiled: trusted code, and seconds of work.
COMPILING = "compiling"


class Store(Protocol):
    """Where parts and states are: Artifacts, or in a builder's process what it was handed of them."""

    def bound(self, key: bytes) -> Mapping[str, str] | None: ...

    def bind(self, key: bytes, digests: Mapping[str, str]) -> None: ...

    def open(self, digest: str) -> AbstractContextManager[Verified]: ...

    def write(self, content: bytes, info: SnapshotInfo) -> SnapshotInfo: ...


@dataclass(frozen=True, slots=True)
class Machine:
    """An interpreter, ready in one engine: its code, the base state that programs start from, its library."""

    digests: Mapping[str, str]  # of "code", "base" and, if it has one, "library"
    state: State
    template: Template
    library: Mapping[str, bytes]

    @property
    def base(self) -> Base:
        return Base(self.digests["base"], self.state.memory)


@dataclass(frozen=True, slots=True)
class Booted:
    """A program's snapshot, stored, and what the program said while it was made."""

    info: SnapshotInfo
    logs: tuple[bytes, ...]
    phases_s: tuple[tuple[str, float], ...]


class Booter:
    """One interpreter in a builder. `opened` is called when all files that a program needs are open, before anything of
    it is looked at."""

    def __init__(
        self, engine: Engine, artifacts: Store, interpreter: Interpreter, opened: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._interpreter = interpreter
        self._opened = opened

    def boot(
        self,
        base_guest: Callable[[Mapping[str, bytes]], Guest],
        guest: Callable[[Mapping[str, bytes]], Guest],
        progress: Progress = lambda phase: None,
    ) -> Booted:
        """The state of a program, stored. Makes the interpreter's parts if they are not there. Raises ModuleInvalid if
        its top-level code ends the isolate."""
        phases = Phases(progress)
        return self._boot(self.prepare(base_guest, phases), guest, phases)

    def boot_prepared(
        self,
        digests: Mapping[str, str],
        guest: Callable[[Mapping[str, bytes]], Guest],
        progress: Progress = lambda phase: None,
    ) -> Booted:
        """The same, from parts that are there. Raises ArtifactMissing, ArtifactCorrupt, too."""
        phases = Phases(progress)
        phases.begin("validating")
        return self._boot(self._load(digests), guest, phases)

    def _boot(self, machine: Machine, guest: Callable[[Mapping[str, bytes]], Guest], phases: Phases) -> Booted:
        phases.begin("initialising")
        given = replace(guest(machine.library), initialisers=INITIALISERS)
        self._require_room(machine, given)
        initialised = capture(self._engine, machine.template, windows(machine.state.layout), given)
        phases.begin("freezing")
        captured = initialised.captured
        state = machine.state.captured if captured is None else without_stack(captured)
        content = packed(machine.state.layout, state, machine.base)
        phases.begin("storing")
        info = SnapshotInfo(
            digest="",
            baked=captured is not None,
            warnings=initialised.warnings if captured else _unfrozen(initialised),
            buffer_ptr=initialised.buffer_ptr,
            buffer_len=limits.INPUT_BUFFER_BYTES if captured else 0,
            memory_bytes=state.pages * limits.WASM_PAGE_BYTES,
            image_bytes=len(state.image),
            artifact_bytes=len(content),
            build_s=sum(seconds for _, seconds in phases.so_far()),
            init_fuel=initialised.fuel,
            code_digest=machine.digests["code"],
            base_digest=machine.digests["base"],
            library_digest=machine.digests.get("library", ""),
        )
        stored = self._artifacts.write(content, info)
        return Booted(stored, initialised.logs, phases.end())

    def prepare(self, guest: Callable[[Mapping[str, bytes]], Guest], phases: Phases | None = None) -> Machine:
        """The interpreter's parts: loaded, or made and stored if they are not there. Raises EngineFault, HostErrors."""
        phases = phases or Phases(lambda phase: None)
        phases.begin("validating")
        digests = self._artifacts.bound(self._interpreter.key)
        try:
            return self._make(guest, phases) if digests is None else self._load(digests)
        except (ArtifactMissing, ArtifactCorrupt):  # some of it is missing or damaged
            return self._make(guest, phases)

    def _require_room(self, machine: Machine, guest: Guest) -> None:
        needed = machine.state.captured.pages * limits.WASM_PAGE_BYTES
        if needed > guest.memory_bytes_max:
            raise ModuleInvalid(
                f"{self._interpreter.name} starts with {needed / limits.MIB:,.1f} MiB of memory, and the function has "
                f"{guest.memory_bytes_max / limits.MIB:,.0f}; raise `memory_mb`"
            )

    # ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────

    def _split(self) -> Split:
        module = sections.parse(self._interpreter.read_module())
        metered = meter(module)
        if metered is not module.wasm:
            module = sections.parse(metered)
        try:
            return split(module, survey(module))
        except Unsplittable as reason:
            raise EngineFault(f"the interpreter {self._interpreter.name} cannot be split: {reason}") from None

    def _load(self, digests: Mapping[str, str]) -> Machine:
        with self._artifacts.open(digests["base"]) as verified:
            state = unpacked(zlib.decompress(content_of(verified.path)), NO_BASE)
        with self._artifacts.open(digests["code"]) as verified:
            code = code_of(self._engine, verified.path, state.layout)
        library: Mapping[str, bytes] = {}
        if "library" in digests:
            with self._artifacts.open(digests["library"]) as verified:
                library = Library(verified.path)
        return self._machine(digests, code, state, library)

    def _make(
        self,
        guest: Callable[[Mapping[str, bytes]], Guest],
        phases: Phases,
    ) -> Machine:
        phases.begin(f"{COMPILING} {self._interpreter.name}, once a machine")
        parts = self._split()
        compiled = self._engine.compile(parts.code)
        digests = {"code": self._artifacts.write(compiled.serialize(), PART).digest}
        with self._artifacts.open(digests["code"]) as verified:
            code = code_of(self._engine, verified.path, parts.layout)
        library = self._interpreter.read_library()
        if library:
            digests["library"] = self._artifacts.write(library_packed(library), PART).digest
        first = self._engine.link_state(self._engine.compile(parts.first), code, ())
        given = replace(guest(library), initialisers=("_initialize", "isolet_boot"), buffer=False, warmup=None)
        captured = without_stack(self._booted(first, windows(parts.layout), given))
        content = packed(parts.layout, captured, NO_BASE)
        digests["base"] = self._artifacts.write(content, PART).digest
        self._artifacts.bind(self._interpreter.key, digests)
        return self._machine(digests, code, State(parts.layout, captured), library)

    def _booted(self, first: Template, seen: Instrumented, guest: Guest) -> Captured:
        try:
            booted = capture(self._engine, first, seen, guest)
        except ModuleInvalid as error:  # the interpreter is ours: no program is to blame
            raise EngineFault(f"{self._interpreter.name} does not boot: {error.message}") from None
        if booted.captured is None:
            raise EngineFault(f"{self._interpreter.name} cannot be frozen: {'; '.join(booted.warnings)}")
        return booted.captured

    def _machine(
        self,
        digests: Mapping[str, str],
        code: Code,
        state: State,
        library: Mapping[str, bytes],
    ) -> Machine:
        self._opened()
        template = self._engine.link_state(self._engine.compile(state.module), code, INITIALISERS)
        return Machine(digests, state, template, library)


def code_of(engine: Engine, path: str, layout: Layout) -> Code:
    """The code in a verified artifact, with the names of what it imports from a state of this layout."""
    names = (MEMORY_NAME, *map(global_name, range(len(layout.globals))))
    return Code(engine.load(path), STATE_MODULE, names)


def without_stack(captured: Captured) -> Captured:
    """The state with zeros below the stack pointer, global 0 of clang's output: the interpreters' stacks lie below
    their data, and grow downwards."""
    pointer = captured.globals.get(0)
    if pointer is None or not captured.image_start < pointer < captured.image_start + len(captured.image):
        return captured
    start = pointer - pointer % limits.WASM_PAGE_BYTES
    if start < captured.image_start:
        start = captured.image_start
    dead = pointer - start
    image = bytes(dead) + captured.image[pointer - captured.image_start :]
    return replace(captured, image_start=start, image=image)


# What a part's seal says of it beside its digest: nothing.
PART = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _unfrozen(initialised: Initialised) -> tuple[str, ...]:
    return (
        *(f"initialisation cannot be frozen: {reason}" for reason in initialised.warnings),
        f"it runs in every invocation: {initialised.fuel:,} fuel",
    )
