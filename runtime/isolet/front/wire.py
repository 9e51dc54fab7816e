"""The only place where errors become HTTP: their status, body and headers; and how an answer becomes bytes.

Laws:
- Every answer has exactly one Content-Length (but 204 and 304, which have no body, and what is chunked, which only
  HTTP/1.1 knows) and exactly one Date.
- An error names its type twice, in `x-amzn-errortype` and as AWS's SDKs expect it in the body; never a trace of ours.
- What an HTTP function's client sees of a failure is the type and a sentence of ours. The guest's own message is for
  its log: the client of a function is not its developer. Precedent: API Gateway and function URLs say "Internal Server
  Error".
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from ..errors import (
    CallerError,
    Cancelled,
    GuestError,
    HostError,
    IsoletError,
    Raised,
    ResponseTooLarge,
    Throttled,
    TimedOut,
    Unauthenticated,
    UnknownFunction,
)

CRLF = b"\r\n"
JSON = b"content-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CLOSE = b"connection: close\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"  # only HTTP/1.0 needs to hear it
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OVERLOADED_RETRY_S = 1

# Statuses whose answers have no body, and must not announce one.
BODILESS = frozenset({204, 304})


def _status_line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


STATUS_LINES = {status: _status_line(status) for status in range(200, 600)}


class Answer(NamedTuple):
    """What goes back: `headers` are whole lines, without Date, Content-Length and Connection, which `render` adds."""

    status: int
    headers: bytes
    body: bytes | bytearray


def render(
    answer: Answer, date_line: bytes, *, connection: bytes = b"", without_body: bool = False, chunked: bool = False
) -> bytes:
    """The bytes of an answer. `connection` is b"", CLOSE or KEEP_ALIVE; `without_body` is for HEAD; `chunked` frames
    the body as one chunk, in place of a Content-Length."""
    status, headers, body = answer
    if status in BODILESS:
        return b"".join((STATUS_LINES[status], date_line, headers, connection, CRLF))
    if chunked:
        body = b"" if without_body else as_chunks(body)
        return b"".join((STATUS_LINES[status], date_line, headers, CHUNKED, connection, CRLF, body))
    length = b"content-length: %d\r\n" % len(body)
    if without_body:
        body = b""
    return b"".join((STATUS_LINES[status], date_line, headers, length, connection, CRLF, body))


def render_head(status: int, headers: bytes, date_line: bytes, connection: bytes, framing: bytes = CHUNKED) -> bytes:
    """What precedes the chunks of a streamed answer, or with another `framing` the parts of a whole one."""
    if status in BODILESS:
        framing = b""
    return b"".join((STATUS_LINES[status], date_line, headers, framing, connection, CRLF))


def as_chunk(data: bytes) -> bytes:
    """A piece of a streamed answer; b"" for none, since an empty chunk is the end."""
    return b"".join((b"%x\r\n" % len(data), data, CRLF)) if data else b""


LAST_CHUNK = b"0\r\n\r\n"


def as_chunks(body: bytes | bytearray) -> bytes:
    """A whole body in chunked framing."""
    return b"".join((b"%x\r\n" % len(body), body, CRLF, LAST_CHUNK)) if body else LAST_CHUNK


def request_id_line(request_id: str) -> bytes:
    return b"x-amzn-requestid: " + request_id.encode("ascii") + CRLF


# ── errors as AWS's APIs spell them ─────────────────────────────────────────────────────────────────────────────


def aws_error(error: Exception, request_id: str = "") -> Answer:
    """A failed operation of the API: control plane, Invoke, and requests refused before it was clear what they
    wanted."""
    ours = _ours(error)
    fields: dict[str, Any] = {"Type": "User" if isinstance(ours, CallerError) else "Service"}
    if isinstance(ours, Unauthenticated):
        fields = {}  # as Lambda's front end
    lines = [b"x-amzn-errortype: ", ours.name.encode("ascii"), CRLF, JSON]
    if isinstance(ours, Throttled):
        fields = {"Reason": ours.reason} | fields | {"message": "Rate Exceeded."}
    else:
        # Lambda spells this member in two ways; its SDKs read both.
        fields["Message" if isinstance(ours, UnknownFunction) else "message"] = ours.message
    retry_after_s = _retry_after_s(ours)
    if retry_after_s:
        lines.append(b"retry-after: %d\r\n" % retry_after_s)
    if request_id:
        lines.append(request_id_line(request_id))
    # A GuestError has no business here; should one come, it is a failure of the service.
    status = ours.status if ours.status >= 400 else 500
    return Answer(status, b"".join(lines), _dump(fields))


def _ours(error: Exception) -> IsoletError:
    """What may be said of `error`: one that is not ours is a defect, and its words stay inside."""
    return error if isinstance(error, IsoletError) else HostError("internal error")


def _retry_after_s(error: IsoletError) -> int:
    if isinstance(error, Throttled):
        return error.retry_after_s
    return OVERLOADED_RETRY_S if error.status == 503 else 0


def _dump(fields: dict[str, Any]) -> bytes:
    # A guest's error message is str from valid UTF-8; `replace` is for foreign text that is not.
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


# ── a function's failure ────────────────────────────────────────────────────────────────────────────────────────


def function_error(error: GuestError, request_id: str, runtime: str = "") -> bytes:
    """The payload of a failed Invoke, in Lambda's shapes: Node's runtimes have another than all others."""
    if isinstance(error, Raised):
        if runtime.startswith("nodejs"):
            return _dump({"errorType": error.error_type, "errorMessage": error.message, "trace": list(error.stack)})
        return _dump(
            {
                "errorMessage": error.message,
                "errorType": error.error_type,
                "requestId": request_id,
                "stackTrace": list(error.stack),
            }
        )
    if isinstance(error, ResponseTooLarge):
        return _dump({"errorMessage": error.message, "errorType": error.error_type})
    message = error.message
    if not message.startswith("RequestId: "):
        message = f"RequestId: {request_id} Error: {message}"
    return _dump({"errorType": error.error_type, "errorMessage": message})


def http_failure(error: Exception, request_id: str) -> Answer:
    """What the client of an HTTP function gets when it failed, was refused or could not be run."""
    ours = _ours(error)
    kind = ours.error_type if isinstance(ours, GuestError) else ours.name
    body = {"message": _public_message(ours), "errorType": kind, "requestId": request_id}
    lines = [JSON, request_id_line(request_id)]
    retry_after_s = _retry_after_s(ours)
    if retry_after_s:
        lines.append(b"retry-after: %d\r\n" % retry_after_s)
    return Answer(ours.http_status, b"".join(lines), _dump(body))


def url_failure(error: Exception, request_id: str) -> Answer:
    """What the client of a function URL gets: of a function's failure two words, of a refusal AWS's form of it."""
    if isinstance(error, GuestError):
        return Answer(502, JSON + request_id_line(request_id), b"Internal Server Error")
    return aws_error(error, request_id)


def forbidden(request_id: str) -> Answer:
    """A function URL that is not there, or not for this caller: nobody learns which."""
    return Answer(403, _FORBIDDEN + request_id_line(request_id), _FORBIDDEN_BODY)


_FORBIDDEN = b"x-amzn-errortype: AccessDeniedException\r\n" + JSON
_FORBIDDEN_BODY = (
    b'{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: '
    b'https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}'
)


def _public_message(error: IsoletError) -> str:
    if isinstance(error, Raised):
        return "The function failed; its log has the error under this request id."
    if isinstance(error, TimedOut | Cancelled):
        return error.message.rpartition(" Error: ")[2]
    return error.message
