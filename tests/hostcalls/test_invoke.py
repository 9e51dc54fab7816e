"""`invoke`: one function asks another. Nobody waits for a slot that a waiting caller holds; every chain ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from hostcalls.asking import Above, granted, refused, relay, run
from isolet import abi, limits
from isolet.errors import TimedOut
from isolet.model import Capabilities, Served, Target
from plane import Plane
from sources import needs_python

ANY = Capabilities(invoke=("*",))


def deploy(plane: Plane, guest: str, name: str, capabilities: Capabilities = ANY, **options: Any) -> Target:
    target = plane.target(guest, name=name, capabilities=capabilities, **options)
    plane.routes.put(Served(target.tenant, target.name, (target,)))
    return target


def nested(*path: Any) -> list[Any]:
    """["invoke", a, ["invoke", b, …]] as `relays` wants it: each payload is the next one's request as bytes."""
    *names, last = path
    request = last
    for name in reversed(names):
        request = ["invoke", name, msgpack.packb(request)]
    assert isinstance(request, list)
    return request


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("Invalid", ("invoke",)),
        ("Invalid", ("invoke", "f")),
        ("Invalid", ("invoke", "f", 1, 2)),
        ("Invalid", ("invoke", b"f", 1)),
        ("Invalid", ("invoke", "", 1)),
        ("Invalid", ("invoke", "a b", 1)),
        ("Invalid", ("invoke", "x" * 1_000, 1)),
        ("Invalid", ("invoke", "f:", 1)),
        ("UnknownFunction", ("invoke", "arn:aws:lambda:us-east-1:999999999999:function:f", 1)),
        ("UnknownFunction", ("invoke", "999999999999:function:f", 1)),
        ("NotGranted", ("invoke", "g", 1)),
        ("NotGranted", ("invoke", "ff", 1)),
        ("NotGranted", ("invoke", "img:7", 1)),
        ("TooLarge", ("invoke", "f", bytes(limits.PAYLOAD_BYTES_MAX))),
    ],
)
def test_what_is_not_allowed_is_refused_before_anybody_runs(kind: str, request_: tuple[Any, ...]) -> None:
    refused(granted(Above(), invoke=("f", "img", "img:$LATEST")[::2]), kind, *request_)


def test_a_name_without_a_grant_names_the_line_to_add() -> None:
    message = refused(granted(Above(), invoke=("img-*",)), "NotGranted", "invoke", "resize", {})
    assert 'function.toml: [capabilities] invoke = ["resize"]' in message


