"""The other end of the hop (passing.py): connections of a worker that is not the door.

Laws:
- A connection is the door's or it is closed before anything of it is read: the kernel says which process connected, and
  the keeper which processes are the door's (`Door.doors`). So a worker of a third cordon has no way in.
- What the door says of a request (its id, the client's address, who signed it) is believed; a request without it is
  refused. All limits hold here as they do there: the door may be wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from ..errors import IsoletError, MalformedRequest
from ..roster import peer_pid
from . import events
from .door import Door, HttpLimits
from .passing import GREETING, PASSED, Passed
from .protocol import Connection

# What the door adds to a head.
_PASSED_BYTES = 1024


def inner_limits(limits: HttpLimits) -> HttpLimits:
    """What passes the door with these passes here."""
    return replace(limits, headers=limits.headers + 1, headers_bytes=limits.headers_bytes + _PASSED_BYTES)


class InnerConnection(Connection):
    """One line. Requests on it come one at a time: what is noted of one is not overwritten by the next."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if peer_pid(transport.get_extra_info("socket")) not in self.door.doors:
            self._parser = None
            self._closing = True
            self.transport = transport  # type: ignore[assignment]
            self.door.counters.swept["not the door"] += 1
            self.transport.abort()
            return
        self._passed = Passed("", "", False, None)
        self.request_id = lambda: self._passed.request_id or self.door.request_id()
        super().connection_made(transport)
        self.transport.write(GREETING)

    @property
    def client_address(self) -> str:
        return self._passed.client

    def on_headers_complete(self) -> None:
        try:
            self._passed = passed = self._said()
        except IsoletError as refusal:
            self._refusal = refusal
            raise
        self.vouched = passed.caller
        self.source_part = _source_part(passed.client)
        super().on_headers_complete()
        if self._receiving is not None:
            self._receiving.http_1_0 = passed.http_1_0

    def _said(self) -> Passed:
        """What the door says, which is no header of the request's. Raises MalformedRequest."""
        name, value = self._headers.pop(0) if self._headers else (b"", b"")
        try:
            if name != PASSED:
                raise ValueError("it is not the first header")
            return Passed.read(value)
        except ValueError:
            raise MalformedRequest("a request on this socket begins with what the door says of it") from None


_source_part = lru_cache(maxsize=1024)(events.source_part)


def inner_factory(door: Door) -> Callable[..., InnerConnection]:
    """As `protocol_factory`, for a worker that is not the door."""
    return partial(InnerConnection, door)
