"""The second wall of a builder: Landlock without a rule, and the system calls that compiling takes, no others.

Namespaces leave it a root with nothing in it (namespaces.py). What is behind them is the kernel itself, and most of its
past holes were in calls that a compiler never makes: so it cannot make them. Where namespaces are not given, this is
what closes the file system.

Laws:
- It works on descriptors that it was handed; nothing is opened, connected, executed or signalled any more.
- What it tries in good faith is refused, and it does without: names of files, the newer calls of libraries. What nobody
  who compiles tries ends the process.
- What a kernel has not is noted (`Room.notes`).
"""

from __future__ import annotations

import errno
import os
from typing import Final

from . import landlock, seccomp
from .seccomp import ALLOW, KILL, Checked, Policy, Word, refuse


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Memory; threads and their signals; its descriptors; clocks; what it is.
_ALLOWED: Final = _names("""
    mmap munmap mprotect mremap madvise brk memfd_create membarrier
    futex rseq set_robust_list sched_yield sched_getaffinity getcpu exit exit_group restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    read readv pread64 write writev lseek close dup fstat poll ppoll
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getrusage times
    getrandom getpid gettid getuid geteuid getgid getegid uname sysinfo
""")
_LOOKED: Final = _names("stat lstat access faccessat readlink readlinkat newfstatat statx open openat")
_KILLED: Final = _names("""
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev pidfd_getfd
    socket socketpair connect bind listen accept accept4
    io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key request_key
    mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    unshare setns open_by_handle_at name_to_handle_at
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff iopl ioperm modify_ldt
""")
# What pthread_create asks of clone: glibc, and musl.
_THREADS: Final = (0x003D0F00, 0x007D0F00)
# F_GETFD to F_SETFL; F_DUPFD_CLOEXEC, and the seals of a memfd.
_FCNTL: Final = (1, 2, 3, 4, 1030, 1033, 1034)
# TCGETS, FIONREAD, FIOCLEX: what opening a descriptor as a file asks.
_IOCTL: Final = (0x5401, 0x541B, 0x5451)
# PR_SET_NAME, PR_GET_NAME of threads; PR_SET_VMA: names of mappings.
_PRCTL: Final = (15, 16, 0x53564D41)


def policy(pid: int) -> Policy:
    """Of the builder that has this number where it is."""
    checked = {
        "fcntl": _among(1, _FCNTL),
        "ioctl": _among(1, _IOCTL),
        "prctl": _among(0, _PRCTL),
        "clone": Checked(tuple((Word(0, flags),) for flags in _THREADS), KILL),
        "tgkill": _among(0, (pid,)),  # abort
        "kill": _among(0, (pid,)),
        # Its own limits, to read: how large the stack is. What it may use it cannot raise.
        "prlimit64": _among(0, (0, pid)),
    }
    always = dict.fromkeys(_ALLOWED, ALLOW)
    # A memory image's own file; and an artifact that is written anew.
    always["ftruncate"] = ALLOW
    always |= dict.fromkeys(_LOOKED, refuse(errno.EACCES))
    always |= dict.fromkeys(_KILLED, KILL)
    return Policy(checked, always)


def _among(argument: int, values: tuple[int, ...]) -> Checked:
    return Checked(tuple((Word(argument, value),) for value in values))


def confine(notes: list[str]) -> None:
    """For this thread and those that it starts, for good. Needs no_new_privs."""
    version = landlock.abi()
    if version:
        try:
            landlock.restrict(version)
        except OSError as error:
            notes.append(f"no Landlock: {error.strerror}")
    else:
        notes.append("no Landlock in this kernel")
    if not seccomp.available():
        notes.append("no seccomp in this kernel")
        return
    try:
        seccomp.install(policy(os.getpid()))
    except OSError as error:
        notes.append(f"no seccomp: {error.strerror}")
