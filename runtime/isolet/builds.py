"""Builds of snapshots: who asks for the same waits for the same; what was refused is refused again.

Laws:
- One build at a time of the same bytes and settings; in all and of a tenant as build_turns.py says.
- Bytes that were refused are refused again without building.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from . import limits
from .build_turns import BuildTurns
from .building import BuildRequest
from .errors import CallerError, IsoletError
from .frames import error_from_plain, error_to_plain
from .json_log import variables
from .metrics import Metrics
from .model import Function, SnapshotInfo
from .storage.packages import Packages

Progress = Callable[[str], None]
# Makes and stores a snapshot. Raises ModuleInvalid, InvalidParameter (refusals), HostError.
Build = Callable[[BuildRequest, Progress], Awaitable[SnapshotInfo]]


class Builds:
    """The keeper's. For the event loop's thread."""

    def __init__(
        self,
        packages: Packages,
        metrics: Metrics,
        build: Build,
        *,
        artifacts_path: Path,
        key_path: Path,
        turns: BuildTurns,
    ) -> None:
        self._packages = packages
        self._metrics = metrics
        self._build = build
        self._artifacts_path = artifacts_path
        self._key_path = key_path
        self._turns = turns
        self._under_way: dict[tuple[Any, ...], asyncio.Task[SnapshotInfo]] = {}
        # What was refused, as `error_to_plain`: an exception that is raised again and again grows.
        self._refused: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()

    async def close(self) -> None:
        """Stops what is under way; who waits for it is cancelled, too."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def admit(self, tenant: str) -> None:
        """Before anything of one more build is stored. Raises Throttled."""
        self._turns.admit(tenant)

    def require_not_refused(self, function: Function) -> None:
        """Raises what was raised when the same was built before."""
        if refused := self._refused.get(key_of(function)):
            raise error_from_plain(refused)

    async def snapshot(self, function: Function, progress: Progress = lambda phase: None) -> SnapshotInfo:
        """Of the function's code and settings. All who ask for the same wait for one build, and the first is told how
        it goes."""
        self.require_not_refused(function)
        key = key_of(function)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(self._run(function, key, progress))
            task.add_done_callback(lambda done: self._built(key, done))
        # One who leaves does not stop the others; `close` stops the build itself.
        return await asyncio.shield(task)

    def _built(self, key: tuple[Any, ...], task: asyncio.Task[SnapshotInfo]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # Seen, even if all who waited have left.

    async def _run(self, function: Function, key: tuple[Any, ...], progress: Progress) -> SnapshotInfo:
        async with self._turns.turn(function.tenant):
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
            handler=settings.handler,
            environment=variables(settings),
            warmup=settings.warmup,
            runtime=settings.runtime,
            tenant=function.tenant,
            layer_paths=[str(self._packages.path(layer.digest)) for layer in function.layers],
        )

    def _refuse(self, key: tuple[Any, ...], refusal: CallerError) -> None:
        self._refused[key] = error_to_plain(refusal)
        while len(self._refused) > limits.REFUSALS_KEPT:
            self._refused.popitem(last=False)


def key_of(function: Function) -> tuple[Any, ...]:
    """All that a build depends on: two functions of one key have the same snapshot."""
    settings = function.settings
    return (
        *(function.package_digest, function.tenant, function.name, settings.handler),
        *(tuple(layer.digest for layer in function.layers), settings.runtime),
        *(settings.memory_mb, settings.warmup, tuple(sorted(variables(settings).items()))),
    )
