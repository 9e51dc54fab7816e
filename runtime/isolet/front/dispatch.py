"""Which exchange a request is for: the one place that knows all doors of a worker.

In this order: a function's own host, a function URL's, the prefix `/fn/`, Lambda's Invoke, declared routes (which never
match a path of ours, routing.py), and the application for everything else. Several of AWS's APIs have the path `/` and
a header `X-Amz-Target` (aws/targets.py): these are never a function's, whose route is `/`, too: it would be told
secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools

from ..errors import MalformedRequest
from ..routing import PREFIX, Match
from .asgi import AppExchange
from .door import HttpLimits
from .exchange import Exchange, HttpExchange, Missing, PassExchange
from .function_url import UrlExchange
from .head import Head, read
from .invoke import InvokeExchange, is_invoke
from .invoke_stream import StreamInvokeExchange, is_stream_invoke

if TYPE_CHECKING:
    from .protocol import Connection

# Of what llhttp knows, the methods of HTTP; not those of RTSP and ICE, nor CONNECT, which makes a tunnel.
METHODS = frozenset(
    b"DELETE GET HEAD POST PUT OPTIONS TRACE PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK "
    b"QUERY".split()
)


def dispatch(connection: Connection, method: bytes, url: bytes, head: Head) -> Exchange:
    """The exchange for a request. Raises MalformedRequest for a request target that is none."""
    if b"#" in url:
        raise MalformedRequest("the request target has a fragment")
    if url[:1] != b"/":
        url, head = _origin_form(method, url, head)
    raw_path, _, query = url.partition(b"?")
    path = raw_path.decode("ascii")
    routes = connection.door.routes
    if head.site:
        target = routes.host(head.site)
        if target is None:
            return Missing(connection, method, head, head.site)
        return _for_function(connection, method, head, Match(target, path), path, query)
    if head.url:
        return UrlExchange(connection, method, head, path, query)
    if path.startswith(PREFIX):
        match = routes.prefixed(path)
        if match is None:
            return Missing(connection, method, head, path[len(PREFIX) :].partition("/")[0])
        return _for_function(connection, method, head, match, path, query)
    if is_invoke(method, path):
        return InvokeExchange(connection, method, head, path, query)
    if is_stream_invoke(method, path):
        return StreamInvokeExchange(connection, method, head, path, query)
    match = routes.route(method.decode("ascii"), path)
    if match is not None and not (path == "/" and head.get(b"x-amz-target") is not None):
        return _for_function(connection, method, head, match, path, query)
    return AppExchange(connection, method, head, path, query)


def _for_function(connection: Connection, method: bytes, head: Head, match: Match, path: str, query: bytes) -> Exchange:
    if match.target.cordon:
        return PassExchange(connection, method, head, path, query, match.target)
    return HttpExchange(connection, method, head, match, query)


def body_bytes_max(exchange: Exchange, limits: HttpLimits) -> int:
    """The largest body of an exchange: packages are uploaded to the control plane, in one request."""
    return limits.control_body_bytes if isinstance(exchange, AppExchange) else limits.payload_bytes


def _origin_form(method: bytes, url: bytes, head: Head) -> tuple[bytes, Head]:
    """The path and query of an absolute URL, whose authority counts in place of Host (RFC 9112, 3.2.2)."""
    if url == b"*":
        if method != b"OPTIONS":  # RFC 9112, 3.2.4
            raise MalformedRequest("the request target * is for OPTIONS only")
        return url, head
    try:
        parsed: Any = httptools.parse_url(url)  # what a URL may lack is not in its types
    except httptools.HttpParserInvalidURLError:
        raise MalformedRequest("the request target is no path and no URL") from None
    if parsed.schema.lower() not in (b"http", b"https") or not parsed.host or parsed.userinfo:
        raise MalformedRequest("the request target is no path and no http URL")
    host = b"[%b]" % parsed.host if b":" in parsed.host else parsed.host
    authority = host if parsed.port is None else b"%b:%d" % (host, parsed.port)
    others = [(name, value) for name, value in head.headers if name.lower() != b"host"]
    target = parsed.path or b"/"
    return target + (b"?" + parsed.query if parsed.query else b""), read([(b"Host", authority), *others])
