"""What is in the file system that a guest sees: volumes, directories, files, and what of them is counted.

Laws:
- Nodes and bytes are counted on their volume from creation until they are neither linked nor open.
- Nothing of a read-only volume ever changes, so that all isolates of a function version share one tree of the package,
  and all versions with the same layers one tree of these.
- The order of a directory is that of insertion; each entry has a serial number that never comes again, which is its
  cookie.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from time import time_ns

from .. import limits
from . import errno
from .content import Content, FixedContent, SparseContent
from .errno import Refused

# Device numbers, by which `stat` tells one volume from another.
TASK_DEVICE, TMP_DEVICE, OPT_DEVICE = 1, 2, 3

# A package's files by their path, `a/b.txt`. It may read them only when asked.
Package = Mapping[str, bytes | memoryview]


class Volume:
    """Where nodes live: its quota and what is used of it."""

    __slots__ = ("bytes_max", "bytes_used", "device", "inodes", "nodes_max", "nodes_used", "read_only")

    def __init__(self, device: int, read_only: bool, bytes_max: int = 0, nodes_max: int = 0) -> None:
        self.device = device
        self.read_only = read_only
        self.bytes_max = bytes_max
        self.nodes_max = nodes_max
        self.bytes_used = 0
        self.nodes_used = 0
        self.inodes = 0  # given out so far; 0 means "unknown" to wasi-libc and is never one


class Node:
    """What files and directories have in common. Times are Unix nanoseconds; reading does not touch `atime_ns`."""

    __slots__ = ("atime_ns", "ctime_ns", "inode", "linked", "mtime_ns", "opens", "volume")

    def __init__(self, volume: Volume, now_ns: int) -> None:
        self.volume = volume
        volume.inodes += 1
        self.inode = volume.inodes
        self.linked = True
        self.opens = 0  # descriptors
        self.atime_ns = self.mtime_ns = self.ctime_ns = now_ns

    def changed(self) -> None:
        self.mtime_ns = self.ctime_ns = time_ns()


class File(Node):
    """A file of /tmp."""

    __slots__ = ("content",)

    def __init__(self, volume: Volume, now_ns: int) -> None:
        super().__init__(volume, now_ns)
        self.content = SparseContent()

    @property
    def size(self) -> int:
        return self.content.size

    def open_content(self) -> Content:
        return self.content

    def resize(self, size: int) -> None:
        """Raises NOSPC beyond the quota."""
        growth = size - self.content.size
        if growth > self.room:
            raise Refused(errno.NOSPC)
        self.volume.bytes_used += growth
        self.content.resize(size)
        self.changed()

    def write(self, offset: int, data: bytes) -> int:
        """Writes what fits in the quota; the number of bytes written. NOSPC if that would be none."""
        beyond = offset + len(data) - self.content.size - self.room
        if beyond > 0 and data:
            if beyond >= len(data):
                raise Refused(errno.NOSPC)
            data = data[:-beyond]
        before = self.content.size
        self.content.write(offset, data)
        self.volume.bytes_used += self.content.size - before
        self.changed()
        return len(data)

    @property
    def room(self) -> int:
        """Bytes by which any file of the volume may grow."""
        return self.volume.bytes_max - self.volume.bytes_used


class PackageFile(Node):
    """A file of the package or of a layer. Its bytes are asked for when it is opened; descriptors hold them, the tree
    does not.

    Whoever opens a file that is open already shares its bytes: a guest that opens one a thousand times holds it once.
    """

    __slots__ = ("_content", "_key", "_package", "_size")

    def __init__(self, volume: Volume, package: Package, key: str) -> None:
        super().__init__(volume, 0)  # no times: the Unix epoch, which HTTP libraries take for "unknown"
        self._package = package
        self._key = key
        self._size = -1
        self._content: weakref.ref[FixedContent] | None = None

    def is_of(self, package: Package) -> bool:
        return self._package is package

    @property
    def size(self) -> int:
        if self._size < 0:
            self._size = self.open_content().size
        return self._size

    def open_content(self) -> Content:
        shared = self._content() if self._content is not None else None
        if shared is not None:
            return shared
        try:
            content = FixedContent(self._package[self._key])
        except (OSError, KeyError):
            raise Refused(errno.IO) from None
        self._content = weakref.ref(content)
        return content


class Directory(Node):
    """Entries in the order of insertion: name → (serial, node). A root is its own parent.

    The way up is weak: with a cycle in it, the files of an isolate would outlive it until the garbage collector came.
    """

    __slots__ = ("__weakref__", "_parent", "entries", "serials")

    # What `filestat` says; a directory's own bytes are not counted.
    size = 0

    def __init__(self, volume: Volume, now_ns: int) -> None:
        super().__init__(volume, now_ns)
        self._parent: weakref.ref[Directory] | None = None
        self.entries: dict[bytes, tuple[int, AnyNode]] = {}
        self.serials = 0

    @property
    def parent(self) -> Directory:
        above = self._parent() if self._parent is not None else None
        return self if above is None else above

    def find(self, name: bytes) -> AnyNode | None:
        entry = self.entries.get(name)
        return None if entry is None else entry[1]

    def insert(self, name: bytes, node: AnyNode) -> None:
        self.serials += 1
        self.entries[name] = (self.serials, node)
        if isinstance(node, Directory):
            node._parent = weakref.ref(self)

    def remove(self, name: bytes) -> None:
        del self.entries[name]
        self.changed()

    def is_within(self, other: Directory) -> bool:
        """Whether `other` is this directory or above it."""
        above = self
        while above is not other:
            if above.parent is above:
                return False
            above = above.parent
        return True


AnyFile = File | PackageFile
AnyNode = File | PackageFile | Directory


def make_tmp(bytes_max: int) -> Directory:
    """An empty /tmp with room for `bytes_max` bytes."""
    return Directory(Volume(TMP_DEVICE, False, bytes_max, limits.FILES_MAX), time_ns())


def paths(directory: Directory, prefix: str = "") -> Iterable[str]:
    """Every path below `directory`, for messages."""
    for name, (_, node) in directory.entries.items():
        path = f"{prefix}/{name.decode('utf-8', 'replace')}"
        yield path
        if isinstance(node, Directory):
            yield from paths(node, path)


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────


def retain(node: AnyNode) -> None:
    """A descriptor refers to `node`. Not for those of packages: they are shared, and nothing frees them."""
    if not node.volume.read_only:
        node.opens += 1


def release(node: AnyNode) -> None:
    if not node.volume.read_only:
        node.opens -= 1
        _free(node)


def unlinked(node: AnyNode) -> None:
    node.linked = False
    node.ctime_ns = time_ns()
    _free(node)


def _free(node: AnyNode) -> None:
    if node.linked or node.opens:
        return
    node.volume.nodes_used -= 1
    if isinstance(node, File):
        node.volume.bytes_used -= node.content.size
        node.content = SparseContent()
