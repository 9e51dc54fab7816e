"""Namespaces for a process that works on a tenant's bytes: no network, no processes, no users and no files but its own.

    keeper ─→ outer: waits, and ends as the inner one ended
                ├─→ init: process 1 of the namespace, waits for nothing; when it dies, the kernel kills the rest
                └─→ inner: `apart` returns here; it opens what it needs, then `enter`s

Laws:
- `apart` comes first, with one thread: no network, no IPC, no host name, a copy of the mounts, process numbers of its
  own. `enter` comes when everything that is needed is open: the root is then an empty directory that cannot be
  written, root's rights are gone, for this process and for what it might execute.
- What the kernel does not give is noted and does not stop the caller: it decides what it can do without.
- As root no user namespace is needed: the rights are used and then given up, and the user is one that nobody else is,
  so that signals reach nobody else's process. Others get their rights from a user namespace (user.max_user_namespaces).

Sources: unshare(2), pivot_root(2) ("." over "."), user_namespaces(7), capabilities(7). ctypes, for Python 3.11 has no
os.unshare; all calls are the C library's own. Measured: apart 3 ms, enter 0.6 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

_CLONE_NEWNS: Final = 0x0002_0000
_CLONE_NEWCGROUP: Final = 0x0200_0000
_CLONE_NEWUTS: Final = 0x0400_0000
_CLONE_NEWIPC: Final = 0x0800_0000
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWPID: Final = 0x2000_0000
_CLONE_NEWNET: Final = 0x4000_0000
_NAMESPACES: Final = {
    "mount": _CLONE_NEWNS,
    "network": _CLONE_NEWNET,
    "IPC": _CLONE_NEWIPC,
    "UTS": _CLONE_NEWUTS,
    "cgroup": _CLONE_NEWCGROUP,
    "PID": _CLONE_NEWPID,
}
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4_096, 16_384, 1 << 18
_MNT_DETACH: Final = 2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_CAPABILITIES_MAX: Final = 64
# pivot_root has no wrapper in the C library; its number by machine (asm/unistd.h).
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
# Where the empty root is mounted before it becomes the root: a directory that every Linux has.
_MOUNT_POINT: Final = "/proc"
# Users of inner processes, when root makes them: above what people, containers (65,536 a piece) and systemd's dynamic
# users have; one for each process number.
_USER_FIRST: Final = 1_900_000_000


class Unavailable(Exception):
    """The kernel, or whoever configured it, does not give this; the text says what."""


@dataclass(slots=True)
class Room:
    """Where an inner process is. `notes` say what the kernel did not give."""

    notes: list[str]
    mounts: bool  # whether its mounts are its own
    user: int  # which it becomes, if it is root

    @property
    def alone(self) -> bool:
        """Whether the kernel counts its processes apart from the user's others: once it has entered."""
        return sys.platform == "linux" and (self.mounts or os.geteuid() == self.user)

    def enter(self) -> None:
        """Closes the file system and gives up every right. With one thread, once."""
        if sys.platform != "linux":
            return
        if self.mounts:
            try:
                _empty_root()
            except Unavailable as reason:
                self.notes.append(f"the file system stays in view: {reason}")
        _drop_rights(self.user, self.notes)
        die_with_parent()


def apart() -> Room:
    """Puts this process into namespaces of its own; returns in the inner process.

    To be called with one thread, before anything is opened that others must not have: the outer process goes on with
    copies of all descriptors until the inner one has ended.
    """
    room = Room([], False, _USER_FIRST + os.getpid())
    if sys.platform != "linux":
        room.notes.append("no namespaces: not Linux")
        return room
    given = _unshared(room.notes)
    if "mount" in given:
        try:
            _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
            room.mounts = True
        except Unavailable as reason:
            room.notes.append(f"no mounts of its own: {reason}")
    if "PID" in given:
        _become_inner()
    return room


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends. A change of user forgets it: it is asked for again then."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────


def _become_inner() -> None:
    """Forks init, then the inner process, where this returns.

    Who is killed between a fork and the child's die_with_parent has left an orphan that nothing ends (three of a
    thousand kills). So init watches a pipe whose other end only the outer process has: with init, all end.
    """
    watched, held = os.pipe()
    init = os.fork()
    if init == 0:
        _be_init(watched)
    inner = os.fork()
    if inner == 0:
        os.close(watched)
        os.close(held)
        die_with_parent()
        return
    os.close(watched)
    _be_outer(init, inner)


def _be_init(watched: int) -> NoReturn:
    """Process 1. Not the inner process itself, for the kernel spares process 1 the signals that limits end it with."""
    die_with_parent()
    os.dup2(watched, 0)
    with contextlib.suppress(OSError):
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))
    os.read(0, 1)  # the end: nobody writes
    os._exit(1)


def _be_outer(init: int, inner: int) -> NoReturn:
    """Waits; then ends as the inner one did, once nothing is left of the namespace."""
    for descriptor in (0, 1):
        os.close(descriptor)
    _, status = os.waitpid(inner, 0)
    os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


# ── namespaces and mounts ───────────────────────────────────────────────────────────────────────────────────────


def _unshared(notes: list[str]) -> set[str]:
    """The names of the namespaces that there are now: all at once, or those of them that are given."""
    try:
        _unshare_all()
        return set(_NAMESPACES)
    except Unavailable as reason:
        given = {name for name, flag in _NAMESPACES.items() if os.geteuid() == 0 and _is_given(flag)}
        lacking = ", ".join(name for name in _NAMESPACES if name not in given)
        notes.append(f"no {lacking} namespace: {reason}")
        return given


def _unshare_all() -> None:
    """With what rights there are; others than root's come from a user namespace."""
    flags = sum(_NAMESPACES.values())
    if os.geteuid() == 0:
        _call("unshare", flags)
        return
    user, group = os.geteuid(), os.getegid()
    _call("unshare", flags | _CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path("/proc/self", name).write_text(text)
        except OSError as error:
            raise Unavailable(f"/proc/self/{name}: {error.strerror}") from None


def _is_given(flag: int) -> bool:
    try:
        _call("unshare", flag)
    except Unavailable:
        return False
    return True


def _empty_root() -> None:
    """The root becomes a directory with nothing in it, and nothing can be put there."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise Unavailable(f"pivot_root on {os.uname().machine}")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("isolet", _MOUNT_POINT, "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555")
    os.chdir(_MOUNT_POINT)
    if _libc().syscall(number, b".", b".") != 0:
        raise Unavailable(f"pivot_root: {os.strerror(ctypes.get_errno())}")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    _mount(None, "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _call("mount", *(text.encode() if text is not None else None for text in (source, target, kind)), flags, _c(data))


def _c(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _drop_rights(user: int, notes: list[str]) -> None:
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_CAPABILITIES_MAX):  # those that the kernel does not know are refused: none is left then
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError as error:
            notes.append(f"it stays root: {error.strerror}")
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        notes.append(f"it keeps capabilities: {os.strerror(ctypes.get_errno())}")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


# ── the C library ───────────────────────────────────────────────────────────────────────────────────────────────


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int | bytes | None) -> None:
    function: Callable[..., int] = getattr(_libc(), name)
    if function(*arguments) != 0:
        raise Unavailable(f"{name}: {os.strerror(ctypes.get_errno())}")
