"""Capability requests as a guest makes them: of the double, and of a whole data plane with a keeper above."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack

from hostcalls.double import Guest
from isolet.engine.host import Wait
from isolet.errors import CallRefused
from isolet.hostcalls.state import HostConstants
from isolet.model import Capabilities, Invocation, Outcome, Target
from isolet.routing import FunctionRef
from plane import Plane

TENANT = "000000000000"


class Above:
    """What is above the double: remembers what it is asked; answers `answer`, or raises it."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []
        self.counted: list[tuple[str, int, int]] = []

    async def ask(self, operation: str, body: Any) -> Any:
        self.asked.append((operation, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def invoke(self, caller: Invocation, deadline_ns: int, ref: FunctionRef, event: bytes) -> Outcome:
        raise AssertionError("of the plane's tests")

    def count(self, capability: str, sent_bytes: int, received_bytes: int) -> None:
        self.counted.append((capability, sent_bytes, received_bytes))


def granted(above: Above, **capabilities: tuple[str, ...]) -> Guest:
    """A guest of a function with these capabilities."""
    constants = HostConstants(
        *("greet", "$LATEST", "arn:aws:lambda:x", 1, (), {}),
        tenant=TENANT,
        capabilities=Capabilities(**capabilities),
        upward=above,
    )
    return Guest(constants, memory_bytes=8 << 20)


def call(guest: Guest, *request: Any) -> Any:
    """The reply, or the status."""
    answer = guest.call("call", *guest.put(msgpack.packb(request)))
    if isinstance(answer, Wait):
        assert answer.kind == "work"
        work = answer.argument
        assert callable(work)
        answer = asyncio.run(work())
    if answer < 0:
        return answer
    ptr, _ = guest.put(bytes(answer))
    assert guest.call("take", ptr) == 0
    return msgpack.unpackb(guest.read(ptr, answer))


def error_of(reply: Any) -> tuple[str, str]:
    """(type, message) of a reply that is an error."""
    assert list(reply) == ["error"]
    message = reply["error"]["message"]
    assert "\n" not in message
    return reply["error"]["type"], message


def refused(guest: Guest, kind: str, *request: Any) -> str:
    """The message of a request that is refused with this type."""
    found, message = error_of(call(guest, *request))
    assert found == kind, message
    return message


async def relay(plane: Plane, target: Target, *request: Any) -> Any:
    """The reply to one request of the guest `relays`, or the status."""
    outcome = await plane.invoke(target, msgpack.packb(msgpack.packb(request)))
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def run(directory: Path, main: Callable[[Plane], Awaitable[None]], **options: Any) -> None:
    """`main` on a data plane; everything of it is given back when it ends."""

    async def live() -> None:
        plane = Plane(directory, **options)
        async with asyncio.timeout(60):
            await main(plane)
        await asyncio.sleep(0)
        assert plane.invoker.in_flight == 0
        assert plane.scheduler.waiting == 0
        assert plane.engine.live == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(live())


__all__ = ["TENANT", "Above", "CallRefused", "call", "error_of", "granted", "refused", "relay", "run"]
