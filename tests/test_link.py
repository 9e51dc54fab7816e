from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from isolet import limits
from isolet.errors import (
    HostError,
    InvalidParameter,
    Overloaded,
    PayloadTooLarge,
    Throttled,
    UnknownFunction,
    WorkerLost,
)
from isolet.frames import HEADER, LAST, REPLY, REQUEST, pack
from isolet.link import Handler, Link, SocketLink, connect, listen, pair

MIB = limits.MIB


async def echo(operation: str, body: Any) -> Any:
    if operation == "fail":
        raise UnknownFunction(f"Function not found: {body}")
    if operation == "throttle":
        raise Throttled("slow down", "CallerRateLimitExceeded", 3)
    if operation == "defect":
        raise ZeroDivisionError("a secret of ours")
    return [operation, body]


@asynccontextmanager
async def socket_ends(mine: Handler, theirs: Handler) -> AsyncIterator[tuple[Link, Link]]:
    """(client whose calls `theirs` serves, server end whose calls `mine` serves) over a real socket."""
    ends: list[SocketLink] = []

    def serve(link: SocketLink) -> Handler:
        ends.append(link)
        return theirs

    path = Path(os.environ["PYTEST_SOCKETS"]) / "link.sock"
    listener = await listen(path, serve)
    client = await connect(path, lambda _: mine)
    await client.request("hello")
    try:
        yield client, ends[0]
    finally:
        await client.close()
        await listener.close()


@asynccontextmanager
async def local_ends(mine: Handler, theirs: Handler) -> AsyncIterator[tuple[Link, Link]]:
    yield pair(mine, lambda _: theirs)


Ends = Callable[[Handler, Handler], Any]
both = pytest.mark.parametrize("ends", [socket_ends, local_ends], ids=["socket", "local"])


@pytest.fixture(autouse=True)
def sockets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_SOCKETS", str(tmp_path_factory.mktemp("s")))


