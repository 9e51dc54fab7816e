"""AWS's APIs by their models: a request of any service that is served, end to end.

    whose account (tenant_of) → find the operation (routes) → members (parse) → constraints (validate) → the handler
    (service.py) → its answer or its fault (serialize, faults)

Laws:
- Every request is answered, with its request id in `x-amzn-requestid`. An error of ours is said in the service's words;
  anything else is a defect, is logged with its request id, and says nothing of itself.
- The account is known before anything that a request says is looked at: who is not let in costs no parsing and learns
  nothing of what is here.
- A signature counts for the service that is in its scope, and no other.
- An operation of the model without a handler is refused by name.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ..errors import InvalidSignature, IsoletError, UnknownOperation, UnsupportedOperation
from ..model import DEFAULT_TENANT
from . import models
from .faults import fault
from .models import Model
from .request import Answer, Request
from .rest import RestJson
from .routes import Route, Router
from .rpc import Cbor, Json, Query
from .service import Call, Service
from .validate import Checkers, refusal
from .wires import Wire

logger = logging.getLogger("isolet.aws")

TenantOf = Callable[[Request], Awaitable[str]]
_WIRES: dict[str, Callable[[Model], Wire]] = {
    models.REST_JSON: RestJson,
    models.JSON: Json,
    models.CBOR: Cbor,
    models.QUERY: Query,
}


class _Served:
    """A service with what was compiled of its model."""

    def __init__(self, service: Service) -> None:
        self.model = models.load(service.model)
        unknown = sorted(service.operations.keys() - self.model.operation_names)
        assert not unknown, f"{service.model} has no operations {unknown}"
        self.service = service
        self.checkers = Checkers(service.constraints)
        self.wires = {protocol: _WIRES[protocol](self.model) for protocol in self.model.protocols}


class Protocol:
    """An ASGI application; `serve` is the same by a call. `tenant_of` says whose account a request is of, or refuses
    it; `admit` refuses one who calls too often."""

    def __init__(
        self,
        services: Sequence[Service],
        tenant_of: TenantOf | None = None,
        admit: Callable[[str], None] = lambda tenant: None,
    ) -> None:
        self._admit = admit
        self._served = {service.model: _Served(service) for service in services}
        self._router = Router(served.model for served in self._served.values())
        self._tenant_of = tenant_of or _default_tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.serve(await _request(scope, receive))
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers
        ]
        if answer.status != 204:
            headers.append((b"content-length", str(len(answer.body)).encode("ascii")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def serve(self, request: Request) -> Answer:
        request_id = str(uuid.uuid4())
        route: Route | None = None
        try:
            tenant = await self._tenant_of(request)
            route = self._router.find(request)
            self._admit(tenant)
            answer = await self._call(route, tenant, request, request_id)
        except Exception as error:
            if not isinstance(error, IsoletError):
                logger.exception("request %s, %s %s, failed", request_id, request.method, request.path)
            answer = self._fault(error, route, request, request_id)
        answer.headers.append(("x-amzn-requestid", request_id))
        return answer

    async def _call(self, route: Route, tenant: str, request: Request, request_id: str) -> Answer:
        served = self._served[route.model.name]
        if request.signed_for not in ("", route.model.signing_name):
            raise InvalidSignature(f"Credential should be scoped to correct service: '{route.model.signing_name}'.")
        handler = served.service.operations.get(route.operation)
        if handler is None:
            raise UnsupportedOperation(
                f"The operation {route.operation} of {route.model.name} is not served by isolet; "
                f"served are {', '.join(sorted(served.service.operations))}"
            )
        operation = route.model.operation(route.operation)
        wire = served.wires[route.protocol]
        members = wire.members(operation, route, request)
        if operation.input_shape is not None:
            checker = served.checkers.of(operation.input_shape)
            if checker is not None:
                found: list[str] = []
                checker(members, "", found)
                if found:
                    raise refusal(found)
        output = await handler(Call(tenant, request_id, request.origin, members, route.operation))
        return wire.answer(operation, output or {}, request_id)

    def _fault(self, error: Exception, route: Route | None, request: Request, request_id: str) -> Answer:
        served: _Served | None = None
        protocol = _protocol(request)
        if route is not None:
            served, protocol = self._served[route.model.name], route.protocol
        elif isinstance(error, UnknownOperation) and error.service:
            served = self._served[error.service]
        model = served.model if served is not None else None
        said = fault(error, model, served.service.names if served is not None else {}, protocol)
        wire = served.wires.get(protocol) if served is not None else None
        # Without a service there is still a protocol that the client speaks.
        return (wire or _WIRES[protocol](model or _NOBODY)).fault(said, request_id)


async def _default_tenant(request: Request) -> str:
    return DEFAULT_TENANT


# What is said of a request for nobody, in the form of its protocol.
_NOBODY = Model(
    "nobody",
    {"metadata": {"protocols": [], "endpointPrefix": "", "apiVersion": ""}, "operations": {}, "shapes": {}},
)


def _protocol(request: Request) -> str:
    """The protocol that a request speaks, as far as it shows."""
    if request.header("x-amz-target"):
        return models.JSON
    if request.header("smithy-protocol"):
        return models.CBOR
    return models.QUERY if request.media_type == "application/x-www-form-urlencoded" else models.REST_JSON


async def _request(scope: Scope, receive: Receive) -> Request:
    body = bytearray()
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        bytes(body),
        scope.get("scheme", "http"),
    )
