"""One invocation taken apart: what it spends where, as distributions.

    door        bytes on the socket → target found, event made           front/
    admission   counted in, snapshot found                               invoker.py
    pack        event, context and entropy as one msgpack envelope       abi.py
    turn        until the scheduler gives it its slice                   scheduler.py
    store       Store, limits, fuel                                      ┐ restore
    instance    the instance, its memory mapped copy-on-write            ┘
    write       the envelope into the guest's memory
    call        the guest's own time, first touches included
    unpack      the outcome read, checked, decoded
    answer      response bytes made and given to the transport
    free        Store deleted, slot given back
    record      usage and log lines noted

What `first touch` is: the pages that a fresh isolate writes or reads for the first time fault, and each fault is the
kernel's work. It is counted (page faults per phase, in rounds of their own) and timed (a first call of an isolate
against a second call of the same one, alternating over many isolates).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..engine.engine import Engine
from ..engine.isolate import Isolate, drive
from ..errors import IsoletError
from ..hostcalls.state import HostState
from ..server import Embedded
from . import load, stamps
from .figures import Distribution, Rounds
from .stamps import Stamps

# Phase: from this mark to that one.
PHASES: Final = {
    "door": (stamps.RECEIVED, stamps.SUBMITTED),
    "admission": (stamps.SUBMITTED, stamps.ADMITTED),
    "pack": (stamps.ADMITTED, stamps.PACKED),
    "turn": (stamps.PACKED, stamps.BEGUN),
    "store": (stamps.BEGUN, stamps.STORED),
    "instance": (stamps.STORED, stamps.BORN),
    "write": (stamps.BORN, stamps.CALLED),
    "call": (stamps.CALLED, stamps.RETURNED),
    "unpack": (stamps.RETURNED, stamps.UNPACKED),
    "answer": (stamps.UNPACKED, stamps.ANSWERED),
    "free": (stamps.ANSWERED, stamps.FREED),
    "record": (stamps.FREED, stamps.RECORDED),
}
SUMS: Final = {
    "restore": (stamps.BEGUN, stamps.BORN),
    "until answered": (stamps.RECEIVED, stamps.ANSWERED),
    "whole": (stamps.RECEIVED, stamps.RECORDED),
}
_FIRST_TOUCHES_MAX: Final = 500


@dataclass
class Phases:
    """What `measure` found. Times in µs, faults in pages per invocation."""

    times: dict[str, Rounds] = field(default_factory=lambda: {name: Rounds() for name in (*PHASES, *SUMS)})
    faults: dict[str, float] = field(default_factory=dict)
    # The first call of an isolate, the second of the same one; empty where the guest waits for the host.
    first_call: Rounds = field(default_factory=Rounds)
    second_call: Rounds = field(default_factory=Rounds)
    stamp_ns: float = 0.0

    def as_plain(self) -> dict[str, Any]:
        return {
            "times_us": {name: rounds.as_plain() for name, rounds in self.times.items()},
            "faults": {name: round(count, 2) for name, count in self.faults.items()},
            "first_call": self.first_call.as_plain(),
            "second_call": self.second_call.as_plain(),
            "stamp_ns": round(self.stamp_ns, 1),
        }


async def measure(
    server: Embedded, job: load.Job, rounds: int, requests: int, progress: Callable[[str], None] = lambda _: None
) -> Phases:
    """Sends `job` over one connection, `rounds` times `requests`. No isolate is restored ahead meanwhile: each restore
    is on the way of its request, where it can be seen."""
    found = Phases(stamp_ns=stamps.cost_ns())
    invoker = server.worker.invoker
    ahead, invoker.spares_max = invoker.spares_max, 0
    invoker.drop_spares()
    one = replace(job, connections=1, rate=0.0, requests=requests)
    try:
        for number in range(rounds):
            progress(f"phases: round {number + 1} of {rounds}")
            taken = Stamps(stamps.clock)
            with stamps.installed(taken):
                await _load(one)
                _first_touches(server, taken, found)
            for name, (since, until) in (PHASES | SUMS).items():
                times = Distribution()
                # Those of the client's warm-up came first.
                times.record_all_ns(seen[until] - seen[since] for seen in taken.complete[-requests:])
                found.times[name].add(times)
        progress("phases: page faults")
        found.faults = await _faults(one)
    finally:
        invoker.spares_max = ahead
    return found


async def _load(job: load.Job) -> load.Result:
    """The client is a process of its own; this loop serves meanwhile."""
    return await asyncio.to_thread(load.run, job)


async def _faults(job: load.Job) -> dict[str, float]:
    """Page faults of each phase, a request's mean: they are whole pages, and nearly always the same ones."""
    taken = Stamps(stamps.faults)
    with stamps.installed(taken):
        await _load(job)
    if not taken.complete:
        return {}
    return {
        name: sum(seen[until] - seen[since] for seen in taken.complete) / len(taken.complete)
        for name, (since, until) in (PHASES | SUMS).items()
    }


def _first_touches(server: Embedded, taken: Stamps, found: Phases) -> None:
    """Calls the last request's envelope twice in one isolate after the other."""
    prepared, invocation = taken.prepared, taken.invocation
    if prepared is None or invocation is None or (loaded := prepared.snapshot()) is None:
        return
    engine, target, info = server.worker.engine, prepared.target, loaded.info
    if info.buffer_ptr == 0:
        return  # nothing was frozen: each isolate initialises itself
    first, second = Distribution(), Distribution()
    for _ in range(_FIRST_TOUCHES_MAX):
        isolate = Isolate(engine, loaded.template, target.memory_bytes, target.fuel)
        try:
            drive(isolate.instantiate())
            for times in (first, second):
                state = HostState(prepared.constants)
                state.invocation = invocation
                isolate.state = state
                began_ns = time.perf_counter_ns()
                drive(isolate.handle(taken.envelope, info.buffer_ptr, info.buffer_len))
                times.record_ns(time.perf_counter_ns() - began_ns)
        except IsoletError:
            return  # it waits for the host, or takes one call only
        finally:
            isolate.close()
    found.first_call.add(first)
    found.second_call.add(second)


def lives_per_second(engine: Engine, life: Callable[[], object], seconds: float = 1.0) -> float:
    """How many whole lives one core does in a row."""
    count, began_ns = 0, time.perf_counter_ns()
    while (spent := time.perf_counter_ns() - began_ns) < seconds * 1e9:
        for _ in range(100):
            life()
        count += 100
    return count / (spent / 1e9)
