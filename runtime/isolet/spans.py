"""A span of OpenTelemetry for each invocation, sent over OTLP by the keeper (the extra `isolet[otel]`).

    batches that were committed ─→ queue (bounded) ─→ a thread at a time: spans, one request of OTLP ─→ the collector

Laws:
- Nothing of this is on the path of an invocation, and no worker knows of it: spans are made from records.
- A collector that is slow or gone costs at most SPANS_QUEUED_BYTES_MAX of memory; what finds no room, and what a
  collector does not take, is dropped and counted.
- A span is part of its caller's trace, if the caller said so and samples it; without a caller's trace it begins one,
  whose id is the request's. Whoever has the request id finds the trace.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from os import urandom
from typing import TYPE_CHECKING

from . import limits
from .errors import ConfigInvalid
from .model import REGION, function_arn
from .records import Batch, Record, unpack_records
from .trace import parent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

logger = logging.getLogger("isolet.spans")

# Sends spans; False when they were not taken. Blocks: it is called on a thread.
Export = Callable[[Sequence["ReadableSpan"]], bool]

_NS_PER_MS = 1_000_000
# Precedent: the SDK's own batches.
_SPANS_OF_A_REQUEST = 512


def exporter(endpoint: str) -> Export:
    """Sends to a collector's OTLP over HTTP. Raises ConfigInvalid without the extra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError:
        raise ConfigInvalid("otel.endpoint needs OpenTelemetry; install it with: pip install 'isolet[otel]'") from None
    to = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=limits.SPANS_EXPORT_S)
    return lambda spans: to.export(spans) is SpanExportResult.SUCCESS


class Spans:
    """For the event loop's thread, but for `export`."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self.sent = 0
        self.dropped = 0

    def add(self, batches: Sequence[Batch]) -> None:
        """Takes what was committed; returns at once."""
        for batch in batches:
            self.dropped += batch.records_dropped
            if not batch.records:
                continue
            if self._queued_bytes + len(batch.records) > limits.SPANS_QUEUED_BYTES_MAX:
                self.dropped += batch.totals.invocations - batch.records_dropped
                continue
            self._queue.append(batch)
            self._queued_bytes += len(batch.records)
        if self._queue and self._sending is None:
            self._sending = asyncio.ensure_future(self._run())

    async def flush(self) -> None:
        """Returns when all that was added has been sent or dropped."""
        while self._sending is not None:
            await asyncio.shield(self._sending)

    async def close(self) -> None:
        """`flush`, for as long as one request may take."""
        try:
            async with asyncio.timeout(limits.SPANS_EXPORT_S):
                await self.flush()
        except TimeoutError:
            logger.warning("spans of %d batches were not sent", len(self._queue))
            self._queue.clear()

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._queue.popleft()
                self._queued_bytes -= len(batch.records)
                sent, dropped = await asyncio.to_thread(self._send, batch)
                self.sent += sent
                self.dropped += dropped
        finally:
            self._sending = None

    def _send(self, batch: Batch) -> tuple[int, int]:
        """On a thread: (sent, dropped)."""
        sent = dropped = 0
        spans = spans_of(batch)
        while part := list(islice(spans, _SPANS_OF_A_REQUEST)):
            try:
                taken = self._export(part)
            except Exception as reason:  # whatever a client of HTTP may raise: telemetry never fails the keeper
                logger.debug("a collector failed: %s", reason)
                taken = False
            sent, dropped = (sent + len(part), dropped) if taken else (sent, dropped + len(part))
        return sent, dropped


def spans_of(batch: Batch) -> Iterator[ReadableSpan]:
    """The spans of a batch's invocations, but for those whose callers do not sample."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    resource = Resource(
        {
            "service.name": batch.name,
            "cloud.account.id": batch.tenant,
            "cloud.region": REGION,
            "cloud.resource_id": function_arn(batch.tenant, batch.name, batch.qualifier),
            "faas.name": batch.name,
            "faas.version": batch.version,
            "faas.max_memory": batch.memory_mb * limits.MIB,
        }
    )
    scope = InstrumentationScope("isolet")
    for record in unpack_records(batch.records):
        caller = parent(record.trace)
        if caller is None or caller.sampled:
            yield _span(batch, record, resource, scope)


def _span(batch: Batch, record: Record, resource: object, scope: object) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    caller, sampled = parent(record.trace), TraceFlags(TraceFlags.SAMPLED)
    trace_id = caller.trace_id if caller is not None else int(record.request_id.replace("-", ""), 16)
    above = None if caller is None else SpanContext(caller.trace_id, caller.span_id, True, sampled)
    start_ns, events, status = record.started_ms * _NS_PER_MS, [], Status(StatusCode.UNSET)
    end_ns = start_ns + record.duration_ns
    if record.failure is not None:
        _, kind, message, *stack = record.failure
        lines = "\n".join(stack[0]) if stack else ""
        said = {"exception.type": kind, "exception.message": message, "exception.stacktrace": lines}
        events = [Event("exception", {key: value for key, value in said.items() if value}, end_ns)]
        status = Status(StatusCode.ERROR, f"{kind}: {message}")
    return ReadableSpan(
        batch.name,
        SpanContext(trace_id, int.from_bytes(urandom(8)) | 1, False, sampled),
        above,
        resource,  # type: ignore[arg-type]
        {
            "faas.invocation_id": record.request_id,
            "faas.coldstart": False,
            "isolet.restore_ns": record.restore_ns,
            "isolet.cpu_ns": record.cpu_ns,
            "isolet.fuel": record.fuel,
            "isolet.memory_bytes": record.memory_bytes,
        },
        events,
        kind=SpanKind.SERVER,
        status=status,
        start_time=start_ns,
        end_time=end_ns,
        instrumentation_scope=scope,  # type: ignore[arg-type]
    )
