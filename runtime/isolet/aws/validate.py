"""Members held to the constraints of their model, and refused in AWS's wording: all that is violated, in one message.

Laws:
- A checker depends on its shape only: it is compiled once. A shape without constraints has none (None).
- A pattern is tried only on a value within its length: some take quadratic time.
- The value of a sensitive shape, and what holds one, is never shown.

Wording. A structure's members are checked at their path ('code.s3Key', 'tags.1.member.key'). Elements of a list of
scalars, and a map's keys and values, are reported at the list or map itself: "Value '[x]' at 'layers' failed to satisfy
constraint: Member must satisfy constraint: [Member must have length …, Member must not be null]".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ValidationFailed
from .models import Shape
from .patterns import compiled

Checker = Callable[[Any, str, list[str]], None]
# Of one scalar: (whether a value satisfies it, the words).
Constraint = tuple[Callable[[Any], bool], str]

# A value longer than this is shown cut: the constraint that it violates comes after it.
SHOWN_CHARS_MAX = 512
NOT_NULL = "Member must not be null"


def null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: {NOT_NULL}"


def violation(value: Any, path: str, words: str, *, sensitive: bool = False) -> str:
    said = "Value" if sensitive else f"Value '{shown(value)}'"
    return f"{said} at '{path}' failed to satisfy constraint: {words}"


def refusal(found: list[str]) -> ValidationFailed:
    return ValidationFailed(
        f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"
    )


def shown(value: Any) -> str:
    """A value as AWS's (Java's) words have it."""
    text = _java(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def _java(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_java, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_java(one)}' for key, one in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return "null" if value is None else str(value)


def camel(member: str) -> str:
    """How a path spells a member: FunctionName is functionName, KMSKeyArn kMSKeyArn."""
    return member[:1].lower() + member[1:]


class Checkers:
    """The checkers of one model's shapes. `own` has constraints of ours by shape (service.py)."""

    def __init__(self, own: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._own = own or {}
        self._made: dict[str, Checker | None] = {}

    def of(self, shape: Shape) -> Checker | None:
        name = shape.name
        if name not in self._made:
            # A shape within itself is checked by way of this table, when it is there.
            self._made[name] = lambda value, path, found: again(value, path, found)
            again = self._make(shape) or _nothing
            self._made[name] = None if again is _nothing else again
        return self._made[name]

    def limits(self, shape: Shape) -> dict[str, Any]:
        """The shape's constraints with ours over them."""
        return {key: one for key, one in {**shape.metadata, **self._own.get(shape.name, {})}.items() if one is not None}

    def _make(self, shape: Shape) -> Checker | None:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        constraints = self._constraints(shape)
        sensitive = _sensitive(shape)
        return _each(constraints, sensitive) if constraints else None

    def _constraints(self, shape: Shape) -> list[Constraint]:
        """In AWS's order: the most, the least, the pattern, the enumeration."""
        limits, kind = self.limits(shape), shape.type_name
        found: list[Constraint] = []
        if kind in ("integer", "long", "double", "float"):
            if "max" in limits:
                found.append((lambda value: value <= limits["max"], _most("value", limits["max"])))
            if "min" in limits:
                found.append((lambda value: value >= limits["min"], _least("value", limits["min"])))
            return found
        if kind in ("boolean", "timestamp"):
            return found
        most = limits.get("max")
        if most is not None:
            found.append((lambda value: len(value) <= most, _most("length", most)))
        if "min" in limits:
            found.append((lambda value: len(value) >= limits["min"], _least("length", limits["min"])))
        if kind != "string":
            return found
        if "pattern" in limits:
            pattern = compiled(limits["pattern"])
            words = f"Member must satisfy regular expression pattern: {limits['pattern']}"
            found.append(
                (
                    lambda value: (most is not None and len(value) > most) or pattern.fullmatch(value) is not None,
                    words,
                )
            )
        if "enum" in limits:
            allowed = frozenset(limits["enum"])
            found.append(
                (lambda value: value in allowed, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
            )
        return found

    def _structure(self, shape: Shape) -> Checker | None:
        required = tuple((name, camel(name)) for name in self.limits(shape).get("required", ()))
        members = [(name, camel(name), self.of(member)) for name, member in shape.members.items()]
        checked = {name: (path, checker) for name, path, checker in members if checker is not None}
        if not required and not checked:
            return None

        def check(value: Any, path: str, found: list[str]) -> None:
            before = f"{path}." if path else ""
            for name, spelled in required:
                if name not in value:
                    found.append(null(before + spelled))
            for name, one in value.items():
                known = checked.get(name)
                if known is not None:
                    known[1](one, before + known[0], found)

        return check

    def _list(self, shape: Shape) -> Checker | None:
        own = self._constraints(shape)
        element, sensitive = shape.member, _sensitive(shape)
        if element.type_name in ("structure", "list", "map"):
            inner = self.of(element) or _nothing

            def check(value: Any, path: str, found: list[str]) -> None:
                _hold(own, value, path, found, sensitive)
                for number, one in enumerate(value, 1):
                    at = f"{path}.{number}.member"
                    if one is None:
                        found.append(null(at))
                    else:
                        inner(one, at, found)

            return check
        constraints = self._constraints(element)
        words = f"Member must satisfy constraint: [{', '.join([*(words for _, words in constraints), NOT_NULL])}]"

        def check_scalars(value: Any, path: str, found: list[str]) -> None:
            _hold(own, value, path, found, sensitive)
            if not all(_holds(constraints, one) for one in value):
                found.append(violation(value, path, words, sensitive=sensitive))

        return check_scalars

    def _map(self, shape: Shape) -> Checker | None:
        own, keys = self._constraints(shape), self._constraints(shape.key)
        sensitive = _sensitive(shape)
        key_words = f"Map keys must satisfy constraint: [{', '.join(words for _, words in keys)}]"
        nested = shape.value.type_name in ("structure", "list", "map")
        inner = (self.of(shape.value) or _nothing) if nested else _nothing
        values = [] if nested else self._constraints(shape.value)
        value_words = f"Map value must satisfy constraint: [{', '.join([*(words for _, words in values), NOT_NULL])}]"

        def check(value: Any, path: str, found: list[str]) -> None:
            _hold(own, value, path, found, sensitive)
            if keys and not all(_holds(keys, key) for key in value):
                found.append(violation(value, path, key_words, sensitive=sensitive))
            if not all(_holds(values, one) for one in value.values()):
                found.append(violation(value, path, value_words, sensitive=sensitive))
            elif nested:
                for key, one in value.items():
                    inner(one, f"{path}.{shown(key)}.member", found)

        return check


def _nothing(value: Any, path: str, found: list[str]) -> None:
    pass


def _holds(constraints: list[Constraint], value: Any) -> bool:
    return value is not None and all(holds(value) for holds, _ in constraints)


def _hold(constraints: list[Constraint], value: Any, path: str, found: list[str], sensitive: bool) -> None:
    for holds, words in constraints:
        if not holds(value):
            found.append(violation(value, path, words, sensitive=sensitive))


def _each(constraints: list[Constraint], sensitive: bool) -> Checker:
    def check(value: Any, path: str, found: list[str]) -> None:
        _hold(constraints, value, path, found, sensitive)

    return check


def _most(what: str, number: Any) -> str:
    return f"Member must have {what} less than or equal to {number}"


def _least(what: str, number: Any) -> str:
    return f"Member must have {what} greater than or equal to {number}"


def _sensitive(shape: Shape, within: frozenset[str] = frozenset()) -> bool:
    """Whether a value of the shape is one that nobody is shown, or holds one."""
    if shape.metadata.get("sensitive"):
        return True
    if shape.name in within:
        return False
    within |= {shape.name}
    if shape.type_name == "list":
        return _sensitive(shape.member, within)
    if shape.type_name == "map":
        return _sensitive(shape.key, within) or _sensitive(shape.value, within)
    if shape.type_name == "structure":
        return any(_sensitive(member, within) for member in shape.members.values())
    return False
