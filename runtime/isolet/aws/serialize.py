"""From members as handlers give them to values as they travel (JSON, CBOR, text, XML), by a shape of the model. Pure.

Laws:
- A writer depends on its shape only: it is compiled once and called per answer.
- A member that is None, or that the shape does not have, is left out.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

from .cbor import Timestamp
from .models import Shape

Writer = Callable[[Any], Any]


def iso8601(seconds: float) -> str:
    """In UTC, with milliseconds if there are any."""
    ms = round(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000))
    return f"{whole}.{ms % 1000:03d}Z" if ms % 1000 else f"{whole}Z"


def _rfc822(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


def _double(value: float) -> Any:
    """JSON has no numbers for these; AWS's SDKs read their names."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_TIMES: Mapping[str, Writer] = {"unixTimestamp": _number, "iso8601": iso8601, "rfc822": _rfc822}
JSON: Mapping[str, Writer] = {"blob": _base64, "timestamp": _number, "double": _double, "float": _double}
CBOR: Mapping[str, Writer] = {"timestamp": Timestamp}
# In headers, and as XML's text.
TEXT: Mapping[str, Writer] = {"blob": _base64, "timestamp": iso8601, "double": _double, "float": _double}


def header(shape: Shape, value: Any) -> str:
    if shape.type_name == "timestamp":
        return str(_TIMES[shape.serialization.get("timestampFormat", "rfc822")](value))
    if shape.type_name == "list":
        return ", ".join(header(shape.member, one) for one in value)
    writer = TEXT.get(shape.type_name)
    return _text_of(writer(value) if writer else value)


class Writers:
    """The writers of one model's shapes for one way of travelling; None stands for a value that travels as it is."""

    def __init__(self, scalars: Mapping[str, Writer]) -> None:
        self._scalars = scalars
        self._made: dict[tuple[str, str], Writer | None] = {}

    def of(self, shape: Shape) -> Writer | None:
        form = shape.serialization.get("timestampFormat", "") if shape.type_name == "timestamp" else ""
        key = (shape.name, form)
        if key not in self._made:
            self._make(key, shape)
        return self._made[key]

    def _make(self, key: tuple[str, str], shape: Shape) -> None:
        kind = shape.type_name
        if kind == "structure":
            table: dict[str, tuple[str, Writer | None]] = {}
            self._made[key] = _structure(table)
            for name, member in shape.members.items():
                table[name] = (member.serialization.get("name", name), self.of(member))
        elif kind == "list":
            holder: list[Writer | None] = []
            self._made[key] = _list(holder)
            holder.append(self.of(shape.member))
        elif kind == "map":
            pair: list[Writer | None] = []
            self._made[key] = _map(pair)
            pair.append(self.of(shape.value))
        elif key[1] and self._scalars is not CBOR:
            self._made[key] = _TIMES[key[1]]
        else:
            self._made[key] = self._scalars.get(kind)


def _structure(table: Mapping[str, tuple[str, Writer | None]]) -> Writer:
    def write(members: Mapping[str, Any]) -> dict[str, Any]:
        written = {}
        for name, value in members.items():
            known = table.get(name)
            if known is not None and value is not None:
                written[known[0]] = value if known[1] is None else known[1](value)
        return written

    return write


def _list(element: list[Writer | None]) -> Writer:
    def write(values: Any) -> list[Any]:
        one = element[0]
        return list(values) if one is None else [one(value) for value in values]

    return write


def _map(pair: list[Writer | None]) -> Writer:
    def write(values: Mapping[str, Any]) -> dict[str, Any]:
        one = pair[0]
        return {key: value if one is None else one(value) for key, value in values.items() if value is not None}

    return write


# ── XML, of the query protocol ──────────────────────────────────────────────────────────────────────────────────


def xml(shape: Shape, name: str, value: Any) -> str:
    """An element of this name."""
    kind = shape.type_name
    if kind == "structure":
        inner = "".join(
            xml(member, member.serialization.get("name", own), value[own])
            for own, member in shape.members.items()
            if value.get(own) is not None
        )
    elif kind == "list":
        flat = shape.serialization.get("flattened")
        each = name if flat else shape.member.serialization.get("name", "member")
        inner = "".join(xml(shape.member, each, one) for one in value)
        if flat:
            return inner
    elif kind == "map":
        flat = shape.serialization.get("flattened")
        key_name, value_name = (
            part.serialization.get("name", own) for part, own in ((shape.key, "key"), (shape.value, "value"))
        )
        entries = [xml(shape.key, key_name, key) + xml(shape.value, value_name, one) for key, one in value.items()]
        each = name if flat else "entry"
        inner = "".join(f"<{each}>{entry}</{each}>" for entry in entries)
        if flat:
            return inner
    else:
        inner = element_text(_scalar_text(shape, value))
    return f"<{name}>{inner}</{name}>"


def _scalar_text(shape: Shape, value: Any) -> str:
    if shape.type_name == "timestamp":
        return str(_TIMES[shape.serialization.get("timestampFormat", "iso8601")](value))
    writer = TEXT.get(shape.type_name)
    return _text_of(writer(value) if writer else value)


def element_text(text: str) -> str:
    """Escaped; characters that XML 1.0 cannot hold become U+FFFD, and a carriage return survives as its reference."""
    if not text.isprintable():
        text = "".join("\ufffd" if _unspeakable(ord(c)) else c for c in text)
    return escape(text, {"\r": "&#13;"})


def _unspeakable(code: int) -> bool:
    return (code < 32 and code not in (9, 10, 13)) or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF)
