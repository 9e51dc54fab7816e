from __future__ import annotations

import asyncio
import os

import pytest

from isolet.vitals import Ending, Pulse, Vitals


def test_places_do_not_touch_each_other_nor_the_endings() -> None:
    vitals = Vitals(3)
    vitals.count(Ending.FAILED)
    columns = [vitals.column(place) for place in range(3)]
    for served, column in enumerate(columns):
        column.beat(10 + served)
    columns[1].clear()
    assert [column.served for column in columns] == [10, 0, 12]
    assert [column.turned_ns > 0 for column in columns] == [True, False, True]
    assert vitals.endings() == {ending.name.lower(): ending is Ending.FAILED for ending in Ending}


def test_what_one_process_writes_another_reads() -> None:
    vitals = Vitals(1)
    pid = os.fork()
    if pid == 0:
        vitals.column(0).beat(7)
        vitals.count(Ending.MEMORY)
        os._exit(0)
    os.waitpid(pid, 0)
    assert vitals.column(0).served == 7
    assert vitals.endings()["memory"] == 1


@pytest.mark.anyio
async def test_pulse_beats_while_the_loop_turns_and_only_then() -> None:
    column = Vitals(1).column(0)
    served = 0
    pulse = Pulse(column, lambda: served, beat_s=0.001)
    before = column.turned_ns
    assert before
    served = 5
    while column.turned_ns == before:
        await asyncio.sleep(0)
    assert column.served == 5
    at = column.turned_ns
    sum(range(300_000))  # the loop is held: nobody beats
    assert column.turned_ns == at
    pulse.stop()
    assert column.turned_ns == 0
    await asyncio.sleep(0.005)
    assert column.turned_ns == 0
