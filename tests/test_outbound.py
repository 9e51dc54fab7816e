"""The way outside, against real servers: only to checked addresses, only what is granted, bounded in time and bytes."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from isolet import limits
from isolet.errors import CallRefused
from isolet.outbound import Outbound, Pace
from isolet.quota import DEFAULTS
from outside import Request, Script, Server, answering, forever, redirecting, saying, serving, silent

TENANT = "000000000000"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Names:
    """A resolver that answers from a table; of several answers it gives one after the other, as one that rebinds."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.names = {name.replace("_", "."): list(answers) for name, answers in names.items()}
        self.asked: list[str] = []

    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.names.get(host)
        if not answers:
            raise socket.gaierror("unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        pass


async def fetch(
    outbound: Outbound,
    url: str,
    grants: Sequence[str],
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    timeout_s: float = 30.0,
    redirect: str = "follow",
    tenant: str = TENANT,
) -> dict[str, Any]:
    return await outbound.serve(tenant, "f", grants, method, url, list(map(list, headers)), body, timeout_s, redirect)


async def refused(kind: str, fetching: Awaitable[Any]) -> str:
    with pytest.raises(CallRefused) as caught:
        await fetching
    assert caught.value.kind == kind, caught.value.message
    return caught.value.message


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()
        # Connections and servers are gone; nothing of ours is left on the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(bounded())


def with_server(script: Script, main: Callable[[Server, Outbound], Awaitable[None]], **options: Any) -> None:
    """`main` with a server that answers by `script`, and an Outbound to which loopback is opened."""

    async def live() -> None:
        outbound = Outbound(**{"opened": LOOPBACK, **options})
        async with serving(script) as server:
            await main(server, outbound)
        outbound.close()
        assert outbound._bytes == 0
        assert all(share.bytes == 0 for share in outbound._shares.values())

    run(live)


# ── an exchange ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_comes_with_its_status_headers_and_body() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, f"{server.url}/a?b=c#d", [server.grant], headers=[("x-a", "1"), ("x-a", "é")])
        assert answer == {
            "status": 404,
            "url": f"{server.url}/a?b=c",
            "headers": [("content-length", "2"), ("x-twice", "1"), ("x-twice", "2"), ("x-latin", "é")],
            "body": b"hi",
        }
        (request,) = server.requests
        assert request.line == "GET /a?b=c HTTP/1.1"
        assert request.all("host") == [server.grant]
        assert request.all("x-a") == ["1", "é"]
        assert request.all("connection") == ["close"]
        assert {name for name, _ in request.headers} == {
            *("host", "x-a", "accept", "accept-encoding", "user-agent", "connection")
        }

    headers = ("X-Twice: 1", "X-Twice: 2", "x-latin: é", "connection: keep-alive", "keep-alive: 5", "proxy-x: 1")
    with_server(answering(b"hi", "404 Not Found", *headers), main)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X-OWN"])
def test_a_body_is_sent_whole(method: str) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        body = bytes(range(256)) * 4_096
        answer = await fetch(outbound, server.url, [server.grant], method=method, body=body)
        assert answer["status"] == 200
        assert server.requests[0].body == body
        assert server.requests[0].all("content-length") == [str(len(body))]
        await fetch(outbound, server.url, [server.grant], method=method)
        assert server.requests[1].all("content-length") == (["0"] if method in ("POST", "PUT", "PATCH") else [])

    with_server(answering(), main)


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n"),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\n"),
    ],
)  # fmt: skip
def test_answers_without_a_body(method: str, raw: bytes) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        assert (await fetch(outbound, server.url, [server.grant], method=method))["body"] == b""

    with_server(saying(raw), main)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\na: trailer\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nabcde",
    ],
)
def test_bodies_of_every_framing(raw: bytes) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, server.url, [server.grant])
        assert answer["body"] == b"abcde"
        assert "transfer-encoding" not in dict(answer["headers"])

    with_server(saying(raw), main)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_an_answer_is_a_failed_connection(raw: bytes) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        await refused("ConnectionFailed", fetch(outbound, server.url, [server.grant]))

    with_server(saying(raw), main)


def test_nobody_there_and_no_such_name_are_failed_connections() -> None:
    async def main() -> None:
        names = Names()
        outbound = Outbound(LOOPBACK, resolver=names)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            await refused("ConnectionFailed", fetch(outbound, f"http://127.0.0.1:{port}/", [f"127.0.0.1:{port}"]))
        message = await refused("ConnectionFailed", fetch(outbound, "http://nowhere.example/", ["nowhere.example"]))
        assert "nowhere.example" in message
        assert names.asked == ["nowhere.example"]

    run(main)


