"""`awslambda.streamifyResponse` in the guest: what is written leaves at once where somebody reads, else it is the
result."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

from interpreted import Answer, Function, house
from isolet import abi
from isolet.model import Invocation, Outcome

HTTP = """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { "x-a": "b" }, cookies: ["c=d"] });
  for (const part of event.parts) out.write(part);
  out.end();
});
"""
PLAIN = """
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  out.setContentType("text/html");
  await pipeline(Readable.from(event.parts), out);
  if (event.fails) throw new TypeError("after the end");
});
"""


class Reader:
    """Remembers. With `slow`, each piece waits until the loop has come round."""

    def __init__(self, slow: bool = False) -> None:
        self.slow = slow
        self.options: Mapping[str, Any] | None = None
        self.data: list[bytes] = []

    def opened(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def wrote(self, data: bytes) -> asyncio.Future[None] | None:
        self.data.append(data)
        if not self.slow:
            return None
        loop = asyncio.get_running_loop()
        room = loop.create_future()
        loop.call_soon(room.set_result, None)
        return room


def read_by(reader: Reader, function: Function, event: Any) -> Answer:
    async def invoke() -> Outcome:
        invoker = function._house.invoker(function._files)
        invocation = Invocation(function.target, str(uuid.uuid4()), abi.pack(event), perf_counter_ns(), reader=reader)
        return await invoker.invoke(invocation)

    return Answer(asyncio.run(invoke()))


def test_pieces_leave_as_they_are_written_after_what_http_needs_to_know() -> None:
    reader = Reader()
    assert read_by(reader, house("javascript").function(HTTP), {"parts": ["hello ", "wörld"]}).ok is None
    assert reader.options == {"status": 201, "headers": {"x-a": "b"}, "cookies": ["c=d"]}
    assert reader.data == [b"hello ", "wörld".encode()]


def test_a_stream_without_a_byte_begins_at_its_end() -> None:
    reader = Reader()
    assert read_by(reader, house("javascript").function(HTTP), {"parts": []}).ok is None
    assert reader.options is not None
    assert reader.data == []


def test_a_slow_reader_is_waited_for() -> None:
    reader = Reader(slow=True)
    parts = [str(i) * 1000 for i in range(50)]
    assert read_by(reader, house("javascript").function(PLAIN), {"parts": parts}).ok is None
    assert reader.options == {"content_type": "text/html"}
    assert b"".join(reader.data) == "".join(parts).encode()


def test_an_error_after_the_first_byte_is_the_outcomes() -> None:
    reader = Reader()
    answer = read_by(reader, house("javascript").function(PLAIN), {"parts": ["a"], "fails": True})
    assert answer.failure == ("TypeError", "after the end")
    assert reader.data == [b"a"]


def test_where_nobody_reads_the_answer_is_whole() -> None:
    answer = house("javascript").function(HTTP).invoke({"parts": ["hello ", "world"]})
    assert answer.ok == {
        "statusCode": 201,
        "headers": {"x-a": "b"},
        "cookies": ["c=d"],
        "body": "hello world",
        "isBase64Encoded": False,
    }
    assert house("javascript").function(PLAIN).invoke({"parts": ["<p>"]}).ok == {
        "statusCode": 200,
        "headers": {"content-type": "text/html"},
        "body": "<p>",
    }
