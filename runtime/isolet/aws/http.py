"""Control-plane operations over HTTP: an endpoint's answer, errors in AWS's shape, and calling an app without a socket.

Law: every request gets an answer. An error of ours is said in AWS's words (front/wire.py); anything else is a defect,
is logged here with its request id, and says nothing of itself.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message

from ..errors import IsoletError
from ..front import wire

logger = logging.getLogger("isolet.aws")

Endpoint = Callable[[Request], Awaitable[Response]]
Headers = list[tuple[str, str]]


def json_response(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":")), status, media_type=media_type)


def failure(error: Exception, request_id: str) -> Response:
    """AWS's rest-json form."""
    answer = wire.aws_error(error, request_id)
    lines = bytes(answer.headers).decode("latin-1").split("\r\n")
    return Response(bytes(answer.body), answer.status, dict(line.split(": ", 1) for line in lines if line))


def guarded(endpoint: Endpoint) -> Endpoint:
    """The endpoint with a request id on whatever it answers, and its errors said."""

    async def call(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            response = await endpoint(request)
        except IsoletError as error:
            response = failure(error, request_id)
        except Exception as error:
            logger.exception("request %s, %s %s, failed", request_id, request.method, request.url.path)
            response = failure(error, request_id)
        response.headers["x-amzn-requestid"] = request_id
        return response

    return call


async def call(
    app: ASGIApp, method: str, path: str, query: str, headers: Headers, body: bytes
) -> tuple[int, Headers, bytes]:
    """One request to an ASGI application by a call: (status, headers, body) of its answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("utf-8"),
        "query_string": query.encode("utf-8"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": None,
        "server": None,
    }
    status, answered, content = 500, Headers(), bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            answered.extend((name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"])
        else:
            content.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, answered, bytes(content)
