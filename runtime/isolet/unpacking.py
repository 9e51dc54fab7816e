"""A large outcome, decoded and rendered as JSON in steps: nobody else waits for longer than a piece of it. Pure.

A million small values take 20 ms to decode and 60 to render, in two calls of C that nothing interrupts. So a large
outcome is walked: what lies in a container is decoded some thousand values at a time, by giving the decoder a container
with as many elements as are sure to fit in PIECE_BYTES, and each such piece is rendered while it is at hand.

Laws:
- The value, and what is refused, are those of `abi.unpack_outcome`.
- Between two yields at most a few PIECE_BYTES are decoded and rendered, or one text or binary is copied.
- Who renders the value pays for nothing twice: the pieces are only joined.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator
from typing import Any

import msgpack

from . import abi, limits
from .errors import AbiViolation, IsoletError, ResponseTooLarge

PIECE_BYTES = 4 * limits.KIB
# What is decoded at one go: so many bytes, and so many of them that may begin an array or a map (600 ns each).
QUICK_BYTES_MAX = 16 * limits.KIB
QUICK_CONTAINERS_MAX = 1_024
# Of a long text or binary, characters or bytes; the latter by threes, for base64.
LEAF_PIECE = 96 * limits.KIB
assert LEAF_PIECE % 3 == 0, "base64 of pieces is that of the whole"
# Room around a piece in the decoder's buffer.
_BUFFER_BYTES = 2 * PIECE_BYTES

Steps = Generator[None, None, tuple[Any, int]]


def is_quick(raw: bytes) -> bool:
    """Whether an outcome takes next to nothing: a millisecond at the worst."""
    size = len(raw)
    return size <= QUICK_CONTAINERS_MAX or (
        size <= QUICK_BYTES_MAX and len(raw.translate(None, abi.NO_CONTAINER)) <= QUICK_CONTAINERS_MAX
    )


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _base64(value: Any) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise AbiViolation(f"the result holds a {type(value).__name__}, which JSON cannot say")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_base64).encode


class Rendered:
    """A value's JSON, in pieces. Large texts and binaries are in it as they are until somebody asks for all."""

    __slots__ = ("_failure", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[Any] = []  # JSON in UTF-8, or a tuple of one text or binary
        self._size = 0
        self._failure: IsoletError | None = None

    def add(self, text: str) -> None:
        piece = text.encode("utf-8")
        self._size += len(piece)
        if self._size <= limits.PAYLOAD_BYTES_MAX:
            self._pieces.append(piece)

    def add_leaf(self, value: Any) -> None:
        self._size += len(value)
        if self._size <= limits.PAYLOAD_BYTES_MAX:
            self._pieces.append((value,))

    def add_inner(self, part: Any, first: bool) -> None:
        """The elements of a list or the entries of a map, in a container that was opened before."""
        try:
            text = _encode(part)[1:-1]
        except ValueError:
            self._failure = not_finite()
            return
        self.add(text if first else "," + text)

    def json(self) -> bytes:
        """All of it. Raises AbiViolation (a number that JSON has no word for), ResponseTooLarge."""
        if self._failure is not None:
            raise self._failure
        if self._size > limits.PAYLOAD_BYTES_MAX:
            raise too_large()
        return b"".join([_encode(one[0]).encode("utf-8") if type(one) is tuple else one for one in self._pieces])


def render(value: Any) -> bytes:
    """The same of a value, at one go."""
    try:
        return _encode(value).encode("utf-8")
    except ValueError:
        raise not_finite() from None


def not_finite() -> AbiViolation:
    return AbiViolation("the result holds a float that is not finite, which JSON cannot say")


def too_large() -> ResponseTooLarge:
    return ResponseTooLarge(
        f"Response payload size exceeded maximum allowed payload size ({limits.PAYLOAD_BYTES_MAX} bytes)."
    )


# ── msgpack ─────────────────────────────────────────────────────────────────────────────────────────────────────


def unpacking(raw: bytes) -> Generator[None, None, tuple[Any, Rendered]]:
    """`abi.unpack_outcome` in steps: the value, and its JSON. Raises what that raises."""
    rendered = Rendered()
    walk = _Walk(raw, rendered)
    outcome: Any
    try:
        if raw.startswith(b"\x81\xa2ok"):
            value, end = yield from walk.value(4, limits.OUTCOME_DEPTH_MAX - 1)
            outcome = {"ok": value}
        else:
            walk.rendered = None
            outcome, end = yield from walk.value(0, limits.OUTCOME_DEPTH_MAX)
        if end != len(raw):
            raise AbiViolation("bytes follow its value")
    except AbiViolation as error:
        raise AbiViolation(f"the outcome is malformed: {error.message}") from None
    except UnicodeDecodeError:
        raise AbiViolation("the outcome is malformed: a string is not UTF-8") from None
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, IndexError) as error:
        reason = str(error) or type(error).__name__
        raise AbiViolation(f"the outcome is not one msgpack value within the limits: {reason}") from None
    return abi.opened(outcome), rendered


