"""Everything that is not an invocation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from front.house import Opener
from isolet.errors import Conflict, StorageUnavailable

pytestmark = pytest.mark.anyio


async def test_health_is_the_workers_own(open_house: Opener) -> None:
    async def control(*_: Any) -> Any:
        raise StorageUnavailable("the keeper is gone")

    house = await open_house(control=control)
    reply = await house.ask(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (reply.status, json.loads(reply.body)) == (200, {"status": "ok", "functions": 1})


async def test_request_is_passed_on_whole_and_its_answer_back(open_house: Opener) -> None:
    seen: list[Any] = []

    async def control(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        seen.append((method, path, query, dict(headers), body))
        return 201, {"Content-Type": "x/y", "Content-Length": "99", "X-A": "b", "Connection": "close"}, b"\xff\x00"

    house = await open_house(control=control)
    reply = await house.ask(
        b"PUT /a%2Fb/c?x=%20&y HTTP/1.1\r\nHost: a\r\nX-Amz-Target: T\r\nContent-Length: 2\r\n\r\n\x00\xff"
    )
    assert seen == [
        ("PUT", "/a%2Fb/c", "x=%20&y", {"host": "a", "x-amz-target": "T", "content-length": "2"}, b"\x00\xff")
    ]
    assert (reply.status, reply.body, reply.get("content-type"), reply.get("x-a")) == (201, b"\xff\x00", "x/y", "b")
    assert reply.get("content-length") == "2"
    assert reply.get("connection") is None
    assert len(reply.get("x-amzn-requestid") or "") == 36


@pytest.mark.parametrize(
    ("error", "status", "name", "text"),
    [
        (Conflict("Function already exist: hello"), 409, "ResourceConflictException", "Function already exist: hello"),
        (StorageUnavailable("disk full"), 503, "ServiceException", "disk full"),
        (RuntimeError("secret"), 500, "ServiceException", "internal error"),
    ],
)
async def test_what_the_control_plane_raises_is_an_answer(
    open_house: Opener, error: Exception, status: int, name: str, text: str
) -> None:
    async def control(*_: Any) -> Any:
        raise error

    house = await open_house(control=control)
    reply = await house.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert (reply.status, reply.get("x-amzn-errortype")) == (status, name)
    assert json.loads(reply.body)["message"] == text


@pytest.mark.parametrize("line", [b"GET /nowhere", b"GET /", b"PROPFIND /x", b"POST /healthz", b"OPTIONS *"])
async def test_nowhere_is_a_404_in_awss_shape(open_house: Opener, line: bytes) -> None:
    house = await open_house()
    reply = await house.ask(line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (reply.status, reply.get("x-amzn-errortype")) == (404, "ResourceNotFoundException")
    assert json.loads(reply.body)["Type"] == "User"


async def test_head_of_a_passed_on_request_has_no_body(open_house: Opener) -> None:
    async def control(*_: Any) -> Any:
        return 200, {}, b"hello"

    house = await open_house(control=control)
    client = await house.client()
    reply = await client.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", without_body=True)
    assert reply.get("content-length") == "5"
    assert (await client.ask(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"hello"


async def test_control_plane_takes_larger_bodies_than_functions(open_house: Opener) -> None:
    async def control(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        return 200, {}, b"%d" % len(body)

    house = await open_house(control=control, payload_bytes=10, control_body_bytes=100)
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    assert (await house.ask(head % (b"/x", 100) + b"x" * 100)).body == b"100"
    assert (await house.ask(head % (b"/x", 101))).status == 413
    assert (await house.ask(head % (b"/fn/hello/", 11))).status == 413
