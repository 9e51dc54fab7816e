"""How long a chain of functions is that invoke each other: in the trace id that each gives to the next.

`X-Amzn-Trace-Id: Root=1-…;Parent=…;Sampled=0;Lineage=3:5f1d0a2b:0` came from a function that was itself third. A trace
id is its client's to write: the chain is a guard against mistakes, not against malice (admission is).
"""

from __future__ import annotations

import re
from zlib import crc32

_LINEAGE = re.compile(r"(?:^|;)\s*Lineage=(\d{1,4})(?=[:;]|$)")


def depth_of(trace_id: str) -> int:
    """How many functions are behind a request with this trace id; 0 for one that says nothing of it."""
    found = _LINEAGE.search(trace_id) if "Lineage=" in trace_id else None
    return 0 if found is None else int(found[1])


def new_root(request_id: str, now_ms: int) -> str:
    """A trace id for an invocation whose caller gave none: X-Ray's form, of the digits of its request's id."""
    return f"Root=1-{now_ms // 1000:08x}-{request_id.replace('-', '')[8:]}"


def onward(trace_id: str, depth: int, arn: str) -> str:
    """The trace id that a function is told which is `depth` deep: what it passes on is one deeper."""
    lineage = f"Lineage={depth + 1}:{crc32(arn.encode()):08x}:0"
    kept = [part for part in trace_id.split(";") if part and not part.strip().startswith("Lineage=")]
    return ";".join([*kept, lineage])
