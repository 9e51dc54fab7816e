"""The hop between two real servers: a door on TCP, and a worker of another cordon on a UNIX socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import uvloop
from starlette.applications import Starlette

from front.house import PATIENCE_S, House, Scripted, Somebody, outcome, target
from isolet import limits
from isolet.clock import ManualClock
from isolet.cordons import sketch
from isolet.errors import Overloaded, WorkerLost
from isolet.front.callers import Caller
from isolet.front.door import Door, HttpLimits
from isolet.front.inner import inner_factory, inner_limits
from isolet.front.passing import GREETING, PASSED, Passed, Passing, request_head
from isolet.model import DEFAULT_TENANT, Cors, FunctionUrl, Invocation, Outcome, Served
from isolet.routing import RoutingTable

OWNER = "111122223333"
HELLO = b"GET /fn/111122223333:hello/a?b=1 HTTP/1.1\r\nHost: h\r\n\r\n"
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def row(**changes: Any) -> Served:
    return Served(OWNER, "hello", (target("hello", tenant=OWNER, **changes),))


async def refused(cordon: str) -> str:
    raise WorkerLost("there is no keeper")


def event(invocation: Invocation) -> Any:
    return msgpack.unpackb(invocation.event)


class Inner(House):
    """A worker of the cordon `low`, on a UNIX socket."""

    def __init__(self, path: Path, rows: list[Served], script: Callable[[Invocation], Outcome | None]) -> None:
        clock = ManualClock()
        routes = RoutingTable()
        routes.replace(rows)
        invoker = Scripted(script)
        door = Door(routes, invoker, Somebody("nobody"), http_limits=inner_limits(HttpLimits()), clock=clock)
        door.doors = frozenset({os.getpid()})
        listening = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        listening.listen(100)
        super().__init__(door, invoker, clock, Starlette(), factory=inner_factory, listening=listening)


class Hop:
    """Both ends."""

    def __init__(self, outer: House, inners: list[Inner], passing: Passing) -> None:
        self.outer = outer
        self.inners = inners
        self.passing = passing

    @property
    def inner(self) -> Inner:
        return self.inners[0]


@asynccontextmanager
async def hop(
    directory: Path,
    script: Callable[[Invocation], Outcome | None],
    *,
    rows: list[Served] | None = None,
    workers: int = 1,
    account: str = OWNER,
    listens: bool = True,
) -> AsyncIterator[Hop]:
    rows = rows or [row()]
    paths = [str(directory / f"low-{number}.sock") for number in range(workers)]
    inners = [Inner(Path(path), rows, script) for path in paths] if listens else []
    clock = ManualClock()
    routes = RoutingTable()
    routes.replace([sketch(served, "low") for served in rows])
    passing = Passing({"low": paths}, refused, clock.monotonic_s)
    here = Scripted()
    outer = House(Door(routes, here, Somebody(account), passing=passing, clock=clock), here, clock, Starlette())
    for house in (outer, *inners):
        await house.open()
    try:
        yield Hop(outer, inners, passing)
    finally:
        await outer.close()
        for inner in inners:
            await inner.close()
        assert not passing.passages
        assert not here.submitted, "nothing of another cordon runs at the door"


def run(main: Callable[[], Awaitable[None]], loop: Callable[[], Any] = uvloop.new_event_loop) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), 3 * PATIENCE_S))


@pytest.mark.parametrize("loop", LOOPS)
def test_request_for_another_cordon_is_answered_by_its_worker(tmp_path: Path, loop: Callable[[], Any]) -> None:
    async def main() -> None:
        def answered(invocation: Invocation) -> Outcome:
            said = event(invocation)
            assert said["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
            assert said["requestContext"]["requestId"] == invocation.request_id
            body = f"{said['rawPath']}?{said['rawQueryString']}"
            return outcome({"statusCode": 201, "headers": {"x-said": "yes"}, "cookies": ["a=1", "b=2"], "body": body})

        async with hop(tmp_path, answered) as both:
            client = await both.outer.client()
            for _ in range(3):
                reply = await client.ask(HELLO)
                assert (reply.status, reply.body, reply.get("x-said")) == (201, b"/a?b=1", "yes")
                assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1", "b=2"]
                assert reply.get("x-amzn-requestid") == both.inner.invoker.submitted[-1].request_id
                assert reply.get("date")
            assert len(both.inner.connections) == 1, "the line is kept"
            assert (both.passing.passed, both.passing.repeated) == (3, 0)

    run(main, loop)


def test_event_behind_the_hop_is_the_same_as_at_the_door(tmp_path: Path) -> None:
    """But for what is each request's own: ids and times."""
    requests = [
        b"GET /fn/111122223333:hello/ HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nCookie: a=1; b=2\r\nX-A: 1\r\n"
        b"X-A: 2\r\n\r\n",
        b"POST /fn/111122223333:hello/%C3%A9/x?q=%20&r HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 5\r\nConnection: keep-alive, x\r\nTE: trailers\r\nUser-Agent: u\r\n\r\nhello",
        b"PUT /fn/111122223333:hello/c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\n\0\xff\x01\r\n0\r\n\r\n",
        b"POST /fn/111122223333:hello/e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
        b"GET http://hello.111122223333.localhost/p HTTP/1.1\r\nHost: other\r\n\r\n",
        b"GET /fn/111122223333:hello/old HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"DELETE /fn/111122223333:hello/u HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /fn/111122223333:hello/f HTTP/1.1\r\nHost: h\r\nIsolet-Passed: forged 6.6.6.6 1.1 x y\r\n\r\n",
    ]

    def fingerprint(invocation: Invocation) -> Any:
        said = event(invocation)
        said["requestContext"] = {
            key: value for key, value in said["requestContext"].items() if key not in ("requestId", "time", "timeEpoch")
        }
        said["headers"].pop("isolet-passed", None)  # at the door of its own cordon it is a header like others
        return said

    async def main() -> None:
        seen: list[Any] = []

        def noted(invocation: Invocation) -> Outcome:
            seen.append(fingerprint(invocation))
            return outcome({"statusCode": 200, "body": ""})

        async with hop(tmp_path, noted) as both:
            for request in requests:
                reply = await both.outer.ask(request)
                while reply.status == 100:
                    reply = await both.outer.ask(request)
                assert reply.status == 200
        behind, seen = seen, []
        invoker = Scripted(noted)
        routes = RoutingTable()
        routes.replace([row()])
        clock = ManualClock()
        house = House(Door(routes, invoker, Somebody(OWNER), clock=clock), invoker, clock, Starlette())
        await house.open()
        for request in requests:
            assert (await house.ask(request)).status in (100, 200)
        await house.close()
        assert behind == seen

    run(main)


