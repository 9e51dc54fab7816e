"""What tenants' code tries while it runs: each attack ends as a typed error of its own, and nobody else notices."""

from __future__ import annotations

import pytest

from hostile.house import EXECUTION, Case, House, fails, trapped

CASES = [
    Case("a load beyond the end of memory", EXECUTION, "out_of_bounds.wat", trapped("outside linear memory")),
    Case(
        "an infinite loop meets its deadline",
        EXECUTION,
        "infinite_loop.wat",
        fails("Sandbox.Timedout", "Task timed out after 0.30 seconds"),
        settings={"Tags": {"isolet:timeout_s": "0.3"}},
    ),
    Case(
        "an infinite loop meets the end of its fuel",
        EXECUTION,
        "infinite_loop.wat",
        fails("Runtime.OutOfFuel", "spent its 1,000,000 fuel"),
        settings={"Tags": {"isolet:fuel": "1000000"}},
    ),
    Case("recursion without an end", EXECUTION, "recursion.wat", trapped("call stack is exhausted")),
    Case("memory.grow until it is refused", EXECUTION, "grow_until_refused.wat", fails("Runtime.OutOfMemory")),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_a_guest_tries_is_its_own_error(house: House, case: Case) -> None:
    house.attacked(case)
