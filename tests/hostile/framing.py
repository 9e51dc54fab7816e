"""Requests as they are used to walk past a front: each is sent, and behind it one that must be the next.

A case says the statuses of all answers: two, of which the second is that to the request behind it; or one refusal,
after which nothing more is answered and the connection is closed. In no case is SMUGGLED a request.
"""

from __future__ import annotations

from typing import NamedTuple

from hostile.house import HOSTILE

ECHO = f"/fn/{HOSTILE}:echo/".encode()
CASE = ECHO + b"case"
SMUGGLED = b"GET " + ECHO + b"smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
NEXT = b"GET " + ECHO + b"next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n" + LAST_CHUNK


class Sent(NamedTuple):
    """`body` is what the function must have been given, None where there is none."""

    data: bytes
    statuses: tuple[int, ...]
    body: bytes | None = None


def _post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST " + CASE + b" HTTP/%b\r\nHost: localhost\r\n" % version
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _get(*lines: bytes, target: bytes = CASE, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    head = b"%b %b HTTP/%b\r\nHost: localhost\r\n" % (method, target, version)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def _bare(head: bytes) -> bytes:
    return head + b"\r\n\r\n"


TE = b"Transfer-Encoding: "
CL = b"Content-Length: "
SERVED = (200, 200)
REFUSED = (400,)

# ── where a body ends ───────────────────────────────────────────────────────────────────────────────────────────

_SMUGGLING_CHUNKED = LAST_CHUNK + SMUGGLED
LENGTHS: dict[str, Sent] = {
    "length and chunked": Sent(
        _post(CL + b"%d" % len(_SMUGGLING_CHUNKED), TE + b"chunked", body=_SMUGGLING_CHUNKED), REFUSED
    ),
    "chunked and length": Sent(
        _post(TE + b"chunked", CL + b"%d" % len(_SMUGGLING_CHUNKED), body=_SMUGGLING_CHUNKED), REFUSED
    ),
    "chunked and length 0": Sent(_post(TE + b"chunked", CL + b"0", body=HELLO + SMUGGLED), REFUSED),
    "length 0 and chunked": Sent(_post(CL + b"0", TE + b"chunked", body=HELLO + SMUGGLED), REFUSED),
    "two equal lengths": Sent(_post(CL + b"5", CL + b"5", body=b"hello"), REFUSED),
    "two different lengths": Sent(_post(CL + b"0", CL + b"%d" % len(SMUGGLED), body=SMUGGLED), REFUSED),
    "two lengths in a list": Sent(_post(CL + b"5, 5", body=b"hello"), REFUSED),
    "an empty length": Sent(_post(b"Content-Length:", body=SMUGGLED), REFUSED),
    "a length with a plus": Sent(_post(CL + b"+5", body=b"hello"), REFUSED),
    "a negative length": Sent(_post(CL + b"-1", body=SMUGGLED), REFUSED),
    "a hexadecimal length": Sent(_post(CL + b"0x5", body=b"hello"), REFUSED),
    "a length with an exponent": Sent(_post(CL + b"5e0", body=b"hello"), REFUSED),
    "a length with an underscore": Sent(_post(CL + b"1_0", body=b"0123456789"), REFUSED),
    "a length with spaces inside": Sent(_post(CL + b"1 0", body=b"0123456789"), REFUSED),
    "a length with spaces around": Sent(_post(b"Content-Length: \t 5 \t", body=b"hello"), SERVED, b"hello"),
    "a length with zeros before it": Sent(_post(CL + b"00005", body=b"hello"), SERVED, b"hello"),
    "a length with a point": Sent(_post(CL + b"5.0", body=b"hello"), REFUSED),
    "a length in full-width digits": Sent(_post(CL + "５".encode(), body=b"hello"), REFUSED),
    "a length in superscript latin-1": Sent(_post(CL + b"\xb2", body=b"hello"), REFUSED),
    "a length of 64 bits": Sent(_post(CL + b"18446744073709551615", body=SMUGGLED), (413,)),
    "a length of 65 bits": Sent(_post(CL + b"18446744073709551621", body=b"hello"), REFUSED),
    "a length of a thousand digits": Sent(_post(CL + b"9" * 1000, body=b"hello"), REFUSED),
    "a length with a vertical tab": Sent(_post(CL + b"\x0b5", body=b"hello"), REFUSED),
    "a length that is named twice, once with a space": Sent(
        _post(CL + b"5", b"Content-Length : 0", body=b"hello"), REFUSED
    ),
    "a length whose name has an underscore": Sent(
        _post(CL + b"5", b"Content_Length: 0", body=b"hello"), SERVED, b"hello"
    ),
    "a length of a GET": Sent(_get(CL + b"%d" % len(SMUGGLED)) + SMUGGLED, SERVED, SMUGGLED),
}

CODINGS: dict[str, Sent] = {
    "chunked": Sent(_post(TE + b"chunked", body=HELLO), SERVED, b"hello"),
    "chunked in capitals": Sent(_post(TE + b"CHUNKED", body=HELLO), SERVED, b"hello"),
    "a name in capitals": Sent(_post(b"TRANSFER-ENCODING: chunked", body=HELLO), SERVED, b"hello"),
    "chunked with spaces around": Sent(_post(b"Transfer-Encoding: \t chunked \t", body=HELLO), REFUSED),
    "xchunked": Sent(_post(TE + b"xchunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "chunkedx": Sent(_post(TE + b"chunkedx", body=_SMUGGLING_CHUNKED), REFUSED),
    "chunked, identity": Sent(_post(TE + b"chunked, identity", body=_SMUGGLING_CHUNKED), REFUSED),
    "identity, chunked": Sent(_post(TE + b"identity, chunked", body=HELLO), REFUSED),
    "identity": Sent(_post(TE + b"identity", CL + b"5", body=b"hello"), REFUSED),
    "gzip, chunked": Sent(_post(TE + b"gzip, chunked", body=HELLO), REFUSED),
    "chunked, chunked": Sent(_post(TE + b"chunked, chunked", body=HELLO), REFUSED),
    "chunked twice": Sent(_post(TE + b"chunked", TE + b"chunked", body=HELLO), REFUSED),
    "chunked, then identity": Sent(_post(TE + b"chunked", TE + b"identity", body=_SMUGGLING_CHUNKED), REFUSED),
    "identity, then chunked": Sent(_post(TE + b"identity", TE + b"chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "an empty coding": Sent(_post(b"Transfer-Encoding:", CL + b"5", body=b"hello"), REFUSED),
    "chunked with a parameter": Sent(_post(TE + b"chunked;q=1", body=HELLO), REFUSED),
    "chunked in quotes": Sent(_post(TE + b'"chunked"', body=HELLO), REFUSED),
    "a comma before chunked": Sent(_post(TE + b", chunked", body=HELLO), REFUSED),
    "a vertical tab before chunked": Sent(_post(TE + b"\x0bchunked", CL + b"5", body=b"hello"), REFUSED),
    "a form feed after chunked": Sent(_post(TE + b"chunked\x0c", CL + b"5", body=b"hello"), REFUSED),
    "a no-break space before chunked": Sent(_post(TE + b"\xa0chunked", CL + b"5", body=b"hello"), REFUSED),
    "a space before the colon": Sent(_post(b"Transfer-Encoding : chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a tab before the colon": Sent(_post(b"Transfer-Encoding\t: chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a space before the name": Sent(_post(b" Transfer-Encoding: chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a folded coding": Sent(_post(b"Transfer-Encoding:\r\n chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a coding behind a bare line feed": Sent(
        _post(b"X: y\nTransfer-Encoding: chunked", body=_SMUGGLING_CHUNKED), REFUSED
    ),
    "a coding behind a bare return": Sent(_post(b"X: y\rTransfer-Encoding: chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a NUL in the name": Sent(_post(b"Transfer-\0Encoding: chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "a NUL after chunked": Sent(_post(TE + b"chunked\0", body=_SMUGGLING_CHUNKED), REFUSED),
    "8 bits in the name": Sent(_post(b"Transfer\xadEncoding: chunked", body=_SMUGGLING_CHUNKED), REFUSED),
    "an underscore in the name": Sent(_post(b"Transfer_Encoding: chunked", CL + b"5", body=b"hello"), SERVED, b"hello"),
    "chunked in HTTP/1.0": Sent(_post(TE + b"chunked", body=HELLO, version=b"1.0"), REFUSED),
    "chunked and kept alive in HTTP/1.0": Sent(
        _post(TE + b"chunked", b"Connection: keep-alive", body=_SMUGGLING_CHUNKED, version=b"1.0"), REFUSED
    ),
    "a coding that the connection disowns": Sent(
        _post(TE + b"chunked", b"Connection: Transfer-Encoding", body=HELLO), SERVED, b"hello"
    ),
    "a length that the connection disowns": Sent(
        _post(CL + b"5", b"Connection: Content-Length", body=b"hello"), SERVED, b"hello"
    ),
}


def _chunked(body: bytes) -> bytes:
    return _post(TE + b"chunked", body=body)


CHUNKS: dict[str, Sent] = {
    "an extension": Sent(_chunked(b"5;x=y\r\nhello\r\n0;z\r\n\r\n"), SERVED, b"hello"),
    "a quoted extension": Sent(_chunked(b'5;x="a b"\r\nhello\r\n' + LAST_CHUNK), SERVED, b"hello"),
    "an extension with a bare line feed": Sent(_chunked(b"5;x\nhello\r\n" + LAST_CHUNK + SMUGGLED), REFUSED),
    "an extension with a bare return": Sent(_chunked(b"5;x\rhello\r\n" + LAST_CHUNK + SMUGGLED), REFUSED),
    "a line feed in an extension, then a smuggled size": Sent(
        _chunked(b"2;\nxx\r\n%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + LAST_CHUNK), REFUSED
    ),
    "a NUL in an extension": Sent(_chunked(b"5;\0\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size in capitals": Sent(_chunked(b"A\r\n0123456789\r\n" + LAST_CHUNK), SERVED, b"0123456789"),
    "zeros before a size": Sent(_chunked(b"0005\r\nhello\r\n" + LAST_CHUNK), SERVED, b"hello"),
    "a size with 0x": Sent(_chunked(b"0x5\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size with a plus": Sent(_chunked(b"+5\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a negative size": Sent(_chunked(b"-5\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size with a space after it": Sent(_chunked(b"5 \r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size with a space before it": Sent(_chunked(b" 5\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size with an underscore": Sent(_chunked(b"1_0\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "no size": Sent(_chunked(b"\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a size of 65 bits": Sent(_chunked(b"10000000000000005\r\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a thousand zeros": Sent(_chunked(b"0" * 1000 + b"5\r\nhello\r\n" + LAST_CHUNK), SERVED, b"hello"),
    "a bare line feed after a size": Sent(_chunked(b"5\nhello\r\n" + LAST_CHUNK), REFUSED),
    "a bare return after a size": Sent(_chunked(b"5\rhello\r\n" + LAST_CHUNK), REFUSED),
    "a bare line feed after the data": Sent(_chunked(b"5\r\nhello\n" + LAST_CHUNK), REFUSED),
    "a bare return after the data": Sent(_chunked(b"5\r\nhello\r" + LAST_CHUNK), REFUSED),
    "two other bytes after the data": Sent(_chunked(b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED), REFUSED),
    "data longer than its size": Sent(_chunked(b"5\r\nhello!\r\n" + LAST_CHUNK), REFUSED),
    "a bare line feed at the end": Sent(_chunked(b"5\r\nhello\r\n0\n\n" + SMUGGLED), REFUSED),
    "a bare return at the end": Sent(_chunked(b"5\r\nhello\r\n0\r\n\rX" + SMUGGLED), REFUSED),
    "a trailer with a length": Sent(_chunked(b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n" + SMUGGLED), REFUSED),
    "a trailer with a coding": Sent(_chunked(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), REFUSED),
    "an ordinary trailer": Sent(_chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), SERVED, b"hello"),
    "a trailer with a host": Sent(_chunked(b"5\r\nhello\r\n0\r\nHost: evil\r\n\r\n"), SERVED, b"hello"),
    "a trailer with a bare line feed": Sent(_chunked(b"5\r\nhello\r\n0\r\nX: y\n\r\n" + SMUGGLED), REFUSED),
    "a folded trailer": Sent(_chunked(b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), REFUSED),
    "a trailer with a space before its colon": Sent(_chunked(b"5\r\nhello\r\n0\r\nX : y\r\n\r\n"), REFUSED),
}

# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────

LINES: dict[str, Sent] = {
    "bare line feeds": Sent(b"GET " + CASE + b" HTTP/1.1\nHost: localhost\n\n", REFUSED),
    "bare returns": Sent(b"GET " + CASE + b" HTTP/1.1\rHost: localhost\r\r", REFUSED),
    "a bare line feed after the request line": Sent(b"GET " + CASE + b" HTTP/1.1\nHost: localhost\r\n\r\n", REFUSED),
    "a bare line feed after a header": Sent(b"GET " + CASE + b" HTTP/1.1\r\nHost: localhost\n\r\n", REFUSED),
    "a bare line feed at the end": Sent(b"GET " + CASE + b" HTTP/1.1\r\nHost: localhost\r\n\n" + SMUGGLED, REFUSED),
    "empty lines before a request": Sent(b"\r\n\r\n\r\n" + _get(), SERVED),
    "line feeds before a request": Sent(b"\n\n" + _get(), SERVED),
    "a space before a request": Sent(b" " + _get(), REFUSED),
    "a folded header": Sent(_get(b"X: a", b" b"), REFUSED),
    "a header folded by a tab": Sent(_get(b"X: a", b"\tb"), REFUSED),
    "a fold before the first header": Sent(
        b"GET " + CASE + b" HTTP/1.1\r\n Host: evil\r\nHost: localhost\r\n\r\n", REFUSED
    ),
    "a header without a colon": Sent(_get(b"X"), REFUSED),
    "a header without a name": Sent(_get(b": x"), REFUSED),
    "a header without a value": Sent(_get(b"X:"), SERVED),
    "a NUL in a value": Sent(_get(b"X: a\0b"), REFUSED),
    "an escape in a value": Sent(_get(b"X: a\x1bb"), REFUSED),
    "a delete in a value": Sent(_get(b"X: a\x7fb"), REFUSED),
    "a bare return in a value": Sent(_get(b"X: a\rb"), REFUSED),
    "a space in a name": Sent(_get(b"X Y: a"), REFUSED),
    "a parenthesis in a name": Sent(_get(b"X(: a"), REFUSED),
    "an unknown character in a name": Sent(_get(b"X\x80: a"), REFUSED),
    "latin-1 in a value": Sent(_get(b"X: caf\xe9"), SERVED),
}

# ── who is meant ────────────────────────────────────────────────────────────────────────────────────────────────


def _hosts(*values: bytes, target: bytes = CASE, version: bytes = b"1.1") -> bytes:
    lines = b"".join(b"Host:%b\r\n" % value for value in values)
    return b"GET %b HTTP/%b\r\n%b\r\n" % (target, version, lines)


HOSTS: dict[str, Sent] = {
    "no host": Sent(_hosts(), REFUSED),
    "an empty host": Sent(_hosts(b""), REFUSED),
    "two hosts": Sent(_hosts(b" localhost", b" evil"), REFUSED),
    "two equal hosts": Sent(_hosts(b" localhost", b" localhost"), REFUSED),
    "a list of hosts": Sent(_hosts(b" localhost, evil"), REFUSED),
    "a host with a path": Sent(_hosts(b" localhost/x"), REFUSED),
    "a host with a user": Sent(_hosts(b" evil@localhost"), REFUSED),
    "a host with a query": Sent(_hosts(b" localhost?x"), REFUSED),
    "a host with a backslash": Sent(_hosts(b" localhost\\x"), REFUSED),
    "a host with a space": Sent(_hosts(b" local host"), REFUSED),
    "a host with a word for its port": Sent(_hosts(b" localhost:http"), REFUSED),
    "a host with two ports": Sent(_hosts(b" localhost:1:2"), REFUSED),
    "a host with 8 bits": Sent(_hosts("löcalhost".encode()), REFUSED),
    "an absolute form with another host": Sent(_hosts(b" evil", target=b"http://localhost" + CASE), SERVED),
    "an absolute form without a host": Sent(_hosts(target=b"http://localhost" + CASE), REFUSED),
    "an absolute form with two hosts": Sent(_hosts(b" a", b" b", target=b"http://localhost" + CASE), REFUSED),
    "an absolute form of an IPv6 address": Sent(_hosts(b" x", target=b"http://[::1]:80" + CASE), SERVED),
    "an absolute form in capitals": Sent(_hosts(b" x", target=b"HTTP://LOCALHOST" + CASE), SERVED),
    "an absolute form with a user": Sent(_hosts(b" x", target=b"http://u:p@localhost" + CASE), REFUSED),
    "an absolute form with a fragment": Sent(_hosts(b" x", target=b"http://localhost" + CASE + b"#x"), REFUSED),
    "an absolute form with an empty host": Sent(_hosts(b" x", target=b"http://" + CASE), REFUSED),
    "an absolute form of another scheme": Sent(_hosts(b" x", target=b"gopher://localhost" + CASE), REFUSED),
    "an authority form": Sent(_hosts(b" x", target=b"localhost:80"), REFUSED),
    "an asterisk form": Sent(_hosts(b" x", target=b"*"), REFUSED),
    "an empty target": Sent(b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", REFUSED),
    "a target without a slash": Sent(_hosts(b" x", target=CASE[1:]), REFUSED),
    "a target with a space": Sent(_hosts(b" x", target=CASE + b" x"), REFUSED),
    "a target with a tab": Sent(_hosts(b" x", target=ECHO + b"\tcase"), REFUSED),
    "a target with a NUL": Sent(_hosts(b" x", target=ECHO + b"\0case"), REFUSED),
    "a target with a line feed": Sent(_hosts(b" x", target=ECHO + b"\ncase"), REFUSED),
    "a target with 8 bits": Sent(_hosts(b" x", target=ECHO + "cäse".encode()), REFUSED),
    "a target with a fragment": Sent(_hosts(b" x", target=CASE + b"#x"), REFUSED),
}

# ── other protocols ─────────────────────────────────────────────────────────────────────────────────────────────

PROTOCOLS: dict[str, Sent] = {
    "HTTP/0.9": Sent(b"GET " + CASE + b"\r\n\r\n", (501,)),
    "HTTP/0.9 by name": Sent(_get(version=b"0.9"), (501,)),
    "HTTP/1.2": Sent(_get(version=b"1.2"), REFUSED),
    "HTTP/2.0": Sent(_get(version=b"2.0"), (501,)),
    "HTTP/11": Sent(_get(version=b"11"), REFUSED),
    "HTTP/1.10": Sent(_get(version=b"1.10"), REFUSED),
    "HTTP/1": Sent(_get(version=b"1"), REFUSED),
    "http in small letters": Sent(b"GET " + CASE + b" http/1.1\r\nHost: localhost\r\n\r\n", REFUSED),
    "the preface of HTTP/2": Sent(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSED),
    "a TLS hello": Sent(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), REFUSED),
    "an SSH banner": Sent(b"SSH-2.0-OpenSSH_9.6\r\n", REFUSED),
    "the PROXY protocol": Sent(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + _get(), REFUSED),
    "a method in small letters": Sent(_get(method=b"get"), REFUSED),
    "a method of our own": Sent(_get(method=b"FROB"), REFUSED),
    "a method that goes on": Sent(_get(method=b"GETX"), REFUSED),
    "a method of 10,000 letters": Sent(_get(method=b"A" * 10_000), REFUSED),
    "CONNECT": Sent(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + SMUGGLED, (501,)),
    "CONNECT to a path": Sent(_get(method=b"CONNECT"), (501,)),
    "RTSP": Sent(b"DESCRIBE " + CASE + b" RTSP/1.0\r\nHost: localhost\r\n\r\n", (501,)),
    "ICE": Sent(b"SOURCE " + CASE + b" ICE/1.0\r\nHost: localhost\r\n\r\n", (501,)),
    "an upgrade to h2c": Sent(
        _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), SERVED
    ),
    "an upgrade to websocket": Sent(
        _get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA=="),
        SERVED,
    ),
    "an upgrade with a body": Sent(
        _post(b"Connection: Upgrade", b"Upgrade: h2c", CL + b"%d" % len(SMUGGLED), body=SMUGGLED), SERVED, SMUGGLED
    ),
    "an upgrade with chunks": Sent(
        _post(b"Connection: Upgrade", b"Upgrade: h2c", TE + b"chunked", body=HELLO), SERVED, b"hello"
    ),
    "an upgrade with a length and chunks": Sent(
        _post(b"Connection: Upgrade", b"Upgrade: h2c", CL + b"5", TE + b"chunked", body=HELLO + SMUGGLED), REFUSED
    ),
    "an upgrade with two lengths": Sent(
        _post(b"Connection: Upgrade", b"Upgrade: h2c", CL + b"0", CL + b"5", body=b"hello" + SMUGGLED), REFUSED
    ),
    "an expectation of 100": Sent(_post(b"Expect: 100-continue", CL + b"5", body=b"hello"), SERVED, b"hello"),
    "an expectation of 200": Sent(_post(b"Expect: 200-ok", CL + b"5", body=b"hello"), (417,)),
    "two expectations": Sent(_post(b"Expect: 100-continue, x", CL + b"5", body=b"hello"), (417,)),
    "an expectation without a body": Sent(_get(b"Expect: 100-continue"), SERVED),
    "HTTP/1.0 and a body": Sent(_post(CL + b"5", body=b"hello" + SMUGGLED, version=b"1.0"), (200,), b"hello"),
    "a close with more behind it": Sent(_get(b"Connection: close") + SMUGGLED, (200,)),
    "a close among others": Sent(_get(b"Connection: x, close, keep-alive") + SMUGGLED, (200,)),
}

CASES: dict[str, Sent] = LENGTHS | CODINGS | CHUNKS | LINES | HOSTS | PROTOCOLS
