"""Functions as they are deployed, restored from a snapshot: what an SDK owes them, and what stays the same."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from running import ENTROPY, ROOT, FrozenGuest, Guest, http_event

GUESTS = Path(__file__).parent / "guests"
BENCHED = ROOT / "benches" / "guests"


@functools.cache
def frozen(directory: Path) -> FrozenGuest:
    return FrozenGuest(directory)


CASES: list[tuple[Path, Any]] = [
    (ROOT / "functions" / "hello", None),
    (ROOT / "functions" / "account", http_event("GET", "/accounts/1042")),
    (ROOT / "functions" / "accesslog", {"log": '::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1\n' * 3}),
    (ROOT / "functions" / "thumbnail", http_event("GET", "/thumbnail")),
    (GUESTS / "c", {"op": "draw"}),
    (GUESTS / "assemblyscript", {"op": "recode", "data": b"\x81\xa1a\x92\x01\xc0"}),
    (BENCHED / "table", {"index": 7}),
    (BENCHED / "gomap", {"index": 7}),
]


@pytest.mark.parametrize(("directory", "event"), CASES, ids=[path.name for path, _ in CASES])
def test_a_frozen_function_answers_as_an_unfrozen_one(directory: Path, event: Any) -> None:
    guest = frozen(directory)
    assert guest.snapshot.baked
    assert guest.snapshot.warnings == ()
    answer = guest.invoke(event)
    assert answer == Guest(directory).invoke(event)
    assert guest.invoke(event) == answer, "nothing that an invocation writes is seen by another one"


@pytest.mark.parametrize("language", ["c", "go", "assemblyscript"])
def test_clones_of_one_snapshot_draw_different_numbers(language: str) -> None:
    guest = frozen(GUESTS / language)
    draws = [guest.invoke({"op": "draw"}, bytes([n]) * 16) for n in range(20)]
    frozen_draws, *fresh = zip(*draws, strict=True)
    assert len(set(frozen_draws)) == 1
    for generator in fresh:
        assert len(set(generator)) > 15
    assert guest.invoke({"op": "draw"}, ENTROPY)[1:3] == guest.invoke({"op": "draw"}, ENTROPY)[1:3]


def test_initialisation_is_spent_once() -> None:
    for name in ("table", "gomap"):
        guest, cold = frozen(BENCHED / name), Guest(BENCHED / name)
        guest.invoke({"index": 1})
        cold.invoke({"index": 1})
        assert guest.fuel * 10 < cold.fuel
