"""Asynchronous invocations, in the keeper: accepts events, has workers run them when their turn comes, ends them.

Laws:
- `accept` returns once the events are durable; what a worker was told of a refusal was not stored.
- Every event that is stored is in the lanes, under way, or being ended; when storage fails, it is asked again until it
  answers. Nothing polls: a turn comes by acceptance, by an end, by a worker's arrival, or when something falls due.
- Attempts that are under way when the keeper ends are taken back by the next one (storage/queue.py).

The wall clock says how old an event is; how long it waits is measured by the monotonic one, so that a clock which is
set back delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from . import limits
from .clock import Clock
from .cordons import owner
from .errors import IsoletError, Overloaded, StorageUnavailable, Throttled, UnknownFunction, WorkerLost
from .event_records import Ending, Event
from .fleet import Fleet, Member
from .lanes import Lanes, Waiting
from .quota import BY_DEFAULT, Quotas, attempts_share
from .retry import Ended, Fate
from .routing import FunctionRef
from .storage.queue import Accepted, Books, Claimed, EventQueue, Stored, Totals

T = TypeVar("T")

# Events of a keeper that starts, in one turn of its loop: 3 ms.
_RESTORED_AT_ONCE = 1_000

logger = logging.getLogger("isolet.asynchronous")


class Asynchronous:
    """The keeper's. `open` it once the routing table is restored; `close` it before the database."""

    def __init__(self, queue: EventQueue, fleet: Fleet, clock: Clock, quotas: Quotas = BY_DEFAULT) -> None:
        self._queue = queue
        self._fleet = fleet
        self._clock = clock
        self._quotas = quotas
        self._lanes = Lanes(
            lambda tenant: attempts_share(int(quotas.value(tenant, "concurrency"))), self._reserved, fleet.home_of
        )
        # Starts the worker of a tenant that has its own (own_workers.py).
        self.summon: Callable[[str], Awaitable[object]] | None = None
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._turning: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._attempts: set[asyncio.Task[None]] = set()
        # By worker: attempts under way, and whether one of them is a suspect.
        self._loads: dict[Member, list[Waiting]] = {}
        # Called with the tenant when somebody is to be told of an end; and how many are still to be told of a tenant's.
        self.on_told: Callable[[str], None] = lambda tenant: None
        self.untold: Callable[[str], int] = lambda tenant: 0

    async def open(self) -> None:
        now_ms = self._now_ms()
        rows = await self._queue.restore(now_ms)
        for stored in rows:
            self._lanes.reserve(stored.tenant, stored.bytes)
        self._note_quiet()
        self._restoring = asyncio.ensure_future(self._restore(rows, now_ms))
        self._turning = asyncio.ensure_future(self._take_turns())

    async def _restore(self, rows: Sequence[Stored], now_ms: int) -> None:
        """All that are stored wait for their turn. A long queue takes a second: others are served meanwhile, and what
        is due first has its turn."""
        for number, stored in enumerate(rows, 1):
            waiting = Waiting(stored.id, stored.tenant, stored.name, stored.bytes, stored.losses > 0)
            self._lanes.add(waiting, self._due_s(stored.due_ms, now_ms))
            if number % _RESTORED_AT_ONCE == 0:
                self.wake()
                await asyncio.sleep(0)
        self.wake()

    async def close(self) -> None:
        for task in (self._restoring, self._turning):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=limits.ATTEMPTS_CLOSE_S)
        for attempt in self._attempts:
            attempt.cancel()
        if self._attempts:
            await asyncio.wait(self._attempts)

    async def accept(self, events: Sequence[Accepted]) -> list[bool]:
        """For each: whether it is durable; False: its tenant has too many. Raises StorageUnavailable: none is."""
        room = [self._reserve(event) for event in events]
        chosen = [event for event, fits in zip(events, room, strict=True) if fits]
        if chosen:
            await self._store(chosen, lambda now_ms: self._queue.accept(chosen, now_ms))
        return room

    async def hand_over(self, event: Accepted, store: Callable[[int], Awaitable[int | None]]) -> None:
        """Accepts an event that `store` writes, given the time, together with other things; it answers its id.

        Raises Throttled and what `store` raises.
        """

        async def stored(now_ms: int) -> list[int | None]:
            return [await store(now_ms)]

        await self.hand_over_all([event], stored)

    async def hand_over_all(
        self, events: Sequence[Accepted], store: Callable[[int], Awaitable[Sequence[int | None]]]
    ) -> None:
        """The same for several events: all, or none. `store` is also called for none."""
        room = [self._reserve(event) for event in events]
        if not all(room):
            for event, fits in zip(events, room, strict=True):
                if fits:
                    self._lanes.gone(event.tenant, len(event.body))
            raise Throttled("too many asynchronous events are queued", "CallerRateLimitExceeded", limit="events")
        await self._store(events, store)

    async def _store(self, events: Sequence[Accepted], store: Callable[[int], Awaitable[Sequence[int | None]]]) -> None:
        """Stores events for which there is room, and has them wait for their turn."""
        # Shielded: what is committed must be in the lanes, also when its caller has left.
        await asyncio.shield(asyncio.ensure_future(self._store_all(events, store)))

    async def _store_all(
        self, events: Sequence[Accepted], store: Callable[[int], Awaitable[Sequence[int | None]]]
    ) -> None:
        try:
            ids = await store(self._now_ms())
        except BaseException:
            for event in events:
                self._lanes.gone(event.tenant, len(event.body))
            raise
        now_s = self._clock.monotonic_s()
        for event, id in zip(events, ids, strict=True):
            if id is None:
                self._lanes.gone(event.tenant, len(event.body))
            else:
                self._lanes.add(Waiting(id, event.tenant, event.name, len(event.body)), now_s)
        self._note_quiet()
        self.wake()

    def wake(self) -> None:
        """Something may have a turn: a worker came, or an event."""
        self._news.set()

    async def books(self, tenant: str | None = None, name: str | None = None) -> Books:
        return await self._queue.books(tenant, name)

    async def totals(self) -> Totals:
        """The books of all, but for what is queued, which the gauges say."""
        return await self._queue.totals()

    async def gauges(self) -> dict[str, float]:
        oldest_ms = await self._queue.oldest_ms()
        return {
            "events_queued": self._lanes.queued,
            "events_running": self._lanes.running,
            "events_oldest_age_seconds": 0.0 if oldest_ms is None else max(0, self._now_ms() - oldest_ms) / 1000,
        }

    async def settled(self) -> None:
        """Returns once no event is queued."""
        await self._quiet.wait()

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take_turns(self) -> None:
        while True:
            self._news.clear()
            taken = self._lanes.take(self._clock.monotonic_s(), self._workers)
            for tenant, events in _by_tenant(taken).items():
                # Not awaited here: one tenant's commit is not another's turn.
                self._begin(self._claim(tenant, events))
            await self._pause()

    def _workers(self, cordon: str) -> int:
        """How many a cordon has, or may have as soon as they are wanted."""
        return len(self._fleet.crew(cordon)) or int(self.summon is not None and owner(cordon) is not None)

    async def _pause(self) -> None:
        """Until there is news, or something falls due."""
        due_s = self._lanes.next_due_s()
        wait_s = None if due_s is None else max(0.0, due_s - self._clock.monotonic_s())
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _claim(self, tenant: str, taken: list[Waiting]) -> None:
        by_id = {waiting.id: waiting for waiting in taken}
        claimed = await self._insist(lambda: self._queue.claim(list(by_id), self._now_ms(), tenant))
        for one in claimed:
            waiting = by_id.pop(one.event.id)
            self._lanes.claimed(waiting)
            self._begin(self._attempt(one, waiting))
        for gone in by_id.values():
            self._lanes.ended(gone)
            self._lanes.gone(gone.tenant, gone.bytes)
        self._note_quiet()
        self.wake()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        attempt = asyncio.ensure_future(work)
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    # ── one attempt ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempt(self, claimed: Claimed, waiting: Waiting) -> None:
        event = claimed.event
        ending = self._refusal(claimed) or await self._run(claimed, waiting)
        self._lanes.returned(waiting)
        told = await self._insist(lambda: self._queue.end(event.id, ending, self._now_ms(), event.tenant))
        if ending.ended is Ended.THROTTLED and told is not None:
            pause_s = max(0, told[0].due_ms - self._now_ms()) / 1000
            self._lanes.refused(waiting, self._clock.monotonic_s(), pause_s)
        else:
            self._lanes.taken_in(waiting)
        self._lanes.ended(waiting)
        if told is None or told[0].fate is not Fate.AGAIN:
            self._lanes.gone(waiting.tenant, waiting.bytes)
            self._note_quiet()
        else:
            verdict = told[0]
            again = waiting._replace(suspect=verdict.counts.losses > 0)
            self._lanes.add(again, self._due_s(verdict.due_ms, self._now_ms()))
        for _ in range(0 if told is None else told[1]):
            self.on_told(event.tenant)
        self.wake()

    def _refusal(self, claimed: Claimed) -> Ending | None:
        """Why it is not run at all, if it is not."""
        event, table = claimed.event, self._fleet.table
        if self._now_ms() >= claimed.ends_ms:
            return Ending(Ended.LATE, message="The event is older than its function's maximum event age.")
        if event.depth >= limits.INVOKE_DEPTH_MAX:
            return Ending(
                Ended.REFUSED,
                message=f"{event.name} is the {event.depth}th of functions that invoke each other; end the chain"
                " earlier.",
            )
        reserved = table.reserved(event.tenant, event.name)
        if reserved is not None and reserved.limit == 0:
            return Ending(Ended.REFUSED, message="Rate Exceeded.")
        try:
            table.find(FunctionRef(event.tenant, event.name, event.qualifier))
        except UnknownFunction as unknown:
            return Ending(Ended.REFUSED, message=unknown.message)
        return None

    async def _run(self, claimed: Claimed, waiting: Waiting) -> Ending:
        event = claimed.event
        account = owner(self._fleet.home(waiting.tenant))
        if account is not None and self.summon is not None:
            try:
                await self.summon(account)
            except IsoletError as failed:
                return Ending(Ended.THROTTLED, message=failed.message)
        member = self._choose(waiting)
        if member is None:
            return Ending(Ended.THROTTLED, message="there is no worker at the moment")
        load = self._loads.setdefault(member, [])
        load.append(waiting)
        timeout_s = self._fleet.table.find(FunctionRef(event.tenant, event.name, event.qualifier)).timeout_s
        try:
            async with asyncio.timeout(timeout_s + limits.ATTEMPT_GRACE_S):
                return _ending(await member.link.request("attempt", _plain(event, claimed.wants_result)))
        except WorkerLost as lost:
            return Ending(Ended.LOST, message=lost.message)
        except TimeoutError:
            return Ending(Ended.LOST, message=f"no answer within {timeout_s + limits.ATTEMPT_GRACE_S:g} s")
        except Overloaded as full:
            return Ending(Ended.THROTTLED, message=full.message)
        except IsoletError as failed:
            logger.error("an attempt of %s could not be made: %s", event.name, failed)
            return Ending(Ended.THROTTLED, message=failed.message)
        finally:
            load.remove(waiting)
            if not load:
                del self._loads[member]

    def _choose(self, waiting: Waiting) -> Member | None:
        """The worker of its cordon with the fewest attempts; for a suspect, one without another suspect if there is
        one."""

        def burden(member: Member) -> tuple[bool, int]:
            load = self._loads.get(member, ())
            return waiting.suspect and any(other.suspect for other in load), len(load)

        return min(self._fleet.crew(self._fleet.home(waiting.tenant)), key=burden, default=None)

    # ── small things ────────────────────────────────────────────────────────────────────────────────────────────

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What storage answers, asked until it does."""
        while True:
            try:
                return await ask()
            except StorageUnavailable as reason:
                logger.error("asynchronous invocations wait for storage: %s", reason)
                await asyncio.sleep(limits.EVENT_STORAGE_RETRY_S)

    def _reserved(self, tenant: str, name: str) -> int:
        """Attempts at a function that may be under way for its reserved concurrency; without any they are made one by
        one, to be refused for good."""
        reserved = self._fleet.table.reserved(tenant, name)
        return limits.EVENTS_TENANT_MAX if reserved is None else max(1, reserved.limit)

    def _reserve(self, event: Accepted) -> bool:
        tenant, size = event.tenant, len(event.body)
        if self._lanes.queued >= limits.EVENTS_MAX:
            return False
        queued, value = self._lanes.of(tenant), self._quotas.value
        if queued.events + self.untold(tenant) >= value(tenant, "events"):
            self._quotas.refuse(tenant, "events")
            return False
        if queued.bytes + size > value(tenant, "events_bytes"):
            self._quotas.refuse(tenant, "events_bytes")
            return False
        self._lanes.reserve(tenant, size)
        return True

    def used(self, tenant: str) -> dict[str, float]:
        """What a tenant has of its limits."""
        queued = self._lanes.of(tenant)
        return {"events": queued.events + self.untold(tenant), "events_bytes": queued.bytes}

    def _note_quiet(self) -> None:
        if self._lanes.queued:
            self._quiet.clear()
        else:
            self._quiet.set()

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)

    def _due_s(self, due_ms: int, now_ms: int) -> float:
        return self._clock.monotonic_s() + max(0, due_ms - now_ms) / 1000


def _by_tenant(taken: list[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for waiting in taken:
        found.setdefault(waiting.tenant, []).append(waiting)
    return found


def _plain(event: Event, wants_result: bool) -> list[Any]:
    """The body of an `attempt` (front/attempts.py)."""
    return [
        event.request_id,
        event.tenant,
        event.name,
        event.qualifier,
        event.body,
        event.client_context,
        event.trace_id,
        event.depth,
        wants_result,
    ]


def _ending(answer: list[Any]) -> Ending:
    ended, version, payload, message = answer
    return Ending(Ended(ended), version, payload, message)
