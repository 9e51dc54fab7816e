"""What the suite attacks: enough cases, each under a heading, each with a name of its own."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator

from hostile.house import HEADINGS, HERE, Case


def cases() -> Iterator[Case]:
    """Every case of every table of this directory."""
    for path in sorted(HERE.glob("test_*.py")):
        for name, value in vars(importlib.import_module(f"hostile.{path.stem}")).items():
            if name.isupper() and isinstance(value, list):
                yield from (case for case in value if isinstance(case, Case))


def test_there_are_enough() -> None:
    counted = Counter(case.heading for case in cases())
    assert counted.total() >= 120, counted


def test_cases_have_names_and_headings() -> None:
    names = Counter(case.name for case in cases())
    assert [name for name, count in names.items() if count > 1] == []
    assert {case.heading for case in cases()} <= set(HEADINGS)
