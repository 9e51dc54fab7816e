"""The capability `kv`: entries that outlive invocations, in namespaces that functions of one owner share (abi.md 5.2).

What is asked for is checked here; the keeper's database answers (storage/kv.py), with its own limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import grants, limits
from ..engine.host import Wait
from ..errors import CallRefused
from .capability import Session, arguments_of, invalid, kind_of, not_granted, result_of, table, text
from .state import HostConstants, HostState

# Of each request, its options.
_OPTIONS = {
    "kv.get": (),
    "kv.put": ("ttl_s", "if_version"),
    "kv.delete": ("if_version",),
    "kv.list": ("limit", "after"),
}


class Kv:
    """Granted by namespace; who has no grant is told which line to add."""

    def link(self) -> Iterable[str]:
        return tuple(_OPTIONS)

    def admit(self, constants: HostConstants) -> Any:
        return frozenset(constants.capabilities.kv)

    def open(self, grant: Any) -> Session:
        return partial(_serve, grant)


def _serve(granted: frozenset[str], state: HostState, name: str, arguments: list[Any]) -> Wait:
    constants = state.constants
    if name == "kv.put":
        namespace, key, value, options = arguments_of(name, arguments, 3, 1)
    else:
        (namespace, key, options), value = arguments_of(name, arguments, 2, 1), None
    namespace, key = text(name, "the namespace", namespace), text(name, "the key", key)
    if namespace not in granted:
        shown = namespace if grants.NAMESPACE.fullmatch(namespace) else "<namespace>"
        raise not_granted(constants, f"the kv namespace {namespace[:64]!r}", grants.line("kv", shown))
    _check_key(name, key, "the prefix" if name == "kv.list" else "the key")
    checked = _options(name, table(name, "options", options, _OPTIONS[name]))
    if name == "kv.put":
        _check_value(value)
    sent = len(key) + len(value or b"")
    body = [constants.tenant, name[3:], namespace, key, value, checked]
    return result_of(state, "kv", sent, lambda: constants.upward.ask("kv", body))


def _check_key(name: str, key: str, what: str) -> None:
    size = len(key.encode())
    if size > limits.KV_KEY_BYTES_MAX:
        raise CallRefused("TooLarge", f"{name}: {what} has {size:,} bytes; use at most {limits.KV_KEY_BYTES_MAX}")
    if not key and name != "kv.list":
        raise invalid(f"{name}: the key is empty; give it a byte at least")


def _check_value(value: Any) -> None:
    if type(value) is not bytes:
        raise invalid(f"kv.put: the value is {kind_of(value)}; give binary, encode the rest")
    if len(value) > limits.KV_VALUE_BYTES_MAX:
        most = limits.KV_VALUE_BYTES_MAX
        raise CallRefused("TooLarge", f"kv.put: the value has {len(value):,} bytes; use at most {most:,}, or cut it up")


def _options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are there, checked."""
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option == "ttl_s":
            number = type(value) in (int, float) and math.isfinite(value)
            if not number or not 0 < value <= limits.KV_TTL_S_MAX:
                raise invalid(f"{name}: ttl_s is not a number of seconds from 0 to {limits.KV_TTL_S_MAX:,}; choose one")
        elif option == "after":
            text(name, option, value)
            _check_key(name, value or "-", option)
        elif option == "limit":
            if type(value) is not int or not 1 <= value <= limits.KV_LIST_MAX:
                raise invalid(f"{name}: limit is not an integer from 1 to {limits.KV_LIST_MAX:,}; choose one")
        elif type(value) is not int or not 0 <= value < 1 << 63:
            raise invalid(f"{name}: if_version is not a version; give one that kv.get or kv.put answered, or 0")
    return given
