from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from isolet.errors import Conflict
from isolet.model import Alias
from isolet.storage import registry
from keeping import TENANT, FakeWorker, deployed, run, running_keeper


def test_change_is_served_by_every_worker_when_commit_returns(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            workers = [FakeWorker(keeper, f"w{n}") for n in range(2)]
            for worker in workers:
                await worker.uplink.hello()
            await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            alias = await keeper.versions.create_alias(TENANT, "f", Alias("live", "1"))
            for worker in workers:
                assert worker.rows[TENANT, "f"].aliases == (alias,)
                assert [target.version for target in worker.rows[TENANT, "f"].targets] == ["$LATEST", "1"]

    run(main)


def test_what_changes_nothing_that_workers_know_is_not_told_to_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)
            pushes = worker.pushes
            await keeper.serving.commit(TENANT, "f", lambda db: None)
            assert worker.pushes == pushes

    run(main)


@pytest.mark.parametrize("where", ["check", "job"])
def test_refused_change_changes_neither_registry_nor_table(where: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)
            before = keeper.fleet.table.get(TENANT, "f")

            def job(db: sqlite3.Connection) -> None:
                registry.put_alias(db, TENANT, "f", Alias("live", "$LATEST"))
                if where == "job":
                    raise Conflict("no")

            def check() -> None:
                if where == "check":
                    raise Conflict("no")

            with pytest.raises(Conflict, match="no"):
                await keeper.serving.commit(TENANT, "f", job, check)
            assert keeper.fleet.table.get(TENANT, "f") == before
            assert await keeper.versions.aliases(TENANT, "f") == []

    run(main)
