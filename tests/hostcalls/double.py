"""A guest without an engine: memory, fuel and the import table, for the tests of host functions."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from isolet.engine.host import Wait
from isolet.errors import AbiViolation, OutOfFuel
from isolet.hostcalls.layers import Layers
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS

FUNCTIONS = {function.name: function for function in IMPORTS}
U32, U64 = (1 << 32) - 1, (1 << 64) - 1

READ, WRITE = 1 << 1, 1 << 6
CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
TASK, TMP, OPT = 3, 4, 5


def constants(
    package: Mapping[str, bytes] | None = None,
    environment: Sequence[bytes] = (),
    memory_mb: int = 1,
    layers: Sequence[Mapping[str, bytes]] = (),
) -> HostConstants:
    arn = "arn:aws:lambda:x"
    return HostConstants("greet", "$LATEST", arn, memory_mb, environment, package or {}, layers=Layers(layers))


class Guest:
    """isolet.engine.host.GuestView over a bytearray. `call` passes arguments as wasm would: unsigned, of their
    width."""

    def __init__(
        self,
        host_constants: HostConstants | None = None,
        *,
        initialising: bool = False,
        memory_bytes: int = 1 << 20,
        fuel: int = 10**12,
    ) -> None:
        self.memory = bytearray(memory_bytes)
        self.state: Any = HostState(host_constants or constants(), initialising)
        self.fuel = fuel
        self.host_calls = 0
        self.top = 64  # memory below is for results; above, `put` allots

    # ── GuestView ───────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, ptr: int, length: int) -> bytes:
        assert ptr >= 0, "a host function passes on what it was given"
        assert length >= 0
        if ptr + length > len(self.memory):
            raise AbiViolation("outside")
        return bytes(self.memory[ptr : ptr + length])

    def write(self, ptr: int, data: bytes) -> None:
        assert ptr >= 0
        if ptr + len(data) > len(self.memory):
            raise AbiViolation("outside")
        self.memory[ptr : ptr + len(data)] = data

    def read_u32(self, ptr: int) -> int:
        return int.from_bytes(self.read(ptr, 4), "little")

    def write_u32(self, ptr: int, value: int) -> None:
        assert 0 <= value <= U32
        self.write(ptr, value.to_bytes(4, "little"))

    def write_u64(self, ptr: int, value: int) -> None:
        assert 0 <= value <= U64
        self.write(ptr, value.to_bytes(8, "little"))

    def charge(self, fuel: int) -> None:
        assert fuel >= 0
        self.fuel -= fuel
        if self.fuel < 0:
            raise OutOfFuel("spent")

    # ── what tests do ───────────────────────────────────────────────────────────────────────────────────────────

    def call(self, name: str, *arguments: int) -> Any:
        function = FUNCTIONS[name]
        assert len(arguments) == len(function.params), f"{name} takes {len(function.params)} arguments"
        masks = (U32 if kind == "i" else U64 for kind in function.params)
        self.host_calls += 1
        answer = function.func(self, *(argument & mask for argument, mask in zip(arguments, masks, strict=True)))
        assert function.suspends or not isinstance(answer, Wait)
        assert isinstance(answer, int | Wait) if function.results else answer is None
        return answer

    def wait(self, name: str, *arguments: int, status: int = 0) -> tuple[Any, int]:
        """A call that suspends: (what it waited for, what it returned in the end)."""
        wait = self.call(name, *arguments)
        assert isinstance(wait, Wait)
        wait.finish(status)
        assert wait.ready
        assert wait.status is not None
        return wait.argument, wait.status

    def put(self, data: bytes) -> tuple[int, int]:
        """Somewhere in memory: its (ptr, len)."""
        ptr = self.top
        self.write(ptr, data)
        self.top += (len(data) + 15) & ~15
        return ptr, len(data)

    def iovecs(self, *vectors: tuple[int, int]) -> tuple[int, int]:
        ptr, _ = self.put(b"".join(struct.pack("<II", p & U32, n & U32) for p, n in vectors))
        return ptr, len(vectors)

    def u32(self) -> int:
        return self.read_u32(0)

    def u64(self) -> int:
        return int.from_bytes(self.read(0, 8), "little")

    def open(
        self, path: str | bytes, rights: int = READ, oflags: int = 0, fdflags: int = 0, directory: int = TMP
    ) -> int:
        """A descriptor, or minus the errno."""
        raw = path.encode() if isinstance(path, str) else path
        top, (ptr, length) = self.top, self.put(raw)
        errno = self.call("path_open", directory, 1, ptr, length, oflags, rights, U64, fdflags, 0)
        self.top = top
        return -errno if errno else self.u32()

    def path(self, name: str, path: str | bytes, *, directory: int = TMP) -> int:
        """A function of (fd, path)."""
        raw = path.encode() if isinstance(path, str) else path
        top, (ptr, length) = self.top, self.put(raw)
        self.top = top
        errno: int = self.call(name, directory, ptr, length)
        return errno

    def write_file(self, fd: int, data: bytes, offset: int | None = None) -> int:
        """Bytes written, or minus the errno."""
        top, vector = self.top, self.put(data)
        ptr, count = self.iovecs(vector)
        self.top = top
        if offset is None:
            errno = self.call("fd_write", fd, ptr, count, 0)
        else:
            errno = self.call("fd_pwrite", fd, ptr, count, offset, 0)
        return -errno if errno else self.u32()

    def read_file(self, fd: int, length: int, offset: int | None = None) -> bytes | int:
        """The bytes, or minus the errno."""
        top, vector = self.top, self.put(bytes(length))
        ptr, count = self.iovecs(vector)
        self.top = top
        if offset is None:
            errno = self.call("fd_read", fd, ptr, count, 0)
        else:
            errno = self.call("fd_pread", fd, ptr, count, offset, 0)
        return -errno if errno else self.read(vector[0], self.u32())

    def stat(self, path: str, *, directory: int = TMP) -> tuple[int, ...] | int:
        """(device, inode, type, links, size, atime, mtime, ctime), or minus the errno."""
        top, (ptr, length) = self.top, self.put(path.encode())
        out, _ = self.put(bytes(64))
        self.top = top
        errno = self.call("path_filestat_get", directory, 1, ptr, length, out)
        return -errno if errno else struct.unpack("<QQB7xQQQQQ", self.read(out, 64))

    def rename(self, old: str, new: str, *, old_fd: int = TMP, new_fd: int = TMP) -> int:
        top, first, second = self.top, self.put(old.encode()), self.put(new.encode())
        self.top = top
        errno: int = self.call("path_rename", old_fd, *first, new_fd, *second)
        return errno

    def entries(self, fd: int, buffer_bytes: int = 4096) -> list[tuple[str, int]]:
        """Every (name, type), read as libc reads them."""
        top, (ptr, _) = self.top, self.put(bytes(buffer_bytes))
        found: list[tuple[str, int]] = []
        cookie = 0
        while True:
            assert self.call("fd_readdir", fd, ptr, buffer_bytes, cookie, 0) == 0
            raw = self.read(ptr, self.u32())
            at, taken = 0, 0
            while at + 24 <= len(raw):
                following, inode, length, kind = struct.unpack_from("<QQIB", raw, at)
                if at + 24 + length > len(raw):
                    break
                assert inode
                found.append((raw[at + 24 : at + 24 + length].decode(), kind))
                cookie, at, taken = following, at + 24 + length, taken + 1
            if len(raw) < buffer_bytes:
                self.top = top
                return found
            if not taken:  # not one entry fits: libc doubles its buffer
                buffer_bytes *= 2
                ptr, _ = self.put(bytes(buffer_bytes))

    def names(self, fd: int = TMP) -> list[str]:
        return [name for name, _ in self.entries(fd) if name not in (".", "..")]
