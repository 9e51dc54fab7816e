"""Event source mappings, by tenant and UUID: documents of JSON. All here are parts of jobs (database.py)."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

Document = dict[str, Any]


def get(db: sqlite3.Connection, tenant: str, id: str) -> Document | None:
    row = db.execute("SELECT document FROM mappings WHERE tenant = ? AND id = ?", (tenant, id)).fetchone()
    return None if row is None else json.loads(row[0])


def all(db: sqlite3.Connection, tenant: str) -> list[Document]:
    """In the order of their UUIDs."""
    rows = db.execute("SELECT document FROM mappings WHERE tenant = ? ORDER BY id", (tenant,))
    return [json.loads(row[0]) for row in rows]


def put(db: sqlite3.Connection, tenant: str, id: str, document: Document) -> None:
    db.execute("INSERT OR REPLACE INTO mappings VALUES (?, ?, ?)", (tenant, id, json.dumps(document)))


def delete(db: sqlite3.Connection, tenant: str, id: str) -> None:
    db.execute("DELETE FROM mappings WHERE tenant = ? AND id = ?", (tenant, id))
