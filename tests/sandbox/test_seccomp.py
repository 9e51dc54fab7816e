"""Filters as the kernel runs them: assembled for both machines, and interpreted here instruction by instruction."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from isolet.sandbox import calls, policy
from isolet.sandbox.calls import MACHINES, Machine
from isolet.sandbox.seccomp import ALLOW, KILL, NOTIFY, Checked, Null, Policy, Word, assemble, refuse

EPERM, EACCES, ENOSYS = (refuse(code) for code in (errno.EPERM, errno.EACCES, errno.ENOSYS))
X86, ARM = MACHINES["x86_64"], MACHINES["aarch64"]
PID = 4_242
WORKER = policy.worker(PID, answered=True)
ALONE = policy.worker(PID, answered=False)


def outcome(of: Policy, machine: Machine, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the program says to this call."""
    program = assemble(of, machine)
    values = [value % 2**64 for value in (*arguments, *[0] * 6)[:6]]
    data = struct.pack("=iIQ6Q", number, machine.audit if audit is None else audit, 0, *values)
    loaded, at = 0, 0
    while True:
        code, true, false, operand = program[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            loaded &= operand
        elif code == 0x15:
            at += true if loaded == operand else false
        elif code == 0x35:
            at += true if loaded >= operand else false
        else:
            assert code == 0x06, "no other instruction is assembled"
            return operand


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


def said(machine: Machine, name: str, *arguments: int, of: Policy = WORKER) -> int:
    return outcome(of, machine, calls.number(name, machine), *arguments)


def test_call_of_another_architecture_ends_the_process() -> None:
    for mine, other in ((X86, ARM), (ARM, X86)):
        assert outcome(WORKER, mine, calls.number("read", mine), audit=other.audit) == KILL
    i386 = 0x40000003
    assert outcome(WORKER, X86, 20, audit=i386) == KILL


def test_call_of_x32_ends_the_process() -> None:
    assert outcome(WORKER, X86, 0x40000000 | calls.number("read", X86)) == KILL
    assert outcome(WORKER, X86, -1) == KILL


def test_what_nobody_named_is_refused_and_what_is_new_does_not_exist(machine: Machine) -> None:
    assert said(machine, "bind") == EPERM
    assert outcome(WORKER, machine, 423) == EPERM
    assert outcome(WORKER, machine, 424) == ENOSYS
    assert outcome(WORKER, machine, 10_000) == ENOSYS


@pytest.mark.parametrize("name", sorted({*WORKER.always, *WORKER.checked}))
def test_every_named_call_has_its_own_action(machine: Machine, name: str) -> None:
    number = calls.number(name, machine)
    if number < 0:
        assert machine is ARM, "x86-64 has all of them"
        return
    if name in WORKER.always:
        assert outcome(WORKER, machine, number) == WORKER.always[name]
    else:
        # A pointer where none may be, a number that is none: no case holds.
        assert outcome(WORKER, machine, number, *[0x7FFF_FFFF_7FFF_FFFF] * 6) in (
            WORKER.checked[name].otherwise,
            # These allow what has a flag, whatever else it has.
            ALLOW if name in ("newfstatat", "statx") else WORKER.checked[name].otherwise,
        )


def test_no_number_means_two_calls(machine: Machine) -> None:
    numbers = [of[machine.column] for of in calls.NUMBERS.values() if of[machine.column] >= 0]
    assert len(numbers) == len(set(numbers))


def test_numbers_are_this_machines() -> None:
    assert calls.call("getpid") == os.getpid()
    assert calls.call("getppid") == os.getppid()


def test_int_is_what_the_kernel_reads_of_it(machine: Machine) -> None:
    """Only the low half: rubbish above it neither admits nor refuses."""
    assert said(machine, "kill", PID | 0xDEAD_0000_0000, 9) == ALLOW
    assert said(machine, "kill", PID + 1) == EPERM
    assert said(machine, "kill", -1) == EPERM


def test_pointer_is_null_in_both_halves(machine: Machine) -> None:
    assert said(machine, "sendto", 5, 1, 2, 0, 0) == ALLOW
    assert said(machine, "sendto", 5, 1, 2, 0, 0x1_0000_0000) == EPERM
    assert said(machine, "sendto", 5, 1, 2, 0, 1) == EPERM


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("socket", (1, 1 | 0o4000 | 0o2000000), ALLOW),
        ("socket", (1, 2), EPERM),
        ("socket", (2, 1), EPERM),
        ("socket", (10, 1), EPERM),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (0x7D0F00,), ALLOW),
        ("clone", (17,), KILL),
        ("clone", (0x3D0F00 | 0x10000000,), KILL),  # CLONE_NEWUSER
        ("sendto", (5, 1, 2, 0x4000, 0), ALLOW),  # MSG_NOSIGNAL
        ("sendto", (5, 1, 2, 0x20000000, 0), EPERM),  # MSG_FASTOPEN
        ("sendmsg", (5, 1, 0x20000000), EPERM),
        ("sendmsg", (5, 1, 0), ALLOW),
        ("newfstatat", (5, 1, 2, 0x1000), ALLOW),
        ("newfstatat", (5, 1, 2, 0), EACCES),
        ("statx", (5, 1, 0x1000), ALLOW),
        ("statx", (5, 1, 0), EACCES),
        ("utimensat", (5, 0, 0), ALLOW),
        ("utimensat", (5, 1, 0), EPERM),
        ("utimensat", (5, 0, 1), EPERM),
        ("fcntl", (5, 1030), ALLOW),
        ("fcntl", (5, 8), EPERM),  # F_SETOWN
        ("ioctl", (5, 0x5421), ALLOW),
        ("ioctl", (5, 0x5412), EPERM),  # TIOCSTI
        ("prctl", (15,), ALLOW),
        ("prctl", (4,), EPERM),  # PR_SET_DUMPABLE
        ("prlimit64", (0, 7, 0), ALLOW),
        ("prlimit64", (0, 7, 1), EPERM),
        ("prlimit64", (1, 7, 0), EPERM),
        ("setsockopt", (5, 6, 1), ALLOW),
        ("setsockopt", (5, 6, 31), EPERM),  # TCP_ULP
        ("setsockopt", (5, 1, 25), EPERM),  # SO_BINDTODEVICE
        ("openat", (-100, 1, 0), NOTIFY),
        ("connect", (5, 1, 2), NOTIFY),
    ],
)
def test_condition_decides(machine: Machine, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert said(machine, name, *arguments) == expected


def test_unanswered_open_is_for_reading(machine: Machine) -> None:
    assert said(machine, "openat", -100, 1, os.O_RDONLY | os.O_CLOEXEC, of=ALONE) == ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND, 0o20000000):
        assert said(machine, "openat", -100, 1, flags | os.O_CLOEXEC, of=ALONE) == EACCES


def test_rings_do_not_exist_and_nothing_else_changes(machine: Machine) -> None:
    assert said(machine, "io_uring_setup", of=policy.NO_RINGS) == ENOSYS
    for name in ("read", "execve", "openat"):
        assert said(machine, name, of=policy.NO_RINGS) == ALLOW


def test_any_case_admits_and_each_needs_all_its_conditions(machine: Machine) -> None:
    of = Policy({"read": Checked(((Word(0, 1), Word(1, 2)), (Word(0, 3), Null(2), Word(1, 8, 0x18))), KILL)})
    assert said(machine, "read", 1, 2, 9, of=of) == ALLOW
    assert said(machine, "read", 1, 3, 0, of=of) == KILL
    assert said(machine, "read", 3, 8 | 0x20, 0, of=of) == ALLOW
    assert said(machine, "read", 3, 0x18, 0, of=of) == KILL
    assert said(machine, "read", 3, 8, 1, of=of) == KILL
