"""Which instant of a schedule fires: the latest of those missed, none twice, and in the present when clocks jump."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from isolet.cron import parse
from isolet.standing import SET_BACK_S, Standing, begun, due, in_the_present, next_instant

HOUR_S = 3_600


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-27T{text}").replace(tzinfo=UTC).timestamp())


class Film:
    """A schedule and a clock; `fired` are the instants and when they fired."""

    def __init__(self, expression: str, now_s: int) -> None:
        self.schedule = parse(expression)
        self.now_s = now_s
        self.standing = begun(now_s)
        self.fired: list[tuple[int, int]] = []

    def run(self, seconds: int, step_s: int = 10) -> None:
        for _ in range(0, seconds, step_s):
            self.now_s += step_s
            self.look()

    def look(self) -> None:
        self.standing = in_the_present(self.schedule, self.standing, self.now_s)
        instant = due(self.schedule, self.standing, self.now_s)
        following = next_instant(self.schedule, self.standing)
        assert (instant is not None) == (following is not None and following <= self.now_s)
        if instant is not None:
            self.standing = self.standing.after(instant)
            self.fired.append((instant, self.now_s))

    @property
    def instants(self) -> list[int]:
        return [instant for instant, _ in self.fired]


def test_rate_fires_a_period_after_it_began_and_then_each_period() -> None:
    film = Film("rate(2 minutes)", at("10:00:17"))
    film.run(HOUR_S // 2)
    assert film.instants == [at("10:00:17") + 120 * n for n in range(1, 16)]
    assert all(instant == now for instant, now in film.fired)


def test_of_missed_instants_the_latest_fires_alone() -> None:
    film = Film("cron(* * * * ? *)", at("10:00:30"))
    film.now_s = at("12:30:10")
    film.look()
    film.look()
    assert film.instants == [at("12:30:00")]
    film.run(60)
    assert film.instants == [at("12:30:00"), at("12:31:00")]


@pytest.mark.parametrize(
    "expression", ["rate(1 minute)", "rate(5 minutes)", "cron(* * * * ? *)", "cron(0/5 * * * ? *)"]
)
def test_after_an_hour_back_it_goes_on_from_the_present_within_a_period(expression: str) -> None:
    film = Film(expression, at("10:00:00"))
    film.run(2 * HOUR_S)
    before = len(film.fired)
    film.now_s -= HOUR_S
    back_s = film.now_s
    film.look()
    film.run(HOUR_S // 2)
    period_s = 60 if "1 minute" in expression or "* * * *" in expression[5:12] else 300
    assert film.fired[before][1] - back_s <= period_s
    assert len(film.fired) - before in range(HOUR_S // 2 // period_s - 1, HOUR_S // 2 // period_s + 1)


def test_rate_set_back_never_fires_twice_for_an_instant() -> None:
    for offset in (0, 1, 17, 59, 60):
        film = Film("rate(1 minute)", at("10:00:00"))
        film.run(2 * HOUR_S + offset, 1)
        film.now_s -= HOUR_S
        film.run(2 * HOUR_S)
        assert len(set(film.instants)) == len(film.instants)


def test_hour_forward_and_back_again_fires_for_no_instant_twice() -> None:
    film = Film("cron(* * * * ? *)", at("10:00:00"))
    film.run(600)
    film.now_s += HOUR_S
    film.run(10)
    film.now_s -= HOUR_S
    film.run(2 * HOUR_S)
    assert len(set(film.instants)) == len(film.instants)
    assert set(film.instants) == {at("10:00:00") + 60 * n for n in range(1, 131)}


def test_what_fired_at_noon_does_not_fire_again_when_noon_comes_twice() -> None:
    film = Film("cron(0 12 * * ? *)", at("11:30:00"))
    film.run(HOUR_S)
    film.now_s -= HOUR_S
    film.run(25 * HOUR_S, 60)
    assert film.instants == [at("12:00:00"), at("12:00:00") + 86_400]


def test_everyday_corrections_of_the_clock_neither_repeat_nor_lose_an_instant() -> None:
    film = Film("cron(* * * * ? *)", at("10:00:30"))
    seeded = random.Random(7)
    for true_s in range(at("10:00:30"), at("10:20:30")):
        film.now_s = true_s + seeded.randint(-20, 20)
        film.look()
    assert film.instants == [at("10:00:00") + 60 * n for n in range(1, 21)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("expression", "period_s"), [("rate(2 minutes)", 120), ("cron(0/2 * * * ? *)", 120)])
def test_whatever_the_clock_does_it_fires_within_two_periods_and_never_in_a_flood(
    expression: str, period_s: int, seed: int
) -> None:
    """A clock that is set by up to an hour, ten times in ten hours; looked at each 10 s. Time is the true one."""
    seeded, film = random.Random(seed), Film(expression, at("10:00:00"))
    true_s, fires, jumps = 0, [0], 0
    while true_s < 10 * HOUR_S:
        true_s += 10
        film.now_s += 10
        if seeded.random() < 1 / 360:
            film.now_s += seeded.randint(-HOUR_S, HOUR_S)
            jumps += 1
        film.look()
        if len(film.fired) == len(fires):
            fires.append(true_s)
    assert max(later - earlier for earlier, later in pairwise(fires)) <= 2 * period_s + SET_BACK_S
    assert len(film.fired) <= true_s // period_s + jumps
    # What fired last of all never fires a second time.
    assert film.instants.count(max(film.instants)) == 1


def test_schedule_of_the_past_never_fires() -> None:
    film = Film("cron(0 12 1 1 ? 2020)", at("10:00:00"))
    assert next_instant(film.schedule, film.standing) is None
    film.run(HOUR_S, 60)
    assert film.fired == []


def test_standing_keeps_the_latest_instant_that_ever_fired() -> None:
    assert Standing(0, 60, 7_200).after(120) == Standing(0, 120, 7_200)
