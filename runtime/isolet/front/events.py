"""HTTP ↔ Lambda's payload format 2.0 (sdk/abi.md, sections 2.2 and 3). Pure: bytes and values in, bytes out.

In: the event is joined from packed pieces (msgpack_parts.py). Made once: what depends on the function (`site_part`), on
the header section (head.py), on the connection (`source_part`), on the second (`time_part`). Made anew: path, query,
body.

Out: `answer` checks a guest's result and writes its header lines; lines that were checked once are remembered.

Choices where AWS leaves one, or differs between function URLs and API Gateway:
- `rawPath` and `requestContext.http.path` are the same, percent-encoded as received, without the prefix `/fn/<name>`
  (routing.py). The stage is `$default`, the account `anonymous`, as in function URLs.
- `queryStringParameters`, `pathParameters`, `cookies` and `body` are absent when there are none, as in AWS's events.
- A result with `statusCode` and no `content-type`: `text/plain; charset=utf-8` for a str, `application/octet-stream`
  for a bin.
- A header value that is an int is written as one; AWS does, and JavaScript handlers rely on it. Anything else must be a
  str.
"""

from __future__ import annotations

import re
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from time import gmtime
from typing import Any
from urllib.parse import unquote_to_bytes

from ..errors import AbiViolation
from ..model import InPieces
from .head import HOP_BY_HOP, Head
from .msgpack_parts import bin_head, packed_map, packed_str, packed_text, packed_utf8
from .payload import bound_response, render_json
from .wire import BODILESS, JSON, Answer

# ── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_VERSION = packed_str("version") + packed_str("2.0")
_ROUTE_KEY = packed_str("routeKey")
_RAW_PATH = packed_str("rawPath")
_RAW_QUERY = packed_str("rawQueryString")
_NO_QUERY = _RAW_QUERY + b"\xa0"
_QUERY = packed_str("queryStringParameters")
_PATH_PARAMETERS = packed_str("pathParameters")
_BODY = packed_str("body")
_TEXT_END = packed_str("isBase64Encoded") + b"\xc2"
_BINARY_END = packed_str("isBase64Encoded") + b"\xc3"
# routeKey accountId apiId stage · domainName domainPrefix · time timeEpoch · requestId · http; and authorizer
_CONTEXT = packed_str("requestContext") + b"\x8a"
_CONTEXT_AUTHORIZED = packed_str("requestContext") + b"\x8b"
_AUTHORIZER = packed_str("authorizer") + b"\x81" + packed_str("iam")
_HTTP = packed_str("http") + b"\x85"
_METHOD = packed_str("method")
_PATH = packed_str("path")
_PROTOCOL = packed_str("protocol")
_HTTP_1_1 = _PROTOCOL + packed_str("HTTP/1.1")
_HTTP_1_0 = _PROTOCOL + packed_str("HTTP/1.0")
_SOURCE_IP = packed_str("sourceIp")
_USER_AGENT = packed_str("userAgent")
_TIME = packed_str("time")
_TIME_EPOCH = packed_str("timeEpoch") + b"\xcf"
_REQUEST_ID = packed_str("requestId") + b"\xd9\x24"
_EPOCH = struct.Struct(">Q").pack
# version routeKey rawPath rawQueryString isBase64Encoded requestContext; the head adds one or two, the others one each.
_ENTRIES = 0x80 | 6
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_METHODS: dict[bytes, bytes] = {}


def site_part(name: str, route_key: str) -> bytes:
    """What is the same in all events of a function at a route: the event's start and that of its `requestContext`."""
    route = _ROUTE_KEY + packed_str(route_key)
    constants = {"accountId": "anonymous", "apiId": name, "stage": "$default"}
    packed = b"".join(packed_str(part) for entry in constants.items() for part in entry)
    return b"".join((_VERSION, route, _CONTEXT, route, packed))


def authorized_part(name: str, account: str, iam: Mapping[str, str | None]) -> bytes:
    """`site_part` of a function URL whose caller is known: `account` is the caller's, `iam` says who it is."""
    route = _ROUTE_KEY + packed_str("$default")
    constants = {"accountId": account, "apiId": name, "stage": "$default"}
    packed = b"".join(packed_str(part) for entry in constants.items() for part in entry)
    caller = packed_map([(packed_str(k), b"\xc0" if v is None else packed_str(v)) for k, v in iam.items()])
    return b"".join((_VERSION, route, _CONTEXT_AUTHORIZED, route, packed, _AUTHORIZER, caller))


def source_part(address: str) -> bytes:
    """The peer of a connection."""
    return _SOURCE_IP + packed_str(address)


