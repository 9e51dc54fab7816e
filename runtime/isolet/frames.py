"""The bytes on a link between keeper and worker: frames, packed values, errors as values. Pure; `link.py` moves them.

A message is cut into frames of at most LINK_FRAME_BYTES:

    length: u32 of what follows · kind: u8 (0x80 set on the last frame of a message) · id: u32 · a part of the message

big-endian. The parts of one (kind, id) put together are one msgpack value: `[operation, body]` of a request or a note,
the body of a reply, `[class, attributes]` of an error, nothing of a cancel.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from . import limits
from .errors import HostError, IsoletError

# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(message: bytes | bytearray | memoryview) -> Any:
    """The value of a message. Raises ValueError, TypeError (a map as a key), RecursionError for what is none, or has
    more than LINK_VALUES_MAX values."""
    if len(message) <= limits.LINK_COUNTED_BYTES:
        return msgpack.unpackb(message, raw=False, strict_map_key=False)
    most = limits.LINK_VALUES_MAX
    left = most

    def counted(container: Any) -> Any:
        nonlocal left
        left -= 1 + len(container)
        if left < 0:
            raise ValueError(f"more than {most:,} values")
        return container

    return msgpack.unpackb(
        message,
        raw=False,
        strict_map_key=False,
        list_hook=counted,
        object_pairs_hook=lambda pairs: dict(counted(pairs)),
        max_array_len=most,
        max_map_len=most,
    )


def _subclasses(cls: type[IsoletError]) -> dict[str, type[IsoletError]]:
    found = {cls.__name__: cls}
    for child in cls.__subclasses__():
        found |= _subclasses(child)
    return found


def error_to_plain(error: IsoletError) -> list[Any]:
    """`[class, attributes]`: all that an error of ours is, but for its traceback."""
    return [type(error).__name__, dict(vars(error))]


def error_from_plain(plain: Any) -> IsoletError:
    """The error again. One that this process does not know (an older peer's) is a HostError with its message."""
    name, attributes = plain
    cls = _subclasses(IsoletError).get(name, HostError)
    error = cls.__new__(cls)
    error.args = (attributes.get("message", ""),)
    for key, value in attributes.items():
        if not key.startswith("_"):
            setattr(error, key, tuple(value) if isinstance(value, list) else value)
    return error


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

REQUEST, REPLY, ERROR, NOTE, CANCEL = range(1, 6)
LAST = 0x80
HEADER = struct.Struct(">IBI")
AFTER_LENGTH = HEADER.size - 4
FRAME_MAX = AFTER_LENGTH + limits.LINK_FRAME_BYTES
ID_MAX = 2**32 - 1


class Garbage(Exception):
    """What a peer sent is not of this protocol, in words for our log."""


class FrameReader:
    """Bytes in, whole messages out. Holds at most LINK_PARTIAL_BYTES_MAX of unfinished ones."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._partial: dict[tuple[int, int], bytearray] = {}
        self._partial_bytes = 0

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """The messages (kind, id, packed) that `data` completed. Raises Garbage; the reader is then of no use."""
        self._buffer += data
        complete = []
        at, end = 0, len(self._buffer)
        while end - at >= HEADER.size:
            length, flags, number = HEADER.unpack_from(self._buffer, at)
            if not AFTER_LENGTH <= length <= FRAME_MAX:
                raise Garbage(f"a frame of {length} bytes; at most {FRAME_MAX}")
            if end - at < 4 + length:
                break
            part = bytes(self._buffer[at + HEADER.size : at + 4 + length])
            at += 4 + length
            message = self._add(flags & ~LAST, number, part, last=bool(flags & LAST))
            if message is not None:
                complete.append((flags & ~LAST, number, message))
        del self._buffer[:at]
        return complete

    def _add(self, kind: int, number: int, part: bytes, last: bool) -> bytes | None:
        if not REQUEST <= kind <= CANCEL:
            raise Garbage(f"a frame of kind {kind}")
        key = (kind, number)
        whole = self._partial.get(key)
        if last and whole is None:
            return part
        if not last and not part:
            raise Garbage("a frame that carries nothing, and is not the last")
        if whole is None:
            whole = self._partial[key] = bytearray()
            self._partial_bytes += limits.LINK_PARTIAL_BYTES
        whole += part
        self._partial_bytes += len(part)
        if len(whole) > limits.LINK_MESSAGE_BYTES_MAX or self._partial_bytes > limits.LINK_PARTIAL_BYTES_MAX:
            raise Garbage(f"unfinished messages of {self._partial_bytes:,} bytes")
        if not last:
            return None
        self.forget(kind, number)
        return bytes(whole)

    def forget(self, kind: int, number: int) -> None:
        """Drops the beginning of a message whose end will not come."""
        begun = self._partial.pop((kind, number), None)
        if begun is not None:
            self._partial_bytes -= len(begun) + limits.LINK_PARTIAL_BYTES


class Message:
    """One outgoing message and how far it got."""

    __slots__ = ("at", "kind", "number", "payload")

    def __init__(self, kind: int, number: int, payload: bytes) -> None:
        self.kind = kind
        self.number = number
        self.payload = memoryview(payload)
        self.at = 0

    def next_frame(self) -> tuple[bytes, memoryview, bool]:
        """(header, part, whether it was the last)."""
        part = self.payload[self.at : self.at + limits.LINK_FRAME_BYTES]
        self.at += len(part)
        last = self.at == len(self.payload)
        return HEADER.pack(AFTER_LENGTH + len(part), self.kind | (LAST if last else 0), self.number), part, last
