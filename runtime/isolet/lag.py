"""How late a worker's event loop is: what anybody who is ready to run has to wait for its turn.

A timer that wants to come every LAG_STEP_S notes how much later it came. It costs 3 µs each time, 0.02 % of a core,
and nothing on the way of an invocation.

Laws:
- Lateness is of the loop, not of the timer's clock: the loop counts whole milliseconds, so up to one of them is noise.
- A loop that was held for a second has held everybody who came in that second: it counts as all the samples that it
  made impossible, each a step less late than the one before. (Without them a percentile would look at the loop only
  when it is free: "coordinated omission".)
- Counts only grow. A reader takes the difference of two looks; how far back it looks is its own choice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import Any, Protocol

from . import limits

_MS = 1_000_000
# Upper bounds of the counts; one more is for what is beyond. Fine around ten milliseconds, which a worker promises.
BOUNDS_NS = tuple(
    int(ms * _MS)
    for ms in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300)
) + tuple(_MS * ms for ms in (500, 1_000, 2_000, 5_000, 10_000))
_PREFIX = "loop_lag_"


class Timer(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """What it needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer: ...


class Lag:
    """One worker's. Counts from the first `start` on."""

    def __init__(self, loop: Loop, clock_ns: Callable[[], int] = perf_counter_ns) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.sum_ns = 0
        self._loop = loop
        self._clock_ns = clock_ns
        self._step_ns = int(limits.LAG_STEP_S * 1e9)
        self._due_ns = 0
        self._timer: Timer | None = None

    def start(self) -> None:
        self._due_ns = self._clock_ns() + self._step_ns
        self._timer = self._loop.call_later(limits.LAG_STEP_S, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        late_ns = max(0, self._clock_ns() - self._due_ns)
        self.note(late_ns)
        self.start()

    def note(self, late_ns: int) -> None:
        """Counts one lateness, and those of who would have come meanwhile."""
        counts, step_ns = self.counts, self._step_ns
        while True:
            counts[bisect_left(BOUNDS_NS, late_ns)] += 1
            self.sum_ns += late_ns
            if late_ns <= step_ns:
                return
            late_ns -= step_ns

    def gauges(self) -> dict[str, float]:
        """As flat numbers, for the way to the keeper; `buckets_of` reads them there. Only what is not zero."""
        counted = {f"{_PREFIX}{index}": float(count) for index, count in enumerate(self.counts) if count}
        return {**counted, f"{_PREFIX}sum": self.sum_ns / 1e9}


def buckets_of(gauges: Mapping[str, float]) -> tuple[list[float], float]:
    """Cumulative counts by BOUNDS_NS and one beyond, and the sum in seconds: of what `Lag.gauges` said."""
    seen, cumulative = 0.0, []
    for index in range(len(BOUNDS_NS) + 1):
        seen += gauges.get(f"{_PREFIX}{index}", 0.0)
        cumulative.append(seen)
    return cumulative, gauges.get(f"{_PREFIX}sum", 0.0)
