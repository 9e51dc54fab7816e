"""The bytes of a file: sparse and writable (/tmp), or whole and fixed (/var/task, /opt).

Laws:
- What is not written costs nothing: a guest may set a file's size to a gigabyte in one call, and that call may neither
  allocate nor zero it on the event loop. Bytes live in blocks, made when first written; a missing block reads as zeros.
- Offsets and lengths are plain non-negative ints; bounds and quotas are the caller's.

Refused: one bytearray per file. Growing it to the quota zeroes every byte at once, 40 ms for 128 MiB.
"""

from __future__ import annotations

from typing import Protocol

from ..limits import KIB

# Large enough that a copy is a memcpy and not a loop, small enough that a sparse file wastes little.
BLOCK_BYTES = 64 * KIB


class Content(Protocol):
    """What a descriptor reads from."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer at the end, none beyond it."""
        ...


class FixedContent:
    """A file of a package, held whole while a descriptor has it open. A memoryview may be a mapping of a file."""

    __slots__ = ("__weakref__", "data", "size")

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])


class SparseContent:
    """A file of /tmp. A block may be shorter than BLOCK_BYTES; what it lacks reads as zeros."""

    __slots__ = ("blocks", "size")

    def __init__(self) -> None:
        self.size = 0
        self.blocks: dict[int, bytearray] = {}

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        pieces: list[bytes] = []
        while offset < end:
            index, start = divmod(offset, BLOCK_BYTES)
            stop = min(BLOCK_BYTES, start + end - offset)
            block = self.blocks.get(index)
            piece = bytes(block[start:stop]) if block is not None else b""
            pieces.append(piece.ljust(stop - start, b"\0"))
            offset += stop - start
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        """Writes all of `data`; the file grows to hold it, with zeros before it if there is a gap."""
        written = 0
        while written < len(data):
            index, start = divmod(offset + written, BLOCK_BYTES)
            piece = data[written : written + BLOCK_BYTES - start]
            block = self.blocks.get(index)
            if block is None:
                block = self.blocks[index] = bytearray()
            if len(block) < start:
                block.extend(bytes(start - len(block)))
            block[start : start + len(piece)] = piece
            written += len(piece)
        self.size = max(self.size, offset + written) if data else self.size

    def resize(self, size: int) -> None:
        """Cuts the file, or lets it grow by zeros."""
        if size < self.size:
            self._cut(size)
        self.size = size

    def _cut(self, size: int) -> None:
        keep, rest = divmod(size, BLOCK_BYTES)
        gone = range(keep, self.size // BLOCK_BYTES + 1)
        # A sparse file may have few blocks over a long range, a dense one is cut by its range.
        indexes = [i for i in self.blocks if i >= keep] if len(self.blocks) < len(gone) else gone
        for index in indexes:
            if index == keep and rest:
                block = self.blocks.get(index)
                if block is not None:
                    del block[rest:]
            else:
                self.blocks.pop(index, None)
