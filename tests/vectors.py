"""Reads the files in sdk/vectors; their README says how they are spelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack

DIRECTORY = Path(__file__).parent.parent / "sdk" / "vectors"


def cases(file: str, name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((DIRECTORY / file).read_text())[name]
    return listed


def raw(parts: list[list[Any]]) -> bytes:
    return b"".join(bytes.fromhex(text) * times for text, times in parts)


def value(shown: Any) -> Any:
    if isinstance(shown, list):
        return [value(item) for item in shown]
    if not isinstance(shown, dict):
        return shown
    match list(shown.items()):
        case [("$bin", parts)]:
            return raw(parts)
        case [("$float", text)]:
            return float(text)
        case [("$text", parts)]:
            return "".join(text * times for text, times in parts)
        case [("$array", [item, times])]:
            return [value(item)] * times
    return {key: value(item) for key, item in shown.items()}


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, whatever the order of keys; NaN equals itself."""
    return ordered(a) == ordered(b)


def ordered(value: Any) -> bytes:
    def sort(item: Any) -> Any:
        if isinstance(item, list):
            return [sort(inner) for inner in item]
        return {key: sort(item[key]) for key in sorted(item)} if isinstance(item, dict) else item

    packed: bytes = msgpack.packb(sort(value))
    return packed
