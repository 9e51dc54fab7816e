"""A server of ours to measure: `isolet serve` on data of its own, and what a measurement does to it.

Laws:
- What is measured is what people run: the same command, its processes, its wall. Its port is free, its data temporary.
- It ends with the block, whatever happens in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import WorkerLost

_START_S: Final = 60.0
_END_S: Final = 20.0


@dataclass
class Server:
    """A server that runs. `artifacts` is where its snapshots are."""

    url: str
    process: subprocess.Popen[bytes]
    data: Path

    @property
    def artifacts(self) -> Path:
        return self.data / "artifacts"

    def children(self) -> dict[str, list[int]]:
        """Process ids by what they are, "keeper" first: the supervisor starts it before its workers."""
        pids = sorted(_children(self.process.pid))
        return {"keeper": pids[:1], "workers": pids[1:]}

    def kill_workers(self) -> None:
        """They are replaced at once; returns when the replacements are processes."""
        before = set(self.children()["workers"])
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + _START_S
        while True:
            now = set(self.children()["workers"])
            if now and not now & before:
                return
            if time.monotonic() > deadline_s:
                raise WorkerLost("the workers of the measured server were not replaced")
            time.sleep(0.001)

    def resident(self) -> float:
        """The part of all artifacts' pages that is in the page cache, 0 to 1."""
        there = pages = 0
        for path in self.artifacts.glob("*.cwasm"):
            resident, total = _resident(path)
            there, pages = there + resident, pages + total
        return there / pages if pages else 0.0

    def drop_from_page_cache(self) -> float:
        """Asks the kernel to forget the artifacts' pages, which needs no right; the part that stayed, 0 to 1. Pages
        that a process has mapped stay."""
        for path in self.artifacts.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return self.resident()

    def forget_artifacts(self) -> None:
        """As if nothing had been built: the first request has it built again."""
        for path in self.artifacts.iterdir():
            path.unlink()


@contextlib.contextmanager
def serving(workers: int = 1, options: Sequence[str] = ()) -> Iterator[Server]:
    """A server until the block ends. Raises WorkerLost with its last words if it does not come up."""
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as directory, tempfile.TemporaryFile() as words:
        data = Path(directory) / "data"
        command = [sys.executable, "-P", "-m", "isolet.cli", "serve", "--port", "0", "--data", str(data)]
        process = subprocess.Popen(
            [*command, "--workers", str(workers), *options],
            stdout=subprocess.PIPE,
            stderr=words,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        )
        try:
            assert process.stdout is not None
            found = None
            while found is None and (line := process.stdout.readline()):
                found = re.search(rb"http://\S+", line)
            if found is None:
                words.seek(0)
                last = words.read().decode(errors="replace").strip().splitlines()
                raise WorkerLost(f"the server to measure did not come up: {last[-1] if last else 'it said nothing'}")
            yield Server(found[0].decode(), process, data)
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _children(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _resident(path: Path) -> tuple[int, int]:
    """(pages in the page cache, pages) of a file."""
    size = path.stat().st_size
    if size == 0:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    # mincore wants an address, and ctypes only gives that of memory which may be written: a private copy of nothing.
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as seen,
    ):
        view = ctypes.c_char.from_buffer(seen)
        answer = (ctypes.c_ubyte * pages)()
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(ctypes.addressof(view)), size, answer)
        del view
    return (0 if failed else sum(one & 1 for one in answer)), pages
