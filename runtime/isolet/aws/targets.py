"""AWS's services that share one path and are told apart by `X-Amz-Target: <service>.<operation>`: json's protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import CallerError, IsoletError, UnsupportedOperation
from .constraints import Body
from .http import Failure, guarded, json_body, json_response

_MEDIA_TYPE = "application/x-amz-json-1.1"

Operation = Callable[[Body], Awaitable[dict[str, Any]]]


class Service(NamedTuple):
    target: str  # "Logs_20140328"
    operations: Mapping[str, Operation]
    # Its own names of our errors.
    names: Mapping[str, str]


def routes(services: Sequence[Service]) -> list[Route]:
    """The one route of all of them."""
    by_target = {service.target: service for service in services}

    async def call(request: Request) -> Response:
        target, _, _ = request.headers.get("x-amz-target", "").partition(".")
        service = by_target.get(target)

        async def serve(request: Request) -> Response:
            if service is None:
                served = ", ".join(f"{name}.*" for name in by_target)
                header = request.headers.get("x-amz-target", "")
                raise UnsupportedOperation(f"X-Amz-Target {header!r} is not served; {served} are")
            return await _serve(service, request)

        return await guarded(serve, failing(service.names if service is not None else {}))(request)

    return [Route("/", call, methods=["POST"])]


async def _serve(service: Service, request: Request) -> Response:
    target = request.headers["x-amz-target"]
    operation = service.operations.get(target.removeprefix(f"{service.target}."))
    if operation is None:
        known = ", ".join(service.operations)
        raise UnsupportedOperation(f"X-Amz-Target {target!r} is not served; {service.target}.* has {known}")
    return json_response(await operation(Body(await json_body(request))), media_type=_MEDIA_TYPE)


def failing(names: Mapping[str, str]) -> Failure:
    """AWS's json form of an error: the type is in the body."""

    def failure(error: Exception, request_id: str) -> Response:
        ours = isinstance(error, IsoletError)
        name = names.get(error.name, error.name) if isinstance(error, IsoletError) else "ServiceUnavailableException"
        message = str(error) if ours else "internal error"
        status = error.status if isinstance(error, IsoletError) else 500
        if isinstance(error, CallerError) and status == 404:
            status = 400  # these services answer 400 to whatever is the caller's fault
        response = json_response({"__type": name, "message": message}, status, _MEDIA_TYPE)
        response.headers["x-amzn-errortype"] = name
        return response

    return failure
