"""From bytes on a socket through a fresh isolate and back: the door with the real invoker and engine behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from front.house import House, Opener
from isolet.model import Route
from plane import Plane

pytestmark = pytest.mark.anyio


class Lit:
    """A house with a plane behind it."""

    def __init__(self, house: House, plane: Plane) -> None:
        self.house = house
        self.plane = plane

    async def event(self, head: bytes, body: bytes = b"") -> Any:
        """The event that `http_echoes` was given for a request."""
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        reply = await self.house.ask(head + b"\r\n" + length + b"\r\n" + body)
        assert reply.status == 200
        return msgpack.unpackb(reply.body)

    async def invoke(self, name: str, body: bytes = b"") -> tuple[Any, str | None]:
        head = b"POST /2015-03-31/functions/%b/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        reply = await self.house.ask(head % (name.encode(), len(body)) + body)
        assert reply.status == 200
        return json.loads(reply.body), reply.get("x-amz-function-error")


Lighter = Callable[..., Awaitable[Lit]]


@pytest.fixture
def light(open_house: Opener, tmp_path: Path) -> Lighter:
    async def lighter(*guests: str, **given: Any) -> Lit:
        plane = Plane(tmp_path)
        targets = tuple(replace(plane.target(guest, **given), http=True) for guest in guests)
        return Lit(await open_house(invoker=plane.invoker, targets=targets), plane)

    return lighter


async def test_binary_body_goes_through_an_isolate_and_back_intact(light: Lighter) -> None:
    lit = await light("http_echoes")
    body = bytes(range(256)) * 1200
    seen = await lit.event(b"POST /fn/http_echoes/a?b=c HTTP/1.1\r\nHost: a", body)
    assert seen["event"]["body"] == body
    assert seen["event"]["rawPath"] == "/a"
    assert seen["context"]["request_id"] == seen["event"]["requestContext"]["requestId"]
    assert len(seen["context"]["entropy"]) == 16
    assert lit.plane.engine.live == 0


async def test_host_and_route_lead_to_an_isolate(light: Lighter) -> None:
    lit = await light("http_echoes", routes=(Route("GET", "/things/{id}"),))
    seen = await lit.event(b"GET /x HTTP/1.1\r\nHost: http_echoes.localhost")
    assert seen["event"]["requestContext"]["domainPrefix"] == "http_echoes"
    seen = await lit.event(b"GET /things/7 HTTP/1.1\r\nHost: a\r\nX-Amzn-Trace-Id: Root=1")
    assert seen["event"]["pathParameters"] == {"id": "7"}
    assert seen["context"]["trace_id"] == "Root=1"


async def test_every_request_of_a_pipeline_has_its_own_isolate(light: Lighter) -> None:
    lit = await light("http_echoes")
    client = await lit.house.client()
    client.send(b"".join(b"GET /fn/http_echoes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(100)))
    seen = [msgpack.unpackb((await client.reply()).body) for _ in range(100)]
    assert [each["event"]["rawPath"] for each in seen] == [f"/{i}" for i in range(100)]
    for what in ("request_id", "entropy"):
        assert len({each["context"][what] for each in seen}) == 100


@pytest.mark.parametrize(
    ("guest", "kind"),
    [
        ("unreachable", "Runtime.Trapped"),
        ("outcome_outside", "Runtime.AbiViolation"),
        ("grow_until_refused", "Runtime.OutOfMemory"),
        ("infinite_loop", "Sandbox.Timedout"),
    ],
)
async def test_failure_of_a_guest_is_a_502_and_an_unhandled_invoke(light: Lighter, guest: str, kind: str) -> None:
    lit = await light(guest, timeout_s=0.05)
    reply = await lit.house.ask(b"GET /fn/%b/ HTTP/1.1\r\nHost: a\r\n\r\n" % guest.encode())
    assert (reply.status, json.loads(reply.body)["errorType"]) == (502, kind)
    body, how = await lit.invoke(guest)
    assert (body["errorType"], how) == (kind, "Unhandled")
    assert lit.plane.engine.live == 0


async def test_timeout_is_told_in_lambdas_words(light: Lighter) -> None:
    lit = await light("infinite_loop", timeout_s=0.05)
    body, _ = await lit.invoke("infinite_loop")
    (invocation, _), *_ = lit.plane.notes.kept
    assert body["errorMessage"] == f"RequestId: {invocation.request_id} Error: Task timed out after 0.05 seconds"


async def test_plain_event_is_invoked(light: Lighter) -> None:
    lit = await light("answers")
    assert await lit.invoke("answers", b'{"a": 1}') == (1, None)


async def test_client_that_leaves_frees_the_isolate(light: Lighter) -> None:
    lit = await light("sleeps", timeout_s=60.0)
    client = await lit.house.client()
    client.send(b"GET /fn/sleeps/ HTTP/1.1\r\nHost: a\r\n\r\n")
    await lit.house.until(lambda: lit.plane.engine.live == 1)
    client.reset()
    await lit.house.until(lambda: lit.plane.engine.live == 0)
    assert lit.plane.invoker.in_flight == 0
    (_, outcome), *_ = lit.plane.notes.kept
    assert type(outcome.error).__name__ == "Cancelled"


async def test_spinning_guest_does_not_keep_others_from_the_door(light: Lighter) -> None:
    lit = await light("infinite_loop", "answers", timeout_s=60.0)
    client = await lit.house.client()
    client.send(b"GET /fn/infinite_loop/ HTTP/1.1\r\nHost: a\r\n\r\n")
    await lit.house.until(lambda: lit.plane.engine.live == 1)
    for _ in range(5):
        async with asyncio.timeout(20):
            assert await lit.invoke("answers") == (1, None)
    client.reset()
    await lit.house.until(lambda: lit.plane.engine.live == 0)
