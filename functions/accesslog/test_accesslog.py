"""accesslog.c counts what plain.py counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet.errors import Raised
from running import Guest, http_event

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import generate  # noqa: E402
import plain  # noqa: E402

sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(HERE)


def counted(guest: Guest, log: str | bytes, **query: str) -> Any:
    more = {"queryStringParameters": query} if query else {}
    return guest.invoke(http_event("POST", "/accesslog", body=log, **more))


def test_megabytes_of_log_are_counted_as_plain_python_counts_them(guest: Guest) -> None:
    log = generate.log(5_000_000)
    answer = counted(guest, log.decode())
    assert answer == plain.count(log)
    assert answer["lines"] > 20_000
    assert answer["malformed"] == 0
    assert {"200", "404", "400"} <= set(answer["status"])
    assert answer["path"]["-"] > 0, "scans"


def test_the_generator_gives_the_same_log_for_the_same_seed() -> None:
    assert generate.log(50_000, 7) == generate.log(50_000, 7) != generate.log(50_000, 8)


def test_a_body_that_is_not_text_is_counted_too(guest: Guest) -> None:
    log = generate.log(20_000) + b'h - - [10/Oct/2000:13:55:36 -0700] "GET /\xff HTTP/1.0" 200 1\n'
    assert counted(guest, log) == plain.count(log)


def test_only_the_most_frequent_paths_are_listed(guest: Guest) -> None:
    log = generate.log(300_000)
    answer = counted(guest, log.decode(), top="3")
    assert answer == plain.count(log, 3)
    assert len(answer["path"]) == 3
    assert guest.invoke({"log": log.decode(), "top": 3}) == answer


EXAMPLE = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
COMBINED = EXAMPLE + ' "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
LINES = [
    EXAMPLE,
    COMBINED,
    COMBINED + "\r",
    EXAMPLE.replace("frank", "-"),
    EXAMPLE.replace("2326", "-"),
    EXAMPLE.replace("/apache_pb.gif", "/a?b=c"),
    EXAMPLE.replace("/apache_pb.gif", "?x"),
    EXAMPLE.replace("/apache_pb.gif", '/\\"quoted\\"'),
    EXAMPLE.replace("GET /apache_pb.gif HTTP/1.0", "-"),
    EXAMPLE.replace("GET /apache_pb.gif HTTP/1.0", ""),
    EXAMPLE.replace("GET /apache_pb.gif HTTP/1.0", "GET /a b HTTP/1.0"),
    EXAMPLE.replace("-0700", "+0530"),
    "",
    "\r",
    " ",
    "nonsense",
    EXAMPLE[:-4],
    EXAMPLE + " ",
    EXAMPLE + ' "only one"',
    COMBINED + " more",
    COMBINED[:-1],
    EXAMPLE.replace("Oct", "Okt"),
    EXAMPLE.replace("10/Oct", "1/Oct"),
    EXAMPLE.replace("200 2326", "20 2326"),
    EXAMPLE.replace("2326", "23x"),
    EXAMPLE.replace("2326", "1" * 19),
    EXAMPLE.replace('1.0"', "1.0\\"),
    "é" + EXAMPLE,
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_counted_or_called_malformed_as_plain_python_does(guest: Guest, line: str) -> None:
    log = f"{line}\n{COMBINED}\n{line}"
    assert counted(guest, log) == plain.count(log.encode())


@given(st.lists(st.sampled_from(LINES)), st.data())
@settings(max_examples=60, deadline=None)
def test_spoilt_lines_too(lines: list[str], data: st.DataObject) -> None:
    raw = bytearray("\n".join(lines).encode())
    for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert counted(Guest(HERE), bytes(raw)) == plain.count(bytes(raw))


def test_no_log_is_an_error_that_says_how_to_send_one(guest: Guest) -> None:
    for event in ({}, None, http_event("POST", "/accesslog")):
        with pytest.raises(Raised, match="`log`") as caught:
            guest.invoke(event)
        assert caught.value.raised_type == "LogMissing"
