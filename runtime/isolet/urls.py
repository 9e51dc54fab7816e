"""The URLs that functions fetch: taken apart once, strictly, and from then on only the parts are used. Pure.

Parsers that disagree about one text are how allow lists are walked around: so what this one gives is what is checked,
resolved, connected to, and sent. What two parsers could read in two ways (a backslash, a user, a number for a host) is
refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin

from . import limits
from .grants import PORTS, Origin, Refusal, normal_host

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.ASCII | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^\[\]:@%]+)(?::([0-9]{0,5}))?", re.ASCII)
_HARMFUL = re.compile(r"[\0-\x20\x7f\\]")
# As they are in a request's target; the rest is percent-encoded as UTF-8. A % stays what the URL's writer made it.
_SAFE = "/:@!$&'()*+,;=-._~%?[]|^"


# Headers that belong to a connection (RFC 9110, section 7.6.1) or are the host's to say. Those of proxies, too.
_OF_A_CONNECTION = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
_THE_HOSTS = frozenset({"host", "content-length", "expect"})


def of_a_connection(header: str) -> bool:
    """Whether a header (in lower case) is left out of answers."""
    return header in _OF_A_CONNECTION or header.startswith("proxy-")


def the_hosts_own(header: str) -> bool:
    """Whether a header (in lower case) is left out of requests."""
    return header in _THE_HOSTS or of_a_connection(header)


class Url(NamedTuple):
    origin: Origin
    target: str  # path and query, ASCII

    @property
    def authority(self) -> str:
        """As `Host` has it: the port only where it is not the scheme's own."""
        scheme, host, port = self.origin
        shown = f"[{host}]" if ":" in host else host
        return shown if port == PORTS[scheme] else f"{shown}:{port}"

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url | Refusal:
    text = text.strip(" \t\r\n")
    if len(text.encode("utf-8", "replace")) > limits.URL_BYTES_MAX:
        return Refusal(f"has more than {limits.URL_BYTES_MAX:,} bytes", "shorten it")
    if _HARMFUL.search(text) or any("\ud800" <= character <= "\udfff" for character in text):
        return Refusal("has a space, a control character or a backslash in it", "percent-encode it")
    match = _URL.fullmatch(text)
    if match is None:
        return Refusal("is not http:// or https://", "write the whole URL")
    scheme, authority, path, query = match[1].lower(), match[2], match[3], match[4] or ""
    if "@" in authority:
        return Refusal("has a user or password in it", "send an authorization header")
    split = _AUTHORITY.fullmatch(authority)
    host = normal_host(split[1]) if split is not None else None
    if split is None or host is None or host == "":
        return Refusal("has a host that is neither a name nor an address in its usual form", "correct the host")
    port = int(split[2] or PORTS[scheme])
    if not 1 <= port <= 65_535:
        return Refusal(f"has the port {port}", "use 1 to 65535")
    target = quote(path or "/", safe=_SAFE) + quote(query, safe=_SAFE)
    if len(target) > limits.URL_BYTES_MAX:
        return Refusal(f"has more than {limits.URL_BYTES_MAX:,} bytes once it is encoded", "shorten it")
    return Url(Origin(scheme, host, port), target)


def join(base: Url, location: str) -> Url | Refusal:
    """Where `location` leads, as an answer from `base` says it."""
    try:
        joined = urljoin(str(base), location.strip(" \t\r\n"))
    except ValueError:
        return Refusal("is no URL", "ask the server's owner")
    return parse_url(joined)
