"""From a SIGKILL to serving again: of a worker, of the keeper with a long queue, of a builder, of all of them.

Each round kills a process of a real server and measures until a client that asks anew is answered; meanwhile others
keep asking over connections of their own, and what fails of theirs is counted. Controls, in rounds between ours: a
uvicorn worker under uvicorn's own supervisor, which spawns a fresh interpreter; and the whole of our server killed and
started again, as an init system would.

How it can mislead: all is on one machine with the clients, and whatever else runs there: every figure is a wait for a
processor before anything else, so the result says the load average of before. A killed worker's connections are lost
and counted as one failure each, so how many fail is how many clients there are; `--smoke` has a shorter queue.

    python benches/bench_recovery.py [--smoke] [--rounds N]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import io
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from bench_deploy import Signed
from harness import arguments, write_result
from isolet.engine.engine import wat
from isolet.event_policies import policy_in
from isolet.model import DEFAULT_TENANT, LATEST
from isolet.storage.database import Database
from isolet.storage.queue import Accepted, EventQueue
from servers import ROOT, environment, free_port

QUEUED = 100_000
CLIENTS = 4
# Who waits looks so often: without a pause it would take what it waits for its processor.
POLL_S = 0.01
PATIENCE_S = 120.0

UVICORN = """
import sys, uvicorn
from uvicorn.supervisors import Multiprocess

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})

if __name__ == "__main__":
    config = uvicorn.Config("control:app", port=int(sys.argv[1]), lifespan="off", log_level="error", workers=1)
    Multiprocess(config, [config.bind_socket()]).run()
"""


class Server:
    """A process group on a port. `path` is what clients ask for."""

    def __init__(self, command: list[str], port: int, path: str, directory: Path) -> None:
        self.command, self.port, self.path, self.directory = command, port, path, directory
        self.start()

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=log, stderr=log, env=environment(), start_new_session=True
            )

    def answers(self) -> bool:
        """Asks once, over a connection of its own. One that is not accepted yet waits in the backlog."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def until_it_answers(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.answers():
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise SystemExit((self.directory / "log").read_text())

    def end(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)


def children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                    found += [int(child), *children(int(child))]
    return found


def slay(*pids: int) -> None:
    """Returns when they are gone."""
    descriptors = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
    for descriptor in descriptors:
        select.select([descriptor], [], [])
        os.close(descriptor)


class Isolet(Server):
    def __init__(self, directory: Path, workers: int = 2) -> None:
        port = free_port()
        command = [sys.executable, "-m", "isolet.cli", "serve", "-v", "--port", str(port)]
        super().__init__([*command, "--workers", str(workers), "--data", "data"], port, "/fn/hello/", directory)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, auth=Signed())

    def pids(self, role: str) -> list[int]:
        log = (self.directory / "log").read_text()
        found = dict(re.findall(r"(keeper|worker \d+) started, pid (\d+)", log[log.rfind("keeper started") - 1 :]))
        for name, pid in re.findall(r"(keeper|worker \d+) started, pid (\d+)", log):
            found[name] = pid
        return [int(pid) for name, pid in found.items() if name.startswith(role)]

    def builders(self) -> list[int]:
        return [pid for pid in children(self.pids("keeper")[0]) if b"isolet.building" in _command(pid)]

    def control(self, path: str) -> dict[str, Any] | None:
        """The control plane's answer; None if there is none."""
        with contextlib.suppress(httpx.TransportError):
            answer = self.http.get(path)
            return answer.json() if answer.status_code == 200 else None
        return None

    def until_controlled(self) -> None:
        while self.control("/2015-03-31/functions/hello/configuration") is None:
            time.sleep(POLL_S)

    def metric(self, name: str) -> float | None:
        with contextlib.suppress(httpx.TransportError):
            found = re.search(rf"^{re.escape(name)} (\S+)", self.http.get("/metrics").text, re.MULTILINE)
            return float(found[1]) if found else None
        return None

    def state(self, name: str) -> tuple[str, str]:
        function: dict[str, Any] | None = None
        while function is None:
            function = self.control(f"/2015-03-31/functions/{name}/configuration")
        return function["State"], function.get("StateReason", "")

    def create(self, name: str, module: bytes) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("function.wasm", module)
        body = {
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "handle",
            "Role": "arn:aws:iam::000000000000:role/r",
            "Code": {"ZipFile": base64.b64encode(buffer.getvalue()).decode()},
        }
        self.http.post("/2015-03-31/functions", json=body).raise_for_status()


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def heavy_module(seed: int) -> bytes:
    """One that takes a second or so to compile; another one for each seed."""
    body = " ".join(f"(local.set 0 (i32.mul (local.get 0) (i32.const {seed * 7919 + n})))" for n in range(150))
    functions = "".join(f"(func (param i32) (result i32) {body} (local.get 0))" for _ in range(1_500))
    return wat(
        f"""(module (memory (export "memory") 2) {functions}
        (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
        (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))"""
    )


