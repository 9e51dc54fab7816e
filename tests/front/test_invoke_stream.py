"""InvokeWithResponseStream over real sockets; its events are read by botocore's own parser."""

from __future__ import annotations

import gc
import json
from base64 import b64decode
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from front.house import Opener, Reply, outcome
from isolet.errors import Overloaded, Raised, Throttled
from isolet.front.invoke_stream import StreamInvokeExchange

pytestmark = pytest.mark.anyio


def invoke(body: bytes = b"{}", name: str = "hello", version: str = "1.1", **headers: str) -> bytes:
    lines = "".join(f"X-Amz-{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
    path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
    head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def events(body: bytes) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    found = []
    for message in buffer:
        assert message.headers[":message-type"] == "event"
        kind = message.headers[":event-type"]
        found.append((kind, message.payload if kind == "PayloadChunk" else json.loads(message.payload)))
    return found


def streamed(reply: Reply) -> list[tuple[str, Any]]:
    assert reply.status == 200
    assert reply.get("content-type") == "application/vnd.amazon.eventstream"
    assert reply.get("x-amz-executed-version") == "$LATEST"
    assert len(reply.get("x-amzn-requestid") or "") == 36
    return events(reply.body)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_result_is_one_chunk_and_the_end(open_house: Opener, version: str) -> None:
    house = await open_house(script=lambda _: outcome({"a": 1}))
    assert streamed(await house.ask(invoke(version=version))) == [("PayloadChunk", b'{"a":1}'), ("InvokeComplete", {})]


async def test_a_large_result_is_many_chunks(open_house: Opener) -> None:
    house = await open_house(script=lambda _: outcome("x" * 3_000_000))
    *chunks, last = streamed(await house.ask(invoke()))
    assert last == ("InvokeComplete", {})
    assert len(chunks) == 3
    assert b"".join(data for _, data in chunks) == b'"' + b"x" * 3_000_000 + b'"'


async def test_a_failure_is_what_the_end_says(open_house: Opener) -> None:
    house = await open_house(script=lambda _: outcome(error=Raised("ValueError", "no", ("at f",))))
    ((kind, said),) = streamed(await house.ask(invoke()))
    assert (kind, said["ErrorCode"]) == ("InvokeComplete", "ValueError")
    details = json.loads(said["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("ValueError", "no")


async def test_the_log_is_in_the_end_where_it_was_asked_for(open_house: Opener) -> None:
    house = await open_house(script=lambda _: outcome(1, logs=((2, 0, b"said"),)))
    _, (_, said) = streamed(await house.ask(invoke(Log_Type="Tail")))
    assert set(said) == {"LogResult"}
    assert b"said" in b64decode(said["LogResult"])


async def test_what_is_written_is_at_the_client_before_the_function_ends(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(invoke())
    held = await house.invoker.next()
    reader = held.invocation.reader
    assert reader is not None
    reader.opened({"status": 201, "headers": {"x-a": "b"}})
    reader.wrote(b"hello")
    await client.head()
    head = await client.reader.readexactly(int(await client.reader.readuntil(b"\r\n"), 16) + 2)
    assert events(head[:-2]) == [("PayloadChunk", b'{"headers": {"x-a": "b"}, "statusCode": 201}' + bytes(8))]
    piece = await client.reader.readexactly(int(await client.reader.readuntil(b"\r\n"), 16) + 2)
    assert events(piece[:-2]) == [("PayloadChunk", b"hello")]
    held.done(outcome(error=Raised("E", "late")))
    end = await client.reader.readexactly(int(await client.reader.readuntil(b"\r\n"), 16) + 2)
    ((kind, said),) = events(end[:-2])
    assert (kind, said["ErrorCode"]) == ("InvokeComplete", "E")
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"
    client.send(invoke())  # the connection goes on
    (await house.invoker.next()).done(outcome(1))
    assert streamed(await client.reply())[0] == ("PayloadChunk", b"1")


async def test_dry_run_is_empty(open_house: Opener) -> None:
    house = await open_house()
    reply = await house.ask(invoke(Invocation_Type="DryRun"))
    assert (reply.status, reply.body) == (204, b"")
    assert not house.invoker.submitted


@pytest.mark.parametrize(
    ("data", "status", "name"),
    [
        (invoke(name="missing"), 404, "ResourceNotFoundException"),
        (invoke(b"{"), 400, "InvalidRequestContentException"),
        (invoke(Invocation_Type="Event"), 400, "ValidationException"),
    ],
)
async def test_what_is_refused_before_is_an_answer_of_invoke(
    open_house: Opener, data: bytes, status: int, name: str
) -> None:
    house = await open_house()
    reply = await house.ask(data)
    assert (reply.status, reply.get("x-amzn-errortype")) == (status, name)
    assert reply.get("content-type") == "application/json"


@pytest.mark.parametrize(
    ("error", "status"), [(Throttled("m", "ConcurrentInvocationLimitExceeded"), 429), (Overloaded("m"), 503)]
)
async def test_what_could_not_run_is_no_stream(open_house: Opener, error: Exception, status: int) -> None:
    house = await open_house(script=lambda _: outcome(error=error))
    reply = await house.ask(invoke())
    assert (reply.status, reply.get("content-type")) == (status, "application/json")


async def test_an_answered_exchange_is_gone_without_the_collector(open_house: Opener) -> None:
    """It is its invocation's reader, and would keep itself, with event and answer."""
    house = await open_house(script=lambda _: outcome("x"))
    gc.collect()
    gc.disable()
    try:
        client = await house.client()
        for _ in range(3):
            await client.ask(invoke())
        house.invoker.submitted.clear()
        left = [one for one in gc.get_objects() if isinstance(one, StreamInvokeExchange)]
        assert len(left) <= 1, "the connection may remember its last"
    finally:
        gc.enable()
