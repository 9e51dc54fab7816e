"""Patterns of AWS's models, which are Java's, for Python's `re`. Pure.

What differs: `\\p{L}` and its like, which `re` does not know, become the ranges of their characters; a hyphen after a
class in brackets (`[\\w-_]`) is itself; `\\w`, `\\d` and `\\s` are ASCII's. A pattern is matched against the
whole value.

Law: every pattern of a model that is served can be compiled (tests/aws/test_patterns.py tries them all).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from itertools import groupby

_PROPERTY = re.compile(r"\\p\{([A-Z][a-z]?)\}")
# Beyond these planes no character has a category but "unassigned" and "private use".
_ASSIGNED = (*range(0x33480), *range(0xE0000, 0xE01F0))


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Raises re.error for what is not a pattern of Java's that we know."""
    ours = _PROPERTY.sub(lambda found: _ranges(found[1]), pattern)
    ours = re.sub(r"(\\[wds])-(?=[^\]])", r"\1\\-", ours)
    return re.compile(ours, re.ASCII)


def _ranges(category: str) -> str:
    """The characters of a category ("L", "Zs"), for use in brackets."""
    return "".join(
        f"\\U{low:08x}-\\U{high:08x}"
        for kind, runs in _categories().items()
        if kind.startswith(category)
        for low, high in runs
    )


@functools.cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    """The runs of each category. Takes some 30 ms, once, when the first pattern asks for one."""
    runs: dict[str, list[tuple[int, int]]] = {}
    for kind, group in groupby(_ASSIGNED, key=lambda code: unicodedata.category(chr(code))):
        codes = list(group)
        runs.setdefault(kind, []).append((codes[0], codes[-1]))
    return runs
