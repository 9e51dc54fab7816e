"""Which cordon each tenant lives in, and how it moves: the keeper's side of cordons.py.

Laws:
- Where a tenant lives follows from its settings (storage/tenants.py) and from nothing else.
- A move loses nothing and fails no request. The workers of the new cordon know all of the tenant before the door passes
  the first request on to them; those of the former one know it until whatever they had begun is over: as long as the
  longest time limit among the tenant's functions, and MOVE_GRACE_S.
- During a move nothing of the tenant is deployed; other tenants wait no longer than for any deployment.
- A tier without workers is nobody's: who would be sent there is refused, in words that say how to have it. One that has
  lost its workers (the configuration was changed) answers 503: it is not run elsewhere, with less trust or with more.

In one process (`isolet dev`) there is one cordon, whatever the settings say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from . import limits
from .cordons import STANDARD, Cordons, own, owner
from .errors import InvalidParameter, UnsupportedOperation
from .fleet import Fleet
from .serving import Serving
from .storage.tenants import Tenants, TenantSettings, check_account

logger = logging.getLogger("isolet.residence")


class Residence:
    """For the event loop's thread. `layout`: None where there is one process. Without a fleet nobody is told of moves:
    no server runs."""

    def __init__(
        self,
        tenants: Tenants,
        layout: Cordons | None,
        fleet: Fleet | None = None,
        serving: Serving | None = None,
        summon: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self._tenants = tenants
        self._layout = layout
        self._fleet = fleet
        self._serving = serving
        # Starts a tenant's own worker, before the door needs it.
        self._summon = summon
        # What makes cordons forget whom they hold still.
        self._leaving: dict[tuple[str, str], asyncio.Task[None]] = {}

    def home(self, account: str) -> str:
        """The cordon that runs the tenant's functions."""
        if self._layout is None:
            return STANDARD
        settings = self._tenants.get(account)
        return own(account) if settings.own else settings.tier

    def say_who_is_homeless(self) -> None:
        """At the start of a server: tenants whose tier has no workers are named in the log."""
        tiers = {} if self._layout is None else self._layout.workers
        for account, settings in self._tenants.all().items():
            if self._layout is not None and not settings.own and settings.tier not in tiers:
                logger.error("%s is not served: %s", account, _without_workers(settings.tier, tiers))

    async def set(self, account: str, tier: str | None = None, own: bool | None = None) -> TenantSettings:
        """Changes what is not None; all attached workers go by it when this returns. Raises InvalidParameter,
        StorageUnavailable."""
        check_account(account)
        tiers = self._tiers()
        if tier is not None and tier not in tiers:
            raise InvalidParameter(_without_workers(tier, tiers))
        if own:
            self._require_room(account)

        def edited(old: TenantSettings) -> TenantSettings:
            new_tier = old.tier if tier is None else tier
            return replace(old, tier=new_tier, own=old.own if own is None else own)

        if self._serving is None:
            return await self._tenants.change(account, edited)
        coming = owner(self._after(edited(self._tenants.get(account)), account))
        if coming is not None and self._summon is not None and self._fleet:
            await self._summon(account)  # a worker takes its time to start: nobody else's deployment waits for it
        async with self._serving.alone():
            return await self._move(account, edited)

    def _tiers(self) -> dict[str, int]:
        return {STANDARD: 1} if self._layout is None else dict(self._layout.workers)

    def _require_room(self, account: str) -> None:
        """Each tenant with workers of its own has a place for them: nobody waits for another's to end."""
        others = [other for other, settings in self._tenants.all().items() if settings.own and other != account]
        if len(others) >= limits.OWN_WORKERS_MAX:
            raise InvalidParameter(
                f"{len(others)} accounts have workers of their own, as many as there may be; let one share again: "
                f"isolet tenants set {others[0]} --shared-workers"
            )

    async def _move(self, account: str, edited: Any) -> TenantSettings:
        fleet = self._fleet
        assert fleet is not None, "who is served has a fleet"
        before, after = self.home(account), self._after(edited(self._tenants.get(account)), account)
        if before == after:
            return await self._tenants.change(account, edited)
        # It may be on its way back: what would have forgotten it does not any more.
        self._keep(account, after)
        await fleet.stay(account, after)
        # There is no moment at which the former cordon is neither home nor stays: a door that has not heard of the move
        # may be on its way there.
        fleet.keep(account, before)
        try:
            changed = await self._tenants.change(account, edited)
        except BaseException:
            await fleet.go(account, after)
            await fleet.go(account, before)
            raise
        # From now on the former cordon only stays, and the new one is home.
        await fleet.tell_tenant(account, before)
        await fleet.go(account, after)
        if before != fleet.door:
            await fleet.tell_tenant(account, fleet.door)
        self._forget_later(account, before)
        logger.info("%s has moved from %s to %s", account, before, after)
        return changed

    def _after(self, settings: TenantSettings, account: str) -> str:
        if self._layout is None:
            return STANDARD
        return own(account) if settings.own else settings.tier

    # ── forgetting ──────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, account: str, cordon: str) -> None:
        forgetting = self._leaving.pop((account, cordon), None)
        if forgetting is not None:
            forgetting.cancel()

    def _forget_later(self, account: str, cordon: str) -> None:
        task = asyncio.ensure_future(self._forget(account, cordon, self._longest_s(account)))
        self._leaving[account, cordon] = task

    def _longest_s(self, account: str) -> float:
        """What an invocation that runs now may take, also one that is told to others of the tenant's functions."""
        assert self._fleet is not None
        rows = [served for served in self._fleet.table.served() if served.tenant == account]
        longest_s = max((target.timeout_s for served in rows for target in served.targets), default=0.0)
        return longest_s + limits.MOVE_GRACE_S

    async def _forget(self, account: str, cordon: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        assert self._fleet is not None
        await self._fleet.go(account, cordon)
        self._leaving.pop((account, cordon), None)
        logger.info("%s is forgotten by %s", account, cordon)

    async def close(self) -> None:
        for task in list(self._leaving.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._leaving.clear()

    # ── for the operator ────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, operation: str, body: Any) -> Any:
        """The operator's calls: `tenants.list []`, `tenants.show [account]`, `tenants.set [account, tier, own]`."""
        if operation == "tenants.list":
            return [self._shown(account) for account in self._known()]
        if operation == "tenants.set":
            await self.set(*body)
        elif operation != "tenants.show":
            raise UnsupportedOperation(f"a server has no operation {operation} for its operator")
        check_account(body[0])
        return self._shown(body[0])

    def _known(self) -> list[str]:
        """Who was set anything, or has a function here."""
        deployed: Iterable[str] = () if self._fleet is None else (row.tenant for row in self._fleet.table.served())
        return sorted({*self._tenants.all(), *deployed})

    def _shown(self, account: str) -> dict[str, Any]:
        settings = self._tenants.get(account)
        fleet = self._fleet
        home = self.home(account)
        workers = None if fleet is None else sorted(member.pid for member in fleet.crew(home))
        functions = None if fleet is None else sum(row.tenant == account for row in fleet.table.served())
        return {
            "account": account,
            "tier": settings.tier,
            "own": settings.own,
            "cordon": home,
            # Of a server that runs: the processes of its workers, and how many functions it has.
            "workers": workers,
            "functions": functions,
            "limits": sorted(settings.limits),
        }


def _without_workers(tier: str, tiers: Iterable[str]) -> str:
    return (
        f"the tier {tier[:64]} has no workers; choose one of {', '.join(sorted(tiers))}, or give it some in "
        f"isolet.toml and start the server again: [cordons] {tier[:64]} = 1"
    )
