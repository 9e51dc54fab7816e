"""Whose build is next, and whether one more is taken at all.

Laws:
- At most so many builds are under way as the server has room for, and of them a tenant has its `builds_at_once`: who
  deploys a hundred functions waits for himself.
- What is taken is bounded before its package is stored: `builds_per_h`, and `builds_waiting` behind those under way. A
  build that a worker needs, since an artifact is gone, waits for its turn but is never refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from . import limits, quota
from .clock import Clock
from .errors import Throttled
from .quota import BY_DEFAULT, Bucket, Quotas
from .turns import Turns

_HOUR_S = 3_600


class _Tenant:
    __slots__ = ("begun", "turns")

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun = Bucket()


class BuildTurns:
    """The keeper's. For the event loop's thread."""

    def __init__(self, at_once: int, clock: Clock, quotas: Quotas = BY_DEFAULT) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._clock = clock
        self._quotas = quotas
        self._tenants: dict[str, _Tenant] = {}

    def admit(self, tenant: str) -> None:
        """One more build is about to be asked for. Raises Throttled."""
        of, value = self._of(tenant), self._quotas.value
        if of.turns.taken >= value(tenant, "builds_at_once") and of.turns.waiting >= value(tenant, "builds_waiting"):
            raise self._refusal(tenant, "builds_waiting", 1)
        per_h = value(tenant, "builds_per_h")
        now_s, rate = self._clock.monotonic_s(), per_h / _HOUR_S
        if not of.begun.take(now_s, rate, per_h):
            raise self._refusal(tenant, "builds_per_h", quota.wait_s(of.begun.full_s, now_s, rate, per_h))

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        async with self._of(tenant).turns, self._all:
            yield

    def used(self, tenant: str) -> dict[str, float]:
        """What a tenant has of its limits."""
        of = self._tenants.get(tenant)
        if of is None:
            return {"builds_at_once": 0, "builds_waiting": 0, "builds_per_h": 0}
        per_h = self._quotas.value(tenant, "builds_per_h")
        left = quota.level(of.begun.full_s, self._clock.monotonic_s(), per_h / _HOUR_S, per_h)
        return {
            "builds_at_once": of.turns.taken,
            "builds_waiting": of.turns.waiting,
            "builds_per_h": ceil(per_h - left),
        }

    def _of(self, tenant: str) -> _Tenant:
        of = self._tenants.get(tenant)
        if of is None:
            turns = Turns(lambda: int(self._quotas.value(tenant, "builds_at_once")))
            of = self._tenants[tenant] = _Tenant(turns)
        return of

    def _refusal(self, tenant: str, name: str, wait_s: float) -> Throttled:
        self._quotas.refuse(tenant, name)
        most = self._quotas.value(tenant, name)
        retry_after_s = max(1, min(ceil(wait_s), limits.RETRY_AFTER_S_MAX))
        return Throttled(f"Rate Exceeded: {tenant} has {most:,} {name}", "CallerRateLimitExceeded", retry_after_s, name)
