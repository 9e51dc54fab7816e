"""Who has entered: what the kernel says of such a process, as root and as anybody."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from behind import MEANS, answered, apart, refusal, status_of, unprivileged, walled
from isolet.errors import SandboxMissing
from isolet.sandbox import audit, calls, seccomp, wall
from isolet.sandbox.audit import Act
from isolet.sandbox.opener import Opener
from isolet.sandbox.wall import Means


def nobody_listens() -> Opener:
    return Opener("worker 0", {})


def test_kernel_says_that_it_has_no_capabilities_and_filters() -> None:
    (asked, ask), (told, tell) = os.pipe(), os.pipe()

    def job() -> None:
        os.write(ask, b"1")
        os.read(told, 1)

    with walled(nobody_listens(), job) as one:
        one.serve_until(asked)
        status = status_of(one.pid)
        os.write(tell, b"1")
        one.answer()
    for descriptor in (asked, ask, told, tell):
        os.close(descriptor)
    none = {"CapInh", "CapPrm", "CapEff", "CapAmb", *({"CapBnd"} if os.geteuid() == 0 else ())}
    assert {name: int(status[name], 16) for name in none} == dict.fromkeys(none, 0)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if MEANS.seccomp else "0")


def test_wall_of_an_unprivileged_user_is_as_whole() -> None:
    assert unprivileged(lambda: asdict(audit.survey())) == asdict(MEANS)


def test_who_has_threads_does_not_enter() -> None:
    """They would stay outside."""

    def job() -> str:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            wall.enter(MEANS)
        except SandboxMissing as refused:
            return refused.message
        finally:
            done.set()
            thread.join()
        return "entered"

    assert "with threads" in apart(job)


def test_threads_that_come_later_are_behind_it_too() -> None:
    def job() -> list[Any]:
        seen: list[Any] = []

        def live() -> None:
            seen.append(refusal(os.open, "/etc/passwd", os.O_RDONLY))
            seen.append(refusal(socket.socket, socket.AF_INET))
            seen.append(refusal(os.kill, os.getppid(), 0))

        thread = threading.Thread(target=live)
        thread.start()
        thread.join()
        return seen

    assert answered(nobody_listens(), job) == ["EACCES", "EPERM", "EPERM"]


def test_what_a_worker_needs_is_left() -> None:
    """Memory that is written and then run, images in memory, sockets of a loop, random numbers, its signals."""

    def job() -> list[Any]:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        image = os.memfd_create("image")
        os.write(image, b"x" * 4096)
        mapped = mmap.mmap(image, 4096, flags=mmap.MAP_PRIVATE)
        here, there = socket.socketpair()
        here.sendall(b"word")
        heard: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
        os.kill(os.getpid(), signal.SIGUSR1)
        return [
            len(code),
            len(mapped),
            there.recv(9).decode(),
            len(os.urandom(8)),
            heard,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0,
            os.fstat(image).st_size,
        ]

    assert answered(nobody_listens(), job) == [4096, 4096, "word", 8, [signal.SIGUSR1], True, 4096]


def test_terminal_is_out_of_reach() -> None:
    assert answered(nobody_listens(), lambda: os.read(0, 1).decode()) == ""


def test_entering_is_for_good() -> None:
    def job() -> list[str | None]:
        again: Callable[[], object] = lambda: wall.enter(MEANS)  # noqa: E731
        return [refusal(again), refusal(calls.prctl, 38, 0), refusal(calls.call, "seccomp", 0, 0, None)]

    assert answered(nobody_listens(), job) == ["EACCES", "EPERM", "EPERM"]


@pytest.mark.parametrize("user", [lambda job: job(), unprivileged], ids=["server's user", "nobody"])
def test_no_path_leads_anywhere(user: Callable[[Callable[[], Any]], Any]) -> None:
    """Looking at a path as if it were an open file is what filters cannot tell: the root is empty."""

    def job() -> list[str | None]:
        paths = (b"/etc/passwd", b"/proc/self", b"/tmp", b".", b"..", b"../../etc/passwd")
        return [refusal(calls.call, "newfstatat", -100, path, bytearray(256), 0x1000) for path in paths]

    expected = ["ENOENT", "ENOENT", "ENOENT", None, None, "ENOENT"] if MEANS.empty_root else [None] * 6
    assert user(lambda: answered(nobody_listens(), job)) == expected


def test_rings_are_gone_before_the_loop_is_made() -> None:
    """libuv goes without, and no ring is left that could ask what filters refuse."""

    def job() -> list[Any]:
        import uvloop

        wall.before_loop(MEANS)

        async def look() -> list[str]:
            return [os.readlink(f"/proc/self/fd/{name}") for name in descriptors()]

        kinds = uvloop.run(look())
        return [refusal(calls.call, "io_uring_setup", 1, bytes(120)), any("io_uring" in kind for kind in kinds)]

    def descriptors() -> list[str]:
        return [name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]

    assert apart(job) == ["ENOSYS", False]


# ── parts that a kernel may lack ────────────────────────────────────────────────────────────────────────────────


def without(**parts: Any) -> Means:
    return replace(MEANS, **parts)


@pytest.mark.parametrize("means", [without(landlock_abi=0), without(opener=False), MEANS], ids=str)
def test_what_is_left_of_a_wall_still_holds(means: Means) -> None:
    """Networks, processes and the kernel's inside are refused by filters alone."""
    for name in ("make a TCP socket", "start a program", "fork", "load BPF", "signal the supervisor", "write a file"):
        assert audit.attempted(name, audit.ACTS[name], means).held, name


def test_landlock_alone_is_better_than_nothing() -> None:
    means = without(seccomp=False, opener=False)
    for name in ("read /etc/passwd", "write a file", "list a directory", "start a program"):
        assert audit.attempted(name, audit.ACTS[name], means).held, name


def test_nothing_at_all_still_drops_capabilities() -> None:
    assert audit.behind(Means(), Act(lambda _: os.open("/etc/passwd", os.O_RDONLY))) == "done"
    assert audit.behind(Means(), Act(lambda _: calls.call("sethostname", b"x", 1))) == "EPERM"


def test_files_that_nobody_opens_for_it_are_read_where_it_may(tmp_path: Any) -> None:
    """Without a supervisor that answers: Landlock lets two directories be read, and filters let nothing be written."""
    (tmp_path / "in").mkdir()
    for name in ("in/file", "out"):
        (tmp_path / name).write_text("there")
    means = without(opener=False)

    def job() -> list[str | None]:
        wall.enter(means, None, [tmp_path / "in"])
        paths = (tmp_path / "in/file", tmp_path / "out", "/etc/passwd")
        read = [refusal(os.open, path, os.O_RDONLY) for path in paths]
        return [*read, refusal(os.open, tmp_path / "in/file", os.O_WRONLY), refusal(os.listdir, tmp_path / "in")]

    expected = [None, "EACCES", "EACCES"] if means.landlock_abi else [None, None, None]
    assert apart(job) == [*expected, "EACCES", "EACCES"]


def test_kernel_that_refuses_a_part_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    def job() -> str:
        monkeypatch.setattr(seccomp, "install", refused)
        with pytest.raises(SandboxMissing) as caught:
            wall.enter(without(opener=False))
        return caught.value.message

    assert apart(job) == "a worker cannot enter its sandbox: seccomp: Operation not permitted"