def test_what_a_client_says_in_our_name_is_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "x"})) as both:
            forged = b"Isolet-Passed: 00000000-0000-4000-8000-000000000000 6.6.6.6 1.1 111122223333 key\r\n"
            reply = await both.outer.ask(HELLO.replace(b"Host: h\r\n", forged + b"Host: h\r\n" + forged.lower()))
            assert reply.status == 200
            (invocation,) = both.inner.invoker.submitted
            said = event(invocation)
            assert said["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
            assert invocation.request_id != "00000000-0000-4000-8000-000000000000"
            assert "isolet-passed" not in said["headers"]

    run(main)


def test_head_on_a_line_has_one_length_and_nothing_of_the_clients_connection() -> None:
    from isolet.front.head import read

    said = Passed("id", "::1", True, Caller("1", "k"))
    head = read(
        [
            (b"Host", b"h"),
            (b"Content-Length", b"3"),
            (b"Connection", b"close"),
            (b"Keep-Alive", b"timeout=9"),
            (b"ISOLET-PASSED", b"no"),
            (b"Proxy-Connection", b"x"),
            (b"Trailer", b"x"),
            (b"X-Own", b"1"),
        ]
    )
    raw = request_head(b"POST", b"/p?q", said, head, 3)
    assert raw == (
        b"POST /p?q HTTP/1.1\r\nisolet-passed: id ::1 1.0 1 k\r\nHost: h\r\nX-Own: 1\r\ncontent-length: 3\r\n\r\n"
    )
    chunked = read([(b"Host", b"h"), (b"Transfer-Encoding", b"Chunked")])
    assert request_head(b"POST", b"/", said, chunked, 3).endswith(b"Host: h\r\ntransfer-encoding: chunked\r\n\r\n")
    assert Passed.read(said.line().partition(b": ")[2][:-2]) == said
    nobody = Passed("id", "", False, None)
    assert Passed.read(nobody.line().partition(b": ")[2][:-2]) == nobody


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20, limits.PAYLOAD_BYTES_MAX - 1024])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_bodies_of_every_size_pass_both_ways(tmp_path: Path, size: int, chunked: bool) -> None:
    body = (bytes(range(33, 122)) * (size // 89 + 1))[:size]

    async def main() -> None:
        def echoed(invocation: Invocation) -> Outcome:
            said = event(invocation)
            return outcome({"statusCode": 200, "body": said.get("body", "")})

        async with hop(tmp_path, echoed) as both:
            client = await both.outer.client()
            for _ in range(2):
                if chunked:
                    framed = b"transfer-encoding: chunked\r\n\r\n"
                    framed += b"%x\r\n%b\r\n" % (size, body) if size else b""
                    framed += b"0\r\n\r\n"
                else:
                    framed = b"content-length: %d\r\n\r\n%b" % (size, body)
                head = b"POST /fn/111122223333:hello/ HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
                reply = await client.ask(head + framed)
                assert reply.body == body
            await both.outer.until(lambda: not both.passing.passages)

    run(main)


def test_head_request_has_the_length_and_no_body(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "twelve bytes"})) as both:
            client = await both.outer.client()
            for _ in range(2):
                reply = await client.ask(HELLO.replace(b"GET", b"HEAD"), without_body=True)
                assert (reply.status, reply.get("content-length"), reply.body) == (200, "12", b"")
                assert (await client.ask(HELLO)).body == b"twelve bytes"

    run(main)


