"""JSON ↔ msgpack for plain events."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.errors import AbiViolation, InvalidRequestContent, ResponseTooLarge
from isolet.front.payload import DEPTH_PROMISED, pack_json, render_json

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=30,
)


@given(plain, st.booleans())
def test_json_survives_the_way_in_and_out(value: Any, ascii_only: bool) -> None:
    packed = pack_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert msgpack.unpackb(packed) == value
    assert json.loads(render_json(msgpack.unpackb(packed))) == value


def test_nothing_is_the_empty_object() -> None:
    assert msgpack.unpackb(pack_json(b"")) == {}


@given(st.integers())
def test_integers_that_fit_64_bits_stay_and_others_become_floats(number: int) -> None:
    seen = msgpack.unpackb(pack_json(str(number).encode()))
    fits = -(2**63) <= number < 2**64
    assert seen == (number if fits else float(number))
    assert type(seen) is (int if fits else float)


def test_one_large_integer_changes_nothing_else() -> None:
    value = msgpack.unpackb(pack_json(b'{"a": 18446744073709551616, "b": 1, "c": [9007199254740993], "d": -1.5}'))
    assert value == {"a": 2.0**64, "b": 1, "c": [9007199254740993], "d": -1.5}
    assert [type(value[key]) for key in "abd"] == [float, int, float]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"hello", "Expecting value at line 1, column 1"),
        (b"{}x", "Extra data at line 1, column 3"),
        (b" ", "Expecting value at line 1, column 2"),
        (b"{'a': 1}", "Expecting property name enclosed in double quotes"),
        (b"[1,]", "Expecting value"),
        (b"[01]", "Expecting"),
        (b'"\x01"', "Invalid control character"),
        (b"NaN", "Non-standard token 'NaN'"),
        (b"[Infinity]", "Non-standard token 'Infinity'"),
        (b"[-Infinity]", "Non-standard token '-Infinity'"),
        (b"[1e999]", "Numeric value (1e999) out of range"),
        (b"[-1e999]", "Numeric value (-1e999) out of range"),
        (b"1" * 400, "out of range"),
        (b"1" * 5000, "out of range"),
        (b'{"a":1,"b":2,"a":3}', "Duplicate field 'a'"),
        (b'[18446744073709551616,{"a":1,"a":3}]', "Duplicate field 'a'"),
        (rb'"\ud800"', "Half a surrogate pair"),
        (rb'{"\udc00":1}', "Half a surrogate pair"),
        (b'"\xff"', "Invalid UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "Invalid UTF-8"),
        ('"é"'.encode("utf-16"), "Invalid UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (b"[" * 1100 + b"]" * 1100, "nested too deep"),
    ],
)
def test_what_is_not_json_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequestContent) as raised:
        pack_json(body)
    assert raised.value.message.startswith("Could not parse request body into json: ")
    assert reason in raised.value.message


def test_depth_that_is_promised_is_taken() -> None:
    body = b"[" * DEPTH_PROMISED + b"]" * DEPTH_PROMISED
    assert pack_json(body) == b"\x91" * (DEPTH_PROMISED - 1) + b"\x90"


def test_bytes_that_look_like_an_infinity_are_not_one() -> None:
    value = [0x0102030405060BCB, 127, -16, 0, 0, 0, 0, 0, 0]
    packed = pack_json(json.dumps(value).encode())
    assert b"\xcb\x7f\xf0\0\0\0\0\0\0" in packed, "the suspicion that sends it the exact way"
    assert msgpack.unpackb(packed) == value


def test_surrogate_pair_is_one_character() -> None:
    assert msgpack.unpackb(pack_json(rb'"\ud83d\ude00"')) == "😀"


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": -float("inf")}])
def test_float_that_is_not_finite_is_the_functions_fault(value: Any) -> None:
    with pytest.raises(AbiViolation, match="not finite"):
        render_json(value)


def test_bin_is_rendered_as_base64() -> None:
    assert render_json({"a": b"\x00\xff"}) == b'{"a":"AP8="}'


def test_rendered_result_over_the_limit_is_too_large() -> None:
    assert len(render_json("x" * (limits.PAYLOAD_BYTES_MAX - 2))) == limits.PAYLOAD_BYTES_MAX
    with pytest.raises(ResponseTooLarge, match=r"maximum allowed payload size \(6291556 bytes\)"):
        render_json("x" * (limits.PAYLOAD_BYTES_MAX - 1))
