"""Servers on loopback for tests of `fetch`: each connection is a script, and what was asked is remembered."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

# Writes an answer to one request; the connection is closed when it returns.
Script = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    line: str
    headers: list[tuple[str, str]]
    body: bytes
    reader: asyncio.StreamReader

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass
class Server:
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grant(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open += 1
        try:
            request = await read_request(reader)
            if request is not None:
                server.requests.append(request)
                await script(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            server.open -= 1
            server.closed.set()
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == "talk":
                task.cancel()
        await asyncio.sleep(0)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (header.partition(":") for header in rest)]
    length = int(next((value for name, value in headers if name == "content-length"), "0"))
    return Request(line, headers, await reader.readexactly(length), reader)


def answering(body: bytes = b"hi", status: str = "200 OK", *headers: str) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        writer.write("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)

    return script


def saying(raw: bytes) -> Script:
    """Whatever is asked, these bytes and the end."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return script


def redirecting(to: str, status: str = "302 Found") -> Script:
    return answering(b"", status, f"location: {to}")


def forever(first: bytes, again: bytes) -> Script:
    """`first`, then `again` without end, as fast as it is taken."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0)

    return script


def silent(first: bytes = b"") -> Script:
    """`first`, then nothing, until the other side leaves."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await request.reader.read()

    return script
