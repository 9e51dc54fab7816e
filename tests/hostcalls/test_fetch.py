"""`fetch` as guests ask for it: checked before the keeper hears of it, granted by host, counted."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pytest

from hostcalls.asking import TENANT, Above, call, granted, refused, relay, run
from isolet import limits
from isolet.model import Capabilities
from isolet.outbound import Outbound
from outside import Server, answering, serving, silent
from plane import Plane

ANSWER = {"status": 200, "url": "http://a.example/", "headers": [], "body": b""}


def with_time(above: Above, *hosts: str) -> Any:
    guest = granted(above, fetch=hosts)
    guest.state.deadline_ns = perf_counter_ns() + 60 * 10**9
    return guest


def test_a_request_goes_up_checked_and_spelled_out() -> None:
    above = Above(ANSWER)
    guest = with_time(above, "a.example", "*.b.example:8080")
    assert call(guest, "fetch", {"url": "HTTP://A.example:80#x"}) == {"ok": ANSWER}
    assert call(
        guest,
        "fetch",
        {
            "method": "POST",
            "url": "http://x.b.example:8080/ü?q",
            "headers": [["X-A", " 1 "], ["Host", "evil"], ["Content-Length", "7"], ["Proxy-Foo", "x"], ["te", ""]],
            "body": b"\0",
            "timeout_ms": 1500,
            "redirect": "manual",
        },
    )
    first, second = (body for operation, body in above.asked if operation == "fetch")
    grants = ["a.example", "*.b.example:8080"]
    assert first[:7] == [TENANT, "greet", grants, "GET", "http://a.example/", [], None]
    assert 0 < first[7] <= 60
    assert first[8] == "follow"
    url = "http://x.b.example:8080/%C3%BC?q"
    assert second == [TENANT, "greet", grants, "POST", url, [["x-a", "1"]], b"\0", 1.5, "manual"]
    assert above.counted[1][:2] == ("fetch", 1)


def test_a_host_without_a_grant_names_the_line_to_add() -> None:
    above = Above()
    message = refused(with_time(above, "a.example"), "NotGranted", "fetch", {"url": "https://b.example:8443/x"})
    assert '[capabilities] fetch = ["b.example:8443"]' in message
    refused(with_time(above), "NotGranted", "fetch", {"url": "https://b.example/"})
    assert above.asked == []


URL = "http://a.example/"


@pytest.mark.parametrize(
    "request_",
    [
        ("fetch",),
        ("fetch", "http://a.example/"),
        ("fetch", {}),
        ("fetch", {"url": None}),
        ("fetch", {"url": b"http://a.example/"}),
        ("fetch", {"url": "a.example"}),
        ("fetch", {"url": "http://u@a.example/"}),
        ("fetch", {"url": "http://2130706433/"}),
        ("fetch", {"url": URL, "uri": URL}),
        ("fetch", {"url": URL, "method": "get"}),
        ("fetch", {"url": URL, "method": "GET /x HTTP/1.1\r\nX: y"}),
        ("fetch", {"url": URL, "method": ""}),
        ("fetch", {"url": URL, "method": "CONNECT"}),
        ("fetch", {"url": URL, "method": "TRACE"}),
        ("fetch", {"url": URL, "method": 1}),
        ("fetch", {"url": URL, "headers": {"a": "b"}}),
        ("fetch", {"url": URL, "headers": [["a"]]}),
        ("fetch", {"url": URL, "headers": [["a", "b", "c"]]}),
        ("fetch", {"url": URL, "headers": [["a", 1]]}),
        ("fetch", {"url": URL, "headers": [["a b", "c"]]}),
        ("fetch", {"url": URL, "headers": [["", "c"]]}),
        ("fetch", {"url": URL, "headers": [["a:", "c"]]}),
        ("fetch", {"url": URL, "headers": [["a", "b\r\nc: d"]]}),
        ("fetch", {"url": URL, "headers": [["a", "b\0"]]}),
        ("fetch", {"url": URL, "headers": [["a", "€"]]}),
        ("fetch", {"url": URL, "headers": [["a", "b"]] * 101}),
        ("fetch", {"url": URL, "body": "text"}),
        ("fetch", {"url": URL, "body": [1]}),
        ("fetch", {"url": URL, "timeout_ms": 0}),
        ("fetch", {"url": URL, "timeout_ms": 900_001}),
        ("fetch", {"url": URL, "timeout_ms": float("nan")}),
        ("fetch", {"url": URL, "timeout_ms": "1"}),
        ("fetch", {"url": URL, "redirect": "maybe"}),
        ("fetch", {"url": URL}, {}),
    ],
)
def test_what_the_abi_does_not_allow_is_invalid_and_goes_nowhere(request_: tuple[Any, ...]) -> None:
    above = Above()
    refused(with_time(above, "a.example", "*"), "Invalid", *request_)
    assert above.asked == []


def test_bodies_and_headers_have_an_end() -> None:
    above = Above(ANSWER)
    guest = with_time(above, "a.example")
    refused(guest, "TooLarge", "fetch", {"url": URL, "headers": [["a", "x" * 65_536]]})
    largest = bytes(limits.FETCH_REQUEST_BYTES_MAX)
    refused(with_time(above, "a.example"), "TooLarge", "fetch", {"url": URL, "body": largest + b"x"})
    assert above.asked == []
    assert call(with_time(above, "a.example"), "fetch", {"url": URL, "body": largest}) == {"ok": ANSWER}


def test_an_invocation_makes_so_many_requests() -> None:
    above = Above(ANSWER)
    guest = with_time(above, "a.example")
    for _ in range(limits.FETCHES_MAX):
        call(guest, "fetch", {"url": URL})
    message = refused(guest, "LimitExceeded", "fetch", {"url": URL})
    assert str(limits.FETCHES_MAX) in message
    assert len(above.asked) == limits.FETCHES_MAX
    assert call(with_time(above, "a.example"), "fetch", {"url": URL}) == {"ok": ANSWER}, "the next one begins anew"


# ── a guest, a data plane, a server ─────────────────────────────────────────────────────────────────────────────


def with_outside(plane: Plane) -> Outbound:
    outbound = Outbound((ip_network("127.0.0.0/8"),))

    async def ask(operation: str, body: Any) -> Any:
        assert operation == "fetch"
        return await outbound.serve(*body)

    plane.ask = ask
    return outbound


def granted_for(plane: Plane, server: Server, **options: Any) -> Any:
    return plane.target("relays", capabilities=Capabilities(fetch=(server.grant,)), **options)


def test_a_guest_fetches(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        with_outside(plane)
        body = bytes(range(256)) * 4_096
        async with serving(answering(body)) as server:
            request = {"url": f"{server.url}/x", "method": "PUT", "body": body}
            reply = await relay(plane, granted_for(plane, server, memory_mb=8), "fetch", request)
            assert reply["ok"]["status"] == 200
            assert reply["ok"]["body"] == body
            assert server.requests[0].body == body
            assert plane.asked["fetch"][1] == len(body)
            assert plane.asked["fetch"][2] > len(body)

    run(tmp_path, main)


def test_the_invocations_deadline_is_the_requests(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        with_outside(plane)
        async with serving(silent()) as server:
            target = granted_for(plane, server, timeout_s=0.1)
            with pytest.raises(Exception, match="Task timed out"):
                await relay(plane, target, "fetch", {"url": server.url})
            await server.closed.wait()
            reply = await relay(plane, granted_for(plane, server), "fetch", {"url": server.url, "timeout_ms": 50})
            assert reply["error"]["type"] == "Timeout"

    run(tmp_path, main)


def test_a_client_that_leaves_closes_the_connection(tmp_path: Path) -> None:
    async def main(plane: Plane) -> None:
        with_outside(plane)
        async with serving(silent()) as server:
            asking = asyncio.ensure_future(relay(plane, granted_for(plane, server), "fetch", {"url": server.url}))
            while not server.open:
                await asyncio.sleep(0)
            asking.cancel()
            await server.closed.wait()
            await asyncio.gather(asking, return_exceptions=True)

    run(tmp_path, main)