def test_answer_without_a_body_stays_without(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 204})) as both:
            client = await both.outer.client()
            for _ in range(2):
                reply = await client.ask(HELLO)
                assert (reply.status, reply.get("content-length")) == (204, None)

    run(main)


def test_client_that_leaves_cancels_its_invocation_behind_the_hop(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None) as both:
            client, stays = await both.outer.client(), await both.outer.client()
            client.send(HELLO)
            held = await both.inner.invoker.next()
            stays.send(HELLO)
            other = await both.inner.invoker.next()
            client.close()
            async with asyncio.timeout(PATIENCE_S):
                await held.cancelled.wait()
            assert not other.cancelled.is_set()
            other.done(outcome({"statusCode": 200, "body": "here"}))
            assert (await stays.reply()).body == b"here"

    run(main)


def test_stream_passes_as_it_is_written_and_waits_for_its_reader(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "", "NONE", "RESPONSE_STREAM")

    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None, rows=[replace(row(), urls=(url,))]) as both:
            client = await both.outer.client()
            client.send(b"GET / HTTP/1.1\r\nHost: %b.lambda-url.localhost\r\n\r\n" % url.id.encode())
            held = await both.inner.invoker.next()
            reader = held.invocation.reader
            assert reader is not None
            reader.opened({"status": 202, "headers": {"x-s": "1"}})
            reader.wrote(b"first")
            status, headers = await client.head()
            assert (status, dict(headers)["x-s"], dict(headers)["transfer-encoding"]) == (202, "1", "chunked")
            assert await client.reader.readuntil(b"first\r\n") == b"5\r\nfirst\r\n"
            # Nobody reads now: the writer is stopped once all buffers on the way are full.
            wrote, piece = 0, b"x" * 65_536
            while (room := reader.wrote(piece)) is None:
                wrote += 1
                await asyncio.sleep(0)
                assert wrote < 2_000, "a reader that does not read stops the writer"
            assert not room.done()

            async def drained() -> None:
                while not room.done():
                    await client.reader.read(1 << 20)

            await asyncio.wait_for(drained(), PATIENCE_S)
            held.done(outcome(None))
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                tail = tail[-4:] + await client.reader.read(1 << 20)

    run(main)


