"""What a worker remembers of its invocations until the keeper has it: appended by `record`, folded, sent in batches.

    record ─→ raw tuples ─(256, or 0.1 s)→ fold: sums and packed records per function and minute ─→ flush: one message

Laws:
- `record` appends a tuple and returns. What costs something happens in `fold`, 256 at a time.
- Usage is never lost while the worker lives: each message is sent until it is acknowledged, one at a time, numbered,
  and the keeper takes each number once. While no keeper answers, sums grow in place and records beyond the bounds are
  dropped and counted; a function that floods drops its own first.
- Nothing of the database is imported here: what leaves is plain values.

A worker's counters leave as differences, with its batches, and the keeper adds them up. So a worker that dies takes
nothing out of a counter that was scraped, and one that starts does not begin at zero.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import msgpack

from . import limits
from .errors import GuestError, IsoletError, Throttled
from .json_log import application_level, kept
from .model import Invocation, Logging, Outcome, Target, Usage
from .records import MEASURES, MINUTE_S, Batch, Entry, Failure, Totals, failure_of
from .samples import BOUNDS, Samples

logger = logging.getLogger("isolet.recorder")

_NS_PER_MS = 1_000_000

# Sends one numbered message and returns when it is committed. Raises HostError while there is no keeper.
Send = Callable[[int, list[Any]], Awaitable[None]]
# The limit that log lines are dropped for.
LOG_RATE = "log_bytes_per_s"
# What `record` appends.
_Raw = tuple[float, Target, str, Usage, tuple[Entry, ...], int, Failure | None, bool, str, int]
_Key = tuple[str, str, str, str, int, int, Logging]


class _Pending:
    """What waits of one function version and minute."""

    __slots__ = (
        *("chunks", "dropped", "durations", "errors", "first_ms", "highs", "last_ms", "limited", "lows", "restores"),
        *("running", "size", "sums"),
    )

    def __init__(self) -> None:
        # As in Totals, and restore_ns behind them.
        self.sums = [0] * (len(Totals._fields) + 1)
        # By MEASURES.
        self.lows = [2**62] * len(MEASURES)
        self.highs = [0] * len(MEASURES)
        self.errors: dict[str, int] = {}
        # By limit: what was refused for it.
        self.limited: dict[str, int] = {}
        # Bucket of BOUNDS → how many.
        self.durations: dict[int, int] = {}
        self.restores: dict[int, int] = {}
        self.running = 0
        self.first_ms = 2**62
        self.last_ms = 0
        self.dropped = 0
        self.chunks: list[bytes] = []
        self.size = 0

    def batch(self, key: _Key) -> Batch:
        tenant, name, qualifier, version, memory_mb, minute, logging = key
        *sums, restore_ns = self.sums
        totals = Totals._make(sums)
        return Batch(
            tenant,
            name,
            qualifier,
            version,
            memory_mb,
            minute,
            totals,
            self.errors,
            self._samples(totals, restore_ns),
            self.running,
            self.dropped,
            min(self.first_ms, self.last_ms),
            self.last_ms,
            b"".join(self.chunks),
            logging,
            self.limited,
        )

    def _samples(self, totals: Totals, restore_ns: int) -> dict[str, Samples]:
        count = totals.invocations
        if not count:
            return {}
        sums = (totals.duration_ns, restore_ns, totals.billed_ms, totals.cpu_ns, totals.fuel)
        spreads: tuple[dict[int, int], ...] = (self.durations, self.restores, {}, {}, {})
        rows = zip(MEASURES, sums, self.lows, self.highs, spreads, strict=True)
        return {measure: Samples(count, total, low, high, spread) for measure, total, low, high, spread in rows}


def _grouped(raw: Sequence[_Raw]) -> Iterable[Sequence[_Raw]]:
    """The rows by target and minute."""
    # A target is known by its identity: a row keeps it alive. Mostly there is one, and one minute.
    if len(set(map(id, map(_TARGET, raw)))) == 1 and len({int(row[0] // MINUTE_S) for row in (raw[0], raw[-1])}) == 1:
        return (raw,)
    groups: dict[tuple[int, int], list[_Raw]] = {}
    for row in raw:
        groups.setdefault((id(row[1]), int(row[0] // MINUTE_S)), []).append(row)
    return groups.values()


def _count_into(spread: dict[int, int], values_ns: Iterable[int]) -> None:
    """Adds values to the buckets of BOUNDS in which they fall."""
    for bucket, count in Counter(map(_bucket, values_ns)).items():
        spread[bucket] = spread.get(bucket, 0) + count


_TARGET = itemgetter(1)
_bucket = partial(bisect_left, BOUNDS)


class Recorder:
    """One worker's. For the event loop's thread."""

    def __init__(self, send: Send, billing_step_ms: int = 1) -> None:
        self._send = send
        self._step_ms = billing_step_ms
        self._step_ns = billing_step_ms * _NS_PER_MS
        self._raw: list[_Raw] = []
        self._raw_bytes = 0
        self._pending: dict[_Key, _Pending] = {}
        self._pending_bytes = 0
        self._pending_records = 0
        # The message under way and its number: the same again until it is acknowledged.
        self._sequence = 0
        self._message: list[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._pack = msgpack.Packer(use_bin_type=True).pack
        # Records whose lines were dropped, ever.
        self.dropped = 0

    # ── on the path of an invocation ────────────────────────────────────────────────────────────────────────────

    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float, running: int = 1) -> None:
        """Takes note of an invocation that has ended, one of `running` of its function. Keeps neither its event nor its
        value.

        Between the moment of the most and the next end no other began: looking at each end finds it.
        """
        error, logs = outcome.error, outcome.logs
        failure, billed = None, True
        if error is not None:
            failure, billed = failure_of(error), isinstance(error, GuestError)
        raw = self._raw
        raw.append(
            (
                ended_s,
                invocation.target,
                invocation.request_id,
                outcome.usage,
                logs,
                outcome.logs_dropped,
                failure,
                billed,
                invocation.trace_id,
                running,
            )
        )
        if logs:
            self._raw_bytes += sum([len(entry[2]) for entry in logs])
        if len(raw) >= limits.RECORDS_FOLD or self._raw_bytes >= limits.RECORDS_FOLD_BYTES:
            self.fold()
        elif self._timer is None:
            self._arm(limits.RECORD_FLUSH_S)

    def refuse(self, target: Target, error: IsoletError, now_s: float) -> None:
        """Takes note of an invocation that admission refused: it did not run, and has no lines."""
        pending = self._of(target, int(now_s // MINUTE_S))
        if isinstance(error, Throttled):
            pending.sums[_THROTTLES] += 1
            if error.limit:
                pending.limited[error.limit] = pending.limited.get(error.limit, 0) + 1
        kind = type(error).__name__
        pending.errors[kind] = pending.errors.get(kind, 0) + 1
        if self._timer is None:
            self._arm(limits.RECORD_FLUSH_S)

    def drop_lines(self, target: Target, count: int) -> None:
        """Takes note of log lines that the tenant's rate had no room for; their invocation is recorded as any."""
        pending = self._of(target, int(time.time() // MINUTE_S))
        pending.limited[LOG_RATE] = pending.limited.get(LOG_RATE, 0) + count
        if self._timer is None:
            self._arm(limits.RECORD_FLUSH_S)

    # ── folding ─────────────────────────────────────────────────────────────────────────────────────────────────

    def fold(self) -> None:
        """Turns what was appended into sums and packed records."""
        raw, self._raw, self._raw_bytes = self._raw, [], 0
        for rows in _grouped(raw):
            self._fold_into(self._of(rows[0][1], int(rows[0][0] // MINUTE_S)), rows)
        if raw and self._timer is None:
            self._arm(limits.RECORD_FLUSH_S)

    def _of(self, target: Target, minute: int) -> _Pending:
        memory_mb = target.memory_bytes // limits.MIB
        key = (target.tenant, target.name, target.qualifier, target.version, memory_mb, minute, target.logging)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending()
        return pending

    def _fold_into(self, pending: _Pending, rows: Sequence[_Raw]) -> None:
        # By columns, whose loops are C's: 30 bytecodes a record in place of 140.
        ended_s, targets, ids, usages, entries, dropped, failures, billed, traces, running = zip(*rows, strict=True)
        durations, cpus, restores, fuel, memory, _, _ = zip(*usages, strict=True)
        target = targets[0]
        memory_mb, level = target.memory_bytes // limits.MIB, application_level(target.logging)
        ended_ms = [int(second * 1000) for second in ended_s]
        # Rounded away from its lines: no line is before START.
        started_ms = [end + -duration // _NS_PER_MS for end, duration in zip(ended_ms, durations, strict=True)]
        step_ms, step_ns = self._step_ms, self._step_ns
        # price.billed_ms, in place
        billed_ms = [
            -(-duration // step_ns) * step_ms * is_billed for duration, is_billed in zip(durations, billed, strict=True)
        ]
        failed = [failure for failure in failures if failure is not None]
        for failure in failed:
            pending.errors[failure[0]] = pending.errors.get(failure[0], 0) + 1
        _count_into(pending.durations, durations)
        _count_into(pending.restores, restores)
        pending.running = max(pending.running, *running)
        pending.first_ms = min(pending.first_ms, *started_ms)
        pending.last_ms = max(pending.last_ms, *ended_ms)
        measured = (durations, restores, billed_ms, cpus, fuel)
        duration_sum, restore_sum, billed_sum, cpu_sum, fuel_sum = map(sum, measured)
        pending.lows = list(map(min, pending.lows, map(min, measured)))
        pending.highs = list(map(max, pending.highs, map(max, measured)))
        added = (
            *(len(rows), len(failed), 0, duration_sum, billed_sum, cpu_sum, fuel_sum),
            *(billed_sum * memory_mb, restore_sum),
        )
        pending.sums = [old + new for old, new in zip(pending.sums, added, strict=True)]
        if level:
            entries = tuple([kept(lines, level) if lines else lines for lines in entries])
        # A Record's fields, in their order.
        fields = (
            *(ids, started_ms, ended_ms, durations, restores, cpus, fuel, memory),
            *(failures, entries, dropped, traces),
        )
        self._keep(pending, list(map(self._pack, zip(*fields, strict=True))))

    def _keep(self, pending: _Pending, packed: list[bytes]) -> None:
        """Adds packed records to what waits, as far as there is room."""
        chunk = b"".join(packed)
        if not self._has_room(pending, len(packed), len(chunk)):
            packed = self._fitting(pending, packed)
            chunk = b"".join(packed)
        if packed:
            pending.chunks.append(chunk)
            pending.size += len(chunk)
            self._pending_bytes += len(chunk)
            self._pending_records += len(packed)

    def _has_room(self, pending: _Pending, count: int, size: int) -> bool:
        return (
            self._pending_records + count <= limits.RECORDS_PENDING_MAX
            and self._pending_bytes + size <= limits.RECORDS_PENDING_BYTES_MAX
            and pending.size + size <= limits.RECORDS_FUNCTION_BYTES_MAX
        )

    def _fitting(self, pending: _Pending, packed: list[bytes]) -> list[bytes]:
        """The first of the records that still fit; the others are counted as dropped."""
        size = 0
        for count, record in enumerate(packed):
            size += len(record)
            if not self._has_room(pending, count + 1, size):
                pending.dropped += len(packed) - count
                self.dropped += len(packed) - count
                return packed[:count]
        return packed

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def flush(self) -> None:
        """Returns when everything that was recorded before is committed. Raises HostError if there is no keeper."""
        while self._raw or self._pending or self._message is not None:
            await self._send_next()

    async def close(self) -> None:
        """`flush` for the end of a worker: what cannot be sent is said in our log."""
        self._disarm()
        try:
            await self.flush()
        except IsoletError as reason:
            lost = sum(pending.sums[0] for pending in self._pending.values()) + len(self._raw)
            logger.error("no keeper takes the records of at least %d invocations: %s", lost, reason)
        self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        wait_s = limits.RECORD_FLUSH_S
        try:
            await self._send_next()
        except IsoletError as reason:
            logger.debug("records wait: %s", reason)
            wait_s = limits.LINK_RETRY_S_MAX
        finally:
            self._sending = None
        if self._timer is None and (self._raw or self._pending or self._message is not None):
            self._arm(wait_s)

    async def _send_next(self) -> None:
        """Sends the message under way, or else the next one."""
        async with self._one_at_a_time:
            if self._message is None:
                self.fold()
                self._message = self._next_message()
            if self._message is not None:
                await self._send(self._sequence, self._message)
                self._message = None

    def _next_message(self) -> list[Any] | None:
        if not self._pending:
            return None
        waiting, self._pending = self._pending, {}
        self._pending_bytes = self._pending_records = 0
        self._sequence += 1
        return [pending.batch(key).to_plain() for key, pending in waiting.items()]


_THROTTLES = Totals._fields.index("throttles")
