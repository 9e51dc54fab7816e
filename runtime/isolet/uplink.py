"""A worker's way to its keeper: a link that comes back, and what a worker asks over it as typed calls.

Laws:
- A call made while there is no keeper fails with WorkerLost at once: who can wait, tries again.
- A new connection is greeted before anybody may use it; the keeper then pushes the whole routing table.
- What the keeper asks of a worker is answered by `Downcalls`, whose members are plain functions of the worker's.
- The keeper serves a worker for the tenants of its cordon and refuses it for all others; `control`, `signing_key` and
  `summon` are for the door's workers.

| worker → keeper | body | reply |
|---|---|---|
| `hello` | `{worker, pid, protocol}`; whose worker it is the keeper knows better (roster.py) | nil |
| `records` | `[worker, sequence, batches]`, taken exactly once by the pair (worker, sequence) | nil, after the commit |
| `control` | `[method, path, query, headers, body]` | `[status, headers, body]` |
| `kv` | `[tenant, verb, namespace, key or prefix, value, options]` | what abi.md 5.2 calls `ok` |
| `fetch` | `[tenant, function, grants, method, url, headers, body, timeout_s, redirect]` | what abi.md 5.3 calls `ok` |
| `secret` | `[tenant, name]` | its value |
| `accept` | a list of events, as storage/queue.Accepted | of each whether it is durable, after the commit |
| `signing_key` | `[access key, date, region, service]` | `[account, derived key]` |
| `summon` | a cordon that is one tenant's own | the path of its worker's socket, once it serves |
| `leave` | nil: it is about to end | nil; no attempt is begun there any more |
| `rebuild` | `[digest]`, of an artifact that is missing or corrupt | the SnapshotInfo of a new one, once it is routed |

| keeper → worker | body | reply |
|---|---|---|
| `routes` | `[replace, rows, removed]`: with `replace`, the rows (Served) are the whole table | nil, when they serve |
| `keys` | an access key that is none any more; nil: any may be | nil, when nothing that it signed is taken |
| `limits` | `[[account, slot, {name: value}] …]` | nil, when tenants are held to them |
| `used` | an account | `{limit: number}`, what it has of them in this worker |
| `doors` | processes | nil, when requests that they pass on are taken, and no others |
| `gauges` | nil | `{name: number}` |
| `attempt` | one of the events of `accept` | `[how it ended, executed version, JSON, message]` |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import limits
from .errors import HostError, UnsupportedOperation, WorkerLost
from .link import Handler, Link, SocketLink, connect
from .model import Served, SnapshotInfo
from .plain import served_from_plain, snapshot_from_plain
from .sigv4 import Scope

logger = logging.getLogger("isolet.uplink")

# Raised when a message changes its meaning: a worker of another version is refused, in words.
PROTOCOL = 5

Headers = list[tuple[str, str]]


class Uplink:
    """What a worker asks of its keeper. Wraps any link: a `Reconnecting`, or one end of a local pair."""

    def __init__(self, link: Link, worker: str, request_s: float = limits.CONTROL_REQUEST_S) -> None:
        self._link = link
        self.worker = worker
        # How long a request of the control plane, or a build, may take.
        self._request_s = request_s

    async def hello(self) -> None:
        await self._link.request("hello", {"worker": self.worker, "pid": os.getpid(), "protocol": PROTOCOL})

    async def leave(self) -> None:
        """Attempts that are under way go on."""
        await self._link.request("leave")

    async def records(self, sequence: int, batches: list[Any]) -> None:
        """Returns once the keeper has committed them."""
        await self._link.request("records", [self.worker, sequence, batches])

    async def control(
        self, method: str, path: str, query: str, headers: Headers, body: bytes
    ) -> tuple[int, Headers, bytes]:
        """The control plane's answer to an HTTP request. Raises HostErrors only: refusals are answers."""
        async with _within(self._request_s, f"{method} {path}"):
            reply = await self._link.request("control", [method, path, query, headers, body])
        status, answered, content = reply
        return status, [(name, value) for name, value in answered], content

    async def ask(self, operation: str, body: Any) -> Any:
        """What a guest's capability asks; its invocation's deadline bounds it. Raises CallRefused, HostErrors."""
        return await self._link.request(operation, body)

    async def signing_key(self, access_key: str, scope: Scope) -> tuple[str, bytes]:
        """(account, the key derived for this scope). Raises UnknownAccessKey, HostErrors."""
        account, key = await self._link.request("signing_key", [access_key, *scope])
        return account, key

    async def summon(self, cordon: str) -> str:
        """Where the worker of a tenant that has its own listens, which serves when this returns. For the door."""
        path: str = await self._link.request("summon", cordon)
        return path

    async def rebuild(self, digest: str) -> SnapshotInfo:
        """What takes the place of a missing or corrupt artifact; our routing table names it when this returns."""
        async with _within(self._request_s, f"building {digest} again"):
            return snapshot_from_plain(await self._link.request("rebuild", [digest]))


