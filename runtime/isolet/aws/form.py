"""Query's flat fields (`Tags.member.1.Key=a`) ↔ the nested values that they say, by a shape of the model. Pure.

Laws:
- A list is in the order of its numbers, whatever the order of the fields; a number that is left out leaves no gap.
- Flattened lists (`Tags.1.Key`) are read too, also where the model's are not: older SDKs of CloudWatch send them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import SerializationFailed
from .models import Shape

_DEPTH_MAX = 64

Tree = dict[str, Any]


def nested(fields: Iterable[tuple[str, str]], shape: Shape | None) -> Tree:
    """The members that the fields say, all of them text, for parse.TEXT's readers."""
    tree: Tree = {}
    for name, value in fields:
        _put(tree, name.split("."), value)
    return {} if shape is None else _structure(tree, shape)


def _put(tree: Tree, path: list[str], value: str) -> None:
    if len(path) > _DEPTH_MAX:
        raise SerializationFailed(f"a field's name has more than {_DEPTH_MAX} parts")
    for part in path[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    # `Tags=` is an empty list beside nothing, and nothing beside `Tags.member.1`.
    if not isinstance(tree.get(path[-1]), dict):
        tree[path[-1]] = value


def _value(node: Any, shape: Shape) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(node, shape) if isinstance(node, dict) else node
    if kind == "list":
        return _list(node, shape)
    if kind == "map":
        return _map(node, shape)
    return node


def _structure(tree: Tree, shape: Shape) -> Tree:
    members = {}
    for name, member in shape.members.items():
        travels = member.serialization.get("name", name)
        if travels in tree:
            members[travels] = _value(tree[travels], member)
        elif travels != name and name in tree:
            members[travels] = _value(tree[name], member)
        elif member.type_name == "list" and (flat := member.member.serialization.get("name")) in tree:
            members[travels] = _value(tree[flat], member)
    return members


def _list(node: Any, shape: Shape) -> Any:
    if not isinstance(node, dict):
        return [] if node == "" else node
    for wrapper in ("member", shape.member.serialization.get("name", "member")):
        if isinstance(node.get(wrapper), dict):
            node = node[wrapper]
    return [_value(node[number], shape.member) for number in _numbers(node)]


def _map(node: Any, shape: Shape) -> Any:
    if not isinstance(node, dict):
        return {} if node == "" else node
    node = node["entry"] if isinstance(node.get("entry"), dict) else node
    key, value = (part.serialization.get("name", own) for part, own in ((shape.key, "key"), (shape.value, "value")))
    pairs = {}
    for number in _numbers(node):
        entry = node[number]
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            raise SerializationFailed("Expected map or null")
        pairs[entry[key]] = _value(entry.get(value), shape.value)
    return pairs


def _numbers(node: Tree) -> list[str]:
    numbers = [name for name in node if name.isascii() and name.isdigit() and len(name) <= 9]
    if len(numbers) != len(node):
        raise SerializationFailed("Expected list or null")
    return sorted(numbers, key=int)
