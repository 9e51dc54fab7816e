"""Lambda's JSON log format: what a function's line becomes, the platform's events, and which levels are kept. Pure.

Laws:
- A line that is a JSON object is the function's own record: it stays as it is, and its `level` counts, INFO if there is
  none that is known (Lambda's rule). Any other line becomes `{timestamp, level, message, requestId}`.
- Levels filter in JSON only: application lines below `application_level`, platform events below `system_level`.
- One object a line, without a newline of its own.

The platform's events and their levels are those of AWS's table "system log level event mapping": `start` INFO,
`runtimeDone` DEBUG, `report` INFO, and each WARN when it says that something failed; `logsDropped` WARN.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from . import limits, price
from .errors import GuestError, IsoletError, TimedOut
from .model import Logging, Settings, Usage

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = range(6)
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
# As loggers write them: Python says WARNING and CRITICAL.
_LEVEL_OF = {name: level for level, name in enumerate(LEVELS)} | {"WARNING": WARN, "CRITICAL": FATAL, "NOTSET": TRACE}

_NS_PER_MS = 1_000_000
# Said with the count of lines that were dropped, in either format.
WHY_DROPPED = (
    f"an invocation may write {limits.LOG_INVOCATION_BYTES_MAX // limits.KIB} KiB, and an account so much a second"
)

# (level, Unix ms, text), of hostcalls/log.py.
Entry = tuple[int, int, bytes]


def is_json(logging: Logging) -> bool:
    return logging.format == "JSON"


def variables(settings: Settings) -> dict[str, str]:
    """The function's environment, with what Lambda tells a runtime of the format; its own words for it do not count."""
    said = settings.logging
    own = dict(settings.environment)
    if not is_json(said):
        return own
    return own | {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": said.application_level or "INFO"}


def application_level(logging: Logging) -> int:
    """Below it, a function's lines are not kept: 0 keeps all, which is so for text."""
    return _LEVEL_OF.get(logging.application_level or "INFO", INFO) if is_json(logging) else TRACE


def system_level(logging: Logging) -> int:
    return _LEVEL_OF.get(logging.system_level or "INFO", INFO)


def kept(entries: Iterable[Entry], level: int) -> tuple[Entry, ...]:
    """The entries that are of a level, or above it."""
    return tuple(entry for entry in entries if _level(entry) >= level)


def _level(entry: Entry) -> int:
    level, _, text = entry
    said = _object(text)
    if said is None:
        return level
    name = said.get("level", said.get("log_level"))
    return _LEVEL_OF.get(name.upper(), INFO) if isinstance(name, str) else INFO


def _object(text: bytes) -> dict[str, Any] | None:
    if not text.startswith(b"{") or not text.endswith(b"}"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def application_line(entry: Entry, request_id: str) -> str:
    """What stands in the log for a line of the function's."""
    level, ms, text = entry
    message = text.decode("utf-8", "replace")
    if _object(text) is not None:
        return message
    said = {"timestamp": timestamp(ms), "level": LEVELS[level], "message": message, "requestId": request_id}
    return _line(said)


def error_line(ms: int, request_id: str, error: IsoletError) -> str:
    """Why an invocation failed, with the fields of Lambda's own record of it."""
    kind = error.error_type if isinstance(error, GuestError) else error.name
    said: dict[str, Any] = {
        "timestamp": timestamp(ms),
        "level": "ERROR",
        "errorType": kind,
        "errorMessage": error.message,
        "requestId": request_id,
    }
    if stack := getattr(error, "stack", ()):
        said["stackTrace"] = list(stack)
    return _line(said)


def timestamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def lines(
    logging: Logging,
    request_id: str,
    version: str,
    memory_mb: int,
    times_ms: tuple[int, int],
    usage: Usage,
    entries: Iterable[Entry],
    entries_dropped: int,
    error: IsoletError | None,
    step_ms: int,
) -> list[tuple[int, str]]:
    """All lines of an invocation that began and ended at `times_ms`, each with its time. The entries are `kept`."""
    started_ms, ended_ms = times_ms
    run_ms = round(max(usage.duration_ns - usage.restore_ns, 0) / _NS_PER_MS, 2)
    metrics = {
        "durationMs": run_ms,
        "billedDurationMs": price.billed_ms(usage.duration_ns, step_ms),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": -(-usage.memory_bytes // limits.MIB),
        "restoreDurationMs": round(usage.restore_ns / _NS_PER_MS, 2),
    }
    before = [start_event(started_ms, request_id, version)]
    after = [dropped_event(ended_ms, request_id, entries_dropped, WHY_DROPPED)] if entries_dropped else []
    after.append(runtime_done_event(ended_ms, request_id, run_ms, error))
    after.append(report_event(ended_ms, request_id, metrics, error))
    lowest = system_level(logging)
    told = [(entry[1], application_line(entry, request_id)) for entry in entries]
    if error is not None:
        told.append((ended_ms, error_line(ended_ms, request_id, error)))
    return [
        *((started_ms, line) for level, line in before if level >= lowest),
        *told,
        *((ended_ms, line) for level, line in after if level >= lowest),
    ]


# ── the platform's events ───────────────────────────────────────────────────────────────────────────────────────


def start_event(ms: int, request_id: str, version: str) -> tuple[int, str]:
    """(its level, the line); so are the others."""
    return INFO, _event(ms, "start", {"requestId": request_id, "version": version})


def runtime_done_event(ms: int, request_id: str, duration_ms: float, error: IsoletError | None) -> tuple[int, str]:
    record = {"requestId": request_id, **_status(error), "metrics": {"durationMs": duration_ms}}
    return DEBUG if error is None else WARN, _event(ms, "runtimeDone", record)


def report_event(ms: int, request_id: str, metrics: Mapping[str, float], error: IsoletError | None) -> tuple[int, str]:
    record = {"requestId": request_id, "metrics": dict(metrics), **_status(error)}
    return INFO if error is None else WARN, _event(ms, "report", record)


def dropped_event(ms: int, request_id: str, records: int, reason: str) -> tuple[int, str]:
    return WARN, _event(ms, "logsDropped", {"requestId": request_id, "droppedRecords": records, "reason": reason})


def _status(error: IsoletError | None) -> dict[str, str]:
    if error is None:
        return {"status": "success"}
    if isinstance(error, TimedOut):
        return {"status": "timeout"}
    kind = error.error_type if isinstance(error, GuestError) else error.name
    return {"status": "error", "errorType": kind}


def _event(ms: int, kind: str, record: Mapping[str, Any]) -> str:
    return _line({"time": timestamp(ms), "type": f"platform.{kind}", "record": record})


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
