"""Keeper ↔ worker: calls both ways over one UNIX socket, as multiplexed msgpack messages.

A message is cut into frames (`frames.py`), and frames of different messages take turns on the wire: a 70 MB upload
holds nobody up for longer than one frame.

Laws:
- Every call ends: with its reply, with the handler's error (its own class), or with WorkerLost when the peer dies.
- Only IsoletErrors cross; any other exception of a handler is logged here and arrives as a HostError without its words.
- A peer that breaks the frame format, or a bound, is cut off; nothing of its message is acted upon.
- Messages of one part never wait for room behind larger ones: two lanes, each bounded.
- Order is kept between frames of one message, not between messages: who needs an order waits for the reply.

`pair()` gives the same interface by direct calls, for keeper and worker in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

from . import limits
from .errors import (
    HostError,
    InvalidParameter,
    IsoletError,
    Overloaded,
    PayloadTooLarge,
    UnsupportedOperation,
    WorkerLost,
)
from .frames import (
    CANCEL,
    ERROR,
    ID_MAX,
    NOTE,
    REPLY,
    REQUEST,
    FrameReader,
    Garbage,
    Message,
    error_from_plain,
    error_to_plain,
    pack,
    unpack,
)
from .roster import peer_pid

logger = logging.getLogger("isolet.link")

# What serves a peer's calls: (operation, body) → the reply's body.
Handler = Callable[[str, Any], Awaitable[Any]]


class Link(Protocol):
    """One end of a link. Values are what msgpack carries: a tuple arrives as a list."""

    async def request(self, operation: str, body: Any = None) -> Any:
        """The peer's reply. Raises what its handler raised; WorkerLost, Overloaded, PayloadTooLarge."""

    async def notify(self, operation: str, body: Any = None) -> None:
        """Sends without waiting for an answer; whether it arrived is not known."""

    @property
    def peer_pid(self) -> int:
        """The process at the other end, as the kernel says; 0: not known."""

    async def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


