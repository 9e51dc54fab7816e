"""Events on their way to the keeper, which makes them durable: those of one tenant and turn of the loop in one message.

Law: `done` is called once for every event: with None when it is durable, else with the reason why it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .. import limits
from ..errors import HostError, IsoletError, Throttled

# (operation, body) → reply, of the keeper.
Ask = Callable[[str, Any], Awaitable[Any]]
Done = Callable[[Exception | None], None]

# Where an event, as a list, has its tenant.
_TENANT = 1


class Acceptance:
    """One worker's."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._events: list[tuple[list[Any], Done]] = []
        self._bytes = 0
        self._sending: set[asyncio.Task[None]] = set()

    def submit(self, event: list[Any], size: int, done: Done) -> None:
        """`event` is a storage/queue.Accepted as a list, `size` its body's."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._flush)
        self._events.append((event, done))
        self._bytes += size
        if self._bytes >= limits.ACCEPT_MESSAGE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._events:
            return
        events, self._events, self._bytes = self._events, [], 0
        by_tenant: dict[str, list[tuple[list[Any], Done]]] = {}
        for event, done in events:
            by_tenant.setdefault(event[_TENANT], []).append((event, done))
        for some in by_tenant.values():
            task = asyncio.ensure_future(self._send(some))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, events: list[tuple[list[Any], Done]]) -> None:
        try:
            accepted = await self._ask("accept", [event for event, _ in events])
        except IsoletError as reason:
            for _, done in events:
                done(reason)
            return
        except asyncio.CancelledError:
            for _, done in events:
                done(HostError("the worker ended"))
            raise
        for (_, done), durable in zip(events, accepted, strict=True):
            done(None if durable else _too_many())


def _too_many() -> Throttled:
    return Throttled("Rate Exceeded: too many asynchronous events are queued", "CallerRateLimitExceeded")
