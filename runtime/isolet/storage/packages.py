"""Packages: the zips that users upload, as files named by their SHA-256. `function.wasm` in a function's is the module;
the others are what the function sees below /var/task. A layer's files are all below /opt, whatever they are called.

Laws:
- What is stored has been read to its end once: every entry inflates, to the size and checksum that the zip says, within
  the limits. Reading it later meets no surprises but a damaged disk.
- The directory of a zip is measured before it is parsed, and only what zipfile would parse: one end record, no zip64.
- No name of a package reaches a file system: members are read by name from the zip, never extracted.
- A file here has all of its content or is not there: temporary file, fsync, rename, fsync of the directory.

Used by the keeper (`put`, `prune`), by builders and by workers (`files`); needs no database.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import re
import stat
import struct
import time
import weakref
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .. import limits
from ..errors import InvalidParameter, ModuleInvalid, StorageUnavailable
from .files import PARTIAL, write_whole

MODULE_FILE = "function.wasm"
WASM_MAGIC = b"\0asm\x01\0\0\0"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".zip"
READ_SUFFIXES = frozenset({_SUFFIX})
# What is younger may be a write under way, or a package whose function is about to be registered.
PRUNE_AGE_S = 3_600.0
# APPNOTE 4.3.16: the end record, in the last 22 bytes and at most 65,535 bytes of comment.
_END, _END_SIGNATURE, _ZIP64_LOCATOR = struct.Struct("<4sHHHHIIH"), b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
# APPNOTE 4.3.12: 46 bytes, then name, extra fields and comment. 256 bytes of the latter two are more than tools write.
_DIRECTORY_BYTES_MAX = limits.PACKAGE_FILES_MAX * (46 + limits.PACKAGE_PATH_CHARS_MAX + 256)
# AWS's words for a zip that is none.
_NO_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


class Package(NamedTuple):
    """What a function says about its package."""

    digest: str  # SHA-256, hexadecimal: its name here
    code_sha256: str  # the same in base64: Lambda's CodeSha256
    code_bytes: int
    module_bytes: int  # 0 of source and of layers


class Packages:
    """The packages of one directory. Methods block on the disk; `put` inflates everything (call it in a thread)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened = Opened()

    def put(self, content: bytes, source: bool = False) -> Package:
        """Checks and stores a zip; `source`: of a program that an interpreter runs, which has no module.

        Raises InvalidParameter, ModuleInvalid, StorageUnavailable.
        """
        return self._put(content, check(content, source))

    def put_layer(self, content: bytes) -> Package:
        """Checks and stores a layer's zip: held to every rule, but with no module in it. Raises InvalidParameter,
        StorageUnavailable."""
        return self._put(content, check(content, source=True))

    def _put(self, content: bytes, module_bytes: int) -> Package:
        digest = hashlib.sha256(content)
        package = Package(
            digest.hexdigest(), base64.b64encode(digest.digest()).decode("ascii"), len(content), module_bytes
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self.path(package.digest), content)
        except OSError as reason:
            raise StorageUnavailable(f"the package cannot be stored: {reason.strerror}") from None
        return package

    def path(self, digest: str) -> Path:
        assert _DIGEST.fullmatch(digest), "digests come from the registry"
        return self._directory / (digest + _SUFFIX)

    def read(self, digest: str) -> bytes:
        """The zip as it was uploaded. Raises StorageUnavailable."""
        try:
            return self.path(digest).read_bytes()
        except OSError as reason:
            raise StorageUnavailable(f"the package {digest} cannot be read: {reason.strerror}; deploy again") from None

    def module(self, digest: str) -> bytes:
        """`function.wasm` of a package. Raises StorageUnavailable."""
        with _readable(digest), zipfile.ZipFile(self.path(digest)) as archive:
            return archive.read(MODULE_FILE)

    def files(self, digest: str) -> Mapping[str, bytes]:
        """The other files of a function's package by their path, each read when it is asked for."""
        return PackageFiles(self.path(digest), opened=self._opened)

    def layer(self, digest: str) -> Mapping[str, bytes]:
        """All files of a layer, in the same way."""
        return PackageFiles(self.path(digest), "", self._opened)

    def require_room(self, digest: str, layers: Sequence[str]) -> None:
        """Raises InvalidParameter, in Lambda's words, if a function of this package cannot have these layers; and
        StorageUnavailable."""
        if len(layers) > limits.LAYERS_MAX:
            raise InvalidParameter(f"Cannot reference more than {limits.LAYERS_MAX} layers.")
        beside = sum(map(self._inflated_bytes, layers))
        if beside > limits.PACKAGE_BYTES_MAX:
            raise InvalidParameter(f"Layers consume more than the available size of {limits.PACKAGE_BYTES_MAX} bytes")
        total = beside + self._inflated_bytes(digest)
        if layers and total > limits.PACKAGE_BYTES_MAX:
            raise InvalidParameter(
                "Function code combined with layers exceeds the maximum allowed size of "
                f"{limits.PACKAGE_BYTES_MAX} bytes. The actual size is {total} bytes."
            )

    def _inflated_bytes(self, digest: str) -> int:
        with _readable(digest), zipfile.ZipFile(self.path(digest)) as archive:
            return sum(member.file_size for member in archive.infolist())

    def prune(self, in_use: Collection[str], age_s: float = PRUNE_AGE_S) -> list[str]:
        """Removes packages that nobody uses, and what killed writers left, if older than that; their digests."""
        removed: list[str] = []
        if not self._directory.is_dir():
            return removed
        for entry in list(os.scandir(self._directory)):
            digest = entry.name.removesuffix(_SUFFIX)
            unused = _DIGEST.fullmatch(digest) is not None and digest not in in_use
            with contextlib.suppress(OSError):
                if (unused or entry.name.endswith(PARTIAL)) and time.time() - entry.stat().st_mtime > age_s:
                    os.unlink(entry.path)
                    removed += [digest] if unused else []
        return removed


