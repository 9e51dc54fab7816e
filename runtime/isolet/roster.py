"""Which process sits in which worker's seat: what the keeper believes in place of a worker's own word.

A piece of memory that the supervisor makes, shared with the keeper. A worker writes its process number into its seat as
the first thing it does and then unmaps all of it, before any tenant's code is near. The keeper asks the kernel for the
process at the other end of a link (`peer_pid`) and looks here which cordon that is.

Laws:
- Nobody but the supervisor, the keeper and workers that have not begun can write here: a worker cannot move to another
  seat, nor say that it sits in one.
- A seat is empty from the end of its worker until the next one begins.
- Seats beyond the fixed ones are for tenants' own workers: the supervisor notes whose it is before it forks.
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
# pid, uid and gid, as socket(7) has SO_PEERCRED.
_CREDENTIALS = struct.Struct("3i")


class Roster:
    """`seats`: the cordon of each fixed seat; `spare` ones follow."""

    def __init__(self, seats: Sequence[str], spare: int = 0) -> None:
        self._seats = tuple(seats)
        self._spare = spare
        self._memory = mmap.mmap(-1, max(1, 2 * (len(seats) + spare)) * _CELL_BYTES)
        # By seat: the process in it; then by spare seat: the account that has it, plus one.
        self._cells = memoryview(self._memory).cast(_CELL)

    def __len__(self) -> int:
        return len(self._seats) + self._spare

    # ── the supervisor ──────────────────────────────────────────────────────────────────────────────────────────

    def seat_for(self, account: str) -> int | None:
        """The spare seat that is `account`'s, now if not before; None: all are taken."""
        seats = range(len(self._seats), len(self))
        wanted = int(account) + 1
        for free in (wanted, _EMPTY):
            for seat in seats:
                if self._cells[len(self) + seat] == free:
                    self._cells[len(self) + seat] = wanted
                    return seat
        return None

    def leave(self, seat: int) -> None:
        """The worker of this seat has ended."""
        self._cells[seat] = _EMPTY

    def give_back(self, seat: int) -> None:
        """The spare seat is nobody's."""
        self.leave(seat)
        self._cells[len(self) + seat] = _EMPTY

    # ── a worker ────────────────────────────────────────────────────────────────────────────────────────────────

    def enter(self, seat: int) -> None:
        """This process sits there; and the roster is gone for it."""
        self._cells[seat] = os.getpid()
        self._cells.release()
        self._memory.close()

    # ── the keeper ──────────────────────────────────────────────────────────────────────────────────────────────

    def cordon_of(self, pid: int) -> str | None:
        """None: this process is nobody's worker."""
        for seat in range(len(self)):
            if pid > 0 and self._cells[seat] == pid:
                return self._cordon(seat)
        return None

    def pids_of(self, cordon: str) -> list[int]:
        return [pid for seat in range(len(self)) if (pid := self._cells[seat]) and self._cordon(seat) == cordon]

    def _cordon(self, seat: int) -> str | None:
        if seat < len(self._seats):
            return self._seats[seat]
        taken = self._cells[len(self) + seat]
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
