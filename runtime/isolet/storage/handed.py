"""Artifacts as a builder's process has them: descriptors that it was handed, and no key.

Laws:
- What it reads is what its keeper named: content that does not hash to its digest is ArtifactCorrupt.
- What it writes are the bytes of a file that its keeper made; the keeper hashes them again, seals them, names them. A
  process that a tenant's module has taken over can spoil that tenant's own artifact, and no other.

The same methods as Artifacts, as far as snapshot/boot.py uses them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .. import limits
from ..errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from ..model import SnapshotInfo
from .artifacts import Verified

_STEP_BYTES = 1 * limits.MIB
_NOTHING = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


class Handed:
    """`given`: descriptors to read, by the digest of an artifact without an owner; `outlets`: to write, one for each
    `write`, in order."""

    def __init__(self, given: Mapping[str, int], outlets: Sequence[int]) -> None:
        self._given = dict(given)
        self._outlets = list(outlets)
        self.written: list[str] = []
        self.bindings: dict[str, str] = {}

    def write(self, content: bytes, info: SnapshotInfo) -> SnapshotInfo:
        """Raises StorageUnavailable."""
        outlet = self._outlets[len(self.written)]
        try:
            with open(outlet, "wb", closefd=False) as file:
                file.write(content)
        except OSError as error:
            raise StorageUnavailable(f"an artifact cannot be stored: {error.strerror}") from None
        digest = hashlib.sha256(content).hexdigest()
        self._given[digest] = outlet
        self.written.append(digest)
        return replace(info, digest=digest, artifact_bytes=len(content))

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[Verified]:
        """Needs /proc. Raises ArtifactMissing, ArtifactCorrupt."""
        descriptor = self._given.get(digest)
        if descriptor is None:
            raise ArtifactMissing(f"artifact {digest} was not handed over")
        hashed, at = hashlib.sha256(), 0
        while part := os.pread(descriptor, _STEP_BYTES, at):
            hashed.update(part)
            at += len(part)
        if hashed.hexdigest() != digest:
            raise ArtifactCorrupt(f"the content of artifact {digest} hashes to {hashed.hexdigest()}")
        yield Verified(f"/proc/self/fd/{descriptor}", _NOTHING)

    def bound(self, key: bytes) -> Mapping[str, str] | None:
        """Nothing: whoever is to make parts is handed none."""
        return None

    def bind(self, key: bytes, digests: Mapping[str, str]) -> None:
        self.bindings = dict(digests)
