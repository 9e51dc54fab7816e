from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import msgpack
import pytest

from front.house import outcome, target
from isolet.errors import Overloaded, Raised, Throttled, UnknownFunction
from isolet.front.attempts import Attempts
from isolet.lineage import depth_of
from isolet.model import Invocation, Outcome, Target
from isolet.routing import FunctionRef

pytestmark = pytest.mark.anyio

EVENT = ["id", "000000000000", "hello", "live", b'{"a":1}', b"\xc0", "Root=1", 3]


class Plane:
    """Answers, raises, or holds until it is let go."""

    def __init__(self, result: Outcome | Exception | None = None) -> None:
        self.result = result
        self.seen: list[Invocation] = []
        self.began = asyncio.Event()
        self.gate = asyncio.Event()

    def find(self, ref: FunctionRef) -> Target:
        if isinstance(self.result, UnknownFunction):
            raise self.result
        assert ref == ("000000000000", "hello", "live")
        return target(version="7", qualifier="live")

    async def invoke(self, invocation: Invocation) -> Outcome:
        self.seen.append(invocation)
        self.began.set()
        if self.result is None:
            await self.gate.wait()
            return outcome(1)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def attempt(result: Outcome | Exception, event: list[Any] = EVENT) -> tuple[list[Any], Plane]:
    plane = Plane(result)
    return await Attempts(plane.find, plane.invoke)(event), plane


async def test_result_is_json_of_the_version_that_ran() -> None:
    answer, plane = await attempt(outcome({"r": b"\xff"}))
    assert answer == ["succeeded", "7", b'{"r":"/w=="}', ""]
    (invocation,) = plane.seen
    assert (invocation.request_id, invocation.depth) == ("id", 3)
    assert msgpack.unpackb(invocation.event) == {"a": 1}
    assert depth_of(invocation.trace_id) == 4


async def test_large_event_is_packed_whole() -> None:
    body = json.dumps(list(range(50_000))).encode()
    _, plane = await attempt(outcome(1), [*EVENT[:4], body, *EVENT[5:]])
    assert msgpack.unpackb(plane.seen[0].event) == list(range(50_000))


async def test_functions_error_is_its_own() -> None:
    (ended, version, payload, message), _ = await attempt(outcome(error=Raised("Bad", "no")))
    assert (ended, version, message) == ("failed", "7", "no")
    assert json.loads(payload)["errorType"] == "Bad"


@pytest.mark.parametrize("kind", [Raised, Overloaded])
async def test_failure_leaves_nothing_for_the_collector(kind: type[Exception]) -> None:
    """What a failing event was lets go of itself: thousands a second of them would hold the loop for it."""

    async def fails() -> weakref.ref[Exception]:
        error = kind("Bad", "no") if kind is Raised else kind("full")
        await attempt(outcome(error=error))
        return weakref.ref(error)

    gc.disable()
    try:
        assert (await fails())() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "error",
    [Throttled("full", "ConcurrentInvocationLimitExceeded"), Overloaded("full"), UnknownFunction("not yet here")],
)
async def test_refusal_is_no_attempt(error: Exception) -> None:
    (ended, *_), _ = await attempt(error)
    assert ended == "throttled"


async def test_worker_that_drains_waits_for_what_is_under_way_and_takes_no_more() -> None:
    plane = Plane()
    attempts = Attempts(plane.find, plane.invoke)
    first = asyncio.ensure_future(attempts(EVENT))
    await plane.began.wait()
    await attempts.drain(0)
    assert (await attempts(EVENT))[0] == "throttled"
    draining = asyncio.ensure_future(attempts.drain(60))
    plane.gate.set()
    await draining
    assert (await first)[0] == "succeeded"


async def test_keeper_may_give_an_attempt_up() -> None:
    plane = Plane()
    first = asyncio.ensure_future(Attempts(plane.find, plane.invoke)(EVENT))
    await plane.began.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
