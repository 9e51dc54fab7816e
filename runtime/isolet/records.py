"""What invocations leave behind, as it crosses the link and lies in the database. Pure.

A worker packs each invocation as one record, and many records of one function and hour as one batch: their sums for
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

from .errors import GuestError

HOUR_S = 3_600
HOUR_MS = HOUR_S * 1000
DAY_MS = 24 * HOUR_MS

# Upper bounds of the histograms' buckets; one more bucket holds what is beyond. A duration is between a restore (20 µs)
# and Lambda's longest timeout; restores are between 5 µs and the 10 ms of an image that is copied.
_MS = 1_000_000
DURATION_BOUNDS_NS = (
    *(50_000, 100_000, 200_000, 500_000),
    *(_MS * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000, 900_000)),
)
RESTORE_BOUNDS_NS = tuple(1_000 * n for n in (5, 10, 15, 20, 30, 50, 100, 200, 500, 1_000, 5_000, 10_000, 50_000))

# Of an error's type and message, what the log keeps: for people; its caller got all of it.
ERROR_TYPE_CHARS_MAX = 128
ERROR_MESSAGE_CHARS_MAX = 1_024

# (class, errorType, message); None for a success.
Failure = tuple[str, str, str]
Entry = tuple[int, int, bytes]  # (level, Unix ms, text), of hostcalls/log.py


def failure_of(error: Exception) -> Failure:
    kind = error.error_type if isinstance(error, GuestError) else getattr(error, "name", "ServiceException")
    return type(error).__name__, kind[:ERROR_TYPE_CHARS_MAX], str(error)[:ERROR_MESSAGE_CHARS_MAX]


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


class Batch(NamedTuple):
    """The invocations of one function version within one hour that left a worker together."""

    tenant: str
    name: str
    version: str
    memory_mb: int
    hour: int  # Unix time / 3,600: of the ends of its invocations
    totals: Totals
    errors: dict[str, int]  # class of ours → how many
    durations: list[int]  # counts by DURATION_BOUNDS_NS
    restores: list[int]  # counts by RESTORE_BOUNDS_NS
    restore_ns: int
    records_dropped: int  # invocations whose lines found no room in the worker
    first_ms: int
    last_ms: int
    records: bytes  # Records, packed one after the other; empty when all were dropped

    def to_plain(self) -> list[Any]:
        return list(self)

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Batch:
        """Raises TypeError or ValueError when it is not a batch."""
        batch = cls._make(plain)
        return batch._replace(totals=Totals._make(batch.totals))


def unpack_records(blob: bytes) -> Iterator[Record]:
    unpacker = msgpack.Unpacker(None, raw=False, use_list=False, max_buffer_size=max(len(blob), 1))
    unpacker.feed(blob)
    for fields in unpacker:
        yield Record._make(fields)
