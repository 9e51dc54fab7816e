"""`kv` as guests ask for it: granted by namespace, checked before the keeper hears of it, answered with a result."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hostcalls.asking import TENANT, Above, call, granted, refused, relay, run
from isolet import abi, limits
from isolet.clock import ManualClock
from isolet.errors import CallRefused, PayloadTooLarge, WorkerLost
from isolet.model import Capabilities
from isolet.storage.database import Database
from isolet.storage.kv import Kv
from plane import Plane

GRANT = Capabilities(kv=("n",))


def test_a_request_goes_up_with_its_owner_and_its_options() -> None:
    above = Above({"version": 7})
    guest = granted(above, kv=("n", "m"))
    assert call(guest, "kv.put", "m", "k", b"v", {"ttl_s": 1.5, "if_version": 0}) == {"ok": {"version": 7}}
    assert call(guest, "kv.put", "n", "k", b"", None) == {"ok": {"version": 7}}
    assert call(guest, "kv.get", "n", "é") == {"ok": {"version": 7}}
    assert call(guest, "kv.list", "n", "", {"limit": 3, "after": "a"}) == {"ok": {"version": 7}}
    assert call(guest, "kv.delete", "n", "k", {"if_version": None}) == {"ok": {"version": 7}}
    assert above.asked == [
        ("kv", [TENANT, "put", "m", "k", b"v", {"ttl_s": 1.5, "if_version": 0}]),
        ("kv", [TENANT, "put", "n", "k", b"", {}]),
        ("kv", [TENANT, "get", "n", "é", None, {}]),
        ("kv", [TENANT, "list", "n", "", None, {"limit": 3, "after": "a"}]),
        ("kv", [TENANT, "delete", "n", "k", None, {}]),
    ]


def test_a_namespace_without_a_grant_names_the_line_to_add() -> None:
    above = Above()
    message = refused(granted(above, kv=("n",)), "NotGranted", "kv.get", "users", "k")
    assert 'function.toml: [capabilities] kv = ["users"]' in message
    assert "greet" in message
    refused(granted(above), "NotGranted", "kv.put", "n", "k", b"")
    refused(granted(above, kv=("n",)), "NotGranted", "kv.list", "\n\x1b[31m" + "x" * 5_000, "")
    assert above.asked == []


@pytest.mark.parametrize(
    "request_",
    [
        ("kv.get",),
        ("kv.get", "n"),
        ("kv.get", "n", "k", {}, 1),
        ("kv.get", "n", ""),
        ("kv.get", "n", b"k"),
        ("kv.get", 1, "k"),
        ("kv.get", "n", "k", {"limit": 1}),
        ("kv.get", "n", "k", []),
        ("kv.put", "n", "k"),
        ("kv.put", "n", "k", "text"),
        ("kv.put", "n", "k", None),
        ("kv.put", "n", "k", {"a": 1}),
        ("kv.put", "n", "k", b"", {"ttl_s": 0}),
        ("kv.put", "n", "k", b"", {"ttl_s": -1}),
        ("kv.put", "n", "k", b"", {"ttl_s": float("nan")}),
        ("kv.put", "n", "k", b"", {"ttl_s": float("inf")}),
        ("kv.put", "n", "k", b"", {"ttl_s": "1"}),
        ("kv.put", "n", "k", b"", {"ttl_s": True}),
        ("kv.put", "n", "k", b"", {"ttl_s": limits.KV_TTL_S_MAX + 1}),
        ("kv.put", "n", "k", b"", {"if_version": -1}),
        ("kv.put", "n", "k", b"", {"if_version": 1 << 63}),
        ("kv.put", "n", "k", b"", {"if_version": 1.0}),
        ("kv.put", "n", "k", b"", {"if_version": False}),
        ("kv.put", "n", "k", b"", {"ttl": 1}),
        ("kv.list", "n", "", {"limit": 0}),
        ("kv.list", "n", "", {"limit": 1_001}),
        ("kv.list", "n", "", {"after": b""}),
    ],
)
def test_what_the_abi_does_not_allow_is_invalid_and_goes_nowhere(request_: tuple[Any, ...]) -> None:
    above = Above()
    refused(granted(above, kv=("n",)), "Invalid", *request_)
    assert above.asked == []


@pytest.mark.parametrize(
    "request_",
    [
        ("kv.get", "n", "k" * 513),
        ("kv.get", "n", "é" * 257),
        ("kv.list", "n", "k" * 513),
        ("kv.list", "n", "", {"after": "k" * 513}),
        ("kv.put", "n", "k", bytes(limits.KV_VALUE_BYTES_MAX + 1)),
    ],
)
def test_keys_and_values_have_an_end(request_: tuple[Any, ...]) -> None:
    above = Above()
    message = refused(granted(above, kv=("n",)), "TooLarge", *request_)
    assert "at most" in message
    assert above.asked == []


def test_the_largest_key_and_value_are_taken() -> None:
    above = Above({"version": 1})
    guest = granted(above, kv=("n",))
    assert "ok" in call(guest, "kv.put", "n", "k" * 512, bytes(limits.KV_VALUE_BYTES_MAX))
    assert above.counted == [("kv", 512 + limits.KV_VALUE_BYTES_MAX, len(abi.pack({"ok": {"version": 1}})))]


def test_what_the_keeper_refuses_is_an_error_and_its_absence_a_status() -> None:
    guest = granted(Above(CallRefused("Conflict", "it is at 3")), kv=("n",))
    assert refused(guest, "Conflict", "kv.put", "n", "k", b"", {"if_version": 1}) == "it is at 3"
    assert call(granted(Above(WorkerLost("no keeper")), kv=("n",)), "kv.get", "n", "k") == abi.FAILED
    refused(granted(Above(PayloadTooLarge("large")), kv=("n",)), "TooLarge", "kv.get", "n", "k")


def test_a_call_that_goes_up_costs_more_than_one_that_does_not() -> None:
    guest = granted(Above(), kv=("n",))
    before = guest.fuel
    call(guest, "kv.get", "n", "k")
    spent = before - guest.fuel
    before = guest.fuel
    call(guest, "kv.get", "other", "k")
    assert spent - (before - guest.fuel) == pytest.approx(limits.WORK_FUEL, abs=100)


# ── a guest, a data plane, a database ───────────────────────────────────────────────────────────────────────────


async def with_database(plane: Plane, directory: Path) -> Database:
    database = Database(directory / "kv.db")
    await database.open()
    kv = Kv(database, ManualClock())

    async def ask(operation: str, body: Any) -> Any:
        assert operation == "kv"
        return await kv.serve(*body)

    plane.ask = ask
    return database


def test_a_guest_puts_and_another_invocation_gets(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        database = await with_database(plane, tmp_path)
        target = plane.target("relays", capabilities=GRANT)
        large = bytes(range(256)) * 4_096
        assert await relay(plane, target, "kv.get", "n", "k") == {"ok": None}
        assert await relay(plane, target, "kv.put", "n", "k", large) == {"ok": {"version": 1}}
        stranger = plane.target("relays", tenant="111111111111", capabilities=GRANT)
        assert await relay(plane, stranger, "kv.get", "n", "k") == {"ok": None}
        reader = plane.target("relays", name="reader", memory_mb=4, capabilities=GRANT)
        assert await relay(plane, reader, "kv.get", "n", "k") == {"ok": {"value": large, "version": 1}}
        assert plane.asked["kv"][0] == 4
        assert plane.asked["kv"][1] > len(large)
        await database.close()

    run(tmp_path, main)


def test_without_a_grant_the_guest_is_told_so(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        reply = await relay(plane, plane.target("relays"), "kv.get", "n", "k")
        assert reply["error"]["type"] == "NotGranted"

    run(tmp_path, main)


def test_without_a_keeper_it_is_the_hosts_failure(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        assert await relay(plane, plane.target("relays", capabilities=GRANT), "kv.get", "n", "k") == abi.FAILED

    run(tmp_path, main)


def test_what_fails_in_an_unforeseen_way_is_the_hosts_failure_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(plane: Plane) -> None:
        async def ask(operation: str, body: Any) -> Any:
            raise KeyError("a defect of ours")

        plane.ask = ask
        assert await relay(plane, plane.target("relays", capabilities=GRANT), "kv.get", "n", "k") == abi.FAILED
        assert "a defect of ours" in caplog.text

    run(tmp_path, main)


class Tarpit:
    """A keeper that never answers, and knows who still waits."""

    def __init__(self) -> None:
        self.waiting = 0
        self.reached = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, operation: str, body: Any) -> Any:
        self.waiting += 1
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1
            self.left.set()


def test_the_deadline_ends_guest_and_work(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        plane.ask = tarpit = Tarpit()
        target = plane.target("relays", timeout_s=0.05, capabilities=GRANT)
        with pytest.raises(Exception, match="Task timed out"):
            await relay(plane, target, "kv.get", "n", "k")
        await tarpit.left.wait()
        assert tarpit.waiting == 0

    run(tmp_path, main)


def test_a_client_that_leaves_takes_guest_and_work_along(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        plane.ask = tarpit = Tarpit()
        asking = asyncio.ensure_future(relay(plane, plane.target("relays", capabilities=GRANT), "kv.get", "n", "k"))
        await tarpit.reached.wait()
        asking.cancel()
        await tarpit.left.wait()
        assert tarpit.waiting == 0
        with pytest.raises(asyncio.CancelledError):
            await asking

    run(tmp_path, main)


def test_work_that_was_cancelled_by_itself_lets_the_guest_go_on(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        async def ask(operation: str, body: Any) -> Any:
            raise asyncio.CancelledError

        plane.ask = ask
        assert await relay(plane, plane.target("relays", capabilities=GRANT), "kv.get", "n", "k") == abi.FAILED

    run(tmp_path, main)


def test_a_tenant_has_a_bounded_number_of_calls_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(plane: Plane) -> None:
        monkeypatch.setattr(limits, "UPWARD_CALLS_MAX", 3)
        plane.ask = tarpit = Tarpit()
        target = plane.target("relays", capabilities=GRANT)
        asking = [asyncio.ensure_future(relay(plane, target, "kv.get", "n", "k")) for _ in range(10)]
        while plane.scheduler.waiting < 10:
            await asyncio.sleep(0)
        await tarpit.reached.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert tarpit.waiting == 3
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.sleep(0)
        assert tarpit.waiting == 0

    run(tmp_path, main)


def test_a_guest_that_waits_holds_up_nobody(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        plane.ask = tarpit = Tarpit()
        stuck = asyncio.ensure_future(relay(plane, plane.target("relays", capabilities=GRANT), "kv.get", "n", "k"))
        await tarpit.reached.wait()
        assert len(await relay(plane, plane.target("relays"), "random", 4)) == 4
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        await tarpit.left.wait()

    run(tmp_path, main)
