"""What becomes of an asynchronous invocation when an attempt of it has ended: again, when, or given up.

Laws:
- An attempt is counted before it is run, as if it would kill its worker. How it really ended corrects the count: what
  nobody heard the end of stays counted, and a message that kills whoever runs it is given up after LOSSES_MAX.
- The function's own failures and lost workers are counted apart: `policy.retries` bounds the former, so that neither an
  event beside a poisonous one nor one whose server is restarted loses its retries.
- Refusals for want of room count as no attempt: they go on until the event is too old.
- Nothing is given up silently, and nothing is run once it is older than `policy.age_s`.

Precedent: Lambda. "Function error: two more attempts, after one minute and then two. Throttles and system errors: back
to the queue for up to six hours, from one second to at most five minutes apart."
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from . import limits
from .model import EventPolicy


class Ended(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the function's fault
    THROTTLED = "throttled"  # refused, or our fault: it may not have run at all
    LOST = "lost"  # nobody knows: the worker is gone
    REFUSED = "refused"  # it was not run and never will be: no such function, no concurrency, too deep a chain
    LATE = "late"  # it was not run: too old


class Fate(StrEnum):
    """What becomes of the event."""

    SUCCEEDED = "succeeded"
    AGAIN = "again"
    EXHAUSTED = "exhausted"  # to the dead letters
    EXPIRED = "expired"  # too old, to the dead letters too


class Counts(NamedTuple):
    """What an event has behind it, the attempt that is under way included."""

    attempts: int = 0  # that were run
    losses: int = 0  # of these, those of which nobody heard the end
    throttles: int = 0


class Delays(NamedTuple):
    """Seconds to the first retry: after a failure, and after a throttle or a lost worker."""

    retry_s: float = limits.EVENT_RETRY_S
    throttle_s: float = limits.EVENT_THROTTLE_S


class Verdict(NamedTuple):
    fate: Fate
    counts: Counts
    due_ms: int = 0  # of AGAIN, Unix milliseconds


def begun(counts: Counts) -> Counts:
    """What is written before an attempt is run."""
    return counts._replace(attempts=counts.attempts + 1, losses=counts.losses + 1)


# By how it ended: what is taken back of what `begun` counted (attempts, losses), and what it is as a throttle.
_CORRECTION = {
    Ended.SUCCEEDED: Counts(0, -1, 0),
    Ended.FAILED: Counts(0, -1, 0),
    Ended.THROTTLED: Counts(-1, -1, 1),
    Ended.LOST: Counts(0, 0, 0),
    Ended.REFUSED: Counts(-1, -1, 0),
    Ended.LATE: Counts(-1, -1, 0),
}
_FINAL = {Ended.SUCCEEDED: Fate.SUCCEEDED, Ended.REFUSED: Fate.EXHAUSTED, Ended.LATE: Fate.EXPIRED}


def verdict(
    ended: Ended, counts: Counts, policy: EventPolicy, *, accepted_ms: int, now_ms: int, delays: Delays
) -> Verdict:
    """What becomes of an event accepted at `accepted_ms`, whose attempt ended now. `counts` are those of `begun`."""
    correction = _CORRECTION[ended]
    counts = Counts(*(count + change for count, change in zip(counts, correction, strict=True)))
    if ended in _FINAL:
        return Verdict(_FINAL[ended], counts)
    if counts.attempts - counts.losses > policy.retries or counts.losses >= limits.EVENT_LOSSES_MAX:
        return Verdict(Fate.EXHAUSTED, counts)
    ends_ms = accepted_ms + 1000 * policy.age_s
    if now_ms >= ends_ms:
        return Verdict(Fate.EXPIRED, counts)
    # One that would come too late comes when it is too old, to be given up then: not before.
    return Verdict(Fate.AGAIN, counts, min(now_ms + round(1000 * _pause_s(ended, counts, delays)), ends_ms))


def _pause_s(ended: Ended, counts: Counts, delays: Delays) -> float:
    if ended is Ended.FAILED:
        return delays.retry_s * (counts.attempts - counts.losses)
    if ended is Ended.LOST:
        return delays.throttle_s * counts.losses
    doubled = delays.throttle_s * 2.0 ** min(counts.throttles - 1, 32)
    return min(doubled, limits.EVENT_THROTTLE_S_MAX)
