"""The watchdog's verdicts over films of samples, and samples of real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.limits import GIB, LOOK_S, MIB
from isolet.vitals import Ending, Vitals
from isolet.watchdog import Bounds, Sample, Watch, machine_bytes, memory_bytes_default, sample

BOUNDS = Bounds(memory_bytes=GIB, requests_max=1000, age_s_max=3600, loop_cpu_s=2, loop_wait_s=15)


def verdicts(film: list[Sample], bounds: Bounds = BOUNDS, look_s: float = LOOK_S) -> list[Ending | None]:
    watch = Watch(bounds, 0.0)
    looks = (watch.look(seen, (number + 1) * look_s) for number, seen in enumerate(film))
    return [None if look is None else look[0] for look in looks]


def test_loop_that_spins_is_found_by_its_processor_time() -> None:
    film = [Sample(turned_ns=1, cpu_s=0.25 * n) for n in range(10)]
    assert verdicts(film) == [None] * 8 + [Ending.SPINNING] * 2


def test_loop_that_turns_may_use_all_of_a_processor() -> None:
    assert set(verdicts([Sample(turned_ns=n, cpu_s=0.25 * n) for n in range(1, 1000)])) == {None}


def test_worker_that_gets_no_processor_is_left_alone() -> None:
    """An overcommitted machine: every look finds it runnable, and it has used nothing."""
    assert set(verdicts([Sample(turned_ns=1, cpu_s=0.001 * n) for n in range(1000)])) == {None}


def test_loop_that_waits_without_turning_is_found_by_the_clock() -> None:
    looks = int(15 / LOOK_S)
    film = [Sample(turned_ns=1, runnable=False)] * (looks + 2)
    found = verdicts(film)
    assert found[: looks - 1] == [None] * (looks - 1)
    assert found[-1] is Ending.STUCK


def test_sleep_of_the_whole_machine_counts_as_one_look() -> None:
    """Supervisor and workers were stopped together for an hour: the first look afterwards is one look late, no more."""
    watch = Watch(BOUNDS, 0.0)
    stopped = Sample(turned_ns=1, runnable=False)
    assert watch.look(stopped, 1.0) is None
    assert watch.look(stopped, 3600.0) is None
    assert watch.look(replace(stopped, turned_ns=2), 3600.25) is None


def test_worker_that_does_not_serve_yet_is_not_judged_by_its_loop() -> None:
    assert set(verdicts([Sample(turned_ns=0, cpu_s=n, runnable=False) for n in range(100)])) == {None}


def test_memory_over_the_bound_is_found_and_said_with_the_cure() -> None:
    watch = Watch(BOUNDS, 0.0)
    assert watch.look(Sample(memory_bytes=GIB), 1.0) is None
    ending, words = watch.look(Sample(memory_bytes=GIB + 5 * MIB), 2.0) or (None, "")
    assert ending is Ending.MEMORY
    assert "it holds 1,029 MiB, and may hold 1,024; raise `worker.memory_bytes`" in words


def test_no_bound_no_verdict() -> None:
    watch = Watch(Bounds(), 0.0)
    assert watch.look(Sample(memory_bytes=1 << 60), 1.0) is None
    assert not watch.is_due(Sample(served=1 << 60), 1e12)


@given(st.lists(st.tuples(st.floats(0, 0.2), st.floats(0.01, 1e5), st.booleans()), max_size=300))
def test_loop_that_turns_between_looks_is_never_killed(film: list[tuple[float, float, bool]]) -> None:
    watch = Watch(BOUNDS, 0.0)
    now_s = cpu_s = 0.0
    for number, (spent_s, passed_s, runnable) in enumerate(film):
        cpu_s += spent_s
        now_s += passed_s
        assert watch.look(Sample(number + 1, 0, cpu_s, runnable), now_s) is None


def test_requests_and_age_make_a_worker_due() -> None:
    watch = Watch(BOUNDS, 100.0)
    assert not watch.is_due(Sample(served=999), 3699.0)
    assert watch.is_due(Sample(served=1000), 101.0) == "it has served 1,000 requests"
    assert watch.is_due(Sample(), 3700.0) == "it has served for 3,600 s"


@given(st.integers(0, 2**32), st.integers(0, 10**9))
def test_jitter_shortens_by_a_fifth_at_most_and_never_makes_it_forever(seed: int, requests_max: int) -> None:
    jittered = Bounds(requests_max=requests_max, age_s_max=100.0).jittered(random.Random(seed))
    assert 80 <= jittered.age_s_max <= 100
    assert requests_max * 4 // 5 <= max(jittered.requests_max, 0) <= requests_max
    assert bool(jittered.requests_max) == bool(requests_max)


def test_default_bound_is_what_the_limits_allow_or_the_machine_has() -> None:
    small = memory_bytes_default(512 * MIB, isolates=8, workers=2, machine_bytes=1024 * GIB)
    assert small == limits.WORKER_BASE_BYTES + 512 * MIB + 2 * limits.BODIES_BYTES_MAX + limits.UNSENT_BYTES_MAX + GIB
    assert memory_bytes_default(512 * MIB, isolates=1024, workers=2, machine_bytes=8 * GIB) == 3 * GIB
    assert memory_bytes_default(512 * MIB, isolates=1024, workers=8, machine_bytes=GIB) == limits.WORKER_BASE_BYTES
    assert machine_bytes() > 0


# ── real processes ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="samples are read from /proc")
def test_sample_says_what_a_process_uses() -> None:
    column = Vitals(1).column(0)
    column.beat(3)
    script = "held = bytearray(200_000_000); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            first = sample(busy.pid, column)
            assert first.memory_bytes > 200_000_000
            assert (first.turned_ns, first.served) == (column.turned_ns, 3)
            while sample(busy.pid, column).cpu_s <= first.cpu_s:
                pass
            os.kill(busy.pid, signal.SIGSTOP)
            while sample(busy.pid, column).runnable:
                pass
            stopped = sample(busy.pid, column)
            assert sample(busy.pid, column) == stopped
        finally:
            busy.kill()
    assert sample(busy.pid, column) == Sample(column.turned_ns, 3)
