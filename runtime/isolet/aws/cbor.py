"""CBOR (RFC 8949), as much of it as AWS's protocol of RPC over CBOR uses. Pure.

Taken: integers, byte and text strings, arrays, maps, tag 1 (a timestamp), floats, booleans, null; lengths definite or
not. A tag other than 1 is read as what it is around; `undefined` as null.

Laws:
- `decode(encode(x)) == x`.
- What is decoded is bounded: nothing is made whose bytes are not there, and nesting ends at DEPTH_MAX.
"""

from __future__ import annotations

import struct
from typing import Any

# Deeper values than any shape of AWS's has. Precedent: botocore's and Smithy's readers recurse; ours may not overflow.
DEPTH_MAX = 64


class Timestamp(float):
    """Unix seconds, to be written under tag 1."""


class Malformed(ValueError):
    """Bytes that are not the CBOR that is taken here."""


def encode(value: Any) -> bytes:
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _head(out: bytearray, major: int, number: int) -> None:
    if number < 24:
        out.append(major << 5 | number)
    elif number < 1 << 8:
        out += struct.pack(">BB", major << 5 | 24, number)
    elif number < 1 << 16:
        out += struct.pack(">BH", major << 5 | 25, number)
    elif number < 1 << 32:
        out += struct.pack(">BI", major << 5 | 26, number)
    else:
        out += struct.pack(">BQ", major << 5 | 27, number)


def _write(out: bytearray, value: Any) -> None:
    if value is None or isinstance(value, bool):
        out.append({None: 0xF6, True: 0xF5, False: 0xF4}[value])
    elif isinstance(value, int):
        _head(out, 0, value) if value >= 0 else _head(out, 1, -1 - value)
    elif isinstance(value, Timestamp):
        out.append(0xC1)
        _write(out, int(value) if value.is_integer() else float(value))
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xFB, value)
    elif isinstance(value, str):
        text = value.encode("utf-8", "replace")
        _head(out, 3, len(text))
        out += text
    elif isinstance(value, bytes | bytearray | memoryview):
        _head(out, 2, len(value))
        out += value
    elif isinstance(value, dict):
        _head(out, 5, len(value))
        for key, one in value.items():
            _write(out, key)
            _write(out, one)
    else:
        _head(out, 4, len(value))
        for one in value:
            _write(out, one)


def decode(data: bytes) -> Any:
    """The one value that the bytes are. Raises Malformed."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise Malformed(f"{len(data) - reader.at} bytes follow the value")
    return value


_BREAK = object()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise Malformed("it ends within a value")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _number(self, low: int) -> int:
        if low < 24:
            return low
        if low > 27:
            raise Malformed(f"additional information {low}")
        return int.from_bytes(self._take(1 << (low - 24)), "big")

    def value(self, depth: int) -> Any:
        one = self._item(depth)
        if one is _BREAK:
            raise Malformed("a break outside of what it could end")
        return one

    def _item(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise Malformed(f"nested deeper than {DEPTH_MAX}")
        first = self._take(1)[0]
        major, low = first >> 5, first & 31
        if major == 0:
            return self._number(low)
        if major == 1:
            return -1 - self._number(low)
        if major in (2, 3):
            return self._string(major, low)
        if major == 4:
            return self._items(low, depth)
        if major == 5:
            return self._map(low, depth)
        if major == 6:
            self._number(low)
            return self.value(depth + 1)
        return self._simple(low)

    def _string(self, major: int, low: int) -> str | bytes:
        data = b"".join(self._chunks(major)) if low == 31 else self._take(self._number(low))
        if major == 2:
            return data
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("a text string is not UTF-8") from None

    def _chunks(self, major: int) -> list[bytes]:
        chunks = []
        while (first := self._take(1)[0]) != 0xFF:
            if first >> 5 != major or first & 31 == 31:
                raise Malformed("a chunk of another type")
            chunks.append(self._take(self._number(first & 31)))
        return chunks

    def _items(self, low: int, depth: int) -> list[Any]:
        items = []
        if low == 31:
            while (one := self._item(depth + 1)) is not _BREAK:
                items.append(one)
            return items
        for _ in range(self._counted(low, 1)):
            items.append(self.value(depth + 1))
        return items

    def _map(self, low: int, depth: int) -> dict[Any, Any]:
        pairs: dict[Any, Any] = {}
        left = -1 if low == 31 else self._counted(low, 2)
        while left:
            key = self._item(depth + 1)
            if low == 31 and key is _BREAK:
                break
            if not isinstance(key, str):
                raise Malformed("a key that is not text")
            pairs[key] = self.value(depth + 1)
            left -= 1
        return pairs

    def _counted(self, low: int, bytes_each: int) -> int:
        count = self._number(low)
        if count * bytes_each > len(self.data) - self.at:
            raise Malformed("it ends within a value")
        return count

    def _simple(self, low: int) -> Any:
        if low in (20, 21):
            return low == 21
        if low in (22, 23):
            return None
        if low in (25, 26, 27):
            form = {25: ">e", 26: ">f", 27: ">d"}[low]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if low == 31:
            return _BREAK
        raise Malformed(f"simple value {low}")
