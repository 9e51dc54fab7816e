"""Distributions, and how sure their numbers are.

Laws:
- Times are recorded in whole nanoseconds in an HDR histogram: three significant digits from a nanosecond to an hour.
  Nothing is averaged away: percentiles come from all that was recorded.
- What is quoted of several rounds is the median of their medians, with the interval in which a bootstrap over the
  rounds finds it in 95 of 100 cases. Rounds are the unit, not requests: those of one round share the weather of that
  round.
- A ratio is taken round by round, between neighbours in time, and its median is quoted.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from ..errors import ToolchainMissing

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
_HOUR_NS: Final = 3_600 * 10**9
_DIGITS: Final = 3
_RESAMPLES: Final = 1_000
_CONFIDENCE: Final = 0.95


def _histogram() -> Any:
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError:
        raise ToolchainMissing("`isolet bench` needs its extra: pip install 'isolet[bench]'") from None
    return HdrHistogram(1, _HOUR_NS, _DIGITS)


class Distribution:
    """Times of one kind. Reads in microseconds."""

    def __init__(self) -> None:
        self._histogram = _histogram()

    def record_ns(self, value_ns: int) -> None:
        self._histogram.record_value(min(max(value_ns, 1), _HOUR_NS))

    def record_all_ns(self, values_ns: Iterable[int]) -> None:
        for value_ns in values_ns:
            self.record_ns(value_ns)

    def add(self, other: Distribution) -> None:
        self._histogram.add(other._histogram)

    @property
    def count(self) -> int:
        return int(self._histogram.get_total_count())

    def at(self, percentile: float) -> float:
        """Microseconds; 0 of none."""
        return self._histogram.get_value_at_percentile(percentile) / 1000 if self.count else 0.0

    @property
    def median(self) -> float:
        return self.at(50)

    @property
    def max(self) -> float:
        return self._histogram.get_max_value() / 1000 if self.count else 0.0

    @property
    def min(self) -> float:
        return self._histogram.get_min_value() / 1000 if self.count else 0.0

    @property
    def mean(self) -> float:
        return self._histogram.get_mean_value() / 1000 if self.count else 0.0

    def curve(self, points: int = 200) -> list[tuple[float, float]]:
        """(percentile, µs), close together where the tail is: what a plot draws."""
        top = 100 - 100 / max(self.count, 1)
        spread = [100 * (1 - 10 ** (-4 * step / points)) for step in range(points + 1)]
        return [(percent, self.at(percent)) for percent in spread if percent <= top] + [(100.0, self.max)]

    def as_plain(self) -> dict[str, float]:
        named = {f"p{percentile:g}_us": round(self.at(percentile), 3) for percentile in PERCENTILES}
        return {"count": self.count, "min_us": round(self.min, 3), **named, "max_us": round(self.max, 3)}

    def encoded(self) -> str:
        """For another process: HdrHistogram's own compressed form."""
        return str(self._histogram.encode().decode("ascii"))

    @classmethod
    def decoded(cls, text: str) -> Distribution:
        made = cls()
        made._histogram.decode_and_add(text.encode("ascii"))
        return made


class Estimate(NamedTuple):
    """A number of several rounds: their median, and between which two it lies."""

    value: float
    low: float
    high: float

    def as_plain(self) -> dict[str, float]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def estimate(
    rounds: Sequence[float], statistic: Callable[[Sequence[float]], float] = statistics.median, seed: int = 0
) -> Estimate:
    """The statistic of `rounds` and its 95 % interval, by resampling them with replacement. The same rounds give the
    same interval."""
    assert rounds, "there is a round"
    chance = random.Random(seed)
    resampled = sorted(statistic(chance.choices(rounds, k=len(rounds))) for _ in range(_RESAMPLES))
    tail = int(_RESAMPLES * (1 - _CONFIDENCE) / 2)
    return Estimate(statistic(rounds), resampled[tail], resampled[-tail - 1])


def ratio(ours: Sequence[float], control: Sequence[float], seed: int = 0) -> Estimate:
    """Ours to the control's, round by round."""
    return estimate([one / other for one, other in zip(ours, control, strict=True)], seed=seed)


class Rounds:
    """What was measured of one thing in several rounds: all of it together, and each round's own median and 99th
    percentile (µs)."""

    def __init__(self) -> None:
        self.all = Distribution()
        self.medians: list[float] = []
        self.tails: list[float] = []

    def add(self, round_: Distribution) -> None:
        if round_.count:
            self.all.add(round_)
            self.medians.append(round_.median)
            self.tails.append(round_.at(99))

    def as_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = dict(self.all.as_plain())
        if self.medians:
            plain["median_of_medians_us"] = estimate(self.medians).as_plain()
            plain["rounds"] = [round(median, 3) for median in self.medians]
            plain["p99_rounds"] = [round(tail, 3) for tail in self.tails]
        return plain
