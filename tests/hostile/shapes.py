"""Requests of AWS's APIs by their models, with values that are right, nearly right, or nothing of the kind."""

from __future__ import annotations

import base64
import json
import random
import re
from typing import Any
from urllib.parse import quote

from isolet.aws import cbor, models
from isolet.aws.models import Model, OperationModel, Shape
from keeping import ROLE, package

SERVICES = {name: models.load(name) for name in ("lambda", "logs", "events", "secretsmanager", "cloudwatch", "sts")}
# What others said before, so that some of it is there.
_WORDS = [
    "f",
    "g",
    "1",
    "$LATEST",
    "live",
    "a",
    "",
    "x" * 300,
    "../../etc/passwd",
    "a\0b",
    "ü✓",
    "%2F",
    "a b",
    "{}",
    "*",
    "-1",
]
_WORDS += ["arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:lambda:us-east-1:111122223333:function:f", ROLE]
_WORDS += [
    "/aws/lambda/f",
    "cron(0 12 * * ? *)",
    "rate(1 minute)",
    '{ $.a = "b" }',
    "python3.12",
    "provided.al2023",
    "null",
]
_STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    -(2**70),
    1.5,
    1e308,
    "",
    "x",
    [],
    {},
    [[]],
    {"": None},
]
_STRANGE += ["\ud800", "\0", ["a", 1], {"a": {"b": []}}, "9" * 5_000, "A" * 10_000, [None], 0.1]


def value(shape: Shape, chance: random.Random, depth: int = 0) -> Any:
    """A value of JSON for a shape; now and then of another."""
    if chance.random() < 0.04 or depth > 6:
        return chance.choice(_STRANGE)
    kind = shape.type_name
    if kind == "structure":
        needed = shape.required_members
        return {
            member.serialization.get("name", name): value(member, chance, depth + 1)
            for name, member in shape.members.items()
            if chance.random() < (0.95 if name in needed else 0.3)
        }
    if kind == "list":
        return [value(shape.member, chance, depth + 1) for _ in range(chance.choice([0, 1, 1, 2, 5]))]
    if kind == "map":
        count = chance.choice([0, 1, 1, 3])
        return {str(value(shape.key, chance, depth + 1)): value(shape.value, chance, depth + 1) for _ in range(count)}
    if kind == "string":
        words = getattr(shape, "enum", None)
        return chance.choice(words) if words and chance.random() < 0.8 else chance.choice(_WORDS)
    if kind == "blob":
        return base64.b64encode(chance.choice([package(), b"", b"PK", b"\0" * 50])).decode()
    if kind == "boolean":
        return chance.random() < 0.5
    if kind in ("timestamp", "double", "float"):
        return chance.choice([0, 1_700_000_000, 1_700_000_000.5, -1, 1e12])
    return chance.choice([0, 1, 3, 128, 10_000, 2**31 - 1])


# What each service serves, once a request for something else was told so.
_served: dict[str, list[str]] = {}


def learn(answer: bytes) -> None:
    """From the words of a refusal: "The operation X of logs is not served by isolet; served are A, B"."""
    if found := re.search(rb"of (\w+) is not served by isolet; served are ([A-Za-z0-9, ]+)", answer):
        _served[found[1].decode()] = found[2].decode().split(", ")


def request(chance: random.Random) -> tuple[str, str, str, list[tuple[str, str]], bytes]:
    """(service that signs, method, path and query, headers, body)."""
    model = chance.choice([SERVICES["lambda"]] * 3 + list(SERVICES.values()))
    operation = model.operation(chance.choice(_served.get(model.name) or list(model.operation_names)))
    protocol = chance.choice(model.protocols)
    shape = operation.input_shape
    members = value(shape, chance) if shape is not None else {}
    if protocol == models.REST_JSON:
        return _rest(model, operation, members, chance)
    return _rpc(model, operation, protocol, members, chance)


def _rest(model: Model, operation: OperationModel, members: Any, chance: random.Random) -> Any:
    members = dict(members) if isinstance(members, dict) else {}
    path, _, query = operation.http["requestUri"].partition("?")
    pairs = [query] if query else []
    headers: list[tuple[str, str]] = []
    shape = operation.input_shape
    payload: Any = members
    for name, member in shape.members.items() if shape is not None else ():
        travels, location = member.serialization.get("name", name), member.serialization.get("location")
        if location == "uri":
            text = str(members.pop(travels, chance.choice(_WORDS)))
            encoded = quote(text.encode("utf-8", "replace"), safe="" if chance.random() < 0.7 else "/")
            path = path.replace(f"{{{travels}}}", encoded).replace(f"{{{travels}+}}", encoded)
        elif location == "querystring" and travels in members:
            pairs.append(f"{travels}={quote(str(members.pop(travels)).encode('utf-8', 'replace'))}")
        elif location == "header" and travels in members:
            text = str(members.pop(travels))[:200]
            if text.isascii() and text.isprintable():
                headers.append((travels.lower(), text))
        elif name == shape.serialization.get("payload") and name in members:
            payload = members[name]
    query = "&".join(pairs)
    body = payload.encode("utf-8", "replace") if isinstance(payload, str) else json.dumps(payload).encode()
    return model.signing_name, operation.http["method"], path + (f"?{query}" if query else ""), headers, body


def _rpc(model: Model, operation: OperationModel, protocol: str, members: Any, chance: random.Random) -> Any:
    if protocol == models.CBOR:
        path = f"/service/{model.target_prefix}/operation/{operation.name}"
        headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")]
        return model.signing_name, "POST", path, headers, cbor.encode(_sayable(members))
    if protocol == models.QUERY:
        fields = [("Action", operation.name), ("Version", model.api_version), *_flat("", members)]
        body = "&".join(f"{quote(name)}={quote(text.encode('utf-8', 'replace'))}" for name, text in fields)
        return model.signing_name, "POST", "/", [("content-type", "application/x-www-form-urlencoded")], body.encode()
    headers = [
        ("x-amz-target", f"{model.target_prefix}.{operation.name}"),
        ("content-type", "application/x-amz-json-1.1"),
    ]
    return model.signing_name, "POST", "/", headers, json.dumps(members).encode()


def _sayable(members: Any) -> Any:
    """Without the integers that CBOR has no bytes for."""
    if isinstance(members, dict):
        return {name: _sayable(inner) for name, inner in members.items()}
    if isinstance(members, list):
        return [_sayable(inner) for inner in members]
    return 2**63 if type(members) is int and abs(members) > 2**64 - 1 else members


def _flat(prefix: str, members: Any) -> list[tuple[str, str]]:
    if isinstance(members, dict):
        return [pair for name, inner in members.items() for pair in _flat(f"{prefix}.{name}".lstrip("."), inner)]
    if isinstance(members, list):
        return [pair for at, inner in enumerate(members, 1) for pair in _flat(f"{prefix}.member.{at}", inner)]
    return [(prefix, str(members))]
