from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from isolet.tally import Tally


def test_limit_holds_over_all_workers_together() -> None:
    tally = Tally(3, slots=2)
    columns = [tally.column(number) for number in range(3)]
    assert [columns[number % 3].enter(1, 4) for number in range(6)] == [True] * 4 + [False] * 2
    assert columns[0].enter(0, 1)  # another slot
    columns[1].leave(1)
    assert columns[2].enter(1, 4)
    assert not columns[2].enter(1, 4)


def test_replacement_of_a_killed_worker_begins_empty() -> None:
    tally = Tally(2, slots=1)
    killed, other = tally.column(0), tally.column(1)
    assert killed.enter(0, 2)
    assert other.enter(0, 2)
    assert not other.enter(0, 2)
    replacement = tally.column(0)
    assert replacement.enter(0, 2)
    assert not other.enter(0, 2)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60), st.integers(1, 5))
def test_never_do_more_run_than_the_limit(film: list[tuple[int, bool]], limit: int) -> None:
    tally = Tally(3, slots=1)
    columns, running = [tally.column(number) for number in range(3)], [0, 0, 0]
    for number, enters in film:
        if enters:
            entered = columns[number].enter(0, limit)
            assert entered == (sum(running) < limit)
            running[number] += entered
        elif running[number]:
            columns[number].leave(0)
            running[number] -= 1


def test_processes_count_in_the_same_cells() -> None:
    tally = Tally(2, slots=1)
    mine = tally.column(0)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if tally.column(1).enter(0, 1) else 1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not mine.enter(0, 1)
