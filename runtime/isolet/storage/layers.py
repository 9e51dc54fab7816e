"""Layers: zips that functions share, by name and version; a version never changes, and its number is never used twice.

A version that was deleted is a row without a document: functions that use it keep its content, nobody else gets it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..model import REGION, LayerContent
from .database import Database
from .stock import Stock


@dataclass(frozen=True, slots=True)
class LayerVersion:
    tenant: str
    name: str
    version: int
    digest: str  # of the package
    code_sha256: str  # base64
    code_bytes: int
    description: str
    created_s: float
    runtimes: tuple[str, ...]
    architectures: tuple[str, ...]
    license: str
    # Statements by their id, and the revision of all of them.
    policy: dict[str, Any]
    policy_revision: str = ""

    @property
    def layer_arn(self) -> str:
        return layer_arn(self.tenant, self.name)

    @property
    def arn(self) -> str:
        return f"{self.layer_arn}:{self.version}"

    @property
    def content(self) -> LayerContent:
        return LayerContent(self.arn, self.digest, self.code_bytes)


def layer_arn(tenant: str, name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{tenant}:layer:{name}"


class Layers:
    """The keeper's."""

    def __init__(self, database: Database, stock: Stock | None = None) -> None:
        self._database = database
        self._stock = stock or Stock(database)

    async def require_room(self, tenant: str, code_bytes: int) -> None:
        """Before a package is stored. Raises CodeStorageExceeded."""
        await self._stock.require_room(tenant, code_bytes)

    async def publish(self, layer: LayerVersion) -> LayerVersion:
        """The layer version with the number that it was given; `layer.version` does not count. Raises LimitExceeded,
        CodeStorageExceeded."""

        def job(db: sqlite3.Connection) -> LayerVersion:
            query = "SELECT max(version) FROM layers WHERE tenant = ? AND name = ?"
            (last,) = db.execute(query, (layer.tenant, layer.name)).fetchone()
            numbered = _from_plain(_to_plain(layer) | {"version": (last or 0) + 1})
            _put(db, numbered)
            return numbered

        return await self._database.write(self._stock.within(layer.tenant, job))

    async def get(self, tenant: str, name: str, version: int) -> LayerVersion | None:
        return await self._database.read(lambda db: _get(db, tenant, name, version))

    async def versions(self, tenant: str, name: str) -> list[LayerVersion]:
        """The newest first."""
        query = (
            "SELECT document FROM layers WHERE tenant = ? AND name = ? AND document IS NOT NULL ORDER BY version DESC"
        )
        rows = await self._database.read(lambda db: db.execute(query, (tenant, name)).fetchall())
        return [_from_plain(json.loads(row[0])) for row in rows]

    async def latest(self, tenant: str) -> list[LayerVersion]:
        """The newest version of each layer, by name."""
        query = "SELECT document, max(version) FROM layers WHERE tenant = ? AND document IS NOT NULL GROUP BY name"
        rows = await self._database.read(lambda db: db.execute(query, (tenant,)).fetchall())
        return sorted((_from_plain(json.loads(row[0])) for row in rows), key=lambda layer: layer.name)

    async def change(self, layer: LayerVersion) -> None:
        """Its policy is another."""
        await self._database.write(lambda db: _put(db, layer))

    async def delete(self, tenant: str, name: str, version: int) -> None:
        """Deleting what is not there is no error, as in Lambda."""
        statement = "UPDATE layers SET document = NULL WHERE tenant = ? AND name = ? AND version = ?"
        await self._database.write(lambda db: db.execute(statement, (tenant, name, version)))

    async def digests(self) -> Collection[str]:
        """Of the packages of all layers, of all tenants."""
        query = "SELECT document FROM layers WHERE document IS NOT NULL"
        rows: Sequence[tuple[str]] = await self._database.read(lambda db: db.execute(query).fetchall())
        return {json.loads(row[0])["digest"] for row in rows}


def _get(db: sqlite3.Connection, tenant: str, name: str, version: int) -> LayerVersion | None:
    query = "SELECT document FROM layers WHERE tenant = ? AND name = ? AND version = ?"
    row = db.execute(query, (tenant, name, version)).fetchone()
    return None if row is None or row[0] is None else _from_plain(json.loads(row[0]))


def _put(db: sqlite3.Connection, layer: LayerVersion) -> None:
    row = (layer.tenant, layer.name, layer.version, json.dumps(_to_plain(layer)), layer.code_bytes)
    columns = "tenant, name, version, document, code_bytes"
    db.execute(f"INSERT OR REPLACE INTO layers ({columns}) VALUES (?, ?, ?, ?, ?)", row)


def _to_plain(layer: LayerVersion) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in LayerVersion.__slots__}


def _from_plain(plain: dict[str, Any]) -> LayerVersion:
    listed = {"runtimes": tuple(plain["runtimes"]), "architectures": tuple(plain["architectures"])}
    return LayerVersion(**plain | listed)
