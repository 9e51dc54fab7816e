"""The registry: what is deployed. A row a function, and beside it its published versions, aliases and attachments.

A function's row holds up to three records: the *function* as its owner sees it, a change under way included; the
*target* that workers serve, which stays what it was until a change has succeeded; and while one is under way the
*previous* function, to go back to if it fails. All are replaced in one transaction.

A version's row holds a function and a target that do not change any more, but for their snapshot, should it be built
again. A version that was published with the code that is still being built has no target until the build ends.

Laws:
- A change names the revision that it was made from; if the function was changed since, nothing happens and False is
  the answer. So a build that ends after its function was deleted or replaced finds nothing to finish.
- Version numbers are never used twice, also by a function that was deleted and created again.
- `served` is what workers serve of a function, whole, as of a transaction.

What changes rows are plain functions of a connection: parts of a job, which serving.py commits and routes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import Any, NamedTuple

from ..model import Alias, Function, Reserved, Served, SnapshotInfo, State, Target
from ..plain import (
    alias_from_plain,
    alias_to_plain,
    function_from_plain,
    function_to_plain,
    target_from_plain,
    target_to_plain,
    url_from_plain,
)
from . import attachments
from .database import Database


@dataclass(frozen=True, slots=True)
class Entry:
    function: Function
    target: Target | None = None  # None until the first build has succeeded
    previous: Function | None = None


class VersionEntry(NamedTuple):
    function: Function
    target: Target | None  # None while its code is being built, and when that has failed


class Registry:
    """Reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, name: str) -> Entry | None:
        return await self._database.read(lambda db: get(db, tenant, name))

    async def page(self, tenant: str, after: str, count: int) -> list[Entry]:
        """Up to `count` functions of a tenant in the order of their names, those after the name `after`."""
        query = "SELECT function, target, previous FROM functions WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"
        rows = await self._database.read(lambda db: db.execute(query, (tenant, after, count)).fetchall())
        return [_entry(row) for row in rows]

    async def all(self) -> list[Entry]:
        """Every function, for the start of a keeper and for what is to be kept of files."""
        query = "SELECT function, target, previous FROM functions ORDER BY tenant, name"
        rows = await self._database.read(lambda db: db.execute(query).fetchall())
        return [_entry(row) for row in rows]

    async def all_versions(self) -> list[VersionEntry]:
        rows = await self._database.read(lambda db: db.execute("SELECT function, target FROM versions").fetchall())
        return [_version_entry(row) for row in rows]

    async def version(self, tenant: str, name: str, number: int) -> VersionEntry | None:
        query = "SELECT function, target FROM versions WHERE tenant = ? AND name = ? AND version = ?"
        row = await self._database.read(lambda db: db.execute(query, (tenant, name, number)).fetchone())
        return None if row is None else _version_entry(row)

    async def versions(self, tenant: str, name: str, after: int, count: int) -> list[VersionEntry]:
        """Up to `count` published versions in the order of their numbers, those after the number `after`."""
        where = "tenant = ? AND name = ? AND version > ? ORDER BY version LIMIT ?"
        query = f"SELECT function, target FROM versions WHERE {where}"
        rows = await self._database.read(lambda db: db.execute(query, (tenant, name, after, count)).fetchall())
        return [_version_entry(row) for row in rows]

    async def alias(self, tenant: str, name: str, alias: str) -> Alias | None:
        return await self._database.read(lambda db: get_alias(db, tenant, name, alias))

    async def aliases(self, tenant: str, name: str) -> list[Alias]:
        return await self._database.read(lambda db: list_aliases(db, tenant, name))

    async def served(self) -> list[Served]:
        """Of all functions: the table of a keeper that starts."""

        def job(db: sqlite3.Connection) -> list[Served]:
            names = db.execute("SELECT tenant, name FROM functions").fetchall()
            rows = (served(db, tenant, name) for tenant, name in names)
            return [row for row in rows if row is not None]

        return await self._database.read(job)


# ── parts of jobs: functions ────────────────────────────────────────────────────────────────────────────────────


