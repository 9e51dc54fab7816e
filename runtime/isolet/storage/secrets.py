"""Secrets: values that the operator keeps for functions, encrypted in the database, by tenant and name.

Laws:
- What is on the disk is sealed (sealing.py) under the key in `secrets.key`, at its place: tenant, name, suffix,
  version.
- A secret has a current value and the one before, as Secrets Manager's stages AWSCURRENT and AWSPREVIOUS; older ones
  are removed. One that is marked for deletion answers no function, and is gone when its time comes.
- No value is in an error, a log line, or a `repr`.

Precedent for words and states: AWS Secrets Manager. Python cannot wipe memory: a value that was read stays in this
process until its memory is used again.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..clock import Clock
from ..errors import CallRefused, SecretDeleted, SecretExists, UnknownSecret
from ..quota import BY_DEFAULT, Quotas
from .database import Database
from .sealing import Sealing

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
_SUFFIX_CHARS = 6
_DAY_MS = 86_400_000
_UNKNOWN = "Secrets Manager can't find the specified secret."
_DELETED = "You can't perform this operation on the secret because it was marked for deletion."

Value = str | bytes


@dataclass(frozen=True, slots=True)
class Secret:
    """All of a secret but its values."""

    tenant: str
    name: str
    suffix: str  # the end of its ARN: another one for a secret that was made again
    description: str
    tags: Mapping[str, str]
    created_ms: int
    changed_ms: int
    deleted_ms: int | None  # when it will be gone, if it is marked for deletion
    stages: Mapping[str, str]  # AWSCURRENT, AWSPREVIOUS → version


class Opened(NamedTuple):
    secret: Secret
    version: str
    created_ms: int
    value: Value

    def __repr__(self) -> str:
        return f"Opened({self.secret.name}, {self.version})"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different. `value` is None where it stays; `version` names a new value, and the same request."""

    description: str | None = None
    value: Value | None = field(default=None, repr=False)
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Secrets:
    """The keeper's. The key is read, or made, when it is first needed."""

    def __init__(self, database: Database, clock: Clock, key_path: Path, quotas: Quotas = BY_DEFAULT) -> None:
        self._database = database
        self._clock = clock
        self._sealing = Sealing(key_path)
        self._quotas = quotas

    async def used(self, tenant: str) -> int:
        """How many secrets a tenant has, also those that are marked for deletion."""
        return await self._database.read(lambda db: _count(db, tenant))

    # ── what functions ask ──────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, tenant: str, name: str) -> Value:
        """The current value. Raises CallRefused (UnknownSecret), StorageUnavailable."""
        try:
            return (await self.value(tenant, name)).value
        except (UnknownSecret, SecretDeleted):
            raise CallRefused(
                "UnknownSecret", f"there is no secret {name!r}; its owner sets it: isolet secrets set {name}"
            ) from None

    # ── what the operator asks ──────────────────────────────────────────────────────────────────────────────────

    async def create(self, tenant: str, name: str, change: Change) -> Secret:
        """Raises SecretExists, SecretDeleted, CallRefused (LimitExceeded)."""
        now_ms, suffix = self._now_ms(), _new_suffix()
        sealed = self._sealed(tenant, name, suffix, change)
        most = int(self._quotas.value(tenant, "secrets"))

        def job(db: sqlite3.Connection) -> Secret:
            present = _find(db, tenant, name, now_ms)
            if present is not None:
                return self._created_before(db, present, change)
            _require_room(db, tenant, most)
            db.execute(
                "INSERT INTO secrets VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
                (tenant, name, suffix, change.description or "", json.dumps(dict(change.tags)), now_ms, now_ms),
            )
            if sealed is not None:
                _add_version(db, tenant, name, change.version, now_ms, sealed)
            return _require(db, tenant, name, now_ms)

        try:
            return await self._database.write(job)
        except CallRefused:
            self._quotas.refuse(tenant, "secrets")
            raise

    async def change(self, tenant: str, name: str, change: Change) -> Secret:
        """Raises UnknownSecret, SecretDeleted, SecretExists (the version has another value)."""
        now_ms = self._now_ms()
        suffix = (await self.describe(tenant, name)).suffix
        sealed = self._sealed(tenant, name, suffix, change)

        def job(db: sqlite3.Connection) -> Secret:
            present = _require(db, tenant, name, now_ms)
            if present.deleted_ms is not None:
                raise SecretDeleted(_DELETED)
            if present.suffix != suffix:
                raise UnknownSecret(_UNKNOWN)  # made again meanwhile
            if change.description is not None:
                db.execute(
                    "UPDATE secrets SET description = ? WHERE tenant = ? AND name = ?",
                    (change.description, tenant, name),
                )
            if sealed is not None and not self._is_repeated(db, present, change):
                _add_version(db, tenant, name, change.version, now_ms, sealed)
            db.execute("UPDATE secrets SET changed_ms = ? WHERE tenant = ? AND name = ?", (now_ms, tenant, name))
            return _require(db, tenant, name, now_ms)

        return await self._database.write(job)

    async def value(self, tenant: str, name: str, version: str = "", stage: str = "") -> Opened:
        """Raises UnknownSecret, SecretDeleted, StorageUnavailable (the key is another one)."""
        now_ms = self._now_ms()

        def job(db: sqlite3.Connection) -> tuple[Secret, str, int, bytes]:
            secret = _require(db, tenant, name, now_ms)
            if secret.deleted_ms is not None:
                raise SecretDeleted(_DELETED)
            wanted = version or secret.stages.get(stage or CURRENT, "")
            row = db.execute(
                "SELECT created_ms, sealed FROM secret_versions WHERE tenant = ? AND name = ? AND version = ?",
                (tenant, name, wanted),
            ).fetchone()
            if row is None or (version and stage and secret.stages.get(stage) != version):
                which = f"VersionId: {version}" if version else f"staging label: {stage or CURRENT}"
                raise UnknownSecret(f"Secrets Manager can't find the specified secret value for {which}")
            return secret, wanted, row[0], row[1]

        secret, found, created_ms, sealed = await self._database.read(job)
        return Opened(secret, found, created_ms, self._open(secret, found, sealed))

    async def describe(self, tenant: str, name: str) -> Secret:
        """Also of one that is marked for deletion. Raises UnknownSecret."""
        now_ms = self._now_ms()
        return await self._database.read(lambda db: _require(db, tenant, name, now_ms))

    async def all(self, tenant: str) -> list[Secret]:
        """Of a tenant, in the order of their names; also those that are marked for deletion."""
        now_ms = self._now_ms()

        def job(db: sqlite3.Connection) -> list[Secret]:
            rows = db.execute(f"SELECT {_COLUMNS} FROM secrets WHERE tenant = ? ORDER BY name", (tenant,)).fetchall()
            return [secret for secret in map(_secret, rows) if not _is_gone(secret, now_ms)]

        return await self._database.read(job)

    async def delete(self, tenant: str, name: str, days: int | None) -> tuple[Secret, int]:
        """Marks for deletion, or deletes now if `days` is None: the secret as it was, and when it is gone.

        Raises UnknownSecret, SecretDeleted (it is marked already, and `days` is given).
        """
        now_ms = self._now_ms()

        def job(db: sqlite3.Connection) -> tuple[Secret, int]:
            secret = _require(db, tenant, name, now_ms)
            if days is None:
                _remove(db, tenant, name)
                return secret, now_ms
            if secret.deleted_ms is not None:
                raise SecretDeleted(_DELETED)
            gone_ms = now_ms + days * _DAY_MS
            db.execute("UPDATE secrets SET deleted_ms = ? WHERE tenant = ? AND name = ?", (gone_ms, tenant, name))
            return secret, gone_ms

        return await self._database.write(job)

    async def restore(self, tenant: str, name: str) -> Secret:
        """Takes the mark for deletion away, if there is one. Raises UnknownSecret."""
        now_ms = self._now_ms()

        def job(db: sqlite3.Connection) -> Secret:
            secret = _require(db, tenant, name, now_ms)
            db.execute("UPDATE secrets SET deleted_ms = NULL WHERE tenant = ? AND name = ?", (tenant, name))
            return secret

        return await self._database.write(job)

    async def sweep(self) -> None:
        """Removes what was marked and whose time has come."""
        now_ms = self._now_ms()
        over = "SELECT tenant, name FROM secrets WHERE deleted_ms IS NOT NULL AND deleted_ms <= ?"
        if not await self._database.read(lambda db: db.execute(over + " LIMIT 1", (now_ms,)).fetchone()):
            return

        def job(db: sqlite3.Connection) -> None:
            for tenant, name in db.execute(over, (now_ms,)).fetchall():
                _remove(db, tenant, name)

        await self._database.write(job)

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)

    # ── sealing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _sealed(self, tenant: str, name: str, suffix: str, change: Change) -> bytes | None:
        """The change's value as it is stored."""
        if change.value is None:
            return None
        return self._sealing.seal(_plain(change.value), tenant, name, suffix, change.version)

    def _open(self, secret: Secret, version: str, sealed: bytes) -> Value:
        plain = self._sealing.open(sealed, secret.tenant, secret.name, secret.suffix, version)
        if plain is None:
            raise self._sealing.refusal(f"the secret {secret.name}")
        return plain[1:].decode() if plain[:1] == b"s" else plain[1:]

    # ── requests that come twice ────────────────────────────────────────────────────────────────────────────────

    def _created_before(self, db: sqlite3.Connection, present: Secret, change: Change) -> Secret:
        if present.deleted_ms is not None:
            raise SecretDeleted(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if change.value is None or not self._is_repeated(db, present, change):
            raise SecretExists(f"The operation failed because the secret {present.name} already exists.")
        return present

    def _is_repeated(self, db: sqlite3.Connection, present: Secret, change: Change) -> bool:
        """Whether this version is there with this value; with another value it is a SecretExists."""
        row = db.execute(
            "SELECT sealed FROM secret_versions WHERE tenant = ? AND name = ? AND version = ?",
            (present.tenant, present.name, change.version),
        ).fetchone()
        if row is None:
            return False
        if self._open(present, change.version, row[0]) != change.value:
            raise SecretExists(
                f"You can't use ClientRequestToken {change.version} because that value is already in use for a version "
                f"of secret {present.name}."
            )
        return True


# ── pure ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _new_suffix() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SUFFIX_CHARS))


def _plain(value: Value) -> bytes:
    return b"s" + value.encode() if isinstance(value, str) else b"b" + value


def _is_gone(secret: Secret, now_ms: int) -> bool:
    return secret.deleted_ms is not None and secret.deleted_ms <= now_ms


# ── on the database's thread ────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = "tenant, name, suffix, description, tags, created_ms, changed_ms, deleted_ms, current, previous"


def _secret(row: tuple[str, str, str, str, str, int, int, int | None, str | None, str | None]) -> Secret:
    *described, tags, created_ms, changed_ms, deleted_ms, current, previous = row
    stages = {stage: version for stage, version in ((CURRENT, current), (PREVIOUS, previous)) if version}
    tenant, name, suffix, description = described
    return Secret(tenant, name, suffix, description, json.loads(tags), created_ms, changed_ms, deleted_ms, stages)


def _find(db: sqlite3.Connection, tenant: str, name: str, now_ms: int) -> Secret | None:
    """The secret; None for one that is gone, whose rows are in the way of a new one no longer than this."""
    row = db.execute(f"SELECT {_COLUMNS} FROM secrets WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    secret = None if row is None else _secret(row)
    if secret is not None and _is_gone(secret, now_ms):
        if db.in_transaction:
            _remove(db, tenant, name)
        return None
    return secret


def _require(db: sqlite3.Connection, tenant: str, name: str, now_ms: int) -> Secret:
    secret = _find(db, tenant, name, now_ms)
    if secret is None:
        raise UnknownSecret(_UNKNOWN)
    return secret


def _require_room(db: sqlite3.Connection, tenant: str, most: int) -> None:
    count = _count(db, tenant)
    if count >= most:
        raise CallRefused("LimitExceeded", f"there are {count:,} secrets, as many as there may be; delete some")


def _count(db: sqlite3.Connection, tenant: str) -> int:
    (count,) = db.execute("SELECT count(*) FROM secrets WHERE tenant = ?", (tenant,)).fetchone()
    return int(count)


def _add_version(db: sqlite3.Connection, tenant: str, name: str, version: str, now_ms: int, sealed: bytes) -> None:
    """The version is the current one, the current one the previous one; the one before that is removed."""
    db.execute("INSERT INTO secret_versions VALUES (?, ?, ?, ?, ?)", (tenant, name, version, now_ms, sealed))
    db.execute(
        "UPDATE secrets SET previous = current, current = ? WHERE tenant = ? AND name = ?", (version, tenant, name)
    )
    db.execute(
        "DELETE FROM secret_versions WHERE tenant = ?1 AND name = ?2 AND version NOT IN "
        "(SELECT current FROM secrets WHERE tenant = ?1 AND name = ?2 UNION ALL "
        "SELECT coalesce(previous, current) FROM secrets WHERE tenant = ?1 AND name = ?2)",
        (tenant, name),
    )


def _remove(db: sqlite3.Connection, tenant: str, name: str) -> None:
    db.execute("DELETE FROM secrets WHERE tenant = ? AND name = ?", (tenant, name))
    db.execute("DELETE FROM secret_versions WHERE tenant = ? AND name = ?", (tenant, name))
