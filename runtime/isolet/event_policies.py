"""What is to become of a function's asynchronous invocations: its configuration's words, and its dead-letter target.

Laws:
- A version's dead-letter target is the version's own, an alias has that of the version it names first.
- Who was to be told of a function's events is told of those that were waiting when it was deleted, too.

All here are parts of jobs (database.py).
"""

from __future__ import annotations

import sqlite3

from .aws.lambda_.event_invoke import policy_from
from .model import LATEST, EventPolicy
from .storage import attachments, registry


def policy_in(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> EventPolicy:
    """Lambda's defaults where nothing is said. Of a function that is not there any more, what `depart` has kept."""
    qualifier = "" if qualifier == LATEST else qualifier
    # Of the whole record one word is needed, and parsing it would cost each event more than all the rest here.
    query = "SELECT json_extract(function, '$.settings.dead_letter') FROM functions WHERE tenant = ? AND name = ?"
    row = db.execute(query, (tenant, name)).fetchone()
    if row is None:
        return _departed(db, tenant, name, qualifier)
    dead_letter = (row[0] if not qualifier else _of_version(db, tenant, name, qualifier)) or ""
    return policy_from(attachments.get(db, tenant, name, attachments.EVENT_INVOKE, qualifier), dead_letter)


def _of_version(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> str:
    if not qualifier.isdigit():
        alias = registry.get_alias(db, tenant, name, qualifier)
        if alias is None or not alias.version.isdigit():
            return ""
        qualifier = alias.version
    where = "tenant = ? AND name = ? AND version = ?"
    query = f"SELECT json_extract(function, '$.settings.dead_letter') FROM versions WHERE {where}"
    row = db.execute(query, (tenant, name, int(qualifier))).fetchone()
    return "" if row is None else row[0] or ""


def depart(db: sqlite3.Connection, tenant: str, name: str) -> None:
    """Before a function is deleted: keeps who is to be told of its events that wait."""
    db.execute("DELETE FROM departed WHERE tenant = ? AND name = ?", (tenant, name))
    query = "SELECT DISTINCT qualifier FROM events WHERE tenant = ? AND name = ?"
    for (qualifier,) in db.execute(query, (tenant, name)).fetchall():
        policy = policy_in(db, tenant, name, qualifier)
        if policy.on_failure or policy.dead_letter:
            row = (tenant, name, "" if qualifier == LATEST else qualifier, policy.on_failure, policy.dead_letter)
            db.execute("INSERT OR REPLACE INTO departed VALUES (?, ?, ?, ?, ?)", row)


def forget(db: sqlite3.Connection) -> None:
    """Removes what was kept for events that have ended."""
    waits = "SELECT 1 FROM events WHERE events.tenant = departed.tenant AND events.name = departed.name"
    db.execute(f"DELETE FROM departed WHERE NOT EXISTS ({waits})")


def _departed(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> EventPolicy:
    query = "SELECT on_failure, dead_letter FROM departed WHERE tenant = ? AND name = ? AND qualifier = ?"
    row = db.execute(query, (tenant, name, qualifier)).fetchone()
    return EventPolicy() if row is None else EventPolicy(on_failure=row[0], dead_letter=row[1])
