"""What connections share."""

from __future__ import annotations

import asyncio
from uuid import RFC_4122, UUID

import pytest

from front.house import Somebody
from isolet.clock import ManualClock
from isolet.front.door import Door, HttpLimits, peer_of
from isolet.routing import RoutingTable


class Idle:
    """A connection with some unsent bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.aborted = False
        self.swept: list[float] = []

    def sweep(self, now_s: float) -> None:
        self.swept.append(now_s)

    def unsent_bytes(self) -> int:
        return self.size

    def abort(self, reason: str) -> None:
        self.aborted = True


class Writer(Idle):
    """One whose answer has pieces still to be written."""

    def __init__(self, name: str, pieces: int, film: list[str]) -> None:
        super().__init__(0)
        self.name, self.pieces, self.film = name, pieces, film

    def go_on(self) -> None:
        self.film.append(self.name)
        self.pieces -= 1
        if self.pieces:
            self.door.in_turn(self)  # type: ignore[arg-type]

    door: Door


def make_door(clock: ManualClock, **limits: int) -> Door:
    class Nobody:
        def submit(self, invocation: object, done: object) -> object:
            raise AssertionError("nothing is invoked here")

    return Door(RoutingTable(), Nobody(), Somebody(), http_limits=HttpLimits(**limits), clock=clock)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_large_answers_take_turns_and_a_turn_of_the_loop_in_turne_piece() -> None:
    film: list[str] = []
    door = Writer.door = make_door(ManualClock())
    writers = [Writer("a", 3, film), Writer("b", 2, film), Writer("c", 1, film)]
    for writer in writers:
        door.in_turn(writer)  # type: ignore[arg-type]
    assert film == []
    turns = []
    while any(writer.pieces for writer in writers):
        before = len(film)
        await asyncio.sleep(0)
        turns.append(len(film) - before)
    assert ("".join(film), max(turns)) == ("abcaba", 1)


def test_request_ids_are_distinct_uuids() -> None:
    door = make_door(ManualClock())
    ids = [door.request_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    for text in ids[:600]:
        uuid = UUID(text)
        assert (str(uuid), uuid.version, uuid.variant) == (text, 4, RFC_4122)


def test_the_second_is_said_anew_when_it_changes_in_either_direction() -> None:
    clock = ManualClock(1_700_000_000.999)
    door = make_door(clock)
    assert door.epoch_ms() == 1_700_000_000_999
    assert door.date_line == b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    clock.advance(0.002)
    assert door.epoch_ms() == 1_700_000_001_001
    assert door.date_line == b"date: Tue, 14 Nov 2023 22:13:21 GMT\r\n"
    clock._wall_s = 1_600_000_000.5  # somebody set the machine's clock
    assert door.epoch_ms() == 1_600_000_000_500
    assert door.date_line == b"date: Sun, 13 Sep 2020 12:26:40 GMT\r\n"


def test_sweep_asks_every_connection_and_aborts_the_largest_unread_first() -> None:
    clock = ManualClock()
    door = make_door(clock, unsent_bytes=100)
    members = [Idle(size) for size in (10, 80, 50, 30)]
    door.connections.update(members)
    door.stalled.update(members)
    clock.advance(5)
    door.sweep()
    assert [member.swept for member in members] == [[5.0]] * 4
    assert [member.aborted for member in members] == [False, True, False, False]


def test_crowded_door_gives_idle_connections_a_moment_only() -> None:
    door = make_door(ManualClock(), connections=4)
    assert door.idle_allowed_s() == door.limits.keep_alive_s
    door.connections.update(Idle(0) for _ in range(3))
    assert door.idle_allowed_s() == 1.0


def test_an_address_has_its_share_and_gives_back_what_it_leaves() -> None:
    door = make_door(ManualClock(), connections=10, connections_per_address=2)
    door._timer = object()  # type: ignore[assignment]  # no loop runs here
    members = [Idle(0) for _ in range(4)]
    assert [door.joined(member, "192.0.2.1") for member in members[:2]] == ["", ""]
    assert "2 connections of your address" in door.joined(members[2], "192.0.2.1")
    assert door.joined(members[3], "192.0.2.2") == ""
    assert door.joined(Idle(0)) == "", "who has no address (a UNIX socket) is not counted"
    door.left(members[0], "192.0.2.1")
    door.left(members[2], "192.0.2.1")
    assert door.joined(members[0], "192.0.2.1") == ""
    for member, peer in [(members[0], 1), (members[1], 1), (members[3], 2)]:
        door.left(member, f"192.0.2.{peer}")
    assert not door.peers, "nothing is kept of who left"


def test_a_peer_is_an_address_or_a_households_network() -> None:
    assert peer_of("192.0.2.1") == peer_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert peer_of("2001:db8:1:2::3") == peer_of("2001:db8:1:2:ffff::") == "2001:db8:1:2::"
    assert peer_of("2001:db8:1:3::3") != peer_of("2001:db8:1:2::3")
    assert peer_of("fe80::1%eth0") == "fe80::"
    assert peer_of("") == peer_of("unix") == ""


def test_site_parts_are_remembered_and_bounded() -> None:
    door = make_door(ManualClock())
    assert door.site_part("a", "$default") is door.site_part("a", "$default")
    for i in range(5000):
        door.site_part(str(i), "$default")
    assert len(door._sites) <= 4096
