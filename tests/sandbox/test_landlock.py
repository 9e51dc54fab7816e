"""Landlock alone, without filters: what it holds by itself, in processes that entered."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isolet.sandbox import audit, landlock
from isolet.sandbox.audit import Act
from isolet.sandbox.wall import Means

ABI = landlock.abi()
ALONE = Means(landlock_abi=ABI)
pytestmark = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock; the wall says so, see test_audit.py")


def how(tried: Callable[[Any], object], given: Callable[[], Any] = lambda: None, means: Means = ALONE) -> str:
    return audit.behind(means, Act(tried, given))


def test_no_file_is_opened_made_or_removed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("there")
    assert how(lambda _: os.open(file, os.O_RDONLY)) == "EACCES"
    assert how(lambda _: os.open(file, os.O_WRONLY)) == "EACCES"
    assert how(lambda _: os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)) == "EACCES"
    assert how(lambda _: os.listdir(tmp_path)) == "EACCES"
    assert how(lambda _: os.unlink(file)) == "EACCES"
    assert how(lambda _: os.mkdir(tmp_path / "directory")) == "EACCES"
    assert how(lambda _: os.execv("/bin/true", ["true"])) == "EACCES"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(ABI < landlock.TCP_ABI, reason="this kernel's Landlock has no rules for TCP; seccomp holds it")
def test_no_tcp_is_connected_or_bound() -> None:
    tcp = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)  # noqa: E731
    assert how(lambda one: one.connect(("127.0.0.1", 9)), tcp) == "EACCES"
    assert how(lambda one: one.bind(("127.0.0.1", 0)), tcp) == "EACCES"


@pytest.mark.skipif(ABI < landlock.SCOPES_ABI, reason="this kernel's Landlock has no scopes; seccomp holds signals")
def test_nobody_outside_is_signalled() -> None:
    assert how(lambda parent: os.kill(parent, 0), os.getppid) == "EPERM"
    assert how(lambda _: os.kill(os.getpid(), 0)) == "done"


def test_what_was_open_stays_usable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    assert how(lambda one: os.pread(one, 5, 0), lambda: os.open(tmp_path / "file", os.O_RDONLY)) == "done"


def test_readable_directory_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")

    def within(tried: Callable[[], object]) -> str:
        def act(_: Any) -> None:
            landlock.restrict(ABI, [tmp_path])
            tried()

        return how(act, means=Means())

    assert within(lambda: (tmp_path / "file").read_text()) == "done"
    assert within(lambda: (tmp_path / "file").write_text("changed")) == "EACCES"
    assert within(lambda: os.listdir(tmp_path)) == "EACCES"
    assert within(lambda: Path("/etc/passwd").read_text()) == "EACCES"
    assert (tmp_path / "file").read_text() == "there"


@pytest.mark.parametrize("version", range(1, ABI + 1))
def test_rules_of_every_older_kernel_are_taken(version: int) -> None:
    assert how(lambda _: os.open("/etc/passwd", os.O_RDONLY), means=Means(landlock_abi=version)) == "EACCES"
