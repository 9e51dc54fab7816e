"""A function URL's CORS configuration: what a preflight is answered, and what is added to every other answer. Pure.

Laws (Lambda's own, "Cross-origin resource sharing" in its guide, and answers that it was seen to give):
- A preflight is OPTIONS with `Origin` and `Access-Control-Request-Method`. With a configuration it is answered here,
  200 and empty, and the function is not called; without one it is a request like any other.
- An answer names the origin that asked, never `*`, where the configuration has `*`: so it may be combined with
  credentials. `Vary: Origin` is on every answer, since another origin would get another one.
- An origin, method or header that is not allowed gets no header that allows it, and nothing else: the browser refuses.
- On other answers the function's own CORS headers stay, also beside ours of the same name. A function that answers them
  itself should not have a configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..model import Cors

# Reads a header of the request by its lower-case name; the first, should there be several.
Get = Callable[[bytes], bytes | None]

VARY = b"vary: Origin\r\n"


def is_preflight(method: bytes, get: Get) -> bool:
    """True for a request with which a browser asks whether it may send another one."""
    return method == b"OPTIONS" and bool(get(b"origin")) and bool(get(b"access-control-request-method"))


def preflight_lines(cors: Cors, get: Get) -> bytes:
    """The header lines that answer a preflight."""
    allowed = _origin_line(cors, get(b"origin"))
    if not allowed:
        return VARY
    lines = [VARY, allowed]
    if cors.allow_headers:
        names = (
            _text(get(b"access-control-request-headers")) if "*" in cors.allow_headers else _joined(cors.allow_headers)
        )
        if names:
            lines.append(_line("access-control-allow-headers", names))
    if cors.allow_methods:
        asked = _text(get(b"access-control-request-method"))
        methods = asked if "*" in cors.allow_methods else _joined(cors.allow_methods)
        if methods:
            lines.append(_line("access-control-allow-methods", methods))
    if cors.max_age_s:
        lines.append(_line("access-control-max-age", str(cors.max_age_s)))
    if cors.allow_credentials:
        lines.append(_line("access-control-allow-credentials", "true"))
    return b"".join(lines)


def answer_lines(cors: Cors, get: Get) -> bytes:
    """The header lines that are added to the answer of any other request."""
    return _answer_lines(cors, get(b"origin"))


@lru_cache(maxsize=256)
def _answer_lines(cors: Cors, origin: bytes | None) -> bytes:
    allowed = _origin_line(cors, origin)
    if not allowed:
        return VARY
    lines = [VARY, allowed]
    if cors.expose_headers:
        lines.append(_line("access-control-expose-headers", _joined(cors.expose_headers)))
    if cors.allow_credentials:
        lines.append(_line("access-control-allow-credentials", "true"))
    return b"".join(lines)


def _origin_line(cors: Cors, origin: bytes | None) -> bytes:
    """b"" if this origin may not."""
    text = _text(origin)
    if not text or not ("*" in cors.allow_origins or text in cors.allow_origins):
        return b""
    return _line("access-control-allow-origin", text)


def _text(value: bytes | None) -> str:
    """A header of the request, fit to be one of an answer: the parser lets no control but the tab into it."""
    return "" if value is None else value.decode("latin-1").strip(" \t")


def _joined(names: tuple[str, ...]) -> str:
    return ",".join(names)


def _line(name: str, value: str) -> bytes:
    # A configuration's own values are any text: what would end a line, or is no latin-1, is left out.
    return f"{name}: ".encode("ascii") + _harmless(value) + b"\r\n"


def _harmless(value: str) -> bytes:
    return "".join(c for c in value if c == "\t" or (c >= " " and c != "\x7f")).encode("latin-1", "ignore")
