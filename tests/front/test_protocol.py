"""The door's connections, spoken to in bytes over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from front.house import House, Opener, Reply, echo, outcome, target
from isolet import limits
from isolet.errors import Overloaded, Throttled
from isolet.front.protocol import Connection
from isolet.model import Route
from sources import needs_python

pytestmark = pytest.mark.anyio

OTHER = "222222222222"
GET = b"GET /fn/hello/a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /fn/hello/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /fn/hello/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Trailer: z\r\n\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def refused(reply: Reply, status: int, name: str) -> None:
    assert reply.status == status, reply
    assert reply.get("x-amzn-errortype") == name
    assert reply.get("connection") == "close"
    assert reply.get("content-type") == "application/json"
    body = json.loads(reply.body)
    assert body["Type"] == "User"
    assert body["message"]


async def answered_alone(house: House, data: bytes, status: int, name: str) -> None:
    """`data` is refused, the connection ends, and nothing was invoked."""
    client = await house.client()
    refused(await client.ask(data), status, name)
    assert await client.ended() == b""
    assert not house.invoker.submitted


# ── requests in all their forms ─────────────────────────────────────────────────────────────────────────────────


async def test_get_is_answered_with_one_length_and_one_date(house: House) -> None:
    reply = await house.ask(GET)
    assert (reply.status, reply.body) == (200, b"GET /a?b=c ")
    assert reply.get("content-length") == str(len(reply.body))
    assert reply.get("date") == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert reply.get("connection") is None


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED], ids=["get", "post", "chunked"])
async def test_request_split_at_every_byte_is_the_same_request(house: House, request_bytes: bytes) -> None:
    whole = await house.ask(request_bytes)
    client = await house.client()
    await client.ask(GET)
    connection = house.connections[-1]
    for at in range(1, len(request_bytes)):
        connection.data_received(request_bytes[:at])
        connection.data_received(request_bytes[at:])
        reply = await client.reply()
        assert (reply.status, reply.body) == (whole.status, whole.body)


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED, HEALTH], ids=["get", "post", "chunked", "asgi"])
async def test_request_fed_byte_by_byte_is_the_same_request(house: House, request_bytes: bytes) -> None:
    client = await house.client()
    expected = await client.ask(request_bytes)
    connection = house.connections[-1]
    for i in range(len(request_bytes)):
        connection.data_received(request_bytes[i : i + 1])
    reply = await client.reply()
    assert (reply.status, reply.body) == (expected.status, expected.body)


async def test_headers_and_body_arrive_in_the_event(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(
        b"POST /fn/hello/x%2Fy?q=1&q=2 HTTP/1.1\r\nHost: localhost:8080\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=1; b=2\r\n"
        b"Content-Length: 3\r\nKeep-Alive: 5\r\nConnection: keep-alive\r\n\r\n\xff\x00\x01"
    )
    held = await house.invoker.next()
    event = held.event
    assert event["rawPath"] == "/x%2Fy"
    assert event["headers"] == {"host": "localhost:8080", "x-a": "1,2", "content-length": "3"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["queryStringParameters"] == {"q": "1,2"}
    assert (event["body"], event["isBase64Encoded"]) == (b"\xff\x00\x01", True)
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["requestId"] == held.invocation.request_id
    held.done(outcome({"statusCode": 201, "body": b"\xff\x00"}))
    reply = await client.reply()
    assert (reply.status, reply.body, reply.get("content-type")) == (201, b"\xff\x00", "application/octet-stream")
    assert reply.get("x-amzn-requestid") == held.invocation.request_id


async def test_function_answers_at_its_own_host_and_at_declared_routes(open_house: Opener) -> None:
    house = await open_house(targets=(target(routes=(Route("GET", "/accounts/{id}"),)),))
    reply = await house.ask(b"GET /x/y HTTP/1.1\r\nHost: Hello.localhost:99\r\n\r\n")
    assert reply.body == b"GET /x/y? "
    assert (await house.ask(b"GET /accounts/7 HTTP/1.1\r\nHost: localhost\r\n\r\n")).body == b"GET /accounts/7? "
    event = msgpack.unpackb(house.invoker.submitted[-1].event)
    assert event["pathParameters"] == {"id": "7"}
    assert event["routeKey"] == "GET /accounts/{id}"


async def test_what_is_meant_for_an_api_at_the_root_is_no_functions(open_house: Opener) -> None:
    """AWS's json services are at `POST /`: a function with that route must not be told a secret that is being set."""
    house = await open_house(targets=(target(routes=(Route("ANY", "/"),)),))
    request, rest = b"POST / HTTP/1.1\r\nHost: localhost\r\n", b"Content-Length: 2\r\n\r\nhi"
    assert (await house.ask(request + rest)).body == b"POST /? b'hi'"
    await house.ask(request + b"X-AMZ-Target: secretsmanager.CreateSecret\r\n" + rest)
    assert len(house.invoker.submitted) == 1


