"""Rules that fire by the clock, and their targets: EventBridge's, on the bus "default".

Laws:
- A fire is one transaction: the events of its targets in the queue, and the rule's standing beyond that instant.
- A rule fires as it was read, or not at all: whatever changes it or its targets gives it another revision.
- Deleting a rule that is not there does nothing; one that has targets is not deleted.

An account sees its own rules only.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ..errors import LimitExceeded, UnknownResource, ValidationFailed
from ..model import REGION
from ..quota import BY_DEFAULT, Quotas
from ..standing import Standing, begun
from .database import Database
from .queue import Accepted, accept

T = TypeVar("T")

# Precedent: EventBridge's quotas of a rule.
TARGETS_MAX = 5
TAGS_MAX = 50
_TOO_MANY = "The requested resource exceeds the maximum number allowed."

_RULE = "tenant, name, expression, enabled, description, role, revision, anchor_s, done_s, last_s"
_TARGET = "id, arn, input, role"


class Rule(NamedTuple):
    tenant: str
    name: str
    expression: str
    enabled: bool
    description: str
    role: str
    revision: str
    standing: Standing

    @property
    def arn(self) -> str:
        return f"arn:aws:events:{REGION}:{self.tenant}:rule/{self.name}"


class Target(NamedTuple):
    id: str
    arn: str  # of a function, perhaps with a qualifier
    input: str | None = None  # JSON; None: the event itself
    role: str = ""


class Armed(NamedTuple):
    """An enabled rule, as it is to fire."""

    rule: Rule
    targets: tuple[Target, ...]


def unknown_rule(name: str) -> UnknownResource:
    return UnknownResource(f"Rule {name} does not exist on EventBus default.")


class Schedules:
    def __init__(self, database: Database, quotas: Quotas = BY_DEFAULT) -> None:
        self._database = database
        self._quotas = quotas
        # Told of every rule that may have changed: tenant, name.
        self.on_change: Callable[[str, str], None] = lambda tenant, name: None

    # ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def put(
        self,
        tenant: str,
        name: str,
        expression: str,
        now_s: float,
        *,
        enabled: bool = True,
        description: str = "",
        role: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Makes it, or replaces all of it but targets and tags. It begins anew where it fires by another expression
        or was disabled. Raises LimitExceeded."""
        most = int(self._quotas.value(tenant, "schedules"))

        def job(db: sqlite3.Connection) -> None:
            found = _find(db, tenant, name)
            if found is None:
                if _count(db, tenant) >= most:
                    self._quotas.refuse(tenant, "schedules")
                    raise LimitExceeded(_TOO_MANY)
                if len(tags or ()) > TAGS_MAX:
                    raise LimitExceeded(_TOO_MANY)
            standing = begun(now_s, 0 if found is None else found.standing.last_s)
            if found is not None and found.enabled and found.expression == expression:
                standing = found.standing
            db.execute(
                "INSERT INTO schedule_rules (tenant, name, expression, enabled, description, role, revision, anchor_s,"
                " done_s, last_s, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET expression = excluded.expression, enabled = excluded.enabled,"
                " description = excluded.description, role = excluded.role, revision = excluded.revision,"
                " anchor_s = excluded.anchor_s, done_s = excluded.done_s, last_s = excluded.last_s",
                (
                    *(tenant, name, expression, enabled, description, role, uuid.uuid4().hex),
                    *(*standing, json.dumps(dict(tags or {}))),
                ),
            )

        await self._change(tenant, name, job)

    async def used(self, tenant: str) -> int:
        """How many rules a tenant has."""
        return await self._database.read(lambda db: _count(db, tenant))

    async def rule(self, tenant: str, name: str) -> Rule:
        """Raises UnknownResource."""
        return await self._database.read(lambda db: _require(db, tenant, name))

    async def rules(self, tenant: str) -> list[Rule]:
        """In the order of their names."""
        query = f"SELECT {_RULE} FROM schedule_rules WHERE tenant = ? ORDER BY name"
        return await self._database.read(lambda db: [_rule(row) for row in db.execute(query, (tenant,))])

    async def switch(self, tenant: str, name: str, enabled: bool, now_s: float) -> None:
        """Enables or disables it. What was missed while it was disabled never fires. Raises UnknownResource."""

        def job(db: sqlite3.Connection) -> None:
            found = _require(db, tenant, name)
            standing = found.standing
            if enabled and not found.enabled:
                standing = begun(now_s, standing.last_s)
            db.execute(
                "UPDATE schedule_rules SET enabled = ?, revision = ?, anchor_s = ?, done_s = ?, last_s = ?"
                " WHERE tenant = ? AND name = ?",
                (enabled, uuid.uuid4().hex, *standing, tenant, name),
            )

        await self._change(tenant, name, job)

    async def delete(self, tenant: str, name: str) -> None:
        """Raises ValidationFailed while it has targets."""

        def job(db: sqlite3.Connection) -> None:
            if _targets(db, tenant, name):
                raise ValidationFailed("Rule can't be deleted since it has targets.")
            db.execute("DELETE FROM schedule_rules WHERE tenant = ? AND name = ?", (tenant, name))

        await self._change(tenant, name, job)

    # ── targets ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_targets(self, tenant: str, name: str, targets: Sequence[Target]) -> None:
        """Adds them, or replaces those of the same id: all or none. Raises UnknownResource, LimitExceeded."""

        def job(db: sqlite3.Connection) -> None:
            _touch(db, tenant, name)
            for target in targets:
                row = (tenant, name, *target)
                db.execute("INSERT OR REPLACE INTO schedule_targets VALUES (?, ?, ?, ?, ?, ?)", row)
            if len(_targets(db, tenant, name)) > TARGETS_MAX:
                raise LimitExceeded(_TOO_MANY)

        await self._change(tenant, name, job)

    async def remove_targets(self, tenant: str, name: str, ids: Iterable[str]) -> list[str]:
        """The ids that it had no target of. Raises UnknownResource."""

        def job(db: sqlite3.Connection) -> list[str]:
            _touch(db, tenant, name)
            statement = "DELETE FROM schedule_targets WHERE tenant = ? AND rule = ? AND id = ?"
            return [id for id in ids if db.execute(statement, (tenant, name, id)).rowcount == 0]

        return await self._change(tenant, name, job)

    async def targets(self, tenant: str, name: str) -> tuple[Target, ...]:
        """In the order of their ids. Raises UnknownResource."""

        def job(db: sqlite3.Connection) -> tuple[Target, ...]:
            _require(db, tenant, name)
            return _targets(db, tenant, name)

        return await self._database.read(job)

    async def names_by_target(self, tenant: str, arn: str) -> list[str]:
        """The rules that have a target with this ARN, in order."""
        query = "SELECT DISTINCT rule FROM schedule_targets WHERE tenant = ? AND arn = ? ORDER BY rule"
        return await self._database.read(lambda db: [name for (name,) in db.execute(query, (tenant, arn))])

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tags(self, tenant: str, name: str) -> dict[str, str]:
        """Raises UnknownResource."""
        return await self._database.read(lambda db: _tags(db, tenant, name))

    async def tag(self, tenant: str, name: str, tags: Mapping[str, str], without: Iterable[str] = ()) -> None:
        """Sets tags, and removes others. Raises UnknownResource, LimitExceeded."""

        def job(db: sqlite3.Connection) -> None:
            kept = _tags(db, tenant, name) | dict(tags)
            for key in without:
                kept.pop(key, None)
            if len(kept) > TAGS_MAX:
                raise LimitExceeded(_TOO_MANY)
            statement = "UPDATE schedule_rules SET tags = ? WHERE tenant = ? AND name = ?"
            db.execute(statement, (json.dumps(kept), tenant, name))

        await self._database.write(job)

    # ── firing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def armed(self, keys: Iterable[tuple[str, str]] | None = None) -> list[Armed]:
        """The enabled ones of these rules (tenant, name), or of all."""

        def job(db: sqlite3.Connection) -> list[Armed]:
            if keys is None:
                query = f"SELECT {_RULE} FROM schedule_rules WHERE enabled = 1"
                rules = [_rule(row) for row in db.execute(query).fetchall()]
            else:
                rules = [rule for key in keys if (rule := _find(db, *key)) is not None and rule.enabled]
            return [Armed(rule, _targets(db, rule.tenant, rule.name)) for rule in rules]

        return await self._database.read(job)

    async def fire(
        self, rule: Rule, standing: Standing, events: Sequence[Accepted] = (), now_ms: int = 0
    ) -> list[int | None] | None:
        """Moves the rule on and queues its events, whose ids these are; None: it is not the rule any more that it was,
        and nothing happened."""

        def job(db: sqlite3.Connection) -> list[int | None] | None:
            moved = db.execute(
                "UPDATE schedule_rules SET anchor_s = ?, done_s = ?, last_s = ? WHERE tenant = ? AND name = ?"
                " AND revision = ? AND enabled = 1 AND done_s = ?",
                (*standing, rule.tenant, rule.name, rule.revision, rule.standing.done_s),
            ).rowcount
            return accept(db, events, now_ms) if moved else None

        return await self._database.write(job)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(self, tenant: str, name: str, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.write(job)
        finally:
            self.on_change(tenant, name)


# ── parts of jobs ───────────────────────────────────────────────────────────────────────────────────────────────


def _find(db: sqlite3.Connection, tenant: str, name: str) -> Rule | None:
    query = f"SELECT {_RULE} FROM schedule_rules WHERE tenant = ? AND name = ?"
    row = db.execute(query, (tenant, name)).fetchone()
    return None if row is None else _rule(row)


def _require(db: sqlite3.Connection, tenant: str, name: str) -> Rule:
    found = _find(db, tenant, name)
    if found is None:
        raise unknown_rule(name)
    return found


def _touch(db: sqlite3.Connection, tenant: str, name: str) -> None:
    _require(db, tenant, name)
    statement = "UPDATE schedule_rules SET revision = ? WHERE tenant = ? AND name = ?"
    db.execute(statement, (uuid.uuid4().hex, tenant, name))


def _targets(db: sqlite3.Connection, tenant: str, name: str) -> tuple[Target, ...]:
    query = f"SELECT {_TARGET} FROM schedule_targets WHERE tenant = ? AND rule = ? ORDER BY id"
    return tuple(Target(*row) for row in db.execute(query, (tenant, name)))


def _tags(db: sqlite3.Connection, tenant: str, name: str) -> dict[str, str]:
    query = "SELECT tags FROM schedule_rules WHERE tenant = ? AND name = ?"
    row = db.execute(query, (tenant, name)).fetchone()
    if row is None:
        raise unknown_rule(name)
    tags: dict[str, str] = json.loads(row[0])
    return tags


def _rule(row: Sequence[object]) -> Rule:
    tenant, name, expression, enabled, description, role, revision, *standing = row
    return Rule._make((tenant, name, expression, bool(enabled), description, role, revision, Standing._make(standing)))


def _count(db: sqlite3.Connection, tenant: str) -> int:
    (count,) = db.execute("SELECT count(*) FROM schedule_rules WHERE tenant = ?", (tenant,)).fetchone()
    return int(count)
