"""What the workers of a server count together: running invocations of functions with reserved concurrency and of
tenants, and what tenants take from their token buckets.

A piece of memory that all workers map. Of what is counted there is one cell for every slot and worker: a worker writes
its own cells only, and reads all, without locks. A bucket is one number that all write, each under a lock of the file
that the memory comes from, which the kernel takes back from whoever dies with it.

Laws:
- Never do more invocations run than the limit: a worker counts itself in first and looks then, so that of two who meet
  at the limit at least one sees the other. Both may be refused then, which a limit may do.
- A worker begins with empty cells: what its predecessor, killed, had counted is not counted any more.
- Whoever was counted in is counted out in the same slot, even if the function has another by then.
- Which tenant has which slot is the keeper's to say, and outlives it: a keeper that starts finds it here. So no worker
  ever counts a tenant elsewhere than the others.

All is mapped, and its file open, before a worker begins: it opens nothing for it later.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import weakref
from typing import Final

from . import limits, quota

_CELL: Final = "I"
_CELL_BYTES: Final = 4
_WORD_BYTES: Final = 8

# The buckets of a tenant.
REQUESTS, LOG_BYTES = range(2)
BUCKETS: Final = 2


class Tally:
    """Made before the other processes, which inherit it."""

    def __init__(
        self, workers: int, slots: int = limits.RESERVED_SLOTS, tenant_slots: int = limits.TENANT_SLOTS
    ) -> None:
        self.workers = workers
        # Of functions with reserved concurrency, by their number; behind them those of tenants.
        self.reserved_slots = slots
        self.slots = slots + tenant_slots
        cells_bytes = -(-self.slots * workers * _CELL_BYTES // _WORD_BYTES) * _WORD_BYTES
        words = tenant_slots * (1 + BUCKETS)
        self._file = _file()
        self._forget = weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, cells_bytes + words * _WORD_BYTES)
        self._memory = mmap.mmap(self._file, 0)
        view = memoryview(self._memory)
        # By slot, then by worker: what is read together lies together.
        self.cells = view[:cells_bytes].cast(_CELL)
        words_view = view[cells_bytes:]
        # By tenant: whose slot it is (an account and one), and when each bucket will be full (seconds, monotonic).
        self._owners = words_view[: tenant_slots * _WORD_BYTES].cast("Q")
        self._fulls = words_view[tenant_slots * _WORD_BYTES :].cast("d")
        self._slot_of: dict[int, int] = {}

    def close(self) -> None:
        """In a worker of another cordon: this is gone for it."""
        for view in (self.cells, self._owners, self._fulls):
            view.release()
        self._memory.close()
        self._forget()

    def column(self, number: int) -> Column:
        """The cells of one worker, empty."""
        return Column(self, number)

    # ── for the keeper ──────────────────────────────────────────────────────────────────────────────────────────

    def adopt(self) -> None:
        """A keeper that starts: knows what the one before has written."""
        self._slot_of = {owner - 1: self.reserved_slots + at for at, owner in enumerate(self._owners) if owner}

    def slot_of(self, account: str) -> int | None:
        """The tenant's slot, if it has one."""
        return self._slot_of.get(int(account))

    def slot(self, account: str) -> int | None:
        """The tenant's slot, from now on; None if all are taken."""
        number = int(account)
        slot = self._slot_of.get(number)
        if slot is None and len(self._slot_of) < len(self._owners):
            at = len(self._slot_of)
            self._owners[at] = number + 1
            slot = self._slot_of[number] = self.reserved_slots + at
        return slot

    def refill(self, slot: int, bucket: int) -> None:
        """What was taken of a tenant's bucket is forgotten: it has another rate, or size."""
        at = (slot - self.reserved_slots) * BUCKETS + bucket
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, at)
        try:
            self._fulls[at] = 0.0
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)

    # ── buckets ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, slot: int, bucket: int, now_s: float, rate: float, burst: float, wanted: int) -> int:
        """How many of `wanted` a tenant's bucket had; they are taken."""
        at = (slot - self.reserved_slots) * BUCKETS + bucket
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, at)
        try:
            taken, self._fulls[at] = quota.take(self._fulls[at], now_s, rate, burst, wanted)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)
        return taken

    def wait_s(self, slot: int, bucket: int, now_s: float, rate: float, burst: float) -> float:
        """Until there is one."""
        return quota.wait_s(self._fulls[(slot - self.reserved_slots) * BUCKETS + bucket], now_s, rate, burst)

    def level(self, slot: int, bucket: int, now_s: float, rate: float, burst: float) -> float:
        return quota.level(self._fulls[(slot - self.reserved_slots) * BUCKETS + bucket], now_s, rate, burst)


class Column:
    """One worker's. `number` counts from 0."""

    __slots__ = ("_cells", "_number", "tally", "workers")

    def __init__(self, tally: Tally, number: int) -> None:
        self.tally = tally
        self.workers = tally.workers
        self._cells = tally.cells
        self._number = number
        for cell in range(number, tally.slots * tally.workers, tally.workers):
            self._cells[cell] = 0

    def enter(self, slot: int, limit: int, count: int = 1) -> bool:
        """Counts so many in, unless that would be more than `limit` over all workers."""
        cells, first = self._cells, slot * self.workers
        cells[first + self._number] += count
        if sum(cells[first : first + self.workers]) <= limit:
            return True
        cells[first + self._number] -= count
        return False

    def count(self, slot: int, count: int) -> None:
        """Counts so many in that run already, whatever the limit."""
        self._cells[slot * self.workers + self._number] += count

    def total(self, slot: int) -> int:
        """Of all workers."""
        return sum(self._cells[slot * self.workers : (slot + 1) * self.workers])

    def leave(self, slot: int, count: int = 1) -> None:
        self._cells[slot * self.workers + self._number] -= count


def _file() -> int:
    """An open file that has no name and is nobody's but ours and our children's."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("isolet-tally", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
