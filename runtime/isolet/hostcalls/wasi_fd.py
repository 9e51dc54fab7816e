"""WASI's functions on descriptors: streams, files and directories.

Laws:
- Lengths are capped before anything is read or allocated; a longer read or write is a short one, as everywhere in
  POSIX.
- stdout and stderr are log lines (log.py); stdin is at its end.
- Structures are laid out as in wasi/api.h, little-endian, and each is written in one piece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from time import time_ns

from .. import limits
from ..engine.host import GuestView, HostFunction
from . import errno
from .descriptors import APPEND, FDFLAGS, Descriptor, Descriptors
from .errno import Refused
from .files import set_times
from .log import LogBuffer
from .nodes import AnyNode, Directory

_FDSTAT = struct.Struct("<BxH4xQQ")  # type, flags, rights, inherited rights
_FILESTAT = struct.Struct("<QQB7xQQQQQ")  # device, inode, type, links, size, atime, mtime, ctime
_PRESTAT = struct.Struct("<B3xI")  # type (0: a directory), length of its name
_DIRENT = struct.Struct("<QQIB3x")  # cookie of the next, inode, length of the name, type
assert (_FDSTAT.size, _FILESTAT.size, _PRESTAT.size, _DIRENT.size) == (24, 64, 8, 24), "the sizes of wasi/api.h"

_DIRECTORY_TYPE, _FILE_TYPE, _CHARACTER_DEVICE = 3, 4, 2
_ADVICE_MAX = 5
_OFFSET_END = 1 << 63  # offsets are signed 64-bit numbers where they come from


# ── reading and writing ─────────────────────────────────────────────────────────────────────────────────────────


def _vectors(guest: GuestView, iovecs: int, count: int, bytes_max: int) -> tuple[list[tuple[int, int]], int]:
    """The `(ptr, len)` of a scatter or gather, all of them memory, cut at `bytes_max` in total, and that total."""
    if count > limits.IOVECS_MAX:
        raise Refused(errno.INVAL)
    guest.charge(count * limits.IOVEC_FUEL)
    found: list[tuple[int, int]] = []
    total = 0
    for ptr, length in struct.iter_unpack("<II", guest.read(iovecs, 8 * count)):
        guest.read(ptr + length, 0)
        length = min(length, bytes_max - total)
        if length:
            found.append((ptr, length))
            total += length
    guest.charge(total // limits.COPIED_BYTES_PER_FUEL)
    return found, total


def _gather(guest: GuestView, vectors: list[tuple[int, int]]) -> bytes:
    if len(vectors) == 1:
        return guest.read(*vectors[0])
    return b"".join([guest.read(ptr, length) for ptr, length in vectors])


def _scatter(guest: GuestView, vectors: list[tuple[int, int]], data: bytes) -> None:
    start = 0
    for ptr, length in vectors:
        if start >= len(data):
            return
        guest.write(ptr, data[start : start + length])
        start += length


def fd_read(guest: GuestView, fd: int, iovecs: int, count: int, out: int) -> int:
    descriptor = guest.state.descriptors.readable(fd)
    vectors, total = _vectors(guest, iovecs, count, limits.IO_BYTES_MAX)
    data = b""
    if descriptor.content is not None:
        data = descriptor.content.read(descriptor.position, total)
        descriptor.position += len(data)
    _scatter(guest, vectors, data)
    guest.write_u32(out, len(data))
    return errno.SUCCESS


def fd_pread(guest: GuestView, fd: int, iovecs: int, count: int, offset: int, out: int) -> int:
    descriptors: Descriptors = guest.state.descriptors
    descriptors.readable(fd)
    content = descriptors.file(fd).content
    assert content is not None, "file() answers what has content"
    if offset >= _OFFSET_END:
        return errno.INVAL
    vectors, total = _vectors(guest, iovecs, count, limits.IO_BYTES_MAX)
    data = content.read(offset, total)
    _scatter(guest, vectors, data)
    guest.write_u32(out, len(data))
    return errno.SUCCESS


def fd_write(guest: GuestView, fd: int, iovecs: int, count: int, out: int) -> int:
    state = guest.state
    # Most guests only ever write to stdout and stderr: no table is made for them.
    stream = fd if fd in (1, 2) and not state.has_descriptors else state.descriptors.get(fd).stream
    if stream in (1, 2):
        vectors, total = _vectors(guest, iovecs, count, limits.STREAM_IO_BYTES_MAX)
        log: LogBuffer = state.log
        entries = len(log.entries)
        log.write(stream, _gather(guest, vectors))
        guest.charge((len(log.entries) - entries) * limits.LOG_ENTRY_FUEL)
        guest.write_u32(out, total)
        return errno.SUCCESS
    if stream == 0:
        return errno.BADF
    descriptor, file = state.descriptors.writable_file(fd)
    vectors, _ = _vectors(guest, iovecs, count, limits.IO_BYTES_MAX)
    start = file.size if descriptor.flags & APPEND else descriptor.position
    written = file.write(start, _gather(guest, vectors))
    descriptor.position = start + written
    guest.write_u32(out, written)
    return errno.SUCCESS


def fd_pwrite(guest: GuestView, fd: int, iovecs: int, count: int, offset: int, out: int) -> int:
    _, file = guest.state.descriptors.writable_file(fd)
    if offset >= _OFFSET_END:
        return errno.INVAL
    vectors, _ = _vectors(guest, iovecs, count, limits.IO_BYTES_MAX)
    guest.write_u32(out, file.write(offset, _gather(guest, vectors)))
    return errno.SUCCESS


def fd_seek(guest: GuestView, fd: int, offset: int, whence: int, out: int) -> int:
    descriptor = guest.state.descriptors.file(fd)
    if whence > 2:
        return errno.INVAL
    node = descriptor.node
    assert node is not None, "file() answers what has a node"
    start = (0, descriptor.position, node.size)[whence]
    position = start + (offset - (1 << 64) if offset >= _OFFSET_END else offset)
    if not 0 <= position < _OFFSET_END:
        return errno.INVAL
    descriptor.position = position
    guest.write_u64(out, position)
    return errno.SUCCESS


def fd_tell(guest: GuestView, fd: int, out: int) -> int:
    guest.write_u64(out, guest.state.descriptors.file(fd).position)
    return errno.SUCCESS


# ── sizes, times, flags ─────────────────────────────────────────────────────────────────────────────────────────


def fd_allocate(guest: GuestView, fd: int, offset: int, length: int) -> int:
    _, file = guest.state.descriptors.writable_file(fd)
    if length == 0 or offset + length > _OFFSET_END:
        return errno.INVAL
    if offset + length > file.size:
        file.resize(offset + length)
    return errno.SUCCESS


def fd_filestat_set_size(guest: GuestView, fd: int, size: int) -> int:
    _, file = guest.state.descriptors.writable_file(fd)
    file.resize(size)
    return errno.SUCCESS


def fd_filestat_get(guest: GuestView, fd: int, out: int) -> int:
    node = guest.state.descriptors.get(fd).node
    guest.write(out, filestat(node) if node is not None else _FILESTAT.pack(0, 0, _CHARACTER_DEVICE, 1, 0, 0, 0, 0))
    return errno.SUCCESS


def filestat(node: AnyNode) -> bytes:
    kind = _DIRECTORY_TYPE if isinstance(node, Directory) else _FILE_TYPE
    links = 1 if node.linked else 0
    return _FILESTAT.pack(
        node.volume.device, node.inode, kind, links, node.size, node.atime_ns, node.mtime_ns, node.ctime_ns
    )


def fd_filestat_set_times(guest: GuestView, fd: int, atime_ns: int, mtime_ns: int, flags: int) -> int:
    node = guest.state.descriptors.get(fd).node
    if node is None:
        return errno.BADF
    set_times(node, *chosen_times(atime_ns, mtime_ns, flags))
    return errno.SUCCESS


def chosen_times(atime_ns: int, mtime_ns: int, flags: int) -> tuple[int | None, int | None]:
    """What fstflags ask for: bits 0 and 1 set atime to the value or to now, bits 2 and 3 mtime."""
    if flags > 0xF or flags & 0b11 == 0b11 or flags & 0b1100 == 0b1100:
        raise Refused(errno.INVAL)
    atime = atime_ns if flags & 1 else time_ns() if flags & 2 else None
    mtime = mtime_ns if flags & 4 else time_ns() if flags & 8 else None
    return atime, mtime


def fd_fdstat_get(guest: GuestView, fd: int, out: int) -> int:
    descriptor = guest.state.descriptors.get(fd)
    guest.write(out, _FDSTAT.pack(descriptor.filetype, descriptor.flags, descriptor.base, descriptor.inheriting))
    return errno.SUCCESS


def fd_fdstat_set_flags(guest: GuestView, fd: int, flags: int) -> int:
    """Nothing blocks and nothing is on a disk, so that all but APPEND are true whatever they say. Streams keep theirs:
    Go would take NONBLOCK for a reason to poll them."""
    descriptor = guest.state.descriptors.get(fd)
    if flags & ~FDFLAGS:
        return errno.INVAL
    if descriptor.node is None:
        return errno.NOTSUP
    descriptor.flags = flags
    return errno.SUCCESS


def fd_fdstat_set_rights(guest: GuestView, fd: int, base: int, inheriting: int) -> int:
    """Rights can only be given up."""
    descriptor = guest.state.descriptors.get(fd)
    if base & ~descriptor.base or inheriting & ~descriptor.inheriting:
        return errno.NOTCAPABLE
    if guest.state.initialising and (base, inheriting) != (descriptor.base, descriptor.inheriting):
        guest.state.forbid(f"initialisation gave up rights of descriptor {fd}; do it in the handler")
    descriptor.base, descriptor.inheriting = base, inheriting
    return errno.SUCCESS


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────


def fd_close(guest: GuestView, fd: int) -> int:
    guest.state.descriptors.close(fd)
    return errno.SUCCESS


def fd_renumber(guest: GuestView, fd: int, to: int) -> int:
    guest.state.descriptors.renumber(fd, to)
    return errno.SUCCESS


def fd_sync(guest: GuestView, fd: int) -> int:
    guest.state.descriptors.get(fd)
    return errno.SUCCESS


def fd_advise(guest: GuestView, fd: int, _offset: int, _length: int, advice: int) -> int:
    guest.state.descriptors.file(fd)
    return errno.INVAL if advice > _ADVICE_MAX else errno.SUCCESS


# ── directories ─────────────────────────────────────────────────────────────────────────────────────────────────


def fd_prestat_get(guest: GuestView, fd: int, out: int) -> int:
    name = _preopened(guest, fd).preopened
    guest.write(out, _PRESTAT.pack(0, len(name)))
    return errno.SUCCESS


def fd_prestat_dir_name(guest: GuestView, fd: int, ptr: int, length: int) -> int:
    name = _preopened(guest, fd).preopened
    if length < len(name):
        return errno.NAMETOOLONG
    guest.write(ptr, name)
    return errno.SUCCESS


def _preopened(guest: GuestView, fd: int) -> Descriptor:
    descriptor: Descriptor = guest.state.descriptors.get(fd)
    if not descriptor.preopened:
        raise Refused(errno.BADF)
    return descriptor


def fd_readdir(guest: GuestView, fd: int, ptr: int, length: int, cookie: int, out: int) -> int:
    """As many entries from `cookie` on as fit, the last one cut short. Fewer bytes than `length`: that was the end.

    Cookie 0 is ".", 1 is "..", 1 + n the entry with the serial number n or, if it is gone, the next one.
    """
    guest.read(ptr + length, 0)
    directory = guest.state.descriptors.get(fd).node
    if not isinstance(directory, Directory):
        return errno.NOTDIR
    length = min(length, limits.IO_BYTES_MAX)
    found: list[bytes] = []
    total = passed = 0
    for next_cookie, name, node in _entries(directory):
        if next_cookie <= cookie:
            passed += 1
            continue
        kind = _DIRECTORY_TYPE if isinstance(node, Directory) else _FILE_TYPE
        found += (_DIRENT.pack(next_cookie, node.inode, len(name), kind), name)
        total += _DIRENT.size + len(name)
        if total >= length:
            break
    guest.charge(len(found) // 2 * limits.DIRECTORY_ENTRY_FUEL + passed * limits.ENTRY_PASSED_FUEL)
    data = b"".join(found)[:length]
    guest.write(ptr, data)
    guest.write_u32(out, len(data))
    return errno.SUCCESS


def _entries(directory: Directory) -> Iterator[tuple[int, bytes, AnyNode]]:
    """(cookie of what follows, name, node) in order."""
    yield 1, b".", directory
    yield 2, b"..", directory.parent
    for name, (serial, node) in directory.entries.items():
        yield serial + 2, name, node


_WASI = "wasi_snapshot_preview1"
FUNCTIONS = (
    HostFunction(_WASI, "fd_advise", "iIIi", "i", fd_advise),
    HostFunction(_WASI, "fd_allocate", "iII", "i", fd_allocate),
    HostFunction(_WASI, "fd_close", "i", "i", fd_close),
    HostFunction(_WASI, "fd_datasync", "i", "i", fd_sync),
    HostFunction(_WASI, "fd_fdstat_get", "ii", "i", fd_fdstat_get),
    HostFunction(_WASI, "fd_fdstat_set_flags", "ii", "i", fd_fdstat_set_flags),
    HostFunction(_WASI, "fd_fdstat_set_rights", "iII", "i", fd_fdstat_set_rights),
    HostFunction(_WASI, "fd_filestat_get", "ii", "i", fd_filestat_get),
    HostFunction(_WASI, "fd_filestat_set_size", "iI", "i", fd_filestat_set_size),
    HostFunction(_WASI, "fd_filestat_set_times", "iIIi", "i", fd_filestat_set_times),
    HostFunction(_WASI, "fd_pread", "iiiIi", "i", fd_pread),
    HostFunction(_WASI, "fd_prestat_get", "ii", "i", fd_prestat_get),
    HostFunction(_WASI, "fd_prestat_dir_name", "iii", "i", fd_prestat_dir_name),
    HostFunction(_WASI, "fd_pwrite", "iiiIi", "i", fd_pwrite),
    HostFunction(_WASI, "fd_read", "iiii", "i", fd_read),
    HostFunction(_WASI, "fd_readdir", "iiiIi", "i", fd_readdir),
    HostFunction(_WASI, "fd_renumber", "ii", "i", fd_renumber),
    HostFunction(_WASI, "fd_seek", "iIii", "i", fd_seek),
    HostFunction(_WASI, "fd_sync", "i", "i", fd_sync),
    HostFunction(_WASI, "fd_tell", "ii", "i", fd_tell),
    HostFunction(_WASI, "fd_write", "iiii", "i", fd_write),
)
