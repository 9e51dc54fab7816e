"""Members of a template's maps, evaluated and of the type that they must have.

Law: what has another type raises TemplateInvalid with its place. CloudFormation takes text for numbers and truths, and
numbers for text; so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import TemplateInvalid
from ..template import as_text


class Members:
    """One map. Remembers which members were asked for: `unread` are the others."""

    def __init__(self, values: Any, path: str) -> None:
        if not isinstance(values, dict):
            raise TemplateInvalid(f"{path}: this is a map")
        self.path = path
        self._values: Mapping[str, Any] = values
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """As it is; None if it is not there."""
        self._read.add(name)
        return self._values.get(name)

    def ignore(self, *names: str) -> None:
        self._read.update(names)

    def unread(self) -> list[str]:
        return [str(name) for name in self._values if name not in self._read]

    def at(self, name: str) -> str:
        return f"{self.path}.{name}"

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        if isinstance(value, dict | list):
            raise TemplateInvalid(f"{self.at(name)}: this is a text")
        return default if value is None else as_text(value)

    def required(self, name: str) -> str:
        if not (value := self.text(name)):
            raise TemplateInvalid(f"{self.path}: {name} is missing")
        return value

    def whole(self, name: str) -> int | None:
        value = self.get(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}(\.0)?", as_text(value), re.ASCII) or isinstance(value, bool):
            raise TemplateInvalid(f"{self.at(name)}: {_shown(value)} is not a whole number")
        return int(float(value))

    def truth(self, name: str) -> bool | None:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value
        if value not in ("true", "false"):
            raise TemplateInvalid(f"{self.at(name)}: {_shown(value)} is neither true nor false")
        return bool(value == "true")

    def inner(self, name: str) -> Members:
        """A map; an empty one if it is not there."""
        value = self.get(name)
        return Members({} if value is None else value, self.at(name))

    def texts(self, name: str) -> list[str]:
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or any(isinstance(item, dict | list) for item in value):
            raise TemplateInvalid(f"{self.at(name)}: this is a list of texts")
        return [as_text(item) for item in value]

    def strings(self, name: str) -> dict[str, str]:
        """A map of names to texts."""
        inner = self.inner(name)
        return {str(key): inner.text(key) for key in inner}

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
