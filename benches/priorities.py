"""Who goes before whom on a machine that is too small for all: so that a bench measures the server.

Where the kernel gives each session its share of the processors (autogroup, sched(7)), nice values weigh within a
session only: another session's compiler has as much as all of the bench. Nothing of this is needed to run a bench, and
what may not be done (we are not root, it is not Linux) is left out.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

# As a nice value, of the whole session: thirty times the weight of others.
_SESSION_NICE = -15
_AUTOGROUP = Path("/proc/self/autogroup")


def before_others() -> None:
    """This session, which is this process and all that it starts, goes before others until this process ends."""
    with contextlib.suppress(OSError, IndexError):
        before = _AUTOGROUP.read_text().split()[-1]
        _AUTOGROUP.write_text(str(_SESSION_NICE))
        atexit.register(_AUTOGROUP.write_text, before)


def last(command: Sequence[str]) -> list[str]:
    """`command`, run in time that nobody else wants."""
    return ["chrt", "--idle", "0", *command] if shutil.which("chrt") else ["nice", "-n", "19", *command]


def loops(port: int) -> list[int]:
    """The workers of the server at this port: those of its processes that reserve memory for isolates."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            serves = f"--port\0{port}\0".encode() in (process / "cmdline").read_bytes()
            if serves and int((process / "statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE") > 1 << 40:
                found.append(int(process.name))
    return found


def waited_ms(pids: Iterable[int]) -> float:
    """How long the main threads of these processes were ready to run so far, and did not."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e6
    return total
