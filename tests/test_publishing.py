from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from isolet.deployments import Change
from isolet.errors import Conflict, InvalidParameter, ModuleInvalid, PreconditionFailed
from isolet.model import Function, Settings, State
from isolet.storage.registry import VersionEntry
from keeping import ROLE, TENANT, FakeBuilder, FakeWorker, create, deployed, package, run, running_keeper


def test_version_runs_from_the_snapshot_that_its_function_had(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            first = await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            await keeper.deployments.update(TENANT, "f", Change(package=package("v2")))
            await keeper.deployments.settled()
            latest, version = worker.rows[TENANT, "f"].targets
            assert (version.version, version.snapshot) == ("1", first.snapshot)
            assert latest.snapshot != version.snapshot
            assert len(builder.requests) == 2, "publishing builds nothing"

    run(main)


def test_what_was_published_already_is_that_version_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)

            async def publish(description: str | None = None) -> str:
                return (await keeper.versions.publish(TENANT, "f", None, description, None)).version

            async def update(**changes: object) -> None:
                change = Change(settings=lambda old: replace(old, **changes))  # type: ignore[arg-type]
                await keeper.deployments.update(TENANT, "f", change)

            assert [await publish(), await publish(), await publish("another description")] == ["1", "1", "1"]
            await update(timeout_s=9.0)
            assert await publish() == "2"
            await update(timeout_s=3.0)
            assert await publish() == "3", "it is compared with the last version only"

    run(main)


def test_version_published_with_a_change_serves_once_it_is_built(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            builder.hold()
            created = await keeper.deployments.create(TENANT, "f", Settings(), package("v1"), ROLE, {}, publish=True)
            assert (created.version, created.state) == ("1", State.PENDING)
            await builder.began.wait()
            builder.gate.set()
            await keeper.deployments.settled()
            version = await keeper.versions.get(TENANT, "f", "1")
            assert version.state is State.ACTIVE
            assert [target.version for target in worker.rows[TENANT, "f"].targets] == ["$LATEST", "1"]

    run(main)


def test_version_published_with_a_change_fails_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper)
            builder.fails = ModuleInvalid("no export isolet_handle; add it")
            await keeper.deployments.update(TENANT, "f", Change(package=package("v2"), publish=True))
            await keeper.deployments.settled()
            version = await keeper.versions.get(TENANT, "f", "1")
            assert (version.state, version.state_reason) == (State.FAILED, "no export isolet_handle; add it")
            served = keeper.fleet.table.get(TENANT, "f")
            assert served is not None
            assert [target.version for target in served.targets] == ["$LATEST"]

    run(main)


def test_publishing_is_refused_while_nothing_can_be_frozen(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            builder.hold()
            pending: Function = await create(keeper)
            with pytest.raises(Conflict, match="currently in the following state: Pending"):
                await keeper.versions.publish(TENANT, "f", None, None, None)
            builder.gate.set()
            await keeper.deployments.settled()
            with pytest.raises(PreconditionFailed):
                await keeper.versions.publish(TENANT, "f", None, None, pending.revision_id)
            with pytest.raises(InvalidParameter, match="different from current CodeSHA256"):
                await keeper.versions.publish(TENANT, "f", "0" * 44, None, None)

    run(main)


def test_rebuilt_snapshot_of_a_version_is_the_versions(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            first = await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            await keeper.deployments.update(TENANT, "f", Change(package=package("v2")))
            await keeper.deployments.settled()
            latest = await keeper.deployments.get(TENANT, "f")
            assert first.snapshot is not None
            rebuilt = await keeper.deployments.rebuild(first.snapshot.digest)
            assert rebuilt.digest != first.snapshot.digest
            served = keeper.fleet.table.get(TENANT, "f")
            assert served is not None
            assert [target.snapshot for target in served.targets] == [latest.snapshot, rebuilt]
            versions: list[VersionEntry] = await keeper.deployments._registry.versions(TENANT, "f", 0, 9)
            assert [entry.function.snapshot for entry in versions] == [rebuilt]

    run(main)
