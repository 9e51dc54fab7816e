"""The supervisor with real processes: replaced when killed, watched, recycled, ended in order, never outliving it."""

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
    import mmap, os, signal, sys, time
    from isolet.supervisor import RETIRE, Role, Supervisor
    from isolet.vitals import Vitals
    from isolet.watchdog import Bounds

    vitals = Vitals(4)
    started = mmap.mmap(-1, 256)  # by the length of a role's name: whether it has had a process
    bounds = {
        "spinner": Bounds(loop_cpu_s=0.2),
        "stuck": Bounds(loop_wait_s=0.5),
        "hog": Bounds(memory_bytes=300_000_000),
        "calm": Bounds(),
        "due": Bounds(requests_max=100),
        "due2": Bounds(requests_max=100),
    }

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
            if name in bounds:
                column = vitals.column(ready.place)
                first = not started[len(name)]
                started[len(name)] = 1
                column.beat(100 if first else 0)
            if name == "spinner" and first:
                while True:
                    pass
            if name == "hog" and first:
                held = bytearray(400_000_000)
            if name.startswith("due"):
                def retire(*_):
                    say(f"{name} retires {os.getpid()}")
                    sys.exit(0)
                signal.signal(RETIRE, retire)
            while name in bounds and (name != "stuck" or not first):
                column.beat(100 if first else 0)
                time.sleep(0.01)
            said = ""
            while name == "keeper":
                ended = " ".join(f"{why}={count}" for why, count in vitals.endings().items() if count)
                if ended != said:
                    say(f"ended {ended}")
                    said = ended
                time.sleep(0.01)
            while True:
                signal.pause()
        return Role(name, run, bounds.get(name))

    stages = [[child(name) for name in stage.split(",")] for stage in sys.argv[2:]]
    supervisor = Supervisor(stages, drain_s=float(sys.argv[1]), vitals=vitals, on_ready=lambda: say("all ready"))
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

    def said(self, name: str) -> str:
        """The rest of the next line that begins so."""
        while True:
            first, _, rest = self.line().partition(" ")
            if first == name:
                return rest

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


@pytest.mark.parametrize(("name", "ending"), [("spinner", "spinning"), ("stuck", "stuck"), ("hog", "memory")])
def test_child_beyond_help_is_killed_counted_and_replaced(running: list[Running], name: str, ending: str) -> None:
    one = Running(5.0, "keeper", name)
    running.append(one)
    first = one.until_ready()[name]
    lines = {one.line(), one.line()}
    assert f"ended {ending}=1" in lines
    (other,) = lines - {f"ended {ending}=1"}
    assert other.startswith(f"{name} ")
    assert other != f"{name} {first}"


def test_child_that_was_killed_from_outside_is_counted_as_such(running: list[Running]) -> None:
    one = Running(5.0, "keeper", "calm")
    running.append(one)
    pids = one.until_ready()
    os.kill(pids["calm"], signal.SIGKILL)
    assert one.said("ended") == "killed=1"


def test_successor_serves_before_its_predecessor_retires_one_at_a_time(running: list[Running]) -> None:
    """Two are due at once. Each says its name when it serves; the second's successor is started when the first is
    gone."""
    one = Running(5.0, "keeper", "due,due2")
    running.append(one)
    lines: list[str] = []
    while "ended recycled=2" not in lines:
        lines.append(one.line())
    about = [line.rpartition(" ")[0] for line in lines if line.startswith("due")]
    first, second = (words.split()[0] for words in about if "retires" in words)
    assert {first, second} == {"due", "due2"}
    serves = [number for number, words in enumerate(about) if words == second]
    retires = about.index(f"{first} retires")
    assert about.index(first, about.index(first) + 1) < retires < serves[1] < about.index(f"{second} retires")
    assert len(about) == 6, lines


# ── guests ──────────────────────────────────────────────────────────────────────────────────────────────────────

GUESTS = textwrap.dedent(
    """
    import os, signal, sys
    from isolet.supervisor import RETIRE, Role, Supervisor
    from isolet.vitals import Vitals
    from isolet.watchdog import Bounds

    def say(words):
        os.write(1, (words + "\\n").encode())

    def guest(name):
        def run(ready):
            def leave(*_):
                say(f"{name} ends")
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            signal.signal(RETIRE, leave)
            ready()
            say(f"{name} {os.getpid()}")
            while True:
                signal.pause()
        left, over = lambda place: say(f"left {place}"), lambda: say(f"{name} over")
        return Role(name, run, Bounds(), None, range(2, 4), left, over)

    def keeper(ready):
        ready()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            signal.pause()

    class Orders:
        def attend(self): pass
        def leave(self): pass
        def descriptors(self): return [0]
        def serve(self, descriptor, events):
            for word in os.read(0, 1000).decode().split():
                if word[0] == "+":
                    supervisor.want(guest(word[1:]))
                else:
                    supervisor.unwant(word[1:])

    vitals = Vitals(4)
    roles = [[Role("keeper", keeper, attendant=Orders)]]
    supervisor = Supervisor(roles, drain_s=5.0, vitals=vitals, on_ready=lambda: say("all ready"))
    sys.exit(supervisor.run())
    """
)


class Host(Running):
    """A supervisor that is told on its standard input whom to have as a guest."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", GUESTS], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout
        assert self.line() == "all ready"

    def order(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words)
        self.process.stdin.flush()


def test_guest_is_kept_running_while_it_is_wanted_and_forgotten_then(running: list[Running]) -> None:
    host = Host()
    running.append(host)
    host.order("+anna +anna ")
    first = int(host.said("anna"))
    os.kill(first, signal.SIGKILL)
    assert host.line() == "left 2"
    second = int(host.said("anna"))
    assert second != first
    host.order("-anna -anna ")
    assert host.line() == "anna ends"
    assert host.line() == "left 2"
    assert host.line() == "anna over"
    host.order("-anna +anna ")
    third = int(host.said("anna"))
    assert third not in (first, second)
    host.process.send_signal(signal.SIGTERM)
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.line() == "anna ends"
    assert host.process.wait(20) == 0


def test_guest_that_is_wanted_again_while_it_ends_is_another_process(running: list[Running]) -> None:
    host = Host()
    running.append(host)
    host.order("+anna ")
    first = int(host.said("anna"))
    host.order("-anna +anna ")
    said = sorted([host.line(), host.line(), host.line()])
    assert said[1:] == ["anna ends", "left 2"]
    assert int(said[0].split()[1]) != first
    host.process.send_signal(signal.SIGTERM)
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.process.wait(20) == 0
