"""What every tenant may have, in the keeper: the defaults, what the operator set in their place, and who was refused.

Laws:
- When `set` or `reset` returns, the new values are on the disk, and every attached worker holds the tenant to them;
  the keeper's own parts ask here each time. A worker that joins is told all (fleet.py).
- A bucket whose rate or size was set begins anew, full: whoever is given more has it at once. (That of a tenant with
  workers of its own, which the keeper does not reach, fills at its present rate.)
- A tenant of whom a worker has a function has a slot in what workers count together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from . import limits, quota
from .cordons import STANDARD
from .errors import LimitExceeded, Throttled, UnsupportedOperation
from .quota import LIMITS, OF_WORKERS, Bucket, Number, Quotas
from .storage.tenants import Tenants, TenantSettings, check_account
from .tally import LOG_BYTES, REQUESTS, Tally

# Of the limits that workers hold tenants to, those that are one bucket.
_BUCKETS = ((REQUESTS, "requests_per_s", "requests_burst"), (LOG_BYTES, "log_bytes_per_s", "log_burst_bytes"))

# What a tenant has of each limit at the moment, by its name; a limit that is not in it is none of which one has some.
Usage = Callable[[str], Awaitable[Mapping[str, Number]]]


async def unknown(account: str) -> Mapping[str, Number]:
    """The usage where no server runs."""
    return {}


async def untold(account: str) -> None:
    """Where there are no workers to tell."""


class Bounds(Quotas):
    """For the event loop's thread, but for `value` and `refuse`, which jobs of the database call, too."""

    def __init__(
        self,
        tenants: Tenants,
        tallies: Mapping[str, Tally] | None = None,
        home: Callable[[str], str] = lambda account: STANDARD,
        tell: Callable[[str], Awaitable[None]] = untold,
        usage: Usage = unknown,
    ) -> None:
        self._tenants = tenants
        # By cordon: what its workers count together. One that is not here is a single tenant's own.
        self._tallies = {STANDARD: Tally(1, 0)} if tallies is None else tallies
        self._home = home
        for tally in self._tallies.values():
            tally.adopt()
        self._tell = tell
        self._usage = usage
        self._calls: dict[str, Bucket] = {}
        # By (account, limit): how often it was in the way since the keeper started, in the keeper itself.
        self.refused: Counter[tuple[str, str]] = Counter()

    # ── for the keeper's parts ──────────────────────────────────────────────────────────────────────────────────

    def value(self, account: str, name: str) -> Number:
        return self._tenants.get(account).limits.get(name, quota.DEFAULTS[name])

    def refuse(self, account: str, name: str, count: int = 1) -> None:
        self.refused[account, name] += count

    def admit_call(self, account: str, now_s: float) -> None:
        """One call of an API, which the account has signed. Raises Throttled."""
        rate = self.value(account, "calls_per_s")
        burst = max(1, rate * limits.CALLS_BURST_S)
        bucket = self._calls.setdefault(account, Bucket())
        if not bucket.take(now_s, rate, burst):
            self.refuse(account, "calls_per_s")
            wait_s = ceil(quota.wait_s(bucket.full_s, now_s, rate, burst))
            raise Throttled(
                f"Rate Exceeded: {account} makes more than {rate:,} calls a second",
                "CallerRateLimitExceeded",
                max(1, min(wait_s, limits.RETRY_AFTER_S_MAX)),
                "calls_per_s",
            )

    def require_slot(self, account: str) -> None:
        """Raises LimitExceeded: there are too many tenants."""
        if self._slot(account, self._home(account)) is None:
            raise LimitExceeded(
                f"this server counts the invocations of {limits.TENANT_SLOTS:,} accounts, which have all deployed "
                "something; deploy elsewhere"
            )

    def of_workers(self, account: str, cordon: str = STANDARD) -> list[Any]:
        """What a worker of a cordon is told of a tenant: `[account, slot, values]`."""
        values = {name: self.value(account, name) for name in OF_WORKERS}
        return [account, self._slot(account, cordon), values]

    def _slot(self, account: str, cordon: str) -> int | None:
        tally = self._tallies.get(cordon)
        return limits.RESERVED_SLOTS if tally is None else tally.slot(account)

    def used(self, account: str, now_s: float) -> dict[str, Number]:
        """What workers have taken of a tenant's bursts, and is not back yet."""
        return {
            burst: round(self.value(account, burst) - self._level(account, bucket, now_s, rate, burst))
            for bucket, rate, burst in _BUCKETS
        }

    def _level(self, account: str, bucket: int, now_s: float, rate: str, burst: str) -> float:
        tally = self._tallies.get(self._home(account))
        slot = None if tally is None else tally.slot_of(account)
        most = float(self.value(account, burst))
        if tally is None or slot is None:
            return most
        return tally.level(slot, bucket, now_s, float(self.value(account, rate)), most)

    # ── for the operator ────────────────────────────────────────────────────────────────────────────────────────

    async def set(self, account: str, values: Mapping[str, str]) -> None:
        """Each as it was written. Raises InvalidParameter (nothing was changed then), StorageUnavailable."""
        await self._change(account, lambda overrides: quota.changed(overrides, values))

    async def reset(self, account: str, names: Sequence[str]) -> None:
        """To the defaults: those that are named, or all. Raises as `set` does."""
        await self._change(account, lambda overrides: quota.without(overrides, names))

    async def _change(self, account: str, edit: Callable[[Mapping[str, Number]], dict[str, Number]]) -> None:
        def edited(old: TenantSettings) -> TenantSettings:
            return replace(old, limits=edit(old.limits))

        before = [(self.value(account, rate), self.value(account, burst)) for _, rate, burst in _BUCKETS]
        await self._tenants.change(account, edited)
        tally = self._tallies.get(self._home(account))
        slot = None if tally is None else tally.slot_of(account)
        for (bucket, rate, burst), old in zip(_BUCKETS, before, strict=True):
            changed = old != (self.value(account, rate), self.value(account, burst))
            if changed and tally is not None and slot is not None:
                tally.refill(slot, bucket)
        await self._tell(account)

    async def shown(self, account: str) -> list[dict[str, Any]]:
        """Every limit of a tenant. Raises InvalidParameter."""
        check_account(account)
        used = await self._usage(account)
        overrides = self._tenants.get(account).limits
        return [
            {
                "name": name,
                "value": overrides.get(name, limit.default),
                "default": limit.default,
                "overridden": name in overrides,
                "used": used.get(name),
                "unit": limit.unit,
                "meaning": limit.meaning,
            }
            for name, limit in LIMITS.items()
        ]

    def overrides(self) -> dict[str, Mapping[str, Number]]:
        """Of every tenant that has any."""
        return {account: settings.limits for account, settings in self._tenants.all().items() if settings.limits}

    async def serve(self, operation: str, body: Any) -> Any:
        """The operator's calls: `limits.show [account]`, `limits.overrides []`, `limits.set [account, values]`,
        `limits.reset [account, names]`; the last two answer as the first."""
        if operation == "limits.overrides":
            return self.overrides()
        account, *more = body
        if operation == "limits.set":
            await self.set(account, *more)
        elif operation == "limits.reset":
            await self.reset(account, *more)
        elif operation != "limits.show":
            raise UnsupportedOperation(f"a server has no operation {operation} for its operator")
        return await self.shown(account)
