"""What hangs on functions, as requests: (its name, the members of its request) of a resource's id and properties.

Law: only what the template says is in a request, but for what a former one may have said otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import TemplateInvalid
from . import sam
from .members import Members


def _version(_id: str, given: Members) -> tuple[str, dict[str, Any]]:
    return "", {member: given.text(member) for member in ("Description", "CodeSha256") if member in given}


def _alias(_id: str, given: Members) -> tuple[str, dict[str, Any]]:
    weights: dict[str, float] = {}
    routing = given.inner("RoutingConfig").get("AdditionalVersionWeights") or []
    if not isinstance(routing, list):
        raise TemplateInvalid(f"{given.at('RoutingConfig')}.AdditionalVersionWeights: this is a list")
    for number, item in enumerate(routing):
        weight = Members(item, f"{given.at('RoutingConfig')}.AdditionalVersionWeights[{number}]")
        share = weight.required("FunctionWeight")
        if not re.fullmatch(r"[01](\.[0-9]+)?|\.[0-9]+", share, re.ASCII):
            raise TemplateInvalid(f"{weight.at('FunctionWeight')}: {share!r} is not a weight from 0 to 1")
        weights[weight.required("FunctionVersion")] = float(share)
    return given.required("Name"), {
        "FunctionVersion": given.required("FunctionVersion"),
        "Description": given.text("Description"),
        "RoutingConfig": {"AdditionalVersionWeights": weights},
    }


def _url(_id: str, given: Members) -> tuple[str, dict[str, Any]]:
    cors = given.inner("Cors")
    said: dict[str, Any] = {
        member: cors.texts(member)
        for member in ("AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders")
        if member in cors
    }
    if "AllowCredentials" in cors:
        said["AllowCredentials"] = cors.truth("AllowCredentials")
    if "MaxAge" in cors:
        said["MaxAge"] = cors.whole("MaxAge")
    return "", {
        "AuthType": given.required("AuthType"),
        "InvokeMode": given.text("InvokeMode", "BUFFERED"),
        "Cors": said,
    }


def _event_invoke(_id: str, given: Members) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {
        member: given.whole(member)
        for member in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")
        if member in given
    }
    destinations = given.inner("DestinationConfig")
    targets = {
        when: {"Destination": destinations.inner(when).required("Destination")}
        for when in ("OnSuccess", "OnFailure")
        if when in destinations
    }
    return "", body | ({"DestinationConfig": targets} if targets else {})


def _permission(id: str, given: Members) -> tuple[str, dict[str, Any]]:
    body = {"Action": given.required("Action"), "Principal": given.required("Principal")}
    for member in ("SourceArn", "SourceAccount", "EventSourceToken", "FunctionUrlAuthType", "PrincipalOrgID"):
        if member in given:
            body[member] = given.text(member)
    return id, body


BODIES = {
    sam.VERSION: _version,
    sam.ALIAS: _alias,
    sam.URL: _url,
    sam.EVENT_INVOKE: _event_invoke,
    sam.PERMISSION: _permission,
}
