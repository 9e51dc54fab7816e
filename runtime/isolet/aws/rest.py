"""rest-json: members in the path, the query, headers, the status, and the body as JSON or as it is.

Laws:
- An empty body is an empty object; a body for an operation that takes none is ignored.
- A header member that is not text travels as text does in TEXT (parse.py, serialize.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidRequestContent, SerializationFailed
from . import parse, serialize
from .faults import Fault
from .models import Model, OperationModel, Shape
from .parse import Reader
from .request import Answer, Request
from .routes import Route
from .serialize import Writer
from .wires import dump, load

_JSON = "application/json"
_BINARY = "application/octet-stream"


@dataclass
class _Input:
    """Where each member of an operation's input is: (member, its name there, reader)."""

    labels: list[tuple[str, str, Reader]] = field(default_factory=list)
    query: dict[str, tuple[str, Reader, bool]] = field(default_factory=dict)  # True: a list, once for each element
    query_map: tuple[str, Reader] | None = None  # all that is not in `query`
    headers: list[tuple[str, str, Reader, bool]] = field(default_factory=list)  # True: a list, parted by commas
    prefixed: list[tuple[str, str]] = field(default_factory=list)  # a map of headers
    payload: Shape | None = None
    payload_name: str = ""
    body: Reader | None = None  # of the payload, or of the members that are nowhere else


@dataclass
class _Output:
    headers: list[tuple[str, str, Shape]] = field(default_factory=list)
    prefixed: list[tuple[str, str]] = field(default_factory=list)
    status: str = ""
    payload: str = ""
    payload_kind: str = ""
    body: Writer | None = None
    # Members that are not in the body.
    elsewhere: frozenset[str] = frozenset()


class RestJson:
    def __init__(self, model: Model) -> None:
        self._readers, self._texts = parse.Readers(parse.JSON), parse.Readers(parse.TEXT)
        self._writers = serialize.Writers(serialize.JSON)
        self._inputs: dict[str, _Input] = {}
        self._outputs: dict[str, _Output] = {}
        has_words = model.error("InvalidRequestContentException") is not None
        self._unreadable: Callable[[str], Exception] = InvalidRequestContent if has_words else SerializationFailed

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────

    def members(self, operation: OperationModel, route: Route, request: Request) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        places = self._inputs.get(operation.name)
        if places is None:
            places = self._inputs[operation.name] = self._input(shape)
        members = self._body(places, request)
        for name, travels, reader in places.labels:
            members[name] = reader(route.labels[travels])
        if request.query:
            _query(places, request, members)
        for name, travels, reader, listed in places.headers:
            sent = request.header(travels, "\0")
            if sent != "\0":
                members[name] = reader([one.strip() for one in sent.split(",")] if listed else sent)
        for name, prefix in places.prefixed:
            found = {key[len(prefix) :]: value for key, value in request.headers if key.startswith(prefix)}
            if found:
                members[name] = found
        return members

    def _body(self, places: _Input, request: Request) -> dict[str, Any]:
        if places.payload is not None and places.payload.type_name in ("blob", "string"):
            # Present also when empty: whether that is allowed is for its constraints.
            if not request.body:
                return {}
            if places.payload.type_name == "blob":
                return {places.payload_name: request.body}
            return {places.payload_name: _utf8(request.body)}
        if places.body is None or not request.body:
            return {}
        try:
            value = load(request.body)
        except ValueError as reason:
            raise self._unreadable(f"Could not parse request body into json: {reason}") from None
        if value is None:
            return {}
        members = places.body(value)
        return {places.payload_name: members} if places.payload is not None else members

    def _input(self, shape: Shape) -> _Input:
        places = _Input()
        payload = shape.serialization.get("payload")
        inside = {}
        for name, member in shape.members.items():
            location, travels = member.serialization.get("location"), member.serialization.get("name", name)
            listed = member.type_name == "list"
            if location == "uri":
                places.labels.append((name, travels, self._texts.of(member)))
            elif location == "querystring" and member.type_name == "map":
                places.query_map = (name, self._texts.of(member))
            elif location == "querystring":
                places.query[travels] = (name, self._texts.of(member), listed)
            elif location == "header":
                places.headers.append((name, travels.lower(), self._texts.of(member), listed))
            elif location == "headers":
                places.prefixed.append((name, travels.lower()))
            elif name == payload:
                places.payload, places.payload_name = member, name
                if member.type_name not in ("blob", "string"):
                    places.body = self._readers.of(member)
            else:
                inside[name] = member
        if payload is None and inside:
            places.body = parse.structure_of(inside, self._readers)
        return places

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, operation: OperationModel, members: Mapping[str, Any], request_id: str) -> Answer:
        status = int(operation.http.get("responseCode", 200))
        shape = operation.output_shape
        if shape is None:
            return Answer(status, [], b"")
        places = self._outputs.get(operation.name)
        if places is None:
            places = self._outputs[operation.name] = self._output(shape)
        if places.status and members.get(places.status) is not None:
            status = int(members[places.status])
        headers = [
            (travels, serialize.header(member, members[name]))
            for name, travels, member in places.headers
            if members.get(name) is not None
        ]
        for name, prefix in places.prefixed:
            headers += [(prefix + key, value) for key, value in (members.get(name) or {}).items()]
        if status == 204:
            return Answer(status, headers, b"")
        return Answer(status, *_content(places, members, headers))

    def _output(self, shape: Shape) -> _Output:
        places = _Output(payload=shape.serialization.get("payload", ""))
        elsewhere = set()
        for name, member in shape.members.items():
            location, travels = member.serialization.get("location"), member.serialization.get("name", name)
            if location is None and name != places.payload:
                continue
            elsewhere.add(name)
            if location == "header":
                places.headers.append((name, travels, member))
            elif location == "headers":
                places.prefixed.append((name, travels))
            elif location == "statusCode":
                places.status = name
            else:
                places.payload_kind = member.type_name
                if member.serialization.get("eventstream") or member.type_name in ("blob", "string"):
                    places.payload_kind = "stream" if member.serialization.get("eventstream") else member.type_name
                else:
                    places.body = self._writers.of(member)
        if not places.payload:
            places.body = self._writers.of(shape)
        places.elsewhere = frozenset(elsewhere)
        return places

    def fault(self, fault: Fault, request_id: str) -> Answer:
        headers = [("content-type", _JSON), ("x-amzn-errortype", fault.name), *fault.headers]
        return Answer(fault.status, headers, dump(fault.members))


