"""The tags of a stack's functions: its users' own, settings of isolet's, and what the stack hung on a function.

What hangs on a function is remembered as marks, `kind/qualifier/name`, in as many tags as it takes. Law:
`marks_of(made_tags(marks)) == marks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..aws.settings import is_ours, tags_of, with_tags
from ..model import Settings

_MADE_TAG = "isolet-stack-made"
_TAG_CHARS_MAX = 256  # Precedent: Lambda's values of tags.
# The first part of a mark.
KINDS = frozenset({"alias", "url", "event", "permission"})


def normal(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as a server answers them. Raises InvalidParameter for one that starts with `isolet:` and is none of ours."""
    ours = {key: value for key, value in tags.items() if is_ours(key)}
    return {key: value for key, value in tags.items() if not is_ours(key)} | tags_of(with_tags(Settings(), ours))


def is_made(key: str) -> bool:
    return key == _MADE_TAG or key.startswith(f"{_MADE_TAG}-")


def made_tags(marks: Iterable[str]) -> dict[str, str]:
    """Marks as tags, as many as it takes."""
    lines: list[str] = []
    for mark in sorted(marks):
        if lines and len(lines[-1]) + 1 + len(mark) <= _TAG_CHARS_MAX:
            lines[-1] += f" {mark}"
        else:
            lines.append(mark)
    return {f"{_MADE_TAG}-{number}" if number else _MADE_TAG: line for number, line in enumerate(lines)}


def marks_of(tags: Mapping[str, str]) -> set[str]:
    marks = {mark for key, value in tags.items() if is_made(key) for mark in value.split()}
    return {mark for mark in marks if mark.count("/") == 2 and mark.partition("/")[0] in KINDS}
