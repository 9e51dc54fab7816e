"""Tenants of three tiers on a real server: who serves whom, what is in whose memory, and what a process may ask for
that is no worker."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from hostile.house import HOSTILE, NEIGHBOUR, Tenant, module, until
from isolet.config import Config
from isolet.errors import AccessDenied, IsoletError
from isolet.link import SocketLink, connect, refused
from isolet.operating import operate
from isolet.uplink import PROTOCOL
from served import PATIENCE_S, Served, zipped

# Never in a request, so that only a row of the routing table can bring it anywhere.
SECRETS = {HOSTILE: "canary-of-the-hostile-7f3a", NEIGHBOUR: "canary-of-the-neighbour-91cc"}
TIERS = {HOSTILE: "low", NEIGHBOUR: "high"}


class Estate:
    """The server, and its tenants: one in each tier beside the door's."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.server = Served(directory, "--cordons", "low=1,high=1", **variables)

    def furnish(self) -> None:
        self.tenants = {account: self._tenant(account) for account in (HOSTILE, NEIGHBOUR)}
        for account, tenant in self.tenants.items():
            self.set(account, TIERS[account])
            tenant.deploy("echo", module("http_echoes.wat"), Environment={"Variables": {"CANARY": SECRETS[account]}})
        self.hostile, self.neighbour = self.tenants.values()

    def asked(self, operation: str, *body: object) -> Any:
        """As the operator does, whose command line takes a second to start."""
        return asyncio.run(operate(Config(data=self.server.directory / "data"), operation, list(body)))

    def _tenant(self, account: str) -> Tenant:
        key = self.asked("create", account, "")
        return Tenant(self.server, account, key["id"], key["secret"])

    def set(self, account: str, tier: str | None = None, own: bool | None = None) -> dict[str, Any]:
        shown: dict[str, Any] = self.asked("tenants.set", account, tier, own)
        return shown

    def workers(self, account: str) -> list[int]:
        """The processes that run the account's functions."""
        found: list[int] = self.asked("tenants.show", account)["workers"]
        return found

    def doors(self) -> list[int]:
        """The present processes of the door."""
        joined = re.findall(r"worker (\d+) \(\w+, pid (\d+)\) has joined standard", self.log())
        return [pid for pid in map(int, dict(joined).values()) if _alive(pid)]

    def log(self) -> str:
        return (self.server.directory / "log").read_text()

    def gauge(self, name: str) -> dict[str, float]:
        """Summed by cordon."""
        text = httpx.get(f"{self.server.url}/metrics", timeout=PATIENCE_S).text
        found: dict[str, float] = {}
        for cordon, value in re.findall(rf'^isolet_{name}\{{cordon="([^"]+)",worker="\d+"\}} (\S+)$', text, re.M):
            found[cordon] = found.get(cordon, 0) + float(value)
        return found

    def link_path(self) -> Path:
        return self.server.directory / "data" / "keeper.sock"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    made = Estate(tmp_path_factory.mktemp("estate"))
    try:
        made.furnish()
        yield made
    finally:
        made.server.end()


@contextmanager
def calling(tenant: Tenant, name: str = "echo", threads: int = 2) -> Iterator[list[object]]:
    """The tenant calls its function all the time while the block lasts. What is no answer is in the list."""
    problems: list[object] = []
    calls = [0]
    over, begun = threading.Event(), threading.Event()

    def call() -> None:
        url = f"{tenant.server.url}/2015-03-31/functions/{name}/invocations"
        with httpx.Client(auth=tenant.http.auth, timeout=PATIENCE_S) as client:
            while not over.is_set():
                question = f'{{"asked": {calls[0]}}}'
                try:
                    answer = client.post(url, content=question)
                    if answer.status_code != 200:
                        problems.append((answer.status_code, answer.text))
                except httpx.HTTPError as error:
                    problems.append(error)
                calls[0] += 1
                begun.set()

    workers = [threading.Thread(target=call) for _ in range(threads)]
    for worker in workers:
        worker.start()
    assert begun.wait(PATIENCE_S)
    try:
        yield problems
        # Some more, after whatever has happened.
        until(lambda at=calls[0]: calls[0] >= at + 20 or problems, "it goes on")
    finally:
        over.set()
        for worker in workers:
            worker.join(PATIENCE_S)