def _query(places: _Input, request: Request, members: dict[str, Any]) -> None:
    lists: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for travels, text in request.parameters:
        known = places.query.get(travels)
        if known is None:
            others.setdefault(travels, []).append(text)
        elif known[2]:
            lists.setdefault(travels, []).append(text)
        else:
            members[known[0]] = known[1](text)
    for travels, texts in lists.items():
        name, reader, _ = places.query[travels]
        members[name] = reader(texts)
    if places.query_map is not None and others:
        name, reader = places.query_map
        members[name] = reader({key: texts[0] for key, texts in others.items()})


def _content(
    places: _Output, members: Mapping[str, Any], headers: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], bytes]:
    """The headers with the body's type, and the body."""
    if not places.payload:
        assert places.body is not None, "an output without a payload has a body"
        # Members that are elsewhere were given to headers; the body has the others.
        inside = {name: value for name, value in members.items() if name not in places.elsewhere}
        return [("content-type", _JSON), *headers], dump(places.body(inside))
    value = members.get(places.payload)
    if value is None:
        return headers, b""
    if places.payload_kind == "stream":
        return [("content-type", "application/vnd.amazon.eventstream"), *headers], bytes(value)
    if places.payload_kind == "blob":
        kind = [] if any(name.lower() == "content-type" for name, _ in headers) else [("content-type", _BINARY)]
        return [*kind, *headers], bytes(value)
    if places.payload_kind == "string":
        return [("content-type", "text/plain"), *headers], str(value).encode("utf-8", "replace")
    assert places.body is not None, "a structure has a writer"
    return [("content-type", _JSON), *headers], dump(places.body(value))


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise SerializationFailed("the body is not UTF-8") from None
