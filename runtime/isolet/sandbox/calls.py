"""System calls by number: what a filter must name, and what neither Python nor every C library has a function for.

The numbers are the kernel's tables of x86-64 and of arm64 (arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h); -1: this machine has no such call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Final, NamedTuple


class Machine(NamedTuple):
    """An architecture as seccomp names it. `foreign` is the first number of another ABI on it, which none of ours
    uses."""

    column: int
    audit: int
    foreign: int | None


# linux/audit.h: the ELF machine, 64 bits, little endian. x32 numbers have bit 30 set (asm/unistd.h).
MACHINES: Final = {
    "x86_64": Machine(0, 0xC000003E, 0x40000000),
    "aarch64": Machine(1, 0xC00000B7, None),
}

# name: (x86-64, arm64)
NUMBERS: Final = {
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "write": (1, 64),
    "writev": (20, 66),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "select": (23, -1),
    "pselect6": (270, 72),
    "epoll_wait": (232, -1),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "epoll_ctl": (233, 21),
    "epoll_create1": (291, 20),
    "eventfd2": (290, 19),
    "pipe2": (293, 59),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "memfd_create": (319, 279),
    "membarrier": (324, 283),
    "futex": (202, 98),
    "rseq": (334, 293),
    "set_robust_list": (273, 99),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "clone": (56, 220),
    "clone3": (435, 435),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "tgkill": (234, 131),
    "kill": (62, 129),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "rt_sigpending": (127, 136),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "times": (100, 153),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrandom": (318, 278),
    "prlimit64": (302, 261),
    "getrlimit": (97, 163),
    "prctl": (157, 167),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "setsockopt": (54, 208),
    "open": (2, -1),
    "openat": (257, 56),
    "openat2": (437, 437),
    "stat": (4, -1),
    "lstat": (6, -1),
    "access": (21, -1),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "utimensat": (280, 88),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "ptrace": (101, 117),
    "kcmp": (312, 272),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "capset": (126, 91),
    "bind": (49, 200),
    "listen": (50, 201),
    "sendmmsg": (307, 269),
    "getdents64": (217, 61),
    "unlinkat": (263, 35),
    "renameat2": (316, 276),
    "mkdirat": (258, 34),
    "symlinkat": (266, 36),
    "linkat": (265, 37),
    "fchmod": (91, 52),
    "fchown": (93, 55),
    "ftruncate": (77, 46),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tkill": (200, 130),
    "setuid": (105, 146),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
    "personality": (135, 92),
    "syslog": (103, 116),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "signalfd4": (289, 74),
    "timerfd_create": (283, 85),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "shmget": (29, 194),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "splice": (275, 76),
    "sendfile": (40, 71),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "chdir": (80, 49),
    "truncate": (76, 45),
    "mknodat": (259, 33),
    "setrlimit": (160, 164),
}


def machine() -> Machine | None:
    """This machine's; None where no filter of ours can be."""
    return MACHINES.get(platform.machine()) if sys.platform.startswith("linux") and sys.maxsize > 2**32 else None


def number(name: str, of: Machine) -> int:
    return NUMBERS[name][of.column]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)

# An argument: a number, or memory that the kernel reads or writes.
Argument = int | bytes | bytearray | None


def call(name: str, *arguments: Argument) -> int:
    """The kernel's answer. Raises OSError; ENOSYS, too, where this machine has no such call."""
    here = machine()
    given = -1 if here is None else number(name, here)
    answer = int(_libc.syscall(ctypes.c_long(given), *map(_passed, arguments)))
    if answer == -1:
        _raise(name)
    return answer


def raw(number: int) -> int:
    """A call without arguments, by a number that is nobody's. Raises OSError."""
    answer = int(_libc.syscall(ctypes.c_long(number)))
    if answer == -1:
        _raise(f"call {number}")
    return answer


def is_x86() -> bool:
    here = machine()
    return here is not None and here.foreign is not None


def _passed(argument: Argument) -> object:
    if isinstance(argument, bytearray):
        return (ctypes.c_char * len(argument)).from_buffer(argument)
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return ctypes.c_long(argument or 0)


def prctl(option: int, *arguments: int) -> int:
    """Raises OSError."""
    answer = int(_libc.prctl(option, *(*arguments, 0, 0, 0, 0)[:4]))
    if answer == -1:
        _raise(f"prctl {option}")
    return answer


def _raise(what: str) -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), what)