def held(pid: int, *texts: str) -> set[str]:
    """Those that are somewhere in what a process can write, but for the address space reserved for isolates."""
    found: set[str] = set()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            mapping = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if mapping is None:
                continue
            low, high = int(mapping[1], 16), int(mapping[2], 16)
            if high - low > 128 * 1024 * 1024:
                continue
            with suppress(OSError, ValueError, OverflowError):
                memory.seek(low)
                part = memory.read(high - low)
                found |= {text for text in texts if text.encode() in part}
    return found


def test_each_tier_is_served_by_processes_of_its_own(estate: Estate) -> None:
    before = estate.gauge("http_requests")
    for tenant, times in ((estate.hostile, 3), (estate.neighbour, 5)):
        for _ in range(times):
            assert tenant.invoke("echo", b'"x"').status == 200
    after = estate.gauge("http_requests")
    assert (after["low"] - before["low"], after["high"] - before["high"]) == (3, 5)
    low, high = estate.workers(HOSTILE), estate.workers(NEIGHBOUR)
    assert len(low) == len(high) == 1
    assert low != high
    assert estate.gauge("http_passed")["standard"] >= 8
    mode = os.stat(estate.server.directory / "data" / "workers" / "low-0.sock").st_mode
    assert mode & 0o777 == 0o600


@pytest.mark.slow
def test_no_worker_has_in_its_memory_what_another_cordons_tenant_told_its_function(estate: Estate) -> None:
    (low,), (high,) = estate.workers(HOSTILE), estate.workers(NEIGHBOUR)
    assert estate.hostile.invoke("echo").status == estate.neighbour.invoke("echo").status == 200
    keys = [tenant.secret for tenant in estate.tenants.values()]
    assert held(low, *SECRETS.values(), *keys) == {SECRETS[HOSTILE]}
    assert held(high, *SECRETS.values(), *keys) == {SECRETS[NEIGHBOUR]}
    # What was deployed has passed the door's workers, where its tenants were at home until they moved. Those that come
    # after all of that know nothing of it.
    for account in SECRETS:
        until(lambda of=account: f"{of} is forgotten by standard" in estate.log(), "the move is over")
    for door in estate.doors():
        os.kill(door, signal.SIGKILL)
        until(lambda gone=door: gone not in estate.doors() and len(estate.doors()) == 2, "it is replaced")
    for door in estate.doors():
        assert held(door, *SECRETS.values(), *keys) == set()


def test_logs_of_a_tenant_are_its_own_and_complete(estate: Estate) -> None:
    for tenant in estate.tenants.values():
        answer = tenant.invoke("echo", b'"logged"')
        until(lambda t=tenant, id=answer.request_id: t.log_lines("echo", id), "its log has the line")
        lines = tenant.log_lines("echo")
        others = next(other for other in estate.tenants.values() if other is not tenant)
        assert not others.log_lines("echo", answer.request_id)
        assert any("REPORT" in line for line in lines)


def test_a_killed_worker_takes_no_other_tiers_request_along(estate: Estate) -> None:
    with calling(estate.neighbour) as problems:
        for _ in range(3):
            (low,) = estate.workers(HOSTILE)
            os.kill(low, signal.SIGKILL)
            until(lambda gone=low: estate.workers(HOSTILE) not in ([], [gone]), "it is replaced")
            assert estate.hostile.invoke("echo", b'"again"').status == 200
    assert problems == []


