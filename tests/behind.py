"""Acts tried by a process of its own: behind the wall, or as a user without rights."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isolet.sandbox import audit, wall
from isolet.sandbox.opener import Opener
from isolet.sandbox.wall import Means

NOBODY = 65_534
PATIENCE_S = 60
# What this kernel has; nothing is skipped for what it lacks but what says so.
MEANS = audit.survey()


def unprivileged(job: Callable[[], Any]) -> Any:
    """What `job` answers as a user that may nothing in particular; as ourselves if we are none that may more."""

    def as_nobody() -> Any:
        if os.geteuid() == 0:
            os.chdir("/")
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return job()

    return apart(as_nobody)


def apart(job: Callable[[], Any]) -> Any:
    """What `job` answers, as JSON, in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as answer:
                json.dump(job(), answer)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the job failed; its trace is above"
    return json.loads(said)


class Walled:
    """A process behind the wall that runs `job` and says its answer; its calls are answered when we say so."""

    def __init__(self, opener: Opener, job: Callable[[], Any], means: Means = MEANS) -> None:
        self.opener = opener
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reading)
            _live(opener, job, means, writing)
        os.close(writing)
        opener.attend()

    def next(self, descriptors: list[int]) -> list[tuple[int, int]]:
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        found = poll.poll(1000 * PATIENCE_S)
        assert found, "it neither asked nor answered"
        return found

    def until_asked(self) -> int:
        """Takes its listener; returns that once a call waits there."""
        while True:
            (descriptor,) = self.opener.descriptors()
            ((found, events),) = self.next([descriptor])
            if self.opener.listens_on(found):
                return found
            self.opener.serve(found, events)

    def serve_until(self, readable: int) -> None:
        """Its calls are answered until there is something to read there."""
        while True:
            found = self.next([readable, *self.opener.descriptors()])
            if readable in dict(found):
                return
            for descriptor, events in found:
                self.opener.serve(descriptor, events)

    def answer(self) -> Any:
        """What the job answers; its calls are served until then. None if it ends without a word."""
        self.serve_until(self._reading)
        said = b"".join(iter(lambda: os.read(self._reading, 65_536), b""))
        return json.loads(said) if said else None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def close(self) -> None:
        self.kill()
        self.opener.leave()
        os.close(self._reading)


@contextlib.contextmanager
def walled(opener: Opener, job: Callable[[], Any], means: Means = MEANS) -> Iterator[Walled]:
    one = Walled(opener, job, means)
    try:
        yield one
    finally:
        one.close()


def answered(opener: Opener, job: Callable[[], Any], means: Means = MEANS) -> Any:
    """What `job` answers behind the wall."""
    with walled(opener, job, means) as one:
        return one.answer()


def _live(opener: Opener, job: Callable[[], Any], means: Means, writing: int) -> None:
    status = 1
    try:
        wall.enter(means, opener.channel)
        said = json.dumps(job()).encode()
        while said:
            said = said[os.write(writing, said) :]
        status = 0
    finally:
        os._exit(status)


def refusal(act: Callable[..., object], *arguments: object) -> str | None:
    """The name of the error that it met."""
    try:
        act(*arguments)
    except OSError as error:
        return audit.error_name(error)
    return None


def status_of(pid: int) -> dict[str, str]:
    """/proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