@contextlib.asynccontextmanager
async def _within(seconds: float, what: str) -> Any:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise WorkerLost(f"the keeper did not answer within {seconds:g} s ({what}); try again") from None


async def _no_attempts(body: list[Any]) -> list[Any]:
    raise UnsupportedOperation("this worker runs no attempts")


@dataclass(frozen=True, slots=True)
class Downcalls:
    """What the keeper asks of a worker."""

    # (replace, rows, removed as (tenant, name)): returns once invocations see the new table.
    routes: Callable[[bool, Sequence[Served], Sequence[tuple[str, str]]], Awaitable[None]]
    gauges: Callable[[], dict[str, float]]
    # Runs an attempt of an asynchronous invocation (front/attempts.py).
    attempt: Callable[[list[Any]], Awaitable[list[Any]]] = _no_attempts
    # What this access key signed is not taken any more; None: whatever is known of keys may be wrong.
    forget_key: Callable[[str | None], None] = lambda access_key: None
    # (account, slot, values): holds a tenant to these limits (allowance.py); and what it has of them.
    limit: Callable[[str, int | None, dict[str, float]], None] = lambda account, slot, values: None
    used: Callable[[str], dict[str, float]] = lambda account: {}
    # The processes whose requests are taken (front/inner.py).
    doors: Callable[[list[int]], None] = lambda pids: None

    async def __call__(self, operation: str, body: Any) -> Any:
        if operation == "routes":
            replace, rows, removed = body
            names = [(tenant, name) for tenant, name in removed]
            await self.routes(replace, [served_from_plain(row) for row in rows], names)
            return None
        if operation == "gauges":
            return self.gauges()
        if operation == "attempt":
            return await self.attempt(body)
        if operation == "keys":
            return self.forget_key(body)
        if operation == "limits":
            for row in body:
                self.limit(*row)
            return None
        if operation == "used":
            return self.used(body)
        if operation == "doors":
            return self.doors(body)
        raise UnsupportedOperation(f"a worker has no operation {operation}; is the keeper of another version?")


class Reconnecting:
    """A worker's link to its keeper, whichever keeper that is: connects again whenever it is lost.

    `greet` is awaited on every new connection before anybody else may use it. A request made while there is no
    connection fails with WorkerLost at once: who can wait, tries again.
    """

    def __init__(
        self,
        path: Path,
        handler: Handler,
        greet: Callable[[Link], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._handler = handler
        self._greet = greet
        self._pause = pause
        self._link: SocketLink | None = None
        self._up = asyncio.Event()
        self._closed = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    @property
    def peer_pid(self) -> int:
        return 0 if self._link is None else self._link.peer_pid

    async def request(self, operation: str, body: Any = None) -> Any:
        link = self._current()
        try:
            return await link.request(operation, body)
        except WorkerLost:
            if link.is_closed:
                raise WorkerLost("the keeper ended before it answered; try again in a second") from None
            raise  # the keeper's own answer

    async def notify(self, operation: str, body: Any = None) -> None:
        await self._current().notify(operation, body)

    async def wait_up(self) -> None:
        """Returns once there is a greeted connection. Raises what ended the search, if anything did."""
        up = asyncio.ensure_future(self._up.wait())
        try:
            await asyncio.wait({up, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._link is not None:
            await self._link.close()
        self._closed.set()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def _current(self) -> SocketLink:
        if self._link is None or not self._up.is_set():
            raise WorkerLost("the keeper is not there at the moment; try again in a second")
        return self._link

    async def _run(self) -> None:
        retry_s = limits.LINK_RETRY_S_MIN
        while True:
            try:
                self._link = await connect(self._path, self._serve)
                await self._greet(self._link)
                self._up.set()
                retry_s = limits.LINK_RETRY_S_MIN
                await self._link.wait_closed()
                logger.warning("the keeper is gone; looking for it at %s", self._path)
            except HostError as reason:
                logger.debug("no keeper yet: %s", reason)
            finally:
                self._up.clear()
                if self._link is not None:
                    await self._link.close()
            await self._pause(retry_s)
            retry_s = min(2 * retry_s, limits.LINK_RETRY_S_MAX)

    def _serve(self, link: SocketLink) -> Handler:
        return self._handler
