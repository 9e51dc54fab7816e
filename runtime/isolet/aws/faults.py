"""What is said of a failed call: an exception of the service's model, its status and its members. Pure.

Laws:
- An error of ours is said under the name that the service has for it (`Service.names`), else under its own; members are
  spelled as the exception's shape spells them (`Message` or `message`, `Type`, `Reason`).
- Whatever is not ours is a defect, and says nothing of itself.
- The caller's faults have the model's status, for `UnsupportedOperation` says 501 by itself; ours say whether to come
  again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import (
    CallerError,
    HostError,
    IsoletError,
    Throttled,
    Unauthenticated,
    UnknownFunction,
    UnknownRoute,
    UnsupportedOperation,
)
from . import models
from .models import Model

OVERLOADED_RETRY_S = 1
# What the query protocol's services have always called these.
_QUERY_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}


class Fault(NamedTuple):
    name: str
    status: int
    message: str
    members: dict[str, Any]  # of the body, the message too
    headers: list[tuple[str, str]]
    # The name in query's codes, which some services have kept from older days.
    code: str
    senders: bool


def fault(error: Exception, model: Model | None, names: Mapping[str, str], protocol: str) -> Fault:
    """`model` is None where no service was found."""
    ours = error if isinstance(error, IsoletError) else HostError("internal error")
    name = names.get(ours.name, ours.name)
    shape = model.error(name) if model is not None else None
    traits = shape.metadata.get("error", {}) if shape is not None else {}
    known = shape.members if shape is not None else {}
    senders = isinstance(ours, CallerError)
    message = "Rate Exceeded." if isinstance(ours, Throttled) else ours.message
    members: dict[str, Any] = {}
    if "Reason" in known and isinstance(ours, Throttled):
        members["Reason"] = ours.reason
    if "Type" in known or (shape is None and _says_type(ours, protocol)):
        members["Type"] = "User" if senders else "Service"
    # Without a shape as Lambda does it: its exceptions that have no model say `message`.
    spelled = next((m for m in ("message", "Message") if m in known), None)
    if spelled is None:
        capital = protocol == models.REST_JSON and isinstance(ours, UnknownFunction | UnknownRoute)
        spelled = "Message" if capital else "message"
    members[spelled] = message
    status = _status(ours, traits.get("httpStatusCode"), protocol)
    headers = []
    if isinstance(ours, Throttled):
        headers.append(("Retry-After", str(ours.retry_after_s)))
    elif status == 503:
        headers.append(("Retry-After", str(OVERLOADED_RETRY_S)))
    return Fault(name, status, message, members, headers, traits.get("code", _QUERY_CODES.get(name, name)), senders)


def _says_type(error: IsoletError, protocol: str) -> bool:
    """Lambda's front end says a type also where no model does; but not of what failed validation."""
    return (
        protocol == models.REST_JSON and error.name != "ValidationException" and not isinstance(error, Unauthenticated)
    )


def _status(error: IsoletError, modelled: int | None, protocol: str) -> int:
    if isinstance(error, UnsupportedOperation):
        return error.status
    if not isinstance(error, CallerError):
        # A GuestError has no business here; should one come, it is a failure of the service.
        return error.status if error.status >= 500 else 500
    if modelled is not None:
        return modelled
    # Services of RPC answer 400 to whatever is the caller's fault; a limit of HTTP's stays what it is.
    if protocol == models.QUERY and isinstance(error, Unauthenticated):
        return error.status
    return 400 if protocol != models.REST_JSON and error.status in (403, 404, 409, 412) else error.status
