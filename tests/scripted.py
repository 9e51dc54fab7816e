"""A host whose capabilities are a script: what `isolet.call` was asked is kept, what it answers is given.

For the SDKs: what they ask must mean what the vectors say, and whatever comes back must be read without harm. The real
capabilities have tests of their own (tests/hostcalls).
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from isolet.engine.engine import Engine, EngineSettings, Template
from isolet.engine.host import GuestView, Wait
from isolet.hostcalls.table import IMPORTS
from running import Guest, built

# A reply's bytes, or a status in place of its length.
Reply = bytes | int


class Script:
    """The one that answers at present; guests of all SDKs share an engine, and a test runs one of them at a time."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.replies: list[Reply] = []

    def call(self, guest: GuestView, ptr: int, length: int) -> Wait:
        self.requests.append(guest.read(ptr, length))
        reply = self.replies.pop(0)

        def answered(_status: int) -> int:
            if isinstance(reply, int):
                return reply
            guest.state.reply = reply
            return len(reply)

        return Wait("script", None, answered)


SCRIPT = Script()


@functools.cache
def engine() -> Engine:
    imports = [replace(f, func=SCRIPT.call) if (f.module, f.name) == ("isolet", "call") else f for f in IMPORTS]
    return Engine(EngineSettings(pooling=False), imports)


@functools.cache
def template(directory: Path) -> Template:
    return engine().link(engine().compile(built(directory).wasm))


class ScriptedGuest(Guest):
    """A function of `directory` that is answered by a script."""

    def _prepared(self, directory: Path) -> tuple[Engine, Template, tuple[int, int]]:
        return engine(), template(directory), (0, 0)

    def asked(self, envelope: bytes, *replies: Reply) -> tuple[bytes, list[bytes]]:
        """The outcome, and what it requested on the way there."""
        SCRIPT.requests, SCRIPT.replies = [], list(replies)
        return self.serve(envelope), SCRIPT.requests
