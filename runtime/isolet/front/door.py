"""What all connections of a worker share: routing table, invoker, caches of the second, counters, and the sweep.

Laws:
- The door owns no policy of its own: limits are values (`HttpLimits`), time is a Clock, invocations go to an invoker.
- One sweep a second looks at all connections in place of a timer each: a deadline costs a request nothing, and fires
  within SWEEP_S after its time, never before. (A `call_later` and its cancelling cost 1.1 µs a request.) `sweep` may be
  called by anybody at any time; tests call it with a manual clock.
- `now_s` is monotonic time as of the last sweep: what connections stamp themselves with.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from ipaddress import IPv6Address, ip_address
from os import urandom
from typing import Any, Protocol

from .. import limits
from ..clock import Clock, SystemClock
from ..errors import GuestError
from ..model import Invocation, Outcome, Target
from ..routing import RoutingTable
from . import events
from .callers import Caller, Received
from .passing import Passing
from .shape import Shape


class Ticket(Protocol):
    """One invocation under way."""

    def cancel(self) -> None:
        """The client left: nobody will read the outcome."""


class AcceptanceLike(Protocol):
    """What the door needs of acceptance.py."""

    def submit(self, event: list[Any], size: int, done: Callable[[Exception | None], None]) -> None:
        """`done` is called once: with None when the event is durable."""


class InvokerLike(Protocol):
    """What the door needs of invoker.py."""

    def submit(self, invocation: Invocation, done: Callable[[Outcome], GuestError | None]) -> Ticket:
        """Starts an invocation; `done` is called exactly once, maybe before `submit` returns. May raise CallerError,
        HostError."""

    def admit_event(self, target: Target) -> None:
        """An event for this function is about to be accepted. Raises Throttled."""


class CallersLike(Protocol):
    """What the door needs of callers.py."""

    def caller(self, received: Received) -> Caller | Awaitable[Caller]: ...


# At most so many answers wait for each other, and only short ones: the last of them waits for a millisecond of others.
_HELD_MAX = 16
_HELD_BYTES_MAX = 16_384

# The control plane, wherever it is: (method, path, query, headers, body) → (status, headers, body).
Control = Callable[[str, str, str, list[tuple[str, str]], bytes], Awaitable[tuple[int, Mapping[str, str], bytes]]]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of limits.py that the door enforces; tests make them small."""

    headers_bytes: int = limits.HEADERS_BYTES_MAX
    headers: int = limits.HEADERS_MAX
    url_bytes: int = limits.URL_BYTES_MAX
    headers_timeout_s: float = limits.HEADERS_TIMEOUT_S
    body_bytes_per_s: int = limits.BODY_BYTES_PER_S_MIN
    payload_bytes: int = limits.PAYLOAD_BYTES_MAX
    control_body_bytes: int = limits.CONTROL_BODY_BYTES_MAX
    keep_alive_s: float = limits.KEEP_ALIVE_S
    linger_s: float = limits.LINGER_S
    connections: int = limits.CONNECTIONS_MAX
    connections_per_address: int = limits.CONNECTIONS_ADDRESS_MAX
    pipelined: int = limits.PIPELINED_MAX
    chunk_framing_bytes: int = limits.CHUNK_FRAMING_BYTES_MAX
    bodies_bytes: int = limits.BODIES_BYTES_MAX
    bodies_bytes_per_address: int = limits.BODIES_ADDRESS_BYTES_MAX
    unsent_bytes: int = limits.UNSENT_BYTES_MAX


class Counters:
    """What the door has seen, for metrics. Integers that only grow, but for what `Door` itself knows."""

    __slots__ = ("connections", "disconnects", "invocations", "refused", "requests", "swept")

    def __init__(self) -> None:
        self.connections = 0  # accepted, ever
        self.requests = 0  # complete ones, of all kinds
        self.invocations = 0  # handed to the invoker
        self.disconnects = 0  # clients that left while their request was under way
        self.swept: Counter[str] = Counter()  # connections ended by a deadline or bound, by reason
        self.refused: Counter[str] = Counter()  # requests refused before they were served, by error name


class Member(Protocol):
    """A connection, as the door sees it."""

    held: bytes

    def write(self, data: bytes) -> None: ...

    def sweep(self, now_s: float) -> None: ...

    def go_on(self) -> None: ...

    def unsent_bytes(self) -> int: ...

    def abort(self, reason: str) -> None: ...


