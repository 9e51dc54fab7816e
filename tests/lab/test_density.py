"""Many functions, many live isolates."""

from __future__ import annotations

import pytest

from isolet.lab.density import fit, measure, sizes


def test_line_goes_through_its_points() -> None:
    slope, intercept, straight = fit([(1.0, 5.0), (2.0, 7.0), (10.0, 23.0)])
    assert (slope, intercept, straight) == pytest.approx((2.0, 3.0, 1.0))


def test_scatter_is_said() -> None:
    assert fit([(1.0, 1.0), (2.0, 9.0), (3.0, 2.0), (4.0, 8.0)])[2] < 0.5


def test_sizes_grow_tenfold_and_end_at_the_largest() -> None:
    assert sizes(1) == [1]
    assert sizes(100) == [1, 10, 100]
    assert sizes(250) == [1, 10, 100, 250]


@pytest.mark.slow
def test_functions_and_isolates_are_counted_and_weighed() -> None:
    found = measure(functions=12, live=20, rounds=1)
    assert list(found.loaded) == [1, 10, 12]
    assert list(found.live) == [1, 10, 20]
    assert found.each(found.live) > 0
    assert found.isolates_per_s > 0
    assert all(len(rounds) == 1 for rounds in found.last_us.values())
