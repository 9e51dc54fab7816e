"""Tells destinations how asynchronous invocations ended: from the outbox, at least once, for DELIVERY_AGE_S.

Laws:
- A destination that does not answer holds up its own deliveries only; they come again after 1 s, doubling to 5 min.
- What cannot be delivered is logged with its reason and the cure, and given up when it is too old.
- Nothing polls: a turn comes when an invocation ended, a delivery ended, or one falls due.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
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


class Deliveries:
    """The keeper's. `open`, `wake` when something was posted, `close` before the database."""

    def __init__(self, outbox: Outbox, destinations: Destinations, hand_over: HandOver, clock: Clock) -> None:
        self._outbox = outbox
        self._destinations = destinations
        self._hand_over = hand_over
        self._clock = clock
        self._news = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._by_destination: Counter[str] = Counter()
        self._turning: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(limits.DELIVERIES_AT_ONCE, "delivery")
        # Since the keeper started, for metrics.
        self.delivered = 0
        self.given_up = 0

    def open(self) -> None:
        self._turning = asyncio.ensure_future(self._take_turns())

    def wake(self) -> None:
        self._news.set()

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
            now_ms = self._now_ms()
            found, next_ms = await _insist(self._found)
            begun = [posted for posted in found if self._begin(posted)]
            if begun and len(self._under_way) < limits.DELIVERIES_AT_ONCE:
                continue
            try:
                async with asyncio.timeout(None if next_ms is None else max(0, next_ms - now_ms) / 1000):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _found(self) -> tuple[list[Posted], int | None]:
        return await self._outbox.due(self._now_ms(), self._under_way, limits.DELIVERIES_DESTINATION_MAX)

    def _begin(self, posted: Posted) -> bool:
        """Starts it, if there is room."""
        if len(self._under_way) >= limits.DELIVERIES_AT_ONCE:
            return False
        if self._by_destination[posted.destination] >= limits.DELIVERIES_DESTINATION_MAX:
            return False
        self._by_destination[posted.destination] += 1
        self._under_way[posted.id] = asyncio.ensure_future(self._deliver(posted))
        return True

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
            self.delivered += 1
        except IsoletError as reason:
            await self._failed(posted, reason)
        except Exception:
            logger.exception("telling %s of %s failed", posted.destination, posted.request_id)
            await self._failed(posted, InvalidParameter("internal error"))

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

    async def _failed(self, posted: Posted, reason: IsoletError) -> None:
        now_ms = self._now_ms()
        await _insist(lambda: self._outbox.count_failure(posted, now_ms))
        if now_ms - posted.created_ms >= 1000 * limits.DELIVERY_AGE_S:
            self.given_up += 1
            logger.error("the end of %s of %s is not told: %s", posted.request_id, posted.name, reason)
            await _insist(lambda: self._outbox.delivered(posted.id))
            return
        pause_s = min(limits.EVENT_THROTTLE_S * 2.0 ** min(posted.attempts, 32), limits.EVENT_THROTTLE_S_MAX)
        logger.warning("the end of %s is told in %g s again: %s", posted.request_id, pause_s, reason)
        everything = isinstance(reason, StorageUnavailable | Throttled)
        due_ms = now_ms + round(1000 * pause_s)
        await _insist(lambda: self._outbox.later(posted, due_ms, everything))

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """What storage answers, asked until it does."""
    while True:
        try:
            return await ask()
        except StorageUnavailable as reason:
            logger.error("deliveries wait for storage: %s", reason)
            await asyncio.sleep(limits.EVENT_STORAGE_RETRY_S)
