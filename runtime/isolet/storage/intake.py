"""Taking what workers recorded: one transaction for the sums, the segments and the fact that they were taken.

Law: exactly once. A worker numbers its messages and sends each until it is acknowledged; one whose number was seen from
that worker is acknowledged again and changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..quota import BY_DEFAULT, Quotas
from ..records import Batch
from . import ledger, logs, metrics
from .database import Database

# A worker that was silent for so long will not send its last message again.
_REMEMBERED_S = 7 * 86_400


class Intake:
    def __init__(self, database: Database, quotas: Quotas = BY_DEFAULT) -> None:
        self._database = database
        self._quotas = quotas

    async def take(self, worker: str, sequence: int, step_ms: int, batches: Sequence[Batch], now_s: int) -> bool:
        """False when the message had been taken before. Returns after the commit."""

        wrote = {batch.tenant for batch in batches if batch.records}
        allowed = {tenant: int(self._quotas.value(tenant, "log_stored_bytes")) for tenant in wrote}

        def job(db: sqlite3.Connection) -> bool:
            if not _is_new(db, worker, sequence, now_s):
                return False
            for batch in batches:
                ledger.add(db, batch.tenant, batch.name, batch.hour, batch.totals, batch.errors)
                metrics.add(db, worker, batch)
                if batch.records:
                    logs.append(db, worker, step_ms, batch)
            logs.bound(db, allowed)
            return True

        return await self._database.write(job)


def _is_new(db: sqlite3.Connection, worker: str, sequence: int, now_s: int) -> bool:
    row = db.execute("SELECT sequence FROM recorders WHERE worker = ?", (worker,)).fetchone()
    if row is None:
        db.execute("DELETE FROM recorders WHERE seen_s < ?", (now_s - _REMEMBERED_S,))
    elif sequence <= row[0]:
        return False
    db.execute("INSERT OR REPLACE INTO recorders VALUES (?, ?, ?)", (worker, sequence, now_s))
    return True
