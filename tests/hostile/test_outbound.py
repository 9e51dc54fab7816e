"""What functions may reach, against those who want more: addresses by every name, redirects, and name servers that lie.

Every attempt is watched where the process connects (an audit hook): whatever is answered, only addresses that were
opened are ever connected to. What a reached server may do to its client (tarpits, bombs, floods, framing, TLS) is in
tests/test_outbound.py; here is who is reached at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from hostile.house import HOSTILE, House, module
from hostile.nameserver import Liar, lying
from hostile.port import ASKS, Port, post, saying
from isolet import limits
from isolet.addresses import parse_network
from isolet.config import NameServer
from isolet.errors import CallRefused
from isolet.outbound import Outbound
from isolet.resolver import NameServers, SystemResolver
from outside import Script, Server, answering, read_request, redirecting

TENANT = "000000000000"
# What the operator opened; all else of this machine is not.
OPENED_HOST = "127.0.0.2"
OPENED = (ip_network(f"{OPENED_HOST}/32"), ip_network("127.1.0.0/16"))
# As much as can be opened.
ALL_OPENED = tuple(
    map(parse_network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/8", "::1"))
)

# ── who is connected to ─────────────────────────────────────────────────────────────────────────────────────────

_watchers: list[list[tuple[str, int]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watchers and arguments[0].type & socket.SOCK_STREAM:
        for seen in _watchers:
            seen.append(arguments[1][:2])


sys.addaudithook(_hook)


@pytest.fixture
def connected() -> Iterator[list[tuple[str, int]]]:
    """Every (address, port) that this process connects to by TCP meanwhile."""
    seen: list[tuple[str, int]] = []
    _watchers.append(seen)
    yield seen
    _watchers.remove(seen)


async def fetch(outbound: Outbound, url: str, grants: Sequence[str], timeout_s: float = 20, **more: Any) -> Any:
    asked = {"method": "GET", "headers": [], "body": None, "redirect": "follow", "tenant": TENANT} | more
    return await outbound.serve(
        *(asked["tenant"], "f", grants, asked["method"], url, asked["headers"], asked["body"], timeout_s),
        asked["redirect"],
    )


async def refusal(outbound: Outbound, url: str, grants: Sequence[str], **more: Any) -> str:
    with pytest.raises(CallRefused) as caught:
        await fetch(outbound, url, grants, **more)
    return caught.value.kind


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


@contextlib.asynccontextmanager
async def listening(script: Script, address: str = OPENED_HOST, bound: socket.socket | None = None) -> Any:
    """A server on an address of this machine."""
    server = Server()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        if (request := await read_request(reader)) is not None:
            server.requests.append(request)
            await script(request, writer)
            await writer.drain()
        writer.close()

    where = {"sock": bound} if bound is not None else {"host": address, "port": 0}
    here = await asyncio.start_server(talk, **where)
    server.port = here.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        here.close()


# ── addresses, however they are written ─────────────────────────────────────────────────────────────────────────

REFUSED, INVALID = "Refused", "Invalid"
# Never reached, whatever is opened.
NEVER: dict[str, str] = {
    # metadata services, as they are
    "169.254.169.254": REFUSED,
    "169.254.170.2": REFUSED,
    "169.254.0.1": REFUSED,
    "168.63.129.16": REFUSED,
    "100.100.100.200": REFUSED,
    "192.0.0.192": REFUSED,
    "[fd00:ec2::254]": REFUSED,
    "[fd20:ce::254]": REFUSED,
    # in IPv6's clothes
    "[::ffff:169.254.169.254]": REFUSED,
    "[::ffff:a9fe:a9fe]": REFUSED,
    "[0:0:0:0:0:ffff:a9fe:a9fe]": REFUSED,
    "[::ffff:0:169.254.169.254]": REFUSED,
    "[::169.254.169.254]": REFUSED,
    "[64:ff9b::169.254.169.254]": REFUSED,
    "[64:ff9b::a9fe:a9fe]": REFUSED,
    "[64:ff9b:1::a9fe:a9fe]": REFUSED,
    "[2002:a9fe:a9fe::1]": REFUSED,
    "[2001:0:a9fe:a9fe::]": REFUSED,
    "[2001:0:808:808:0:0:5601:5601]": REFUSED,
    "[2001:db8::5efe:a9fe:a9fe]": REFUSED,
    "[2a00::200:5efe:a9fe:a9fe]": REFUSED,
    "[::ffff:168.63.129.16]": REFUSED,
    "[64:ff9b::168.63.129.16]": REFUSED,
    "[::ffff:100.100.100.200]": REFUSED,
    # what is nobody's
    "0.0.0.0": REFUSED,
    "0.1.2.3": REFUSED,
    "224.0.0.1": REFUSED,
    "239.255.255.250": REFUSED,
    "240.0.0.1": REFUSED,
    "255.255.255.255": REFUSED,
    "[::]": REFUSED,
    "[fe80::1]": REFUSED,
    "[febf::1]": REFUSED,
    "[fec0::1]": REFUSED,
    "[ff02::1]": REFUSED,
    "[ff0e::1]": REFUSED,
    "[::ffff:0.0.0.0]": REFUSED,
    "[::ffff:224.0.0.1]": REFUSED,
    "[64:ff9b::e000:1]": REFUSED,
}
# Reached only where they are opened, and only as themselves.
PRIVATE: dict[str, str] = {
    "127.0.0.1": REFUSED,
    "127.255.255.254": REFUSED,
    "10.0.0.1": REFUSED,
    "100.64.0.1": REFUSED,
    "172.16.0.1": REFUSED,
    "172.31.255.255": REFUSED,
    "192.168.0.1": REFUSED,
    "192.0.0.1": REFUSED,
    "192.0.2.1": REFUSED,
    "192.88.99.1": REFUSED,
    "198.18.0.1": REFUSED,
    "198.19.255.255": REFUSED,
    "198.51.100.1": REFUSED,
    "203.0.113.1": REFUSED,
    "[::1]": REFUSED,
    "[0:0:0:0:0:0:0:1]": REFUSED,
    "[::ffff:127.0.0.1]": REFUSED,
    "[::127.0.0.1]": REFUSED,
    "[64:ff9b::127.0.0.1]": REFUSED,
    "[2002:7f00:1::]": REFUSED,
    "[fd00::1]": REFUSED,
    "[fc00::1]": REFUSED,
    "[2001:db8::1]": REFUSED,
    "[3fff::1]": REFUSED,
    "[5f00::1]": REFUSED,
    "[100::1]": REFUSED,
    "[2001:2::1]": REFUSED,
    "[4000::1]": REFUSED,
}
# What only some parser would take for an address: no URL of ours.
WRITTEN: list[str] = [
    *("2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.01"),
    *("127.0.0.0x1", "0x7f.1", "00000177.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("169.16689662", "127.0.0.1.2", "256.256.256.256", "1.2.3.4.5", "127.0.0.1%00", "127.0.0.1%2f", "127。0。0。1.5"),
    *("[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "[::ffff:127.0.0.1", "::1", "[127.0.0.1]", "[v1.x]", "[::1]x"),
    *("user@127.0.0.1", "user:password@127.0.0.1", "@127.0.0.1", "good.example@127.0.0.1", "127.0.0.1@good.example"),
    *(
        "good.example\\@127.0.0.1",
        "good.example\\.evil",
        "good.example%40127.0.0.1",
        "a b",
        "a\tb",
        "a\r\nhost: b",
        "a\0b",
    ),
    *(
        "",
        ".",
        "..",
        ".example",
        "a..example",
        "-a.example",
        "a" * 64 + ".example",
        "a." * 130 + "example",
        "*",
        "*.example",
    ),
    *(
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:80:80",
        "127.0.0.1:8O",
        "127.0.0.1:０",
        "127.0.0.1:+80",
    ),
]
# Full-width and other digits are addresses once IDNA has folded them: addresses that are looked at like any other.
FOLDED: list[str] = ["１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "127.0.0.1.", "１６９.254.169.254", "⑩.0.0.1"]
SCHEMES: list[str] = [
    *("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:25/_HELO", "dict://127.0.0.1:11211/stats"),
    *(
        "data:text/plain,x",
        "javascript:alert(1)",
        "ldap://127.0.0.1/",
        "unix:///run/docker.sock",
        "http+unix://%2Frun/",
    ),
    *("//127.0.0.1/", "/etc/passwd", "http:/127.0.0.1/", "http:127.0.0.1", "http:///127.0.0.1/", "http://", "http:"),
    *("https:", "ws://127.0.0.1/", "jar:http://127.0.0.1/!/", "view-source:http://127.0.0.1/", "netdoc:/etc/passwd"),
    *("http\0://127.0.0.1/", " javascript:x", "httpx://127.0.0.1/", "HTTP\t://127.0.0.1/", "-h://127.0.0.1/"),
]


class Nobody:
    """Whoever is asked for a name here was tricked."""

    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        raise AssertionError(f"asked for {host!r}")

    def close(self) -> None: ...


def spelled(host: str, port: int = 80) -> list[str]:
    """Grants for everything: a private address needs one that names it."""
    bare = host.strip("[]")
    with contextlib.suppress(ValueError):
        address = ip_address(bare)
        return ["*", "http://*", f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"]
    return ["*", f"{host}:{port}"]


@pytest.mark.parametrize("host", NEVER)
def test_what_is_never_reached_is_not_reached_whatever_is_opened(host: str, connected: list[Any]) -> None:
    async def main() -> None:
        for opened in ((), ALL_OPENED):
            outbound = Outbound(opened, resolver=Nobody())
            for port in (80, 443, 8080):
                url = f"http://{host}:{port}/latest/meta-data/"
                assert await refusal(outbound, url, [*spelled(host, port), f"*:{port}"]) == NEVER[host]

    run(main)
    assert connected == []


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_private_is_not_reached_unless_it_is_opened(host: str, connected: list[Any]) -> None:
    async def main() -> None:
        for opened in ((), OPENED):
            outbound = Outbound(opened, resolver=Nobody())
            assert await refusal(outbound, f"http://{host}/", spelled(host)) == PRIVATE[host]
        outbound = Outbound(ALL_OPENED, resolver=Nobody())
        assert await refusal(outbound, f"http://{host}/", ["*", "http://*"]) == REFUSED, "a grant must name it"

    run(main)
    assert connected == []


@pytest.mark.parametrize("host", WRITTEN)
def test_what_only_some_parser_takes_for_an_address_is_no_url(host: str, connected: list[Any]) -> None:
    async def main() -> None:
        outbound = Outbound(ALL_OPENED, resolver=Nobody())
        for scheme in ("http", "https"):
            assert await refusal(outbound, f"{scheme}://{host}/", ["*", "127.0.0.1:80", "127.0.0.1:443"]) == INVALID

    run(main)
    assert connected == []


@pytest.mark.parametrize("host", FOLDED)
def test_digits_of_other_scripts_are_the_addresses_that_they_mean(host: str, connected: list[Any]) -> None:
    async def main() -> None:
        assert await refusal(Outbound(resolver=Nobody()), f"http://{host}/", ["*", "127.0.0.1:80"]) in (
            INVALID,
            REFUSED,
        )

    run(main)
    assert connected == []


@pytest.mark.parametrize("url", SCHEMES)
def test_no_other_scheme_is_spoken(url: str, connected: list[Any]) -> None:
    async def main() -> None:
        assert await refusal(Outbound(ALL_OPENED, resolver=Nobody()), url, ["*", "127.0.0.1:80"]) == INVALID

    run(main)
    assert connected == []


# ── redirects ───────────────────────────────────────────────────────────────────────────────────────────────────

LEADS: dict[str, str] = {
    "http://169.254.169.254/latest/": REFUSED,
    "http://[::ffff:169.254.169.254]/": REFUSED,
    "http://127.0.0.1:1/": REFUSED,
    "https://127.0.0.1:1/": REFUSED,
    "http://10.0.0.1/": REFUSED,
    "//169.254.169.254/": REFUSED,
    "http://metadata.google.internal/": REFUSED,
    "http://localhost/": REFUSED,
    "http://2130706433/": "ConnectionFailed",
    "http://0x7f.1/": "ConnectionFailed",
    "file:///etc/passwd": "ConnectionFailed",
    "gopher://127.0.0.1:25/": "ConnectionFailed",
    "javascript:x": "ConnectionFailed",
    "http://good.example@127.0.0.1/": "ConnectionFailed",
    "http://127.0.0.1\\@good.example/": "ConnectionFailed",
    "\\\\169.254.169.254\\": "ConnectionFailed",
    "http://[::1": "ConnectionFailed",
    "http://127.0.0.1:99999/": "ConnectionFailed",
}
INSIDE = {"metadata.google.internal": "169.254.169.254", "localhost": "127.0.0.1"}


class Table:
    """Names from a table."""

    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        return [INSIDE[host]]

    def close(self) -> None: ...


@pytest.mark.parametrize("location", LEADS)
def test_a_redirect_is_a_request_like_any_other(location: str, connected: list[Any]) -> None:
    async def main() -> None:
        outbound = Outbound(OPENED, resolver=Table())
        for status in ("301 x", "302 x", "303 x", "307 x", "308 x"):
            async with listening(redirecting(location, status)) as server:
                grants = [f"{OPENED_HOST}:{server.port}", "*", *("127.0.0.1:1", "169.254.169.254:80", "localhost:80")]
                for method in ("GET", "POST"):
                    url = f"http://{OPENED_HOST}:{server.port}/"
                    assert await refusal(outbound, url, grants, method=method) == LEADS[location]

    run(main)
    assert {address for address, _ in connected} == {OPENED_HOST}


def test_chains_end_and_loops_end(connected: list[Any]) -> None:
    async def main() -> None:
        outbound = Outbound(OPENED, resolver=Nobody())
        for location in ("/", "?", "./x", "//" + OPENED_HOST):
            async with listening(redirecting(location)) as server:
                grants = [f"{OPENED_HOST}:{server.port}"]
                kind = await refusal(outbound, f"http://{OPENED_HOST}:{server.port}/", grants)
                assert kind == ("NotGranted" if location.startswith("//") else "TooManyRedirects")
                assert server.connections <= limits.FETCH_REDIRECTS_MAX + 1

    run(main)


def test_credentials_stay_with_their_origin_by_every_redirect() -> None:
    async def main() -> None:
        outbound = Outbound(OPENED, resolver=Nobody())
        secret = [["authorization", "Bearer s"], ["cookie", "c=s"], ["x-kept", "1"]]
        for status in ("301 x", "302 x", "303 x", "307 x", "308 x"):
            async with (
                listening(answering()) as other,
                listening(redirecting(f"http://{OPENED_HOST}:{other.port}/", status)) as first,
            ):
                grants = [f"{OPENED_HOST}:{first.port}", f"{OPENED_HOST}:{other.port}"]
                await fetch(outbound, f"http://{OPENED_HOST}:{first.port}/", grants, headers=secret)
                (request,) = other.requests
                assert request.all("authorization") + request.all("cookie") == []
                assert request.all("x-kept") == ["1"]

    run(main)


# ── a name server that lies ─────────────────────────────────────────────────────────────────────────────────────

ALLOWED, TRAP = OPENED_HOST, "127.0.0.1"
ZONE: dict[str, Any] = {
    "good.example": {"steps": [[ALLOWED]]},
    "rebind.example": {"steps": [[ALLOWED], [TRAP]]},
    "rebind-metadata.example": {"steps": [[ALLOWED], ["169.254.169.254"]]},
    "rebind-mapped.example": {"steps": [[ALLOWED], ["::ffff:7f00:1"], ["::1"], ["64:ff9b::7f00:1"]]},
    "flips.example": {"steps": [[TRAP], [ALLOWED], [TRAP], [ALLOWED]]},
    "both.example": {"steps": [[TRAP, ALLOWED]]},
    "both-mapped.example": {"steps": [["::ffff:7f00:1", ALLOWED]]},
    "private.example": {"steps": [[TRAP]]},
    "metadata.google.internal": {"steps": [["169.254.169.254"]]},
    "instance-data.ec2.internal": {"steps": [["fd00:ec2::254", "169.254.169.254"]]},
    "localhost": {"steps": [[TRAP, "::1"]]},
    "localhost.localdomain": {"steps": [[TRAP]]},
    "127.0.0.1.nip.example": {"steps": [[TRAP]]},
    "zero.example": {"steps": [["0.0.0.0", "::"]]},
    "alias.example": {"cname": "alias2.example"},
    "alias2.example": {"cname": "private.example"},
    "alias-good.example": {"cname": "good.example"},
    "loop.example": {"cname": "loop2.example"},
    "loop2.example": {"cname": "loop.example"},
    "dangling.example": {"cname": "nowhere.example"},
    **{f"chain{number}.example": {"cname": f"chain{number + 1}.example"} for number in range(25)},
    "chain25.example": {"steps": [[ALLOWED]]},
    "eighth.example": {"steps": [[f"127.1.0.{number}" for number in range(1, 9)]]},
    "ninth.example": {"steps": [[f"127.1.1.{number}" for number in range(1, 200)]]},
    "truncated.example": {"steps": [[ALLOWED]], "how": "truncated"},
    **{f"{how.replace(' ', '-')}.example": {"how": how, "steps": [[TRAP]]}
       for how in ("dead", "garbage", "other id", "other question", "servfail", "empty")},
}  # fmt: skip
ZONE["empty.example"]["steps"] = [[]]


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liar]:
    with lying(tmp_path_factory.mktemp("names"), ZONE) as running:
        yield running


@pytest.fixture
def outbound(liar: Liar) -> Outbound:
    return Outbound(OPENED, resolver=NameServers([NameServer("127.0.0.1", liar.port)]))


def with_servers(main: Callable[[Server, Server], Awaitable[None]]) -> None:
    """`main` with a server on the address that is opened, and a trap on the same port of one that is not."""

    async def live() -> None:
        one, other = on_one_port(ALLOWED, TRAP)
        outside, inside = answering(b"outside"), answering(b"inside")
        async with listening(outside, bound=one) as server, listening(inside, bound=other) as trap:
            await main(server, trap)
            assert trap.connections == 0

    run(live)


def on_one_port(one: str, other: str) -> tuple[socket.socket, socket.socket]:
    """Two sockets that have the same port of two addresses."""
    while True:
        first, second = socket.socket(), socket.socket()
        first.bind((one, 0))
        try:
            second.bind((other, first.getsockname()[1]))
        except OSError:  # somebody else has it there
            first.close()
            second.close()
        else:
            return first, second


def granted(name: str, server: Server) -> tuple[str, list[str]]:
    return f"http://{name}:{server.port}/", [f"{name}:{server.port}", f"*:{server.port}"]


@pytest.mark.parametrize(
    "name", ["private.example", "metadata.google.internal", "instance-data.ec2.internal", "localhost",
             "localhost.localdomain", "127.0.0.1.nip.example", "zero.example", "alias.example", "LOCALHOST.",
             "alias.example."],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(name: str, outbound: Outbound, connected: list[Any]) -> None:
    async def main(server: Server, trap: Server) -> None:
        assert await refusal(outbound, *granted(name, server)) == REFUSED

    with_servers(main)
    assert connected == []


@pytest.mark.parametrize("name", ["rebind.example", "rebind-metadata.example", "rebind-mapped.example"])
def test_a_name_that_is_allowed_first_and_inside_then_gains_nothing(
    name: str, outbound: Outbound, liar: Liar, connected: list[Any]
) -> None:
    async def main(server: Server, trap: Server) -> None:
        url, grants = granted(name, server)
        assert (await fetch(outbound, url, grants))["body"] == b"outside"
        for _ in range(3):
            assert await refusal(outbound, url, grants) == REFUSED
        assert server.connections == 1

    with_servers(main)
    assert {address for address, _ in connected} == {ALLOWED}
    assert liar.asked.count(f"A {name} udp") == 4, "once for each connection, whatever its time to live"


def test_a_name_that_flips_is_what_it_was_when_it_was_checked(outbound: Outbound, connected: list[Any]) -> None:
    async def main(server: Server, trap: Server) -> None:
        url, grants = granted("flips.example", server)
        assert await refusal(outbound, url, grants) == REFUSED
        assert (await fetch(outbound, url, grants))["body"] == b"outside"
        assert await refusal(outbound, url, grants) == REFUSED
        assert (await fetch(outbound, url, grants))["body"] == b"outside"

    with_servers(main)
    assert {address for address, _ in connected} == {ALLOWED}


@pytest.mark.parametrize("name", ["both.example", "both-mapped.example"])
def test_of_several_addresses_only_those_that_are_opened_are_tried(
    name: str, outbound: Outbound, connected: list[Any]
) -> None:
    async def main(server: Server, trap: Server) -> None:
        url, grants = granted(name, server)
        assert (await fetch(outbound, url, grants))["body"] == b"outside"
        async with listening(answering(), TRAP) as only_inside:  # the opened address does not answer there
            inside = f"{name}:{only_inside.port}"
            assert await refusal(outbound, f"http://{inside}/", [inside]) == "ConnectionFailed"
            assert only_inside.connections == 0

    with_servers(main)
    assert {address for address, _ in connected} == {ALLOWED}


def test_a_redirect_to_a_name_that_has_turned_is_refused(liar: Liar, tmp_path: Path) -> None:
    async def main(server: Server, trap: Server) -> None:
        with lying(tmp_path, {"turns.example": {"steps": [[ALLOWED], [TRAP]]}}) as other:
            outbound = Outbound(OPENED, resolver=NameServers([NameServer("127.0.0.1", other.port)]))
            async with listening(redirecting("/again")) as first:
                url, grants = granted("turns.example", first)
                assert await refusal(outbound, url, grants) == REFUSED
                assert first.connections == 1

    with_servers(main)


def test_aliases_are_followed_to_their_end_and_have_one(outbound: Outbound, liar: Liar) -> None:
    async def main(server: Server, trap: Server) -> None:
        assert (await fetch(outbound, *granted("alias-good.example", server)))["body"] == b"outside"
        for name in ("loop.example", "dangling.example", "chain0.example"):
            assert await refusal(outbound, *granted(name, server)) == "ConnectionFailed"
        assert (await fetch(outbound, *granted("truncated.example", server)))["body"] == b"outside"
        assert "A truncated.example tcp" in liar.asked

    with_servers(main)


def test_of_a_thousand_addresses_eight_are_tried(outbound: Outbound, connected: list[Any]) -> None:
    async def main() -> None:
        async with listening(answering(b"8"), "127.1.0.8") as eighth:
            assert (await fetch(outbound, *granted("eighth.example", eighth)))["body"] == b"8"
        async with listening(answering(b"9"), "127.1.1.9") as ninth:
            assert await refusal(outbound, *granted("ninth.example", ninth)) == "ConnectionFailed"
            assert ninth.connections == 0

    run(main)
    assert len(connected) == 2 * limits.FETCH_ADDRESSES_MAX


@pytest.mark.parametrize("name", ["dead", "garbage", "other-id", "other-question", "servfail", "empty", "no"])
def test_an_answer_that_is_none_is_no_address(
    name: str, outbound: Outbound, monkeypatch: pytest.MonkeyPatch, connected: list[Any]
) -> None:
    monkeypatch.setattr(limits, "LOOKUP_S", 0.2)

    async def main(server: Server, trap: Server) -> None:
        assert await refusal(outbound, *granted(f"{name}.example", server)) == "ConnectionFailed"

    with_servers(main)
    assert connected == []


def test_a_dead_name_server_is_left_for_the_next(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_TRY_S", 0.1)

    async def main(server: Server, trap: Server) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
            dead.bind(("127.0.0.1", 0))
            servers = [NameServer("127.0.0.1", dead.getsockname()[1]), NameServer("127.0.0.1", liar.port)]
            outbound = Outbound(OPENED, resolver=NameServers(servers))
            assert (await fetch(outbound, *granted("good.example", server)))["body"] == b"outside"
            alone = Outbound(OPENED, resolver=NameServers(servers[:1]))
            assert await refusal(alone, *granted("good.example", server), timeout_s=0.2) == "Timeout"

    with_servers(main)


def test_names_of_this_machine_are_unknown_to_functions(outbound: Outbound, liar: Liar) -> None:
    async def main(server: Server, trap: Server) -> None:
        for name in (socket.gethostname().lower().replace("_", "-"), "ip6-localhost", "host.docker.internal"):
            assert await refusal(outbound, *granted(name, server)) == "ConnectionFailed"

    with_servers(main)


def test_slow_names_of_one_tenant_leave_threads_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cancelled in a look-up leaves its thread to the system; so a tenant has only some of them."""
    monkeypatch.setattr(limits, "LOOKUPS_MAX", 4)
    monkeypatch.setattr(limits, "LOOKUPS_TENANT_MAX", 2)
    held, looking = threading.Event(), threading.Semaphore(0)

    def getaddrinfo(host: str, port: int, **_: Any) -> Any:
        if host == "slow.example":
            looking.release()
            held.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ALLOWED, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        resolver = SystemResolver()
        slow = [asyncio.ensure_future(resolver.resolve("1", "slow.example", 80)) for _ in range(10)]
        for _ in range(2):
            await asyncio.to_thread(looking.acquire)
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        again = asyncio.ensure_future(resolver.resolve("1", "quick.example", 80))
        assert await resolver.resolve("2", "quick.example", 80) == [ALLOWED]
        assert not again.done(), "its threads are still held"
        held.set()
        assert await again == [ALLOWED]
        resolver.close()

    run(main)


