"""When a meeting is, for everybody: recurrence rules, time zones with their changes, a table for the mail."""
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil import parser, relativedelta, rrule
from dateutil.easter import easter
from tabulate import tabulate


def shown(moment, zone):
    local = moment.astimezone(zone)
    return f"{local:%a %d %b %H:%M} {local.tzname()}{'*' if local.dst() else ''}"


def lambda_handler(event, context):
    home = ZoneInfo(event["zone"])
    start = parser.parse(event["start"], dayfirst=event.get("dayfirst", False))
    rule = rrule.rrulestr(event["rule"], dtstart=start)
    holidays = {easter(year) + timedelta(days=1) for year in range(start.year, start.year + 3)}
    rows, guests = [], {}
    for name, key in event.get("guests", {}).items():
        try:
            guests[name] = ZoneInfo(key)
        except ZoneInfoNotFoundError as error:
            guests[name] = timezone.utc
            rows.append([name, str(error)])
    for occurrence in rule[:event.get("count", 4)]:
        if occurrence.date() in holidays:
            continue
        moment = occurrence.replace(tzinfo=home)
        rows.append([shown(moment, home), *(shown(moment, zone) for zone in guests.values())])
    age = relativedelta.relativedelta(rule[-1] if event.get("until") else start + timedelta(days=400), start)
    return {
        "table": tabulate(rows, headers=[event["zone"], *guests], tablefmt=event.get("format", "github")),
        "span": repr(age),
        "fold": [datetime(2024, 10, 27, 2, 30, fold=f, tzinfo=ZoneInfo("Europe/Vienna")).utcoffset().total_seconds() for f in (0, 1)],
        "versions": {name: version(name) for name in ("python-dateutil", "tabulate")},
    }
