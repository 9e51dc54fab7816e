"""What a header section says."""

from __future__ import annotations

import msgpack
import pytest

from isolet.errors import ExpectationFailed, MalformedRequest
from isolet.front.head import is_textual, read


def domain(value: bytes) -> dict[str, str]:
    packed = b"\x82" + read([(b"Host", value)]).domain
    seen: dict[str, str] = msgpack.unpackb(packed)
    return seen


@pytest.mark.parametrize(
    ("value", "name", "prefix", "site", "url"),
    [
        (b"localhost", "localhost", "localhost", "", ""),
        (b"localhost:8080", "localhost", "localhost", "", ""),
        (b"Hello.LOCALHOST:8080", "hello.localhost", "hello", "hello", ""),
        (b"a.b.localhost", "a.b.localhost", "a", "", ""),
        (b"F.111122223333.localhost:80", "f.111122223333.localhost", "f", "f.111122223333", ""),
        (b"f.11112222333.localhost", "f.11112222333.localhost", "f", "", ""),
        (b"a.f.111122223333.localhost", "a.f.111122223333.localhost", "a", "", ""),
        (b".localhost", ".localhost", "", "", ""),
        (b"example.org", "example.org", "example", "", ""),
        (b"127.0.0.1:80", "127.0.0.1", "127", "", ""),
        (b"[::1]:8080", "[::1]", "[::1]", "", ""),
        (b"a:", "a", "a", "", ""),
        (b"x1.Lambda-URL.localhost:80", "x1.lambda-url.localhost", "x1", "", "x1"),
        (b"x1.lambda-url.us-east-1.on.aws", "x1.lambda-url.us-east-1.on.aws", "x1", "", "x1"),
        (b"x1.lambda-url", "x1.lambda-url", "x1", "", "x1"),
        (b".lambda-url.localhost", ".lambda-url.localhost", "", "", ""),
        (b"lambda-url.localhost", "lambda-url.localhost", "lambda-url", "lambda-url", ""),
        (b"a.x1.lambda-url.localhost", "a.x1.lambda-url.localhost", "a", "", ""),
    ],
)
def test_host_is_taken_apart(value: bytes, name: str, prefix: str, site: str, url: str) -> None:
    assert domain(value) == {"domainName": name, "domainPrefix": prefix}
    head = read([(b"Host", value)])
    assert (head.host.decode(), head.site, head.url) == (name, site, url)


@pytest.mark.parametrize("value", [b"", b"a b", b"a/b", b"a@b", b"a:x", b"a:1:2", b"[::1", b"\xff", b"a\tb", b"a?"])
def test_host_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read([(b"Host", value)])


def test_no_host_is_an_empty_one() -> None:
    assert msgpack.unpackb(b"\x82" + read([]).domain) == {"domainName": "", "domainPrefix": ""}


def test_second_host_is_refused_even_if_it_agrees() -> None:
    with pytest.raises(MalformedRequest, match="more than one Host"):
        read([(b"Host", b"a"), (b"HOST", b"a")])


def test_framing_is_read() -> None:
    head = read([(b"host", b"a"), (b"content-length", b"0017"), (b"expect", b"100-Continue"), (b"upgrade", b"h2c")])
    assert (head.content_length, head.expects, head.upgrade, head.chunked) == (17, True, True, False)
    assert read([(b"Transfer-Encoding", b"Chunked ")]).chunked


@pytest.mark.parametrize(
    "headers",
    [[(b"Content-Length", value)] for value in (b"", b"+5", b"-5", b"0x5", b"5, 5", b"5 5", b"\xb2", b"9" * 5_000)]
    + [
        [(b"Content-Length", b"5"), (b"content-length", b"5")],
        [(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"0")],
        [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
    ],
)
def test_what_the_parser_refuses_of_framing_is_refused_without_it(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedRequest):
        read(headers)


def test_codings_and_expectations_that_we_do_not_know_are_refused() -> None:
    with pytest.raises(MalformedRequest, match="Transfer-Encoding"):
        read([(b"Transfer-Encoding", b"gzip, chunked")])
    with pytest.raises(ExpectationFailed):
        read([(b"Expect", b"magic")])


def test_names_learned_stay_bounded() -> None:
    from isolet.front import head

    for i in range(head._NAMES_MAX * 2):
        read([(b"x-%d" % i, b"")])
    assert len(head._NAMES) <= head._NAMES_MAX
    assert read([(b"Host", b"a")]).host == b"a"


def test_white_space_after_a_value_is_no_part_of_it() -> None:
    head = read([(b"Host", b"a "), (b"X-A", b"b \t"), (b"X-B", b" \t "), (b"User-Agent", b"c\t")])
    event = msgpack.unpackb(b"\x82" + head.domain)
    assert event["domainName"] == "a"
    assert msgpack.unpackb(b"\x81" + head.event_part)["headers"] == {
        "host": "a",
        "x-a": "b",
        "x-b": "",
        "user-agent": "c",
    }
    assert head.get(b"x-a") == b"b"
    assert head.user_agent == b"\xa1c"


def test_textual_types() -> None:
    assert is_textual("Application/JSON ; charset=x")
    assert is_textual("application/vnd.api+json")
    assert not is_textual("application/json-seq")
    assert not is_textual("")
    assert not is_textual("image/png")


def test_one_value_of_a_header_by_name() -> None:
    head = read([(b"X-Amz-Log-Type", b"Tail"), (b"x-amz-log-type", b"None")])
    assert head.get(b"x-amz-log-type") == b"Tail"
    assert head.get(b"x-other") is None
