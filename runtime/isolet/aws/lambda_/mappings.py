"""Lambda's operations on event source mappings: created, changed, listed and kept. Nothing polls their sources yet, and
their StateTransitionReason says so."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from ...attached import require
from ...clock import Clock
from ...errors import Conflict, InvalidParameter, UnknownFunction, UnknownResource
from ...routing import FunctionRef
from ...storage import mappings
from ...storage.database import Database
from ...storage.mappings import Document
from ..service import Call, Operation
from . import names, pages
from .shapes import Shape

# What a mapping has where its creator said nothing, by the kind of its source.
_BATCH_SIZES = {"sqs": 10, "kinesis": 100, "dynamodb": 100, "kafka": 100, "mq": 100, "rds": 100}
_STREAMS = frozenset({"kinesis", "dynamodb"})
_SOURCE = re.compile(r"arn:aws[a-zA-Z-]*:([a-z]+):[a-z0-9-]*:(\d{12})?:.+", re.ASCII)
_REASON = "USER_INITIATED; isolet keeps event source mappings, and does not poll their sources yet"
_KEPT = (
    *("BatchSize", "FilterCriteria", "MaximumBatchingWindowInSeconds", "ParallelizationFactor", "StartingPosition"),
    *("StartingPositionTimestamp", "DestinationConfig", "Topics", "Queues", "MaximumRecordAgeInSeconds"),
    *("BisectBatchOnFunctionError", "MaximumRetryAttempts", "TumblingWindowInSeconds", "FunctionResponseTypes"),
    *("ScalingConfig", "SourceAccessConfigurations", "SelfManagedEventSource"),
)


class Mappings:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateEventSourceMapping": self.create,
            "GetEventSourceMapping": self.get,
            "ListEventSourceMappings": self.list,
            "UpdateEventSourceMapping": self.update,
            "DeleteEventSourceMapping": self.delete,
        }

    async def create(self, call: Call) -> Shape:
        ref = names.function_of(call)
        source = call.get("EventSourceArn") or ""
        kind = _kind(call, source)
        if kind in _STREAMS and not call.get("StartingPosition"):
            missing = "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
            raise InvalidParameter(f"1 validation error detected: {missing}")
        document: Document = {
            "UUID": str(uuid.uuid4()),
            "FunctionArn": ref.arn(),
            "EventSourceArn": source or None,
            "Enabled": call.get("Enabled", True),
            "BatchSize": _BATCH_SIZES.get(kind, 100),
            "MaximumBatchingWindowInSeconds": 0,
            **{member: call[member] for member in _KEPT if call.get(member) is not None},
        }

        def job(db: sqlite3.Connection) -> Document:
            try:
                require(db, ref)
            except UnknownFunction:
                raise InvalidParameter("Function does not exist") from None
            for other in mappings.all(db, call.tenant):
                if source and (other["EventSourceArn"], other["FunctionArn"]) == (source, ref.arn()):
                    raise Conflict(
                        f'The event source arn (" {source} ") and function (" {ref.name} ") provided mapping already '
                        f"exists. Please update or delete the existing mapping with UUID {other['UUID']}"
                    )
            return self._put(db, call.tenant, document)

        return _shape(await self._database.write(job), "Creating")

    async def get(self, call: Call) -> Shape:
        document = await self._database.read(lambda db: mappings.get(db, call.tenant, call["UUID"]))
        return _shape(_there(document))

    async def list(self, call: Call) -> Shape:
        kept = await self._database.read(lambda db: mappings.all(db, call.tenant))
        source, arn = call.get("EventSourceArn"), None
        if call.get("FunctionName"):
            arn = names.function_of(call).arn()
        shown = [
            document
            for document in kept
            if source in (None, document["EventSourceArn"]) and arn in (None, document["FunctionArn"])
        ]
        return pages.page(call, shown, lambda one: str(one["UUID"]), _shape, "EventSourceMappings", 100)

    async def update(self, call: Call) -> Shape:
        ref = names.function_of(call) if call.get("FunctionName") else None

        def job(db: sqlite3.Connection) -> Document:
            document = dict(_there(mappings.get(db, call.tenant, call["UUID"])))
            if ref is not None:
                document["FunctionArn"] = _existing(db, ref)
            document |= {member: call[member] for member in _KEPT if call.get(member) is not None}
            document["Enabled"] = call.get("Enabled", document["Enabled"])
            return self._put(db, call.tenant, document)

        return _shape(await self._database.write(job), "Updating")

    async def delete(self, call: Call) -> Shape:
        def job(db: sqlite3.Connection) -> Document:
            document = _there(mappings.get(db, call.tenant, call["UUID"]))
            mappings.delete(db, call.tenant, call["UUID"])
            return document

        return _shape(await self._database.write(job), "Deleting")

    def _put(self, db: sqlite3.Connection, tenant: str, document: Document) -> Document:
        changed = document | {"LastModified": self._clock.wall_s()}
        mappings.put(db, tenant, changed["UUID"], changed)
        return changed


def _kind(call: Call, source: str) -> str:
    """Of the event source. Raises InvalidParameter for none, or for another account's."""
    if not source:
        if not call.get("SelfManagedEventSource"):
            raise InvalidParameter("Unrecognized event source.")
        return "kafka"
    match = _SOURCE.fullmatch(source)
    if match is None or match[1] not in _BATCH_SIZES:
        raise InvalidParameter("Unrecognized event source.")
    return match[1]


def _existing(db: sqlite3.Connection, ref: FunctionRef) -> str:
    try:
        require(db, ref)
    except UnknownFunction:
        raise InvalidParameter("Function does not exist") from None
    return ref.arn()


def _there(document: Document | None) -> Document:
    if document is None:
        raise UnknownResource("The resource you requested does not exist.")
    return document


def _shape(document: Document, state: str = "") -> Shape:
    shown: dict[str, Any] = {key: value for key, value in document.items() if key != "Enabled"}
    settled = "Enabled" if document["Enabled"] else "Disabled"
    return shown | {"State": state or settled, "StateTransitionReason": _REASON}
