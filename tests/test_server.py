"""The whole server, in its processes, as its users meet it: deployed to, called, killed, restarted, ended."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from isolet import server
from isolet.config import Config
from isolet.engine.engine import wat
from signing import Signing

GUESTS = Path(__file__).parent / "guests"

SCRIPT = textwrap.dedent(
    """
    import logging, sys
    from pathlib import Path
    from isolet.config import load
    from isolet.server import serve
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    chosen = {"port": 0, "workers": int(sys.argv[1]), "data": sys.argv[2], "isolates": 64, "drain_s": 10}
    config = load(arguments=chosen)
    sys.exit(serve(config, lambda url: print(url, flush=True)))
    """
)


class Server:
    """`isolet serve` in a process; `http` talks to it, `lines` is what it said so far. `before` is Python that runs in
    the supervisor first: what it changes is so in all processes."""

    def __init__(self, data: Path, workers: int, before: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + SCRIPT, str(workers), str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reading = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reading.start()
        self.url = self.process.stdout.readline().strip()
        assert self.url, "\n".join(self.lines)
        self.http = httpx.Client(base_url=self.url, timeout=30, auth=Signing())

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self._news:
                self.lines.append(line.strip())
                self._news.notify_all()

    def await_line(self, words: str, after: int = 0) -> str:
        """The first line with `words`, once it has been said."""
        with self._news:
            found = self._news.wait_for(
                lambda: next((line for line in self.lines[after:] if words in line), None), timeout=30
            )
        assert found, f"nobody said {words!r}:\n" + "\n".join(self.lines)
        return found

    def pids(self, role: str) -> list[int]:
        """The present processes of a role, from what the supervisor said."""
        alive: dict[str, int] = {}
        for line in self.lines:
            if line.startswith("isolet.supervisor") and " started, pid " in line:
                name, _, pid = line.removeprefix("isolet.supervisor ").partition(" started, pid ")
                alive[name] = int(pid)
        return [pid for name, pid in alive.items() if name.startswith(role)]

    def deploy(self, guest: str, **more: Any) -> dict[str, Any]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("function.wasm", wat((GUESTS / f"{guest}.wat").read_text()))
        answer = self.http.post(
            "/2015-03-31/functions",
            json={
                "FunctionName": guest,
                "Runtime": "provided.al2023",
                "Handler": "handle",
                "Role": "arn:aws:iam::000000000000:role/r",
                "Code": {"ZipFile": base64.b64encode(buffer.getvalue()).decode()},
                "Tags": {"isolet:http": "true"},
                **more,
            },
        )
        assert answer.status_code == 201, answer.text
        while (found := self.function(guest))["State"] == "Pending":
            pass
        return found

    def function(self, name: str) -> dict[str, Any]:
        """Its configuration. Who asks in a loop meets the account's limit on calls, and asks again."""
        while (answer := self.http.get(f"/2015-03-31/functions/{name}")).status_code == 429:
            time.sleep(0.05)
        configuration: dict[str, Any] = answer.json()["Configuration"]
        return configuration

    def invoke(self, name: str, event: Any = None) -> httpx.Response:
        return self.http.post(f"/2015-03-31/functions/{name}/invocations", content=json.dumps(event or {}))

    def end(self, how: int | None = signal.SIGTERM) -> int:
        """Its exit status, once it has ended; None: it was told to before."""
        self.http.close()
        if how is not None:
            self.process.send_signal(how)
        status = self.process.wait(60)
        self._reading.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status


@contextlib.contextmanager
def serving(data: Path, workers: int = 2, before: str = "") -> Iterator[Server]:
    server = Server(data, workers, before)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1_024, 1 << 20, 11_200, 10_000),
        (1_024, 4_096, 4_096, 2_896),
        (1_024, resource.RLIM_INFINITY, 11_200, 10_000),
        (20_000, 20_000, 20_000, 10_000),
        (100, 100, 100, 1),
    ],
)
def test_connections_leave_a_worker_the_descriptors_that_it_needs_itself(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, connections: int
) -> None:
    now = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: now.append(both))
    server.raise_descriptors(Config())
    assert now[-1] == (raised, hard)
    assert server.http_limits(Config()).connections == connections


