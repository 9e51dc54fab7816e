"""The vital signs of a server's workers: when the loop last turned, what was served, and why workers were ended.

Pieces of memory that the supervisor, its workers and the keeper map, made before their processes. Each process of a
worker has a place of its own, also while a successor runs beside it, and after `keep_only` no other: none can have
another's loop taken for dead, or for alive. What was ended the supervisor writes, and the keeper reads it for
`/metrics`: a keeper that is killed forgets nothing of it.

Laws:
- A cell is eight bytes, written at once: who reads sees the old number or the new one.
- A place begins empty. A worker beats from the moment it serves; before, its loop is not judged.
- A beat is two writes and a timer, BEAT_S apart, whatever the worker serves: a request costs nothing here.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Callable, Mapping
from enum import IntEnum
from time import monotonic_ns
from typing import Final

from . import limits

_CELL: Final = "Q"
_CELL_BYTES: Final = 8
_TURNED, _SERVED, _CELLS = range(3)


class Ending(IntEnum):
    """Why a worker's process ended."""

    SPINNING = 0  # its loop used a processor without turning
    STUCK = 1  # its loop waited for something without turning
    MEMORY = 2
    RECYCLED = 3
    KILLED = 4  # by a signal that was not the supervisor's
    FAILED = 5  # it exited by itself


class Vitals:
    """Made by whoever forks; inherited by all."""

    def __init__(self, places: int) -> None:
        self.places = places
        # By place, and behind them what was ended. A mapping has whole pages: who keeps one sees none of another.
        self._memories = [mmap.mmap(-1, max(_CELLS, len(Ending)) * _CELL_BYTES) for _ in range(places + 1)]
        self._cells = [memoryview(memory).cast(_CELL) for memory in self._memories]

    def column(self, place: int) -> Column:
        """The cells of one process, as whoever had the place before left them."""
        assert 0 <= place < self.places, f"there is no place {place}"
        return Column(self._cells[place])

    def keep_only(self, place: int) -> None:
        """In a worker, before anything of a tenant is near: the others' are gone for this process."""
        for other, (cells, memory) in enumerate(zip(self._cells, self._memories, strict=True)):
            if other != place:
                cells.release()
                memory.close()

    def count(self, ending: Ending) -> None:
        """Called by the supervisor only."""
        self._cells[-1][ending] += 1

    def endings(self) -> Mapping[str, int]:
        """How many workers have ended since the server started, by why."""
        return {ending.name.lower(): self._cells[-1][ending] for ending in Ending}


class Column:
    """One process's place."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview[int]) -> None:
        self._cells = cells

    def clear(self) -> None:
        self._cells[_TURNED] = self._cells[_SERVED] = 0

    def beat(self, served: int) -> None:
        self._cells[_SERVED] = served
        self._cells[_TURNED] = monotonic_ns()

    @property
    def turned_ns(self) -> int:
        """When the loop last turned, on the clock of monotonic_ns; 0: it does not serve yet."""
        return self._cells[_TURNED]

    @property
    def served(self) -> int:
        """Requests and attempts that the process has answered, as of then."""
        return self._cells[_SERVED]


class Pulse:
    """What beats, in a worker: on the running loop, from now on until `stop`."""

    def __init__(self, column: Column, served: Callable[[], int], beat_s: float = limits.BEAT_S) -> None:
        self._column = column
        self._served = served
        self._beat_s = beat_s
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._column.beat(self._served())
        self._timer = self._loop.call_later(self._beat_s, self._beat)

    def stop(self) -> None:
        """The loop is not to be judged any more."""
        self._timer.cancel()
        self._column.clear()
