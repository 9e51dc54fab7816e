"""Two parsers, one reading: what h11, a parser by others, takes a connection's bytes for; and bytes to ask about."""

from __future__ import annotations

import re
from typing import NamedTuple

import h11
from hypothesis import strategies as st


class Read(NamedTuple):
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Reading(NamedTuple):
    requests: list[Read]
    broken: bool  # after them comes what is not HTTP, or not whole


_SPACES = re.compile(rb"\A([^ \r\n]+) +([^ \r\n]+) +(HTTP/1\.[01]\r\n)")


def reference(data: bytes) -> Reading:
    """The requests that h11 finds on a connection, each by an h11 of its own.

    In three things it is made as lenient as we are: empty lines before a request are skipped (RFC 9112, 2.2), several
    spaces are one where the request line has one (RFC 9112, 3), and an HTTP/1.0 client may keep its connection.
    """
    requests: list[Read] = []
    while data := data.lstrip(b"\r\n"):
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(_SPACES.sub(rb"\1 \2 \3", data))
        try:
            read, goes_on = _request(connection)
        except h11.RemoteProtocolError:
            return Reading(requests, broken=True)
        if read is None:
            return Reading(requests, broken=True)
        requests.append(read)
        if not goes_on:
            break
        data, _ = connection.trailing_data
    return Reading(requests, broken=False)


def _request(connection: h11.Connection) -> tuple[Read | None, bool]:
    """(the request, whether another may follow); None for one that is not whole."""
    event = connection.next_event()
    if not isinstance(event, h11.Request):
        return None, False
    body = b""
    while isinstance(part := connection.next_event(), h11.Data):
        body += bytes(part.data)
    if not isinstance(part, h11.EndOfMessage):
        return None, False
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
    asked = {word.strip().lower() for name, value in headers if name == "connection" for word in value.split(",")}
    kept = "close" not in asked and (event.http_version == b"1.1" or "keep-alive" in asked)
    return Read(event.method.decode(), event.target.decode("latin-1"), headers, body), kept


# ── bytes to ask about ──────────────────────────────────────────────────────────────────────────────────────────

_HEADERS = [
    *(b"X-A: 1", b"X-A:2", b"x-a: \t 3 \t ", b"X-B:", b"X-C: caf\xe9", b"Accept: */*", b"Cookie: a=1; b=2"),
    *(b"Content-Type: text/plain", b"Connection: keep-alive", b"Connection: close", b"Keep-Alive: 5", b"TE: trailers"),
    *(b"Host: evil", b"Host:", b"host: localhost", b"Upgrade: h2c", b"Connection: Upgrade", b"Expect: 100-continue"),
    *(
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content-Length: 05",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
    ),
    *(
        b"content-length: 5 ",
        b"Content-Length:5",
        b"Content-Length: 5 5",
        b"Content-Length: 0x5",
        b"Content-Length: -5",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding:chunked",
        b"Transfer-Encoding: x",
    ),
    *(b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked"),
    *(b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: \x0bchunked", b" folded", b"\tfolded", b"no colon"),
    *(
        b": no name",
        b"X Y: 1",
        b"X\0: 1",
        b"X: a\0b",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x0bb",
        b"X\xff: 1",
        b"X-(: 1",
        b"X\t: 1",
    ),
]
_BODIES = [
    *(
        b"",
        b"hello",
        b"hell",
        b"hello!",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ),
    *(
        b"5\nhello\n0\n\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"05\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n",
    ),
    *(b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nbad\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"\r\n", b"\r\n\r\n"),
]
_STARTS = [
    *(
        b"GET /fn/666666666666:echo/a HTTP/1.1",
        b"POST /fn/666666666666:echo/b?c=d HTTP/1.1",
        b"PUT /fn/666666666666:echo/ HTTP/1.1",
        b"PATCH /fn/666666666666:echo/a HTTP/1.1",
    ),
    *(
        b"DELETE /fn/666666666666:echo/%20 HTTP/1.1",
        b"GET  /fn/666666666666:echo/a HTTP/1.1",
        b"GET /fn/666666666666:echo/a  HTTP/1.1",
        b"GET /fn/666666666666:echo/a HTTP/1.1 ",
    ),
    *(
        b"GET /fn/666666666666:echo/a b HTTP/1.1",
        b"GET /fn/666666666666:echo/\xff HTTP/1.1",
        b"GET\t/fn/666666666666:echo/a HTTP/1.1",
        b"GET /fn/666666666666:echo/a HTTP/1.2",
    ),
    *(
        b"GET /fn/666666666666:echo/a HTTP/2.0",
        b"GET /fn/666666666666:echo/a HTTP/1.0",
        b"GET /fn/666666666666:echo/a",
        b"get /fn/666666666666:echo/a HTTP/1.1",
        b"GET /fn/666666666666:echo/a http/1.1",
        b"\x80 / HTTP/1.1",
    ),
]
_ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\r\n\r\n"]


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, bool]:
    """(one request, whether anything in it is not as it should be)."""
    strange = draw(st.booleans())
    ends = st.sampled_from(_ENDS) if strange else st.just(b"\r\n")
    start = draw(st.sampled_from(_STARTS if strange else _STARTS[:5]))
    headers = [b"Host: localhost"] * (draw(st.sampled_from([1, 1, 1, 1, 0, 2])) if strange else 1)
    headers += draw(st.lists(st.sampled_from(_HEADERS if strange else _HEADERS[:12]), max_size=4))
    framing = draw(st.sampled_from([b"", b"Content-Length: 5", b"Transfer-Encoding: chunked"]))
    body = draw(st.sampled_from(_BODIES))
    if framing:
        headers.append(framing)
        if not strange:
            body = b"hello" if framing.startswith(b"C") else draw(st.sampled_from(_BODIES[4:7]))
    elif not strange:
        body = b""
    lines = [start, *draw(st.permutations(headers))]
    return b"".join(line + draw(ends) for line in lines) + draw(ends) + body, strange
