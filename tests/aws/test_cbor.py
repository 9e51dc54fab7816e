from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.aws.cbor import DEPTH_MAX, Malformed, Timestamp, decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("c11a514b67b0", 1363896240),
        ("9f01820203ff", [1, [2, 3]]),
        ("bf6161f5ff", {"a": True}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("5f42010243030405ff", b"\1\2\3\4\5"),
        ("f97c00", float("inf")),
        ("f7", None),
    ],
)
def test_forms_of_the_rfc_are_read(data: str, value: object) -> None:
    assert decode(bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    "data",
    [
        "",
        "1b",
        "9bffffffffffffffff",
        "bb00000000ffffffff",
        "ff",
        "a1ff",
        "a10102",
        "61ff",
        "0000",
        "5f6161ff",
        "f8",
        "1c",
    ],
)
def test_bytes_that_promise_more_than_they_are_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(data))


def test_nesting_ends() -> None:
    with pytest.raises(Malformed, match=f"deeper than {DEPTH_MAX}"):
        decode(b"\x81" * 1_000_000)
    with pytest.raises(Malformed, match=f"deeper than {DEPTH_MAX}"):
        decode(b"\xc1" * 1_000_000)


def test_timestamp_travels_under_tag_1() -> None:
    assert encode(Timestamp(5)) == b"\xc1\x05"
    assert encode(Timestamp(0.5))[:2] == b"\xc1\xfb"
