"""What a process can reach once it is apart and has entered: asked from inside, by a process of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isolet.sandbox import namespaces

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
# An interpreter that every user may run; a virtual environment may be its owner's alone.
OTHERS = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
RUNTIME = Path(namespaces.__file__).parent.parent.parent

# Says what `asks` finds, as JSON.
INSIDE = """
import encodings.idna, errno, json, os, resource, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from isolet.sandbox import namespaces
outside = os.getpid()
room = namespaces.apart()
room.enter()

def refused(what):
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

{asks}
"""


def inside(asks: str, *, user: int | None = None, directory: Path = RUNTIME) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OTHERS if user else sys.executable, "-I", "-c", INSIDE.replace("{asks}", asks), str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        user=user,
        cwd="/",
    )


def found(asks: str, **options: Any) -> Any:
    answer = inside(asks, **options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def room() -> None:
    """Skips, and says why, where the kernel or the container gives no namespaces."""
    if notes := found("print(json.dumps(room.notes))"):
        pytest.skip("; ".join(notes))


@pytest.mark.usefixtures("room")
def test_root_is_empty_and_cannot_be_written() -> None:
    asked = """print(json.dumps([os.listdir("/"), refused(lambda: open("/x", "w")), refused(lambda: os.mkdir("/x")),
        refused(lambda: open("/etc/passwd")), refused(lambda: os.listdir("/proc")), os.getcwd()]))"""
    assert found(asked) == [[], "EROFS", "EROFS", "ENOENT", "ENOENT", "/"]


@pytest.mark.usefixtures("room")
def test_no_network() -> None:
    asked = """
with socket.socket() as one:
    print(json.dumps([refused(lambda: one.connect(("127.0.0.1", 9))), socket.if_nameindex()]))"""
    refusal, interfaces = found(asked)
    assert refusal == "ENETUNREACH"  # loopback is down
    assert [name for _, name in interfaces] == ["lo"]


@pytest.mark.usefixtures("room")
def test_no_other_process_can_be_signalled() -> None:
    asked = """print(json.dumps([refused(lambda: os.kill(outside, 0)), refused(lambda: os.kill(1, signal.SIGKILL)),
        refused(lambda: os.kill(os.getppid() or outside, 0)), os.getpid() < 10]))"""
    refusals = found(asked)
    # Process 1 is the namespace's own, of the former user or protected: dying with it harms nobody else.
    assert refusals[0] == refusals[2] == "ESRCH"
    assert refusals[3]


@pytest.mark.usefixtures("room")
def test_no_rights_are_left() -> None:
    asked = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    return 0 if getattr(libc, name)(*arguments) == 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps([call("mount", b"x", b"/", b"tmpfs", 0, None), call("umount2", b"/", 2), call("sethostname", b"x", 1),
    call("setuid", 0), call("chroot", b"/"), libc.prctl(39, 0, 0, 0, 0), os.getuid() != 0]))"""
    assert found(asked) == ["EPERM", "EPERM", "EPERM", "EPERM", "EPERM", 1, True]


@pytest.mark.usefixtures("room")
def test_each_of_root_s_is_another_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root's processes become other users")
    assert len({found("print(os.getuid())") for _ in range(3)}) == 3


def test_others_than_root_get_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("that is what the other tests are then")
    open_to_all = tmp_path_factory.mktemp("runtime")
    for directory in (open_to_all, open_to_all.parent, open_to_all.parent.parent):
        directory.chmod(0o755)
    target = open_to_all / "isolet" / "sandbox"
    target.mkdir(parents=True)
    (target.parent / "__init__.py").touch()
    (target / "__init__.py").touch()
    shutil.copy(namespaces.__file__, target)
    answer = inside(
        "print(json.dumps([room.notes, os.listdir('/'), os.getpid() < 10]))", user=65534, directory=open_to_all
    )
    assert answer.returncode == 0, answer.stderr
    notes, files, alone = json.loads(answer.stdout)
    if notes:
        pytest.skip("; ".join(notes))
    assert (files, alone) == ([], True)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGXCPU, signal.SIGSEGV, signal.SIGKILL])
def test_outer_process_ends_as_the_inner_one_did(number: signal.Signals) -> None:
    script = "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), NUMBER)"
    assert inside(script.replace("NUMBER", str(int(number)))).returncode == -number
    assert inside("sys.exit(7)").returncode == 7


@pytest.mark.parametrize("asked", ["", "namespaces.die_with_parent = lambda: None"], ids=["asked", "not yet asked"])
def test_nothing_is_left_when_the_outer_process_is_killed(asked: str) -> None:
    """Neither when it is killed before those that it forked could ask to die with it."""
    script = INSIDE.replace("outside =", f"{asked}\noutside =")
    script = script.replace("{asks}", "print(1, flush=True); signal.pause()")
    process = subprocess.Popen([sys.executable, "-I", "-c", script, str(RUNTIME)], stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    descriptors = [os.pidfd_open(int(pid)) for pid in children]
    process.kill()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0], "it has ended"
        os.close(descriptor)
    assert process.stdout.read() == b"", "the pipe closes when the last of them has ended"
    process.stdout.close()
    process.wait()
