"""Initialisation, run once in the builder, and what it left: memory, globals, tables, the input buffer.

The order is that of `sdk/abi.md`, section 1.1: start section, `_initialize`, `isolet_init`, `isolet_buffer`, and, if
there is a warm-up event, `isolet_handle` with it.

Laws:
- Initialisation that fails refuses the deployment, unless the failure may be our own doing: a guest that was denied a
  capability while it is frozen may fail here and work in an isolate.
- A warm-up never fails a deployment: a snapshot without it is made instead, and a warning says so.
- Nothing here waits for the host. Time is checked at every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final, Protocol

from .. import limits
from ..engine.binding import KIND_FUNCREF
from ..engine.engine import Engine, Template
from ..engine.host import Wait
from ..engine.inspection import Inspected
from ..errors import GuestError, ModuleInvalid, OutOfMemory, printable
from .instrument import Instrumented
from .rewrite import Captured

# What an image's start is rounded down to: a multiple of every machine's page.
_IMAGE_ALIGN_BYTES: Final = limits.WASM_PAGE_BYTES
_SCAN_BYTES: Final = limits.MIB
_ZEROS: Final = bytes(_SCAN_BYTES)
# Of the guest's own last words, in the message of a failed initialisation.
_LAST_WORDS_MAX: Final = 5


class Witness(Protocol):
    """What host functions share during initialisation (hostcalls/state.py, HostState)."""

    @property
    def forbidden(self) -> list[str]:
        """What the guest did that cannot be frozen and was denied."""

    def forbid(self, reason: str) -> None: ...

    def frozen_problems(self) -> list[str]:
        """Why this state cannot be frozen; empty: it can."""

    def finish(self) -> tuple[tuple[tuple[int, int, bytes], ...], int]:
        """The log: entries of (level, milliseconds, text), and how many were dropped."""


@dataclass(frozen=True, slots=True)
class Guest:
    """What initialisation is given."""

    memory_bytes_max: int
    witness: Callable[[], Witness]  # a new one for every run
    warmup: bytes | None  # an event envelope
    fuel: int = limits.INIT_FUEL
    wall_s: float = limits.INIT_WALL_S
    # What is called, in this order, where the module has it; then, if there is to be an input buffer, `isolet_buffer`.
    initialisers: tuple[str, ...] = ("_initialize", "isolet_init")
    buffer: bool = True


@dataclass(frozen=True, slots=True)
class Initialised:
    """What became of initialisation. `captured` is None if it cannot be frozen, and `warnings` say why."""

    captured: Captured | None
    buffer_ptr: int
    fuel: int
    warnings: tuple[str, ...]
    logs: tuple[bytes, ...]


def capture(engine: Engine, template: Template, windows: Instrumented, guest: Guest) -> Initialised:
    """Initialises an isolate of the instrumented module and reads its state. ModuleInvalid if initialisation fails."""
    warm = _Run(engine, template, guest, guest.warmup).capture(windows)
    if warm.captured is not None or guest.warmup is None:
        return warm
    cold = _Run(engine, template, guest, warmup=None).capture(windows)
    if cold.captured is None:
        return cold
    warning = f"the snapshot was made without the warm-up event: {'; '.join(warm.warnings)}"
    return replace(cold, warnings=(*cold.warnings, warning))


class _Run:
    """One initialisation in one isolate."""

    def __init__(self, engine: Engine, template: Template, guest: Guest, warmup: bytes | None) -> None:
        self._witness = guest.witness()
        self._isolate = Inspected(engine, template, guest.memory_bytes_max, guest.fuel, self._witness)
        self._warmup = warmup
        self._initialisers, self._with_buffer = guest.initialisers, guest.buffer
        self._wall_s = guest.wall_s
        self._deadline_s = monotonic() + guest.wall_s
        self._phase = "the start function"

    def capture(self, windows: Instrumented) -> Initialised:
        captured: Captured | None = None
        buffer_ptr = 0
        problems: list[str] = []
        try:
            buffer_ptr = self._initialise()
            problems = self._witness.frozen_problems()
            if not problems:
                captured = _read(self._isolate, windows)
        except _Unreadable as reason:
            problems = [str(reason)]
        except GuestError as error:
            problems = self._excuse(error)
        finally:
            self._isolate.close()
        logs = tuple(text for _, _, text in self._witness.finish()[0])
        return Initialised(captured, buffer_ptr if captured else 0, self._isolate.fuel_used, tuple(problems), logs)

    def _initialise(self) -> int:
        """Everything up to the snapshot. Answers the address of the input buffer."""
        isolate = self._isolate
        self._drive(isolate.instantiate())
        for name in self._initialisers:
            if isolate.has_function(name):
                self._phase = f"`{name}`"
                self._drive(isolate.call(name))
        if not self._with_buffer:
            return 0
        buffer_ptr = self._buffer()
        if self._warmup is not None:
            self._phase = "the warm-up event"
            self._drive(isolate.handle(self._warmup, buffer_ptr, limits.INPUT_BUFFER_BYTES))
            # The handler may have given its input buffer away: it owned it.
            buffer_ptr = self._buffer()
        return buffer_ptr

    def _buffer(self) -> int:
        self._phase = f"`isolet_buffer({limits.INPUT_BUFFER_BYTES})`"
        ptr: int = self._drive(self._isolate.call("isolet_buffer", limits.INPUT_BUFFER_BYTES))
        if ptr == 0:
            raise OutOfMemory("it answered 0, that it has no such buffer; raise `memory_mb` or allocate less")
        self._isolate.read(ptr, limits.INPUT_BUFFER_BYTES)  # raises AbiViolation unless it is all memory
        return ptr

    def _drive(self, steps: Generator[Wait | None, None, Any]) -> Any:
        try:
            step = next(steps)
            while True:
                if monotonic() > self._deadline_s:
                    raise GuestError(f"it took more than {self._wall_s:g} s; do less, or do it when an event comes")
                if step is not None:
                    self._refuse(step)
                step = steps.send(None)
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()

    def _refuse(self, wait: Wait) -> None:
        if wait.kind == "yield":
            wait.finish(0)
        else:
            self._witness.forbid(f"initialisation waits ({wait.kind}); wait when an event comes")
            wait.finish(-1)

    def _excuse(self, error: GuestError) -> list[str]:
        """Why a failure need not refuse the deployment; raises ModuleInvalid if it must."""
        error.__traceback__ = None
        said = printable(error.message)
        if self._warmup is not None and self._phase == "the warm-up event":
            return [f"the handler failed on it: {said}"]
        if self._witness.forbidden:
            return [*self._witness.forbidden, f"{self._phase} failed after that: {said}"]
        entries = self._witness.finish()[0][-_LAST_WORDS_MAX:]
        words = " | ".join(text.decode(errors="replace") for _, _, text in entries)
        raise ModuleInvalid(
            f"initialisation failed in {self._phase}: {said}{f'; its last words: {words}' if words else ''}"
        )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Unreadable(Exception):
    """State that a module cannot express; the text is the reason."""


def _read(isolate: Inspected, windows: Instrumented) -> Captured:
    functions = {isolate.function_identity(name): index for index, name in windows.functions.items()}
    start, image = _image(isolate)
    return Captured(
        pages=isolate.memory_size() // limits.WASM_PAGE_BYTES,
        image_start=start,
        image=image,
        globals={i: _global(isolate, i, name, functions) for i, name in windows.globals.items()},
        tables={
            index: [_function(identity, functions, f"table {index}") for identity in isolate.table(name)]
            for index, name in windows.tables.items()
        },
        data_dropped=_dropped(isolate, windows.data_drops),
        elements_dropped=_dropped(isolate, windows.element_drops),
    )


def _global(isolate: Inspected, index: int, name: str, functions: Mapping[int, int]) -> int | None:
    kind, bits = isolate.global_value(name)
    if kind == KIND_FUNCREF:
        return _function(bits or None, functions, f"global {index}")
    return bits


def _function(identity: int | None, functions: Mapping[int, int], where: str) -> int | None:
    if identity is None:
        return None
    index = functions.get(identity)
    if index is None:
        raise _Unreadable(f"{where} holds a function that is not the module's own")
    return index


def _dropped(isolate: Inspected, flags: Mapping[int, str]) -> frozenset[int]:
    return frozenset(segment for segment, name in flags.items() if isolate.global_value(name)[1])


def _image(isolate: Inspected) -> tuple[int, bytes]:
    """(address, bytes) from the first byte that is not zero, rounded down, to the last."""
    size = isolate.memory_size()
    start = _first_set(isolate, size)
    if start == size:
        return 0, b""
    start -= start % _IMAGE_ALIGN_BYTES
    end = _last_set(isolate, size)
    if end - start > limits.SNAPSHOT_IMAGE_BYTES_MAX:
        raise _Unreadable(
            f"initialised memory spans {end - start:,} bytes, and at most {limits.SNAPSHOT_IMAGE_BYTES_MAX:,} are "
            "frozen; keep data in files of the package"
        )
    return start, isolate.read(start, end - start)


def _first_set(isolate: Inspected, size: int) -> int:
    for at in range(0, size, _SCAN_BYTES):
        chunk = isolate.read(at, min(_SCAN_BYTES, size - at))
        if chunk != _ZEROS and (rest := chunk.lstrip(b"\0")):
            return at + len(chunk) - len(rest)
    return size


def _last_set(isolate: Inspected, size: int) -> int:
    for end in range(size, 0, -_SCAN_BYTES):
        at = max(0, end - _SCAN_BYTES)
        chunk = isolate.read(at, end - at)
        if chunk != _ZEROS and (rest := chunk.rstrip(b"\0")):
            return at + len(rest)
    return 0
