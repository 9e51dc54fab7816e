"""Which process sits in which worker's place: what the keeper believes in place of a worker's own word.

A piece of memory that the supervisor makes, shared with the keeper. A worker writes its process number into its place
as the first thing it does and then unmaps all of it, before any tenant's code is near. The keeper asks the kernel for
the process at the other end of a link (`peer_pid`) and looks here which cordon that is.

Laws:
- Nobody but the supervisor, the keeper and workers that have not begun can write here: a worker cannot move to another
  place, nor say that it sits in one.
- A place is empty from the end of its process until the next one begins.
- Behind its wall a worker does not connect itself: the supervisor does it for it, and says whose it is, before anything
  that the worker sends (sandbox/opener.py).
- Blocks of places beyond the fixed ones are for tenants' own workers: the supervisor notes whose one is before it
  forks.

A worker and its successor, while one is recycled, sit in two places of one cordon.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

from .cordons import own

_CELL: Final = "q"
_CELL_BYTES: Final = 8
_EMPTY: Final = 0
# Of a tenant's own worker: one place for it, and one for its successor.
OWN_PLACES: Final = 2
# pid, uid and gid, as socket(7) has SO_PEERCRED.
_CREDENTIALS = struct.Struct("3i")


class Roster:
    """`fixed`: the cordon of each fixed place; `blocks` for tenants' own workers follow."""

    def __init__(self, fixed: Sequence[str], blocks: int = 0) -> None:
        self._fixed = tuple(fixed)
        self._blocks = blocks
        self._memory = mmap.mmap(-1, (len(self) + blocks + 1) * _CELL_BYTES)
        # By place: the process in it; then by block: the account that has it, plus one.
        self._cells = memoryview(self._memory).cast(_CELL)

    def __len__(self) -> int:
        """How many places."""
        return len(self._fixed) + OWN_PLACES * self._blocks

    # ── the supervisor ──────────────────────────────────────────────────────────────────────────────────────────

    def block_for(self, account: str) -> range | None:
        """The places that are the account's own, now if not before; None: all are taken."""
        wanted = int(account) + 1
        for free in (wanted, _EMPTY):
            for block in range(self._blocks):
                if self._cells[len(self) + block] == free:
                    self._cells[len(self) + block] = wanted
                    first = len(self._fixed) + OWN_PLACES * block
                    return range(first, first + OWN_PLACES)
        return None

    def leave(self, place: int) -> None:
        """The process there has ended."""
        self._cells[place] = _EMPTY

    def give_back(self, block: range) -> None:
        """It is nobody's."""
        for place in block:
            self.leave(place)
        self._cells[len(self) + self._block_of(block[0])] = _EMPTY

    def _block_of(self, place: int) -> int:
        return (place - len(self._fixed)) // OWN_PLACES

    # ── a worker ────────────────────────────────────────────────────────────────────────────────────────────────

    def enter(self, place: int) -> None:
        """This process sits there; and the roster is gone for it."""
        self._cells[place] = os.getpid()
        self._cells.release()
        self._memory.close()

    # ── the keeper ──────────────────────────────────────────────────────────────────────────────────────────────

    def cordon_of(self, pid: int) -> str | None:
        """None: this process is nobody's worker."""
        for place in range(len(self)):
            if pid > 0 and self._cells[place] == pid:
                return self._cordon(place)
        return None

    def pids_of(self, cordon: str) -> list[int]:
        return [pid for place in range(len(self)) if (pid := self._cells[place]) and self._cordon(place) == cordon]

    def _cordon(self, place: int) -> str | None:
        if place < len(self._fixed):
            return self._fixed[place]
        taken = self._cells[len(self) + self._block_of(place)]
        return own(f"{taken - 1:012d}") if taken else None


def peer_pid(connected: socket.socket) -> int:
    """The process at the other end of a UNIX socket, as of its connecting; 0 where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0
    with contextlib.suppress(OSError):
        pid: int = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))[0]
        return pid
    return 0
