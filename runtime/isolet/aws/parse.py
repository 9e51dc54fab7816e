"""From values as they travelled (JSON, CBOR, text) to members as handlers get them, by a shape of the model. Pure.

Members: text is str, a blob bytes, a timestamp Unix seconds (float), a structure or map a dict, a list a list; what was
not sent, or was null, is absent.

Laws:
- A reader depends on its shape only: it is compiled once and called per request.
- A value of another type is refused with SerializationFailed, in the words of AWS's own parser, which show the type and
  never the value.
- A null in a list or a map stays None, for validate.py to refuse.
- A member that the shape does not have is ignored, as AWS does: clients may be newer than the model.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import SerializationFailed
from .models import Shape

Reader = Callable[[Any], Any]

_INTEGERS = {"integer": (-(2**31), 2**31 - 1, "an Integer"), "long": (-(2**63), 2**63 - 1, "a Long")}
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII | re.IGNORECASE
)


def _mismatch(value: Any, what: str) -> SerializationFailed:
    """AWS's words for a value of another type."""
    if isinstance(value, dict):
        return SerializationFailed("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return SerializationFailed("Start of list found where not expected")
    return SerializationFailed(f"{_kind(value)} can not be converted to {what}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return "NUMBER_VALUE" if isinstance(value, int | float) else "STRING_VALUE"


# ── scalars ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, "a String")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SerializationFailed(
                "STRING_VALUE can not be converted to a String: half of a surrogate pair"
            ) from None
    return value


def _integer(kind: str) -> Reader:
    low, high, what = _INTEGERS[kind]

    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _mismatch(value, what)
        return value

    return read


def _double(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch(value, "a Double")
    try:
        return float(value)
    except OverflowError:
        raise _mismatch(value, "a Double") from None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, "a Boolean")
    return value


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _mismatch(value, "a Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise SerializationFailed("STRING_VALUE can not be converted to a Blob: it is not base64") from None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise _mismatch(value, "a Blob")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
        raise _mismatch(value, "a Timestamp")
    return float(value)


def _when(text: Any) -> float:
    """Of text in one of the three forms: ISO 8601, RFC 822 (of headers), Unix seconds."""
    if not isinstance(text, str):
        raise _mismatch(text, "a Timestamp")
    if found := _ISO.fullmatch(text):
        *whole, fraction, sign, hours, minutes = found.groups()
        try:
            at = timegm(datetime(*map(int, whole), tzinfo=UTC).timetuple())  # type: ignore[arg-type,misc]
        except ValueError:
            raise _mismatch(text, "a Timestamp") from None
        offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
        return at - offset + float(fraction or 0)
    if re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        raise _mismatch(text, "a Timestamp") from None


def _text_integer(kind: str) -> Reader:
    low, high, what = _INTEGERS[kind]

    def read(value: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"[+-]?\d{1,20}", value, re.ASCII):
            raise _mismatch(value, what)
        if not low <= int(value) <= high:
            raise _mismatch(0, what)
        return int(value)

    return read


def _text_double(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[value]
    if not isinstance(value, str) or not re.fullmatch(
        r"[+-]?\d{1,400}(\.\d{0,400})?([eE][+-]?\d{1,4})?", value, re.ASCII
    ):
        raise _mismatch(value, "a Double")
    return float(value)


def _text_boolean(value: Any) -> bool:
    if value not in ("true", "false"):
        raise _mismatch(value, "a Boolean")
    return bool(value == "true")


def _scalars(**own: Reader) -> Mapping[str, Reader]:
    common = {"string": _text, "integer": _integer("integer"), "long": _integer("long"), "double": _double}
    return common | {"float": _double, "boolean": _boolean} | own


# How each type travels: in JSON, in CBOR, and as text (labels, queries, headers, forms).
JSON = _scalars(blob=_base64, timestamp=_seconds)
CBOR = _scalars(blob=_bytes, timestamp=_seconds)
TEXT = _scalars(
    integer=_text_integer("integer"),
    long=_text_integer("long"),
    double=_text_double,
    float=_text_double,
    boolean=_text_boolean,
    blob=_base64,
    timestamp=_when,
)
_TEXT_IN_JSON: Mapping[str, Reader] = {"iso8601": _when, "rfc822": _when}


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Readers:
    """The readers of one model's shapes for one way of travelling."""

    def __init__(self, scalars: Mapping[str, Reader]) -> None:
        self._scalars = scalars
        self._made: dict[tuple[str, str], Reader] = {}

    def of(self, shape: Shape) -> Reader:
        # A member may say of its timestamp how it travels; all else is of the shape.
        form = shape.serialization.get("timestampFormat", "") if shape.type_name == "timestamp" else ""
        key = (shape.name, form)
        if key not in self._made:
            self._make(key, shape)
        return self._made[key]

    def _make(self, key: tuple[str, str], shape: Shape) -> None:
        kind = shape.type_name
        if kind == "structure":
            # Known before its members are, which may be of the same shape.
            table: dict[str, tuple[str, Reader]] = {}
            self._made[key] = _structure(table)
            for name, member in shape.members.items():
                table[member.serialization.get("name", name)] = (name, self.of(member))
        elif kind == "list":
            holder: list[Reader] = []
            self._made[key] = _list(holder)
            holder.append(self.of(shape.member))
        elif kind == "map":
            pair: list[Reader] = []
            self._made[key] = _map(pair)
            pair += [self.of(shape.key), self.of(shape.value)]
        else:
            self._made[key] = _TEXT_IN_JSON.get(key[1], self._scalars[kind])


def _structure(table: Mapping[str, tuple[str, Reader]]) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise SerializationFailed("Unexpected value type in payload")
        members = {}
        for name, sent in value.items():
            known = table.get(name)
            if known is not None and sent is not None:
                members[known[0]] = known[1](sent)
        return members

    return read


def _list(element: list[Reader]) -> Reader:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise SerializationFailed("Expected list or null")
        one = element[0]
        return [None if sent is None else one(sent) for sent in value]

    return read


def _map(pair: list[Reader]) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise SerializationFailed("Expected map or null")
        key, one = pair
        return {key(name): None if sent is None else one(sent) for name, sent in value.items()}

    return read


def structure_of(members: Mapping[str, Shape], readers: Readers) -> Reader:
    """A reader of some members of a structure: those that are in a body, of one that has others elsewhere."""
    table = {member.serialization.get("name", name): (name, readers.of(member)) for name, member in members.items()}
    return _structure(table)