def test_no_proxy_no_cookies_and_no_connection_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    async def main(server: Server, outbound: Outbound) -> None:
        for _ in range(2):
            await fetch(outbound, server.url, [server.grant])
        assert server.connections == 2
        assert all("cookie" not in dict(request.headers) for request in server.requests)

    with_server(answering(b"", "200 OK", "set-cookie: a=b"), main)


# ── where it may go ─────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_grant_nobody_is_asked() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        for grants in ([], ["example.com"], ["127.0.0.1"], [f"127.0.0.2:{server.port}"], [f"https://{server.grant}"]):
            message = await refused("NotGranted", fetch(outbound, server.url, grants))
            assert f'[capabilities] fetch = ["{server.grant}"]' in message
        assert server.connections == 0

    with_server(answering(), main)


def test_a_private_address_needs_the_servers_leave_and_a_grant_that_names_it() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        assert (await fetch(outbound, server.url, [server.grant]))["status"] == 200
        for grant in (f"*:{server.port}", f"http://*:{server.port}"):
            await refused("Refused", fetch(outbound, server.url, [grant]))
        strict = Outbound((ip_network("10.0.0.0/8"),))
        message = await refused("Refused", fetch(strict, server.url, [server.grant]))
        assert "outbound.private" in message
        strict.close()
        assert server.connections == 1

    with_server(answering(), main)


def test_a_name_that_leads_inside_is_refused_and_says_nothing_of_where() -> None:
    names = Names(inside_example=[["10.1.2.3"]], both_example=[["169.254.169.254", "127.0.0.1"]])

    async def main(server: Server, outbound: Outbound) -> None:
        port = server.port
        message = await refused(
            "Refused", fetch(outbound, f"http://inside.example:{port}/", [f"inside.example:{port}"])
        )
        assert "10.1" not in message
        # Of several addresses only those that may be reached are tried.
        answer = await fetch(outbound, f"http://both.example:{port}/", [f"both.example:{port}"])
        assert answer["status"] == 200
        assert server.requests[0].all("host") == [f"both.example:{port}"]
        await refused("Refused", fetch(outbound, f"http://both.example:{port}/", [f"*.example:{port}"]))

    with_server(answering(), main, resolver=names)


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to() -> None:
    """A name that answers an allowed address first and another one after it gains nothing: nobody asks again."""
    names = Names(rebind_example=[["127.0.0.1"], ["169.254.169.254"]])

    async def main(server: Server, outbound: Outbound) -> None:
        url, grant = f"http://rebind.example:{server.port}/", f"rebind.example:{server.port}"
        assert (await fetch(outbound, url, [grant]))["status"] == 200
        assert names.asked == ["rebind.example"]
        await refused("Refused", fetch(outbound, url, [grant]))
        assert server.connections == 1

    with_server(answering(), main, resolver=names)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1%2f", "user@127.0.0.1", "localhost\\@x", "①.example"],
)  # fmt: skip
def test_hosts_that_only_a_resolver_understands_are_invalid(host: str) -> None:
    async def main() -> None:
        names = Names()
        outbound = Outbound(LOOPBACK, resolver=names)
        with pytest.raises(CallRefused) as caught:
            await fetch(outbound, f"http://{host}/", ["*"])
        assert caught.value.kind in ("Invalid", "Refused", "NotGranted", "ConnectionFailed")
        if host != "①.example":
            assert caught.value.kind == "Invalid"
            assert names.asked == []

    run(main)


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "168.63.129.16",
     "0.0.0.0", "[::]", "[::127.0.0.1]", "[fe80::1]", "224.0.0.1", "10.0.0.1", "[fd00::1]", "100.100.100.200"],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused_though_granted(host: str) -> None:
    async def main() -> None:
        outbound = Outbound(LOOPBACK)
        await refused("Refused", fetch(outbound, f"http://{host}:80/", ["*", f"{host}:80"]))
        outbound.close()

    run(main)


def test_localhost_is_no_public_name() -> None:
    async def main() -> None:
        outbound = Outbound()
        await refused("Refused", fetch(outbound, "http://localhost/", ["localhost"]))
        await refused("ConnectionFailed", fetch(outbound, "http://nowhere.invalid/", ["nowhere.invalid"]))
        outbound.close()

    run(main)


