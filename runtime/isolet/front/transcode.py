"""A large JSON text becomes msgpack a window at a time, so that the event loop sees its sockets in between.

The C decoder holds the interpreter until it is done: 6 MB of `[],[],…` were measured at 0.8 s, of integers at 0.2 s,
and whoever may invoke a function may send them. Threads do not help against that. Here a step took 2 to 6 ms
(17 ms for one string of 6 MB), and the whole no longer than at one go.

Law: the result, and whether there is one, is that of decoding the whole text at once (payload.py); a step costs about
as much as decoding WINDOW_CHARS of it.

How: containers that do not fit a window are walked. Of what follows, a window is cut after a comma and decoded as if it
were a container of its own. If that succeeds, the cut was between two members: JSON is read from the left, and a text
that closes our bracket early, or leaves one open, does not decode. If no cut succeeds, the members of that window are
taken one by one. So every character is decoded at most five times, in ordinary texts once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from json import JSONDecodeError, JSONDecoder
from typing import Any

from .msgpack_parts import array_head, map_head

WINDOW_CHARS = 16 * 1024
# How many members may be taken one by one in a step, unless they have as many characters as a window before.
_SINGLES = 512
# Levels that are walked; the decoder's own come on top.
_WALKED_MAX = 512
_BLANK = " \t\n\r"
# Where a window may be cut: most likely between two members, then anywhere.
_CUTS = ("},", "],", ",")

# Packs the value that a text is; the caller's, since it knows what is accepted. Answers the value, too.
Pack = Callable[[str], tuple[Any, bytes]]


class TooDeep(ValueError):
    """More levels than are walked."""


class _Walked:
    """A container that is being walked: its members go to `out`, its head to the place kept for it."""

    __slots__ = ("count", "end", "keys", "slot", "start")

    def __init__(self, start: str, slot: int) -> None:
        self.start = start
        self.end = "]" if start == "[" else "}"
        self.slot = slot
        self.count = 0
        self.keys: set[str] = set()

    def head(self) -> bytes:
        return array_head(self.count) if self.end == "]" else map_head(self.count)


def transcode(text: str, decoder: JSONDecoder, pack: Pack) -> Generator[None, None, bytes]:
    """Yields between steps and returns the msgpack of `text`. Raises what `decoder` and `pack` raise, and TooDeep."""
    out: list[bytes] = []
    walked: list[_Walked] = []
    singles_until = 0
    singles = 0
    stepped_at = 0
    at = _skip(text, 0)
    while True:
        inner = walked[-1] if walked else None
        empty = inner is not None and not inner.count and text.startswith(inner.end, at)
        if inner is not None and not empty:
            if at >= singles_until:
                after = _take_window(text, at, inner, out, pack)
                if after:
                    stepped_at = at = _skip(text, after)
                    yield
                    continue
                singles_until = at + WINDOW_CHARS
            if inner.end == "}":
                at = _take_key(text, at, inner, out, decoder, pack)
        if not empty:
            end = _small_end(text, at, decoder)
            if not end:
                if len(walked) == _WALKED_MAX:
                    raise TooDeep
                walked.append(_Walked(text[at], len(out)))
                out.append(b"")
                at = _skip(text, at + 1)
                singles_until = 0
                yield
                continue
            out.append(pack(text[at:end])[1])
            at = end
            if inner is not None:
                inner.count += 1
        at = _skip(text, at)
        while walked and text.startswith(walked[-1].end, at):
            closed = walked.pop()
            out[closed.slot] = closed.head()
            at = _skip(text, at + 1)
            if walked:
                walked[-1].count += 1
        if not walked:
            if at != len(text):
                raise JSONDecodeError("Extra data", text, at)
            return b"".join(out)
        if not text.startswith(",", at):
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)
        singles += 1
        if singles % _SINGLES == 0 or at - stepped_at > WINDOW_CHARS:
            stepped_at = at
            yield


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _small_end(text: str, at: int, decoder: JSONDecoder) -> int:
    """Where the value at `at` ends; 0 for a container that does not fit a window."""
    if text[at : at + 1] not in ("[", "{"):
        return decoder.raw_decode(text, at)[1]  # a string or a number, however long, is read fast
    try:
        return at + decoder.raw_decode(text[at : at + WINDOW_CHARS])[1]
    except (ValueError, RecursionError):
        if at + WINDOW_CHARS < len(text):
            return 0
        decoder.raw_decode(text, at)  # its own error, with its place in the whole
        raise


def _take_window(text: str, at: int, inner: _Walked, out: list[bytes], pack: Pack) -> int:
    """Takes as many members as a window holds; answers the place after their last comma, or 0."""
    window = text[at : at + WINDOW_CHARS]
    tried = 0
    for cut in _CUTS:
        comma = window.rfind(cut) + len(cut) - 1
        if comma <= 0 or comma == tried:
            continue
        tried = comma
        try:
            members, packed = pack(inner.start + window[:comma] + inner.end)
        except (ValueError, RecursionError):
            continue  # not between two members, or wrong: then taking them one by one finds the reason
        if not members or not inner.keys.isdisjoint(members if inner.end == "}" else ()):
            continue
        if inner.end == "}":
            inner.keys.update(members)
        inner.count += len(members)
        out.append(packed[_head_bytes(len(members)) :])
        return at + comma + 1
    return 0


def _head_bytes(count: int) -> int:
    return 1 if count < 16 else 3 if count < 65536 else 5


def _take_key(text: str, at: int, inner: _Walked, out: list[bytes], decoder: JSONDecoder, pack: Pack) -> int:
    if not text.startswith('"', at):
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    key, end = decoder.raw_decode(text, at)
    # Decoding both as one object finds a name that is there twice, in the decoder's words.
    if key in inner.keys:
        decoder.decode(f"{{{text[at:end]}:0,{text[at:end]}:0}}")
    inner.keys.add(key)
    out.append(pack(text[at:end])[1])
    at = _skip(text, end)
    if not text.startswith(":", at):
        raise JSONDecodeError("Expecting ':' delimiter", text, at)
    return _skip(text, at + 1)