async def test_everything_on_a_functions_host_is_the_functions(house: House) -> None:
    reply = await house.ask(b"GET /healthz HTTP/1.1\r\nHost: hello.localhost\r\n\r\n")
    assert reply.body == b"GET /healthz? "


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /fn/nope/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: nope.localhost\r\n\r\n",
    ],
)
async def test_unknown_http_function_is_a_404_and_the_connection_stays(house: House, request_bytes: bytes) -> None:
    client = await house.client()
    reply = await client.ask(request_bytes)
    assert reply.status == 404
    body = json.loads(reply.body)
    assert body["errorType"] == "ResourceNotFoundException"
    assert body["requestId"] == reply.get("x-amzn-requestid")
    assert (await client.ask(GET)).status == 200


async def test_function_without_http_is_not_served(open_house: Opener) -> None:
    house = await open_house(targets=(target(http=False),))
    assert (await house.ask(GET)).status == 404


async def test_head_has_the_length_of_the_body_and_no_body(house: House) -> None:
    client = await house.client()
    client.send(GET.replace(b"GET", b"HEAD") + GET)
    reply = await client.reply(without_body=True)
    assert reply.get("content-length") == str(len(b"HEAD /a?b=c "))
    assert (await client.reply()).body == b"GET /a?b=c "


async def test_bodiless_statuses_announce_no_body(open_house: Opener) -> None:
    house = await open_house(script=lambda _: outcome({"statusCode": 204, "body": "dropped"}))
    client = await house.client()
    reply = await client.ask(GET)
    assert (reply.status, reply.get("content-length")) == (204, None)
    assert (await client.ask(GET)).status == 204


async def test_absolute_form_replaces_the_host(house: House) -> None:
    reply = await house.ask(b"GET http://hello.localhost:1/p?q HTTP/1.1\r\nHost: other\r\n\r\n")
    assert reply.body == b"GET /p?q "
    assert msgpack.unpackb(house.invoker.submitted[0].event)["headers"]["host"] == "hello.localhost:1"


async def test_connection_close_is_obeyed_and_said(house: House) -> None:
    client = await house.client()
    reply = await client.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert reply.get("connection") == "close"
    assert await client.ended() == b""


async def test_bytes_after_the_last_request_are_not_looked_at(house: House) -> None:
    client = await house.client()
    reply = await client.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"garbage\x00" + GET)
    assert reply.status == 200
    assert await client.ended() == b""
    assert len(house.invoker.submitted) == 1


# ── HTTP/1.0 ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_http_1_0_needs_no_host_and_ends(house: House) -> None:
    client = await house.client()
    reply = await client.ask(b"GET /fn/hello/ HTTP/1.0\r\n\r\n")
    assert (reply.status, reply.get("connection")) == (200, "close")
    assert await client.ended() == b""
    assert msgpack.unpackb(house.invoker.submitted[0].event)["requestContext"]["http"]["protocol"] == "HTTP/1.0"


