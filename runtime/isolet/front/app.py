"""The ASGI application of a worker: everything that is not an invocation, in Starlette.

Laws:
- `/healthz` is answered here, by the worker itself: it says that this process serves, whatever the keeper does.
- Everything else is the control plane's, wherever it is (`control`: the link to the keeper, or a call when embedded).
  What it raises becomes an answer in wire.py.
- The body is complete and within its limit before it is here (protocol.py).
"""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import IsoletError, UnknownRoute
from . import wire
from .door import Control, Door

_log = logging.getLogger("isolet.front")
# Framing is uvicorn's to say, and HTTP's hop-by-hop headers nobody's.
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "date", "server"})
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_app(door: Door, control: Control | None = None) -> Starlette:
    """The application. Without `control` every path but `/healthz` is unknown."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "functions": len(door.routes)})

    async def pass_on(request: Request) -> Response:
        request_id = door.request_id()
        try:
            if control is None:
                raise UnknownRoute(f"no operation at {request.method} {request.url.path}")
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
            raw_path = request.scope["raw_path"].decode("ascii")
            query = request.scope["query_string"].decode("latin-1")
            status, answer_headers, body = await control(request.method, raw_path, query, headers, await request.body())
        except Exception as error:
            if not isinstance(error, IsoletError):
                _log.exception("a control-plane request failed", extra={"request_id": request_id})
            return _response(wire.aws_error(error, request_id))
        kept = {name.lower(): value for name, value in answer_headers.items() if name.lower() not in _OURS}
        return Response(body, status, {"x-amzn-requestid": request_id} | kept)

    async def unknown(request: Request, error: Exception) -> Response:
        nowhere = UnknownRoute(f"no operation at {request.method} {request.url.path}")
        return _response(wire.aws_error(nowhere, door.request_id()))

    # One route for all paths, those with encoded slashes too: the control plane looks at the raw path itself.
    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/{path:path}", pass_on, methods=_METHODS),
        ],
        exception_handlers={404: unknown, 405: unknown},
    )


def _response(answer: wire.Answer) -> Response:
    lines = bytes(answer.headers).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    return Response(bytes(answer.body), answer.status, headers)
