"""What a guest says: `isolet.log`, and its stdout and stderr cut into lines.

Laws:
- An entry is `(level, wall_ms, text)`: level 0 trace … 5 fatal, Unix milliseconds, and at most LOG_LINE_BYTES_MAX bytes
  of valid UTF-8 without control characters (a tab may stay), so that it can be shown in a terminal or framed by
  newlines.
- An invocation keeps LOG_INVOCATION_BYTES_MAX, each entry counting LOG_ENTRY_BYTES more than its text. The first line
  that does not fit and all after it are dropped and counted: a log with holes would mislead more than one that ends.
- Work is bounded by what is kept, not by what is said: a megabyte of newlines must not cost a second.
"""

from __future__ import annotations

import re
from time import time_ns

from .. import limits
from ..engine.host import GuestView, HostFunction

Entry = tuple[int, int, bytes]

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = range(6)
_MARK = "…[cut]".encode()
# Control characters, line separators, and what reverses the direction of the text after it.
_HARMFUL = re.compile("[\0-\x08\n-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def harmless(line: bytes) -> bytes:
    """`line` as the text of an entry: what cannot be shown is escaped, what is too long is cut and marked."""
    text = line[: limits.LOG_LINE_BYTES_MAX + 1].decode("utf-8", "replace")
    if not text.isprintable():
        text = _HARMFUL.sub(lambda c: c[0].encode("unicode_escape").decode("ascii"), text)
    shown = text.encode()
    if len(shown) <= limits.LOG_LINE_BYTES_MAX:
        return shown
    return shown[: limits.LOG_LINE_BYTES_MAX - len(_MARK)].decode("utf-8", "ignore").encode() + _MARK


class LogBuffer:
    """The entries of one invocation, in the order in which their lines ended."""

    __slots__ = ("_full", "_partial", "dropped", "entries", "used_bytes")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.used_bytes = 0
        self.dropped = 0
        self._full = False
        # Per stream: the line under way. It keeps one byte more than a line may have, so that cutting notices.
        self._partial = {1: bytearray(), 2: bytearray()}

    def add(self, level: int, line: bytes) -> None:
        if self._full:
            self.dropped += 1
            return
        text = harmless(line)
        size = len(text) + limits.LOG_ENTRY_BYTES
        if self.used_bytes + size > limits.LOG_INVOCATION_BYTES_MAX:
            self._full = True
            self.dropped += 1
            return
        self.used_bytes += size
        self.entries.append((level, time_ns() // 1_000_000, text))

    def write(self, stream: int, data: bytes) -> None:
        """Bytes that the guest wrote to stdout (1) or stderr (2); a line is an entry once its newline has come."""
        level = INFO if stream == 1 else ERROR
        partial = self._partial[stream]
        start = 0
        while not self._full:
            end = data.find(b"\n", start)
            if end < 0:
                room = limits.LOG_LINE_BYTES_MAX + 1 - len(partial)
                partial += data[start : start + room]
                return
            if partial:
                self.add(level, bytes(partial) + data[start:end])
                partial.clear()
            else:
                self.add(level, data[start:end])
            start = end + 1
        self.dropped += data.count(b"\n", start)

    def finish(self) -> tuple[tuple[Entry, ...], int]:
        """Every entry, lines without an end included, and how many were dropped."""
        for stream, partial in self._partial.items():
            if partial:
                self.add(INFO if stream == 1 else ERROR, bytes(partial))
                partial.clear()
        return tuple(self.entries), self.dropped


def log(guest: GuestView, level: int, ptr: int, length: int) -> None:
    """`isolet.log`. A newline at the end is nothing; one within the line is escaped like any control character."""
    guest.read(ptr + length, 0)  # all of it must be memory, though only its beginning is copied
    line = guest.read(ptr, min(length, limits.LOG_LINE_BYTES_MAX + 1))
    guest.state.log.add(level if level <= FATAL else INFO, line.removesuffix(b"\n"))


FUNCTIONS = (HostFunction("isolet", "log", "iii", "", log),)