def test_ipv6_is_reached_as_ipv4_is() -> None:
    async def main() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[1])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        asked: list[bytes] = []
        try:
            server = await asyncio.start_server(talk, "::1", 0)
        except OSError as reason:
            pytest.skip(f"this machine has no IPv6 loopback: {reason}")
        grant = f"[::1]:{server.sockets[0].getsockname()[1]}"
        outbound = Outbound(LOOPBACK)
        answer = await fetch(outbound, f"http://{grant.replace('::1', '0:0::0:1')}/x", [grant])
        assert answer["url"] == f"http://{grant}/x"
        assert asked == [f"host: {grant}".encode()]
        await refused("Refused", fetch(Outbound(), f"http://{grant}/x", [grant]))
        outbound.close()
        server.close()

    run(main)


# ── redirects ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_redirect_inside_needs_its_own_grant_and_is_refused_with_it() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        message = await refused("NotGranted", fetch(outbound, server.url, [server.grant]))
        assert 'fetch = ["169.254.169.254:80"]' in message
        await refused("Refused", fetch(outbound, server.url, [server.grant, "169.254.169.254"]))
        await refused("Refused", fetch(outbound, server.url, [server.grant, "169.254.169.254:80", "*"]))

    with_server(redirecting("http://169.254.169.254/latest/meta-data/"), main)


@pytest.mark.parametrize("location", ["http://[::1", "file:///etc/passwd", "http://2130706433/", "gopher://x/"])
def test_a_redirect_to_what_is_no_url_is_a_failed_connection(location: str) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        await refused("ConnectionFailed", fetch(outbound, server.url, [server.grant]))

    with_server(redirecting(location), main)


