"""WASI's functions on paths, each relative to an open directory (files.py resolves them).

There are no symbolic links, so that lookup flags change nothing; making a link is NOTSUP, and reading one finds a file
that is not a link.
"""

from __future__ import annotations

from .. import limits
from ..engine.host import GuestView, HostFunction
from . import errno, files
from .descriptors import ALL_RIGHTS, DIRECTORY_RIGHTS, FDFLAGS, FILE_RIGHTS, RIGHT_WRITE, Descriptor, Descriptors
from .errno import Refused
from .nodes import Directory
from .wasi_fd import chosen_times, filestat

_CREATE, _DIRECTORY, _EXCLUSIVE, _TRUNCATE = 1, 2, 4, 8
_OFLAGS = 0xF


def _path(guest: GuestView, ptr: int, length: int) -> bytes:
    """A path of the guest's. Its steps cost, too: there may be two thousand of them."""
    guest.read(ptr + length, 0)
    if length > limits.PATH_BYTES_MAX:
        raise Refused(errno.NAMETOOLONG)
    guest.charge(length * limits.PATH_BYTE_FUEL)
    return files.check_path(guest.read(ptr, length))


def _base(guest: GuestView, fd: int) -> Directory:
    descriptors: Descriptors = guest.state.descriptors
    return descriptors.directory(fd)[1]


def path_open(
    guest: GuestView,
    fd: int,
    _lookup: int,
    ptr: int,
    length: int,
    oflags: int,
    rights: int,
    inheriting: int,
    fdflags: int,
    out: int,
) -> int:
    path = _path(guest, ptr, length)
    descriptors: Descriptors = guest.state.descriptors
    parent, base = descriptors.directory(fd)
    if oflags & ~_OFLAGS or fdflags & ~FDFLAGS:
        return errno.INVAL
    descriptors.check_room()
    rights &= parent.inheriting
    node = files.open_node(
        base,
        path,
        create=bool(oflags & _CREATE),
        exclusive=bool(oflags & _EXCLUSIVE),
        truncate=bool(oflags & _TRUNCATE),
        directory=bool(oflags & _DIRECTORY),
        # Who asks for a directory asks for every right it can think of.
        writing=bool(rights & RIGHT_WRITE) and not oflags & _DIRECTORY,
    )
    if isinstance(node, Directory):
        opened = Descriptor(node, rights & DIRECTORY_RIGHTS, inheriting & parent.inheriting & ALL_RIGHTS, flags=fdflags)
    else:
        opened = Descriptor(node, rights & FILE_RIGHTS, content=node.open_content(), flags=fdflags)
    guest.write_u32(out, descriptors.add(opened))
    return errno.SUCCESS


def path_filestat_get(guest: GuestView, fd: int, _lookup: int, ptr: int, length: int, out: int) -> int:
    path = _path(guest, ptr, length)
    guest.write(out, filestat(files.find(_base(guest, fd), path)))
    return errno.SUCCESS


def path_filestat_set_times(
    guest: GuestView, fd: int, _lookup: int, ptr: int, length: int, atime_ns: int, mtime_ns: int, flags: int
) -> int:
    path = _path(guest, ptr, length)
    times = chosen_times(atime_ns, mtime_ns, flags)
    files.set_times(files.find(_base(guest, fd), path), *times)
    return errno.SUCCESS


def path_create_directory(guest: GuestView, fd: int, ptr: int, length: int) -> int:
    files.make_directory(_base(guest, fd), _path(guest, ptr, length))
    return errno.SUCCESS


def path_remove_directory(guest: GuestView, fd: int, ptr: int, length: int) -> int:
    files.remove_directory(_base(guest, fd), _path(guest, ptr, length))
    return errno.SUCCESS


def path_unlink_file(guest: GuestView, fd: int, ptr: int, length: int) -> int:
    files.unlink(_base(guest, fd), _path(guest, ptr, length))
    return errno.SUCCESS


def path_rename(
    guest: GuestView, old_fd: int, old_ptr: int, old_length: int, new_fd: int, new_ptr: int, new_length: int
) -> int:
    old, new = _path(guest, old_ptr, old_length), _path(guest, new_ptr, new_length)
    files.rename(_base(guest, old_fd), old, _base(guest, new_fd), new)
    return errno.SUCCESS


def path_readlink(guest: GuestView, fd: int, ptr: int, length: int, _buffer: int, _size: int, _out: int) -> int:
    """INVAL for what exists, as for any file that is no link: libc's realpath relies on it."""
    files.find(_base(guest, fd), _path(guest, ptr, length))
    return errno.INVAL


def path_link(
    guest: GuestView,
    old_fd: int,
    _lookup: int,
    old_ptr: int,
    old_length: int,
    new_fd: int,
    new_ptr: int,
    new_length: int,
) -> int:
    return errno.NOTSUP


def path_symlink(guest: GuestView, old_ptr: int, old_length: int, fd: int, ptr: int, length: int) -> int:
    return errno.NOTSUP


_WASI = "wasi_snapshot_preview1"
FUNCTIONS = (
    HostFunction(_WASI, "path_create_directory", "iii", "i", path_create_directory),
    HostFunction(_WASI, "path_filestat_get", "iiiii", "i", path_filestat_get),
    HostFunction(_WASI, "path_filestat_set_times", "iiiiIIi", "i", path_filestat_set_times),
    HostFunction(_WASI, "path_link", "iiiiiii", "i", path_link),
    HostFunction(_WASI, "path_open", "iiiiiIIii", "i", path_open),
    HostFunction(_WASI, "path_readlink", "iiiiii", "i", path_readlink),
    HostFunction(_WASI, "path_remove_directory", "iii", "i", path_remove_directory),
    HostFunction(_WASI, "path_rename", "iiiiii", "i", path_rename),
    HostFunction(_WASI, "path_symlink", "iiiii", "i", path_symlink),
    HostFunction(_WASI, "path_unlink_file", "iii", "i", path_unlink_file),
)