def test_function_is_deployed_called_and_deleted(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.deploy("answers")["State"] == "Active"
        assert server.invoke("answers").json() == 1
        assert server.http.get("/fn/answers/").json() == 1
        assert server.http.get("/fn/nobody/").status_code == 404
        metrics = server.http.get("/metrics").text
        for name in ("isolates_live", "pool_slots", "slices_runnable", "http_requests", "http_refused"):
            assert f'isolet_{name}{{cordon="standard",worker="1"}}' in metrics
        assert server.http.delete("/2015-03-31/functions/answers").status_code == 204
        assert server.invoke("answers").status_code == 404
        assert server.end() == 0


def test_killed_worker_is_replaced_and_only_its_own_requests_fail(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server:
        server.deploy("answers")
        # A minute's sleep on each worker: connections are spread by the kernel, so open until both have one.
        server.deploy("sleeps", Timeout=60)
        before = len(server.lines)
        victim, survivor = server.pids("worker")
        sleepers: dict[int, list[socket.socket]] = {victim: [], survivor: []}
        host, port = server.url.removeprefix("http://").split(":")
        while not all(sleepers.values()):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(b"GET /fn/sleeps/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sleepers[_owner(connection, [victim, survivor])].append(connection)
        os.kill(victim, signal.SIGKILL)
        for connection in sleepers[victim]:
            connection.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b"", "ended without an answer"
        server.await_line("started", before)
        for _ in range(50):
            with httpx.Client(base_url=server.url, timeout=30) as client:  # a connection each: both workers
                assert client.get("/fn/answers/").json() == 1
        for connection in sleepers[survivor]:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        for connection in sleepers[victim] + sleepers[survivor]:
            connection.close()


def _owner(connection: socket.socket, pids: list[int]) -> int:
    """Which process accepted our connection: the one that holds the socket at its other end."""
    ours = connection.getsockname()[1]
    while True:
        for pid in pids:
            inodes = set()
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
            for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[2].rpartition(":")[2], 16) == ours and f"socket:[{fields[9]}]" in inodes:
                    return pid


def test_keeper_may_die_while_functions_go_on(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as server:
        server.deploy("answers")
        server.invoke("answers")
        before = len(server.lines)
        os.kill(server.pids("keeper")[0], signal.SIGKILL)
        assert server.invoke("answers").json() == 1
        server.await_line("keeper started", before)
        # The keeper says so before the worker has heard it: until then the control plane is unavailable, in a typed
        # way.
        while (answer := server.http.get("/2015-03-31/functions/answers")).status_code != 200:
            assert answer.status_code == 503, answer.text
        assert server.function("answers")["State"] == "Active"
        assert server.invoke("answers").json() == 1


def test_restart_serves_from_the_cache_without_compiling(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        built = server.deploy("answers")
        assert server.end() == 0
    artifacts = {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").glob("*.seal")}
    assert artifacts
    with serving(tmp_path) as server:
        assert server.invoke("answers").json() == 1
        assert server.function("answers")["RevisionId"] == built["RevisionId"]
        assert "isolet_builds_total{" not in server.http.get("/metrics").text
        assert server.end() == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").glob("*.seal")} == artifacts


def test_damaged_artifact_is_built_again_on_its_first_request(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.deploy("answers")
        server.end()
    for path in (tmp_path / "artifacts").glob("*.cwasm"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
    with serving(tmp_path, workers=1) as server:
        assert server.invoke("answers").json() == 1
        assert 'isolet_builds_total{result="succeeded"} 1.0' in server.http.get("/metrics").text
        server.end()


def test_sigterm_drains_what_is_under_way(tmp_path: Path) -> None:
    """A request that runs when SIGTERM comes is answered, and its usage is in the books afterwards."""
    with serving(tmp_path, workers=1) as server:
        server.deploy("infinite_loop", Timeout=2)
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(server.http.get("/fn/infinite_loop/")))
        asking.start()
        running = 'isolet_invocations_in_flight{cordon="standard",worker="0"} 1.0'
        while running not in httpx.get(f"{server.url}/metrics").text:
            pass
        server.process.send_signal(signal.SIGTERM)
        asking.join(30)
        assert answers[0].status_code == 502
        assert answers[0].json()["errorType"] == "Sandbox.Timedout"
        assert server.end(None) == 0
    with serving(tmp_path, workers=1) as server:
        rows = server.http.get("/isolet/usage").json()["rows"]
        assert [(row["function"], row["invocations"], row["errorsByClass"]) for row in rows] == [
            ("infinite_loop", 1, {"TimedOut": 1})
        ]
        server.end()


def test_workers_never_open_the_database(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server:
        server.deploy("answers")
        for _ in range(20):
            server.invoke("answers")
        for pid in server.pids("worker"):
            opened = {os.readlink(f"/proc/{pid}/fd/{descriptor}") for descriptor in os.listdir(f"/proc/{pid}/fd")}
            assert not [path for path in opened if "keeper.db" in path]
        keeper = server.pids("keeper")[0]
        assert any(
            "keeper.db" in os.readlink(f"/proc/{keeper}/fd/{descriptor}")
            for descriptor in os.listdir(f"/proc/{keeper}/fd")
        ), "the same look finds it where it belongs"
        server.end()


def test_second_server_of_the_same_data_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """Also where the sockets are in a temporary directory, since the data's path is too long."""
    data = tmp_path / ("long" * 20)
    with serving(data, workers=1) as server:
        server.deploy("answers")
        second = subprocess.run(
            [sys.executable, "-c", SCRIPT, "1", str(data)], capture_output=True, text=True, timeout=60
        )
        assert second.returncode != 0
        assert "is in use by another keeper" in second.stderr
        os.kill(server.pids("worker")[0], signal.SIGKILL)  # its replacement finds the keeper
        assert httpx.get(f"{server.url}/fn/answers/", timeout=30).json() == 1
        server.end()


def test_port_in_use_is_said_with_the_cure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        script = SCRIPT.replace('"port": 0', f'"port": {port}')
        ended = subprocess.run(
            [sys.executable, "-c", script, "1", str(tmp_path)], capture_output=True, text=True, timeout=60
        )
    assert ended.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr


def test_logs_and_report_reach_the_keeper(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server:
        server.deploy("answers")
        request_id = server.invoke("answers").headers["x-amzn-requestid"]
        body = {"logGroupName": "/aws/lambda/answers"}
        headers = {"X-Amz-Target": "Logs_20140328.FilterLogEvents", "Content-Type": "application/x-amz-json-1.1"}
        deadline = time.monotonic() + 30
        messages: list[str] = []
        while not messages and time.monotonic() < deadline:
            events = server.http.post("/", json=body, headers=headers).json()["events"]
            messages = [event["message"].rstrip() for event in events]
        assert messages[0] == f"START RequestId: {request_id} Version: $LATEST"
        assert messages[1] == f"END RequestId: {request_id}"
        assert messages[2].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
        assert "Restore Duration" in messages[2]
        server.end()
