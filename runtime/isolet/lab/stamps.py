"""Where an invocation is, by the clock: wrappers around the functions on its path, for as long as a measurement lasts.

Laws:
- The path that is measured is the one that serves: no product code knows of this. Nothing is wrapped outside
  `installed`.
- A stamp is (mark, reading). What reads is a parameter: nanoseconds, or page faults of this thread, never both at once,
  since the second costs more than some phases take.
- A wrapper costs a fraction of a microsecond, which is in the phase that it ends; `cost_ns` measures it, nothing is
  subtracted.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from .. import abi
from ..engine.isolate import Isolate
from ..errors import ConfigInvalid
from ..front.protocol import Connection
from ..invoker import Attempt, Invoker, Prepared
from ..model import Invocation
from ..recorder import Recorder

Reading = Callable[[], int]
_THREAD: Final = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


def clock() -> int:
    """Nanoseconds."""
    return time.perf_counter_ns()


def faults() -> int:
    """Minor page faults of this thread so far."""
    return resource.getrusage(_THREAD).ru_minflt


# Marks, in the order in which an invocation over HTTP passes them.
RECEIVED = "received"
SUBMITTED = "submitted"
ADMITTED = "admitted"
PACKED = "packed"
BEGUN = "begun"
STORED = "stored"
BORN = "born"
CALLED = "called"
RETURNED = "returned"
UNPACKED = "unpacked"
ANSWERED = "answered"
FREED = "freed"
RECORDED = "recorded"
MARKS: Final = (
    RECEIVED,
    SUBMITTED,
    ADMITTED,
    PACKED,
    BEGUN,
    STORED,
    BORN,
    CALLED,
    RETURNED,
    UNPACKED,
    ANSWERED,
    FREED,
    RECORDED,
)


class Stamps:
    """What was stamped since the last invocation was recorded, and those that are complete."""

    def __init__(self, read: Reading) -> None:
        self._read = read
        self._now: dict[str, int] = {}
        self.complete: list[dict[str, int]] = []
        # What was invoked last, of what, and its envelope: what phases.py calls again.
        self.prepared: Prepared | None = None
        self.invocation: Invocation | None = None
        self.envelope = b""

    def mark(self, name: str) -> None:
        self._now[name] = self._read()

    def start(self) -> None:
        """A request came in."""
        self._now = {RECEIVED: self._read()}

    def finish(self) -> None:
        self.mark(RECORDED)
        if len(self._now) == len(MARKS):
            self.complete.append(self._now)
        self._now = {}


def cost_ns(read: Reading = clock) -> float:
    """What one wrapper adds: measured now."""

    def nothing() -> None:
        pass

    stamps = Stamps(read)
    wrapped = _after(stamps, "x", nothing)
    took = []
    for call in (nothing, wrapped):
        began = time.perf_counter_ns()
        for _ in range(20_000):
            call()
        took.append((time.perf_counter_ns() - began) / 20_000)
    return max(0.0, took[1] - took[0])


def _before(stamps: Stamps, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        stamps.mark(name)
        return function(*args, **kwargs)

    return call


def _after(stamps: Stamps, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        stamps.mark(name)
        return answer

    return call


def require_sources() -> None:
    """Raises ConfigInvalid if nothing could be stamped here."""
    if not abi.__file__.endswith(".py"):
        raise ConfigInvalid(
            "the path of an invocation is compiled here, and takes no stamps; run this with ISOLET_PURE=1 in the "
            "environment, which measures the Python sources"
        )


@contextlib.contextmanager
def installed(stamps: Stamps) -> Iterator[None]:
    """While the block lasts, invocations are stamped. For one invocation at a time, on connections made meanwhile.

    Raises ConfigInvalid where the path is compiled (setup.py): its functions are nobody's to replace.
    """
    require_sources()
    received, submitted = Connection.data_received, Invoker.submit
    packed, started = abi.pack_envelope, Attempt.start

    def data_received(self: Connection, data: bytes) -> None:
        stamps.start()
        received(self, data)

    def submit(self: Invoker, invocation: Any, done: Callable[[Any], None]) -> Attempt:
        stamps.mark(SUBMITTED)
        if invocation.unpack is not None:
            invocation = invocation._replace(unpack=_after(stamps, UNPACKED, invocation.unpack))
        return submitted(self, invocation, _after(stamps, ANSWERED, done))

    def start(self: Attempt, loaded: Any) -> None:
        stamps.mark(ADMITTED)
        stamps.prepared, stamps.invocation = self._prepared, self.invocation
        started(self, loaded)

    def pack_envelope(*args: Any) -> bytes:
        stamps.envelope = envelope = packed(*args)
        stamps.mark(PACKED)
        return envelope

    begin, close = Isolate._begin, Isolate.close

    def _begin(self: Isolate) -> int:
        stamps.mark(BEGUN)
        future = begin(self)
        stamps.mark(STORED)
        return future

    def record(self: Recorder, *args: Any) -> None:
        recorded(self, *args)
        stamps.finish()

    recorded = Recorder.record
    changes: list[tuple[Any, str, Any]] = [
        (Connection, "data_received", data_received),
        (Invoker, "submit", submit),
        (Attempt, "start", start),
        (abi, "pack_envelope", pack_envelope),
        (Isolate, "_begin", _begin),
        (Isolate, "_born", _after(stamps, BORN, Isolate._born)),
        (Isolate, "_begin_handle", _before(stamps, CALLED, Isolate._begin_handle)),
        (Isolate, "_outcome", _before(stamps, RETURNED, Isolate._outcome)),
        (abi, "unpack_outcome", _after(stamps, UNPACKED, abi.unpack_outcome)),
        (Isolate, "close", _after(stamps, FREED, close)),
        (Recorder, "record", record),
    ]
    with contextlib.ExitStack() as undo:
        for owner, name, replacement in changes:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, replacement)
        yield
