"""Processes that are kept running: forked, watched, replaced, and ended in order. Knows nothing of what they do.

Laws:
- A child that ends is replaced at once; one that keeps ending at its start is replaced ever more slowly (RESTART_S).
- Children are forked from a process that has imported everything and started nothing: no threads, no engine, no loop. A
  replacement is therefore serving within tens of milliseconds, where a fresh interpreter would take half a second.
- A child begins with no descriptor of the supervisor's own, nor with what leads to another child.
- No child outlives its supervisor: the kernel kills it (PR_SET_PDEATHSIG), where the kernel can.
- A child of a role with bounds is looked at every LOOK_S, and killed when it is beyond help (watchdog.py). It is then
  replaced as after any other end.
- One that has served long enough is recycled: its successor is started, and when that is ready the old one is told to
  retire (SIGUSR1), for which it has RETIRE_S. One at a time, of all roles: the others serve meanwhile.
- Beside its roles it keeps guests running, for as long as they are wanted.
- SIGTERM and SIGINT end everything in order: `stages`, the last first, each given `drain_s` before SIGKILL. A second
  one does not wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from . import limits
from .vitals import Ending, Vitals
from .watchdog import Bounds, Sample, Watch, sample

logger = logging.getLogger("isolet.supervisor")

# Pauses before a child is started again that ended within a second of its start: none, then doubling up to this.
RESTART_S = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STARTED_S = 1.0


RETIRE = signal.SIGUSR1


class Attendant(Protocol):
    """What the supervisor does for one process beside keeping it running, in its loop: never waits, never raises. Made
    before the fork."""

    def attend(self) -> None:
        """After the fork, in the supervisor."""

    def leave(self) -> None:
        """The process has ended."""

    def descriptors(self) -> Sequence[int]:
        """What to watch."""

    def serve(self, descriptor: int, events: int) -> None:
        """Something has come on one of them; `events` are poll's."""


class Ready:
    """What a child is given: called once it serves. `place` is its place among the vitals, if its role has bounds;
    `attendant`, if it has one, what serves it in the supervisor."""

    def __init__(self, descriptor: int, place: int, attendant: Attendant | None) -> None:
        self.place = place
        self.attendant = attendant
        self._descriptor = descriptor

    def __call__(self) -> None:
        os.write(self._descriptor, b"1")
        os.close(self._descriptor)


@dataclass(frozen=True)
class Role:
    """A process to keep running. `run(ready)` is the child's whole life; it calls `ready` once it serves. With `bounds`
    it beats (vitals.py) and retires when it is told to."""

    name: str
    run: Callable[[Ready], None]
    bounds: Bounds | None = None
    attendant: Callable[[], Attendant] | None = None
    # Its own places among the vitals; None: any.
    places: range | None = None
    # Called with the place of a process that has ended; and when a guest is gone for good.
    left: Callable[[int], None] = lambda place: None
    over: Callable[[], None] = lambda: None


@dataclass
class Process:
    """A forked process of a role."""

    pid: int
    ready_fd: int
    started_s: float
    place: int = -1
    watch: Watch | None = None
    attendant: Attendant | None = None
    ready: bool = False
    # Why we ended it, if we did; and when a retiring one has had its time.
    ending: Ending | None = None
    killed_at_s: float = float("inf")

    def descriptors(self) -> Iterator[int]:
        """What it, and who attends it, may be heard on."""
        if self.ready_fd >= 0:
            yield self.ready_fd
        if self.attendant is not None:
            yield from self.attendant.descriptors()


@dataclass
class Child:
    """A role, and its processes: the present one, and while it is recycled the next one or the one before."""

    role: Role
    present: Process | None = None
    successor: Process | None = None
    retiring: Process | None = None
    failures: int = 0
    start_at_s: float = 0.0
    recycle_at_s: float = 0.0
    restarts: int = field(default=0)
    # Whether it is kept running: a guest is for as long as somebody wants it.
    wanted: bool = True

    def processes(self) -> list[Process]:
        return [one for one in (self.present, self.successor, self.retiring) if one is not None]


