"""What is to become of a function's asynchronous invocations: its configuration's words, and its dead-letter target."""

from __future__ import annotations

import sqlite3

from .aws.lambda_.event_invoke import policy_from
from .model import LATEST, EventPolicy
from .storage import attachments


def policy_in(db: sqlite3.Connection, tenant: str, name: str, qualifier: str) -> EventPolicy:
    """Part of a job. Lambda's defaults where nothing is said; also of a function that is not there any more."""
    # Of the whole record one word is needed, and parsing it would cost each event more than all the rest here.
    query = "SELECT json_extract(function, '$.settings.dead_letter') FROM functions WHERE tenant = ? AND name = ?"
    row = db.execute(query, (tenant, name)).fetchone()
    dead_letter = "" if row is None else row[0] or ""
    kind = attachments.EVENT_INVOKE
    document = attachments.get(db, tenant, name, kind, "" if qualifier == LATEST else qualifier)
    return policy_from(document, dead_letter)
