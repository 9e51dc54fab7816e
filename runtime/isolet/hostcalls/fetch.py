"""The capability `fetch`: an HTTP request to hosts that the function was granted (abi.md 5.3).

What is asked for is checked here; the keeper makes the request (outbound.py), since workers have no way out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from .. import grants, limits
from ..engine.host import Wait
from ..errors import CallRefused
from ..urls import Url, parse_url, the_hosts_own
from .capability import Session, arguments_of, invalid, kind_of, not_granted, result_of, table, text
from .state import HostConstants, HostState

_NAME = "fetch"
_ENTRIES = ("method", "url", "headers", "body", "timeout_ms", "redirect")
_METHOD = re.compile(r"[A-Z!#$%&'*+.^_`|~0-9-]{1,32}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
# RFC 9110, 5.5: no CR, LF or NUL; what is around a value is no part of it.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_REDIRECTS = ("follow", "manual", "error")


class Fetch:
    """Granted by host; who has no grant is told which line to add."""

    def link(self) -> Iterable[str]:
        return (_NAME,)

    def admit(self, constants: HostConstants) -> Any:
        return constants.capabilities.fetch

    def open(self, grant: Any) -> Session:
        return _Session(grant)


class _Session:
    """Counts what one invocation fetches."""

    def __init__(self, granted: tuple[str, ...]) -> None:
        self._granted = granted
        self._made = 0

    def __call__(self, state: HostState, name: str, arguments: list[Any]) -> Wait:
        (given,) = arguments_of(name, arguments, 1)
        asked = table(name, "the request", given, _ENTRIES)
        url = _url(asked.get("url"))
        self._require_grant(state.constants, url)
        headers, body = _headers(asked.get("headers")), _body(asked.get("body"))
        method, redirect = _method(asked.get("method")), _redirect(asked.get("redirect"))
        timeout_s = min(_timeout_s(asked.get("timeout_ms")), state.left_s)
        if self._made >= limits.FETCHES_MAX:
            raise CallRefused("LimitExceeded", f"fetch: an invocation makes at most {limits.FETCHES_MAX} requests")
        self._made += 1
        upward, tenant = state.constants.upward, state.constants.tenant
        request = [
            *(tenant, state.constants.name, list(self._granted), method, str(url), headers, body, timeout_s, redirect)
        ]
        return result_of(state, _NAME, len(body or b""), lambda: upward.ask("fetch", request))

    def _require_grant(self, constants: HostConstants, url: Url) -> None:
        if not grants.covering(self._granted, url.origin):
            raise not_granted(constants, f"{url.origin.scheme}://{url.authority}", grants.line("fetch", url.authority))


def _url(value: Any) -> Url:
    url = parse_url(text(_NAME, "the url", value))
    if isinstance(url, grants.Refusal):
        raise invalid(f"fetch: the url {url.reason}; {url.cure}")
    return url


def _method(value: Any) -> str:
    method = "GET" if value is None else text(_NAME, "the method", value)
    if not _METHOD.fullmatch(method) or method in ("CONNECT", "TRACE"):
        raise invalid(f"fetch: the method {method[:40]!r} is not served; use GET, POST and the like, in capitals")
    return method


def _headers(value: Any) -> list[list[str]]:
    """In lower case, without those that are the host's."""
    if value is None:
        return []
    if type(value) is not list or len(value) > limits.HEADERS_MAX:
        raise invalid(f"fetch: headers are {kind_of(value)}; give an array of at most {limits.HEADERS_MAX} pairs")
    headers = [_header(pair) for pair in value]
    if sum(len(name) + len(held) for name, held in headers) > limits.HEADERS_BYTES_MAX:
        raise CallRefused("TooLarge", f"fetch: headers have at most {limits.HEADERS_BYTES_MAX:,} bytes")
    return [pair for pair in headers if not the_hosts_own(pair[0])]


def _header(pair: Any) -> list[str]:
    if type(pair) is not list or len(pair) != 2:
        raise invalid("fetch: a header is not [name, value]; give both")
    name, value = text(_NAME, "a header's name", pair[0]), text(_NAME, "a header's value", pair[1])
    if not _HEADER.fullmatch(name):
        raise invalid(f"fetch: {name[:40]!r} is no name of a header; use letters, digits and -")
    if not _VALUE.fullmatch(value):
        raise invalid(f"fetch: the header {name[:40]} has a value with characters that none may have; encode them")
    return [name.lower(), value.strip(" \t")]


def _body(value: Any) -> bytes | None:
    if value is None:
        return None
    if type(value) is not bytes:
        raise invalid(f"fetch: the body is {kind_of(value)}; give binary")
    if len(value) > limits.FETCH_REQUEST_BYTES_MAX:
        most = limits.FETCH_REQUEST_BYTES_MAX
        raise CallRefused("TooLarge", f"fetch: the body has {len(value):,} bytes; use at most {most:,}")
    return value


def _timeout_s(value: Any) -> float:
    if value is None:
        return limits.TIMEOUT_S_MAX
    number = type(value) in (int, float) and math.isfinite(value)
    if not number or not 1 <= value <= limits.TIMEOUT_S_MAX * 1000:
        raise invalid("fetch: timeout_ms is not a number of milliseconds from 1 to 900,000; choose one")
    return float(value) / 1000


def _redirect(value: Any) -> str:
    redirect = "follow" if value is None else text(_NAME, "redirect", value)
    if redirect not in _REDIRECTS:
        raise invalid(f"fetch: redirect is {redirect[:40]!r}; use one of {', '.join(_REDIRECTS)}")
    return redirect
