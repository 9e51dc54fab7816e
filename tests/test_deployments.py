from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from isolet import limits
from isolet.deployments import Change
from isolet.errors import (
    BuilderLost,
    CallerError,
    Conflict,
    InvalidParameter,
    ModuleInvalid,
    PreconditionFailed,
    UnknownFunction,
)
from isolet.model import Function, Route, Settings, State, UpdateStatus
from keeping import ROLE, TENANT, FakeBuilder, FakeWorker, create, deployed, package, run, running_keeper

# ── create ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_function_is_pending_then_active_and_every_worker_serves_it(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            workers = [FakeWorker(keeper, f"w{n}") for n in range(2)]
            for worker in workers:
                await worker.uplink.hello()
            builder.hold()
            created = await create(keeper)
            assert created.state is State.PENDING
            await builder.began.wait()
            building = await keeper.deployments.get(TENANT, "f")
            assert (building.state, building.state_reason) == (
                State.PENDING,
                "The function is being created. Compiling.",
            )
            assert [worker.names() for worker in workers] == [[], []]
            builder.gate.set()
            await keeper.deployments.settled()
            active = await keeper.deployments.get(TENANT, "f")
            assert (active.state, active.state_reason) == (State.ACTIVE, "")
            assert active.snapshot is not None
            assert active.revision_id != created.revision_id
            for worker in workers:
                target = worker.table[TENANT, "f"]
                assert target.snapshot == active.snapshot
                assert target.memory_bytes == active.settings.memory_mb * limits.MIB

    run(main)


def test_function_is_not_active_before_every_worker_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            quick, slow = FakeWorker(keeper, "quick"), FakeWorker(keeper, "slow")
            await quick.uplink.hello()
            await slow.uplink.hello()
            slow.gate.clear()
            slow.asked.clear()
            await create(keeper)
            await slow.asked.wait()
            seen = await keeper.deployments.get(TENANT, "f")
            assert (seen.state, seen.state_reason) == (State.PENDING, "The function is being created. Routing.")
            slow.gate.set()
            await keeper.deployments.settled()
            assert (await keeper.deployments.get(TENANT, "f")).state is State.ACTIVE
            assert slow.names() == ["f"]

    run(main)


def test_refused_build_is_a_failed_function_with_the_reason(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("no export isolet_handle; add it")
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            failed = await deployed(keeper)
            assert (failed.state, failed.state_reason) == (State.FAILED, "no export isolet_handle; add it")
            assert worker.names() == []
            assert keeper.metrics.builds == {"ModuleInvalid": 1}

    run(main)


def test_defect_in_a_build_says_nothing_of_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ZeroDivisionError("secret")
        async with running_keeper(tmp_path, builder) as keeper:
            failed = await deployed(keeper)
            assert failed.state is State.FAILED
            assert "secret" not in failed.state_reason
        assert "secret" in caplog.text

    run(main)


def test_bytes_that_were_refused_are_refused_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("40 s of br_table; write less")
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper)
            await keeper.deployments.delete(TENANT, "f")
            for _ in range(3):
                with pytest.raises(ModuleInvalid, match="br_table"):
                    await create(keeper)
            with pytest.raises(UnknownFunction):
                await keeper.deployments.get(TENANT, "f")
            assert len(builder.requests) == 1
            builder.fails = None
            assert (await deployed(keeper, content="another")).state is State.ACTIVE

    run(main)


def test_bytes_that_were_refused_are_refused_under_every_name_and_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("40 s of br_table; write less")
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper)
            with pytest.raises(ModuleInvalid, match="br_table"):
                await create(keeper, "another")
        async with running_keeper(tmp_path, builder) as keeper:
            with pytest.raises(ModuleInvalid, match="br_table"):
                await create(keeper, "another")
            failed = await keeper.deployments.get(TENANT, "f")
            assert (failed.state, failed.state_reason) == (State.FAILED, "40 s of br_table; write less")
        assert len(builder.requests) == 1

    run(main)


