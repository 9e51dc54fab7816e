"""Builds that were refused, so that the same is refused again without building.

Laws:
- What is refused to one tenant is refused to nobody else: an entry is its tenant's, and whoever else uploads the same
  bytes builds them, in the time that takes.
- An entry outlives the keeper; it ends after its time, and before it when its tenant has too many, oldest first.
- Errors are kept as plain values: an exception that is raised again and again grows.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict
from typing import Any

import msgpack

from .. import limits
from ..clock import Clock
from ..errors import StorageUnavailable
from .database import Database

logger = logging.getLogger("isolet.storage")


class Refusals:
    """`load` first. For the event loop's thread."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        tenant_max: int = limits.REFUSALS_TENANT_MAX,
        total_max: int = limits.REFUSALS_MAX,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tenant_max = tenant_max
        self._total_max = total_max
        self._count = 0
        # Of each tenant, oldest first: key → (error, the instant until which it holds).
        self._kept: dict[str, OrderedDict[bytes, tuple[Any, int]]] = {}

    async def load(self) -> None:
        """Raises StorageUnavailable."""
        query = "SELECT tenant, key, error, until_s FROM refusals ORDER BY until_s"
        for tenant, key, error, until_s in await self._database.read(lambda db: db.execute(query).fetchall()):
            self._kept.setdefault(tenant, OrderedDict())[key] = msgpack.unpackb(error), until_s
            self._count += 1

    def get(self, tenant: str, key: bytes) -> Any | None:
        """The error that was noted, if it still holds."""
        entries = self._kept.get(tenant)
        found = None if entries is None else entries.get(key)
        return None if found is None or found[1] <= self._clock.wall_s() else found[0]

    async def put(self, tenant: str, key: bytes, error: Any, for_s: float) -> None:
        """Notes an error. It holds at once, and after a restart too, unless the disk fails."""
        until_s = int(self._clock.wall_s() + for_s)
        self._forget(tenant, key)
        self._kept.setdefault(tenant, OrderedDict())[key] = error, until_s
        self._count += 1
        gone = self._excess(tenant)
        for each in gone:
            self._forget(*each)

        def job(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM refusals WHERE tenant = ? AND key = ?", gone)
            db.execute(
                "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?)", (tenant, key, msgpack.packb(error), until_s)
            )

        try:
            await self._database.write(job)
        except StorageUnavailable as reason:
            logger.warning("a refused build is remembered until a restart only: %s", reason)

    def _excess(self, tenant: str) -> list[tuple[str, bytes]]:
        """What has to leave for the newest entry: the tenant's own oldest, or of whoever has most."""
        own = self._kept[tenant]
        if len(own) > self._tenant_max:
            return [(tenant, next(iter(own)))]
        if self._count > self._total_max:
            most = max(self._kept, key=lambda each: len(self._kept[each]))
            return [(most, next(iter(self._kept[most])))]
        return []

    def _forget(self, tenant: str, key: bytes) -> None:
        entries = self._kept.get(tenant, OrderedDict())
        if entries.pop(key, None) is not None:
            self._count -= 1
        if not entries:
            self._kept.pop(tenant, None)
