"""A real uvicorn server on a loopback port with the protocol class under test, an invoker that does as it is told, and
a client that speaks bytes. Everything runs on one event loop, once asyncio's and once uvloop's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack
import uvicorn

from isolet.clock import ManualClock
from isolet.front.callers import Caller, Received
from isolet.front.door import Door
from isolet.front.protocol import Connection, protocol_factory
from isolet.model import DEFAULT_TENANT, LATEST, Invocation, Outcome, SnapshotInfo, Target, Usage

# No test waits this long unless it fails.
PATIENCE_S = 20.0
USAGE = Usage(1_250_000, 800_000, 200_000, 5_000, 3 << 20, 1, 0)
SNAPSHOT = SnapshotInfo("d" * 64, True, (), 1024, 65536, 1 << 20, 4096, 8192, 0.1, 10)


def target(name: str = "hello", **changes: Any) -> Target:
    values: dict[str, Any] = {
        "tenant": DEFAULT_TENANT,
        "name": name,
        "version": LATEST,
        "snapshot": SNAPSHOT,
        "package_digest": "p" * 64,
        "timeout_s": 1.0,
        "memory_bytes": 128 << 20,
        "fuel": 10**9,
        "environment": {},
        "http": True,
        "routes": (),
    }
    return Target(**values | changes)


def outcome(value: Any = None, error: Exception | None = None, **changes: Any) -> Outcome:
    return Outcome(value, error, USAGE)._replace(**changes)


def echo(invocation: Invocation) -> Outcome:
    """An HTTP function whose body is `<method> <rawPath>?<query> <body>`."""
    event = msgpack.unpackb(invocation.event)
    http = event["requestContext"]["http"]
    body = event.get("body", "")
    text = body if isinstance(body, str) else repr(body)
    return outcome({"statusCode": 200, "body": f"{http['method']} {event['rawPath']}?{event['rawQueryString']} {text}"})


class Held:
    """An invocation that has not answered. It is the ticket, too."""

    def __init__(self, invocation: Invocation, done: Callable[[Outcome], None]) -> None:
        self.invocation = invocation
        self.done = done
        self.cancelled = asyncio.Event()

    @property
    def event(self) -> Any:
        return msgpack.unpackb(self.invocation.event)

    def cancel(self) -> None:
        self.cancelled.set()


@dataclass
class Scripted:
    """An invoker: `script` answers at once, or returns None for an invocation to be held until the test ends it."""

    script: Callable[[Invocation], Outcome | None] = echo
    held: asyncio.Queue[Held] = field(default_factory=asyncio.Queue)
    submitted: list[Invocation] = field(default_factory=list)
    # Whose events were let in.
    admitted: list[Target] = field(default_factory=list)

    def submit(self, invocation: Invocation, done: Callable[[Outcome], None]) -> Held:
        self.submitted.append(invocation)
        held = Held(invocation, done)
        answer = self.script(invocation)
        if answer is None:
            self.held.put_nowait(held)
        else:
            done(answer)
        return held

    def admit_event(self, target: Target) -> None:
        self.admitted.append(target)

    async def next(self) -> Held:
        async with asyncio.timeout(PATIENCE_S):
            return await self.held.get()


class Somebody:
    """Takes whoever comes for an account's."""

    def __init__(self, account: str = DEFAULT_TENANT) -> None:
        self.account = account

    def caller(self, received: Received) -> Caller:
        return Caller(self.account, "test")


class Reply(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None


class Client:
    """One connection, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        async with asyncio.timeout(PATIENCE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1")[:-4].split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        assert first.startswith("HTTP/1.1 "), first
        return int(first.split(" ")[1]), headers

    async def reply(self, *, without_body: bool = False) -> Reply:
        status, headers = await self.head()
        reply = Reply(status, headers, b"")
        if without_body or status < 200 or status in (204, 304):
            return reply
        async with asyncio.timeout(PATIENCE_S):
            if reply.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self.reader.readexactly(int(reply.get("content-length") or ""))
        return reply._replace(body=body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return body

    async def ask(self, data: bytes, **options: Any) -> Reply:
        self.send(data)
        return await self.reply(**options)

    async def ended(self) -> bytes:
        """What still comes until the server has closed; b"" for a clean end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


class House:
    """A door with its server, and the means to look into it."""

    def __init__(
        self,
        door: Door,
        invoker: Scripted,
        clock: ManualClock,
        app: Any,
        factory: Callable[[Door], Callable[..., Connection]] = protocol_factory,
        listening: socket.socket | None = None,
    ) -> None:
        self.door = door
        self.invoker = invoker
        self.clock = clock
        self.app = app
        self.connections: list[Connection] = []
        self._clients: list[Client] = []
        self._socket = listening or socket.create_server(("127.0.0.1", 0))
        self.port = 0 if listening else self._socket.getsockname()[1]
        house = self

        make = factory(door)

        def watched(**given: Any) -> Connection:
            connection = make(**given)
            house.connections.append(connection)
            return connection

        config = uvicorn.Config(
            app, http=watched, lifespan="off", log_config=None, access_log=False, server_header=False, loop="none"
        )
        self.server = uvicorn.Server(config)

    async def open(self) -> None:
        self.server.config.load()
        self.server.lifespan = self.server.config.lifespan_class(self.server.config)
        await self.server.startup(sockets=[self._socket])

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes, **options: Any) -> Reply:
        return await (await self.client()).ask(data, **options)

    def later(self, seconds: float) -> None:
        """Time passes, a second at a time, and the sweep with it."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.door.sweep()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets the loop run until `condition` holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0)

    async def close(self) -> None:
        for server in self.server.servers:
            server.close()
        for client in self._clients:
            client.writer.transport.abort()
        for member in list(self.door.connections):
            member.abort("end of the test")
        await self.until(lambda: not self.door.connections)
        await self.until(lambda: not self.server.server_state.tasks)
        self.door.close()
        self._socket.close()
        assert self.door.bodies_bytes == 0, "every byte of a body that was counted is given back"
        assert not self.door.peer_bytes
        assert not self.door.peers
        assert not self.door.stalled


Opener = Callable[..., Awaitable[House]]
