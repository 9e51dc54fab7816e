"""What all programs of one interpreter share in a worker: its code, its base state, its library.

Laws:
- Each is loaded once, however many programs wait for it, and stays: there are as many as interpreters are in use.
- A failure is not kept.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..engine.engine import Code, Engine, Module, Template
from ..model import SnapshotInfo
from ..storage.artifacts import Artifacts, Verified
from .boot import INITIALISERS, NO_BASE, code_of, content_of
from .library import Library
from .state import Base, unpacked

# Decompressed between two looks at the loop: 128 KiB become half a megabyte, in about a millisecond.
_STEP_BYTES = 128 * 1024

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Shared:
    """An interpreter, loaded."""

    code: Code
    base: Base
    library: Mapping[str, bytes]


class Interpreters:
    """The loaded interpreters of one worker. For the event loop's thread."""

    def __init__(self, engine: Engine, artifacts: Artifacts) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._shared: dict[_Key, Shared] = {}
        self._loading: dict[_Key, asyncio.Task[Shared]] = {}

    def __len__(self) -> int:
        return len(self._shared)

    async def template(self, info: SnapshotInfo, verified: Verified) -> tuple[Template, Mapping[str, bytes]]:
        """What isolates of a program are born from, and its library. `verified` is the open artifact of its state.

        Raises ArtifactMissing, ArtifactCorrupt if a part of the interpreter is.
        """
        stored = await decompressed(verified.path)
        shared = await self.shared(info)
        # On a thread, which lets go of the interpreter's lock while it compiles: 10 ms for a program in Python.
        module = await asyncio.to_thread(self._compiled, stored, shared.base)
        return self._engine.link_state(module, shared.code, INITIALISERS), shared.library

    def _compiled(self, stored: bytes, base: Base) -> Module:
        return self._engine.compile(unpacked(stored, base).module)

    async def shared(self, info: SnapshotInfo) -> Shared:
        key = (info.code_digest, info.base_digest, info.library_digest)
        shared = self._shared.get(key)
        if shared is not None:
            return shared
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.ensure_future(self._load(*key))
            task.add_done_callback(lambda done: self._settle(key, done))
        return await asyncio.shield(task)

    def _settle(self, key: _Key, task: asyncio.Task[Shared]) -> None:
        del self._loading[key]
        if not task.cancelled() and task.exception() is None:
            self._shared[key] = task.result()

    async def _load(self, code_digest: str, base_digest: str, library_digest: str) -> Shared:
        async with opened(self._artifacts, base_digest) as verified:
            state = unpacked(await decompressed(verified.path), NO_BASE)
        async with opened(self._artifacts, code_digest) as verified:
            code = code_of(self._engine, verified.path, state.layout)
        library: Mapping[str, bytes] = {}
        if library_digest:
            async with opened(self._artifacts, library_digest) as verified:
                library = Library(verified.path)
        return Shared(code, Base(base_digest, state.memory), library)


class opened:
    """An artifact, verified in steps of the loop, and open: `async with opened(artifacts, digest) as verified`."""

    def __init__(self, artifacts: Artifacts, digest: str) -> None:
        self._steps = artifacts.steps(digest)

    async def __aenter__(self) -> Verified:
        try:
            verified = next(self._steps)
            while verified is None:
                await asyncio.sleep(0)
                verified = next(self._steps)
        except BaseException:
            self._steps.close()
            raise
        return verified

    async def __aexit__(self, *_: object) -> None:
        self._steps.close()


async def decompressed(path: str) -> bytes:
    """The content of a stored state, in steps of the loop."""
    stored, expand, parts = memoryview(content_of(path)), zlib.decompressobj(), []
    for at in range(0, len(stored), _STEP_BYTES):
        parts.append(expand.decompress(stored[at : at + _STEP_BYTES]))
        await asyncio.sleep(0)
    return b"".join((*parts, expand.flush()))
