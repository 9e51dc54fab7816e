"""Trace contexts: X-Ray's header and W3C's `traceparent`, which name the same trace in two spellings. Pure.

    traceparent       00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01
    X-Amzn-Trace-Id   Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1

Law: what is not a trace context is none; nothing raises.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")


class Parent(NamedTuple):
    """The span that an invocation is a child of."""

    trace_id: int  # 128 bits
    span_id: int  # 64 bits
    sampled: bool


def from_traceparent(text: str) -> str:
    """X-Ray's header for a `traceparent`; "" if it is none."""
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None:
        return ""
    trace_id, span_id, flags = match.groups()
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id};Sampled={int(flags, 16) & 1}"


def parent(header: str) -> Parent | None:
    """What X-Ray's header says; None without a root and a parent."""
    fields = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root, span = _ROOT.fullmatch(fields.get("Root", "")), fields.get("Parent", "")
    if root is None or not _PARENT.fullmatch(span) or not int(span, 16) or not int(root[1] + root[2], 16):
        return None
    return Parent(int(root[1] + root[2], 16), int(span, 16), fields.get("Sampled") != "0")
