"""The second wall of a worker: what is left to code that has broken out of WebAssembly.

    enter ── an empty root ── no_new_privs ── no capabilities ── Landlock ── seccomp ──→ the listener goes to the
    supervisor

Laws:
- A worker enters before it says that it is ready, and never leaves. Everything that it needs of the file system it has
  read by then.
- One thread enters: Landlock and capabilities are a thread's, and threads that come later inherit both.
- What a kernel has not is left out and said (audit.py finds out); nothing is assumed from versions.
- PR_SET_DUMPABLE stays: the supervisor reads the names of what a worker wants to open in its memory.

Root and other users alike: neither needs anything to be set up.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import linecache
import os
import secrets
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import SandboxMissing
from . import calls, landlock, policy, seccomp

_PR_SET_DUMPABLE, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 4, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
# linux/capability.h: version 3, which has 64 bits in two halves.
_CAPABILITY_VERSION: Final = 0x20080522
_CAPABILITIES_MAX: Final = 64
# The last step of a thread takes microseconds, of its own processor time.
_ENDING_S_MAX: Final = 2.0
_CLONE_NEWUSER: Final = 0x10000000


@dataclass(frozen=True)
class Means:
    """What a wall can be made of on this kernel, as this user. Found out by audit.survey."""

    landlock_abi: int = 0
    seccomp: bool = False
    # The supervisor can answer what a worker opens.
    opener: bool = False
    # A root with nothing in it: filters cannot tell looking at an open file from looking at a path.
    empty_root: bool = False

    @property
    def whole(self) -> bool:
        return self.landlock_abi > 0 and self.seccomp and self.opener


def means(landlock_abi: int | None = None) -> Means:
    """What this kernel says it has; `landlock_abi` instead of what it says of Landlock."""
    filters = seccomp.available()
    return Means(
        landlock.abi() if landlock_abi is None else max(landlock_abi, 0),
        filters,
        filters and seccomp.available(seccomp.NOTIFY),
    )


# What is imported when it is first asked for: zipfile's old encoding of names, that of domains, those in which control
# characters are escaped and AssemblyScript's strings are read; a failing request needs all that makes its traceback.
_IMPORTED_LATER: Final = (
    "encodings.cp437",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.ascii",
    "encodings.unicode_escape",
    "encodings.utf_16_le",
    "encodings.utf_8",
    "concurrent.futures.thread",
    "linecache",
    "stringprep",
    "traceback",
    "unicodedata",
)


def warm_up(package: str = __name__.partition(".")[0]) -> None:
    """Has read what a worker would read later of the file system, as far as it is known before: modules, and our own
    lines for tracebacks. In the supervisor, for all."""
    for name in _IMPORTED_LATER:
        importlib.import_module(name)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == package and file and (lines := linecache.getlines(file)):
            # Without a time: it is not looked at again.
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def before_loop(found: Means) -> None:
    """No rings for this process: to be called before uvloop makes its loop. Raises SandboxMissing."""
    if found.seccomp:
        with _explained("seccomp"):
            calls.prctl(_PR_SET_NO_NEW_PRIVS, 1)
            seccomp.install(policy.NO_RINGS)


def enter(found: Means, channel: socket.socket | None = None, readable: Sequence[Path] = ()) -> None:
    """This process is behind the wall when this returns. For its only thread.

    `channel` leads to the supervisor's Opener and is closed; without it, or means for it, `readable` are the
    directories whose files may be opened. Raises SandboxMissing.
    """
    if not _is_alone():
        raise SandboxMissing("a worker entered its sandbox with threads, which would stay outside; report it")
    answered = channel if found.seccomp and found.opener else None
    _without_input()
    if answered:
        _empty_root()
    with _explained("prctl"):
        calls.prctl(_PR_SET_DUMPABLE, 1)
        calls.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with _explained("capabilities"):
        _drop_capabilities()
    if found.landlock_abi:
        with _explained("Landlock"):
            landlock.restrict(found.landlock_abi, () if answered else readable)
    if found.seccomp:
        with _explained("seccomp"):
            listener = seccomp.install(policy.worker(os.getpid(), answered is not None), listen=answered is not None)
            if answered is not None:
                _hand_over(answered, listener)
    if channel is not None:
        channel.close()


@contextlib.contextmanager
def _explained(part: str) -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise SandboxMissing(f"a worker cannot enter its sandbox: {part}: {reason.strerror}") from None


def _is_alone() -> bool:
    """Whether this is the only thread, once those that are ending have ended: Python does not wait for their last
    step."""
    deadline_s = time.monotonic() + _ENDING_S_MAX
    while len(os.listdir("/proc/self/task")) != 1:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.001)
    return True


def _without_input() -> None:
    """The terminal is nobody's to type into."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)


def _empty_root() -> None:
    """Where paths lead: a directory that is empty, and removed, so that nothing can be made there either. Left out
    where neither this user nor one of a user namespace may change its root."""
    try:
        above = os.open(tempfile.gettempdir(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        name = f"isolet-{secrets.token_hex(8)}"
        os.mkdir(name, 0o500, dir_fd=above)
        try:
            os.chdir(os.path.join(tempfile.gettempdir(), name))
            try:
                os.chroot(".")
            except PermissionError:
                calls.call("unshare", _CLONE_NEWUSER)
                os.chroot(".")
            os.chdir("/")
        finally:
            os.rmdir(name, dir_fd=above)
    except OSError:
        return
    finally:
        os.close(above)


def _drop_capabilities() -> None:
    """None now, and none to be had."""
    for capability in range(_CAPABILITIES_MAX):
        try:
            if calls.prctl(_PR_CAPBSET_READ, capability):
                calls.prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break  # beyond the last one that there is; or this user has none to drop it with
    with contextlib.suppress(OSError):  # kernels before 4.3 have none
        calls.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    calls.call("capset", struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24))


def _hand_over(channel: socket.socket, listener: int) -> None:
    """The supervisor has it, and we do not: who holds it answers for this process."""
    channel.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
