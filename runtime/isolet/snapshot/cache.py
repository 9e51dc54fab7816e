"""A worker's snapshots: loaded on first use, kept while they are used, at most so many.

Laws:
- `peek` is what an invocation on its way pays: one look-up, no await.
- Of concurrent loads of one artifact there is one; what it answers, or raises, all get. A failure is not kept.
- What is missing or corrupt is built again by the keeper, once per load, and may come back under another digest:
  initialisation reads clocks and random bytes. `Loaded.info` is then the new one, and the old digest answers it too.
- A package is not part of a snapshot: two functions may have the same snapshot and other files in /var/task.
- Leaving the cache frees nothing that an isolate still runs on: it holds its template.

Hashing an artifact of 12 MB takes 10 ms, in steps between the loop's other work; loading it 0.3 ms.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from .. import limits
from ..engine.engine import Engine, Template
from ..errors import ArtifactCorrupt, ArtifactMissing
from ..model import SnapshotInfo
from ..storage.artifacts import Artifacts

# Asks the keeper to make the snapshot of this digest again; answers what it made and stored.
Rebuild = Callable[[str], Awaitable[SnapshotInfo]]
# The files of the package with this digest, read when they are asked for.
Packages = Callable[[str], Mapping[str, bytes]]


class Loaded:
    """A snapshot that isolates can be born from. `info` is what the artifact's seal says, not what a route said."""

    __slots__ = ("info", "template")

    def __init__(self, template: Template, info: SnapshotInfo) -> None:
        self.template = template
        self.info = info


class SnapshotCache:
    """The loaded snapshots of one worker, least recently used first. For the event loop's thread."""

    def __init__(
        self,
        engine: Engine,
        artifacts: Artifacts,
        rebuild: Rebuild,
        packages: Packages,
        loaded_max: int = limits.SNAPSHOTS_LOADED_MAX,
    ) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._rebuild = rebuild
        self.package = packages
        self._loaded_max = loaded_max
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}

    def __len__(self) -> int:
        return len(self._loaded)

    def peek(self, digest: str) -> Loaded | None:
        """The snapshot if it is loaded; it counts as used."""
        loaded = self._loaded.get(digest)
        if loaded is not None:
            self._loaded.move_to_end(digest)
        return loaded

    async def load(self, info: SnapshotInfo) -> Loaded:
        """The snapshot, loaded. Raises what `rebuild` raises, and StorageUnavailable.

        Cancelling one who waits cancels neither the load nor the others who wait for it.
        """
        digest = info.digest
        loaded = self.peek(digest)
        if loaded is not None:
            return loaded
        task = self._loading.get(digest)
        if task is None:
            task = self._loading[digest] = asyncio.ensure_future(self._load(digest))
            task.add_done_callback(lambda done: self._settle(digest, done))
        return await asyncio.shield(task)

    def forget(self, digest: str) -> None:
        """Nobody needs it any more: its function was removed or replaced."""
        self._loaded.pop(digest, None)

    async def _load(self, digest: str) -> Loaded:
        try:
            return await self._open(digest)
        except (ArtifactMissing, ArtifactCorrupt):
            info = await self._rebuild(digest)
            return await self._open(info.digest)

    async def _open(self, digest: str) -> Loaded:
        steps = self._artifacts.steps(digest)
        try:
            verified = next(steps)
            while verified is None:
                await asyncio.sleep(0)
                verified = next(steps)
            return Loaded(self._engine.link(self._engine.load(verified.path)), verified.info)
        finally:
            steps.close()

    def _settle(self, digest: str, task: asyncio.Task[Loaded]) -> None:
        del self._loading[digest]
        if task.cancelled() or task.exception() is not None:
            return
        self._loaded[digest] = task.result()
        while len(self._loaded) > self._loaded_max:
            self._loaded.popitem(last=False)
