"""Which asynchronous events are run next: fair between tenants, and between the functions of each.

Laws:
- Turns go round the tenants that have something due, and within a tenant round its functions: who has 100,000 events
  waiting delays another's one by one turn.
- What is under way is bounded, in all and of each tenant, function and byte: a function that takes fifteen minutes
  leaves room for others, and a tenant that may run little is not asked for what would be refused.
- Of those under way at most EVENTS_MOVING_MAX of a tenant are on their way through the keeper, not yet in a worker or
  not any more: its loop has so much of one tenant's to do before it comes to another's.
- A function whose attempts are refused is asked for less: half as many at a time, after a pause; each that is not
  refused makes it one more. So a long queue of one that may do little costs what it does, not what it asks for.
- An event whose worker was lost is a suspect: a worker has one of them at a time. So a message that kills workers is
  found out, and its neighbours are not mistaken for it.
- Each cordon has turns and suspects for its own workers: what one cordon's tenants do delays no other's, and events of
  a cordon without workers wait until it has some.

Pure: times are seconds of a monotonic clock, given by the caller. Only what is small is here; bodies are in storage.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from . import limits


class Waiting(NamedTuple):
    """An event that waits for its turn."""

    id: int
    tenant: str
    name: str
    bytes: int
    suspect: bool = False


class _Function:
    __slots__ = ("due", "held_s", "running", "window")

    def __init__(self) -> None:
        self.due: deque[Waiting] = deque()
        self.running = 0
        # As many may be under way since it was refused, and none before that instant.
        self.window = limits.EVENTS_TENANT_MAX
        self.held_s = 0.0


class _Tenant:
    __slots__ = ("bytes", "events", "functions", "later", "moving", "running", "turns")

    def __init__(self) -> None:
        self.functions: dict[str, _Function] = {}
        self.later: list[tuple[float, int, Waiting]] = []
        self.moving = 0
        self.turns: deque[str] = deque()  # the functions with something due
        self.running = 0
        # All that are in storage, also those under way.
        self.events = 0
        self.bytes = 0


class Queued(NamedTuple):
    """What of a tenant is in storage."""

    events: int
    bytes: int


_NOTHING = Queued(0, 0)


class Lanes:
    """Attempts that may be under way, whatever workers there are: `share` of a tenant (quota.attempts_share),
    `of_function` of a function of one (its reserved concurrency). `home`: the cordon of a tenant."""

    def __init__(
        self,
        share: Callable[[str], int] = lambda tenant: limits.ATTEMPTS_TENANT_MAX,
        of_function: Callable[[str, str], int] = lambda tenant, name: limits.ATTEMPTS_FUNCTION_MAX,
        home: Callable[[str], str] = lambda tenant: "",
    ) -> None:
        self._share = share
        self._of_function = of_function
        self._home = home
        # When functions that were refused are asked for again.
        self._held: list[float] = []
        self._tenants: dict[str, _Tenant] = {}
        self._turns: deque[str] = deque()  # the tenants with something due
        # When tenants have something that falls due; each with the first of its own `later`, and perhaps more often.
        self._later: list[tuple[float, str]] = []
        self._suspects: deque[Waiting] = deque()
        self._order = count()
        self.running = 0
        self._bytes_running = 0
        # Of what is under way its cordon, by its id; and by cordon how many they are, and how many suspects.
        self._cordons: dict[int, str] = {}
        self._running: Counter[str] = Counter()
        self._suspects_running: Counter[str] = Counter()
        self.queued = 0  # all that are in storage

    # ── what is in storage ──────────────────────────────────────────────────────────────────────────────────────

    def of(self, tenant: str) -> Queued:
        """All of a tenant's, also those under way."""
        of = self._tenants.get(tenant)
        return _NOTHING if of is None else Queued(of.events, of.bytes)

    def reserve(self, tenant: str, size: int) -> None:
        """One more is about to be stored: `add` follows, or `gone`."""
        of = self._tenants.setdefault(tenant, _Tenant())
        of.events += 1
        of.bytes += size
        self.queued += 1

    def gone(self, tenant: str, size: int) -> None:
        """One is no longer stored."""
        of = self._tenants[tenant]
        of.events -= 1
        of.bytes -= size
        self.queued -= 1
        self._forget(tenant)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, event: Waiting, due_s: float) -> None:
        """It waits from now on, for its time and then for its turn."""
        later = self._tenants.setdefault(event.tenant, _Tenant()).later
        heapq.heappush(later, (due_s, next(self._order), event))
        if later[0][2] is event:
            heapq.heappush(self._later, (due_s, event.tenant))

    def next_due_s(self) -> float | None:
        """When something more falls due; None: nothing will."""
        return min([*self._held[:1], *(due_s for due_s, _ in self._later[:1])], default=None)

    def take(self, now_s: float, workers: Callable[[str], int]) -> list[Waiting]:
        """Whose turn it is, as many as there is room for with so many workers of each cordon. They are under way until
        `ended`."""
        self._fall_due(now_s)
        while self._held and self._held[0] <= now_s:
            heapq.heappop(self._held)
        taken: list[Waiting] = []
        for _ in range(len(self._suspects)):
            suspect = self._suspects.popleft()
            cordon = self._home(suspect.tenant)
            if self._suspects_running[cordon] < workers(cordon):
                taken.append(self._begin(suspect))
            else:
                self._suspects.append(suspect)
        idle = 0  # tenants in a row that had no turn
        while idle < len(self._turns) and self._bytes_running < limits.ATTEMPTS_BYTES_MAX:
            tenant = self._turns.popleft()
            crew = workers(self._home(tenant))
            event = self._turn(tenant, crew, now_s) if self._has_room(tenant, crew) else None
            if self._tenants[tenant].turns:
                self._turns.append(tenant)
            if event is None:
                idle += 1
            else:
                idle = 0
                taken.append(self._begin(event))
        return taken

    def claimed(self, event: Waiting) -> None:
        """It is on its way to a worker: the keeper has nothing to do with it until `returned`."""
        self._tenants[event.tenant].moving -= 1

    def returned(self, event: Waiting) -> None:
        """Its worker is done with it: `ended` follows."""
        self._tenants[event.tenant].moving += 1

    def refused(self, event: Waiting, now_s: float, pause_s: float) -> None:
        """Its attempt, under way until `ended`, was refused: others of its function wait, too."""
        function = self._tenants[event.tenant].functions[event.name]
        if now_s >= function.held_s:  # else one that ran beside it has said so
            function.window = max(1, min(function.window, function.running) // 2)
            function.held_s = now_s + min(pause_s, limits.EVENT_HOLD_S_MAX)
            heapq.heappush(self._held, function.held_s)

    def taken_in(self, event: Waiting) -> None:
        """Its attempt, under way until `ended`, was not refused."""
        self._tenants[event.tenant].functions[event.name].window += 1

    def ended(self, event: Waiting) -> None:
        """Its attempt is over; what becomes of it is said by `add` or `gone`."""
        of = self._tenants[event.tenant]
        of.running -= 1
        of.moving -= 1
        of.functions[event.name].running -= 1
        self.running -= 1
        self._bytes_running -= event.bytes
        cordon = self._cordons.pop(event.id)
        self._running[cordon] -= 1
        self._suspects_running[cordon] -= event.suspect

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _fall_due(self, now_s: float) -> None:
        """Some of each tenant's, so that it takes no time; the rest at the next look, which is due at once."""
        names: dict[str, None] = {}  # in their order
        while self._later and self._later[0][0] <= now_s:
            names[heapq.heappop(self._later)[1]] = None
        for name in names:
            tenant = self._tenants.get(name)
            if tenant is None:
                continue
            later, left = tenant.later, limits.EVENTS_DUE_MAX
            while later and later[0][0] <= now_s and left:
                self._is_due(tenant, heapq.heappop(later)[2])
                left -= 1
            if later:
                heapq.heappush(self._later, (later[0][0], name))

    def _is_due(self, tenant: _Tenant, event: Waiting) -> None:
        if event.suspect:
            self._suspects.append(event)
            return
        if not tenant.turns:
            self._turns.append(event.tenant)
        function = tenant.functions.setdefault(event.name, _Function())
        if not function.due:
            tenant.turns.append(event.name)
        function.due.append(event)

    def _has_room(self, tenant: str, workers: int) -> bool:
        return self._running[self._home(tenant)] < workers * limits.ATTEMPTS_WORKER_MAX

    def _turn(self, tenant: str, workers: int, now_s: float) -> Waiting | None:
        """The next of this tenant's, of the first function in turn that has not too many under way."""
        of = self._tenants[tenant]
        if of.moving >= limits.EVENTS_MOVING_MAX or of.running >= min(
            workers * limits.ATTEMPTS_TENANT_MAX, self._share(tenant)
        ):
            return None
        for _ in range(len(of.turns)):
            name = of.turns.popleft()
            function = of.functions[name]
            most = min(workers * limits.ATTEMPTS_FUNCTION_MAX, self._of_function(tenant, name), function.window)
            event = function.due.popleft() if function.running < most and now_s >= function.held_s else None
            if function.due:
                of.turns.append(name)
            if event is not None:
                return event
        return None

    def _begin(self, event: Waiting) -> Waiting:
        of = self._tenants.setdefault(event.tenant, _Tenant())
        of.running += 1
        of.moving += 1
        of.functions.setdefault(event.name, _Function()).running += 1
        self.running += 1
        self._bytes_running += event.bytes
        self._cordons[event.id] = cordon = self._home(event.tenant)
        self._running[cordon] += 1
        self._suspects_running[cordon] += event.suspect
        return event

    def _forget(self, tenant: str) -> None:
        """Nothing is kept of a tenant without events."""
        if self._tenants[tenant].events == 0:
            del self._tenants[tenant]
