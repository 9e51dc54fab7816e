"""When a schedule fires: AWS's `cron(minute hour day-of-month month day-of-week year)` and `rate(value unit)`.

Laws:
- Pure, in UTC, in whole minutes: an instant is Unix seconds, and every instant that fires is a multiple of 60 for cron,
  of its anchor plus whole periods for rate. Nothing fires more often than once a minute.
- `next_after(t)` is the least firing instant greater than t, or None when there is none (years end at 2199).
- What AWS refuses is refused as ValidationFailed in its words: a day of the month and a day of the week together
  (one of them is `?`), `rate(1 minutes)`, `rate(5 minute)`, five fields.

Surprises: Sunday is 1 and Saturday 7; `L` is the last day of the month, or of the week; `6L` the last Friday; `15W` the
weekday nearest to the 15th within its month; `2#3` the third Monday.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from .errors import ValidationFailed

REFUSAL = "Parameter ScheduleExpression is not valid."
# Precedent: EventBridge's PutRule.
EXPRESSION_CHARS_MAX = 256
YEAR_MIN, YEAR_MAX = 1970, 2199
_UNITS_S = {"minute": 60, "hour": 3_600, "day": 86_400}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}


@dataclass(frozen=True, slots=True)
class Rate:
    period_s: int

    def next_after(self, after_s: float, anchor_s: float) -> int | None:
        """`anchor_s` is when the schedule was made or enabled: it fires one period later for the first time."""
        anchor = int(anchor_s)
        return anchor + max(1, int((after_s - anchor) // self.period_s) + 1) * self.period_s


@dataclass(frozen=True, slots=True)
class Cron:
    """Sorted values of each field; exactly one of `monthdays` and `weekdays` is empty (`?`)."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    monthdays: tuple[str, ...]
    months: tuple[int, ...]
    weekdays: tuple[str, ...]
    years: tuple[int, ...]

    def next_after(self, after_s: float, anchor_s: float = 0) -> int | None:
        """The anchor is of no meaning here. Bounded: a few hundred years of months at most."""
        start = datetime.fromtimestamp(after_s // 60 * 60, UTC) + timedelta(minutes=1)
        for year in self.years[bisect_left(self.years, start.year) :]:
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in self.days(year, month):
                    found = self._within(year, month, day, start)
                    if found is not None:
                        return int(found.timestamp())
        return None

    def _within(self, year: int, month: int, day: int, start: datetime) -> datetime | None:
        today = (year, month, day)
        if today < (start.year, start.month, start.day):
            return None
        if today > (start.year, start.month, start.day):
            return datetime(year, month, day, self.hours[0], self.minutes[0], tzinfo=UTC)
        for hour in self.hours[bisect_left(self.hours, start.hour) :]:
            minute = bisect_left(self.minutes, start.minute) if hour == start.hour else 0
            if minute < len(self.minutes):
                return datetime(year, month, day, hour, self.minutes[minute], tzinfo=UTC)
        return None

    def days(self, year: int, month: int) -> tuple[int, ...]:
        """The days of that month on which it fires, ascending."""
        return _days_of(self.monthdays, self.weekdays, year, month)


Schedule = Rate | Cron


def parse(expression: str) -> Schedule:
    """Raises ValidationFailed."""
    if len(expression) > EXPRESSION_CHARS_MAX:
        raise ValidationFailed(REFUSAL)
    if match := re.fullmatch(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)(s?)\)", expression):
        count = int(match[1])
        if (count == 1) == bool(match[3]):
            raise ValidationFailed(REFUSAL)
        return Rate(count * _UNITS_S[match[2]])
    match = re.fullmatch(r"cron\((.*)\)", expression, re.ASCII)
    fields = match[1].upper().split() if match else []
    if len(fields) != 6:
        raise ValidationFailed(REFUSAL)
    minute, hour, monthday, month, weekday, year = fields
    if (monthday == "?") == (weekday == "?"):
        raise ValidationFailed(REFUSAL)
    return Cron(
        minutes=_numbers(minute, 0, 59, {}),
        hours=_numbers(hour, 0, 23, {}),
        monthdays=() if monthday == "?" else _days(monthday, 1, 31, {}, r"L|LW|([1-9]|[12][0-9]|3[01])W"),
        months=_numbers(month, 1, 12, _MONTHS),
        weekdays=() if weekday == "?" else _days(weekday, 1, 7, _WEEKDAYS, r"L|[1-7]L|[1-7]#[1-5]"),
        years=_numbers(year, YEAR_MIN, YEAR_MAX, {}),
    )