def get(db: sqlite3.Connection, tenant: str, name: str) -> Entry | None:
    query = "SELECT function, target, previous FROM functions WHERE tenant = ? AND name = ?"
    row = db.execute(query, (tenant, name)).fetchone()
    return None if row is None else _entry(row)


def create(db: sqlite3.Connection, entry: Entry) -> bool:
    """False when there is a function of this name already."""
    columns = "tenant, name, revision, function, target, previous, code_bytes"
    insert = f"INSERT OR IGNORE INTO functions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    return db.execute(insert, _row(entry)).rowcount == 1


def replace(db: sqlite3.Connection, entry: Entry, revision: str) -> bool:
    """False when the function is gone or no longer at `revision`."""
    tenant, name, *values = _row(entry)
    where = "tenant = ? AND name = ? AND revision = ?"
    columns = "revision = ?, function = ?, target = ?, previous = ?, code_bytes = ?"
    update = f"UPDATE functions SET {columns} WHERE {where}"
    return db.execute(update, (*values, tenant, name, revision)).rowcount == 1


def delete(db: sqlite3.Connection, tenant: str, name: str) -> bool:
    """The function with all that belongs to it. False when there was no such function."""
    if db.execute("DELETE FROM functions WHERE tenant = ? AND name = ?", (tenant, name)).rowcount == 0:
        return False
    for table in ("versions", "aliases", "attachments"):
        db.execute(f"DELETE FROM {table} WHERE tenant = ? AND name = ?", (tenant, name))
    return True


def exchange(db: sqlite3.Connection, tenant: str, name: str, digest: str, snapshot: SnapshotInfo) -> None:
    """Another snapshot of the same code in place of the one of this digest, wherever the function has it. Nothing that
    its owner changed: revisions stay."""
    entry = get(db, tenant, name)
    if entry is not None:
        new = Entry(
            _with_snapshot(entry.function, digest, snapshot),
            entry.target and _with_target(entry.target, digest, snapshot),
            entry.previous and _with_snapshot(entry.previous, digest, snapshot),
        )
        replace(db, new, entry.function.revision_id)
    for version in list(_versions(db, tenant, name)):
        if version.target is not None and version.target.snapshot.digest == digest:
            target = _with_target(version.target, digest, snapshot)
            put_version(db, VersionEntry(_with_snapshot(version.function, digest, snapshot), target))


def _with_snapshot(function: Function, digest: str, snapshot: SnapshotInfo) -> Function:
    same = function.snapshot is not None and function.snapshot.digest == digest
    return with_changes(function, snapshot=snapshot) if same else function


def _with_target(target: Target, digest: str, snapshot: SnapshotInfo) -> Target:
    return with_changes(target, snapshot=snapshot) if target.snapshot.digest == digest else target


# ── parts of jobs: versions ─────────────────────────────────────────────────────────────────────────────────────


def next_version(db: sqlite3.Connection, tenant: str, name: str) -> int:
    """A number that no version of this name ever had; it is taken now."""
    statement = (
        "INSERT INTO version_numbers VALUES (?, ?, 1) ON CONFLICT (tenant, name) DO UPDATE SET last = last + 1 "
        "RETURNING last"
    )
    number: int = db.execute(statement, (tenant, name)).fetchone()[0]
    return number


def latest_version(db: sqlite3.Connection, tenant: str, name: str) -> VersionEntry | None:
    where = "tenant = ? AND name = ? ORDER BY version DESC LIMIT 1"
    row = db.execute(f"SELECT function, target FROM versions WHERE {where}", (tenant, name)).fetchone()
    return None if row is None else _version_entry(row)


def put_version(db: sqlite3.Connection, entry: VersionEntry) -> None:
    """A version, new or changed."""
    function = entry.function
    db.execute(
        "INSERT OR REPLACE INTO versions (tenant, name, version, function, target, code_bytes) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(function.tenant, function.name, int(function.version), json.dumps(function_to_plain(function))),
            None if entry.target is None else json.dumps(target_to_plain(entry.target)),
            function.code_bytes,
        ),
    )


