"""Laws of cordons: what a worker is told, what the keeper refuses it, and how tenants move. Workers are processes of
their own that speak the link by hand."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.cordons import Cordons, own, owner, passed_on, runs_here, sketch
from isolet.errors import AccessDenied, InvalidParameter, Overloaded
from isolet.fleet import Fleet, Member
from isolet.keeper import Keeper
from isolet.link import Listener, SocketLink, connect, listen, note
from isolet.model import Capabilities, Function, Reserved, Served, Settings, SnapshotInfo, Target
from isolet.own_workers import OwnWorkers, order, orders
from isolet.plain import served_from_plain, served_to_plain
from isolet.records import Batch, Totals
from isolet.residence import Residence
from isolet.roster import Roster
from isolet.storage.database import Database
from isolet.storage.tenants import Tenants
from isolet.uplink import PROTOCOL
from keeping import ROLE, FakeWorker, package, run, running_keeper

A, B = "111122223333", "444455556666"
LAYOUT = Cordons("standard", {"standard": 1, "low": 1, "high": 1})
SNAPSHOT = SnapshotInfo("d" * 64, True, (), 1, 2, 3, 4, 5, 0.5, 6, library_digest="l" * 64)
TARGET = Target(
    tenant=A,
    name="f",
    version="$LATEST",
    snapshot=SNAPSHOT,
    package_digest="p" * 64,
    timeout_s=3.0,
    memory_bytes=1,
    fuel=1,
    environment={"PASSWORD": "secret"},
    http=True,
    routes=(),
    capabilities=Capabilities(secrets=("s",)),
    layer_digests=("y" * 64,),
)


# ── pure ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sketch_says_where_and_how_long_and_nothing_of_what() -> None:
    row = Served(A, "f", (TARGET,), reserved=Reserved(3, 1))
    drawn = sketch(row, "low")
    (target,) = drawn.targets
    assert (target.cordon, target.timeout_s, target.http) == ("low", 3.0, True)
    assert not runs_here(target)
    plain = json.dumps(served_to_plain(drawn))
    for untold in ("PASSWORD", "secret", "d" * 64, "p" * 64, "l" * 64, "y" * 64, '"s"'):
        assert untold not in plain
    assert served_from_plain(json.loads(plain)) == drawn


def test_a_row_that_is_passed_on_can_still_be_run() -> None:
    (target,) = passed_on(Served(A, "f", (TARGET,)), "low").targets
    assert target.cordon == "low"
    assert runs_here(target)


def test_the_doors_seats_come_first() -> None:
    layout = Cordons("front", {"standard": 2, "front": 1, "a": 1})
    assert layout.seats == ("front", "a", "standard", "standard")
    assert layout.inner == ("a", "standard")


def test_an_own_cordon_says_whose_it_is() -> None:
    assert owner(own(A)) == A
    assert owner("standard") is None


def test_orders_are_read_as_they_were_written() -> None:
    assert orders(order(A, True) + order(B, False)) == [(A, True), (B, False)]
    assert orders(b"") == []


# ── who a worker is ─────────────────────────────────────────────────────────────────────────────────────────────


class Told:
    """What a worker was told: rows by name, in order, and whose word it takes."""

    def __init__(self) -> None:
        self.rows: dict[str, Served] = {}
        self.doors: list[int] = []
        self.limits: set[str] = set()

    def serve(self, link: SocketLink) -> Callable[[str, Any], Awaitable[Any]]:
        async def handle(operation: str, body: Any) -> Any:
            if operation == "routes":
                replace, rows, removed = body
                if replace:
                    self.rows.clear()
                for tenant, name in removed:
                    self.rows.pop(f"{tenant}:{name}", None)
                self.rows |= {f"{row['tenant']}:{row['name']}": served_from_plain(row) for row in rows}
            elif operation == "doors":
                self.doors = body
            elif operation == "limits":
                self.limits |= {row[0] for row in body}
            elif operation == "gauges":
                return {"http_requests": 1, "attempts_ended": 0, "invocations_in_flight": 0}
            return None

        return handle


Play = Callable[[SocketLink, Told], Awaitable[None]]


def played(roster: Roster, place: int, path: Path, play: Play) -> Callable[[], Awaitable[None]]:
    """A process that sits in this place and plays a worker. What is returned waits for its end, and fails as it did."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            roster.enter(place)
            asyncio.run(asyncio.wait_for(_play(path, play), 60))
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)

    async def ended() -> None:
        with open(reading, "rb") as pipe:
            said = await asyncio.to_thread(pipe.read)
        await asyncio.to_thread(os.waitpid, pid, 0)
        assert not said, said.decode()

    return ended


