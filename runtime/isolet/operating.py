"""The operator's way to access keys, and to tenants' tiers and limits: a socket in a server's data directory, or
the database where no server runs.

Laws:
- Only the user who runs the server opens the socket (mode 0600), and it serves the operator only. Workers have nothing
  to do with it.
- Whoever can open the database could read what it says anyway: that is the operator, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .accounts import Accounts, TestPair
from .bounds import Bounds
from .clock import SystemClock
from .config import Config
from .errors import InvalidParameter, WorkerLost
from .fleet import Fleet
from .link import Handler, Link, connect, listen, refused, short_path
from .residence import Residence
from .storage.database import Database
from .storage.files import make_data_directory
from .storage.keys import Keys
from .storage.tenants import Tenants

# What may be asked before there is anything: it makes the data directory.
_FIRST = ("create", "limits.set", "tenants.set")


@contextlib.asynccontextmanager
async def operated(config: Config, serve: Handler) -> AsyncIterator[None]:
    """While the block lasts, `serve` answers what this user's `isolet keys`, `limits` and `tenants` ask."""
    with short_path(config.operator_path) as path:
        listener = await listen(path, lambda link: serve)
        try:
            yield
        finally:
            await listener.close()


async def operate(config: Config, operation: str, body: list[Any]) -> Any:
    """What `Accounts.serve`, `Bounds.serve` or `Residence.serve` answers: of the keeper that has the data directory, or
    without one. Raises its errors, InvalidParameter (there is no data directory), StorageUnavailable."""
    if operation not in _FIRST and not config.data.is_dir():
        raise InvalidParameter(f"there is no data directory {config.data}; name the server's with --data")
    make_data_directory(config.data)
    with short_path(config.operator_path) as path:
        link = await _keeper_at(path)
        if link is not None:
            try:
                return await link.request(operation, body)
            finally:
                await link.close()
    database = Database(config.database_path)
    clock = SystemClock()
    await database.open()
    try:
        if operation.startswith("limits."):
            tenants = Tenants(database)
            await tenants.load()
            return await Bounds(tenants).serve(operation, body)
        if operation.startswith("tenants."):
            tenants = Tenants(database)
            await tenants.load()
            return await Residence(tenants, config.layout).serve(operation, body)
        keys = Keys(database, clock, config.secrets_key_path)
        await keys.load()
        return await Accounts(keys, Fleet(), clock, TestPair.NEVER).serve(operation, body)
    finally:
        await database.close()


async def _keeper_at(path: Path) -> Link | None:
    try:
        return await connect(path, lambda link: refused)
    except WorkerLost:
        return None