# Workers run on uvloop, the keeper on asyncio's own loop.
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(autouse=True, params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_LOOP", request.param)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    with asyncio.Runner(loop_factory=LOOPS[os.environ["PYTEST_LOOP"]]) as runner:
        runner.run(bounded())


# ── the interface, whichever way it is wired ────────────────────────────────────────────────────────────────────


@both
def test_calls_are_answered_both_ways(ends: Ends) -> None:
    async def main() -> None:
        async with ends(echo, echo) as (here, there):
            assert await here.request("up", {"a": (1, b"\x00", None)}) == ["up", {"a": [1, b"\x00", None]}]
            assert await there.request("down", "x") == ["down", "x"]

    run(main)


@both
def test_many_calls_at_once_each_get_their_own_reply(ends: Ends) -> None:
    async def main() -> None:
        async with ends(echo, echo) as (here, _):
            replies = await asyncio.gather(*(here.request("n", n) for n in range(1_000)))
            assert replies == [["n", n] for n in range(1_000)]

    run(main)


def test_error_leaves_nothing_for_the_collector() -> None:
    async def main() -> None:
        async def failed() -> weakref.ref[Exception]:
            try:
                await here.request("fail", "resize")
            except UnknownFunction as error:
                return weakref.ref(error)
            raise AssertionError("it fails")

        async with socket_ends(echo, echo) as (here, _):
            gc.disable()
            try:
                error = await failed()
                await asyncio.sleep(0)  # the step that woke us holds it
                assert error() is None
            finally:
                gc.enable()

    run(main)


@both
def test_errors_cross_with_their_class_and_attributes(ends: Ends) -> None:
    async def main() -> None:
        async with ends(echo, echo) as (here, _):
            with pytest.raises(UnknownFunction, match="Function not found: resize"):
                await here.request("fail", "resize")
            with pytest.raises(Throttled) as throttled:
                await here.request("throttle")
            assert (throttled.value.reason, throttled.value.retry_after_s) == ("CallerRateLimitExceeded", 3)

    run(main)


@both
def test_defect_of_a_handler_arrives_without_its_words(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with ends(echo, echo) as (here, _):
            with pytest.raises(HostError) as error:
                await here.request("defect")
            assert "secret" not in str(error.value)
            assert type(error.value) is HostError
            assert "a secret of ours" in caplog.text
            assert await here.request("still") == ["still", None]

    run(main)


@both
def test_notes_arrive_and_a_failing_one_harms_nobody(ends: Ends) -> None:
    async def main() -> None:
        got: asyncio.Queue[Any] = asyncio.Queue()

        async def take(operation: str, body: Any) -> Any:
            if operation == "bad":
                raise ZeroDivisionError
            got.put_nowait((operation, body))

        async with ends(echo, take) as (here, _):
            await here.notify("bad", 1)
            await here.notify("good", [2])
            while await got.get() != ("good", [2]):
                pass

    run(main)


@both
def test_call_after_the_end_fails_with_worker_lost(ends: Ends) -> None:
    async def main() -> None:
        async with ends(echo, echo) as (here, there):
            await there.close()
            await here.wait_closed()
            with pytest.raises(WorkerLost):
                await here.request("anything")
            with pytest.raises(WorkerLost):
                await here.notify("anything")

    run(main)


async def _sized(operation: str, body: Any) -> Any:
    return None if body is None else len(body)


# ── the socket ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_small_calls_pass_a_large_upload() -> None:
    """While 70 MB cross, small calls are answered: the upload's end is not what they wait for."""

    async def main() -> None:
        order: list[str] = []

        async with socket_ends(echo, _sized) as (here, _):

            async def call(name: str, body: bytes) -> None:
                assert await here.request(name, body) == len(body)
                order.append(name)

            upload = asyncio.ensure_future(call("large", bytes(70 * MIB)))
            await asyncio.gather(*(call("small", bytes(10)) for _ in range(50)))
            await upload
        assert order == ["small"] * 50 + ["large"]

    run(main)


def test_large_messages_both_ways_at_once_wait_for_room_and_arrive() -> None:
    async def main() -> None:
        async def double(operation: str, body: Any) -> Any:
            return None if body is None else body + body

        async with socket_ends(double, double) as (here, there):
            bodies = [bytes([n]) * (5 * MIB) for n in range(8)]
            up = asyncio.gather(*(here.request("x", body) for body in bodies))
            down = asyncio.gather(*(there.request("x", body) for body in bodies))
            assert [reply == body + body for reply, body in zip(await up, bodies, strict=True)] == [True] * 8
            assert [reply == body + body for reply, body in zip(await down, bodies, strict=True)] == [True] * 8

    run(main)


def test_unsent_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders wait for room in their lane; the small lane stays open behind a full large one."""
    monkeypatch.setattr(limits, "LINK_LARGE_BYTES_MAX", 2 * MIB)

    async def main() -> None:
        async with socket_ends(echo, _sized) as (here, _):
            assert isinstance(here, SocketLink)
            waiting = [asyncio.ensure_future(here.request("large", bytes(MIB))) for _ in range(20)]
            await asyncio.sleep(0)
            unsent = sum(len(message.payload) for message in here._outgoing)
            assert unsent <= 2 * MIB + 200
            assert await here.request("small", b"12") == 2
            assert await asyncio.gather(*waiting) == [MIB] * 20

    run(main)


def test_oversize_message_is_refused_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_MESSAGE_BYTES_MAX", 10_000)

    async def main() -> None:
        async def long_reply(operation: str, body: Any) -> Any:
            return bytes(20_000) if operation == "long" else None

        async with socket_ends(echo, long_reply) as (here, _):
            with pytest.raises(PayloadTooLarge, match=r"10,000"):
                await here.request("x", bytes(10_001))
            with pytest.raises(PayloadTooLarge, match="the reply to long"):
                await here.request("long")
            assert await here.request("x") is None

    run(main)


def test_calls_under_way_are_bounded_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def wait(operation: str, body: Any) -> Any:
            if operation == "wait":
                await gate.wait()
            return operation

        async with socket_ends(echo, wait) as (here, _):
            monkeypatch.setattr(limits, "LINK_CALLS_MAX", 4)
            calls = [asyncio.ensure_future(here.request("wait")) for _ in range(4)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="4 calls"):
                await here.request("one more")
            monkeypatch.setattr(limits, "LINK_CALLS_MAX", 5)
            calls.append(asyncio.ensure_future(here.request("wait")))
            await asyncio.sleep(0)
            monkeypatch.setattr(limits, "LINK_CALLS_MAX", 4)
            replies = asyncio.gather(*calls, return_exceptions=True)
            while not calls[4].done():
                await asyncio.sleep(0)
            gate.set()
            *served, refused = await replies
            assert served == ["wait"] * 4
            assert isinstance(refused, Overloaded)

    run(main)


def test_cancelled_call_is_cancelled_at_the_peer() -> None:
    async def main() -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        async def hang(operation: str, body: Any) -> Any:
            if operation != "hang":
                return operation
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with socket_ends(echo, hang) as (here, _):
            call = asyncio.ensure_future(here.request("hang"))
            await started.wait()
            call.cancel()
            await ended.wait()
            assert await here.request("next") == "next"

    run(main)


def test_cancelled_upload_leaves_nothing_half_sent() -> None:
    async def main() -> None:
        async with socket_ends(echo, _sized) as (here, there):
            assert isinstance(here, SocketLink)
            assert isinstance(there, SocketLink)
            call = asyncio.ensure_future(here.request("large", bytes(70 * MIB)))
            await here.request("small", b"")
            call.cancel()
            await here.request("small", b"")
            assert not here._outgoing
            await here.request("small", b"")
            assert there._reader._partial == {}
            assert there._reader._partial_bytes == 0

    run(main)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        HEADER.pack(5, 0x7F | LAST, 1),
        HEADER.pack(6, REQUEST | LAST, 1) + b"\xc1",
        HEADER.pack(6, REQUEST | LAST, 1) + b"\xc0",
        HEADER.pack(5 + 3, REQUEST | LAST, 1) + pack([1, 2]),
        HEADER.pack(5 + 3, REQUEST | LAST, 1) + b"\x01\x02\x03",
        HEADER.pack(5 + 2_000, REQUEST | LAST, 1) + b"\x91" * 2_000,
    ],
    ids=["ff", "http", "kind", "c1", "nil", "operation", "trailing", "deep"],
)
def test_peer_that_sends_garbage_is_cut_off_and_others_stay(garbage: bytes) -> None:
    async def main() -> None:
        async with socket_ends(echo, echo) as (here, _):
            path = Path(os.environ["PYTEST_SOCKETS"]) / "link.sock"
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(garbage)
            assert await reader.read() == b""
            writer.close()
            assert await here.request("fine") == ["fine", None]

    run(main)


def test_peer_that_answers_garbage_fails_every_call_with_worker_lost() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(HEADER.size)
            writer.write(HEADER.pack(6, REPLY | LAST, 1) + b"\xc1")
            await reader.read()
            writer.close()

        path = Path(os.environ["PYTEST_SOCKETS"]) / "garbage.sock"
        async with await asyncio.start_unix_server(serve, path=str(path)):
            here = await connect(path, lambda _: echo)
            calls = await asyncio.gather(*(here.request("x", n) for n in range(10)), return_exceptions=True)
            assert {type(call) for call in calls} == {WorkerLost}
            await here.wait_closed()

    run(main)


SERVER = """
import asyncio, sys
from pathlib import Path
from isolet.link import listen

async def main():
    async def hang(operation, body):
        if operation == "hello":
            return "here"
        print("got", flush=True)
        await asyncio.Event().wait()
    await listen(Path(sys.argv[1]), lambda link: hang)
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_killed_peer_fails_every_pending_call_with_worker_lost() -> None:
    path = Path(os.environ["PYTEST_SOCKETS"]) / "killed.sock"
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, env=_environment()
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening\n"

        async def main() -> None:
            here = await connect(path, lambda _: echo)
            assert await here.request("hello") == "here"
            calls = [asyncio.ensure_future(here.request("hang", n)) for n in range(20)]
            for _ in calls:
                assert server.stdout is not None
                line = await asyncio.to_thread(server.stdout.readline)
                assert line == b"got\n"
            server.send_signal(signal.SIGKILL)
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {WorkerLost}
            await here.wait_closed()
            await asyncio.to_thread(server.wait)
            with pytest.raises(WorkerLost, match="is the keeper running"):
                await connect(path, lambda _: echo)

        run(main)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "runtime")}


