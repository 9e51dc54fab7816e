"""counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back
only if nobody did since it was read, or else it is read again."""

import isolet

ATTEMPTS = 16
NAME_CHARS_MAX = 64

counters = isolet.kv("counters")


class InvalidEvent(Exception):
    pass


class NotACounter(Exception):
    pass


class Contended(Exception):
    pass


def lambda_handler(event, context):
    name, by = event.get("name"), event.get("by", 1)
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARS_MAX:
        raise InvalidEvent(f"`name` must be a string of 1 to {NAME_CHARS_MAX} characters")
    if not isinstance(by, int):
        raise InvalidEvent("`by` must be an integer")
    for _ in range(ATTEMPTS):
        try:
            return {"name": name, "value": add(name, by)}
        except isolet.Conflict:
            continue
    raise Contended(f"{name}: {ATTEMPTS} attempts, and another writer was first each time")


def add(name, by):
    entry = counters.get(name)
    try:
        value = int(entry.value) if entry else 0
    except ValueError:
        raise NotACounter(f"{name} holds no number") from None
    counters.put(name, str(value + by).encode(), if_version=entry.version if entry else 0)
    return value + by
