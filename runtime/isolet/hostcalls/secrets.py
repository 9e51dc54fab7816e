"""The capability `secrets`: values that the operator keeps for a function (abi.md 5.5).

Laws:
- Nothing is kept here: each request asks the keeper, and the reply is forgotten once the guest has taken it.
- While a snapshot is made it is refused, as every capability is: no secret is ever in a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import grants
from ..engine.host import Wait
from .capability import Session, arguments_of, invalid, not_granted, result_of, text
from .state import HostConstants, HostState

_NAME = "secrets.get"


class Secrets:
    """Granted by name; who has no grant is told which line to add."""

    def link(self) -> Iterable[str]:
        return (_NAME,)

    def admit(self, constants: HostConstants) -> Any:
        return frozenset(constants.capabilities.secrets)

    def open(self, grant: Any) -> Session:
        return partial(_serve, grant)


def _serve(granted: frozenset[str], state: HostState, name: str, arguments: list[Any]) -> Wait:
    (given,) = arguments_of(name, arguments, 1)
    secret = text(name, "the name", given)
    if not grants.SECRET_NAME.fullmatch(secret):
        raise invalid(f"{name}: {secret[:80]!r} is no secret's name; use letters, digits and /_+=.@-, at most 512")
    constants = state.constants
    if secret not in granted:
        raise not_granted(constants, f"the secret {secret[:200]!r}", grants.line("secrets", secret))
    return result_of(state, "secrets", len(secret), lambda: constants.upward.ask("secret", [constants.tenant, secret]))