async def _play(path: Path, play: Play) -> None:
    told = Told()
    link = await connect(path, told.serve)
    await link.request("hello", {"worker": f"{os.getpid():032x}", "pid": 1, "protocol": PROTOCOL})
    await play(link, told)
    await link.close()


def asked(operation: str, body: Any) -> Play:
    """A worker that asks for what it may not have."""

    async def play(link: SocketLink, told: Told) -> None:
        with pytest.raises(AccessDenied, match="may not ask for this"):
            await link.request(operation, body)

    return play


class Hall:
    """A keeper with three cordons; its link listens at `path`."""

    def __init__(self, keeper: Keeper, roster: Roster, path: Path, listener: Listener) -> None:
        self.keeper = keeper
        self.roster = roster
        self.path = path
        self.listener = listener

    async def played(self, cordon: str, play: Play) -> None:
        """A worker of this cordon plays, and has ended."""
        await played(self.roster, LAYOUT.seats.index(cordon), self.path, play)()


def in_hall(directory: Path, main: Callable[[Hall], Awaitable[None]], layout: Cordons = LAYOUT) -> None:
    async def opened() -> None:
        roster = Roster(layout.seats, 1)
        async with running_keeper(directory, layout=layout, roster=roster) as keeper:
            path = directory / "k"
            listener = await listen(path, keeper.serve)
            try:
                await main(Hall(keeper, roster, path, listener))
            finally:
                await listener.close()

    run(opened)


async def function_of(keeper: Keeper, account: str) -> Function:
    """A function `f`, deployed."""
    await keeper.deployments.create(account, "f", Settings(), package(), ROLE, {})
    await keeper.deployments.settled()
    return await keeper.deployments.get(account, "f")


def test_a_worker_is_told_of_its_own_cordons_tenants_only(tmp_path: Path) -> None:
    async def main(hall: Hall) -> None:
        await hall.keeper.residence.set(A, "low")
        await hall.keeper.residence.set(B, "high")
        for account in (A, B):
            await hall.keeper.fleet.go(account, "standard")  # the time that their moves take is over
            await function_of(hall.keeper, account)
        supervisor = os.getppid()

        async def low(link: SocketLink, told: Told) -> None:
            assert list(told.rows) == [f"{A}:f"]
            assert all(map(runs_here, told.rows[f"{A}:f"].targets))
            assert told.limits == {A}
            assert told.doors == [supervisor], "who connects for the door; no worker of it has joined"

        async def door(link: SocketLink, told: Told) -> None:
            assert sorted(told.rows) == [f"{A}:f", f"{B}:f"]
            assert not any(runs_here(target) for row in told.rows.values() for target in row.targets)
            assert [row.targets[0].cordon for row in told.rows.values()] == ["low", "high"]
            assert told.limits == set()

        await hall.played("low", low)
        await hall.played("standard", door)

    in_hall(tmp_path, main)


