"""Our HTTP protocol class for uvicorn (`uvicorn.Config(http=protocol_factory(door))`), on httptools.

It exists for two reasons: uvicorn has none of the limits that an open port needs, and an invocation
does not need what ASGI costs. Every request passes the same limits here; invocations are answered from here, everything
else goes on to the ASGI application (asgi.py).

Laws:
- Requests of a connection are answered in their order, one at a time. At most `pipelined` wait; then the socket is not
  read.
- Nothing is served before its body is complete. What is refused is refused as early as it is known (a Content-Length
  over the limit before the body is read), answered after all requests before it, and ends the connection: after bytes
  that could not be understood, nobody knows where the next request begins.
- A refusal lingers: the answer, then our half of the connection is closed, and what still comes is thrown away for
  LINGER_S. Closing at once would reset the connection, and the client would lose the answer that tells it why.
- A client that closes, even only its half, has left: its invocation is cancelled. Precedent: Go's net/http.
- Deadlines are the sweep's (door.py): 10 s for headers (from accepting, or from their first byte), a minimum rate for
  bodies in both directions, `keep_alive_s` for idleness. A connection keeps one stamp, `_since_s`, of when its present
  phase began.
- Who is fast gains no right to be slow: bytes beyond the minimum rate buy 10 s of waiting at the most. (By the average
  alone, 60 MB of an upload sent at once would hold them here for a day.)

The parser (llhttp) refuses by itself: bare LF, folded headers, space before a colon, Content-Length beside
Transfer-Encoding, two Content-Lengths or a strange one, chunks with a bad size, controls in values. It lets pass, and
we refuse: a missing or second Host, `gzip, chunked`, versions other than 1.0 and 1.1, methods of other protocols, any
number and size of headers, trailers and chunk extensions. On `Connection: upgrade` it stops and would take the body for
the next request: such a request is parsed again without its Upgrade header (Java's HttpClient sends `Upgrade: h2c` with
its first POST).

What was tried for speed (an invoker that answers at once, `wrk -t2 -c32` on two shared cores; medians of three runs):

| | requests/s | user µs a request |
|---|---|---|
| uvicorn's httptools class, bare ASGI hello | 36,000 | 13.1 |
| this class: event packed, result checked, answer written | 56,600 | 9.6 |

- No task, no future, no timer a request; a request that can be served at once is answered within `data_received`.
- Half of what remains are the two system calls (uvloop writes at once; one request gives nothing to gather).
- Remembering the last header list of the connection: 0.3 µs to compare, against 1.5 µs (one header) to 5 µs (nine) to
  read it anew. A client whose headers change with every request pays that much more; a bench with wrk does not show it.
- Joining the event from packed pieces: 0.8 µs, against 1.5 µs for packing a dictionary that must be built first.
- Request ids in batches 0.1 µs against 0.5 µs; `get_http_version` formats a string (0.2 µs) and is asked only when the
  answer matters; exchanges without `super().__init__` chains and without slots 0.2 µs against 0.5 µs.
- Refused: a memory of whole requests (bytes → event). Fast for wrk, and of no use to anybody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from .. import limits
from ..errors import IsoletError, MalformedRequest, Overloaded, TooSlow, UnsupportedProtocol
from . import events, wire
from .asgi import flow_control
from .callers import Caller
from .dispatch import METHODS, body_bytes_max, dispatch
from .door import Door, peer_of
from .exchange import Exchange, Missing, Refusal
from .head import Head, Headers, headers_bytes, read, without_upgrade
from .refusals import body_too_large, headers_too_large, uri_too_long

# The shortest request that the parser takes, `GET / HTTP/1.0` and two line ends: how many may be in a piece of data.
_REQUEST_BYTES_MIN = 18
_BLANK_LINE = b"\r\n\r\n"
# Data up to this size is given to the parser whole, unless it holds many requests.
_WHOLE_BYTES = 4096
# Bodies of waiting requests that a connection may hold before it is not read any more: the next one still comes whole.
_WAITING_BYTES_MAX = 1024 * 1024
# What of an answer is given to the socket at one go: 0.2 ms, where 6 MB take 4 to 15. A request with a larger body has
# its turn, too: 6 MB are packed in 5 ms, and several that come together would begin together.
_LARGE_BYTES = 128 * 1024
# How many requests are started before the loop may see other connections.
_BURST = 16
_NO_HEAD = Head([])


class Connection:
    """One connection. The subclass that `protocol_factory` makes has the door; uvicorn makes the instances."""

    # Who signed what is being received, where somebody whom we believe has asked already (inner.py).
    vouched: Caller | None = None

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.door = door
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.loop = _loop or asyncio.get_running_loop()
        self.logger = logging.getLogger("uvicorn.error")
        self.access_logger = logging.getLogger("uvicorn.access")
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.server: tuple[str, int | None] | None = None
        self.client: tuple[str, int] | None = None
        self.scheme: Literal["http", "https"] = "http"
        self.source_part = b""
        self.peer = ""
        # Of the next request to be started. An attribute, for a call less on every request's way.
        self.request_id: Callable[[], str] = self.door.request_id
        self.draining = False
        self._flow: FlowControl | None = None
        # None when nothing more is to be parsed: after a refusal, or the last request of the connection.
        self._parser: Any = httptools.HttpRequestParser(self)
        # The message being received: first URL and headers, then its exchange.
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._receiving: Exchange | None = None
        self._framing_bytes = 0
        self._refusal: IsoletError | None = None
        self._again = b""  # the head of a request that wants to upgrade, without that wish
        self._owes_continue = False
        # The headers of the last request and what they said: clients repeat themselves.
        self._last_headers: Headers | None = None
        self._last_head = _NO_HEAD
        # Complete requests, and the one that is being served.
        self._queue: deque[Exchange] = deque()
        self._active: Exchange | None = None
        self._advancing = False
        self._advance_soon = False
        # An answer that waits for the others of this turn.
        self.held = b""
        # Of a large answer what is not yet written, whose it is, and whether the connection ends with it.
        self._large: tuple[Exchange, memoryview, bool] | None = None
        # Data not yet parsed, since enough requests wait; reading is paused while there is some.
        self._rest = b""
        self._read_paused = False
        self._write_paused = False
        self._room: asyncio.Future[None] | None = None  # of a streamed answer, for its next part
        self._stalled_at = 0  # unsent bytes at `_since_s`, while an answer waits for its reader
        self._closing = False
        self._aborted = False
        self._since_s = 0.0
        # Of a body in either direction: for how long nothing need come, and how many bytes had at the last sweep.
        self._credit_s = 0.0
        self._moved = 0
        self._idle_allowed_s = 0.0

    # ── the transport's side ────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.source_part = events.source_part(self.client[0] if self.client else "")
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self.peer = peer_of(self.client[0]) if self.client else ""
        refusal = self.door.joined(self, self.peer)
        self._since_s = self.door.now_s
        self.draining = self.door.draining
        # The first request of a connection must come as soon as its headers must: there is no idleness before it.
        self._idle_allowed_s = self.door.limits.headers_timeout_s
        if refusal:
            self._refuse(Overloaded(refusal), linger=False)

    @property
    def client_address(self) -> str:
        return self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        self.door.left(self, self.peer)
        self._abandon_all()
        if self._flow is not None:
            self._flow.resume_writing()

    def _abandon_all(self) -> None:
        self._parser = None
        self._closing = True
        self._rest = self.held = b""
        self._large = None
        waiting = [x for x in (self._active, *self._queue, self._receiving) if x is not None]
        self._active = self._receiving = None
        self._queue.clear()
        if waiting:
            self.door.counters.disconnects += 1
        for exchange in waiting:
            self.door.give_back(self.peer, exchange.body_bytes)
            exchange.abandon()

    def eof_received(self) -> bool:
        """The client has left: the transport writes what it holds and closes; after what is left of an answer."""
        if self._large is None:
            return False
        exchange, rest, _ = self._large
        self._large = exchange, rest, True
        return True

    def pause_writing(self) -> None:
        self._write_paused = True
        self._stalled_at = self.transport.get_write_buffer_size()
        self._begin_moving()
        self.door.stalled.add(self)
        if self._flow is not None:
            self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._write_paused = False
        self._since_s = self.door.now_s
        self._stalled_at = self.transport.get_write_buffer_size()
        self.door.stalled.discard(self)
        if self._flow is not None:
            self._flow.resume_writing()
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
        if self._large is not None:
            self.door.in_turn(self)
        if self._queue or self._rest:
            self._advance()

    def flow_control(self) -> FlowControl:
        if self._flow is None:
            self._flow = flow_control(self.transport, self._write_paused)
        return self._flow

    def data_received(self, data: bytes) -> None:
        if self.held:
            self.write(b"")
        if self._parser is None:
            return  # after the last request, or lingering
        if self._rest:
            self._rest += data
            return
        size = len(data)
        if size <= _REQUEST_BYTES_MIN * 16 or (size <= _WHOLE_BYTES and data.count(_BLANK_LINE) <= 16):
            self._feed(data)
        else:
            self._feed_pieces(data)
        if self._queue:
            if self._active is None:
                self._advance()
            if self._queue and self._is_full():
                self._pause_reading(True)

    # ── parsing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _feed(self, data: bytes | memoryview) -> None:
        """Gives the parser `data`, which holds few requests, and minds what is not complete after it."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_again(bytes(data[upgrade.args[0] :]))
            return
        except httptools.HttpParserError as error:
            self._stumbled(error)
            return
        if self._receiving is not None:
            self._mind_body(len(data))
        elif self._url:
            self._mind_head(len(data))

    def _feed_pieces(self, data: bytes) -> None:
        """Gives the parser `data` in pieces that hold few requests and few headers, until enough requests wait."""
        view = memoryview(data)
        piece_bytes = max(_REQUEST_BYTES_MIN * (self.door.limits.pipelined // 2), 512)
        at = 0
        while at < len(view) and self._parser is not None:
            if self._queue and self._is_full():
                self._rest = bytes(view[at:])
                break
            receiving = self._receiving
            size = piece_bytes
            if receiving is not None and not receiving.head.chunked:
                # The rest of a body of known length holds no request, however long it is.
                size = max(1, receiving.head.content_length - receiving.body_bytes)
            self._feed(view[at : at + size])
            at += size

    def _is_full(self) -> bool:
        """True if enough requests wait, by their number or by their bodies."""
        waiting = len(self._queue)  # half of `pipelined` is enough: a piece of data may hold the rest
        return (
            waiting >= self.door.limits.pipelined // 2
            or sum([exchange.body_bytes for exchange in self._queue]) > _WAITING_BYTES_MAX
        )

    def _mind_head(self, size: int) -> None:
        """A head has begun and is not complete: its deadline runs, its bytes are counted."""
        if self._head_bytes == 0:
            self._since_s = self.door.now_s
        self._head_bytes += size
        limit = self.door.limits
        # Without the exact sums, which `on_headers_complete` makes: at most one piece too generous.
        if len(self._url) > limit.url_bytes:
            self._refuse(uri_too_long(limit.url_bytes))
            return
        bytes_max = limit.headers_bytes + limit.url_bytes + _WHOLE_BYTES
        if len(self._headers) > limit.headers or self._head_bytes > bytes_max:
            self._refuse(headers_too_large(limit.headers, limit.headers_bytes))

    def _mind_body(self, size: int) -> None:
        """A body has begun and is not complete."""
        receiving = self._receiving
        assert receiving is not None
        if receiving.head.chunked:
            self._framing_bytes += size
            if self._framing_bytes - 17 * receiving.body_bytes > self.door.limits.chunk_framing_bytes:
                self._refuse(MalformedRequest("the chunked body is nearly all framing; send larger chunks"))
                return
        if self._owes_continue:
            if receiving.body_bytes:
                self._owes_continue = False  # it did not wait
            elif self._active is None and not self._queue:
                self._owes_continue = False
                self.write(wire.CONTINUE)

    def _stumbled(self, error: Exception) -> None:
        """The parser refused, or one of our callbacks did."""
        refusal, self._refusal = self._refusal, None
        if refusal is None:
            last = self._queue[-1] if self._queue else self._active
            if self._receiving is None and last is not None and not last.keep_alive:
                self._parser = None  # bytes after the last request; they are not looked at
                return
            if isinstance(error, httptools.HttpParserCallbackError):
                self.logger.error("a parser callback failed", exc_info=error.__context__)
            reason = str(error) or "not HTTP/1.1"
            refusal = MalformedRequest(f"the request could not be parsed: {reason}")
        self._refuse(refusal)

    def _refuse(self, error: IsoletError, linger: bool = True) -> None:
        """Nothing more is parsed; `error` is the last answer."""
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            self.door.give_back(self.peer, receiving.body_bytes)
            receiving.connection = None
        self._parser = None
        self._url, self._rest = b"", b""
        self._pause_reading(False)
        self._queue.append(Refusal(self, _NO_HEAD, error, linger))
        if self._active is None:
            self._advance()

    def _parse_again(self, rest: bytes) -> None:
        """After a wish to upgrade, which is not granted: the request as if it had none, and what followed it."""
        head, self._again = self._again, b""
        assert head, "only a request that wants to upgrade stops the parser"
        self._parser = httptools.HttpRequestParser(self)
        self._receiving, self._url, self._headers, self._head_bytes = None, b"", [], 0
        self._feed(head)
        if rest and self._parser is not None:
            self._feed(rest)

    # The parser's callbacks. What they raise comes out of `feed_data`; the reason is in `_refusal`.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is complete: checks it and makes the exchange that its message is for."""
        try:
            self._begin()
        except IsoletError as refusal:
            self._refusal = refusal
            raise

    def _begin(self) -> None:
        url, headers, parser, door = self._url, self._headers, self._parser, self.door
        limit = door.limits
        self._url, self._headers = b"", []
        if len(url) > limit.url_bytes:
            raise uri_too_long(limit.url_bytes)
        if len(headers) > limit.headers:
            raise headers_too_large(limit.headers, limit.headers_bytes)
        if headers == self._last_headers:
            head = self._last_head
        else:
            # Only what came in many pieces can be over the limit.
            if self._head_bytes + _WHOLE_BYTES > limit.headers_bytes and headers_bytes(headers) > limit.headers_bytes:
                raise headers_too_large(limit.headers, limit.headers_bytes)
            head = read(headers)
            self._last_headers, self._last_head = headers, head
        self._head_bytes = 0
        method = parser.get_method()
        keep_alive = parser.should_keep_alive()
        http_1_0 = False
        if head.connection or not keep_alive:
            # Otherwise it is HTTP/1.1: 1.0 keeps nothing alive without saying so. (The version is slow to ask for.)
            version = parser.get_http_version()
            http_1_0 = version == "1.0"
            if version not in ("1.0", "1.1"):
                raise UnsupportedProtocol(f"HTTP/{version} is not spoken here; use HTTP/1.1")
        if method not in METHODS:
            raise UnsupportedProtocol(f"the method {method.decode('ascii')} is not served here")
        if not head.host and not http_1_0:
            raise MalformedRequest("the Host header is missing")
        if http_1_0 and head.chunked:
            raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
        if head.upgrade and parser.should_upgrade():
            self._again = without_upgrade(method, url, headers, http_1_0)
            return
        self._receiving = exchange = dispatch(self, method, url, head)
        exchange.keep_alive = keep_alive
        exchange.http_1_0 = http_1_0
        if head.content_length or head.chunked:
            self._expect_body(exchange, head)

    def _expect_body(self, exchange: Exchange, head: Head) -> None:
        limit = body_bytes_max(exchange, self.door.limits)
        if head.content_length > limit:
            raise body_too_large(head.content_length, limit)
        if head.expects and isinstance(exchange, Missing):
            raise exchange.error  # it asked before sending; it need not send
        if overfull := self.door.overfull(self.peer, head.content_length):
            raise Overloaded(overfull)
        self._framing_bytes = 0
        self._begin_moving()
        self._owes_continue = head.expects and not exchange.http_1_0

    def on_body(self, body: bytes) -> None:
        exchange = self._receiving
        if exchange is None:
            return
        size = exchange.body_bytes + len(body)
        limit = body_bytes_max(exchange, self.door.limits)
        if size > limit:
            self._refusal = body_too_large(size, limit)
            raise self._refusal
        if not exchange.body_bytes:
            exchange.body = body
        else:
            exchange.add(body)
        exchange.body_bytes = size
        self.door.hold(self.peer, len(body))
        if overfull := self.door.overfull(self.peer):
            self._refusal = Overloaded(overfull)
            raise self._refusal

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        if exchange is None:
            return  # it wants to upgrade, and will come again
        self._owes_continue = False
        if exchange.pieces:
            exchange.join()
        if exchange.head.chunked:
            self._headers = []  # its trailers; they say nothing that we trust
        self._queue.append(exchange)

    # ── serving ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> None:
        """Starts what waits, one after the other, while each is answered at once."""
        if self._advancing:
            return
        self._advancing = True
        burst = _BURST
        queue = self._queue
        while self._active is None and not self._write_paused and not self._closing:
            if not queue:
                if not self._rest:
                    break
                rest, self._rest = self._rest, b""
                self._feed_pieces(rest)
                if not queue:
                    break
            if burst == 0:
                self._advance_next_turn()
                break
            burst -= 1
            self._active = exchange = queue.popleft()
            if exchange.body_bytes > _LARGE_BYTES:
                self.door.in_turn(self)
                break
            try:
                exchange.start()
            except Exception as defect:  # of ours: it costs this connection, not the others
                self.logger.exception("starting an exchange failed")
                exchange.keep_alive = False
                exchange.answer(wire.aws_error(defect))
        self._advancing = False
        if self._read_paused or self._rest:
            self._pause_reading(bool(self._rest) or self._is_full())

    def _advance_next_turn(self) -> None:
        if not self._advance_soon:
            self._advance_soon = True
            self.loop.call_soon(self._advance_later)

    def _advance_later(self) -> None:
        self._advance_soon = False
        self._advance()

    def write(self, data: bytes | memoryview) -> None:
        """Writes `data` after what was held back."""
        held, self.held = self.held, b""
        self.transport.write(held + data if held else data)

    def write_answer(self, exchange: Exchange, answer: wire.Answer) -> None:
        """The answer of the active exchange, in one write."""
        close = not exchange.keep_alive or (self.draining and not self._queue)
        connection = b""
        if close:
            connection = wire.CLOSE
        elif exchange.http_1_0:
            connection = wire.KEEP_ALIVE
        door = self.door
        if not door.date_line:
            door.epoch_ms()
        if len(answer.body) > _LARGE_BYTES and not (
            exchange.method == b"HEAD" or exchange.chunked or answer.status in wire.BODILESS
        ):
            length = b"content-length: %d\r\n" % len(answer.body)
            self.write(wire.render_head(answer.status, answer.headers, door.date_line, connection, length))
            self._large = exchange, memoryview(answer.body), close
            door.in_turn(self)
            return
        data = wire.render(
            answer,
            door.date_line,
            connection=connection,
            without_body=exchange.method == b"HEAD",
            chunked=exchange.chunked,
        )
        # What comes next on this connection decides whether the answer may wait for others of this turn (door.py).
        if (
            close
            or self._queue
            or self._rest
            or self._receiving is not None
            or not door.holds_back(self, data, exchange.tenant)
        ):
            self.write(data)
        self.answered(exchange, close)

    def go_on(self) -> None:
        """The door's: its turn to start a large request, or to write the next piece of a large answer."""
        if self._large is None:
            if self._active is not None and self._active.body_bytes > _LARGE_BYTES and not self._active.started:
                self._start_large(self._active)
            return
        if self._write_paused:
            return  # `resume_writing` asks for it again
        exchange, rest, close = self._large
        piece, rest = rest[:_LARGE_BYTES], rest[_LARGE_BYTES:]
        self._large = (exchange, rest, close) if rest else None
        self.write(piece)
        if not rest:
            self.answered(exchange, close)
        elif not self._write_paused:
            self.door.in_turn(self)

    def _start_large(self, exchange: Exchange) -> None:
        exchange.started = True
        try:
            exchange.start()
        except Exception as defect:  # as in `_advance`
            self.logger.exception("starting an exchange failed")
            exchange.keep_alive = False
            exchange.answer(wire.aws_error(defect))

    def begin_stream(self, exchange: Exchange, status: int, headers: bytes, framing: bytes = wire.CHUNKED) -> None:
        """The head of the active exchange's answer; its chunks follow by `write_part`, its end by `end_stream`."""
        close = not exchange.keep_alive or (self.draining and not self._queue)
        exchange.keep_alive = not close
        if not self.door.date_line:
            self.door.epoch_ms()
        self.write(wire.render_head(status, headers, self.door.date_line, wire.CLOSE if close else b"", framing))

    def write_part(self, data: bytes) -> asyncio.Future[None] | None:
        """Writes a part of the active exchange's answer. What it returns is done when there is room for more."""
        self.write(data)
        if not self._write_paused:
            return None
        if self._room is None:
            self._room = self.loop.create_future()
        return self._room

    def end_stream(self, exchange: Exchange, data: bytes) -> None:
        self.write(data)
        self.answered(exchange, close=not exchange.keep_alive)

    def answered(self, exchange: Exchange, close: bool) -> None:
        """The active exchange is over: the next one, or the end."""
        self._active = None
        door = self.door
        door.counters.requests += 1
        if exchange.body_bytes:
            door.give_back(self.peer, exchange.body_bytes)
        if not self._write_paused:
            self._since_s = door.now_s
        self._idle_allowed_s = 0.0
        if close or (self.draining and not self._queue):
            self._close(exchange.linger)
        elif self._queue or self._rest:
            if not self._advancing:
                # Not from here: whoever answers has still to clean up after its invocation.
                self._advance_next_turn()
        elif self._owes_continue and self._receiving is not None:
            self._mind_body(0)

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _close(self, linger: bool = False) -> None:
        if self._closing:
            return
        self._closing = True
        self._parser = None
        if self.held:
            self.write(b"")
        self._begin_moving()
        self._stalled_at = self.transport.get_write_buffer_size()
        for exchange in self._queue:  # asked for after the last answer
            self.door.give_back(self.peer, exchange.body_bytes)
            exchange.abandon()
        self._queue.clear()
        if linger and self.transport.can_write_eof():
            self._pause_reading(False)
            self.transport.write_eof()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """uvicorn: the server stops. What is under way is finished, with `Connection: close`; what is idle ends, or may
        ask once more while a successor serves: its next request may be on the way."""
        self.draining = True
        idle = self._active is None and not self._queue and self._receiving is None and not self._url
        if idle and not self._rest and not self.door.retiring:
            self._close()

    def abort(self, reason: str) -> None:
        """Ends the connection now, whatever it holds."""
        if self._aborted:
            return
        self._aborted = True
        self.door.counters.swept[reason] += 1
        self._abandon_all()
        self.transport.abort()

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size() + (0 if self._large is None else len(self._large[1]))

    def _pause_reading(self, paused: bool) -> None:
        if paused != self._read_paused and not self.transport.is_closing():
            self._read_paused = paused
            if paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def sweep(self, now_s: float) -> None:
        """Called by the door about once a second: ends the connection if its present phase has lasted too long."""
        # The stamp is of the last sweep before the phase began: up to SWEEP_S too early.
        waited_s = now_s - self._since_s - limits.SWEEP_S
        limit = self.door.limits
        if self._write_paused or (self._closing and self.transport.get_write_buffer_size()):
            if self._falls_behind(self._stalled_at - self.transport.get_write_buffer_size(), now_s):
                self.abort("slow reader")
        elif self._closing:
            if waited_s > limit.linger_s:
                self.abort("slow to close")
        elif self._active is not None or self._queue:
            pass  # an invocation has its own deadline
        elif self._receiving is not None:
            if self._falls_behind(self._receiving.body_bytes, now_s):
                self.door.counters.swept["slow body"] += 1
                self._refuse(TooSlow(f"the body came with less than {limit.body_bytes_per_s:,} bytes a second"))
        elif self._url:
            if waited_s > limit.headers_timeout_s:
                self.door.counters.swept["slow headers"] += 1
                self._refuse(TooSlow(f"the headers took longer than {limit.headers_timeout_s:g} s"))
        elif waited_s > (self._idle_allowed_s or self.door.idle_allowed_s()):
            self.door.counters.swept["idle"] += 1
            self._close()

    def _begin_moving(self) -> None:
        """A body begins, in one direction or the other."""
        self._since_s = self.door.now_s
        self._credit_s, self._moved = self.door.limits.headers_timeout_s, 0

    def _falls_behind(self, moved: int, now_s: float) -> bool:
        """Whether a body of which `moved` bytes have come, or gone, is slower than it may be. Called by each sweep."""
        limit = self.door.limits
        came, self._moved = moved - self._moved, moved
        passed_s, self._since_s = now_s - self._since_s, now_s
        self._credit_s = min(self._credit_s + came / limit.body_bytes_per_s, limit.headers_timeout_s) - passed_s
        return self._credit_s < -limits.SWEEP_S


def protocol_factory(door: Door) -> Callable[..., Connection]:
    """The class for `uvicorn.Config(http=…)`: connections of one door."""
    return partial(Connection, door)
