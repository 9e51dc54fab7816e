"""`isolet.call` and `isolet.take`: requests decoded with caps, statuses, pending replies, the three moments."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcalls import asking, double
from hostcalls.double import U32, Guest
from isolet import abi, limits
from isolet.engine.host import HostFunction, Wait
from isolet.errors import AbiViolation
from isolet.hostcalls.capability import Capability, Denied, Session
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import imports


def ask(guest: Guest, *request: Any) -> Any:
    return guest.call("call", *guest.put(msgpack.packb(request)))


def take(guest: Guest, length: int) -> Any:
    ptr, _ = guest.put(bytes(length))
    assert guest.call("take", ptr) == 0
    return msgpack.unpackb(guest.read(ptr, length))


# ── sleep and random ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("milliseconds", [0, 1, 1500, 0.5, 900_000])
def test_sleep_suspends_for_so_long_and_replies_nil(milliseconds: float) -> None:
    guest = Guest()
    wait = ask(guest, "sleep", milliseconds)
    assert isinstance(wait, Wait)
    assert wait.kind == "sleep"
    assert wait.argument == milliseconds / 1000
    assert guest.call("take", 0) == abi.NOTHING_PENDING, "there is no reply before it woke"
    wait.finish(0)
    assert wait.status == 1
    assert take(guest, 1) is None


def test_a_sleep_that_the_host_could_not_serve_says_so() -> None:
    guest = Guest()
    wait = ask(guest, "sleep", 1)
    wait.finish(-1)
    assert wait.status == abi.FAILED
    assert guest.call("take", 0) == abi.NOTHING_PENDING


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), abi.MALFORMED),
        ((1, 2), abi.MALFORMED),
        (("1",), abi.MALFORMED),
        ((True,), abi.MALFORMED),
        ((None,), abi.MALFORMED),
        ((-1,), abi.MALFORMED),
        ((-0.001,), abi.MALFORMED),
        ((math.nan,), abi.MALFORMED),
        ((math.inf,), abi.REFUSED),
        ((900_001,), abi.REFUSED),
        (((1 << 64) - 1,), abi.REFUSED),
    ],
)
def test_sleep_takes_milliseconds_up_to_a_quarter_of_an_hour(arguments: tuple[Any, ...], status: int) -> None:
    assert ask(Guest(), "sleep", *arguments) == status


@pytest.mark.parametrize("length", [0, 1, 31, 65_536])
def test_random_replies_so_many_bytes(length: int) -> None:
    guest = Guest()
    reply_length = ask(guest, "random", length)
    reply = take(guest, reply_length)
    assert type(reply) is bytes
    assert len(reply) == length
    if length > 16:
        assert reply != take(guest, ask(guest, "random", length))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [((), -1), ((-1,), -1), ((1.0,), -1), ((True,), -1), ((65_537,), -4), (((1 << 63),), -4), (([],), -1)],
)
def test_random_takes_a_length_up_to_64_kib(arguments: tuple[Any, ...], status: int) -> None:
    assert ask(Guest(), "random", *arguments) == status


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\x80",
        b"\xa5sleep",
        msgpack.packb([1, 2]),
        msgpack.packb([b"sleep", 2]),
        msgpack.packb(["sleep", 1]) + b"\xc0",
        msgpack.packb(["sleep", 1])[:-1],
        b"\x92\xa5sl\xffep\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffabc",
        b"\x92\xa5sleep" + b"\x91" * 5_000 + b"\xc0",
        b"\xdc\xff\xff" + b"\x90" * 60_000,
        b"\x92\xa5sleep\xc7\x04\x05abcd",
        b"\xc1",
    ],
)
def test_a_malformed_request_is_a_status(raw: bytes) -> None:
    guest = Guest()
    assert guest.call("call", *guest.put(raw)) == abi.MALFORMED


@given(st.binary(max_size=64))
def test_any_bytes_are_a_request_or_a_status(raw: bytes) -> None:
    guest = Guest()
    answer = guest.call("call", *guest.put(raw))
    assert isinstance(answer, Wait) or answer >= -6


_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["url", "method", "headers", "body", "timeout_ms", "if_version"]), st.text(max_size=4)
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
_names = ("sleep", "random", "kv.get", "kv.put", "kv.delete", "kv.list", "fetch", "invoke", "secrets.get")


@given(st.sampled_from(_names), st.lists(_values, max_size=4))
def test_any_arguments_are_answered_with_a_status_or_a_result(name: str, arguments: list[Any]) -> None:
    guest = asking.granted(asking.Above(None), kv=("n",), fetch=("*",), invoke=("*",), secrets=("K",))
    guest.state.initialising = False
    answer = guest.call("call", *guest.put(msgpack.packb([name, *arguments])))
    if isinstance(answer, Wait) or name == "random":
        return
    assert -6 <= answer < 0 or list(take(guest, answer)) == ["error"]


def test_an_unknown_capability_is_a_status() -> None:
    assert ask(Guest(), "fly") == abi.UNKNOWN
    assert ask(Guest(), "sleep\n\x1b[31m\0") == abi.UNKNOWN
    assert ask(Guest(), "n" * 60_000, 1) == abi.UNKNOWN


def test_a_request_beyond_its_limit_is_refused_before_it_is_copied() -> None:
    guest = Guest(memory_bytes=limits.REQUEST_BYTES_MAX + 1)
    guest.memory[0] = 0xC0
    assert guest.call("call", 0, limits.REQUEST_BYTES_MAX + 1) == abi.REFUSED
    assert guest.call("call", 0, limits.REQUEST_BYTES_MAX) == abi.MALFORMED


def test_a_request_of_too_many_values_is_refused_and_pays_for_them() -> None:
    guest = Guest(memory_bytes=1 << 20)
    full = msgpack.packb(["sleep", [[[]] * 2_000] * 16])
    ptr, length = guest.put(full)
    before = guest.fuel
    assert guest.call("call", ptr, length) == abi.REFUSED
    assert before - guest.fuel > limits.REQUEST_WEIGHT_MAX * limits.REQUEST_VALUE_FUEL
    assert ask(guest, "sleep", [[[]] * 2_000] * 5) == abi.MALFORMED, "fewer are looked at"


def test_a_request_pays_for_its_bytes_and_values() -> None:
    def cost(*request: Any) -> int:
        guest = Guest()
        before = guest.fuel
        ask(guest, *request)
        return before - guest.fuel

    least = cost("fly")
    assert least < limits.HOST_CALL_FUEL + 2_000
    assert cost("fly", bytes(4_000)) - least in range(1_000, 1_100)
    assert cost("fly", [1] * 1_000) - least in range(
        1_000 * limits.REQUEST_VALUE_FUEL, 1_100 * limits.REQUEST_VALUE_FUEL
    )


@pytest.mark.parametrize(
    ("ptr", "length"), [(U32, 1), (1 << 31, 5), ((1 << 20) - 1, 2), (0, U32), (U32, U32), (1 << 20, 1)]
)
def test_a_request_outside_memory_ends_the_invocation(ptr: int, length: int) -> None:
    with pytest.raises(AbiViolation):
        Guest().call("call", ptr, length)


# ── the pending reply ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_is_taken_once() -> None:
    guest = Guest()
    assert guest.call("take", 0) == abi.NOTHING_PENDING
    length = ask(guest, "random", 4)
    take(guest, length)
    assert guest.call("take", 0) == abi.NOTHING_PENDING


def test_a_new_reply_replaces_one_that_was_not_taken() -> None:
    guest = Guest()
    ask(guest, "random", 100)
    length = ask(guest, "random", 1)
    assert len(take(guest, length)) == 1


def test_a_refused_request_leaves_the_pending_reply() -> None:
    guest = Guest()
    length = ask(guest, "random", 3)
    assert ask(guest, "fly") == abi.UNKNOWN
    assert len(take(guest, length)) == 3


@pytest.mark.parametrize("ptr", [U32, 1 << 31, (1 << 20) - 1])
def test_a_reply_that_would_leave_memory_ends_the_invocation(ptr: int) -> None:
    guest = Guest()
    ask(guest, "random", 8)
    with pytest.raises(AbiViolation):
        guest.call("take", ptr)


# ── while a snapshot is made ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("request_", [("sleep", 1), ("random", 4)])
def test_initialisation_may_not_call_capabilities(request_: tuple[Any, ...]) -> None:
    guest = Guest(initialising=True)
    assert ask(guest, *request_) == abi.REFUSED
    assert ask(guest, *request_) == abi.REFUSED
    (reason,) = guest.state.frozen_problems()
    assert f"`{request_[0]}`" in reason
    assert "handler" in reason, "it says what to do instead"


# ── the three moments ───────────────────────────────────────────────────────────────────────────────────────────


class Film:
    """A capability that writes down its moments. Granted to functions with some memory."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def link(self) -> Iterable[str]:
        self.seen.append("link")
        return ("film.a", "film.b")

    def admit(self, constants: HostConstants) -> Any:
        self.seen.append(f"admit {constants.name}")
        return constants.memory_mb if constants.memory_mb > 1 else None

    def open(self, grant: Any) -> Session:
        self.seen.append(f"open {grant}")

        def session(state: HostState, name: str, arguments: list[Any]) -> bytes | Wait:
            self.seen.append(f"{name} {arguments}")
            if arguments:
                raise Denied(abi.FAILED)
            return b"\xc3"

        return session


