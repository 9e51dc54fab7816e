"""A module becomes a snapshot: adapt → validate → meter → instrument → compile → initialise → rewrite → compile →
serialise.

Laws:
- Bytes in, bytes out: what is run is decided here, where it is stored elsewhere (storage/artifacts.py).
- The instrumented module is compiled without optimising, since it runs once; the frozen one as workers run it. Both by
  engines with a pool, so that a module that no pool can hold is refused at deployment and not at its first event.
- A module that cannot be frozen is compiled as it came, and the warnings say why and what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from .. import limits
from ..engine.engine import Engine, EngineSettings, Module
from ..engine.host import HostFunction
from ..errors import EngineFault, ModuleInvalid
from ..model import SnapshotInfo
from . import sections
from .capture import Guest, Initialised, capture
from .instructions import survey
from .instrument import instrument
from .meter import meter
from .rewrite import rewrite, stripped
from .validate import validate
from .wapc import adapt

Progress = Callable[[str], None]

PHASES = ("validating", "compiling", "initialising", "freezing", "optimising")


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot that is not stored yet: `info.digest` and `info.artifact_bytes` are still to be filled in."""

    artifact: bytes
    info: SnapshotInfo
    logs: tuple[bytes, ...]  # what the guest said while it initialised
    phases_s: tuple[tuple[str, float], ...]


class Maker:
    """The two engines of a builder, and the pipeline between them."""

    def __init__(self, imports: Sequence[HostFunction]) -> None:
        self._imports = tuple(imports)
        self._quick = Engine(EngineSettings(alone=True, isolates_max=1, optimise=False), imports)
        self._final = Engine(EngineSettings(alone=True, isolates_max=1), imports)

    @property
    def fingerprint(self) -> bytes:
        """Of the engine that the artifact is for."""
        return self._final.fingerprint

    def make(self, wasm: bytes, guest: Guest, progress: Progress = lambda phase: None) -> Made:
        """The snapshot of `wasm`; `progress` is told each of PHASES as it begins. ModuleInvalid if it cannot be."""
        phases = Phases(progress)
        phases.begin("validating")
        module = _metered(validate(adapt(wasm), self._imports, guest.memory_bytes_max))
        surveyed = survey(module)
        windows = instrument(module, surveyed)

        phases.begin("compiling")
        template = self._quick.link(_compile(self._quick, windows.wasm))
        phases.begin("initialising")
        initialised = capture(self._quick, template, windows, guest)

        phases.begin("freezing")
        captured = initialised.captured
        frozen = stripped(module) if captured is None else rewrite(module, surveyed, captured)
        phases.begin("optimising")
        try:
            compiled = self._final.compile(frozen)
        except ModuleInvalid as error:  # the original was compiled: what was made of it is wrong
            raise EngineFault(f"the frozen module is refused: {error.message}") from None
        self._final.link(compiled)
        artifact = compiled.serialize()
        timings = phases.end()
        info = SnapshotInfo(
            digest="",
            baked=captured is not None,
            warnings=initialised.warnings if captured else _unfrozen(initialised, dict(timings)["initialising"]),
            buffer_ptr=initialised.buffer_ptr,
            buffer_len=limits.INPUT_BUFFER_BYTES if captured else 0,
            memory_bytes=(captured.pages if captured else module.memories[0].minimum) * limits.WASM_PAGE_BYTES,
            image_bytes=len(captured.image) if captured else 0,
            artifact_bytes=len(artifact),
            build_s=sum(seconds for _, seconds in timings),
            init_fuel=initialised.fuel,
        )
        return Made(artifact, info, initialised.logs, timings)


def _metered(module: sections.Module) -> sections.Module:
    """What both initialisation and events run."""
    wasm = meter(module)
    return module if wasm is module.wasm else sections.parse(wasm)


def _compile(engine: Engine, wasm: bytes) -> Module:
    try:
        return engine.compile(wasm)
    except ModuleInvalid as error:
        if "pooling allocator" in error.message:
            raise ModuleInvalid(
                f"the module does not fit in an isolate; have fewer functions and globals: {error.message}"
            ) from None
        raise


def _unfrozen(initialised: Initialised, seconds: float) -> tuple[str, ...]:
    return (
        *(f"initialisation cannot be frozen: {reason}" for reason in initialised.warnings),
        f"it runs in every invocation: {initialised.fuel:,} fuel, about {seconds * 1000:.1f} ms",
    )


class Phases:
    """What is under way, told as it begins, and how long each took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: list[tuple[str, float]] = []

    def begin(self, phase: str) -> None:
        self._began.append((phase, perf_counter()))
        self._progress(phase)

    def so_far(self) -> tuple[tuple[str, float], ...]:
        """As if the phase under way ended now."""
        return self.end()

    def end(self) -> tuple[tuple[str, float], ...]:
        instants = [at for _, at in self._began] + [perf_counter()]
        return tuple((phase, instants[i + 1] - at) for i, (phase, at) in enumerate(self._began))
