"""Pages of lists: a Marker is the key of the last item that was shown. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...errors import InvalidParameter
from ..service import Call

T = TypeVar("T")


def marked(call: Call) -> str:
    """The key that the request's Marker holds; "" without one. Raises InvalidParameter."""
    text = call.get("Marker") or ""
    try:
        return base64.urlsafe_b64decode(text).decode("utf-8")
    except (ValueError, binascii.Error):
        raise InvalidParameter(f"the Marker {text[:64]!r} is not one that was given out; start without") from None


def marker(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode("ascii")


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
        answer["NextMarker"] = marker(key(left[count - 1]))
    return answer
