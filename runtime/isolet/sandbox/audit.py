"""Does the wall hold? Forbidden acts, each tried by a process that has entered it as a worker does.

    survey   what a wall can be made of here, tried and not only asked for: before a server starts
    audit    every act of ACTS: `isolet doctor`

Laws:
- An act counts as refused only by the wall's own words (EPERM, EACCES, ENOSYS, SIGSYS): that the kernel found an
  argument wrong would mean that it had looked.
- Each act has a process of its own, which is ended whatever it does. Acts that a wall lets through do no harm.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from . import calls, wall
from .opener import Opener
from .wall import Means

_REFUSALS: Final = {errno.EPERM, errno.EACCES, errno.ENOSYS}
_KILLED: Final = "SIGSYS"
# An act takes a millisecond; one that hangs is an answer, too.
_ACT_S_MAX: Final = 20.0


class Act(NamedTuple):
    """Something forbidden. `given` is made before the wall, for `tried`."""

    tried: Callable[[Any], object]
    given: Callable[[], Any] = lambda: None


class Outcome(NamedTuple):
    """`how`: an error's name, a signal's, or "done"."""

    act: str
    held: bool
    how: str


# ── acts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _call(name: str, *arguments: calls.Argument) -> Act:
    return Act(lambda _: calls.call(name, *arguments))


def _socket(family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> Act:
    return Act(lambda _: calls.call("socket", family, kind, protocol))


def _tcp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _fast_open(one: socket.socket) -> None:
    one.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", 9))


def _fork(_: Any) -> None:
    if calls.call("clone", signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def _vfork_like(name: str) -> Act:
    def tried(_: Any) -> None:
        if calls.call(name) == 0:
            os._exit(0)

    return Act(tried)


_PARENT: Final = os.getppid
_PTRACE_SEIZE: Final = 0x4206  # does not stop it
_AF_ALG, _AF_VSOCK, _SOCK_RAW = 38, 40, socket.SOCK_RAW
_NOWHERE: Final = b"/nowhere\0"

ACTS: Final[Mapping[str, Act]] = {
    # files
    "read /etc/passwd": Act(lambda _: os.open("/etc/passwd", os.O_RDONLY)),
    "read /proc/self/environ": Act(lambda _: os.open("/proc/self/environ", os.O_RDONLY)),
    "open /proc/self/mem": Act(lambda _: os.open("/proc/self/mem", os.O_RDWR)),
    "list a directory": Act(lambda _: os.listdir("/")),
    "make a file": Act(lambda _: os.open("/nowhere/file", os.O_WRONLY | os.O_CREAT, 0o600)),
    "write a file": Act(lambda _: os.open(os.devnull, os.O_WRONLY)),
    "open a file by openat2": _call("openat2", -100, b"/etc/passwd", struct.pack("=3Q", 0, 0, 0), 24),
    "look at a file": Act(lambda _: os.stat("/etc/passwd")),
    "ask for access": Act(lambda _: calls.call("faccessat", -100, b"/etc/passwd", 0)),
    "read a link": Act(lambda _: os.readlink("/proc/self/exe")),
    "remove a file": Act(lambda _: os.unlink("/nowhere/file")),
    "rename a file": Act(lambda _: os.rename("/nowhere/file", "/nowhere/other")),
    "link a file": Act(lambda _: os.link("/nowhere/file", "/nowhere/other")),
    "make a directory": Act(lambda _: os.mkdir("/nowhere/directory")),
    "make a link": Act(lambda _: os.symlink("/nowhere/file", "/nowhere/link")),
    "make a device": Act(lambda _: os.mknod("/nowhere/device")),
    "truncate an open file": Act(lambda one: os.ftruncate(one, 0), lambda: os.memfd_create("audit")),
    "change a file's mode": Act(lambda one: os.fchmod(one, 0o777), lambda: os.memfd_create("audit")),
    "change the directory": Act(lambda _: os.chdir("/")),
    "open a file by its handle": _call("open_by_handle_at", -100, bytes(16), 0),
    "watch files": _call("inotify_init1", 0),
    "watch a file system": _call("fanotify_init", 0, 0),
    # networks
    "make a TCP socket": _socket(socket.AF_INET),
    "make a UDP socket": _socket(socket.AF_INET, socket.SOCK_DGRAM),
    "make an IPv6 socket": _socket(socket.AF_INET6),
    "make a raw socket": _socket(socket.AF_INET, _SOCK_RAW, 1),
    "make a netlink socket": _socket(socket.AF_NETLINK, _SOCK_RAW),
    "make a packet socket": _socket(socket.AF_PACKET, _SOCK_RAW),
    "make a vsock socket": _socket(_AF_VSOCK),
    "make a crypto socket": _socket(_AF_ALG, socket.SOCK_SEQPACKET),
    "make a UNIX datagram socket": _socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "connect over TCP": Act(lambda one: one.connect(("127.0.0.1", 9)), _tcp),
    "connect by fast open": Act(_fast_open, _tcp),
    "bind a TCP port": Act(lambda one: one.bind(("127.0.0.1", 0)), _tcp),
    "bind a socket to a device": Act(lambda one: one.setsockopt(socket.SOL_SOCKET, 25, b"lo"), _tcp),
    "send many messages": Act(lambda one: calls.call("sendmmsg", one.fileno(), None, 0, 0), _tcp),
    # processes
    "start a program": _call("execve", b"/bin/true", 0, 0),
    "start a program from a descriptor": _call("execveat", -100, b"/bin/true", 0, 0, 0),
    "fork": Act(_fork),
    "fork by clone3": _call("clone3", bytes(64), 64),
    "trace itself": _call("ptrace", 0, 0, 0, 0),
    "trace the supervisor": Act(lambda parent: calls.call("ptrace", _PTRACE_SEIZE, parent, 0, 0), _PARENT),
    "read the supervisor's memory": Act(lambda parent: calls.call("process_vm_readv", parent, 0, 0, 0, 0, 0), _PARENT),
    "write the supervisor's memory": Act(
        lambda parent: calls.call("process_vm_writev", parent, 0, 0, 0, 0, 0), _PARENT
    ),
    "signal the supervisor": Act(lambda parent: os.kill(parent, 0), _PARENT),
    "signal its threads": Act(lambda parent: calls.call("tgkill", parent, parent, 0), _PARENT),
    "queue it a signal": Act(lambda parent: calls.call("rt_sigqueueinfo", parent, 0, bytes(128)), _PARENT),
    "signal everybody": Act(lambda _: os.kill(-1, 0)),
    "hold the supervisor": Act(lambda parent: calls.call("pidfd_open", parent, 0), _PARENT),
    "take a descriptor of another process": _call("pidfd_getfd", 0, 0, 0),
    "compare processes": Act(lambda parent: calls.call("kcmp", parent, parent, 0, 0, 0), _PARENT),
    "limit another process": Act(lambda parent: calls.call("prlimit64", parent, 7, None, bytearray(16)), _PARENT),
    "raise its own limits": _call("prlimit64", 0, 7, struct.pack("=2Q", 64, 64), None),
    "change its scheduling": _call("sched_setscheduler", 0, 0, struct.pack("=i", 0)),
    # the kernel's inside
    "make an io_uring": _call("io_uring_setup", 1, bytes(120)),
    "enter an io_uring": _call("io_uring_enter", -1, 0, 0, 0, None, 0),
    "load BPF": _call("bpf", 0, None, 0),
    "count events": _call("perf_event_open", None, 0, -1, -1, 0),
    "handle page faults": _call("userfaultfd", 0),
    "use keyrings": _call("keyctl", 0, -3, 0),
    "add a key": _call("add_key", b"user", b"audit", b"x", 1, -3),
    "make a secret memory": _call("memfd_secret", 0),
    "find shared memory": _call("shmget", 1, 0, 0),
    "find a message queue": _call("msgget", 1, 0),
    "splice": _call("splice", -1, None, -1, None, 0, 0),
    # namespaces, mounts, the machine
    "mount": _call("mount", None, _NOWHERE, None, 0, None),
    "unmount": _call("umount2", _NOWHERE, 0),
    "open a tree to mount": _call("open_tree", -100, _NOWHERE, 0),
    "make a namespace": _call("unshare", 0),
    "enter a namespace": _call("setns", -1, 0),
    "change the root": _call("chroot", _NOWHERE),
    "pivot the root": _call("pivot_root", _NOWHERE, _NOWHERE),
    "load a module": _call("finit_module", -1, b"", 0),
    "load a kernel": _call("kexec_load", 0, 0, None, 0xFFFF),
    "reboot": _call("reboot", 0, 0, 0, None),
    "swap": _call("swapon", _NOWHERE, 0),
    "set the clock": _call("clock_settime", -1, bytes(16)),
    "name the host": _call("sethostname", b"", -1),
    "read the kernel's log": _call("syslog", 3, None, 0),
    # its own walls
    "become root": _call("setuid", 0),
    "raise capabilities": _call("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", 1, 1, 0, 0, 0, 0)),
    "change its personality": _call("personality", 0x0400000),
    "become unreadable": Act(lambda _: calls.prctl(4, 0)),
    "add a filter": _call("seccomp", 0, 0, None),
    "make a ruleset": _call("landlock_create_ruleset", None, 0, 1),
    **({"call as x32 does": Act(lambda _: calls.raw(0x40000000 + 39))} if calls.is_x86() else {}),
    **({name: _vfork_like(name) for name in ("vfork",)} if calls.is_x86() else {}),
}


def audit(found: Means) -> list[Outcome]:
    """Every act, tried behind the wall that can be made of this."""
    return [attempted(name, act, found) for name, act in ACTS.items()]


def attempted(name: str, act: Act, found: Means) -> Outcome:
    how = behind(found, act)
    return Outcome(name, how == _KILLED or how in {errno.errorcode[code] for code in _REFUSALS}, how)


# ── in words ────────────────────────────────────────────────────────────────────────────────────────────────────


def described(found: Means) -> str:
    """One line: what the wall consists of."""
    parts = [
        "no capabilities",
        "an empty root" if found.empty_root else "",
        f"Landlock ABI {found.landlock_abi}" if found.landlock_abi else "",
        "seccomp" if found.seccomp else "",
        "files opened by the supervisor" if found.opener else "",
    ]
    return ", ".join(part for part in parts if part)


def missing(found: Means) -> list[str]:
    """Of each part that is not there what, and the cure."""
    said = []
    if not found.seccomp:
        said.append("no seccomp filters: use Linux with CONFIG_SECCOMP_FILTER, on x86-64 or arm64")
    elif not found.opener:
        said.append(
            "the supervisor cannot open files for workers, which open them themselves: use Linux 5.14 or newer, with "
            "kernel.yama.ptrace_scope at most 1; in a container, with a profile that allows seccomp's listeners"
        )
    if not found.landlock_abi:
        said.append(
            "no Landlock: use Linux 5.13 or newer with `landlock` in /sys/kernel/security/lsm (boot with "
            "lsm=landlock,…); in a container, with a profile that allows landlock_restrict_self"
        )
    return said


# ── behind the wall ─────────────────────────────────────────────────────────────────────────────────────────────


def survey(landlock_abi: int | None = None) -> Means:
    """What a worker's wall can be made of, as this user on this kernel. Takes some milliseconds; forks, so that the
    caller has one thread."""
    found = wall.means(landlock_abi)
    if not found.opener:
        return found
    with tempfile.TemporaryDirectory(prefix="isolet-sandbox-") as scratch:
        name = Path(scratch) / (secrets.token_hex(32) + ".probe")
        name.write_bytes(b"found")
        opener = Opener("the sandbox's own trial", {name.parent: frozenset({name.suffix})})
        works = behind(found, Act(lambda _: _read(name)), opener) == "done"
    empty = works and behind(found, Act(_look_by_descriptor)) == "ENOENT"
    return replace(found, opener=works, empty_root=empty)


def _look_by_descriptor(_: Any) -> None:
    """What filters let through: they see the flag of fstat, and not that a path is beside it."""
    calls.call("newfstatat", -100, b"/etc", bytearray(256), 0x1000)


def _read(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if os.read(descriptor, 64) != b"found" or not os.get_blocking(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def behind(found: Means, act: Act, opener: Opener | None = None) -> str:
    """What becomes of an act behind the wall: "done", the name of an error, or of the signal that ended it."""
    opener = opener or Opener("an audit", {})
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _try(found, act, opener, writing)
    os.close(writing)
    opener.attend()
    try:
        said = _attended(opener, reading)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        opener.leave()
        os.close(reading)
    if said:
        return said
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def _attended(opener: Opener, reading: int) -> str:
    """Answers a child's calls until it has said how its act went, or ended without a word."""
    deadline_s = time.monotonic() + _ACT_S_MAX
    while (left_s := deadline_s - time.monotonic()) > 0:
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        for descriptor in opener.descriptors():
            poll.register(descriptor, select.POLLIN)
        for descriptor, events in poll.poll(left_s * 1000):
            if descriptor == reading:
                return os.read(reading, 64).decode()
            opener.serve(descriptor, events)
    return "no end"


def error_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "OSError")


def _try(found: Means, act: Act, opener: Opener, writing: int) -> None:
    """The child's life."""
    said = "no entry"
    try:
        given = act.given()
        wall.enter(found, opener.channel)
        said = "done"
        act.tried(given)
    except OSError as refused:
        said = error_name(refused)
    except BaseException as error:
        said = type(error).__name__
    finally:
        os.write(writing, said.encode())
        os._exit(0)
