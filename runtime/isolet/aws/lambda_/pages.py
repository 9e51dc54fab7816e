"""Pages of lists: a Marker is the key of the last item that was shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...errors import InvalidParameter
from .. import tokens
from ..service import Call

T = TypeVar("T")


def marked(call: Call) -> str:
    """The key that the request's Marker holds; "" without one. Raises InvalidParameter for another listing's."""
    text = call.get("Marker")
    if not text:
        return ""
    refusal = InvalidParameter(f"the Marker {text[:64]!r} is not one that {call.operation} gave; start without")
    key = tokens.decode(call.operation, text, refusal)
    if not isinstance(key, str):
        raise refusal
    return key


def marker(call: Call, key: str) -> str:
    return tokens.encode(call.operation, key)


def size(call: Call, most: int = 50) -> int:
    """How many items: what MaxItems asks for, at most `most`. Precedent: ListFunctions gives 50, whatever it says."""
    return min(call.get("MaxItems") or most, most)


def page(
    call: Call, items: Sequence[T], key: Callable[[T], str], shape: Callable[[T], Any], member: str, most: int = 50
) -> dict[str, Any]:
    """The answer with a page of `items`, which are all there are, in the order of their keys."""
    after = marked(call)
    left = [item for item in items if not after or key(item) > after]
    count = size(call, most)
    answer: dict[str, Any] = {member: [shape(item) for item in left[:count]]}
    if len(left) > count:
        answer["NextMarker"] = marker(call, key(left[count - 1]))
    return answer
