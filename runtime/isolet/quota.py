"""What a tenant may have: the table of all limits, what an operator may make of them, and token buckets. Pure.

Laws:
- A tenant has every limit: its default, or what the operator set in its place, in the range that the table gives.
- A bucket lets pass at most `rate · t + burst` in any time t, whatever is asked for and when. What it refuses costs
  nothing of it.
- No bucket takes longer to fill than its present rate needs for all of it, whatever the former one was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import limits
from .errors import InvalidParameter

Number = int | float


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a tenant. `whole`: not a fraction. Its name ends with its unit, or counts what it names."""

    name: str
    default: Number
    least: Number
    most: Number
    meaning: str
    whole: bool = True

    @property
    def unit(self) -> str:
        for end, unit in _UNITS:
            if self.name.endswith(end):
                return unit
        return ""


_UNITS = (
    ("bytes_per_s", "bytes a second"),
    ("_per_s", "a second"),
    ("_per_h", "an hour"),
    ("_bytes", "bytes"),
)

_LOTS = 10**9
_LOTS_OF_BYTES = 10**15
# The slowest rate: one in a thousand seconds.
_RATE_LEAST = 0.001

LIMITS: Mapping[str, Limit] = {
    limit.name: limit
    for limit in (
        Limit("concurrency", limits.CONCURRENCY_TENANT_MAX, 0, _LOTS, "invocations that run at a time; 0 stops all"),
        Limit("requests_per_s", limits.REQUESTS_TENANT_PER_S, _RATE_LEAST, _LOTS, "invocations that begin", False),
        Limit("requests_burst", limits.REQUESTS_TENANT_BURST, 1, _LOTS, "invocations that begin at once"),
        Limit("events", limits.EVENTS_TENANT_MAX, 0, _LOTS, "asynchronous events that wait or are under way"),
        Limit("events_bytes", limits.EVENTS_TENANT_BYTES_MAX, 0, _LOTS_OF_BYTES, "bodies of these events"),
        Limit("log_bytes_per_s", limits.LOG_TENANT_BYTES_PER_S, 1, _LOTS_OF_BYTES, "lines that functions write"),
        Limit("log_burst_bytes", limits.LOG_TENANT_BURST_BYTES, 1, _LOTS_OF_BYTES, "lines that they write at once"),
        Limit("log_stored_bytes", limits.LOG_TENANT_STORED_BYTES_MAX, 0, _LOTS_OF_BYTES, "lines that are kept"),
        Limit("calls_per_s", limits.CALLS_TENANT_PER_S, _RATE_LEAST, _LOTS, "other calls of the APIs", False),
        Limit("builds_at_once", limits.BUILDS_AT_ONCE, 1, 1_000, "builds under way; more wait"),
        Limit("builds_waiting", limits.BUILDS_TENANT_WAITING_MAX, 0, _LOTS, "builds that wait for their turn"),
        Limit("builds_per_h", limits.BUILDS_TENANT_PER_H, 1, _LOTS, "builds that begin, and as many at once"),
        Limit("kv_entries", limits.KV_TENANT_ENTRIES_MAX, 0, _LOTS, "entries of kv, in all namespaces"),
        Limit("kv_bytes", limits.KV_TENANT_BYTES_MAX, 0, _LOTS_OF_BYTES, "keys and values in kv"),
        Limit("fetches_at_once", limits.FETCH_TENANT_CALLS_MAX, 1, 10_000, "requests to the outside; more wait"),
        Limit("fetches_per_s", limits.FETCH_TENANT_PER_S, 1, _LOTS, "requests to the outside that begin, and at once"),
        Limit("secrets", limits.SECRETS_MAX, 0, _LOTS, "secrets"),
        Limit("functions", limits.FUNCTIONS_TENANT_MAX, 0, _LOTS, "functions"),
        Limit("versions", limits.VERSIONS_TENANT_MAX, 0, _LOTS, "published versions of all functions"),
        Limit("layers", limits.LAYERS_TENANT_MAX, 0, _LOTS, "versions of all layers"),
        Limit("code_bytes", limits.CODE_TENANT_BYTES_MAX, 0, _LOTS_OF_BYTES, "packages of all of these"),
        Limit("schedules", limits.SCHEDULES_TENANT_MAX, 0, _LOTS, "rules that fire by the clock"),
    )
}

# What workers hold their tenants to; the keeper looks after the others.
OF_WORKERS = ("concurrency", "requests_per_s", "requests_burst", "log_bytes_per_s", "log_burst_bytes")

DEFAULTS: Mapping[str, Number] = {name: limit.default for name, limit in LIMITS.items()}


def merged(overrides: Mapping[str, Number]) -> dict[str, Number]:
    """All limits of a tenant. What the table does not know (a newer server set it) does not count."""
    return {name: overrides.get(name, default) for name, default in DEFAULTS.items()}