def test_request_that_comes_while_its_worker_is_replaced_is_served_by_the_next_one(estate: Estate) -> None:
    for _ in range(3):
        (low,) = estate.workers(HOSTILE)
        assert estate.hostile.invoke("echo").status == 200
        os.kill(low, signal.SIGKILL)
        until(lambda gone=low: not Path(f"/proc/{gone}/maps").exists() or not _alive(gone), "it is dead")
        assert estate.hostile.invoke("echo", b'"at once"').status == 200


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_after_its_keeper_was_killed_a_worker_behind_its_wall_is_known_again(estate: Estate) -> None:
    """It connects through the supervisor, which says whose it is."""
    before = estate.server.keeper()
    with calling(estate.neighbour) as problems:
        os.kill(before, signal.SIGKILL)
        until(lambda: estate.server.keeper() != before, "there is another keeper")
        until(lambda: {"low", "high"} <= estate.gauge("http_requests").keys(), "all have joined")
    # Who has just forgotten all keys asks for them, a moment before there is somebody to ask.
    assert [problem for problem in problems if "the keeper is not there" not in str(problem)] == []
    until(lambda: estate.hostile.invoke("echo").status == 200, "signatures are verified again")
    assert "is refused" not in estate.log().split(f"pid {before}) killed")[-1]


def test_large_bodies_pass_both_ways_and_clients_that_leave_are_noticed(estate: Estate) -> None:
    tenant = estate.neighbour
    tenant.deploy("web", module("http_echoes.wat"), Timeout=5)
    with tenant.speaking() as client:
        url = client.create_function_url_config(FunctionName="web", AuthType="NONE")["FunctionUrl"]
    host = {"host": httpx.URL(url).host}
    body = os.urandom(300_000)
    for _ in range(3):
        answer = httpx.post(estate.server.url, content=body, headers=host, timeout=PATIENCE_S)
        assert answer.status_code == 200
        assert body in answer.content
    tenant.deploy("spins", module("infinite_loop.wat"), Timeout=60)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{estate.server.url}/2015-03-31/functions/spins/invocations",
            content=b"{}",
            auth=tenant.http.auth,
            timeout=httpx.Timeout(PATIENCE_S, read=0.5),
        )
    until(lambda: estate.gauge("invocations_in_flight")["high"] == 0, "the guest ended with its client")
    for name in ("web", "spins"):
        tenant.remove(name)


# ── what is no worker ───────────────────────────────────────────────────────────────────────────────────────────


def spoken(estate: Estate, speak: Callable[[SocketLink], Any]) -> None:
    async def main() -> None:
        link = await connect(estate.link_path(), lambda _: refused)
        try:
            await asyncio.wait_for(speak(link), PATIENCE_S)
        finally:
            await link.close()

    asyncio.run(main())


def test_process_that_says_it_is_a_worker_is_not_believed(estate: Estate) -> None:
    (low,) = estate.workers(HOSTILE)

    async def speak(link: SocketLink) -> None:
        for said in ({"worker": "f" * 32, "pid": low}, {"worker": "f" * 32, "pid": os.getpid()}):
            with pytest.raises(AccessDenied, match="is no worker of this server"):
                await link.request("hello", {**said, "protocol": PROTOCOL})
        with pytest.raises(AccessDenied, match="only the supervisor"):
            await link.request("vouch", "high")
        for operation, body in (
            ("kv", [NEIGHBOUR, "get", "n", "k", None, {}]),
            ("secret", [NEIGHBOUR, "s"]),
            ("signing_key", [estate.neighbour.key, "20260101", "us-east-1", "lambda"]),
            ("control", ["GET", "/2015-03-31/functions", "", [], b""]),
            ("records", ["f" * 32, 1, []]),
            ("accept", []),
            ("rebuild", ["0" * 64]),
            ("summon", f"tenant-{NEIGHBOUR}"),
            ("leave", None),
        ):
            with pytest.raises(IsoletError, match="says hello first"):
                await link.request(operation, body)

    spoken(estate, speak)


def test_process_that_is_not_the_door_is_not_served_by_a_worker(estate: Estate) -> None:
    async def main() -> None:
        path = str(estate.server.directory / "data" / "workers" / "high-0.sock")
        reader, writer = await asyncio.open_unix_connection(path)
        request_id = "00000000-0000-4000-8000-000000000000"
        writer.write(
            b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\n"
            b"isolet-passed: %b 127.0.0.1 1.1 %b key\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
            % (request_id.encode(), NEIGHBOUR.encode())
        )
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()

    before = estate.gauge("http_requests")["high"]
    asyncio.run(main())
    assert estate.gauge("http_requests")["high"] == before


