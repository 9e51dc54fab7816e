"""Versions of functions, as they come to be: what a version freezes, and what runs it.

Laws:
- A version is the function as it was: code, settings, layers, role. It runs from the snapshot that the function had
  then, so that publishing builds nothing. Its context tells its number; what initialisation read of
  AWS_LAMBDA_FUNCTION_VERSION stays "$LATEST", for it is in the snapshot.
- Publishing what the last version froze already is that version again.

What takes a connection is a part of a job (serving.py commits it).
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import replace
from typing import Any

from . import limits
from .json_log import variables
from .model import Function, SnapshotInfo, State, Target, UpdateStatus
from .storage import registry
from .storage.registry import Entry, VersionEntry


def new_revision() -> str:
    """RevisionId: changes with every change."""
    return str(uuid.uuid4())


def is_under_way(function: Function) -> bool:
    """Whether a build of it is still to end."""
    return function.state is State.PENDING or function.update_status is UpdateStatus.IN_PROGRESS


def target_of(function: Function, snapshot: SnapshotInfo) -> Target:
    settings = function.settings
    return Target(
        tenant=function.tenant,
        name=function.name,
        version=function.version,
        snapshot=snapshot,
        package_digest=function.package_digest,
        timeout_s=settings.timeout_s,
        memory_bytes=settings.memory_mb * limits.MIB,
        fuel=settings.fuel,
        environment=variables(settings),
        http=settings.http,
        routes=settings.routes,
        capabilities=settings.capabilities,
        runtime=settings.runtime,
        handler=settings.handler,
        layer_digests=tuple(layer.digest for layer in function.layers),
        logging=settings.logging,
    )


def published(db: sqlite3.Connection, entry: Entry) -> Function:
    """The function as a version: the last one, if nothing that it freezes has changed since; else a new one."""
    function = entry.function
    last = registry.latest_version(db, function.tenant, function.name)
    if last is not None and _frozen(last.function) == _frozen(function) and last.function.state is not State.FAILED:
        return last.function
    return add_version(db, function, entry.target)


def add_version(db: sqlite3.Connection, function: Function, target: Target | None = None) -> Function:
    """A new version of the function as it is: it serves at once, with the same snapshot, or once that is built."""
    number = str(registry.next_version(db, function.tenant, function.name))
    waits = target is None or is_under_way(function)
    state = State.PENDING if waits else State.ACTIVE
    version = replace(
        function, version=number, state=state, update_status=UpdateStatus.SUCCESSFUL, revision_id=new_revision()
    )
    if target is None or waits:
        registry.put_version(db, VersionEntry(version, None))
    else:
        registry.put_version(db, VersionEntry(version, target_of(version, target.snapshot)))
    return version


def activated(version: Function, snapshot: SnapshotInfo) -> VersionEntry:
    done = replace(version, state=State.ACTIVE, state_reason="", snapshot=snapshot)
    return VersionEntry(done, target_of(done, snapshot))


def _frozen(function: Function) -> tuple[Any, ...]:
    """What a version freezes. A description alone makes no new one."""
    settings = replace(function.settings, description="")
    return function.package_digest, settings, function.layers, function.role