def test_a_cordon_that_a_tenant_leaves_hosts_it_all_through_the_move(tmp_path: Path) -> None:
    async def main(hall: Hall) -> None:
        residence, fleet = hall.keeper.residence, hall.keeper.fleet
        await residence.set(A, "low")
        assert not fleet.hosts("high", A)
        moving = asyncio.ensure_future(residence.set(A, "high"))
        hosted = []
        while not moving.done():
            hosted.append(fleet.hosts("low", A))
            await asyncio.sleep(0)
        assert residence.home(A) == "high"
        assert len(hosted) > 1
        assert all(hosted)
        assert fleet.hosts("low", A), "until what is on its way there is over"
        assert fleet.hosts("high", A)

    in_hall(tmp_path, main)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("kv", [B, "get", "n", "k", None, {}]),
        ("kv", [None]),
        ("fetch", [B, "f", [], "GET", "http://x/", [], b"", 1.0, False]),
        ("secret", [B, "s"]),
        ("signing_key", ["test", "20260101", "us-east-1", "lambda"]),
        ("control", ["GET", "/2015-03-31/functions", "", [], b""]),
        ("summon", own(A)),
        ("accept", [["id", B, "f", "", b"{}", b"", "", 0]]),
        ("records", ["somebody else's name", 1, []]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_worker_is_refused_what_is_another_cordons(tmp_path: Path, operation: str, body: Any) -> None:
    async def main(hall: Hall) -> None:
        await hall.keeper.residence.set(A, "low")
        await hall.keeper.residence.set(B, "high")
        await hall.played("low", asked(operation, body))

    in_hall(tmp_path, main)


def test_a_worker_may_not_have_another_cordons_artifact_built(tmp_path: Path) -> None:
    async def main(hall: Hall) -> None:
        await hall.keeper.residence.set(B, "high")
        function = await function_of(hall.keeper, B)
        assert function.snapshot is not None
        await hall.played("low", asked("rebuild", [function.snapshot.digest]))

    in_hall(tmp_path, main)


def test_records_of_another_cordons_tenants_are_dropped_and_its_own_taken(tmp_path: Path) -> None:
    async def main(hall: Hall) -> None:
        await hall.keeper.residence.set(A, "low")
        batches = [Batch(account, "f", "", "1", 1, 1, Totals(invocations=1)).to_plain() for account in (A, B)]

        async def play(link: SocketLink, told: Told) -> None:
            await link.request("records", [f"{os.getpid():032x}", 1, batches])

        await hall.played("low", play)
        assert len(await hall.keeper.ledger.rows(A)) == 1
        assert await hall.keeper.ledger.rows(B) == []

    in_hall(tmp_path, main)


def test_nobody_is_a_worker_but_by_its_place_or_the_supervisors_word(tmp_path: Path) -> None:
    async def main(hall: Hall) -> None:
        said = {"worker": "w" * 32, "pid": 1, "protocol": PROTOCOL}
        link = await connect(hall.path, Told().serve)
        with pytest.raises(AccessDenied, match="no worker of this server"):
            await link.request("hello", said)
        with pytest.raises(AccessDenied, match="only the supervisor"):
            await link.request("vouch", "high")
        with pytest.raises(AccessDenied, match="says hello first"):
            await link.request("secret", [A, "s"])
        await link.close()

        async def vouches(link: SocketLink, told: Told) -> None:
            with pytest.raises(AccessDenied, match="only the supervisor"):
                await link.request("vouch", "high")

        await hall.played("low", vouches)

    in_hall(tmp_path, main)


def test_what_the_supervisor_says_first_on_a_link_is_whose_worker_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(hall: Hall) -> None:
        monkeypatch.setattr(os, "getppid", os.getpid)  # this process is the supervisor
        await hall.keeper.residence.set(A, "low")
        _, writer = await asyncio.open_unix_connection(str(hall.path))
        writer.write(note("vouch", "low"))
        told = Told()
        loop = asyncio.get_running_loop()
        sock = writer.get_extra_info("socket").dup()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        _, link = await loop.create_connection(lambda: SocketLink(told.serve), sock=sock)
        with pytest.raises(AccessDenied):
            await link.request("vouch", "high")
        await link.request("hello", {"worker": "w" * 32, "pid": 7, "protocol": PROTOCOL})
        assert [(member.cordon, member.pid) for member in hall.keeper.fleet.everyone()] == [("low", 7)]
        with pytest.raises(AccessDenied):
            await link.request("secret", [B, "s"])
        await link.close()
        writer.close()

    in_hall(tmp_path, main)


# ── moving ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_move_is_told_to_the_new_workers_first_then_to_the_door_and_forgotten_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOVE_GRACE_S", 0.0)
    log: list[str] = []

    class Noting(FakeWorker):
        def __init__(self, keeper: Keeper, cordon: str) -> None:
            self.cordon = cordon
            super().__init__(keeper, cordon)

        async def _routes(self, replace: bool, rows: Any, removed: Any) -> None:
            for row in rows:
                target = row.targets[0]
                log.append(f"{self.cordon}: {'runs' if runs_here(target) else 'knows'} {target.cordon or 'here'}")
            log.extend(f"{self.cordon}: gone" for _ in removed)

    async def main() -> None:
        async with running_keeper(tmp_path, layout=LAYOUT) as keeper:
            function = await function_of(keeper, A)
            assert function.settings.timeout_s > 0
            for cordon in ("standard", "low", "high"):
                worker = Noting(keeper, cordon)
                await keeper.fleet.attach(_other_end(worker), cordon, 0, cordon)
            log.clear()
            keeper.residence._longest_s = lambda account: 0.0  # type: ignore[method-assign]
            await keeper.residence.set(A, "low")
            assert log == ["low: runs here", "standard: runs low"]
            log.clear()
            while not log:
                await asyncio.sleep(0)
            assert log == ["standard: knows low"]
            log.clear()
            await keeper.residence.set(A, "high")
            assert log == ["high: runs here", "low: runs here", "standard: knows high"]
            log.clear()
            while not log:
                await asyncio.sleep(0)
            assert log == ["low: gone"]
            log.clear()
            await keeper.residence.set(A, "standard")
            assert log == ["standard: runs high", "high: runs here", "standard: runs here"]
            while "high: gone" not in log:
                await asyncio.sleep(0)

    run(main)


def _other_end(worker: FakeWorker) -> Any:
    """The keeper's end of a worker's link."""
    return worker.link._peer


def test_until_the_longest_of_its_functions_is_over_both_cordons_speak_for_a_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path, layout=LAYOUT) as keeper:
            await function_of(keeper, A)
            worker = FakeWorker(keeper, "standard")
            member = await keeper.fleet.attach(_other_end(worker), "w", 0, "standard")
            await keeper.residence.set(A, "low")
            assert keeper.fleet.home(A) == "low"
            assert keeper.fleet.speaks_for(member, A), "what runs there goes on"
            assert keeper.residence._longest_s(A) == limits.TIMEOUT_S_DEFAULT + limits.MOVE_GRACE_S
            await keeper.fleet.go(A, "standard")
            assert not keeper.fleet.speaks_for(member, A)
            await keeper.residence.set(A, "standard")
            await keeper.residence.set(A, "low")
            assert keeper.fleet.speaks_for(member, A)

    run(main)


