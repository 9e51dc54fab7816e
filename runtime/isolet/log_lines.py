"""Stored records as the lines that Lambda would have written. Pure."""

from __future__ import annotations

import time
from typing import NamedTuple

from . import abi, errors, json_log, limits, report
from .errors import GuestError, IsoletError, Raised, printable
from .model import Logging, Usage
from .records import Failure, Record

_TEXT = Logging()


class Line(NamedTuple):
    ms: int
    text: str


def lines_of(record: Record, version: str, memory_mb: int, step_ms: int, logging: Logging = _TEXT) -> list[Line]:
    """What Lambda would have written about this invocation, with the time of each line, in the format of `logging`."""
    usage = Usage(record.duration_ns, record.cpu_ns, record.restore_ns, record.fuel, record.memory_bytes, 0, 0)
    error = None if record.failure is None else _error_of(record.failure)
    if json_log.is_json(logging):
        times_ms = (record.started_ms, record.ended_ms)
        of = (logging, record.request_id, version, memory_mb, times_ms, usage)
        told = json_log.lines(*of, record.entries, record.entries_dropped, error, step_ms)
        return [Line(ms, text) for ms, text in told]
    lines = [Line(record.started_ms, report.start_line(record.request_id, version))]
    lines += [Line(ms, text.decode("utf-8", "replace")) for _, ms, text in record.entries]
    if record.entries_dropped:
        dropped = f"{record.entries_dropped} log lines dropped: {json_log.WHY_DROPPED}"
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
    name, kind, message, *stack = failure
    cls = getattr(errors, name, None)
    if cls is Raised or not isinstance(cls, type) or not issubclass(cls, IsoletError):
        return Raised(kind, message, *stack)
    error: IsoletError = cls.__new__(cls)
    error.message = message
    error.args = (message,)
    return error


def group_name(name: str, logging: Logging) -> str:
    """The log group that a function writes to."""
    return logging.group or abi.default_log_group(name)


def stream_name(ms: int, name: str, version: str, worker: str, logging: Logging) -> str:
    """The log stream that a line written at `ms` belongs to: one a worker, version and day. Lambda's form, which names
    the function where its group is one that several may share."""
    day = time.strftime("%Y/%m/%d", time.gmtime(ms / 1000))
    return f"{day}/{name}[{version}][{worker}]" if logging.group else f"{day}/[{version}]{worker}"