# ── through a function ──────────────────────────────────────────────────────────────────────────────────────────

TARGETS: dict[str, str] = {
    **{f"http://{host}/": REFUSED for host in list(NEVER)[:20:2] + list(PRIVATE)[::4]},
    **{f"http://{host}/": INVALID for host in WRITTEN[:20:3]},
    **dict.fromkeys(SCHEMES[:8], INVALID),
    "http://private.example/": REFUSED,
    "http://metadata.google.internal/computeMetadata/v1/": REFUSED,
    "http://localhost/": REFUSED,
    "http://alias.example/": REFUSED,
    "http://loop.example/": "ConnectionFailed",
    "http://nowhere.example/": "ConnectionFailed",
}


@pytest.mark.slow
def test_a_function_reaches_what_it_may_and_nothing_else(liar: Liar, tmp_path: Path) -> None:
    """The same by a real function's `fetch`, with name servers and addresses as an operator configures them."""
    variables = {"NAMESERVERS": f"127.0.0.1:{liar.port}", "PRIVATE": OPENED_HOST}
    settings = {f"ISOLET_OUTBOUND_{name}": value for name, value in variables.items()}
    with contextlib.closing(House(tmp_path, **settings)) as house, contextlib.ExitStack() as stack:
        one, other = on_one_port(ALLOWED, TRAP)
        counts = [stack.enter_context(counting(listener)) for listener in (one, other)]
        port = one.getsockname()[1]
        named = [f"{name}:{port}" for name in (ALLOWED, "rebind.example", "both.example")]
        grants = json.dumps(["*", *named, "169.254.169.254:80", "127.0.0.1:80"])
        house.hostile.deploy("asks", module(ASKS), Timeout=60, Tags={"isolet:http": "true", "isolet:fetch": grants})

        def ask(url: str) -> Any:
            body = saying(["fetch", {"url": url}])
            data = post(f"/fn/{HOSTILE}:asks/", b"Connection: close", b"Content-Length: %d" % len(body), body=body)
            return json.loads(Port(house.server.url).ask(data).body)

        ask("http://127.0.0.1/")
        with house.watched():
            assert ask(f"http://{ALLOWED}:{port}/")["ok"]["status"] == 200
            assert ask(f"http://both.example:{port}/")["ok"]["status"] == 200
            answers = [ask(f"http://rebind.example:{port}/") for _ in range(4)]
            assert sum("ok" in answer for answer in answers) <= 1
            for url, kind in TARGETS.items():
                assert ask(url)["error"]["type"] == kind, url
        assert counts[0], "what is opened was reached"
        assert counts[1] == [], "and nothing else was"


@contextlib.contextmanager
def counting(listener: socket.socket) -> Iterator[list[bytes]]:
    """Answers on a bound socket, from a thread; what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(65_536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    listener.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    yield asked
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
