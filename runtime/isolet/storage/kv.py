"""The entries of `kv`: what functions keep beyond their invocations, by tenant, namespace and key.

Laws:
- A write is on the disk when it is answered, and seen by every request that comes after (database.py: group commit).
- A tenant's versions only grow, over all its entries: none comes twice, also after an entry was deleted.
- An entry whose time is over is not there, from that moment on; its row is removed later, or when its room is needed.
- `kv_tenants` says exactly how many entries and bytes a tenant has rows for: it is changed with them.
- The database has at most KV_TENANT_CALLS_MAX requests of one tenant before it, and KV_TENANT_LARGE_MAX that read or
  write a large value, whatever waits behind them: a batch takes milliseconds.

Arguments are the worker's, checked there (hostcalls/kv.py); what only the rows can tell is refused here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from .. import limits
from ..clock import Clock
from ..errors import CallRefused, InvalidParameter
from ..quota import BY_DEFAULT, Quotas
from .database import Database

Options = dict[str, Any]


class _Share:
    """What the database has before it of one tenant."""

    __slots__ = ("__weakref__", "large", "turns")

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(limits.KV_TENANT_CALLS_MAX)
        self.large = asyncio.Semaphore(limits.KV_TENANT_LARGE_MAX)


class Kv:
    """The keeper's. For its event loop."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas = BY_DEFAULT) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        # Held by those who wait or are served: a tenant that asks for nothing has none.
        self._shares: WeakValueDictionary[str, _Share] = WeakValueDictionary()

    async def serve(
        self, tenant: str, verb: str, namespace: str, key: str, value: bytes | None, options: Options
    ) -> Any:
        """One request of a function: what abi.md 5.2 calls `ok`. Raises CallRefused, StorageUnavailable."""
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = _Share()
        if verb == "get":
            async with share.turns:
                entry = await self._get(tenant, namespace, key, limits.KV_LARGE_BYTES)
            if entry is None or entry["value"] is not None:
                return entry
            async with share.large:
                return await self.get(tenant, namespace, key)
        async with share.large if value is not None and len(value) > limits.KV_LARGE_BYTES else share.turns:
            if verb == "put" and value is not None:
                return await self.put(tenant, namespace, key, value, **options)
            if verb == "delete":
                return await self.delete(tenant, namespace, key, **options)
            if verb == "list":
                return await self.keys(tenant, namespace, key, **options)
        raise InvalidParameter(f"kv has no {verb}; is the worker of another version?")

    async def get(self, tenant: str, namespace: str, key: str) -> dict[str, Any] | None:
        return await self._get(tenant, namespace, key, limits.KV_VALUE_BYTES_MAX)

    async def _get(self, tenant: str, namespace: str, key: str, bytes_max: int) -> dict[str, Any] | None:
        """The entry; its value is None if it is larger than `bytes_max`, and has not been read from the disk."""
        now_ms = self._now_ms()
        where = (bytes_max + limits.KV_ENTRY_BYTES, tenant, namespace, key.encode(), now_ms)

        def job(db: sqlite3.Connection) -> dict[str, Any] | None:
            row = db.execute(
                f"SELECT CASE WHEN bytes - length(key) <= ? THEN value END, version FROM kv WHERE {_AT} AND {_THERE}",
                where,
            ).fetchone()
            return None if row is None else {"value": row[0], "version": row[1]}

        return await self._database.read(job, tenant)

    async def put(
        self,
        tenant: str,
        namespace: str,
        key: str,
        value: bytes,
        ttl_s: float | None = None,
        if_version: int | None = None,
    ) -> dict[str, int]:
        """Raises CallRefused: Conflict, LimitExceeded."""
        now_ms = self._now_ms()
        expires_ms = None if ttl_s is None else now_ms + max(1, round(ttl_s * 1000))
        place = (tenant, namespace, key.encode())
        size = limits.KV_ENTRY_BYTES + len(place[2]) + len(value)
        room = _Room(int(self._quotas.value(tenant, "kv_entries")), int(self._quotas.value(tenant, "kv_bytes")))

        def job(db: sqlite3.Connection) -> dict[str, int]:
            row = _row(db, place)
            _require_version(row, if_version, now_ms, key)
            old_bytes = 0 if row is None else row[2]
            _require_room(db, tenant, room, int(row is None), size - old_bytes, now_ms)
            version = _count(db, tenant, int(row is None), size - old_bytes)
            db.execute(
                "INSERT INTO kv (tenant, namespace, key, version, expires_ms, bytes, value) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, namespace, key) DO UPDATE SET "
                "version = excluded.version, expires_ms = excluded.expires_ms, bytes = excluded.bytes, "
                "value = excluded.value",
                (*place, version, expires_ms, size, value),
            )
            return {"version": version}

        try:
            return await self._database.write(job, tenant)
        except CallRefused as refused:
            if refused.kind == "LimitExceeded":
                kept = await self.used(tenant)
                self._quotas.refuse(tenant, "kv_entries" if kept["kv_entries"] >= room.entries else "kv_bytes")
            raise

    async def used(self, tenant: str) -> dict[str, int]:
        """What the tenant keeps, by the names of its limits."""
        entries, size = await self._database.read(lambda db: _kept(db, tenant), tenant)
        return {"kv_entries": entries, "kv_bytes": size}

    async def delete(self, tenant: str, namespace: str, key: str, if_version: int | None = None) -> bool:
        """Whether there was an entry. Raises CallRefused: Conflict."""
        now_ms = self._now_ms()
        place = (tenant, namespace, key.encode())

        def job(db: sqlite3.Connection) -> bool:
            row = _row(db, place)
            _require_version(row, if_version, now_ms, key)
            if row is None:
                return False
            db.execute("DELETE FROM kv WHERE " + _AT, place)
            _count(db, tenant, -1, -row[2])
            return _is_there(row, now_ms)

        return await self._database.write(job, tenant)

    async def keys(
        self, tenant: str, namespace: str, prefix: str, limit: int = limits.KV_LIST_DEFAULT, after: str = ""
    ) -> dict[str, Any]:
        """The keys that begin with `prefix` and are behind `after`, in the order of their bytes."""
        now_ms = self._now_ms()
        first, end = prefix.encode(), _after_prefix(prefix.encode())

        def job(db: sqlite3.Connection) -> dict[str, Any]:
            rows = db.execute(
                f"SELECT key FROM kv WHERE tenant = ? AND namespace = ? AND key >= ? AND key > ? AND {_THERE} "
                f"{'AND key < ?' if end else ''} ORDER BY key LIMIT ?",
                (tenant, namespace, first, after.encode(), now_ms, *([end] if end else []), limit + 1),
            ).fetchall()
            return {"keys": [row[0].decode() for row in rows[:limit]], "more": len(rows) > limit}

        return await self._database.read(job, tenant)

    # ── what is over ────────────────────────────────────────────────────────────────────────────────────────────

    async def sweep(self) -> int:
        """Removes entries whose time is over; how many. While there are none, nothing is written."""
        now_ms, swept = self._now_ms(), 0
        while await self._database.read(lambda db: db.execute(_OVER + " LIMIT 1", (now_ms,)).fetchone()):
            swept += await self._database.write(lambda db: _remove_over(db, now_ms))
        return swept

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


