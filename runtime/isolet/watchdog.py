"""When a worker is beyond help, and when it has served long enough. Samples in, a verdict out; who kills is the
supervisor.

Laws:
- SPINNING: the thread of the loop has used LOOP_CPU_S of a processor since the loop turned last. Processor time, not
  the clock's: a worker that gets no processor, on a machine that is overcommitted or was asleep, uses none.
- STUCK: the loop has not turned for LOOP_WAIT_S, in which its thread waited for something (or was stopped) whenever it
  was looked at. One that could run and was not let is not counted, and a look that comes late counts as one in time:
  who looks was asleep itself, and so were all it looks at.
- MEMORY: resident pages are over the bound. The pool, images and bodies have bounds of their own; this one is for what
  they do not see.
- Only a worker that serves is judged by its loop: not one that starts, nor one whose door is closed.

Resident pages and processor time are read from /proc; where there is none, nobody is judged by them.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

from . import limits
from .vitals import Column, Ending

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What workers are held to. 0: not at all."""

    memory_bytes: int = 0
    requests_max: int = 0
    age_s_max: float = 0.0
    loop_cpu_s: float = limits.LOOP_CPU_S
    loop_wait_s: float = limits.LOOP_WAIT_S

    def jittered(self, chance: random.Random) -> Bounds:
        """The same for one process: its share of requests and its age up to a fifth smaller, so that workers which
        started together do not leave together."""
        share = 1 - chance.random() / 5
        requests_max = max(1, int(self.requests_max * share)) if self.requests_max else 0
        return replace(self, requests_max=requests_max, age_s_max=self.age_s_max * share)


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment."""

    turned_ns: int = 0
    served: int = 0
    # Of the thread of the loop, and whether it wants a processor; of the process.
    cpu_s: float = 0.0
    runnable: bool = True
    memory_bytes: int = 0


def sample(pid: int, column: Column) -> Sample:
    """A process now. One that has just ended has a sample like any other that cannot be read: harmless."""
    try:
        of_loop = Path(f"/proc/{pid}/task/{pid}/stat").read_bytes()
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except OSError:
        return Sample(column.turned_ns, column.served)
    # The name in parentheses may hold anything; the state is field 3, user and system time 14 and 15 (proc(5)).
    fields = of_loop.rpartition(b")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return Sample(column.turned_ns, column.served, cpu_s, fields[0] == b"R", pages * _PAGE_BYTES)


class Watch:
    """What was seen of one process. `look` at it every LOOK_S or so."""

    def __init__(self, bounds: Bounds, now_s: float) -> None:
        self.bounds = bounds
        self._started_s = now_s
        self._looked_s = now_s
        # The first sample since the loop turned last, and how long it has waited since then.
        self._since = Sample()
        self._waited_s = 0.0

    def look(self, seen: Sample, now_s: float) -> tuple[Ending, str] | None:
        """Why the process is to be killed, and in words; None: it is well."""
        bounds = self.bounds
        passed_s = min(now_s - self._looked_s, 2 * limits.LOOK_S)
        self._looked_s = now_s
        if seen.turned_ns != self._since.turned_ns or not seen.turned_ns:
            self._since, self._waited_s = seen, 0.0
        elif not seen.runnable:
            self._waited_s += passed_s
        if bounds.memory_bytes and seen.memory_bytes > bounds.memory_bytes:
            mib = limits.MIB
            return Ending.MEMORY, (
                f"it holds {seen.memory_bytes // mib:,} MiB, and may hold {bounds.memory_bytes // mib:,}; "
                "raise `worker.memory_bytes` or lower `isolates`"
            )
        spun_s = seen.cpu_s - self._since.cpu_s
        if spun_s >= bounds.loop_cpu_s:
            return Ending.SPINNING, f"its loop has used {spun_s:.1f} s of a processor without turning"
        if self._waited_s >= bounds.loop_wait_s:
            return Ending.STUCK, f"its loop has waited {self._waited_s:.1f} s without turning"
        return None

    def is_due(self, seen: Sample, now_s: float) -> str:
        """Why the process is to be recycled, in words; "": it is not."""
        bounds = self.bounds
        if bounds.requests_max and seen.served >= bounds.requests_max:
            return f"it has served {seen.served:,} requests"
        if bounds.age_s_max and now_s - self._started_s >= bounds.age_s_max:
            return f"it has served for {now_s - self._started_s:,.0f} s"
        return ""


def memory_bytes_default(image_bytes: int, isolates: int, workers: int, machine_bytes: int) -> int:
    """The bound of a worker's resident pages that nobody configured.

    What its own limits allow, as far as the machine has it: all workers together leave a quarter of it to the keeper,
    builders and the page cache. Never so little that a worker could not begin.
    """
    allowed = (
        limits.WORKER_BASE_BYTES
        + image_bytes
        + 2 * limits.BODIES_BYTES_MAX  # as received, and as packed
        + limits.UNSENT_BYTES_MAX
        + isolates * limits.MEMORY_MB_DEFAULT * limits.MIB
    )
    share = machine_bytes * 3 // 4 // workers
    return max(limits.WORKER_BASE_BYTES, min(allowed, share))


def machine_bytes() -> int:
    """Memory that this process and its children may use: the machine's, or its control group's if that is less."""
    found = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found = min(found, int(Path(path).read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return found