def stepping(paths: dict[str, str], status: str = "302 Found") -> Script:
    """Redirects by path; a path that is not in the table is answered."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        path = request.line.split(" ")[1]
        answer = redirecting(paths[path], status) if path in paths else answering()
        await answer(request, writer)

    return script


def test_redirects_are_followed_five_times() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, f"{server.url}/1", [server.grant])
        assert answer["url"] == f"{server.url}/6"
        assert len(server.requests) == 6
        await refused("TooManyRedirects", fetch(outbound, f"{server.url}/0", [server.grant]))
        assert len(server.requests) == 12

    with_server(stepping({f"/{step}": f"{step + 1}" for step in range(6)}), main)


def test_a_redirect_may_be_the_answer_or_an_error() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, f"{server.url}/a", [server.grant], redirect="manual")
        assert (answer["status"], dict(answer["headers"])["location"]) == (302, "/b")
        await refused("TooManyRedirects", fetch(outbound, f"{server.url}/a", [server.grant], redirect="error"))
        assert (await fetch(outbound, f"{server.url}/b", [server.grant], redirect="error"))["status"] == 200

    with_server(stepping({"/a": "/b"}), main)


@pytest.mark.parametrize(
    ("method", "status", "then", "with_body"),
    [
        ("POST", "301 Moved", "GET", False),
        ("POST", "302 Found", "GET", False),
        ("POST", "303 See Other", "GET", False),
        ("PUT", "303 See Other", "GET", False),
        ("HEAD", "303 See Other", "HEAD", True),
        ("PUT", "302 Found", "PUT", True),
        ("POST", "307 Temporary", "POST", True),
        ("DELETE", "308 Permanent", "DELETE", True),
    ],
)
def test_what_becomes_of_method_and_body(method: str, status: str, then: str, with_body: bool) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        headers = [("content-type", "a/b"), ("authorization", "secret")]
        body = None if method == "HEAD" else b"body"
        await fetch(outbound, f"{server.url}/a", [server.grant], method=method, body=body, headers=headers)
        second = server.requests[1]
        assert second.line.split(" ")[0] == then
        assert second.body == ((body or b"") if with_body else b"")
        assert second.all("content-type") == (["a/b"] if with_body else [])
        assert second.all("authorization") == ["secret"], "the same origin"

    with_server(stepping({"/a": "/b"}, status), main)


def test_credentials_do_not_leave_their_origin() -> None:
    async def main(there: Server, outbound: Outbound) -> None:
        async with serving(redirecting(f"{there.url}/x")) as here:
            headers = [("authorization", "secret"), ("cookie", "a=b"), ("x-other", "1")]
            answer = await fetch(outbound, here.url, [here.grant, there.grant], headers=headers)
            assert answer["url"] == f"{there.url}/x"
            assert here.requests[0].all("authorization") == ["secret"]
            names = {name for name, _ in there.requests[0].headers}
            assert "x-other" in names
            assert names.isdisjoint({"authorization", "cookie"})

    with_server(answering(), main)


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        silent(),
        silent(b"HTTP/1.1 200 OK\r\nx: "),
        silent(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"),
        silent(CHUNKED + b"1\r\na\r\n"),
        forever(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        forever(CHUNKED, b"1\r\na\r\n"),
    ],
)
def test_a_tarpit_is_left_at_the_deadline(script: Script) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        message = await refused("Timeout", fetch(outbound, server.url, [server.grant], timeout_s=0.2))
        assert "200 ms" in message
        await server.closed.wait()
        assert server.open == 0

    with_server(script, main)


def test_a_name_server_that_does_not_answer_is_left_at_the_deadline() -> None:
    class Never(Names):
        async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
            await asyncio.Event().wait()
            return []

    async def main() -> None:
        await refused("Timeout", fetch(Outbound(resolver=Never()), "http://a.example/", ["a.example"], timeout_s=0.05))

    run(main)


@pytest.mark.parametrize(
    "script",
    [
        answering(bytes(limits.FETCH_RESPONSE_BYTES_MAX + 1)),
        forever(CHUNKED, b"10000\r\n" + bytes(0x10000) + b"\r\n"),
        forever(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65_536)),
        answering(gzip.compress(bytes(200 << 20), 1), "200 OK", "content-encoding: gzip"),
        answering(gzip.compress(bytes(1 << 20), 1) * 10, "200 OK", "content-encoding: gzip"),
        answering(zlib.compress(bytes(200 << 20), 1), "200 OK", "content-encoding: deflate"),
        answering(b"", "200 OK", *(f"x-{index}: {'y' * 1_000}" for index in range(70))),
    ],
    ids=["length", "chunks", "endless", "bomb", "many bombs", "deflate", "headers"],
)
def test_an_answer_has_an_end(script: Script) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        await refused("TooLarge", fetch(outbound, server.url, [server.grant]))
        await server.closed.wait()

    with_server(script, main)


def test_the_largest_answer_is_taken() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, server.url, [server.grant])
        assert len(answer["body"]) == limits.FETCH_RESPONSE_BYTES_MAX

    with_server(answering(bytes(limits.FETCH_RESPONSE_BYTES_MAX)), main)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"a" * 100_000)),
        ("GZIP", gzip.compress(b"a" * 60_000) + gzip.compress(b"a" * 40_000)),
        ("x-gzip", gzip.compress(b"a" * 100_000)),
        ("deflate", zlib.compress(b"a" * 100_000)),
    ],
)
def test_a_compressed_body_is_decoded_unless_the_guest_asked_for_it(encoding: str, body: bytes) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, server.url, [server.grant])
        assert answer["body"] == b"a" * 100_000
        assert dict(answer["headers"]).keys().isdisjoint({"content-encoding", "content-length"})
        assert server.requests[0].all("accept-encoding") == ["gzip, deflate"]
        raw = await fetch(outbound, server.url, [server.grant], headers=[("accept-encoding", "gzip")])
        assert raw["body"] == body
        assert dict(raw["headers"])["content-encoding"] == encoding
        assert server.requests[1].all("accept-encoding") == ["gzip"]

    with_server(answering(body, "200 OK", f"content-encoding: {encoding}"), main)


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"abc" * 1_000)[:-9], gzip.compress(b"a") + b"trailing"])
def test_a_body_that_is_not_what_it_says_is_a_failed_connection(body: bytes) -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        await refused("ConnectionFailed", fetch(outbound, server.url, [server.grant]))

    with_server(answering(body, "200 OK", "content-encoding: gzip"), main)


def test_an_unknown_encoding_stays_as_it_is() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        answer = await fetch(outbound, server.url, [server.grant])
        assert answer["body"] == b"\x0b\x02\x80hi\x03"
        assert dict(answer["headers"])["content-encoding"] == "br"

    with_server(answering(b"\x0b\x02\x80hi\x03", "200 OK", "content-encoding: br"), main)


def test_a_tenant_has_so_many_under_way_and_others_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "fetches_at_once", 3)

    async def main(stuck: Server, outbound: Outbound) -> None:
        async with serving(answering()) as quick:
            waiting = [asyncio.ensure_future(fetch(outbound, stuck.url, [stuck.grant])) for _ in range(10)]
            while stuck.open < 3:
                await asyncio.sleep(0)
            late = asyncio.ensure_future(fetch(outbound, quick.url, [quick.grant]))
            assert (await fetch(outbound, quick.url, [quick.grant], tenant="another"))["status"] == 200
            assert stuck.connections == 3
            assert not late.done()
            for one in waiting:
                one.cancel()
            assert (await late)["status"] == 200
            await asyncio.gather(*waiting, return_exceptions=True)

    with_server(silent(), main)


def test_a_tenant_begins_so_many_a_second_and_others_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "fetches_per_s", 3)
    clock_s = [100.0]

    async def main(server: Server, outbound: Outbound) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s[0])
        for _ in range(3):
            await fetch(outbound, server.url, [server.grant])
        said = await refused("LimitExceeded", fetch(outbound, server.url, [server.grant]))
        assert said == f"{TENANT} begins more than 3 requests a second, its limit; begin fewer"
        assert server.connections == 3
        assert (await fetch(outbound, server.url, [server.grant], tenant="another"))["status"] == 200
        clock_s[0] += 0.4
        assert (await fetch(outbound, server.url, [server.grant]))["status"] == 200

    with_server(answering(), main)


def test_what_is_under_way_is_bounded_in_bytes_of_a_tenant_and_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FETCH_TENANT_BYTES_MAX", 100_000)

    async def main(server: Server, outbound: Outbound) -> None:
        await refused("LimitExceeded", fetch(outbound, server.url, [server.grant]))
        await refused("LimitExceeded", fetch(outbound, server.url, [server.grant], method="POST", body=bytes(100_001)))
        assert outbound._bytes == 0
        monkeypatch.setattr(limits, "FETCH_TENANT_BYTES_MAX", 1 << 30)
        assert (await fetch(outbound, server.url, [server.grant]))["status"] == 200
        monkeypatch.setattr(limits, "FETCH_BYTES_MAX", 100_000)
        await refused("LimitExceeded", fetch(outbound, server.url, [server.grant]))

    with_server(answering(bytes(200_000)), main)


def test_a_tenants_answers_come_at_a_pace() -> None:
    pace = Pace(rate=1_000, burst_s=0.5)
    assert pace.pause_s(10.0, 400) == 0, "a burst"
    assert pace.pause_s(10.0, 100) == 0
    assert pace.pause_s(10.0, 1_000) == pytest.approx(1.0)
    assert pace.pause_s(11.0, 100) == pytest.approx(0.1), "half a second of burst is still owed"
    assert pace.pause_s(100.0, 500) == 0, "who waited has a burst again, and not more"
    assert pace.pause_s(100.0, 500) == pytest.approx(0.5)


def test_one_who_leaves_takes_the_connection_along() -> None:
    async def main(server: Server, outbound: Outbound) -> None:
        asking = asyncio.ensure_future(fetch(outbound, server.url, [server.grant]))
        while not server.open:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.closed.wait()

    with_server(silent(CHUNKED + b"1\r\na\r\n"), main)


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def authority(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(a server's context for these names, a client's that trusts who signed it)."""
    ca = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert(*names).configure_cert(theirs)
    ca.configure_trust(ours)
    return theirs, ours


