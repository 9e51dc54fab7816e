"""What `[capabilities]` may say, and what each entry covers."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import grants, limits
from isolet.grants import HostGrant, Origin, Refusal, allows_function, covering, like, parse_fetch, refusal


@pytest.mark.parametrize(
    ("entry", "url_origin", "covers"),
    [
        ("api.example.com", ("https", "api.example.com", 443), True),
        ("api.example.com", ("http", "api.example.com", 80), True),
        ("API.Example.com.", ("http", "api.example.com", 80), True),
        ("api.example.com", ("https", "api.example.com", 8443), False),
        ("api.example.com", ("http", "api.example.com", 443), False),
        ("api.example.com", ("https", "xapi.example.com", 443), False),
        ("api.example.com", ("https", "x.api.example.com", 443), False),
        ("https://api.example.com", ("http", "api.example.com", 80), False),
        ("https://api.example.com", ("https", "api.example.com", 443), True),
        ("api.example.com:8443", ("https", "api.example.com", 8443), True),
        ("api.example.com:8443", ("https", "api.example.com", 443), False),
        ("http://api.example.com:8443", ("https", "api.example.com", 8443), False),
        ("*.example.org", ("https", "a.example.org", 443), True),
        ("*.example.org", ("https", "a.b.example.org", 443), True),
        ("*.example.org", ("https", "example.org", 443), False),
        ("*.example.org", ("https", "badexample.org", 443), False),
        ("*.example.org", ("https", "a.example.org.evil.example", 443), False),
        ("*", ("https", "anything.example", 443), True),
        ("*", ("http", "anything.example", 8080), False),
        ("*:8080", ("http", "anything.example", 8080), True),
        ("127.0.0.1:8090", ("http", "127.0.0.1", 8090), True),
        ("[::1]:8090", ("http", "::1", 8090), True),
        ("[0:0::1]:8090", ("http", "::1", 8090), True),
        ("bücher.example", ("http", "xn--bcher-kva.example", 80), True),
    ],
)
def test_an_entry_covers_what_it_says(entry: str, url_origin: tuple[str, str, int], covers: bool) -> None:
    assert refusal("fetch", [entry]) is None
    assert bool(covering([entry], Origin(*url_origin))) is covers


@pytest.mark.parametrize(
    ("entry", "literal"),
    [("127.0.0.1:80", True), ("127.0.0.1", False), ("db.internal:80", True), ("*.internal:80", False), ("*:80", False)],
)
def test_only_host_and_port_together_are_literal(entry: str, literal: bool) -> None:
    grant = parse_fetch(entry)
    assert isinstance(grant, HostGrant)
    assert grant.is_literal is literal


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("kv", [""]),
        ("kv", ["a b"]),
        ("kv", ["-a"]),
        ("kv", ["a" * 65]),
        ("kv", ["a", "a"]),
        ("kv", [1]),
        ("kv", [f"n{index}" for index in range(limits.GRANTS_MAX + 1)]),
        ("fetch", [""]),
        ("fetch", ["https://api.example.com/path"]),
        ("fetch", ["ftp://api.example.com"]),
        ("fetch", ["user@api.example.com"]),
        ("fetch", ["api.*.com"]),
        ("fetch", ["*example.com"]),
        ("fetch", ["**"]),
        ("fetch", ["*."]),
        ("fetch", ["*.10.0.0.1"]),
        ("fetch", ["2130706433:80"]),
        ("fetch", ["0x7f.1"]),
        ("fetch", ["::1"]),
        ("fetch", ["[::1"]),
        ("fetch", ["[fe80::1%eth0]"]),
        ("fetch", ["a:0"]),
        ("fetch", ["a:65536"]),
        ("fetch", ["a\n"]),
        ("fetch", ["a" * 300]),
        ("invoke", [""]),
        ("invoke", ["a b"]),
        ("invoke", ["a:"]),
        ("invoke", ["a:b:c"]),
        ("invoke", ["a" * 65]),
        ("secrets", [""]),
        ("secrets", ["a b"]),
        ("secrets", ["a" * 513]),
        ("secrets", ["*"]),
    ],
)
def test_what_is_no_grant_is_refused_with_reason_and_cure(kind: str, entries: list[object]) -> None:
    refused = refusal(kind, entries)
    assert isinstance(refused, Refusal)
    assert refused.reason
    assert refused.cure


def test_a_function_is_granted_with_or_without_its_qualifier() -> None:
    assert allows_function(["resize"], "resize", "$LATEST")
    assert allows_function(["resize"], "resize", "7")
    assert not allows_function(["resize"], "resized", "7")
    assert allows_function(["resize:live"], "resize", "live")
    assert not allows_function(["resize:live"], "resize", "$LATEST")
    assert allows_function(["x", "img-*"], "img-small", "1")
    assert not allows_function(["img-*"], "img", "1")
    assert not allows_function([], "resize", "1")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_star_stands_for_any_characters(pattern: str, text: str) -> None:
    assert like(pattern, text) is fnmatch.fnmatchcase(text, pattern)


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not like("*a" * 32 + "b", "a" * 64)


@given(st.sampled_from(grants.KINDS), st.text(max_size=40))
def test_any_text_is_a_grant_or_refused(kind: str, text: str) -> None:
    refused = refusal(kind, [text])
    assert refused is None or refused.cure
