from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from isolet import limits
from isolet.frames import pack
from isolet.records import Batch, Record, Totals
from isolet.spans import Spans, exporter
from keeping import FakeWorker, running_keeper

ID = "8f507cfc-8f50-4f50-8f50-8f507cfc8f50"
MS = 1_000_000
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="


class Collector:
    """Receives OTLP over HTTP and keeps what it decoded."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def spans(self) -> list[Any]:
        return [
            (span, {one.key: one.value for one in of.resource.attributes})
            for request in self.requests
            for of in request.resource_spans
            for scoped in of.scope_spans
            for span in scoped.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def batch(*records: Record) -> Batch:
    packed = b"".join(pack(list(record)) for record in records)
    return Batch("000000000000", "resize", "live", "3", 128, 0, Totals(len(records)), records=packed)


def record(trace: str = "", failure: Any = None) -> Record:
    return Record(ID, 1_700_000_000_000, 1_700_000_000_002, 2 * MS, 20_000, 9, 7, 65_536, failure, (), 0, trace)


def test_collector_is_sent_a_span_for_each_invocation(collector: Collector, tmp_path: Path) -> None:
    failure = ("Raised", "KeyError", "no key", ("File a", "File b"))

    async def main() -> None:
        async with running_keeper(tmp_path, otel_endpoint=collector.url) as keeper:
            batches = [batch(record(), record(HEADER + "1", failure), record(HEADER + "0"))]
            worker = FakeWorker(keeper, "w1")
            await worker.uplink.hello()
            for _ in range(2):
                await worker.uplink.records(1, [one.to_plain() for one in batches])
            assert keeper.spans is not None
            await keeper.spans.flush()
            assert (keeper.spans.sent, keeper.spans.dropped) == (2, 0), "a message that comes again is not sent again"

    asyncio.run(main())
    (first, resource), (second, _) = collector.spans()
    assert (first.name, first.trace_id.hex(), first.parent_span_id) == ("resize", ID.replace("-", ""), b"")
    assert first.end_time_unix_nano - first.start_time_unix_nano == 2 * MS
    assert first.start_time_unix_nano == 1_700_000_000_000 * MS
    attributes = {one.key: one.value for one in first.attributes}
    assert attributes["faas.invocation_id"].string_value == ID
    assert attributes["isolet.fuel"].int_value == 7
    assert resource["faas.version"].string_value == "3"
    assert resource["cloud.resource_id"].string_value == "arn:aws:lambda:us-east-1:000000000000:function:resize:live"
    assert second.trace_id.hex() == "5759e988bd862e3fe1be46a994272793"
    assert second.parent_span_id.hex() == "53995c3f42cd8ad8"
    assert (second.status.code, second.status.message) == (2, "KeyError: no key")
    assert {one.key: one.value.string_value for one in second.events[0].attributes} == {
        "exception.type": "KeyError",
        "exception.message": "no key",
        "exception.stacktrace": "File a\nFile b",
    }


def test_what_a_collector_does_not_take_is_dropped_and_counted(collector: Collector) -> None:
    collector.status = 400

    async def main() -> None:
        spans = Spans(exporter(collector.url))
        spans.add([batch(record(), record())])
        await spans.flush()
        assert (spans.sent, spans.dropped) == (0, 2)

    asyncio.run(main())


def test_queue_is_bounded_while_a_collector_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    one = batch(record(), record())
    monkeypatch.setattr(limits, "SPANS_QUEUED_BYTES_MAX", 3 * len(one.records))
    gate = threading.Event()

    def slow(spans: Any) -> bool:
        return gate.wait()

    async def main() -> None:
        spans = Spans(slow)
        for _ in range(10):
            spans.add([one])
        assert spans.dropped == 2 * 7
        gate.set()
        await spans.flush()
        assert (spans.sent, spans.dropped) == (6, 14)

    asyncio.run(main())


def test_exporter_that_raises_drops_and_goes_on() -> None:
    def broken(spans: Any) -> bool:
        raise OSError("no network")

    async def main() -> None:
        spans = Spans(broken)
        spans.add([batch(record())])
        await spans.flush()
        spans.add([batch(record())])
        await spans.close()
        assert (spans.sent, spans.dropped) == (0, 2)

    asyncio.run(main())
