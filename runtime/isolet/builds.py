"""Builds of snapshots: who asks for the same waits for the same; what was refused is refused again.

Laws:
- One build at a time of the same bytes and settings; in all and of a tenant as build_turns.py says.
- One attempt at a time to compile the same bytes of a tenant, under whatever names: if it fails, it fails for all.
- Bytes that were refused are refused again without building, with the same words, also after a restart: under whatever
  name, if nothing but the code was to blame; with the same name and settings, if initialisation may have been. Another
  tenant's refusals count for nothing. What was our fault, or the machine's, is tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from time import monotonic
from typing import Any

import msgpack

from . import limits
from .build_turns import BuildTurns
from .building import BuildRequest
from .errors import BuildTimedOut, CallerError, IsoletError
from .frames import error_from_plain, error_to_plain
from .json_log import variables
from .languages.interpreters import of_runtime
from .metrics import Metrics
from .model import Function, SnapshotInfo
from .storage.packages import Packages
from .storage.refusals import Refusals

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
        refusals: Refusals,
        *,
        artifacts_path: Path,
        key_path: Path,
        turns: BuildTurns,
        edition: bytes = b"",
    ) -> None:
        """`edition` changes with whatever may change what is refused: the builder itself, its limits."""
        self._packages = packages
        self._metrics = metrics
        self._build = build
        self._artifacts_path = artifacts_path
        self._key_path = key_path
        self._turns = turns
        self._under_way: dict[tuple[Any, ...], asyncio.Task[SnapshotInfo]] = {}
        # For each module of a tenant: who compiles it.
        self._attempts: weakref.WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = weakref.WeakValueDictionary()
        self._refusals = refusals
        self._edition = edition

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
        for key in (self._of_code(function), self._of_all(function)):
            if refused := self._refusals.get(function.tenant, key):
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
        course = _Course(progress)
        async with self._attempt(function), self._turns.turn(function.tenant):
            # Somebody with the same code may have been refused while this one waited.
            self.require_not_refused(function)
            try:
                snapshot = await self._build(self._request(function), course)
            except CallerError as refusal:
                refusal.message = refusal.message[: limits.REFUSAL_CHARS_MAX]
                await self._refuse(function, refusal, course)
                self._metrics.count_build(type(refusal).__name__)
                raise
            except IsoletError as failure:
                self._metrics.count_build(type(failure).__name__)
                raise
        self._metrics.count_build("succeeded")
        return snapshot

    def _attempt(self, function: Function) -> AbstractAsyncContextManager[Any]:
        if of_runtime(function.settings.runtime) is not None:
            return nullcontext()  # Source is not compiled, and its initialisation may end otherwise under another name.
        return self._attempts.setdefault((function.tenant, self._of_code(function)), asyncio.Lock())

    async def _refuse(self, function: Function, refusal: CallerError, course: _Course) -> None:
        key = self._of_code(function) if course.code_is_to_blame else self._of_all(function)
        for_s = limits.REFUSAL_BY_TIME_S if isinstance(refusal, BuildTimedOut) else limits.REFUSAL_S
        await self._refusals.put(function.tenant, key, error_to_plain(refusal), for_s)

    def _of_code(self, function: Function) -> bytes:
        settings = function.settings
        return self._digest("code", function.package_digest, settings.runtime, settings.memory_mb)

    def _of_all(self, function: Function) -> bytes:
        return self._digest("all", *key_of(function))

    def _digest(self, *parts: Any) -> bytes:
        return hashlib.sha256(msgpack.packb((self._edition, *parts))).digest()

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


class _Course:
    """How a build goes: passes on the phases as they begin, and notes when the program itself began and ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phase = ""
        self._initialising_s = 0.0
        self._began_s = 0.0

    def __call__(self, phase: str) -> None:
        now_s = monotonic()
        if self._phase == "initialising":
            self._initialising_s += now_s - self._began_s
        self._phase, self._began_s = phase, now_s
        self._progress(phase)

    @property
    def code_is_to_blame(self) -> bool:
        """Whether what ended the build has to do with nothing but the code: it came before initialisation, which may
        depend on settings, or so long after it that initialisation did not use up its time."""
        if self._phase in ("starting", "validating", "compiling"):
            return True
        return self._phase == "optimising" and self._initialising_s < limits.INIT_QUICK_S


def key_of(function: Function) -> tuple[Any, ...]:
    """All that a build depends on: two functions of one key have the same snapshot."""
    settings = function.settings
    return (
        *(function.package_digest, function.tenant, function.name, settings.handler),
        *(tuple(layer.digest for layer in function.layers), settings.runtime),
        *(settings.memory_mb, settings.warmup, tuple(sorted(variables(settings).items()))),
    )
