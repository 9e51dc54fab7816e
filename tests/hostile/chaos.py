"""Traffic of every kind against a server whose processes are killed, and who has a right to fail.

Each client knows which worker holds its connection: a request that fails is excused only if that worker was killed.
Asynchronous events and deployments go through the keeper, and may be refused with a 5xx while there is none; what was
answered 202 is in the books at the end.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import re
import select
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from isolet.engine.engine import wat
from served import zipped
from signing import Signing, signed
from test_event_durability import Sender, deploy, pass_a_turn
from test_server import Server

ROLE = "arn:aws:iam::000000000000:role/r"
FUNCTIONS = ("answers", "raises", "naps")


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────


def descendants(pid: int) -> dict[int, str]:
    """All processes below one, and the state of each."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                for child in map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                    found[child] = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                    found |= descendants(child)
    return found


def builders(server: Server) -> list[int]:
    """Builds under way."""
    found = []
    for pid in descendants(server.process.pid):
        with contextlib.suppress(OSError):
            if b"isolet.building" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def slay(*pids: int) -> None:
    """SIGKILL for all at once; returns when they are gone. Who has ended before is none of them."""
    descriptors = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(pid))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)


def owner(connection: socket.socket, server: Server) -> int:
    """The worker that has accepted our connection; 0 if it is lost."""
    ours = connection.getsockname()[1]
    while True:
        for pid in server.pids("worker"):
            with contextlib.suppress(OSError):
                links = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
                held = {link for link in links if link.startswith("socket:")}
                for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
                    fields = line.split()
                    if int(fields[2].rpartition(":")[2], 16) == ours and f"socket:[{fields[9]}]" in held:
                        return pid
        if select.select([connection], [], [], 0)[0]:  # nothing was asked: it is the end
            return 0


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────


_NO_KEEPER = (b"the keeper is not there", b"the keeper ended before it answered")


