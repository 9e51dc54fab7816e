"""Large JSON, a window at a time: the same as at one go."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isolet.errors import InvalidRequestContent
from isolet.front import transcode
from isolet.front.payload import pack_json, packing_json


@pytest.fixture(params=[1, 2, 7, 40, 300], autouse=True)
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Windows so small that everything is cut."""
    monkeypatch.setattr(transcode, "WINDOW_CHARS", request.param)
    size: int = request.param
    return size


def in_steps(body: bytes) -> bytes:
    packing = packing_json(body)
    while True:
        try:
            next(packing)
        except StopIteration as packed:
            result: bytes = packed.value
            return result


def same(body: bytes) -> None:
    try:
        expected = pack_json(body)
    except InvalidRequestContent:
        with pytest.raises(InvalidRequestContent):
            in_steps(body)
    else:
        assert in_steps(body) == expected


pitfalls = st.sampled_from(["},", "],", '","', "\\", "{[,"])
letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | pitfalls
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | letters,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(letters, inner, max_size=12),
    max_leaves=60,
)


@given(values, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]))
def test_any_json_is_packed_the_same(value: Any, separators: tuple[str, str]) -> None:
    same(json.dumps(value, separators=separators, allow_nan=True).encode())


@given(values, st.randoms(use_true_random=False))
def test_damaged_json_is_refused_the_same(value: Any, chance: random.Random) -> None:
    text = json.dumps(value)
    at = chance.randrange(len(text) + 1)
    splinter = chance.choice(["", ",", "]", "}", "[", "{", '"', ":", " ", "0", "x"])
    cut = text[:at] + splinter + text[at + chance.randrange(2) :]
    same(cut.encode())


CASES = ["", " ", "[", "]", "{", "}", "[]", "{}", "[ ]", "{ }", " [ 1 , 2 ] ", "[1,]", "[,1]", "[1,,2]", "{,}", '{"a"}']
CASES += ['{"a":}', '{"a":1,}', '{"a":1,"a":2}', '{"a":1,"b":{"a":1},"b":2}', '{"a":1 "b":2}', "{1:2}", "[1 2]", "[1]]"]
CASES += [
    "[[1]",
    "[1],[2]",
    '[1],"x":[2]',
    "[1,2],",
    "1",
    "1 2",
    '"a',
    '"a\\',
    "[1e999]",
    "[NaN]",
    "[tru]",
    "[-]",
    "[01]",
]
CASES += ["[18446744073709551616,1]", '["\\ud800"]', '["\\ud83d\\ude00"]', '{"\\u0061":1,"a":2}', "[true,false,null]"]
CASES += ["[" * 300 + "]" * 300, "[" * 3000, '{"a":' * 300 + "1" + "}" * 300, "[" + "[],{}," * 50 + "1]"]
CASES += ['{"' + '":1,"'.join(map(str, range(100))) + '":2}']


@pytest.mark.parametrize("text", CASES)
def test_hard_cases_are_the_same(text: str) -> None:
    if text:
        same(text.encode())


@pytest.mark.parametrize("count", [15, 16, 17, 65_535, 65_536, 70_000])
def test_heads_of_containers_of_every_size(count: int, window: int) -> None:
    if window < 40 and count > 100:
        return  # thousands of windows of one character prove nothing more
    same(json.dumps(list(range(count))).encode())
    same(json.dumps({str(i): i for i in range(count)}).encode())


@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf{}")
@example(b'["\xff"]')
def test_any_bytes_are_packed_or_refused_the_same(body: bytes) -> None:
    if body:
        same(body)


def test_steps_are_many_where_the_text_is_long(window: int) -> None:
    def steps() -> Iterator[None]:
        return (yield from packing_json(b"[" + b"[1,[2]]," * 500 + b"1]"))

    assert sum(1 for _ in steps()) >= 4000 // max(window, 8) // 2
