"""What the workers of a server count together: running invocations of functions with reserved concurrency.

A piece of memory that all workers map, one cell for every slot and worker. A worker writes its own cells only, and
reads all: no locks, and no message on the path of an invocation.

Laws:
- Never do more invocations run than the limit: a worker counts itself in first and looks then, so that of two who meet
  at the limit at least one sees the other. Both may be refused then, which a limit may do.
- A worker begins with empty cells: what its predecessor, killed, had counted is not counted any more.
- Whoever was counted in is counted out in the same slot, even if the function has another by then.
"""

from __future__ import annotations

import mmap
from typing import Final

from . import limits

_CELL: Final = "I"
_CELL_BYTES: Final = 4


class Tally:
    """Made before the workers' processes, which inherit it."""

    def __init__(self, workers: int, slots: int = limits.RESERVED_SLOTS) -> None:
        self.workers = workers
        self.slots = slots
        self._memory = mmap.mmap(-1, slots * workers * _CELL_BYTES)
        # By slot, then by worker: what is read together lies together.
        self.cells = memoryview(self._memory).cast(_CELL)

    def column(self, number: int) -> Column:
        """The cells of one worker, empty."""
        return Column(self, number)


class Column:
    """One worker's. `number` counts from 0."""

    __slots__ = ("_cells", "_number", "_workers")

    def __init__(self, tally: Tally, number: int) -> None:
        self._cells = tally.cells
        self._workers = tally.workers
        self._number = number
        for cell in range(number, tally.slots * tally.workers, tally.workers):
            self._cells[cell] = 0

    def enter(self, slot: int, limit: int) -> bool:
        """Counts one in, unless that would be more than `limit` over all workers."""
        cells, first = self._cells, slot * self._workers
        cells[first + self._number] += 1
        if sum(cells[first : first + self._workers]) <= limit:
            return True
        cells[first + self._number] -= 1
        return False

    def leave(self, slot: int) -> None:
        self._cells[slot * self._workers + self._number] -= 1
