"""The laws of retries, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.model import EventPolicy
from isolet.retry import Counts, Delays, Ended, Fate, Verdict, begun, verdict

NOW_MS = 1_700_000_000_000
POLICY = EventPolicy()


def after(ended: Ended, before: Counts, policy: EventPolicy = POLICY, age_s: float = 1.0) -> Verdict:
    """The verdict on an event with `before` behind it, after one more attempt that ended so."""
    accepted_ms = NOW_MS - round(1000 * age_s)
    return verdict(ended, begun(before), policy, accepted_ms=accepted_ms, now_ms=NOW_MS, delays=Delays())


@pytest.mark.parametrize(
    ("ended", "before", "fate", "counts", "delay_s"),
    [
        (Ended.SUCCEEDED, Counts(), Fate.SUCCEEDED, Counts(1, 0, 0), None),
        # The function's fault: one minute, two minutes, over.
        (Ended.FAILED, Counts(), Fate.AGAIN, Counts(1, 0, 0), 60),
        (Ended.FAILED, Counts(1), Fate.AGAIN, Counts(2, 0, 0), 120),
        (Ended.FAILED, Counts(2), Fate.EXHAUSTED, Counts(3, 0, 0), None),
        # No room: no attempt; one second, doubling up to five minutes.
        (Ended.THROTTLED, Counts(), Fate.AGAIN, Counts(0, 0, 1), 1),
        (Ended.THROTTLED, Counts(0, 0, 1), Fate.AGAIN, Counts(0, 0, 2), 2),
        (Ended.THROTTLED, Counts(2, 0, 7), Fate.AGAIN, Counts(2, 0, 8), 128),
        (Ended.THROTTLED, Counts(0, 0, 9), Fate.AGAIN, Counts(0, 0, 10), 300),
        (Ended.THROTTLED, Counts(0, 0, 10_000), Fate.AGAIN, Counts(0, 0, 10_001), 300),
        # A lost worker: counted, and apart.
        (Ended.LOST, Counts(), Fate.AGAIN, Counts(1, 1, 0), 1),
        (Ended.LOST, Counts(1, 1), Fate.AGAIN, Counts(2, 2, 0), 2),
        (Ended.LOST, Counts(4, 4), Fate.EXHAUSTED, Counts(5, 5, 0), None),
        (Ended.FAILED, Counts(4, 4), Fate.AGAIN, Counts(5, 4, 0), 60),
        # What is not run is not counted.
        (Ended.REFUSED, Counts(1), Fate.EXHAUSTED, Counts(1, 0, 0), None),
        (Ended.LATE, Counts(1), Fate.EXPIRED, Counts(1, 0, 0), None),
    ],
)
def test_table(ended: Ended, before: Counts, fate: Fate, counts: Counts, delay_s: float | None) -> None:
    answer = after(ended, before)
    assert (answer.fate, answer.counts) == (fate, counts)
    if delay_s is not None:
        assert answer.due_ms == NOW_MS + 1000 * delay_s


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_failures_are_retried_as_often_as_the_policy_says(retries: int) -> None:
    counts, fates = Counts(), []
    while not fates or fates[-1] is Fate.AGAIN:
        answer = after(Ended.FAILED, counts, EventPolicy(retries=retries))
        counts = answer.counts
        fates.append(answer.fate)
    assert fates == [Fate.AGAIN] * retries + [Fate.EXHAUSTED]


@pytest.mark.parametrize("ended", [Ended.THROTTLED, Ended.LOST, Ended.FAILED])
def test_nothing_is_tried_again_after_its_age(ended: Ended) -> None:
    assert after(ended, Counts(), EventPolicy(age_s=60), age_s=60).fate is Fate.EXPIRED
    # The last one comes when it is over, and not before it is given up.
    assert after(ended, Counts(), EventPolicy(age_s=60), age_s=59.5).due_ms == NOW_MS + 500


def test_success_is_success_however_old() -> None:
    assert after(Ended.SUCCEEDED, Counts(2, 2, 9), EventPolicy(age_s=60), age_s=9_999).fate is Fate.SUCCEEDED


@given(st.lists(st.sampled_from([Ended.FAILED, Ended.LOST]), min_size=20, max_size=20), st.integers(0, 2))
def test_every_event_ends(endings: list[Ended], retries: int) -> None:
    counts = Counts()
    for number, ended in enumerate(endings, start=1):
        answer = after(ended, counts, EventPolicy(retries=retries))
        counts = answer.counts
        assert counts.attempts == number
        if answer.fate is not Fate.AGAIN:
            break
    assert answer.fate is Fate.EXHAUSTED
    assert number <= retries + limits.EVENT_LOSSES_MAX
