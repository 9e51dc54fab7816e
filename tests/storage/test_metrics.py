from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isolet import limits
from isolet.records import Batch, Totals
from isolet.samples import Samples
from isolet.storage import metrics
from isolet.storage.database import Database
from isolet.storage.intake import Intake
from isolet.storage.metrics import HOURS_KEPT_S, MINUTES_KEPT_S, MetricRows

TENANT = "000000000000"
MINUTE = 28_333_320  # the first of an hour
START_S = 60 * MINUTE


def batch(minute: int = MINUTE, name: str = "resize", qualifier: str = "", running: int = 1, errors: int = 0) -> Batch:
    totals = Totals(2, errors, 1, duration_ns=30)
    samples = {"Duration": Samples(2, 30, 10, 20, {0: 2})}
    return Batch(TENANT, name, qualifier, "$LATEST", 128, minute, totals, {}, samples, running)


def run(main: Callable[[Intake, MetricRows, Database], Awaitable[None]]) -> None:
    async def opened() -> None:
        with tempfile.TemporaryDirectory() as directory:
            database = Database(Path(directory) / "db")
            await database.open()
            try:
                await main(Intake(database), MetricRows(database), database)
            finally:
                await database.close()

    asyncio.run(opened())


def test_batches_of_a_minute_are_one_row() -> None:
    async def main(intake: Intake, rows: MetricRows, database: Database) -> None:
        await intake.take("w1", 1, 1, [batch(running=3), batch(running=2, errors=1)], 0)
        await intake.take("w2", 1, 1, [batch(running=4)], 0)
        (row,) = await rows.rows(TENANT, "resize", START_S, START_S + 60, 60)
        assert row.samples["Invocations"] == Samples(6, 6, 1, 1)
        assert row.samples["Errors"] == Samples(6, 1, 0, 1)
        assert row.samples["Throttles"] == Samples(9, 3, 0, 1)
        assert row.samples["Duration"] == Samples(6, 90, 10, 20, {0: 6})
        assert row.peaks == {"w1": 3, "w2": 4}

    run(main)


def test_message_that_comes_again_adds_nothing() -> None:
    async def main(intake: Intake, rows: MetricRows, database: Database) -> None:
        for _ in range(2):
            await intake.take("w1", 1, 1, [batch()], 0)
        (row,) = await rows.rows(TENANT, None, 0, 2**40, 60)
        assert row.samples["Invocations"].size == 2

    run(main)


def test_metrics_of_other_parts_stand_beside_those_of_invocations() -> None:
    async def main(intake: Intake, rows: MetricRows, database: Database) -> None:
        await intake.take("w1", 1, 1, [batch(qualifier="live")], 0)
        for value in (5, 9):
            sample = Samples(1, value, value, value)
            await database.write(
                lambda db, sample=sample: metrics.count(  # type: ignore[misc]
                    db, TENANT, "resize", 1000 * START_S + 7_500, "AsyncEventAge", sample
                )
            )
        one, other = await rows.rows(TENANT, "resize", START_S, START_S + 60, 60)
        assert (one.qualifier, one.samples) == ("", {"AsyncEventAge": Samples(2, 14, 5, 9)})
        assert other.qualifier == "live"
        assert await rows.names(TENANT, START_S) == [
            ("resize", "", frozenset({"AsyncEventAge"})),
            ("resize", "live", frozenset({"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"})),
        ]
        assert await rows.names(TENANT, START_S + 60) == []
        assert await rows.names("111111111111", 0) == []

    run(main)


def test_minutes_become_hours_and_hours_end() -> None:
    async def main(intake: Intake, rows: MetricRows, database: Database) -> None:
        for number in range(0, 90, 10):
            await intake.take("w1", number + 1, 1, [batch(MINUTE + number, running=number + 1)], 0)
        await rows.sweep(START_S + 5_400)
        assert len(await rows.rows(TENANT, "resize", 0, 2**40, 3_600)) == 9
        await rows.sweep(START_S + 3_600 + MINUTES_KEPT_S)
        hour, *minutes = await rows.rows(TENANT, "resize", 0, 2**40, 3_600)
        assert (hour.start_s, hour.period_s, len(minutes)) == (START_S, 3_600, 3)
        assert hour.samples["Invocations"] == Samples(12, 12, 1, 1)
        assert hour.samples["ConcurrentExecutions"] == Samples(6, 1 + 11 + 21 + 31 + 41 + 51, 1, 51)
        assert len(await rows.rows(TENANT, "resize", 0, 2**40, 60)) == 3, "an hour is no minute"
        await rows.sweep(START_S + 1 + HOURS_KEPT_S)
        (last,) = await rows.rows(TENANT, "resize", 0, 2**40, 3_600)
        assert last.start_s == START_S + 3_600

    run(main)


def test_rows_are_bounded_whatever_their_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "METRIC_ROWS_MAX", 20)

    async def main(intake: Intake, rows: MetricRows, database: Database) -> None:
        for number in range(50):
            await intake.take("w1", number + 1, 1, [batch(MINUTE + 60 * number, name=f"f{number % 3}")], 0)
        await rows.sweep(START_S + 3_600 * 50)
        assert len(await rows.rows(TENANT, None, 0, 2**40, 3_600)) <= 21

    run(main)
