"""Fresh random bytes from the operating system: the capability `random` and WASI's random_get."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .. import abi, limits
from ..engine.host import GuestView, HostFunction
from . import errno
from .capability import Denied, Session, one_number
from .state import HostConstants, HostState


class Random:
    """["random", length] → bin. Granted to everyone."""

    def link(self) -> Iterable[str]:
        return ("random",)

    def admit(self, constants: HostConstants) -> Any:
        return ()

    def open(self, grant: Any) -> Session:
        return _random


def _random(_state: HostState, _name: str, arguments: list[Any]) -> bytes:
    length = one_number(arguments, int)
    if length < 0:
        raise Denied(abi.MALFORMED)
    if length > limits.RANDOM_BYTES_MAX:
        raise Denied(abi.REFUSED)
    return abi.pack(os.urandom(length))


def random_get(guest: GuestView, ptr: int, length: int) -> int:
    """All of the bytes at once: WASI has no short answer here, so that more than RANDOM_GET_BYTES_MAX is refused."""
    guest.read(ptr + length, 0)
    if length > limits.RANDOM_GET_BYTES_MAX:
        return errno.INVAL
    guest.charge(length * limits.RANDOM_BYTE_FUEL)
    guest.write(ptr, os.urandom(length))
    return errno.SUCCESS


FUNCTIONS = (HostFunction("wasi_snapshot_preview1", "random_get", "ii", "i", random_get),)
