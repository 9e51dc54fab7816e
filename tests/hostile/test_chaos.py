"""Processes that are killed and stopped at random points, disks that fill up and fail, clocks that jump: whatever
happens, what was acknowledged is in the books, and nobody pays for another's misfortune.

Each run prints its seed and N; "0 of N lost" proves less than 3/N at 95 %.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import select
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from hostile.chaos import Traffic, descendants, ended, slay
from hostile.house import NEIGHBOUR, until
from hostile.test_cordons import Estate, calling
from test_event_durability import Sender, audit, deploy, pass_a_turn, queued, without_victims
from test_server import Server, serving

# A loop that stands still is judged within seconds here.
IMPATIENT = "from isolet import limits\nlimits.LOOP_WAIT_S = 1.0\n"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Retries come quickly, and temporary files where they are found."""
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_RETRY_S", "0.1")
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_THROTTLE_S", "0.05")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


def drained(server: Server) -> None:
    while queued(server) != 0:
        pass


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def end_in_order(server: Server) -> None:
    """SIGTERM; nothing is left of the processes."""
    family = {pid: os.pidfd_open(pid) for pid in descendants(server.process.pid)}
    assert server.end() == 0
    for pid, descriptor in family.items():
        assert select.select([descriptor], [], [], 0)[0], f"{pid} outlived its server"
        os.close(descriptor)


def assert_nothing_is_left_in(tmp_path: Path) -> None:
    """Of files and sockets; what a killed writer left of an artifact or a package is removed when it is old."""
    assert list((tmp_path / "tmp").iterdir()) == []
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_socket() or path.name.endswith(".partial")]
    assert [path for path in left if path.parent.name not in ("artifacts", "packages")] == []
    for path in left:
        os.utime(path, (0, 0))
    with serving(tmp_path / "data", workers=1) as server:
        server.deploy("outcome_huge")
        while any(path.exists() for path in left):
            pass_a_turn()
        server.end()


def chaos(tmp_path: Path, seed: int, count: int, kills: int) -> str:
    """A run; what it says at its end."""
    chance = random.Random(seed)
    (tmp_path / "data").mkdir()
    with serving(tmp_path / "data", workers=2) as server:
        traffic = Traffic(server, seed, count)
        at_first, killed = descriptors(server), Counter[str]()
        with traffic.flowing():
            for _ in range(kills):
                traffic.until_more_were_accepted(chance, 2 * count // (kills + 1))
                killed[traffic.kill(chance)] += 1
        drained(server)
        while any(state == "Z" for state in descendants(server.process.pid).values()):
            pass
        assert descriptors(server) == at_first, "of the supervisor"
        end_in_order(server)
    accepted = traffic.accepted
    ends = audit(tmp_path / "data", accepted)
    assert without_victims(ends, kills) <= {"answers Success", "naps Success", "raises RetriesExhausted"}, ends
    assert_nothing_is_left_in(tmp_path)
    requests = sum(asker.answered for asker in traffic.askers)
    lost = sum(len(asker.lost) for asker in traffic.askers)
    return (
        f"seed {seed}: killed {dict(killed)}; 0 of {len(accepted)} acknowledged events lost, ends {dict(ends)}; of "
        f"{requests} synchronous and streamed requests {lost} failed, their workers' own; deployments "
        f"{dict(traffic.deployer.ends)}"
    )


def test_only_the_killed_workers_own_requests_fail_and_the_books_balance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = chaos(tmp_path, seed=5, count=200, kills=6)
    with capsys.disabled():
        print(f"\n{said}")


@pytest.mark.slow
def test_the_same_over_many_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str], exhaustive: bool) -> None:
    """`--exhaustive`: a seed of its own, 150,000 events and 1,000 kills, which take half an hour (give `--timeout=0`).
    What is told to a queue that nobody serves stays in the outbox, and counts for the tenant's EVENTS_TENANT_MAX."""
    seed = random.SystemRandom().randrange(2**32) if exhaustive else 500
    with capsys.disabled():
        print(f"\nseed {seed}")
        print(chaos(tmp_path, seed, *((150_000, 1_000) if exhaustive else (1_500, 25))))


