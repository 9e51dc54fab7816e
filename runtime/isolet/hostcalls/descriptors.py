"""The descriptors of one isolate: numbers, what they stand for, and WASI's rights.

Laws:
- 0, 1 and 2 are the streams; 3 is /var/task, 4 is /tmp and 5 is /opt, which guests find by asking for the names of
  preopened directories from 3 on. They are the same for every function, with layers or without: what an interpreter's
  libc learns of them when it boots is in the base state of all its programs. New descriptors take the lowest free
  number.
- Of WASI's rights only FD_READ and FD_WRITE decide anything, as in wasmtime; the others are remembered and reported.
  (Toolchains disagree about which to ask for, and newer ones ask for none.)
- Whatever is open is bounded: DESCRIPTORS_MAX.
"""

from __future__ import annotations

import heapq

from .. import limits
from . import errno
from .content import Content
from .errno import Refused
from .nodes import AnyNode, Directory, File, make_tmp, release, retain

RIGHT_READ = 1 << 1
RIGHT_WRITE = 1 << 6
# Every right of preview1 that concerns files and directories (bits 0–27), by what makes sense on each. Streams lack
# SEEK and TELL: that is how libc knows a terminal, whose output it does not hold back until a buffer is full.
FILE_RIGHTS = 0x08E0_01FF
DIRECTORY_RIGHTS = 0x0FBF_FE18
STREAM_RIGHTS = (0x0820_000A, 0x0820_0048, 0x0820_0048)
ALL_RIGHTS = FILE_RIGHTS | DIRECTORY_RIGHTS

APPEND = 1 << 0
FDFLAGS = 0x1F

CHARACTER_DEVICE, DIRECTORY, REGULAR_FILE = 2, 3, 4

TASK_FD, TMP_FD, OPT_FD = 3, 4, 5
TASK_PATH, TMP_PATH, OPT_PATH = b"/var/task", b"/tmp", b"/opt"


class Descriptor:
    """One open file, directory or stream. `stream` is 0, 1 or 2, and −1 for what has a `node`."""

    __slots__ = ("base", "content", "flags", "inheriting", "node", "position", "preopened", "stream")

    def __init__(
        self,
        node: AnyNode | None,
        base: int,
        inheriting: int = 0,
        *,
        content: Content | None = None,
        flags: int = 0,
        stream: int = -1,
        preopened: bytes = b"",
    ) -> None:
        self.node = node
        self.base = base
        self.inheriting = inheriting
        self.content = content  # of a file
        self.flags = flags
        self.stream = stream
        self.preopened = preopened
        self.position = 0

    @property
    def filetype(self) -> int:
        if self.node is None:
            return CHARACTER_DEVICE
        return DIRECTORY if isinstance(self.node, Directory) else REGULAR_FILE


class Descriptors:
    """The table. Made when a guest first looks at a descriptor other than to write to stdout or stderr."""

    __slots__ = ("_free", "_next", "_open", "tmp")

    def __init__(self, task: Directory, opt: Directory, tmp_bytes_max: int) -> None:
        self.tmp = make_tmp(tmp_bytes_max)
        self._open: dict[int, Descriptor] = {
            fd: Descriptor(None, rights, stream=fd) for fd, rights in enumerate(STREAM_RIGHTS)
        }
        for fd, root, path in ((TASK_FD, task, TASK_PATH), (TMP_FD, self.tmp, TMP_PATH), (OPT_FD, opt, OPT_PATH)):
            self._open[fd] = Descriptor(root, DIRECTORY_RIGHTS, ALL_RIGHTS, preopened=path)
        self._free: list[int] = []  # a heap
        self._next = len(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def get(self, fd: int) -> Descriptor:
        descriptor = self._open.get(fd)
        if descriptor is None:
            raise Refused(errno.BADF)
        return descriptor

    def directory(self, fd: int) -> tuple[Descriptor, Directory]:
        """The directory that a path is relative to. Go passes −1 for a path outside every preopened directory: nothing
        is there, and its os.IsNotExist should say so."""
        if fd == 0xFFFF_FFFF:
            raise Refused(errno.NOENT)
        descriptor = self.get(fd)
        if not isinstance(descriptor.node, Directory):
            raise Refused(errno.NOTDIR)
        return descriptor, descriptor.node

    def file(self, fd: int) -> Descriptor:
        """A descriptor with a position: a file, never a stream or a directory."""
        descriptor = self.get(fd)
        if descriptor.content is None:
            raise Refused(errno.SPIPE if descriptor.node is None else errno.BADF)
        return descriptor

    def readable(self, fd: int) -> Descriptor:
        descriptor = self.get(fd)
        if isinstance(descriptor.node, Directory):
            raise Refused(errno.ISDIR)
        if not descriptor.base & RIGHT_READ:
            raise Refused(errno.BADF)
        return descriptor

    def writable_file(self, fd: int) -> tuple[Descriptor, File]:
        descriptor = self.file(fd)
        if not descriptor.base & RIGHT_WRITE or not isinstance(descriptor.node, File):
            raise Refused(errno.BADF)
        return descriptor, descriptor.node

    def check_room(self) -> None:
        """MFILE if nothing more may be opened; to be asked before an open has an effect."""
        if len(self._open) >= limits.DESCRIPTORS_MAX:
            raise Refused(errno.MFILE)

    def add(self, descriptor: Descriptor) -> int:
        self.check_room()
        if self._free:
            fd = heapq.heappop(self._free)
        else:
            fd, self._next = self._next, self._next + 1
        self._open[fd] = descriptor
        if descriptor.node is not None:
            retain(descriptor.node)
        return fd

    def close(self, fd: int) -> None:
        descriptor = self.get(fd)
        del self._open[fd]
        heapq.heappush(self._free, fd)
        self._release(descriptor)

    def renumber(self, fd: int, to: int) -> None:
        """`to` becomes what `fd` was; both must be open and not preopened. What `to` was is closed."""
        moved, replaced = self.get(fd), self.get(to)
        if moved.preopened or replaced.preopened:
            raise Refused(errno.NOTSUP)
        if fd == to:
            return
        self._open[to] = moved
        del self._open[fd]
        heapq.heappush(self._free, fd)
        self._release(replaced)

    def _release(self, descriptor: Descriptor) -> None:
        # The roots were never counted as open; nothing can unlink them.
        if descriptor.node is not None and not descriptor.preopened:
            release(descriptor.node)

    def differences(self) -> list[str]:
        """How the table differs from a new one, for a snapshot that could not bring it back."""
        found: list[str] = []
        for fd, descriptor in sorted(self._open.items()):
            if not descriptor.preopened and descriptor.stream != fd:
                found.append(f"descriptor {fd} is left open; close it before initialisation ends")
        for fd in range(OPT_FD + 1):
            if fd not in self._open:
                found.append(f"descriptor {fd} was closed; leave the streams and preopened directories open")
        return found
