"""Tells destinations how asynchronous invocations ended: from the outbox, at least once, for DELIVERY_AGE_S.

Laws:
- A destination that takes nothing is held: after 1 s, doubling to 5 min, one delivery probes it, and when that one
  passes so may the others. A delivery that is refused for itself waits alone.
- What cannot be delivered is logged with its reason and the cure, and given up when it is too old. Until then it counts
  among what its tenant has queued, so that who has an unreachable destination is refused, and the disk stays free.
- Nothing polls: a turn comes when an invocation ended, a delivery ended, or one falls due.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from . import limits
from .clock import Clock
from .destinations import Destinations, kind_of
from .errors import InvalidParameter, IsoletError, StorageUnavailable, Throttled, ValidationFailed
from .routing import parse_function_name
from .storage.outbox import Outbox, Posted
from .storage.queue import Accepted

T = TypeVar("T")

logger = logging.getLogger("isolet.deliveries")

# Makes an event of a delivery: (id of the delivery, event). Raises Throttled, StorageUnavailable.
HandOver = Callable[[int, Accepted], Awaitable[None]]


@dataclass(slots=True)
class _Hold:
    """Of a destination that takes nothing."""

    failures: int = 0
    until_s: float = 0.0  # monotonic


class Deliveries:
    """The keeper's. `open`, `posted` when something is to be told, `close` before the database."""

    def __init__(self, outbox: Outbox, destinations: Destinations, hand_over: HandOver, clock: Clock) -> None:
        self._outbox = outbox
        self._destinations = destinations
        self._hand_over = hand_over
        self._clock = clock
        self._news = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._by_destination: Counter[str] = Counter()
        self._holds: dict[str, _Hold] = {}
        # What is still to be told, by tenant.
        self.untold: Counter[str] = Counter()
        self._turning: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(limits.DELIVERIES_AT_ONCE, "delivery")

    async def open(self) -> None:
        self.untold.update(await self._outbox.by_tenant())
        self._turning = asyncio.ensure_future(self._take_turns())

    def posted(self, tenant: str) -> None:
        """One more is to be told."""
        self.untold[tenant] += 1
        self._news.set()

    async def sweep(self) -> None:
        """Gives up what is too old. Raises StorageUnavailable."""
        old = await self._outbox.give_up(self._now_ms() - 1000 * limits.DELIVERY_AGE_S)
        for destination, count in old.items():
            logger.error("%d ends of invocations are not told to %s: it took none for too long", count, destination)
        if old:
            self.untold = Counter(await self._outbox.by_tenant())

    async def close(self) -> None:
        """What is under way may be told again by the next keeper."""
        tasks = [*self._under_way.values(), *([self._turning] if self._turning is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take_turns(self) -> None:
        while True:
            self._news.clear()
            now_ms, now_s = self._now_ms(), self._clock.monotonic_s()
            held = {destination for destination, hold in self._holds.items() if hold.until_s > now_s}
            found, next_ms = await _insist(partial(self._found, now_ms, held))
            for posted in found:
                self._begin(posted)
            await self._pause(now_ms, now_s, next_ms)

    async def _pause(self, now_ms: int, now_s: float, next_ms: int | None) -> None:
        """Until there is news, something falls due, or a destination is to be probed."""
        waits_s = [hold.until_s - now_s for hold in self._holds.values() if hold.until_s > now_s]
        if next_ms is not None:
            waits_s.append((next_ms - now_ms) / 1000)
        try:
            async with asyncio.timeout(min(waits_s, default=None)):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _found(self, now_ms: int, held: set[str]) -> tuple[list[Posted], int | None]:
        return await self._outbox.due(now_ms, set(self._under_way), held, limits.DELIVERIES_DESTINATION_MAX)

    def _begin(self, posted: Posted) -> None:
        """Starts it, if there is room."""
        most = 1 if posted.destination in self._holds else limits.DELIVERIES_DESTINATION_MAX
        if len(self._under_way) < limits.DELIVERIES_AT_ONCE and self._by_destination[posted.destination] < most:
            self._by_destination[posted.destination] += 1
            self._under_way[posted.id] = asyncio.ensure_future(self._deliver(posted))

    # ── one delivery ────────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver(self, posted: Posted) -> None:
        try:
            await self._try(posted)
        finally:
            del self._under_way[posted.id]
            self._by_destination[posted.destination] -= 1
            if not self._by_destination[posted.destination]:
                del self._by_destination[posted.destination]
            self._news.set()

    async def _try(self, posted: Posted) -> None:
        try:
            if kind_of(posted.destination) == "lambda":
                await self._invoke(posted)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._destinations.send, posted)
                await _insist(lambda: self._outbox.delivered(posted.id))
        except (StorageUnavailable, Throttled) as reason:
            await _insist(lambda: self._outbox.count_failure(posted, self._now_ms()))
            self._hold(posted, reason)
        except IsoletError as reason:
            await self._refused(posted, reason)
        except Exception:
            logger.exception("telling %s of %s failed", posted.destination, posted.request_id)
            await self._refused(posted, InvalidParameter("internal error"))
        else:
            self._holds.pop(posted.destination, None)
            self._told(posted.tenant)

    def _told(self, tenant: str) -> None:
        self.untold[tenant] -= 1
        if self.untold[tenant] <= 0:
            del self.untold[tenant]

    async def _invoke(self, posted: Posted) -> None:
        """The destination is a function of the same account: the record is its event."""
        try:
            ref = parse_function_name(posted.destination)
        except ValidationFailed as unreadable:
            raise InvalidParameter(unreadable.message) from None
        if ref.tenant != posted.tenant:
            raise InvalidParameter(f"{posted.destination} is another account's function")
        event = Accepted(
            *(str(uuid.uuid4()), ref.tenant, ref.name, ref.qualifier, posted.body),
            trace_id=posted.trace_id,
            depth=posted.depth,
        )
        await self._hand_over(posted.id, event)

    def _hold(self, posted: Posted, reason: IsoletError) -> None:
        """Nothing goes to its destination for a while."""
        hold = self._holds.setdefault(posted.destination, _Hold())
        now_s = self._clock.monotonic_s()
        if hold.until_s > now_s:
            return  # others that were under way have said so
        pause_s = _pause_s(hold.failures)
        hold.failures += 1
        hold.until_s = now_s + pause_s
        logger.warning("a destination is tried again in %g s: %s", pause_s, reason)

    async def _refused(self, posted: Posted, reason: IsoletError) -> None:
        pause_s = _pause_s(posted.attempts)
        logger.warning("the end of %s is told in %g s again: %s", posted.request_id, pause_s, reason)
        await _insist(lambda: self._outbox.count_failure(posted, self._now_ms()))
        due_ms = self._now_ms() + round(1000 * pause_s)
        await _insist(lambda: self._outbox.later(posted.id, due_ms))

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


def _pause_s(failures: int) -> float:
    return min(limits.EVENT_THROTTLE_S * 2.0 ** min(failures, 32), limits.EVENT_THROTTLE_S_MAX)


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """What storage answers, asked until it does."""
    while True:
        try:
            return await ask()
        except StorageUnavailable as reason:
            logger.error("deliveries wait for storage: %s", reason)
            await asyncio.sleep(limits.EVENT_STORAGE_RETRY_S)
