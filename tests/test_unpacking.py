"""Large outcomes in steps: the same values and refusals as at one go, and nobody waits long."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet import abi, limits, unpacking
from isolet.errors import AbiViolation, GuestError, Raised, ResponseTooLarge
from isolet.front.payload import render_json

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
SIZES = st.sampled_from([1, 3, 300, 5_000])
LEAVES = SCALARS | st.binary() | SIZES.map(lambda size: "é" * size) | SIZES.map(lambda size: b"\xdc" * size)
VALUES = st.recursive(
    LEAVES | st.tuples(SIZES, SCALARS).map(lambda both: [both[1]] * both[0]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=12,
)


def run(steps: Generator[None, None, tuple[Any, unpacking.Rendered]]) -> tuple[Any, unpacking.Rendered, int]:
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return *stop.value, count
        count += 1


def packed(value: Any) -> bytes:
    raw: bytes = msgpack.packb({"ok": value})
    return raw


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_steps_give_what_one_go_gives(value: Any) -> None:
    made, rendered, _ = run(unpacking.unpacking(packed(value)))
    assert made == value == abi.unpack_outcome(packed(value))
    try:
        at_once = unpacking.render(value)
    except AbiViolation as refused:
        with pytest.raises(AbiViolation, match=refused.message[:20]):
            rendered.json()
    else:
        assert render_json(value, rendered) == at_once


@settings(max_examples=300, deadline=None)
@given(VALUES, st.data())
def test_steps_refuse_what_one_go_refuses(value: Any, data: st.DataObject) -> None:
    raw = bytearray(packed(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[at] = data.draw(st.integers(0, 255))
        else:
            del raw[at:]
            raw += b"\xc0"

    def outcome(call: Any) -> Any:
        try:
            return call()
        except GuestError as error:
            return type(error)

    at_once = outcome(lambda: abi.unpack_outcome(bytes(raw)))
    in_steps = outcome(lambda: run(unpacking.unpacking(bytes(raw)))[0])
    assert repr(in_steps) == repr(at_once)  # NaN is not equal to itself


@pytest.mark.parametrize(
    "value",
    [
        [[0] * 100_000] * 10,
        {f"{number:05d}": None for number in range(99_999)},
        [{"a": 1, "b": [number]} for number in range(60_000)],
        ["text of some length"] * 90_000,
        [[b"\x80" * 5_000, 1, "x"]] * 300,
    ],
    ids=["numbers", "keys", "records", "texts", "binaries"],
)
def test_pieces_are_small(value: Any) -> None:
    """At most so many values between two yields."""
    raw = packed(value)
    made, rendered, steps = run(unpacking.unpacking(raw))
    assert made == value
    assert steps >= len(raw) // (4 * unpacking.PIECE_BYTES)
    assert json.loads(rendered.json()) == json.loads(unpacking.render(value))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x91" * 1_000_000, "within the limits"),
        (b"\x81\xa2ok" + b"\x91" * 70 + b"\xc0", "nested more than 64 deep"),
        (b"\x81\xa2ok\x9f" + b"\xdd\x00\x01\x86\xa0" + b"\x90" * 100_000, "more than 200,000 arrays"),
        (b"\x81\xa2ok\xdd\x00\x01\x86\xa1" + b"\x00" * 100_001, "max_array_len"),
        (b"\x81\xa2ok\xdf\x00\x00\x00\x02\xa1a\xc0\xa1a\xc0", "the same key twice"),
        (b"\x81\xa2ok\x82\xa1a\xc4\xff" + b"x" * 255 + b"\xa1a\xc0", "the same key twice"),
        (b"\x81\xa2ok\x81\x01\x02", "key is not a string"),
        (b"\x81\xa2ok\xc0\xc0", "bytes follow"),
        (b"\x81\xa2ok\xd4\x01\x02", "within the limits"),
        (b"\x81\xa2ok\xdb\xff\xff\xff\xffabc", "within the limits"),
        (b"\x81\xa2no\xc0", "must be `ok` or `error`"),
        (b"\x93\x00\x00\x00", "not a map with exactly one"),
    ],
)
def test_malformed_outcomes_are_refused_in_words(raw: bytes, words: str) -> None:
    if "200,000" in words:
        raw = b"\x81\xa2ok\x93" + (b"\xdd\x00\x01\x86\xa0" + b"\x90" * 100_000) * 3
    with pytest.raises(AbiViolation, match=words):
        run(unpacking.unpacking(raw))


def test_error_of_a_handler_is_raised() -> None:
    raw = msgpack.packb({"error": {"type": "Bad", "message": "no", "stack": ["line"] * 5_000}})
    with pytest.raises(Raised) as raised:
        run(unpacking.unpacking(raw))
    assert (raised.value.raised_type, len(raised.value.stack)) == ("Bad", 5_000)


def test_json_beyond_the_limit_is_refused_when_it_is_asked_for() -> None:
    value = {"body": b"x" * limits.PAYLOAD_BYTES_MAX, "more": [1] * 10}
    made, rendered, _ = run(unpacking.unpacking(packed(value)))
    assert made == value
    with pytest.raises(ResponseTooLarge):
        render_json(value, rendered)
    with pytest.raises(AbiViolation, match="not finite"):
        run(unpacking.unpacking(packed([float("nan")])))[1].json()


def test_what_is_quick_is_small() -> None:
    assert unpacking.is_quick(packed("x" * 10_000))
    assert not unpacking.is_quick(packed("x" * 20_000))
    assert not unpacking.is_quick(packed([{}] * 2_000))