class _Lane:
    """Room for unsent bytes. A message that finds the lane empty always enters, whatever its size."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def enter(self, size: int) -> None:
        while self._bytes and self._bytes + size > self._bytes_max:
            self._room.clear()
            await self._room.wait()
        self.push(size)

    def push(self, size: int) -> None:
        """Enters without waiting: for the answers by which we refuse work."""
        self._bytes += size

    def leave(self, size: int) -> None:
        self._bytes -= size
        self._room.set()

    def open_for_good(self) -> None:
        self._bytes = 0
        self._room.set()


# ── a socket ────────────────────────────────────────────────────────────────────────────────────────────────────


class SocketLink(asyncio.Protocol):
    """One end of a connected UNIX socket. Made by `connect` and `listen`."""

    def __init__(self, serve: Callable[[SocketLink], Handler]) -> None:
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._lost: str | None = None
        self._closed = asyncio.get_running_loop().create_future()
        self._outgoing: deque[Message] = deque()
        self._small = _Lane(limits.LINK_SMALL_BYTES_MAX)
        self._large = _Lane(limits.LINK_LARGE_BYTES_MAX)
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._noting: set[asyncio.Task[None]] = set()
        self._handler = serve(self)
        self._peer_pid = 0

    # -- what the owner calls

    async def request(self, operation: str, body: Any = None) -> Any:
        if len(self._calls) >= limits.LINK_CALLS_MAX:
            raise Overloaded(f"{limits.LINK_CALLS_MAX} calls of this link are under way; try again later")
        number = self._number()
        payload = pack([operation, body])
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(REQUEST, number, payload)
            return await future
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._calls.pop(number, None)
            del future  # an error in it holds this frame, which would hold it, until the collector comes

    async def notify(self, operation: str, body: Any = None) -> None:
        await self._send(NOTE, self._number(), pack([operation, body]))

    async def close(self) -> None:
        """Ends the link: our calls fail with WorkerLost, the peer's calls that we serve are cancelled."""
        self._fail("the link was closed")
        await self.wait_closed()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._closed)

    @property
    def peer_pid(self) -> int:
        return self._peer_pid

    @property
    def is_closed(self) -> bool:
        return self._lost is not None

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer_pid = peer_pid(transport.get_extra_info("socket"))
        self._transport.set_write_buffer_limits(high=2 * limits.LINK_FRAME_BYTES)
        self._pump()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, number, message in self._reader.feed(data):
                self._receive(kind, number, message)
        except Garbage as garbage:
            logger.error("a link was cut: its peer sent %s", garbage)
            self._fail(f"its peer sent {garbage}")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def connection_lost(self, reason: Exception | None) -> None:
        self._fail(f"its peer ended ({reason})" if reason else "its peer ended")
        if not self._closed.done():
            self._closed.set_result(None)

    # -- out

    def _number(self) -> int:
        # After 2³² calls numbers would meet those still under way, at 1,000 calls a second in 50 days: skip these.
        while (number := next(self._numbers) & ID_MAX) in self._calls:
            pass
        return number

    async def _send(self, kind: int, number: int, payload: bytes) -> None:
        if len(payload) > limits.LINK_MESSAGE_BYTES_MAX:
            raise PayloadTooLarge(
                f"a message of {len(payload):,} bytes; a link takes {limits.LINK_MESSAGE_BYTES_MAX:,}: send less"
            )
        await self._lane(payload).enter(len(payload))
        if self._lost is not None:
            raise WorkerLost(f"no link to the other process: {self._lost}")
        self._outgoing.append(Message(kind, number, payload))
        self._pump()

    def _push(self, kind: int, number: int, payload: bytes) -> None:
        self._lane(payload).push(len(payload))
        self._outgoing.append(Message(kind, number, payload))
        self._pump()

    def _lane(self, payload: bytes | memoryview) -> _Lane:
        return self._small if len(payload) <= limits.LINK_FRAME_BYTES else self._large

    def _pump(self) -> None:
        """Writes one frame of each waiting message in turn, until all are sent or the socket is full."""
        if self._transport is None or self._lost is not None:
            return
        while self._outgoing and not self._paused:
            message = self._outgoing.popleft()
            header, part, last = message.next_frame()
            self._transport.writelines((header, part))
            if last:
                self._lane(message.payload).leave(len(message.payload))
            else:
                self._outgoing.append(message)

    def _give_up(self, number: int) -> None:
        """The caller of a request was cancelled: what is unsent stays so, and the peer stops working on it."""
        if self._lost is not None or number not in self._calls:
            return
        for message in self._outgoing:
            if (message.kind, message.number) == (REQUEST, number):
                self._outgoing.remove(message)
                self._lane(message.payload).leave(len(message.payload))
                break
        self._push(CANCEL, number, b"")

    # -- in

    def _receive(self, kind: int, number: int, message: bytes) -> None:
        if self._lost is not None:
            return
        if kind == CANCEL:
            self._reader.forget(REQUEST, number)
            if task := self._serving.get(number):
                task.cancel()
            return
        try:
            value = unpack(message)
            if kind in (REQUEST, NOTE):
                operation, body = value
                if not isinstance(operation, str):
                    raise TypeError(f"operation {operation!r}")
                self._start(kind, number, operation, body)
            else:
                self._settle(number, error_from_plain(value) if kind == ERROR else None, value)
        except (ValueError, TypeError, AttributeError, RecursionError) as reason:
            raise Garbage(f"a message of kind {kind} that cannot be read ({type(reason).__name__})") from None

    def _settle(self, number: int, error: IsoletError | None, value: Any) -> None:
        future = self._calls.get(number)
        if future is None or future.done():
            return  # Its caller left.
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def _start(self, kind: int, number: int, operation: str, body: Any) -> None:
        if kind == NOTE:
            if len(self._noting) >= limits.LINK_CALLS_MAX:
                raise Garbage(f"more than {limits.LINK_CALLS_MAX:,} notes at once")
            note = asyncio.ensure_future(_logged(self._handler(operation, body), operation))
            self._noting.add(note)
            note.add_done_callback(self._noting.discard)
        elif number in self._serving:  # it would be served, and not be counted
            raise Garbage(f"a second call of the number {number}")
        elif len(self._serving) >= limits.LINK_CALLS_MAX:
            self._push(ERROR, number, pack(error_to_plain(Overloaded("too many calls of this link are under way"))))
        else:
            task = self._serving[number] = asyncio.ensure_future(self._serve(number, operation, body))
            task.add_done_callback(lambda _: self._serving.pop(number, None))

    async def _serve(self, number: int, operation: str, body: Any) -> None:
        kind, payload = await answer(self._handler, operation, body)
        with contextlib.suppress(WorkerLost):
            await self._send(kind, number, payload)

    # -- the end

    def _fail(self, reason: str) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self._outgoing.clear()
        self._small.open_for_good()
        self._large.open_for_good()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(WorkerLost(f"the other process did not answer: {reason}"))
                future.exception()  # Seen: the caller may still be waiting for room and never look.
        for task in [*self._serving.values(), *self._noting]:
            task.cancel()
        if self._transport is not None:
            self._transport.abort()


