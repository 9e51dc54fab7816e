"""Each step takes an iterator and gives one; nothing is held in memory."""
import itertools
import json
from collections import deque


def parse(lines, on_error="raise"):
    for number, line in enumerate(lines, 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if on_error == "skip":
                continue
            raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from error


def only(records, **conditions):
    yield from (r for r in records if all(r.get(k) == v for k, v in conditions.items()))


def derive(records, **columns):
    for record in records:
        yield {**record, **{name: function(record) for name, function in columns.items()}}


def batched(records, n):
    iterator = iter(records)
    while batch := list(itertools.islice(iterator, n)):
        yield batch


def moving_average(values, n):
    window = deque(maxlen=n)
    for value in values:
        window.append(value)
        yield sum(window) / len(window)


def tally():
    """A coroutine of the old kind: send it values, ask it with None."""
    total, count = 0, 0
    while True:
        value = yield total, count
        if value is not None:
            total, count = total + value, count + 1
