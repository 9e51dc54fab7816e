"""The bytes of a file behave as one long bytearray, whatever is a hole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isolet.hostcalls.content import BLOCK_BYTES, FixedContent, SparseContent

# Offsets near the edges of blocks, where it could go wrong.
offsets = st.one_of(
    st.integers(0, 300),
    st.builds(lambda block, near: max(0, block * BLOCK_BYTES + near), st.integers(0, 4), st.integers(-3, 3)),
)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), offsets, st.integers(0, 300).map(lambda n: bytes(i % 255 + 1 for i in range(n)))),
        st.tuples(st.just("write"), offsets, st.just(b"y" * (2 * BLOCK_BYTES + 7))),
        st.tuples(st.just("resize"), offsets, st.just(b"")),
    ),
    max_size=12,
)


@given(operations, offsets, st.integers(0, 5 * BLOCK_BYTES))
def test_sparse_content_reads_as_one_bytearray(
    operations: list[tuple[str, int, bytes]], start: int, length: int
) -> None:
    content, model = SparseContent(), bytearray()
    for operation, offset, data in operations:
        if operation == "resize":
            content.resize(offset)
            model = model[:offset] + bytes(max(0, offset - len(model)))
        else:
            content.write(offset, data)
            if data:
                model += bytes(max(0, offset + len(data) - len(model)))
                model[offset : offset + len(data)] = data
        assert content.size == len(model)
    assert content.read(start, length) == bytes(model[start : start + length])
    assert content.read(0, len(model) + 1) == bytes(model)


def test_a_hole_takes_no_memory() -> None:
    content = SparseContent()
    content.resize(1 << 40)
    content.write((1 << 40) - 1, b"!")
    assert content.size == 1 << 40
    assert sum(len(block) for block in content.blocks.values()) <= BLOCK_BYTES
    assert content.read(12345, 3) == b"\0\0\0"
    content.resize(0)
    assert content.blocks == {}


def test_fixed_content_may_be_a_view() -> None:
    content = FixedContent(memoryview(b"hello"))
    assert content.size == 5
    assert content.read(1, 3) == b"ell"
    assert content.read(9, 3) == b""
