"""Documents that owners attach to functions, versions and aliases (storage/attachments.py), changed one at a time.

Laws:
- What a document is attached to exists: a function, a published version, an alias. Else UnknownFunction, with the name
  as it was asked for.
- A change is made from the document as it is in that moment, in one transaction; it is durable when `change` returns,
  and served where workers must know it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from .errors import UnknownFunction
from .model import LATEST
from .routing import FunctionRef
from .serving import Serving
from .storage import attachments, registry
from .storage.attachments import Document
from .storage.database import Database

# The document that there is, or None → the one that takes its place, or None for none. May refuse by raising.
Edit = Callable[[sqlite3.Connection, Document | None], Document | None]


class Attached:
    """The keeper's. For the event loop's thread."""

    def __init__(self, database: Database, serving: Serving) -> None:
        self._database = database
        self._serving = serving

    async def get(self, ref: FunctionRef, kind: str) -> Document | None:
        """The document of what the reference names. Raises UnknownFunction."""

        def job(db: sqlite3.Connection) -> Document | None:
            require(db, ref)
            return attachments.get(db, ref.tenant, ref.name, kind, ref.qualifier)

        return await self._database.read(job)

    async def change(self, ref: FunctionRef, kind: str, edit: Edit) -> Document | None:
        """The new document. Raises UnknownFunction and what `edit` raises."""

        def job(db: sqlite3.Connection) -> Document | None:
            require(db, ref)
            old = attachments.get(db, ref.tenant, ref.name, kind, ref.qualifier)
            new = edit(db, old)
            if new is None:
                attachments.delete(db, ref.tenant, ref.name, kind, ref.qualifier)
            else:
                attachments.put(db, ref.tenant, ref.name, kind, new, ref.qualifier)
            return new

        return await self._serving.commit(ref.tenant, ref.name, job)

    async def of_function(self, ref: FunctionRef, kind: str) -> dict[str, Document]:
        """Of a function, its versions and aliases, by qualifier. Raises UnknownFunction."""

        def job(db: sqlite3.Connection) -> dict[str, Document]:
            require(db, ref._replace(qualifier=""))
            kept = attachments.of_function(db, ref.tenant, ref.name)
            return {qualifier: document for (found, qualifier), document in kept.items() if found == kind}

        return await self._database.read(job)

    async def of_tenant(self, tenant: str, kind: str) -> Mapping[tuple[str, str], Document]:
        """Of all functions of a tenant, by name and qualifier."""
        return await self._database.read(lambda db: attachments.of_kind(db, tenant, kind))


def require(db: sqlite3.Connection, ref: FunctionRef) -> None:
    """Part of a job: what the reference names exists. Raises UnknownFunction."""
    tenant, name, qualifier = ref
    found: Any = registry.get(db, tenant, name)
    if found is not None and qualifier not in ("", LATEST):
        if qualifier.isdigit():
            query = "SELECT 1 FROM versions WHERE tenant = ? AND name = ? AND version = ?"
            found = db.execute(query, (tenant, name, int(qualifier))).fetchone()
        else:
            found = registry.get_alias(db, tenant, name, qualifier)
    if found is None:
        raise UnknownFunction(f"Function not found: {ref.arn()}")
