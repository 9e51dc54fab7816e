"""Published versions and aliases of functions, and which function a qualifier means.

Laws:
- A version's code and configuration never change. It can be deleted when no alias names it.
- An alias names one published version, or $LATEST; or two published ones with a share for the second.
- What is answered is durable, and workers serve it (serving.py).

Answers in Lambda's words; its JSON is made in aws/lambda_/.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from .deployments import NOT_NOW, STALE
from .errors import Conflict, InvalidParameter, PreconditionFailed, UnknownFunction
from .model import LATEST, Alias, Function, State, function_arn
from .publishing import is_under_way, new_revision, published
from .serving import Serving
from .storage import registry
from .storage.registry import Entry, Registry
from .storage.stock import Stock


class Versions:
    """The keeper's. For the event loop's thread."""

    def __init__(self, registry: Registry, serving: Serving, stock: Stock) -> None:
        self._registry = registry
        self._serving = serving
        self._stock = stock

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────────

    async def number(self, tenant: str, name: str, qualifier: str) -> str:
        """The version that a qualifier means: $LATEST, or a number in digits; of an alias its first.

        Raises UnknownFunction for an alias that is not there. A number is not looked up.
        """
        if qualifier in ("", LATEST) or qualifier.isdigit():
            return qualifier or LATEST
        alias = await self._registry.alias(tenant, name, qualifier)
        if alias is None:
            raise UnknownFunction(f"Function not found: {function_arn(tenant, name, qualifier)}")
        return alias.version

    async def get(self, tenant: str, name: str, number: str) -> Function:
        """A published version. Raises UnknownFunction."""
        entry = await self._registry.version(tenant, name, int(number))
        if entry is None:
            raise UnknownFunction(f"Function not found: {function_arn(tenant, name, number)}")
        return entry.function

    async def page(self, tenant: str, name: str, after: int, count: int) -> list[Function]:
        """Up to `count` published versions in the order of their numbers, those after the number `after`."""
        return [entry.function for entry in await self._registry.versions(tenant, name, after, count)]

    async def publish(
        self, tenant: str, name: str, code_sha256: str | None, description: str | None, revision_id: str | None
    ) -> Function:
        """The function as it is, as a version. Raises UnknownFunction, Conflict, InvalidParameter, PreconditionFailed,
        LimitExceeded, CodeStorageExceeded."""

        def job(db: sqlite3.Connection) -> Function:
            entry = _require(db, tenant, name)
            function = entry.function
            if function.state is State.PENDING or function.state is State.FAILED:
                raise Conflict(f"{NOT_NOW} The function is currently in the following state: {function.state}")
            if is_under_way(function):
                raise Conflict(f"{NOT_NOW} An update is in progress for resource: {function.arn}")
            if revision_id not in (None, function.revision_id):
                raise PreconditionFailed(STALE)
            if code_sha256 not in (None, "", function.code_sha256):
                raise InvalidParameter(
                    f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST "
                    f"({function.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
                )
            if description is not None:
                settings = replace(function.settings, description=description)
                entry = Entry(replace(function, settings=settings), entry.target, entry.previous)
            return published(db, entry)

        return await self._serving.commit(tenant, name, self._stock.within(tenant, job))

    async def delete(self, tenant: str, name: str, number: str) -> None:
        """Raises UnknownFunction, Conflict (an alias names it). No worker serves it any more when this returns."""

        def job(db: sqlite3.Connection) -> None:
            _require(db, tenant, name)
            naming = [
                alias.name
                for alias in registry.list_aliases(db, tenant, name)
                if number == alias.version or number in alias.weights
            ]
            if naming:
                raise Conflict(
                    f"Unable to delete version because the following aliases reference it: [{', '.join(naming)}]"
                )
            registry.delete_version(db, tenant, name, int(number))

        await self._serving.commit(tenant, name, job)

    # ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_alias(self, tenant: str, name: str, alias: Alias) -> Alias:
        """Raises UnknownFunction (the function, or a version), Conflict, InvalidParameter."""

        def job(db: sqlite3.Connection) -> Alias:
            _require(db, tenant, name)
            if registry.get_alias(db, tenant, name, alias.name) is not None:
                raise Conflict(f"Alias already exists: {function_arn(tenant, name, alias.name)}")
            return _put(db, tenant, name, alias)

        return await self._serving.commit(tenant, name, job)

    async def update_alias(
        self,
        tenant: str,
        name: str,
        alias: str,
        *,
        version: str | None = None,
        weights: Mapping[str, float] | None = None,
        description: str | None = None,
        revision_id: str | None = None,
    ) -> Alias:
        """None leaves a part as it is. Raises UnknownFunction, InvalidParameter, PreconditionFailed."""

        def job(db: sqlite3.Connection) -> Alias:
            old = _require_alias(db, tenant, name, alias)
            if revision_id not in (None, old.revision_id):
                raise PreconditionFailed(STALE)
            changed = replace(
                old,
                version=old.version if version is None else version,
                weights=old.weights if weights is None else weights,
                description=old.description if description is None else description,
            )
            return _put(db, tenant, name, changed)

        return await self._serving.commit(tenant, name, job)

    async def delete_alias(self, tenant: str, name: str, alias: str) -> None:
        """Deleting what is not there is no error, as in Lambda."""
        await self._serving.commit(tenant, name, lambda db: registry.delete_alias(db, tenant, name, alias))

    async def alias(self, tenant: str, name: str, alias: str) -> Alias:
        """Raises UnknownFunction."""
        found = await self._registry.alias(tenant, name, alias)
        if found is None:
            raise unknown_alias(tenant, name, alias)
        return found

    async def aliases(self, tenant: str, name: str) -> list[Alias]:
        """In the order of their names."""
        return await self._registry.aliases(tenant, name)


def unknown_alias(tenant: str, name: str, alias: str) -> UnknownFunction:
    return UnknownFunction(f"Cannot find alias arn: {function_arn(tenant, name, alias)}")


# ── parts of jobs ───────────────────────────────────────────────────────────────────────────────────────────────


def _require(db: sqlite3.Connection, tenant: str, name: str) -> Entry:
    entry = registry.get(db, tenant, name)
    if entry is None:
        raise UnknownFunction(f"Function not found: {function_arn(tenant, name)}")
    return entry


def _require_alias(db: sqlite3.Connection, tenant: str, name: str, alias: str) -> Alias:
    found = registry.get_alias(db, tenant, name, alias)
    if found is None:
        raise unknown_alias(tenant, name, alias)
    return found


def _put(db: sqlite3.Connection, tenant: str, name: str, alias: Alias) -> Alias:
    """The alias with a new revision, if its versions are there and may be named together."""
    for version in (alias.version, *alias.weights):
        if version != LATEST and not _has_version(db, tenant, name, version):
            raise UnknownFunction(f"Function not found: {function_arn(tenant, name, version)}")
    if alias.weights and LATEST in (alias.version, *alias.weights):
        raise InvalidParameter(f"{LATEST} is not supported for an alias pointing to more than 1 version")
    if alias.version in alias.weights:
        raise InvalidParameter(
            f"Invalid function version {alias.version}. Function version {alias.version} is already included in "
            "routing configuration."
        )
    named = replace(alias, revision_id=new_revision())
    registry.put_alias(db, tenant, name, named)
    return named


def _has_version(db: sqlite3.Connection, tenant: str, name: str, version: str) -> bool:
    query = "SELECT 1 FROM versions WHERE tenant = ? AND name = ? AND version = ?"
    return db.execute(query, (tenant, name, int(version))).fetchone() is not None