# ── the whole server ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("whom", ["everybody", pytest.param("supervisor", marks=pytest.mark.slow)])
def test_server_that_is_killed_whole_serves_again_and_has_lost_nothing(tmp_path: Path, whom: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with serving(data, workers=2) as server:
        for name in ("answers", "raises", "naps"):
            deploy(server, name)
        # Nobody reaches a server that is not there: senders of the first server end with it.
        senders = [Mortal(server.url, ["answers", "raises", "naps"], 10**9, seed) for seed in range(3)]
        for sender in senders:
            sender.start()
        while sum(len(sender.accepted) for sender in senders) < 150:
            pass_a_turn()
        family = {pid: os.pidfd_open(pid) for pid in descendants(server.process.pid)}
        assert len(family) == 3
        slay(server.process.pid, *(family if whom == "everybody" else ()))
        for pid, descriptor in family.items():
            assert select.select([descriptor], [], [], 60)[0], f"{pid} outlived its supervisor"
            os.close(descriptor)
        server.end(None)
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
    with serving(data, workers=2) as server:
        assert server.invoke("answers").json() == 1
        drained(server)
        end_in_order(server)
    accepted = [id for sender in senders for id in sender.accepted]
    ends = audit(data, accepted)
    assert set(ends) == {"answers Success", "naps Success", "raises RetriesExhausted"}
    assert_nothing_is_left_in(tmp_path)


class Mortal(Sender):
    """One that ends when nobody listens any more."""

    def is_over(self, error: OSError | http.client.HTTPException) -> bool:
        return isinstance(error, ConnectionRefusedError)


# ── workers that are recycled ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_recycling_of_doors_and_of_workers_behind_them_fails_no_request(tmp_path: Path) -> None:
    """All of both cordons are recycled again and again, while a tenant of the inner one calls its function."""
    estate = Estate(tmp_path, ISOLET_WORKER_REQUESTS_MAX="200")
    try:
        estate.furnish()
        inner = set(estate.workers(NEIGHBOUR))
        doors = set(estate.doors())
        with calling(estate.neighbour, threads=4) as problems:
            until(lambda: not inner & set(estate.workers(NEIGHBOUR)) or problems, "the inner worker was recycled")
            until(lambda: not doors & set(estate.doors()) or problems, "the doors were recycled")
        assert problems == []
    finally:
        estate.server.end()


@pytest.mark.slow
def test_clients_that_take_nothing_hold_up_no_recycling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They ask for more than the kernel's buffers hold, and acknowledge nothing of it."""
    monkeypatch.setenv("ISOLET_WORKER_REQUESTS_MAX", "100")
    body = b"x" * 500_000
    head = b"POST /fn/http_echoes/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(tmp_path / "data", workers=1) as server, contextlib.ExitStack() as stack:
        server.deploy("answers")
        server.deploy("http_echoes")
        host, port = server.url.removeprefix("http://").split(":")
        (first,) = server.pids("worker")
        for _ in range(4):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            sending = threading.Thread(target=connection.sendall, args=(12 * (head + body),), daemon=True)
            sending.start()
        descriptor = os.pidfd_open(first)
        with httpx.Client(base_url=server.url, timeout=120) as client:
            while not select.select([descriptor], [], [], 0)[0]:
                assert client.get("/fn/answers/").json() == 1
        os.close(descriptor)
        assert ended(server)["recycled"] == ended(server).total() >= 1
        assert server.end() == 0


# ── processes that stand still ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_worker_that_is_stopped_for_a_moment_goes_on_and_fails_nobody(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers=2) as server:
        server.deploy("answers")
        stopped = server.pids("worker")[0]
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=120) as client:
                answers.append(client.get("/fn/answers/").json())

        os.kill(stopped, signal.SIGSTOP)
        asking = [threading.Thread(target=ask) for _ in range(40)]
        for one in asking:
            one.start()
        while not answers:  # of the other worker
            pass_a_turn()
        os.kill(stopped, signal.SIGCONT)
        for one in asking:
            one.join(120)
        assert answers == [1] * 40
        assert ended(server) == Counter()
        assert stopped in server.pids("worker")
        assert server.end() == 0


def test_worker_that_stays_stopped_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers=1, before=IMPATIENT) as server:
        server.deploy("answers")
        before = len(server.lines)
        os.kill(server.pids("worker")[0], signal.SIGSTOP)
        assert "s without turning" in server.await_line(" is killed: its loop has waited", before)
        assert httpx.get(f"{server.url}/fn/answers/", timeout=120).json() == 1
        assert ended(server) == Counter(stuck=1)
        assert server.end() == 0


@pytest.mark.slow
def test_machine_that_sleeps_kills_nobody(tmp_path: Path) -> None:
    """All of them are stopped for longer than a loop may stand still: who would judge was asleep, too."""
    with serving(tmp_path / "data", workers=2, before=IMPATIENT) as server:
        server.deploy("answers")
        family = [server.process.pid, *descendants(server.process.pid)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(3)  # the sleep itself
        for pid in reversed(family):
            os.kill(pid, signal.SIGCONT)
        for _ in range(20):
            with httpx.Client(base_url=server.url, timeout=120) as client:
                assert client.get("/fn/answers/").json() == 1
        assert ended(server) == Counter()
        assert server.end() == 0
