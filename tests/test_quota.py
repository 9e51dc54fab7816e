"""A tenant's limits as a table, what an operator may write, and buckets that never let more pass than they say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import quota
from isolet.errors import InvalidParameter
from isolet.quota import LIMITS, Bucket


def test_every_limit_has_a_default_in_its_range_and_a_meaning() -> None:
    for name, limit in LIMITS.items():
        assert quota.checked(limit, limit.default) == limit.default
        assert limit.meaning
        assert name == limit.name
    assert quota.merged({}) == quota.DEFAULTS
    assert set(quota.OF_WORKERS) < set(LIMITS)


def test_an_override_takes_the_place_of_its_default_only() -> None:
    merged = quota.merged({"concurrency": 7, "of_a_newer_server": 1})
    assert merged == {**quota.DEFAULTS, "concurrency": 7}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (("concurrency", "0"), 0),
        (("concurrency", "1,000"), 1000),
        (("concurrency", "1_000"), 1000),
        (("requests_per_s", "2.5"), 2.5),
        (("kv_bytes", "64MiB"), 64 * 2**20),
        (("kv_bytes", "1.5 GB"), 1_500_000_000),
        (("log_bytes_per_s", "10kib"), 10_240),
    ],
)
def test_a_value_is_a_number_and_of_bytes_also_with_a_unit(written: tuple[str, str], value: float) -> None:
    assert quota.parsed(*written) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("concurency", "5", "did you mean concurrency?"),
        ("Requests-per-S", "5", "did you mean requests_per_s?"),
        ("xyzzy", "5", "there are concurrency, requests_per_s"),
        ("concurrency", "many", "write one, such as concurrency=1000"),
        ("concurrency", "-1", "is no number"),
        ("concurrency", "5MiB", "is no number"),
        ("concurrency", "1e3", "is no number"),
        ("concurrency", "٣", "is no number"),
        ("concurrency", "2000000000", "between 0 and 1,000,000,000"),
        ("concurrency", "2.5", "whole ones"),
        ("requests_per_s", "0", "between 0.001 and"),
        ("kv_bytes", "5 potatoes", "such as kv_bytes=64MiB"),
    ],
)
def test_a_refusal_says_what_to_write(name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        quota.parsed(name, text)
    assert said in refused.value.message


def test_a_change_is_all_or_nothing_and_a_reset_takes_back_what_it_names_or_everything() -> None:
    set_ = quota.changed({"events": 5}, {"concurrency": "3", "kv_bytes": "1KiB"})
    assert set_ == {"events": 5, "concurrency": 3, "kv_bytes": 1024}
    with pytest.raises(InvalidParameter):
        quota.changed(set_, {"concurrency": "4", "kv_bytes": "none"})
    assert quota.without(set_, ["events"]) == {"concurrency": 3, "kv_bytes": 1024}
    assert quota.without(set_, []) == {}
    with pytest.raises(InvalidParameter, match="did you mean events"):
        quota.without(set_, ["event"])


def test_attempts_leave_a_quarter_to_callers_and_have_one_in_any_case() -> None:
    assert [quota.attempts_share(most) for most in (0, 1, 2, 4, 1000)] == [1, 1, 1, 3, 750]


# ── buckets ─────────────────────────────────────────────────────────────────────────────────────────────────────

_RATES = st.floats(0.01, 1e5)
_BURSTS = st.integers(1, 10_000)
_ASKED = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 500)), min_size=1, max_size=60)


@given(_RATES, _BURSTS, _ASKED)
def test_a_bucket_never_lets_more_pass_than_rate_and_burst_in_any_time(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    now_s, full_s = 1000.0, 0.0
    passed: list[tuple[float, int]] = []
    for pause_s, wanted in asked:
        now_s += pause_s
        taken, full_s = quota.take(full_s, now_s, rate, burst, wanted)
        assert 0 <= taken <= wanted
        passed.append((now_s, taken))
    for first in range(len(passed)):
        total = 0
        for at_s, taken in passed[first:]:
            total += taken
            allowed = rate * (at_s - passed[first][0]) + burst
            assert total <= allowed * (1 + 1e-9) + 1e-3


@given(_RATES, _BURSTS, _ASKED)
def test_a_bucket_refuses_only_what_is_not_there(rate: float, burst: int, asked: list[tuple[float, int]]) -> None:
    """Against a bucket that is written down as it is told: a level that grows and is cut."""
    now_s, full_s, content = 1000.0, 0.0, float(burst)
    for pause_s, wanted in asked:
        now_s += pause_s
        content = min(burst, content + pause_s * rate)
        taken, full_s = quota.take(full_s, now_s, rate, burst, wanted)
        assert abs(taken - min(wanted, content)) <= 1 + 1e-3
        content -= taken
        assert math.isclose(quota.level(full_s, now_s, rate, burst), max(content, 0.0), abs_tol=1e-3, rel_tol=1e-6)
        content = quota.level(full_s, now_s, rate, burst)


@given(_RATES, _BURSTS, st.integers(1, 500))
def test_who_waits_as_long_as_it_is_told_finds_what_it_wants(rate: float, burst: int, wanted: int) -> None:
    wanted = min(wanted, burst)
    _, full_s = quota.take(0.0, 50.0, rate, burst, burst)
    wait_s = quota.wait_s(full_s, 50.0, rate, burst, wanted)
    taken, _ = quota.take(full_s, 50.0 + wait_s * (1 + 1e-6) + 1e-6, rate, burst, wanted)
    assert taken == wanted


def test_a_faster_rate_holds_at_once() -> None:
    taken, full_s = quota.take(0.0, 100.0, 0.01, 100, 100)
    assert (taken, full_s) == (100, 10_100.0)
    # What took hours at the former rate takes no longer than filling the bucket at the present one.
    taken, full_s = quota.take(full_s, 100.0, 1000.0, 100, 1)
    assert (taken, full_s) == (0, 100.1)
    assert quota.take(full_s, 100.05, 1000.0, 100, 1000)[0] == 50


def test_a_bucket_that_was_given_another_rate_begins_anew() -> None:
    bucket = Bucket()
    assert [bucket.take(10.0, 0.1, 2) for _ in range(3)] == [True, True, False]
    assert [bucket.take(10.0, 0.2, 2) for _ in range(3)] == [True, True, False]
    assert [bucket.take(10.0, 0.2, 1) for _ in range(2)] == [True, False]


def test_a_bucket_of_one_gives_one_each_time() -> None:
    bucket = Bucket()
    assert [bucket.take(now_s, 2.0, 1.0) for now_s in (10.0, 10.0, 10.4, 10.5, 10.6, 11.0)] == [
        *(True, False, False),
        *(True, False, True),
    ]
