"""A real server's port, spoken to in bytes, with functions behind it whose answers say what they were told.

- `echo` answers its whole envelope: whoever reads the answer knows which request it was for.
- `says` answers what a request's body tells it to, byte for byte, as its outcome: hostile answers without a build each.
- `sleeps` sleeps a minute: what is cancelled is cancelled while it runs.

All are the hostile tenant's (house.py); the canary that must notice nothing is its neighbour's.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from hostile.house import HOSTILE, House, module, until
from served import PATIENCE_S

# Finds the mark that `saying` writes before an outcome and its length, and answers that outcome.
SAYS = r"""
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "\81\a2ok\a4none")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $at i32) (param $len i32) (result i64)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (i32.sub (local.get $len) (i32.const 12))))
    (loop $next
      (if (i64.eq (i64.load (local.get $at)) (i64.const 0x7d3c5359_41535e7b))
        (then (return (i64.or
          (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (i32.const 12))) (i64.const 32))
          (i64.load32_u offset=8 (local.get $at))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_s (local.get $at) (local.get $end))))
    (i64.const 0x00000010_00000009)))
"""

# The same mark, before a capability request: makes it, and answers its reply.
ASKS = r"""
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (import "isolet" "take" (func $take (param i32) (result i32)))
  (memory (export "memory") 32)
  (data (i32.const 0) "\81\a2ok")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1048576))
  (func (export "isolet_handle") (param $at i32) (param $len i32) (result i64)
    (local $reply i32)
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0x7d3c5359_41535e7b))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.set $reply
      (call $call (i32.add (local.get $at) (i32.const 12)) (i32.load offset=8 (local.get $at))))
    (if (i32.lt_s (local.get $reply) (i32.const 0))
      (then (i32.store8 (i32.const 4) (local.get $reply)) (return (i64.const 5))))
    (if (call $take (i32.const 4)) (then unreachable))
    (i64.extend_i32_u (i32.add (local.get $reply) (i32.const 4)))))
"""

GUESTS: Mapping[str, str] = {"echo": "http_echoes.wat", "sleeps": "sleeps.wat", "says": SAYS}
ECHO, SAID = f"/fn/{HOSTILE}:echo", f"/fn/{HOSTILE}:says"


def saying(outcome: Any) -> bytes:
    """The body that makes `says` answer this outcome, and `asks` make this request."""
    packed: bytes = msgpack.packb(outcome)
    return struct.pack("<QI", 0x7D3C5359_41535E7B, len(packed)) + packed


# ── one connection ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Reply:
    status: int
    lines: list[bytes]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        found = (line.partition(b":") for line in self.lines)
        return [value.strip() for key, _, value in found if key.lower() == name]

    @property
    def event(self) -> dict[str, Any]:
        """What `echo` was told."""
        event: dict[str, Any] = msgpack.unpackb(self.body)["event"]
        return event

    @property
    def path(self) -> str:
        """The path that `echo` was told; "" for an answer that is not a function's."""
        return str(self.event["rawPath"]) if self.body[:1] == b"\x82" else ""


class Spoken(NamedTuple):
    replies: list[Reply]
    reset: bool  # the connection ended by a reset, and answers may be lost

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.replies]


def read_replies(data: bytes) -> list[Reply]:
    """Strictly: an answer that is not framed by one length or by chunks is a failure of the server's."""
    replies = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        assert blank, data[:200]
        first, *lines = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [^\r\n\0]*", first)
        assert found, first
        assert all(re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*", line) for line in lines), lines
        reply = Reply(int(found[1]), lines, b"")
        lengths, codings = reply.all(b"content-length"), reply.all(b"transfer-encoding")
        if reply.status < 200 or reply.status in (204, 304):
            assert (lengths, codings) == ([], [])
            data = rest
        elif codings:
            assert (lengths, codings) == ([], [b"chunked"])
            reply.body, data = _chunks(rest)
        else:
            assert len(lengths) == 1, lines
            size = int(lengths[0])
            assert len(rest) >= size, "a body that ends too early"
            reply.body, data = rest[:size], rest[size:]
        replies.append(reply)
    return replies


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        body, end, data = body + data[:count], data[count : count + 2], data[count + 2 :]
        assert end == b"\r\n"
        if count == 0:
            return body, data


class Port:
    """Where a server listens."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.address = (host, int(port))

    def connect(self, source: str = "") -> socket.socket:
        return socket.create_connection(self.address, PATIENCE_S, (source, 0) if source else None)

    def say(self, data: bytes, *, half_close: bool = False) -> Spoken:
        """Sends `data` and reads until the server ends the connection: `data` must bring that about."""
        with self.connect() as spoken:
            try:
                spoken.sendall(data)
                if half_close:
                    spoken.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has answered already
            answered, reset = read_to_end(spoken)
        return Spoken(read_replies(answered), reset)

    def ask(self, data: bytes) -> Reply:
        """The one answer to a request that ends its connection."""
        (reply,) = self.say(data).replies
        return reply


def read_to_end(spoken: socket.socket) -> tuple[bytes, bool]:
    answered = bytearray()
    try:
        while part := spoken.recv(1 << 20):
            answered += part
    except ConnectionResetError:
        return bytes(answered), True
    return bytes(answered), False


def get(path: str, *lines: bytes, host: bytes = b"localhost", version: bytes = b"1.1") -> bytes:
    head = b"GET %b HTTP/%b\r\nHost: %b\r\n" % (path.encode(), version, host)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(path: str, *lines: bytes, body: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\n" % path.encode()
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


# ── the functions behind it ─────────────────────────────────────────────────────────────────────────────────────


class Town:
    """The functions above, the hostile tenant's, on a house's server."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.port = Port(house.server.url)
        for name, text in GUESTS.items():
            house.hostile.deploy(name, module(text), Timeout=60, Tags={"isolet:http": "true"})
        for path in (ECHO, SAID) * 8:  # each time whichever worker
            self.port.ask(get(path + "/", b"Connection: close"))

    def close(self) -> None:
        for name in GUESTS:
            self.house.hostile.remove(name)

    def gauge(self, name: str) -> float:
        """What all workers say of themselves together; a second old at the most."""
        return sum(gauges[name] for gauges in self.house.gauges().values())

    def until(self, condition: Callable[[], bool], what: str = "it holds") -> None:
        until(condition, what)
