"""A builder's second wall, tried by a process of its own: with the first wall around it, and alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isolet.sandbox import confinement, landlock, seccomp

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's"),
    pytest.mark.skipif(
        not (landlock.abi() and seccomp.available()), reason="this kernel has no Landlock, or no seccomp"
    ),
]
RUNTIME = Path(confinement.__file__).parent.parent.parent

INSIDE = """
import ctypes, errno, json, os, signal, socket, sys, tempfile, threading
sys.path.insert(0, sys.argv[1])
from isolet.sandbox import namespaces
from isolet.sandbox.confinement import confine
kept = open("/etc/passwd", "rb")
parent = os.getppid()
room = namespaces.Room([], False, 1_900_000_000 + os.getpid())
room.enter()
confine(room.notes)
assert not room.notes, room.notes

def refused(what):
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

{asks}
"""


def inside(asks: str) -> subprocess.CompletedProcess[str]:
    script = INSIDE.replace("{asks}", asks)
    return subprocess.run(
        [sys.executable, "-I", "-c", script, str(RUNTIME)], capture_output=True, text=True, timeout=60
    )


def found(asks: str) -> object:
    answer = inside(f"print(json.dumps({asks}))")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    "what",
    [
        'open("/etc/passwd")',
        'open("/proc/self/environ")',
        'open("/tmp/x", "w")',
        'os.listdir("/")',
        'os.stat("/etc/passwd")',
        'os.readlink("/proc/self/exe")',
    ],
)
def test_no_file_has_a_name(what: str) -> None:
    assert found(f"refused(lambda: {what})") == "EACCES"


@pytest.mark.parametrize("what", ['os.unlink("/tmp/x")', 'os.mkdir("/tmp/x")', "os.kill(parent, 0)", "os.setuid(0)"])
def test_what_a_compiler_does_not_do_is_refused(what: str) -> None:
    assert found(f"refused(lambda: {what})") in ("EPERM", "EACCES")


@pytest.mark.parametrize(
    "what",
    [
        "socket.socket()",
        "os.fork()",
        'os.execv("/bin/true", ["true"])',
        "ctypes.CDLL(None).ptrace(0, 0, 0, 0)",
        "ctypes.CDLL(None).unshare(0x10000000)",
        'ctypes.CDLL(None).mount(b"x", b"/", b"tmpfs", 0, None)',
        "ctypes.CDLL(None).syscall(425, 8, 0)",
    ],
)
def test_what_nobody_who_compiles_tries_is_the_end(what: str) -> None:
    assert inside(what).returncode == -signal.SIGSYS


def test_what_it_was_handed_and_its_threads_stay() -> None:
    asks = """
said = []
thread = threading.Thread(target=lambda: said.append(os.pread(kept.fileno(), 4, 0).decode()))
thread.start()
thread.join()
print(json.dumps(said))"""
    answer = inside(asks)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == ["root"]


def test_threads_are_behind_the_wall_too() -> None:
    asks = """
said = []
thread = threading.Thread(target=lambda: said.append(refused(lambda: open("/etc/passwd"))))
thread.start()
thread.join()
print(json.dumps(said))"""
    assert json.loads(inside(asks).stdout) == ["EACCES"]


def test_abort_is_an_abort() -> None:
    """As the compiler ends when it has no memory left."""
    assert inside("os.abort()").returncode == -signal.SIGABRT
