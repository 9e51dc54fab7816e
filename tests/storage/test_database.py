from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isolet import limits
from isolet.errors import Conflict, StorageUnavailable
from isolet.storage import database as module
from isolet.storage.database import APPLICATION_ID, Database
from isolet.storage.schema import MIGRATIONS


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


def insert(number: int) -> Callable[[sqlite3.Connection], None]:
    return lambda db: (db.execute("INSERT INTO numbers VALUES (?)", (number,)), None)[1]


def numbers(db: sqlite3.Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT number FROM numbers ORDER BY number")]


async def opened(path: Path, **settings: float) -> Database:
    database = Database(path, **settings)
    await database.open()
    await database.write(lambda db: db.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)"))
    return database


def test_writes_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        await asyncio.gather(*(database.write(insert(number)) for number in range(100)))
        await database.close()
        database = await opened(tmp_path / "db")
        assert await database.read(numbers) == list(range(100))
        await database.close()

    run(main)


def test_every_commit_is_synced_and_the_log_is_a_write_ahead_log(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        for pragma, value in {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}.items():
            statement = f"PRAGMA {pragma}"
            assert await database.read(lambda db, s=statement: db.execute(s).fetchone()) == (value,)  # type: ignore[misc]
        await database.close()

    run(main)


def test_file_is_for_its_owner(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        await database.write(insert(1))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        await database.close()

    run(main)


def test_jobs_run_on_one_thread_that_is_not_the_loops(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        jobs = (database.read(lambda _: threading.get_ident()) for _ in range(20))
        (thread,) = set(await asyncio.gather(*jobs))
        assert thread != threading.get_ident()
        await database.close()

    run(main)


async def held(database: Database) -> Callable[[], None]:
    """Keeps the database's thread busy, so that what is asked meanwhile waits together; call the answer to let go."""
    gate, entered = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        gate.wait()

    job = asyncio.ensure_future(database.read(hold))
    await asyncio.to_thread(entered.wait)
    assert not job.done()
    return gate.set


def test_writes_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db", batch_s=60)
        before = database.commits
        release = await held(database)
        writes = [asyncio.ensure_future(database.write(insert(number))) for number in range(200)]
        await asyncio.sleep(0)
        release()
        await asyncio.gather(*writes)
        assert database.commits == before + 1
        assert await database.read(numbers) == list(range(200))
        await database.close()

    run(main)


def test_tenants_take_turns_whatever_they_have_waiting(tmp_path: Path) -> None:
    order = []

    def job(name: str) -> Callable[[sqlite3.Connection], None]:
        return lambda _: order.append(name)

    async def main() -> None:
        database = await opened(tmp_path / "db", batch_s=60)
        release = await held(database)
        asked = [database.write(job(f"{whose}{n}"), whose) for whose in ("a", "b", "") for n in range(4)]
        asked.append(database.write(job("c0"), "c"))
        writes = [asyncio.ensure_future(one) for one in asked]
        await asyncio.sleep(0)
        release()
        await asyncio.gather(*writes)
        await database.close()

    run(main)
    assert order == ["a0", "b0", "0", "c0", "a1", "b1", "1", "a2", "b2", "2", "a3", "b3", "3"]


def test_batch_ends_when_its_time_is_over(tmp_path: Path) -> None:
    """A job each, where no time is given: nobody waits for more than one before its own."""

    async def main() -> None:
        database = await opened(tmp_path / "db", batch_s=0)
        before = database.commits
        release = await held(database)
        writes = [asyncio.ensure_future(database.write(insert(number))) for number in range(20)]
        await asyncio.sleep(0)
        release()
        await asyncio.gather(*writes)
        assert database.commits == before + 20
        await database.close()

    run(main)


def test_failing_job_is_undone_alone(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")

        def fails(db: sqlite3.Connection) -> None:
            insert(7)(db)
            raise Conflict("seven is taken")

        def breaks(db: sqlite3.Connection) -> None:
            insert(8)(db)
            db.execute("INSERT INTO nowhere VALUES (1)")

        release = await held(database)
        jobs = [insert(1), fails, insert(2), breaks, insert(2), insert(3)]
        writes = [asyncio.ensure_future(database.write(job)) for job in jobs]
        await asyncio.sleep(0)
        release()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [type(None), Conflict, type(None), StorageUnavailable, StorageUnavailable, type(None)]
        assert await database.read(numbers) == [1, 2, 3]
        await database.close()

    run(main)


def test_failed_commit_fails_every_write_in_it(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        release = await held(database)
        # No more pages than there are: the disk is full as soon as something large is written.
        full = database.read(lambda db: db.execute("PRAGMA max_page_count = 1"))
        big = b"x" * limits.MIB
        writes = [
            asyncio.ensure_future(job)
            for job in (
                full,
                database.write(insert(1)),
                database.write(lambda db: db.execute("CREATE TABLE big AS SELECT ? AS bytes", (big,))),
            )
        ]
        await asyncio.sleep(0)
        release()
        outcomes = await asyncio.gather(*writes[1:], return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
        assert failed
        assert "free some disk space" in failed[-1].message
        await database.read(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
        there = await database.read(numbers)
        assert there == ([] if len(failed) == 2 else [1]), "what failed is not there, what went well is"
        await database.write(insert(5))
        assert 5 in await database.read(numbers)
        await database.close()

    run(main)


def test_caller_that_left_does_not_stop_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        release = await held(database)
        leaver = asyncio.ensure_future(database.write(insert(1)))
        stayer = asyncio.ensure_future(database.write(insert(2)))
        await asyncio.sleep(0)
        leaver.cancel()
        release()
        await stayer
        assert 2 in await database.read(numbers)
        await database.close()

    run(main)


def test_close_waits_for_what_was_asked_before_and_refuses_what_comes_after(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "db")
        writes = [asyncio.ensure_future(database.write(insert(number))) for number in range(2_000)]
        await asyncio.sleep(0)
        await database.close()
        await asyncio.gather(*writes)
        with pytest.raises(StorageUnavailable, match="closed"):
            await database.write(insert(1))
        database = await opened(tmp_path / "db")
        assert len(await database.read(numbers)) == 2_000
        await database.close()

    run(main)


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_second_keeper_is_refused_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DATABASE_LOCK_S", 0.0)

    async def main() -> None:
        database = await opened(tmp_path / "db")
        with pytest.raises(StorageUnavailable, match="in use by another keeper; stop it"):
            await Database(tmp_path / "db").open()
        await database.close()
        await (await opened(tmp_path / "db")).close()

    run(main)


def test_schema_is_brought_up_to_date_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await (await opened(tmp_path / "db")).close()
        step = "CREATE TABLE later (a); INSERT INTO later VALUES (1)"
        monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, step, "INSERT INTO later VALUES (2)"))
        for _ in range(2):
            database = await opened(tmp_path / "db")
            rows = await database.read(lambda db: db.execute("SELECT a FROM later").fetchall())
            assert rows == [(1,), (2,)]
            await database.close()

    run(main)


def test_failing_migration_leaves_the_older_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await (await opened(tmp_path / "db")).close()
        with monkeypatch.context() as patch:
            patch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE later (a); INSERT INTO nowhere VALUES (1)"))
            with pytest.raises(StorageUnavailable, match="nowhere"):
                await Database(tmp_path / "db").open()
        database = await opened(tmp_path / "db")
        assert await database.read(lambda db: db.execute("PRAGMA user_version").fetchone()) == (len(MIGRATIONS),)
        assert (
            await database.read(lambda db: db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'later'").fetchall())
            == []
        )
        await database.close()

    run(main)


def _sqlite(path: Path, script: str) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(script)
    db.close()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.write_bytes(b"not SQLite" * 1_000), "damaged"),
        (lambda path: path.mkdir(), "cannot be opened"),
        (lambda path: _sqlite(path, f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 999"), "newer"),
        (lambda path: _sqlite(path, "PRAGMA application_id = 77; CREATE TABLE theirs (a)"), "another program's"),
    ],
)  # fmt: skip
def test_file_that_cannot_be_used_is_refused_with_the_cure(
    prepare: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    prepare(tmp_path / "db")

    async def main() -> None:
        with pytest.raises(StorageUnavailable, match=words):
            await Database(tmp_path / "db").open()

    run(main)


def test_directory_that_is_not_there_is_refused_with_the_cure(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StorageUnavailable, match="does its directory exist"):
            await Database(tmp_path / "nowhere" / "db").open()

    run(main)


WRITER = """
import asyncio, sys
from pathlib import Path
from isolet.storage.database import Database

async def main():
    database = Database(Path(sys.argv[1]))
    await database.open()
    await database.write(lambda db: db.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)"))
    start = int(sys.argv[2])

    async def one(number):
        await database.write(lambda db: db.execute("INSERT INTO numbers VALUES (?)", (number,)))
        print(number, flush=True)

    for at in range(start, start + 100_000, 10):
        await asyncio.gather(*(one(number) for number in range(at, at + 10)))

asyncio.run(main())
"""


def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    """What the child said was written is there after it was killed in the middle of writing, again and again."""
    path = tmp_path / "db"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "runtime")}
    acknowledged: set[int] = set()
    for round_number, lines in enumerate([1, 25, 60]):
        command = [sys.executable, "-c", WRITER, str(path), str(round_number * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout is not None
            acknowledged |= {int(child.stdout.readline()) for _ in range(lines)}
            child.send_signal(signal.SIGKILL)
            acknowledged |= {int(line) for line in child.stdout if line.endswith("\n")}

    async def main() -> None:
        database = await opened(path)
        there = set(await database.read(numbers))
        assert acknowledged <= there
        assert await database.read(lambda db: db.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
        await database.close()

    run(main)
