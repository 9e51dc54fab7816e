"""The hop: how a request at the door gets to a worker of another cordon, and its answer back.

Each worker of another cordon listens on a UNIX socket. A line is one connection to it, kept alive; a request has a line
to itself until it is answered, so that a slow reader holds up nobody else and a client that leaves is a line that
closes.

Laws:
- The request is complete before it is passed on. Its head is built anew from what the parser found: one length, no
  header of this connection; and as its first line PASSED, which a client cannot send (its own is dropped).
- Nothing is sent on a new line before the worker has greeted: until then the next worker is tried. What was sent is
  sent once more only if the kernel says that the worker left bytes of it unread (ECONNRESET, EPIPE): it was never
  complete there, and never ran. What ends in any other way before an answer is WorkerLost, with its request id.
- A worker of another cordon is not believed: an answer that is no HTTP, has no end or two, or more than its length ends
  the line, and its client gets a failure or a cut answer. Nothing that comes on an idle line is an answer.
- Answers stream: what a reader does not take is not read here.
- A worker that neither begins an answer within the function's time nor goes on with one is given up.

Refused: to send on what came, byte for byte, which is what makes request smuggling; and many requests on one connection
in frames of ours, which would need a window for each of them, where a connection has the kernel's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import httptools

from .. import limits
from ..cordons import owner
from ..errors import IsoletError, Overloaded, WorkerLost
from ..model import Target
from . import wire
from .callers import Caller
from .head import HOP_BY_HOP

if TYPE_CHECKING:
    from .exchange import Invoking
    from .head import Head

_log = logging.getLogger("isolet.front")

# What a worker writes on a new line: it takes the door's word.
GREETING = b"+"
# The header that begins every head on a line: `<request id> <client> <version> <account> <access key>`, each `-` if
# there is none.
PASSED = b"isolet-passed"
_NOT_PASSED = HOP_BY_HOP | {PASSED, b"content-length"}
# Of an answer, what the door says itself.
_NOT_ANSWERED = HOP_BY_HOP | {b"content-length", b"date", b"server"}


class Passed(NamedTuple):
    """What the door says of a request beside the request."""

    request_id: str
    client: str
    http_1_0: bool
    caller: Caller | None

    def line(self) -> bytes:
        caller = self.caller or Caller("-", "-")
        words = (self.request_id, self.client or "-", "1.0" if self.http_1_0 else "1.1", *caller)
        return b"%b: %b\r\n" % (PASSED, " ".join(words).encode("ascii"))

    @classmethod
    def read(cls, value: bytes) -> Passed:
        """Raises ValueError."""
        request_id, client, version, account, access_key = value.decode("ascii").split(" ")
        caller = None if account == "-" else Caller(account, access_key)
        return cls(request_id, "" if client == "-" else client, version == "1.0", caller)


# Starts the worker of a tenant that has its own, unless it runs; what it listens on. Raises HostErrors.
Summon = Callable[[str], Awaitable[str]]


class Way:
    """To one worker."""

    __slots__ = ("down_until_s", "idle", "load", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.idle: list[Line] = []
        self.load = 0  # requests that are there now
        self.down_until_s = 0.0


class Passing:
    """A door worker's. `paths`: the sockets of each cordon's workers."""

    def __init__(self, paths: Mapping[str, Sequence[str]], summon: Summon, monotonic_s: Callable[[], float]) -> None:
        self._ways = {cordon: [Way(path) for path in found] for cordon, found in paths.items()}
        self._summon = summon
        self._monotonic_s = monotonic_s
        self._turn = 0
        self._loads: dict[str, int] = {}
        self.passages: set[Passage] = set()
        # Requests passed on, ever; and those that were sent a second time.
        self.passed = 0
        self.repeated = 0

    def begin(self, exchange: Invoking, path: str, query: bytes, target: Target, caller: Caller | None) -> Passage:
        """Passes a request on; its exchange hears the answer, or `failed`. Raises HostErrors."""
        cordon = target.cordon
        load = self._loads.get(cordon, 0)
        if load >= limits.PASSAGES_MAX:
            raise Overloaded(f"{load:,} requests are with the workers of {cordon}; try again later")
        self._loads[cordon] = load + 1
        self.passed += 1
        url = path.encode("ascii") + (b"?" + query if query else b"")
        passage = Passage(self, exchange, url, target, caller)
        self.passages.add(passage)
        passage.start()
        return passage

    def ended(self, passage: Passage) -> None:
        self.passages.discard(passage)
        cordon = passage.cordon
        self._loads[cordon] -= 1
        if not self._loads[cordon]:
            del self._loads[cordon]

    # ── which worker ────────────────────────────────────────────────────────────────────────────────────────────

    def choose(self, cordon: str, tried: Sequence[Way]) -> Way | None:
        """The way with the fewest requests of this door that is not known to be down; in turn, where several have."""
        now_s = self._monotonic_s()
        ways = [way for way in self._ways.get(cordon, ()) if way not in tried and way.down_until_s <= now_s]
        if not ways:
            return None
        self._turn += 1
        turn = self._turn % len(ways)
        return min(ways[turn:] + ways[:turn], key=lambda way: way.load)

    def is_down(self, way: Way) -> None:
        """Nobody answers there: others are asked first for a moment."""
        way.down_until_s = self._monotonic_s() + limits.PASSAGE_DOWN_S

    async def summoned(self, cordon: str) -> None:
        """Knows the way to the worker of a tenant that has its own when it returns. Raises HostErrors."""
        path = await self._summon(cordon)
        way = next(iter(self._ways.get(cordon, ())), None)
        if way is None or way.path != path:
            self._ways[cordon] = [Way(path)]
        else:
            way.down_until_s = 0.0

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────

    def sweep(self) -> None:
        """Gives up what is over its time, and lines that nobody needed for a while. About once a second."""
        now_s = self._monotonic_s()
        for passage in list(self.passages):
            passage.sweep(now_s)
        for ways in self._ways.values():
            for way in ways:
                for line in [line for line in way.idle if now_s - line.since_s > limits.PASSAGE_IDLE_S]:
                    line.close()

    def close(self) -> None:
        for ways in self._ways.values():
            for way in ways:
                for line in list(way.idle):
                    line.close()


class Passage:
    """One request on its way: a Ticket, as far as its exchange knows."""

    def __init__(self, passing: Passing, exchange: Invoking, url: bytes, target: Target, caller: Caller | None) -> None:
        connection = exchange.connection
        assert connection is not None, "passed on while starting"
        self._passing = passing
        self._exchange: Invoking | None = exchange
        self._connection = connection
        self.cordon = target.cordon
        self._function = target.name
        client = connection.client_address
        said = Passed(exchange.request_id, client, exchange.http_1_0, caller)
        body, exchange.body = exchange.body, b""
        self._request: tuple[bytes, bytes | bytearray] | None = (
            request_head(exchange.method, url, said, exchange.head, len(body)),
            wire.as_chunks(body) if exchange.head.chunked else body,
        )
        self._without_body = exchange.method == b"HEAD"
        self._way: Way | None = None
        self._line: Line | None = None
        self._tried: list[Way] = []
        self._connecting: asyncio.Task[None] | None = None
        self._repeated = False
        # A worker may take this long to begin an answer, and to go on with one.
        self._patience_s = target.timeout_s + limits.PASSAGE_GRACE_S
        self._since_s = passing._monotonic_s()
        # The answer, as far as it is here.
        self._status = 0
        self._lines: list[bytes] = []
        self._head_bytes = 0
        self._length = -1
        self._chunked = False
        self._parts: list[bytes] = []
        self._streaming = False
        self._paused = False

    # ── there ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        way = self._passing.choose(self.cordon, self._tried)
        if way is not None and way.idle:
            self._send(way.idle[-1])
        else:
            self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        """Finds a worker that greets, on a new line."""
        try:
            async with asyncio.timeout(limits.PASSAGE_CONNECT_S):
                line = await self._greeted()
        except TimeoutError:
            self._fail(self._nobody())
        except IsoletError as error:
            self._fail(error)
        except Exception:
            _log.exception("no way to a worker of %s", self.cordon)
            self._fail(self._nobody())
        else:
            self._connecting = None
            if self._exchange is None:
                line.close()
            else:
                self._send(line)

    async def _greeted(self) -> Line:
        summoned = False
        while True:
            way = self._passing.choose(self.cordon, self._tried)
            if way is None:
                if owner(self.cordon) is None or summoned:
                    raise self._nobody()
                await self._passing.summoned(self.cordon)
                summoned = True
                self._tried = []
                continue
            line = await open_line(way)
            if line is not None:
                return line
            self._tried.append(way)
            self._passing.is_down(way)

    def _nobody(self) -> Overloaded:
        return Overloaded(f"no worker of the cordon {self.cordon} answers at the moment; try again later")

    def _send(self, line: Line) -> None:
        assert self._request is not None, "sent before there is an answer"
        self._line, self._way = line, line.way
        head, body = self._request
        line.take(self)
        if len(body) <= _JOINED_BYTES:
            line.transport.write(head + body)
        else:
            line.transport.write(head)
            line.transport.write(body)

    # ── and back: called by the line ────────────────────────────────────────────────────────────────────────────

    def headed(self, status: int, lines: list[bytes], length: int, chunked: bool) -> bool:
        """The head of the answer. False if it cannot be one of ours."""
        exchange = self._exchange
        assert exchange is not None, "a line without its passage is closed"
        self._request = None
        bodiless = status in wire.BODILESS
        if not 200 <= status <= 599 or (length < 0 and not chunked and not bodiless):
            return False
        if chunked and exchange.http_1_0:
            return False
        self._status, self._lines, self._length, self._chunked = status, lines, length, chunked
        return True

    def part(self, data: bytes) -> None:
        self._parts.append(data)

    @property
    def is_headed(self) -> bool:
        return self._status != 0

    @property
    def is_bodiless(self) -> bool:
        """Whether no body follows the head, whatever the head says of its length."""
        return self._without_body

    def pump(self, line: Line) -> None:
        """Some of the answer has come, and not all."""
        exchange, connection = self._exchange, self._connection
        if exchange is None or not self._status:
            return
        self._since_s = self._passing._monotonic_s()
        if not self._streaming:
            self._begin(exchange)
        data, self._parts = b"".join(self._parts), []
        if not data:
            return
        room = connection.write_part(wire.as_chunk(data) if self._chunked else data)
        if room is not None and not self._paused:
            self._paused = True
            line.transport.pause_reading()
            room.add_done_callback(lambda _: self._resume(line))

    def _begin(self, exchange: Invoking) -> None:
        self._streaming = True
        if exchange.http_1_0:
            exchange.keep_alive = False
        framing = b"content-length: %d\r\n" % self._length if self._length >= 0 else b""
        if self._chunked:
            framing = wire.CHUNKED
        self._connection.begin_stream(exchange, self._status, b"".join(self._lines), framing)

    def _resume(self, line: Line) -> None:
        self._paused = False
        self._since_s = self._passing._monotonic_s()
        if self._exchange is not None and not line.transport.is_closing():
            line.transport.resume_reading()

    def complete(self) -> None:
        """All of the answer has come."""
        exchange, connection = self._exchange, self._connection
        if exchange is None:
            return
        whole = b"".join(self._parts)
        if self._streaming or self._without_body:
            if not self._streaming:
                self._begin(exchange)
            end = (wire.as_chunk(whole) + wire.LAST_CHUNK) if self._chunked else whole
            self._over()
            exchange.connection = None
            connection.end_stream(exchange, b"" if self._without_body else end)
            return
        exchange.chunked = self._chunked
        self._over()
        exchange.answer(wire.Answer(self._status, b"".join(self._lines), whole))

    def lost(self, reason: str, unread: bool) -> None:
        """The line ended before the answer did. `unread`: the worker had not read all of the request."""
        exchange, connection = self._exchange, self._connection
        if exchange is None:
            return
        if self._request is not None and unread and not self._repeated:
            self._repeated = True
            self._passing.repeated += 1
            if self._way is not None:
                self._way.load -= 1
            self._line = self._way = None
            # Not on another idle line, which may be as dead: a new one says whether somebody is there.
            self._connecting = asyncio.ensure_future(self._connect())
            return
        if not self._streaming:
            message = f"a worker of the cordon {self.cordon} failed while it had this request: {reason}; try again"
            self._fail(WorkerLost(message))
            return
        _log.info("an answer of %s was cut: %s", self._function, reason)
        self._over()
        exchange.keep_alive = False
        exchange.connection = None
        connection.end_stream(exchange, b"")

    def sweep(self, now_s: float) -> None:
        if not self._paused and self._line is not None and now_s - self._since_s > self._patience_s:
            line = self._line
            self.lost(f"no answer within {self._patience_s:g} s", unread=False)
            line.abort()

    def cancel(self) -> None:
        """The client left: so does its line, which the worker takes for a client that left."""
        line = self._line
        self._over()
        if line is not None:
            line.abort()

    def _fail(self, error: IsoletError) -> None:
        exchange = self._exchange
        if exchange is not None:
            self._over()
            exchange.failed(error)

    def _over(self) -> None:
        if self._exchange is None:
            return
        self._exchange.ticket = None
        self._exchange = self._request = self._line = None
        if self._way is not None:
            self._way.load -= 1
            self._way = None
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        self._connecting = None
        self._passing.ended(self)


# A body up to this size is copied behind its head: one system call in place of two.
_JOINED_BYTES = 64 * 1024


class Line(asyncio.Protocol):
    """One connection to a worker, kept alive."""

    transport: asyncio.Transport

    def __init__(self, way: Way) -> None:
        self.way = way
        self.since_s = 0.0
        self.greeted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._passage: Passage | None = None
        self._parser: Any = None
        self._begun = False
        self._complete = False
        self._garbled = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0

    def take(self, passage: Passage) -> None:
        """From now on until it is complete, what comes is this one's answer."""
        if self in self.way.idle:
            self.way.idle.remove(self)
        self.way.load += 1
        self._passage = passage
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._begun = self._complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.greeted.done():
            if data != GREETING:
                self.abort()
            else:
                self.greeted.set_result(True)
            return
        passage = self._passage
        if passage is None:
            self.abort()  # nobody asked
            return
        if not passage.is_headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._complete:
                self._garbled = self._garbled or str(error) or type(error).__name__
        if self._garbled:
            self._give_up(passage, f"it sent what is no answer: {self._garbled}")
        elif self._complete:
            self._answered(passage)
        elif not passage.is_headed and self._head_bytes > limits.PASSAGE_HEAD_BYTES_MAX:
            self._give_up(passage, "it sent no end of an answer's headers")
        else:
            passage.pump(self)

    def _answered(self, passage: Passage) -> None:
        keep = self._again and not self.transport.is_closing()
        self._passage = None
        self._head_bytes = 0
        if keep and len(self.way.idle) < limits.PASSAGE_IDLE_MAX:
            self.since_s = passage._passing._monotonic_s()
            self.way.idle.append(self)
        else:
            self.close()
        passage.complete()

    def _give_up(self, passage: Passage, reason: str) -> None:
        self._passage = None
        _log.warning("a worker of %s is not believed: %s", passage.cordon, reason)
        passage.lost(reason, unread=False)
        self.abort()

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._begun:
            # A second answer in the same breath. The first one stands; the line does not.
            self._again = False
            raise ValueError("two answers")
        self._begun = True
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if len(self._headers) > limits.PASSAGE_HEADERS_MAX:
            self._garbled = "more headers than any answer of ours"
            raise ValueError(self._garbled)

    def on_headers_complete(self) -> None:
        passage = self._passage
        assert passage is not None, "fed for a passage only"
        lines, length, chunked = [], -1, False
        for name, value in self._headers:
            lower = name.lower()
            if lower == b"content-length":
                length = int(value)
            elif lower == b"transfer-encoding":
                chunked = value.lower() == b"chunked"
            if lower not in _NOT_ANSWERED:
                lines.append(b"%b: %b\r\n" % (name, value))
        self._again = self._parser.should_keep_alive() or passage.is_bodiless
        if any(name.lower() == b"connection" and value.lower() == b"close" for name, value in self._headers):
            self._again = False
        if not passage.headed(self._parser.get_status_code(), lines, length, chunked):
            self._garbled = "a head that no answer of ours has"
            raise ValueError(self._garbled)
        if passage.is_bodiless:
            # The parser does not know that this answers HEAD, and would wait for a body.
            self._complete = True
            self._parser = None

    def on_body(self, body: bytes) -> None:
        passage = self._passage
        if passage is not None and not passage.is_bodiless:
            passage.part(body)

    def on_message_complete(self) -> None:
        self._complete = True

    # -- the end

    _again = True

    def eof_received(self) -> None:
        """The worker has closed; the transport follows a turn later. Until then nothing may be sent on it."""
        self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(ValueError):
            self.way.idle.remove(self)

    def connection_lost(self, reason: Exception | None) -> None:
        self._leave()
        if not self.greeted.done():
            self.greeted.set_result(False)
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.lost(str(reason) if reason else "it closed the connection", unread=isinstance(reason, OSError))

    def close(self) -> None:
        self._leave()
        self.transport.close()

    def abort(self) -> None:
        self._passage = None
        self._leave()
        self.transport.abort()


async def open_line(way: Way) -> Line | None:
    """A line whose worker has greeted; None if nobody does in time."""
    loop = asyncio.get_running_loop()
    try:
        _, line = await loop.create_unix_connection(lambda: Line(way), way.path)
    except OSError:
        return None
    try:
        async with asyncio.timeout(limits.PASSAGE_GREETING_S):
            greeted = await line.greeted
    except TimeoutError:
        greeted = False
    except asyncio.CancelledError:
        line.transport.abort()
        raise
    if not greeted:
        line.transport.abort()
        return None
    return line


def request_head(method: bytes, url: bytes, said: Passed, head: Head, body_bytes: int) -> bytes:
    """The head of a request on a line, from its parsed parts."""
    if head.passed_lines is None:
        head.passed_lines = b"".join(
            [b"%b: %b\r\n" % (name, value) for name, value in head.headers if name.lower() not in _NOT_PASSED]
        )
    framing = b""
    if head.chunked:
        framing = wire.CHUNKED
    elif body_bytes or head.get(b"content-length") is not None:
        framing = b"content-length: %d\r\n" % body_bytes
    return b"".join((method, b" ", url, b" HTTP/1.1\r\n", said.line(), head.passed_lines, framing, wire.CRLF))
