"""Clocks never go back, and a poll of clocks is the only thing that waits."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest

from hostcalls.double import CREATE, U32, U64, WRITE, Guest
from isolet import limits
from isolet.engine.host import Wait
from isolet.errors import AbiViolation

REALTIME, MONOTONIC = 0, 1
SECOND = 1_000_000_000
SUBSCRIPTIONS, EVENTS, COUNT = 1024, 131_072, 8


def reading(guest: Guest, clock: int) -> int:
    assert guest.call("clock_time_get", clock, 1, 0) == 0
    return guest.u64()


def clock(userdata: int, timeout: int, *, which: int = MONOTONIC, absolute: bool = False) -> bytes:
    return struct.pack("<QB7xI4xQQH6x", userdata, 0, which, timeout, 1000, absolute)


def descriptor(userdata: int, kind: int, fd: int) -> bytes:
    return struct.pack("<QB7xI28x", userdata, kind, fd)


def poll(guest: Guest, *subscriptions: bytes) -> Any:
    guest.write(SUBSCRIPTIONS, b"".join(subscriptions))
    return guest.call("poll_oneoff", SUBSCRIPTIONS, EVENTS, len(subscriptions), COUNT)


def events(guest: Guest) -> list[tuple[int, ...]]:
    """(userdata, errno, type, bytes, flags) of each."""
    raw = guest.read(EVENTS, 32 * guest.read_u32(COUNT))
    return list(struct.iter_unpack("<QHB5xQH6x", raw))


# ── clocks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_realtime_is_the_hosts() -> None:
    before = time.time_ns()
    seen = reading(Guest(), REALTIME)
    assert before <= seen <= time.time_ns()


@pytest.mark.parametrize("which", [1, 2, 3])
def test_the_other_clocks_do_not_go_back(which: int) -> None:
    guest = Guest()
    readings = [reading(guest, which) for _ in range(100)]
    assert readings == sorted(readings)


def test_the_monotonic_clock_does_not_go_back_over_a_snapshot() -> None:
    """Initialised late in a long build, restored at once by a worker that has just begun."""
    frozen = reading(Guest(initialising=True), MONOTONIC) + int(limits.INIT_WALL_S * SECOND)
    assert frozen < reading(Guest(), MONOTONIC)


@pytest.mark.parametrize("which", [4, 77, U32])
def test_there_are_four_clocks(which: int) -> None:
    assert Guest().call("clock_time_get", which, 1, 0) == 28
    assert Guest().call("clock_res_get", which, 0) == 28


def test_resolutions_are_given() -> None:
    guest = Guest()
    for which in range(4):
        assert guest.call("clock_res_get", which, 0) == 0
        assert guest.u64() == 1


@pytest.mark.parametrize("ptr", [U32, 1 << 31, (1 << 20) - 7])
def test_readings_stay_inside_memory(ptr: int) -> None:
    for name, arguments in (("clock_time_get", (0, 1, ptr)), ("clock_res_get", (0, ptr))):
        with pytest.raises(AbiViolation):
            Guest().call(name, *arguments)


# ── poll_oneoff ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_relative_clock_suspends_for_so_long() -> None:
    guest = Guest()
    wait = poll(guest, clock(7, 250_000_000))
    assert isinstance(wait, Wait)
    assert (wait.kind, wait.argument) == ("sleep", 0.25)
    assert events(guest) == [(7, 0, 0, 0, 0)]
    wait.finish(0)
    assert wait.status == 0


@pytest.mark.parametrize("which", [REALTIME, MONOTONIC])
def test_an_absolute_clock_suspends_until_then(which: int) -> None:
    guest = Guest()
    wait = poll(guest, clock(7, reading(guest, which) + 100 * SECOND, which=which, absolute=True))
    assert isinstance(wait, Wait)
    assert isinstance(wait.argument, float)
    assert 0 < wait.argument <= 100


@pytest.mark.parametrize("absolute", [False, True])
def test_a_time_that_has_come_does_not_suspend(absolute: bool) -> None:
    guest = Guest()
    assert poll(guest, clock(7, 0, absolute=absolute)) == 0
    assert events(guest) == [(7, 0, 0, 0, 0)]


def test_the_earliest_of_several_clocks_counts_and_equal_ones_come_together() -> None:
    guest = Guest()
    wait = poll(guest, clock(1, 3 * SECOND), clock(2, SECOND), clock(3, 2 * SECOND), clock(4, SECOND))
    assert isinstance(wait, Wait)
    assert wait.argument == 1.0
    assert [event[0] for event in events(guest)] == [2, 4]


def test_descriptors_are_ready_at_once_whatever_the_clock_says() -> None:
    guest = Guest()
    fd = guest.open("f", WRITE | 2, CREATE)
    guest.write_file(fd, b"12345")
    guest.call("fd_seek", fd, 2, 0, 0)
    assert poll(guest, clock(1, SECOND), descriptor(2, 1, 0), descriptor(3, 2, 1), descriptor(4, 1, fd)) == 0
    assert events(guest) == [(2, 0, 1, 0, 1), (3, 0, 2, 1, 0), (4, 0, 1, 3, 0)]


def test_a_clock_whose_time_has_come_joins_descriptors() -> None:
    guest = Guest()
    assert poll(guest, clock(1, 0), descriptor(2, 2, 1)) == 0
    assert sorted(event[0] for event in events(guest)) == [1, 2]


@pytest.mark.parametrize("fd", [6, 99, U32])
def test_a_closed_descriptor_is_an_event_with_an_error(fd: int) -> None:
    guest = Guest()
    assert poll(guest, descriptor(9, 1, fd)) == 0
    assert events(guest) == [(9, 8, 1, 0, 0)]


def test_an_unknown_clock_is_an_event_with_an_error() -> None:
    guest = Guest()
    assert poll(guest, clock(9, SECOND, which=5)) == 0
    assert events(guest) == [(9, 28, 0, 0, 0)]


def test_an_unknown_type_is_refused() -> None:
    assert poll(Guest(), descriptor(9, 3, 0)) == 28


def test_the_longest_wait_is_the_longest_invocation() -> None:
    wait = poll(Guest(), clock(1, U64))
    assert isinstance(wait, Wait)
    assert wait.argument == limits.SLEEP_S_MAX


@pytest.mark.parametrize("count", [0, limits.SUBSCRIPTIONS_MAX + 1, U32])
def test_the_number_of_subscriptions_is_bounded(count: int) -> None:
    assert Guest().call("poll_oneoff", SUBSCRIPTIONS, EVENTS, count, COUNT) == 28


def test_as_many_subscriptions_as_allowed() -> None:
    guest = Guest()
    assert poll(guest, *[descriptor(i, 2, 1) for i in range(limits.SUBSCRIPTIONS_MAX)]) == 0
    assert [event[0] for event in events(guest)] == list(range(limits.SUBSCRIPTIONS_MAX))


@pytest.mark.parametrize("ptr", [U32, 1 << 31, (1 << 20) - 3])
def test_polling_stays_inside_memory(ptr: int) -> None:
    guest = Guest()
    guest.write(SUBSCRIPTIONS, clock(1, 0))
    for arguments in ((ptr, EVENTS, 1, COUNT), (SUBSCRIPTIONS, ptr, 1, COUNT), (SUBSCRIPTIONS, EVENTS, 1, ptr)):
        with pytest.raises(AbiViolation):
            guest.call("poll_oneoff", *arguments)


def test_initialisation_does_not_wait_but_cannot_be_frozen_after_it() -> None:
    guest = Guest(initialising=True)
    assert poll(guest, clock(7, SECOND)) == 0
    assert events(guest) == [(7, 0, 0, 0, 0)]
    (reason,) = guest.state.frozen_problems()
    assert "slept" in reason


def test_polling_without_waiting_can_be_frozen() -> None:
    guest = Guest(initialising=True)
    assert poll(guest, clock(7, 0)) == 0
    assert guest.call("sched_yield") == 0
    assert guest.state.frozen_problems() == []


def test_yielding_ends_the_slice() -> None:
    assert Guest().wait("sched_yield") == (0.0, 0)