def test_the_payload_is_the_callees_event_and_its_result_the_reply(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        caller = deploy(plane, "relays", "caller", Capabilities(invoke=("cal*ee",)))
        deploy(plane, "relays", "callee")
        assert (await relay(plane, caller, *nested("callee", ["fly"]))) == {"ok": -2}
        deploy(plane, "raises", "callee")
        payload = {"a": [1, b"\0", None, "é", 1.5]}
        await relay(plane, caller, "invoke", "callee", payload)
        assert msgpack.unpackb(plane.notes.kept[-2][0].event) == payload

    run(tmp_path, main)


def test_usage_is_recorded_for_both(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        caller, callee = deploy(plane, "relays", "caller"), deploy(plane, "relays", "callee")
        reply = await relay(plane, caller, *nested("callee", ["random", 3]))
        assert len(reply["ok"]) == 3
        assert [invocation.target for invocation, _ in plane.notes.kept] == [callee, caller]
        (inner, ran), (outer, _) = plane.notes.kept
        assert inner.depth == 1
        assert outer.depth == 0
        assert inner.request_id != outer.request_id
        assert ran.usage.fuel > 0
        assert plane.asked["invoke"][0] == 1

    run(tmp_path, main)


def test_the_callees_own_failure_is_told_with_its_cause(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        caller, _ = deploy(plane, "relays", "caller"), deploy(plane, "raises", "callee")
        error = (await relay(plane, caller, "invoke", "callee", 1))["error"]
        assert error["type"] == "FunctionError"
        assert set(error["cause"]) == {"type", "message"}
        deploy(plane, "unreachable", "callee")
        error = (await relay(plane, caller, "invoke", "callee", 1))["error"]
        assert (error["type"], error["cause"]["type"]) == ("FunctionError", "Runtime.Trapped")

    run(tmp_path, main)


def test_who_is_not_there_is_unknown_and_of_another_owner_never_found(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        caller = deploy(plane, "relays", "caller")
        deploy(plane, "relays", "theirs", tenant="111111111111")
        for name in ("nobody", "theirs", "caller:7", "arn:aws:lambda:us-east-1:111111111111:function:theirs"):
            assert (await relay(plane, caller, "invoke", name, 1))["error"]["type"] == "UnknownFunction"

    run(tmp_path, main)


def test_a_chain_ends_at_its_sixteenth_function(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        deploy(plane, "relays", "b")
        caller = deploy(plane, "relays", "a")
        names = ["b", "a"] * 20
        reply = await relay(plane, caller, *nested(*names[: limits.INVOKE_DEPTH_MAX - 1], ["random", 1]))
        for _ in range(limits.INVOKE_DEPTH_MAX - 1):
            reply = reply["ok"]
        assert len(reply) == 1
        reply = await relay(plane, caller, *nested(*names[: limits.INVOKE_DEPTH_MAX], ["random", 1]))
        for _ in range(limits.INVOKE_DEPTH_MAX - 1):
            reply = reply["ok"]
        assert reply["error"]["type"] == "TooDeep"
        assert max(invocation.depth for invocation, _ in plane.notes.kept) == limits.INVOKE_DEPTH_MAX - 1

    run(tmp_path, main)


def test_waiting_callers_never_wait_for_each_others_slots(tmp_path: Path) -> None:
    """As many callers as may run: none of their callees finds room, and every one of them is told."""

    async def main(plane: Plane) -> None:
        caller = deploy(plane, "relays", "me")
        replies = await asyncio.gather(*(relay(plane, caller, *nested("me", ["sleep", 20])) for _ in range(4)))
        kinds = [reply["error"]["type"] if "error" in reply else "ok" for reply in replies]
        assert kinds == ["Throttled"] * 4
        assert len(plane.notes.refused) == 4
        assert (await relay(plane, caller, *nested("me", ["random", 1])))["ok"]

    run(tmp_path, main, concurrency=4)


def test_no_slot_in_the_pool_is_throttled_too(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        caller = deploy(plane, "relays", "me")
        replies = await asyncio.gather(*(relay(plane, caller, *nested("me", ["sleep", 20])) for _ in range(2)))
        assert [reply["error"]["type"] for reply in replies] == ["Throttled"] * 2

    run(tmp_path, main, isolates_max=2)


def test_the_callers_deadline_is_the_callees_too(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        deploy(plane, "relays", "sleeper", timeout_s=30)
        caller = deploy(plane, "relays", "caller", timeout_s=0.1)
        with pytest.raises(TimedOut):
            await relay(plane, caller, *nested("sleeper", ["sleep", 20_000]))
        while plane.invoker.in_flight:
            await asyncio.sleep(0)
        assert {type(outcome.error).__name__ for _, outcome in plane.notes.kept} <= {"TimedOut", "Cancelled"}
        assert len(plane.notes.kept) == 2

    run(tmp_path, main)


@needs_python
def test_a_callee_is_told_its_callers_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    pack = abi.pack_envelope

    def packed(event: bytes, constants: bytes, request_id: str, deadline_ms: int, *more: Any) -> bytes:
        told.append(deadline_ms)
        return pack(event, constants, request_id, deadline_ms, *more)

    async def main(plane: Plane) -> None:
        monkeypatch.setattr(abi, "pack_envelope", packed)
        deploy(plane, "relays", "later", timeout_s=900)
        caller = deploy(plane, "relays", "caller", timeout_s=30)
        await relay(plane, caller, *nested("later", ["random", 1]))
        assert abs(told[1] - told[0]) <= 2, "milliseconds, of rounding"

    run(tmp_path, main)


def test_a_callee_with_less_time_fails_alone(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        deploy(plane, "relays", "sleeper", timeout_s=0.05)
        caller = deploy(plane, "relays", "caller", timeout_s=30)
        error = (await relay(plane, caller, *nested("sleeper", ["sleep", 20_000])))["error"]
        assert error["cause"]["type"] == "Sandbox.Timedout"

    run(tmp_path, main)


def test_a_client_that_leaves_ends_the_whole_chain(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        deploy(plane, "relays", "b")
        caller = deploy(plane, "relays", "a")
        asking = asyncio.ensure_future(relay(plane, caller, *nested("b", "a", "b", ["sleep", 20_000])))
        while plane.scheduler.waiting < 4:
            await asyncio.sleep(0)
        asking.cancel()
        while plane.invoker.in_flight:
            await asyncio.sleep(0)
        assert [type(outcome.error).__name__ for _, outcome in plane.notes.kept] == ["Cancelled"] * 4
        await asyncio.gather(asking, return_exceptions=True)

    run(tmp_path, main)
