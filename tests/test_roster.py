from __future__ import annotations

import os
import socket

import pytest

from isolet.roster import Roster, peer_pid


def in_child(roster: Roster, place: int) -> int:
    """The process number of a child that entered, and has ended."""
    pid = os.fork()
    if pid == 0:
        roster.enter(place)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_keeper_knows_a_process_by_the_place_that_it_entered() -> None:
    roster = Roster(("standard", "low", "low"), blocks=1)
    first, second = in_child(roster, 0), in_child(roster, 2)
    assert (roster.cordon_of(first), roster.cordon_of(second)) == ("standard", "low")
    assert roster.pids_of("standard") == [first]
    assert roster.pids_of("low") == [second]


def test_nobody_is_in_no_cordon() -> None:
    roster = Roster(("standard",), blocks=1)
    for pid in (0, -1, os.getpid()):
        assert roster.cordon_of(pid) is None
    roster.leave(0)
    assert roster.pids_of("standard") == []


def test_ended_worker_sits_nowhere() -> None:
    roster = Roster(("standard",))
    pid = in_child(roster, 0)
    roster.leave(0)
    assert roster.cordon_of(pid) is None


def test_who_has_entered_cannot_write_any_more() -> None:
    roster = Roster(("standard", "low"))
    roster.enter(1)
    with pytest.raises(ValueError, match="released"):
        roster.leave(0)


def test_blocks_of_places_are_given_by_account_while_there_are_some() -> None:
    roster = Roster(("standard",), blocks=2)
    assert roster.block_for("000000000000") == range(1, 3)
    assert roster.block_for("111122223333") == range(3, 5)
    assert roster.block_for("000000000000") == range(1, 3)
    assert roster.block_for("444455556666") is None
    worker, successor = in_child(roster, 3), in_child(roster, 4)
    assert roster.cordon_of(worker) == roster.cordon_of(successor) == "tenant-111122223333"
    assert sorted(roster.pids_of("tenant-111122223333")) == sorted([worker, successor])
    assert roster.cordon_of(in_child(roster, 1)) == "tenant-000000000000"
    roster.give_back(range(3, 5))
    assert roster.cordon_of(worker) is None
    assert roster.block_for("444455556666") == range(3, 5)


def test_kernel_says_who_is_at_the_other_end() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert peer_pid(here) == os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as inet:
        assert peer_pid(inet) == 0
