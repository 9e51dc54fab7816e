"""What is attached to a function, one of its versions or aliases: documents of JSON, by kind and qualifier.

Policies, reserved concurrency, function URLs, configurations of asynchronous invocation and the like are read and
written whole, by who attached them (aws/), and go with what they are attached to. The qualifier "" is the function
itself.

All here are parts of jobs (database.py).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

CONCURRENCY = "concurrency"  # {limit, slot}
POLICY = "policy"  # {revision, statements}
URL = "url"  # {url, created, modified}
EVENT_INVOKE = "event-invoke"  # {retries, age_s, on_success, on_failure, modified}; a member that was not said is null
PROVISIONED = "provisioned"  # {requested, modified}
RECURSION = "recursion"  # {loop}
RUNTIME_MANAGEMENT = "runtime-management"  # {update_on, arn}
CODE_SIGNING = "code-signing"  # {arn}

Document = dict[str, Any]


def get(db: sqlite3.Connection, tenant: str, name: str, kind: str, qualifier: str = "") -> Document | None:
    query = "SELECT document FROM attachments WHERE tenant = ? AND name = ? AND kind = ? AND qualifier = ?"
    row = db.execute(query, (tenant, name, kind, qualifier)).fetchone()
    return None if row is None else json.loads(row[0])


def put(
    db: sqlite3.Connection, tenant: str, name: str, kind: str, document: Mapping[str, Any], qualifier: str = ""
) -> None:
    row = (tenant, name, kind, qualifier, json.dumps(document))
    db.execute("INSERT OR REPLACE INTO attachments VALUES (?, ?, ?, ?, ?)", row)


def delete(db: sqlite3.Connection, tenant: str, name: str, kind: str, qualifier: str = "") -> bool:
    """False when there was none."""
    statement = "DELETE FROM attachments WHERE tenant = ? AND name = ? AND kind = ? AND qualifier = ?"
    return db.execute(statement, (tenant, name, kind, qualifier)).rowcount == 1


def delete_all(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> None:
    """What is attached to a version or an alias that goes."""
    statement = "DELETE FROM attachments WHERE tenant = ? AND name = ? AND qualifier = ?"
    db.execute(statement, (tenant, name, qualifier))


def of_function(db: sqlite3.Connection, tenant: str, name: str) -> dict[tuple[str, str], Document]:
    """By kind and qualifier, in this order."""
    query = "SELECT kind, qualifier, document FROM attachments WHERE tenant = ? AND name = ? ORDER BY kind, qualifier"
    return {(kind, qualifier): json.loads(text) for kind, qualifier, text in db.execute(query, (tenant, name))}


def of_kind(db: sqlite3.Connection, tenant: str, kind: str) -> dict[tuple[str, str], Document]:
    """Of all functions of a tenant, by name and qualifier."""
    query = "SELECT name, qualifier, document FROM attachments WHERE tenant = ? AND kind = ? ORDER BY name, qualifier"
    return {(name, qualifier): json.loads(text) for name, qualifier, text in db.execute(query, (tenant, kind))}
