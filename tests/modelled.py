"""Values that AWS's models allow, made at random from a seed; and requests as botocore's own client makes them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from botocore.model import OperationModel, Shape
from botocore.serialize import create_serializer

from isolet.aws.request import Request

SERVICES = ("lambda", "logs", "secretsmanager", "sts", "cloudwatch", "events")
_DEPTH_MAX = 5
_TEXTS = ("a", "b-c_9", "x/y:z", "ü €", "a b&c=d", "<tag>", "%2F", "𝄞", "0")


class Maker:
    """Makes values of a shape that a client can send: with every member sometimes there and sometimes not."""

    def __init__(self, seed: int, *, empties: bool = True) -> None:
        self._random = random.Random(seed)
        # The fields of the query protocol cannot say that a structure or a map within a list is empty.
        self._empties = empties

    def value(self, shape: Shape, depth: int = 0) -> Any:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape, depth)
        if kind == "list":
            return [self.value(shape.member, depth + 1) for _ in range(self._count(depth))]
        if kind == "map":
            return {self.value(shape.key): self.value(shape.value, depth + 1) for _ in range(self._count(depth))}
        return self.scalar(shape)

    def _count(self, depth: int) -> int:
        least = 0 if self._empties else 1
        return least if depth > _DEPTH_MAX else self._random.randint(least, 2)

    def _structure(self, shape: Shape, depth: int) -> dict[str, Any]:
        required = shape.metadata.get("required", ())
        members = {}
        for name, member in shape.members.items():
            label = member.serialization.get("location") == "uri"
            if name not in required and not label and (depth > _DEPTH_MAX or self._random.random() < 0.4):
                continue
            members[name] = self.value(member, depth + 1)
        if shape.metadata.get("union") or shape.serialization.get("eventstream"):
            sayable = [n for n, m in shape.members.items() if m.type_name != "structure" or m.members or self._empties]
            kept = self._random.choice(sorted(sayable))
            return {kept: self.value(shape.members[kept], depth + 1)}
        if not members and not self._empties and depth and shape.members:
            name = min(shape.members)
            return {name: self.value(shape.members[name], depth + 1)}
        return members

    def scalar(self, shape: Shape) -> Any:
        kind = shape.type_name
        if kind == "string":
            enum = shape.metadata.get("enum")
            if enum and self._random.random() < 0.8:
                return self._random.choice(list(enum))
            location = shape.serialization.get("location")
            texts = ("a", "b-c_9", "x:y") if location in ("header", "headers") else _TEXTS
            return self._random.choice(texts) + str(self._random.randint(0, 9))
        if kind in ("integer", "long"):
            low = -(2**31) if kind == "integer" else -(2**53)
            if shape.serialization.get("location") == "statusCode":
                return self._random.choice((200, 201, 202))
            return self._random.choice((0, 1, -1, self._random.randint(low, -low - 1)))
        if kind in ("double", "float"):
            return self._random.choice((0.0, 1.5, -2.25, 1e300, self._random.random()))
        if kind == "boolean":
            return self._random.random() < 0.5
        if kind == "timestamp":
            return datetime.fromtimestamp(self._random.randint(0, 2**31), UTC)
        assert kind == "blob", kind
        return self._random.randbytes(self._random.randint(1, 9))


def plain(value: Any) -> Any:
    """As handlers see it: timestamps as Unix seconds."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


def sent(protocol: str, operation: OperationModel, members: dict[str, Any]) -> Request:
    """The request that botocore's client sends for these members."""
    made = create_serializer(protocol, False).serialize_to_request(members, operation)
    query = made["query_string"]
    if isinstance(query, dict):
        query = urlencode(query, doseq=True)
    elif not isinstance(query, str):
        query = urlencode(list(query))
    path, _, constant = made["url_path"].partition("?")
    body = made["body"]
    headers = {name.lower(): str(value) for name, value in dict(made["headers"]).items()}
    if isinstance(body, dict):
        body = urlencode(body)
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
    body = body.encode() if isinstance(body, str) else bytes(body)
    query = "&".join(filter(None, (constant, query)))
    return Request(made["method"], path, query, list(headers.items()), body)
