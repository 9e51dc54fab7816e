"""What invocations leave behind, as it crosses the link and lies in the database. Pure.

A worker packs each invocation as one record, and many records of one function and hour as one batch: their sums for
the ledger and the metrics, and their records as one blob of consecutive msgpack values, which the keeper stores without
looking inside. So 20,000 invocations a second cost the keeper some twenty rows. Lines are made when somebody reads.

Laws:
- Sums are integers: whatever the order and the batching, the totals are the same.
- What a function's errors say is the tenant's: cut before it is stored, and never a label or a key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgpack

from . import errors, limits, report
from .errors import GuestError, IsoletError, Raised, printable
from .model import Usage

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


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Line(NamedTuple):
    ms: int
    text: str


def lines_of(record: Record, version: str, memory_mb: int, step_ms: int) -> list[Line]:
    """What Lambda would have written about this invocation, with the time of each line."""
    usage = Usage(record.duration_ns, record.cpu_ns, record.restore_ns, record.fuel, record.memory_bytes, 0, 0)
    error = None if record.failure is None else _error_of(record.failure)
    lines = [Line(record.started_ms, report.start_line(record.request_id, version))]
    lines += [Line(ms, text.decode("utf-8", "replace")) for _, ms, text in record.entries]
    if record.entries_dropped:
        kib = limits.LOG_INVOCATION_BYTES_MAX // limits.KIB
        dropped = f"{record.entries_dropped} log lines dropped: an invocation may write {kib} KiB"
        lines.append(Line(record.ended_ms, dropped))
    if error is not None:
        lines.append(Line(record.ended_ms, error_line(record.request_id, error)))
    lines.append(Line(record.ended_ms, report.end_line(record.request_id)))
    memory_bytes = memory_mb * limits.MIB
    lines.append(Line(record.ended_ms, report.report_line(record.request_id, usage, memory_bytes, error, step_ms)))
    return lines


def error_line(request_id: str, error: IsoletError) -> str:
    """Why an invocation failed: without it, nobody learns what an asynchronous one died of."""
    kind = error.error_type if isinstance(error, GuestError) else error.name
    said = error.message.removeprefix(f"RequestId: {request_id} Error: ")
    return printable(f"[ERROR] RequestId: {request_id} {kind}: {said}")


def _error_of(failure: Failure) -> IsoletError:
    """An error of the same class, with what was kept of its words."""
    name, kind, message = failure
    cls = getattr(errors, name, None)
    if cls is Raised or not isinstance(cls, type) or not issubclass(cls, IsoletError):
        return Raised(kind, message)
    error: IsoletError = cls.__new__(cls)
    error.message = message
    error.args = (message,)
    return error


def stream_name(ms: int, version: str, worker: str) -> str:
    """The log stream that a line written at `ms` belongs to: one a worker, version and day. Lambda's form."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime(ms / 1000))}/[{version}]{worker}"