class Clients:
    """They ask all the time, each over its connection, and begin a new one when it is lost."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._enough = threading.Event()
        self.answered = self.failed = 0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def _run(self) -> None:
        while not self._enough.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE_S)
            try:
                while not self._enough.is_set():
                    connection.request("GET", self._server.path)
                    answer = connection.getresponse()
                    answer.read()
                    self.answered += answer.status == 200
                    self.failed += answer.status != 200
                    if answer.will_close:
                        break
                    time.sleep(0.005)  # they are there to be disturbed, not to load the machine
            except ConnectionRefusedError:
                time.sleep(0.005)  # nobody listens: no request was sent
            except (OSError, http.client.HTTPException):
                self.failed += 1
            finally:
                connection.close()

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)


class Figures:
    """What was measured, by name: milliseconds of each round, and requests that failed in it."""

    def __init__(self) -> None:
        self.rounds: dict[str, dict[str, list[float]]] = {}
        self.counting = False

    def add(self, name: str, failed: int, **ms: float) -> None:
        if self.counting:
            rows = self.rounds.setdefault(name, {})
            for what, value in (*ms.items(), ("failed_requests", failed)):
                rows.setdefault(what, []).append(round(value, 1))

    def as_json(self) -> dict[str, Any]:
        return {
            name: {
                what: {"median": statistics.median(values), "max": max(values), "rounds": values}
                for what, values in rows.items()
            }
            for name, rows in self.rounds.items()
        }

    def print(self) -> None:
        for name, rows in self.rounds.items():
            print(f"\n{name}")
            for what, values in rows.items():
                print(f"  {what:<28} median {statistics.median(values):>10,.1f}   max {max(values):>10,.1f}")


def _ms(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000


def round_of_uvicorn(server: Server, figures: Figures) -> None:
    with Clients(server) as clients:
        began_s = time.perf_counter()
        slay(*[pid for pid in children(server.process.pid) if b"spawn_main" in _command(pid)])
        server.until_it_answers()
        took_ms = _ms(began_s)
    figures.add("uvicorn's only worker (control)", clients.failed, serving_ms=took_ms)


def round_of_restart(server: Isolet, figures: Figures) -> None:
    """kill -9 of the supervisor, which takes all with it, and a new one at once."""
    with Clients(server) as clients:
        began_s = time.perf_counter()
        slay(server.process.pid)
        server.process.wait()
        server.start()
        server.until_it_answers()
        took_ms = _ms(began_s)
    figures.add("the whole server, started again (control)", clients.failed, serving_ms=took_ms)
    server.until_controlled()


def round_of_workers(server: Isolet, figures: Figures) -> None:
    one = server.pids("worker")[:1]
    for name, pids in (("one worker of two", one), ("all workers", server.pids("worker"))):
        with Clients(server) as clients:
            began_s = time.perf_counter()
            slay(*pids)
            # Connections wait in the dead one's backlog: several, so that one of them does.
            askers = [threading.Thread(target=server.until_it_answers) for _ in range(8)]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
            took_ms = _ms(began_s)
        figures.add(name, clients.failed, serving_ms=took_ms)
        server.until_controlled()


def round_of_builder(server: Isolet, number: int, figures: Figures) -> None:
    name = f"heavy-{number}"
    server.create(name, heavy_module(number))
    while not (builders := server.builders()):
        pass
    with Clients(server) as clients:
        began_s = time.perf_counter()
        slay(*builders)
        while (state := server.state(name))[0] == "Pending":
            time.sleep(POLL_S)
        took_ms = _ms(began_s)
    assert state[0] == "Failed", state
    assert "killed by SIGKILL" in state[1], state
    figures.add("a builder in mid-build", clients.failed, failed_with_its_reason_ms=took_ms)


def round_of_all(server: Isolet, number: int, figures: Figures) -> None:
    name = f"all-{number}"
    server.create(name, heavy_module(1_000 + number))
    while not (builders := server.builders()):
        pass
    with Clients(server) as clients:
        began_s = time.perf_counter()
        slay(*server.pids("keeper"), *server.pids("worker"), *builders)
        server.until_it_answers()
        serving_ms = _ms(began_s)
        server.until_controlled()
        control_ms = _ms(began_s)
        while (state := server.state(name))[0] == "Pending":
            time.sleep(POLL_S)
        built_ms = _ms(began_s)
    assert state[0] == "Active", state
    figures.add(
        "keeper, workers and a builder at once",
        clients.failed,
        serving_ms=serving_ms,
        control_plane_ms=control_ms,
        build_ended_ms=built_ms,
    )


def round_of_keeper(server: Isolet, queued: int, figures: Figures) -> None:
    """The server is stopped, given a queue, started; then its keeper is killed in the middle of the drain."""
    server.end()
    asyncio.run(fill(server.directory / "data" / "keeper.db", queued + queued // 5))
    server.start()
    server.until_it_answers()
    server.until_controlled()
    while not server.metric('isolet_events_total{fate="succeeded"}'):
        time.sleep(POLL_S)
    with Clients(server) as clients:
        left = server.metric("isolet_events_queued") or 0
        began_s = time.perf_counter()
        slay(*server.pids("keeper"))
        server.until_controlled()
        control_ms = _ms(began_s)
        first = None
        while first is None:
            first = server.metric('isolet_events_total{fate="succeeded"}')
        while (server.metric('isolet_events_total{fate="succeeded"}') or 0) <= first:
            time.sleep(POLL_S)
        drain_ms = _ms(began_s)
    figures.add(
        f"the keeper with {queued:,} events queued",
        clients.failed,
        control_plane_ms=control_ms,
        drain_goes_on_ms=drain_ms,
        events_queued=left,
    )


async def fill(path: Path, count: int) -> None:
    """Events of hello, as if they had been accepted: up to `count` are queued."""
    database = Database(path)
    await database.open()
    try:
        queue = EventQueue(database, policy_in, None)
        now_ms = int(time.time() * 1000)
        missing = count - len(await queue.restore(now_ms))
        while missing > 0:
            some = min(missing, 5_000)
            body = b'{"name": "Ada"}'
            rows = [Accepted(str(uuid.uuid4()), DEFAULT_TENANT, "hello", LATEST, body) for _ in range(some)]
            await queue.accept(rows, now_ms)
            missing -= some
    finally:
        await database.close()


@contextlib.contextmanager
def servers(scratch: Path) -> Iterator[tuple[Isolet, Server]]:
    ours, theirs = scratch / "isolet", scratch / "uvicorn"
    ours.mkdir()
    theirs.mkdir()
    (theirs / "control.py").write_text(UVICORN)
    port = free_port()
    control = Server([sys.executable, "control.py", str(port)], port, "/", theirs)
    isolet = Isolet(ours)
    try:
        while isolet.control("/2015-03-31/functions") is None:
            time.sleep(POLL_S)
        deploy = [sys.executable, "-m", "isolet.cli", "deploy", str(ROOT / "functions" / "hello")]
        endpoint = {"ISOLET_ENDPOINT": f"http://127.0.0.1:{isolet.port}"}
        subprocess.run(deploy, check=True, env=environment() | endpoint, stdout=subprocess.DEVNULL)
        control.until_it_answers()
        yield isolet, control
    finally:
        for server in (isolet, control):
            with contextlib.suppress(ProcessLookupError):
                server.end()


def main() -> None:
    parsed = arguments(__doc__ or "")
    queued = 2_000 if parsed.smoke else QUEUED
    figures = Figures()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, servers(Path(scratch)) as (isolet, control):
        for number in range(parsed.rounds + (not parsed.smoke)):
            figures.counting = parsed.smoke or number > 0  # the first round of a long run is not counted
            steps: list[Callable[[], None]] = [
                lambda: round_of_workers(isolet, figures),
                lambda: round_of_uvicorn(control, figures),
                lambda: round_of_restart(isolet, figures),
                lambda n=number: round_of_builder(isolet, n, figures),  # type: ignore[misc]
                lambda n=number: round_of_all(isolet, n, figures),  # type: ignore[misc]
                lambda: round_of_keeper(isolet, queued, figures),
            ]
            for step in steps:
                step()
    figures.print()
    write_result("recovery", parsed, clients=CLIENTS, queued=queued, load=load, figures=figures.as_json())


if __name__ == "__main__":
    main()
