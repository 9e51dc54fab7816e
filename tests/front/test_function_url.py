"""Function URLs, spoken to in bytes over real sockets."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from front.house import House, Opener, Somebody, outcome, target
from isolet.errors import AbiViolation, Raised, Throttled, TimedOut
from isolet.front.callers import Callers
from isolet.model import DEFAULT_TENANT, Cors, FunctionUrl, Served
from isolet.sigv4 import Scope

pytestmark = pytest.mark.anyio

ID = "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6"
HOST = f"{ID}.lambda-url.localhost:8080"
PAGE = "https://www.example.com"
FORBIDDEN = {
    "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
}


async def opened(open_house: Opener, script: Any = None, callers: Any = None, **url: Any) -> House:
    house = await open_house(targets=(), callers=callers, **({} if script is None else {"script": script}))
    made = FunctionUrl(id=ID, **{"qualifier": "", "auth": "NONE"} | url)
    house.door.routes.put(Served(DEFAULT_TENANT, "hello", (target(http=False),), urls=(made,)))
    return house


def request(line: str = "GET /", *headers: str, host: str = HOST, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *headers, *length, "", ""]).encode() + body


@pytest.mark.parametrize(
    "host", [f"{ID}.lambda-url.localhost:8080", f"{ID}.lambda-url.us-east-1.on.aws", f"{ID.upper()}.Lambda-URL.x"]
)
async def test_a_url_is_served_by_its_host_without_http_in_the_manifest(open_house: Opener, host: str) -> None:
    house = await opened(open_house)
    reply = await house.ask(request("GET /a/b?c=d", host=host))
    assert (reply.status, reply.body) == (200, b"GET /a/b?c=d ")


async def test_the_event_is_that_of_a_function_url(open_house: Opener) -> None:
    house = await opened(open_house)
    await house.ask(request("POST /my/path?a=1&a=2", "Cookie: c=1", "Content-Type: text/plain", body=b"hi"))
    event = msgpack.unpackb(house.invoker.submitted[0].event)
    context = event.pop("requestContext")
    assert context.pop("http")["path"] == "/my/path"
    assert context.pop("requestId") == house.invoker.submitted[0].request_id
    assert set(context) - {"time", "timeEpoch"} == {
        "accountId", "apiId", "domainName", "domainPrefix", "routeKey", "stage"
    }  # fmt: skip
    assert {key: context[key] for key in context if not key.startswith("time")} == {
        "accountId": "anonymous",
        "apiId": ID,
        "domainName": f"{ID}.lambda-url.localhost",
        "domainPrefix": ID,
        "routeKey": "$default",
        "stage": "$default",
    }
    assert (event["rawPath"], event["rawQueryString"], event["body"]) == ("/my/path", "a=1&a=2", "hi")
    assert (event["routeKey"], event["cookies"], event["isBase64Encoded"]) == ("$default", ["c=1"], False)


@pytest.mark.parametrize("line", ["GET /fn/hello/", "GET /healthz", "POST /2015-03-31/functions/hello/invocations"])
async def test_every_path_of_a_urls_host_is_the_functions(open_house: Opener, line: str) -> None:
    house = await opened(open_house)
    assert (await house.ask(request(line))).body == line.encode() + b"? "


async def test_what_is_not_there_and_what_is_not_for_you_are_refused_alike(open_house: Opener) -> None:
    house = await opened(open_house, callers=Callers(_unasked), auth="AWS_IAM")
    theirs = await opened(open_house, callers=Somebody("111111111111"), auth="AWS_IAM")
    replies = [
        await house.ask(request()),
        await theirs.ask(request()),
        await house.ask(request(host=f"{ID[::-1]}.lambda-url.localhost")),
    ]
    for reply in replies:
        assert (reply.status, json.loads(reply.body)) == (403, FORBIDDEN)
        assert reply.get("x-amzn-errortype") == "AccessDeniedException"
        assert reply.get("content-type") == "application/json"
    assert not house.invoker.submitted
    assert not theirs.invoker.submitted


async def _unasked(access_key: str, scope: Scope) -> tuple[str, bytes]:
    raise AssertionError("nobody signed")


async def test_whoever_signed_for_the_account_is_told_to_the_function(open_house: Opener) -> None:
    house = await opened(open_house, callers=Somebody(DEFAULT_TENANT), auth="AWS_IAM")
    assert (await house.ask(request("GET /a?b=c"))).status == 200
    context = msgpack.unpackb(house.invoker.submitted[0].event)["requestContext"]
    assert (context["accountId"], context["apiId"]) == (DEFAULT_TENANT, ID)
    assert context["authorizer"]["iam"] == {
        "accessKey": "test",
        "accountId": DEFAULT_TENANT,
        "callerId": DEFAULT_TENANT,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{DEFAULT_TENANT}:root",
        "userId": DEFAULT_TENANT,
    }


@pytest.mark.parametrize(
    "error",
    [
        Raised("ValueError", "its secret"),
        TimedOut("RequestId: x Error: Task timed out after 1.00 seconds"),
        AbiViolation("…"),
    ],
)
async def test_a_failure_of_the_function_is_two_words(open_house: Opener, error: Exception) -> None:
    house = await opened(open_house, lambda invocation: outcome(error=error))
    reply = await house.ask(request())
    assert (reply.status, reply.body) == (502, b"Internal Server Error")
    assert reply.get("x-amzn-requestid") == house.invoker.submitted[0].request_id


async def test_a_malformed_result_is_a_failure_of_the_function(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: outcome({"statusCode": "200"}))
    assert (await house.ask(request())).status == 502


async def test_a_throttle_is_429_with_its_reason(open_house: Opener) -> None:
    refusal = Throttled("too many", "ReservedFunctionConcurrentInvocationLimitExceeded")
    house = await opened(open_house, lambda invocation: outcome(error=refusal))
    reply = await house.ask(request())
    assert reply.status == 429
    assert json.loads(reply.body) == {
        "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }


async def test_preflight_is_answered_without_the_function(open_house: Opener) -> None:
    cors = Cors(allow_origins=(PAGE,), allow_methods=("GET", "PUT"), allow_headers=("x-one",), max_age_s=60)
    house = await opened(open_house, cors=cors, auth="AWS_IAM")
    reply = await house.ask(request("OPTIONS /", f"Origin: {PAGE}", "Access-Control-Request-Method: PUT"))
    assert (reply.status, reply.body) == (200, b"")
    assert reply.get("access-control-allow-origin") == PAGE
    assert reply.get("access-control-allow-methods") == "GET,PUT"
    assert reply.get("access-control-allow-headers") == "x-one"
    assert reply.get("access-control-max-age") == "60"
    assert reply.get("vary") == "Origin"
    assert not house.invoker.submitted


async def test_options_is_the_functions_without_a_configuration(open_house: Opener) -> None:
    house = await opened(open_house)
    reply = await house.ask(request("OPTIONS /", f"Origin: {PAGE}", "Access-Control-Request-Method: PUT"))
    assert reply.body == b"OPTIONS /? "
    assert reply.get("access-control-allow-origin") is None


@pytest.mark.parametrize("failing", [False, True])
async def test_answers_and_failures_carry_the_cors_headers(open_house: Opener, failing: bool) -> None:
    error = Raised("E", "m") if failing else None
    house = await opened(
        open_house, lambda invocation: outcome("x", error), cors=Cors(allow_origins=("*",), expose_headers=("date",))
    )
    reply = await house.ask(request("GET /", f"Origin: {PAGE}"))
    assert reply.status == (502 if failing else 200)
    assert reply.get("access-control-allow-origin") == PAGE
    assert reply.get("access-control-expose-headers") == "date"


async def test_the_functions_own_cors_headers_stay_beside_ours(open_house: Opener) -> None:
    result = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": ""}
    house = await opened(open_house, lambda invocation: outcome(result), cors=Cors(allow_origins=("*",)))
    reply = await house.ask(request("GET /", f"Origin: {PAGE}"))
    assert sorted(value for name, value in reply.headers if name == "access-control-allow-origin") == ["*", PAGE]


async def test_a_streaming_url_sends_the_result_of_a_function_that_does_not_stream(open_house: Opener) -> None:
    result = {"statusCode": 201, "body": "hello"}
    house = await opened(open_house, lambda invocation: outcome(result), mode="RESPONSE_STREAM")
    client = await house.client()
    for _ in range(2):  # and the connection goes on
        reply = await client.ask(request())
        assert (reply.status, json.loads(reply.body)) == (200, result)
        assert (reply.get("transfer-encoding"), reply.get("content-length")) == ("chunked", None)
        assert reply.get("content-type") == "application/json"
    assert (await client.ask(request("HEAD /"), without_body=True)).get("transfer-encoding") == "chunked"
    assert (await client.ask(request())).status == 200


async def test_an_older_client_is_answered_whole(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: outcome("x"), mode="RESPONSE_STREAM")
    reply = await house.ask(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (reply.get("content-length"), reply.body) == ("3", b'"x"')


async def test_a_client_that_leaves_cancels_its_invocation(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: None)
    client = await house.client()
    client.send(request())
    held = await house.invoker.next()
    client.reset()
    await held.cancelled.wait()


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_written_is_at_the_client_before_the_function_ends(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM", cors=Cors(allow_origins=("*",)))
    client = await house.client()
    client.send(request("GET /", f"Origin: {PAGE}"))
    held = await house.invoker.next()
    reader = held.invocation.reader
    assert reader is not None
    reader.opened({"status": 201, "headers": {"x-a": "b"}, "cookies": ["c=d"], "content_type": "text/plain"})
    assert reader.wrote(b"hello ") is None
    status, headers = await client.head()
    assert status == 201
    assert {
        ("x-a", "b"),
        ("set-cookie", "c=d"),
        ("content-type", "text/plain"),
        ("transfer-encoding", "chunked"),
        ("access-control-allow-origin", PAGE),
    } <= set(headers)
    assert await client.reader.readexactly(11) == b"6\r\nhello \r\n"
    reader.wrote(b"")
    reader.wrote(b"world")
    held.done(outcome("not looked at"))
    assert await client.reader.readexactly(15) == b"5\r\nworld\r\n0\r\n\r\n"
    client.send(request())  # the connection goes on
    again = await house.invoker.next()
    again.done(outcome("x"))
    assert (await client.reply()).body == b'"x"'


async def test_a_stream_that_fails_has_no_end(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM")
    client = await house.client()
    client.send(request())
    held = await house.invoker.next()
    held.invocation.reader.opened({})
    held.invocation.reader.wrote(b"half")
    held.done(outcome(error=Raised("E", "m")))
    status, headers = await client.head()
    assert (status, dict(headers)["content-type"]) == (200, "application/octet-stream")
    assert await client.ended() == b"4\r\nhalf\r\n"


async def test_a_slow_reader_is_waited_for_and_what_waits_is_bounded(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM")
    client = await house.client()
    client.send(request())
    held = await house.invoker.next()
    reader = held.invocation.reader
    reader.opened({})
    written, room = 0, None
    while room is None:
        room = reader.wrote(b"x" * 65_536)
        written += 65_536
    assert house.connections[0].unsent_bytes() < 200_000
    await client.head()
    left = written
    while left:
        size = int(await client.reader.readuntil(b"\r\n"), 16)
        await client.reader.readexactly(size + 2)
        left -= size
    await room
    held.done(outcome())
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_client_that_leaves_in_the_middle_cancels(open_house: Opener) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM")
    client = await house.client()
    client.send(request())
    held = await house.invoker.next()
    held.invocation.reader.opened({})
    held.invocation.reader.wrote(b"x")
    client.reset()
    await held.cancelled.wait()


@pytest.mark.parametrize("line", ["HEAD /", "GET /"])
async def test_a_stream_without_body_has_none(open_house: Opener, line: str) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM")
    client = await house.client()
    for _ in range(2):
        client.send(request(line))
        held = await house.invoker.next()
        held.invocation.reader.opened({"status": 204 if line == "GET /" else 200})
        held.invocation.reader.wrote(b"not sent")
        held.done(outcome())
        assert (await client.head())[0] in (200, 204)


@pytest.mark.parametrize("options", [{"status": 99}, {"headers": {"a": "b\r\nc: d"}}, {"cookies": "a"}], ids=repr)
async def test_a_stream_begins_with_what_http_allows(open_house: Opener, options: dict[str, Any]) -> None:
    house = await opened(open_house, lambda invocation: None, mode="RESPONSE_STREAM")
    client = await house.client()
    client.send(request())
    held = await house.invoker.next()
    with pytest.raises(AbiViolation):
        held.invocation.reader.opened(options)
    held.done(outcome(error=Raised("E", "m")))
    assert (await client.reply()).status == 502


async def test_elsewhere_nobody_reads(open_house: Opener) -> None:
    house = await opened(open_house)
    await house.ask(request())
    assert house.invoker.submitted[0].reader is None
