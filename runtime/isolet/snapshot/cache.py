"""A worker's snapshots: loaded on first use, kept while they are used, at most so many bytes of memory images.

Laws:
- `peek` is what an invocation on its way pays: one look-up, no await.
- Of concurrent loads of one artifact there is one; what it answers, or raises, all get. A failure is not kept.
- What is missing or corrupt is built again by the keeper, once per load, and may come back under another digest:
  initialisation reads clocks and random bytes. `Loaded.info` is then the new one, and the old digest answers it too.
- Packages and layers are not part of a snapshot: two functions may have the same one and other files in /var/task.
- What is forgotten while it is being loaded goes to those who wait for it, and is not kept.
- Leaving the cache frees nothing that an isolate still runs on: it holds its template.
- Images of programs are what costs memory: a thousand programs share one interpreter's code. While the worker is busy
  they may hold `image_bytes_max`; what nobody has called for a while leaves until the rest is `idle_bytes_max`.

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
from .shared import Interpreters, opened

# Asks the keeper to make the snapshot of this digest again; answers what it made and stored.
Rebuild = Callable[[str], Awaitable[SnapshotInfo]]
# The files of the package with this digest, read when they are asked for.
Packages = Callable[[str], Mapping[str, bytes]]


_NO_LIBRARY: Mapping[str, bytes] = {}


class Loaded:
    """A snapshot that isolates can be born from. `info` is what the artifact's seal says, not what a route said.
    `library` is its interpreter's."""

    __slots__ = ("__weakref__", "info", "library", "template", "used")

    def __init__(self, template: Template, info: SnapshotInfo, library: Mapping[str, bytes] = _NO_LIBRARY) -> None:
        self.template = template
        self.info = info
        self.library = library
        self.used = True  # since the last sweep


class SnapshotCache:
    """The loaded snapshots of one worker, least recently used first. For the event loop's thread."""

    def __init__(
        self,
        engine: Engine,
        artifacts: Artifacts,
        rebuild: Rebuild,
        packages: Packages,
        loaded_max: int = limits.SNAPSHOTS_LOADED_MAX,
        image_bytes_max: int = limits.SNAPSHOT_IMAGES_BYTES_MAX,
        idle_bytes_max: int = limits.SNAPSHOT_IMAGES_IDLE_BYTES_MAX,
        idle_s: float = limits.SNAPSHOT_IDLE_S,
        layers: Packages | None = None,
    ) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._rebuild = rebuild
        self.package = packages
        self.layer = layers or packages
        self._loaded_max = loaded_max
        self._image_bytes_max = image_bytes_max
        self._idle_bytes_max = idle_bytes_max
        self._idle_s = idle_s
        self.image_bytes = 0  # of all that is loaded
        self.interpreters = Interpreters(engine, artifacts)
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._unwanted: set[str] = set()  # of those: nobody has asked for it since it was forgotten

    def __len__(self) -> int:
        return len(self._loaded)

    def peek(self, digest: str) -> Loaded | None:
        """The snapshot if it is loaded; it counts as used."""
        loaded = self._loaded.get(digest)
        if loaded is not None:
            self._loaded.move_to_end(digest)
            loaded.used = True
        return loaded

    async def load(self, info: SnapshotInfo) -> Loaded:
        """The snapshot, loaded. Raises what `rebuild` raises, and StorageUnavailable.

        Cancelling one who waits cancels neither the load nor the others who wait for it.
        """
        digest = info.digest
        loaded = self.peek(digest)
        if loaded is not None:
            return loaded
        self._unwanted.discard(digest)
        task = self._loading.get(digest)
        if task is None:
            task = self._loading[digest] = asyncio.ensure_future(self._load(digest))
            task.add_done_callback(lambda done: self._settle(digest, done))
        return await asyncio.shield(task)

    def forget(self, digest: str) -> None:
        """Nobody needs it any more: its function was removed or replaced."""
        loaded = self._loaded.pop(digest, None)
        if loaded is not None:
            self.image_bytes -= loaded.info.image_bytes
        if digest in self._loading:
            self._unwanted.add(digest)

    def close(self) -> None:
        """Stops watching for what nobody uses."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _load(self, digest: str) -> Loaded:
        try:
            return await self._open(digest)
        except (ArtifactMissing, ArtifactCorrupt):
            info = await self._rebuild(digest)
            return await self._open(info.digest)

    async def _open(self, digest: str) -> Loaded:
        async with opened(self._artifacts, digest) as verified:
            info = verified.info
            if info.code_digest:
                template, library = await self.interpreters.template(info, verified)
                return Loaded(template, info, library)
            return Loaded(self._engine.link(self._engine.load(verified.path)), info)

    def _settle(self, digest: str, task: asyncio.Task[Loaded]) -> None:
        del self._loading[digest]
        unwanted = digest in self._unwanted
        self._unwanted.discard(digest)
        if task.cancelled() or task.exception() is not None or unwanted:
            return
        self._loaded[digest] = loaded = task.result()
        self.image_bytes += loaded.info.image_bytes
        while len(self._loaded) > 1 and (
            len(self._loaded) > self._loaded_max or self.image_bytes > self._image_bytes_max
        ):
            self.forget(next(iter(self._loaded)))
        if self._sweep is None:
            self._watch()

    def _watch(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self._idle_s, self._swept)

    def _swept(self) -> None:
        """Drops what was not used since the last sweep, oldest first, until what is kept is small."""
        self._sweep = None
        for digest, loaded in list(self._loaded.items()):
            if self.image_bytes > self._idle_bytes_max and not loaded.used:
                self.forget(digest)
            loaded.used = False
        if self._loaded:
            self._watch()
