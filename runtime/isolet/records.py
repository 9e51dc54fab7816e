"""What invocations leave behind, as it crosses the link and lies in the database. Pure.

A worker packs each invocation as one record, and many records of one function and minute as one batch: their sums for
the ledger and the metrics, and their records as one blob of consecutive msgpack values, which the keeper stores without
looking inside. So 20,000 invocations a second cost the keeper some twenty rows. Lines are made when somebody reads them
(log_lines.py).

Laws:
- Sums are integers: whatever the order and the batching, the totals are the same.
- What a function's errors say is the tenant's: cut before it is stored, and never a label or a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from .errors import GuestError, Raised
from .model import Logging
from .samples import Samples

MINUTE_S = 60
HOUR_S = 3_600
MINUTES_OF_HOUR = HOUR_S // MINUTE_S

# What is measured of each invocation, by the names that its metrics have; times in nanoseconds but for billed
# milliseconds. Of the first two the spread is kept.
MEASURES = ("Duration", "RestoreDuration", "BilledDuration", "CpuTime", "FuelUsed")

# Of an error's type and message, what the log keeps: for people; its caller got all of it.
ERROR_TYPE_CHARS_MAX = 128
ERROR_MESSAGE_CHARS_MAX = 1_024

# Lines of a stack, and characters of each.
STACK_LINES_MAX = 32
STACK_LINE_CHARS_MAX = 256

# (class, errorType, message, stack). Failures of before the stack was kept have three.
Failure = tuple[str, str, str, tuple[str, ...]]
Entry = tuple[int, int, bytes]  # (level, Unix ms, text), of hostcalls/log.py


def failure_of(error: Exception) -> Failure:
    kind = error.error_type if isinstance(error, GuestError) else getattr(error, "name", "ServiceException")
    stack = error.stack if isinstance(error, Raised) else ()
    return (
        type(error).__name__,
        kind[:ERROR_TYPE_CHARS_MAX],
        str(error)[:ERROR_MESSAGE_CHARS_MAX],
        tuple(line[:STACK_LINE_CHARS_MAX] for line in stack[:STACK_LINES_MAX]),
    )


class Totals(NamedTuple):
    """Sums over invocations: a row of the ledger."""

    invocations: int = 0  # that ran, however they ended
    errors: int = 0
    throttles: int = 0  # refused by admission; never ran
    duration_ns: int = 0
    billed_ms: int = 0
    cpu_ns: int = 0
    fuel: int = 0
    # Memory that the function was given × billed time: 1,024,000 of it are a GB-second.
    mb_ms: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals._make(map(sum, zip(self, other, strict=True)))


class UsageRow(NamedTuple):
    """What one function used in one hour."""

    tenant: str
    name: str
    hour: int  # Unix time / 3,600
    totals: Totals
    errors: Mapping[str, int]  # by class


class Record(NamedTuple):
    """One invocation in a log segment."""

    request_id: str
    started_ms: int
    ended_ms: int
    duration_ns: int
    restore_ns: int
    cpu_ns: int
    fuel: int
    memory_bytes: int
    failure: Failure | None
    entries: Sequence[Entry]
    entries_dropped: int
    # The trace that the invocation is part of, as its caller said it: X-Ray's header, or a `traceparent`. Records of
    # before it was kept end above.
    trace: str = ""


class Batch(NamedTuple):
    """The invocations of one function version within one minute that left a worker together."""

    tenant: str
    name: str
    qualifier: str  # by which name it was asked for: an alias, a version, or ""
    version: str  # that ran
    memory_mb: int
    minute: int  # Unix time / 60: of the ends of its invocations
    totals: Totals = Totals()
    errors: Mapping[str, int] = {}  # class of ours → how many
    samples: Mapping[str, Samples] = {}  # by MEASURES
    running: int = 0  # the most invocations of the function, under all its names, that this worker ran at once
    records_dropped: int = 0  # invocations whose lines found no room in the worker
    first_ms: int = 0
    last_ms: int = 0
    records: bytes = b""  # Records, packed one after the other; empty when all were dropped
    logging: Logging = Logging()  # as it was in force
    limited: Mapping[str, int] = {}  # by the tenant's limit: invocations refused for it, lines dropped

    @property
    def hour(self) -> int:
        return self.minute // MINUTES_OF_HOUR

    def to_plain(self) -> list[Any]:
        said = self.logging
        plain: dict[str, Any] = self._asdict()
        plain["samples"] = {measure: samples.to_plain() for measure, samples in self.samples.items()}
        plain["logging"] = [said.format, said.application_level, said.system_level, said.group]
        return list(plain.values())

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Batch:
        """Raises TypeError or ValueError when it is not a batch."""
        fields: dict[str, Any] = dict(zip(cls._fields, plain, strict=True))
        fields["totals"] = Totals._make(fields["totals"])
        fields["samples"] = {measure: Samples.from_plain(samples) for measure, samples in fields["samples"].items()}
        fields["logging"] = Logging(*fields["logging"])
        return cls(**fields)


def unpack_records(blob: bytes) -> Iterator[Record]:
    unpacker = msgpack.Unpacker(None, raw=False, use_list=False, max_buffer_size=max(len(blob), 1))
    unpacker.feed(blob)
    for fields in unpacker:
        yield Record(*fields)
