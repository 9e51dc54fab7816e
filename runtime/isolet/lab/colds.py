"""The four colds, each forced on purpose.

    isolate-cold   every request is: a fresh isolate from a loaded snapshot. The normal case
    load-cold      the first request of a function in a worker's process: the artifact is verified and loaded. Its pages
    are in the
                   page cache, the process has answered others
    disk-cold      the same, and the artifact's pages were dropped from the page cache before
    build-cold     the same, and there is no artifact: the first request has it built

Between two of them the workers are killed, so that a process is new; the request that is timed goes out when the new
one has answered another (of a function that does not exist), so that its own start is not in the figure. What a request
takes is its client's time.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import WorkerLost
from . import load
from .figures import Distribution
from .house import Server

ISOLATE, LOAD, DISK, BUILD = "isolate-cold", "load-cold", "disk-cold", "build-cold"
COLDS: Final = (ISOLATE, LOAD, DISK, BUILD)
MEANING: Final = {
    ISOLATE: "a fresh isolate from a loaded snapshot, as every request has it",
    LOAD: "first request in a process: the artifact is verified and loaded, from the page cache",
    DISK: "the same, its pages dropped from the page cache before",
    BUILD: "the same, and no artifact is there: it is built first",
}
_READY_S: Final = 60.0


@dataclass
class Colds:
    times: dict[str, Distribution] = field(default_factory=lambda: {name: Distribution() for name in COLDS})
    # The part of the artifact's pages that the kernel kept although it was asked to drop them, at most.
    kept: float = 0.0

    def as_plain(self) -> dict[str, Any]:
        return {
            "meaning": MEANING,
            "times_us": {name: times.as_plain() for name, times in self.times.items()},
            "pages_kept": round(self.kept, 4),
        }


def measure(
    server: Server, job: load.Job, repeats: int, builds: int, progress: Callable[[str], None] = lambda _: None
) -> Colds:
    """`repeats` of each, `builds` of the last. The server has one worker and the function."""
    found = Colds()
    _timed(server, job)  # whatever the very first request of a server waits for
    for number in range(repeats):
        progress(f"colds: {number + 1} of {repeats}")
        for _ in range(10):
            found.times[ISOLATE].record_ns(_timed(server, job))
        _new_process(server)
        found.times[LOAD].record_ns(_timed(server, job))
        _new_process(server)
        found.kept = max(found.kept, server.drop_from_page_cache())
        found.times[DISK].record_ns(_timed(server, job))
    for number in range(builds):
        progress(f"colds: build {number + 1} of {builds}")
        _new_process(server)
        server.forget_artifacts()
        found.times[BUILD].record_ns(_timed(server, job))
    return found


def _new_process(server: Server) -> None:
    """Kills the workers; returns when the new one answers."""
    server.kill_workers()
    parts = urlsplit(server.url)
    deadline_s = time.monotonic() + _READY_S
    while True:
        try:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
            connection.request("GET", "/fn/isolet-bench-nobody/")
            connection.getresponse().read()
            connection.close()
            return
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline_s:
                raise WorkerLost("the measured server does not answer any more") from None
            time.sleep(0.005)


def _timed(server: Server, job: load.Job) -> int:
    """Nanoseconds of one request on a connection that is open. Raises WorkerLost if it is not answered as expected."""
    parts, target = urlsplit(server.url), urlsplit(job.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    connection.connect()
    try:
        began_ns = time.perf_counter_ns()
        connection.request(
            job.method, target.path + (f"?{target.query}" if target.query else ""), job.body or None, dict(job.headers)
        )
        answer = connection.getresponse()
        answer.read()
        took_ns = time.perf_counter_ns() - began_ns
    except (OSError, http.client.HTTPException) as error:
        raise WorkerLost(f"a request was not answered: {error}") from None
    finally:
        connection.close()
    if answer.status != job.expected:
        raise WorkerLost(f"a request was answered with {answer.status}, not {job.expected}")
    return took_ns
