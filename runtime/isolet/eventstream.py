"""AWS's event stream encoding (`application/vnd.amazon.eventstream`): a message's bytes. Pure.

    total length u32 · headers' length u32 · CRC-32 of these eight bytes · headers · payload · CRC-32 of all before it

Laws: integers are big endian; a header is its name's length (u8), its name, a type (u8) and a value. Of the ten types
an event of ours needs one, string (7): its length (u16), then UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_U32_PAIR = struct.Struct(">II").pack
_U32 = struct.Struct(">I").pack
_TYPE_AND_LENGTH = struct.Struct(">BH").pack
# The format's own: 16 MiB of payload, 128 KiB of headers.
PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
HEADERS_BYTES_MAX = 128 * 1024


def encode(headers: Mapping[str, str], payload: bytes = b"") -> bytes:
    """One message. Names have at most 255 bytes, values at most 32,767; the sums have the format's bounds."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    assert len(packed) <= HEADERS_BYTES_MAX, "a message has the format's bounds"
    assert len(payload) <= PAYLOAD_BYTES_MAX, "a message has the format's bounds"
    lengths = _U32_PAIR(len(packed) + len(payload) + 16, len(packed))
    prelude = lengths + _U32(crc32(lengths))
    message = b"".join((prelude, packed, payload))
    return message + _U32(crc32(message))


def event(kind: str, payload: bytes = b"", content_type: str = "") -> bytes:
    """A message that is an event: `kind` is its member of the model's event stream."""
    headers = {":event-type": kind}
    if content_type:
        headers[":content-type"] = content_type
    return encode({**headers, ":message-type": "event"}, payload)


def _header(name: str, value: str) -> bytes:
    raw_name, raw = name.encode("utf-8"), value.encode("utf-8")
    assert 0 < len(raw_name) < 256, "a header has the format's bounds"
    assert len(raw) < 32_768, "a header has the format's bounds"
    return bytes((len(raw_name),)) + raw_name + _TYPE_AND_LENGTH(_STRING, len(raw)) + raw