def latest_due(schedule: Schedule, last_s: float, now_s: float, anchor_s: float = 0) -> int | None:
    """The last firing instant in (last_s, now_s], or None: what was missed fires once, not each time.

    A `now_s` before `last_s` (a clock that was set back) gives None. About thirty calls of `next_after`.
    """
    found = schedule.next_after(last_s, anchor_s)
    if found is None or found > now_s:
        return None
    # `next_after(t) <= now` holds up to some t and not beyond it: halve towards that t.
    low, high = found, int(now_s) + 1
    while low < high:
        middle = (low + high) // 2
        later = schedule.next_after(middle, anchor_s)
        if later is not None and later <= now_s:
            found = low = later
        else:
            high = middle
    return found


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _days(field: str, low: int, high: int, names: dict[str, int], special: str) -> tuple[str, ...]:
    """Items that depend on the month (L, W, #) as they are, all others as their numbers."""
    found: set[str] = set()
    for item in field.split(","):
        numbered = item
        for name, number in names.items():
            numbered = re.sub(rf"^{name}(?=L$|#)", str(number), numbered)
        if re.fullmatch(special, numbered):
            found.add(numbered)
        else:
            found |= {str(number) for number in _numbers(item, low, high, names)}
    return tuple(sorted(found))


def _numbers(field: str, low: int, high: int, names: dict[str, int]) -> tuple[int, ...]:
    found: set[int] = set()
    for item in field.split(","):
        found |= set(_items(item, low, high, names))
    return tuple(sorted(found))


def _items(item: str, low: int, high: int, names: dict[str, int]) -> Sequence[int]:
    """`*`, `a`, `a-b`, each with `/step`; `a/step` goes on to the end."""
    span, slash, step_text = item.partition("/")
    step = _number(step_text, 1, high, {}) if slash else 1
    if span == "*":
        return range(low, high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _number(first_text, low, high, names)
    last = _number(last_text, low, high, names) if dash else high if slash else first
    if last < first:
        raise ValidationFailed(REFUSAL)
    return range(first, last + 1, step)


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not low <= int(text) <= high:
        raise ValidationFailed(REFUSAL)
    return int(text)


# ── days ────────────────────────────────────────────────────────────────────────────────────────────────────────


# Schedules have the same few kinds of days, and are asked about the present month again and again.
@lru_cache(maxsize=1024)
def _days_of(monthdays: tuple[str, ...], weekdays: tuple[str, ...], year: int, month: int) -> tuple[int, ...]:
    found: set[int] = set()
    for item in monthdays:
        found |= _monthdays(item, year, month)
    for item in weekdays:
        found |= _weekdays(item, year, month)
    return tuple(sorted(found))


def _weekday(year: int, month: int, day: int) -> int:
    """1 is Sunday."""
    return datetime(year, month, day, tzinfo=UTC).isoweekday() % 7 + 1


def _monthdays(item: str, year: int, month: int) -> set[int]:
    last = monthrange(year, month)[1]
    if item == "L":
        return {last}
    day = last if item == "LW" else int(item.removesuffix("W"))
    if day > last:
        return set()
    return {_nearest_weekday(year, month, day, last)} if item.endswith("W") else {day}


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    """Never out of the month: Saturday the 1st is Monday the 3rd, Sunday the last is the Friday before."""
    weekday = _weekday(year, month, day)
    if weekday == 7:
        return day - 1 if day > 1 else day + 2
    if weekday == 1:
        return day + 1 if day < last else day - 2
    return day


def _weekdays(item: str, year: int, month: int) -> set[int]:
    last = monthrange(year, month)[1]
    wanted = 7 if item == "L" else int(item[0])
    days = [day for day in range(1, last + 1) if _weekday(year, month, day) == wanted]
    if item == "L" or item == str(wanted):
        return set(days)
    if item.endswith("L"):
        return {days[-1]}
    return set(days[int(item[2]) - 1 : int(item[2])])