class Opened:
    """The packages that a process holds open: the least recently used one is closed where there are too many. Or a
    tenant with a thousand functions that look at their files would have all of a worker's descriptors. Keeps none of
    them alive."""

    def __init__(self, most: int = limits.PACKAGES_OPEN_MAX) -> None:
        self._most = most
        # By identity, the least recently used first.
        self._files: OrderedDict[int, weakref.ref[PackageFiles]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def use(self, files: PackageFiles) -> None:
        key = id(files)
        if key not in self._files:
            self._files[key] = weakref.ref(files, lambda _: self._files.pop(key, None))
        self._files.move_to_end(key)
        while len(self._files) > self._most:
            _, oldest = self._files.popitem(last=False)
            if (unused := oldest()) is not None:
                unused.close()


class PackageFiles(Mapping[str, bytes]):
    """The files of a stored package but for one, `hidden`. Holds the zip open from its first use on, while it is among
    those used last (`opened`): it may be pruned meanwhile."""

    def __init__(self, path: Path, hidden: str = MODULE_FILE, opened: Opened | None = None) -> None:
        self._path = path
        self._hidden = hidden
        self._source: Path | BinaryIO = path
        self._opened = opened
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}

    def close(self) -> None:
        """Its next use opens it again."""
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    @classmethod
    def of(cls, file: BinaryIO, hidden: str = MODULE_FILE) -> PackageFiles:
        """Those of a package that is open already."""
        files = cls(Path("of this function"), hidden)
        files._source = file
        return files

    def __getitem__(self, name: str) -> bytes:
        archive = self._open()
        with _readable(self._path.stem):
            return archive.read(self._members[name])

    def __iter__(self) -> Iterator[str]:
        self._open()
        return iter(self._members)

    def __len__(self) -> int:
        self._open()
        return len(self._members)

    def _open(self) -> zipfile.ZipFile:
        if self._archive is None:
            with _readable(self._path.stem):
                self._archive = zipfile.ZipFile(self._source)
            members = (info for info in self._archive.infolist() if not info.filename.endswith("/"))
            self._members = {info.filename: info for info in members if info.filename != self._hidden}
        if self._opened is not None:
            self._opened.use(self)
        return self._archive


# What zipfile raises of bytes that are no zip, or are one no more. RuntimeError: encrypted; NotImplementedError, one of
# its children: a method that zipfile does not know.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError, OSError)


