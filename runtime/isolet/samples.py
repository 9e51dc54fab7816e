"""Samples of one measure, summed up: how many, their sum, the least, the greatest, and how they are spread. Pure.

Laws:
- `plus` is associative and commutative, and `Samples()` changes nothing: whatever the batching, the statistics are the
  same. All are integers: nanoseconds, fuel, counts.
- A bucket holds what is greater than the bound before it and at most its own; 23 bounds a decade, 7 to 16 % apart. So a
  percentile is exact where all samples of its bucket are equal, and otherwise off by less than 16 % of its value; it is
  never below the least nor above the greatest sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_STEPS = (
    *(100, 110, 120, 130, 150, 160, 180, 200, 220, 240, 270, 300, 330, 360, 400, 450, 500),
    *(550, 600, 660, 740, 820, 900),
)
# From a microsecond to a thousand seconds, in nanoseconds; one more bucket holds what is beyond.
BOUNDS = tuple(step * 10**decade for decade in range(1, 10) for step in _STEPS)
assert BOUNDS[0] == 1_000, "a microsecond"


class Samples(NamedTuple):
    size: int = 0  # how many
    sum: int = 0
    low: int = 0
    high: int = 0
    buckets: Mapping[int, int] = {}  # index of BOUNDS → how many; empty where the spread is not kept

    def plus(self, other: Samples) -> Samples:
        if not self.size:
            return other
        if not other.size:
            return self
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Samples(self.size + other.size, self.sum + other.sum, low, high, buckets)

    def percentile(self, percent: float) -> float:
        """The value that `percent` of the samples do not exceed, by interpolation within its bucket. Needs samples with
        buckets."""
        assert self.buckets, "a spread is kept of these samples"
        rank = self.size * percent / 100
        seen = 0
        for bucket in sorted(self.buckets):
            here = self.buckets[bucket]
            if seen + here >= rank:
                low = max(self.low, BOUNDS[bucket - 1] if bucket else 0)
                high = min(self.high, BOUNDS[bucket] if bucket < len(BOUNDS) else self.high)
                return low + (high - low) * max(0.0, rank - seen) / here
            seen += here
        return float(self.high)

    def to_plain(self) -> list[Any]:
        return [self.size, self.sum, self.low, self.high, *(part for pair in self.buckets.items() for part in pair)]

    @classmethod
    def from_plain(cls, plain: Iterable[int]) -> Samples:
        count, total, low, high, *pairs = plain
        return cls(count, total, low, high, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def flags(count: int, raised: int) -> Samples:
    """`count` samples of which `raised` are 1 and the others 0."""
    return Samples(count, raised, int(count == raised > 0), int(raised > 0)) if count else Samples()
