"""What is told of an asynchronous invocation that ended, and to whom: Lambda's destination records and dead letters.

Laws:
- A success is told to OnSuccess. What was given up is told to OnFailure and to the dead-letter target of the function,
  to both where there are both. Precedent: AWS's announcement of destinations.
- A dead letter is the event as its caller sent it, with RequestID, ErrorCode and ErrorMessage as attributes. To all
  others goes a record with request and response.
- A chain of functions ends here, too: what was stopped for its depth is told to no other function. It would be stopped
  again, and tell the next.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from . import limits
from .model import LATEST, EventPolicy, function_arn
from .retry import Counts, Ended, Fate, Verdict

# Precedent: Lambda, "ErrorMessage: the first 1 KB of the error message".
ERROR_MESSAGE_BYTES_MAX = 1_024
# What XML 1.0 has no character for: SQS and SNS refuse a message with one.
_UNSENDABLE = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class Event(NamedTuple):
    """An asynchronous invocation as it is stored."""

    id: int
    request_id: str
    tenant: str
    name: str
    qualifier: str
    body: bytes  # JSON as its caller sent it; empty: nothing was sent
    client_context: bytes
    trace_id: str
    depth: int
    accepted_ms: int
    counts: Counts


class Ending(NamedTuple):
    """How an attempt ended, and what the function answered, as JSON, if it did."""

    ended: Ended
    version: str = ""  # that was run
    payload: bytes = b""
    message: str = ""  # of an error


class Delivery(NamedTuple):
    """What is to be told to whom."""

    tenant: str
    name: str
    destination: str  # its ARN
    request_id: str
    attributes: str  # of a dead letter, as a JSON object; "": it is a record
    trace_id: str
    depth: int  # of the invocation that it is, if its destination is a function
    body: bytes


def deliveries(event: Event, ending: Ending, verdict: Verdict, policy: EventPolicy, now_ms: int) -> list[Delivery]:
    """What is to be told of an event that is over."""
    if verdict.fate is Fate.SUCCEEDED:
        return [_record(event, ending, verdict, policy.on_success, now_ms)] if policy.on_success else []
    told = []
    if policy.on_failure and not _goes_on(event, policy.on_failure):
        told.append(_record(event, ending, verdict, policy.on_failure, now_ms))
    if policy.dead_letter:
        told.append(_dead_letter(event, ending, policy.dead_letter))
    return told


def _goes_on(event: Event, destination: str) -> bool:
    """Whether a chain that is over would go on at `destination`."""
    return event.depth >= limits.INVOKE_DEPTH_MAX and destination.startswith("arn:") and ":lambda:" in destination


def is_success(record: bytes) -> bool:
    """Of the body of a record."""
    condition: str = json.loads(record)["requestContext"]["condition"]
    return condition == _CONDITION[Fate.SUCCEEDED]


_CONDITION = {Fate.SUCCEEDED: "Success", Fate.EXHAUSTED: "RetriesExhausted", Fate.EXPIRED: "EventAgeExceeded"}


def _record(event: Event, ending: Ending, verdict: Verdict, destination: str, now_ms: int) -> Delivery:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.tenant, event.name, event.qualifier or LATEST),
            "condition": _CONDITION[verdict.fate],
            "approximateInvokeCount": verdict.counts.attempts,
        },
        "requestPayload": json.loads(event.body or b"{}"),
    }
    if ending.ended in (Ended.SUCCEEDED, Ended.FAILED):
        record["responseContext"] = {"statusCode": 200, "executedVersion": ending.version}
        if ending.ended is Ended.FAILED:
            record["responseContext"]["functionError"] = "Unhandled"
        record["responsePayload"] = json.loads(ending.payload or b"null")
    return _delivery(event, destination, json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())


def _dead_letter(event: Event, ending: Ending, destination: str) -> Delivery:
    attributes = {
        "RequestID": event.request_id,
        "ErrorCode": "200" if ending.ended is Ended.FAILED else "429" if ending.ended is Ended.THROTTLED else "500",
        "ErrorMessage": _sendable(ending.message),
    }
    return _delivery(event, destination, event.body or b"{}", json.dumps(attributes))


def _sendable(message: str) -> str:
    """An error's message as an attribute: cut between characters, without those that queues refuse."""
    cut = message.encode("utf-8", "replace")[:ERROR_MESSAGE_BYTES_MAX].decode("utf-8", "ignore")
    return _UNSENDABLE.sub("\ufffd", cut)


def _delivery(event: Event, destination: str, body: bytes, attributes: str = "") -> Delivery:
    return Delivery(
        event.tenant,
        event.name,
        destination,
        event.request_id,
        attributes,
        event.trace_id,
        event.depth + 1,
        body,
    )
