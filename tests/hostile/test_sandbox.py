"""Who has broken out of WebAssembly stands before the second wall: nothing that they try there works.

Each act is tried by a process that entered as a worker does, once started by root and once by nobody in particular.
Then a real server: what its workers are to the kernel, and that nothing which it does for its tenants needs more.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from behind import MEANS, status_of, unprivileged
from hostile.house import House, until
from isolet.config import load
from isolet.sandbox import audit, wall
from isolet.server import serve
from served import ENVIRONMENT, ISOLET, PATIENCE_S, Served, zipped

USERS = {"the server's user": lambda job: job(), "nobody": unprivileged}


@functools.cache
def outcomes(user: str) -> dict[str, tuple[str, bool, str]]:
    return {act: (act, held, how) for act, held, how in USERS[user](lambda: audit.audit(MEANS))}


def test_there_are_many_forbidden_acts() -> None:
    assert len(audit.ACTS) >= 80


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("act", audit.ACTS)
def test_forbidden_act_is_refused(user: str, act: str) -> None:
    name, held, how = outcomes(user)[act]
    assert held, f"{name}: {how}"


@pytest.mark.skipif(not MEANS.seccomp, reason="nothing kills where there are no filters")
@pytest.mark.parametrize(
    "act",
    ["start a program", "fork", "trace the supervisor", "read the supervisor's memory", "make an io_uring", "load BPF",
     "make a namespace", "mount", "take a descriptor of another process", "handle page faults"],
)  # fmt: skip
def test_plainly_hostile_act_is_the_end(act: str) -> None:
    assert outcomes("the server's user")[act][2] == "SIGSYS"


# ── a server ────────────────────────────────────────────────────────────────────────────────────────────────────


def workers(server: Served) -> list[int]:
    """The present processes."""
    started = re.findall(r"worker (\d+) started, pid (\d+)", (server.directory / "log").read_text())
    return [int(pid) for pid in dict(started).values()]


def test_every_worker_is_behind_the_wall(house: House) -> None:
    for pid in workers(house.server):
        status = status_of(pid)
        assert status["Seccomp"] == ("2" if MEANS.seccomp else "0")
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def test_no_worker_holds_a_ring_a_directory_or_what_answers_for_another(house: House) -> None:
    for pid in workers(house.server):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            try:
                what, mode = os.readlink(entry.path), os.stat(entry.path).st_mode
            except FileNotFoundError:
                continue
            assert "io_uring" not in what
            assert "seccomp" not in what
            assert not stat.S_ISDIR(mode), what
            assert not what.endswith((".db", ".key", ".sock")), what


def test_server_says_what_its_wall_is_made_of(house: House) -> None:
    assert f"sandbox: {audit.described(MEANS)}" in house.log()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("sandbox"))
    yield served
    served.end()


PROGRAMS = {
    "python": (
        "python3.11",
        "index.py",
        "import json\nCOUNT = sum(range(1000))\ndef handler(event, context):\n"
        "  print('said')\n  return [COUNT, open('/var/task/data.txt').read()]\n",
    ),
    "javascript": (
        "nodejs22.x",
        "index.js",
        "const fs = require('fs');\nconst COUNT = [...Array(1000).keys()].reduce((a, b) => a + b);\n"
        "exports.handler = async () => { console.log('said'); "
        "return [COUNT, fs.readFileSync('/var/task/data.txt', 'utf8')]; };\n",
    ),
}


def refused(server: Served) -> list[str]:
    return [line for line in (server.directory / "log").read_text().splitlines() if "was refused" in line]


def deployed(server: Served, name: str) -> None:
    runtime, file, text = PROGRAMS[name]
    client = server.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler="index.handler",
        Role="arn:aws:iam::000000000000:role/r",
        MemorySize=256,
        Timeout=30,
        Code={"ZipFile": zipped({file: text, "data.txt": "the package's own"})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def call(server: Served, name: str) -> bytes:
    answer: bytes = server.client("lambda").invoke(FunctionName=name, Payload=b"{}")["Payload"].read()
    return answer


EXPECTED = b'[499500,"the package\'s own"]'


@pytest.mark.parametrize("name", PROGRAMS)
def test_interpreters_snapshots_and_packages_are_opened_behind_the_wall(server: Served, name: str) -> None:
    deployed(server, name)
    for _ in range(8):
        assert call(server, name).replace(b" ", b"") == EXPECTED.replace(b" ", b"")
    assert refused(server) == []


def test_replaced_worker_is_behind_the_wall_and_serves(server: Served) -> None:
    before = workers(server)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(workers(server)) & set(before), "every worker was replaced")
    until(lambda: all(status_of(pid)["Seccomp"] == "2" for pid in workers(server)), "they entered")
    for name in PROGRAMS:
        assert call(server, name).replace(b" ", b"") == EXPECTED.replace(b" ", b"")


def test_new_keeper_is_found_from_behind_the_wall(server: Served) -> None:
    before = server.keeper()
    os.kill(before, signal.SIGKILL)
    until(lambda: server.keeper() != before, "the keeper was replaced")
    until(lambda: listed(server) == sorted(PROGRAMS), "the control plane answers again")
    assert refused(server) == []


def listed(server: Served) -> list[str]:
    """The functions, by the keeper's word; none while there is no keeper."""
    try:
        return sorted(function["FunctionName"] for function in server.client("lambda").list_functions()["Functions"])
    except ClientError:
        return []


def test_workers_of_an_unprivileged_users_server_are_behind_the_whole_wall() -> None:
    wall.warm_up()  # that user may not be able to read the interpreter's library

    def job() -> dict[str, str]:
        directory = tempfile.mkdtemp()
        os.chdir(directory)
        reading, writing = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            chosen = {"port": 0, "workers": 1, "isolates": 64, "data": "data", "require_sandbox": True}
            os._exit(
                serve(load(environment={}, arguments=chosen), lambda url: os.write(writing, url.encode()) and None)
            )
        os.close(writing)
        url = os.read(reading, 100).decode()
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        status = [status_of(int(child)) for child in children]
        healthy = httpx.get(f"{url}/healthz", timeout=PATIENCE_S).status_code
        os.kill(supervisor, signal.SIGTERM)
        _, ended = os.waitpid(supervisor, 0)
        shutil.rmtree(directory)
        return {"walls": max(one["Seccomp"] for one in status), "healthy": str(healthy), "ended": str(ended)}

    expected = {"walls": "2", "healthy": "200", "ended": "0"} if MEANS.whole else {}
    assert not MEANS.whole or unprivileged(job) == expected


def test_server_refuses_to_start_without_the_sandbox_that_is_required(tmp_path: Path) -> None:
    run = subprocess.run(
        [*ISOLET, "serve", "--require-sandbox", "--port", "0", "--data", "data"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "ISOLET_SANDBOX": "false"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert "a sandbox is required" in run.stderr
    assert "Traceback" not in run.stderr