class _Walk:
    """One outcome's."""

    def __init__(self, raw: bytes, rendered: Rendered | None) -> None:
        self.raw = raw
        self.rendered = rendered
        self._containers = abi.CONTAINERS_MAX
        # What was looked at since the last yield.
        self._spent = 0

    def value(self, at: int, depth: int, is_body: bool = False) -> Steps:
        """The value at `at`, and where it ends; it may be `depth` containers deep. `is_body`: it is the `body` of what
        is likely to be an HTTP function's result, which nobody renders as JSON."""
        is_map, count, inside = _header(self.raw, at)
        if count < 0:
            return (yield from self._leaf(at, inside, is_body))
        if depth == 0:
            raise AbiViolation(f"nested more than {limits.OUTCOME_DEPTH_MAX} deep")
        most = limits.OUTCOME_MAP_LEN_MAX if is_map else limits.OUTCOME_ARRAY_LEN_MAX
        if count > most:
            raise ValueError(f"{count} exceeds max_{'map' if is_map else 'array'}_len({most})")
        self._count(1)
        rendered = self.rendered
        if rendered is not None:
            rendered.add("{" if is_map else "[")
        made = yield from (self._entries if is_map else self._elements)(count, inside, depth - 1)
        if rendered is not None:
            rendered.add("}" if is_map else "]")
        return made

    def _elements(self, count: int, at: int, depth: int) -> Steps:
        whole: list[Any] = []
        most = PIECE_BYTES
        while len(whole) < count:
            if self._spent >= PIECE_BYTES:
                self._spent = 0
                yield
            some = min(most, count - len(whole))
            piece = self._piece(b"\xdc", some, at, depth)
            if piece is not None:
                if self.rendered is not None:
                    self.rendered.add_inner(piece[0], not whole)
                whole += piece[0]
                at = piece[1]
                most = min(2 * most, PIECE_BYTES)
            elif some > 1:
                most = some // 2
            else:
                if self.rendered is not None and whole:
                    self.rendered.add(",")
                element, at = yield from self.value(at, depth)
                whole.append(element)
        return whole, at

    def _entries(self, count: int, at: int, depth: int) -> Steps:
        whole: dict[str, Any] = {}
        most = PIECE_BYTES
        while len(whole) < count:
            if self._spent >= PIECE_BYTES:
                self._spent = 0
                yield
            some, before = min(most, count - len(whole)), len(whole)
            piece = self._piece(b"\xde", some, at, depth)
            if piece is not None:
                if self.rendered is not None:
                    self.rendered.add_inner(piece[0], not whole)
                whole.update(piece[0])
                at = piece[1]
                most = min(2 * most, PIECE_BYTES)
            elif some > 1:
                most = some // 2
                continue
            else:
                key, at = self._key(at)
                if self.rendered is not None:
                    self.rendered.add(("," if whole else "") + _encode(key) + ":")
                is_body = key == "body" and depth == limits.OUTCOME_DEPTH_MAX - 2
                whole[key], at = yield from self.value(at, depth, is_body)
            if len(whole) != before + some:
                raise AbiViolation("a map has the same key twice")
        return whole, at

    def _key(self, at: int) -> tuple[str, int]:
        _, count, end = _header(self.raw, at)
        key = msgpack.unpackb(self.raw[at:end]) if count < 0 else None
        if type(key) is not str:
            raise AbiViolation("a map key is not a string")
        self._spent += end - at
        return key, end

    def _leaf(self, at: int, end: int, is_body: bool) -> Steps:
        if end > len(self.raw):
            raise ValueError("Unpack failed: incomplete input")
        begins = at + _LONG.get(self.raw[at], 0)
        if begins == at:
            value = msgpack.unpackb(self.raw[at:end], max_ext_len=0, ext_hook=abi.no_extension)
        elif self.raw[at] >= 0xD9:
            value = str(memoryview(self.raw)[begins:end], "utf-8")
        else:
            value = self.raw[begins:end]
        self._spent += end - at
        if self.rendered is not None:
            if type(value) in (str, bytes):
                if is_body or len(value) <= LEAF_PIECE:
                    self.rendered.add_leaf(value)
                else:
                    yield from self._long(value, self.rendered)
            else:
                self.rendered.add_inner([value], True)
        return value, end

    def _long(self, value: str | bytes, rendered: Rendered) -> Generator[None, None, None]:
        """A long text or binary: 6 MB take 16 ms at one go."""
        rendered.add('"')
        for at in range(0, len(value), LEAF_PIECE):
            yield
            rendered.add(_encode(value[at : at + LEAF_PIECE])[1:-1])
        rendered.add('"')

    def _piece(self, kind: bytes, some: int, at: int, depth: int) -> tuple[Any, int] | None:
        """The next `some` elements or entries, and where they end; None if they are not all within PIECE_BYTES."""
        left = [self._containers + 1]  # the one around them is not the guest's
        unpacker = msgpack.Unpacker(
            object_pairs_hook=abi.counted(left, abi.checked_map),
            list_hook=abi.counted(left, abi.same),
            strict_map_key=False,
            max_ext_len=0,
            ext_hook=abi.no_extension,
            max_buffer_size=_BUFFER_BYTES,
            max_array_len=limits.OUTCOME_ARRAY_LEN_MAX,
            max_map_len=limits.OUTCOME_MAP_LEN_MAX,
        )
        unpacker.feed(kind + some.to_bytes(2, "big") + self.raw[at : at + PIECE_BYTES])
        self._spent += PIECE_BYTES // 4
        try:
            made = unpacker.unpack()
        except msgpack.OutOfData:
            return None
        size = unpacker.tell() - 3
        self._spent += size
        self._containers = left[0]
        abi.bound_depth(made, self.raw[at : at + size], depth + 1)
        return made, at + size

    def _count(self, containers: int) -> None:
        self._containers -= containers
        if self._containers < 0:
            raise AbiViolation(f"more than {abi.CONTAINERS_MAX:,} arrays and maps")


