"""Bodies that come in parts: what is joined is what came, and a part costs no more than its bytes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable

import pytest

from isolet.front.exchange import add_part

KIB = 1024


def received(parts: Iterable[bytes]) -> list[bytes | bytearray]:
    pieces: list[bytes | bytearray] = []
    for part in parts:
        add_part(pieces, part)
    return pieces


@pytest.mark.parametrize(
    "sizes",
    [
        [1, 1],
        [64 * KIB] * 20,
        [1] * 50_000,
        [16 * KIB - 1] * 10,
        [16 * KIB, 1, 16 * KIB, 1, 1],
        [3, 70_000, 1, 5, 16 * KIB - 6, 2, 100_000],
    ],
    ids=["two", "large ones", "bytes", "just below", "in turn", "mixed"],
)
def test_parts_are_joined_in_the_order_in_which_they_came(sizes: list[int]) -> None:
    chance = random.Random(1)
    parts = [chance.randbytes(size) for size in sizes]
    assert b"".join(received(parts)) == b"".join(parts)


def test_a_body_that_comes_byte_by_byte_takes_no_object_for_each() -> None:
    assert sum(map(sys.getsizeof, received([b"a"] * 1_000_000))) < 1_200_000


def test_a_part_that_is_large_is_kept_as_it_came() -> None:
    large = bytes(100 * KIB)
    assert [piece is large for piece in received([b"a", b"b", large, b"c"])] == [False, True, False]
