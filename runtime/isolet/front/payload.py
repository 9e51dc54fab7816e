"""Plain events: a JSON body becomes the msgpack of an event, a result becomes JSON (sdk/abi.md, sections 2.2 and 3).

Laws:
- What is accepted is JSON by RFC 8259 in UTF-8, with every name of an object once. Refused, each with its reason: a
  name twice, NaN and Infinity, a number that no float 64 holds, half a surrogate pair, nesting deeper than msgpack's
  own bound.
- Integers that fit 64 bits stay integers; other numbers are float 64.
- The quick way does not look at numbers: the C decoder and the C packer work alone, and only what they stumble over, or
  the bytes of an infinity in the result, sends a body the exact way round. (A hook a number made 64 KB of integers 6 ×
  slower.)
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import msgpack

from .. import limits, unpacking
from ..errors import InvalidRequestContent
from ..model import InPieces
from .transcode import TooDeep, transcode

EMPTY_OBJECT = b"\x80"
NIL = b"\xc0"
# What is promised; what lies between this and the C decoders' own bounds (Python's recursion limit, msgpack's 1,024)
# may pass. Exactly counting the levels of every event would cost it a third more.
DEPTH_PROMISED = 512

# The most that is decoded at one go: of the worst JSON in 8 ms, of ordinary JSON in one.
QUICK_BYTES_MAX = 64 * 1024

_INFINITIES = (b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xcb\xff\xf0\0\0\0\0\0\0")
_INTEGER_CHARS_MAX = 20
_PREFIX = "Could not parse request body into json: Could not parse payload into json: "


class _Refused(ValueError):
    """A reason that is ours; the decoder's own reasons are plain ValueErrors."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Refused(f"Duplicate field {twice!r}")
    return made


def _no_constant(text: str) -> NoReturn:
    raise _Refused(f"Non-standard token '{text}'")


def _integer(text: str) -> int | float:
    if len(text) <= _INTEGER_CHARS_MAX:
        number = int(text)
        if -(2**63) <= number < 2**64:
            return number
    return _finite(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Refused(f"Numeric value ({text[:40]}) out of range of a float 64")
    return number


_quick = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_exact = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite
)


def pack_json(body: bytes | bytearray) -> bytes:
    """The event that the JSON in `body` is, as msgpack; nothing at all is the event `{}`.

    Raises InvalidRequestContent in Lambda's words and with our reason. On the event loop, for bodies up to
    QUICK_BYTES_MAX; larger ones go through `packing_json`.
    """
    if not body:
        return EMPTY_OBJECT
    with _refusing():
        return _pack(_text(body))[1]


def packing_json(body: bytes | bytearray) -> Generator[None, None, bytes]:
    """`pack_json` for large bodies: yields every few milliseconds, and returns or raises what `pack_json` would."""
    with _refusing():
        return (yield from transcode(_text(body), _quick, _pack))


def _text(body: bytes | bytearray) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise _Refused("a byte order mark, which JSON has none of")
    return body.decode("utf-8")


def _pack(text: str) -> tuple[Any, bytes]:
    try:
        value = _quick.decode(text)
        packed: bytes = msgpack.packb(value)
    except (json.JSONDecodeError, UnicodeError, _Refused):
        raise
    except (OverflowError, ValueError):
        # An integer beyond 64 bits, or one with more digits than `int` takes; anything else fails again.
        return _pack_exactly(text)
    if _INFINITIES[0] in packed or _INFINITIES[1] in packed:
        return _pack_exactly(text)
    return value, packed


def _pack_exactly(text: str) -> tuple[Any, bytes]:
    value = _exact.decode(text)
    return value, msgpack.packb(value)


@contextmanager
def _refusing() -> Iterator[None]:
    """Every reason why a body is not what we take, in Lambda's words."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise _unparsable(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise _unparsable(f"Invalid UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise _unparsable("Half a surrogate pair in a string") from None
    except (RecursionError, TooDeep):
        raise _too_deep() from None
    except ValueError as error:
        raise _too_deep() if "recursion limit" in str(error) else _unparsable(str(error)) from None


def _unparsable(reason: str) -> InvalidRequestContent:
    return InvalidRequestContent(_PREFIX + reason)


def _too_deep() -> InvalidRequestContent:
    return _unparsable(f"the document is nested too deep; {DEPTH_PROMISED} levels are taken")


def render_json(value: Any, rendered: InPieces | None = None) -> bytes:
    """A guest's result as JSON: bin as base64; `rendered` is its JSON in pieces, if it was too large to be rendered at
    one go. Raises AbiViolation (not finite) or ResponseTooLarge."""
    if value is None:
        return b"null"
    body = unpacking.render(value) if rendered is None else rendered.json()
    bound_response(len(body))
    return body


def bound_response(size: int) -> None:
    """Raises ResponseTooLarge, in Lambda's words, for an answer of `size` bytes that is over the limit."""
    if size > limits.PAYLOAD_BYTES_MAX:
        raise unpacking.too_large()