def test_tls_is_verified_against_the_urls_host() -> None:
    theirs, ours = authority("good.example")
    names = Names(good_example=[["127.0.0.1"]], evil_example=[["127.0.0.1"]])

    async def main() -> None:
        outbound = Outbound(LOOPBACK, tls=ours, resolver=names)
        async with serving(answering(), theirs) as server:
            grants = [f"good.example:{server.port}", f"evil.example:{server.port}", server.grant]
            answer = await fetch(outbound, f"https://good.example:{server.port}/", grants)
            assert answer["status"] == 200
            for other in ("evil.example", "127.0.0.1"):
                message = await refused("ConnectionFailed", fetch(outbound, f"https://{other}:{server.port}/", grants))
                assert "certificate" in message.lower()
            assert len(server.requests) == 1

    run(main)


def test_who_is_signed_by_nobody_known_is_not_talked_to() -> None:
    theirs, _ = authority("127.0.0.1")

    async def main() -> None:
        outbound = Outbound(LOOPBACK)
        async with serving(answering(), theirs) as server:
            await refused("ConnectionFailed", fetch(outbound, f"https://127.0.0.1:{server.port}/", [server.grant]))
            assert server.requests == []
        outbound.close()

    run(main)


def test_a_server_without_tls_is_a_failed_connection() -> None:
    async def main() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        grant = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        outbound = Outbound(LOOPBACK)
        await refused("ConnectionFailed", fetch(outbound, f"https://{grant}/", [grant]))
        outbound.close()
        server.close()

    run(main)
