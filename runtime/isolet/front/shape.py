"""What the answers of one HTTP function have in common, remembered: all before the body is packed, checked and rendered
once, as long as it stays the same bytes.

Laws:
- A result is taken apart here only if its bytes, up to its body, are those of an earlier result of which `abi.py` and
  `events.py` have made an answer, and its body is all that follows: one text, in UTF-8. msgpack is read from front to
  back, so equal beginnings mean the same. Everything else goes the long way, and fails there if it must.
- A function whose answers begin otherwise each time costs a few tries, and is then left alone.

Measured in a worker's CPU time a request (hello, 32 connections): see benches/README.md.
"""

from __future__ import annotations

from typing import Any

from .. import abi, limits
from . import events
from .wire import BODILESS, Answer

_BODY = abi.pack("body")
# A longer beginning is compared for too long; what is not longer is no more than some headers.
_BEGINNING_BYTES_MAX = 4 * limits.KIB
# Beginnings that were learned and not seen again, in a row, until nothing more is learned.
_MISSES_MAX = 16
# How msgpack begins a str: its size is in the byte, or in so many bytes behind it.
_FIXSTR, _FIXSTR_MAX = 0xA0, 31
_WIDTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4}


class Shape:
    """Of one function's answers."""

    __slots__ = ("_beginning", "_lines", "_misses", "_status")

    def __init__(self) -> None:
        self._beginning = b""
        self._status = 0
        self._lines = b""
        self._misses = 0

    def answer(self, raw: bytes) -> Answer:
        """The answer that a packed outcome means, without the lines that each has of its own. Raises GuestErrors, as
        `abi.unpack_outcome` and `events.answer`."""
        beginning = self._beginning
        if beginning and raw.startswith(beginning) and len(raw) > len(beginning):
            body = text(raw, len(beginning))
            if body:
                self._misses = 0
                return Answer(self._status, self._lines, body)
        value = abi.unpack_outcome(raw)
        answer = events.answer(value)
        if self._misses < _MISSES_MAX:
            self._learn(raw, value, answer)
        return answer

    def _learn(self, raw: bytes, value: Any, answer: Answer) -> None:
        if type(value) is not dict or "statusCode" not in value or next(reversed(value)) != "body":
            return
        body = value["body"]
        if type(body) is not str or not body or value.get("isBase64Encoded") is True or answer.status in BODILESS:
            return
        beginning = raw[: len(raw) - len(abi.pack(body))]
        if len(beginning) <= _BEGINNING_BYTES_MAX and beginning.endswith(_BODY):
            assert text(raw, len(beginning)) == answer.body, "the body is what follows its name"
            self._misses += 1
            self._beginning, self._status, self._lines = beginning, answer.status, answer.headers


def text(raw: bytes, at: int) -> bytes:
    """The UTF-8 of the msgpack str that begins at `at` and ends with `raw`; b"" if there is no such thing."""
    size, head = len(raw) - at - 1, raw[at]
    if head == _FIXSTR + size and size <= _FIXSTR_MAX:
        found = raw[at + 1 :]
    else:
        width = _WIDTHS.get(head, 0)
        size -= width
        if not width or size < 0 or int.from_bytes(raw[at + 1 : at + 1 + width], "big") != size:
            return b""
        if size > limits.PAYLOAD_BYTES_MAX:
            return b""
        found = raw[at + 1 + width :]
    if found.isascii():
        return found
    try:
        found.decode("utf-8")
    except UnicodeDecodeError:
        return b""
    return found
