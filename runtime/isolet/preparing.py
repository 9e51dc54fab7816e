"""An interpreter's parts (its code, base state and library) where builders find them, made once a machine.

Laws:
- Builds that need them at once make them once, in whatever processes their keepers are; a second server of the same
  user takes those that the first one made and left in the user's cache.
- What is taken is verified where it lies and sealed anew where it goes. What is damaged is made again, and mended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from .errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from .storage.artifacts import Artifacts

# Makes the parts and binds them in the server's own artifacts.
Make = Callable[[], Awaitable[Mapping[str, str]]]

# Another process that makes them takes seconds.
_LOOK_S = 0.05


async def parts(
    artifacts: Artifacts, kept: Artifacts | None, key: bytes, make: Make, *, damaged: bool = False
) -> Mapping[str, str]:
    """The parts' digests, by "code", "base" and "library". `damaged`: what is stored was found to be, take no notice of
    it. Raises what `make` raises, and StorageUnavailable."""
    bound = None if damaged else await asyncio.to_thread(artifacts.bound, key)
    if bound is not None:
        return bound
    async with _alone(artifacts, key):
        bound = None if damaged else await asyncio.to_thread(artifacts.bound, key)
        if bound is not None:
            return bound
        if kept is None:
            return await make()
        async with _alone(kept, key):
            taken = await asyncio.to_thread(_taken, artifacts, kept, key)
            return taken or await _made(artifacts, kept, key, make)


async def _made(artifacts: Artifacts, kept: Artifacts, key: bytes, make: Make) -> Mapping[str, str]:
    digests = await make()
    with contextlib.suppress(StorageUnavailable):  # it only saves time
        await asyncio.to_thread(_leave, artifacts, kept, key, digests)
    return digests


@contextlib.asynccontextmanager
async def _alone(artifacts: Artifacts, key: bytes) -> AsyncIterator[None]:
    while True:
        with artifacts.lock(key) as held:
            if held:
                yield
                return
        await asyncio.sleep(_LOOK_S)


def _taken(artifacts: Artifacts, kept: Artifacts, key: bytes) -> Mapping[str, str] | None:
    """The parts that another server of this user left, copied."""
    digests = kept.bound(key)
    if digests is None:
        return None
    try:
        for digest in digests.values():
            _copy(kept, artifacts, digest)
    except (ArtifactMissing, ArtifactCorrupt):
        return None
    artifacts.bind(key, digests)
    return digests


def _leave(artifacts: Artifacts, kept: Artifacts, key: bytes, digests: Mapping[str, str]) -> None:
    for digest in digests.values():
        _copy(artifacts, kept, digest)
    kept.bind(key, digests)
    kept.evict(digests.values())


def _copy(source: Artifacts, target: Artifacts, digest: str) -> None:
    with source.open(digest) as verified:
        with open(verified.path, "rb") as file:
            content = file.read()
        target.write(content, verified.info)
