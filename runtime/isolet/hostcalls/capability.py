"""Capabilities: what a guest may ask of the host through `isolet.call`, and how one comes to have it.

A capability has three moments:
- **link**, once a process: it says which request names it serves. What serves all functions (a connection, a table) it
  was given when it was made.
- **admit**, once per function version in a process, when that function first asks: it looks at the function's constants
  and answers the grant, whatever it needs to know later, or None: not granted.
- **open**, once per invocation that uses it: it answers a session, which holds what belongs to this invocation alone.

A session answers a request with the reply's bytes (one msgpack value), or with a `Wait` whose `finish` says what the
call returns. It refuses by raising `Denied` with a status of abi.md section 4. So that a new capability is one new file
and its name in table.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .. import abi, limits
from ..engine.host import GuestView, HostFunction, Wait
from ..errors import AbiViolation
from .state import HostConstants, HostState


class Denied(Exception):
    """A request that is not served; `status` is what `isolet.call` returns."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


# One request of an invocation: its name and its arguments, still of any type and value. The state is passed, not kept:
# it holds the session, and a cycle would keep both until the garbage collector came.
Session = Callable[[HostState, str, list[Any]], "bytes | Wait"]


class Capability(Protocol):
    def link(self) -> Iterable[str]:
        """The request names that it serves."""
        ...

    def admit(self, constants: HostConstants) -> Any:
        """The grant of this function version, or None if it may not."""
        ...

    def open(self, grant: Any) -> Session: ...


def calls(capabilities: Iterable[Capability]) -> tuple[HostFunction, ...]:
    """`isolet.call` and `isolet.take`, serving these capabilities."""
    serving: dict[str, Capability] = {}
    for capability in capabilities:
        for name in capability.link():
            assert name not in serving, f"two capabilities serve {name}"
            serving[name] = capability

    def call(guest: GuestView, ptr: int, length: int) -> int | Wait:
        state: HostState = guest.state
        try:
            name, arguments = _request(guest, ptr, length)
            capability = serving.get(name)
            if capability is None:
                raise Denied(abi.UNKNOWN)
            if state.initialising:
                state.forbid(f"initialisation called the capability `{name}`; call it from the handler")
                raise Denied(abi.REFUSED)
            answer = _session(capability, state)(state, name, arguments)
        except Denied as denied:
            return denied.status
        if isinstance(answer, Wait):
            return answer
        state.reply = answer
        return len(answer)

    return (
        HostFunction("isolet", "call", "ii", "i", call, suspends=True),
        HostFunction("isolet", "take", "i", "i", take),
    )


def _request(guest: GuestView, ptr: int, length: int) -> tuple[str, list[Any]]:
    guest.read(ptr + length, 0)
    if length > limits.REQUEST_BYTES_MAX:
        raise Denied(abi.REFUSED)
    try:
        request = abi.decode(guest.read(ptr, length), "request")
    except AbiViolation:
        raise Denied(abi.MALFORMED) from None
    if type(request) is not list or not request or type(request[0]) is not str:
        raise Denied(abi.MALFORMED)
    return request[0], request[1:]


def _session(capability: Capability, state: HostState) -> Session:
    session = state.sessions.get(capability)
    if session is None:
        grants = state.constants.grants
        if capability not in grants:
            grants[capability] = capability.admit(state.constants)
        if grants[capability] is None:
            raise Denied(abi.NOT_GRANTED)
        session = state.sessions[capability] = capability.open(grants[capability])
    return session


def take(guest: GuestView, ptr: int) -> int:
    """`isolet.take`: the reply is the guest's once, then it is forgotten."""
    state: HostState = guest.state
    reply = state.reply
    if reply is None:
        return abi.NOTHING_PENDING
    guest.charge(len(reply) // limits.COPIED_BYTES_PER_FUEL)
    guest.write(ptr, reply)
    state.reply = None
    return 0


def one_number(arguments: list[Any], *types: type) -> Any:
    """The only argument, which must be of one of `types`. (True is an int to isinstance; not here.)"""
    if len(arguments) != 1 or type(arguments[0]) not in types:
        raise Denied(abi.MALFORMED)
    return arguments[0]
