"""`isolet.fail`: a guest that can neither go on nor return ends its invocation with an error of its own.

Languages without unwinding (Rust and Zig in WebAssembly, AssemblyScript) run a hook when a program panics and then
trap. A trap says nothing to the caller; the hook knows what was wrong and where.
"""

from __future__ import annotations

from typing import Never

from .. import abi, limits
from ..engine.host import GuestView, HostFunction
from ..errors import AbiViolation


def fail(guest: GuestView, ptr: int, length: int) -> Never:
    """Never returns to the guest. The bytes are an outcome whose key is `error`; anything else is an AbiViolation."""
    guest.read(ptr + length, 0)
    if length > limits.FAILURE_BYTES_MAX:
        raise AbiViolation(f"isolet.fail was given {length:,} bytes; at most {limits.FAILURE_BYTES_MAX:,} are taken")
    abi.unpack_outcome(guest.read(ptr, length))
    raise AbiViolation("isolet.fail was given a result; only an `error` ends an invocation early")


FUNCTIONS = (HostFunction("isolet", "fail", "ii", "", fail),)
