"""URLs taken apart: what two parsers could read in two ways is refused; the rest is spelled in one way."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.grants import Origin, Refusal
from isolet.urls import Url, join, parse_url


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.COM:80/A?b=C#d", "http://example.com/A?b=C"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com.", "http://example.com/"),
        ("http://example.com:/x", "http://example.com/x"),
        ("http://bücher.example/ü?q=ü", "http://xn--bcher-kva.example/%C3%BC?q=%C3%BC"),
        ("http://127.0.0.1:8090/", "http://127.0.0.1:8090/"),
        ("http://[::1]:8090/", "http://[::1]:8090/"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://my_host-1/", "http://my_host-1/"),
        ("http://example.com?a=b", "http://example.com/?a=b"),
        ("http://example.com/a%2Fb%", "http://example.com/a%2Fb%"),
        ('http://example.com/"<>`{}', "http://example.com/%22%3C%3E%60%7B%7D"),
        ("  http://example.com/ \n", "http://example.com/"),
        ("http://example.com//x/../y", "http://example.com//x/../y"),
    ],
)
def test_a_url_is_spelled_in_one_way(text: str, spelled: str) -> None:
    url = parse_url(text)
    assert isinstance(url, Url)
    assert str(url) == spelled
    assert parse_url(spelled) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "http:example.com",
        "http:/example.com",
        "http://",
        "http:///x",
        "http://:80/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://good.example@evil.example/",
        "http://good.example\\@evil.example/",
        "http://good.example\\.evil.example/",
        "http://good.example /",
        "http://good.example\r\nHost: evil.example/",
        "http://good.example/\0",
        "http://a b/",
        "http://exa%6dple.com/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1.1/",
        "http://1.2.3.08/",
        "http://example.0x/",
        "http://256.1.1.1/",
        "http://[::1/",
        "http://::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:8_0/",
        "http://example.com:١/",
        "http://example..com/",
        "http://.example.com/",
        "http://-example.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://example.com/" + "a" * 8_192,
        "http://example.com/" + "é" * 4_000,
        "http://\ud800/",
        "http://example.com/\ud800",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    refused = parse_url(text)
    assert isinstance(refused, Refusal)
    assert refused.reason
    assert refused.cure


@given(st.text(max_size=60).map(lambda text: "http://" + text))
def test_whatever_is_taken_is_ascii_and_is_taken_again(text: str) -> None:
    url = parse_url(text)
    if isinstance(url, Refusal):
        return
    assert str(url).isascii()
    assert str(url).isprintable()
    assert " " not in str(url)
    assert parse_url(str(url)) == url


@given(st.integers(0, 2**32 - 1))
def test_a_number_is_an_address_in_its_usual_form_only(number: int) -> None:
    usual = str(ip_address(number))
    url = parse_url(f"http://{usual}/")
    assert isinstance(url, Url)
    assert url.origin == Origin("http", usual, 80)
    first, second, third, fourth = usual.split(".")
    for spelled in (str(number), hex(number), f"{first}.{int(second) << 16 | int(third) << 8 | int(fourth)}"):
        assert isinstance(parse_url(f"http://{spelled}/"), Refusal)


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "https://a.example/b"),
        ("b", "https://a.example/x/b"),
        ("?q", "https://a.example/x/y?q"),
        ("//b.example/z", "https://b.example/z"),
        ("http://c.example", "http://c.example/"),
        ("../..", "https://a.example/"),
        ("", "https://a.example/x/y?old"),
    ],
)
def test_a_redirect_is_relative_to_where_it_came_from(location: str, leads_to: str) -> None:
    base = parse_url("https://a.example/x/y?old")
    assert isinstance(base, Url)
    assert str(join(base, location)) == leads_to


@pytest.mark.parametrize(
    "location", ["http://[::1", "javascript:alert(1)", "http://u@b/", "\\\\b.example/", "//b\\@c/"]
)
def test_a_redirect_to_what_is_no_url_is_refused(location: str) -> None:
    base = parse_url("https://a.example/")
    assert isinstance(base, Url)
    assert isinstance(join(base, location), Refusal)
