"""What tenants may have, in a keeper and its workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from isolet.bounds import Bounds
from isolet.errors import InvalidParameter, LimitExceeded
from isolet.quota import DEFAULTS
from isolet.sigv4 import Signer
from isolet.storage.database import Database
from isolet.storage.tenants import Tenants
from isolet.tally import LOG_BYTES, REQUESTS, Tally
from keeping import TENANT, Client, FakeWorker, deployed, run, running_keeper

OTHER = "111122223333"


def test_a_worker_knows_a_tenants_limits_before_its_functions_and_every_change(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            assert worker.limits == {}
            await deployed(keeper)
            slot, values = worker.limits[TENANT]
            assert values == {name: DEFAULTS[name] for name in values}
            first = worker.film.index(("limits", TENANT))
            assert first < worker.film.index(("routes", "f"))
            await keeper.bounds.set(TENANT, {"concurrency": "7"})
            assert worker.limits[TENANT] == (slot, {**values, "concurrency": 7})
            await keeper.bounds.set(OTHER, {"requests_per_s": "1"})
            assert worker.limits[OTHER][1]["requests_per_s"] == 1
            assert worker.limits[OTHER][0] != slot
            # One that joins is told all.
            again = FakeWorker(keeper, "again")
            await again.uplink.hello()
            assert again.limits == worker.limits
            await keeper.bounds.reset(TENANT, [])
            assert again.limits[TENANT] == worker.limits[TENANT] == (slot, values)

    run(main)


def test_a_keeper_that_starts_goes_by_what_was_set(tmp_path: Path) -> None:
    async def main() -> None:
        tally = Tally(2)
        async with running_keeper(tmp_path, tallies={"standard": tally}) as keeper:
            await deployed(keeper)
            await keeper.bounds.set(TENANT, {"concurrency": "3"})
            told = keeper.bounds.of_workers(TENANT)
        async with running_keeper(tmp_path, tallies={"standard": tally}) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            assert [TENANT, *worker.limits[TENANT]] == told
            assert keeper.bounds.value(TENANT, "concurrency") == 3
            assert keeper.bounds.value(OTHER, "concurrency") == 1000

    run(main)


def test_what_is_shown_is_of_all_workers_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            for name, running in (("a", 2), ("b", 3)):
                worker = FakeWorker(keeper, name)
                worker.used = {"concurrency": running}
                await worker.uplink.hello()
            rows: list[dict[str, Any]] = await keeper.operate("limits.show", [TENANT])
            assert {row["name"]: row["used"] for row in rows}["concurrency"] == 5
            with pytest.raises(InvalidParameter, match="twelve digits"):
                await keeper.operate("limits.show", ["x"])

    run(main)


def test_a_change_that_is_refused_is_none_and_two_at_once_are_both(tmp_path: Path) -> None:
    async def main() -> None:
        database = Database(tmp_path / "keeper.db")
        await database.open()
        tenants = Tenants(database)
        bounds = Bounds(tenants, {"standard": Tally(1, 0, 1)})
        with pytest.raises(InvalidParameter, match="did you mean"):
            await bounds.set(TENANT, {"events": "1", "eventz": "1"})
        assert bounds.overrides() == {}
        await asyncio.gather(bounds.set(TENANT, {"events": "1"}), bounds.set(TENANT, {"functions": "2"}))
        assert bounds.overrides() == {TENANT: {"events": 1, "functions": 2}}
        bounds.require_slot(TENANT)
        with pytest.raises(LimitExceeded, match="deploy elsewhere"):
            bounds.require_slot(OTHER)
        await database.close()

    run(main)


def test_a_bucket_whose_rate_was_set_begins_anew_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        tally = Tally(2)
        async with running_keeper(tmp_path, tallies={"standard": tally}) as keeper:
            keeper.bounds.require_slot(TENANT)
            await keeper.bounds.set(TENANT, {"requests_per_s": "0.001", "requests_burst": "10"})
            slot = tally.slot_of(TENANT)
            assert slot is not None
            now_s = keeper._clock.monotonic_s()
            for bucket, rate, burst in ((REQUESTS, 0.001, 10), (LOG_BYTES, 4 << 20, 32 << 20)):
                assert tally.take(slot, bucket, now_s, rate, burst, 7) == 7
            used = keeper.bounds.used(TENANT, now_s)
            assert used == {"requests_burst": 7, "log_burst_bytes": 7}
            await keeper.bounds.set(TENANT, {"kv_bytes": "5"})
            assert keeper.bounds.used(TENANT, now_s) == used
            await keeper.bounds.set(TENANT, {"requests_per_s": "1"})
            assert keeper.bounds.used(TENANT, now_s) == {"requests_burst": 0, "log_burst_bytes": 7}

    run(main)


def test_who_calls_too_often_is_refused_in_each_apis_words_and_others_are_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await keeper.bounds.set(TENANT, {"calls_per_s": "0.1"})
            client = Client(keeper)
            assert (await client("GET", "/2015-03-31/functions/"))[0] == 200
            status, said = await client("GET", "/2015-03-31/functions/")
            assert (status, said.get("Reason"), client.headers["retry-after"]) == (429, "CallerRateLimitExceeded", "10")
            target = [("x-amz-target", "Logs_20140328.DescribeLogGroups")]
            target += [("content-type", "application/x-amz-json-1.1")]
            status, said = await client("POST", "/", {}, target)
            assert (status, said["__type"]) == (429, "ThrottlingException")
            key, secret = await keeper.accounts.create(OTHER, "")
            assert (await Client(keeper, Signer(key.id, secret))("GET", "/2015-03-31/functions/"))[0] == 200
            keeper._clock.advance(10)  # type: ignore[attr-defined]
            assert (await client("GET", "/2015-03-31/functions/"))[0] == 200
            assert keeper.bounds.refused == {(TENANT, "calls_per_s"): 2}

    run(main)
