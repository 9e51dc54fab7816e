"""`isolet.fail`: an error that ends the invocation from anywhere."""

from __future__ import annotations

import msgpack
import pytest

from hostcalls.double import Guest
from isolet import limits
from isolet.errors import AbiViolation, Raised


def test_the_invocation_ends_with_the_guests_own_error() -> None:
    guest = Guest()
    outcome = {"error": {"type": "Panic", "message": "no way on", "stack": ["main.rs:3:5"]}}
    with pytest.raises(Raised) as caught:
        guest.call("fail", *guest.put(msgpack.packb(outcome)))
    error = caught.value
    assert (error.raised_type, error.message, error.stack) == ("Panic", "no way on", ("main.rs:3:5",))


@pytest.mark.parametrize("outcome", [b"", b"\xc1", msgpack.packb({"ok": 1}), msgpack.packb({"error": 1}), b"\xc0\xc0"])
def test_what_is_no_error_is_an_abi_violation(outcome: bytes) -> None:
    guest = Guest()
    with pytest.raises(AbiViolation):
        guest.call("fail", *guest.put(outcome))


def test_its_bytes_are_inside_memory_and_not_too_many() -> None:
    guest = Guest()
    with pytest.raises(AbiViolation, match="outside"):
        guest.call("fail", len(guest.memory) - 1, 2)
    with pytest.raises(AbiViolation, match="at most"):
        guest.call("fail", 0, limits.FAILURE_BYTES_MAX + 1)
