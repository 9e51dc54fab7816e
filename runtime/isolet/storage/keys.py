"""Access keys: who may sign requests, and for which account. Sealed in the database; the valid ones in memory.

Laws:
- Verifying a signature reads no database: every valid key is in memory, in one process, and there only.
- A secret is told once, by `create`. It is in no listing, error, log line or `repr`.
- A revoked key stays as a row without its secret: its id is not given out again, and that there were keys once is
  remembered.
- A key whose secret does not open (another `secrets.key`) signs nothing, and is said in the log; the others go on.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import string
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .. import limits
from ..clock import Clock
from ..errors import CallRefused, InvalidParameter
from .database import Database
from .sealing import Sealing
from .tenants import check_account

logger = logging.getLogger("isolet.keys")

# Precedent: IAM's ids of long-lived keys begin so and have base32's letters and digits; its secrets base64's.
_PREFIX = "AKIA"
_ID_LETTERS = string.ascii_uppercase + "234567"
_ID_CHARS = 20
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"
_SECRET_CHARS = 40
_DESCRIPTION_CHARS_MAX = 256
# The first word of a key's place; those of secrets have four words.
_PLACE = "access key"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """All of a key but its secret."""

    id: str
    account: str
    description: str
    created_ms: int
    revoked_ms: int | None


class Credential(NamedTuple):
    """What a valid key signs with, and for whom."""

    account: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.account})"


class Keys:
    """`load` first. For the event loop's thread."""

    def __init__(self, database: Database, clock: Clock, key_path: Path) -> None:
        self._database = database
        self._clock = clock
        self._sealing = Sealing(key_path)
        self._valid: dict[str, Credential] = {}
        # Whether there ever was a key, valid or not.
        self.any = False

    async def load(self) -> None:
        """The valid keys, from the database. Raises StorageUnavailable."""
        rows = await self._database.read(
            lambda db: db.execute("SELECT id, account, secret FROM access_keys").fetchall()
        )
        self.any = bool(rows)
        self._valid = {}
        for id, account, sealed in rows:
            if sealed is None:
                continue
            secret = self._sealing.open(sealed, _PLACE, id, account)
            if secret is None:
                logger.error("the access key %s signs nothing: %s", id, self._sealing.refusal("its secret"))
            else:
                self._valid[id] = Credential(account, secret.decode())

    def __len__(self) -> int:
        """How many are valid."""
        return len(self._valid)

    def get(self, id: str) -> Credential | None:
        return self._valid.get(id)

    async def create(self, account: str, description: str = "") -> tuple[AccessKey, str]:
        """(a new key, its secret). Raises InvalidParameter, CallRefused (LimitExceeded), StorageUnavailable."""
        check_account(account)
        if len(description) > _DESCRIPTION_CHARS_MAX or not description.isprintable():
            raise InvalidParameter(f"a description is one line of at most {_DESCRIPTION_CHARS_MAX} characters")
        if len(self._valid) >= limits.ACCESS_KEYS_MAX:
            raise CallRefused(
                "LimitExceeded", f"there are {len(self._valid):,} access keys, as many as there may be; revoke some"
            )
        key = AccessKey(_random(_PREFIX, _ID_LETTERS, _ID_CHARS), account, description, self._now_ms(), None)
        secret = _random("", _SECRET_LETTERS, _SECRET_CHARS)
        sealed = self._sealing.seal(secret.encode(), _PLACE, key.id, account)

        def job(db: sqlite3.Connection) -> None:
            row = (key.id, account, sealed, description, key.created_ms)
            db.execute("INSERT INTO access_keys VALUES (?, ?, ?, ?, ?, NULL)", row)

        await self._database.write(job)
        self.any = True
        self._valid[key.id] = Credential(account, secret)
        return key, secret

    async def all(self) -> list[AccessKey]:
        """Of all accounts, also those revoked: by account, then by age."""
        rows = await self._database.read(
            lambda db: db.execute(f"SELECT {_COLUMNS} FROM access_keys ORDER BY account, created_ms, id").fetchall()
        )
        return [AccessKey(*row) for row in rows]

    async def revoke(self, id: str) -> AccessKey:
        """The key as it is then; one that was revoked before stays so. Raises InvalidParameter."""
        now_ms = self._now_ms()

        def job(db: sqlite3.Connection) -> AccessKey | None:
            db.execute(
                "UPDATE access_keys SET secret = NULL, revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", (now_ms, id)
            )
            row = db.execute(f"SELECT {_COLUMNS} FROM access_keys WHERE id = ?", (id,)).fetchone()
            return None if row is None else AccessKey(*row)

        key = await self._database.write(job)
        if key is None:
            raise InvalidParameter(f"there is no access key {id[:64]!r}; `isolet keys list` shows those that there are")
        self._valid.pop(id, None)
        return key

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


_COLUMNS = "id, account, description, created_ms, revoked_ms"


def _random(prefix: str, letters: str, chars: int) -> str:
    return prefix + "".join(secrets.choice(letters) for _ in range(chars - len(prefix)))
