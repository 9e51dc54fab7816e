"""The spine, with the real engine under it: every end of an invocation, fairness, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import weakref
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine import isolate as isolate_of
from isolet.errors import (
    AbiViolation,
    Cancelled,
    OutOfFuel,
    OutOfMemory,
    Overloaded,
    PayloadTooLarge,
    Raised,
    Throttled,
    TimedOut,
    Trapped,
)
from isolet.hostcalls.state import HostConstants, HostState
from isolet.model import Outcome
from isolet.quota import DEFAULTS
from plane import Plane
from sources import needs_python

pytestmark = pytest.mark.anyio

HOG = "111111111111"


async def test_ordinary_invocation_ends_within_submit(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("answers")
    assert (await plane.invoke(target)).value == 1  # the first one loads the snapshot
    outcomes: list[Outcome] = []
    plane.submit(target, outcomes.append)
    assert [outcome.value for outcome in outcomes] == [1], "no trip through the loop"
    usage = outcomes[0].usage
    assert usage.duration_ns >= usage.cpu_ns > 0
    assert usage.duration_ns >= usage.restore_ns > 0
    assert (usage.memory_bytes, usage.slices, usage.host_calls) == (2 * limits.WASM_PAGE_BYTES, 1, 0)
    assert [outcome for _, outcome in plane.notes.kept][-1] is outcomes[0]
    assert plane.engine.live == 0


ENDS: list[tuple[str, type[Exception], str]] = [
    ("raises", Raised, "no"),
    ("unreachable", Trapped, "unreachable"),
    ("out_of_bounds", Trapped, "outside"),
    ("recursion", Trapped, "stack"),
    ("grow_until_refused", OutOfMemory, "memory_mb"),
    ("outcome_outside", AbiViolation, "outside the guest's memory"),
    ("malformed", AbiViolation, "outcome"),
    ("log_storm", OutOfFuel, "raise `fuel`"),
]


@pytest.mark.parametrize(("guest", "kind", "words"), ENDS, ids=[end[0] for end in ENDS])
async def test_failure_is_an_outcome(tmp_path: Path, guest: str, kind: type[Exception], words: str) -> None:
    plane = Plane(tmp_path)
    outcome = await plane.invoke(plane.target(guest, fuel=30_000_000))
    assert isinstance(outcome.error, kind)
    assert words in str(outcome.error)
    assert outcome.value is None
    assert (outcome.error.__traceback__, outcome.error.__context__) == (None, None), "no frame is kept"
    assert plane.engine.live == 0


async def test_spinner_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    outcome = await plane.invoke(plane.target("infinite_loop", timeout_s=0.05))
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.message.endswith("Error: Task timed out after 0.05 seconds")
    assert outcome.usage.slices > 1


async def test_sleeper_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    outcome = await plane.invoke(plane.target("sleeps", timeout_s=0.05))
    assert isinstance(outcome.error, TimedOut)
    assert plane.scheduler.waiting == 0


async def test_waiting_guest_does_not_hold_the_loop(tmp_path: Path) -> None:
    """A guest sleeps for a minute; until it is cancelled, hundreds of others are served."""
    plane = Plane(tmp_path)
    sleeper, quick = plane.target("sleeps", timeout_s=120), plane.target("answers")
    await plane.invoke(quick)
    ends: list[Outcome] = []
    await plane.cache.load(sleeper.snapshot)
    ticket = plane.submit(sleeper, ends.append)
    assert plane.scheduler.waiting == 1
    for _ in range(300):
        assert (await plane.invoke(quick)).value == 1
    assert (ends, plane.scheduler.waiting, plane.engine.live) == ([], 1, 1)
    ticket.cancel()
    assert isinstance(ends[0].error, Cancelled)
    assert (plane.scheduler.waiting, plane.engine.live) == (0, 0)


async def test_thousand_spinners_of_one_tenant_do_not_hold_another(tmp_path: Path) -> None:
    """The order of slices, not the clock: between two slices of the good tenant stand few of the bad one's."""
    plane = Plane(tmp_path)
    bad = plane.target("infinite_loop", tenant="111111111111", timeout_s=600, fuel=limits.FUEL_MAX)
    good = plane.target("log_storm", tenant="222222222222", fuel=limits.SLICE_FUEL * 12)
    quick = plane.target("answers", tenant="333333333333")
    for target in (bad, good, quick):
        await plane.cache.load(target.snapshot)
    ignored: list[Outcome] = []
    spinners = [plane.submit(bad, ignored.append) for _ in range(1000)]
    assert plane.engine.live >= 1
    ends: list[Outcome] = []
    plane.submit(good, ends.append)
    plane.submit(quick, ends.append)
    order: list[str] = []
    while len(ends) < 2:
        order.append(plane.scheduler.step().tenant)
    assert [end.value for end in ends] == [1, None], "the quick one first, then the one with many slices"
    assert isinstance(ends[1].error, OutOfFuel)
    assert order.count("222222222222") >= 10
    # The good tenant's slices are longer than the spinners' or shorter, but the bad one has one share of three at most.
    # Shares are of time, so that a pause of the machine's within one good slice is paid back in many bad ones.
    between = "".join("g" if tenant[0] == "2" else "b" if tenant[0] == "1" else "q" for tenant in order).split("g")
    runs = sorted(part.count("b") for part in between)
    assert runs[len(runs) // 2] <= 40
    assert runs[-1] <= 200, "a thousand stand in the queue"
    for ticket in spinners:
        ticket.cancel()
    assert plane.engine.live == 0


async def test_admission_refuses_before_an_isolate_exists(tmp_path: Path) -> None:
    plane = Plane(tmp_path, concurrency=2)
    target = plane.target("sleeps")
    await plane.cache.load(target.snapshot)
    ends: list[Outcome] = []
    tickets = [plane.submit(target, ends.append) for _ in range(2)]
    with pytest.raises(Throttled, match="2 invocations") as refused:
        plane.submit(target, ends.append)
    assert refused.value.reason == "ConcurrentInvocationLimitExceeded"
    assert plane.notes.refused == [refused.value]
    assert plane.engine.live == 2
    other = plane.target("answers", tenant="999999999999")
    assert (await plane.invoke(other)).value == 1, "another tenant has its own share"
    tickets[0].cancel()
    tickets.append(plane.submit(target, ends.append))
    for ticket in tickets:
        ticket.cancel()
    assert plane.engine.live == 0


async def test_event_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    with pytest.raises(PayloadTooLarge):
        plane.submit(plane.target("answers"), lambda outcome: None, bytes(8 * limits.MIB))


async def test_snapshot_is_loaded_once_for_a_crowd(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("answers")
    outcomes = await asyncio.gather(*(plane.invoke(target) for _ in range(50)))
    assert [outcome.value for outcome in outcomes] == [1] * 50
    assert len(plane.cache) == 1


@needs_python
async def test_snapshot_is_loaded_beside_a_spinning_guest(tmp_path: Path) -> None:
    """In turns of the loop, not seconds: a thread that loaded it would wait for the interpreter's lock."""
    plane = Plane(tmp_path)
    spinner, quick = plane.target("infinite_loop", timeout_s=600, fuel=limits.FUEL_MAX), plane.target("answers")
    await plane.cache.load(spinner.snapshot)
    turns = 0
    turn = plane.scheduler.turn

    def counted() -> None:
        nonlocal turns
        turns += 1
        turn()

    plane.scheduler.turn = counted  # type: ignore[method-assign]
    ticket = plane.submit(spinner, lambda outcome: None)
    assert (await plane.invoke(quick)).value == 1
    assert 1 <= turns <= 20
    ticket.cancel()


async def test_cancelled_while_its_snapshot_is_loaded(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    ended = asyncio.Event()
    ends: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        ends.append(outcome)
        ended.set()

    ticket = plane.submit(plane.target("answers"), done)
    ticket.cancel()
    await ended.wait()
    assert isinstance(ends[0].error, Cancelled)
    ticket.cancel()
    assert len(ends) == 1
    assert plane.invoker.in_flight == 0


@pytest.mark.parametrize("damage", ["flipped", "removed"])
async def test_damaged_artifact_is_built_again(tmp_path: Path, damage: str) -> None:
    plane = Plane(tmp_path)
    target = plane.target("answers")
    path = tmp_path / "artifacts" / f"{target.snapshot.digest}.cwasm"
    if damage == "removed":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert (await plane.invoke(target)).value == 1
    assert plane.rebuilt == [target.snapshot.digest]


async def test_entropy_is_never_given_twice(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    drawn = [plane.invoker.entropy() for _ in range(2000)]
    assert len(set(drawn)) == 2000
    assert {len(one) for one in drawn} == {limits.ENTROPY_BYTES}


async def test_isolate_restored_ahead_serves_the_next_invocation(tmp_path: Path) -> None:
    plane = Plane(tmp_path, spares=2)
    target = plane.target("counts")
    raw = [(await plane.invoke(target)).error for _ in range(3)]
    assert all(isinstance(error, AbiViolation) for error in raw), "it answers no msgpack"
    target = plane.target("answers")
    await plane.invoke(target)
    await asyncio.sleep(0)  # the loop has nothing else to do
    assert plane.engine.live == 1, "the spare"
    ends: list[Outcome] = []
    plane.submit(target, ends.append)
    assert (ends[0].value, plane.engine.live) == (1, 0), "used, and not replaced before the loop is idle"
    await asyncio.sleep(0)
    assert plane.engine.live == 1
    plane.invoker.keep_only([])
    assert plane.engine.live == 0, "a function that is gone has no spare"


async def test_spares_are_bounded_and_given_back(tmp_path: Path) -> None:
    plane = Plane(tmp_path, spares=2)
    for tenant in ("a", "b", "c", "d"):
        target = plane.target("answers", tenant=tenant)
        await plane.invoke(target)
        await asyncio.sleep(0)
        assert plane.engine.live <= 2
    assert plane.engine.live == 2
    plane.invoker.drop_spares()
    assert plane.engine.live == 0


async def test_spares_never_cost_an_invocation_its_slot(tmp_path: Path) -> None:
    """Sixty-two guests sleep, two isolates wait ahead of others: the pool of 64 is full, and has room for two more."""
    plane = Plane(tmp_path, isolates_max=64, spares=2)
    sleeper = plane.target("sleeps", timeout_s=60)
    await plane.cache.load(sleeper.snapshot)
    ends: list[Outcome] = []
    tickets = [plane.submit(sleeper, ends.append) for _ in range(62)]
    for tenant in ("a", "b"):
        await plane.invoke(plane.target("answers", tenant=tenant))
        await asyncio.sleep(0)
    assert plane.engine.live == 64
    tickets += [plane.submit(sleeper, ends.append) for _ in range(2)]
    # Where tenants mix, what is submitted late in a turn begins in the next one.
    while plane.scheduler.runnable:
        await asyncio.sleep(0)
    assert (ends, plane.engine.live, plane.scheduler.waiting) == ([], 64, 64)
    plane.submit(sleeper, ends.append)
    while plane.scheduler.runnable:
        await asyncio.sleep(0)
    assert isinstance(ends.pop().error, Overloaded), "now it is full"
    for ticket in tickets:
        ticket.cancel()
    assert plane.engine.live == 0


async def test_no_spare_is_made_while_others_wait_for_a_slice(tmp_path: Path) -> None:
    plane = Plane(tmp_path, spares=2)
    quick, spinner = plane.target("answers"), plane.target("infinite_loop", timeout_s=60, fuel=limits.FUEL_MAX)
    for target in (quick, spinner):
        await plane.cache.load(target.snapshot)
    ticket = plane.submit(spinner, lambda outcome: None)
    await plane.invoke(quick)
    await asyncio.sleep(0)
    assert plane.engine.live == 1, "the spinner alone"
    ticket.cancel()
    assert plane.engine.live == 0


def figures() -> tuple[int, int]:
    """(descriptors, mappings) of this process."""
    return len(os.listdir("/proc/self/fd")), len(Path("/proc/self/maps").read_text().splitlines())


async def test_nothing_is_left_over_ten_thousand_mixed_invocations(tmp_path: Path) -> None:
    plane = Plane(tmp_path, isolates_max=64)
    guests = ["answers", "raises", "unreachable", "out_of_bounds", "recursion", "grow_until_refused", "malformed"]
    guests += ["outcome_outside", "grow_table", "infinite_loop", "sleeps", "counts"]
    targets = [plane.target(guest, fuel=limits.SLICE_FUEL * 3) for guest in guests]
    for target in targets:
        await plane.cache.load(target.snapshot)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ended: Counter[str] = Counter()

    def done(outcome: Outcome) -> None:
        ended[type(outcome.error).__name__ if outcome.error else "answer"] += 1

    async def round_of(count: int) -> None:
        tickets = []
        for number in range(count):
            ticket = plane.submit(chance.choice(targets), done)
            if chance.random() < 0.2:
                ticket.cancel()
            tickets.append(ticket)
            if number % 50 == 49:  # the pool has 64 slots
                while plane.scheduler.runnable:
                    await asyncio.sleep(0)
                for ticket in tickets:
                    ticket.cancel()

    # A first part touches the slots, fills caches, and is not counted.
    await round_of(500)
    plane.notes.kept.clear()
    gc.collect()
    before = figures()
    counted = sum(ended.values())
    for _ in range(20):
        await round_of(500)
        plane.notes.kept.clear()
    gc.collect()
    assert sum(ended.values()) - counted == 10_000
    assert (plane.engine.live, plane.invoker.in_flight, plane.scheduler.waiting) == (0, 0, 0)
    assert plane.engine.running == [None]
    after = figures()
    assert after[0] == before[0], "descriptors"
    # A slot keeps at most the mapping of one image; which image that is, is the pool's affair. A leak would be
    # thousands.
    assert after[1] <= before[1] + plane.engine.settings.isolates_max
    assert {"answer", "Raised", "Trapped", "OutOfFuel", "OutOfMemory", "AbiViolation", "Cancelled"} <= set(ended)


@pytest.mark.anyio
async def test_a_snapshot_that_left_the_cache_is_freed_though_its_function_may_be_called_again(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("answers")
    assert (await plane.invoke(target)).value == 1
    loaded = plane.cache.peek(target.snapshot.digest)
    assert loaded is not None
    gone = weakref.ref(loaded.template.module)
    plane.cache.forget(target.snapshot.digest)
    del loaded
    gc.collect()
    assert gone() is None
    assert (await plane.invoke(target)).value == 1


async def test_an_ended_invocation_holds_nobody_who_asked(tmp_path: Path) -> None:
    """Who asks keeps the ticket; were the ticket to keep them, each would wait for the collector with its event."""

    class Asker:
        def __init__(self) -> None:
            self.ended = asyncio.Event()

        def done(self, outcome: Outcome) -> None:
            self.ended.set()

    plane = Plane(tmp_path)
    gc.disable()
    try:
        asker = Asker()
        asker.ticket = plane.submit(plane.target("naps"), asker.done)  # type: ignore[attr-defined]
        await asker.ended.wait()
        left = weakref.ref(asker)
        del asker
        await asyncio.sleep(0)
        assert left() is None
    finally:
        gc.enable()


# ── what a tenant may ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_tenant_at_its_rate_is_refused_in_lambdas_words_and_its_neighbour_is_not(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    slot = plane.tally.slot(HOG)
    plane.invoker.limit(HOG, slot, DEFAULTS | {"requests_per_s": 0.001, "requests_burst": 3})
    hog, good = plane.target("answers", tenant=HOG), plane.target("answers", tenant="222222222222")
    assert [(await plane.invoke(hog)).value for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Throttled) as refused:
        plane.submit(hog, print)
    assert (refused.value.reason, refused.value.limit) == ("CallerRateLimitExceeded", "requests_per_s")
    assert refused.value.retry_after_s == limits.RETRY_AFTER_S_MAX
    assert plane.notes.refused == [refused.value]
    assert (await plane.invoke(good)).value == 1
    plane.invoker.limit(HOG, slot, DEFAULTS | {"requests_per_s": 1000, "requests_burst": 3})
    while True:  # a bucket that a slower rate has emptied fills at the present one
        try:
            assert (await plane.invoke(hog)).value == 1
            break
        except Throttled:
            await asyncio.sleep(0)


async def test_a_lower_limit_holds_at_once_and_what_runs_goes_on(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    sleeper = plane.target("sleeps", tenant=HOG)
    await plane.cache.load(sleeper.snapshot)
    outcomes: list[Outcome] = []
    tickets = [plane.submit(sleeper, outcomes.append) for _ in range(3)]
    assert plane.invoker.used(HOG) == {"concurrency": 3}
    plane.invoker.limit(HOG, plane.tally.slot(HOG), DEFAULTS | {"concurrency": 2})
    with pytest.raises(Throttled, match="2 invocations of 111111111111 run at a time") as refused:
        plane.submit(sleeper, outcomes.append)
    assert (refused.value.reason, refused.value.limit) == ("ConcurrentInvocationLimitExceeded", "concurrency")
    assert plane.invoker.used(HOG) == {"concurrency": 3}
    for ticket in tickets[:2]:
        ticket.cancel()
    while plane.invoker.used(HOG)["concurrency"] == 3:
        await asyncio.sleep(0)
    while plane.invoker.used(HOG)["concurrency"] == 2:
        await asyncio.sleep(0)
    last = plane.submit(sleeper, outcomes.append)
    for ticket in (tickets[2], last):
        ticket.cancel()
    while plane.invoker.in_flight:
        await asyncio.sleep(0)
    assert len(outcomes) == 4


async def test_log_lines_beyond_the_rate_are_dropped_counted_and_said(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    slot = plane.tally.slot(HOG)
    storm = {"tenant": HOG, "fuel": 3_000_000}
    plenty = await plane.invoke(plane.target("log_storm", **storm))  # type: ignore[arg-type]
    assert plenty.logs_dropped == plane.notes.lines_dropped == 0
    size = sum(len(text) + limits.LOG_ENTRY_BYTES for _, _, text in plenty.logs)
    plane.invoker.limit(HOG, slot, DEFAULTS | {"log_bytes_per_s": 1, "log_burst_bytes": size // 2})
    few = await plane.invoke(plane.target("log_storm", **storm))  # type: ignore[arg-type]
    assert 0 < len(few.logs) <= len(plenty.logs) // 2 + 1
    # Of its own calls, but for the last one, at which its fuel ended. (Not of the other: a slice that was cut short by
    # the clock pays for its calls at another moment, so that the same fuel is some lines more or less.)
    assert few.logs_dropped == plane.notes.lines_dropped == few.usage.host_calls - 1 - len(few.logs)
    none = await plane.invoke(plane.target("log_storm", **storm))  # type: ignore[arg-type]
    assert len(none.logs) <= 1
    other = await plane.invoke(plane.target("log_storm", tenant="222222222222", fuel=3_000_000))
    assert (len(other.logs), other.logs_dropped) == (other.usage.host_calls - 1, 0)


async def test_what_cannot_be_answered_is_recorded_as_the_functions_error(tmp_path: Path) -> None:
    """Its caller is told of an error; the function's log must not say that all went well."""
    plane = Plane(tmp_path)
    target = plane.target("answers")
    unanswerable = AbiViolation("1 is no answer")
    plane.submit(target, lambda outcome: unanswerable)
    async with asyncio.timeout(20):
        while not plane.notes.kept:
            await asyncio.sleep(0)
    _, recorded = plane.notes.kept[-1]
    assert (recorded.value, recorded.error) == (None, unanswerable)
    assert recorded.usage.duration_ns > 0


async def test_much_written_memory_is_given_back_in_steps_after_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MiB at one go would hold the loop for 9 ms; a step is two."""
    given: list[int] = []
    give_back = isolate_of.give_back

    def noted(address: int, size: int) -> None:
        given.append(size)
        give_back(address, size)

    monkeypatch.setattr(isolate_of, "give_back", noted)
    plane = Plane(tmp_path, in_steps=True)
    target = plane.target("walks", memory_mb=64)
    await plane.cache.load(target.snapshot)
    seen: list[tuple[int, int]] = []
    plane.submit(target, lambda outcome: seen.append((len(given), plane.engine.live)))
    while plane.engine.live:
        await asyncio.sleep(0)
    assert seen == [(0, 1)], "the answer comes first"
    assert sum(given) == 258 * 64 * limits.KIB
    assert max(given) == 2 * limits.MIB
    assert plane.scheduler.runnable == 0


@pytest.mark.parametrize("way", ["cancelled", "late"])
async def test_a_guest_that_is_ended_gives_its_memory_back_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given: list[int] = []
    monkeypatch.setattr(isolate_of, "give_back", lambda address, size: given.append(size))
    plane = Plane(tmp_path, in_steps=True)
    target = plane.target("walks_on", memory_mb=64, timeout_s=60 if way == "cancelled" else 0.05, fuel=limits.FUEL_MAX)
    await plane.cache.load(target.snapshot)
    ended: list[Outcome] = []
    ticket = plane.submit(target, ended.append)
    if way == "cancelled":
        for _ in range(10):
            await asyncio.sleep(0)
        ticket.cancel()
    while not ended or plane.engine.live:
        await asyncio.sleep(0)
    assert isinstance(ended[0].error, Cancelled if way == "cancelled" else TimedOut)
    assert (sum(given), plane.scheduler.runnable) == (258 * 64 * limits.KIB, 0)


async def test_freeing_that_is_dropped_half_way_frees_the_rest(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    target = plane.target("walks", memory_mb=64)
    await plane.cache.load(target.snapshot)
    dropped: list[int] = []

    def bury(state: object, freeing: Generator[None, None, None]) -> None:
        dropped.append(plane.engine.live)
        freeing.close()

    plane.engine.bury = bury
    assert (await plane.invoke(target)).error is None
    assert dropped == [1]
    assert plane.engine.live == 0


def test_who_is_freed_when_no_loop_runs_is_freed_at_once(tmp_path: Path) -> None:
    async def made() -> Plane:
        return Plane(tmp_path, in_steps=True)

    plane = asyncio.run(made())
    steps: list[str] = []

    def freeing() -> Generator[None, None, None]:
        try:
            yield None
        finally:
            steps.append("freed")

    generator = freeing()
    next(generator)
    assert plane.engine.bury is not None
    plane.engine.bury(HostState(HostConstants("f", "$LATEST", "arn", 128, (), {})), generator)
    assert steps == ["freed"]
