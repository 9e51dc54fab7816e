"""The heap: large blocks stay, and what is free goes back. In processes of their own, whose bounds they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isolet import heap
from served import ENVIRONMENT

pytestmark = pytest.mark.skipif(not heap.is_glibc(), reason="malloc is not glibc's here")

FAULTS = """
import resource
from isolet import heap, limits

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"a" * limits.PAYLOAD_BYTES_MAX for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
PAGES = 4 * heap.limits.PAYLOAD_BYTES_MAX // 4096


def said(program: str) -> list[int]:
    run = subprocess.run(
        [sys.executable, "-c", FAULTS + program], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return [int(word) for word in run.stdout.split()]


def test_a_request_finds_the_pages_of_the_one_before() -> None:
    first, *others = said("assert heap.keep(); print(*(faults() for _ in range(5)))")
    assert first > PAGES * 0.9
    assert max(others) < PAGES * 0.01


def test_without_it_each_has_fresh_ones() -> None:
    """Else there were nothing to gain, and heap.py should go."""
    assert min(said("print(*(faults() for _ in range(5)))")) > PAGES * 0.5


def test_what_is_free_goes_back_when_the_tender_looks() -> None:
    before, after, again = said(
        """
import asyncio

async def main() -> None:
    assert heap.keep()
    tender = heap.Tender(0.001)
    faults()
    print(heap.free_bytes())
    while (left := heap.free_bytes()) > limits.HEAP_IDLE_BYTES:
        await asyncio.sleep(0)
    print(left)
    tender.stop()
    faults()
    looked = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, looked.set)  # behind where the next look would be
    await looked.wait()
    print(heap.free_bytes())

asyncio.run(main())
"""
    )
    assert after <= heap.limits.HEAP_IDLE_BYTES < before
    assert again > heap.limits.HEAP_IDLE_BYTES, "nobody looks any more"


def test_a_malloc_that_cannot_be_told_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        pass

    monkeypatch.setattr(heap, "_libc", Other())
    assert heap.keep() is False
