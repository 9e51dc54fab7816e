"""The public port against those who would walk past it: in bytes, over real sockets, with a neighbour who looks on.

After each case the neighbour's function answers correctly. What only time decides (deadlines, minimum rates) is driven
by a manual clock in tests/front/test_protocol.py; here are one slow sender and one slow reader in real time.
"""

from __future__ import annotations

import contextlib
import math
import re
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile.framing import CASES, NEXT, SMUGGLED
from hostile.house import HOSTILE, Canary, House, until
from hostile.port import ECHO, SAID, Port, Town, get, post, read_replies, read_to_end, saying
from hostile.reference import Read, messages, reference
from isolet import limits
from isolet.front.head import HOP_BY_HOP
from served import Served

IDLE = 1_000
CLOSE = b"Connection: close"


@pytest.fixture(scope="module")
def there(house: House) -> Iterator[Town]:
    """Around all of this file's attacks the neighbour's canary sings, and the server holds afterwards what it held."""
    town = Town(house)
    with house.watched():
        yield town
    town.close()


@pytest.fixture(autouse=True)
def the_canary_sings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Also right after each attack."""
    yield
    if "there" in request.fixturenames:
        canary = Canary(request.getfixturevalue("house").neighbour)
        canary.sing()
        assert canary.problems == []


# ── where a request ends ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CASES)
def test_the_next_request_is_the_next_one_and_never_a_smuggled_one(there: Town, name: str) -> None:
    data, statuses, body = CASES[name]
    spoken = there.port.say(data + NEXT)
    assert tuple(spoken.statuses) == statuses, [reply.body[:200] for reply in spoken.replies]
    assert not spoken.reset, "a refusal can be read before the connection ends"
    if statuses == (200, 200):
        first, second = spoken.replies
        assert (first.path, second.path) == ("/case", "/next")
        assert as_bytes(first.event.get("body")) == body
        assert second.event["headers"] == {"host": "localhost"}, "nothing of the first request is the second's"
    assert not any("smuggled" in reply.path for reply in spoken.replies)
    assert spoken.replies[-1].all(b"connection") == [b"close"]


def as_bytes(body: Any) -> bytes | None:
    return body.encode() if isinstance(body, str) else body


def test_a_body_without_a_length_is_the_next_request_for_everybody(there: Town) -> None:
    """No framing, no body (RFC 9112, 6.3): whoever takes the bytes for a body has a parser of their own."""
    spoken = there.port.say(post(ECHO + "/case", body=SMUGGLED) + NEXT)
    assert [reply.path for reply in spoken.replies] == ["/case", "/smuggled", "/next"]
    assert "body" not in spoken.replies[0].event


def test_nothing_that_is_refused_reaches_a_function(there: Town) -> None:
    def counted(function: str) -> float:
        text = there.port.ask(get("/metrics", CLOSE)).body.decode()
        named = rf'^isolet_invocations_total\{{function="{function}"\}} ([0-9.e+]+)$'
        return sum(map(float, re.findall(named, text, re.MULTILINE)))

    def told_of() -> float:
        """How often `echo` ran, once all before it has been told of by every worker: records keep their order."""
        for _ in range(3):
            asked = counted(f"{HOSTILE}/says")
            there.port.ask(get(SAID + "/", CLOSE))
            there.until(lambda asked=asked: counted(f"{HOSTILE}/says") > asked)  # type: ignore[misc]
        return counted(f"{HOSTILE}/echo")

    assert told_of() == told_of()
    before, refused = told_of(), [case.data for case in CASES.values() if case.statuses[0] >= 400]
    for data in refused:
        there.port.say(data + NEXT)
    assert told_of() == before
    assert len(refused) > 100


def test_the_answer_to_head_has_no_body_and_moves_no_request(there: Town) -> None:
    with there.port.connect() as spoken:
        spoken.sendall(get(ECHO + "/head").replace(b"GET", b"HEAD", 1) + NEXT)
        answered, _ = read_to_end(spoken)
    head, _, rest = answered.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    (following,) = read_replies(rest)
    assert following.path == "/next"


def test_two_thousand_requests_at_once_are_answered_in_their_order(there: Town) -> None:
    data = b"".join(get(f"{ECHO}/{number}") for number in range(2_000)) + NEXT
    spoken = there.port.say(data)
    assert [reply.path for reply in spoken.replies] == [*(f"/{number}" for number in range(2_000)), "/next"]


# ── as others read it ───────────────────────────────────────────────────────────────────────────────────────────


def as_the_guest_sees(read: Read) -> dict[str, Any]:
    """What our function must be told of a request, if both parsers read the same."""
    path, _, query = read.target.partition("?")
    headers: dict[str, str] = {}
    for name, value in read.headers:
        if name.encode() not in HOP_BY_HOP and name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return {
        "method": read.method,
        "path": path.removeprefix(ECHO),
        "query": query,
        "headers": headers,
        "body": read.body,
    }


# Whatever is unfinished before it, no request goes on with this.
FULL_STOP = bytes(64)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages(), min_size=1, max_size=3))
def test_what_is_served_is_what_a_strict_parser_reads(there: Town, sent: list[tuple[bytes, bool]]) -> None:
    """The requests of a connection that reach a function are, one by one, those that h11 finds. It may find more: it
    takes bare line feeds, and a length beside chunks."""
    data = b"".join(message for message, _ in sent) + NEXT + FULL_STOP
    expected = reference(data).requests
    served = [reply.event for reply in there.port.say(data).replies if reply.path]
    seen = [
        {
            "method": event["requestContext"]["http"]["method"],
            "path": event["rawPath"],
            "query": event["rawQueryString"],
            "headers": event["headers"],
            "body": as_bytes(event.get("body")) or b"",
        }
        for event in served
    ]
    assert seen == [as_the_guest_sees(read) for read in expected[: len(seen)]]
    if not any(strange for _, strange in sent):
        assert len(seen) == len(expected)


# ── how much ────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(count: int, size: int) -> list[bytes]:
    """`count` header lines of `size` bytes together, as HTTP counts them; `Host` and `Connection` come besides."""
    each = size // count
    return [b"X-%05d: " % number + b"v" * (each - 11) for number in range(count)]


BESIDE = len(b"Host: localhost\r\n") + len(CLOSE) + 2
OVER: dict[str, tuple[bytes, int]] = {
    "101 headers": (get(ECHO + "/", *lines(99, 9_900), CLOSE), 431),
    "64 KiB of headers and more": (get(ECHO + "/", *lines(90, limits.HEADERS_BYTES_MAX + 90), CLOSE), 431),
    "one header of a megabyte": (get(ECHO + "/", b"X: " + b"v" * 1_000_000), 431),
    "a name of a megabyte": (get(ECHO + "/", b"X" * 1_000_000 + b": v"), 431),
    "100,000 headers": (get(ECHO + "/", *[b"X: v"] * 100_000), 431),
    "a target of 8 KiB and more": (get((ECHO + "/").ljust(limits.URL_BYTES_MAX + 1, "x")), 414),
    "a target of a megabyte": (get(ECHO + "/" + "x" * 1_000_000), 414),
    "a query of a megabyte": (get(ECHO + "/?" + "x" * 1_000_000), 414),
    "a body over the limit": (post(ECHO + "/", b"Content-Length: %d" % (limits.PAYLOAD_BYTES_MAX + 1)), 413),
    "a body of an exabyte": (post(ECHO + "/", b"Content-Length: 1152921504606846976"), 413),
    "an upload over the limit": (
        post("/2015-03-31/functions", b"Content-Length: %d" % (limits.CONTROL_BODY_BYTES_MAX + 1)),
        413,
    ),
    "chunks over the limit": (
        post(
            ECHO + "/",
            b"Transfer-Encoding: chunked",
            body=(b"100000\r\n" + bytes(0x100000) + b"\r\n") * 6 + b"100000\r\n" + bytes(0x100000),
        ),
        413,
    ),
    "a body that is all framing": (
        post(ECHO + "/", b"Transfer-Encoding: chunked", body=(b"1;" + b"e" * 400 + b"\r\nx\r\n") * 400),
        400,
    ),
    "trailers without end": (
        post(ECHO + "/", b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 100_000),
        400,
    ),
    "a chunk extension without end": (
        post(ECHO + "/", b"Transfer-Encoding: chunked", body=b"1;" + b"e" * 1_000_000),
        400,
    ),
    "zeros without end": (
        post(ECHO + "/", b"Transfer-Encoding: chunked", body=b"0" * 1_000_000),
        400,
    ),
}
UP_TO: dict[str, bytes] = {
    "100 headers": get(ECHO + "/", *lines(98, 9_800), CLOSE),
    "64 KiB of headers": get(ECHO + "/", *lines(16, limits.HEADERS_BYTES_MAX - BESIDE - 16), CLOSE),
    "a target of 8 KiB": get((ECHO + "/").ljust(limits.URL_BYTES_MAX, "x"), CLOSE),
}


@pytest.mark.parametrize("name", OVER)
def test_what_is_over_a_limit_is_refused_and_the_end(there: Town, name: str) -> None:
    data, status = OVER[name]
    spoken = there.port.say(data)
    assert spoken.statuses == [status]
    assert spoken.replies[0].all(b"connection") == [b"close"]


@pytest.mark.parametrize("name", UP_TO)
def test_what_is_up_to_a_limit_is_served(there: Town, name: str) -> None:
    assert there.port.ask(UP_TO[name]).status == 200


# ── who leaves ──────────────────────────────────────────────────────────────────────────────────────────────────


def reset(spoken: socket.socket) -> None:
    spoken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    spoken.close()


def half_close(spoken: socket.socket) -> None:
    spoken.shutdown(socket.SHUT_WR)
    assert read_to_end(spoken)[0] == b""
    spoken.close()


@pytest.mark.parametrize("how", [socket.socket.close, reset, half_close], ids=["close", "reset", "half-close"])
def test_who_leaves_while_its_function_runs_has_it_cancelled(there: Town, how: Any) -> None:
    left = there.gauge("http_clients_left")
    callers = [there.port.connect() for _ in range(20)]
    for caller in callers:
        caller.sendall(get(f"/fn/{HOSTILE}:sleeps/"))
    there.until(lambda: there.gauge("isolates_waiting") == 20)
    for caller in callers:
        how(caller)
    there.until(lambda: there.gauge("isolates_waiting") == 0)
    assert there.gauge("http_clients_left") == left + 20, "they left; nobody's minute was over"


@pytest.mark.parametrize(
    "begun",
    [
        post(ECHO + "/cut", b"Content-Length: 1000", body=b"x" * 999),
        post(ECHO + "/cut", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        post(ECHO + "/cut", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
        post(ECHO + "/cut", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nX: y\r\n"),
        post(ECHO + "/cut", b"Content-Length: 5")[:-7],
    ],
    ids=["length", "chunks", "last chunk", "trailer", "headers"],
)
def test_a_request_that_is_cut_off_is_never_a_whole_one(there: Town, begun: bytes) -> None:
    for how in (reset, half_close):
        spoken = there.port.connect()
        spoken.sendall(begun)
        how(spoken)
    spoken_half = there.port.say(begun, half_close=True)
    assert spoken_half.replies == []


def test_a_thousand_idle_connections_leave_room_for_others(there: Town) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + 500)), hard))
    with contextlib.ExitStack() as idle:
        for number in range(IDLE):
            spoken = idle.enter_context(there.port.connect())
            if number % 3 == 1:
                spoken.sendall(get(ECHO)[:-6])
            elif number % 3 == 2:
                spoken.sendall(post(ECHO + "/", b"Content-Length: 10", body=b"x"))
        there.until(lambda: there.gauge("connections_open") >= IDLE)
    there.until(lambda: there.gauge("connections_open") < 10)


# ── what guests answer ──────────────────────────────────────────────────────────────────────────────────────────


def told(there: Town, result: Any) -> Any:
    body = saying({"ok": result})
    data = post(SAID + "/", b"Content-Length: %d" % len(body), body=body)
    first, following = there.port.say(data + NEXT).replies
    assert following.path == "/next", "whatever it answers, the connection goes on behind it"
    return first


def answer(**headers: Any) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


WRONG: dict[str, Any] = {
    "CRLF in a value": answer(x="a\r\nset-cookie: evil=1"),
    "LF in a value": answer(x="a\nb"),
    "CR in a value": answer(x="a\rb"),
    "NUL in a value": answer(x="a\0b"),
    "an escape in a value": answer(x="a\x1b[2Jb"),
    "CRLF in a name": {"statusCode": 200, "headers": {"x: y\r\nevil": "1"}},
    "a colon in a name": {"statusCode": 200, "headers": {"x:": "1"}},
    "a space in a name": {"statusCode": 200, "headers": {"x y": "1"}},
    "an empty name": {"statusCode": 200, "headers": {"": "1"}},
    "a name that is not ASCII": {"statusCode": 200, "headers": {"ü": "1"}},
    "a value beyond latin-1": answer(x="✓"),
    "a value that is a list": answer(x=["a", "b"]),
    "a value that is none": answer(x=None),
    "CRLF in a content type": answer(content_type="text/html\r\n\r\n<script>"),
    "CRLF in a cookie": {"statusCode": 200, "cookies": ["a=b\r\nx: y"]},
    "cookies that are none": {"statusCode": 200, "cookies": "a=b"},
    "headers that are a list": {"statusCode": 200, "headers": [["x", "y"]]},
    "101 headers": {"statusCode": 200, "headers": {f"x-{number}": "y" for number in range(101)}},
    "64 KiB of headers": answer(x="y" * (64 * 1024)),
    "the status 100": {"statusCode": 100},
    "the status 101": {"statusCode": 101, "headers": {"upgrade": "websocket", "connection": "upgrade"}},
    "the status 600": {"statusCode": 600},
    "the status -200": {"statusCode": -200},
    "a status that is text": {"statusCode": "200 OK\r\nx: y"},
    "a status that is a fraction": {"statusCode": 200.5},
    "a status that is true": {"statusCode": True},
    "a body that is a map": {"statusCode": 200, "body": {"a": 1}},
    "a body that is not base64": {"statusCode": 200, "body": "?", "isBase64Encoded": True},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_none_is_a_502_in_our_words(there: Town, name: str) -> None:
    reply = told(there, WRONG[name])
    assert reply.status == 502
    assert not any(b"evil" in line or line.startswith(b"set-cookie") for line in reply.lines)
    assert reply.all(b"content-type") == [b"application/json"]


OURS = ["Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "TE", "Trailer", "Transfer-Encoding"]
OURS += ["Upgrade", "Content-Length", "Date", "Server", "Proxy-Authorization", "Expect"]


@pytest.mark.parametrize("name", OURS)
def test_what_is_the_hosts_to_say_is_not_the_guests(there: Town, name: str) -> None:
    values = {"Content-Length": "3", "Transfer-Encoding": "chunked", "Connection": "close", "Date": "yesterday"}
    for spelled in (name, name.lower(), name.upper()):
        headers = {spelled: values.get(name, "evil"), "x-kept": "1"}
        reply = told(there, {"statusCode": 200, "headers": headers, "body": "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"})
        assert reply.status == 200
        assert reply.all(b"x-kept") == [b"1"]
        assert reply.body == b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        own = name.lower().encode()
        assert len(reply.all(own)) == (own in (b"content-length", b"date"))
        assert values.get(name, "evil").encode() not in reply.all(own)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none_whatever_the_guest_says(there: Town, status: int) -> None:
    reply = told(there, {"statusCode": status, "headers": {"content-length": "5"}, "body": "HTTP/1.1 200 OK\r\n\r\n"})
    assert (reply.status, reply.body) == (status, b"")


# ── how many, and how slowly ────────────────────────────────────────────────────────────────────────────────────


class Narrow(Served):
    """A server whose port takes little, and has little patience."""

    def __init__(self, directory: Path) -> None:
        variables = {"CONNECTIONS": "60", "CONNECTIONS_PER_ADDRESS": "20", "HEADERS_S": "1"}
        super().__init__(
            directory, "--workers", "1", **{f"ISOLET_HTTP_{name}": value for name, value in variables.items()}
        )

    def start(self) -> None:
        super().start()
        self.port = Port(self.url)

    @property
    def open(self) -> float:
        """How many connections are open."""
        text = self.port.ask(get("/metrics", CLOSE)).body.decode()
        found = re.search(r"^isolet_connections_open\{[^}]*\} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else math.inf  # it had no room for the question


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    served = Narrow(tmp_path_factory.mktemp("narrow"))
    yield served
    served.end()


HEALTH = get("/healthz")


def greeted(spoken: socket.socket) -> bool:
    """Whether this connection is served; False if it is told that there are too many."""
    try:
        spoken.sendall(HEALTH)
        answered = spoken.recv(65_536)
    except (BrokenPipeError, ConnectionResetError):
        return False  # it was told, and closed, before it had asked
    if not answered or answered.startswith(b"HTTP/1.1 503 "):
        return False
    assert answered.startswith(b"HTTP/1.1 200 "), answered
    return True


def test_an_address_has_its_share_of_connections_and_all_have_theirs(narrow: Narrow) -> None:
    with contextlib.ExitStack() as kept:

        def filled(address: str) -> list[socket.socket]:
            """As many connections as this address may have; one more is refused."""
            taken = []
            while greeted(one := kept.enter_context(narrow.port.connect(address))):
                taken.append(one)
            return taken

        first = filled("127.0.0.2")
        assert len(first) == 20
        assert greeted(kept.enter_context(narrow.port.connect("127.0.0.3"))), "another address has its own share"
        while first:
            first.pop().close()
        while not greeted(one := narrow.port.connect("127.0.0.2")):  # until the server has seen them close
            one.close()
        one.close()


def test_all_addresses_together_have_a_bound(narrow: Narrow) -> None:
    with contextlib.ExitStack() as kept:
        taken = 0
        for number in range(10, 20):
            for _ in range(10):
                taken += greeted(kept.enter_context(narrow.port.connect(f"127.0.0.{number}")))
        # Of those that are idle some may have made room meanwhile: near its bound the door has little patience.
        assert 40 <= taken <= 100
        assert taken < 100


@pytest.mark.slow
def test_slow_senders_are_told_and_let_go(narrow: Narrow) -> None:
    until(lambda: narrow.open < 10, "the server has seen those before leave")
    with contextlib.ExitStack() as kept:
        slow = [kept.enter_context(narrow.port.connect("127.0.0.30")) for _ in range(3)]
        slow[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ")
        slow[1].sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx")
        slow[2].sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nx")
        for one in slow:
            answered, _ = read_to_end(one)
            (reply,) = read_replies(answered)
            assert reply.status == 408


@pytest.mark.slow
def test_slow_readers_are_cut_off_and_hold_no_memory(tmp_path: Path) -> None:
    with contextlib.closing(House(tmp_path, ISOLET_HTTP_HEADERS_S="1")) as house:
        there = Town(house)
        body = saying({"ok": {"statusCode": 200, "body": b"x" * 500_000}})
        data = post(SAID + "/", b"Content-Length: %d" % len(body), body=body)
        assert len(there.port.ask(data.replace(b"Host", b"Connection: close\r\nHost")).body) == 500_000
        with house.watched(), contextlib.ExitStack() as kept:
            swept = there.gauge("http_swept")
            for _ in range(10):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                kept.enter_context(reader).connect(there.port.address)
                reader.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    reader.send(data * 20)
            there.until(lambda: there.gauge("http_swept") >= swept + 10)
