"""What the operator set for tenants, by account: tier, a cordon of its own, limits that differ from the defaults.

Laws:
- All of it is in the keeper's memory: whoever asks for a tenant's settings reads no database.
- A tenant without a row has DEFAULTS. What a row does not name, it has by default.
- What memory says is on the disk; changes of one tenant take effect one after the other.
- What tiers there are, and what limits, is not known here (quota.py says the latter).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import InvalidParameter
from .database import Database

Number = int | float


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """One tenant's. `limits`: only those that differ from the defaults."""

    tier: str = "standard"
    own: bool = False
    limits: Mapping[str, Number] = field(default_factory=dict)


DEFAULTS = TenantSettings()


class Tenants:
    """`load` first. For the event loop's thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: dict[str, TenantSettings] = {}

    async def load(self) -> None:
        """Raises StorageUnavailable."""
        rows = await self._database.read(
            lambda db: db.execute("SELECT account, tier, own, limits FROM tenants").fetchall()
        )
        self._rows = {account: _settings(*row) for account, *row in rows}

    def get(self, account: str) -> TenantSettings:
        return self._rows.get(account, DEFAULTS)

    def all(self) -> dict[str, TenantSettings]:
        """Of every tenant that was ever set anything, by account, in its order."""
        return dict(sorted(self._rows.items()))

    async def change(self, account: str, edit: Callable[[TenantSettings], TenantSettings]) -> TenantSettings:
        """What `edit` made of a tenant's settings, once durable. `edit` runs on the database's thread, and may raise
        to change nothing. Raises what it raised; InvalidParameter, StorageUnavailable."""
        check_account(account)

        def job(db: sqlite3.Connection) -> TenantSettings:
            row = db.execute("SELECT tier, own, limits FROM tenants WHERE account = ?", (account,)).fetchone()
            new = edit(DEFAULTS if row is None else _settings(*row))
            db.execute(
                "INSERT INTO tenants (account, tier, own, limits) VALUES (?, ?, ?, ?) ON CONFLICT (account) DO UPDATE "
                "SET tier = excluded.tier, own = excluded.own, limits = excluded.limits",
                (account, new.tier, int(new.own), json.dumps(dict(new.limits), sort_keys=True)),
            )
            return new

        self._rows[account] = new = await self._database.write(job)
        return new


def check_account(account: str) -> None:
    """Raises InvalidParameter."""
    if not re.fullmatch(r"\d{12}", account, re.ASCII):
        raise InvalidParameter(f"{account[:64]!r} is no account; write its twelve digits, such as 123456789012")


def _settings(tier: str, own: int, limits: str) -> TenantSettings:
    return TenantSettings(tier, bool(own), json.loads(limits))
