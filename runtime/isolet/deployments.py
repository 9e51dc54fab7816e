"""What becomes of functions: create, update, delete, and the builds between a package and Active.

    create ─→ Pending ─→ build ─→ commit ─→ routes acknowledged ─→ Active
                 └─ refused, crashed ────────────────────────────→ Failed, with the reason

Laws:
- What was answered is durable: a build that a crash interrupted goes on when the keeper starts again.
- A function serves what it served before until a change of it is built, committed and known to every worker. A change
  that fails is undone: code, configuration and traffic stay the former ones, LastUpdateStatus says why.
- A function is Active only when every attached worker serves it: who polls for Active can call it at once.
- One build at a time of the same bytes and settings, BUILDS_AT_ONCE in all. Bytes that were refused are refused again
  without building.

Answers in Lambda's words where Lambda has them; its JSON is made elsewhere (aws/functions.py).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import limits
from .building import BuildRequest
from .clock import Clock
from .errors import CallerError, Conflict, IsoletError, PreconditionFailed, UnknownFunction
from .fleet import Fleet
from .frames import error_from_plain, error_to_plain
from .languages.interpreters import of_runtime
from .metrics import Metrics
from .model import Function, Settings, SnapshotInfo, State, Target, UpdateStatus, function_arn
from .storage.packages import Package, Packages
from .storage.registry import Entry, Registry

logger = logging.getLogger("isolet.deployments")

Progress = Callable[[str], None]
# Makes and stores a snapshot. Raises ModuleInvalid, InvalidParameter (refusals), HostError.
Build = Callable[[BuildRequest, Progress], Awaitable[SnapshotInfo]]
# Makes room among the artifacts, but for the digests that are in use.
Evict = Callable[[Collection[str]], object]

CREATING = "The function is being created."
_NOT_NOW = "The operation cannot be performed at this time."
_STALE = (
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
        fleet: Fleet,
        metrics: Metrics,
        build: Build,
        *,
        artifacts_path: Path,
        key_path: Path,
        clock: Clock,
        builds_at_once: int = limits.BUILDS_AT_ONCE,
        evict: Evict = lambda in_use: None,
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._fleet = fleet
        self._metrics = metrics
        self._build = build
        self._artifacts_path = artifacts_path
        self._key_path = key_path
        self._clock = clock
        self._turns = asyncio.Semaphore(builds_at_once)
        self._evict = evict
        # Builds under way, by what they build; deployments under way, by function.
        self._builds: dict[tuple[Any, ...], asyncio.Task[SnapshotInfo]] = {}
        self._under_way: dict[_Name, _UnderWay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pruning = False
        # What was refused, as `error_to_plain`: an exception that is raised again and again grows.
        self._refused: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        # Registry and table change together, one change at a time: else a deletion could come between and be undone,
        # and two functions could find one route free. Telling the workers comes after, and says what is true by then.
        self._commits = asyncio.Lock()

    # ── the life of the keeper ──────────────────────────────────────────────────────────────────────────────────

    async def restore(self) -> None:
        """At the start: every route as it was, without building; then what a crash interrupted goes on."""
        entries = await self._registry.all()
        self._fleet.restore(entry.target for entry in entries if entry.target is not None)
        for entry in entries:
            if _is_under_way(entry.function):
                self._start(entry)
        self._prune_soon()

    async def close(self) -> None:
        """Stops what is under way: it goes on at the next start."""
        tasks = [*self._tasks, *self._builds.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        self, tenant: str, name: str, settings: Settings, package: bytes, role: str, tags: Mapping[str, str]
    ) -> Function:
        """Stores the package and begins to build. Raises Conflict, InvalidParameter, ModuleInvalid."""
        if await self._registry.get(tenant, name) is not None:
            raise Conflict(f"Function already exist: {name}")
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
            revision_id=_new_revision(),
            last_modified_s=self._clock.wall_s(),
            role=role,
            tags=dict(tags),
        )
        self._require_acceptable(function)
        entry = Entry(function)
        if not await self._registry.create(entry):
            raise Conflict(f"Function already exist: {name}")
        self._start(entry)
        return self._seen(function)

    async def update(self, tenant: str, name: str, change: Change) -> Function:
        """Begins to change a function; what needs no build is done when this returns.

        Raises UnknownFunction, Conflict (a change is under way), PreconditionFailed, InvalidParameter, ModuleInvalid.
        """
        entry = await self._entry(tenant, name)
        self._require_settled(entry.function, change)
        source = _is_source(change.settings(entry.function.settings))
        stored = None if change.package is None else await asyncio.to_thread(self._packages.put, change.package, source)
        changed = self._changed(entry.function, change, stored)
        self._require_acceptable(changed)
        new = self._entry_of_change(entry, changed)
        if not await self._commit(new, entry.function.revision_id):
            # Somebody else's change came between, or the function is gone: the caller looks again.
            raise PreconditionFailed(_STALE)
        if _is_under_way(new.function):
            self._start(new)
        return self._seen(new.function)

    async def delete(self, tenant: str, name: str) -> None:
        """Raises UnknownFunction. No worker serves it any more when this returns."""
        async with self._commits:
            if not await self._registry.delete(tenant, name):
                raise UnknownFunction(f"Function not found: {function_arn(tenant, name)}")
            self._fleet.table.remove(tenant, name)
        await self._fleet.tell(tenant, name)
        self._prune_soon()

    async def _commit(self, entry: Entry, revision: str) -> bool:
        """Stores and routes. False, and nothing happened, if the function is no longer at `revision`.

        Raises Conflict if another function has taken its routes meanwhile.
        """
        function, target, table = entry.function, entry.target, self._fleet.table
        async with self._commits:
            if target is not None:
                self._require_routes(target)
            if not await self._registry.replace(entry, revision):
                return False
            if target is None or target in table.targets():
                return True
            table.upsert(target)
        await self._fleet.tell(function.tenant, function.name)
        return True

    def _require_settled(self, function: Function, change: Change) -> None:
        if change.revision_id is not None and change.revision_id != function.revision_id:
            raise PreconditionFailed(_STALE)
        if function.state is State.PENDING:
            raise Conflict(f"{_NOT_NOW} The function is currently in the following state: Pending")
        if _is_under_way(function) or (function.tenant, function.name) in self._under_way:
            raise Conflict(f"{_NOT_NOW} An update is in progress for resource: {function.arn}")

    def _require_acceptable(self, function: Function) -> None:
        """Refuses at once what is known to fail: bytes that were refused before, routes that are taken."""
        self._require_not_refused(_key(function))
        self._require_routes(_target(function, _NO_SNAPSHOT))

    def _require_not_refused(self, key: tuple[Any, ...]) -> None:
        if refused := self._refused.get(key):
            raise error_from_plain(refused)

    def _require_routes(self, target: Target) -> None:
        if conflicts := self._fleet.table.conflicts(target):
            raise Conflict(f"{target.name} cannot be served: {'; '.join(conflicts)}; choose others")

    def _changed(self, function: Function, change: Change, stored: Package | None) -> Function:
        """The function with what was asked for, before anything is built."""
        changed = replace(
            function,
            settings=change.settings(function.settings),
            role=function.role if change.role is None else change.role,
            tags=dict(change.tags(function.tags)),
            revision_id=_new_revision(),
            last_modified_s=self._clock.wall_s(),
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
        if _key(changed) != _key(entry.function):
            return Entry(replace(changed, update_status=UpdateStatus.IN_PROGRESS), entry.target, entry.function)
        done = replace(changed, update_status=UpdateStatus.SUCCESSFUL, update_reason="")
        return Entry(done, _target(done, entry.target.snapshot))

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
            snapshot = await self._snapshot(function)
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
        self._prune_soon()

    async def _finish(self, entry: Entry, snapshot: SnapshotInfo) -> None:
        function = entry.function
        done = replace(
            function,
            state=State.ACTIVE,
            state_reason="",
            snapshot=snapshot,
            update_status=UpdateStatus.SUCCESSFUL,
            update_reason="",
            revision_id=_new_revision(),
        )
        await self._commit(Entry(done, _target(done, snapshot)), function.revision_id)

    async def _give_up(self, entry: Entry, reason: str) -> None:
        function = entry.function
        if entry.previous is None:
            failed = Entry(replace(function, state=State.FAILED, state_reason=reason, revision_id=_new_revision()))
        else:
            former = replace(entry.previous, update_status=UpdateStatus.FAILED, update_reason=reason)
            failed = Entry(replace(former, revision_id=_new_revision()), entry.target)
        try:
            await self._registry.replace(failed, function.revision_id)
        except IsoletError as error:
            logger.error("that deploying %s failed could not be stored: %s", function.name, error)

    # ── building ────────────────────────────────────────────────────────────────────────────────────────────────

    async def rebuild(self, digest: str) -> SnapshotInfo:
        """For a worker that finds an artifact missing or corrupt: a new one, routed. Raises what the build raises."""
        entry = await self._who_serves(digest)
        if entry is None or entry.target is None:
            raise UnknownFunction(f"no function needs the artifact {digest} any more")
        snapshot = await self._snapshot(entry.previous or entry.function)
        if snapshot != entry.target.snapshot:
            await self._exchange(entry, snapshot)
        return snapshot

    async def _who_serves(self, digest: str) -> Entry | None:
        for target in self._fleet.table.targets():
            if target.snapshot.digest == digest:
                return await self._registry.get(target.tenant, target.name)
        return None

    async def _exchange(self, entry: Entry, snapshot: SnapshotInfo) -> None:
        """Serves another snapshot of the same code. Nothing that its owner changed: the revision stays."""
        assert entry.target is not None
        target = replace(entry.target, snapshot=snapshot)
        if entry.previous is None:
            new = Entry(replace(entry.function, snapshot=snapshot), target)
        else:
            new = Entry(entry.function, target, replace(entry.previous, snapshot=snapshot))
        await self._commit(new, entry.function.revision_id)

    async def _snapshot(self, function: Function) -> SnapshotInfo:
        """Of the function's code and settings. All who ask for the same wait for one build."""
        key = _key(function)
        self._require_not_refused(key)
        task = self._builds.get(key)
        if task is None:
            task = self._builds[key] = asyncio.ensure_future(self._run_build(function, key))
            task.add_done_callback(lambda done: self._built(key, done))
        # One who leaves does not stop the others; `close` stops the build itself.
        return await asyncio.shield(task)

    def _built(self, key: tuple[Any, ...], task: asyncio.Task[SnapshotInfo]) -> None:
        del self._builds[key]
        if not task.cancelled():
            task.exception()  # Seen, even if all who waited have left.

    async def _run_build(self, function: Function, key: tuple[Any, ...]) -> SnapshotInfo:
        def progress(phase: str) -> None:
            if under_way := self._under_way.get((function.tenant, function.name)):
                under_way.phase = f"{phase[:1].upper()}{phase[1:]}."

        async with self._turns:
            try:
                snapshot = await self._build(self._request(function), progress)
            except CallerError as refusal:
                self._refuse(key, refusal)
                self._metrics.count_build(type(refusal).__name__)
                raise
            except IsoletError as failure:
                self._metrics.count_build(type(failure).__name__)
                raise
        self._metrics.count_build("succeeded")
        return snapshot

    def _request(self, function: Function) -> BuildRequest:
        settings = function.settings
        return BuildRequest(
            package_path=str(self._packages.path(function.package_digest)),
            name=function.name,
            arn=function.arn,
            memory_mb=settings.memory_mb,
            artifacts_path=str(self._artifacts_path),
            key_path=str(self._key_path),
            version=function.version,
            handler=settings.handler,
            environment=dict(settings.environment),
            warmup=settings.warmup,
            runtime=settings.runtime,
        )

    def _refuse(self, key: tuple[Any, ...], refusal: CallerError) -> None:
        self._refused[key] = error_to_plain(refusal)
        while len(self._refused) > limits.REFUSALS_KEPT:
            self._refused.popitem(last=False)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _prune_soon(self) -> None:
        if not self._pruning:
            self._pruning = True
            self._spawn(self._prune())

    async def _prune(self) -> None:
        """Removes packages and artifacts that nobody needs. What fails here is tried again after the next change."""
        self._pruning = False
        try:
            entries = await self._registry.all()
            functions = [f for entry in entries for f in (entry.function, entry.previous) if f is not None]
            targets = [entry.target for entry in entries if entry.target is not None]
            packages = {f.package_digest for f in functions} | {target.package_digest for target in targets}
            await asyncio.to_thread(self._packages.prune, packages)
            await asyncio.to_thread(self._evict, {digest for target in targets for digest in target.snapshot.digests})
        except (IsoletError, OSError) as reason:
            logger.warning("files that nobody needs could not be removed: %s", reason)


# ── pure ────────────────────────────────────────────────────────────────────────────────────────────────────────

_NO_SNAPSHOT = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


def _new_revision() -> str:
    return str(uuid.uuid4())


def _is_source(settings: Settings) -> bool:
    """Whether an interpreter runs it."""
    return of_runtime(settings.runtime) is not None


def _is_under_way(function: Function) -> bool:
    return function.state is State.PENDING or function.update_status is UpdateStatus.IN_PROGRESS


def _key(function: Function) -> tuple[Any, ...]:
    """All that a build depends on: two functions of one key have the same snapshot."""
    settings = function.settings
    return (
        *(function.package_digest, function.tenant, function.name, function.version, settings.handler),
        *(settings.runtime, settings.memory_mb, settings.warmup, tuple(sorted(settings.environment.items()))),
    )


def _target(function: Function, snapshot: SnapshotInfo) -> Target:
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
        environment=settings.environment,
        http=settings.http,
        routes=settings.routes,
        capabilities=settings.capabilities,
        runtime=settings.runtime,
        handler=settings.handler,
    )
