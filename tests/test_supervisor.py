"""The supervisor with real processes: replaced when killed, ended in order, never outliving it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import IO

import pytest

SCRIPT = textwrap.dedent(
    """
    import os, signal, sys
    from isolet.supervisor import Role, Supervisor

    def say(words):
        os.write(1, (words + "\\n").encode())

    def child(name):
        def run(ready):
            def leave(*_):
                say(f"{name} ends")
                sys.exit(0)
            if name != "stubborn":
                signal.signal(signal.SIGTERM, leave)
            else:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if name == "broken":
                sys.exit(3)
            ready()
            say(f"{name} {os.getpid()}")
            while True:
                signal.pause()
        return Role(name, run)

    stages = [[child(name) for name in stage.split(",")] for stage in sys.argv[2:]]
    supervisor = Supervisor(stages, drain_s=float(sys.argv[1]), on_ready=lambda: say("all ready"))
    sys.exit(supervisor.run())
    """
)


class Running:
    """A supervisor in a process of its own; what its children say is read line by line."""

    def __init__(self, drain_s: float, *stages: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(drain_s), *stages], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.out: IO[str] = self.process.stdout

    def line(self) -> str:
        return self.out.readline().strip()

    def until_ready(self) -> dict[str, int]:
        pids = {}
        while (line := self.line()) != "all ready":
            name, _, pid = line.partition(" ")
            pids[name] = int(pid)
        while len(pids) < 2:  # a child may say its name after it was ready
            name, _, pid = self.line().partition(" ")
            pids[name] = int(pid)
        return pids


@pytest.fixture
def running() -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for one in started:
        one.process.kill()
        one.process.wait()
        one.out.close()


def test_killed_child_is_replaced_and_the_other_stays(running: list[Running]) -> None:
    one = Running(5.0, "keeper", "worker")
    running.append(one)
    pids = one.until_ready()
    os.kill(pids["worker"], signal.SIGKILL)
    name, _, pid = one.line().partition(" ")
    assert name == "worker"
    assert int(pid) != pids["worker"]
    os.kill(pids["keeper"], 0)


def test_stages_end_last_first(running: list[Running]) -> None:
    one = Running(5.0, "keeper", "worker")
    running.append(one)
    one.until_ready()
    one.process.send_signal(signal.SIGTERM)
    assert [one.line(), one.line()] == ["worker ends", "keeper ends"]
    assert one.process.wait() == 0


def test_child_that_does_not_end_is_killed_after_the_drain(running: list[Running]) -> None:
    one = Running(0.2, "keeper", "stubborn")
    running.append(one)
    one.until_ready()
    one.process.send_signal(signal.SIGTERM)
    assert one.line() == "keeper ends"
    assert one.process.wait() == 0


def test_second_signal_does_not_wait(running: list[Running]) -> None:
    one = Running(3600.0, "keeper", "stubborn")
    running.append(one)
    one.until_ready()
    one.process.send_signal(signal.SIGINT)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait() == 0


def test_child_that_fails_at_its_start_fails_the_whole(running: list[Running]) -> None:
    one = Running(5.0, "keeper", "broken")
    running.append(one)
    assert one.line().startswith("keeper ")
    assert one.line() == "keeper ends"
    assert one.process.wait() == 1


def test_no_child_outlives_its_supervisor(running: list[Running]) -> None:
    one = Running(5.0, "keeper", "worker")
    running.append(one)
    pids = one.until_ready()
    files = {name: os.pidfd_open(pid) for name, pid in pids.items()}
    one.process.kill()
    one.process.wait()
    import select

    for name, descriptor in files.items():
        readable, _, _ = select.select([descriptor], [], [], 10)
        assert readable, f"{name} outlived its supervisor"
        os.close(descriptor)