async def answer(handler: Handler, operation: str, body: Any) -> tuple[int, bytes]:
    """(REPLY, packed value) or (ERROR, packed error) of one call of a peer's."""
    try:
        payload = pack(await handler(operation, body))
        if len(payload) <= limits.LINK_MESSAGE_BYTES_MAX:
            return REPLY, payload
        error: HostError | PayloadTooLarge = PayloadTooLarge(f"the reply to {operation} has {len(payload):,} bytes")
    except IsoletError as ours:
        return ERROR, pack(error_to_plain(ours))  # not kept in a variable: that would keep the frames it passed
    except Exception:
        logger.exception("the handler of %s failed", operation)
        error = HostError(f"{operation} failed; the reason is in the log")
    return ERROR, pack(error_to_plain(error))


async def _logged(note: Awaitable[Any], operation: str) -> None:
    try:
        await note
    except Exception:
        logger.exception("the handler of the note %s failed", operation)


# ── connecting and listening ────────────────────────────────────────────────────────────────────────────────────

# sun_path of sockaddr_un holds 108 bytes with its final NUL (unix(7)).
SOCKET_PATH_BYTES_MAX = 107


def _checked(path: Path) -> str:
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES_MAX:
        raise InvalidParameter(
            f"the socket {path} has a path of {size} bytes and Linux takes {SOCKET_PATH_BYTES_MAX}; "
            "choose a data directory with a shorter path"
        )
    return str(path)


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[Path]:
    """`path`, or while the block lasts a shorter one to the same place, if it is too long for a socket."""
    path = path.resolve()
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        yield path
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}") / path.name
    finally:
        os.close(directory)


async def connect(path: Path, serve: Callable[[SocketLink], Handler]) -> SocketLink:
    """A link to who listens at `path`; `serve` gives the handler of the peer's calls. Raises WorkerLost."""
    try:
        _, link = await asyncio.get_running_loop().create_unix_connection(lambda: SocketLink(serve), _checked(path))
    except OSError as reason:
        raise WorkerLost(f"nobody listens at {path} ({reason.strerror}); is the keeper running?") from None
    return link


class Listener:
    """Accepts links at a path that only this user may open. Made by `listen`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._links: set[SocketLink] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self, serve: Callable[[SocketLink], Handler]) -> None:
        def accept() -> SocketLink:
            link = SocketLink(serve)
            self._links.add(link)
            link._closed.add_done_callback(lambda _: self._links.discard(link))
            return link

        self._server = await asyncio.get_running_loop().create_unix_server(accept, sock=_bound(self._path))

    async def close(self) -> None:
        """Stops accepting, ends every link, removes the path."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            await link.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


def _bound(path: Path) -> socket.socket:
    """A socket at `path`, mode 0600 before anybody can connect (it does not listen yet).

    Whatever is at the path is a dead keeper's: the living one holds the database's lock.
    """
    name = _checked(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.setblocking(False)
    bound.bind(name)
    path.chmod(0o600)
    return bound


def note(operation: str, body: Any) -> bytes:
    """The bytes of a note, for whoever speaks on a link before its end does."""
    header, part, _ = Message(NOTE, ID_MAX, pack([operation, body])).next_frame()
    return header + bytes(part)


async def listen(path: Path, serve: Callable[[SocketLink], Handler]) -> Listener:
    listener = Listener(path)
    await listener.start(serve)
    return listener


# ── in one process ──────────────────────────────────────────────────────────────────────────────────────────────


class LocalLink:
    """One end of a pair wired by direct calls. Values are packed all the same: what works here works over a socket."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._peer: LocalLink | None = None
        self._closed = asyncio.Event()

    async def request(self, operation: str, body: Any = None) -> Any:
        kind, payload = await answer(self._theirs(), operation, unpack(pack(body)))
        if kind == ERROR:
            raise error_from_plain(unpack(payload))
        return unpack(payload)

    @property
    def peer_pid(self) -> int:
        return os.getpid()

    async def notify(self, operation: str, body: Any = None) -> None:
        await _logged(self._theirs()(operation, unpack(pack(body))), operation)

    async def close(self) -> None:
        self._closed.set()
        if self._peer is not None:
            self._peer._closed.set()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def _theirs(self) -> Handler:
        if self._peer is None or self._closed.is_set():
            raise WorkerLost("no link to the other side: it was closed")
        return self._peer._handler


def pair(mine: Handler, serve: Callable[[Link], Handler]) -> tuple[LocalLink, LocalLink]:
    """(our end, the other end). `mine` serves the other's calls; `serve`, given the other end, what serves ours."""
    here, there = LocalLink(mine), LocalLink(refused)
    here._peer, there._peer = there, here
    there._handler = serve(there)
    return here, there


async def refused(operation: str, body: Any) -> Any:
    raise UnsupportedOperation(f"nobody serves {operation}")
