"""Processes that are kept running: forked, watched, replaced, and ended in order. Knows nothing of what they do.

Laws:
- A child that ends is replaced at once; one that keeps ending at its start is replaced ever more slowly (RESTART_S).
- Children are forked from a process that has imported everything and started nothing: no threads, no engine, no loop. A
  replacement is therefore serving within tens of milliseconds, where a fresh interpreter would take half a second.
- No child outlives its supervisor: the kernel kills it (PR_SET_PDEATHSIG), where the kernel can.
- SIGTERM and SIGINT end everything in order: `stages`, the last first, each given `drain_s` before SIGKILL. A second
  one does not wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger("isolet.supervisor")

# Pauses before a child is started again that ended within a second of its start: none, then doubling up to this.
RESTART_S = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STARTED_S = 1.0


@dataclass(frozen=True)
class Role:
    """A process to keep running. `run(ready)` is the child's whole life; it calls `ready` once it serves."""

    name: str
    run: Callable[[Callable[[], None]], None]


@dataclass
class Child:
    """A role, and its present process."""

    role: Role
    pid: int = 0
    started_s: float = 0.0
    failures: int = 0
    start_at_s: float = 0.0
    ready_fd: int = -1
    ready: bool = False
    restarts: int = field(default=0)


class Supervisor:
    """Runs `stages` of roles: a stage is started when all of the one before are ready, and ended before it."""

    def __init__(
        self,
        stages: Sequence[Sequence[Role]],
        *,
        drain_s: float,
        on_ready: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._stages = [[Child(role) for role in stage] for stage in stages]
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._signals: list[int] = []

    def run(self) -> int:
        """Returns the exit status once everything has ended: 0 after a signal, 1 if it never came up."""
        gc.collect()
        gc.freeze()  # children share these pages as long as the collector does not write to them
        with self._wakeup() as wakeup:
            try:
                for stage in self._stages:
                    for child in stage:
                        self._start(child)
                    if not self._await_ready(stage, wakeup):
                        return self._end(wakeup)
                self._on_ready()
                while not self._signals:
                    self._wait(wakeup, self._restart_due())
                return self._end(wakeup)
            finally:
                for child in self._children():
                    if child.pid:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(child.pid, signal.SIGKILL)

    # ── children ────────────────────────────────────────────────────────────────────────────────────────────────

    def _children(self) -> Iterator[Child]:
        return (child for stage in self._stages for child in stage)

    def _start(self, child: Child) -> None:
        reading, writing = os.pipe()
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _live(child.role, writing, supervisor)
        os.close(writing)
        if child.ready_fd >= 0:
            os.close(child.ready_fd)
        child.pid, child.started_s, child.ready_fd, child.ready = pid, time.monotonic(), reading, False
        logger.info("%s started, pid %d", child.role.name, pid)

    def _reap(self) -> None:
        """Takes note of every child that has ended, and plans its replacement."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children():
                if child.pid == pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, code: int) -> None:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        log = logger.info if self._signals else logger.error
        log("%s (pid %d) %s", child.role.name, child.pid, how)
        now_s = time.monotonic()
        child.failures = child.failures + 1 if now_s - child.started_s < STARTED_S else 0
        child.start_at_s = now_s + RESTART_S[min(child.failures, len(RESTART_S) - 1)]
        child.pid = 0
        child.restarts += 1

    def _restart_due(self) -> float | None:
        """Starts whoever is due; seconds until the next one is, or None."""
        waits = []
        for child in self._children():
            if child.pid == 0:
                wait_s = child.start_at_s - time.monotonic()
                if wait_s <= 0:
                    self._start(child)
                else:
                    waits.append(wait_s)
        return min(waits, default=None)

    def _await_ready(self, stage: Sequence[Child], wakeup: int) -> bool:
        """True when all of a stage serve; False when a signal came first, or one of them ended instead."""
        while not all(child.ready for child in stage):
            if self._signals or any(child.pid == 0 for child in stage):
                return False
            self._wait(wakeup, None)
        return True

    def _wait(self, wakeup: int, seconds: float | None) -> None:
        """Sleeps until a signal, a child's word, or `seconds`."""
        pipes = [child.ready_fd for child in self._children() if child.ready_fd >= 0]
        readable, _, _ = select.select([wakeup, *pipes], [], [], seconds)
        if wakeup in readable:
            os.read(wakeup, 4096)
        for child in self._children():
            if child.ready_fd in readable:
                child.ready = os.read(child.ready_fd, 1) == b"1" or child.ready
                os.close(child.ready_fd)
                child.ready_fd = -1
        self._reap()

    def _end(self, wakeup: int) -> int:
        """Ends the stages, the last first. Returns the exit status."""
        asked = bool(self._signals)
        self._on_stop()
        for stage in reversed(self._stages):
            for child in stage:
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
            deadline_s = time.monotonic() + self._drain_s
            while any(child.pid for child in stage):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or len(self._signals) > 1:
                    for child in stage:
                        if child.pid:
                            logger.error("%s (pid %d) did not end in time; killed", child.role.name, child.pid)
                            os.kill(child.pid, signal.SIGKILL)
                    deadline_s = float("inf")
                self._wait(wakeup, min(max(left_s, 0.05), 1.0))
        return 0 if asked else 1

    @contextlib.contextmanager
    def _wakeup(self) -> Iterator[int]:
        """Signals as bytes on a pipe, so that `select` sees them."""
        reading, writing = os.pipe()
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


def _live(role: Role, ready_fd: int, supervisor: int) -> None:
    """The child's side of the fork: never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C reaches the whole foreground group: the supervisor ends its children in order instead.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _die_with(supervisor)

        def ready() -> None:
            os.write(ready_fd, b"1")
            os.close(ready_fd)

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
