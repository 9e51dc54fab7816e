"""Lambda's operations on configurations of asynchronous invocation."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from ...attached import Attached
from ...clock import Clock
from ...errors import InvalidParameter, UnknownResource
from ...model import LATEST, EventPolicy, function_arn
from ...routing import FunctionRef
from ...storage import attachments
from ...storage.attachments import Document
from ..service import Call, Operation
from . import names, pages
from .shapes import Shape

_DESTINATION = re.compile(
    r"arn:aws[a-zA-Z-]*:(lambda:[a-z0-9-]+:\d{12}:function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
    r"|sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+|sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+"
    r"|events:[a-z0-9-]+:\d{12}:event-bus/[A-Za-z0-9/_.-]+|s3:::[a-z0-9.-]{3,63})",
    re.ASCII,
)


class EventInvoke:
    def __init__(self, attached: Attached, clock: Clock) -> None:
        self._attached = attached
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        return {
            "PutFunctionEventInvokeConfig": self.put,
            "UpdateFunctionEventInvokeConfig": self.update,
            "GetFunctionEventInvokeConfig": self.get,
            "DeleteFunctionEventInvokeConfig": self.delete,
            "ListFunctionEventInvokeConfigs": self.list,
        }

    async def put(self, call: Call) -> Shape:
        ref, said = _of(call), self._said(call)
        if not said:
            raise InvalidParameter("You must specify at least one of error handling or destination setting.")
        return await self._change(ref, lambda _, old: _EMPTY | said | {"modified": self._clock.wall_s()})

    async def update(self, call: Call) -> Shape:
        ref, said = _of(call), self._said(call)

        def edit(db: sqlite3.Connection, old: Document | None) -> Document:
            if old is None:
                raise _unknown(ref)
            return old | said | {"modified": self._clock.wall_s()}

        return await self._change(ref, edit)

    async def get(self, call: Call) -> Shape:
        ref = _of(call)
        kept = await self._attached.get(ref, attachments.EVENT_INVOKE)
        if kept is None:
            raise _unknown(ref)
        return _shape(ref, kept)

    async def delete(self, call: Call) -> None:
        ref = _of(call)

        def edit(db: sqlite3.Connection, old: Document | None) -> None:
            if old is None:
                raise _unknown(ref)

        await self._attached.change(ref, attachments.EVENT_INVOKE, edit)

    async def list(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = sorted((await self._attached.of_function(ref, attachments.EVENT_INVOKE)).items())

        def shape(item: tuple[str, Document]) -> Shape:
            return _shape(ref._replace(qualifier=item[0]), item[1])

        return pages.page(call, kept, lambda item: item[0], shape, "FunctionEventInvokeConfigs")

    async def _change(self, ref: FunctionRef, edit: Any) -> Shape:
        new = await self._attached.change(ref, attachments.EVENT_INVOKE, edit)
        assert new is not None, "it was put"
        return _shape(ref, new)

    def _said(self, call: Call) -> Document:
        """What the request sets, in the document's members."""
        said: Document = {}
        if "MaximumRetryAttempts" in call:
            said["retries"] = call["MaximumRetryAttempts"]
        if "MaximumEventAgeInSeconds" in call:
            said["age_s"] = call["MaximumEventAgeInSeconds"]
        destinations = call.get("DestinationConfig") or {}
        for member, key in (("OnSuccess", "on_success"), ("OnFailure", "on_failure")):
            if member in destinations:
                said[key] = _destination(call, (destinations[member] or {}).get("Destination") or "")
        return said


_EMPTY: Document = {"retries": None, "age_s": None, "on_success": "", "on_failure": ""}


def policy_from(document: Document | None, dead_letter: str) -> EventPolicy:
    """What a configuration means, with Lambda's defaults where it says nothing."""
    if document is None:
        return EventPolicy(dead_letter=dead_letter)
    defaults = EventPolicy()
    return EventPolicy(
        defaults.retries if document["retries"] is None else document["retries"],
        defaults.age_s if document["age_s"] is None else document["age_s"],
        document["on_success"],
        document["on_failure"],
        dead_letter,
    )


def _of(call: Call) -> FunctionRef:
    """A configuration of $LATEST is the function's own."""
    ref = names.function_of(call)
    return ref._replace(qualifier="") if ref.qualifier == LATEST else ref


def _unknown(ref: FunctionRef) -> UnknownResource:
    arn = function_arn(ref.tenant, ref.name, ref.qualifier or LATEST)
    return UnknownResource(f"The function {arn} doesn't have an EventInvokeConfig")


def _destination(call: Call, arn: str) -> str:
    if arn and not _DESTINATION.fullmatch(arn):
        raise InvalidParameter(
            f"The destination ARN {arn[:200]} is invalid; write one of a function, a queue, a topic, an event bus or "
            "a bucket"
        )
    if ":lambda:" in arn:
        names.function_named(call, arn)  # another account's is refused
    return arn


def _shape(ref: FunctionRef, document: Document) -> Shape:
    return {
        "LastModified": document["modified"],
        "FunctionArn": function_arn(ref.tenant, ref.name, ref.qualifier or LATEST),
        "MaximumRetryAttempts": document["retries"],
        "MaximumEventAgeInSeconds": document["age_s"],
        "DestinationConfig": {
            "OnSuccess": {"Destination": document["on_success"]} if document["on_success"] else {},
            "OnFailure": {"Destination": document["on_failure"]} if document["on_failure"] else {},
        },
    }
