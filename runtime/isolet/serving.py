"""From the registry to the workers: a change of what is deployed is committed, and then every worker serves it.

Laws:
- The routing table is what the registry says: both change together, one change at a time. Else a deletion could come
  between and be undone, and two functions could find one route free.
- When `commit` returns, the change is durable and every attached worker serves it. Telling them says what is true by
  then (fleet.py), not what was true at the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from .fleet import Fleet
from .model import Served
from .storage import registry
from .storage.database import Database
from .storage.registry import Registry

T = TypeVar("T")


class Serving:
    """The keeper's. For the event loop's thread."""

    def __init__(self, database: Database, fleet: Fleet) -> None:
        self._database = database
        self._fleet = fleet
        self._turn = asyncio.Lock()

    async def restore(self) -> None:
        """At the start of a keeper: the table as it was."""
        self._fleet.restore(await Registry(self._database).served())

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While the block lasts, no row changes."""
        async with self._turn:
            yield

    async def commit(
        self, tenant: str, name: str, job: Callable[[sqlite3.Connection], T], check: Callable[[], None] = lambda: None
    ) -> T:
        """What `job` returned, a change of this function's rows, once workers serve it.

        `check` refuses by raising, with the table as it is when the job is about to run. Raises what `check` and `job`
        raise (nothing was changed then) and StorageUnavailable.
        """

        def changed(db: sqlite3.Connection) -> tuple[T, Served | None]:
            result = job(db)
            return result, registry.served(db, tenant, name)

        table = self._fleet.table
        async with self._turn:
            check()
            result, served = await self._database.write(changed)
            if served == table.get(tenant, name):
                return result
            if served is None:
                table.remove(tenant, name)
            else:
                table.put(served)
        await self._fleet.tell(tenant, name)
        return result
