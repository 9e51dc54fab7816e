"""The snapshot theorem: initialise then call ≡ initialise, snapshot, restore, call.

Over results, traps, memory, globals, tables and dropped segments; for generated guests here, for real ones (C, Go) in
test_real_guests.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from isolet.engine.engine import Engine, wat
from isolet.snapshot.split import Unsplittable
from snapshot.observed import InitialisationFailed, both_ways, quick_engine, split_ways
from snapshot.programs import programs


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = quick_engine()
    yield made
    made.close()


CALLS = st.lists(st.tuples(st.just("isolet_handle"), st.integers(0, 2**32 - 1), st.just(0)), min_size=1, max_size=3)


def holds(engine: Engine, text: str, calls: list[tuple[str, int, int]]) -> None:
    wasm = wat(text)
    try:
        expected, actual = both_ways(engine, wasm, calls)
    except InitialisationFailed:
        event("initialisation fails")
        assume(False)
    event("the handler traps" if any("Trapped" in a for a in expected.answers) else "the handler answers")
    assert actual.answers == expected.answers
    assert actual.globals == expected.globals
    assert actual.tables == expected.tables
    assert actual.data_dropped == expected.data_dropped
    assert actual.elements_dropped == expected.elements_dropped
    assert len(actual.memory) == len(expected.memory)
    assert actual.memory == expected.memory


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(text=programs(), calls=CALLS)
def test_restored_guest_is_the_initialised_guest(engine: Engine, text: str, calls: list[tuple[str, int, int]]) -> None:
    holds(engine, text, calls)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(text=programs(), calls=CALLS)
def test_restored_guest_is_the_initialised_guest_thoroughly(
    engine: Engine, text: str, calls: list[tuple[str, int, int]]
) -> None:
    holds(engine, text, calls)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(text=programs(), calls=CALLS)
def test_a_state_beside_its_code_is_the_initialised_guest(
    engine: Engine, text: str, calls: list[tuple[str, int, int]]
) -> None:
    """The split form; of what it takes, as interpreters are: no tables that change, no passive segments."""
    try:
        expected, actual = split_ways(engine, wat(text), calls)
    except (InitialisationFailed, Unsplittable) as reason:
        event(type(reason).__name__)
        assume(False)
    event("the handler traps" if any("Trapped" in a for a in expected.answers) else "the handler answers")
    assert actual.answers == expected.answers
    assert {index: actual.globals[index] for index in expected.globals} == expected.globals
    assert actual.memory == expected.memory
