"""Mangled bytes over real sockets: whatever comes, the server answers or closes, forgets it, and serves the next."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from front.house import Client, House, Opener

pytestmark = pytest.mark.anyio

SEEDS = [
    b"GET /fn/hello/a?b=c HTTP/1.1\r\nHost: localhost\r\nCookie: a=1; b=2\r\nUser-Agent: x\r\n\r\n",
    b"POST /fn/hello/ HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /fn/hello/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"POST /fn/hello/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /2015-03-31/functions/hello/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n" + b'{"a": 1}',
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"GET /fn/hello/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HEAD http://hello.localhost/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /fn/hello/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
SPLINTERS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b":",
    b" ",
    b"Host: b\r\n",
    b"Content-Length: 5\r\n",
    b"%00",
    b"\xff",
    b"0\r\n",
]
SPLINTERS += [
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: x\r\nConnection: upgrade\r\n",
    b"?",
    b"#",
]
ROUNDS = 400


def mangle(chance: random.Random) -> bytes:
    """Some requests in a row, a few of them damaged."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 6))))
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(SPLINTERS)
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data[at:at] = data[: chance.randrange(len(data) + 1)]
    return bytes(data)


async def converse(house: House, data: bytes, chance: random.Random) -> None:
    client = await house.client()
    reading = asyncio.create_task(client.ended())
    while data and not client.writer.is_closing():
        size = chance.choice([1, 7, 60, 1000, len(data)])
        client.send(data[:size])
        data = data[size:]
        await asyncio.sleep(0)
    match 0 if client.writer.is_closing() else chance.randrange(3):
        case 0:
            client.reset()
        case 1:
            with contextlib.suppress(OSError):  # the server was faster
                client.writer.write_eof()
        case _:  # a client that only waits: time ends it
            await drained(house, client)
            house.later(100)
    with contextlib.suppress(ConnectionError):
        await reading


async def drained(house: House, client: Client) -> None:
    """All that the client sent has been read, or its connection is gone."""
    for _ in range(20):
        await asyncio.sleep(0)
    await house.until(lambda: not client.writer.transport.get_write_buffer_size())


async def test_mangled_requests_leave_nothing_behind(open_house: Opener, caplog: pytest.LogCaptureFixture) -> None:
    house = await open_house()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for round_number in range(ROUNDS):
        await converse(house, mangle(chance), chance)
        if round_number % 50 == 0:
            reply = await house.ask(SEEDS[0])
            assert (reply.status, reply.body) == (200, b"GET /a?b=c ")
    house.later(200)
    await house.until(lambda: not house.door.connections)
    assert house.door.bodies_bytes == 0
    assert not house.door.stalled
    assert "Traceback" not in caplog.text
    assert "failed" not in caplog.text