class Door:
    """Made once per worker by server.py; `protocol_factory(door)` (protocol.py) makes uvicorn's http class of it."""

    def __init__(
        self,
        routes: RoutingTable,
        invoker: InvokerLike,
        callers: CallersLike,
        *,
        acceptance: AcceptanceLike | None = None,
        passing: Passing | None = None,
        http_limits: HttpLimits | None = None,
        clock: Clock | None = None,
        billing_step_ms: int = 1,
    ) -> None:
        self.routes = routes
        self.invoker = invoker
        # Takes asynchronous invocations; None: they are refused.
        self.acceptance = acceptance
        self.callers = callers
        # The way to workers of other cordons; None: there are none, or this is one of them.
        self.passing = passing
        # The processes whose word is believed, on the sockets of such a worker (inner.py).
        self.doors: frozenset[int] = frozenset()
        self.limits = http_limits or HttpLimits()
        self.clock = clock or SystemClock()
        # Read in every request: the bound method, and for the system's clock the function behind it.
        self._wall_s = time.time if type(self.clock) is SystemClock else self.clock.wall_s
        self.billing_step_ms = billing_step_ms
        self.counters = Counters()
        self.connections: set[Member] = set()
        # Of each peer (`peer_of`) how many of them.
        self.peers: Counter[str] = Counter()
        # Connections whose answers wait for a slow reader.
        self.stalled: set[Member] = set()
        # Bytes of bodies received and not yet answered, in all connections.
        self.bodies_bytes = 0
        # Of each peer how many of them.
        self.peer_bytes: Counter[str] = Counter()
        # No new requests are wanted, on no connection; and whether there is time for those that are on their way.
        self.draining = False
        self.retiring = False
        # The tenants who had an answer in this turn of the loop, and answers that wait for its end.
        self._answered: set[str] = set()
        self._held: list[Member] = []
        # Who has something large to do, in turn: a piece of an answer to be written, a request to be packed.
        self._large: deque[Member] = deque()
        self._turning = False
        self.now_s = self.clock.monotonic_s()
        self._timer: asyncio.TimerHandle | None = None
        # Caches of the second, see `epoch_ms`.
        self.date_line = b""
        self.time_part = b""
        self._second_ends_ms = 0
        self._sites: dict[tuple[str, str], bytes] = {}
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._ids: list[str] = []

    # ── of the second, and of the function ──────────────────────────────────────────────────────────────────────

    def epoch_ms(self) -> int:
        """Unix milliseconds; `date_line` and `time_part` are those of the same second afterwards."""
        now_ms = int(self._wall_s() * 1000)
        if not self._second_ends_ms - 1000 <= now_ms < self._second_ends_ms:
            second = now_ms // 1000
            self._second_ends_ms = (second + 1) * 1000
            self.date_line = b"date: " + formatdate(second, usegmt=True).encode("ascii") + b"\r\n"
            self.time_part = events.time_part(second)
        return now_ms

    def site_part(self, name: str, route_key: str) -> bytes:
        """`events.site_part`, remembered: names and routes are as many as the table has."""
        part = self._sites.get((name, route_key))
        if part is None:
            if len(self._sites) >= 4096:
                self._sites.clear()
            part = self._sites[name, route_key] = events.site_part(name, route_key)
        return part

    def shape(self, target: Target) -> Shape:
        """What is known of the function's answers."""
        shape = self._shapes.get((target.tenant, target.name))
        if shape is None:
            if len(self._shapes) >= 4096:
                self._shapes.clear()
            shape = self._shapes[target.tenant, target.name] = Shape()
        return shape

    def request_id(self) -> str:
        """A fresh UUID, version 4. Made 256 at a time: a formatted one each costs 0.5 µs, this way 0.1 µs.

        The ids of a batch share their first seventy random bits and count in the last eight; forty are each one's own.
        """
        if not self._ids:
            raw = urandom(10 + 5 * 256).hex()
            variant = "89ab"[int(raw[15], 16) % 4]
            shared = f"{raw[:8]}-{raw[8:12]}-4{raw[12:15]}-{variant}{raw[16:19]}-"
            self._ids = [shared + raw[at : at + 10] + _BYTES[at // 10 - 2] for at in range(20, len(raw), 10)]
        return self._ids.pop()

    # ── answers of one turn ─────────────────────────────────────────────────────────────────────────────────────

    def holds_back(self, member: Member, data: bytes, tenant: str) -> bool:
        """True if `data` is kept and written with other answers of this turn of the loop; else the caller writes it.

        Writing wakes the client, and where it sleeps on another processor that costs more than all the rest of the
        write (13 µs of 18; with 32 connections to one client, a fifth of the request). So a tenant's first answer of a
        turn is written at once, and the others together: at the turn's end, or HELD_MAX at a time. (The first of
        each, for a turn may be another's burst: one that was ready waited a millisecond for it.)
        """
        answered = self._answered
        if tenant not in answered:
            if not answered:
                asyncio.get_running_loop().call_soon(self._turn_ended)
            answered.add(tenant)
            return False
        if len(data) > _HELD_BYTES_MAX:
            return False
        member.held = data
        self._held.append(member)
        if len(self._held) >= _HELD_MAX:
            self._write_held()
        return True

    def _turn_ended(self) -> None:
        self._answered.clear()
        if self._held:
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        for member in held:
            if member.held:  # not written in the meantime, nor lost
                member.write(b"")

    def in_turn(self, member: Member) -> None:
        """Has `member.go_on` called when its turn comes: one of all in a turn of the loop."""
        self._large.append(member)
        self._next_turn()

    def _next_turn(self) -> None:
        if self._large and not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turning = False
        member = self._large.popleft()
        self._next_turn()
        member.go_on()  # and perhaps comes again, behind the others

    # ── connections ─────────────────────────────────────────────────────────────────────────────────────────────

    def joined(self, member: Member, peer: str = "") -> str:
        """Notes a connection of `peer`; why it must go, or "" when there is room. The peer is what `left` is told."""
        self.counters.connections += 1
        refusal = ""
        if len(self.connections) >= self.limits.connections:
            refusal = f"{self.limits.connections:,} connections are open; try again later"
        elif peer and self.peers[peer] >= self.limits.connections_per_address:
            refusal = f"{self.limits.connections_per_address:,} connections of your address are open; close some"
        self.connections.add(member)
        if peer:
            self.peers[peer] += 1
        if self._timer is None:
            self.now_s = self.clock.monotonic_s()
            self._arm()
        return refusal

    def left(self, member: Member, peer: str = "") -> None:
        self.connections.discard(member)
        self.stalled.discard(member)
        if peer:
            self.peers[peer] -= 1
            if self.peers[peer] <= 0:
                del self.peers[peer]

    def hold(self, peer: str, size: int) -> None:
        """Counts bytes of a body that has come."""
        self.bodies_bytes += size
        if peer:
            self.peer_bytes[peer] += size

    def give_back(self, peer: str, size: int) -> None:
        self.bodies_bytes -= size
        if peer:
            self.peer_bytes[peer] -= size
            if self.peer_bytes[peer] <= 0:
                del self.peer_bytes[peer]

    def overfull(self, peer: str, more: int = 0) -> str:
        """Why `more` bytes of bodies have no room; "" if they have."""
        if self.bodies_bytes + more > self.limits.bodies_bytes:
            return "too many bytes of request bodies are being received; try again later"
        if peer and self.peer_bytes[peer] + more > self.limits.bodies_bytes_per_address:
            return "too many bytes of request bodies are being received from your address; send less at once"
        return ""

    def idle_allowed_s(self) -> float:
        """How long an idle connection may stay: near the cap, only a moment, so that idle ones make room."""
        if self.draining:
            return limits.RETIRE_IDLE_S
        crowded = len(self.connections) >= self.limits.connections * 3 // 4
        return limits.SWEEP_S if crowded else self.limits.keep_alive_s

    def sweep(self) -> None:
        """Ends what is over its deadline, and the largest unread answers when all together are over their bound."""
        self.now_s = now_s = self.clock.monotonic_s()
        for member in list(self.connections):
            member.sweep(now_s)
        if self.stalled:
            unsent = sorted(((member.unsent_bytes(), id(member), member) for member in self.stalled), reverse=True)
            total = sum(size for size, _, _ in unsent)
            for size, _, member in unsent:
                if total <= self.limits.unsent_bytes:
                    break
                member.abort("unsent bytes of all connections")
                total -= size
        if self.passing is not None:
            self.passing.sweep()

    def _arm(self) -> None:
        # Only while there are connections: an idle loop has nothing to wake up for.
        self._timer = asyncio.get_running_loop().call_later(limits.SWEEP_S, self._swept)

    def _swept(self) -> None:
        self.sweep()
        if self.connections:
            self._arm()
        else:
            self._timer = None

    def close(self) -> None:
        """Stops the sweep. For the end of a server; connections are its own to close."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.passing is not None:
            self.passing.close()


def peer_of(address: str) -> str:
    """What counts as one peer: an IPv4 address; of an IPv6 one the network that one household has. "" for none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))


_BYTES = [f"{i:02x}" for i in range(256)]
