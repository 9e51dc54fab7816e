from __future__ import annotations

import asyncio
import json
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.config import Config
from isolet.crews import Crews, Orders, Seat, listen_at
from isolet.errors import InvalidParameter
from isolet.own_workers import order

ACCOUNT, OTHER = "111122223333", "444455556666"


@pytest.fixture
def crews(tmp_path: Path) -> Any:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    config = Config(workers=2, cordons=(("high", 1), ("low", 2)))
    made = Crews(config, listening, tmp_path / "keeper.sock")
    yield made
    for account in (ACCOUNT, OTHER):
        made.forget_own(account)
    made.close()


def in_worker(crews: Crews, seat: Seat, place: int, look: Callable[[Any], Any]) -> Any:
    """What a worker's process sees, once it has entered its seat."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(look(seat.enter(crews, place))).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(said)


def seat_of(crews: Crews, cordon: str) -> Seat:
    return next(seat for seat in crews.seats if seat.cordon == cordon)


def test_only_the_doors_workers_have_the_port(crews: Crews) -> None:
    families = {seat.name: seat.listening.family for seat in crews.seats}
    assert families == {
        "standard worker 0": socket.AF_INET,
        "standard worker 1": socket.AF_INET,
        "high worker 2": socket.AF_UNIX,
        "low worker 3": socket.AF_UNIX,
        "low worker 4": socket.AF_UNIX,
    }
    assert sorted(crews.paths) == ["high", "low"]
    for path in (path for paths in crews.paths.values() for path in paths):
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_each_cordon_has_places_for_its_workers_and_one_successor(crews: Crews) -> None:
    blocks = {seat.cordon: seat.places for seat in crews.seats}
    assert {cordon: len(places) for cordon, places in blocks.items()} == {"standard": 3, "high": 2, "low": 3}
    assert len({place for places in blocks.values() for place in places}) == 8
    assert crews.vitals.places == 8 + 2 * limits.OWN_WORKERS_MAX


def test_worker_has_no_socket_and_no_memory_of_another_cordon(crews: Crews) -> None:
    assert crews.open_own(ACCOUNT) is not None
    seat = seat_of(crews, "low")

    # Other tests' may be there, too: a worker unmaps those of its own server's other cordons.
    mapped = Path("/proc/self/maps").read_text().count("isolet-tally")

    def look(column: Any) -> Any:
        column.enter(0, 5)
        gone = []
        for other in crews.sockets:
            if other is not seat.listening:
                gone.append(other.fileno() == -1)
        for tally in crews.tallies:
            if tally is not seat.tally:
                try:
                    tally.cells[0] = 1
                    gone.append(False)
                except ValueError:
                    gone.append(True)
        for place in range(crews.vitals.places):
            if place != seat.places[0]:
                try:
                    crews.vitals.column(place).clear()
                    gone.append(False)
                except ValueError:
                    gone.append(True)
        try:
            crews.roster.leave(0)
            gone.append(False)
        except ValueError:
            gone.append(True)
        left = Path("/proc/self/maps").read_text().count("isolet-tally")
        return [all(gone), left, column.total(0)]

    expected = [True, mapped - len(crews.tallies) + 1, 1]
    assert in_worker(crews, seat, seat.places[0], look) == expected
    assert seat.tally.cells[0] == 1, "what it counts, the others of its cordon see"
    assert crews.roster.pids_of("low") != []
    crews.roster.leave(seat.places[0])
    assert crews.roster.pids_of("low") == []


def test_own_workers_listen_at_their_accounts_path_until_they_are_not_wanted(crews: Crews) -> None:
    seat = crews.open_own(ACCOUNT)
    assert seat is not None
    assert crews.open_own(ACCOUNT) is seat
    other = crews.open_own(OTHER)
    assert other is not None
    assert not set(seat.places) & set(other.places)

    def connects() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(crews.own_path(ACCOUNT))
            except OSError:
                return False
            return True

    assert connects()
    crews.close_own(ACCOUNT)
    assert not connects()
    again = crews.open_own(ACCOUNT)
    assert again is not None
    assert connects()
    assert again.tally is seat.tally, "what the one before still runs is counted"
    crews.forget_own(ACCOUNT)
    assert not connects()


def test_no_more_accounts_than_there_are_places(crews: Crews, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews.roster, "block_for", lambda account: None)
    assert crews.open_own(ACCOUNT) is None


def test_sockets_of_a_server_that_has_ended_are_removed(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    left = tmp_path / "workers" / "tenant-111122223333.sock"
    listen_at(left).close()
    listening = [socket.create_server(("127.0.0.1", 0))]
    crews = Crews(Config(workers=1), listening, tmp_path / "keeper.sock")
    assert not left.exists()
    assert [seat.name for seat in crews.seats] == ["worker 0"]
    crews.close()


def test_socket_that_cannot_be_made_is_said_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="--data"):
        listen_at(tmp_path / "missing" / "x.sock")


def test_orders_arrive_whole_and_end_with_their_keeper() -> None:
    obeyed: list[tuple[str, bool]] = []
    orders = Orders(lambda *said: obeyed.append(said))
    (reading,) = orders.descriptors()
    pipe = os.dup(orders._writing)
    orders.attend()
    os.write(pipe, order(ACCOUNT, True) + order(OTHER, False))
    orders.serve(reading, select.POLLIN)
    assert obeyed == [(ACCOUNT, True), (OTHER, False)]
    os.close(pipe)
    orders.serve(reading, select.POLLIN | select.POLLHUP)
    assert orders.descriptors() == []
    asyncio.run(asyncio.sleep(0))