def test_stream_that_fails_is_cut(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "", "NONE", "RESPONSE_STREAM")

    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None, rows=[replace(row(), urls=(url,))]) as both:
            client = await both.outer.client()
            client.send(b"GET / HTTP/1.1\r\nHost: %b.lambda-url.localhost\r\n\r\n" % url.id.encode())
            held = await both.inner.invoker.next()
            reader = held.invocation.reader
            assert reader is not None
            reader.opened({})
            reader.wrote(b"first")
            await client.head()
            held.done(outcome(error=WorkerLost("gone")))
            assert await client.ended() == b"5\r\nfirst\r\n"

    run(main)


def test_preflight_is_answered_behind_the_hop(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "", "AWS_IAM", cors=Cors(allow_origins=("https://a",), allow_methods=("GET",)))

    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None, rows=[replace(row(), urls=(url,))]) as both:
            reply = await both.outer.ask(
                b"OPTIONS / HTTP/1.1\r\nHost: %b.lambda-url.localhost\r\nOrigin: https://a\r\n"
                b"Access-Control-Request-Method: GET\r\n\r\n" % url.id.encode()
            )
            assert (reply.status, reply.get("access-control-allow-origin")) == (200, "https://a")

    run(main)


def test_who_signed_is_asked_at_the_door_and_believed_behind_it(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "", "AWS_IAM")
    invoke = b"POST /2015-03-31/functions/hello/invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    at_url = b"GET / HTTP/1.1\r\nHost: %b.lambda-url.localhost\r\n\r\n" % url.id.encode()

    async def main() -> None:
        answer = outcome({"statusCode": 200, "body": "yes"})
        rows = [replace(row(), urls=(url,))]
        async with hop(tmp_path, lambda invocation: answer, rows=rows) as both:
            reply = await both.outer.ask(invoke)
            assert (reply.status, reply.body) == (200, b'{"statusCode":200,"body":"yes"}')
            assert (await both.outer.ask(at_url)).body == b"yes"
            iam = event(both.inner.invoker.submitted[-1])["requestContext"]["authorizer"]["iam"]
            assert (iam["accountId"], iam["accessKey"]) == (OWNER, "test")
        async with hop(tmp_path, lambda invocation: answer, rows=rows, account=DEFAULT_TENANT) as both:
            assert (await both.outer.ask(invoke)).status == 404, "the caller has no function of this name"
            named = invoke.replace(b"/hello/", b"/arn:aws:lambda:us-east-1:111122223333:function:hello/")
            assert (await both.outer.ask(named)).status == 403
            assert (await both.outer.ask(at_url)).status == 403
            assert not both.inner.invoker.submitted

    run(main)


def test_invocation_types_and_tails_work_behind_the_hop(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"a": 1})) as both:
            head = b"POST /2015-03-31/functions/hello/invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
            dry = await both.outer.ask(head + b"X-Amz-Invocation-Type: DryRun\r\n\r\n{}")
            assert dry.status == 204
            tail = await both.outer.ask(head + b"X-Amz-Log-Type: Tail\r\n\r\n{}")
            assert (tail.status, tail.get("x-amz-executed-version")) == (200, "$LATEST")
            assert tail.get("x-amz-log-result")
            stream = await both.outer.ask(
                b"POST /2021-11-15/functions/hello/response-streaming-invocations HTTP/1.1\r\nHost: h\r\n"
                b"Content-Length: 2\r\n\r\n{}"
            )
            assert b'{"a":1}' in stream.body
            assert b"InvokeComplete" in stream.body
            bad = await both.outer.ask(head + b"X-Amz-Invocation-Type: Never\r\n\r\n{}")
            assert bad.status == 400

    run(main)


def test_old_client_gets_no_chunks_and_an_end(tmp_path: Path) -> None:
    url = FunctionUrl("u" * 32, "", "NONE", "RESPONSE_STREAM")

    async def main() -> None:
        big = "x" * 300_000
        rows = [replace(row(), urls=(url,))]
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": big}), rows=rows) as both:
            for host in (b"hello.111122223333.localhost", b"%b.lambda-url.localhost" % url.id.encode()):
                client = await both.outer.client()
                reply = await client.ask(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % host)
                assert len(reply.body) >= 300_000
                assert await client.ended() == b""
                assert event(both.inner.invoker.submitted[-1])["requestContext"]["http"]["protocol"] == "HTTP/1.0"

    run(main)


