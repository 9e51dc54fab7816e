from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from isolet.event_policies import depart, forget, policy_in
from isolet.model import LATEST, Alias, EventPolicy, Function, Settings, State
from isolet.storage import attachments, registry
from isolet.storage.database import Database
from isolet.storage.registry import Entry, VersionEntry

TENANT = "000000000000"
QUEUE, OTHER, TOPIC = (f"arn:aws:sqs:us-east-1:{TENANT}:{name}" for name in ("dead", "other", "failed"))
LATEST_ONE = Function(
    *(TENANT, "f", Settings(dead_letter=QUEUE), "d" * 64, "c", 1, 1, State.ACTIVE, "", None, "r1", 0.0),
)


def run(path: Path, job: Callable[[sqlite3.Connection], None]) -> None:
    async def main() -> None:
        database = Database(path / "db")
        await database.open()
        try:
            await database.write(job)
        finally:
            await database.close()

    asyncio.run(main())


def function(db: sqlite3.Connection) -> None:
    registry.create(db, Entry(LATEST_ONE))
    frozen = replace(LATEST_ONE, version="1", settings=Settings(dead_letter=OTHER))
    registry.put_version(db, VersionEntry(frozen, None))
    registry.put_alias(db, TENANT, "f", Alias("live", "1"))


def wait(db: sqlite3.Connection, qualifier: str = "") -> None:
    columns = "request_id, tenant, name, qualifier, body, client_context, trace_id, depth, accepted_ms"
    db.execute(
        f"INSERT INTO events ({columns}, attempts, losses, throttles, due_ms, leased) "
        "VALUES (?, ?, 'f', ?, x'', x'', '', 0, 0, 0, 0, 0, 0, 0)",
        (f"id{qualifier}", TENANT, qualifier),
    )


def test_dead_letter_target_is_the_versions_own(tmp_path: Path) -> None:
    def job(db: sqlite3.Connection) -> None:
        function(db)
        targets = [policy_in(db, TENANT, "f", qualifier).dead_letter for qualifier in ("", LATEST, "1", "live", "2")]
        assert targets == [QUEUE, QUEUE, OTHER, OTHER, ""]

    run(tmp_path, job)


def test_configuration_is_that_of_the_qualifier(tmp_path: Path) -> None:
    def job(db: sqlite3.Connection) -> None:
        function(db)
        said = {"retries": 0, "age_s": 60, "on_success": "", "on_failure": TOPIC, "modified": 0}
        attachments.put(db, TENANT, "f", attachments.EVENT_INVOKE, said, "live")
        assert policy_in(db, TENANT, "f", "live") == EventPolicy(0, 60, "", TOPIC, OTHER)
        assert policy_in(db, TENANT, "f", "") == EventPolicy(dead_letter=QUEUE)

    run(tmp_path, job)


def test_who_was_to_be_told_is_told_of_what_waited_when_a_function_was_deleted(tmp_path: Path) -> None:
    def job(db: sqlite3.Connection) -> None:
        function(db)
        wait(db)
        wait(db, "live")
        depart(db, TENANT, "f")
        registry.delete(db, TENANT, "f")
        assert policy_in(db, TENANT, "f", LATEST).dead_letter == QUEUE
        assert policy_in(db, TENANT, "f", "live").dead_letter == OTHER
        forget(db)
        assert policy_in(db, TENANT, "f", "").dead_letter == QUEUE
        db.execute("DELETE FROM events")
        forget(db)
        assert policy_in(db, TENANT, "f", "") == EventPolicy()

    run(tmp_path, job)
