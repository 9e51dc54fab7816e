"""The protocols that have one path for all operations: json (1.0, 1.1), RPC over CBOR, and query with XML.

Law: whatever is the caller's fault says its type where that protocol's SDKs look: `__type` and `x-amzn-errortype`, or
`Error/Code` of XML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SerializationFailed
from . import cbor, form, parse, serialize
from .faults import Fault
from .models import Model, OperationModel
from .request import Answer, Request
from .routes import Route
from .wires import dump, load

_CBOR = "application/cbor"


def _query_error(model: Model, fault: Fault) -> list[tuple[str, str]]:
    """For clients that speak this protocol with code written for query's error codes."""
    if not model.query_compatible:
        return []
    return [("x-amzn-query-error", f"{fault.code};{'Sender' if fault.senders else 'Receiver'}")]


class Json:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._readers, self._writers = parse.Readers(parse.JSON), serialize.Writers(serialize.JSON)
        self._media_type = f"application/x-amz-json-{model.json_version}"

    def members(self, operation: OperationModel, route: Route, request: Request) -> dict[str, Any]:
        if operation.input_shape is None or not request.body:
            return {}
        try:
            value = load(request.body)
        except ValueError as reason:
            raise SerializationFailed(f"Could not parse request body into json: {reason}") from None
        members: dict[str, Any] = self._readers.of(operation.input_shape)(value)
        return members

    def answer(self, operation: OperationModel, members: Mapping[str, Any], request_id: str) -> Answer:
        headers = [("content-type", self._media_type)]
        if operation.output_shape is None:
            return Answer(200, headers, b"{}")
        writer = self._writers.of(operation.output_shape)
        return Answer(200, headers, dump(writer(members) if writer is not None else {}))

    def fault(self, fault: Fault, request_id: str) -> Answer:
        headers = [("content-type", self._media_type), ("x-amzn-errortype", fault.name), *fault.headers]
        return Answer(
            fault.status, headers + _query_error(self._model, fault), dump({"__type": fault.name} | fault.members)
        )


class Cbor:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._readers, self._writers = parse.Readers(parse.CBOR), serialize.Writers(serialize.CBOR)
        self._headers = [("content-type", _CBOR), ("smithy-protocol", "rpc-v2-cbor")]

    def members(self, operation: OperationModel, route: Route, request: Request) -> dict[str, Any]:
        if operation.input_shape is None or not request.body:
            return {}
        try:
            value = cbor.decode(request.body)
        except cbor.Malformed as reason:
            raise SerializationFailed(f"Could not parse request body into cbor: {reason}") from None
        members: dict[str, Any] = self._readers.of(operation.input_shape)(value)
        return members

    def answer(self, operation: OperationModel, members: Mapping[str, Any], request_id: str) -> Answer:
        shape = operation.output_shape
        writer = self._writers.of(shape) if shape is not None else None
        if writer is None:
            return Answer(200, self._headers[1:], b"")
        return Answer(200, list(self._headers), cbor.encode(writer(members)))

    def fault(self, fault: Fault, request_id: str) -> Answer:
        headers = [*self._headers, ("x-amzn-errortype", fault.name), *fault.headers]
        body = cbor.encode({"__type": fault.name} | fault.members)
        return Answer(fault.status, headers + _query_error(self._model, fault), body)


class Query:
    def __init__(self, model: Model) -> None:
        self._readers = parse.Readers(parse.TEXT)
        self._namespace = model.xml_namespace

    def members(self, operation: OperationModel, route: Route, request: Request) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        members: dict[str, Any] = self._readers.of(shape)(form.nested(route.form, shape))
        return members

    def answer(self, operation: OperationModel, members: Mapping[str, Any], request_id: str) -> Answer:
        name, shape = operation.name, operation.output_shape
        result = ""
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
            result = serialize.xml(shape, wrapper, members)
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        return self._xml(200, f'<{name}Response xmlns="{self._namespace}">{result}{metadata}</{name}Response>')

    def fault(self, fault: Fault, request_id: str) -> Answer:
        said = serialize.element_text(fault.message)
        kind = "Sender" if fault.senders else "Receiver"
        error = f"<Error><Type>{kind}</Type><Code>{fault.code}</Code><Message>{said}</Message></Error>"
        body = f'<ErrorResponse xmlns="{self._namespace}">{error}<RequestId>{request_id}</RequestId></ErrorResponse>'
        answer = self._xml(fault.status, body)
        answer.headers.extend(fault.headers)
        return answer

    def _xml(self, status: int, body: str) -> Answer:
        return Answer(status, [("content-type", "text/xml")], body.encode("utf-8", "replace"))
