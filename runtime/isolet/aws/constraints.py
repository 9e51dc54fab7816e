"""A request's members and their constraints, refused in AWS's wording: all that are violated, in one message. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidParameter, UnsupportedOperation, ValidationFailed


def null(member: str) -> str:
    return f"Value null at '{member}' failed to satisfy constraint: Member must not be null"


def pattern(member: str, value: str, pattern: str) -> str:
    constraint = f"Member must satisfy regular expression pattern: {pattern}"
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def bound(member: str, value: Any, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must have value {constraint}"


def length(member: str, value: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must have length {constraint}"


def violations(found: list[str]) -> str:
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"


class Body:
    """The members of a request, read with their constraints; `finish` refuses all that is wrong together."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members
        self._found: list[str] = []

    def has(self, member: str) -> bool:
        return self._members.get(member) is not None

    def require(self, *members: str) -> None:
        self._found += [null(_camel(member)) for member in members if not self.has(member)]

    def text(self, member: str, must: str = "", chars: tuple[int, int] = (0, 1_000_000), default: str = "") -> str:
        value: str = self._typed(member, str, default)
        low, high = chars
        if not self.has(member):
            return value
        if len(value) > high:
            self._found.append(length(_camel(member), value, f"less than or equal to {high}"))
        if len(value) < low:
            self._found.append(length(_camel(member), value, f"greater than or equal to {low}"))
        if must and not re.fullmatch(must, value, re.ASCII):
            self._found.append(pattern(_camel(member), value, must))
        return value

    def optional_text(self, member: str) -> str | None:
        value: str = self._typed(member, str, "")
        return value if self.has(member) else None

    def raw(self, member: str) -> Any:
        """The value as it was sent, for what no error may show."""
        return self._members.get(member)

    def whole(self, member: str, low: int, high: int, default: int) -> int:
        value: int = self._typed(member, int, default)
        if value < low:
            self._found.append(bound(_camel(member), value, f"greater than or equal to {low}"))
        if value > high:
            self._found.append(bound(_camel(member), value, f"less than or equal to {high}"))
        return value

    def flag(self, member: str) -> bool:
        value: bool = self._typed(member, bool, False)
        return value

    def texts(self, member: str) -> list[str]:
        values: list[str] = self._typed(member, list, [])
        if not all(isinstance(value, str) for value in values):
            raise InvalidParameter(f"{member} is not a list of strings; write one")
        return values

    def mapping(self, member: str) -> Mapping[str, Any]:
        value: Mapping[str, Any] = self._typed(member, dict, {})
        return value

    def refuse_unserved(self, not_served: Mapping[str, Any]) -> None:
        """Refuses members that ask for what we do not do; `not_served` gives for each what asks for nothing."""
        for member, nothing in not_served.items():
            value = self._members.get(member)
            if value not in (None, nothing, {}, [], ""):
                raise UnsupportedOperation(f"{member} is not served by this version of isolet; leave it out")

    def finish(self) -> None:
        if self._found:
            raise ValidationFailed(violations(self._found))

    def _typed(self, member: str, kind: type, default: Any) -> Any:
        value = self._members.get(member)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            what = {str: "a String", int: "an Integer", dict: "a Map", bool: "a Boolean", list: "a List"}[kind]
            raise InvalidParameter(f"{member} is {json.dumps(value)[:64]}, which can not be converted to {what}")
        return value


def _camel(member: str) -> str:
    return member[:1].lower() + member[1:]
