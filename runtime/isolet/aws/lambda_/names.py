"""Which function, version or alias a request means: by FunctionName and Qualifier, or by the ARN of a resource. Pure.

Law: a name without an account is the caller's own. What belongs to another account is refused before anything is looked
up, so that the refusal says nothing of what is there.
"""

from __future__ import annotations

import re
from typing import Any

from ... import routing
from ...errors import AccessDenied, InvalidParameter, ValidationFailed
from ...model import REGION
from ...routing import FunctionRef, parse_function_name
from .. import constraints
from ..service import Call

_LAYER_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:(?P<name>[a-zA-Z0-9-_]+)"
    r"(?::(?P<version>[0-9]+))?",
    re.ASCII,
)
_FUNCTION_ARN = r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:function:.+"


def function_of(call: Call) -> FunctionRef:
    """What FunctionName and Qualifier name together. Raises ValidationFailed, InvalidParameter, UnknownFunction,
    AccessDenied."""
    return _own(call, parse_function_name(call["FunctionName"], call.get("Qualifier") or "", call.tenant))


def function_named(call: Call, text: str) -> FunctionRef:
    return _own(call, parse_function_name(text, "", call.tenant))


def tagged_function(call: Call, arn: str) -> FunctionRef:
    """The function whose tags `arn` names: an ARN of a function, without a qualifier."""
    if not arn.startswith("arn:"):
        raise ValidationFailed(constraints.violations([constraints.pattern("resource", arn, _FUNCTION_ARN)]))
    ref = function_named(call, arn)
    if ref.qualifier:
        raise InvalidParameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return ref


def layer_of(call: Call, name: str) -> str:
    """The name of a layer of the caller's, from its name or its ARN. Raises AccessDenied, ValidationFailed."""
    match = _LAYER_ARN.fullmatch(name)
    if match is None:
        return name
    if match["account"] != call.tenant:
        raise denied(call, name)
    return match["name"]


def layer_version_of(call: Call, arn: str) -> tuple[str, str, int]:
    """(tenant, name, version) of a layer version's ARN; also of another account's, which may have granted it."""
    match = _LAYER_ARN.fullmatch(arn)
    if match is None or match["version"] is None or match["region"] != REGION:
        raise InvalidParameter(f"Layer version {arn} does not exist.")
    return match["account"], match["name"], int(match["version"])


def denied(call: Call, resource: str) -> AccessDenied:
    return routing.denied(call.tenant, call.operation, resource)


def _own(call: Call, ref: FunctionRef) -> FunctionRef:
    if ref.tenant != call.tenant:
        raise denied(call, ref.arn())
    return ref


def statement_of(call: Call, resource: str, **conditions: Any) -> dict[str, Any]:
    """A statement of a resource's policy, as AddPermission and AddLayerVersionPermission ask for it."""
    principal = call["Principal"]
    said: dict[str, Any] = {
        "Sid": call["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": call["Action"],
        "Resource": resource,
    }
    kept = {operator: keys for operator, keys in conditions.items() if keys}
    return said | ({"Condition": kept} if kept else {})


def _principal(text: str) -> str | dict[str, str]:
    if text == "*":
        return text
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    return {"AWS": text} if text.startswith("arn:") else {"Service": text}
