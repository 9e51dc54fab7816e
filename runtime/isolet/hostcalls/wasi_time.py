"""WASI's clocks and poll_oneoff.

Laws:
- The monotonic clock never goes back for a guest, not even over its snapshot: initialisation sees it start near zero,
  an invocation sees it start a day later. (The machine's own would restart with the machine, and tell its uptime.)
- Nothing becomes ready in a guest without sockets, but time: a poll with a descriptor in it answers at once, one of
  clocks alone suspends until the earliest of them. Its events are written before it is suspended, since they are known.
"""

from __future__ import annotations

import struct
from time import monotonic_ns, time_ns

from .. import limits
from ..engine.host import GuestView, HostFunction, Wait
from . import errno
from .errno import Refused
from .nodes import Directory
from .state import HostState

REALTIME, MONOTONIC, PROCESS_CPU, THREAD_CPU = range(4)

_S = 1_000_000_000
_PROCESS_START_NS = monotonic_ns()
_INVOCATION_BASE_NS = 86_400 * _S
assert limits.INIT_WALL_S * _S < _INVOCATION_BASE_NS, "an invocation's clock is later than initialisation's"


def now_ns(clock: int, initialising: bool) -> int:
    """The reading of a WASI clock. The CPU clocks answer the monotonic one: a guest's CPU time is ours to count."""
    if clock == REALTIME:
        return time_ns()
    return monotonic_ns() - _PROCESS_START_NS + (_S if initialising else _INVOCATION_BASE_NS)


def clock_time_get(guest: GuestView, clock: int, _precision: int, out: int) -> int:
    if clock > THREAD_CPU:
        return errno.INVAL
    guest.write_u64(out, now_ns(clock, guest.state.initialising))
    return errno.SUCCESS


def clock_res_get(guest: GuestView, clock: int, out: int) -> int:
    if clock > THREAD_CPU:
        return errno.INVAL
    guest.write_u64(out, 1)
    return errno.SUCCESS


# ── poll_oneoff ─────────────────────────────────────────────────────────────────────────────────────────────────

_SUBSCRIPTION_BYTES = 48
_subscription = struct.Struct("<QB7xI").unpack_from  # userdata, type, clock or descriptor
_clock_subscription = struct.Struct("<24xQQH").unpack_from  # timeout, precision, flags
_event = struct.Struct("<QHB5xQH6x").pack  # userdata, errno, type, bytes ready, flags

_CLOCK, _READ, _WRITE = range(3)
_ABSOLUTE = 1
_HANGUP = 1


def poll_oneoff(guest: GuestView, subscriptions: int, events: int, count: int, out: int) -> int | Wait:
    """While a snapshot is made nothing waits: a clock answers as if its time had come, and the snapshot is refused.

    (An error there would make Go's runtime abort, and a module that only cannot be frozen could not be deployed.)
    """
    if count == 0 or count > limits.SUBSCRIPTIONS_MAX:
        return errno.INVAL
    state: HostState = guest.state
    guest.charge(count * limits.SUBSCRIPTION_FUEL)
    raw = guest.read(subscriptions, count * _SUBSCRIPTION_BYTES)
    ready: list[bytes] = []
    clocks: list[tuple[int, bytes]] = []  # how long until then, and its event
    for at in range(0, len(raw), _SUBSCRIPTION_BYTES):
        userdata, kind, subject = _subscription(raw, at)
        if kind == _CLOCK:
            if subject > THREAD_CPU:
                ready.append(_event(userdata, errno.INVAL, kind, 0, 0))
            else:
                timeout, _, flags = _clock_subscription(raw, at)
                left_ns = timeout - now_ns(subject, state.initialising) if flags & _ABSOLUTE else timeout
                clocks.append((max(left_ns, 0), _event(userdata, errno.SUCCESS, kind, 0, 0)))
        elif kind in (_READ, _WRITE):
            ready.append(_event(userdata, *_readiness(state, kind, subject)))
        else:
            return errno.INVAL
    earliest_ns = 0 if ready or not clocks else min(left_ns for left_ns, _ in clocks)
    ready += [event for left_ns, event in clocks if left_ns <= earliest_ns]
    guest.write(events, b"".join(ready))
    guest.write_u32(out, len(ready))
    if earliest_ns == 0:
        return errno.SUCCESS
    if state.initialising:
        state.forbid("initialisation slept; sleep in the handler")
        return errno.SUCCESS
    return Wait("sleep", min(earliest_ns / _S, limits.SLEEP_S_MAX), _errno)


def _readiness(state: HostState, kind: int, fd: int) -> tuple[int, int, int, int]:
    """(errno, type, bytes, flags) of a descriptor. Whatever is open can be read and written without waiting."""
    try:
        descriptor = state.descriptors.get(fd)
    except Refused as refused:
        return refused.errno, kind, 0, 0
    if kind == _READ and descriptor.stream == 0:
        return errno.SUCCESS, kind, 0, _HANGUP
    if kind == _WRITE or descriptor.node is None or isinstance(descriptor.node, Directory):
        return errno.SUCCESS, kind, 1, 0
    return errno.SUCCESS, kind, max(descriptor.node.size - descriptor.position, 0), 0


def _errno(status: int) -> int:
    return errno.SUCCESS if status == 0 else errno.NOTSUP


def sched_yield(guest: GuestView) -> int | Wait:
    """Ends the slice: the guest's turn comes again after that of the others."""
    return errno.SUCCESS if guest.state.initialising else Wait("sleep", 0.0, _errno)


_WASI = "wasi_snapshot_preview1"
FUNCTIONS = (
    HostFunction(_WASI, "clock_res_get", "ii", "i", clock_res_get),
    HostFunction(_WASI, "clock_time_get", "iIi", "i", clock_time_get),
    HostFunction(_WASI, "poll_oneoff", "iiii", "i", poll_oneoff, suspends=True),
    HostFunction(_WASI, "sched_yield", "", "i", sched_yield, suspends=True),
)
