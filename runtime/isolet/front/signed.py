"""An invocation whose caller must have signed the request.

Law: `admitted` is called at most once, with who signed, and not for a client that has left; before `start` returns if
the worker knows the key (callers.py). Who is not admitted hears `failed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from .callers import Caller, Received
from .exchange import Invoking


class SignedInvoking(Invoking):
    path: str
    query: bytes
    _admitting: asyncio.Task[None] | None = None

    def authenticate(self) -> None:
        connection = self.connection
        assert connection is not None, "called while starting"
        if connection.vouched is not None:  # the door of another cordon has asked
            self.admitted(connection.vouched)
            return
        try:
            caller = connection.door.callers.caller(
                Received(
                    self.method.decode("ascii"), self.path, self.query.decode("latin-1"), self.head.headers, self.body
                )
            )
            if not isinstance(caller, Caller):
                self._admitting = connection.loop.create_task(self._admit(caller))
                return
        except Exception as error:
            self.failed(error)
            return
        self.admitted(caller)

    async def _admit(self, caller: Awaitable[Caller]) -> None:
        try:
            known = await caller
        except Exception as error:
            self.failed(error)
            return
        if self.connection is not None:
            self.admitted(known)

    def admitted(self, caller: Caller) -> None:
        raise NotImplementedError

    def abandon(self) -> None:
        super().abandon()
        if self._admitting is not None:
            self._admitting.cancel()
