"""The ledger: what was used, summed per tenant, function and hour.

Law: sums only grow, and only by `add`, in the transaction that also takes the records they were summed from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ..records import Totals, UsageRow
from .database import Database

_FIELDS = Totals._fields
_ADD = (
    f"INSERT INTO usage (tenant, name, hour, {', '.join(_FIELDS)}) VALUES (?, ?, ?{', ?' * len(_FIELDS)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{field} = {field} + excluded.{field}' for field in _FIELDS)}"
)
_ADD_ERROR = (
    "INSERT INTO usage_errors (tenant, name, hour, class, count) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET count = count + excluded.count"
)


def add(db: sqlite3.Connection, tenant: str, name: str, hour: int, totals: Totals, errors: Mapping[str, int]) -> None:
    """Part of a job: adds to one row."""
    db.execute(_ADD, (tenant, name, hour, *totals))
    db.executemany(_ADD_ERROR, [(tenant, name, hour, kind, count) for kind, count in errors.items()])


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(
        self, tenant: str, name: str | None = None, first_hour: int = 0, last_hour: int = 2**40
    ) -> list[UsageRow]:
        """The tenant's rows within the hours (both included), of one function or all, by name and hour."""

        def job(db: sqlite3.Connection) -> list[UsageRow]:
            where = "tenant = ? AND hour BETWEEN ? AND ? AND (? IS NULL OR name = ?) ORDER BY name, hour"
            what = (tenant, first_hour, last_hour, name, name)
            errors: dict[tuple[str, int], dict[str, int]] = {}
            for function, hour, kind, count in db.execute(
                f"SELECT name, hour, class, count FROM usage_errors WHERE {where}, class", what
            ):
                errors.setdefault((function, hour), {})[kind] = count
            return [
                UsageRow(tenant, function, hour, Totals._make(values), errors.get((function, hour), {}))
                for function, hour, *values in db.execute(
                    f"SELECT name, hour, {', '.join(_FIELDS)} FROM usage WHERE {where}", what
                )
            ]

        return await self._database.read(job)
