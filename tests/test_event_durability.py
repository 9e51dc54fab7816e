"""kill −9 of keeper and workers at random points: nothing that was answered 202 is lost, and the books balance.

Every function tells its ends to a queue that nobody serves: what is told stays in the outbox, where each event's id is
found at the end. (hostile/test_chaos.py does it in every run, beside traffic of all other kinds.)
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from isolet import limits
from signing import signed
from test_server import Server, serving

WORKERS_LOST = "WorkersLost"
NOWHERE = "arn:aws:sqs:us-east-1:123456789012:nowhere"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_RETRY_S", "0.1")
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_THROTTLE_S", "0.05")


def deploy(server: Server, name: str, **more: object) -> None:
    server.deploy(name, **more)
    both = {"OnSuccess": {"Destination": NOWHERE}, "OnFailure": {"Destination": NOWHERE}}
    answer = server.http.put(
        f"/2019-09-25/functions/{name}/event-invoke-config",
        json={"MaximumRetryAttempts": 1, "DestinationConfig": both},
    )
    assert answer.status_code == 200, answer.text


class Sender(threading.Thread):
    """A client that sends events until it has so many answers, good or bad; `accepted` are the ids of those 202."""

    def __init__(self, url: str, names: list[str], count: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self._host = url.removeprefix("http://")
        self._chance = random.Random(seed)
        self._names = names
        self.goal = count

    def run(self) -> None:
        while len(self.accepted) < self.goal:
            # A connection each time that the server was lost.
            with contextlib.closing(http.client.HTTPConnection(self._host, timeout=30)) as connection:
                try:
                    while len(self.accepted) < self.goal:
                        self._send(connection)
                except (OSError, http.client.HTTPException) as error:
                    if self.is_over(error):
                        return

    def is_over(self, error: OSError | http.client.HTTPException) -> bool:
        """Whether to give up."""
        return False

    def _send(self, connection: http.client.HTTPConnection) -> None:
        path = f"/2015-03-31/functions/{self._chance.choice(self._names)}/invocations"
        headers = [("Host", self._host), ("X-Amz-Invocation-Type", "Event")]
        body = json.dumps({"n": len(self.accepted)}).encode()
        connection.request("POST", path, body, dict(signed("POST", path, headers, body)))
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 202:
            self.accepted.append(str(answer.headers["x-amzn-requestid"]))
        else:
            assert answer.status >= 500, content


def queued(server: Server) -> int | None:
    """What the keeper says is queued; None while there is none."""
    with contextlib.suppress(httpx.TransportError):
        found = re.search(r"^isolet_events_queued (\d+)", server.http.get("/metrics").text, re.MULTILINE)
        return int(found[1]) if found else None
    return None


def kill(server: Server, chance: random.Random) -> str:
    """Kills a process, and returns when its replacement has been started."""
    role = chance.choice(["keeper", "worker", "worker"])
    before = len(server.lines)
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(server.pids(role)), signal.SIGKILL)
    server.await_line("started, pid", before)
    return role


def audit(data: Path, accepted: list[str]) -> Counter[str]:
    """The books of a server that has ended, held against its outbox; how events ended, as "function condition".

    The condition is WORKERS_LOST for what was given up because it lost as many workers as one message may.
    """
    db = sqlite3.connect(data / "keeper.db")
    try:
        sums = "sum(accepted), sum(succeeded), sum(dead_lettered), sum(expired)"
        booked, succeeded, dead_lettered, expired = db.execute(f"SELECT {sums} FROM books").fetchone()
        (queued,) = db.execute("SELECT count(*) FROM events").fetchone()
        told = [id for (id,) in db.execute("SELECT request_id FROM deliveries")]
        # One at a time: a record is some kilobytes when it is read, and there may be a million.
        ends = Counter(_end(json.loads(body)) for (body,) in db.execute("SELECT body FROM deliveries"))
    finally:
        db.close()
    assert booked == succeeded + dead_lettered + expired + queued
    assert queued == 0
    assert len(told) == len(set(told)) == booked, "each ended once"
    assert set(accepted) <= set(told), "what was answered 202 is accounted for"
    return ends


def _end(record: dict[str, Any]) -> str:
    return f"{record['requestContext']['functionArn'].split(':')[6]} {_condition(record)}"


def _condition(record: dict[str, Any]) -> str:
    context = record["requestContext"]
    # A function's own failure has an answer of the function in its record.
    if context["condition"] == "RetriesExhausted" and "responseContext" not in record:
        assert context["approximateInvokeCount"] >= limits.EVENT_LOSSES_MAX, record
        return WORKERS_LOST
    condition: str = context["condition"]
    return condition


def without_victims(ends: Counter[str], kills: int) -> set[str]:
    """How events ended but for those that were under way at EVENT_LOSSES_MAX of the kills: these are given up like a
    message that kills, which nobody can tell them from. With pauses this short there may be some."""
    victims = {end for end in ends if end.endswith(WORKERS_LOST)}
    assert sum(ends[end] for end in victims) <= kills // limits.EVENT_LOSSES_MAX, ends
    return set(ends) - victims


def run(data: Path, seed: int, count: int, kills: int) -> None:
    chance = random.Random(seed)
    with serving(data, workers=2) as server:
        for name in ("answers", "raises", "naps"):
            deploy(server, name)
        senders = [Sender(server.url, ["answers", "raises", "naps"], count // 4, seed + n) for n in range(4)]
        for sender in senders:
            sender.start()
        for _ in range(kills):
            # As long as it takes until so many more events were accepted: a point in the work, not in time.
            goal = sum(len(sender.accepted) for sender in senders) + chance.randrange(1, max(2, count // (kills + 1)))
            while sum(len(sender.accepted) for sender in senders) < min(goal, count):
                pass_a_turn()
            kill(server, chance)
        for sender in senders:
            sender.join(120)
            assert not sender.is_alive()
        while queued(server) != 0:
            pass
        assert server.end() == 0
    accepted = [id for sender in senders for id in sender.accepted]
    assert len(accepted) == count // 4 * 4, f"seed {seed}"
    ends = audit(data, accepted)
    # Nobody but the function that fails was given up: a worker or a keeper that dies costs an event no retry.
    assert without_victims(ends, kills) == {"answers Success", "naps Success", "raises RetriesExhausted"}
    print(f"seed {seed}: {len(accepted)} answered 202, ends {dict(ends)}")


def pass_a_turn() -> None:
    """Lets the other threads run."""
    threading.Event().wait(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_accepted_is_lost_over_many_kills(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed=100 + seed, count=4_000, kills=40)


def test_message_that_kills_its_worker_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as server:
        deploy(server, "answers")
        deploy(server, "sleeps", Timeout=60)
        sent = [send(server, "sleeps")]
        for _ in range(limits.EVENT_LOSSES_MAX):
            while 'isolet_invocations_in_flight{cordon="standard",worker="0"} 1.0' not in metrics(server):
                pass
            before = len(server.lines)
            os.kill(server.pids("worker")[0], signal.SIGKILL)
            server.await_line("started, pid", before)
        while queued(server) != 0:
            pass
        sent.append(send(server, "answers"))
        while queued(server) != 0:
            pass
        assert server.end() == 0
    assert audit(tmp_path, sent) == Counter({f"sleeps {WORKERS_LOST}": 1, "answers Success": 1})


def metrics(server: Server) -> str:
    with contextlib.suppress(httpx.TransportError):
        return server.http.get("/metrics").text
    return ""


def send(server: Server, name: str) -> str:
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = server.http.post(
                f"/2015-03-31/functions/{name}/invocations", headers={"X-Amz-Invocation-Type": "Event"}
            )
            if answer.status_code == 202:
                id: str = answer.headers["x-amzn-requestid"]
                return id


def test_sigterm_leaves_what_is_queued_to_the_next_server(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as server:
        deploy(server, "naps")
        sent = [send(server, "naps") for _ in range(50)]
        assert server.end() == 0
    with serving(tmp_path, workers=1) as server:
        while queued(server) != 0:
            pass
        assert server.end() == 0
    assert audit(tmp_path, sent) == Counter({"naps Success": 50})
