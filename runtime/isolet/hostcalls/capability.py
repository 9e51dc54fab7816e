"""Capabilities: what a guest may ask of the host through `isolet.call`, and how one comes to have it.

A capability has three moments:
- **link**, once a process: it says which request names it serves. What serves all functions (a connection, a table) it
  was given when it was made.
- **admit**, once per function version in a process, when that function first asks: it looks at the function's constants
  and answers the grant, whatever it needs to know later, or None: not granted.
- **open**, once per invocation that uses it: it answers a session, which holds what belongs to this invocation alone.

A session answers a request with the reply's bytes (one msgpack value), or with a `Wait` whose `finish` says what the
call returns. It refuses by raising `Denied` with a status of abi.md section 4, or `CallRefused` in words: the reply is
then an error of section 5.1. So that a new capability is one new file and its name in table.py.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from .. import abi, limits
from ..engine.host import GuestView, HostFunction, Wait
from ..errors import AbiViolation, CallerError, CallRefused, HostError, PayloadTooLarge
from .state import HostConstants, HostState

logger = logging.getLogger("isolet.capability")

_OK = b"\x81\xa2ok"


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
        if state.reply is not None:  # nobody will take it now: it is paid all the same
            guest.charge(len(state.reply) // limits.COPIED_BYTES_PER_FUEL)
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
        except CallRefused as refused:
            answer = error_reply(refused)
        if isinstance(answer, Wait):
            if answer.kind == "work":
                guest.charge(limits.WORK_FUEL)
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
        request, weight = abi.unpack_request(guest.read(ptr, length))
    except AbiViolation:
        raise Denied(abi.MALFORMED) from None
    guest.charge(length // limits.COPIED_BYTES_PER_FUEL + weight * limits.REQUEST_VALUE_FUEL)
    if weight > limits.REQUEST_WEIGHT_MAX:
        raise Denied(abi.REFUSED)
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


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────


def error_reply(refused: CallRefused) -> bytes:
    error: dict[str, Any] = {"type": refused.kind, "message": refused.message}
    if refused.cause is not None:
        error["cause"] = refused.cause
    return abi.pack({"error": error})


def result_of(state: HostState, capability: str, sent_bytes: int, work: Callable[[], Awaitable[Any]]) -> Wait:
    """Waits for `work`; its value, or the CallRefused that it raises, becomes the reply. Counts both ways' bytes."""

    async def run() -> int:
        try:
            reply = _OK + abi.pack(await work())
        except CallerError as refused:
            reply = error_reply(_in_words(refused))
        except HostError as failure:
            logger.info("a call of %s failed: %s", capability, failure)
            return abi.FAILED
        state.reply = reply
        state.constants.upward.count(capability, sent_bytes, len(reply))
        return len(reply)

    return Wait("work", run)


def _in_words(error: CallerError) -> CallRefused:
    if isinstance(error, CallRefused):
        return error
    return CallRefused("TooLarge" if isinstance(error, PayloadTooLarge) else "Invalid", error.message)


# ── arguments ───────────────────────────────────────────────────────────────────────────────────────────────────


def one_number(arguments: list[Any], *types: type) -> Any:
    """The only argument, which must be of one of `types`. (True is an int to isinstance; not here.)"""
    if len(arguments) != 1 or type(arguments[0]) not in types:
        raise Denied(abi.MALFORMED)
    return arguments[0]


def invalid(message: str) -> CallRefused:
    return CallRefused("Invalid", message)


def not_granted(constants: HostConstants, what: str, line: str) -> CallRefused:
    return CallRefused("NotGranted", f"{constants.name} has no grant for {what}; add to its function.toml: {line}")


def arguments_of(name: str, arguments: list[Any], count: int, optional: int = 0) -> list[Any]:
    """The arguments, as many as there may be: absent ones are None."""
    if not count <= len(arguments) <= count + optional:
        raise invalid(
            f"{name} takes {count}{f' to {count + optional}' if optional else ''} arguments, not {len(arguments)}"
        )
    return arguments + [None] * (count + optional - len(arguments))


def text(name: str, what: str, value: Any) -> str:
    if type(value) is not str:
        raise invalid(f"{name}: {what} is {kind_of(value)}; give a string")
    return value


def table(name: str, what: str, value: Any, known: Iterable[str]) -> dict[str, Any]:
    """A map whose keys are among `known`; nil is an empty one."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise invalid(f"{name}: {what} is {kind_of(value)}; give a map")
    for key in value:
        if key not in known:
            raise invalid(f"{name}: {what} has the key {key[:40]!r}; known are {', '.join(known)}")
    return value


_KINDS: dict[type, str] = {
    type(None): "nil",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    bytes: "binary",
    list: "an array",
    dict: "a map",
}


def kind_of(value: Any) -> str:
    return _KINDS[type(value)]
