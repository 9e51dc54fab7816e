"""`isolet.library`: an interpreter asks for a file of its library (a module's code) when a program imports it.

The library of a language is larger than what one function uses of it. In linear memory it would be in every function's
snapshot; here it is one archive a machine, and a function's memory holds what it imported.

Laws:
- The files are the runtime's, the same for all tenants and all invocations: a guest learns nothing from them.
- It works while a snapshot is made, too: what it answers never changes.
"""

from __future__ import annotations

from .. import abi, limits
from ..engine.host import GuestView, HostFunction
from .state import HostState

# Longer than any name in a library.
_NAME_BYTES_MAX = 512


def library(guest: GuestView, ptr: int, length: int) -> int:
    """The length of the file with this name, which `isolet.take` then copies; −1: there is none."""
    state: HostState = guest.state
    guest.read(ptr + length, 0)
    if length > _NAME_BYTES_MAX:
        return abi.MALFORMED
    try:
        name = guest.read(ptr, length).decode()
    except UnicodeDecodeError:
        return abi.MALFORMED
    file = state.constants.library.get(name)
    if file is None:
        return abi.MALFORMED
    guest.charge(len(file) // limits.COPIED_BYTES_PER_FUEL)
    state.reply = file
    return len(file)


FUNCTIONS = (HostFunction("isolet", "library", "ii", "i", library),)
