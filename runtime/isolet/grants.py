"""What `[capabilities]` may say, and whether a grant covers a call (abi.md section 5). Pure.

Laws:
- An entry is taken whole or refused with reason and cure. Hosts of grants and of requests are spelled alike
  (`normal_host`: lower case, IDNA, no final dot, addresses in their shortest form), so that equal means the same.
- Matching takes time in proportion to what is matched, whatever a pattern holds.
- A grant says what its function's owner wants. What the server lets anybody reach is outbound.py's to say.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import limits

KINDS = ("kv", "fetch", "invoke", "secrets")

NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
# Precedent: Secrets Manager's Name.
SECRET_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z0-9_*-]{1,64}(:(\$LATEST|[A-Za-z0-9_*-]{1,128}))?", re.ASCII)
_FETCH = re.compile(r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s]+)(?::([0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What a resolver may read as an address though it is not written as one: 2130706433, 0177.0.0.1, 0x7f.1.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
_HOST_CHARS_MAX = 253
PORTS: Mapping[str, int] = {"http": 80, "https": 443}


class Refusal(NamedTuple):
    """Why an entry is none, for after "the entry …"."""

    reason: str
    cure: str


class Origin(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HostGrant:
    """One entry of `fetch`. `host` is "*", "*.name" or a host; `port` 0: the scheme's own; `scheme` "": both."""

    scheme: str
    host: str
    port: int

    def covers(self, origin: Origin) -> bool:
        if self.scheme not in ("", origin.scheme) or (self.port or PORTS[origin.scheme]) != origin.port:
            return False
        if self.host == "*":
            return True
        return origin.host.endswith(self.host[1:]) if self.host[0] == "*" else origin.host == self.host

    @property
    def is_literal(self) -> bool:
        """Host and port are given themselves: what a private address needs."""
        return self.port != 0 and "*" not in self.host


def normal_host(text: str) -> str | None:
    """A host as it is compared: a name in lower case ASCII, or an address in its shortest form (IPv6 without brackets).

    None for what is neither, also for numbers that only a resolver would take for an address.
    """
    if text.startswith("[") and text.endswith("]"):
        return _address(text[1:-1], 6)
    host = text.removesuffix(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    host = host.lower()
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _address(host, 4)
    if len(host) > _HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return host


def _address(text: str, version: int) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if address.version == version and "%" not in text else None


# ── reading entries ─────────────────────────────────────────────────────────────────────────────────────────────


def parse_fetch(text: str) -> HostGrant | Refusal:
    match = _FETCH.fullmatch(text) if len(text) <= _HOST_CHARS_MAX + 16 else None
    if match is None:
        return Refusal(
            "is not a host", "write api.example.com, *.example.org or https://example.net:8443, without a path"
        )
    scheme, written, port = match[1] or "", match[2], match[3]
    if port is not None and not 1 <= int(port) <= 65_535:
        return Refusal(f"has the port {port}", "use 1 to 65535")
    if written == "*":
        return HostGrant(scheme, "*", int(port or 0))
    wild = written.startswith("*.")
    host = normal_host(written[2:] if wild else written)
    if host is None or "*" in host:
        return Refusal(
            "is neither a host name nor an address", "write a name such as api.example.com, or *.example.org"
        )
    if wild and (":" in host or _NUMBER.fullmatch(host.rpartition(".")[2])):
        return Refusal("has an address behind *.", "name the address itself")
    return HostGrant(scheme, f"*.{host}" if wild else host, int(port or 0))


def _pattern(pattern: re.Pattern[str], reason: str, cure: str) -> Callable[[str], str | Refusal]:
    def parse(text: str) -> str | Refusal:
        return text if pattern.fullmatch(text) else Refusal(reason, cure)

    return parse


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "kv": _pattern(
        NAMESPACE, "is no namespace", "use letters, digits, ., - and _, at most 64, a letter or digit first"
    ),
    "fetch": parse_fetch,
    "invoke": _pattern(
        _FUNCTION, "is no function's name", "write a name such as resize or img-*, with or without :qualifier"
    ),
    "secrets": _pattern(SECRET_NAME, "is no secret's name", "use letters, digits and /_+=.@-, at most 512"),
}


def refusal(kind: str, entries: Sequence[object]) -> Refusal | None:
    """Why these entries of `kind` cannot be granted together; the reason names the entry."""
    if len(entries) > limits.GRANTS_MAX:
        return Refusal(f"has {len(entries)} entries", f"use at most {limits.GRANTS_MAX}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            return Refusal(f"holds {entry!r:.60}", "write a list of strings")
        parsed = _PARSERS[kind](entry)
        if isinstance(parsed, Refusal):
            return Refusal(f"{entry[:80]!r} {parsed.reason}", parsed.cure)
        if entry in entries[:index]:
            return Refusal(f"{entry!r} is there twice", "remove one")
    return None


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────


def covering(grants: Sequence[str], origin: Origin) -> list[HostGrant]:
    """The entries of a function's `fetch` that cover `origin`."""
    parsed = (parse_fetch(text) for text in grants)
    return [grant for grant in parsed if isinstance(grant, HostGrant) and grant.covers(origin)]


def allows_function(grants: Sequence[str], name: str, qualifier: str) -> bool:
    for entry in grants:
        wanted, _, wanted_qualifier = entry.partition(":")
        if like(wanted, name) and (not wanted_qualifier or like(wanted_qualifier, qualifier)):
            return True
    return False


def like(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, in which `*` stands for any characters. Each part is sought once, from the left."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def line(kind: str, entry: str) -> str:
    """What to write in function.toml for this grant."""
    return f'[capabilities] {kind} = ["{entry}"]'
