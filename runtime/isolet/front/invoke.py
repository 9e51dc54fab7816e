"""Lambda's Invoke: `POST /2015-03-31/functions/{FunctionName}/invocations?Qualifier=` (LAMBDA's section Invoke).

Laws:
- The status says whether there was an invocation, never how the function did: that is `X-Amz-Function-Error`.
- Who did not sign learns nothing; a name without an account is the caller's own, and another account's function is
  refused whether or not it is there.
- What can be refused without the body (name, qualifier, invocation type, client context) is refused before the body is
  parsed, in this order; then the body is.
- An Event is answered 202 once the keeper has it on the disk, and never else. Its client may leave: it is run all the
  same.
- `X-Amz-Executed-Version` and `X-Amz-Log-Result` are not on the answers of Event and DryRun, whose bodies are empty.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Generator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote

from .. import limits, lineage, report
from ..errors import (
    GuestError,
    HostError,
    InvalidRequestContent,
    PayloadTooLarge,
    RecursiveInvocation,
    UnsupportedOperation,
    ValidationFailed,
)
from ..model import Invocation, Outcome, Reader, Target
from ..routing import denied, parse_function_name
from . import payload, wire
from .callers import Caller
from .signed import SignedInvoking

if TYPE_CHECKING:
    from .head import Head
    from .protocol import Connection

PREFIX: Final = "/2015-03-31/functions/"
SUFFIX: Final = "/invocations"
# Precedent: Lambda, "up to 3,583 bytes of base64-encoded data".
CLIENT_CONTEXT_BYTES_MAX = 3_583

_FUNCTION_ERROR = b"x-amz-function-error: Unhandled\r\n"
_EMPTY = wire.Answer(204, b"", b"")
_ACCEPTED = wire.Answer(202, b"", b"")


def is_invoke(method: bytes, path: str) -> bool:
    return method == b"POST" and path.startswith(PREFIX) and path.endswith(SUFFIX)


class InvokeExchange(SignedInvoking):
    """One call of Invoke."""

    prefix = PREFIX
    suffix = SUFFIX
    kinds: tuple[str, ...] = ("Event", "RequestResponse", "DryRun")

    def __init__(self, connection: Connection, method: bytes, head: Head, path: str, query: bytes) -> None:
        super().__init__(connection, method, head)
        # Who reads the answer as it is written.
        self.reader: Reader | None = None
        self.path = path
        self.query = query
        self._tail = False
        self._dry = False
        # The body of an Event, as it came.
        self._original: bytes | None = None
        self._invocation: Invocation | None = None

    def start(self) -> None:
        connection = self.connection
        assert connection is not None, "abandoned exchanges are not started"
        door = connection.door
        door.epoch_ms()
        self.request_id = connection.request_id()
        self.authenticate()

    def admitted(self, caller: Caller) -> None:
        head = self.head
        try:
            target = self._target(caller.account)
            if target.cordon:
                self.pass_on(self.path, self.query, target, caller)
                return
            kind = _choice(head, b"x-amz-invocation-type", "invocationType", self.kinds)
            self._tail = _choice(head, b"x-amz-log-type", "logType", ("None", "Tail")) == "Tail"
            context = _client_context(head)
            self._dry = kind == "DryRun"
            body, self.body = self.body, b""
            if kind == "Event":
                self._original = _bounded(body)
            if len(body) > payload.QUICK_BYTES_MAX:
                self._step(payload.packing_json(body), target, context)
            else:
                self._run(target, payload.pack_json(body), context)
        except Exception as error:
            self.failed(error)

    def _step(self, packing: Generator[None, None, bytes], target: Target, context: bytes) -> None:
        """One step of packing a large body; the next one when the loop has seen its sockets."""
        if self.connection is None:
            return  # the client left
        try:
            next(packing)
        except StopIteration as packed:
            self._run(target, packed.value, context)
        except InvalidRequestContent as error:
            self.failed(error)
        else:
            self.connection.loop.call_soon(self._step, packing, target, context)

    def _run(self, target: Target, event: bytes, context: bytes) -> None:
        if self._dry:
            self.answer(_EMPTY._replace(headers=wire.request_id_line(self.request_id)))
            return
        if self._original is not None:
            self._accept(target, self._original, context)
            return
        trace_id = self.head.trace_id
        depth = lineage.depth_of(trace_id) if trace_id else 0
        if depth >= limits.INVOKE_DEPTH_MAX:
            self.failed(_recursive())
            return
        # Told to every function: what it passes on tells that it is behind a call of its own.
        trace_id = lineage.onward(trace_id or self._new_root(), depth, target.arn)
        # The clock of the function starts here: its caller's JSON is not its fault.
        self._invocation = invocation = Invocation(
            target, self.request_id, event, perf_counter_ns(), context, trace_id, depth, reader=self.reader
        )
        self.submit(invocation)

    def _accept(self, target: Target, body: bytes, context: bytes) -> None:
        assert self.connection is not None, "asked by a started exchange"
        acceptance = self.connection.door.acceptance
        if acceptance is None:
            self.failed(UnsupportedOperation("InvocationType Event is not served here; use RequestResponse"))
            return
        self.connection.door.invoker.admit_event(target)
        trace_id = self.head.trace_id or self._new_root()
        depth = lineage.depth_of(trace_id)
        event = [self.request_id, target.tenant, target.name, target.qualifier, body, context, trace_id, depth]
        acceptance.submit(event, len(body), self._accepted)

    def _new_root(self) -> str:
        assert self.connection is not None, "asked by a started exchange"
        return lineage.new_root(self.request_id, self.connection.door.epoch_ms())

    def _accepted(self, error: Exception | None) -> None:
        if error is not None:
            self.failed(error)
        else:
            self.answer(_ACCEPTED._replace(headers=wire.request_id_line(self.request_id)))

    def _target(self, account: str) -> Target:
        assert self.connection is not None, "asked while starting"
        name = unquote(self.path[len(self.prefix) : -len(self.suffix)])
        qualifier = ""
        if self.query:
            given = parse_qs(self.query.decode("latin-1")).get("Qualifier")
            qualifier = given[0] if given else ""
        ref = parse_function_name(name, qualifier, account)
        if ref.tenant != account:
            raise denied(account, "InvokeFunction", ref.arn())
        return self.connection.door.routes.find(ref)

    def done(self, outcome: Outcome) -> GuestError | None:
        connection, invocation = self.connection, self._invocation
        if connection is None:
            return None
        assert invocation is not None, "an outcome follows an invocation"
        error, unanswerable = outcome.error, None
        lines = b"x-amz-executed-version: %b\r\n" % invocation.target.version.encode("ascii")
        if error is None:
            try:
                body = payload.render_json(outcome.value, outcome.rendered)
            except GuestError as failure:
                error = unanswerable = failure
        if error is not None:
            if not isinstance(error, GuestError):
                self.failed(error)
                return None
            body = wire.function_error(error, self.request_id, invocation.target.runtime)
            lines += _FUNCTION_ERROR
        if self._tail:
            rows = report.lines(
                *(
                    invocation,
                    outcome._replace(error=error),
                    connection.door.billing_step_ms,
                    connection.door.epoch_ms(),
                )
            )
            lines += b"x-amz-log-result: " + report.tail(rows) + wire.CRLF
        self.answer(wire.Answer(200, wire.JSON + wire.request_id_line(self.request_id) + lines, body))
        return unanswerable

    def failed(self, error: Exception) -> None:
        if isinstance(error, GuestError):  # the invoker raises none; its outcome carries them
            error = HostError("internal error")
        connection = self.connection
        if connection is not None:
            connection.door.counters.refused[getattr(error, "name", HostError.name)] += 1
            self.answer(wire.aws_error(error, self.request_id))


def _bounded(body: bytes | bytearray) -> bytes:
    if len(body) > limits.EVENT_BYTES_MAX:
        raise PayloadTooLarge(
            f"{len(body)} byte payload is too large for the Event invocation type "
            f"(limit {limits.EVENT_BYTES_MAX} bytes)"
        )
    return bytes(body)


def _recursive() -> RecursiveInvocation:
    return RecursiveInvocation(
        "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your "
        "function's invocation."
    )


def _choice(head: Head, name: bytes, member: str, allowed: tuple[str, ...]) -> str:
    """The value of a header with few values; without it the one that is Lambda's default. Raises ValidationFailed."""
    raw = head.get(name)
    if not raw:
        return "RequestResponse" if member == "invocationType" else "None"
    value = raw.decode("latin-1")
    if value not in allowed:
        raise ValidationFailed(
            f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )
    return value


def _client_context(head: Head) -> bytes:
    """X-Amz-Client-Context, packed; nil without one. Raises InvalidRequestContent."""
    raw = head.get(b"x-amz-client-context")
    if not raw:
        return payload.NIL
    try:
        if len(raw) > CLIENT_CONTEXT_BYTES_MAX:
            raise ValueError("too long")
        decoded = b64decode(raw, validate=True)
        if not isinstance(json.loads(decoded), dict):
            raise ValueError("not an object")
        return payload.pack_json(decoded)
    except (Base64Error, ValueError, RecursionError, InvalidRequestContent):
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from None