class Quotas:
    """Whom the parts of a keeper ask what a tenant may have. This one knows no overrides (bounds.py does)."""

    def value(self, account: str, name: str) -> Number:
        return DEFAULTS[name]

    def refuse(self, account: str, name: str, count: int = 1) -> None:
        """Takes note of what was refused for this limit."""

    def require_slot(self, account: str) -> None:
        """Before a tenant deploys something. Raises LimitExceeded: workers cannot count one more."""


BY_DEFAULT = Quotas()


def attempts_share(concurrency: int) -> int:
    """Attempts at asynchronous events that a tenant may have under way: three quarters of what it may run at a time, so
    that its callers find room beside its queue; but one in any case, since nothing else ends what is queued."""
    return max(1, concurrency * 3 // 4)


# ── what an operator writes ─────────────────────────────────────────────────────────────────────────────────────

_SIZES = {"": 1, "kib": limits.KIB, "mib": limits.MIB, "gib": limits.GIB, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_NUMBER = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?) ?([A-Za-z]*)", re.ASCII)


def named(name: str) -> Limit:
    """Raises InvalidParameter, with the name that may have been meant."""
    limit = LIMITS.get(name)
    if limit is None:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), LIMITS, 1, 0.5)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(LIMITS)}"
        raise InvalidParameter(f"there is no limit {name[:64]!r}; {cure}")
    return limit


def parsed(name: str, text: str) -> Number:
    """The value that `text` says: a number, of bytes also as in 64MiB. Raises InvalidParameter."""
    limit = named(name)
    found = _NUMBER.fullmatch(text.strip())
    sizes = _SIZES if "bytes" in name else {"": 1}
    if found is None or found[2].lower() not in sizes:
        example = "64MiB" if "bytes" in name else f"{limit.default}"
        raise InvalidParameter(f"{name}: {text[:64]!r} is no number; write one, such as {name}={example}")
    value = float(found[1].replace("_", "").replace(",", "")) * sizes[found[2].lower()]
    return checked(limit, int(value) if value.is_integer() else value)


def checked(limit: Limit, value: Number) -> Number:
    """Raises InvalidParameter if the limit cannot have this value."""
    if not limit.least <= value <= limit.most:
        raise InvalidParameter(
            f"{limit.name} is between {limit.least:,} and {limit.most:,}, and cannot be {value:,}; write another"
        )
    if limit.whole and value != int(value):
        raise InvalidParameter(f"{limit.name} counts whole ones, and cannot be {value:,}; write {int(value):,}")
    return value


def changed(overrides: Mapping[str, Number], values: Mapping[str, str]) -> dict[str, Number]:
    """The overrides with these values, as they were written, in place of what they were. Raises InvalidParameter."""
    return dict(overrides) | {name: parsed(name, text) for name, text in values.items()}


def without(overrides: Mapping[str, Number], names: Iterable[str]) -> dict[str, Number]:
    """The overrides without these, or without any if none is named. Raises InvalidParameter."""
    gone = {named(name).name for name in names} or set(overrides)
    return {name: value for name, value in overrides.items() if name not in gone}


# ── token buckets ───────────────────────────────────────────────────────────────────────────────────────────────


# Of a token: what sums of small times lose is not to cost anybody one.
_ROUNDING = 1e-6


def level(full_s: float, now_s: float, rate: float, burst: float) -> float:
    """What is in a bucket that will be full at `full_s` if nothing is taken. It is one number, which many may share."""
    return max(0.0, burst - max(0.0, full_s - now_s) * rate)


def take(full_s: float, now_s: float, rate: float, burst: float, wanted: int) -> tuple[int, float]:
    """(how many of `wanted` there are, when the bucket will be full then)."""
    # Not later than one that is empty now: a slower rate, or a larger burst, may have said so.
    full_s = min(max(full_s, now_s), now_s + burst / rate)
    taken = max(0, min(wanted, int(level(full_s, now_s, rate, burst) + _ROUNDING)))
    return taken, full_s + taken / rate


def wait_s(full_s: float, now_s: float, rate: float, burst: float, wanted: int = 1) -> float:
    """Until `wanted` are there."""
    return max(0.0, wanted - level(full_s, now_s, rate, burst)) / rate


class Bucket:
    """One process's own. Times are seconds of a monotonic clock, given by the caller. One whose rate or size is another
    than before begins anew, full."""

    __slots__ = ("_of", "full_s")

    def __init__(self) -> None:
        self.full_s = 0.0
        self._of: tuple[float, float] | None = None

    def take(self, now_s: float, rate: float, burst: float) -> bool:
        """Takes one, if there is one."""
        if self._of != (rate, burst):
            self._of, self.full_s = (rate, burst), 0.0
        taken, self.full_s = take(self.full_s, now_s, rate, burst, 1)
        return taken == 1
