"""What a tenant has deployed: how many functions, versions and layers, and the bytes of their packages.

Law: a change that leaves a tenant with more than it may have, and more than before, does not happen. What grows nothing
is never refused, also of a tenant that has more than it may have by now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ..errors import CallerError, CodeStorageExceeded, LimitExceeded
from ..quota import BY_DEFAULT, Quotas
from .database import Database

T = TypeVar("T")


class Held(NamedTuple):
    """By the names of the limits."""

    functions: int
    versions: int
    layers: int
    code_bytes: int


class Stock:
    """The keeper's. For the event loop's thread."""

    def __init__(self, database: Database, quotas: Quotas = BY_DEFAULT) -> None:
        self._database = database
        self._quotas = quotas

    async def held(self, tenant: str) -> Held:
        return await self._database.read(lambda db: held(db, tenant))

    async def require_room(self, tenant: str, code_bytes: int) -> None:
        """Before a package is stored. Raises CodeStorageExceeded."""
        if (await self.held(tenant)).code_bytes + code_bytes > self._quotas.value(tenant, "code_bytes"):
            raise self._refusal(tenant, "code_bytes")

    def within(self, tenant: str, job: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        """The job, undone if it leaves the tenant with more than it may have. It raises LimitExceeded or
        CodeStorageExceeded then."""
        most = {name: self._quotas.value(tenant, name) for name in Held._fields}

        def bounded(db: sqlite3.Connection) -> T:
            before = held(db, tenant)
            result = job(db)
            after = held(db, tenant)
            for name, old, new in zip(Held._fields, before, after, strict=True):
                if old < new > most[name]:
                    raise self._refusal(tenant, name)
            return result

        return bounded

    def _refusal(self, tenant: str, name: str) -> CallerError:
        self._quotas.refuse(tenant, name)
        if name == "code_bytes":
            return CodeStorageExceeded("Code storage limit exceeded.")
        most = self._quotas.value(tenant, name)
        return LimitExceeded(f"{tenant} has as many {name} as it may have, {most:,}; delete some")


def held(db: sqlite3.Connection, tenant: str) -> Held:
    counts, code_bytes = [], 0
    for table in ("functions", "versions", "layers WHERE document IS NOT NULL AND"):
        where = table if "WHERE" in table else f"{table} WHERE"
        query = f"SELECT count(*), coalesce(sum(code_bytes), 0) FROM {where} tenant = ?"
        count, size = db.execute(query, (tenant,)).fetchone()
        counts.append(count)
        code_bytes += size
    functions, versions, layers = counts
    return Held(functions, versions, layers, code_bytes)
