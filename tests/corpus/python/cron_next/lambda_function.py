from datetime import datetime, timedelta

NAMES = {
    **{n: i for i, n in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)},
    **{n: i for i, n in enumerate("SUN MON TUE WED THU FRI SAT".split())},
}
FIELDS = [("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6)]
ALIASES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}


class CronError(ValueError):
    pass


class Field:
    __slots__ = ("name", "values", "star")

    def __init__(self, name, low, high, text):
        self.name, self.values, self.star = name, set(), text == "*"
        for part in text.split(","):
            body, slash, step = part.partition("/")
            if body == "*":
                start, stop = low, high
            elif "-" in body:
                start, stop = map(self.number, body.split("-", 1))
            else:
                start = self.number(body)
                stop = high if slash else start
            if not (low <= start <= stop <= high):
                raise CronError(f"{name}: {part!r} is not within {low}-{high}")
            self.values.update(range(start, stop + 1, int(step or 1)))

    @staticmethod
    def number(text):
        try:
            return NAMES[text.upper()] if text.isalpha() else int(text)
        except (KeyError, ValueError) as e:
            raise CronError(f"cannot read {text!r}") from e

    def __contains__(self, value):
        return value in self.values

    def __repr__(self):
        return f"Field({self.name}={sorted(self.values)})"


class Cron:
    def __init__(self, text):
        parts = ALIASES.get(text, text).split()
        if len(parts) != 5:
            raise CronError(f"{text!r} has {len(parts)} fields, not 5")
        self.fields = [Field(name, low, high, part) for (name, low, high), part in zip(FIELDS, parts)]

    def day_matches(self, t):
        _, _, day, month, weekday = self.fields
        if t.month not in month:
            return False
        by_day, by_weekday = t.day in day, (t.weekday() + 1) % 7 in weekday
        return (by_day and by_weekday) if day.star or weekday.star else (by_day or by_weekday)

    def after(self, t):
        minute, hour = self.fields[:2]
        t = t.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = t + timedelta(days=366 * 8)
        while t < end:
            if not self.day_matches(t):
                t = t.replace(hour=0, minute=0) + timedelta(days=1)
            elif t.hour not in hour:
                t = t.replace(minute=0) + timedelta(hours=1)
            elif t.minute not in minute:
                t += timedelta(minutes=1)
            else:
                yield t
                t += timedelta(minutes=1)
        raise CronError("never")


def lambda_handler(event, context):
    runs = Cron(event["cron"]).after(datetime.fromisoformat(event["now"]))
    result = [next(runs) for _ in range(event.get("count", 3))]
    return [f"{t:%Y-%m-%d %H:%M} {t:%a}" for t in result]
