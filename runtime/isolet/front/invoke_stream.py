"""Lambda's InvokeWithResponseStream: `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`.

Laws:
- What is refused before the function runs is answered as Invoke answers it, with a status and JSON. After that the
  status is 200 and the body an event stream: PayloadChunk…, then exactly one InvokeComplete.
- What a function streams leaves as it is written. For HTTP its status, headers and cookies come first, as JSON with
  eight zero bytes after it: Lambda's `application/vnd.awslambda.http-integration-response`. A function that does not
  stream has its result as the only chunk.
- A failure is InvokeComplete's `ErrorCode` (its type) and `ErrorDetails` (Lambda's payload of a failed Invoke).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .. import eventstream, report
from ..errors import GuestError
from ..model import Outcome
from . import events, payload, wire
from .invoke import InvokeExchange

if TYPE_CHECKING:
    from .head import Head
    from .protocol import Connection

PREFIX: Final = "/2021-11-15/functions/"
SUFFIX: Final = "/response-streaming-invocations"
# Lambda's separator between what an HTTP answer's head says and its body.
_SEPARATOR = bytes(8)
_TYPE = f"content-type: {eventstream.CONTENT_TYPE}\r\n".encode("ascii")
# A message of an event stream is read whole by its reader.
_MESSAGE_BYTES = 1024 * 1024


def is_stream_invoke(method: bytes, path: str) -> bool:
    return method == b"POST" and path.startswith(PREFIX) and path.endswith(SUFFIX)


class StreamInvokeExchange(InvokeExchange):
    """One call of InvokeWithResponseStream."""

    prefix = PREFIX
    suffix = SUFFIX
    kinds: tuple[str, ...] = ("RequestResponse", "DryRun")

    def __init__(self, connection: Connection, method: bytes, head: Head, path: str, query: bytes) -> None:
        super().__init__(connection, method, head, path, query)
        self._streaming = False

    def _run(self, target: Any, event: bytes, context: bytes) -> None:
        if not self.http_1_0:
            self.reader = self
        super()._run(target, event, context)

    # ── as the reader of a stream ───────────────────────────────────────────────────────────────────────────────

    def opened(self, options: Mapping[str, Any]) -> None:
        connection = self.connection
        assert connection is not None, "a guest whose client left is gone"
        events.stream_head(options)
        about = {name: options[name] for name in ("status", "headers", "cookies") if options.get(name) is not None}
        self._streaming = True
        connection.begin_stream(self, 200, self._lines())
        if about:
            about["statusCode"] = about.pop("status", 200)
            connection.write_part(wire.as_chunk(_chunk(json.dumps(about).encode() + _SEPARATOR)))

    def wrote(self, data: bytes) -> asyncio.Future[None] | None:
        connection = self.connection
        assert connection is not None, "a guest whose client left is gone"
        return connection.write_part(wire.as_chunk(_chunks(data))) if data else None

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

    def done(self, outcome: Outcome) -> GuestError | None:
        try:
            return self._answered(outcome)
        finally:  # they name us, and we them
            self.reader = self._invocation = None

    def _answered(self, outcome: Outcome) -> GuestError | None:
        connection = self.connection
        if connection is None:
            return None
        error, unanswerable, chunks = outcome.error, None, b""
        if error is None and not self._streaming:
            try:
                chunks = _chunks(payload.render_json(outcome.value, outcome.rendered))
            except GuestError as failure:
                error = unanswerable = failure
        if error is not None and not isinstance(error, GuestError) and not self._streaming:
            self.failed(error)
            return None
        complete = self._complete(outcome._replace(error=error))
        if self._streaming:
            self.connection = None
            connection.end_stream(self, wire.as_chunk(complete) + wire.LAST_CHUNK)
        else:
            self.chunked = not self.http_1_0
            self.answer(wire.Answer(200, self._lines(), chunks + complete))
        return unanswerable

    def _complete(self, outcome: Outcome) -> bytes:
        connection, invocation, error = self.connection, self._invocation, outcome.error
        assert connection is not None, "asked by `done`"
        assert invocation is not None, "an outcome follows an invocation"
        said: dict[str, str] = {}
        if isinstance(error, GuestError):
            details = wire.function_error(error, self.request_id, invocation.target.runtime)
            said = {"ErrorCode": error.error_type, "ErrorDetails": details.decode("utf-8")}
        elif error is not None:
            said = {"ErrorCode": "ServiceException", "ErrorDetails": "internal error"}
        if self._tail:
            rows = report.lines(invocation, outcome, connection.door.billing_step_ms)
            said["LogResult"] = report.tail(rows).decode("ascii")
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return eventstream.event("InvokeComplete", body, "application/json")

    def _lines(self) -> bytes:
        assert self._invocation is not None, "an answer follows an invocation"
        version = self._invocation.target.version.encode("ascii")
        return b"".join((_TYPE, wire.request_id_line(self.request_id), b"x-amz-executed-version: ", version, wire.CRLF))


def _chunk(data: bytes) -> bytes:
    return eventstream.event("PayloadChunk", data, "application/octet-stream")


def _chunks(data: bytes) -> bytes:
    """As many events as it takes; none for nothing."""
    return b"".join(_chunk(data[at : at + _MESSAGE_BYTES]) for at in range(0, len(data), _MESSAGE_BYTES))
