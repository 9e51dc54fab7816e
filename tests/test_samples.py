from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from isolet.frames import pack, unpack
from isolet.samples import BOUNDS, Samples, flags

values = st.lists(st.integers(0, 10**13), min_size=1, max_size=40)


def of(numbers: list[int]) -> Samples:
    buckets: dict[int, int] = {}
    for number in numbers:
        bucket = bisect_left(BOUNDS, number)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    return Samples(len(numbers), sum(numbers), min(numbers), max(numbers), buckets)


def test_bounds_ascend_by_a_sixth_at_most() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert all(high / low < 1.16 for low, high in pairwise(BOUNDS))


@given(values, values, values)
def test_samples_add_up_in_any_order(a: list[int], b: list[int], c: list[int]) -> None:
    assert of(a).plus(of(b)).plus(of(c)) == of(c).plus(of(a).plus(of(b))) == of(a + b + c)
    assert of(a).plus(Samples()) == Samples().plus(of(a)) == of(a)


@given(values)
def test_samples_cross_as_plain_values(numbers: list[int]) -> None:
    assert Samples.from_plain(unpack(pack(of(numbers).to_plain()))) == of(numbers)


@given(st.lists(st.integers(1_000, 10**12 * 9 // 10), min_size=1, max_size=40), st.floats(0, 100))
def test_percentile_is_near_the_true_one(numbers: list[int], percent: float) -> None:
    samples = of(numbers)
    rank = max(1, -(-len(numbers) * percent // 100))
    true = sorted(numbers)[int(rank) - 1]
    assert samples.low <= samples.percentile(percent) <= samples.high
    assert abs(samples.percentile(percent) - true) <= 0.16 * true


def test_percentile_of_equal_samples_is_exact() -> None:
    assert of([777_777] * 9).percentile(50) == of([777_777]).percentile(99.9) == 777_777


def test_flags_count_what_was_raised() -> None:
    assert flags(3, 1) == Samples(3, 1, 0, 1)
    assert flags(2, 2) == Samples(2, 2, 1, 1)
    assert flags(2, 0) == Samples(2, 0, 0, 0)
    assert flags(0, 0) == Samples()
