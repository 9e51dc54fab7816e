"""A function URL: `http://<id>.lambda-url.<anything>/`, which serves whatever function or alias it was made for.

Laws:
- The function needs no `[http]`; the event is that of an HTTP function, whose `apiId` is the URL's id.
- A URL of the type AWS_IAM is for those who sign for its own account. A URL that is not there, and one that is not for
  this caller, are refused in the same words (403). Unsigned payloads are not taken, as in Lambda.
- With a CORS configuration, preflights are answered here, before anybody is asked who they are: a browser sends no
  credentials with them. Its headers are on every other answer, also on failures (cors.py).
- A failure of the function is 502 and two words, as Lambda's; a throttle is 429 with its reason.
- In the mode RESPONSE_STREAM an answer is chunked. What the function streams leaves as it is written; if it fails then,
  it is cut off, without its last chunk. A function that does not stream has its result sent as JSON, whatever it means
  in the other mode: as in Lambda, `statusCode` is nothing special there.

Unlike in AWS, a URL of the type NONE needs no statement in the function's policy: it is open because it says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ..errors import GuestError, MissingAuthenticationToken
from ..model import FunctionUrl, Invocation, Outcome, Target
from . import cors, events, payload, wire
from .callers import Caller
from .signed import SignedInvoking

if TYPE_CHECKING:
    from .head import Head
    from .protocol import Connection

_ROUTE_KEY = "$default"


class UrlExchange(SignedInvoking):
    """A request to the host of a function URL."""

    def __init__(self, connection: Connection, method: bytes, head: Head, path: str, query: bytes) -> None:
        super().__init__(connection, method, head)
        self.path = path
        self.query = query
        self._url: FunctionUrl | None = None
        self._target: Target | None = None
        self._started_ns = 0
        self._streaming = False
        self._bodiless = False

    def start(self) -> None:
        connection = self.connection
        assert connection is not None, "abandoned exchanges are not started"
        door, head = connection.door, self.head
        started_ns = perf_counter_ns()
        self.request_id = connection.request_id()
        found = door.routes.url(head.url)
        if found is None:
            self._refuse()
            return
        self._url, target = found
        preflight = self._url.cors is not None and cors.is_preflight(self.method, head.get)
        if target.cordon and (preflight or self._url.auth == "NONE"):
            self.pass_on(self.path, self.query, target)
        elif self._url.cors is not None and preflight:
            lines = wire.JSON + wire.request_id_line(self.request_id) + cors.preflight_lines(self._url.cors, head.get)
            self.answer(wire.Answer(200, lines, b""))
        elif self._url.auth == "NONE":
            self._run(target, door.site_part(head.url, _ROUTE_KEY), started_ns)
        else:
            self._target, self._started_ns = target, started_ns
            self.authenticate()

    def admitted(self, caller: Caller) -> None:
        """Of a URL of the type AWS_IAM: its own account may call it."""
        target, (account, access_key) = self._target, caller
        assert target is not None, "who is asked for a signature asked for a function"
        if account != target.tenant:
            self._refuse()
            return
        if target.cordon:
            self.pass_on(self.path, self.query, target, caller)
            return
        iam = {
            "accessKey": access_key,
            "accountId": account,
            "callerId": account,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:iam::{account}:root",
            "userId": account,
        }
        self._run(target, events.authorized_part(self.head.url, account, iam), self._started_ns)

    def _run(self, target: Target, site: bytes, started_ns: int) -> None:
        connection, head = self.connection, self.head
        assert connection is not None, "called while starting"
        door = connection.door
        epoch_ms = door.epoch_ms()
        event = events.pack_event(
            site=site,
            head=head,
            source=connection.source_part,
            time=door.time_part,
            epoch_ms=epoch_ms,
            request_id=self.request_id.encode("ascii"),
            method=self.method,
            path=self.path,
            query=self.query,
            body=self.body,
            http_1_0=self.http_1_0,
        )
        self.body = b""  # the event holds it now
        reader = self if self._streams else None
        self.submit(Invocation(target, self.request_id, event, started_ns, b"\xc0", head.trace_id, reader=reader))

    @property
    def _streams(self) -> bool:
        return self._url is not None and self._url.mode == "RESPONSE_STREAM" and not self.http_1_0

    def done(self, outcome: Outcome) -> GuestError | None:
        if self.connection is None:
            return None
        if self._streaming:
            self._end(outcome.error)
            return None
        if outcome.error is not None:
            self.failed(outcome.error)
            return None
        try:
            answer = self._whole(outcome)
        except GuestError as error:
            self.failed(error)
            return error
        self.chunked = self._streams
        self.answer(answer)
        return None

    def _whole(self, outcome: Outcome) -> wire.Answer:
        lines = wire.request_id_line(self.request_id) + self._cors_lines()
        if self._streams:
            return wire.Answer(200, wire.JSON + lines, payload.render_json(outcome.value, outcome.rendered))
        return events.answer(outcome.value, lines, outcome.rendered)

    # ── as the reader of a stream ───────────────────────────────────────────────────────────────────────────────

    def opened(self, options: Mapping[str, Any]) -> None:
        connection = self.connection
        assert connection is not None, "a guest whose client left is gone"
        lines = wire.request_id_line(self.request_id) + self._cors_lines()
        status, headers = events.stream_head(options, lines)
        self._bodiless = status in wire.BODILESS or self.method == b"HEAD"
        self._streaming = True
        connection.begin_stream(self, status, headers)

    def wrote(self, data: bytes) -> asyncio.Future[None] | None:
        connection = self.connection
        assert connection is not None, "a guest whose client left is gone"
        return None if self._bodiless or not data else connection.write_part(wire.as_chunk(data))

    def _end(self, error: Exception | None) -> None:
        connection, self.connection = self.connection, None
        assert connection is not None, "asked by `done`"
        if error is not None:
            self.keep_alive = False
        connection.end_stream(self, b"" if self._bodiless or error is not None else wire.LAST_CHUNK)

    def failed(self, error: Exception) -> None:
        if isinstance(error, MissingAuthenticationToken):
            self._refuse()
            return
        answer = wire.url_failure(error, self.request_id)
        self.answer(answer._replace(headers=answer.headers + self._cors_lines()))

    def _refuse(self) -> None:
        connection = self.connection
        assert connection is not None, "called while starting"
        connection.door.counters.refused["AccessDeniedException"] += 1
        answer = wire.forbidden(self.request_id)
        self.answer(answer._replace(headers=answer.headers + self._cors_lines()))

    def _cors_lines(self) -> bytes:
        url = self._url
        return b"" if url is None or url.cors is None else cors.answer_lines(url.cors, self.head.get)
