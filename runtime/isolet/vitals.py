"""The vital signs of a server's workers: when the loop last turned, what was served, and why workers were ended.

A piece of memory that the supervisor, its workers and the keeper map, made before their processes. Each process of a
worker has a place of its own, also while a successor runs beside it, and writes only there. What was ended the
supervisor writes, and the keeper reads it for `/metrics`: a keeper that is killed forgets nothing of it.

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
        self._memory = mmap.mmap(-1, (len(Ending) + places * _CELLS) * _CELL_BYTES)
        self.cells = memoryview(self._memory).cast(_CELL)

    def column(self, place: int) -> Column:
        """The cells of one process, as whoever had the place before left them."""
        return Column(self, place)

    def count(self, ending: Ending) -> None:
        """Called by the supervisor only."""
        self.cells[ending] += 1

    def endings(self) -> Mapping[str, int]:
        """How many workers have ended since the server started, by why."""
        return {ending.name.lower(): self.cells[ending] for ending in Ending}


class Column:
    """One process's place."""

    __slots__ = ("_cells", "_first")

    def __init__(self, vitals: Vitals, place: int) -> None:
        assert 0 <= place < vitals.places, f"there is no place {place}"
        self._cells = vitals.cells
        self._first = len(Ending) + place * _CELLS

    def clear(self) -> None:
        self._cells[self._first + _TURNED] = self._cells[self._first + _SERVED] = 0

    def beat(self, served: int) -> None:
        self._cells[self._first + _SERVED] = served
        self._cells[self._first + _TURNED] = monotonic_ns()

    @property
    def turned_ns(self) -> int:
        """When the loop last turned, on the clock of monotonic_ns; 0: it does not serve yet."""
        return self._cells[self._first + _TURNED]

    @property
    def served(self) -> int:
        """Requests and attempts that the process has answered, as of then."""
        return self._cells[self._first + _SERVED]


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