class Supervisor:
    """Runs `stages` of roles: a stage is started when all of the one before are ready, and ended before it.

    `vitals` has a place for each process of a role with bounds, and one more for a successor.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Role]],
        *,
        drain_s: float,
        vitals: Vitals | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        # Who is wanted for a while, and whose end is no harm. They are ended after all stages but the first.
        self._guests: list[Child] = []
        first, *more = ([Child(role) for role in stage] for stage in stages)
        self._stages: list[list[Child]] = [first, self._guests, *more]
        self._drain_s = drain_s
        bounded = [child for child in self._children() if child.role.bounds is not None]
        self._vitals = vitals or Vitals(len(bounded) + 1)
        assert self._vitals.places > len(bounded), "there is a place for a successor"
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._signals: list[int] = []
        self._chance = random.Random()
        self._look_at_s = 0.0
        self._pipe: tuple[int, ...] = ()

    def run(self) -> int:
        """Returns the exit status once everything has ended: 0 after a signal, 1 if it never came up."""
        gc.collect()
        gc.freeze()  # children share these pages as long as the collector does not write to them
        with self._wakeup() as wakeup:
            try:
                for stage in (stage for stage in self._stages if stage is not self._guests):
                    for child in stage:
                        child.present = self._start(child)
                    if not self._await_ready(stage, wakeup):
                        return self._end(wakeup)
                self._on_ready()
                while not self._signals:
                    waits = [self._restart_due(), self._look_due()]
                    self._wait(wakeup, min((wait for wait in waits if wait is not None), default=None))
                return self._end(wakeup)
            finally:
                for child in self._children():
                    for process in child.processes():
                        _kill(process)

    # ── guests ──────────────────────────────────────────────────────────────────────────────────────────────────

    def want(self, role: Role) -> None:
        """Keeps a guest running; one of this name that is there already is it. For attendants."""
        for child in self._guests:
            if child.role.name == role.name:
                if not child.wanted:
                    child.role, child.wanted, child.start_at_s = role, True, 0.0
                return
        self._guests.append(Child(role))

    def unwant(self, name: str) -> None:
        """Has a guest end what it has begun, and does not start it again."""
        for child in self._guests:
            if child.role.name == name and child.wanted:
                child.wanted = False
                for process in (child.present, child.successor):
                    if process is not None:
                        process.ending, process.killed_at_s = Ending.RECYCLED, time.monotonic() + limits.RETIRE_S
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(process.pid, RETIRE if process.ready else signal.SIGTERM)
                if child.retiring is None:
                    child.present, child.retiring = None, child.present

    def _dismiss(self) -> None:
        """Forgets guests that are not wanted and have ended."""
        for child in [child for child in self._guests if not child.wanted and not child.processes()]:
            self._guests.remove(child)
            child.role.over()

    # ── children ────────────────────────────────────────────────────────────────────────────────────────────────

    def _children(self) -> Iterator[Child]:
        return (child for stage in self._stages for child in stage)

    def _start(self, child: Child) -> Process:
        place, watch = -1, None
        if child.role.bounds is not None:
            place = self._free_place(child)
            assert place >= 0, "there is a place for a successor"
            self._vitals.column(place).clear()
            watch = Watch(child.role.bounds.jittered(self._chance), time.monotonic())
        attendant = None if child.role.attendant is None else child.role.attendant()
        reading, writing = os.pipe()
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _live(child.role, Ready(writing, place, attendant), supervisor, [reading, *self._descriptors()])
        os.close(writing)
        if attendant is not None:
            attendant.attend()
        logger.info("%s started, pid %d", child.role.name, pid)
        return Process(pid, reading, time.monotonic(), place, watch, attendant)

    def _free_place(self, child: Child) -> int:
        """-1: all of its own are taken."""
        taken = {process.place for other in self._children() for process in other.processes()}
        places = child.role.places or range(self._vitals.places)
        return next((place for place in places if place not in taken), -1)

    def _descriptors(self) -> Iterator[int]:
        """What is the supervisor's alone."""
        yield from self._pipe
        for child in self._children():
            for process in child.processes():
                yield from process.descriptors()

    def _reap(self) -> None:
        """Takes note of every process that has ended, and plans its replacement."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children():
                for process in child.processes():
                    if process.pid == pid:
                        self._ended(child, process, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, process: Process, code: int) -> None:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        ending = process.ending
        if ending is None or (code and ending is Ending.RECYCLED and process.killed_at_s < float("inf")):
            ending = Ending.KILLED if code < 0 else Ending.FAILED
        log = logger.info if self._signals or ending is process.ending else logger.error
        log("%s (pid %d) %s", child.role.name, process.pid, how)
        if process.ready_fd >= 0:
            os.close(process.ready_fd)
        if process.attendant is not None:
            process.attendant.leave()
        if process.watch is not None and not self._signals:
            self._vitals.count(ending)
        child.role.left(process.place)
        now_s = time.monotonic()
        if process is child.retiring:
            child.retiring = None
            return
        if process is child.successor:
            child.successor = None
            child.recycle_at_s = now_s + limits.RECYCLE_RETRY_S
            return
        # What was to be its successor is its replacement.
        child.present, child.successor = child.successor, None
        child.failures = child.failures + 1 if now_s - process.started_s < STARTED_S else 0
        child.start_at_s = now_s + RESTART_S[min(child.failures, len(RESTART_S) - 1)]
        child.restarts += 1

    def _restart_due(self) -> float | None:
        """Starts whoever is due; seconds until the next one is, or None."""
        waits = []
        self._dismiss()
        for child in self._children():
            if child.present is None and child.wanted and (child.role.places is None or self._free_place(child) >= 0):
                wait_s = child.start_at_s - time.monotonic()
                if wait_s <= 0:
                    child.present = self._start(child)
                else:
                    waits.append(wait_s)
        return min(waits, default=None)

    def _await_ready(self, stage: Sequence[Child], wakeup: int) -> bool:
        """True when all of a stage serve; False when a signal came first, or one of them ended instead."""
        while not all(child.present is not None and child.present.ready for child in stage):
            if self._signals or any(child.present is None for child in stage):
                return False
            self._wait(wakeup, None)
        return True

    def _wait(self, wakeup: int, seconds: float | None) -> None:
        """Sleeps until a signal, a child's word, or `seconds`."""
        heard = [
            (descriptor, process)
            for child in self._children()
            for process in child.processes()
            for descriptor in process.descriptors()
        ]
        poll = select.poll()
        for descriptor in (wakeup, *(descriptor for descriptor, _ in heard)):
            poll.register(descriptor, select.POLLIN)
        found = dict(poll.poll(None if seconds is None else 1000 * seconds))
        if wakeup in found:
            os.read(wakeup, 4096)
        for descriptor, process in heard:
            if descriptor not in found:
                continue
            if descriptor == process.ready_fd:
                process.ready = os.read(descriptor, 1) == b"1" or process.ready
                os.close(descriptor)
                process.ready_fd = -1
            elif process.attendant is not None:
                process.attendant.serve(descriptor, found[descriptor])
        self._reap()

    # ── watching ────────────────────────────────────────────────────────────────────────────────────────────────

    def _look_due(self) -> float | None:
        """Looks at whoever is watched, if it is time; seconds until the next look, or None."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + limits.LOOK_S
            for child in self._children():
                if child.role.bounds is not None:
                    self._look(child, now_s)
        watched = any(process.watch is not None for child in self._children() for process in child.processes())
        return max(0.0, self._look_at_s - now_s) if watched else None

    def _look(self, child: Child, now_s: float) -> None:
        for process in child.processes():
            if process.ending in (None, Ending.RECYCLED) and process.watch is not None:
                seen = sample(process.pid, self._vitals.column(process.place))
                verdict = process.watch.look(seen, now_s)
                if verdict is None and now_s >= process.killed_at_s:
                    verdict = Ending.RECYCLED, f"it had {limits.RETIRE_S:g} s to end what it had begun"
                if verdict is not None:
                    process.ending, process.killed_at_s = verdict[0], float("inf")
                    logger.error("%s (pid %d) is killed: %s", child.role.name, process.pid, verdict[1])
                    _kill(process)
                elif process is child.present:
                    self._recycle(child, process, seen, now_s)

    def _recycle(self, child: Child, process: Process, seen: Sample, now_s: float) -> None:
        """Starts a successor if one is due, or lets it take over if it is ready."""
        assert process.watch is not None
        if child.successor is not None:
            if child.successor.ready:
                process.ending, process.killed_at_s = Ending.RECYCLED, now_s + limits.RETIRE_S
                child.present, child.successor, child.retiring = child.successor, None, process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, RETIRE)
        elif not child.wanted:
            return
        elif process.ready and now_s >= child.recycle_at_s and (why := process.watch.is_due(seen, now_s)):
            # Guests that nobody wants any more end beside: they may take as long as their longest invocation.
            if any(other.wanted and (other.successor or other.retiring) for other in self._children()):
                return
            logger.info("%s (pid %d) is recycled: %s", child.role.name, process.pid, why)
            child.successor = self._start(child)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self, wakeup: int) -> int:
        """Ends the stages, the last first. Returns the exit status."""
        asked = bool(self._signals)
        self._on_stop()
        for stage in reversed(self._stages):
            for child in stage:
                for process in child.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGTERM)
            deadline_s = time.monotonic() + self._drain_s
            while any(child.processes() for child in stage):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or len(self._signals) > 1:
                    for child in stage:
                        for process in child.processes():
                            logger.error("%s (pid %d) did not end in time; killed", child.role.name, process.pid)
                            _kill(process)
                    deadline_s = float("inf")
                self._wait(wakeup, min(max(left_s, 0.05), 1.0))
        return 0 if asked else 1

    @contextlib.contextmanager
    def _wakeup(self) -> Iterator[int]:
        """Signals as bytes on a pipe, so that `select` sees them."""
        reading, writing = os.pipe()
        self._pipe = (reading, writing)
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        before = {
            number: signal.signal(number, lambda received, _frame: self._note(received))
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        }
        old = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)

    def _note(self, received: int) -> None:
        if received != signal.SIGCHLD:
            self._signals.append(received)


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


def _live(role: Role, ready: Ready, supervisor: int, not_mine: Sequence[int]) -> None:
    """The child's side of the fork: never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for descriptor in not_mine:
            os.close(descriptor)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C reaches the whole foreground group: the supervisor ends its children in order instead.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _die_with(supervisor)
        role.run(ready)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


_PR_SET_PDEATHSIG = 1


def _die_with(supervisor: int) -> None:
    """The kernel kills this process when its parent ends, however it ends (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:  # it had ended before we asked
            os._exit(1)
