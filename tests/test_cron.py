"""Schedules: known instants, refusals in AWS's words, and cron against brute force over the minutes."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from isolet.cron import Cron, Rate, latest_due, parse
from isolet.errors import ValidationFailed


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 10 * * ? *)", "2026-01-01T10:00", "2026-01-02T10:00"),
        ("cron(15 12 * * ? *)", "2026-01-01T12:14:59", "2026-01-01T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27T18:00", "2026-11-30T18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00", "2027-01-01T08:00"),
        ("cron(0/15 * * * ? *)", "2026-01-01T00:46", "2026-01-01T01:00"),
        ("cron(0/10 * ? * mon-fri *)", "2026-11-28T00:00", "2026-11-30T00:00"),
        ("cron(0 0 L * ? *)", "2028-02-01T00:00", "2028-02-29T00:00"),
        ("cron(0 0 29 2 ? *)", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("cron(0 0 1W * ? *)", "2026-07-31T23:59", "2026-08-03T00:00"),  # the 1st is a Saturday
        ("cron(0 0 31W * ? *)", "2026-05-01T00:00", "2026-05-29T00:00"),  # the 31st is a Sunday
        ("cron(0 0 LW * ? *)", "2026-02-01T00:00", "2026-02-27T00:00"),
        ("cron(0 9 ? * 2#1 *)", "2026-11-27T00:00", "2026-12-07T09:00"),
        ("cron(0 9 ? * FRI#5 *)", "2026-11-01T00:00", "2027-01-29T09:00"),
        ("cron(0 9 ? * 6L *)", "2026-11-01T00:00", "2026-11-27T09:00"),
        ("cron(0 9 ? * L *)", "2026-11-27T00:00", "2026-11-28T09:00"),
        ("cron(0 0 1 1 ? 2030/10)", "2031-01-01T00:00", "2040-01-01T00:00"),
    ],
)
def test_next_instant_is_the_documented_one(expression: str, after: str, expected: str) -> None:
    assert parse(expression).next_after(at(after), 0) == at(expected)


def test_what_is_over_never_fires() -> None:
    assert parse("cron(0 0 1 1 ? 2020)").next_after(at("2020-01-01T00:00"), 0) is None
    assert parse("cron(0 0 31 2 ? *)").next_after(at("2026-01-01T00:00"), 0) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(10 seconds)",
        "rate(1.5 hours)",
        "rate(٣ minutes)",
        "cron(0 10 * * ?)",
        "cron(* * * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 * * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 32W * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 2#6 *)",
        "cron(0 0 1 13 ? *)",
        "cron(0 0 1 1 ? 1969)",
        "cron(0 0 1 1 ? 2200)",
        "cron(*/0 * * * ? *)",
        "cron(5-1 * * * ? *)",
        "cron(, * * * ? *)",
        "cron(0 0 * * ? *) ",
        "0 10 * * ? *",
        f"cron({'1,' * 200}1 * * * ? *)",
    ],
)
def test_what_aws_refuses_is_refused(expression: str) -> None:
    with pytest.raises(ValidationFailed, match="Parameter ScheduleExpression is not valid"):
        parse(expression)


def test_rate_fires_at_whole_periods_after_its_anchor() -> None:
    rate = parse("rate(5 minutes)")
    assert rate == Rate(300)
    assert rate.next_after(1_000, 1_000) == 1_300
    assert rate.next_after(1_299.9, 1_000) == 1_300
    assert rate.next_after(1_300, 1_000) == 1_600
    assert rate.next_after(0, 1_000) == 1_300  # a clock that went back does not fire it early
    assert parse("rate(1 day)") == Rate(86_400)


def matches(cron: Cron, instant: datetime) -> bool:
    return (
        instant.minute in cron.minutes
        and instant.hour in cron.hours
        and instant.month in cron.months
        and instant.year in cron.years
        and instant.day in cron.days(instant.year, instant.month)
    )


def test_next_instant_is_the_least_of_all_minutes_that_match() -> None:
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    for _ in range(30):
        days = draw.choice(["* * ?", "1/3 * ?", "? * 2-6", "? * SUN,WED", "L * ?", "15W * ?", "? * 3#2", "? * 5L"])
        minute = draw.choice(["*", "0/7", "5", "10-20/3", "1,59"])
        expression = f"cron({minute} {draw.choice(['*', '3', '0/5', '8-17'])} {days} *)"
        cron = parse(expression)
        assert isinstance(cron, Cron)
        after = at("2026-01-01T00:00") + draw.randrange(4 * 365 * 86_400)
        found = cron.next_after(after)
        assert found is not None
        brute = next(
            instant
            for instant in range(after // 60 * 60 + 60, found + 60, 60)
            if matches(cron, datetime.fromtimestamp(instant, UTC))
        )
        assert found == brute, (seed, expression, after)


@pytest.mark.parametrize(
    "expression", ["cron(0/15 * * * ? *)", "cron(0 3 ? * MON *)", "rate(7 minutes)", "rate(1 day)"]
)
@pytest.mark.parametrize("missed_s", [-3_600, 0, 59, 60, 900, 3_600, 86_400, 30 * 86_400])
def test_latest_missed_instant_is_the_last_of_all_that_follow_each_other(expression: str, missed_s: int) -> None:
    schedule, anchor = parse(expression), at("2026-01-01T00:03")
    last = at("2026-03-01T12:00")
    now, expected, instant = last + missed_s, None, schedule.next_after(last, anchor)
    while instant is not None and instant <= now:
        expected, instant = instant, schedule.next_after(instant, anchor)
    assert latest_due(schedule, last, now, anchor) == expected


def test_schedule_that_is_over_still_has_its_last_instant() -> None:
    schedule = parse("cron(0 0 1 1 ? 2020)")
    assert latest_due(schedule, at("2019-01-01T00:00"), at("2026-01-01T00:00")) == at("2020-01-01T00:00")
