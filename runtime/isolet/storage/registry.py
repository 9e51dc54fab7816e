"""The registry: what is deployed, a row a function.

A row holds up to three records: the *function* as its owner sees it, a change under way included; the *target* that
workers serve, which stays what it was until a change has succeeded; and while one is under way the *previous* function,
to go back to if it fails. All are replaced in one transaction.

Law: a change names the revision that it was made from; if the function was changed since, nothing happens and False is
the answer. So a build that ends after its function was deleted or replaced finds nothing to finish.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from ..model import Function, Target
from ..plain import function_from_plain, function_to_plain, target_from_plain, target_to_plain
from .database import Database


@dataclass(frozen=True, slots=True)
class Entry:
    function: Function
    target: Target | None = None  # None until the first build has succeeded
    previous: Function | None = None


class Registry:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, name: str) -> Entry | None:
        query = "SELECT function, target, previous FROM functions WHERE tenant = ? AND name = ?"
        row = await self._database.read(lambda db: db.execute(query, (tenant, name)).fetchone())
        return None if row is None else _entry(row)

    async def page(self, tenant: str, after: str, count: int) -> list[Entry]:
        """Up to `count` functions of a tenant in the order of their names, those after the name `after`."""
        query = "SELECT function, target, previous FROM functions WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"
        rows = await self._database.read(lambda db: db.execute(query, (tenant, after, count)).fetchall())
        return [_entry(row) for row in rows]

    async def all(self) -> list[Entry]:
        """Everything, for the start of a keeper."""
        query = "SELECT function, target, previous FROM functions ORDER BY tenant, name"
        rows = await self._database.read(lambda db: db.execute(query).fetchall())
        return [_entry(row) for row in rows]

    async def create(self, entry: Entry) -> bool:
        """False when there is a function of this name already."""

        def job(db: sqlite3.Connection) -> bool:
            return db.execute("INSERT OR IGNORE INTO functions VALUES (?, ?, ?, ?, ?, ?)", _row(entry)).rowcount == 1

        return await self._database.write(job)

    async def replace(self, entry: Entry, revision: str) -> bool:
        """False when the function is gone or no longer at `revision`."""

        def job(db: sqlite3.Connection) -> bool:
            tenant, name, *values = _row(entry)
            where = "tenant = ? AND name = ? AND revision = ?"
            update = f"UPDATE functions SET revision = ?, function = ?, target = ?, previous = ? WHERE {where}"
            return db.execute(update, (*values, tenant, name, revision)).rowcount == 1

        return await self._database.write(job)

    async def delete(self, tenant: str, name: str) -> bool:
        """False when there was no such function."""
        statement = "DELETE FROM functions WHERE tenant = ? AND name = ?"
        return await self._database.write(lambda db: db.execute(statement, (tenant, name)).rowcount == 1)


def _row(entry: Entry) -> tuple[str | None, ...]:
    function = entry.function
    return (
        *(function.tenant, function.name, function.revision_id, json.dumps(function_to_plain(function))),
        None if entry.target is None else json.dumps(target_to_plain(entry.target)),
        None if entry.previous is None else json.dumps(function_to_plain(entry.previous)),
    )


def _entry(row: tuple[str, str | None, str | None]) -> Entry:
    function, target, previous = row
    return Entry(
        function_from_plain(json.loads(function)),
        None if target is None else target_from_plain(json.loads(target)),
        None if previous is None else function_from_plain(json.loads(previous)),
    )
