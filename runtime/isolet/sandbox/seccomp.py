"""seccomp: which system calls a process may make, as a classic BPF program that the kernel runs at each of them.

    Policy ── assemble ──→ program ── install ──→ the kernel; a listener, if calls are to be answered by another process

Laws:
- What a policy does not name is refused. Numbers from NEWER on, which libraries try and do without, get ENOSYS; others
  EPERM.
- A call of another architecture, or of x32, ends the process: its numbers mean other things.
- A condition looks at registers only. What a pointer points to may change after the look: such calls are refused whole,
  or answered by another process (opener.py).

Of calls that are always allowed the kernel keeps a bitmap and does not run the program (since 5.11).
Source: Documentation/userspace-api/seccomp_filter.rst, linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from . import calls
from .calls import Machine

KILL: Final = 0x80000000  # the process, by SIGSYS
NOTIFY: Final = 0x7FC00000
ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
# Since 5.1 calls have the same number everywhere; the first of them.
NEWER: Final = 424


def refuse(code: int) -> int:
    return _ERRNO | code


class Word(NamedTuple):
    """An argument, numbered from 0, that is an int: its low half & mask == value. The kernel looks at no more of it."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


class Null(NamedTuple):
    """An argument that is a null pointer."""

    argument: int


Condition = Word | Null


@dataclass(frozen=True)
class Checked:
    """Allowed if all conditions of one of the cases hold."""

    cases: tuple[tuple[Condition, ...], ...]
    otherwise: int = refuse(errno.EPERM)


@dataclass(frozen=True)
class Policy:
    """What becomes of which calls, by name. `always`: an action for each."""

    checked: Mapping[str, Checked] = field(default_factory=dict)
    always: Mapping[str, int] = field(default_factory=dict)
    otherwise: int = refuse(errno.EPERM)
    newer: int = refuse(errno.ENOSYS)


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────────

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
# struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits.
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_INSTRUCTIONS_MAX: Final = 4_096

Instruction = tuple[int, int, int, int]


def assemble(policy: Policy, machine: Machine) -> list[Instruction]:
    """(code, jump if true, jump if false, operand) of each instruction."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine.foreign is not None:
        program += [(_AT_LEAST, 0, 1, machine.foreign), (_RETURN, 0, 0, KILL)]
    # The checked ones first: for these alone the program runs each time.
    for name, checked in policy.checked.items():
        program += _block(calls.number(name, machine), _checks(checked))
    for name, action in policy.always.items():
        program += _block(calls.number(name, machine), [(_RETURN, 0, 0, action)])
    program += [
        (_AT_LEAST, 0, 1, NEWER),
        (_RETURN, 0, 0, policy.newer),
        (_RETURN, 0, 0, policy.otherwise),
    ]
    assert len(program) <= _INSTRUCTIONS_MAX, "the kernel takes no more"
    return program


def _block(number: int, body: Sequence[Instruction]) -> list[Instruction]:
    """`body`, which returns, for this call; the number stays loaded for others."""
    if number < 0:
        return []
    assert len(body) < 256, "a jump is a byte"
    return [(_EQUAL, 0, len(body), number), *body]


def _checks(checked: Checked) -> list[Instruction]:
    body: list[Instruction] = []
    for case in checked.cases:
        steps = [step for condition in case for step in _loads(condition)]
        for at, (code, _, _, operand) in enumerate(steps):
            # If it does not hold: over the rest of this case and its return.
            body.append((code, 0, len(steps) - at if code == _EQUAL else 0, operand))
        body.append((_RETURN, 0, 0, ALLOW))
    body.append((_RETURN, 0, 0, checked.otherwise))
    return body


def _loads(condition: Condition) -> list[Instruction]:
    """Goes on if it holds; `_checks` says where to if not. Both machines are little endian: the low half comes
    first."""
    at = _ARGUMENTS_AT + 8 * condition.argument
    if isinstance(condition, Null):
        return [(_LOAD, 0, 0, at), (_EQUAL, 0, 0, 0), (_LOAD, 0, 0, at + 4), (_EQUAL, 0, 0, 0)]
    masked: Iterable[Instruction] = [] if condition.mask == 0xFFFFFFFF else [(_AND, 0, 0, condition.mask)]
    return [(_LOAD, 0, 0, at), *masked, (_EQUAL, 0, 0, condition.value & 0xFFFFFFFF)]


# ── the kernel ──────────────────────────────────────────────────────────────────────────────────────────────────

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_NEW_LISTENER: Final = 1 << 3


def available(action: int = ALLOW) -> bool:
    """Whether this kernel filters, and knows the action."""
    try:
        calls.call("seccomp", _GET_ACTION_AVAIL, 0, struct.pack("=I", action))
    except OSError:
        return False
    return calls.machine() is not None


def install(policy: Policy, listen: bool = False) -> int:
    """The policy holds for this thread, and those that it starts, for good. Answers the listener's descriptor, or -1.
    Needs no_new_privs. Raises OSError."""
    machine = calls.machine()
    assert machine is not None, "seccomp is available"
    program = assemble(policy, machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    # struct sock_fprog: a length, and a pointer where pointers are aligned.
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    found = calls.call("seccomp", _SET_MODE_FILTER, _NEW_LISTENER if listen else 0, header)
    if not listen:
        return -1
    os.set_inheritable(found, False)
    return found
