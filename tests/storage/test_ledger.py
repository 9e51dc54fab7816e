from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from isolet.records import Batch, Totals, UsageRow
from isolet.storage.database import Database
from isolet.storage.intake import Intake
from isolet.storage.ledger import Ledger

TENANT = "000000000000"
small = st.integers(0, 10**12)
some_totals = st.builds(Totals, *[small] * len(Totals._fields))
additions = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(400_000, 400_002),
        some_totals,
        st.dictionaries(st.sampled_from(["Trapped", "TimedOut"]), st.integers(1, 100)),
    ),
    max_size=12,
)
Addition = tuple[str, int, Totals, dict[str, int]]


def batch(addition: Addition) -> Batch:
    name, hour, totals, errors = addition
    return Batch(TENANT, name, "", "$LATEST", 128, 60 * hour + 59, totals, errors)


def run(main: Callable[[Database], Awaitable[None]]) -> None:
    async def opened() -> None:
        with tempfile.TemporaryDirectory() as directory:
            database = Database(Path(directory) / "db")
            await database.open()
            try:
                await main(database)
            finally:
                await database.close()

    asyncio.run(opened())


def expected(added: list[Addition]) -> list[UsageRow]:
    rows: dict[tuple[str, int], UsageRow] = {}
    for name, hour, totals, errors in added:
        old = rows.get((name, hour), UsageRow(TENANT, name, hour, Totals(), {}))
        counts = {kind: old.errors.get(kind, 0) + errors.get(kind, 0) for kind in {*old.errors, *errors}}
        rows[name, hour] = UsageRow(TENANT, name, hour, old.totals.plus(totals), counts)
    return [rows[key] for key in sorted(rows)]


@settings(max_examples=30, deadline=None)
@given(additions, st.randoms(use_true_random=False), st.lists(st.integers(1, 4), min_size=1))
def test_order_and_batching_do_not_change_totals(added: list[Addition], random: object, sizes: list[int]) -> None:
    shuffled = list(added)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    async def main(database: Database) -> None:
        intake, sequence, at = Intake(database), 0, 0
        while at < len(shuffled):
            size = sizes[sequence % len(sizes)]
            sequence += 1
            await intake.take("w", sequence, 1, [batch(addition) for addition in shuffled[at : at + size]], 0)
            at += size
        assert await Ledger(database).rows(TENANT) == expected(added)

    run(main)


def test_message_sent_again_is_taken_once() -> None:
    added: Addition = ("a", 400_000, Totals(invocations=1, fuel=5), {"Trapped": 1})

    async def main(database: Database) -> None:
        intake = Intake(database)
        assert await intake.take("w", 1, 1, [batch(added)], 0)
        assert not await intake.take("w", 1, 1, [batch(added)], 1)
        assert await intake.take("w", 2, 1, [batch(added)], 2)
        assert not await intake.take("w", 1, 1, [batch(added)], 3)
        assert await intake.take("another worker", 1, 1, [batch(added)], 4)
        assert await Ledger(database).rows(TENANT) == expected([added] * 3)

    run(main)


def test_workers_long_gone_are_forgotten() -> None:
    async def main(database: Database) -> None:
        intake = Intake(database)
        for number in range(5):
            await intake.take(f"w{number}", 1, 1, [], number * 86_400)
        await intake.take("late", 1, 1, [], 9 * 86_400)
        count = await database.read(lambda db: db.execute("SELECT count(*) FROM recorders").fetchone())
        assert count == (4,), "those of the last seven days"

    run(main)


def test_rows_are_chosen_by_tenant_function_and_hours() -> None:
    async def main(database: Database) -> None:
        intake = Intake(database)
        added: list[Addition] = [(name, hour, Totals(invocations=1), {}) for name in "ab" for hour in (10, 11, 12)]
        await intake.take("w", 1, 1, [batch(addition) for addition in added], 0)
        ledger = Ledger(database)
        rows = await ledger.rows(TENANT, "b", 11, 12)
        assert [(row.name, row.hour) for row in rows] == [("b", 11), ("b", 12)]
        assert await ledger.rows("111111111111") == []

    run(main)
