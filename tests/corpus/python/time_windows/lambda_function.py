"""Which calendar windows a set of moments falls into. UTC and fixed offsets only: no zone database is needed."""
import calendar
from collections import defaultdict
from datetime import date, datetime, time, timedelta, timezone


def parse(text):
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return moment


def quarter(day):
    return f"{day.year}-Q{(day.month + 2) // 3}"


WINDOWS = {
    "hour": lambda m: m.replace(minute=0, second=0, microsecond=0).isoformat(),
    "day": lambda m: m.date().isoformat(),
    "week": lambda m: "{0}-W{1:02d}".format(*m.isocalendar()),
    "month": lambda m: m.strftime("%Y-%m (%B)"),
    "quarter": lambda m: quarter(m),
}


def business_days(start, end, holidays=()):
    days = (start + timedelta(n) for n in range((end - start).days))
    return sum(1 for day in days if day.weekday() < calendar.SATURDAY and day not in holidays)


def lambda_handler(event, context):
    zone = timezone(timedelta(minutes=event.get("offset", 0)))
    moments = sorted(parse(text).astimezone(zone) for text in event["moments"])
    window = WINDOWS[event["window"]]
    counts = defaultdict(int)
    for moment in moments:
        counts[window(moment)] += 1
    gaps = [b - a for a, b in zip(moments, moments[1:])]
    first, last = moments[0], moments[-1]
    midnight = datetime.combine(last.date() + timedelta(days=1), time.min, zone)
    return {
        "counts": counts,
        "longest_gap": str(max(gaps, default=timedelta())),
        "gap_seconds": [g.total_seconds() for g in gaps],
        "business_days": business_days(first.date(), last.date() + timedelta(days=1), {date.fromisoformat(h) for h in event.get("holidays", [])}),
        "until_midnight": str(midnight - last),
        "month_ends": calendar.monthrange(last.year, last.month)[1],
        "zone": str(zone),
        "epoch": last.timestamp(),
        "http": last.astimezone(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "ordinal": last.strftime("day %j of %y, week %U, %I %p"),
    }
