"""What is remembered of a function's answers never makes another answer of a result than the long way does."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import abi
from isolet.errors import AbiViolation, GuestError, Raised
from isolet.front import events
from isolet.front.shape import Shape, text
from isolet.front.wire import Answer
from sources import needs_python

RESULT = {"statusCode": 200, "headers": {"content-type": "text/html"}, "body": "<p>"}


def outcome(value: Any) -> bytes:
    packed: bytes = msgpack.packb({"ok": value})
    return packed


def long_way(raw: bytes) -> Answer | str:
    try:
        return events.answer(abi.unpack_outcome(raw))
    except GuestError as error:
        return f"{type(error).__name__}: {error.message}"


def known(shape: Shape, raw: bytes) -> Answer | str:
    try:
        return shape.answer(raw)
    except GuestError as error:
        return f"{type(error).__name__}: {error.message}"


def taught(value: Any = RESULT) -> Shape:
    shape = Shape()
    shape.answer(outcome(value))
    return shape


def test_result_that_begins_as_another_one_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = taught()
    raw = outcome(RESULT | {"body": "<p>another, and longer than any fixstr</p>"})
    expected = long_way(raw)
    monkeypatch.setattr(abi, "unpack_outcome", None)
    assert shape.answer(raw) == expected


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.sampled_from([200, 201, 204, 304, 404, 99, "200"]),
        "headers": st.sampled_from([None, {}, {"content-type": "text/html"}, {"x": "1"}, {"x": "\n"}, {"x": 1}]),
        "cookies": st.sampled_from([["a=1"], "a"]),
        "isBase64Encoded": st.booleans(),
        "body": st.sampled_from(["", "a", "aGk=", "é", "x" * 31, "x" * 32, "x" * 256, "x" * 70_000, b"a", 1, None]),
    },
)


@given(st.lists(st.tuples(VALUES, st.permutations(["statusCode", "headers", "cookies", "isBase64Encoded", "body"]))))
def test_answers_are_those_of_the_long_way_whatever_came_before(
    results: list[tuple[dict[str, Any], list[str]]],
) -> None:
    shape = Shape()
    for value, order in results:
        raw = outcome({name: value[name] for name in order if name in value})
        assert known(shape, raw) == long_way(raw)


@given(st.binary(min_size=1, max_size=40), st.booleans())
def test_whatever_follows_a_known_beginning_is_answered_as_the_long_way(tail: bytes, whole: bool) -> None:
    raw = outcome(RESULT)[: -len(abi.pack("<p>"))] + (abi.pack(tail.decode("latin-1")) if whole else tail)
    assert known(taught(), raw) == long_way(raw)


@pytest.mark.parametrize(
    "tail",
    [b"\xa3<p", b"\xa2<p>", b"\xd9\x03<p>", b"\xda\x00\x03<p>", b"\xdb\x00\x00\x00\x03<p>", b"\xa1\xff", b"\xa0"],
)
def test_spellings_and_ends_of_a_body(tail: bytes) -> None:
    raw = outcome(RESULT)[: -len(abi.pack("<p>"))] + tail
    assert known(taught(), raw) == long_way(raw)


def test_beginning_alone_is_no_result() -> None:
    raw = outcome(RESULT)[: -len(abi.pack("<p>"))]
    with pytest.raises(AbiViolation):
        taught().answer(raw)


def test_errors_are_raised_as_ever() -> None:
    with pytest.raises(Raised, match="no"):
        taught().answer(msgpack.packb({"error": {"type": "Error", "message": "no"}}))


@needs_python
def test_function_whose_answers_begin_otherwise_each_time_is_left_alone() -> None:
    shape = Shape()
    for number in range(100):
        raw = outcome({"statusCode": 200, "headers": {"etag": str(number)}, "body": "a"})
        assert shape.answer(raw) == long_way(raw)
    learned = {name: getattr(shape, name) for name in Shape.__slots__}
    shape.answer(outcome({"statusCode": 200, "headers": {"etag": "new"}, "body": "a"}))
    assert {name: getattr(shape, name) for name in Shape.__slots__} == learned


@given(st.text(max_size=300), st.integers(0, 5))
def test_text_is_the_str_that_ends_the_bytes(value: str, before: int) -> None:
    raw = b"\xa1" * before + msgpack.packb(value)
    assert text(raw, before) == value.encode("utf-8")
    assert text(raw + b"a", before) == b""
