"""Peers, side by side: what people would use instead, on the same work, in one run.

A peer is a folder with a `peer.py` in it, found by its presence; adding one is adding a folder. It says:

    NAME          what tables call it
    LANGUAGES     in which of works.LANGUAGES it runs the works
    KIND          "http": it is a server, loaded by the same client; "call": a function in this process, called in a row
    DIFFERS       in what it does otherwise: "instance" (fresh, reused), "isolation", "metering", "note"
    FRESH         whether every request has an instance of its own
    install(cache) -> str
                  installs it below `cache` unless it is there; its version. Raises Unavailable
    serving(work, language, cache, workers)
                  of "http": a context manager of (URL, method) for as long as it serves the work
    calling(work, language, cache)
                  of "call": a context manager of a function, body → answer

Laws:
- Every answer is compared with the expected one before anything is measured; a peer that answers otherwise is said to.
- A peer that cannot be installed or started is in the table with its reason, never left out.
- All that is compared runs in one go, in interleaved rounds; a table has one language, so that the work is the same.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx

from ..errors import HostError, IsoletError, WorkerLost
from . import load
from .figures import Distribution, Rounds
from .works import Work

OURS: Final = "isolet"
# What the directory is as a package, so that peers may share files.
_PACKAGE: Final = "isolet_peers"
_START_S: Final = 30.0
_CALLS_MIN: Final = 5


class Unavailable(HostError):
    """A peer that cannot be had here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A folder's words."""

    folder: str
    module: ModuleType

    @property
    def name(self) -> str:
        return str(self.module.NAME)

    @property
    def kind(self) -> str:
        return str(self.module.KIND)

    @property
    def languages(self) -> Sequence[str]:
        return tuple(self.module.LANGUAGES)

    @property
    def differs(self) -> dict[str, str]:
        return dict(self.module.DIFFERS)

    @property
    def fresh(self) -> bool:
        return bool(self.module.FRESH)


def find(directory: Path) -> list[Peer]:
    """The peers of a directory, ours first."""
    for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
        del sys.modules[name]  # another directory's
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(directory)]
    sys.modules[_PACKAGE] = package
    found = [
        Peer(path.parent.name, importlib.import_module(f"{_PACKAGE}.{path.parent.name}.peer"))
        for path in sorted(directory.glob("*/peer.py"))
    ]
    return sorted(found, key=lambda peer: (not peer.folder.startswith(OURS), peer.folder))


@dataclass
class Contender:
    """One peer on one work, and what was measured of it."""

    peer: Peer
    work: Work
    language: str
    version: str = ""
    # Why it is not measured; "" if it is.
    reason: str = ""
    # By what was tried: "1 connection", "32 connections", "calls".
    times: dict[str, Rounds] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.work.name} in {self.language}"

    def as_plain(self) -> dict[str, Any]:
        return {
            "peer": self.peer.name,
            "version": self.version,
            "work": self.work.name,
            "language": self.language,
            "fresh_instance": self.peer.fresh,
            "differs": self.peer.differs,
            **({"not_measured": self.reason} if self.reason else {}),
            "measured": {
                what: rounds.as_plain() | {"rates": [round(rate, 1) for rate in self.rates[what]]}
                for what, rounds in self.times.items()
            },
        }


@dataclass(frozen=True)
class Settings:
    rounds: int = 5
    seconds: float = 2.0
    connections: Sequence[int] = (1, 32)
    workers: int = 2


def compare(
    peers: Sequence[Peer],
    work: Work,
    language: str,
    cache: Path,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Contender]:
    """All `peers` that speak `language` on `work`, in one run."""
    entries = [(peer, work, language) for peer in peers if language in peer.languages]
    return contest(entries, cache, settings, progress)


