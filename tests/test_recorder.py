from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isolet
from isolet import limits
from isolet.errors import Cancelled, EngineFault, OutOfFuel, PayloadTooLarge, Raised, Throttled, WorkerLost
from isolet.model import Invocation, Outcome, SnapshotInfo, Target, Usage
from isolet.price import billed_ms
from isolet.recorder import Recorder
from isolet.records import Batch, Totals, unpack_records
from isolet.samples import BOUNDS, Samples

SNAPSHOT = SnapshotInfo("ab" * 32, True, (), 4_096, 65_536, 1 << 20, 70_000, 123_456, 0.25, 10_000)
MS = 1_000_000
NOW_S = 1_700_000_000.5


def target(name: str = "resize", memory_mb: int = 128) -> Target:
    return Target(
        "000000000000", name, "$LATEST", SNAPSHOT, "cd" * 32, 3.0, memory_mb * limits.MIB, 10**9, {}, False, ()
    )


RESIZE = target()


class Keeper:
    """Takes messages as a keeper does: each number once."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.taken = 0
        self.fails = 0
        self.messages = 0
        self.came = asyncio.Event()

    async def send(self, sequence: int, batches: list[Any]) -> None:
        self.messages += 1
        self.came.set()
        if self.fails:
            self.fails -= 1
            raise WorkerLost("no keeper")
        assert sequence in (self.taken, self.taken + 1), "numbers have no gaps"
        if sequence > self.taken:
            self.taken = sequence
            self.batches += [Batch.from_plain(batch) for batch in batches]

    def totals(self) -> Totals:
        total = Totals()
        for batch in self.batches:
            total = total.plus(batch.totals)
        return total


def run(main: Callable[[Keeper, Recorder], Awaitable[None]], step_ms: int = 1) -> None:
    async def bounded() -> None:
        keeper = Keeper()
        async with asyncio.timeout(60):
            await main(keeper, Recorder(keeper.send, step_ms))

    asyncio.run(bounded())


def usage(duration_ns: int = 2 * MS, fuel: int = 100) -> Usage:
    return Usage(duration_ns, 1_000, 20_000, fuel, 65_536, 1, 2)


def record(
    recorder: Recorder,
    number: int = 0,
    of: Target = RESIZE,
    error: Exception | None = None,
    logs: tuple[Any, ...] = (),
    ended_s: float = NOW_S,
    spent: Usage | None = None,
) -> None:
    invocation = Invocation(of, f"id-{number}", b"event", 0)
    recorder.record(invocation, Outcome({"a": 1}, error, spent or usage(), logs, 0), ended_s)


def test_what_was_recorded_arrives_as_sums_and_records() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        record(recorder, 1, logs=((2, 1_700_000_000_499, b"hello"),))
        record(recorder, 2, error=Raised("KeyError", "no\nkey"), spent=usage(3 * MS + 1))
        await recorder.flush()
        (batch,) = keeper.batches
        assert (batch.tenant, batch.name, batch.version, batch.memory_mb) == ("000000000000", "resize", "$LATEST", 128)
        assert batch.minute == int(NOW_S) // 60
        assert batch.totals == Totals(2, 1, 0, 5 * MS + 1, 6, 2_000, 200, 6 * 128)
        assert batch.errors == {"Raised": 1}
        duration, restore = batch.samples["Duration"], batch.samples["RestoreDuration"]
        assert duration[:4] == (2, 5 * MS + 1, 2 * MS, 3 * MS + 1)
        assert dict(duration.buckets) == {bisect_left(BOUNDS, 2 * MS): 1, bisect_left(BOUNDS, 3 * MS + 1): 1}
        assert (restore[:4], sum(restore.buckets.values())) == ((2, 40_000, 20_000, 20_000), 2)
        assert batch.samples["BilledDuration"] == Samples(2, 6, 2, 4)
        assert batch.samples["CpuTime"] == Samples(2, 2_000, 1_000, 1_000)
        assert batch.samples["FuelUsed"] == Samples(2, 200, 100, 100)
        first, second = unpack_records(batch.records)
        assert (first.request_id, first.ended_ms, first.started_ms) == ("id-1", 1_700_000_000_500, 1_700_000_000_498)
        assert [tuple(entry) for entry in first.entries] == [(2, 1_700_000_000_499, b"hello")]
        assert first.failure is None
        assert second.failure is not None
        assert tuple(second.failure) == ("Raised", "KeyError", "no\nkey", ())
        assert (batch.first_ms, batch.last_ms) == (second.started_ms, second.ended_ms)

    run(main)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 2), st.booleans()), max_size=700),
    st.sets(st.integers(0, 700)),
    st.sampled_from([1, 100]),
)
def test_when_it_is_flushed_does_not_change_the_sums(
    invocations: list[tuple[int, int, bool]], flushes: set[int], step_ms: int
) -> None:
    targets = [target(), target("other"), target(memory_mb=256)]
    errors = OutOfFuel("spent"), EngineFault("ours")

    async def main(keeper: Keeper, recorder: Recorder) -> None:
        expected = Totals()
        for number, (duration_ns, which, fails) in enumerate(invocations):
            error = errors[number % 2] if fails else None
            billed = 0 if isinstance(error, EngineFault) else billed_ms(duration_ns, step_ms)
            memory_mb = (128, 128, 256)[which]
            expected = expected.plus(Totals(1, int(fails), 0, duration_ns, billed, 1_000, 7, billed * memory_mb))
            record(recorder, number, targets[which], error, spent=usage(duration_ns, 7), ended_s=NOW_S + 30 * number)
            if number in flushes:
                await recorder.flush()
        await recorder.flush()
        assert keeper.totals() == expected
        ids = [of.request_id for batch in keeper.batches for of in unpack_records(batch.records)]
        assert sorted(ids) == sorted(f"id-{number}" for number in range(len(invocations)))
        for batch in keeper.batches:
            assert {of.ended_ms // 60_000 for of in unpack_records(batch.records)} == {batch.minute}

    run(main, step_ms)


def test_our_failures_and_refusals_are_not_billed() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        record(recorder, error=EngineFault("ours"))
        recorder.refuse(RESIZE, Throttled("too many", "ConcurrentInvocationLimitExceeded"), NOW_S)
        recorder.refuse(RESIZE, PayloadTooLarge("too large"), NOW_S)
        record(recorder, error=Cancelled("the client left"))
        await recorder.flush()
        (batch,) = keeper.batches
        assert batch.totals == Totals(2, 2, 1, 4 * MS, 2, 2_000, 200, 2 * 128), "only the guest's own is billed"
        assert batch.errors == {"EngineFault": 1, "Throttled": 1, "PayloadTooLarge": 1, "Cancelled": 1}

    run(main)


def test_refusals_alone_leave_by_themselves() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        recorder.refuse(RESIZE, Throttled("too many", "CallerRateLimitExceeded"), NOW_S)
        await keeper.came.wait()
        await recorder.flush()
        (batch,) = keeper.batches
        assert batch.totals == Totals(throttles=1)
        assert batch.records == b""

    run(main)


def test_records_leave_without_being_asked() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        for number in range(3 * limits.RECORDS_FOLD // 2):
            record(recorder, number)
        await keeper.came.wait()
        await recorder.flush()
        assert keeper.totals().invocations == 3 * limits.RECORDS_FOLD // 2

    run(main)


def test_message_is_sent_until_it_is_taken_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_RETRY_S_MAX", 0.001)
    monkeypatch.setattr(limits, "RECORD_FLUSH_S", 0.001)

    async def main(keeper: Keeper, recorder: Recorder) -> None:
        keeper.fails = 3
        record(recorder, 1)
        while keeper.messages < 3:
            keeper.came.clear()
            await keeper.came.wait()
            record(recorder, 2)
        await recorder.flush()
        assert keeper.messages >= 4
        assert keeper.totals().invocations == 4
        assert keeper.taken == 2, "what came meanwhile left together"

    run(main)


def test_acknowledgement_that_was_lost_does_not_count_twice() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        take = keeper.send

        async def lossy(sequence: int, batches: list[Any]) -> None:
            await take(sequence, batches)
            if keeper.messages == 1:
                raise WorkerLost("it died before it could say so")

        recorder._send = lossy
        record(recorder)
        with pytest.raises(WorkerLost):
            await recorder.flush()
        record(recorder)
        await recorder.flush()
        assert keeper.totals().invocations == 2
        assert keeper.messages == 3

    run(main)


def test_flushes_at_once_send_everything_once() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        take = keeper.send

        async def slow(sequence: int, batches: list[Any]) -> None:
            await asyncio.sleep(0)
            await take(sequence, batches)

        recorder._send = slow
        for number in range(50):
            record(recorder, number)
            if number % 10 == 0:
                await asyncio.gather(*(recorder.flush() for _ in range(3)))
        await asyncio.gather(*(recorder.flush() for _ in range(3)))
        assert keeper.totals().invocations == 50
        assert keeper.messages == keeper.taken

    run(main)


def test_without_a_keeper_lines_are_dropped_and_usage_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECORDS_PENDING_MAX", 300)

    async def main(keeper: Keeper, recorder: Recorder) -> None:
        for number in range(1_000):
            record(recorder, number)
        await recorder.flush()
        (batch,) = keeper.batches
        assert batch.totals.invocations == 1_000
        assert [of.request_id for of in unpack_records(batch.records)] == [f"id-{number}" for number in range(300)]
        assert batch.records_dropped == recorder.dropped == 700
        record(recorder, 1_001)
        await recorder.flush()
        assert keeper.batches[-1].records_dropped == 0

    run(main)


def test_flood_of_lines_drops_the_floods_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECORDS_FUNCTION_BYTES_MAX", 100_000)

    async def main(keeper: Keeper, recorder: Recorder) -> None:
        flood, quiet = target("flood"), target("quiet")
        for number in range(600):
            record(recorder, number, flood, logs=((2, 0, b"x" * 8_000),))
            record(recorder, number, quiet)
        await recorder.flush()
        batches = {batch.name: batch for batch in keeper.batches}
        assert len(batches["flood"].records) <= 100_000
        assert batches["flood"].records_dropped == 600 - len(list(unpack_records(batches["flood"].records)))
        assert batches["quiet"].records_dropped == 0
        assert len(list(unpack_records(batches["quiet"].records))) == 600
        assert batches["flood"].totals.invocations == 600

    run(main)


def test_lines_are_folded_before_they_are_many_bytes() -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        for number in range(200):
            record(recorder, number, logs=((2, 0, b"x" * 8_000),) * 10)
            assert recorder._raw_bytes <= limits.MIB

    run(main)


def test_close_sends_the_rest_and_without_a_keeper_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def main(keeper: Keeper, recorder: Recorder) -> None:
        record(recorder)
        await recorder.close()
        assert keeper.totals().invocations == 1
        keeper.fails = 1
        record(recorder)
        await recorder.close()
        assert "no keeper takes the records" in caplog.text

    run(main)


def test_neither_event_nor_value_nor_error_is_kept() -> None:
    class Value(dict[str, int]):
        """One that can be watched."""

    async def main(keeper: Keeper, recorder: Recorder) -> None:
        error = Raised("E", "m")
        invocation = Invocation(RESIZE, "id", b"event", 0)
        recorder.record(invocation, Outcome(Value(), error, usage()), NOW_S)
        (raw,) = recorder._raw
        assert not any(isinstance(part, Value | BaseException | Invocation) for part in raw)

    run(main)


WORKER_SIDE = ["recorder", "link", "uplink", "frames", "plain", "records", "storage.packages"]


def test_what_a_worker_imports_of_this_never_reaches_the_database() -> None:
    imports = ", ".join(f"isolet.{name}" for name in WORKER_SIDE)
    script = f"import sys, {imports}; print(*sorted(sys.modules))"
    root = str(Path(isolet.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    loaded = set(done.stdout.split())
    assert not loaded & {"sqlite3", "_sqlite3", "isolet.storage.database", "isolet.keeper", "starlette"}
    assert "isolet.recorder" in loaded


def test_modules_of_the_worker_side_name_no_database() -> None:
    root = Path(isolet.__file__).parent
    for name in WORKER_SIDE:
        tree = ast.parse((root / f"{name.replace('.', '/')}.py").read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {found for found in names if "sqlite" in found or "database" in found}