async def test_http_1_0_keep_alive_is_granted_aloud(house: House) -> None:
    client = await house.client()
    for _ in range(2):
        reply = await client.ask(b"GET /fn/hello/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert reply.get("connection") == "keep-alive"


async def test_http_1_0_to_the_application_ends(house: House) -> None:
    client = await house.client()
    reply = await client.ask(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (reply.status, reply.get("connection")) == (200, "close")
    assert await client.ended() == b""


# ── smuggling and malformed requests ────────────────────────────────────────────────────────────────────────────


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"POST /fn/hello/ HTTP/1.1\r\nHost: localhost\r\n" + b"".join(x + b"\r\n" for x in lines) + b"\r\n" + body


MALFORMED = {
    "length and encoding": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "encoding and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "two lengths in one": post(b"Content-Length: 5, 5", body=b"hello"),
    "signed length": post(b"Content-Length: +5", body=b"hello"),
    "hex length": post(b"Content-Length: 0x5", body=b"hello"),
    "length of 65 bits": post(b"Content-Length: 18446744073709551616"),
    "two encodings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked in 1.0": b"POST /fn/hello/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"GET /fn/hello/ HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "folded header": b"GET /fn/hello/ HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "bare LF": b"GET /fn/hello/ HTTP/1.1\nHost: localhost\n\n",
    "bare LF in a header": b"GET /fn/hello/ HTTP/1.1\r\nHost: localhost\r\nX: a\nY: b\r\n\r\n",
    "bare CR in a header": b"GET /fn/hello/ HTTP/1.1\r\nHost: localhost\r\nX: a\rY: b\r\n\r\n",
    "NUL in a header": b"GET /fn/hello/ HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "no header name": b"GET /fn/hello/ HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
    "no host": b"GET /fn/hello/ HTTP/1.1\r\n\r\n",
    "empty host": b"GET /fn/hello/ HTTP/1.1\r\nHost:\r\n\r\n",
    "two hosts": b"GET /fn/hello/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal hosts": b"GET /fn/hello/ HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "two hosts in 1.0": b"GET /fn/hello/ HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "host with a path": b"GET /fn/hello/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user": b"GET /fn/hello/ HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "space in the target": b"GET /fn/hello/ x HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /fn/hello/#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "8 bits in the target": b"GET /fn/hello/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "userinfo in the target": b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "other scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_malformed_request_is_a_400_and_the_end(house: House, what: str) -> None:
    await answered_alone(house, MALFORMED[what], 400, "BadRequestException")


UNSUPPORTED = {
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "simple request": b"GET /\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "ICE": b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n",
    "RTSP": b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("what", UNSUPPORTED)
async def test_other_protocols_are_a_501_and_the_end(house: House, what: str) -> None:
    await answered_alone(house, UNSUPPORTED[what], 501, "NotImplementedException")


@pytest.mark.parametrize(
    "body", [b"5\r\nhelloX", b"Z\r\n", b"5 \r\nhello\r\n", b"5\nhello\n0\n\n", b"fffffffffffffffff\r\n", b"-1\r\n"]
)
async def test_malformed_chunk_is_never_a_complete_body(house: House, body: bytes) -> None:
    await answered_alone(house, post(b"Transfer-Encoding: chunked", body=body), 400, "BadRequestException")


async def test_end_of_a_chunked_body_without_its_last_chunk_is_a_disconnect(house: House) -> None:
    client = await house.client()
    client.send(post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"))
    await house.until(lambda: house.door.bodies_bytes == 5)
    client.writer.write_eof()
    assert await client.ended() == b""
    assert not house.invoker.submitted
    assert house.door.counters.disconnects == 1


async def test_trailers_are_dropped_and_never_the_next_requests_headers(house: House) -> None:
    client = await house.client()
    client.send(CHUNKED.replace(b"X-Trailer: z", b"Host: evil\r\nX-Amzn-Trace-Id: evil") + GET)
    assert (await client.reply()).body == b"POST /a? hello"
    assert (await client.reply()).body == b"GET /a?b=c "
    for invocation in house.invoker.submitted:
        assert b"evil" not in invocation.event
        assert invocation.trace_id == ""


async def test_wish_to_upgrade_is_not_granted_and_the_body_stays_a_body(house: House) -> None:
    client = await house.client()
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    inner = b"GET /fn/hello/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    outer = b"POST /fn/hello/a HTTP/1.1\r\nHost: localhost\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    client.send(outer % (wish, len(inner)) + inner + GET)
    assert (await client.reply()).body == b"POST /a? " + inner
    assert (await client.reply()).body == b"GET /a?b=c "
    assert (await client.ask(b"GET /fn/hello/w HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % wish)).body == b"GET /w? "


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def with_headers(count: int, size: int) -> bytes:
    """A GET with `count` headers that have `size` bytes together, as HTTP counts them: names, values and four each."""
    lines = [b"Host: a", *[b"X-%d: y" % i for i in range(count - 1)]]
    used = sum(len(line) + 2 + 1 - 1 for line in lines)
    lines[-1] += b"y" * (size - used)
    return b"GET /fn/hello/ HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


async def test_headers_up_to_the_limit_are_served(house: House) -> None:
    assert (await house.ask(with_headers(100, limits.HEADERS_BYTES_MAX))).status == 200


async def test_too_many_headers_are_a_431(house: House) -> None:
    await answered_alone(house, with_headers(101, 4000), 431, "RequestHeaderFieldsTooLargeException")


async def test_too_large_headers_are_a_431(house: House) -> None:
    data = with_headers(10, limits.HEADERS_BYTES_MAX + 1)
    await answered_alone(house, data, 431, "RequestHeaderFieldsTooLargeException")


@pytest.mark.parametrize("flood", [b"X: " + b"y" * 2_000_000, b"X: y\r\n" * 300_000], ids=["one", "many"])
async def test_endless_headers_are_a_431_before_they_end(house: House, flood: bytes) -> None:
    data = b"GET /fn/hello/ HTTP/1.1\r\nHost: a\r\n" + flood
    await answered_alone(house, data, 431, "RequestHeaderFieldsTooLargeException")


async def test_url_up_to_the_limit_is_served_and_one_byte_more_is_a_414(house: House) -> None:
    path = b"/fn/hello/" + b"x" * (limits.URL_BYTES_MAX - 10)
    client = await house.client()
    assert (await client.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)).status == 200
    refused(await client.ask(b"GET %bx HTTP/1.1\r\nHost: a\r\n\r\n" % path), 414, "UriTooLongException")


async def test_endless_url_is_a_414_before_it_ends(house: House) -> None:
    await answered_alone(house, b"GET /" + b"x" * 1_000_000, 414, "UriTooLongException")


async def test_announced_body_over_the_limit_is_a_413_before_it_is_read(open_house: Opener) -> None:
    house = await open_house(payload_bytes=1000)
    await answered_alone(house, post(b"Content-Length: 1001"), 413, "RequestTooLargeException")


async def test_client_that_sends_an_oversized_body_still_reads_its_413(house: House) -> None:
    size = limits.PAYLOAD_BYTES_MAX + 1
    client = await house.client()
    client.send(post(b"Content-Length: %d" % size) + b"x" * size)
    refused(await client.reply(), 413, "RequestTooLargeException")
    assert await client.ended() == b""


async def test_chunked_body_over_the_limit_is_a_413_by_counting(open_house: Opener) -> None:
    house = await open_house(payload_bytes=1000)
    body = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    assert (await house.ask(post(b"Transfer-Encoding: chunked", body=body + body + b"0\r\n\r\n"))).status == 200
    house.invoker.submitted.clear()
    data = post(b"Transfer-Encoding: chunked", body=body + body + b"1\r\nx")
    await answered_alone(house, data, 413, "RequestTooLargeException")


async def test_body_that_is_all_framing_is_refused(open_house: Opener) -> None:
    house = await open_house(chunk_framing_bytes=10_000)
    client = await house.client()
    client.send(post(b"Transfer-Encoding: chunked") + (b"1;" + b"e" * 400 + b"\r\nx\r\n") * 100)
    refused(await client.reply(), 400, "BadRequestException")


async def test_maximal_body_arrives_whole_and_no_reading_is_lost(house: House) -> None:
    size = limits.PAYLOAD_BYTES_MAX
    client = await house.client()
    client.send(post(b"Content-Length: %d" % size) + b"\xff" * size + GET)
    reply = await client.reply()
    assert reply.status == 502  # its echo is too large an answer
    assert (await client.reply()).body == b"GET /a?b=c "
    assert msgpack.unpackb(house.invoker.submitted[0].event)["body"] == b"\xff" * size


async def test_bodies_of_all_connections_have_one_bound(open_house: Opener) -> None:
    house = await open_house(bodies_bytes=1500)
    first = await house.client()
    first.send(post(b"Content-Length: 1001") + b"x" * 1000)
    await house.until(lambda: house.door.bodies_bytes == 1000)
    reply = await house.ask(post(b"Content-Length: 600"))
    assert (reply.status, reply.get("retry-after")) == (503, "1")
    reply = await house.ask(post(b"Transfer-Encoding: chunked", body=b"258\r\n" + b"x" * 600 + b"\r\n"))
    assert reply.status == 503
    assert (await first.ask(b"x")).status == 200


async def test_bodies_of_one_address_leave_room_for_others(open_house: Opener) -> None:
    house = await open_house(bodies_bytes_per_address=1500)
    first = await house.client()
    first.send(post(b"Content-Length: 1001") + b"x" * 1000)
    await house.until(lambda: house.door.bodies_bytes == 1000)
    assert house.door.peer_bytes == {"127.0.0.1": 1000}
    reply = await house.ask(post(b"Content-Length: 600"))
    assert (reply.status, b"your address" in reply.body) == (503, True)
    reply = await house.ask(post(b"Transfer-Encoding: chunked", body=b"258\r\n" + b"x" * 600 + b"\r\n"))
    assert reply.status == 503
    other = await house.client()
    await house.until(lambda: len(house.connections) == 4)
    house.connections[-1].peer = "192.0.2.1"  # a client of another address
    assert (await other.ask(post(b"Content-Length: 600", body=b"x" * 600))).status == 200
    assert (await first.ask(b"x")).status == 200
    assert not house.door.peer_bytes
    house.connections[-1].peer = "127.0.0.1"


async def test_connections_over_the_cap_are_told_so(open_house: Opener) -> None:
    house = await open_house(connections=2)
    clients = [await house.client() for _ in range(2)]
    for client in clients:
        assert (await client.ask(GET)).status == 200
    extra = await house.client()
    assert (await extra.reply()).status == 503
    assert await extra.ended() == b""
    clients[0].close()
    await house.until(lambda: len(house.door.connections) == 1)
    assert (await house.ask(GET)).status == 200


# ── expectations ────────────────────────────────────────────────────────────────────────────────────────────────

EXPECT = post(b"Content-Type: text/plain", b"Content-Length: 5", b"Expect: 100-continue")


async def test_client_that_expects_is_told_to_continue(house: House) -> None:
    client = await house.client()
    assert (await client.ask(EXPECT)).status == 100
    assert (await client.ask(b"hello")).body == b"POST /? hello"


async def test_client_that_did_not_wait_is_not_told(house: House) -> None:
    client = await house.client()
    assert (await client.ask(EXPECT + b"hello")).status == 200


async def test_continue_comes_after_the_answers_before_it(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(GET)
    held = await house.invoker.next()
    client.send(EXPECT)
    await house.until(lambda: house.connections[0]._receiving is not None)
    held.done(outcome({"statusCode": 200, "body": "first"}))
    assert (await client.reply()).body == b"first"
    assert (await client.reply()).status == 100
    client.send(b"hello")
    (await house.invoker.next()).done(outcome("second"))
    assert (await client.reply()).body == b'"second"'


async def test_expecting_client_is_refused_without_sending(open_house: Opener) -> None:
    house = await open_house(payload_bytes=4)
    await answered_alone(house, EXPECT, 413, "RequestTooLargeException")
    refused_early = EXPECT.replace(b"hello/", b"nope/").replace(b"Length: 5", b"Length: 3")
    assert (await house.ask(refused_early)).status == 404


async def test_other_expectations_fail(house: House) -> None:
    data = EXPECT.replace(b"100-continue", b"200-ok")
    await answered_alone(house, data, 417, "ExpectationFailedException")


async def test_http_1_0_is_never_told_to_continue(house: House) -> None:
    client = await house.client()
    client.send(EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await house.until(lambda: bool(house.connections) and house.connections[0]._receiving is not None)
    assert (await client.ask(b"hello")).status == 200


async def test_application_gets_the_body_of_a_client_that_expects(open_house: Opener) -> None:
    async def control(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        return 200, {"content-type": "text/plain"}, b"%d" % len(body)

    house = await open_house(control=control)
    client = await house.client()
    assert (await client.ask(EXPECT.replace(b"/fn/hello/", b"/other"))).status == 100
    assert (await client.ask(b"hello")).body == b"5"


# ── pipelining ──────────────────────────────────────────────────────────────────────────────────────────────────


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def test_pipelined_requests_are_answered_in_order_whoever_answers_them(open_house: Opener) -> None:
    async def control(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        await asyncio.sleep(0)
        return 200, {}, path.encode()

    house = await open_house(control=control)
    client = await house.client()
    paths = [f"/fn/hello/{i}" if i % 3 else f"/app/{i}" for i in range(300)]
    client.send(b"".join(get(path) for path in paths))
    for i in range(300):
        body = (await client.reply()).body.decode()
        assert body == (f"GET /{i}? " if i % 3 else f"/app/{i}")


@needs_python
async def test_large_answer_is_written_in_pieces_and_whole_though_its_client_closes_its_half(
    open_house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "x" * 3_000_000
    house = await open_house(script=lambda _: outcome({"statusCode": 200, "body": large}))
    client = await house.client()
    sizes: list[int] = []
    write = Connection.write

    def noted(self: Connection, data: bytes | memoryview) -> None:
        sizes.append(len(data))
        if len(sizes) == 3:
            client.writer.write_eof()
        write(self, data)

    monkeypatch.setattr(Connection, "write", noted)
    reply = await client.ask(GET)
    assert (reply.status, len(reply.body)) == (200, len(large))
    assert (max(sizes), len(sizes)) == (128 * 1024, 1 + 23)
    assert await client.ended() == b""
    await house.until(lambda: not house.door.connections)


async def test_large_requests_that_come_together_begin_one_in_a_turn_of_the_loop(open_house: Opener) -> None:
    house = await open_house()
    turns: list[int] = []
    begun = 0

    def turn() -> None:
        turns.append(len(house.invoker.submitted) - begun)

    clients = [await house.client() for _ in range(4)]
    for client in clients:
        client.send(b"POST /fn/hello/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 999_999)
    await house.until(lambda: sum(one._receiving is not None for one in house.connections) == 4)
    for client in clients:
        client.send(b"x")
    while len(house.invoker.submitted) < 4:
        begun = len(house.invoker.submitted)
        await asyncio.sleep(0)
        turn()
    assert max(turns) == 1
    for client in clients:
        assert (await client.reply()).status == 200


async def test_client_that_leaves_in_mid_answer_leaves_nothing(open_house: Opener) -> None:
    house = await open_house(script=lambda _: outcome({"statusCode": 200, "body": "x" * 6_000_000}))
    client = await house.client()
    client.send(GET)
    await house.until(lambda: bool(house.door.stalled))
    (connection,) = house.connections
    assert connection.unsent_bytes() > 1_000_000
    client.writer.transport.abort()
    await house.until(lambda: not house.door.connections)
    assert connection.unsent_bytes() == 0


async def test_answer_waits_for_others_of_its_tenants_only(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None, targets=(target(), target("other", tenant=OTHER)))
    clients = [await house.client() for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(get(f"/fn/{OTHER}:other/" if number == 3 else "/fn/hello/"))
    asked = [await house.invoker.next() for _ in clients]
    asked.sort(key=lambda one: one.invocation.target.tenant == OTHER)
    for one in asked:
        one.done(outcome("done"))
    assert sum(bool(connection.held) for connection in house.connections) == 2, "of three and of one"
    for client in clients:
        assert (await client.reply()).body == b'"done"'


async def test_answers_of_one_turn_reach_every_client(open_house: Opener) -> None:
    """Fifty invocations end in one turn: the first answer is written at once, the others together, none is lost."""
    house = await open_house(script=lambda _: None)
    clients = [await house.client() for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(get(f"/fn/hello/{number}"))
    held = {invocation.event["rawPath"]: invocation for invocation in [await house.invoker.next() for _ in clients]}
    for number in range(50):
        held[f"/{number}"].done(outcome({"statusCode": 200, "body": str(number)}))
    assert 0 < sum(bool(connection.held) for connection in house.connections) < 50
    for number, client in enumerate(clients):
        assert (await client.reply()).body == str(number).encode()
    assert not any(connection.held for connection in house.connections)
    house.invoker.script = echo
    for client in clients:
        assert (await client.ask(get("/fn/hello/again"))).body == b"GET /again? "


@pytest.mark.parametrize("how", ["abort", "shutdown"])
async def test_connection_that_ends_while_its_answer_is_held_back(open_house: Opener, how: str) -> None:
    house = await open_house(script=lambda _: None)
    clients = [await house.client() for _ in range(2)]
    for client in clients:
        await client.writer.drain()
        client.send(get("/fn/hello/x"))
    held = [await house.invoker.next() for _ in clients]
    for invocation in held:
        invocation.done(outcome(1))
    (waiting,) = [connection for connection in house.connections if connection.held]
    if how == "abort":
        waiting.abort("a test")
    else:
        waiting.shutdown()
    await house.until(lambda: not waiting.held)
    answered = 0
    for client in clients:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            answered += (await client.reply()).body == b"1"
    assert answered == (1 if how == "abort" else 2)


async def test_one_request_of_a_connection_runs_at_a_time(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(get("/fn/hello/1") + get("/fn/hello/2"))
    first = await house.invoker.next()
    await asyncio.sleep(0)
    assert len(house.invoker.submitted) == 1
    first.done(outcome(1))
    (await house.invoker.next()).done(outcome(2))
    assert [(await client.reply()).body for _ in range(2)] == [b"1", b"2"]


async def test_pipeline_is_bounded_and_loses_nothing(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None, pipelined=64)
    client = await house.client()
    client.send(b"".join(get(f"/fn/hello/{i}") for i in range(20_000)))
    first = await house.invoker.next()
    connection = house.connections[0]
    await house.until(lambda: connection._read_paused)
    assert len(connection._queue) <= 64
    house.invoker.script = echo
    first.done(echo(first.invocation))
    for i in range(20_000):
        assert (await client.reply()).body == f"GET /{i}? ".encode()
    assert len(connection._queue) == 0
    assert not connection._read_paused


async def test_bodies_that_wait_are_bounded_and_none_is_lost(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    body = b"x" * 500_000
    client.send(post(b"Content-Type: text/plain", b"Content-Length: %d" % len(body), body=body) * 30)
    held = await house.invoker.next()
    connection = house.connections[0]
    await house.until(lambda: connection._read_paused)
    assert house.door.bodies_bytes < 3_000_000
    for _ in range(29):
        held.done(outcome(1))
        assert (await client.reply()).status == 200
        held = await house.invoker.next()
        assert held.event["body"] == body.decode()
    held.done(outcome(1))
    assert (await client.reply()).status == 200


async def test_burst_of_one_client_lets_others_in_between(house: House) -> None:
    greedy, other = await house.client(), await house.client()
    assert (await other.ask(GET)).status == 200
    connection = house.connections[0]
    assert await greedy.ask(GET)
    order: list[str] = []
    house.invoker.script = lambda invocation: order.append(echo(invocation).value["body"]) or echo(invocation)
    connection = house.connections[0]
    connection.data_received(b"".join(get(f"/fn/hello/{i}") for i in range(100)))
    assert 0 < len(order) < 100, "the rest waits for the loop's next turn"
    await house.until(lambda: len(order) == 100)
    assert order == [f"GET /{i}? " for i in range(100)]


async def test_error_after_good_requests_is_the_last_answer(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(GET + b"garbage\x00\r\n\r\n" + GET)
    held = await house.invoker.next()
    held.done(outcome({"statusCode": 200, "body": "good"}))
    assert (await client.reply()).body == b"good"
    refused(await client.reply(), 400, "BadRequestException")
    assert await client.ended() == b""


# ── clients that leave ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_client_that_leaves_cancels_its_invocation(open_house: Opener, how: str) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(GET + GET)
    held = await house.invoker.next()
    {"close": client.close, "reset": client.reset, "half": client.writer.write_eof}[how]()
    async with asyncio.timeout(20):
        await held.cancelled.wait()
    await house.until(lambda: not house.door.connections)
    held.done(outcome("too late"))  # as the invoker does: nobody is there to hear it
    assert len(house.invoker.submitted) == 1, "what was pipelined behind it is not started"
    assert house.door.counters.disconnects == 1


async def test_client_that_leaves_in_its_body_invokes_nothing(house: House) -> None:
    client = await house.client()
    client.send(post(b"Content-Length: 10") + b"hello")
    await house.until(lambda: house.door.bodies_bytes == 5)
    client.reset()
    await house.until(lambda: not house.door.connections)
    assert not house.invoker.submitted
    assert house.door.bodies_bytes == 0


async def test_application_learns_of_a_client_that_left(open_house: Opener) -> None:
    started, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        started.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    house = await open_house(app=app)
    client = await house.client()
    client.send(HEALTH)
    async with asyncio.timeout(20):
        await started.wait()
        client.close()
        await left.wait()


async def test_refused_submission_is_an_answer_and_the_connection_stays(house: House) -> None:
    client = await house.client()
    for error, status in [
        (Throttled("busy", "ConcurrentInvocationLimitExceeded", 3), 429),
        (Overloaded("full"), 503),
        (RuntimeError("secret"), 500),
    ]:

        def fail(_: Any, error: Exception = error) -> Any:
            raise error

        house.invoker.script = fail
        reply = await client.ask(GET)
        assert reply.status == status
        assert b"secret" not in reply.body
    assert reply.get("retry-after") is None


# ── deadlines: the sweep with a manual clock ────────────────────────────────────────────────────────────────────


async def test_silent_new_connection_ends_after_the_deadline_for_headers(house: House) -> None:
    client = await house.client()
    await house.until(lambda: len(house.door.connections) == 1)
    house.later(10)
    assert house.door.connections
    house.later(2)
    assert await client.ended() == b""
    assert house.door.counters.swept["idle"] == 1


async def test_slow_headers_are_a_408(house: House) -> None:
    client = await house.client()
    assert (await client.ask(GET)).status == 200
    house.later(40)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    await house.until(lambda: house.connections[0]._head_bytes > 0)
    for _ in range(10):  # a byte now and then does not help
        house.later(1)
        client.send(b"X")
        await asyncio.sleep(0)
    assert house.door.connections
    house.later(2)
    refused(await client.reply(), 408, "RequestTimeoutException")
    assert await client.ended() == b""
    assert house.door.counters.swept["slow headers"] == 1


async def test_slow_body_is_a_408(house: House) -> None:
    client = await house.client()
    client.send(post(b"Content-Length: 100000") + b"x" * 2048)
    await house.until(lambda: house.door.bodies_bytes == 2048)
    house.later(10)
    assert house.door.connections
    house.later(3)
    refused(await client.reply(), 408, "RequestTimeoutException")


async def test_body_that_was_fast_gains_no_right_to_stop(house: House) -> None:
    """Or a client could fill the memory for bodies at once, and hold it with a byte now and then for hours."""
    client = await house.client()
    client.send(post(b"Content-Length: 6000000") + b"x" * 5_000_000)
    await house.until(lambda: house.door.bodies_bytes == 5_000_000)
    for second in range(10):
        house.later(1)
        client.send(b"x")
        await house.until(lambda second=second: house.door.bodies_bytes == 5_000_001 + second)  # type: ignore[misc]
    assert house.door.connections
    house.later(3)
    refused(await client.reply(), 408, "RequestTimeoutException")
    assert house.door.bodies_bytes == 0


async def test_credit_for_a_bodys_bytes_is_ten_seconds_at_the_most(house: House) -> None:
    """The same for readers as for senders: how many bytes have moved at each second, and when it is too few."""
    assert (await house.ask(GET)).status == 200
    (connection,) = house.connections

    def ends_at(moved: Callable[[int], int]) -> int:
        connection._begin_moving()
        begun_s = house.door.now_s
        ends = (second for second in range(1, 200) if connection._falls_behind(moved(second), begun_s + second))
        return next(ends, 0)

    assert ends_at(lambda second: 0) == 12
    assert ends_at(lambda second: 1 << 30) == 12
    assert ends_at(lambda second: limits.BODY_BYTES_PER_S_MIN * second) == 0, "never"
    assert ends_at(lambda second: (1 << 20) * min(second, 50)) == 50 + 11
    assert ends_at(lambda second: limits.BODY_BYTES_PER_S_MIN * second // 2) == 22


async def test_body_at_the_minimum_rate_is_served(house: House) -> None:
    client = await house.client()
    total = limits.BODY_BYTES_PER_S_MIN * 40
    client.send(post(b"Content-Length: %d" % total))
    for second in range(40):
        client.send(b"x" * limits.BODY_BYTES_PER_S_MIN)
        wanted = (second + 1) * limits.BODY_BYTES_PER_S_MIN % total
        await house.until(lambda wanted=wanted: house.door.bodies_bytes == wanted)  # type: ignore[misc]
        house.later(1)
    assert (await client.reply()).status == 200


async def test_idle_connection_ends_after_keep_alive(house: House) -> None:
    client = await house.client()
    await client.ask(GET)
    house.later(limits.KEEP_ALIVE_S)
    assert house.door.connections
    house.later(2)
    assert await client.ended() == b""


async def test_request_in_time_keeps_the_connection(house: House) -> None:
    client = await house.client()
    for _ in range(5):
        assert (await client.ask(GET)).status == 200
        house.later(60)


async def test_idle_connections_make_room_when_it_is_crowded(open_house: Opener) -> None:
    house = await open_house(connections=4)
    clients = [await house.client() for _ in range(3)]
    for client in clients:
        await client.ask(GET)
    house.later(3)
    for client in clients:
        assert await client.ended() == b""


async def test_running_invocation_has_no_deadline_of_the_doors(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(GET)
    held = await house.invoker.next()
    house.later(1000)
    held.done(outcome("late"))
    assert (await client.reply()).body == b'"late"'


async def test_lingering_has_an_end(house: House) -> None:
    client = await house.client()
    client.send(b"garbage\x00\r\n")
    refused(await client.reply(), 400, "BadRequestException")
    assert house.door.connections, "it lingers until the client closes, too"
    house.later(8)
    await house.until(lambda: not house.door.connections)


# ── back-pressure ───────────────────────────────────────────────────────────────────────────────────────────────

BIG = 6_000_000


def big(_: Any) -> Any:
    return outcome({"statusCode": 200, "body": b"x" * BIG})


async def test_nothing_is_started_while_a_reader_is_slow(open_house: Opener) -> None:
    house = await open_house(script=big)
    client = await house.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(GET * 4)
    await house.until(lambda: bool(house.connections) and house.connections[0]._write_paused)
    assert house.door.stalled
    started = len(house.invoker.submitted)
    assert started < 4
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(4):
        assert len((await client.reply()).body) == BIG
    assert not house.door.stalled
    assert len(house.invoker.submitted) == 4


async def test_reader_that_takes_nothing_is_cut_off(open_house: Opener) -> None:
    house = await open_house(script=big)
    client = await house.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(GET)
    await house.until(lambda: bool(house.door.stalled))
    house.later(10)
    assert house.door.connections
    house.later(3)
    await house.until(lambda: not house.door.connections)
    assert house.door.counters.swept["slow reader"] == 1


async def test_last_answer_may_take_as_long_as_its_reader_needs(open_house: Opener) -> None:
    house = await open_house(script=big)
    client = await house.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await house.until(lambda: bool(house.door.stalled))
    house.later(9)  # longer than lingering may last
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    assert len((await client.reply()).body) == BIG
    assert await client.ended() == b""


async def test_last_answer_that_nobody_takes_is_dropped(open_house: Opener) -> None:
    house = await open_house(script=big)
    client = await house.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await house.until(lambda: bool(house.door.stalled))
    house.later(13)
    await house.until(lambda: not house.door.connections)
    assert house.door.counters.swept["slow reader"] == 1


async def test_unread_answers_of_all_have_one_bound_and_the_largest_goes_first(open_house: Opener) -> None:
    house = await open_house(script=big)
    for _ in range(3):
        client = await house.client()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
    await house.until(lambda: len(house.door.stalled) == 3)
    unsent = {member: member.unsent_bytes() for member in house.door.stalled}
    house.door.limits = replace(house.door.limits, unsent_bytes=sum(unsent.values()) - 1)
    house.door.sweep()
    await house.until(lambda: len(house.door.connections) == 2)
    (gone,) = unsent.keys() - house.door.connections
    assert unsent[gone] == max(unsent.values())


async def test_streaming_application_waits_for_its_reader(open_house: Opener) -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    house = await open_house(app=app)
    client = await house.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(HEALTH)
    await house.until(lambda: bool(house.door.stalled))
    assert sent < 200
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    assert len((await client.reply()).body) == 20_000_000


# ── the end of the server ───────────────────────────────────────────────────────────────────────────────────────


async def test_shutdown_ends_idle_connections_and_finishes_the_others(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    idle, busy = await house.client(), await house.client()
    busy.send(GET)
    held = await house.invoker.next()
    await house.until(lambda: len(house.door.connections) == 2)
    ending = asyncio.create_task(house.server.shutdown())
    assert await idle.ended() == b""
    held.done(outcome("last"))
    reply = await busy.reply()
    assert (reply.body, reply.get("connection")) == (b'"last"', "close")
    assert await busy.ended() == b""
    async with asyncio.timeout(20):
        await ending


async def test_shutdown_answers_what_was_pipelined_and_says_close_only_last(open_house: Opener) -> None:
    house = await open_house(script=lambda _: None)
    client = await house.client()
    client.send(GET + GET)
    held = await house.invoker.next()
    house.connections[0].shutdown()
    held.done(outcome(1))
    (await house.invoker.next()).done(outcome(2))
    first, second = await client.reply(), await client.reply()
    assert (first.get("connection"), second.get("connection")) == (None, "close")
    assert await client.ended() == b""


async def test_shutdown_lets_the_application_finish(open_house: Opener) -> None:
    go = asyncio.Event()

    async def control(*_: Any) -> Any:
        await go.wait()
        return 200, {}, b"done"

    house = await open_house(control=control)
    client = await house.client()
    client.send(get("/x"))
    await house.until(lambda: bool(house.server.server_state.tasks))
    house.connections[0].shutdown()
    go.set()
    assert (await client.reply()).body == b"done"
    assert await client.ended() == b""


@needs_python
async def test_defect_while_starting_costs_one_connection_only(house: House, caplog: pytest.LogCaptureFixture) -> None:
    other = await house.client()
    assert (await other.ask(GET)).status == 200
    client = await house.client()
    house.door.site_part = None  # type: ignore[assignment, method-assign]
    reply = await client.ask(GET)
    assert (reply.status, reply.get("connection")) == (500, "close")
    assert b"NoneType" not in reply.body
    assert await client.ended() == b""
    del house.door.site_part
    assert "starting an exchange failed" in caplog.text
    assert (await other.ask(GET)).status == 200


async def test_idle_connection_of_a_retiring_server_may_ask_once_more(open_house: Opener) -> None:
    house = await open_house()
    client = await house.client()
    assert (await client.ask(GET)).get("connection") is None
    house.door.draining = house.door.retiring = True
    house.connections[0].shutdown()
    assert (await client.ask(GET)).get("connection") == "close"
    assert await client.ended() == b""


async def test_idle_connection_of_a_retiring_server_ends_when_nothing_comes(open_house: Opener) -> None:
    house = await open_house()
    client = await house.client()
    await client.ask(GET)
    house.door.draining = house.door.retiring = True
    house.connections[0].shutdown()
    house.later(limits.RETIRE_IDLE_S)
    assert house.door.connections
    house.later(limits.SWEEP_S + 1)
    assert await client.ended() == b""


async def test_connection_that_was_accepted_last_is_told_to_go_elsewhere(open_house: Opener) -> None:
    house = await open_house()
    house.door.draining = True
    assert (await house.ask(GET)).get("connection") == "close"
