"""Pages that invocations write, populated ahead."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine import workingset
from isolet.engine.workingset import WorkingSet
from plane import Plane

PAGE = mmap.PAGESIZE
HEAD = limits.MEMORY_KEEP_RESIDENT_BYTES


@pytest.fixture
def memory(tmp_path: Path) -> mmap.mmap:
    """A copy-on-write view of a file, as an isolate's memory is of its image."""
    file = tmp_path / "image"
    file.write_bytes(b"\1" * (HEAD + 16 * PAGE))
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return mmap.mmap(descriptor, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptor)


def address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_what_was_written_is_found_and_what_was_read_is_not(memory: mmap.mmap) -> None:
    assert memory[HEAD + 3 * PAGE] == 1
    for page in (1, 5, 6, 15):
        memory[HEAD + page * PAGE + 7] = 2
    memory[0] = 2  # never unmapped in a slot
    runs = workingset.written(address(memory), len(memory))
    assert runs == tuple((HEAD + start * PAGE, length * PAGE) for start, length in ((1, 1), (5, 2), (15, 1)))


def test_populating_changes_no_byte(memory: mmap.mmap) -> None:
    runs = ((HEAD, 2 * PAGE), (HEAD + 8 * PAGE, PAGE))
    assert WorkingSet(runs).populate(address(memory))
    assert memory[:] == b"\1" * len(memory)
    assert workingset.written(address(memory), len(memory)) == runs


@pytest.mark.parametrize("number", [workingset._PROCESS_MADVISE, 100_000], ids=["in one call", "an older kernel"])
def test_every_run_is_populated(monkeypatch: pytest.MonkeyPatch, memory: mmap.mmap, number: int) -> None:
    monkeypatch.setattr(workingset, "_PROCESS_MADVISE", number)
    runs = tuple((HEAD + page * PAGE, PAGE) for page in range(0, 16, 3))
    pages = WorkingSet(runs)
    assert pages.populate(address(memory))
    assert workingset.written(address(memory), len(memory)) == runs
    assert pages.populate(address(memory)), "again, with what was kept of the first time"


def test_one_set_serves_any_number_of_memories(monkeypatch: pytest.MonkeyPatch, memory: mmap.mmap) -> None:
    monkeypatch.setattr(workingset, "_BASES_MAX", 2)
    pages = WorkingSet(((HEAD, PAGE),))
    for page in range(5):
        assert pages.populate(address(memory) + page * PAGE)
    written = workingset.written(address(memory), len(memory))
    assert written == ((HEAD, 5 * PAGE),)


def test_what_is_no_memory_is_refused_not_fatal() -> None:
    assert not WorkingSet(((0, PAGE),)).populate(PAGE)


def test_what_a_guest_can_have_populated_is_bounded(monkeypatch: pytest.MonkeyPatch, memory: mmap.mmap) -> None:
    for page in range(0, 16, 2):
        memory[HEAD + page * PAGE] = 2
    monkeypatch.setattr(workingset, "RUNS_MAX", 3)
    assert len(workingset.written(address(memory), len(memory))) == 3
    monkeypatch.setattr(workingset, "PAGES_MAX", 2)
    assert sum(length for _, length in workingset.written(address(memory), len(memory))) == 2 * PAGE


@pytest.mark.anyio
async def test_later_isolates_are_populated_and_answer_the_same(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("writes_far")
    first = await plane.invoke(target)
    loaded = plane.cache.peek(target.snapshot.digest)
    assert loaded is not None
    assert loaded.template.written is not None
    assert loaded.template.written.runs == ((300_000 // PAGE * PAGE, PAGE),)
    assert first.value == 7
    for _ in range(3):
        assert (await plane.invoke(target)).value == first.value
