"""The wording of constraints that no model has and handlers check themselves; validate.py words the models'. Pure."""

from __future__ import annotations


def pattern(member: str, value: str, pattern: str) -> str:
    constraint = f"Member must satisfy regular expression pattern: {pattern}"
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def length(member: str, value: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must have length {constraint}"


def violations(found: list[str]) -> str:
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"
