"""What fuel costs guests that only compute: the same modules without it, with it, and as isolet runs them.

    unmetered    wasmtime's public classes, no fuel
    fuel         the same, and every instruction is counted
    isolet       an isolate of ours: fuel, a fiber, and a yield to the loop after each slice

All three compile with the same settings. What bulk memory instructions are made into (snapshot/meter.py) is in the
third only. The checksums must agree. A round runs all three, in turn; ratios are to unmetered, round by round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import limits
from ..engine.control import Control
from ..engine.engine import Engine, EngineSettings
from ..engine.isolate import Isolate, drive
from ..errors import AbiViolation
from ..snapshot.meter import meter
from ..snapshot.sections import parse
from .compiling import compiled
from .figures import Estimate, ratio

UNMETERED, FUEL, OURS = "unmetered", "fuel", "isolet"
VARIANTS: Final = (UNMETERED, FUEL, OURS)
# What kernels export (benches/kernels/kernel.h).
_EXPORT: Final = "isolet_buffer"
_MEMORY_BYTES: Final = 16 * limits.MIB
_FUEL: Final = 10**15
# What a round of one kernel takes at least, so that clocks and starts do not matter.
_ROUND_S: Final = 0.1


@dataclass
class Kernel:
    """One kernel, timed. Seconds a round, by variant."""

    name: str
    rounds_each: int = 0
    checksum: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {variant: [] for variant in VARIANTS})
    fuel: int = 0
    slices: int = 0

    def cost(self, variant: str) -> Estimate:
        """To unmetered."""
        return ratio(self.seconds[variant], self.seconds[UNMETERED])

    def as_plain(self) -> dict[str, Any]:
        return {
            "kernel": self.name,
            "rounds_each": self.rounds_each,
            "checksum": self.checksum,
            "seconds": {variant: [round(one, 6) for one in seconds] for variant, seconds in self.seconds.items()},
            "to_unmetered": {variant: self.cost(variant).as_plain() for variant in (FUEL, OURS)},
            "fuel": self.fuel,
            "slices": self.slices,
        }


def measure(
    directory: Path, cache: Path, rounds: int, progress: Callable[[str], None] = lambda _: None
) -> list[Kernel]:
    """The kernels of `directory`, in the order of their names."""
    found = []
    for source in sorted(directory.glob("*.c")):
        progress(f"metering: {source.stem} is compiled")
        wasm = compiled([source], sorted(directory.glob("*.h")), cache)
        found.append(_timed(Kernel(source.stem), wasm, rounds, progress))
    return found


def _timed(kernel: Kernel, wasm: bytes, rounds: int, progress: Callable[[str], None]) -> Kernel:
    controls = {variant: Control(wasm, variant is FUEL) for variant in (UNMETERED, FUEL)}
    for control in controls.values():
        control.initialise()
    ours = _Ours(wasm)
    count = kernel.rounds_each = _enough(controls[UNMETERED])
    kernel.checksum = controls[UNMETERED].call(_EXPORT, count)
    calls: dict[str, Callable[[], int]] = {
        **{variant: _calling(control, count) for variant, control in controls.items()},
        OURS: lambda: ours.call(count),
    }
    for number in range(rounds):
        progress(f"metering: {kernel.name}, round {number + 1} of {rounds}")
        for variant, call in calls.items():
            began_s = time.perf_counter()
            checksum = call()
            kernel.seconds[variant].append(time.perf_counter() - began_s)
            if checksum != kernel.checksum:
                raise AbiViolation(f"{kernel.name}, {variant}: checksum {checksum:#x}, not {kernel.checksum:#x}")
    kernel.fuel, kernel.slices = ours.fuel, ours.slices
    return kernel


def _calling(control: Control, count: int) -> Callable[[], int]:
    return lambda: control.call(_EXPORT, count)


def _enough(control: Control) -> int:
    count = 1
    while True:
        began_s = time.perf_counter()
        control.call(_EXPORT, count)
        took_s = time.perf_counter() - began_s
        if took_s >= _ROUND_S:
            return count
        count = max(count + 1, int(count * min(10.0, 1.1 * _ROUND_S / max(took_s, 1e-6))))


class _Ours:
    """The module in isolates of ours, each fresh."""

    def __init__(self, wasm: bytes) -> None:
        self._engine = Engine(EngineSettings(pooling=False))
        self._template = self._engine.link(self._engine.compile(meter(parse(wasm))))
        self.fuel = self.slices = 0

    def call(self, count: int) -> int:
        isolate = Isolate(self._engine, self._template, _MEMORY_BYTES, _FUEL)
        try:
            drive(isolate.instantiate())
            if isolate.has_function("_initialize"):
                drive(isolate.call("_initialize"))
            answer = drive(isolate.call(_EXPORT, count))
        finally:
            isolate.close()
        self.fuel, self.slices = isolate.fuel_used, isolate.slices
        return answer & 0xFFFFFFFF


def table(kernels: Sequence[Kernel]) -> list[list[str]]:
    """kernel, ms, fuel's and isolet's ratio with their intervals, fuel a second, slices."""
    rows = []
    for kernel in kernels:
        seconds = sorted(kernel.seconds[UNMETERED])[len(kernel.seconds[UNMETERED]) // 2]
        rows.append(
            [
                kernel.name,
                f"{1000 * seconds:,.1f}",
                *(f"{cost.value:.2f} ({cost.low:.2f}…{cost.high:.2f})" for cost in map(kernel.cost, (FUEL, OURS))),
                f"{kernel.fuel / 1e6:,.0f}",
                f"{kernel.slices:,}",
            ]
        )
    return rows
