"""What one worker may do of what a tenant may: claimed from what all workers share (tally.py), some ahead of need.

Laws:
- All workers together never run more of a tenant's invocations than its `concurrency`, and never begin more in any time
  than its rate and burst say. What a worker holds in reserve counts as used.
- Of the concurrency, and of a burst, all workers together hold at most a RESERVE_PART in reserve while others ask for
  it. A limit of which that is less than one for each holds nothing back: it is exact.
- The path of an invocation that is let in has two comparisons more; every RESERVE_TOKENS_MAXth asks the memory.
- New limits hold for the next invocation; those that run go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import monotonic

from . import limits
from .quota import Number
from .tally import LOG_BYTES, REQUESTS, Column


class Meter:
    """A tenant's token bucket in one worker. `held`: tokens that are taken already, for what is to come."""

    __slots__ = ("_ahead", "_bucket", "_burst", "_column", "_rate", "_slot", "held")

    def __init__(self, column: Column, bucket: int) -> None:
        self._column = column
        self._bucket = bucket
        self._slot: int | None = None
        self._rate = math.inf
        self._burst = math.inf
        self._ahead = limits.RESERVE_TOKENS_MAX
        self.held = 0

    def set(self, slot: int | None, rate: Number, burst: Number, ahead_max: int) -> None:
        workers = self._column.workers
        self._slot = slot
        self._rate = rate
        self._ahead = max(1, min(int(burst) // (limits.RESERVE_PART * workers), ahead_max))
        # What workers hold besides was let pass by the bucket, but not yet by them.
        self._burst = burst - workers * (self._ahead - 1)
        self.held = 0

    def fill(self) -> bool:
        """Takes some ahead; False if there is none. Called when none is held."""
        self.held = self._take(self._ahead)
        return self.held > 0

    def up_to(self, wanted: int) -> int:
        """Takes as many of `wanted` as there are."""
        held = self.held
        if held < wanted:
            held += self._take(max(wanted - held, self._ahead))
        taken = min(held, wanted)
        self.held = held - taken
        return taken

    def wait_s(self) -> float:
        """Until there is one again."""
        if self._slot is None:
            return 0.0
        return self._column.tally.wait_s(self._slot, self._bucket, monotonic(), self._rate, self._burst)

    def _take(self, wanted: int) -> int:
        if self._slot is None:
            return wanted
        return self._column.tally.take(self._slot, self._bucket, monotonic(), self._rate, self._burst, wanted)


class Allowance:
    """Of one tenant. Until it is told otherwise, this worker alone counts it, and there is no rate."""

    __slots__ = ("_column", "_limit", "_slot", "_step", "allowed", "floor", "log_bytes", "requests", "running")

    def __init__(self, column: Column, concurrency: int = limits.CONCURRENCY_TENANT_MAX) -> None:
        self._column = column
        # Where its invocations are counted, if that is not in `running` alone.
        self._slot: int | None = None
        self._limit = concurrency
        # What is claimed at a time.
        self._step = 1
        self.running = 0
        # As many may run without asking; when fewer than `floor` do, some are given back.
        self.allowed = concurrency
        self.floor = 0
        self.requests = Meter(column, REQUESTS)
        self.log_bytes = Meter(column, LOG_BYTES)

    @property
    def concurrency(self) -> int:
        return self._limit

    def set(self, slot: int | None, values: Mapping[str, Number]) -> None:
        """Holds the tenant to these limits from now on, counted in this slot."""
        if self._slot is not None:
            self._column.leave(self._slot, self.allowed)
        workers = self._column.workers
        self._slot = slot if workers > 1 else None
        self._limit = int(values["concurrency"])
        self._step = max(1, self._limit // (2 * limits.RESERVE_PART * workers))
        if self._slot is None:
            self.allowed, self.floor = self._limit, 0
        else:
            self.allowed = self.running
            self._column.count(self._slot, self.running)
            self._set_floor()
        self.requests.set(slot, values["requests_per_s"], values["requests_burst"], limits.RESERVE_TOKENS_MAX)
        self.log_bytes.set(slot, values["log_bytes_per_s"], values["log_burst_bytes"], limits.LOG_LINE_BYTES_MAX)

    def grow(self) -> bool:
        """Whether there is room for one more, where there was none. Called when as many run as are allowed."""
        left = self._limit - self.allowed
        if left <= 0 or self._slot is None:
            return False
        step = min(self._step, left)
        if not self._column.enter(self._slot, self._limit, step):
            step = 1
            if not self._column.enter(self._slot, self._limit):
                return False
        self.allowed += step
        self._set_floor()
        return True

    def shrink(self) -> None:
        """Gives back what is held beyond a reserve. Called when fewer run than `floor`, and when an invocation that
        had found room was refused for another reason."""
        if self._slot is None:
            return
        surplus = self.allowed - self.running - (0 if self._is_exact() else self._step)
        if surplus > 0:
            self._column.leave(self._slot, surplus)
            self.allowed -= surplus
            self._set_floor()

    def _is_exact(self) -> bool:
        """Whether nothing is held in reserve: the limit is small, or is lower than what runs since it was lowered."""
        assert self._slot is not None, "asked of what is shared"
        return self._step == 1 or self._column.total(self._slot) > self._limit

    def _set_floor(self) -> None:
        self.floor = self.allowed if self._is_exact() else self.allowed - 2 * self._step
