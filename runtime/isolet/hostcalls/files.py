"""Paths and what is done with them, in the file system that a guest sees. Pure: no guest, no descriptor.

Laws:
- A path is resolved from a directory and never leaves it: absolute paths and `..` above it are PERM. There are no
  links, so that a path names at most one node and a node has at most one path.
- An operation that raises has changed nothing.

Names are bytes, valid UTF-8 without NUL; what else is in them (newlines, ESC) is the guest's business. Behaviour
follows Linux where WASI leaves it open; a model test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import time_ns
from typing import NamedTuple

from .. import limits
from . import errno
from .errno import Refused
from .nodes import OPT_DEVICE, TASK_DEVICE, AnyNode, Directory, File, Package, PackageFile, Volume, unlinked

_DOTS = (b".", b"..")


def make_task(package: Package) -> Directory:
    """/var/task: the tree of a package's files, `a/b.txt` by `a/b.txt`. Nothing is read yet.

    Whoever stored the package has checked its names; one that cannot be a path here is left out.
    """
    root = Directory(Volume(TASK_DEVICE, True), 0)
    _lay(root, package)
    return root


def make_opt(layers: Iterable[Package]) -> Directory:
    """/opt: the trees of layers in one, each over those before it. A file that a later layer has as a directory, or the
    other way round, is what the later one says."""
    root = Directory(Volume(OPT_DEVICE, True), 0)
    for layer in layers:
        _lay(root, layer)
    return root


def _lay(root: Directory, package: Package) -> None:
    """Adds the files of a package to a tree, over what other packages have there. In the package itself the first of
    two names that exclude each other holds: in their order, a file comes before what would be below it."""
    for key in sorted(package):
        parts = key.encode("utf-8", "surrogateescape").split(b"/")
        if any(not _is_name(part) for part in parts):
            continue
        directory: Directory | None = root
        for part in parts[:-1]:
            directory = directory and _entered(directory, part, package)
        if directory is not None and not _is_of(directory.find(parts[-1]), package):
            directory.insert(parts[-1], PackageFile(root.volume, package, key))


def _entered(directory: Directory, name: bytes, package: Package) -> Directory | None:
    """The directory `name` in a directory, made if need be; None if the package itself has a file there."""
    node = directory.find(name)
    if isinstance(node, Directory):
        return node
    if _is_of(node, package):
        return None
    made = Directory(directory.volume, 0)
    directory.insert(name, made)
    return made


def _is_of(node: AnyNode | None, package: Package) -> bool:
    return isinstance(node, PackageFile) and node.is_of(package)


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
    unlinked(place.node)


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
    unlinked(place.node)


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
        unlinked(target)
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
