"""What becomes of functions: create, update, delete, and the builds between a package and Active.

    create ─→ Pending ─→ build ─→ commit ─→ routes acknowledged ─→ Active
                 └─ refused, crashed ────────────────────────────→ Failed, with the reason

Laws:
- What was answered is durable: a build that a crash interrupted goes on when the keeper starts again.
- A function serves what it served before until a change of it is built, committed and known to every worker. A change
  that fails is undone: code, configuration and traffic stay the former ones, LastUpdateStatus says why.
- A function is Active only when every attached worker serves it: who polls for Active can call it at once.
- A version that was published with a change is built, served or failed together with it.

Builds are in builds.py, what is published of functions in versions.py. Answers in Lambda's words where Lambda has them;
its JSON is made elsewhere (aws/).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import event_policies
from .builds import Builds, key_of
from .clock import Clock
from .errors import Conflict, IsoletError, PreconditionFailed, UnknownFunction
from .languages.interpreters import of_runtime
from .model import LATEST, Function, LayerContent, Settings, SnapshotInfo, State, Target, UpdateStatus, function_arn
from .publishing import activated, add_version, is_under_way, new_revision, published, target_of
from .quota import BY_DEFAULT, Quotas
from .routing import RoutingTable
from .serving import Serving
from .storage import registry
from .storage.packages import Package, Packages
from .storage.registry import Entry, Registry, VersionEntry
from .storage.stock import Stock

logger = logging.getLogger("isolet.deployments")

# The end of a transaction that stored a change.
Then = Callable[[sqlite3.Connection], Function]
# Digests of packages that are needed beside those of functions: layers that are published.
LayerDigests = Callable[[], Awaitable[Collection[str]]]
# Makes room among the artifacts, but for the digests that are in use.
Evict = Callable[[Collection[str]], object]

CREATING = "The function is being created."
NOT_NOW = "The operation cannot be performed at this time."
STALE = (
    "The RevisionId provided does not match the latest RevisionId. "
    "Call the GetFunction/GetAlias API to retrieve the latest RevisionId"
)

_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What an update wants; None leaves a part as it is."""

    package: bytes | None = None
    settings: Callable[[Settings], Settings] = lambda settings: settings
    role: str | None = None
    tags: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda tags: tags
    revision_id: str | None = None
    # What the changed settings' layers hold.
    layers: tuple[LayerContent, ...] | None = None
    # Whether it becomes a version, too, once it serves.
    publish: bool = False


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A deployment under way, for who asks."""

    creating: bool
    phase: str = "Queued."


class Deployments:
    """The keeper's. For the event loop's thread."""

    def __init__(
        self,
        registry: Registry,
        packages: Packages,
        serving: Serving,
        table: RoutingTable,
        builds: Builds,
        *,
        clock: Clock,
        evict: Evict = lambda in_use: None,
        layer_digests: LayerDigests,
        stock: Stock,
        quotas: Quotas = BY_DEFAULT,
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._serving = serving
        self._table = table
        self._builds = builds
        self._clock = clock
        self._evict = evict
        self._layer_digests = layer_digests
        self._stock = stock
        self._quotas = quotas
        # Deployments under way, by function.
        self._under_way: dict[_Name, _UnderWay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pruning = False

    # ── the life of the keeper ──────────────────────────────────────────────────────────────────────────────────

    async def restore(self) -> None:
        """At the start: every route as it was, without building; then what a crash interrupted goes on."""
        await self._serving.restore()
        for entry in await self._registry.all():
            if is_under_way(entry.function):
                self._start(entry)
        self.prune_soon()

    async def close(self) -> None:
        """Stops what is under way: it goes on at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._builds.close()

    async def settled(self) -> None:
        """Returns when nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def get(self, tenant: str, name: str) -> Function:
        """Raises UnknownFunction."""
        return self._seen((await self._entry(tenant, name)).function)

    async def page(self, tenant: str, after: str, count: int) -> list[Function]:
        """Up to `count` functions in the order of their names, those after the name `after`."""
        return [self._seen(entry.function) for entry in await self._registry.page(tenant, after, count)]

    async def reserved(self, tenant: str, name: str) -> int | None:
        """Its reserved concurrency, if it has any."""
        served = self._table.get(tenant, name)
        return None if served is None or served.reserved is None else served.reserved.limit

    async def package(self, tenant: str, name: str) -> bytes:
        """The zip as it was uploaded. Raises UnknownFunction, StorageUnavailable."""
        function = await self.get(tenant, name)
        return await asyncio.to_thread(self._packages.read, function.package_digest)

    def _seen(self, function: Function) -> Function:
        """As its owner sees it: with the phase of what is under way, Pending until every worker knows it."""
        under_way = self._under_way.get((function.tenant, function.name))
        if under_way is None:
            return function
        if under_way.creating:
            return replace(function, state=State.PENDING, state_reason=f"{CREATING} {under_way.phase}")
        return replace(function, update_status=UpdateStatus.IN_PROGRESS, update_reason=under_way.phase)

    async def _entry(self, tenant: str, name: str) -> Entry:
        entry = await self._registry.get(tenant, name)
        if entry is None:
            raise UnknownFunction(f"Function not found: {function_arn(tenant, name)}")
        return entry

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(
        self,
        tenant: str,
        name: str,
        settings: Settings,
        package: bytes,
        role: str,
        tags: Mapping[str, str],
        layers: tuple[LayerContent, ...] = (),
        publish: bool = False,
    ) -> Function:
        """Stores the package and begins to build; with `publish`, the answer is the version that it will be.

        Raises Conflict, InvalidParameter, ModuleInvalid; Throttled, CodeStorageExceeded, LimitExceeded.
        """
        if await self._registry.get(tenant, name) is not None:
            raise Conflict(f"Function already exist: {name}")
        self._quotas.require_slot(tenant)
        self._builds.admit(tenant)
        await self._stock.require_room(tenant, len(package))
        stored = await asyncio.to_thread(self._packages.put, package, _is_source(settings))
        function = Function(
            tenant=tenant,
            name=name,
            settings=settings,
            package_digest=stored.digest,
            code_sha256=stored.code_sha256,
            code_bytes=stored.code_bytes,
            module_bytes=stored.module_bytes,
            state=State.PENDING,
            state_reason=CREATING,
            snapshot=None,
            revision_id=new_revision(),
            last_modified_s=self._clock.wall_s(),
            role=role,
            tags=dict(tags),
            layers=layers,
        )
        await self._require_room(function)
        self._require_acceptable(function)
        entry = Entry(function)

        def job(db: sqlite3.Connection) -> Function:
            if not registry.create(db, entry):
                raise Conflict(f"Function already exist: {name}")
            return add_version(db, function) if publish else function

        created = await self._serving.commit(tenant, name, self._stock.within(tenant, job))
        self._start(entry)
        return created if publish else self._seen(function)

    async def update(self, tenant: str, name: str, change: Change) -> Function:
        """Begins to change a function; what needs no build is done when this returns.

        Raises UnknownFunction, Conflict (a change is under way), PreconditionFailed, InvalidParameter, ModuleInvalid;
        Throttled, CodeStorageExceeded, LimitExceeded.
        """
        entry = await self._entry(tenant, name)
        self._require_settled(entry.function, change)
        if change.package is not None:
            self._builds.admit(tenant)
            await self._stock.require_room(tenant, max(0, len(change.package) - entry.function.code_bytes))
        source = _is_source(change.settings(entry.function.settings))
        stored = None if change.package is None else await asyncio.to_thread(self._packages.put, change.package, source)
        changed = self._changed(entry.function, change, stored)
        await self._require_room(changed)
        self._require_acceptable(changed)
        new = self._entry_of_change(entry, changed)
        if change.package is None and is_under_way(new.function):
            self._builds.admit(tenant)

        def publish(db: sqlite3.Connection) -> Function:
            return published(db, new) if change.publish else new.function

        updated = await self._commit(new, entry.function.revision_id, publish)
        if updated is None:
            # Somebody else's change came between, or the function is gone: the caller looks again.
            raise PreconditionFailed(STALE)
        if is_under_way(new.function):
            self._start(new)
        return updated if change.publish else self._seen(updated)

    async def delete(self, tenant: str, name: str) -> None:
        """Raises UnknownFunction. No worker serves it any more when this returns."""

        def job(db: sqlite3.Connection) -> None:
            event_policies.depart(db, tenant, name)
            if not registry.delete(db, tenant, name):
                raise UnknownFunction(f"Function not found: {function_arn(tenant, name)}")

        await self._serving.commit(tenant, name, job)
        self.prune_soon()

    async def _commit(self, entry: Entry, revision: str, then: Then) -> Function | None:
        """Stores and routes; what `then` returns, the end of the same transaction. None, and nothing happened, if the
        function is no longer at `revision`.

        Raises Conflict if another function has taken its routes meanwhile; CodeStorageExceeded, LimitExceeded.
        """
        function, target = entry.function, entry.target

        def check() -> None:
            if target is not None:
                self._require_routes(target)

        def job(db: sqlite3.Connection) -> Function | None:
            return then(db) if registry.replace(db, entry, revision) else None

        within = self._stock.within(function.tenant, job)
        return await self._serving.commit(function.tenant, function.name, within, check)

    def _require_settled(self, function: Function, change: Change) -> None:
        if change.revision_id is not None and change.revision_id != function.revision_id:
            raise PreconditionFailed(STALE)
        if function.state is State.PENDING:
            raise Conflict(f"{NOT_NOW} The function is currently in the following state: Pending")
        if is_under_way(function) or (function.tenant, function.name) in self._under_way:
            raise Conflict(f"{NOT_NOW} An update is in progress for resource: {function.arn}")

    def _require_acceptable(self, function: Function) -> None:
        """Refuses at once what is known to fail: bytes that were refused before, routes that are taken."""
        self._builds.require_not_refused(function)
        self._require_routes(target_of(function, _NO_SNAPSHOT))

    async def _require_room(self, function: Function) -> None:
        """Raises InvalidParameter if there is too much in its layers."""
        if function.layers:
            digests = [layer.digest for layer in function.layers]
            await asyncio.to_thread(self._packages.require_room, function.package_digest, digests)

    def _require_routes(self, target: Target) -> None:
        if conflicts := self._table.conflicts(target):
            raise Conflict(f"{target.name} cannot be served: {'; '.join(conflicts)}; choose others")

    def _changed(self, function: Function, change: Change, stored: Package | None) -> Function:
        """The function with what was asked for, before anything is built."""
        changed = replace(
            function,
            settings=change.settings(function.settings),
            role=function.role if change.role is None else change.role,
            tags=dict(change.tags(function.tags)),
            revision_id=new_revision(),
            last_modified_s=self._clock.wall_s(),
            layers=function.layers if change.layers is None else change.layers,
        )
        if stored is None:
            return changed
        return replace(
            changed,
            package_digest=stored.digest,
            code_sha256=stored.code_sha256,
            code_bytes=stored.code_bytes,
            module_bytes=stored.module_bytes,
        )

    def _entry_of_change(self, entry: Entry, changed: Function) -> Entry:
        """What is stored when a change is accepted: with a build to come, or without one if none is needed."""
        if entry.target is None:
            # It never served: whatever the change, it is created anew.
            return Entry(replace(changed, state=State.PENDING, state_reason=CREATING, snapshot=None))
        if key_of(changed) != key_of(entry.function):
            return Entry(replace(changed, update_status=UpdateStatus.IN_PROGRESS), entry.target, entry.function)
        done = replace(changed, update_status=UpdateStatus.SUCCESSFUL, update_reason="")
        return Entry(done, target_of(done, entry.target.snapshot))

    # ── deploying ───────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, entry: Entry) -> None:
        under_way = _UnderWay(creating=entry.target is None)
        self._under_way[entry.function.tenant, entry.function.name] = under_way
        self._spawn(self._deploy(entry, under_way))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deploy(self, entry: Entry, under_way: _UnderWay) -> None:
        """Builds, commits, routes; or notes why not. Ends without effect if the function was changed meanwhile."""
        function = entry.function
        try:

            def progress(phase: str) -> None:
                under_way.phase = f"{phase[:1].upper()}{phase[1:]}."

            snapshot = await self._builds.snapshot(function, progress)
            under_way.phase = "Routing."
            await self._finish(entry, snapshot)
        except IsoletError as reason:
            logger.info("deploying %s failed: %s: %s", function.name, type(reason).__name__, reason)
            await self._give_up(entry, reason.message)
        except Exception:
            logger.exception("deploying %s failed", function.name)
            await self._give_up(entry, "internal error; the server's log has the reason")
        finally:
            # A function of this name that was created anew has its own.
            if self._under_way.get((function.tenant, function.name)) is under_way:
                del self._under_way[function.tenant, function.name]
        self.prune_soon()

    async def _finish(self, entry: Entry, snapshot: SnapshotInfo) -> None:
        function = entry.function
        done = replace(
            function,
            state=State.ACTIVE,
            state_reason="",
            snapshot=snapshot,
            update_status=UpdateStatus.SUCCESSFUL,
            update_reason="",
            revision_id=new_revision(),
        )
        target = target_of(done, snapshot)

        def versions(db: sqlite3.Connection) -> Function:
            registry.settle_versions(db, function.tenant, function.name, lambda old: activated(old, snapshot))
            return done

        await self._commit(Entry(done, target), function.revision_id, versions)

    async def _give_up(self, entry: Entry, reason: str) -> None:
        function = entry.function
        if entry.previous is None:
            failed = Entry(replace(function, state=State.FAILED, state_reason=reason, revision_id=new_revision()))
        else:
            former = replace(entry.previous, update_status=UpdateStatus.FAILED, update_reason=reason)
            failed = Entry(replace(former, revision_id=new_revision()), entry.target)

        def job(db: sqlite3.Connection) -> None:
            if registry.replace(db, failed, function.revision_id):
                registry.settle_versions(
                    db,
                    function.tenant,
                    function.name,
                    lambda old: VersionEntry(replace(old, state=State.FAILED, state_reason=reason), None),
                )

        try:
            await self._serving.commit(function.tenant, function.name, job)
        except IsoletError as error:
            logger.error("that deploying %s failed could not be stored: %s", function.name, error)

    # ── building ────────────────────────────────────────────────────────────────────────────────────────────────

    async def rebuild(self, digest: str) -> SnapshotInfo:
        """For a worker that finds an artifact missing or corrupt: a new one, routed. Raises what the build raises."""
        function = await self._who_serves(digest)
        if function is None:
            raise UnknownFunction(f"no function needs the artifact {digest} any more")
        snapshot = await self._builds.snapshot(function)
        if snapshot.digest != digest:
            tenant, name = function.tenant, function.name
            await self._serving.commit(tenant, name, lambda db: registry.exchange(db, tenant, name, digest, snapshot))
        return snapshot

    async def _who_serves(self, digest: str) -> Function | None:
        """The function, or the version of one, whose snapshot has this digest."""
        for served in self._table.served():
            for target in served.targets:
                if target.snapshot.digest != digest:
                    continue
                if target.version != LATEST:
                    version = await self._registry.version(target.tenant, target.name, int(target.version))
                    return None if version is None else version.function
                entry = await self._registry.get(target.tenant, target.name)
                return None if entry is None else entry.previous or entry.function
        return None

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────

    def prune_soon(self) -> None:
        """Somebody changed what is needed of packages and artifacts."""
        if not self._pruning:
            self._pruning = True
            self._spawn(self._prune())

    async def _prune(self) -> None:
        """Removes packages and artifacts that nobody needs. What fails here is tried again after the next change."""
        self._pruning = False
        try:
            entries, versions = await self._registry.all(), await self._registry.all_versions()
            functions = [f for entry in entries for f in (entry.function, entry.previous) if f is not None]
            functions += [version.function for version in versions]
            served = [*(entry.target for entry in entries), *(version.target for version in versions)]
            targets = [target for target in served if target is not None]
            packages = {f.package_digest for f in functions} | {target.package_digest for target in targets}
            packages |= {layer.digest for f in functions for layer in f.layers} | set(await self._layer_digests())
            await asyncio.to_thread(self._packages.prune, packages)
            await asyncio.to_thread(self._evict, {digest for target in targets for digest in target.snapshot.digests})
        except (IsoletError, OSError) as reason:
            logger.warning("files that nobody needs could not be removed: %s", reason)


# ── pure ────────────────────────────────────────────────────────────────────────────────────────────────────────

_NO_SNAPSHOT = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


def _is_source(settings: Settings) -> bool:
    """Whether an interpreter runs it."""
    return of_runtime(settings.runtime) is not None
