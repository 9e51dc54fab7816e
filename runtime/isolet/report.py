"""The lines that Lambda writes around an invocation, in its exact form. Pure: an outcome in, bytes out.

Laws:
- `Duration` is without the restore; `Billed Duration` is for both together, rounded up to a step once; `Billed Restore
  Duration` is what the restore added to it. So, as in Lambda's own lines, ceil(Duration) + Billed Restore = Billed.
- A line has no newline of its own; a guest's line cannot forge one of ours in the tail: its newlines were cut before.
"""

from __future__ import annotations

import base64

from . import json_log, limits, price
from .errors import GuestError, HostError, IsoletError, TimedOut
from .model import Invocation, Outcome, Usage

_NS_PER_MS = 1_000_000


def start_line(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}"


def end_line(request_id: str) -> str:
    return f"END RequestId: {request_id}"


def billed_ms(usage: Usage, step_ms: int = 1) -> int:
    """What is billed of an invocation: its whole duration, rounded up to the step."""
    return price.billed_ms(usage.duration_ns, step_ms)


def report_line(
    request_id: str, usage: Usage, memory_bytes: int, error: Exception | None = None, step_ms: int = 1
) -> str:
    """The REPORT line. `memory_bytes` is what the function may have; the fields end with a tab, as Lambda's do."""
    run_ns = max(usage.duration_ns - usage.restore_ns, 0)
    billed = billed_ms(usage, step_ms)
    mib = limits.MIB
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {run_ns / _NS_PER_MS:.2f} ms",
        f"Billed Duration: {billed} ms",
        f"Memory Size: {memory_bytes // mib} MB",
        f"Max Memory Used: {-(-usage.memory_bytes // mib)} MB",
        f"Restore Duration: {usage.restore_ns / _NS_PER_MS:.2f} ms",
        f"Billed Restore Duration: {billed - price.billed_ms(run_ns, step_ms)} ms",
    ]
    if isinstance(error, TimedOut):
        fields.append("Status: timeout")
    elif isinstance(error, GuestError):
        fields += ["Status: error", f"Error Type: {error.error_type}"]
    elif isinstance(error, IsoletError):
        fields += ["Status: error", f"Error Type: {error.name}"]
    return "\t".join(fields) + "\t"


def lines(invocation: Invocation, outcome: Outcome, step_ms: int = 1, ended_ms: int = 0) -> list[bytes]:
    """All lines of an invocation in their order: START, the guest's, END, REPORT; or the JSON that stands for them,
    whose times end at `ended_ms`."""
    target, request_id = invocation.target, invocation.request_id
    if json_log.is_json(target.logging):
        return _json_lines(invocation, outcome, step_ms, ended_ms)
    result = [start_line(request_id, target.version).encode(), *(text for _, _, text in outcome.logs)]
    if outcome.logs_dropped:
        result.append(f"{outcome.logs_dropped} log lines dropped: {json_log.WHY_DROPPED}".encode())
    result.append(end_line(request_id).encode())
    result.append(
        report_line(request_id, outcome.usage, target.memory_bytes, outcome.error, step_ms).encode(errors="replace")
    )
    return result


def _json_lines(invocation: Invocation, outcome: Outcome, step_ms: int, ended_ms: int) -> list[bytes]:
    target, usage = invocation.target, outcome.usage
    error = outcome.error
    if error is not None and not isinstance(error, IsoletError):
        error = HostError("internal error")
    told = json_log.lines(
        *(target.logging, invocation.request_id, target.version, target.memory_bytes // limits.MIB),
        *((ended_ms - usage.duration_ns // _NS_PER_MS, ended_ms), usage),
        *(json_log.kept(outcome.logs, json_log.application_level(target.logging)), outcome.logs_dropped),
        *(error, step_ms),
    )
    return [line.encode(errors="replace") for _, line in told]


def tail(rows: list[bytes]) -> bytes:
    """`X-Amz-Log-Result`: base64 of the last 4 KB of the lines."""
    return base64.b64encode((b"\n".join(rows) + b"\n")[-limits.LOG_TAIL_BYTES :])
