"""One request and its answer: what a connection queues, starts and is told the end of.

Laws:
- An exchange is started once, when all before it on its connection are answered, and answers exactly once, maybe before
  `start` returns. One whose client left answers nothing.
- It is complete when it is started: its body has arrived within all limits. A body cut short by a malformed chunk or a
  disconnect never reaches a function or the application.

`HttpExchange`, `PassExchange` and `Refusal` are here; Lambda's Invoke is in invoke.py, the way to the ASGI application
in asgi.py.
"""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING

from .. import limits
from ..errors import GuestError, IsoletError, Overloaded, UnknownFunction
from ..model import Invocation, Outcome, Target
from ..routing import Match
from . import events, wire
from .head import Head

_log = logging.getLogger("isolet.front")

if TYPE_CHECKING:
    from .callers import Caller
    from .door import Ticket
    from .protocol import Connection


_PIECE_BYTES_MIN = 16 * limits.KIB


class Exchange:
    """What every kind has. `connection` is None once the answer is written or the client has left."""

    # Ordinary attributes with defaults in the class, no slots: an exchange sets six of them, and making one is on every
    # request's way.
    body: bytes = b""
    # Of a body that does not come at once: what came after its first part, until it is complete.
    pieces: list[bytes | bytearray] | None = None
    body_bytes = 0
    keep_alive = True
    http_1_0 = False
    # Whether unread bytes of the request may follow: the connection then closes with patience.
    linger = False
    # Whether its answer is framed in chunks.
    chunked = False
    # Whether a large one has had its turn.
    started = False
    # Whose function answers; "": none's.
    tenant = ""

    def __init__(self, connection: Connection, method: bytes, head: Head) -> None:
        self.connection: Connection | None = connection
        self.method = method
        self.head = head

    def start(self) -> None:
        raise NotImplementedError

    def add(self, part: bytes) -> None:
        """Keeps another part of its body."""
        if self.pieces is None:
            self.pieces = []
        add_part(self.pieces, part)

    def join(self) -> None:
        """Its body has come."""
        assert self.pieces is not None, "it came in parts"
        self.body = b"".join([self.body, *self.pieces])
        self.pieces = None

    def abandon(self) -> None:
        """The client left."""
        self.connection = None

    def answer(self, answer: wire.Answer) -> None:
        """Writes the answer and gives the connection on to the next."""
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.write_answer(self, answer)


def add_part(pieces: list[bytes | bytearray], part: bytes) -> None:
    """Keeps another part of a body, as it came: a buffer that grows is copied again and again, 80 MB for 6. Small parts
    are put together: a byte that is an object takes 40."""
    if len(part) >= _PIECE_BYTES_MIN:
        pieces.append(part)
        return
    last = pieces[-1] if pieces else b""
    if type(last) is bytearray and len(last) < _PIECE_BYTES_MIN:
        last += part
    else:
        pieces.append(bytearray(part))


class Refusal(Exchange):
    """The last exchange of a connection: bytes that cannot be served, answered with their reason."""

    def __init__(self, connection: Connection, head: Head, error: IsoletError, linger: bool) -> None:
        super().__init__(connection, b"", head)
        self.error = error
        self.keep_alive = False
        self.linger = linger

    def start(self) -> None:
        if self.connection is not None:
            door = self.connection.door
            door.counters.refused[self.error.name] += 1
            _log.info("refused %s: %s: %s", self.connection.client, self.error.name, self.error.message)
            self.answer(wire.aws_error(self.error, self.connection.request_id()))


class Missing(Exchange):
    """A request to the host or the prefix of a function that is not there, or does not answer HTTP."""

    def __init__(self, connection: Connection, method: bytes, head: Head, name: str) -> None:
        super().__init__(connection, method, head)
        self.error = UnknownFunction(f"no function {name!r} answers HTTP here; deploy it with [http] in its manifest")

    def start(self) -> None:
        if self.connection is not None:
            door = self.connection.door
            door.counters.refused[self.error.name] += 1
            self.answer(wire.http_failure(self.error, self.connection.request_id()))


