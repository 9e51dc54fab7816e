"""The load client against real servers: what it counts, when a request's time begins."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from isolet.errors import InvalidParameter, WorkerLost
from isolet.lab.load import Job, run

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Answer = Callable[[int], tuple[float, bytes]]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server in a thread. `answer` says of each request by its number: after how long, and with what."""
    started = threading.Event()
    port, count, stop = 0, 0, asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                count += 1
                delay_s, said = answer(count)
                await asyncio.sleep(delay_s)
                writer.write(said)
                await writer.drain()
                if b"connection: close" in said:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def live() -> None:
        nonlocal port
        loops.append(asyncio.get_running_loop())
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        listening.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await listening.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def test_closed_loop_counts_what_was_asked_for() -> None:
    with server(lambda _: (0.0, _ANSWER)) as url:
        result = run(Job(url=url, connections=4, requests=200, warmup_s=0.05))
    assert result.times.count == 200
    assert result.failed == 0


def test_unexpected_status_is_failed_and_not_timed() -> None:
    refusal = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
    with server(lambda number: (0.0, refusal if number % 2 else _ANSWER)) as url:
        result = run(Job(url=url, requests=100, warmup_s=0.05))
    assert result.failures.keys() == {"status 503"}
    assert result.times.count + result.failed == 100


def test_connection_that_the_server_closes_is_opened_again() -> None:
    last = _ANSWER.replace(b"content-length", b"connection: close\r\ncontent-length")
    with server(lambda number: (0.0, last if number % 10 == 0 else _ANSWER)) as url:
        result = run(Job(url=url, requests=100, warmup_s=0.0))
    assert result.times.count >= 100
    assert result.failed == 0


def test_broken_connection_is_a_failure_and_the_load_goes_on() -> None:
    with server(lambda number: (0.0, b"connection: close" if number == 20 else _ANSWER)) as url:
        result = run(Job(url=url, requests=100, warmup_s=0.0))
    assert result.failures == {"connection closed": 1}
    assert result.times.count == 99


def test_open_loop_charges_a_stall_with_all_that_it_kept_waiting() -> None:
    def stalls(number: int) -> tuple[float, bytes]:
        return (0.5 if number == 100 else 0.0), _ANSWER

    with server(stalls) as url:
        open_loop = run(Job(url=url, connections=1, rate=200, seconds=1.5, warmup_s=0.0))
    with server(stalls) as url:
        closed_loop = run(Job(url=url, connections=1, requests=300, warmup_s=0.0))
    # Half a second at 200 a second is about 100 requests; the closed loop sent one and waited.
    assert open_loop.times.at(80) > 50_000
    assert closed_loop.times.at(99) < 50_000
    assert open_loop.backlog >= 50


def test_open_loop_that_nobody_can_answer_is_refused() -> None:
    with server(lambda _: (60.0, _ANSWER)) as url, pytest.raises(WorkerLost, match="more than this server can do"):
        run(Job(url=url, rate=200_000, seconds=5, warmup_s=0.0))


def test_server_that_is_not_there_is_said() -> None:
    with pytest.raises(WorkerLost, match=r"127\.0\.0\.1:9"):
        run(Job(url="http://127.0.0.1:9/"))


def test_other_schemes_are_refused() -> None:
    from isolet.lab.load import Client

    with pytest.raises(InvalidParameter, match="no http://"):
        Client(Job(url="https://127.0.0.1/"))