# First byte → bytes of the number that follows and, for what is no container, of what it always has.
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
# First byte of a text (from 0xd9 on) or binary whose length has two or four bytes → where it begins.
_LONG = {0xC5: 3, 0xC6: 5, 0xDA: 3, 0xDB: 5}


def _header(raw: bytes, at: int) -> tuple[bool, int, int]:
    """(is it a map, how many are in it, where they begin); of what is no container: −1, and where it ends."""
    first = raw[at]
    if 0x80 <= first <= 0x9F:
        return first < 0x90, first & 0x0F, at + 1
    if 0xDC <= first <= 0xDF:
        size = 2 if first in (0xDC, 0xDE) else 4
        number = raw[at + 1 : at + 1 + size]
        if len(number) < size:
            raise ValueError("Unpack failed: incomplete input")
        return first >= 0xDE, int.from_bytes(number, "big"), at + 1 + size
    if 0xA0 <= first <= 0xBF:
        return False, -1, at + 1 + (first & 0x1F)
    if first in _SIZED:
        size = _SIZED[first]
        return False, -1, at + 1 + size + int.from_bytes(raw[at + 1 : at + 1 + size], "big")
    if first <= 0x7F or first >= 0xE0:
        return False, -1, at + 1
    if first in _FIXED:
        return False, -1, at + 1 + _FIXED[first]
    raise ValueError("an extension, or a byte that begins no value")