def linked(monkeypatch: pytest.MonkeyPatch, *capabilities: Capability) -> None:
    table: dict[str, HostFunction] = {function.name: function for function in imports(capabilities)}
    monkeypatch.setattr(double, "FUNCTIONS", table)


def test_linked_once_admitted_once_a_function_opened_once_an_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    film = Film()
    linked(monkeypatch, film)
    shared = double.constants(memory_mb=2)
    for _ in range(2):
        guest = Guest(shared)
        assert ask(guest, "film.a") == 1
        assert ask(guest, "film.b", 1) == abi.FAILED
    assert film.seen == [
        "link",
        "admit greet",
        "open 2",
        "film.a []",
        "film.b [1]",
        "open 2",
        "film.a []",
        "film.b [1]",
    ]


def test_a_capability_that_is_not_granted_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    film = Film()
    linked(monkeypatch, film)
    guest = Guest(double.constants(memory_mb=1))
    assert ask(guest, "film.a") == abi.NOT_GRANTED
    assert ask(guest, "film.a") == abi.NOT_GRANTED
    assert ask(guest, "sleep", 1) == abi.UNKNOWN, "only what is linked is known"
    assert film.seen == ["link", "admit greet"]


def test_two_capabilities_may_not_serve_one_name() -> None:
    with pytest.raises(AssertionError, match=r"film\.a"):
        imports((Film(), Film()))
