"""Workers that tenants have for themselves, in the keeper: started when one is needed, ended when nobody needs it.

Laws:
- The supervisor starts and ends them; the keeper orders it, by a line on a pipe that only these two have: `+<account>`
  or `-<account>`. An order that changes nothing is none: it may be given twice.
- When `summon` returns, the worker has joined: it serves what the keeper knows of its tenant.
- A worker that served nothing for OWN_IDLE_S is ended; so is one whose tenant has moved. Whoever asks meanwhile gets
  another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable

from . import limits
from .cordons import own, owner
from .errors import HostError, Overloaded
from .fleet import Fleet, Member

logger = logging.getLogger("isolet.own_workers")


def order(account: str, wanted: bool) -> bytes:
    return f"{'+' if wanted else '-'}{account}\n".encode("ascii")


def orders(data: bytes) -> list[tuple[str, bool]]:
    """What came on the pipe: (account, whether its worker is wanted). A line is written whole (pipe(7))."""
    return [(line[1:], line[0] == "+") for line in data.decode("ascii").splitlines()]


class OwnWorkers:
    """`pipe`: where orders go; -1: nobody takes any. `path`: where an account's worker listens."""

    def __init__(self, pipe: int = -1, path: Callable[[str], str] = str) -> None:
        self._pipe = pipe
        self._path = path
        self.fleet = Fleet()
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        # By worker: requests that it had answered when it was looked at, and since when it has answered no more.
        self._seen: dict[Member, tuple[float, float]] = {}
        self._resting: asyncio.Task[None] | None = None

    async def summon(self, account: str) -> str:
        """What the account's worker listens on, once it serves. Raises Overloaded."""
        cordon = own(account)
        if not self.fleet.crew(cordon):
            await self._start(account, cordon)
        return self._path(account)

    async def _start(self, account: str, cordon: str) -> None:
        try:
            async with asyncio.timeout(limits.OWN_START_S):
                while not self.fleet.crew(cordon):
                    self._news[cordon].clear()
                    self._order(account, True)
                    await self._news[cordon].wait()
        except TimeoutError:
            raise Overloaded(f"the worker of {account} did not start in time; try again later") from None

    def joined(self, cordon: str) -> None:
        if owner(cordon) is not None:
            self._news[cordon].set()
            if self._resting is None:
                self._resting = asyncio.ensure_future(self._rest())

    def _order(self, account: str, wanted: bool) -> None:
        if self._pipe < 0:
            raise Overloaded("this server starts no workers for single accounts; try another one")
        with contextlib.suppress(BlockingIOError):  # its reader has 64 KiB of orders to read
            os.write(self._pipe, order(account, wanted))

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _rest(self) -> None:
        while True:
            await asyncio.sleep(limits.OWN_LOOK_S)
            await self.look(asyncio.get_running_loop().time())

    async def look(self, now_s: float) -> None:
        """Ends those that nobody needs."""
        members = [member for member in self.fleet.members() if owner(member.cordon) is not None]
        self._seen = {member: seen for member, seen in self._seen.items() if member in members}
        for member in members:
            account = owner(member.cordon)
            assert account is not None, "filtered above"
            if await self._is_idle(member, account, now_s):
                # First, so that whoever asks from now on gets another one.
                self.fleet.leave(member.link)
                logger.info("the worker of %s is not needed any more", account)
                with contextlib.suppress(HostError):
                    self._order(account, False)

    async def _is_idle(self, member: Member, account: str, now_s: float) -> bool:
        gauges = await self.fleet.gauges_of(member)
        if gauges is None:
            return False
        served = gauges["http_requests"] + gauges["attempts_ended"]
        before, since_s = self._seen.get(member, (-1.0, now_s))
        if served != before or gauges["invocations_in_flight"]:
            self._seen[member] = (served, now_s)
            return False
        stays = self.fleet.home(account) == member.cordon or self.fleet.speaks_for(member, account)
        return not stays or now_s - since_s >= limits.OWN_IDLE_S

    async def close(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._resting
