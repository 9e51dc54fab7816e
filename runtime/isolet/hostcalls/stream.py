"""The capability `stream`: an answer that leaves while it is written (abi.md 5.6).

Laws:
- Granted to everyone: it is the function's own answer. Whether somebody reads it as it comes is the caller's to choose,
  and what `stream.open` says; where nobody does, the function answers whole.
- A write ends when its reader has room for more: a slow reader slows the guest, whose deadline bounds it. What is on
  its way of one invocation is one write and what the reader's side buffers.
- After the first byte there is no other status: a function that fails then is known by the stream's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from .. import abi, limits
from ..engine.host import Wait
from ..errors import AbiViolation, CallRefused
from .capability import Session, arguments_of, invalid, kind_of, table
from .state import HostConstants, HostState

_OPEN, _WRITE = "stream.open", "stream.write"
_OPTIONS = ("status", "headers", "cookies", "content_type")
_DONE = abi.pack({"ok": None})


class Stream:
    def link(self) -> Iterable[str]:
        return (_OPEN, _WRITE)

    def admit(self, constants: HostConstants) -> Any:
        return ()

    def open(self, grant: Any) -> Session:
        return _Session()


class _Session:
    """Of one invocation."""

    def __init__(self) -> None:
        self._open = False
        self._bytes = 0

    def __call__(self, state: HostState, name: str, arguments: list[Any]) -> bytes | Wait:
        return self._begin(state, arguments) if name == _OPEN else self._write(state, arguments)

    def _begin(self, state: HostState, arguments: list[Any]) -> bytes:
        (given,) = arguments_of(_OPEN, arguments, 0, 1)
        options = table(_OPEN, "the options", given, _OPTIONS)
        if self._open:
            raise invalid(f"{_OPEN}: the stream is open; an answer begins once")
        reader = None if state.invocation is None else state.invocation.reader
        if reader is None:
            return abi.pack({"ok": False})
        try:
            reader.opened(options)
        except AbiViolation as wrong:
            raise invalid(f"{_OPEN}: {wrong.message}") from None
        self._open = True
        return abi.pack({"ok": True})

    def _write(self, state: HostState, arguments: list[Any]) -> bytes | Wait:
        (data,) = arguments_of(_WRITE, arguments, 1)
        if type(data) is not bytes:
            raise invalid(f"{_WRITE}: the data is {kind_of(data)}; give binary")
        if not self._open:
            raise invalid(f"{_WRITE}: the stream is not open; ask {_OPEN} first")
        self._bytes += len(data)
        if self._bytes > limits.STREAM_BYTES_MAX:
            raise CallRefused("TooLarge", f"{_WRITE}: an answer has at most {limits.STREAM_BYTES_MAX:,} bytes")
        assert state.invocation is not None, "it was opened for one"
        assert state.invocation.reader is not None, "it was opened by one"
        room = state.invocation.reader.wrote(data)
        return _DONE if room is None else _until(room, state)


def _until(room: asyncio.Future[None], state: HostState) -> Wait:
    async def wait() -> int:
        await room
        state.reply = _DONE
        return len(_DONE)

    return Wait("work", wait)