# ── tenants that move ───────────────────────────────────────────────────────────────────────────────────────────


def test_tenant_that_moves_under_load_has_every_request_answered(estate: Estate) -> None:
    with calling(estate.neighbour, threads=3) as problems:
        for tier, own in (
            *(("standard", None), ("low", None), (None, True), ("high", False)),
            *((None, True), ("standard", None), (None, False), ("high", None)),
        ):
            assert estate.set(NEIGHBOUR, tier, own)["workers"]

    assert problems == []
    assert estate.set(NEIGHBOUR)["cordon"] == "high"


def test_events_are_run_where_their_tenant_lives(estate: Estate) -> None:
    before = estate.gauge("attempts_ended")
    for tenant in estate.tenants.values():
        for _ in range(5):
            assert tenant.invoke("echo", b'"event"', **{"x-amz-invocation-type": "Event"}).status == 202

    def ended() -> bool:
        now = estate.gauge("attempts_ended")
        return (now["low"] - before["low"], now["high"] - before["high"]) == (5, 5)

    until(ended, "all events were run")


def test_tier_without_workers_is_refused_with_its_cure(estate: Estate) -> None:
    done = estate.server.isolet("tenants", "set", HOSTILE, "--tier", "lowest", "--data", "data")
    assert done.returncode == 1
    words = done.stderr.decode()
    assert "the tier lowest has no workers; choose one of high, low, standard" in words
    assert "[cordons] lowest = 1" in words
    assert estate.set(HOSTILE)["cordon"] == "low"


@pytest.mark.slow
def test_own_worker_is_started_for_its_tenant_and_ended_when_that_has_left(estate: Estate) -> None:
    shown = estate.set(HOSTILE, own=True)
    assert shown["cordon"] == f"tenant-{HOSTILE}"
    (own,) = shown["workers"]
    low_before = estate.gauge("http_requests")["low"]
    assert estate.hostile.invoke("echo").status == 200
    assert estate.gauge("http_requests")[f"tenant-{HOSTILE}"] == 1
    assert estate.gauge("http_requests")["low"] == low_before
    os.kill(own, signal.SIGKILL)
    until(lambda: estate.workers(HOSTILE) not in ([], [own]), "it is replaced like any other")
    assert estate.hostile.invoke("echo").status == 200
    (own,) = estate.workers(HOSTILE)
    with calling(estate.hostile) as problems:
        estate.set(HOSTILE, own=False)
        path = estate.server.directory / "data" / "workers" / f"tenant-{HOSTILE}.sock"
        until(lambda: not path.exists() and not _alive(own), "nobody needs it any more")
    assert problems == []


@pytest.mark.slow
def test_a_door_without_tenants_runs_nothing_and_serves_everybody(tmp_path: Path) -> None:
    server = Served(tmp_path, "--cordons", "front=1,low=1", "--door", "front")
    try:
        files = {"function.wasm": module("http_echoes.wat")}
        server.cloud.deploy("f", zipped(files), Runtime="provided.al2023", Handler="handle")
        for number in range(20):
            assert server.cloud.invoke("f", {"asked": number}).failed is False
        text = httpx.get(f"{server.url}/metrics", timeout=PATIENCE_S).text
        loaded = re.findall(r'^isolet_snapshots_loaded\{cordon="(\w+)",worker="\d+"\} (\S+)$', text, re.M)
        passed = re.findall(r'^isolet_http_passed\{cordon="front",worker="\d+"\} (\S+)$', text, re.M)
        assert sum(float(count) for cordon, count in loaded if cordon == "front") == 0
        assert sum(float(count) for cordon, count in loaded if cordon == "standard") >= 1
        assert float(passed[0]) == 20
    finally:
        server.end()