class Asker(threading.Thread):
    """Invokes a function synchronously, over a connection that it keeps. `lost` are the workers whose connection broke
    while a request was under way; `wrong` is everything that is nobody's right to answer. With a signature it may be
    refused while there is no keeper: a worker asks it once for each key."""

    def __init__(self, server: Server, method: str, path: str, expected: bytes, *, signs: bool = False) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._host = server.url.removeprefix("http://")
        self._method, self._path, self._expected, self._signs = method, path, expected, signs
        self.answered = self.refused = 0
        self.lost: list[int] = []
        self.wrong: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            connection = http.client.HTTPConnection(self._host, timeout=120)
            with contextlib.closing(connection):
                connection.connect()
                worker = owner(connection.sock, self._server)
                if not worker:
                    continue
                try:
                    self._ask(connection)
                except (OSError, http.client.HTTPException) as reason:
                    self.lost.append(worker)
                    if isinstance(reason, TimeoutError):
                        self.wrong.append("no answer within 120 s")

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        while not self.enough.is_set():
            headers = dict(signed(self._method, self._path, [("Host", self._host)])) if self._signs else {}
            connection.request(self._method, self._path, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if self._signs and answer.status == 503 and any(why in content for why in _NO_KEEPER):
                self.refused += 1
            elif answer.status != 200 or self._expected not in content:
                self.wrong.append(f"{answer.status} {content[:200]!r}")
            else:
                self.answered += 1
            if answer.will_close:
                return


class Deployer(threading.Thread):
    """Deploys a function, calls it, deletes it, and begins anew with another one. What fails must say why."""

    def __init__(self, server: Server, seed: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._seed = seed
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            number += 1
            try:
                self._one(f"deployed-{number}", (self._seed * 1_000 + number) % 2**31)
            except AssertionError as wrong:
                self.wrong.append(str(wrong))

    def _one(self, name: str, constant: int) -> None:
        body = {
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "handle",
            "Role": ROLE,
            "Code": {"ZipFile": base64.b64encode(zipped({"function.wasm": module(constant)})).decode()},
        }
        path = "/2015-03-31/functions"
        # 409: the answer of an attempt before this one was lost, and the function is there.
        self._until("POST", path, {201, 409}, json=body)
        while True:
            state = self._until("GET", f"{path}/{name}/configuration", {200}).json()
            if state["State"] != "Pending":
                break
        if state["State"] == "Active":
            answer = self._until("POST", f"{path}/{name}/invocations", {200})
            assert answer.json() == constant % 100, answer.text
            self.ends["active"] += 1
        else:
            assert "killed by SIGKILL" in state["StateReason"], state
            self.ends["failed, its builder was killed"] += 1
        self._until("DELETE", f"{path}/{name}", {204, 404})

    def _until(self, method: str, path: str, good: set[int], **more: Any) -> httpx.Response:
        """The first good answer. Nothing else is but a lost connection, a 5xx that says so, and the account's limit on
        calls, which who asks in a loop meets."""
        while True:
            with (
                contextlib.suppress(httpx.TransportError),
                httpx.Client(base_url=self._server.url, timeout=120, auth=Signing()) as client,
            ):
                answer = client.request(method, path, **more)
                if answer.status_code in good:
                    return answer
                ours = answer.status_code >= 500 or answer.status_code == 429
                assert ours, f"{method} {path}: {answer.status_code} {answer.text}"


def module(constant: int) -> bytes:
    """Answers `constant % 100`; large enough for its builder to be met alive."""
    steps = " ".join(f"(local.set 0 (i32.xor (local.get 0) (i32.const {constant + n})))" for n in range(100))
    ballast = "".join(f"(func (param i32) (result i32) {steps} (local.get 0))" for _ in range(100))
    return wat(
        f"""(module (memory (export "memory") 2) {ballast}
        (data (i32.const 16) "\\81\\a2ok{chr(92)}{constant % 100:02x}")
        (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
        (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x00000010_00000005)))"""
    )


# ── all together ────────────────────────────────────────────────────────────────────────────────────────────────


class Traffic:
    """Invocations of every kind (synchronous, streamed, asynchronous, scheduled) and deployments, until `count` events
    were accepted."""

    def __init__(self, server: Server, seed: int, count: int) -> None:
        self.server = server
        self.killed: set[int] = set()
        for name in FUNCTIONS:
            deploy(server, name)
        self._schedule("answers")
        self.senders = [Sender(server.url, list(FUNCTIONS), count // 2, seed + n) for n in range(2)]
        stream = "/2021-11-15/functions/answers/response-streaming-invocations"
        self.askers = [
            Asker(server, "GET", "/fn/answers/", b"1"),
            Asker(server, "GET", "/fn/naps/", b"1"),
            Asker(server, "POST", stream, b"InvokeComplete", signs=True),
        ]
        self.deployer = Deployer(server, seed)

    def _schedule(self, name: str) -> None:
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        for operation, body in (
            ("PutRule", {"Name": "every-minute", "ScheduleExpression": "rate(1 minute)"}),
            ("PutTargets", {"Rule": "every-minute", "Targets": [{"Id": "1", "Arn": arn}]}),
        ):
            answer = self.server.http.post(
                "/", json=body, headers={**headers, "X-Amz-Target": f"AWSEvents.{operation}"}
            )
            assert answer.status_code == 200, answer.text

    @property
    def accepted(self) -> list[str]:
        return [id for sender in self.senders for id in sender.accepted]

    @property
    def accepted_count(self) -> int:
        return sum(len(sender.accepted) for sender in self.senders)

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Until the block has ended and all events were accepted; then asserts that nobody failed without a right."""
        threads: list[threading.Thread] = [*self.senders, *self.askers, self.deployer]
        for thread in threads:
            thread.start()
        yield
        for sender in self.senders:
            sender.join(300)
        for one in (*self.askers, self.deployer):
            one.enough.set()
        for thread in threads:
            thread.join(300)
            assert not thread.is_alive(), f"{thread} hangs"
        assert not self.deployer.wrong, self.deployer.wrong
        for asker in self.askers:
            assert asker.answered
            assert not asker.wrong, asker.wrong[:5]
            assert set(asker.lost) <= self.killed, f"{asker.lost}: only a killed worker's own requests fail"
            assert len(set(asker.lost)) == len(asker.lost), f"{asker.lost}: and each connection once"

    def until_more_were_accepted(self, chance: random.Random, step: int) -> None:
        """A point in the work, not in time."""
        total = sum(sender.goal for sender in self.senders)
        goal = min(total, self.accepted_count + chance.randrange(1, max(2, step)))
        while self.accepted_count < goal:
            pass_a_turn()

    def kill(self, chance: random.Random) -> str:
        """Kills somebody, and returns when the replacement was started."""
        what = chance.choice(["worker", "worker", "worker", "keeper", "keeper", "builder", "both"])
        server, before = self.server, len(self.server.lines)
        if what == "builder":
            slay(*builders(server))
            return what
        victims = [chance.choice(server.pids("worker"))] if what != "keeper" else []
        self.killed |= set(victims)
        slay(*victims, *(server.pids("keeper") if what != "worker" else []))
        if what != "keeper":
            server.await_line("isolet.supervisor worker ", before)
        if what != "worker":
            server.await_line("isolet.supervisor keeper started", before)
        return what


def running(server: Server) -> str:
    """The metrics, once the keeper answers."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{server.url}/metrics", timeout=120)
            if answer.status_code == 200:
                return answer.text


def ended(server: Server) -> Counter[str]:
    """How workers have ended, by why."""
    found = re.findall(r'^isolet_workers_ended_total\{why="(\w+)"\} (\d+)', running(server), re.MULTILINE)
    return +Counter({why: int(count) for why, count in found})