def test_refused_initialisation_is_refused_with_the_same_settings_only(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.phases = ("compiling", "initialising")
        builder.fails = ModuleInvalid("COLOUR is not set")
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper)
            with pytest.raises(ModuleInvalid, match="COLOUR"):
                await keeper.deployments.update(TENANT, "f", Change(package=package()))
            builder.fails = None
            settings = Settings(environment={"COLOUR": "green"})
            await keeper.deployments.update(TENANT, "f", Change(settings=lambda old: settings))
            await keeper.deployments.settled()
            assert (await keeper.deployments.get(TENANT, "f")).state is State.ACTIVE

    run(main)


def test_refusal_tells_another_tenant_nothing(tmp_path: Path) -> None:
    """Who uploads what another was refused has it built, as if nobody ever had."""

    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("40 s of br_table; write less")
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper)
            other = "000000000001"
            await keeper.deployments.create(other, "f", Settings(), package(), ROLE, {})
            await keeper.deployments.settled()
            assert [request.tenant for request in builder.requests] == [TENANT, other]

    run(main)


def test_bomb_that_waits_in_many_functions_goes_off_once(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("40 s of br_table; write less")
        builder.hold()
        async with running_keeper(tmp_path, builder, builds_at_once=2) as keeper:
            for number in range(10):
                await create(keeper, f"f{number}")
            builder.gate.set()
            await keeper.deployments.settled()
            states = [await keeper.deployments.get(TENANT, f"f{number}") for number in range(10)]
            assert {(each.state, each.state_reason) for each in states} == {
                (State.FAILED, "40 s of br_table; write less")
            }
        assert len(builder.requests) == 1

    run(main)


def test_what_was_our_fault_may_be_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = BuilderLost("killed")
        async with running_keeper(tmp_path, builder) as keeper:
            assert (await deployed(keeper)).state is State.FAILED
            builder.fails = None
            again = await keeper.deployments.update(TENANT, "f", Change(package=package()))
            assert again.state is State.PENDING
            await keeper.deployments.settled()
            assert (await keeper.deployments.get(TENANT, "f")).state is State.ACTIVE

    run(main)


def test_name_is_taken_once_also_by_many_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            outcomes = await asyncio.gather(*(create(keeper) for _ in range(5)), return_exceptions=True)
            refused = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
            assert len(refused) == 4
            assert {str(refusal) for refusal in refused} == {"Function already exist: f"}
            await keeper.deployments.settled()

    run(main)


def test_bad_package_leaves_no_function(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            with pytest.raises(InvalidParameter, match="Could not unzip"):
                await keeper.deployments.create(TENANT, "f", Settings(), b"no zip", ROLE, {})
            assert await keeper.deployments.page(TENANT, "", 10) == []

    run(main)


def test_route_that_another_function_has_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            claims = Settings(http=True, routes=(Route("GET", "/accounts/{id}"),))
            await deployed(keeper, "first", claims)
            with pytest.raises(Conflict, match="first has this route"):
                await create(keeper, "second", claims)
            builder.hold()
            other = Settings(http=True, routes=(Route("GET", "/other"),))
            await create(keeper, "third", other)
            await create(keeper, "fourth", other)
            builder.gate.set()
            await keeper.deployments.settled()
            states = [(await keeper.deployments.get(TENANT, name)).state for name in ("third", "fourth")]
            assert sorted(states) == [State.ACTIVE, State.FAILED], "both were accepted; one came first"

    run(main)


# ── builds ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_builds_at_once_are_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder, builds_at_once=2) as keeper:
            builder.hold()
            for number in range(6):
                await create(keeper, f"f{number}", content=str(number))
            await builder.began.wait()
            queued = await keeper.deployments.get(TENANT, "f5")
            assert queued.state_reason == "The function is being created. Queued."
            builder.gate.set()
            await keeper.deployments.settled()
            assert len(builder.requests) == 6
            assert builder.running_max == 2

    run(main)


def test_builder_is_told_what_the_function_will_see(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            settings = Settings(handler="h", memory_mb=64, environment={"A_B": "c"}, warmup="event.json")
            function = await deployed(keeper, settings=settings)
            (request,) = builder.requests
            assert request.package_path == str(tmp_path / "packages" / f"{function.package_digest}.zip")
            assert Path(request.package_path).read_bytes() == package()
            assert (request.name, request.arn, request.handler, request.version) == ("f", function.arn, "h", "$LATEST")
            assert (request.memory_mb, request.environment, request.warmup) == (64, {"A_B": "c"}, "event.json")
            assert (request.artifacts_path, request.key_path) == (
                str(tmp_path / "artifacts"),
                str(tmp_path / "artifacts.key"),
            )

    run(main)


def test_missing_artifact_is_built_once_for_all_who_ask_and_routed(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            before = await deployed(keeper)
            assert before.snapshot is not None
            digest = before.snapshot.digest
            builder.hold()
            asking = [asyncio.ensure_future(worker.uplink.rebuild(digest)) for _ in range(5)]
            await builder.began.wait()
            builder.gate.set()
            answers = await asyncio.gather(*asking)
            after = await keeper.deployments.get(TENANT, "f")
            assert after.snapshot is not None
            assert {answer.digest for answer in answers} == {after.snapshot.digest} != {digest}
            assert len(builder.requests) == 2
            assert worker.table[TENANT, "f"].snapshot == after.snapshot
            assert after.revision_id == before.revision_id, "its owner changed nothing"
            with pytest.raises(UnknownFunction, match="any more"):
                await worker.uplink.rebuild(digest)

    run(main)


def test_failing_rebuild_is_told_to_who_asked_and_not_tried_for_every_request(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            function = await deployed(keeper)
            assert function.snapshot is not None
            builder.fails = ModuleInvalid("it used to compile")
            for _ in range(3):
                with pytest.raises(ModuleInvalid, match="used to compile"):
                    await worker.uplink.rebuild(function.snapshot.digest)
            assert len(builder.requests) == 2

    run(main)


# ── update ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_old_code_serves_until_the_new_is_built(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            first = await deployed(keeper)
            builder.hold()
            updating = await keeper.deployments.update(TENANT, "f", Change(package=package("v2")))
            assert (updating.state, updating.update_status) == (State.ACTIVE, UpdateStatus.IN_PROGRESS)
            assert updating.code_sha256 != first.code_sha256
            await builder.began.wait()
            assert worker.table[TENANT, "f"].snapshot == first.snapshot
            with pytest.raises(Conflict, match="An update is in progress for resource: arn:aws:lambda"):
                await keeper.deployments.update(TENANT, "f", Change(package=package("v3")))
            builder.gate.set()
            await keeper.deployments.settled()
            second = await keeper.deployments.get(TENANT, "f")
            assert second.update_status is UpdateStatus.SUCCESSFUL
            assert worker.table[TENANT, "f"].snapshot == second.snapshot != first.snapshot
            assert worker.table[TENANT, "f"].package_digest == second.package_digest

    run(main)


def test_failed_update_leaves_code_configuration_and_traffic_as_they_were(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            first = await deployed(keeper)
            routed = worker.table[TENANT, "f"]
            builder.fails = ModuleInvalid("bad")
            change = Change(package=package("v2"), settings=lambda old: replace(old, timeout_s=9.0))
            await keeper.deployments.update(TENANT, "f", change)
            await keeper.deployments.settled()
            after = await keeper.deployments.get(TENANT, "f")
            assert (after.update_status, after.update_reason) == (UpdateStatus.FAILED, "bad")
            assert after.state is State.ACTIVE
            assert (after.code_sha256, after.settings) == (first.code_sha256, first.settings)
            assert worker.table[TENANT, "f"] == routed
            builder.fails = None
            await keeper.deployments.update(TENANT, "f", Change(package=package("v3")))
            await keeper.deployments.settled()
            assert (await keeper.deployments.get(TENANT, "f")).update_status is UpdateStatus.SUCCESSFUL

    run(main)


def test_change_that_the_snapshot_does_not_see_needs_no_build(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)
            change = Change(settings=lambda old: replace(old, timeout_s=9.0, fuel=77, http=True))
            changed = await keeper.deployments.update(TENANT, "f", change)
            assert changed.update_status is UpdateStatus.SUCCESSFUL
            assert len(builder.requests) == 1
            target = worker.table[TENANT, "f"]
            assert (target.timeout_s, target.fuel, target.http) == (9.0, 77, True)
            await keeper.deployments.update(
                TENANT, "f", Change(settings=lambda old: replace(old, environment={"A_B": "c"}))
            )
            await keeper.deployments.settled()
            assert len(builder.requests) == 2, "initialisation sees the environment"

    run(main)


def test_stale_revision_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            first = await deployed(keeper)
            change = Change(settings=lambda old: replace(old, fuel=5), revision_id=first.revision_id)
            await keeper.deployments.update(TENANT, "f", change)
            with pytest.raises(PreconditionFailed, match="latest RevisionId"):
                await keeper.deployments.update(TENANT, "f", change)

    run(main)


def test_of_changes_at_once_none_is_lost_silently(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)

            def more(old: Settings) -> Settings:
                return replace(old, fuel=old.fuel + 1)

            before = (await keeper.deployments.get(TENANT, "f")).settings.fuel
            changes = (keeper.deployments.update(TENANT, "f", Change(settings=more)) for _ in range(10))
            outcomes = await asyncio.gather(*changes, return_exceptions=True)
            done = [outcome for outcome in outcomes if isinstance(outcome, Function)]
            assert all(isinstance(outcome, Function | CallerError) for outcome in outcomes)
            assert (await keeper.deployments.get(TENANT, "f")).settings.fuel == before + len(done)

    run(main)


# ── delete ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deleted_function_is_served_by_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await deployed(keeper)
            await keeper.deployments.delete(TENANT, "f")
            assert worker.names() == []
            with pytest.raises(UnknownFunction, match=r"Function not found: arn:aws:lambda:.*:function:f$"):
                await keeper.deployments.get(TENANT, "f")
            with pytest.raises(UnknownFunction):
                await keeper.deployments.delete(TENANT, "f")

    run(main)


def test_build_of_a_function_that_was_deleted_or_created_anew_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            builder.hold()
            await create(keeper, content="old")
            await builder.began.wait()
            await keeper.deployments.delete(TENANT, "f")
            created = await create(keeper, content="new")
            builder.gate.set()
            await keeper.deployments.settled()
            function = await keeper.deployments.get(TENANT, "f")
            assert (function.state, function.code_sha256) == (State.ACTIVE, created.code_sha256)
            assert worker.table[TENANT, "f"].package_digest == created.package_digest
            assert len(builder.requests) == 2

    run(main)


def test_packages_and_artifacts_that_nobody_needs_go(tmp_path: Path) -> None:
    async def main() -> None:
        in_use: list[set[str]] = []
        async with running_keeper(tmp_path, evict=lambda digests: in_use.append(set(digests))) as keeper:
            keep = await deployed(keeper, "keep", content="keep")
            drop = await deployed(keeper, "drop", content="drop")
            for path in (tmp_path / "packages").iterdir():
                os.utime(path, (0, 0))
            await keeper.deployments.delete(TENANT, "drop")
            await keeper.deployments.settled()
            assert [path.stem for path in (tmp_path / "packages").iterdir()] == [keep.package_digest]
            assert keep.snapshot is not None
            assert drop.snapshot is not None
            assert in_use[-1] == {keep.snapshot.digest}

    run(main)


# ── restart ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_routes_survive_a_restart_without_building(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            for name in "abc":
                await deployed(keeper, name, content=name)
            targets = [t for row in keeper.fleet.table.served() for t in row.targets]
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            assert sorted(worker.table.values(), key=lambda target: target.name) == targets
            assert builder.requests == []

    run(main)


def test_interrupted_builds_go_on_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            await deployed(keeper, "updated", content="v1")
            served = [t for row in keeper.fleet.table.served() for t in row.targets]
            builder.hold()
            await create(keeper, "created", content="c")
            await keeper.deployments.update(TENANT, "updated", Change(package=package("v2")))
            await builder.began.wait()
        builder = FakeBuilder()
        builder.hold()
        async with running_keeper(tmp_path, builder) as keeper:
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            assert list(worker.table.values()) == served, "the old code serves at once"
            assert (await keeper.deployments.get(TENANT, "created")).state is State.PENDING
            updating = await keeper.deployments.get(TENANT, "updated")
            assert updating.update_status is UpdateStatus.IN_PROGRESS
            builder.fails = ModuleInvalid("bad")
            builder.gate.set()
            await keeper.deployments.settled()
            created, updated = [await keeper.deployments.get(TENANT, name) for name in ("created", "updated")]
            assert created.state is State.FAILED
            assert updated.update_status is UpdateStatus.FAILED
            assert updated.package_digest == served[0].package_digest

    run(main)
