"""What the four protocols have in common: how members come out of a request, and how an answer or a fault goes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from .faults import Fault
from .models import OperationModel
from .request import Answer, Request
from .routes import Route


class Wire(Protocol):
    """One protocol of one model. Its operations are compiled at their first call."""

    def members(self, operation: OperationModel, route: Route, request: Request) -> dict[str, Any]:
        """What was sent. Raises SerializationFailed, or what the protocol says in its place."""

    def answer(self, operation: OperationModel, members: Mapping[str, Any], request_id: str) -> Answer: ...

    def fault(self, fault: Fault, request_id: str) -> Answer: ...


def dump(value: Any) -> bytes:
    # Text of guests is str from valid UTF-8; `replace` is for foreign text that is not.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def load(body: bytes) -> Any:
    """JSON, strictly. Raises ValueError with the reason."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
