"""The capability `stream`: who reads, what is refused, and what a slow reader does to a guest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgpack
import pytest

from front.house import target
from hostcalls.asking import call, refused
from hostcalls.double import Guest
from isolet import limits
from isolet.engine.host import Wait
from isolet.errors import AbiViolation
from isolet.hostcalls import stream
from isolet.model import Invocation


class Reader:
    """Remembers; has room unless it was given a future to wait for."""

    def __init__(self, room: asyncio.Future[None] | None = None) -> None:
        self.options: Mapping[str, Any] | None = None
        self.data: list[bytes] = []
        self.room = room

    def opened(self, options: Mapping[str, Any]) -> None:
        if "status" in options:
            raise AbiViolation("the result's statusCode is wrong")
        self.options = options

    def wrote(self, data: bytes) -> asyncio.Future[None] | None:
        self.data.append(data)
        return self.room


def read_by(reader: Reader | None) -> Guest:
    guest = Guest(memory_bytes=32 << 20)
    guest.state.invocation = Invocation(target(), "0" * 36, b"\xc0", 0, reader=reader)
    return guest


def test_what_is_written_is_read_in_order() -> None:
    reader = Reader()
    guest = read_by(reader)
    assert call(guest, "stream.open", {"content_type": "text/html"}) == {"ok": True}
    for piece in (b"a", b"", b"bc"):
        assert call(guest, "stream.write", piece) == {"ok": None}
    assert (reader.options, reader.data) == ({"content_type": "text/html"}, [b"a", b"", b"bc"])


def test_where_nobody_reads_nothing_is_open() -> None:
    guest = read_by(None)
    assert call(guest, "stream.open") == {"ok": False}
    assert "not open" in refused(guest, "Invalid", "stream.write", b"a")


@pytest.mark.parametrize(
    "request_",
    [
        ("stream.open", {"status": 99}),
        ("stream.open", {"colour": 1}),
        ("stream.open", 1),
        ("stream.open", {}, {}),
        ("stream.write",),
        ("stream.write", b"before it is open"),
    ],
    ids=repr,
)
def test_what_is_not_allowed_is_refused_and_opens_nothing(request_: tuple[Any, ...]) -> None:
    reader = Reader()
    guest = read_by(reader)
    refused(guest, "Invalid", *request_)
    assert reader.data == []
    assert call(guest, "stream.open", None) == {"ok": True}
    refused(guest, "Invalid", "stream.open")
    refused(guest, "Invalid", "stream.write", "text")
    assert reader.data == []


def test_an_answer_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "limits", replace_limit(10))
    reader = Reader()
    guest = read_by(reader)
    call(guest, "stream.open")
    assert call(guest, "stream.write", b"x" * 10) == {"ok": None}
    refused(guest, "TooLarge", "stream.write", b"x")
    assert reader.data == [b"x" * 10]


def replace_limit(size: int) -> Any:
    class Small:
        STREAM_BYTES_MAX = size

    assert size < limits.STREAM_BYTES_MAX
    return Small


def test_a_slow_reader_makes_the_guest_wait() -> None:
    async def main() -> None:
        room = asyncio.get_running_loop().create_future()
        guest = read_by(Reader(room))
        guest.call("call", *guest.put(msgpack.packb(["stream.open"])))
        waiting = guest.call("call", *guest.put(msgpack.packb(["stream.write", b"a"])))
        assert isinstance(waiting, Wait)
        assert callable(waiting.argument)
        work = asyncio.ensure_future(waiting.argument())
        await asyncio.sleep(0)
        assert not work.done()
        room.set_result(None)
        assert await work == len(guest.state.reply)
        assert msgpack.unpackb(guest.state.reply) == {"ok": None}

    asyncio.run(main())