def test_workers_of_a_cordon_share_its_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None, workers=3) as both:
            clients = [await both.outer.client() for _ in range(9)]
            for client in clients:
                client.send(HELLO)
            await both.outer.until(lambda: sum(len(inner.invoker.submitted) for inner in both.inners) == 9)
            assert [len(inner.invoker.submitted) for inner in both.inners] == [3, 3, 3]
            for inner in both.inners:
                for _ in range(3):
                    (await inner.invoker.next()).done(outcome({"statusCode": 200, "body": "x"}))
            for client in clients:
                assert (await client.reply()).status == 200

    run(main)


def test_worker_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "x"}), workers=2) as both:
            gone = both.inners.pop(0)
            await gone.close()
            for _ in range(4):
                assert (await both.outer.ask(HELLO)).status == 200
            assert len(both.inner.invoker.submitted) == 4

    run(main)


def test_cordon_without_workers_is_said_to_be_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None, listens=False) as both:
            reply = await both.outer.ask(HELLO)
            assert (reply.status, reply.get("retry-after")) == (503, "1")
            assert reply.get("x-amzn-requestid") in reply.body.decode()
            assert b"no worker of the cordon low answers" in reply.body

    run(main)


def test_more_requests_than_a_cordon_may_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PASSAGES_MAX", 2)

    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None) as both:
            clients = [await both.outer.client() for _ in range(2)]
            for client in clients:
                client.send(HELLO)
            held = [await both.inner.invoker.next() for _ in range(2)]
            assert (await both.outer.ask(HELLO)).status == 503
            for one in held:
                one.done(outcome({"statusCode": 200, "body": "x"}))
            for client in clients:
                assert (await client.reply()).status == 200
            clients[0].send(HELLO)
            (await both.inner.invoker.next()).done(outcome({"statusCode": 200, "body": "x"}))
            assert (await clients[0].reply()).status == 200

    run(main)


def test_worker_that_does_not_answer_is_given_up_after_the_functions_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: None) as both:
            client = await both.outer.client()
            client.send(HELLO)
            held = await both.inner.invoker.next()
            both.outer.later(limits.PASSAGE_GRACE_S)
            assert both.passing.passages
            both.outer.later(3)
            reply = await client.reply()
            assert (reply.status, b"no answer within 11 s" in reply.body) == (503, True)
            async with asyncio.timeout(PATIENCE_S):
                await held.cancelled.wait()

    run(main)


def test_idle_lines_end_after_a_while(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "x"})) as both:
            client = await both.outer.client()
            await client.ask(HELLO)
            both.outer.later(limits.PASSAGE_IDLE_S + 1)
            await both.outer.until(lambda: not both.inner.door.connections)
            assert (await client.ask(HELLO)).status == 200

    run(main)


def test_connection_that_is_not_the_doors_is_closed_unread(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "x"})) as both:
            both.inner.door.doors = frozenset({1})
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "low-0.sock"))
            writer.write(b"GET / HTTP/1.1\r\nisolet-passed: a b 1.1 - -\r\nHost: hello.111122223333.localhost\r\n\r\n")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert not both.inner.invoker.submitted
            assert both.inner.door.counters.swept["not the door"] == 1
            assert (await both.outer.ask(HELLO)).status == 503

    run(main)


def test_request_on_a_line_without_the_doors_word_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with hop(tmp_path, lambda invocation: outcome({"statusCode": 200, "body": "x"})) as both:
            for first in (b"Host: h\r\n", b"isolet-passed: a b\r\nHost: h\r\n", b"isolet-passed: \xff - 1.1 - -\r\n"):
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "low-0.sock"))
                assert await reader.readexactly(1) == GREETING
                writer.write(b"GET /fn/111122223333:hello/ HTTP/1.1\r\n%b\r\n" % first)
                assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
                writer.close()
            assert not both.inner.invoker.submitted

    run(main)


