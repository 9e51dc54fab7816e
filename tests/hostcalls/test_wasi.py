"""Arguments, environment, exit, random bytes."""

from __future__ import annotations

import pytest

from hostcalls.double import U32, Guest, constants
from isolet import limits
from isolet.errors import AbiViolation, Exited


def strings(guest: Guest, which: str) -> list[bytes]:
    """As libc reads them: sizes, then pointers and a block."""
    assert guest.call(f"{which}_sizes_get", 0, 4) == 0
    count, size = guest.read_u32(0), guest.read_u32(4)
    pointers, _ = guest.put(bytes(4 * count))
    block, _ = guest.put(b"\xff" * (size + 1))
    assert guest.call(f"{which}_get", pointers, block) == 0
    assert guest.read(block + size, 1) == b"\xff", "exactly so many bytes"
    starts = [guest.read_u32(pointers + 4 * i) for i in range(count)]
    return [bytes(guest.memory[start : guest.memory.index(0, start)]) for start in starts]


def test_the_one_argument_is_the_functions_name() -> None:
    assert strings(Guest(), "args") == [b"greet"]


def test_the_environment_is_lambdas_and_the_functions() -> None:
    guest = Guest(constants(environment=[b"COLOUR=blue=green", b"EMPTY=", "GRÜN=ü".encode()], memory_mb=128))
    assert sorted(strings(guest, "environ")) == sorted(
        [
            b"COLOUR=blue=green",
            b"EMPTY=",
            "GRÜN=ü".encode(),
            b"AWS_LAMBDA_FUNCTION_NAME=greet",
            b"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
            b"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
            b"AWS_REGION=us-east-1",
            b"_HANDLER=handle",
            b"LAMBDA_TASK_ROOT=/var/task",
            b"TZ=UTC",
        ]
    )


def test_a_function_may_set_its_time_zone_but_not_who_it_is() -> None:
    guest = Guest(constants(environment=[b"TZ=Europe/Berlin", b"AWS_LAMBDA_FUNCTION_NAME=other", b"_HANDLER=x"]))
    seen = strings(guest, "environ")
    assert b"TZ=Europe/Berlin" in seen
    assert b"AWS_LAMBDA_FUNCTION_NAME=greet" in seen
    assert len({entry.partition(b"=")[0] for entry in seen}) == len(seen)


def test_what_wasi_cannot_carry_is_left_out() -> None:
    guest = Guest(constants(environment=[b"A=1\0B=2", b"no separator", b"=nameless", b"C=3"]))
    assert b"C=3" in strings(guest, "environ")
    assert len(strings(guest, "environ")) == 8


def test_isolates_of_a_function_share_the_block() -> None:
    shared = constants(environment=[b"A=1"])
    assert strings(Guest(shared), "environ") == strings(Guest(shared), "environ")
    assert Guest(shared).state.constants.environ is shared.environ


@pytest.mark.parametrize("name", ["args_get", "args_sizes_get", "environ_get", "environ_sizes_get"])
@pytest.mark.parametrize("ptr", [U32, 1 << 31, (1 << 20) - 1])
def test_strings_stay_inside_memory(name: str, ptr: int) -> None:
    for arguments in ((ptr, 64), (64, ptr)):
        with pytest.raises(AbiViolation):
            Guest().call(name, *arguments)


def test_exit_ends_the_invocation_in_lambdas_words() -> None:
    with pytest.raises(Exited) as zero:
        Guest().call("proc_exit", 0)
    assert zero.value.message == "Runtime exited without providing a reason"
    with pytest.raises(Exited) as other:
        Guest().call("proc_exit", 3)
    assert other.value.message == "Runtime exited with error: exit status 3"
    assert other.value.error_type == "Runtime.ExitError"


def test_random_bytes_are_fresh_and_fill_exactly_what_was_asked() -> None:
    guest = Guest()
    assert guest.call("random_get", 100, 32) == 0
    first = guest.read(100, 32)
    assert guest.call("random_get", 100, 32) == 0
    assert guest.read(100, 32) != first
    assert not any(guest.memory[:100])
    assert not any(guest.memory[132:])
    assert guest.call("random_get", 1 << 20, 0) == 0


def test_random_bytes_are_bounded() -> None:
    guest = Guest(memory_bytes=4 * limits.MIB)
    assert guest.call("random_get", 0, limits.RANDOM_GET_BYTES_MAX) == 0
    assert guest.call("random_get", 0, limits.RANDOM_GET_BYTES_MAX + 1) == 28
    for ptr, length in ((0, U32), (U32, 1), (4 * limits.MIB - 1, 2), (U32, U32)):
        with pytest.raises(AbiViolation):
            guest.call("random_get", ptr, length)