def test_socket_is_for_this_user_only_and_goes_with_its_listener() -> None:
    async def main() -> None:
        path = Path(os.environ["PYTEST_SOCKETS"]) / "mode.sock"
        path.write_text("left by a keeper that died")
        listener = await listen(path, lambda _: echo)
        assert path.stat().st_mode & 0o777 == 0o600
        await listener.close()
        assert not path.exists()

    run(main)


def test_path_too_long_for_a_socket_is_refused_with_the_cure() -> None:
    async def main() -> None:
        with pytest.raises(InvalidParameter, match="shorter path"):
            await listen(Path("/tmp") / ("x" * 120), lambda _: echo)
        with pytest.raises(InvalidParameter, match="107"):
            await connect(Path("/tmp") / ("x" * 120), lambda _: echo)

    run(main)


def test_handler_may_call_back_from_the_first_moment() -> None:
    """The serving end may use its link before the connection is announced to it: what it says is sent then."""

    async def main() -> None:
        path = Path(os.environ["PYTEST_SOCKETS"]) / "early.sock"
        answers: asyncio.Queue[Any] = asyncio.Queue()

        def serve(link: SocketLink) -> Handler:
            async def early() -> None:
                answers.put_nowait(await link.request("early"))

            tasks.append(asyncio.ensure_future(early()))
            return echo

        tasks: list[asyncio.Future[None]] = []
        listener = await listen(path, serve)
        here = await connect(path, lambda _: echo)
        assert await answers.get() == ["early", None]
        await here.close()
        await listener.close()

    run(main)
