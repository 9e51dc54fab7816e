"""What the header section of one request says: read once, and immutable, so that a connection may keep it.

A client on a kept-alive connection sends the same headers again and again. Comparing the list with the last one costs
0.3 µs, reading it anew 3 µs: the connection keeps its last Head (protocol.py).

Laws:
- One Host, well-formed (HTTP/1.0 may do without). Two that agree are refused, too: the next proxy may not look twice.
- To the function go all headers but those that belong to the connection; names in lower case, duplicates joined by a
  comma, `cookie` as its own array. Nothing is added: `requestContext.http.sourceIp` is the peer of the connection.
- A value is latin-1, as HTTP has it; to the function it is a string of the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .. import trace
from ..errors import ExpectationFailed, MalformedRequest
from ..routing import HOST_SUFFIX
from .msgpack_parts import packed_array, packed_map, packed_str, packed_text

Headers = list[tuple[bytes, bytes]]

# Connection-wide, or about this hop's framing (RFC 9110, 7.6.1). `expect` is answered by us.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authorization te trailer transfer-encoding upgrade expect "
    b"http2-settings".split()
)
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_TEXTUAL = re.compile(
    r"text/.*|application/(?:json|xml|javascript|x-www-form-urlencoded)|.*\+(?:json|xml)", re.ASCII | re.DOTALL
)

# A body of 10²⁰ bytes is none of ours, and int() would take its time with a number of any size.
_LENGTH_DIGITS_MAX = 20
# Precedent: X-Ray's own headers have about 100 characters.
_TRACE_ID_BYTES_MAX = 512

# Header names as they came → packed in lower case (b"" for those that no event has), and the rule that reads the value.
# Bounded: names are the client's to choose.
_Rule = Callable[["Head", bytes], None]
_NAMES: dict[bytes, tuple[bytes, _Rule | None]] = {}
_NAMES_MAX = 4096

DOMAIN = packed_str("domainName")
DOMAIN_PREFIX = packed_str("domainPrefix")
_HEADERS = packed_str("headers")
_COOKIES = packed_str("cookies")
_HOST_SUFFIX = HOST_SUFFIX.encode("ascii")
# What follows the id in the host of a function URL: `<id>.lambda-url.localhost`, `<id>.lambda-url.us-east-1.on.aws`.
_URL_LABEL = b"lambda-url"
# A function's own host, without its end: a name, and the account unless it is the default one.
_SITE = re.compile(rb"[^.]+(?:\.[0-9]{12})?")


def _learn(raw: bytes) -> tuple[bytes, _Rule | None]:
    if len(_NAMES) >= _NAMES_MAX:
        _NAMES.clear()
    name = raw.lower()
    known = _NAMES[raw] = (b"" if name in _NOT_IN_EVENT else packed_text(name), _RULES.get(name))
    return known


class Host(NamedTuple):
    """A Host header, read: of few values in a server's life, and remembered."""

    name: bytes  # in lower case, without port
    site: str  # `<name>` or `<name>.<account>` of `….localhost`
    domain: bytes  # `domainName` and `domainPrefix`, packed
    url: str  # `<id>` of `<id>.lambda-url.<anything>`


class Head:
    """The facts of a header section. Made by `read`.

    The defaults are the class's: a head sets few of them, and most requests of a new client make one.
    """

    host = b""  # in lower case, without port
    site = ""  # `<name>` of the host `<name>.localhost`
    domain = b""  # `domainName` and `domainPrefix`, packed
    url = ""  # `<id>` of a function URL's host, `<id>.lambda-url.<anything>`
    content_length = 0
    measured = False  # a Content-Length is there
    chunked = False
    connection = False  # a Connection header is there: the version must be asked of the parser
    upgrade = False
    expects = False  # 100-continue
    textual = False  # the body is text by its Content-Type, should it be UTF-8
    user_agent = b"\xa0"
    trace_id = ""
    hosts = 0
    cookies: tuple[bytes, ...] = ()
    # For the event: `headers` and `cookies`, packed, and how many entries of the map that is.
    event_part = b""
    event_entries = 1
    # The lines of it that go on to a worker of another cordon, once they were needed (passing.py).
    passed_lines: bytes | None = None

    def __init__(self, headers: Headers) -> None:
        self.headers = headers

    def get(self, name: bytes) -> bytes | None:
        """The value of a header by its lower-case name; the first, should there be several."""
        for raw, value in self.headers:
            if raw.lower() == name:
                return value
        return None


