"""What a worker may ask of the kernel once it serves, call by call, and why. Everything else is refused.

    allowed    memory, its own descriptors, its connections, time, threads of its own
    answered   by the supervisor: opening a file, connecting to the keeper (opener.py)
    EACCES     looking at the file system: what libraries do on their way to an import or a traceback, and survive
    ENOSYS     what libraries try first and do without
    EPERM      the rest
    the end    what no library of ours ever tries, and who has taken a worker over tries first

Killing and refusing are not the same wall twice. A refusal lets who broke out look for the next gap, as often as there
are requests; after a kill, one try costs all that was gained, and the supervisor says so in the log. What a library may
probe in good faith is refused instead: a worker that died of it would take other tenants' requests along.

PROT_EXEC and memfd_create stay: wasmtime maps code and the images of memories. Code that may map and run bytes of its
own gains nothing by it: it is the system calls that lead out.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from .seccomp import ALLOW, KILL, NOTIFY, Checked, Null, Policy, Word, refuse


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Memory; waiting, threads, signals of its own; its descriptors; its sockets; clocks; what it is.
_ALLOWED: Final = _names("""
    mmap munmap mprotect mremap madvise brk memfd_create membarrier
    futex rseq set_robust_list sched_yield sched_getaffinity getcpu exit exit_group restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack
    read readv pread64 preadv preadv2 write writev lseek close dup dup3 fstat pipe2 eventfd2
    poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    listen accept accept4 recvfrom recvmsg shutdown getsockname getpeername getsockopt
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getrusage times
    getrandom getpid getppid gettid getuid geteuid getgid getegid uname sysinfo
""")

_KILLED: Final = _names("""
    execve execveat fork vfork
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd
    io_uring_setup io_uring_enter io_uring_register
    bpf perf_event_open userfaultfd keyctl add_key request_key
    mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    unshare setns open_by_handle_at name_to_handle_at
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
    iopl ioperm modify_ldt
""")

_LOOKED: Final = ["stat", "lstat", "access", "faccessat", "readlink", "readlinkat"]

_AT_EMPTY_PATH: Final = 0x1000
_MSG_FASTOPEN: Final = 0x20000000
# What pthread_create asks of clone: glibc and musl (which adds CLONE_DETACHED, without effect since 2.6).
_THREAD: Final = 0x003D0F00
_THREAD_OF_MUSL: Final = 0x007D0F00
_STREAM: Final = (Word(0, socket.AF_UNIX), Word(1, socket.SOCK_STREAM, 0xF))
# F_DUPFD, F_GETFD to F_SETFL; F_SETLK and F_SETLKW, by which workers take turns (tally.py); F_DUPFD_CLOEXEC, and the
# seals of a memfd.
_FCNTL: Final = (0, 1, 2, 3, 4, 6, 7, 1030, 1033, 1034)
# TCGETS, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: isatty, and what libuv does to descriptors.
_IOCTL: Final = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
# PR_SET_NAME, PR_GET_NAME of threads; PR_SET_VMA: names of mappings.
_PRCTL: Final = (15, 16, 0x53564D41)
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_LINGER),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
)
# What opening for reading may say: O_NOCTTY, O_NONBLOCK, O_LARGEFILE of both machines, O_NOFOLLOW of both, O_CLOEXEC.
READING: Final = 0o400 | 0o4000 | 0o100000 | 0o400000 | os.O_NOFOLLOW | os.O_LARGEFILE | os.O_CLOEXEC


def _among(argument: int, values: tuple[int, ...]) -> Checked:
    return Checked(tuple((Word(argument, value),) for value in values))


def worker(pid: int, answered: bool) -> Policy:
    """The policy of the process `pid`. Not `answered`: nobody listens; files are opened for reading without asking,
    which Landlock then narrows, and sockets are connected."""
    checked = {
        # Never to open a connection, in disguise: on a socket that was shut down, this flag would.
        "sendto": Checked(((Word(3, 0, _MSG_FASTOPEN), Null(4)),)),
        "sendmsg": Checked(((Word(2, 0, _MSG_FASTOPEN),),)),
        "fcntl": _among(1, _FCNTL),
        "ioctl": _among(1, _IOCTL),
        "setsockopt": Checked(tuple((Word(1, level), Word(2, option)) for level, option in _SOCKET_OPTIONS)),
        # Of an open file. (A path beside the flag would tell its size and age; in an empty root there is none.)
        "newfstatat": Checked(((Word(3, _AT_EMPTY_PATH, _AT_EMPTY_PATH),),), refuse(errno.EACCES)),
        "statx": Checked(((Word(2, _AT_EMPTY_PATH, _AT_EMPTY_PATH),),), refuse(errno.EACCES)),
        # MADV_POPULATE_WRITE (engine/workingset.py), which the kernel takes of nobody about another process.
        "process_madvise": _among(3, (23,)),
        # The time of last use of an artifact that is open: now.
        "utimensat": Checked(((Null(1), Null(2)),)),
        # For the link to the keeper; for the loop's own signals.
        "socket": Checked((_STREAM,)),
        "socketpair": Checked((_STREAM,)),
        # Threads come after the wall, and are behind it, too: of asyncio's pool, which hashes large bodies.
        "clone": Checked(((Word(0, _THREAD),), (Word(0, _THREAD_OF_MUSL),)), KILL),
        "kill": _among(0, (pid,)),
        "tgkill": _among(0, (pid,)),
        "prctl": _among(0, _PRCTL),
        # Its own limits, to read.
        "prlimit64": Checked(((Word(0, 0), Null(2)), (Word(0, pid), Null(2)))),
    }
    always = dict.fromkeys(_ALLOWED, ALLOW)
    always |= dict.fromkeys(_LOOKED, refuse(errno.EACCES))
    if answered:
        always |= dict.fromkeys(("open", "openat", "connect"), NOTIFY)
    else:
        checked["open"] = Checked(((Word(1, 0, 0xFFFFFFFF ^ READING),),), refuse(errno.EACCES))
        checked["openat"] = Checked(((Word(2, 0, 0xFFFFFFFF ^ READING),),), refuse(errno.EACCES))
        always["connect"] = ALLOW
    always |= dict.fromkeys(_KILLED, KILL)
    return Policy(checked, always)


# Before uvloop makes its loop: libuv would make a ring to save system calls, and what is asked over a ring no filter
# sees. It does without.
NO_RINGS: Final = Policy(
    always=dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register"), refuse(errno.ENOSYS)),
    otherwise=ALLOW,
    newer=ALLOW,
)