def contest(
    entries: Sequence[tuple[Peer, Work, str]],
    cache: Path,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Contender]:
    """Peers on works in languages, in one run, their rounds interleaved."""
    contenders = [Contender(*entry) for entry in entries]
    with contextlib.ExitStack() as stack:
        ready: list[tuple[Contender, dict[str, Callable[[], load.Result]]]] = []
        for contender in contenders:
            progress(f"{contender.title}: {contender.peer.name} starts")
            try:
                contender.version = contender.peer.module.install(cache)
                ready.append((contender, _measures(contender, cache, settings, stack)))
            except IsoletError as error:
                contender.reason = error.message
            except Exception as error:  # a peer's own code, on whatever machine this is
                contender.reason = f"{type(error).__name__}: {error}"
        for number in range(settings.rounds):
            for contender, measures in ready:
                if contender.reason:
                    continue
                for what, measure in measures.items():
                    progress(
                        f"{contender.title}: round {number + 1} of {settings.rounds}, {contender.peer.name}, {what}"
                    )
                    _note(contender, what, measure)
    return contenders


def _note(contender: Contender, what: str, measure: Callable[[], load.Result]) -> None:
    try:
        result = measure()
    except IsoletError as error:
        contender.reason = error.message
        return
    if result.failed or not result.times.count:
        why = ", ".join(f"{count:,} × {reason}" for reason, count in result.failures.items())
        contender.reason = f"it failed under load: {why or 'no answer'}"
        return
    contender.times.setdefault(what, Rounds()).add(result.times)
    contender.rates.setdefault(what, []).append(result.rate)


def _measures(
    contender: Contender, cache: Path, settings: Settings, stack: contextlib.ExitStack
) -> dict[str, Callable[[], load.Result]]:
    """What is run in every round, by its name. Raises IsoletError if the peer does not answer as it should."""
    peer, work, language = contender.peer, contender.work, contender.language
    body, expected = work.body(language), work.expected(language)
    if peer.kind == "call":
        calling: AbstractContextManager[Callable[[str], str]] = peer.module.calling(work, language, cache)
        call = stack.enter_context(calling)
        _require(call(body), expected)
        return {"calls": lambda: _calls(call, body, settings.seconds)}
    serving: AbstractContextManager[str] = peer.module.serving(work, language, cache, settings.workers)
    url = stack.enter_context(serving)
    job = load.Job(url=url, method="POST", body=body, seconds=settings.seconds)
    if body:
        job = load.replace(job, headers=[("content-type", "text/plain")])
    _require(_first(job), expected)
    plural = {count: f"{count} connection{'s' if count > 1 else ''}" for count in settings.connections}
    return {
        plural[count]: lambda count=count: load.run(load.replace(job, connections=count))  # type: ignore[misc]
        for count in settings.connections
    }


def _require(found: str, expected: str) -> None:
    if found != expected:
        raise Unavailable(f"it answers {found[:60]!r}, not {expected[:60]!r}")


def _first(job: load.Job) -> str:
    """The first answer, as soon as the server gives one."""
    deadline_s = time.monotonic() + _START_S
    while True:
        try:
            answer = httpx.request(job.method, job.url, content=job.body, headers=job.headers, timeout=_START_S)
        except httpx.TransportError as error:
            if time.monotonic() > deadline_s:
                raise WorkerLost(f"it does not answer at {job.url}: {error}") from None
            time.sleep(0.02)
            continue
        if answer.status_code != job.expected:
            raise Unavailable(f"it answers with status {answer.status_code}: {answer.text[:80]!r}")
        return answer.text


def _calls(call: Callable[[str], str], body: str, seconds: float) -> load.Result:
    """Calls in a row for so long."""
    times_ns: list[int] = []
    began_ns = time.perf_counter_ns()
    until_ns = began_ns + int(seconds * 1e9)
    while (before_ns := time.perf_counter_ns()) < until_ns or len(times_ns) < _CALLS_MIN:
        call(body)
        times_ns.append(time.perf_counter_ns() - before_ns)
    times = Distribution()
    times.record_all_ns(times_ns)
    return load.Result(times, (time.perf_counter_ns() - began_ns) / 1e9, 0, 0)


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_until_ended(url: str, process: Any) -> AbstractContextManager[str]:
    """For peers: `url` while the block lasts, `process` ended after it."""

    @contextlib.contextmanager
    def lasting() -> Iterator[str]:
        try:
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except Exception:
                process.kill()
                process.wait()

    return lasting()
