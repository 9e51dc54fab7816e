"""The vectors of the capabilities: the host takes their requests and writes their replies."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

import msgpack
import pytest

import vectors
from hostcalls.asking import TENANT, Above
from hostcalls.double import Guest
from isolet import abi
from isolet.engine.host import Wait
from isolet.errors import CallRefused, Raised, Throttled, UnknownFunction
from isolet.hostcalls.state import HostConstants
from isolet.model import Capabilities, Invocation, Outcome, Target, Usage
from isolet.routing import FunctionRef

GRANTED = Capabilities(
    kv=("n", "counters"), fetch=("*", "127.0.0.1:8090"), invoke=("*",), secrets=("API_KEY", "prod/key", "NONE", "K")
)
USAGE = Usage(0, 0, 0, 0, 0, 0, 0)


class Scripted(Above):
    """Answers what a vector says."""

    def __init__(self, case: dict[str, Any]) -> None:
        error = vectors.value(case["error"]) if "error" in case else None
        refusal = None if error is None else CallRefused(error["type"], error["message"], error.get("cause"))
        super().__init__(refusal or vectors.value(case.get("ok")))
        self.error = error

    async def invoke(self, caller: Invocation, deadline_ns: int, ref: FunctionRef, event: bytes) -> Outcome:
        if self.error is None:
            return Outcome(self.answer, None, USAGE)
        kind, message = self.error["type"], self.error["message"]
        if kind == "UnknownFunction":
            raise UnknownFunction(message)
        if kind == "Throttled":
            raise Throttled(message, "ConcurrentInvocationLimitExceeded")
        if kind == "FunctionError":
            return Outcome(None, Raised(self.error["cause"]["type"], self.error["cause"]["message"]), USAGE)
        raise self.answer


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def reply_to(case: dict[str, Any]) -> Any:
    above = Scripted(case)
    constants = HostConstants(
        *("greet", "$LATEST", "arn:aws:lambda:x", 1, (), {}), tenant=TENANT, capabilities=GRANTED, upward=above
    )
    guest = Guest(constants, memory_bytes=8 << 20)
    guest.state.deadline_ns = perf_counter_ns() + 60 * 10**9
    guest.state.invocation = Invocation(_target(), "r", b"", 0)
    answer = guest.call("call", *guest.put(vectors.raw(case["bytes"])))
    if isinstance(answer, Wait):
        work = answer.argument
        assert callable(work)
        answer = asyncio.run(work())
    assert answer >= 0
    ptr, _ = guest.put(bytes(answer))
    assert guest.call("take", ptr) == 0
    return msgpack.unpackb(guest.read(ptr, answer))


def _target() -> Target:
    return Target.__new__(Target)


@pytest.mark.parametrize("case", vectors.cases("capabilities.json", "calls"), ids=named)
def test_the_host_takes_the_request_and_writes_the_reply(case: dict[str, Any]) -> None:
    assert msgpack.unpackb(vectors.raw(case["bytes"])) == vectors.value(case["request"])
    expected = msgpack.unpackb(vectors.raw(case["reply"]))
    assert expected == {key: vectors.value(case[key]) for key in ("ok", "error") if key in case}
    reply = reply_to(case)
    if "error" in case:
        # The words are for people, and what is from a later host this one does not say.
        error = reply["error"]
        assert error["type"] == expected["error"]["type"]
        assert error.get("cause") == expected["error"].get("cause")
    else:
        assert reply == expected


@pytest.mark.parametrize("case", vectors.cases("capabilities.json", "malformed"), ids=named)
def test_no_reply_of_the_hosts_is_like_these(case: dict[str, Any]) -> None:
    raw = vectors.raw(case["reply"])
    for good in vectors.cases("capabilities.json", "calls"):
        assert raw != vectors.raw(good["reply"])


def test_statuses_are_the_abis() -> None:
    known = {abi.MALFORMED, abi.UNKNOWN, abi.NOT_GRANTED, abi.REFUSED, abi.FAILED}
    assert {case["status"] for case in vectors.cases("capabilities.json", "statuses")} == known
