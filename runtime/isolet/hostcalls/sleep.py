"""The capability `sleep`: ["sleep", milliseconds] → nil. Time passes for the guest, fuel does not; others run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import abi, limits
from ..engine.host import Wait
from .capability import Denied, Session, one_number
from .state import HostConstants, HostState

_NIL = b"\xc0"


class Sleep:
    """Granted to everyone: a sleeping guest holds a slot and its memory, which its deadline bounds."""

    def link(self) -> Iterable[str]:
        return ("sleep",)

    def admit(self, constants: HostConstants) -> Any:
        return ()

    def open(self, grant: Any) -> Session:
        return _sleep


def _sleep(state: HostState, _name: str, arguments: list[Any]) -> Wait:
    milliseconds = one_number(arguments, int, float)
    if not milliseconds >= 0:  # a NaN compares false
        raise Denied(abi.MALFORMED)
    if milliseconds > limits.SLEEP_S_MAX * 1000:
        raise Denied(abi.REFUSED)

    def woken(status: int) -> int:
        if status != 0:
            return abi.FAILED
        state.reply = _NIL
        return len(_NIL)

    return Wait("sleep", milliseconds / 1000, woken)
