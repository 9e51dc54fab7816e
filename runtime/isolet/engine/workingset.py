"""The pages that an invocation writes, noted once per snapshot and populated at every later restore.

A fresh isolate's memory is a copy-on-write view of its image: each first write to a page is a fault, 1.3 µs for 0.5 µs
of copying. Most invocations of a function write the same pages, so that those are asked for together, before the guest
runs.

Laws:
- It changes when pages are copied, never what is in them. Without it (another kernel, no /proc) everything works as
  before.
- What a guest can make us populate is bounded: PAGES_MAX pages, in RUNS_MAX runs.
- All runs are one system call where the kernel lets a process advise itself about many (process_madvise, since Linux
  6.13); elsewhere one each.

Measured on an AMD EPYC: 66 pages in 44 runs take 230 µs in as many calls, 176 in one (a loop in C); a request for
Python's hello took 479 µs of the processor and takes 395, JavaScript's 469 and 411 (five interleaved rounds).

Measured before that (benches/bench_languages.py, medians of request to answer with and without): Python's hello 201 and
261 µs, with 30 imports 748 and 951; JavaScript's 250 and 307, 583 and 703. Of CPython's 80 written pages in 45 runs, a
trial took 164 µs with the exact runs, 179 with gaps of up to 4 pages populated too, 251 with gaps of up to 16 (207
without any): copying a page that nobody writes costs more than a call saves.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import struct
from typing import Final

from .. import limits

# Linux 5.14.
_MADV_DONTNEED: Final = 4
_MADV_POPULATE_WRITE: Final = 23
_PAGE_BYTES: Final = mmap.PAGESIZE
PAGES_MAX: Final = 1_024
RUNS_MAX: Final = 128
# Of a 64-bit entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst): present in memory; part of a file
# or shared memory, as a page of the image is until it is written.
_PRESENT: Final = 1 << 63
_SHARED: Final = 1 << 61

# The same number on all machines, as of all calls since 5.1.
_PROCESS_MADVISE: Final = 440
# Addresses of a template's isolates for which its runs are kept ready: it has few slots, which it gets again and again.
_BASES_MAX: Final = 64

Runs = tuple[tuple[int, int], ...]

# Hold the interpreter's lock: letting go of it costs as much as the call (binding.py).
_libc = ctypes.PyDLL(None)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_madvise.restype = ctypes.c_int
_syscall = _libc.syscall
_syscall.argtypes = (*(ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint),)
_syscall.restype = ctypes.c_long


def give_back(address: int, size: int) -> None:
    """Drops what was written to these pages: they are the image's again, or zero. 0.3 µs for each that was."""
    _madvise(address, size, _MADV_DONTNEED)


def prepare() -> None:
    """Opens the page table of this process and itself, for as long as it lives: a worker opens nothing once it
    serves."""
    with contextlib.suppress(OSError):
        _pagemap(os.getpid())
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        _myself(os.getpid())


@functools.lru_cache(maxsize=1)
def _myself(pid: int) -> int:
    return os.pidfd_open(pid)


@functools.lru_cache(maxsize=1)
def _pagemap(pid: int) -> int:
    return os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)


def written(base: int, size: int) -> Runs:
    """(offset, length) in bytes of what was written of `size` bytes of memory at address `base`, in order.

    Left out are the first bytes of a slot, which are never unmapped. Empty if the kernel does not tell. Some 100 µs.
    """
    first = limits.MEMORY_KEEP_RESIDENT_BYTES // _PAGE_BYTES
    count = size // _PAGE_BYTES - first
    entries = b""
    with contextlib.suppress(OSError):
        entries = os.pread(_pagemap(os.getpid()), max(0, count) * 8, (base // _PAGE_BYTES + first) * 8)
    runs: list[list[int]] = []
    pages = 0
    for page, (entry,) in enumerate(struct.iter_unpack("=Q", entries), first):
        if not entry & _PRESENT or entry & _SHARED:
            continue
        if runs and sum(runs[-1]) == page:
            runs[-1][1] += 1
        elif len(runs) == RUNS_MAX:
            break
        else:
            runs.append([page, 1])
        pages += 1
        if pages == PAGES_MAX:
            break
    return tuple((start * _PAGE_BYTES, length * _PAGE_BYTES) for start, length in runs)


class WorkingSet:
    """What isolates of one template write."""

    __slots__ = ("_bytes", "_vectors", "runs")

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._bytes = sum(length for _, length in runs)
        # By the address of an isolate's memory: `struct iovec`s of all runs.
        self._vectors: dict[int, ctypes.Array[ctypes.c_size_t]] = {}

    def populate(self, base: int) -> bool:
        """Copies these pages of the memory at `base` now. False: the kernel does not; the guest's writes will."""
        if not self.runs:
            return True
        vector = self._vectors.get(base)
        if vector is None:
            vector = self._vectors[base] = self._vector(base)
        with contextlib.suppress(OSError, AttributeError):
            advised = _syscall(_PROCESS_MADVISE, _myself(os.getpid()), vector, len(self.runs), _MADV_POPULATE_WRITE, 0)
            if advised == self._bytes:
                return True
        return all(_madvise(base + offset, length, _MADV_POPULATE_WRITE) == 0 for offset, length in self.runs)

    def _vector(self, base: int) -> ctypes.Array[ctypes.c_size_t]:
        if len(self._vectors) >= _BASES_MAX:
            self._vectors.clear()
        words = [word for offset, length in self.runs for word in (base + offset, length)]
        return (ctypes.c_size_t * len(words))(*words)
