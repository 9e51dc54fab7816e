"""Workers that are beyond help, and workers that have served long enough: what their clients notice of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import textwrap
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from signing import Signing
from test_server import Server, serving


def ended(server: Server) -> Counter[str]:
    """How workers have ended since the server started, by why."""
    text = ""
    while "isolet_workers_ended" not in text:
        with contextlib.suppress(httpx.TransportError):
            text = httpx.get(f"{server.url}/metrics").text
    found = re.findall(r'^isolet_workers_ended_total\{why="(\w+)"\} (\d+)', text, re.MULTILINE)
    return Counter({why: int(count) for why, count in found})


class Client(threading.Thread):
    """Asks one function again and again over a connection that it keeps as long as the server does. Nothing is tried
    again: `failures` are what a user would see."""

    def __init__(self, url: str, path: str, expected: object) -> None:
        super().__init__(daemon=True)
        self._host = url.removeprefix("http://")
        self._path = path
        self._expected = expected
        self.answers = self.connections = 0
        self.failures: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            connection = http.client.HTTPConnection(self._host, timeout=60)
            self.connections += 1
            try:
                self._ask(connection)
            except (OSError, http.client.HTTPException) as reason:
                self.failures.append(repr(reason))
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        while not self.enough.is_set():
            connection.request("GET", self._path)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200 or json.loads(content) != self._expected:
                self.failures.append(f"{answer.status} {content[:200]!r}")
            self.answers += 1
            if answer.will_close:
                return


def test_recycling_under_load_fails_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOLET_WORKER_REQUESTS_MAX", "300")
    with serving(tmp_path, workers=2) as server:
        server.deploy("answers")
        server.deploy("naps")
        clients = [Client(server.url, "/fn/answers/", 1) for _ in range(6)]
        clients += [Client(server.url, "/fn/naps/", server.invoke("naps").json()) for _ in range(2)]
        for client in clients:
            client.start()
        server.http.close()  # an idle connection would be given its time
        accepted = 0
        with httpx.Client(base_url=server.url, timeout=60, auth=Signing()) as http:
            while ended(server)["recycled"] < 3:
                event = {"X-Amz-Invocation-Type": "Event"}
                answer = http.post("/2015-03-31/functions/naps/invocations", headers=event)
                assert answer.status_code == 202, answer.text
                accepted += 1
        for client in clients:
            client.enough.set()
        for client in clients:
            client.join(60)
        assert [client.failures for client in clients] == [[]] * len(clients)
        assert all(client.answers for client in clients)
        while f'isolet_events_total{{fate="succeeded"}} {accepted}.0' not in httpx.get(f"{server.url}/metrics").text:
            pass
        assert set(+ended(server)) == {"recycled"}, "and nobody ended otherwise"
        assert server.end() == 0


# Defects of ours that no fuel bounds, by the name of the function that meets them.
DEFECTS = textwrap.dedent(
    """
    from isolet.invoker import Invoker

    submit = Invoker.submit

    def defective(self, invocation, done):
        if invocation.target.name == "naps":
            while True:
                pass
        if invocation.target.name == "raises":
            self.leak = bytearray(b"x" * 900_000_000)
        return submit(self, invocation, done)

    Invoker.submit = defective
    """
)


@pytest.mark.parametrize(
    ("guest", "why", "words"),
    [
        pytest.param("naps", "spinning", "s of a processor without turning", marks=pytest.mark.slow),
        ("raises", "memory", "MiB, and may hold 700; raise `worker.memory_bytes`"),
    ],
)
def test_worker_beyond_help_is_replaced_and_only_its_own_requests_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: str, why: str, words: str
) -> None:
    monkeypatch.setenv("ISOLET_WORKER_MEMORY_BYTES", "700 MiB")
    with serving(tmp_path, workers=2, before=DEFECTS) as server:
        server.deploy("answers")
        server.deploy(guest)
        before = len(server.lines)
        with httpx.Client(base_url=server.url, timeout=60) as client, contextlib.suppress(httpx.TransportError):
            client.get(f"/fn/{guest}/")
        said = server.await_line(" is killed: ", before)
        assert words in said
        server.await_line(" started, pid ", before)
        for _ in range(20):
            with httpx.Client(base_url=server.url, timeout=60) as client:  # a connection each: both workers
                assert client.get("/fn/answers/").json() == 1
        assert +ended(server) == Counter({why: 1})
        assert server.end() == 0
