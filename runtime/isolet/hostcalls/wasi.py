"""WASI's small change: arguments, environment, exit, and what is denied.

The other functions of preview1 are in wasi_fd.py (descriptors), wasi_path.py (paths), wasi_time.py (clocks and polls)
and random.py. Every one of the 46 is in one of these tables, with its type; a function that is not served says so with
NOSYS, or NOTSUP where it could only pretend.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..engine.host import GuestView, HostFunction
from ..errors import Exited
from . import errno
from .state import Strings


def args_get(guest: GuestView, pointers: int, block: int) -> int:
    return _put_strings(guest, guest.state.constants.arguments, pointers, block)


def args_sizes_get(guest: GuestView, count: int, size: int) -> int:
    return _put_sizes(guest, guest.state.constants.arguments, count, size)


def environ_get(guest: GuestView, pointers: int, block: int) -> int:
    return _put_strings(guest, guest.state.constants.environ, pointers, block)


def environ_sizes_get(guest: GuestView, count: int, size: int) -> int:
    return _put_sizes(guest, guest.state.constants.environ, count, size)


def _put_strings(guest: GuestView, strings: Strings, pointers: int, block: int) -> int:
    guest.write(block, strings.block)
    # The block lies in memory, so that no address in it exceeds 32 bits; one past the end of an empty one is not used.
    guest.write(pointers, struct.pack(f"<{len(strings.offsets)}I", *(block + offset for offset in strings.offsets)))
    return errno.SUCCESS


def _put_sizes(guest: GuestView, strings: Strings, count: int, size: int) -> int:
    guest.write_u32(count, len(strings.offsets))
    guest.write_u32(size, len(strings.block))
    return errno.SUCCESS


def proc_exit(guest: GuestView, code: int) -> None:
    """Ends the invocation, whatever the code: an outcome is answered, not exited with. The words are Lambda's."""
    if code == 0:
        raise Exited("Runtime exited without providing a reason")
    raise Exited(f"Runtime exited with error: exit status {code}")


def _denied(number: int) -> Callable[..., int]:
    def denied(_guest: GuestView, *_arguments: int) -> int:
        return number

    return denied


_WASI = "wasi_snapshot_preview1"
FUNCTIONS = (
    HostFunction(_WASI, "args_get", "ii", "i", args_get),
    HostFunction(_WASI, "args_sizes_get", "ii", "i", args_sizes_get),
    HostFunction(_WASI, "environ_get", "ii", "i", environ_get),
    HostFunction(_WASI, "environ_sizes_get", "ii", "i", environ_sizes_get),
    HostFunction(_WASI, "proc_exit", "i", "", proc_exit),
    HostFunction(_WASI, "proc_raise", "i", "i", _denied(errno.NOSYS)),
    HostFunction(_WASI, "sock_accept", "iii", "i", _denied(errno.NOTSUP)),
    HostFunction(_WASI, "sock_recv", "iiiiii", "i", _denied(errno.NOTSUP)),
    HostFunction(_WASI, "sock_send", "iiiii", "i", _denied(errno.NOTSUP)),
    HostFunction(_WASI, "sock_shutdown", "ii", "i", _denied(errno.NOTSUP)),
)