def read(headers: Headers) -> Head:
    """The head of a request. Raises MalformedRequest (two Hosts, a bad one) or ExpectationFailed."""
    # White space after a value is no part of it (RFC 9110, 5.5); the parser takes away only that before it.
    headers = [(raw, value.rstrip(b" \t")) for raw, value in headers]
    head = Head(headers)
    entries: dict[bytes, bytes] = {}
    for raw, value in headers:
        packed, rule = _NAMES.get(raw) or _learn(raw)
        if rule is not None:
            rule(head, value)
        if packed:
            entries[packed] = entries[packed] + b"," + value if packed in entries else value
    if head.measured and head.chunked:
        raise MalformedRequest("a Content-Length beside a Transfer-Encoding")
    # Whether none is allowed depends on the version, which the connection knows.
    if head.hosts != 1:
        if head.hosts:
            raise MalformedRequest("more than one Host header")
        head.domain = _NO_HOST.domain
    head.event_part = _HEADERS + packed_map([(name, packed_text(value)) for name, value in entries.items()])
    if head.cookies:
        head.event_part += _COOKIES + packed_array([packed_text(cookie) for cookie in head.cookies])
        head.event_entries = 2
    return head


def _host(head: Head, value: bytes) -> None:
    head.hosts += 1
    head.host, head.site, head.domain, head.url = _parse_host(value)


@lru_cache(maxsize=1024)
def _parse_host(value: bytes) -> Host:
    if not value or not _HOST.fullmatch(value):
        raise MalformedRequest("the Host header is not a host name with an optional port")
    end = value.find(b"]") + 1 if value.startswith(b"[") else value.find(b":")
    name = (value if end <= 0 else value[:end]).lower()
    label = name[: -len(_HOST_SUFFIX)] if name.endswith(_HOST_SUFFIX) else b""
    site = label.decode("ascii") if _SITE.fullmatch(label) else ""
    id, _, rest = name.partition(b".")
    url = id.decode("ascii") if rest.partition(b".")[0] == _URL_LABEL else ""
    return Host(name, site, _domain(name), url)


def _domain(name: bytes) -> bytes:
    return b"".join((DOMAIN, packed_text(name), DOMAIN_PREFIX, packed_text(name.partition(b".")[0])))


_NO_HOST = Host(b"", "", _domain(b""), "")


def _cookie(head: Head, value: bytes) -> None:
    head.cookies += tuple(cookie for part in value.split(b";") if (cookie := part.strip(b" \t")))


# The parser refuses what is refused here, too: where a body ends, two look.


def _content_length(head: Head, value: bytes) -> None:
    if not value.isdigit() or len(value) > _LENGTH_DIGITS_MAX or head.measured:
        raise MalformedRequest("the Content-Length is not one number")
    head.measured = True
    head.content_length = int(value)


def _transfer_encoding(head: Head, value: bytes) -> None:
    # The parser lets `gzip, chunked` pass, whose coding we would have to undo.
    if value.lower() != b"chunked" or head.chunked:
        raise MalformedRequest("the only Transfer-Encoding understood is `chunked`, once")
    head.chunked = True


def _expect(head: Head, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise ExpectationFailed("the only expectation understood is `100-continue`")
    head.expects = True


def _connection(head: Head, value: bytes) -> None:
    head.connection = True


def _upgrade(head: Head, value: bytes) -> None:
    head.upgrade = True


def _content_type(head: Head, value: bytes) -> None:
    head.textual = is_textual(value.decode("latin-1"))


def _user_agent(head: Head, value: bytes) -> None:
    head.user_agent = packed_text(value)


def _trace_id(head: Head, value: bytes) -> None:
    head.trace_id = value[:_TRACE_ID_BYTES_MAX].decode("latin-1")


def _traceparent(head: Head, value: bytes) -> None:
    """W3C's form of a trace context, in X-Ray's words; X-Ray's own header is believed first."""
    if not head.trace_id:
        head.trace_id = trace.from_traceparent(value.decode("latin-1"))


@lru_cache(maxsize=256)
def is_textual(content_type: str) -> bool:
    """True if a body of this Content-Type is text (sdk/abi.md, section 2.2)."""
    return _TEXTUAL.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


_NOT_IN_EVENT = HOP_BY_HOP | {b"cookie"}
_RULES: dict[bytes, _Rule] = {
    b"host": _host,
    b"content-length": _content_length,
    b"content-type": _content_type,
    b"transfer-encoding": _transfer_encoding,
    b"expect": _expect,
    b"connection": _connection,
    b"upgrade": _upgrade,
    b"cookie": _cookie,
    b"user-agent": _user_agent,
    b"x-amzn-trace-id": _trace_id,
    b"traceparent": _traceparent,
}


def headers_bytes(headers: Headers) -> int:
    """What a header section takes on the wire, but for optional white space."""
    return sum([len(name) + len(value) + 4 for name, value in headers])


def without_upgrade(method: bytes, url: bytes, headers: Headers, http_1_0: bool) -> bytes:
    """The head of a request without its wish to upgrade, to be parsed again."""
    lines = [b"%b %b HTTP/1.%d\r\n" % (method, url, 0 if http_1_0 else 1)]
    for name, value in headers:
        lower = name.lower()
        if lower == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() in (b"close", b"keep-alive"))
        if value and lower != b"upgrade":
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines) + b"\r\n"
