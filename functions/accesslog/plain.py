"""What accesslog.c computes, in plain Python: the definition that the test and the demo hold it to."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

TOP_DEFAULT = 1000
MINUTES_MAX = 50_000

_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_LINE = re.compile(
    rb"[^ ]+ [^ ]+ [^ ]+ "
    rb"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z][a-z])/(?P<year>\d{4}):(?P<time>\d\d:\d\d):\d\d (?P<zone>[+-]\d{4})\] "
    rb"(?P<request>" + _QUOTED + rb") (?P<status>\d{3}) (?P<size>\d{1,18}|-)"
    rb"(?: " + _QUOTED + rb" " + _QUOTED + rb")?",
    re.DOTALL,
)
_REQUEST = re.compile(rb"[^ ]+ ([^ ?]+)[^ ]* [^ ]+")
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def count(log: bytes, top: int = TOP_DEFAULT) -> dict[str, Any]:
    lines = malformed = sent = 0
    status: Counter[str] = Counter()
    paths: Counter[str] = Counter()
    minutes: Counter[str] = Counter()
    for line in log.split(b"\n"):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        lines += 1
        found = _LINE.fullmatch(line)
        if found is None or found["month"] not in _MONTHS:
            malformed += 1
            continue
        status[found["status"].decode()] += 1
        sent += int(found["size"]) if found["size"] != b"-" else 0
        paths[_path(found["request"][1:-1])] += 1
        zone = found["zone"].decode()
        day = f"{found['year'].decode()}-{_MONTHS[found['month']]:02}-{found['day'].decode()}"
        minutes[f"{day}T{found['time'].decode()}{zone[:3]}:{zone[3:]}"] += 1
    ranked = sorted(paths.items(), key=lambda item: (-item[1], item[0].encode()))
    return {
        "lines": lines,
        "malformed": malformed,
        "bytes": sent,
        "status": dict(sorted(status.items())),
        "minute": dict(sorted(minutes.items())[:MINUTES_MAX]),
        "paths": len(paths),
        "path": dict(ranked[:top]),
    }


def _path(request: bytes) -> str:
    found = _REQUEST.fullmatch(request)
    try:
        return found[1].decode() if found else "-"
    except UnicodeDecodeError:
        return "-"
