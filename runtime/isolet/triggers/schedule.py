"""Rules that fire by the clock: when an instant comes, an asynchronous event for each target.

Laws:
- A rule fires once for an instant, also across restarts: its events and its standing are one transaction
  (storage/schedules.py). Which instant that is says standing.py.
- Nothing polls: a turn comes with the next instant, or when a rule has changed. But the wall clock is read at least
  every minute, so that one which is set meanwhile neither stops nor floods anything.
- What cannot fire now, since storage fails or its account has too many events queued, stays due, and fires for the
  latest instant once it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from .. import cron, limits
from ..clock import Clock
from ..errors import IsoletError, StorageUnavailable
from ..model import REGION
from ..routing import parse_function_name
from ..standing import SET_BACK_S, due, in_the_present, next_instant
from ..storage.queue import Accepted
from ..storage.schedules import Armed, Rule, Schedules

logger = logging.getLogger("isolet.schedule")

Key = tuple[str, str]  # tenant, name
# Writes events, given the time in ms, together with other things; their ids.
Store = Callable[[int], Awaitable[Sequence[int | None]]]
# Accepts events that a Store writes, all or none. Raises Throttled and what the Store raises.
HandOver = Callable[[Sequence[Accepted], Store], Awaitable[None]]


class ScheduleTrigger:
    """The keeper's. `open` it when events can be accepted; `close` it before that ends."""

    def __init__(self, schedules: Schedules, hand_over: HandOver, clock: Clock) -> None:
        self._schedules = schedules
        self._hand_over = hand_over
        self._clock = clock
        self._armed: dict[Key, Armed] = {}
        # When to look at whom. An entry counts if it is the one that `_looks` has.
        self._order: list[tuple[float, Key]] = []
        self._looks: dict[Key, float] = {}
        self._changed: set[Key] = set()
        self._seen_s = 0.0  # the latest that the clock said, until it is set back
        self._news = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises StorageUnavailable."""
        await self.restore()
        self._running = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def restore(self) -> None:
        for armed in await self._schedules.armed():
            self._arm(armed)

    def changed(self, tenant: str, name: str) -> None:
        """A rule or its targets may be others than before."""
        self._changed.add((tenant, name))
        self._news.set()

    def wake(self) -> None:
        """The clock may have been set."""
        self._news.set()

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                wait_s = await self.turn()
            except StorageUnavailable as reason:
                logger.error("schedules wait for storage: %s", reason)
                wait_s = limits.SCHEDULE_RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    async def turn(self) -> float | None:
        """Fires what is due. In how many seconds the next turn is; None: when something changes. One at a time.

        Raises StorageUnavailable if the rules cannot be read.
        """
        await self._read()
        now_s = self._clock.wall_s()
        if now_s < self._seen_s - SET_BACK_S:
            self._seen_s = now_s
            for key in self._armed:
                self._look_at(key, now_s)
        self._seen_s = max(self._seen_s, now_s)
        keys = self._take(now_s)
        for first in range(0, len(keys), limits.SCHEDULES_AT_ONCE):
            few = keys[first : first + limits.SCHEDULES_AT_ONCE]
            await asyncio.gather(*(self._look(self._armed[key], now_s) for key in few))
        return self._wait_s()

    async def _read(self) -> None:
        """Rules that have changed, as they are now."""
        keys, self._changed = self._changed, set()
        if not keys:
            return
        try:
            found = await self._schedules.armed(keys)
        except StorageUnavailable:
            self._changed |= keys
            raise
        for key in keys:
            self._armed.pop(key, None)
            self._looks.pop(key, None)
        for armed in found:
            self._arm(armed)

    def _arm(self, armed: Armed) -> None:
        key = armed.rule.tenant, armed.rule.name
        self._armed[key] = armed
        self._look_at(key, 0.0)

    def _look_at(self, key: Key, when_s: float) -> None:
        self._looks[key] = when_s
        heapq.heappush(self._order, (when_s, key))

    def _take(self, now_s: float) -> list[Key]:
        """Whom to look at now, each once."""
        taken = []
        while self._order and self._order[0][0] <= now_s:
            when_s, key = heapq.heappop(self._order)
            if self._looks.get(key) == when_s:
                del self._looks[key]
                taken.append(key)
        return taken

    def _wait_s(self) -> float | None:
        if not self._armed:
            return None
        while self._order and self._looks.get(self._order[0][1]) != self._order[0][0]:
            heapq.heappop(self._order)
        next_s = self._order[0][0] - self._clock.wall_s() if self._order else limits.SCHEDULE_LOOK_S
        return min(max(0.0, next_s), limits.SCHEDULE_LOOK_S)

    # ── one rule ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, armed: Armed, now_s: float) -> None:
        """Fires it if it is due, and says when to look again. One rule's failure is no other's."""
        key = armed.rule.tenant, armed.rule.name
        try:
            when_s = await self._fire(armed, now_s)
        except IsoletError as reason:
            logger.warning("the rule %s of %s fires later: %s", armed.rule.name, armed.rule.tenant, reason)
            when_s = now_s + limits.SCHEDULE_RETRY_S
        if when_s is not None:
            self._look_at(key, when_s)

    async def _fire(self, armed: Armed, now_s: float) -> float | None:
        """Its next instant."""
        rule, schedule = armed.rule, cron.parse(armed.rule.expression)
        standing = in_the_present(schedule, rule.standing, now_s)
        instant = due(schedule, standing, now_s)
        events = [] if instant is None else _events(armed, instant)
        if instant is not None:
            standing = standing.after(instant)

        async def store(now_ms: int) -> Sequence[int | None]:
            # Of a rule that has changed nothing is stored; it is among the changed then, and looked at again.
            return await self._schedules.fire(rule, standing, events, now_ms) or [None] * len(events)

        if standing != rule.standing:
            await self._hand_over(events, store)
            self._armed[rule.tenant, rule.name] = armed._replace(rule=rule._replace(standing=standing))
        return next_instant(schedule, standing)


def _events(armed: Armed, instant_s: int) -> list[Accepted]:
    rule, event = armed.rule, _event(armed.rule, instant_s)
    events = []
    for target in armed.targets:
        function = parse_function_name(target.arn, "", rule.tenant)
        body = event if target.input is None else target.input.encode()
        events.append(Accepted(str(uuid.uuid4()), rule.tenant, function.name, function.qualifier, body))
    return events


def _event(rule: Rule, instant_s: int) -> bytes:
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.tenant,
        "time": f"{datetime.fromtimestamp(instant_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [rule.arn],
        "detail": {},
    }
    return json.dumps(event, separators=(",", ":")).encode()
