"""Distributions and what is quoted of them."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet.lab.figures import Distribution, Rounds, estimate, ratio

_TIMES = st.lists(st.integers(min_value=1, max_value=10**12), min_size=1, max_size=300)


@given(_TIMES, st.sampled_from([50.0, 90.0, 99.0, 99.9]))
@settings(max_examples=100)
def test_percentile_is_one_of_the_recorded_values_to_three_digits(times_ns: list[int], percentile: float) -> None:
    distribution = Distribution()
    distribution.record_all_ns(times_ns)
    found = distribution.at(percentile)
    assert any(found == pytest.approx(time_ns / 1000, rel=2e-3, abs=1e-3) for time_ns in times_ns)


@given(_TIMES, _TIMES)
@settings(max_examples=50)
def test_nothing_is_lost_between_processes_or_rounds(one: list[int], other: list[int]) -> None:
    first, second = Distribution(), Distribution()
    first.record_all_ns(one)
    second.record_all_ns(other)
    first.add(Distribution.decoded(second.encoded()))
    assert first.count == len(one) + len(other)
    assert first.max == pytest.approx(max(one + other) / 1000, rel=2e-3)


def test_percentiles_are_those_of_all_and_the_median_is_of_medians() -> None:
    rounds = Rounds()
    for base in (100, 200, 900):
        distribution = Distribution()
        distribution.record_all_ns([base * 1000] * 10)
        rounds.add(distribution)
    assert rounds.all.count == 30
    assert estimate(rounds.medians).value == pytest.approx(200, rel=2e-3)


def test_round_without_a_value_is_no_round() -> None:
    rounds = Rounds()
    rounds.add(Distribution())
    assert rounds.medians == []


@given(st.lists(st.floats(min_value=0.1, max_value=100), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_interval_is_around_the_median_and_the_same_each_time(values: list[float]) -> None:
    found = estimate(values)
    assert found.value == statistics.median(values)
    assert found.low <= found.value <= found.high
    assert min(values) <= found.low
    assert found.high <= max(values)
    assert estimate(values) == found


def test_ratio_is_taken_between_neighbours() -> None:
    # Both drift by the same: the ratio does not.
    assert ratio([1.0, 10.0, 100.0], [2.0, 20.0, 200.0]).value == pytest.approx(0.5)


def test_curve_rises_and_ends_at_the_largest() -> None:
    distribution = Distribution()
    distribution.record_all_ns(range(1_000, 1_000_000, 1_000))
    curve = distribution.curve()
    assert [value for _, value in curve] == sorted(value for _, value in curve)
    assert curve[-1] == (100.0, distribution.max)
