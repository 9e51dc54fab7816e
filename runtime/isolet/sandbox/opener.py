"""What a worker opens, and whom it connects to, is done for it by the supervisor, one call at a time.

    worker: openat("artifacts/ab…ef.cwasm") ── stopped by the kernel ──→ listener ──→ Opener
                                             ←── a descriptor, put into the worker ── opens it itself

Laws:
- Opened are files that are named by a digest and a known suffix, in the directories that were told at the start, and
  what of these the worker holds open already (/proc/self/fd/N); for reading; regular files; never through a link at the
  end of the name. Everything else gets EACCES, and a line in the log, of which there are so many at the most.
- What was looked at is what is opened: the name is copied first, and the worker may write over it as it likes. No call
  is ever passed on to the kernel to go on by itself.
- connect leads to the keeper, whatever address it names; a worker of the door, to the workers of other cordons that it
  names. What the keeper is sent first says whose worker this is: the kernel would say that it is the supervisor.
- No worker stops the supervisor: nothing here waits for one, and one that dies in the middle of a call only ends it.

Source: Documentation/userspace-api/seccomp_filter.rst, section "Userspace Notification".
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import re
import select
import socket
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .. import limits
from . import calls
from .policy import READING

logger = logging.getLogger("isolet.opener")

_RECEIVE, _SEND, _IS_VALID, _ADD_DESCRIPTOR, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103, 0x40082104
# Whoever is woken is woken on this CPU: both sides take turns (6.6).
_WAKE_SYNC: Final = 1
# struct seccomp_notif: id, thread, flags; number, architecture, instruction pointer, six arguments.
_CALL: Final = struct.Struct("=QIIiIQ6Q")
_ANSWER: Final = struct.Struct("=QqiI")
_ADDED: Final = struct.Struct("=QIIII")
_ANY_DESCRIPTOR, _SET_DESCRIPTOR = 0, 1
_PATH_BYTES_MAX: Final = 4_096
_PAGE_BYTES: Final = 4_096
_HELD: Final = re.compile(r"/proc/self/fd/([0-9]{1,7})")
# Of a sockaddr_un, what precedes the path; and the names of workers' sockets.
_FAMILY_BYTES: Final = 2
_SOCKET: Final = re.compile(r"[a-z0-9-]{1,64}\.sock")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# What the kernel adds to the name of an open file that was removed.
_DELETED: Final = " (deleted)"

# The suffixes of files that may be opened, by directory.
Directories = Mapping[Path, frozenset[str]]


class _Refused(Exception):
    """Of a call: `what` is for the log."""


class Opener:
    """Of one worker's process; made before its fork. `descriptors` are what the supervisor's loop is to watch."""

    def __init__(
        self,
        name: str,
        directories: Directories,
        keeper: Path | None = None,
        greeting: bytes = b"",
        neighbours: Path | None = None,
    ) -> None:
        """`greeting` is what the keeper hears first; `neighbours` the directory of sockets that may be connected to."""
        self._name = name
        self._keeper = keeper
        self._greeting = greeting
        self._neighbours = None if neighbours is None else os.fspath(neighbours)
        self._suffixes: dict[str, frozenset[str]] = {}
        for directory, suffixes in directories.items():
            for written in (os.fspath(directory), os.path.abspath(directory), os.path.realpath(directory)):
                self._suffixes[written] = suffixes
        self._ours: socket.socket | None
        self._theirs: socket.socket | None
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)
        self._listener = -1
        self._refusals = 0

    # ── around the fork ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def channel(self) -> socket.socket:
        """For wall.enter, in the worker."""
        assert self._theirs is not None, "not attended here"
        if self._ours is not None:
            self._ours.close()
            self._ours = None
        return self._theirs

    def attend(self) -> None:
        """After the fork, in the supervisor."""
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None

    def leave(self) -> None:
        """The worker has ended. What it had asked last nobody waits for."""
        for one in (self._ours, self._theirs):
            if one is not None:
                one.close()
        self._ours = self._theirs = None
        if self._listener >= 0:
            os.close(self._listener)
        self._listener = -1

    def descriptors(self) -> list[int]:
        """What a call, or the listener, comes from."""
        watched = [] if self._ours is None else [self._ours.fileno()]
        return watched if self._listener < 0 else [*watched, self._listener]

    def listens_on(self, descriptor: int) -> bool:
        """Whether calls come from this one."""
        return descriptor == self._listener

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, descriptor: int, events: int) -> None:
        """Takes what has come on one of them; `events` are poll's. Never waits, never raises."""
        try:
            if not events & select.POLLIN:
                self.leave()  # its last process has ended; to ask the listener for a call would wait for ever
            elif descriptor == self._listener:
                self._answer_one()
            elif self._ours is not None and descriptor == self._ours.fileno():
                self._take_listener(self._ours)
        except OSError as reason:
            logger.error("%s: its calls cannot be answered: %s", self._name, reason.strerror)
            self.leave()

    def _take_listener(self, ours: socket.socket) -> None:
        _, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
        self._ours = None
        ours.close()
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                (self._listener,) = array.array("i", data)
                os.set_inheritable(self._listener, False)
                with contextlib.suppress(OSError):
                    fcntl.ioctl(self._listener, _SET_FLAGS, _WAKE_SYNC)

    def _answer_one(self) -> None:
        call = bytearray(_CALL.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, call)
        except (FileNotFoundError, InterruptedError):
            return  # it died, or was called away, before we looked
        id, thread, _, number, _, _, *arguments = _CALL.unpack(call)
        try:
            self._carry_out(id, thread, number, arguments)
        except _Refused as refused:
            self._refusals += 1
            if self._refusals <= limits.SANDBOX_REFUSALS_LOGGED:
                logger.warning("%s was refused: %s", self._name, refused)
            self._answer(id, errno.EACCES)
        except OSError as reason:
            self._answer(id, reason.errno or errno.EACCES)

    def _carry_out(self, id: int, thread: int, number: int, arguments: list[int]) -> None:
        machine = calls.machine()
        assert machine is not None, "a filter was installed"
        if number == calls.number("connect", machine):
            self._connect(id, thread, arguments)
            return
        if number == calls.number("openat", machine):
            arguments = arguments[1:]
        path, flags = self._read_path(id, thread, arguments[0]), arguments[1] & 0xFFFFFFFF
        if flags & ~READING:
            raise _Refused(f"opening {_shown(path)} with flags {flags:#o}")
        descriptor = self._open(thread, path)
        try:
            added = self._add(id, descriptor, _ANY_DESCRIPTOR, 0, flags & os.O_CLOEXEC)
        finally:
            os.close(descriptor)
        self._answer(id, 0, added)

    def _read_path(self, id: int, thread: int, address: int) -> str:
        """What is written there now."""
        memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The thread may have died, and its number be another's: it is the one if its call is still there now.
            fcntl.ioctl(self._listener, _IS_VALID, struct.pack("=Q", id))
            found = _string_at(memory, address)
        finally:
            os.close(memory)
        if found is None:
            raise _Refused("opening what is no path")
        return os.fsdecode(found)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, thread: int, path: str) -> int:
        """A new descriptor. Raises _Refused, and OSError as the kernel says it: that a file is missing is no secret."""
        held = _HELD.fullmatch(path)
        if held is not None:
            return self._open_held(thread, path, int(held[1]))
        if not self._is_admitted(path):
            raise _Refused(f"opening {_shown(path)}")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        return self._require_regular(descriptor, path)

    def _open_held(self, thread: int, path: str, number: int) -> int:
        """What the worker holds open under this number, opened anew."""
        # Taken without effect first: the number may be something else's by now, a pipe's for one.
        held = os.open(f"/proc/{thread}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
        try:
            name = os.readlink(f"/proc/self/fd/{held}").removesuffix(_DELETED)
            if not self._is_admitted(name):
                raise _Refused(f"opening {_shown(path)}, which is {_shown(name)}")
            descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(held)
        return self._require_regular(descriptor, path)

    def _is_admitted(self, path: str) -> bool:
        directory, name = os.path.split(path)
        stem, suffix = os.path.splitext(name)
        return suffix in self._suffixes.get(directory, ()) and _DIGEST.fullmatch(stem) is not None

    def _require_regular(self, descriptor: int, path: str) -> int:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _Refused(f"opening {_shown(path)}, which is no file")
        os.set_blocking(descriptor, True)
        return descriptor

    # ── the keeper ──────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self, id: int, thread: int, arguments: list[int]) -> None:
        """The worker's socket becomes one that is connected to the keeper, or to a neighbour."""
        if self._keeper is None:
            raise _Refused("connecting")
        number, address, *_ = arguments
        neighbour = None if self._neighbours is None else self._neighbour(id, thread, address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            connected.setblocking(False)
            connected.connect(neighbour or os.fspath(self._keeper))
            if neighbour is None and self._greeting:
                connected.send(self._greeting)  # a new socket has room for it
            self._add(id, connected.fileno(), _SET_DESCRIPTOR, number & 0xFFFFFFFF, os.O_CLOEXEC)
        self._answer(id, 0)

    def _neighbour(self, id: int, thread: int, address: int) -> str | None:
        """The socket that is named there, if it is a neighbour's."""
        path = self._read_path(id, thread, address + _FAMILY_BYTES)
        directory, name = os.path.split(path)
        return path if directory == self._neighbours and _SOCKET.fullmatch(name) else None

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, id: int, descriptor: int, how: int, number: int, flags: int) -> int:
        """Puts a descriptor of ours into the worker; the number that it has there.

        Not in one step with the answer: a signal to us (another worker has ended) would leave the call answered with a
        descriptor that was not put there, and what is interrupted here is only done again.
        """
        wanted = bytearray(_ADDED.pack(id, how, descriptor, number, flags))  # of bytes, ioctl answers the bytes
        while True:
            try:
                added: int = fcntl.ioctl(self._listener, _ADD_DESCRIPTOR, wanted)
                return added
            except InterruptedError:
                continue

    def _answer(self, id: int, code: int, value: int = 0) -> None:
        while True:
            try:
                fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(id, value, -code, 0))
            except InterruptedError:
                continue
            except FileNotFoundError:
                pass  # it died meanwhile
            return


def _string_at(memory: int, address: int) -> bytes | None:
    """The bytes before the first NUL; None if there is none within the longest path, or no memory."""
    found = b""
    while len(found) < _PATH_BYTES_MAX:
        at = address + len(found)
        try:
            # To the end of the page: the next one may not be there.
            part = os.pread(memory, _PAGE_BYTES - at % _PAGE_BYTES, at)
        except (OSError, OverflowError):
            return None
        text, end, _ = part.partition(b"\0")
        found += text
        if end or not part:
            return found if end else None
    return None


def _shown(path: str) -> str:
    """For a line of a log: nobody's control characters, and not much of it."""
    shown = ascii(path)
    return shown if len(shown) <= limits.SANDBOX_PATH_CHARS_LOGGED else shown[: limits.SANDBOX_PATH_CHARS_LOGGED] + "…"