def delete_version(db: sqlite3.Connection, tenant: str, name: str, number: int) -> bool:
    statement = "DELETE FROM versions WHERE tenant = ? AND name = ? AND version = ?"
    attachments.delete_all(db, tenant, name, str(number))
    return db.execute(statement, (tenant, name, number)).rowcount == 1


def settle_versions(db: sqlite3.Connection, tenant: str, name: str, settle: Callable[[Function], VersionEntry]) -> None:
    """What waits for a build that has ended is what `settle` makes of it."""
    for version in list(_versions(db, tenant, name)):
        if version.function.state is State.PENDING:
            put_version(db, settle(version.function))


def _versions(db: sqlite3.Connection, tenant: str, name: str) -> Iterator[VersionEntry]:
    query = "SELECT function, target FROM versions WHERE tenant = ? AND name = ? ORDER BY version"
    return map(_version_entry, db.execute(query, (tenant, name)).fetchall())


# ── parts of jobs: aliases ──────────────────────────────────────────────────────────────────────────────────────


def get_alias(db: sqlite3.Connection, tenant: str, name: str, alias: str) -> Alias | None:
    query = "SELECT document FROM aliases WHERE tenant = ? AND name = ? AND alias = ?"
    row = db.execute(query, (tenant, name, alias)).fetchone()
    return None if row is None else alias_from_plain(json.loads(row[0]))


def list_aliases(db: sqlite3.Connection, tenant: str, name: str) -> list[Alias]:
    """In the order of their names."""
    query = "SELECT document FROM aliases WHERE tenant = ? AND name = ? ORDER BY alias"
    return [alias_from_plain(json.loads(row[0])) for row in db.execute(query, (tenant, name))]


def put_alias(db: sqlite3.Connection, tenant: str, name: str, alias: Alias) -> None:
    document = json.dumps(alias_to_plain(alias))
    db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?, ?)", (tenant, name, alias.name, document))


def delete_alias(db: sqlite3.Connection, tenant: str, name: str, alias: str) -> bool:
    """The alias with what is attached to it. False when there was none."""
    attachments.delete_all(db, tenant, name, alias)
    statement = "DELETE FROM aliases WHERE tenant = ? AND name = ? AND alias = ?"
    return db.execute(statement, (tenant, name, alias)).rowcount == 1


# ── what workers serve ──────────────────────────────────────────────────────────────────────────────────────────


def served(db: sqlite3.Connection, tenant: str, name: str) -> Served | None:
    """None for a function that cannot run in any version."""
    entry = get(db, tenant, name)
    if entry is None:
        return None
    versions = [version.target for version in _versions(db, tenant, name)]
    targets = tuple(target for target in (entry.target, *versions) if target is not None)
    if not targets:
        return None
    kept = attachments.of_function(db, tenant, name)
    reserved = [document for (kind, _), document in kept.items() if kind == attachments.CONCURRENCY]
    urls = [document for (kind, _), document in kept.items() if kind == attachments.URL]
    return Served(
        tenant,
        name,
        targets,
        tuple(list_aliases(db, tenant, name)),
        tuple(url_from_plain(document["url"]) for document in urls),
        Reserved(reserved[0]["limit"], reserved[0]["slot"]) if reserved else None,
    )


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(entry: Entry) -> tuple[str | int | None, ...]:
    function = entry.function
    return (
        *(function.tenant, function.name, function.revision_id, json.dumps(function_to_plain(function))),
        None if entry.target is None else json.dumps(target_to_plain(entry.target)),
        None if entry.previous is None else json.dumps(function_to_plain(entry.previous)),
        function.code_bytes,
    )


def _entry(row: tuple[str, str | None, str | None]) -> Entry:
    function, target, previous = row
    return Entry(
        function_from_plain(json.loads(function)),
        None if target is None else target_from_plain(json.loads(target)),
        None if previous is None else function_from_plain(json.loads(previous)),
    )


def _version_entry(row: tuple[Any, Any]) -> VersionEntry:
    function, target = row
    return VersionEntry(
        function_from_plain(json.loads(function)), None if target is None else target_from_plain(json.loads(target))
    )
