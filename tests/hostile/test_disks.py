"""Disks that fill up, fail and cannot be written: what was acknowledged is kept, what cannot be kept is refused in a
typed way, functions go on, and when the disk is well again so is the server. Nobody is restarted by hand.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from isolet.engine.engine import wat
from isolet.limits import KIB, MIB
from served import ISOLET, PATIENCE_S, zipped
from test_event_durability import audit, deploy, queued
from test_server import GUESTS, Server, serving

needs_mount = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root may mount a small disk"
)
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes system calls fail")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_RETRY_S", "0.1")
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_THROTTLE_S", "0.05")


@contextlib.contextmanager
def small_disk(path: Path, options: str = "size=32m") -> Iterator[Path]:
    """A file system of its own."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> Path:
    """A file that takes what is left of a disk, to the last byte."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, 4 * KIB, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return ballast


class Asked:
    """What was answered to events, of which some are large: `accepted` are those with a 202, `refused` the others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.accepted: list[str] = []
        self.refused: list[str] = []

    def send(self) -> None:
        with contextlib.suppress(httpx.TransportError):
            answer = self._server.http.post(
                "/2015-03-31/functions/answers/invocations",
                headers={"X-Amz-Invocation-Type": "Event"},
                content=b'"%s"' % (b"x" * 50_000),
            )
            if answer.status_code == 202:
                self.accepted.append(answer.headers["x-amzn-requestid"])
            else:
                assert answer.status_code in (500, 503), answer.text
                assert answer.headers["x-amzn-errortype"], "typed"
                self.refused.append(answer.text)

    def until_refused(self, count: int = 3) -> None:
        before = len(self.refused)
        while len(self.refused) < before + count:
            self.send()

    def until_accepted(self, count: int = 3) -> None:
        before = len(self.accepted)
        while len(self.accepted) < before + count:
            self.send()


def until_deployed(server: Server, guest: str) -> None:
    """Once what failed has recovered: nobody says when."""
    while True:
        with contextlib.suppress(httpx.TransportError, AssertionError):
            assert server.deploy(guest)["State"] == "Active"
            return


def end(server: Server, asked: Asked, data: Path) -> None:
    """Everything is worked off, and the books have all that was acknowledged."""
    while queued(server) != 0:
        pass
    assert server.end() == 0
    assert set(audit(data, asked.accepted)) == {"answers Success"}


@needs_mount
def test_full_disk_refuses_what_it_cannot_keep_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, serving(disk, workers=1) as server:
        deploy(server, "answers")
        asked = Asked(server)
        asked.until_accepted()
        ballast = fill(disk)
        asked.until_refused()
        assert "no room to write" in asked.refused[-1]
        assert server.invoke("answers").json() == 1
        assert create(server, "counts") == ""
        # A keeper that starts on a full disk comes up or comes again; functions go on meanwhile.
        before = len(server.lines)
        os.kill(server.pids("keeper")[0], signal.SIGKILL)
        server.await_line("keeper started", before)
        assert httpx.get(f"{server.url}/fn/answers/", timeout=PATIENCE_S).json() == 1
        ballast.unlink()
        asked.until_accepted()
        until_deployed(server, "naps")
        end(server, asked, disk)


def creation(name: str, module: bytes) -> dict[str, object]:
    """What CreateFunction is asked for."""
    return {
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Handler": "handle",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": base64.b64encode(zipped({"function.wasm": module})).decode()},
    }


@contextlib.contextmanager
def failing(pid: int, calls: str, error: str) -> Iterator[None]:
    """These system calls of a process, every second one, fail until the block ends."""
    command = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when=1+2"]
    with subprocess.Popen([*command, "-o", "/dev/null", "-p", str(pid)], stderr=subprocess.PIPE) as tracer:
        try:
            while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{pid}/status").read_text():
                assert tracer.poll() is None, tracer.stderr and tracer.stderr.read()
            yield
        finally:
            tracer.terminate()


@needs_strace
@pytest.mark.parametrize(
    ("calls", "error"),
    [
        ("fdatasync,fsync", "EIO"),
        pytest.param("pwrite64,write", "EIO", marks=pytest.mark.slow),
        pytest.param("pwrite64,openat", "EROFS", marks=pytest.mark.slow),
    ],
)
def test_disk_that_fails_loses_nothing_that_was_acknowledged(tmp_path: Path, calls: str, error: str) -> None:
    with serving(tmp_path, workers=1) as server:
        deploy(server, "answers")
        asked = Asked(server)
        asked.until_accepted()
        with failing(server.pids("keeper")[0], calls, error):
            asked.until_refused()
            assert server.invoke("answers").json() == 1
            created = [create(server, f"counts-{number}") for number in range(6)]
        asked.until_accepted()
        until_deployed(server, "naps")
        for name in filter(None, created):
            while (function := server.function(name))["State"] == "Pending":
                pass
            assert function["State"] == "Active" or "internal error" not in function["StateReason"], function
        end(server, asked, tmp_path)


def create(server: Server, name: str) -> str:
    """Asks for a function; its name if there will be one, "" if that was refused in a typed way."""
    module = wat((GUESTS / "counts.wat").read_text() + f";; {name}")
    answer = server.http.post("/2015-03-31/functions", json=creation(name, module))
    if answer.status_code == 201:
        return name
    assert answer.status_code in (500, 503), answer.text
    assert answer.headers["x-amzn-errortype"], "typed"
    assert "internal error" not in answer.text
    return ""


@needs_mount
def test_directory_that_cannot_be_written_is_said_with_the_cure(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        for data in (disk, disk / "below"):
            command = [*ISOLET, "serve", "--port", "0", "--data", str(data)]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
            assert ended.returncode != 0
            assert os.strerror(errno.EROFS) in ended.stderr, ended.stderr
            assert "Traceback" not in ended.stderr
