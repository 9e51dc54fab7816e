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
- Each is told what its cordon may know (cordons.py): of other cordons' tenants nothing, not even that there are such;
  the door's workers know where to pass their requests on. Whose worker it is, is never its own word (roster.py).
- While a tenant moves, both its cordons speak for it (`staying`): what still runs in the former one ends there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from . import limits
from .cordons import STANDARD, passed_on, sketch
from .errors import IsoletError
from .link import Link
from .model import Served
from .plain import served_to_plain
from .routing import RoutingTable

logger = logging.getLogger("isolet.fleet")


class Member:
    """An attached worker."""

    def __init__(self, number: int, worker: str, pid: int, link: Link, cordon: str) -> None:
        self.number = number  # the lowest that was free: what metrics call it
        self.worker = worker
        self.pid = pid
        self.link = link
        self.cordon = cordon
        self.turn = asyncio.Lock()
        # Of what it asked for and may not have.
        self.refusals = 0
        # It is about to end: it is told of changes, and takes no more attempts.
        self.leaving = False


class Fleet:
    def __init__(self, ack_s: float = limits.ROUTES_ACK_S) -> None:
        self._ack_s = ack_s
        self._members: dict[Link, Member] = {}
        # Changed by serving.py, in the moment of a commit; `tell` follows.
        self.table = RoutingTable()
        # What a worker of a cordon is told of a tenant's limits, if it is told any (bounds.py); and of which tenants
        # those that run their functions were told.
        self.limits_of: Callable[[str, str], Any] | None = None
        self._told: set[str] = set()
        # Where a tenant lives, the cordon that listens on the port, and the processes of that one (None: all are).
        self.home: Callable[[str], str] = lambda tenant: STANDARD
        self.door = STANDARD
        self.door_pids: Callable[[], list[int]] = list
        # (tenant, cordon): a cordon that speaks for a tenant which lives elsewhere, for the time that a move takes.
        self._staying: set[tuple[str, str]] = set()
        self._telling: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._members)

    def members(self) -> list[Member]:
        """Who is attached now and stays."""
        return [member for member in self._members.values() if not member.leaving]

    def member(self, link: Link) -> Member | None:
        return self._members.get(link)

    def home_of(self, tenant: str) -> str:
        """`home`, whatever that is when it is asked."""
        return self.home(tenant)

    def speaks_for(self, member: Member, tenant: str) -> bool:
        """Whether a worker may ask for what is the tenant's, and say what it used."""
        return self.hosts(member.cordon, tenant)

    def hosts(self, cordon: str, tenant: str) -> bool:
        """Whether the tenant lives there, or has just moved and may have requests on the way there."""
        return cordon == self.home(tenant) or (tenant, cordon) in self._staying

    def leave(self, link: Link) -> None:
        """A worker says that it is about to end."""
        member = self._members.get(link)
        if member is not None:
            member.leaving = True

    def everyone(self) -> list[Member]:
        """Who is attached, also whoever leaves."""
        return list(self._members.values())

    def crew(self, cordon: str) -> list[Member]:
        """Those of `members` that are of this cordon."""
        return [member for member in self.members() if member.cordon == cordon]

    def restore(self, rows: Iterable[Served]) -> None:
        """The table of a keeper that starts, before any worker is attached."""
        assert not self._members, "workers are told of changes"
        self.table.replace(rows)

    # ── workers come and go ─────────────────────────────────────────────────────────────────────────────────────

    async def attach(self, link: Link, worker: str, pid: int = 0, cordon: str = STANDARD) -> Member:
        """Gives a worker all that it may know of the table; it is attached when this returns. Raises what the worker
        answered."""
        taken = {member.number for member in self._members.values()}
        member = Member(next(number for number in count() if number not in taken), worker, pid, link, cordon)
        # A member from now on: changes wait for their turn behind the whole table.
        self._members[link] = member
        if cordon == self.door:
            # The others take its word from now on, before anybody can give it a request. One that does not say so in
            # time holds up nobody: it is cut off later.
            telling = asyncio.ensure_future(self._tell_all("doors", self._doors, "the door"))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
            await asyncio.wait({telling}, timeout=limits.DOORS_ACK_S)
        async with member.turn:
            rows = [served_to_plain(row) for served in self.table.served() if (row := self._row(member, served))]
            # Tenants that come while this one is being told wait for their turn behind it.
            known = {served.tenant for served in self.table.served()} | self._told
            tenants = sorted(tenant for tenant in known if self.speaks_for(member, tenant))
            try:
                if (doors := self._doors(member)) is not None:
                    await self._ask(member, "doors", doors)
                if self.limits_of is not None:
                    await self._ask(member, "limits", [self.limits_of(tenant, cordon) for tenant in tenants])
                await self._ask(member, "routes", [True, rows, []])
                # Last: who has forgotten all keys can ask for them as soon as this is over, and not before.
                await self._ask(member, "keys", None)
            except (IsoletError, TimeoutError):
                self.detach(link)
                raise
        logger.info("worker %d (%s, pid %d) has joined %s", member.number, worker[:8], pid, cordon)
        return member

    def detach(self, link: Link) -> None:
        member = self._members.pop(link, None)
        if member is not None:
            logger.info("worker %d (%s, pid %d) has left", member.number, member.worker[:8], member.pid)

    def _doors(self, member: Member) -> list[int] | None:
        """Whose word the worker takes; None for one of the door's."""
        return None if member.cordon == self.door else self.door_pids()

    def _row(self, member: Member, served: Served) -> Served | None:
        """What the worker is told of a row."""
        home = self.home(served.tenant)
        if member.cordon == home:
            return served
        staying = (served.tenant, member.cordon) in self._staying
        if member.cordon == self.door:
            return passed_on(served, home) if staying else sketch(served, home)
        return served if staying else None

    # ── the table ───────────────────────────────────────────────────────────────────────────────────────────────

    async def tell(self, tenant: str, name: str) -> None:
        """Every attached worker serves what the table says of this function now when this returns."""
        if tenant not in self._told and self.limits_of is not None:
            await self.tell_limits(tenant)
        await self._tell_all("routes", lambda member: self._present(member, tenant, [name]), name)

    async def tell_limits(self, tenant: str) -> None:
        """Every attached worker that runs the tenant's functions holds it to its present limits when this returns."""
        limits_of = self.limits_of
        assert limits_of is not None, "a keeper has them"

        def present(member: Member) -> list[Any] | None:
            return [limits_of(tenant, member.cordon)] if self.speaks_for(member, tenant) else None

        await self._tell_all("limits", present, "limits")
        self._told.add(tenant)

    async def forget_key(self, access_key: str) -> None:
        """No attached worker knows this key when this returns."""
        # Only the door knows keys: who signed is asked there.
        await self._tell_all("keys", lambda member: access_key if member.cordon == self.door else None, "access keys")

    # ── a tenant moves ──────────────────────────────────────────────────────────────────────────────────────────

    async def stay(self, tenant: str, cordon: str) -> None:
        """This cordon speaks for the tenant, too, until `go`; its workers have all that it takes when this returns."""
        self.keep(tenant, cordon)
        if self.limits_of is not None:
            await self.tell_limits(tenant)
        await self.tell_tenant(tenant, cordon)

    def keep(self, tenant: str, cordon: str) -> None:
        """The cordon where the tenant lives speaks for it until `go`, wherever that lives then: nobody is told."""
        self._staying.add((tenant, cordon))

    async def go(self, tenant: str, cordon: str) -> None:
        """It speaks for the tenant only if that lives there; its workers have forgotten the rest when this returns."""
        self._staying.discard((tenant, cordon))
        if self.home(tenant) != cordon:
            await self.tell_tenant(tenant, cordon)

    async def tell_tenant(self, tenant: str, cordon: str) -> None:
        """The workers of a cordon know what they may of all of the tenant's functions when this returns."""

        def present(member: Member) -> list[Any] | None:
            if member.cordon != cordon:
                return None
            names = [served.name for served in self.table.served() if served.tenant == tenant]
            return self._present(member, tenant, names) or [False, [], [[tenant, name] for name in names]]

        await self._tell_all("routes", present, f"all of {tenant}")

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_all(self, operation: str, body: Callable[[Member], Any], what: str) -> None:
        members = list(self._members.values())
        await asyncio.gather(*(self._tell(member, operation, body, what) for member in members))

    async def _tell(self, member: Member, operation: str, body: Callable[[Member], Any], what: str) -> None:
        """`body` is what is true when it is sent, and what this worker may know; None: nothing."""
        if body(member) is None:
            return  # whoever is not concerned is not waited for: one that answers nothing delays its own cordon only
        async with member.turn:
            if member.link not in self._members or (said := body(member)) is None:
                return
            try:
                await self._ask(member, operation, said)
            except (IsoletError, TimeoutError) as reason:
                logger.error("worker %d did not take a change of %s and is cut off: %r", member.number, what, reason)
                self.detach(member.link)
                await member.link.close()

    def _present(self, member: Member, tenant: str, names: Iterable[str]) -> list[Any] | None:
        """What the table says now of a tenant's functions, as the body of a `routes` call; None for a worker that may
        not know of them."""
        if member.cordon != self.door and not self.speaks_for(member, tenant):
            return None
        rows, removed = [], []
        for name in names:
            served = self.table.get(tenant, name)
            row = None if served is None else self._row(member, served)
            if row is None:
                removed.append([tenant, name])
            else:
                rows.append(served_to_plain(row))
        return [False, rows, removed]

    async def _ask(self, member: Member, operation: str, body: Any) -> None:
        async with asyncio.timeout(self._ack_s):
            await member.link.request(operation, body)

    # ── gauges ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def gauges(self) -> dict[int, dict[str, float]]:
        """The gauges of every worker that answers in time, by its number."""
        members = list(self._members.values())
        answers = await asyncio.gather(*(self.gauges_of(member) for member in members))
        return {member.number: gauges for member, gauges in zip(members, answers, strict=True) if gauges is not None}

    def cordons(self) -> dict[int, str]:
        """Of every attached worker by its number."""
        return {member.number: member.cordon for member in self._members.values()}

    async def used(self, tenant: str) -> dict[str, float]:
        """What a tenant has of its limits, in all workers that answer in time together."""
        members = [member for member in self._members.values() if self.speaks_for(member, tenant)]
        answers = await asyncio.gather(*(self._numbers_of(member, "used", tenant) for member in members))
        total: dict[str, float] = {}
        for answer in answers:
            for name, value in (answer or {}).items():
                total[name] = total.get(name, 0) + value
        return total

    async def gauges_of(self, member: Member) -> dict[str, float] | None:
        """None: it does not answer in time."""
        return await self._numbers_of(member, "gauges")

    async def _numbers_of(self, member: Member, operation: str, body: Any = None) -> dict[str, float] | None:
        try:
            async with asyncio.timeout(limits.GAUGES_S):
                answer = await member.link.request(operation, body)
        except (IsoletError, TimeoutError):
            return None
        return {str(name): float(value) for name, value in answer.items()}
