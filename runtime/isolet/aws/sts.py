"""AWS Security Token Service, as much of it as says who one is: infrastructure tools ask GetCallerIdentity first.

An account here is its keys; there are no users or roles. So every caller is the account's root, whose user id is the
account's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .service import Call, Service

# Query's common errors, where other protocols have exceptions.
NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "InvalidParameterValue",
    "ValidationException": "ValidationError",
    "SerializationException": "MalformedInput",
    "UnknownOperationException": "InvalidAction",
    "ServiceException": "InternalFailure",
    "ServiceUnavailableException": "ServiceUnavailable",
    "TooManyRequestsException": "Throttling",
}


def sts() -> Service:
    return Service("sts", {"GetCallerIdentity": _get_caller_identity}, NAMES)


async def _get_caller_identity(call: Call) -> dict[str, Any]:
    return {"UserId": call.tenant, "Account": call.tenant, "Arn": f"arn:aws:iam::{call.tenant}:root"}
