"""The capability `invoke`: another function of the same owner, by name; its result is the reply (abi.md 5.4).

The callee is an invocation like any other: admitted or refused, billed, recorded. It has at most the caller's own time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import abi, grants, limits
from ..engine.host import Wait
from ..errors import CallRefused, GuestError, InvalidParameter, Overloaded, Throttled, UnknownFunction, ValidationFailed
from ..model import LATEST, Outcome
from ..routing import FunctionRef, parse_function_name
from .capability import Session, arguments_of, invalid, not_granted, result_of, text
from .state import HostConstants, HostState

_NAME = "invoke"


class Invoke:
    """Granted by the callee's name; who has no grant is told which line to add."""

    def link(self) -> Iterable[str]:
        return (_NAME,)

    def admit(self, constants: HostConstants) -> Any:
        return constants.capabilities.invoke

    def open(self, grant: Any) -> Session:
        return partial(_serve, grant)


def _serve(granted: tuple[str, ...], state: HostState, name: str, arguments: list[Any]) -> Wait:
    function, payload = arguments_of(name, arguments, 2)
    ref = _ref(state.constants, text(name, "the function", function))
    if not grants.allows_function(granted, ref.name, ref.qualifier or LATEST):
        raise not_granted(state.constants, f"invoking {ref.name!r}", grants.line("invoke", ref.name))
    event = abi.pack(payload)
    if len(event) > limits.PAYLOAD_BYTES_MAX:
        most = limits.PAYLOAD_BYTES_MAX
        raise CallRefused("TooLarge", f"invoke: the payload has {len(event):,} bytes; use at most {most:,}")
    return result_of(state, _NAME, len(event), lambda: _invoke(state, ref, event))


def _ref(constants: HostConstants, function: str) -> FunctionRef:
    """The function that is meant, always one of the caller's own owner."""
    try:
        ref = parse_function_name(function, "", constants.tenant)
    except (ValidationFailed, InvalidParameter, UnknownFunction):
        raise invalid(f"invoke: {function[:80]!r} is no function's name; write name or name:qualifier") from None
    if ref.tenant != constants.tenant:
        raise CallRefused("UnknownFunction", f"Function not found: {function[:200]}")
    return ref


async def _invoke(state: HostState, ref: FunctionRef, event: bytes) -> Any:
    assert state.invocation is not None, "the invoker has set it"
    try:
        outcome = await state.constants.upward.invoke(state.invocation, state.deadline_ns, ref, event)
    except UnknownFunction as unknown:
        raise CallRefused("UnknownFunction", unknown.message) from None
    except Throttled as refused:
        raise CallRefused("Throttled", refused.message) from None
    return _value(ref, outcome)


def _value(ref: FunctionRef, outcome: Outcome) -> Any:
    error = outcome.error
    if error is None:
        return outcome.value
    if isinstance(error, GuestError):
        cause = {"type": error.error_type, "message": error.message}
        raise CallRefused("FunctionError", f"{ref.name} failed: {cause['type']}: {cause['message'][:500]}", cause)
    if isinstance(error, Overloaded):
        raise CallRefused("Throttled", f"{ref.name} found no room: {error}")
    raise error
