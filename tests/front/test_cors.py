"""CORS of function URLs, as tables: configuration and request in, header lines out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isolet.front.cors import answer_lines, is_preflight, preflight_lines
from isolet.model import Cors

PAGE = "https://localhost:8080"
ASKS = {"origin": PAGE, "access-control-request-method": "GET"}


def getter(headers: dict[str, str]) -> Callable[[bytes], bytes | None]:
    return lambda name: headers[name.decode()].encode("latin-1") if name.decode() in headers else None


def parsed(lines: bytes) -> dict[str, str]:
    split = [line.partition(": ") for line in lines.decode("latin-1").split("\r\n") if line]
    found = [(name, value) for name, _, value in split]
    assert len({name for name, _ in found}) == len(found), "every header once"
    return dict(found)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        (b"OPTIONS", ASKS, True),
        (b"GET", ASKS, False),
        (b"OPTIONS", {"origin": PAGE}, False),
        (b"OPTIONS", {"access-control-request-method": "GET"}, False),
        (b"OPTIONS", {}, False),
    ],
)
def test_preflight_is_options_with_origin_and_method(method: bytes, headers: dict[str, str], expected: bool) -> None:
    assert is_preflight(method, getter(headers)) is expected


@pytest.mark.parametrize(
    ("cors", "headers", "expected"),
    [
        # Seen: the answer of Lambda to a browser that asks for GET with Authorization.
        (
            Cors(
                allow_origins=(PAGE,),
                allow_methods=("GET", "POST"),
                allow_headers=("authorization", "content-type", "x-books-authorization"),
                allow_credentials=True,
            ),
            ASKS | {"access-control-request-headers": "authorization"},
            {
                "vary": "Origin",
                "access-control-allow-origin": PAGE,
                "access-control-allow-headers": "authorization,content-type,x-books-authorization",
                "access-control-allow-methods": "GET,POST",
                "access-control-allow-credentials": "true",
            },
        ),
        # Any origin, method and header: what was asked for is named, so that credentials may go with it.
        (
            Cors(allow_origins=("*",), allow_methods=("*",), allow_headers=("*",), max_age_s=300),
            ASKS | {"access-control-request-headers": "x-one, x-two"},
            {
                "vary": "Origin",
                "access-control-allow-origin": PAGE,
                "access-control-allow-methods": "GET",
                "access-control-allow-headers": "x-one, x-two",
                "access-control-max-age": "300",
            },
        ),
        # Another origin is told nothing.
        (Cors(allow_origins=("https://www.example.com",), allow_methods=("*",)), ASKS, {"vary": "Origin"}),
        # Origins are compared whole: neither a prefix nor another scheme is the same.
        (Cors(allow_origins=("https://localhost",)), ASKS, {"vary": "Origin"}),
        (Cors(allow_origins=("http://localhost:8080",)), ASKS, {"vary": "Origin"}),
        # What exposes headers is for answers only.
        (
            Cors(allow_origins=(PAGE,), expose_headers=("Date",)),
            ASKS,
            {"vary": "Origin", "access-control-allow-origin": PAGE},
        ),
        # A configuration without origins allows none.
        (Cors(), ASKS, {"vary": "Origin"}),
        # No headers are asked for: none are named.
        (
            Cors(allow_origins=("*",), allow_headers=("*",)),
            ASKS,
            {"vary": "Origin", "access-control-allow-origin": PAGE},
        ),
    ],
)
def test_preflight_is_answered_from_the_configuration(
    cors: Cors, headers: dict[str, str], expected: dict[str, str]
) -> None:
    assert parsed(preflight_lines(cors, getter(headers))) == expected


@pytest.mark.parametrize(
    ("cors", "headers", "expected"),
    [
        (
            Cors(allow_origins=("*",), expose_headers=("date", "x-request"), allow_credentials=True),
            {"origin": PAGE},
            {
                "vary": "Origin",
                "access-control-allow-origin": PAGE,
                "access-control-expose-headers": "date,x-request",
                "access-control-allow-credentials": "true",
            },
        ),
        (
            Cors(allow_origins=(PAGE,), allow_methods=("GET",), allow_headers=("x",), max_age_s=5),
            {"origin": PAGE},
            {"vary": "Origin", "access-control-allow-origin": PAGE},
        ),
        (Cors(allow_origins=("*",), allow_credentials=True), {}, {"vary": "Origin"}),
        (Cors(allow_origins=("https://www.example.com",)), {"origin": PAGE}, {"vary": "Origin"}),
    ],
)
def test_answers_name_the_origin_that_asked(cors: Cors, headers: dict[str, str], expected: dict[str, str]) -> None:
    assert parsed(answer_lines(cors, getter(headers))) == expected


def test_a_configuration_cannot_end_a_line() -> None:
    cors = Cors(allow_origins=("*",), expose_headers=("x\r\nset-cookie: a=b", "é\u2028"))
    assert answer_lines(cors, getter({"origin": PAGE})).count(b"\r\n") == 3
