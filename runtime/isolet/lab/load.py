"""A client that loads a server over HTTP, in a process of its own, and measures what each answer took.

    closed loop   `connections` clients, each sends its next request when it has its answer: what a server can do at
    most open loop     `rate` requests a second, sent when they are due, whoever is still waiting: what users feel

Laws:
- In the open loop a request's time begins when it was due, not when there was room to send it: a server that stalls for
  a second is charged with every request of that second (coordinated omission).
- An answer that is not the expected status is counted as failed and not among the times. A connection that breaks is
  opened again, its request counted as failed.
- Nothing is counted during the warm-up.

    python -m isolet.lab.load < a Job in JSON     prints a Result in JSON
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httptools
import uvloop

from ..errors import InvalidParameter, WorkerLost
from .figures import Distribution

__all__ = ["Job", "Result", "replace", "run"]

# An open loop that is this many requests behind does not measure the server any more, but its own queue.
BACKLOG_MAX: Final = 100_000
_PATIENCE_S: Final = 60.0
# A server that is being replaced refuses connections for a moment.
_AGAIN_S: Final = 0.01


@dataclass(frozen=True)
class Job:
    """What is asked for. `rate` 0: closed loop. `requests` 0: as many as fit into `seconds`."""

    url: str
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    connections: int = 1
    rate: float = 0.0
    seconds: float = 3.0
    warmup_s: float = 0.5
    requests: int = 0
    expected: int = 200


@dataclass
class Result:
    times: Distribution
    seconds: float
    failed: int
    bytes_received: int
    # Of the open loop: the most that waited for a connection at once.
    backlog: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.times.count / self.seconds if self.seconds else 0.0


def run(job: Job) -> Result:
    """Runs `job` in a process of its own. Raises InvalidParameter, WorkerLost (the server is not there)."""
    child = subprocess.run(
        [sys.executable, "-P", "-m", "isolet.lab.load"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent.parent.parent), "PATH": "/usr/bin:/bin"},
        timeout=job.seconds + job.warmup_s + 2 * _PATIENCE_S,
    )
    if child.returncode != 0:
        words = child.stderr.strip().splitlines()
        raise WorkerLost(f"the client of {job.url} ended: {words[-1] if words else child.returncode}")
    said = json.loads(child.stdout)
    return Result(Distribution.decoded(said.pop("times")), **said)


class Client:
    """Sends `job`'s request over its connections until its time is over."""

    def __init__(self, job: Job) -> None:
        parts = urlsplit(job.url)
        if parts.scheme != "http" or not parts.hostname:
            raise InvalidParameter(f"{job.url} is no http:// URL")
        self.job = job
        self.host, self.port = parts.hostname, parts.port or 80
        self.request = _request(job, parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        self.times_ns: list[int] = []
        self.failures: dict[str, int] = {}
        self.bytes_received = 0
        self.backlog = 0
        self.due: deque[int] = deque()
        self.idle: list[Conversation] = []
        self.counting = False
        self.ending = False
        self.sent = 0
        self.done = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()

    async def run(self) -> Result:
        job, loop = self.job, asyncio.get_running_loop()
        await asyncio.gather(*(self.connect() for _ in range(job.connections)))
        pacing = loop.create_task(self._pace()) if job.rate else None
        if not job.rate:
            for conversation in self.idle[:]:
                conversation.send(time.perf_counter_ns())
        await asyncio.sleep(job.warmup_s)
        self.counting = True
        began_ns = time.perf_counter_ns()
        await self._until_over(pacing)
        self.counting = False
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
        self.ending = True
        if pacing is not None:
            pacing.cancel()
        times = Distribution()
        times.record_all_ns(self.times_ns)
        failed = sum(self.failures.values())
        return Result(times, seconds, failed, self.bytes_received, self.backlog, self.failures)

    async def _until_over(self, pacing: asyncio.Task[None] | None) -> None:
        """Raises what made the pace impossible."""
        over = asyncio.ensure_future(self.done.wait() if self.job.requests else asyncio.sleep(self.job.seconds))
        ended, _ = await asyncio.wait({over, pacing} if pacing else {over}, return_when=asyncio.FIRST_COMPLETED)
        if pacing is not None and pacing in ended:
            over.cancel()
            pacing.result()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, conversation = await loop.create_connection(lambda: Conversation(self), self.host, self.port)
        self.idle.append(conversation)

    async def _pace(self) -> None:
        """Makes requests due. A turn that comes late makes all that were due since, each with its own instant."""
        step_ns = 1e9 / self.job.rate
        next_ns = float(time.perf_counter_ns())
        while True:
            now_ns = time.perf_counter_ns()
            while next_ns <= now_ns:
                self.due.append(int(next_ns))
                next_ns += step_ns
            self.backlog = max(self.backlog, len(self.due) - len(self.idle))
            if len(self.due) > BACKLOG_MAX:
                raise InvalidParameter(f"{self.job.rate:,.0f} requests a second are more than this server can do")
            self._dispatch()
            await asyncio.sleep(max(0.0, (next_ns - time.perf_counter_ns()) / 1e9))

    def _dispatch(self) -> None:
        while self.due and self.idle:
            self.idle.pop().send(self.due.popleft())

    def answered(self, conversation: Conversation, began_ns: int, status: int) -> None:
        if self.counting:
            if status == self.job.expected:
                self.times_ns.append(time.perf_counter_ns() - began_ns)
            else:
                self._failed(f"status {status}")
            if self.job.requests and len(self.times_ns) + sum(self.failures.values()) >= self.job.requests:
                self.done.set()
                self.counting, self.ending = False, True
        if self.ending:
            return
        if not self.job.rate:
            conversation.send(time.perf_counter_ns())
        else:
            self.idle.append(conversation)
            self._dispatch()

    def broken(self, conversation: Conversation, began_ns: int) -> None:
        if self.ending:
            return
        if began_ns and self.counting:
            self._failed("connection closed")
        if conversation in self.idle:
            self.idle.remove(conversation)
        task = asyncio.ensure_future(self._reconnect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _reconnect(self) -> None:
        while not self.ending:
            try:
                await self.connect()
                break
            except OSError:
                await asyncio.sleep(_AGAIN_S)
        else:
            return
        if not self.job.rate:
            self.idle.pop().send(time.perf_counter_ns())
        else:
            self._dispatch()

    def _failed(self, why: str) -> None:
        self.failures[why] = self.failures.get(why, 0) + 1


class Conversation(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._began_ns = 0
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, began_ns: int) -> None:
        self._began_ns = began_ns
        assert self._transport is not None
        self._transport.write(self._client.request)

    def data_received(self, data: bytes) -> None:
        self._client.bytes_received += len(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        began_ns, self._began_ns = self._began_ns, 0
        keep = self._parser.should_keep_alive()
        if not keep and self._transport is not None:
            self._transport.close()
        self._client.answered(self, began_ns, self._parser.get_status_code()) if keep else self._last(began_ns)

    def _last(self, began_ns: int) -> None:
        """The server closes after this answer: it counts, and another connection takes over."""
        client = self._client
        if client.counting and self._parser.get_status_code() == client.job.expected:
            client.times_ns.append(time.perf_counter_ns() - began_ns)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.broken(self, self._began_ns)


def _request(job: Job, host: str, target: str) -> bytes:
    body = job.body.encode()
    lines = [f"{job.method} {target} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in job.headers]
    if body or job.method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def main() -> int:
    said: dict[str, Any] = json.load(sys.stdin)
    said["headers"] = [tuple(pair) for pair in said["headers"]]
    try:
        result = uvloop.run(Client(Job(**said)).run())
    except (OSError, InvalidParameter) as error:
        print(error, file=sys.stderr)
        return 1
    plain = {name: value for name, value in vars(result).items() if name != "times"}
    print(json.dumps({"times": result.times.encoded(), **plain}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