async def settled(directory: Path, layout: Cordons | None) -> Residence:
    database = Database(directory / "keeper.db")
    await database.open()
    tenants = Tenants(database)
    await tenants.load()
    return Residence(tenants, layout)


def test_tiers_and_own_workers_are_set_without_a_server_too(tmp_path: Path) -> None:
    async def main() -> None:
        residence = await settled(tmp_path, LAYOUT)
        assert residence.home(A) == "standard"
        shown = await residence.serve("tenants.set", [A, "low", None])
        assert (shown["tier"], shown["cordon"], shown["workers"]) == ("low", "low", None)
        shown = await residence.serve("tenants.set", [A, None, True])
        assert (shown["tier"], shown["own"], shown["cordon"]) == ("low", True, own(A))
        assert [tenant["account"] for tenant in await residence.serve("tenants.list", [])] == [A]
        with pytest.raises(InvalidParameter, match=r"no workers; choose one of high, low, standard.*\[cordons\] x = 1"):
            await residence.set(A, "x")
        with pytest.raises(InvalidParameter, match="is no account"):
            await residence.serve("tenants.show", ["x"])
        await residence._tenants._database.close()

    run(main)


def test_no_more_accounts_have_workers_of_their_own_than_there_are_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OWN_WORKERS_MAX", 1)

    async def main() -> None:
        residence = await settled(tmp_path, LAYOUT)
        await residence.set(A, own=True)
        await residence.set(A, own=True)
        with pytest.raises(InvalidParameter, match=f"isolet tenants set {A} --shared-workers"):
            await residence.set(B, own=True)
        await residence.set(A, own=False)
        await residence.set(B, own=True)
        await residence._tenants._database.close()

    run(main)


