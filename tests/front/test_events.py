"""HTTP ↔ payload format 2.0."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote_from_bytes

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.errors import AbiViolation, ResponseTooLarge
from isolet.front.events import answer, authorized_part, pack_event, site_part, source_part, time_part
from isolet.front.head import Headers, read

REQUEST_ID = b"01234567-89ab-4def-8123-456789abcdef"


def event_of(headers: Headers | None = None, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "site": site_part("hello", "$default"),
        "head": read([(b"Host", b"hello.localhost:8080"), *(headers or [])]),
        "source": source_part("192.0.2.7"),
        "time": time_part(1_583_348_638),
        "epoch_ms": 1_583_348_638_390,
        "request_id": REQUEST_ID,
        "method": b"GET",
        "path": "/my/path",
        "query": b"",
    }
    event: dict[str, Any] = msgpack.unpackb(pack_event(**values | changes))
    return event


def test_event_has_the_shape_of_payload_format_2_0() -> None:
    event = event_of(
        [(b"User-Agent", b"curl"), (b"Cookie", b"a=1;b=2"), (b"Content-Type", b"text/plain")],
        method=b"POST",
        query=b"a=1&a=2&b=%C3%A9+x&c",
        parameters={"id": "7"},
        body="grüß".encode(),
    )
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "a=1&a=2&b=%C3%A9+x&c",
        "cookies": ["a=1", "b=2"],
        "headers": {"host": "hello.localhost:8080", "user-agent": "curl", "content-type": "text/plain"},
        "queryStringParameters": {"a": "1,2", "b": "é x", "c": ""},
        "pathParameters": {"id": "7"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "hello",
            "domainName": "hello.localhost",
            "domainPrefix": "hello",
            "http": {
                "method": "POST",
                "path": "/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "curl",
            },
            "requestId": REQUEST_ID.decode(),
            "routeKey": "$default",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390,
        },
        "body": "grüß",
        "isBase64Encoded": False,
    }


def test_what_is_not_there_is_absent() -> None:
    event = event_of()
    assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & event.keys()
    assert event["isBase64Encoded"] is False


def test_hop_by_hop_headers_do_not_reach_the_function() -> None:
    names = "Connection Keep-Alive Proxy-Connection Proxy-Authorization TE Trailer Upgrade HTTP2-Settings Cookie"
    assert event_of([(name.encode(), b"x") for name in names.split()])["headers"].keys() == {"host"}


def test_authorization_reaches_the_function() -> None:
    assert event_of([(b"Authorization", b"Bearer x")])["headers"]["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (b"text/html", b"<p>", "<p>"),
        (b"TEXT/CSV; charset=utf-8", b"a,b", "a,b"),
        (b"application/json", b"{}", "{}"),
        (b"application/xml", b"<a/>", "<a/>"),
        (b"application/javascript", b"1", "1"),
        (b"application/x-www-form-urlencoded", b"a=1", "a=1"),
        (b"application/problem+json", b"{}", "{}"),
        (b"image/svg+xml", b"<svg/>", "<svg/>"),
        (b"text/plain", b"\xff", b"\xff"),
        (b"application/jsonx", b"{}", b"{}"),
        (b"application/octet-stream", b"abc", b"abc"),
        (b"", b"abc", b"abc"),
    ],
)
def test_text_is_a_str_and_everything_else_a_bin(content_type: bytes, body: bytes, expected: str | bytes) -> None:
    event = event_of([(b"Content-Type", content_type)], body=body)
    assert (event["body"], event["isBase64Encoded"]) == (expected, isinstance(expected, bytes))


header_name = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).map(lambda name: b"X-" + name)
header_value = st.binary(max_size=300).filter(lambda value: not set(value) & set(range(32)) | {127} & set(value))


@given(st.lists(st.tuples(header_name, header_value), max_size=40))
def test_headers_survive_whatever_they_are(headers: Headers) -> None:
    expected: dict[str, str] = {"host": "hello.localhost:8080"}
    for name, value in headers:
        key, text = name.decode().lower(), value.decode("latin-1").rstrip(" \t")
        expected[key] = f"{expected[key]},{text}" if key in expected else text
    assert event_of(headers)["headers"] == expected


@given(st.binary(max_size=70_000), st.sampled_from([b"text/plain", b"application/octet-stream"]))
def test_bodies_survive_byte_for_byte(body: bytes, content_type: bytes) -> None:
    event = event_of([(b"Content-Type", content_type)], body=body)
    seen = event.get("body", b"")
    assert (seen.encode() if isinstance(seen, str) else seen) == body


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_query_parameters_are_decoded_and_joined(pairs: list[tuple[str, str]]) -> None:
    try:
        query = b"&".join(
            b"%b=%b" % (quote_from_bytes(k.encode()).encode(), quote_from_bytes(v.encode()).encode()) for k, v in pairs
        )
    except UnicodeEncodeError:
        return
    expected: dict[str, str] = {}
    for key, value in pairs:
        expected[key] = f"{expected[key]},{value}" if key in expected else value
    event = event_of(query=query)
    assert event.get("queryStringParameters", {}) == expected
    assert event["rawQueryString"] == query.decode()


@given(st.binary(max_size=100).map(lambda raw: bytes(b for b in raw if 32 < b < 127)))
def test_any_query_makes_a_valid_event(query: bytes) -> None:
    assert event_of(query=query)["rawQueryString"] == query.decode()


# ── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(headers: bytes) -> list[str]:
    return headers.decode("latin-1").split("\r\n")[:-1]


def test_result_without_status_is_json_with_200() -> None:
    for value, body in [(None, b"null"), ("hi", b'"hi"'), ({"a": [1, 2.5, b"\xff"]}, b'{"a":[1,2.5,"/w=="]}')]:
        assert answer(value) == (200, b"content-type: application/json\r\n", body)


def test_result_with_status_is_what_it_says() -> None:
    value = {
        "statusCode": 302,
        "headers": {"Location": "/x", "X-Count": 7},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "gone",
    }
    status, headers, body = answer(value)
    assert (status, body) == (302, b"gone")
    assert lines(headers) == [
        "location: /x",
        "x-count: 7",
        "set-cookie: a=1; Path=/",
        "set-cookie: b=2",
        "content-type: text/plain; charset=utf-8",
    ]


@pytest.mark.parametrize(
    ("result", "content_type", "body"),
    [
        ({"body": "é"}, "text/plain; charset=utf-8", "é".encode()),
        ({"body": b"\xff\x00"}, "application/octet-stream", b"\xff\x00"),
        ({"body": b"\xff", "headers": {"Content-Type": "image/png"}}, "image/png", b"\xff"),
        ({"body": "/w==", "isBase64Encoded": True}, "text/plain; charset=utf-8", b"\xff"),
        ({"body": b"/w==", "isBase64Encoded": True}, "application/octet-stream", b"/w=="),
        ({"body": "/w==", "isBase64Encoded": "true"}, "text/plain; charset=utf-8", b"/w=="),
        ({"body": ""}, None, b""),
        ({"body": None}, None, b""),
        ({}, None, b""),
    ],
)
def test_bodies_of_results(result: dict[str, Any], content_type: str | None, body: bytes) -> None:
    _, headers, raw = answer({"statusCode": 200} | result)
    assert raw == body
    assert lines(headers) == ([] if content_type is None else [f"content-type: {content_type}"])


def test_what_is_ours_to_say_is_stripped() -> None:
    names = "Connection Keep-Alive Transfer-Encoding Content-Length Date Server TE Trailer Upgrade Proxy-Authenticate"
    headers = dict.fromkeys(names.split(), "1") | {"X": "1"}
    assert lines(answer({"statusCode": 200, "headers": headers}).headers) == ["x: 1"]


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": 199},
        {"statusCode": 600},
        {"statusCode": "200"},
        {"statusCode": 200.0},
        {"statusCode": True},
        {"statusCode": None},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": "x"},
        {"statusCode": 200, "headers": {"X": None}},
        {"statusCode": 200, "headers": {"X": True}},
        {"statusCode": 200, "headers": {"X": ["a", "b"]}},
        {"statusCode": 200, "headers": {"X": b"a"}},
        {"statusCode": 200, "headers": {"X": "a\r\nY: b"}},
        {"statusCode": 200, "headers": {"X": "a\nb"}},
        {"statusCode": 200, "headers": {"X": "a\rb"}},
        {"statusCode": 200, "headers": {"X": "a\0b"}},
        {"statusCode": 200, "headers": {"X": "a\x7fb"}},
        {"statusCode": 200, "headers": {"X": "€"}},
        {"statusCode": 200, "headers": {"": "a"}},
        {"statusCode": 200, "headers": {"X Y": "a"}},
        {"statusCode": 200, "headers": {"X:": "a"}},
        {"statusCode": 200, "headers": {"X\r\nY": "a"}},
        {"statusCode": 200, "headers": {"É": "a"}},
        {"statusCode": 200, "headers": {f"x-{i}": "a" for i in range(101)}},
        {"statusCode": 200, "headers": {"x": "a" * 70_000}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": [1]},
        {"statusCode": 200, "cookies": ["a=1\r\nX: y"]},
        {"statusCode": 200, "cookies": ["a"] * 101},
        {"statusCode": 200, "cookies": ["a" * 70_000]},
        {"statusCode": 200, "body": {}},
        {"statusCode": 200, "body": 5},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
        {"statusCode": 200, "body": "YQ", "isBase64Encoded": True},
        {"statusCode": 200, "body": "é", "isBase64Encoded": True},
        float("nan"),
        {"a": float("inf")},
    ],
)
def test_result_that_cannot_be_said_is_the_functions_fault(result: Any) -> None:
    with pytest.raises(AbiViolation) as raised:
        answer(result)
    assert len(raised.value.message) < 200


def test_rejected_header_is_rejected_again() -> None:
    for _ in range(2):
        with pytest.raises(AbiViolation):
            answer({"statusCode": 200, "headers": {"x": "a\nb"}})
        assert lines(answer({"statusCode": 200, "headers": {"x": "ab"}}).headers) == ["x: ab"]


def test_answer_over_the_limit_is_too_large() -> None:
    size = limits.PAYLOAD_BYTES_MAX
    assert len(answer({"statusCode": 200, "body": b"x" * size}).body) == size
    for result in ({"statusCode": 200, "body": b"x" * (size + 1)}, "x" * size, b"x" * (size * 4 // 5)):
        with pytest.raises(ResponseTooLarge):
            answer(result)


latin = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)


names = st.from_regex(r"x-[a-z0-9-]{1,12}", fullmatch=True)


@given(st.binary(max_size=2000), st.dictionaries(names, latin), st.booleans())
def test_results_survive_byte_for_byte(body: bytes, headers: dict[str, str], as_base64: bool) -> None:
    result: dict[str, Any] = {"statusCode": 200, "headers": headers, "body": body}
    if as_base64:
        result |= {"body": b64encode(body).decode(), "isBase64Encoded": True}
    said = answer(result)
    assert said.body == body
    seen = dict(line.split(": ", 1) for line in lines(said.headers))
    seen.pop("content-type", None)
    assert seen == {name: value.strip(" \t") for name, value in headers.items()}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_like)
def test_any_value_is_an_answer_or_the_functions_fault(value: Any) -> None:
    try:
        said = answer(value)
    except AbiViolation:
        return
    assert 200 <= said.status <= 599
    for line in lines(said.headers):
        assert ": " in line


def test_a_caller_that_is_known_is_in_the_event() -> None:
    iam = {"accessKey": "AKIA", "accountId": "111122223333", "callerId": "AIDA", "cognitoIdentity": None}
    head = read([(b"host", b"x.lambda-url.localhost")])
    event = msgpack.unpackb(
        pack_event(
            site=authorized_part("x", "111122223333", iam),
            head=head,
            source=source_part("127.0.0.1"),
            time=time_part(0),
            epoch_ms=0,
            request_id=b"0" * 36,
            method=b"GET",
            path="/",
            query=b"",
        )
    )
    context = event["requestContext"]
    assert context["authorizer"] == {"iam": iam}
    assert (context["accountId"], context["apiId"], context["domainPrefix"]) == ("111122223333", "x", "x")