# ── a worker that is not believed ───────────────────────────────────────────────────────────────────────────────

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def hostile(directory: Path, *acts: Act) -> AsyncIterator[tuple[House, Passing]]:
    """A door whose other cordon is a script: one act for each line, the last again and again."""
    path = str(directory / "low-0.sock")
    waiting = list(acts)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        act = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        try:
            await act(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    clock = ManualClock()
    routes = RoutingTable()
    routes.replace([sketch(row(), "low")])
    passing = Passing({"low": [path]}, refused, clock.monotonic_s)
    here = Scripted()
    outer = House(Door(routes, here, Somebody(), passing=passing, clock=clock), here, clock, Starlette())
    await outer.open()
    try:
        yield outer, passing
    finally:
        await outer.close()
        server.close()
        assert not passing.passages
        assert not passing._loads


def says(answer: bytes, *, stays: bool = False) -> Act:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if stays:
            await reader.read()

    return act


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

NO_ANSWERS = {
    "nothing": b"",
    "no http": b"SSH-2.0-x\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "no end": b"HTTP/1.1 200 OK\r\n\r\nbody until the end",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "huge length": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok",
    "status 99": b"HTTP/1.1 099 No\r\ncontent-length: 0\r\n\r\n",
    "status 101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "status 600": b"HTTP/1.1 600 No\r\ncontent-length: 0\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 0\nx: y\n\n",
    "HTTP/0.9": b"<html>",
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_of_ours_is_a_failure_with_its_request_id(tmp_path: Path, answer: bytes) -> None:
    async def main() -> None:
        async with hostile(tmp_path, says(answer)) as (outer, _):
            client = await outer.client()
            reply = await client.ask(HELLO)
            assert reply.status == 503
            request_id = reply.get("x-amzn-requestid")
            assert request_id
            assert request_id in reply.body.decode()
            assert (await client.ask(HELLO)).status == 503, "the connection goes on"

    run(main)


def test_answer_that_goes_on_after_its_end_ends_the_line_and_reaches_nobody(tmp_path: Path) -> None:
    second = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"

    async def main() -> None:
        for more in (second, b"garbage", b"HTTP/1.1 200 OK\r\ncontent-le"):
            async with hostile(tmp_path, says(OK + more, stays=True), says(OK, stays=True)) as (outer, passing):
                client = await outer.client()
                assert (await client.ask(HELLO)).body == b"ok"
                await outer.until(lambda: not any(way.idle for ways in passing._ways.values() for way in ways))
                assert (await client.ask(HELLO)).body == b"ok"
                client.close()

    run(main)


def test_what_comes_on_an_idle_line_is_nobodys_answer(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asked.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await reader.read()

    async def main() -> None:
        async with hostile(tmp_path, act, says(OK)) as (outer, passing):
            client = await outer.client()
            assert (await client.ask(HELLO)).body == b"ok"
            asked.set()
            await outer.until(lambda: not any(way.idle for ways in passing._ways.values() for way in ways))
            assert (await client.ask(HELLO)).body == b"ok"

    run(main)


def test_answer_shorter_than_it_says_is_cut_at_the_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with hostile(tmp_path, says(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly")) as (outer, _):
            client = await outer.client()
            client.send(HELLO)
            status, headers = await client.head()
            assert (status, dict(headers)["content-length"]) == (200, "10")
            assert await client.ended() == b"only"

    run(main)


def test_endless_head_is_given_up(tmp_path: Path) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: %b\r\n" % (b"y" * 4_000))
            await writer.drain()

    async def main() -> None:
        async with hostile(tmp_path, act) as (outer, _):
            assert (await outer.ask(HELLO)).status == 503

    run(main)


def test_headers_that_are_the_doors_to_say_are_not_passed_back(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 200 Fine\r\nserver: x\r\ndate: yesterday\r\nconnection: keep-alive, x\r\nkeep-alive: 1\r\n"
        b"content-length: 2\r\nx-own: 1\r\n\r\nok"
    )

    async def main() -> None:
        async with hostile(tmp_path, says(answer)) as (outer, _):
            reply = await outer.ask(HELLO)
            names = sorted(name for name, _ in reply.headers)
            assert names == ["content-length", "date", "x-own"]
            assert reply.get("date") != "yesterday"

    run(main)


def test_worker_that_does_not_greet_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PASSAGE_GREETING_S", 0.05)
    got: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        got.append(await reader.read())

    async def main() -> None:
        for act in (silent, rude):
            async with hostile(tmp_path, act) as (outer, _):
                assert (await outer.ask(HELLO)).status == 503
        assert got == [b"", b""]

    run(main)


# ── once more, or not ───────────────────────────────────────────────────────────────────────────────────────────


def test_request_that_a_worker_left_unread_is_sent_once_more(tmp_path: Path) -> None:
    async def unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not _unread(writer):
            await asyncio.sleep(0)
        writer.transport.abort()

    async def main() -> None:
        async with hostile(tmp_path, unread, says(OK)) as (outer, passing):
            assert (await outer.ask(HELLO)).body == b"ok"
            assert passing.repeated == 1
        async with hostile(tmp_path, unread) as (outer, passing):
            assert (await outer.ask(HELLO)).status == 503, "once, and not again and again"
            assert passing.repeated == 1

    run(main)


def _unread(writer: asyncio.StreamWriter) -> int:
    import array
    import fcntl
    import termios

    waiting = array.array("i", [0])
    fcntl.ioctl(writer.get_extra_info("socket").fileno(), termios.FIONREAD, waiting)
    return waiting[0]


def test_request_that_a_worker_has_read_is_not_sent_again(tmp_path: Path) -> None:
    lines = 0

    async def main() -> None:
        async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal lines
            lines += 1
            writer.write(GREETING)
            await reader.readuntil(b"\r\n\r\n")

        async with hostile(tmp_path, dies) as (outer, passing):
            reply = await outer.ask(HELLO)
            assert reply.status == 503
            assert b"failed while it had this request" in reply.body
            assert (lines, passing.repeated) == (1, 0)

    run(main)


def test_tenants_own_worker_is_summoned_and_found_at_its_path(tmp_path: Path) -> None:
    async def main() -> None:
        asked: list[str] = []
        inners: list[Inner] = []

        async def summon(cordon: str) -> str:
            asked.append(cordon)
            path = tmp_path / "own.sock"
            inner = Inner(path, [row()], lambda invocation: outcome({"statusCode": 200, "body": "own"}))
            await inner.open()
            inners.append(inner)
            return str(path)

        clock = ManualClock()
        routes = RoutingTable()
        routes.replace([sketch(row(), f"tenant-{OWNER}")])
        passing = Passing({}, summon, clock.monotonic_s)
        here = Scripted()
        outer = House(Door(routes, here, Somebody(), passing=passing, clock=clock), here, clock, Starlette())
        await outer.open()
        client = await outer.client()
        for _ in range(3):
            assert (await client.ask(HELLO)).body == b"own"
        assert asked == [f"tenant-{OWNER}"]
        await inners[0].close()
        assert (await client.ask(HELLO)).body == b"own", "it has ended, and is started again"
        assert len(asked) == 2
        await outer.close()
        await inners[1].close()

    run(main)


def test_own_worker_that_cannot_be_started_is_said_to_be_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        clock = ManualClock()
        routes = RoutingTable()
        routes.replace([sketch(row(), f"tenant-{OWNER}")])

        async def full(cordon: str) -> str:
            raise Overloaded("no more workers may be started")

        here = Scripted()
        for summon, words in ((refused, b"no keeper"), (full, b"no more workers")):
            passing = Passing({}, summon, clock.monotonic_s)
            outer = House(Door(routes, here, Somebody(), passing=passing, clock=clock), here, clock, Starlette())
            await outer.open()
            reply = await outer.ask(HELLO)
            assert (reply.status, words in reply.body) == (503, True)
            await outer.close()

    run(main)


def test_header_that_the_door_adds_is_ours_alone() -> None:
    assert PASSED.lower() == PASSED
    assert Passed("", "", False, None).line().startswith(PASSED + b": ")
