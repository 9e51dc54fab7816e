"""The keeper's view of its workers: who is connected, and what all of them must know: the routing table, which access
keys are none any more, and what tenants may.

Laws:
- A worker that is attached has the whole table as of some moment and every change since. One that does not take a
  change in time is cut off: it comes back, and gets all of it.
- Changes reach one worker one at a time, and each says what the table says when it is sent, not when it was asked for:
  whatever overtakes whatever, the last word is the present.
- When `tell` returns, no attached worker serves what the table said before; when `forget_key` returns, none takes what
  this key signed. A worker that comes back asks for every key anew.
- A worker knows a tenant's limits before it knows a function of it; when `tell_limits` returns, no attached one goes by
  others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from . import limits
from .errors import IsoletError
from .link import Link
from .model import Served
from .plain import served_to_plain
from .routing import RoutingTable

logger = logging.getLogger("isolet.fleet")


class Member:
    """An attached worker."""

    def __init__(self, number: int, name: str, link: Link) -> None:
        self.number = number  # the lowest that was free: what metrics call it
        self.name = name
        self.link = link
        self.turn = asyncio.Lock()
        # It is about to end: it is told of changes, and takes no more attempts.
        self.leaving = False


class Fleet:
    def __init__(self, ack_s: float = limits.ROUTES_ACK_S) -> None:
        self._ack_s = ack_s
        self._members: dict[Link, Member] = {}
        # Changed by serving.py, in the moment of a commit; `tell` follows.
        self.table = RoutingTable()
        # What a worker is told of a tenant's limits, if it is told any (bounds.py); and of whom all were told.
        self.limits_of: Callable[[str], Any] | None = None
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def members(self) -> list[Member]:
        """Who is attached now and stays."""
        return [member for member in self._members.values() if not member.leaving]

    def leave(self, link: Link) -> None:
        """A worker says that it is about to end."""
        member = self._members.get(link)
        if member is not None:
            member.leaving = True

    def restore(self, rows: Iterable[Served]) -> None:
        """The table of a keeper that starts, before any worker is attached."""
        assert not self._members, "workers are told of changes"
        self.table.replace(rows)

    # ── workers come and go ─────────────────────────────────────────────────────────────────────────────────────

    async def attach(self, link: Link, name: str) -> Member:
        """Gives a worker the whole table; it is attached when this returns. Raises what the worker answered."""
        taken = {member.number for member in self._members.values()}
        member = Member(next(number for number in count() if number not in taken), name, link)
        # A member from now on: changes wait for their turn behind the whole table.
        self._members[link] = member
        async with member.turn:
            rows = [served_to_plain(served) for served in self.table.served()]
            # Tenants that come while this one is being told wait for their turn behind it.
            tenants = sorted({served.tenant for served in self.table.served()} | self._told)
            try:
                await self._ask(member, "keys", None)
                if self.limits_of is not None:
                    await self._ask(member, "limits", [self.limits_of(tenant) for tenant in tenants])
                await self._ask(member, "routes", [True, rows, []])
            except (IsoletError, TimeoutError):
                self.detach(link)
                raise
        logger.info("worker %d (%s) has joined", member.number, name)
        return member

    def detach(self, link: Link) -> None:
        member = self._members.pop(link, None)
        if member is not None:
            logger.info("worker %d (%s) has left", member.number, member.name)

    # ── the table ───────────────────────────────────────────────────────────────────────────────────────────────

    async def tell(self, tenant: str, name: str) -> None:
        """Every attached worker serves what the table says of this function now when this returns."""
        if tenant not in self._told and self.limits_of is not None:
            await self.tell_limits(tenant)
        await self._tell_all("routes", lambda: self._present(tenant, name), name)

    async def tell_limits(self, tenant: str) -> None:
        """Every attached worker holds the tenant to its present limits when this returns."""
        limits_of = self.limits_of
        assert limits_of is not None, "a keeper has them"
        await self._tell_all("limits", lambda: [limits_of(tenant)], "limits")
        self._told.add(tenant)

    async def forget_key(self, access_key: str) -> None:
        """No attached worker knows this key when this returns."""
        await self._tell_all("keys", lambda: access_key, "access keys")

    async def _tell_all(self, operation: str, body: Callable[[], Any], what: str) -> None:
        members = list(self._members.values())
        await asyncio.gather(*(self._tell(member, operation, body, what) for member in members))

    async def _tell(self, member: Member, operation: str, body: Callable[[], Any], what: str) -> None:
        """`body` is what is true when it is sent."""
        async with member.turn:
            if member.link not in self._members:
                return
            try:
                await self._ask(member, operation, body())
            except (IsoletError, TimeoutError) as reason:
                logger.error("worker %d did not take a change of %s and is cut off: %r", member.number, what, reason)
                self.detach(member.link)
                await member.link.close()

    def _present(self, tenant: str, name: str) -> list[Any]:
        """What the table says of one function now, as the body of a `routes` call."""
        served = self.table.get(tenant, name)
        return [False, [], [[tenant, name]]] if served is None else [False, [served_to_plain(served)], []]

    async def _ask(self, member: Member, operation: str, body: Any) -> None:
        async with asyncio.timeout(self._ack_s):
            await member.link.request(operation, body)

    # ── gauges ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def gauges(self) -> dict[int, dict[str, float]]:
        """The gauges of every worker that answers in time, by its number."""
        members = list(self._members.values())
        answers = await asyncio.gather(*(self._gauges_of(member) for member in members))
        return {member.number: gauges for member, gauges in zip(members, answers, strict=True) if gauges is not None}

    async def used(self, tenant: str) -> dict[str, float]:
        """What a tenant has of its limits, in all workers that answer in time together."""
        members = list(self._members.values())
        answers = await asyncio.gather(*(self._numbers_of(member, "used", tenant) for member in members))
        total: dict[str, float] = {}
        for answer in answers:
            for name, value in (answer or {}).items():
                total[name] = total.get(name, 0) + value
        return total

    async def _gauges_of(self, member: Member) -> dict[str, float] | None:
        return await self._numbers_of(member, "gauges")

    async def _numbers_of(self, member: Member, operation: str, body: Any = None) -> dict[str, float] | None:
        try:
            async with asyncio.timeout(limits.GAUGES_S):
                answer = await member.link.request(operation, body)
        except (IsoletError, TimeoutError):
            return None
        return {str(name): float(value) for name, value in answer.items()}
