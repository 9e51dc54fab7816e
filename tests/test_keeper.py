from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.clock import ManualClock
from isolet.errors import (
    AccessDenied,
    Conflict,
    InvalidParameter,
    Raised,
    StorageUnavailable,
    Throttled,
    UnsupportedOperation,
)
from isolet.link import connect, listen
from isolet.recorder import Recorder
from isolet.records import Totals
from isolet.uplink import Downcalls, Uplink
from keeping import MS, NOW_S, TENANT, Client, FakeWorker, deployed, recorded, run, running_keeper
from signing import signed

# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_worker_recorded_is_in_ledger_logs_and_metrics(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)
            target = worker.table[TENANT, "f"]
            recorder = Recorder(worker.uplink.records)
            recorded(recorder, target, 300)
            recorded(recorder, target, 2, Raised("KeyError", "no key"))
            recorder.refuse(target, Throttled("too many", "ConcurrentInvocationLimitExceeded"), NOW_S)
            await recorder.close()
            (row,) = await keeper.ledger.rows(TENANT)
            assert row.totals == Totals(302, 2, 1, 604 * MS, 604, 302_000, 30_200, 604 * 128)
            assert row.errors == {"Raised": 2, "Throttled": 1}
            page = await keeper.logs.page(TENANT, "/aws/lambda/f")
            assert len(page.events) == 300 * 4 + 2 * 5
            client = Client(keeper)
            _, text = await client("GET", "/metrics")
            assert b'isolet_invocations_total{function="f"} 302.0' in text
            assert b'isolet_errors_total{class="Raised",function="f"} 2.0' in text
            assert b'isolet_isolates_live{cordon="standard",worker="0"} 1.0' in text
            _, usage = await client("GET", "/isolet/usage")
            assert usage["total"]["invocations"] == 302

    run(main)


def test_message_that_comes_again_changes_neither_ledger_nor_metrics(tmp_path: Path) -> None:
    async def main() -> None:
        messages: list[Any] = []

        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)

            async def keep(sequence: int, batches: list[Any]) -> None:
                messages.append((sequence, batches))

            recorder = Recorder(keep)
            recorded(recorder, worker.table[TENANT, "f"], 3)
            await recorder.flush()
            (message,) = messages
            for _ in range(3):
                await worker.uplink.records(*message)
            (row,) = await keeper.ledger.rows(TENANT)
            assert row.totals.invocations == 3
            assert b'isolet_invocations_total{function="f"} 3.0' in keeper.metrics.text({})
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await worker.uplink.records(*message)
            (row,) = await keeper.ledger.rows(TENANT)
            assert row.totals.invocations == 3, "also the keeper after it knows"

    run(main)


@pytest.mark.parametrize("batches", [[1], [[1, 2, 3]], [[None] * 13], "x"])
def test_records_that_are_none_are_refused(batches: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            with pytest.raises(InvalidParameter, match="no batches"):
                await worker.uplink.records(1, batches)

    run(main)


# ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_worker_of_another_protocol_is_refused_in_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            with pytest.raises(Conflict, match="restart the server"):
                await worker.link.request("hello", {"worker": "w", "pid": 1, "protocol": 99})
            with pytest.raises(AccessDenied, match="says hello first"):
                await worker.link.request("dance")
            await worker.uplink.hello()
            with pytest.raises(UnsupportedOperation, match="another version"):
                await worker.link.request("dance")
            with pytest.raises(UnsupportedOperation, match="another version"):
                await Downcalls(worker._routes, dict)("dance", None)

    run(main)


def test_control_request_of_many_frames_crosses_the_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("k")

    async def main() -> None:
        async with running_keeper(directory) as keeper:
            listener = await listen(directory / "s", keeper.serve)
            link = await connect(directory / "s", lambda _: Downcalls(_take_nothing, dict))
            await Uplink(link, "w").hello()
            body = b'{"x": "' + b"y" * (5 * limits.MIB) + b'"}'
            headers = signed("POST", "/2015-03-31/functions", [("host", "x")], body, now_s=ManualClock().wall_s())
            status, _, body = await Uplink(link, "w").control("POST", "/2015-03-31/functions", "", headers, body)
            assert status == 400
            assert b"validation errors detected" in body
            await link.close()
            await listener.close()

    run(main)


async def _take_nothing(replace: bool, targets: Any, removed: Any) -> None:
    pass


# ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_client_that_leaves_does_not_stop_what_it_began(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)
            worker.gate.clear()
            worker.asked.clear()
            path = "/2015-03-31/functions/f"
            headers = signed("DELETE", path, [("host", "x")], now_s=ManualClock().wall_s())
            deleting = asyncio.ensure_future(worker.uplink.control("DELETE", path, "", headers, b""))
            await worker.asked.wait()
            deleting.cancel()
            worker.gate.set()
            while worker.names():
                await asyncio.sleep(0)

    run(main)


def test_second_keeper_on_the_same_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DATABASE_LOCK_S", 0.0)

    async def main() -> None:
        async with running_keeper(tmp_path):
            with pytest.raises(StorageUnavailable, match="another keeper"):
                async with running_keeper(tmp_path):
                    pass

    run(main)


def test_data_directory_is_made_for_this_user_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path / "data" / "here"):
            assert (tmp_path / "data" / "here").stat().st_mode & 0o777 == 0o700

    run(main)
