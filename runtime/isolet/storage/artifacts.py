"""Snapshots on disk: machine code that is run with the server's rights, states of memory, an interpreter's library; all
of it trusted by MAC only.

An artifact is two files: `<digest>.cwasm`, the content, and `<digest>.seal`: the MAC, then what the MAC covers: digest,
owner, engine fingerprint and SnapshotInfo. `digest` is the SHA-256 of owner and content.

Laws:
- Nothing of an artifact is used before its seal and its content verify: of 200 random single-bit flips in a compiled
  module, wasmtime accepted 173 and crashed on 2. The bytes that were hashed are the file that is loaded: one open
  descriptor.
- A file has all of its content or is not there: written under another name, synced, renamed, the directory synced. The
  seal comes last, so that its presence says that both are whole.
- An artifact has one owner, a tenant, or none: interpreters' parts, which hold nothing of a tenant's. Equal content of
  two tenants is two artifacts under two digests, so that neither file, memory nor the time that loading takes tells one
  what the other has.
- Names are digests, nothing else: no name reaches the file system that is not 64 hexadecimal digits.
- Content that is there stays the file that it is, whoever writes it again: processes that load it before and after have
  one copy of its pages between them.
- Any number of processes may write, read and evict at once: whoever meets a file that has gone takes it as missing.
- What does not verify is set aside as `<name>.corrupt`, for a person to look at, and counts as missing from then on.

An artifact made for another engine (version, settings, CPU) is missing, too: not wrong, but of no use here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import msgpack

from .. import limits
from ..errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from ..model import SnapshotInfo
from ..plain import snapshot_from_plain, snapshot_to_plain
from .files import PARTIAL, create, sync_directory, write_whole

KEY_BYTES: Final = 32
_MAC_BYTES: Final = 32
_MAC_DOMAIN: Final = b"isolet artifact 1\0"
# A seal holds a few strings; its warnings are bounded where they are made.
_SEAL_BYTES_MAX: Final = 256 * limits.KIB
# Whether open files have names here. Found out once: a worker looks at no file system once it serves.
_BY_DESCRIPTOR: Final = os.path.isdir("/proc/self/fd")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CONTENT, _SEAL, _CORRUPT, _BINDING = ".cwasm", ".seal", ".corrupt", ".bound"
# What reading an artifact opens.
READ_SUFFIXES: Final = frozenset({_CONTENT, _SEAL})
_BINDING_DOMAIN: Final = b"isolet binding 1\0"
# A write takes seconds: a partial file that is older has no writer any more.
_PARTIAL_S_MAX: Final = 3600.0
# What `steps` hashes at a time.
_STEP_BYTES: Final = 256 * limits.KIB
_CORRUPT_S_MAX: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Verified:
    """An artifact that may be loaded from `path` while it is open."""

    path: str
    info: SnapshotInfo


class Incoming(NamedTuple):
    """A new file: its place until it is adopted, and a descriptor to write it through."""

    path: Path
    descriptor: int


class _Stored(NamedTuple):
    used_s: float
    digest: str
    size: int


class Artifacts:
    """The artifacts of one directory, for one engine. Methods may block on the disk and be called from any thread."""

    def __init__(
        self, directory: Path, key: bytes, fingerprint: bytes, bytes_max: int = limits.ARTIFACTS_BYTES_MAX
    ) -> None:
        assert len(key) == KEY_BYTES, "a key is read_key's"
        self._directory = directory
        self._key = key
        self._fingerprint = fingerprint
        self._bytes_max = bytes_max

    def write(self, content: bytes, info: SnapshotInfo, owner: str = "") -> SnapshotInfo:
        """Stores an artifact; answers `info` with its digest and size. StorageUnavailable leaves nothing behind."""
        with self.incoming() as incoming:
            try:
                with open(incoming.descriptor, "wb", closefd=False) as file:
                    file.write(content)
            except OSError as error:
                raise StorageUnavailable(f"an artifact cannot be stored: {error.strerror}") from None
            return self.adopt(incoming.path, info, owner)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A file for somebody to write who must not have the key, and `adopt`. It is gone afterwards, if it was not
        adopted. StorageUnavailable."""
        path = self._directory / f"{secrets.token_hex(16)}{PARTIAL}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageUnavailable(f"an artifact cannot be stored: {error.strerror}") from None
        try:
            yield Incoming(path, descriptor)
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def adopt(self, path: Path, info: SnapshotInfo, owner: str = "") -> SnapshotInfo:
        """Makes an incoming file an artifact; nobody may write to it any more. It stays where it is if its content is
        stored already. What `info` says of digest and size does not count. StorageUnavailable leaves nothing behind."""
        digest = hashlib.sha256(_of_owner(owner))
        size = 0
        content = seal = path
        was_there = False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                while part := os.read(descriptor, _STEP_BYTES):
                    digest.update(part)
                    size += len(part)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sealed = replace(info, digest=digest.hexdigest(), artifact_bytes=size)
            said = {"digest": sealed.digest, "owner": owner, "fingerprint": self._fingerprint}
            body: bytes = msgpack.packb({**said, "info": snapshot_to_plain(sealed)})
            content, seal = (self._directory / (sealed.digest + suffix) for suffix in (_CONTENT, _SEAL))
            was_there = self._verifies(sealed.digest)
            if not was_there:
                path.replace(content)
                sync_directory(self._directory)
            write_whole(seal, self._mac(body) + body)
        except OSError as error:
            if not was_there:
                seal.unlink(missing_ok=True)
                content.unlink(missing_ok=True)
            raise StorageUnavailable(f"an artifact cannot be stored: {error.strerror}") from None
        return sealed

    def _verifies(self, digest: str) -> bool:
        """Whether this artifact is there already. Sets aside what is corrupt."""
        try:
            with self.open(digest):
                return True
        except (ArtifactMissing, ArtifactCorrupt):
            return False

    def readable(self, digest: str) -> int:
        """A descriptor of the content of an artifact whose seal verifies. Whoever reads it compares it with `digest`.
        Raises ArtifactMissing, ArtifactCorrupt, StorageUnavailable."""
        self._require_digest(digest)
        self._unseal(digest)
        with self._open(self._directory / (digest + _CONTENT)) as descriptor:
            return os.dup(descriptor)

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[Verified]:
        """The artifact, verified. ArtifactMissing: make it again. ArtifactCorrupt: the same, and it was set aside."""
        steps = self.steps(digest)
        try:
            for verified in steps:
                if verified is not None:
                    yield verified
        finally:
            steps.close()

    def steps(self, digest: str) -> Generator[Verified | None, None, None]:
        """`open` in steps of at most a third of a millisecond, for an event loop: None after each, then what it opens,
        until the generator goes on or is closed.

        Not in a thread: one that needs the interpreter's lock now and then may wait for seconds beside a loop that is
        busy, gives the lock back for microseconds at a time, and has it again before the thread is awake.
        """
        self._require_digest(digest)
        owner, info = self._unseal(digest)
        content = self._directory / (digest + _CONTENT)
        with self._open(content) as descriptor:
            hashed = hashlib.sha256(_of_owner(owner))
            while part := os.read(descriptor, _STEP_BYTES):
                hashed.update(part)
                yield None
            if not hmac.compare_digest(hashed.hexdigest(), digest):
                raise ArtifactCorrupt(
                    f"the content of artifact {digest} hashes to {hashed.hexdigest()}{self._set_aside(content)}"
                )
            with contextlib.suppress(OSError):
                os.utime(descriptor)  # the instant of its last use, for `evict`
            # The descriptor's own file, whatever has become of its name meanwhile.
            yield Verified(f"/proc/self/fd/{descriptor}" if _BY_DESCRIPTOR else str(content), info)

    def info(self, digest: str) -> SnapshotInfo | None:
        """What is stored about an artifact, None if it is missing or does not verify. The content is not read."""
        self._require_digest(digest)
        try:
            return self._unseal(digest)[1]
        except (ArtifactMissing, ArtifactCorrupt):
            return None

    def bind(self, key: bytes, digests: Mapping[str, str]) -> None:
        """Notes which artifacts were made of `key`, for whoever would make them again. StorageUnavailable."""
        body: bytes = msgpack.packb({"key": key, "fingerprint": self._fingerprint, "digests": dict(digests)})
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._binding(key), hmac.digest(self._key, _BINDING_DOMAIN + body, "sha256") + body)
        except OSError as error:
            raise StorageUnavailable(f"a binding cannot be stored: {error.strerror}") from None

    def bound(self, key: bytes) -> Mapping[str, str] | None:
        """What was bound to `key` for this engine, if all of it is still stored."""
        try:
            with open(self._binding(key), "rb") as file:
                sealed = file.read(_SEAL_BYTES_MAX)
        except OSError:
            return None
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, _BINDING_DOMAIN + body, "sha256")):
            return None
        said = msgpack.unpackb(body)
        if said["key"] != key or said["fingerprint"] != self._fingerprint:
            return None
        digests: dict[str, str] = said["digests"]
        return digests if all(self.info(digest) is not None for digest in digests.values()) else None

    @contextlib.contextmanager
    def lock(self, key: bytes) -> Iterator[bool]:
        """Held (True) by the one process that makes what is bound to `key`; False: another one does. For processes of
        one machine."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._binding(key).with_suffix(".lock")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageUnavailable(f"{self._directory} cannot be used: {error.strerror}") from None
        try:
            held = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            yield held
        finally:
            os.close(descriptor)

    def _binding(self, key: bytes) -> Path:
        return self._directory / (hashlib.sha256(key).hexdigest() + _BINDING)

    def evict(self, in_use: Collection[str] = ()) -> list[str]:
        """Removes the least recently used artifacts until the rest fits; their digests. Never one of `in_use`.

        Removes also what was set aside, and what a killed writer left.
        """
        try:
            stored = self._sweep()
            excess = sum(artifact.size for artifact in stored) - self._bytes_max
            evicted = []
            for artifact in sorted(stored):
                if excess <= 0:
                    break
                if artifact.digest not in in_use:
                    self._remove(artifact.digest)
                    excess -= artifact.size
                    evicted.append(artifact.digest)
            return evicted
        except OSError as error:
            raise StorageUnavailable(f"artifacts cannot be evicted: {error.strerror}") from None

    # ── seals ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _MAC_DOMAIN + body, "sha256")

    def _unseal(self, digest: str) -> tuple[str, SnapshotInfo]:
        """(owner, info)."""
        path = self._directory / (digest + _SEAL)
        with self._open(path) as descriptor:
            sealed = os.read(descriptor, _SEAL_BYTES_MAX)
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ArtifactCorrupt(f"the seal of artifact {digest} does not verify{self._set_aside(path)}")
        said = msgpack.unpackb(body)  # ours: the MAC says so
        if said["digest"] != digest:
            raise ArtifactCorrupt(f"the seal of artifact {digest} belongs to {said['digest']}{self._set_aside(path)}")
        if said["fingerprint"] != self._fingerprint:
            raise ArtifactMissing(f"artifact {digest} was made for another engine")
        return said.get("owner", ""), snapshot_from_plain(said["info"])

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _require_digest(self, digest: str) -> None:
        if not _DIGEST.fullmatch(digest):
            raise ArtifactMissing(f"{digest!r} is not a digest")

    @contextlib.contextmanager
    def _open(self, path: Path) -> Iterator[int]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise ArtifactMissing(f"artifact {path.stem} is not stored") from None
        except OSError as error:
            raise StorageUnavailable(f"artifact {path.stem} cannot be read: {error.strerror}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _set_aside(self, path: Path) -> str:
        """How a message goes on. A worker may not: whoever makes the artifact again does it then (`adopt`)."""
        try:
            path.replace(path.with_name(path.name + _CORRUPT))
        except OSError:
            return ""
        return "; it was set aside"

    def _remove(self, digest: str) -> None:
        for suffix in (_SEAL, _CONTENT):  # the seal first: without it, the content is not there
            (self._directory / (digest + suffix)).unlink(missing_ok=True)

    def _sweep(self) -> list[_Stored]:
        """Every artifact. Removes what has become old and is none."""
        stored: list[_Stored] = []
        others: list[tuple[os.DirEntry[str], float]] = []
        if not self._directory.is_dir():
            return stored
        for entry in os.scandir(self._directory):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            digest, _, suffix = entry.name.partition(".")
            if "." + suffix == _CONTENT and _DIGEST.fullmatch(digest):
                stored.append(_Stored(status.st_mtime, digest, status.st_size))
            else:
                others.append((entry, time.time() - status.st_mtime))
        digests = {artifact.digest for artifact in stored}
        for entry, age_s in others:
            whole = entry.name.endswith((_BINDING, ".lock"))
            whole = whole or (entry.name.endswith(_SEAL) and entry.name.removesuffix(_SEAL) in digests)
            if not whole and age_s > (_CORRUPT_S_MAX if entry.name.endswith(_CORRUPT) else _PARTIAL_S_MAX):
                Path(entry.path).unlink(missing_ok=True)
        return stored


def _of_owner(owner: str) -> bytes:
    """What is hashed before the content. No name of a tenant has a NUL: no two owners and contents give one input."""
    return owner.encode() + b"\0" if owner else b""


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_key(path: Path, cure: str = "delete it, artifacts are then built again") -> bytes:
    """The key in `path`; made there if there is none. Processes that call it at once all get one key.

    Raises StorageUnavailable if the file cannot be used, or others than its owner can read it.
    """
    try:
        if not path.exists():
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode & 0o777
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise StorageUnavailable(f"the key {path} cannot be used: {error.strerror}") from None
    if mode & 0o077:
        raise StorageUnavailable(f"the key {path} has mode {mode:o}: others can read it; chmod 600 it, or delete it")
    if len(key) != KEY_BYTES:
        raise StorageUnavailable(f"the key {path} has not {KEY_BYTES} bytes; {cure}")
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    try:
        create(partial, secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):  # a link never replaces: the first key stays
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)