@contextlib.contextmanager
def _readable(digest: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as reason:
        raise StorageUnavailable(f"the package {digest} cannot be read ({reason}); deploy again") from None


# ── what may be uploaded ────────────────────────────────────────────────────────────────────────────────────────


def check(content: bytes, source: bool = False) -> int:
    """The size of the module in a zip that keeps every rule, 0 if it is `source`. Raises InvalidParameter,
    ModuleInvalid."""
    # What comes in a request is smaller anyway; from S3 comes as much as may be unzipped.
    if len(content) > limits.PACKAGE_BYTES_MAX:
        raise InvalidParameter(f"Unzipped size must be smaller than {limits.PACKAGE_BYTES_MAX} bytes")
    _check_directory(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(members, len(content))
            for member in members:
                _inflate(archive, member)
            return 0 if source else _check_module(archive)
    except _UNREADABLE:
        raise InvalidParameter(_NO_ZIP) from None


def _check_directory(content: bytes) -> None:
    """Bounds what zipfile is going to parse: a directory of a million entries would take it seconds."""
    at = content.rfind(_END_SIGNATURE, max(0, len(content) - _END.size - 0xFFFF))
    if at < 0 or at + _END.size > len(content):
        raise InvalidParameter(_NO_ZIP)
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(content, at)
    locator_at = max(0, at - _ZIP64_LOCATOR_BYTES)
    if content[locator_at : locator_at + 4] == _ZIP64_LOCATOR or entries == 0xFFFF:
        raise InvalidParameter("the zip is in zip64 form, which a package does not need; write it without")
    if entries > limits.PACKAGE_FILES_MAX:
        raise InvalidParameter(_too_many(entries))
    if directory_bytes > _DIRECTORY_BYTES_MAX:
        raise InvalidParameter(
            f"the zip's directory has {directory_bytes:,} bytes; at most {_DIRECTORY_BYTES_MAX:,}: use shorter names"
        )


def _too_many(entries: int) -> str:
    return f"the zip has {entries:,} entries; at most {limits.PACKAGE_FILES_MAX:,}: pack small files into one"


def _check_members(members: list[zipfile.ZipInfo], zip_bytes: int) -> None:
    if len(members) > limits.PACKAGE_FILES_MAX:
        raise InvalidParameter(_too_many(len(members)))
    for member in members:
        _check_member(member)
    total = sum(member.file_size for member in members)
    if total > limits.PACKAGE_BYTES_MAX:
        raise InvalidParameter(f"Unzipped size must be smaller than {limits.PACKAGE_BYTES_MAX} bytes; it is {total}")
    # Entries that share their compressed bytes have modest ratios each; together they do not.
    _check_ratio("the zip", total, zip_bytes)
    _check_distinct([member.filename for member in members])


def _check_member(member: zipfile.ZipInfo) -> None:
    # zipfile cuts a name at its first NUL: the name to look at is the original.
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if len(name) > limits.PACKAGE_PATH_CHARS_MAX:
        raise InvalidParameter(
            f"{name[:64]!r}… in the zip has a name of {len(name)} characters; at most {limits.PACKAGE_PATH_CHARS_MAX}"
        )
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts) or ":" in parts[0]:
        raise InvalidParameter(f"{name!r} in the zip is not a path below its top; rename or leave out the file")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a directory"
        raise InvalidParameter(f"{name!r} in the zip is {what}; put the file itself into the zip")
    if member.flag_bits & 0x1:
        raise InvalidParameter(f"{name!r} in the zip is encrypted; put it there without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidParameter(f"{name!r} in the zip is compressed by method {member.compress_type}; use deflate")
    _check_ratio(f"{name!r} in the zip", member.file_size, member.compress_size)


def _check_ratio(what: str, size: int, packed: int) -> None:
    if size > limits.PACKAGE_RATIO_FREE_BYTES and size > limits.PACKAGE_RATIO_MAX * packed:
        raise InvalidParameter(
            f"{what} inflates from {packed:,} to {size:,} bytes; at most {limits.PACKAGE_RATIO_MAX} × is taken: "
            "generate such a file in the function"
        )


def _check_distinct(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        plain = name.removesuffix("/")
        if plain in seen:
            raise InvalidParameter(f"{plain!r} is in the zip twice; leave one out")
        seen.add(plain)
    files = {name for name in names if not name.endswith("/")}
    for name in names:
        parents = name.removesuffix("/").split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if "/".join(parents[:depth]) in files:
                raise InvalidParameter(
                    f"{'/'.join(parents[:depth])!r} in the zip is a file and a directory; rename one"
                )


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Reads a member to its end: zipfile compares the checksum, and never gives more than the directory says."""
    left = member.file_size
    with archive.open(member) as file:
        while part := file.read(limits.MIB):
            left -= len(part)
    if left:
        raise InvalidParameter(_NO_ZIP)


def _check_module(archive: zipfile.ZipFile) -> int:
    if MODULE_FILE not in archive.namelist():
        raise ModuleInvalid(
            f"the zip has no {MODULE_FILE} at its top; put the compiled module there under that name, "
            "or choose a runtime that runs source (python3.11, nodejs22.x)"
        )
    size = archive.getinfo(MODULE_FILE).file_size
    if size > limits.MODULE_BYTES_MAX:
        raise ModuleInvalid(
            f"{MODULE_FILE} has {size:,} bytes; at most {limits.MODULE_BYTES_MAX:,}: strip its debug information"
        )
    with archive.open(MODULE_FILE) as file:
        magic = file.read(len(WASM_MAGIC))
    if magic != WASM_MAGIC:
        raise ModuleInvalid(
            f"{MODULE_FILE} begins with {magic.hex(' ')}: not a core WebAssembly module (00 61 73 6d 01 00 00 00); "
            "components and text are not taken"
        )
    return size
