"""An interpreter's library as one artifact: mapped, so that all processes of a machine share its pages.

    8 bytes, little endian: the index's length · the index, msgpack: name → [offset, length] · the files, end to end

Whether the bytes are ours is the MAC's to say (storage/artifacts.py).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Mapping

import msgpack

_LENGTH = struct.Struct("<Q")


def packed(files: Mapping[str, bytes]) -> bytes:
    index, at = {}, 0
    for name in sorted(files):
        index[name] = (at, len(files[name]))
        at += len(files[name])
    head = msgpack.packb(index)
    return b"".join((_LENGTH.pack(len(head)), head, *(files[name] for name in sorted(files))))


class Library(Mapping[str, bytes]):
    """The files of an artifact that was verified. Keeps it mapped: it may be removed meanwhile."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        (length,) = _LENGTH.unpack(self._map[: _LENGTH.size])
        self._files_at = _LENGTH.size + length
        self._index: dict[str, tuple[int, int]] = msgpack.unpackb(
            self._map[_LENGTH.size : self._files_at], use_list=False
        )

    def __getitem__(self, name: str) -> bytes:
        at, length = self._index[name]
        return self._map[self._files_at + at : self._files_at + at + length]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
