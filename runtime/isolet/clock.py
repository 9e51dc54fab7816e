"""Time, as a value that can be passed down: what the parts ask instead of the `time` module.

Two readings: `wall_s` (Unix time, may jump) for what people and other machines read; `monotonic_s` (never jumps) for
durations and deadlines. Both are seconds as float; on the path of an invocation the integer nanoseconds of
`time.perf_counter_ns` are read directly, since a method call costs more than the reading.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def wall_s(self) -> float: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    def wall_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, wall_s: float = 1_700_000_000.0) -> None:
        self._wall_s = wall_s
        self._monotonic_s = 0.0

    def wall_s(self) -> float:
        return self._wall_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        assert seconds >= 0, "a monotonic clock does not go back"
        self._wall_s += seconds
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock is set, forward or back."""
        self._wall_s += seconds
