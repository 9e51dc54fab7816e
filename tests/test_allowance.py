"""What several workers let in together is never more than a tenant may, whatever they hold ahead."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import allowance, limits, quota
from isolet.allowance import Allowance
from isolet.tally import Tally

ACCOUNT = "111122223333"


def of_workers(count: int, **values: float) -> list[Allowance]:
    tally = Tally(count, slots=1, tenant_slots=4)
    slot = tally.slot(ACCOUNT)
    made = [Allowance(tally.column(number)) for number in range(count)]
    for one in made:
        one.set(slot, quota.DEFAULTS | values)
    return made


def begins(one: Allowance) -> bool:
    """As the invoker lets one in."""
    if one.running >= one.allowed and not one.grow():
        return False
    one.running += 1
    return True


def ends(one: Allowance) -> None:
    one.running -= 1
    if one.running < one.floor:
        one.shrink()


@pytest.mark.parametrize("limit", [0, 1, 2, 5, 31])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_small_limit_is_exact_over_all_workers(workers: int, limit: int) -> None:
    made = of_workers(workers, concurrency=limit)
    for first in made:
        # One worker alone may use all of it, whoever used it before.
        assert [begins(first) for _ in range(limit + 2)] == [True] * limit + [False] * 2
        assert not any(begins(other) for other in made)
        for _ in range(limit):
            ends(first)


@pytest.mark.parametrize("workers", [2, 4])
def test_of_a_large_limit_idle_workers_hold_a_sixteenth_at_the_most(workers: int) -> None:
    made = of_workers(workers, concurrency=1000)
    for one in made[1:]:
        while begins(one) and one.running < 200:
            pass
        while one.running:
            ends(one)
    got = sum(begins(made[0]) for _ in range(1100))
    assert 1000 - 1000 // limits.RESERVE_PART <= got <= 1000


_FILM = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(("begin", "begin", "begin", "end", "set", "dies")), st.integers(0, 40)
    ),
    max_size=80,
)


@given(_FILM, st.sampled_from((1, 3, 20, 100, 500)))
def test_never_do_more_begin_than_the_limit_allows_whatever_happens(
    film: list[tuple[int, str, int]], limit: int
) -> None:
    tally = Tally(3, slots=1, tenant_slots=4)
    slot = tally.slot(ACCOUNT)
    columns = [tally.column(number) for number in range(3)]
    made = [Allowance(column) for column in columns]
    for one in made:
        one.set(slot, quota.DEFAULTS | {"concurrency": limit})
    for number, what, count in film:
        one = made[number]
        if what == "set":
            limit = count * 5
            for each in made:
                each.set(slot, quota.DEFAULTS | {"concurrency": limit})
        elif what == "dies":
            made[number] = Allowance(tally.column(number))
            made[number].set(slot, quota.DEFAULTS | {"concurrency": limit})
        for _ in range(count if what in ("begin", "end") else 0):
            if what == "begin":
                before = sum(each.running for each in made)
                if begins(one):
                    assert before < limit
            elif one.running:
                ends(one)
    for one in made:
        while one.running:
            ends(one)
    if limit:
        assert begins(made[0])


def test_a_lower_limit_holds_for_the_next_one_also_while_more_are_running() -> None:
    made = of_workers(2, concurrency=1000)
    for one in made:
        assert all(begins(one) for _ in range(400))
    for one in made:
        one.set(one._slot, quota.DEFAULTS | {"concurrency": 600})
    for _ in range(199):
        ends(made[0])
        assert not any(begins(one) for one in made)
    ends(made[1])
    assert not begins(made[0])
    ends(made[1])
    assert begins(made[1])


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@given(
    st.floats(0.5, 5000),
    st.integers(1, 3000),
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 2), st.integers(1, 200)), max_size=50),
)
def test_all_workers_together_let_pass_no_more_than_rate_and_burst_in_any_time(
    rate: float, burst: int, film: list[tuple[int, float, int]]
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allowance, "monotonic", clock)
        made = of_workers(3, requests_per_s=rate, requests_burst=burst)
        passed: list[tuple[float, int]] = []
        for number, pause_s, asked in film:
            clock.now_s += pause_s
            meter, count = made[number].requests, 0
            for _ in range(asked):
                if meter.held <= 0 and not meter.fill():
                    break
                meter.held -= 1
                count += 1
            passed.append((clock.now_s, count))
    for first in range(len(passed)):
        total = 0
        for at_s, count in passed[first:]:
            total += count
            assert total <= rate * (at_s - passed[first][0]) + burst + 1e-3


def test_one_worker_alone_gets_nearly_all_of_a_burst_and_of_a_small_one_all() -> None:
    for burst, least in ((1, 1), (10, 10), (31, 31), (10_000, 9_375)):
        one, *_ = of_workers(2, requests_per_s=0.001, requests_burst=burst)
        got = 0
        while one.requests.held > 0 or one.requests.fill():
            one.requests.held -= 1
            got += 1
        assert least <= got <= burst
        assert one.requests.wait_s() > 0


def test_a_meter_of_bytes_gives_what_there_is() -> None:
    first, second = of_workers(2, log_bytes_per_s=1, log_burst_bytes=1000)
    given_ = [one.log_bytes.up_to(400) for one in (first, second, first)]
    assert given_[:2] == [400, 400]
    assert 0 < given_[2] < 400
    assert 900 < sum(given_) <= 1001
    assert second.log_bytes.up_to(100) <= limits.LOG_LINE_BYTES_MAX


def test_processes_take_from_one_bucket_and_none_is_lost_with_one_that_dies() -> None:
    tally = Tally(2, slots=1, tenant_slots=4)
    slot = tally.slot(ACCOUNT)
    assert slot is not None
    now_s, pids, (reading, writing) = time.monotonic(), [], os.pipe()
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            got = sum(tally.take(slot, 0, now_s, 0.001, 1000, 1) for _ in range(400))
            os.write(writing, got.to_bytes(4, "little"))
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    told = os.read(reading, 64)
    os.close(reading)
    os.close(writing)
    assert sum(int.from_bytes(told[at : at + 4], "little") for at in range(0, 16, 4)) == 1000


def test_a_tenants_slot_is_the_same_for_the_next_keeper_and_there_are_only_so_many() -> None:
    tally = Tally(2, slots=1, tenant_slots=2)
    slots = [tally.slot(account) for account in (ACCOUNT, "000000000000", ACCOUNT, "999999999999")]
    assert slots == [1, 2, 1, None]
    tally.adopt()
    assert [tally.slot(account) for account in ("000000000000", ACCOUNT)] == [2, 1]