def time_part(second: int) -> bytes:
    """`time` of a Unix second in CLF, and the start of `timeEpoch`. Month names are English wherever the server
    runs."""
    t = gmtime(second)
    text = f"{t[2]:02}/{_MONTHS[t[1] - 1]}/{t[0]:04}:{t[3]:02}:{t[4]:02}:{t[5]:02} +0000"
    return _TIME + packed_str(text) + _TIME_EPOCH


def pack_event(
    *,
    site: bytes,
    head: Head,
    source: bytes,
    time: bytes,
    epoch_ms: int,
    request_id: bytes,
    method: bytes,
    path: str,
    query: bytes,
    parameters: Mapping[str, str] | None = None,
    body: bytes | bytearray = b"",
    http_1_0: bool = False,
) -> bytes:
    """The event of one request, packed. `path` and `query` are ASCII, percent-encoded; `request_id` has 36
    characters."""
    packed_path = packed_utf8(path.encode("ascii"))
    packed_method = _METHODS.get(method)
    if packed_method is None:  # the parser knows some forty
        packed_method = _METHODS[method] = _HTTP + _METHOD + packed_utf8(method)
    entries = _ENTRIES + head.event_entries
    optional = b""
    if query:
        raw_query = _RAW_QUERY + packed_utf8(query)
        optional = _QUERY + _pack_query(query)
        entries += 1
    else:
        raw_query = _NO_QUERY
    if parameters:
        optional += _PATH_PARAMETERS + _pack_strings(parameters)
        entries += 1
    end = _TEXT_END
    if body:
        entries += 1
        if head.textual and _is_utf8(body):
            optional = b"".join((optional, _BODY, packed_utf8(body)))
        else:
            optional = b"".join((optional, _BODY, bin_head(len(body)), body))
            end = _BINARY_END
    return b"".join(
        (
            bytes((entries,)),
            site,
            head.domain,
            time,
            _EPOCH(epoch_ms),
            _REQUEST_ID,
            request_id,
            packed_method,
            _PATH,
            packed_path,
            _HTTP_1_0 if http_1_0 else _HTTP_1_1,
            source,
            _USER_AGENT,
            head.user_agent,
            _RAW_PATH,
            packed_path,
            raw_query,
            head.event_part,
            optional,
            end,
        )
    )


def _is_utf8(body: bytes | bytearray) -> bool:
    if body.isascii():
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _pack_query(query: bytes) -> bytes:
    """The parameters of a query, decoded; of several with one name the values joined by a comma."""
    found: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        if b"%" in pair or b"+" in pair:
            name, value = _decoded(name), _decoded(value)
        found[name] = found[name] + b"," + value if name in found else value
    return packed_map([(packed_utf8(name), packed_utf8(value)) for name, value in found.items()])


def _decoded(text: bytes) -> bytes:
    raw = unquote_to_bytes(text.replace(b"+", b" "))
    return raw if raw.isascii() else raw.decode("utf-8", "replace").encode("utf-8")


def _pack_strings(values: Mapping[str, str]) -> bytes:
    return packed_map([(packed_str(name), packed_str(value)) for name, value in values.items()])


# ── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# What only we may say, and what belongs to the connection.
_STRIPPED = frozenset(name.decode() for name in HOP_BY_HOP) | {"content-length", "date", "server", "proxy-authenticate"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# Everything a field value may not hold: controls but the tab. CR, LF and NUL would end it.
_FORBIDDEN = re.compile("[\0-\x08\n-\x1f\x7f]")
_TEXT_PLAIN = b"content-type: text/plain; charset=utf-8\r\n"
_OCTETS = b"content-type: application/octet-stream\r\n"
# Precedent: our own limit on requests, and nginx's buffer for an upstream's headers.
_HEADERS_MAX = 100
_HEADERS_BYTES_MAX = 64 * 1024

# Checked lines by (name, value). Functions answer with the same few headers; values that vary push each other out.
_LINES: dict[tuple[str, str], bytes] = {}
_LINES_MAX = 2048
_LINE_CHARS_MAX = 200


def answer(value: Any, more_lines: bytes = b"", rendered: InPieces | None = None) -> Answer:
    """The answer that an HTTP function's result means, with `more_lines` added; `rendered` as for `render_json`. Raises
    AbiViolation or ResponseTooLarge."""
    if type(value) is not dict or "statusCode" not in value:
        return Answer(200, JSON + more_lines, render_json(value, rendered))
    status = value["statusCode"]
    if type(status) is not int or not 200 <= status <= 599:
        raise AbiViolation(f"the result's statusCode is {_shown(status)}; it must be an int from 200 to 599")
    headers, typed = _header_lines(value.get("headers"), more_lines)
    cookies = value.get("cookies")
    if cookies is not None:
        headers += _cookie_lines(cookies)
    body = value.get("body")
    if body is None or status in BODILESS:
        return Answer(status, headers, b"")
    if type(body) is str:
        raw = _from_base64(body) if value.get("isBase64Encoded") is True else body.encode("utf-8")
        headers = headers if typed or not raw else headers + _TEXT_PLAIN
    elif type(body) is bytes:
        raw = body
        headers = headers if typed or not raw else headers + _OCTETS
    else:
        raise AbiViolation(f"the result's body is {_shown(body)}; it must be a str or a bin")
    bound_response(len(raw))
    return Answer(status, headers, raw)


def stream_head(options: Mapping[str, Any], more_lines: bytes = b"") -> tuple[int, bytes]:
    """Status and header lines of a streamed answer (sdk/abi.md, 5.6), with `more_lines` added. Raises AbiViolation."""
    result = {"statusCode": _or(options, "status", 200), "headers": options.get("headers")}
    result["cookies"] = options.get("cookies")
    status, lines, _ = answer(result, more_lines)
    kind = _or(options, "content_type", "application/octet-stream")
    if b"content-type:" not in lines:
        lines += _header_line("content-type", kind)
    return status, lines


def _or(options: Mapping[str, Any], name: str, default: Any) -> Any:
    given = options.get(name)
    return default if given is None else given


def _header_lines(headers: Any, more_lines: bytes) -> tuple[bytes, bool]:
    """The lines of a result's headers after `more_lines`, and whether there is a Content-Type among them."""
    if headers is None:
        return more_lines, False
    if type(headers) is not dict:
        raise AbiViolation(f"the result's headers are {_shown(headers)}; they must be a map")
    if len(headers) > _HEADERS_MAX:
        raise AbiViolation(f"the result has {len(headers)} headers; at most {_HEADERS_MAX} are passed on")
    joined = more_lines
    typed = False
    for name, value in headers.items():
        line = _LINES.get((name, value)) if type(value) is str else None
        if line is None:
            line = _header_line(name, value)
        joined += line
        if line.startswith(b"content-type:"):
            typed = True
    if len(joined) > _HEADERS_BYTES_MAX:
        raise AbiViolation(
            f"the result's headers have {len(joined):,} bytes; at most {_HEADERS_BYTES_MAX:,} are passed on"
        )
    return joined, typed


def _header_line(name: str, value: Any) -> bytes:
    """One checked line, b"" for a header that is ours to say."""
    if not _TOKEN.fullmatch(name):
        raise AbiViolation(f"the result's header name {_shown(name)} is not a token")
    lower = name.lower()
    if lower in _STRIPPED:
        return b""
    if type(value) is int:
        return f"{lower}: {value}\r\n".encode("ascii")
    if type(value) is not str:
        raise AbiViolation(f"the result's header {lower} is {_shown(value)}; it must be a str")
    line = f"{lower}: ".encode("ascii") + _field_value(value, f"header {lower}") + b"\r\n"
    if len(value) <= _LINE_CHARS_MAX:
        if len(_LINES) >= _LINES_MAX:
            _LINES.clear()
        _LINES[name, value] = line
    return line


def _field_value(value: str, what: str) -> bytes:
    if _FORBIDDEN.search(value):
        raise AbiViolation(f"the result's {what} holds a control character")
    try:
        return value.strip(" \t").encode("latin-1")
    except UnicodeEncodeError:
        raise AbiViolation(f"the result's {what} holds characters beyond latin-1; percent-encode them") from None


def _cookie_lines(cookies: Any) -> bytes:
    if type(cookies) is not list or not all(type(cookie) is str for cookie in cookies):
        raise AbiViolation(f"the result's cookies are {_shown(cookies)}; they must be an array of str")
    if len(cookies) > _HEADERS_MAX:
        raise AbiViolation(f"the result has {len(cookies)} cookies; at most {_HEADERS_MAX} are passed on")
    lines = b"".join(b"set-cookie: " + _field_value(cookie, "cookie") + b"\r\n" for cookie in cookies)
    if len(lines) > _HEADERS_BYTES_MAX:
        raise AbiViolation(
            f"the result's cookies have {len(lines):,} bytes; at most {_HEADERS_BYTES_MAX:,} are passed on"
        )
    return lines


def _from_base64(body: str) -> bytes:
    try:
        return a2b_base64(body.encode("ascii"), strict_mode=True) if body else b""
    except (Base64Error, UnicodeEncodeError):
        raise AbiViolation("the result's body is not base64, though isBase64Encoded says so") from None


def _shown(value: Any) -> str:
    """A value for a message: short, since it is a guest's."""
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:40]}…"


__all__ = [
    "answer",
    "authorized_part",
    "pack_event",
    "packed_text",
    "site_part",
    "source_part",
    "stream_head",
    "time_part",
]
