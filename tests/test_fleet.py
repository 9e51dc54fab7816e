from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.accounts import TestPair
from isolet.errors import InvalidParameter, UnknownAccessKey
from isolet.link import Link, pair
from isolet.sigv4 import Scope, signing_key
from isolet.uplink import Uplink
from keeping import TENANT, FakeWorker, deployed, run, running_keeper


def test_worker_that_does_not_take_a_change_is_cut_off_and_gets_all_when_it_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path, routes_ack_s=0.001) as keeper:
            stuck, good = FakeWorker(keeper, "stuck"), FakeWorker(keeper, "good")
            await stuck.uplink.hello()
            await good.uplink.hello()
            stuck.gate.clear()
            await deployed(keeper)
            await stuck.link.wait_closed()
            assert good.names() == ["f"]
            assert len(keeper.fleet) == 1
            again = FakeWorker(keeper, "again")
            await again.uplink.hello()
            assert again.names() == ["f"]

    run(main)


def test_workers_forget_every_key_when_they_join_and_one_when_it_is_revoked(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path, test_pair=TestPair.UNTIL_KEYS) as keeper:
            workers = FakeWorker(keeper, "a"), FakeWorker(keeper, "b")
            for worker in workers:
                await worker.uplink.hello()
            scope = Scope("20260101", "us-east-1", "lambda")
            account, key = await workers[0].uplink.signing_key("test", scope)
            assert (account, bytes(key)) == (TENANT, signing_key("test", scope))
            made, secret = await keeper.accounts.create("111122223333", "")
            account, key = await workers[0].uplink.signing_key(made.id, scope)
            assert (account, bytes(key)) == ("111122223333", signing_key(secret, scope))
            await keeper.accounts.revoke(made.id)
            for gone in ("test", made.id):
                with pytest.raises(UnknownAccessKey):
                    await workers[0].uplink.signing_key(gone, scope)
            for worker in workers:
                assert worker.forgotten == [None, "test", made.id]

    run(main)


def test_worker_that_fails_to_take_the_table_is_not_attached(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            worker.fails = InvalidParameter("a table I cannot read")
            with pytest.raises(InvalidParameter, match="cannot read"):
                await worker.uplink.hello()
            assert len(keeper.fleet) == 0

    run(main)


def test_worker_that_joins_during_a_change_ends_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            worker.gate.clear()
            hello = asyncio.ensure_future(worker.uplink.hello())
            await worker.asked.wait()
            creating = asyncio.ensure_future(deployed(keeper))
            while not len(keeper.fleet.table):
                await asyncio.sleep(0)
            worker.gate.set()
            await hello
            await creating
            assert worker.names() == ["f"]
            assert worker.pushes == 2

    run(main)


def test_numbers_of_workers_are_the_lowest_that_are_free(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            workers = [FakeWorker(keeper, f"w{n}") for n in range(3)]
            for worker in workers:
                await worker.uplink.hello()
            await workers[1].link.close()
            while len(keeper.fleet) == 3:
                await asyncio.sleep(0)
            replacement = FakeWorker(keeper)
            await replacement.uplink.hello()
            assert sorted(await keeper.fleet.gauges()) == [0, 1, 2]

    run(main)


def test_gauges_of_a_worker_that_does_not_answer_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GAUGES_S", 0.001)

    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            good = FakeWorker(keeper)
            await good.uplink.hello()
            link: Link

            async def silent(operation: str, body: Any) -> Any:
                if operation == "gauges":
                    await asyncio.Event().wait()

            link, _ = pair(silent, keeper.serve)
            await Uplink(link, "silent").hello()
            assert await keeper.fleet.gauges() == {0: {"isolates_live": 1.0, "pool_slots": 8.0}}

    run(main)


def test_worker_that_leaves_is_told_of_changes_and_given_no_attempts(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            leaving, staying = FakeWorker(keeper, "leaving"), FakeWorker(keeper, "staying")
            await leaving.uplink.hello()
            await staying.uplink.hello()
            await leaving.uplink.leave()
            await deployed(keeper)
            assert leaving.names() == staying.names() == ["f"]
            assert len(keeper.fleet) == 2
            assert [member.number for member in keeper.fleet.members()] == [1]

    run(main)