class Invoking(Exchange):
    """An exchange that is an invocation: it holds the ticket, and cancels it when the client leaves."""

    request_id = ""

    def __init__(self, connection: Connection, method: bytes, head: Head) -> None:
        super().__init__(connection, method, head)
        self.ticket: Ticket | None = None

    def submit(self, invocation: Invocation) -> None:
        connection = self.connection
        assert connection is not None, "only a started exchange submits"
        connection.door.counters.invocations += 1
        self.tenant = invocation.target.tenant
        try:
            ticket = connection.door.invoker.submit(invocation, self.done)
        except Exception as error:
            self.failed(error)
            return
        if self.connection is not None:  # not answered yet
            self.ticket = ticket

    def pass_on(self, path: str, query: bytes, target: Target, caller: Caller | None = None) -> None:
        """Has a worker of the target's cordon answer."""
        connection = self.connection
        assert connection is not None, "only a started exchange is passed on"
        passing = connection.door.passing
        try:
            if passing is None:
                raise Overloaded(f"no worker of the cordon {target.cordon} is known here; try again later")
            ticket = passing.begin(self, path, query, target, caller)
        except Exception as error:
            self.failed(error)
            return
        self.ticket = ticket

    def done(self, outcome: Outcome) -> GuestError | None:
        """Answers. Returns why the outcome's value cannot be the answer, if it cannot."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        raise NotImplementedError

    def abandon(self) -> None:
        self.connection = None
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            ticket.cancel()


class PassExchange(Invoking):
    """A request for an HTTP function of another cordon."""

    def __init__(
        self, connection: Connection, method: bytes, head: Head, path: str, query: bytes, target: Target
    ) -> None:
        super().__init__(connection, method, head)
        self.path = path
        self.query = query
        self.target = target

    def start(self) -> None:
        assert self.connection is not None, "abandoned exchanges are not started"
        self.request_id = self.connection.request_id()
        self.pass_on(self.path, self.query, self.target)

    def failed(self, error: Exception) -> None:
        self.answer(wire.http_failure(error, self.request_id))


class HttpExchange(Invoking):
    """A request for an HTTP function: an event in payload format 2.0, an answer from its result."""

    def __init__(self, connection: Connection, method: bytes, head: Head, match: Match, query: bytes) -> None:
        self.connection = connection
        self.ticket = None
        self.method = method
        self.head = head
        self.match = match
        self.query = query

    def start(self) -> None:
        connection = self.connection
        assert connection is not None, "abandoned exchanges are not started"
        door, match = connection.door, self.match
        started_ns = perf_counter_ns()
        self.request_id = request_id = connection.request_id()
        epoch_ms = door.epoch_ms()
        event = events.pack_event(
            site=door.site_part(match.target.name, match.route_key),
            head=self.head,
            source=connection.source_part,
            time=door.time_part,
            epoch_ms=epoch_ms,
            request_id=request_id.encode("ascii"),
            method=self.method,
            path=match.path,
            query=self.query,
            parameters=match.parameters,
            body=self.body,
            http_1_0=self.http_1_0,
        )
        self.body = b""  # the event holds it now
        trace, unpack = self.head.trace_id, door.shape(match.target).answer
        self.submit(Invocation(match.target, request_id, event, started_ns, b"\xc0", trace, unpack=unpack))

    def done(self, outcome: Outcome) -> GuestError | None:
        if self.connection is None:
            return None
        if outcome.error is not None:
            self.failed(outcome.error)
            return None
        value, own_lines = outcome.value, wire.request_id_line(self.request_id)
        if type(value) is wire.Answer:
            status, lines, body = value
            self.answer(wire.Answer(status, own_lines + lines, body))
            return None
        try:
            answer = events.answer(value, own_lines, outcome.rendered)
        except GuestError as error:
            self.failed(error)
            return error
        self.answer(answer)
        return None

    def failed(self, error: Exception) -> None:
        self.answer(wire.http_failure(error, self.request_id))
