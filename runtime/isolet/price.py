"""What usage costs: billed time, GB-seconds and the price table. Pure, and exact: integers and Decimals, no floats."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from .config import Prices
from .records import HOUR_S, Totals, UsageRow

_NS_PER_MS = 1_000_000
_MB_MS_PER_GB_S = 1024 * 1000
_MILLION = 1_000_000
_BILLION = 1_000_000_000


def billed_ms(duration_ns: int, step_ms: int) -> int:
    """The duration in milliseconds, rounded up to a step."""
    return -(-duration_ns // (step_ms * _NS_PER_MS)) * step_ms


def gb_seconds(totals: Totals) -> Decimal:
    return Decimal(totals.mb_ms) / _MB_MS_PER_GB_S


class Cost(NamedTuple):
    requests: Decimal
    compute: Decimal
    fuel: Decimal

    @property
    def total(self) -> Decimal:
        return self.requests + self.compute + self.fuel


def cost(totals: Totals, prices: Prices) -> Cost:
    return Cost(
        prices.per_million_requests * totals.invocations / _MILLION,
        prices.per_gb_second * gb_seconds(totals),
        prices.per_billion_fuel * totals.fuel / _BILLION,
    )


PERIODS = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m", "all": ""}


def usage_table(rows: Iterable[UsageRow], prices: Prices, per: str) -> dict[str, Any]:
    """Rows of the ledger as `isolet usage` shows them, summed per function and period (a key of PERIODS), as JSON."""
    sums: dict[tuple[str, str], tuple[Totals, dict[str, int]]] = {}
    for row in rows:
        period = time.strftime(PERIODS[per], time.gmtime(row.hour * HOUR_S))
        totals, errors = sums.get((row.name, period), (Totals(), {}))
        for kind, count in row.errors.items():
            errors[kind] = errors.get(kind, 0) + count
        sums[row.name, period] = (totals.plus(row.totals), errors)
    shown = [
        {"function": name, "period": period} | _row(totals, errors, prices)
        for (name, period), (totals, errors) in sorted(sums.items(), key=lambda item: item[0])
    ]
    everything = Totals()
    for totals, _ in sums.values():
        everything = everything.plus(totals)
    return {
        "currency": prices.currency,
        "prices": {
            "perMillionRequests": _plain(prices.per_million_requests),
            "perGbSecond": _plain(prices.per_gb_second),
            "perBillionFuel": _plain(prices.per_billion_fuel),
        },
        "rows": shown,
        "total": _row(everything, {}, prices),
    }


def _row(totals: Totals, errors: Mapping[str, int], prices: Prices) -> dict[str, Any]:
    of = cost(totals, prices)
    return {
        "invocations": totals.invocations,
        "errors": totals.errors,
        "errorsByClass": dict(sorted(errors.items())),
        "throttles": totals.throttles,
        "durationMs": totals.duration_ns / _NS_PER_MS,
        "billedMs": totals.billed_ms,
        "cpuMs": totals.cpu_ns / _NS_PER_MS,
        "fuel": totals.fuel,
        "gbSeconds": _plain(gb_seconds(totals)),
        "cost": {name: _plain(value) for name, value in of._asdict().items()} | {"total": _plain(of.total)},
    }


def _plain(value: Decimal) -> str:
    """Money, or what is multiplied into money: as a string, since JSON's numbers are floats to most readers."""
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    return text or "0"
