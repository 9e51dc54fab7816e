"""The processes of a server's cordons before they are forked: where each listens, what it counts in, whose it is.

Laws:
- What a worker inherits and is not its own it gives up first (`Seat.enter`): the sockets, the counters and the vital
  signs of others. So there is no memory that workers of two cordons write, and no descriptor that both have.
- Sockets are the supervisor's, also those of tenants' own workers: it makes one when it is ordered to have such a
  worker, and ends it with the order to have it no more. Whoever connects in between is served by the next one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import limits
from .config import Config
from .cordons import own
from .errors import InvalidParameter
from .own_workers import orders
from .roster import OWN_PLACES, Roster
from .tally import Column, Tally
from .vitals import Vitals

logger = logging.getLogger("isolet.crews")

# Connections that may wait to be accepted; the kernel's own cap (net.core.somaxconn) is usually 4,096.
BACKLOG = 2_048
# Beside the keeper's socket: those of all workers that are not the door's.
_DIRECTORY = "workers"


@dataclass(frozen=True)
class Seat:
    """What one worker is forked with."""

    name: str
    cordon: str
    is_door: bool
    listening: socket.socket
    # Its places among all, and what its cordon counts in, whose first column is the place `first`.
    places: range
    first: int
    tally: Tally

    def enter(self, crews: Crews, place: int) -> Column:
        """In its process, first of all: it has its own only. Its cells in what its cordon counts in."""
        crews.roster.enter(place)
        crews.vitals.keep_only(place)
        for other in crews.sockets:
            if other is not self.listening:
                other.close()
        for tally in crews.tallies:
            if tally is not self.tally:
                tally.close()
        return self.tally.column(place - self.first)


class Crews:
    """Made once, by the supervisor. `port_sockets` are as many as the door has workers."""

    def __init__(self, config: Config, port_sockets: Sequence[socket.socket], keeper_path: Path) -> None:
        layout = config.layout
        self.door = layout.door
        # What workers of other cordons listen in.
        self.directory = keeper_path.parent / _DIRECTORY
        _make_empty(self.directory)
        # By cordon: a place for each worker, and one for the successor of one.
        blocks: dict[str, range] = {}
        fixed: list[str] = []
        for cordon in dict.fromkeys(layout.seats):
            blocks[cordon] = range(len(fixed), len(fixed) + layout.workers[cordon] + 1)
            fixed += [cordon] * len(blocks[cordon])
        self.roster = Roster(fixed, limits.OWN_WORKERS_MAX)
        self.vitals = Vitals(len(self.roster))
        self.by_cordon = {cordon: Tally(len(block)) for cordon, block in blocks.items()}
        # Where workers of inner cordons listen, for the door.
        self.paths: dict[str, list[str]] = {cordon: [] for cordon in layout.inner}
        self.seats: list[Seat] = []
        for number, cordon in enumerate(layout.seats):
            is_door = cordon == layout.door
            if is_door:
                listening = port_sockets[number]
            else:
                path = self.directory / f"{cordon}-{len(self.paths[cordon])}.sock"
                listening = listen_at(path)
                self.paths[cordon].append(str(path))
            block = blocks[cordon]
            # One that is alone has the names of old.
            name = f"worker {number}" if len(blocks) == 1 else f"{cordon} worker {number}"
            self.seats.append(Seat(name, cordon, is_door, listening, block, block[0], self.by_cordon[cordon]))
        self._own: dict[str, Seat] = {}

    @property
    def sockets(self) -> list[socket.socket]:
        return [seat.listening for seat in (*self.seats, *self._own.values())]

    @property
    def tallies(self) -> list[Tally]:
        return [*self.by_cordon.values(), *(seat.tally for seat in self._own.values())]

    def close(self) -> None:
        """Nobody is accepted any more."""
        for one in self.sockets:
            one.close()

    def close_port(self) -> None:
        """Nobody is accepted from outside any more."""
        for seat in self.seats:
            if seat.is_door:
                seat.listening.close()

    # ── tenants' own ────────────────────────────────────────────────────────────────────────────────────────────

    def own_path(self, account: str) -> str:
        return str(self.directory / f"{own(account)}.sock")

    def open_own(self, account: str) -> Seat | None:
        """The seat of an account's own worker, which listens from now on; None: there are too many."""
        seat = self._own.get(account)
        if seat is not None and seat.listening.fileno() >= 0:
            return seat
        block = self.roster.block_for(account)
        if block is None:
            logger.error("no worker for %s: %d accounts have theirs", account, limits.OWN_WORKERS_MAX)
            return None
        # One tenant: it has the first slot of those of tenants, as the keeper knows (bounds.py).
        tally = Tally(OWN_PLACES, tenant_slots=1) if seat is None else seat.tally
        listening = listen_at(Path(self.own_path(account)))
        cordon = own(account)
        self._own[account] = seat = Seat(f"{cordon} worker", cordon, False, listening, block, block[0], tally)
        return seat

    def close_own(self, account: str) -> None:
        """It listens no more; whoever connects hears so at once."""
        seat = self._own.get(account)
        if seat is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.own_path(account))
            seat.listening.close()

    def forget_own(self, account: str) -> None:
        """All of its processes have ended."""
        seat = self._own.pop(account, None)
        if seat is not None:
            self.roster.give_back(seat.places)
            seat.listening.close()
            seat.tally.close()


class Orders:
    """What the keeper orders of the supervisor (own_workers.py): an Attendant of its process."""

    def __init__(self, obey: Callable[[str, bool], None]) -> None:
        self._obey = obey
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    @property
    def pipe(self) -> int:
        """The end of the keeper, in its process."""
        os.close(self._reading)
        return self._writing

    def attend(self) -> None:
        os.close(self._writing)

    def leave(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def descriptors(self) -> list[int]:
        return [self._reading] if self._reading >= 0 else []

    def serve(self, descriptor: int, events: int) -> None:
        data = os.read(descriptor, 14 * 1024) if events & select.POLLIN else b""
        if not data:
            self.leave()
        for account, wanted in orders(data):
            self._obey(account, wanted)


def listen_at(path: Path) -> socket.socket:
    """A socket that only this user reaches. Raises InvalidParameter."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as reason:
        listening.close()
        raise InvalidParameter(
            f"a worker cannot listen at {path} ({reason.strerror}); choose another data directory with --data"
        ) from None
    return listening


def _make_empty(directory: Path) -> None:
    """For sockets: what is there was a server's that has ended."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for left in directory.glob("*.sock"):
        left.unlink()


def longest_path(directory: Path) -> Path:
    """The longest path of a socket that is made beside a keeper's in this directory."""
    return directory / _DIRECTORY / f"{'t' * 32}-255.sock"


# What a worker of the door is told of the others; None for one that is not the door's.
Paths = Mapping[str, Sequence[str]] | None
