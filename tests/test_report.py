"""Lambda's log lines."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.house import target
from isolet import report
from isolet.errors import Overloaded, Raised, TimedOut
from isolet.model import Invocation, Outcome, Usage

ID = "01234567-89ab-4def-8123-456789abcdef"
MIB = 1 << 20


def usage(duration_ns: int, restore_ns: int = 0, memory_bytes: int = MIB) -> Usage:
    return Usage(duration_ns, 0, restore_ns, 0, memory_bytes, 1, 0)


def test_lines_have_lambdas_form() -> None:
    invocation = Invocation(target("f"), ID, b"\x80", 0)
    logs = ((2, 0, b"hello"), (4, 0, b"world"))
    outcome = Outcome(None, None, usage(12_345_678, 20_000, 3 * MIB + 1), logs, 0)
    assert report.lines(invocation, outcome) == [
        f"START RequestId: {ID} Version: $LATEST".encode(),
        b"hello",
        b"world",
        f"END RequestId: {ID}".encode(),
        f"REPORT RequestId: {ID}\tDuration: 12.33 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 4 MB\tRestore Duration: 0.02 ms\tBilled Restore Duration: 0 ms\t".encode(),
    ]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (TimedOut("late"), "Status: timeout\t"),
        (Raised("ValueError", "x"), "Status: error\tError Type: ValueError\t"),
        (Overloaded("x"), "Status: error\tError Type: ServiceUnavailableException\t"),
    ],
)
def test_report_of_a_failure_says_which(error: Exception, end: str) -> None:
    assert report.report_line(ID, usage(1), MIB, error).endswith("Billed Restore Duration: 0 ms\t" + end)


def test_dropped_lines_are_counted() -> None:
    outcome = Outcome(None, None, usage(1), (), 12)
    assert b"12 log lines dropped: an invocation may write 256 KiB, and an account so much a second" in report.lines(
        Invocation(target("f"), ID, b"", 0), outcome
    )


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from([1, 100]))
def test_billed_is_both_together_rounded_up_once(run_ns: int, restore_ns: int, step_ms: int) -> None:
    line = report.report_line(ID, usage(run_ns + restore_ns, restore_ns), MIB, step_ms=step_ms)
    numbers = {key: float(value.split()[0]) for key, _, value in (f.partition(": ") for f in line.split("\t")[1:-1])}
    billed = numbers["Billed Duration"]
    assert billed % step_ms == 0
    assert 0 <= billed * 1_000_000 - (run_ns + restore_ns) < step_ms * 1_000_000
    run_steps = -(-run_ns // (step_ms * 1_000_000)) * step_ms
    assert run_steps + numbers["Billed Restore Duration"] == billed
    assert numbers["Billed Restore Duration"] >= 0


def test_tail_is_the_end() -> None:
    tail = b64decode(report.tail([b"x" * 5000, b"end"]))
    assert len(tail) == 4096
    assert tail.endswith(b"x\nend\n")
    assert b64decode(report.tail([b"a", b"b"])) == b"a\nb\n"