# ── on the database's thread ────────────────────────────────────────────────────────────────────────────────────

_AT = "tenant = ? AND namespace = ? AND key = ?"
_THERE = "(expires_ms IS NULL OR expires_ms > ?)"
_OVER = "SELECT id, tenant, bytes FROM kv WHERE expires_ms IS NOT NULL AND expires_ms <= ?"


class _Room(NamedTuple):
    """What a tenant has, or may have."""

    entries: int
    bytes: int


# version, expires_ms, bytes
_Row = tuple[int, int | None, int]


def _row(db: sqlite3.Connection, place: tuple[str, str, bytes]) -> _Row | None:
    row: _Row | None = db.execute("SELECT version, expires_ms, bytes FROM kv WHERE " + _AT, place).fetchone()
    return row


def _is_there(row: _Row | None, now_ms: int) -> bool:
    return row is not None and (row[1] is None or row[1] > now_ms)


def _require_version(row: _Row | None, if_version: int | None, now_ms: int, key: str) -> None:
    if if_version is None:
        return
    present = row[0] if row is not None and _is_there(row, now_ms) else 0
    if present != if_version:
        is_at = f"at version {present}" if present else "not there"
        raise CallRefused("Conflict", f"the entry {key[:80]!r} is {is_at}, not at {if_version}; get it and try again")


def _require_room(db: sqlite3.Connection, tenant: str, room: _Room, entries: int, size: int, now_ms: int) -> None:
    """Raises CallRefused if the tenant has no room for so much more, also without what is over."""
    if _has_room(db, tenant, room, entries, size):
        return
    while _remove_over(db, now_ms, tenant):
        if _has_room(db, tenant, room, entries, size):
            return
    raise CallRefused(
        "LimitExceeded",
        f"{tenant} keeps as much as it may: {room.entries:,} entries, {room.bytes:,} bytes; delete some, or give "
        "entries a ttl_s",
    )


def _has_room(db: sqlite3.Connection, tenant: str, room: _Room, entries: int, size: int) -> bool:
    kept = _kept(db, tenant)
    # What takes no more than before always fits.
    return (entries <= 0 or kept.entries + entries <= room.entries) and (size <= 0 or kept.bytes + size <= room.bytes)


def _kept(db: sqlite3.Connection, tenant: str) -> _Room:
    row = db.execute("SELECT entries, bytes FROM kv_tenants WHERE tenant = ?", (tenant,)).fetchone()
    return _Room(*row) if row else _Room(0, 0)


def _count(db: sqlite3.Connection, tenant: str, entries: int, size: int) -> int:
    """Adds to what the tenant has; its next version."""
    row: tuple[int] = db.execute(
        "INSERT INTO kv_tenants VALUES (?, 1, ?, ?) ON CONFLICT (tenant) DO UPDATE SET version = version + 1, "
        "entries = entries + excluded.entries, bytes = bytes + excluded.bytes RETURNING version",
        (tenant, entries, size),
    ).fetchone()
    return row[0]


def _remove_over(db: sqlite3.Connection, now_ms: int, tenant: str | None = None) -> int:
    """Removes up to KV_SWEEP_ENTRIES entries whose time is over; how many."""
    of = "" if tenant is None else " AND tenant = ?"
    rows = db.execute(
        f"{_OVER}{of} LIMIT {limits.KV_SWEEP_ENTRIES}", (now_ms,) if tenant is None else (now_ms, tenant)
    ).fetchall()
    db.executemany("DELETE FROM kv WHERE id = ?", [(row[0],) for row in rows])
    for owner in {row[1] for row in rows}:
        sizes = [row[2] for row in rows if row[1] == owner]
        _count(db, owner, -len(sizes), -sum(sizes))
    return len(rows)


def _after_prefix(prefix: bytes) -> bytes:
    """The first bytes that are behind all that begin with `prefix`; empty if nothing is."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes([bare[-1] + 1]) if bare else b""
