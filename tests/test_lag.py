"""How late a loop is, by a clock and a loop that do nothing until told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isolet import limits
from isolet.lag import BOUNDS_NS, Lag, buckets_of

MS = 1_000_000
STEP_MS = round(limits.LAG_STEP_S * 1000)


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """A loop whose timers come when `pass_ms` says so, and a clock beside it."""

    def __init__(self) -> None:
        self.now_ns = 10**9
        self.armed: list[tuple[Callable[..., object], Timer]] = []

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        self.armed.append((callback, Timer()))
        return self.armed[-1][1]

    def pass_ms(self, ms: float) -> None:
        self.now_ns += round(ms * MS)
        (callback, timer), self.armed = self.armed[0], []
        if not timer.cancelled:
            callback()


def seen(lag: Lag) -> dict[float, int]:
    """Upper bound in milliseconds → how many."""
    return {bound / MS: count for bound, count in zip(BOUNDS_NS, lag.counts, strict=False) if count}


def started() -> tuple[ManualLoop, Lag]:
    loop = ManualLoop()
    lag = Lag(loop, lambda: loop.now_ns)
    lag.start()
    return loop, lag


def test_loop_in_time_is_not_late() -> None:
    loop, lag = started()
    for _ in range(5):
        loop.pass_ms(STEP_MS)
    assert seen(lag) == {0.5: 5}


def test_lateness_is_counted_where_it_belongs() -> None:
    loop, lag = started()
    loop.pass_ms(STEP_MS + 9.5)
    loop.pass_ms(STEP_MS + 10.5)
    assert seen(lag) == {10: 1, 11: 1}
    assert lag.sum_ns == 20 * MS


def test_held_loop_counts_for_all_who_came_meanwhile() -> None:
    loop, lag = started()
    loop.pass_ms(STEP_MS + 5 * STEP_MS)
    assert sum(lag.counts) == 5
    assert sum(count for bound, count in seen(lag).items() if bound >= STEP_MS) == 5


def test_timer_that_comes_early_is_in_time() -> None:
    loop, lag = started()
    loop.pass_ms(STEP_MS - 1)
    assert seen(lag) == {0.5: 1}


def test_what_travels_is_read_as_it_was() -> None:
    loop, lag = started()
    for late in (0, 3, 9.5, 400, 60_000):
        loop.pass_ms(STEP_MS + late)
    cumulative, total_s = buckets_of(lag.gauges())
    assert cumulative[-1] == sum(lag.counts)
    assert cumulative == sorted(cumulative)
    assert total_s == lag.sum_ns / 1e9
    assert cumulative[-1] > cumulative[-2]  # beyond the last bound


def test_nothing_comes_after_the_end() -> None:
    loop, lag = started()
    lag.close()
    loop.pass_ms(STEP_MS)
    assert sum(lag.counts) == 0
