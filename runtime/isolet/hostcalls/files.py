"""The file system that a guest sees: directories and files in memory, on two volumes. Pure: no guest, no descriptor.

Laws:
- A path is resolved from a directory and never leaves it: absolute paths and `..` above it are PERM. There are no
  links, so that a path names at most one node and a node has at most one path.
- Nodes and bytes are counted on their volume from creation until they are neither linked nor open.
- Nothing of a read-only volume ever changes, so that all isolates of a function version share one tree of the package.
- The order of a directory is that of insertion; each entry has a serial number that never comes again, which is its
  cookie.

Names are bytes, valid UTF-8 without NUL; what else is in them (newlines, ESC) is the guest's business. Behaviour
follows Linux where WASI leaves it open; a model test compares the two.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import NamedTuple

from .. import limits
from . import errno
from .content import Content, FixedContent, SparseContent
from .errno import Refused

# A package's files by their path, `a/b.txt`. It may read them only when asked.
Package = Mapping[str, bytes | memoryview]

_DOTS = (b".", b"..")


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
    """A file of the package. Its bytes are asked for when it is opened; descriptors hold them, the tree does not.

    Whoever opens a file that is open already shares its bytes: a guest that opens one a thousand times holds it once.
    """

    __slots__ = ("_content", "_key", "_package", "_size")

    def __init__(self, volume: Volume, package: Package, key: str) -> None:
        super().__init__(volume, 0)  # no times: the Unix epoch, which HTTP libraries take for "unknown"
        self._package = package
        self._key = key
        self._size = -1
        self._content: weakref.ref[FixedContent] | None = None

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
    return Directory(Volume(2, False, bytes_max, limits.FILES_MAX), time_ns())


def make_task(package: Package) -> Directory:
    """The tree of a package's files, `a/b.txt` by `a/b.txt`. Nothing is read yet.

    Whoever stored the package has checked its names; one that cannot be a path here is left out.
    """
    volume = Volume(1, True)
    root = Directory(volume, 0)
    for key in sorted(package):
        parts = key.encode("utf-8", "surrogateescape").split(b"/")
        if any(not _is_name(part) for part in parts):
            continue
        directory: AnyNode | None = root
        for part in parts[:-1]:
            assert isinstance(directory, Directory), "loops end at the first file"
            if directory.find(part) is None:
                directory.insert(part, Directory(volume, 0))
            directory = directory.find(part)
            if not isinstance(directory, Directory):
                break
        if isinstance(directory, Directory) and directory.find(parts[-1]) is None:
            directory.insert(parts[-1], PackageFile(volume, package, key))
    return root


# ── paths ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Place(NamedTuple):
    """Where a path leads: an entry of a directory, whether it is there or not."""

    directory: Directory
    name: bytes  # "." or "..": the node itself was reached, `directory` is of no use
    node: AnyNode | None
    slash: bool  # the path ended in "/": only a directory will do


def check_path(path: bytes) -> bytes:
    """`path`, if it is one at all. Raises INVAL, ILSEQ, NAMETOOLONG or NOENT."""
    if b"\0" in path:
        raise Refused(errno.INVAL)
    if not path:
        raise Refused(errno.NOENT)
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(errno.ILSEQ) from None
    return path


def _is_name(part: bytes) -> bool:
    try:
        return bool(check_path(part)) and part not in _DOTS and len(part) <= limits.FILE_NAME_BYTES_MAX
    except Refused:
        return False


def locate(base: Directory, path: bytes) -> Place:
    """Where `path` leads from `base`. Every step but the last must exist and be a directory.

    Raises PERM (leads out of `base`), NOENT, NOTDIR (also for `file/`), NAMETOOLONG.
    """
    place = _walk(base, path)
    if place.slash and place.node is not None and not isinstance(place.node, Directory):
        raise Refused(errno.NOTDIR)
    return place


def _walk(base: Directory, path: bytes) -> Place:
    if path.startswith(b"/"):
        raise Refused(errno.PERM)
    parts = [part for part in path.split(b"/") if part]
    walked = [base]
    for part in parts[:-1]:
        _step(walked, part)
    last = parts[-1]
    if last in _DOTS:
        _step(walked, last)
        return Place(walked[-1], last, walked[-1], True)
    if len(last) > limits.FILE_NAME_BYTES_MAX:
        raise Refused(errno.NAMETOOLONG)
    return Place(walked[-1], last, walked[-1].find(last), path.endswith(b"/"))


def _step(walked: list[Directory], part: bytes) -> None:
    if part == b".":
        return
    if part == b"..":
        if len(walked) == 1:
            raise Refused(errno.PERM)
        walked.pop()
        return
    if len(part) > limits.FILE_NAME_BYTES_MAX:
        raise Refused(errno.NAMETOOLONG)
    node = walked[-1].find(part)
    if node is None:
        raise Refused(errno.NOENT)
    if not isinstance(node, Directory):
        raise Refused(errno.NOTDIR)
    walked.append(node)


def find(base: Directory, path: bytes) -> AnyNode:
    node = locate(base, path).node
    if node is None:
        raise Refused(errno.NOENT)
    return node


# ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────


def open_node(
    base: Directory, path: bytes, *, create: bool, exclusive: bool, truncate: bool, directory: bool, writing: bool
) -> AnyNode:
    """The node that an open means, created or truncated as asked. The caller counts it with `retain`."""
    if create and directory:
        raise Refused(errno.INVAL)
    place = _walk(base, path)
    node = place.node
    if create and place.slash and place.name not in _DOTS:
        raise Refused(errno.ISDIR)
    if node is None:
        if not create:
            raise Refused(errno.NOENT)
        made = File(*_new(place))
        place.directory.insert(place.name, made)
        return made
    if create and exclusive:
        raise Refused(errno.EXIST)
    if isinstance(node, Directory):
        if create or truncate or writing:
            raise Refused(errno.ISDIR)
        return node
    if directory or place.slash:
        raise Refused(errno.NOTDIR)
    if isinstance(node, PackageFile):
        if writing or truncate:
            raise Refused(errno.ROFS)
    elif truncate:
        node.resize(0)
    return node


def make_directory(base: Directory, path: bytes) -> None:
    place = _walk(base, path)
    if place.node is not None:
        raise Refused(errno.EXIST)
    place.directory.insert(place.name, Directory(*_new(place)))


def _new(place: Place) -> tuple[Volume, int]:
    """Counts a new node at `place`: its volume and the time."""
    volume = place.directory.volume
    if volume.read_only:
        raise Refused(errno.ROFS)
    if not place.directory.linked:
        raise Refused(errno.NOENT)
    if volume.nodes_used >= volume.nodes_max:
        raise Refused(errno.NOSPC)
    volume.nodes_used += 1
    place.directory.changed()
    return volume, place.directory.mtime_ns


def unlink(base: Directory, path: bytes) -> None:
    place = locate(base, path)
    if place.node is None:
        raise Refused(errno.NOENT)
    if isinstance(place.node, Directory):
        raise Refused(errno.ISDIR)
    _writable(place)
    place.directory.remove(place.name)
    _unlinked(place.node)


def remove_directory(base: Directory, path: bytes) -> None:
    place = locate(base, path)
    if place.name == b".":
        raise Refused(errno.INVAL)
    if place.name == b"..":
        raise Refused(errno.NOTEMPTY)
    if place.node is None:
        raise Refused(errno.NOENT)
    if not isinstance(place.node, Directory):
        raise Refused(errno.NOTDIR)
    _writable(place)
    if place.node.entries:
        raise Refused(errno.NOTEMPTY)
    place.directory.remove(place.name)
    _unlinked(place.node)


def rename(old_base: Directory, old_path: bytes, new_base: Directory, new_path: bytes) -> None:
    """Moves an entry, over what the new name had. Nothing changes if it raises."""
    old, new = locate(old_base, old_path), locate(new_base, new_path)
    if old.directory.volume is not new.directory.volume:
        raise Refused(errno.XDEV)
    if old.name in _DOTS or new.name in _DOTS:
        raise Refused(errno.BUSY)
    _writable(old)
    moved, target = old.node, new.node
    if moved is None:
        raise Refused(errno.NOENT)
    if isinstance(moved, Directory):
        if new.directory.is_within(moved):
            raise Refused(errno.INVAL)
        if target is moved:
            return
        if target is not None and not isinstance(target, Directory):
            raise Refused(errno.NOTDIR)
        if isinstance(target, Directory) and target.entries:
            raise Refused(errno.NOTEMPTY)
    else:
        if new.slash:
            raise Refused(errno.NOTDIR)
        if isinstance(target, Directory):
            raise Refused(errno.NOTEMPTY if old.directory.is_within(target) else errno.ISDIR)
        if target is moved:
            return
    if not new.directory.linked:
        raise Refused(errno.NOENT)
    if target is not None:
        new.directory.remove(new.name)
        _unlinked(target)
    old.directory.remove(old.name)
    new.directory.insert(new.name, moved)
    new.directory.changed()
    moved.ctime_ns = new.directory.ctime_ns


def _writable(place: Place) -> None:
    if place.directory.volume.read_only:
        raise Refused(errno.ROFS)


def set_times(node: AnyNode, atime_ns: int | None, mtime_ns: int | None) -> None:
    """Sets what is not None."""
    if node.volume.read_only:
        raise Refused(errno.ROFS)
    if atime_ns is not None:
        node.atime_ns = atime_ns
    if mtime_ns is not None:
        node.mtime_ns = mtime_ns
    node.ctime_ns = time_ns()


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────


def retain(node: AnyNode) -> None:
    """A descriptor refers to `node`. Not for the package's nodes: they are shared, and nothing frees them."""
    if not node.volume.read_only:
        node.opens += 1


def release(node: AnyNode) -> None:
    if not node.volume.read_only:
        node.opens -= 1
        _free(node)


def _unlinked(node: AnyNode) -> None:
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


def paths(directory: Directory, prefix: str = "") -> Iterable[str]:
    """Every path below `directory`, for messages."""
    for name, (_, node) in directory.entries.items():
        path = f"{prefix}/{name.decode('utf-8', 'replace')}"
        yield path
        if isinstance(node, Directory):
            yield from paths(node, path)
