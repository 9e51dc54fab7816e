"""Landlock: this process, and whatever it starts, has no file system, no TCP, and no one outside to signal.

    kernel 5.13  ABI 1   files: open, make, remove
           5.19      2   … and link or rename into another directory
           6.2       3   … truncate
           6.7       4   TCP: bind and connect
           6.10      5   ioctl on devices
           6.12      6   signals and abstract UNIX sockets: not to who is outside

Laws:
- What a kernel knows is asked of it, never assumed; what it does not know, seccomp holds alone.
- Whoever has entered does not get out; entering twice narrows. Descriptors that were open before stay usable.
- It holds for the thread that enters and those that it starts: wall.py enters while there is one.

Source: Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import calls

_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
# Every right over files that an ABI knows: EXECUTE to MAKE_SYM, then REFER, TRUNCATE, IOCTL_DEV.
_FILES: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP: Final = ((4, 0b11),)  # BIND_TCP, CONNECT_TCP
_SCOPES: Final = ((6, 0b11),)  # ABSTRACT_UNIX_SOCKET, SIGNAL
TCP_ABI: Final = 4
SCOPES_ABI: Final = 6


def abi() -> int:
    """What this kernel knows; 0: no Landlock, or it is not switched on."""
    try:
        return calls.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def restrict(version: int, readable: Sequence[Path] = ()) -> None:
    """Enters, for a kernel of this ABI: nothing is left but to open files below `readable` for reading. Needs
    no_new_privs. Raises OSError."""
    handled = [_known(rights, version) for rights in (_FILES, _TCP, _SCOPES)]
    # An older kernel takes a shorter structure; a longer one only if what is beyond is zero.
    attributes = struct.pack("=3Q", *handled)[: 8 if version < TCP_ABI else 16 if version < SCOPES_ABI else 24]
    ruleset = calls.call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for directory in readable:
            _admit(ruleset, directory)
        calls.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _known(rights: Sequence[tuple[int, int]], version: int) -> int:
    return sum(bits for since, bits in rights if since <= version)


def _admit(ruleset: int, directory: Path) -> None:
    descriptor = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        calls.call("landlock_add_rule", ruleset, _PATH_BENEATH, struct.pack("=Qi", _READ_FILE, descriptor), 0)
    finally:
        os.close(descriptor)
