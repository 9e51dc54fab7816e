from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.config import Prices
from isolet.price import billed_ms, cost, gb_seconds, usage_table
from isolet.records import Totals, UsageRow

MS = 1_000_000
TENANT = "000000000000"
# 2023-11-14T22Z
HOUR = 1_700_000_000 // 3_600


@pytest.mark.parametrize(
    ("duration_ns", "step_ms", "billed"),
    [(0, 1, 0), (1, 1, 1), (MS, 1, 1), (MS + 1, 1, 2), (1, 100, 100), (100 * MS, 100, 100), (100 * MS + 1, 100, 200)],
)
def test_duration_is_rounded_up_to_the_step(duration_ns: int, step_ms: int, billed: int) -> None:
    assert billed_ms(duration_ns, step_ms) == billed


@given(st.integers(0, 10**15), st.integers(1, 1_000))
def test_billed_time_covers_the_duration_by_less_than_a_step(duration_ns: int, step_ms: int) -> None:
    billed = billed_ms(duration_ns, step_ms)
    assert billed % step_ms == 0
    assert 0 <= billed * MS - duration_ns < step_ms * MS


def test_a_gigabyte_for_a_second_is_a_gb_second() -> None:
    assert gb_seconds(Totals(mb_ms=1024 * 1000)) == 1
    assert gb_seconds(Totals(mb_ms=128 * 8_000)) == 1


def test_costs_are_those_of_the_table() -> None:
    prices = Prices(per_billion_fuel=Decimal("0.01"))
    totals = Totals(invocations=3_000_000, mb_ms=1024 * 1000 * 1_000_000, fuel=5 * 10**9)
    parts = cost(totals, prices)
    assert parts == (Decimal("0.60"), Decimal("16.6667"), Decimal("0.05"))
    assert parts.total == Decimal("17.3167")


def rows() -> list[UsageRow]:
    return [
        UsageRow(TENANT, "b", HOUR, Totals(invocations=1, billed_ms=10), {"Trapped": 1}),
        UsageRow(TENANT, "a", HOUR + 1, Totals(invocations=2, throttles=4, fuel=7), {}),
        UsageRow(TENANT, "a", HOUR + 3, Totals(invocations=4, mb_ms=1024 * 1000), {"Trapped": 1, "TimedOut": 2}),
    ]


@pytest.mark.parametrize(
    ("per", "shown"),
    [
        ("hour", [("a", "2023-11-14T23:00Z"), ("a", "2023-11-15T01:00Z"), ("b", "2023-11-14T22:00Z")]),
        ("day", [("a", "2023-11-14"), ("a", "2023-11-15"), ("b", "2023-11-14")]),
        ("month", [("a", "2023-11"), ("b", "2023-11")]),
        ("all", [("a", ""), ("b", "")]),
    ],
)
def test_table_sums_per_function_and_period(per: str, shown: list[tuple[str, str]]) -> None:
    table = usage_table(rows(), Prices(), per)
    assert [(row["function"], row["period"]) for row in table["rows"]] == shown
    assert sum(row["invocations"] for row in table["rows"]) == table["total"]["invocations"] == 7
    assert table["total"]["gbSeconds"] == "1"


def test_row_has_what_the_ledger_has() -> None:
    (a, b) = usage_table(rows(), Prices(), "all")["rows"]
    assert a["errorsByClass"] == {"TimedOut": 2, "Trapped": 1}
    assert (a["throttles"], a["fuel"], b["billedMs"]) == (4, 7, 10)
    assert a["cost"] == {"requests": "0.0000012", "compute": "0.0000166667", "fuel": "0", "total": "0.0000178667"}


def test_nothing_used_costs_nothing() -> None:
    table = usage_table([], Prices(), "all")
    assert table["rows"] == []
    assert table["total"]["cost"]["total"] == "0"