def test_in_one_process_everybody_lives_together_whatever_was_set(tmp_path: Path) -> None:
    async def main() -> None:
        residence = await settled(tmp_path, LAYOUT)
        await residence.set(A, "low", True)
        assert Residence(residence._tenants, None).home(A) == "standard"
        await residence._tenants._database.close()

    run(main)


# ── tenants' own workers ────────────────────────────────────────────────────────────────────────────────────────


class Crew(Fleet):
    """A fleet whose members are added by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.served = 0.0
        self.running = 0.0
        self.home = own

    def add(self, account: str) -> Member:
        member = Member(0, "w", 1, object(), own(account))  # type: ignore[arg-type]
        self._members[member.link] = member
        return member

    async def gauges_of(self, member: Member) -> dict[str, float] | None:
        return {"http_requests": self.served, "attempts_ended": 0, "invocations_in_flight": self.running}


def test_an_own_worker_is_ordered_once_and_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        workers = OwnWorkers(writing, lambda account: f"{account}.sock")
        workers.fleet = crew = Crew()
        summoned = [asyncio.ensure_future(workers.summon(A)) for _ in range(2)]
        await asyncio.sleep(0)
        assert set(orders(os.read(reading, 100))) == {(A, True)}
        crew.add(A)
        workers.joined(own(A))
        assert await asyncio.gather(*summoned) == [f"{A}.sock"] * 2
        assert await workers.summon(A) == f"{A}.sock"
        await workers.close()
        os.close(reading)
        os.close(writing)

    run(main)


def test_an_own_worker_that_does_not_come_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OWN_START_S", 0.01)

    async def main() -> None:
        reading, writing = os.pipe()
        with pytest.raises(Overloaded, match="did not start in time"):
            await OwnWorkers(writing).summon(A)
        with pytest.raises(Overloaded, match="starts no workers for single accounts"):
            await OwnWorkers().summon(A)
        os.close(reading)
        os.close(writing)

    run(main)


def test_an_own_worker_is_ended_when_it_served_nothing_for_long_or_its_tenant_has_moved() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        workers = OwnWorkers(writing)
        workers.fleet = crew = Crew()
        member = crew.add(A)

        def ordered() -> list[tuple[str, bool]]:
            try:
                return orders(os.read(reading, 100))
            except BlockingIOError:
                return []

        for now_s in (0.0, limits.OWN_IDLE_S - 1):
            await workers.look(now_s)
        crew.served = 1
        await workers.look(limits.OWN_IDLE_S)
        crew.running = 1
        for now_s in (2 * limits.OWN_IDLE_S, 4 * limits.OWN_IDLE_S):
            await workers.look(now_s)
        assert ordered() == []
        crew.running = 0
        await workers.look(5 * limits.OWN_IDLE_S)
        assert ordered() == [(A, False)]
        assert member.leaving
        assert crew.crew(own(A)) == []

        member.leaving = False
        await workers.look(6 * limits.OWN_IDLE_S)
        crew.home = lambda tenant: "standard"
        await workers.look(6 * limits.OWN_IDLE_S + 1)
        assert ordered() == [(A, False)]
        os.close(reading)
        os.close(writing)

    run(main)
