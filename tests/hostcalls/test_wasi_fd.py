"""Descriptors: streams, files and directories, in and out of their bounds."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcalls.double import CREATE, DIRECTORY, OPT, READ, TASK, TMP, TRUNCATE, U32, U64, WRITE, Guest, constants
from isolet import limits
from isolet.errors import AbiViolation
from isolet.hostcalls import errno

MEMORY = 1 << 20
APPEND = 1


def made(guest: Guest, data: bytes = b"0123456789", path: str = "f") -> int:
    """A descriptor for reading and writing a new file, at its start."""
    fd = guest.open(path, READ | WRITE, CREATE)
    assert guest.write_file(fd, data) == len(data)
    assert guest.call("fd_seek", fd, 0, 0, 8) == 0
    return fd


def seek(guest: Guest, fd: int, offset: int, whence: int) -> int:
    failed = guest.call("fd_seek", fd, offset, whence, 0)
    return -failed if failed else guest.u64()


def size(guest: Guest, fd: int) -> int:
    assert guest.call("fd_filestat_get", fd, 128) == 0
    return int.from_bytes(guest.read(128 + 32, 8), "little")


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stdin_is_at_its_end() -> None:
    guest = Guest()
    assert guest.read_file(0, 100) == b""
    assert guest.write_file(0, b"x") == -errno.BADF


@pytest.mark.parametrize("fd", [1, 2])
def test_stdout_and_stderr_only_take(fd: int) -> None:
    guest = Guest()
    assert guest.write_file(fd, b"hello\n") == 6
    assert guest.read_file(fd, 1) == -errno.BADF
    assert seek(guest, fd, 0, 0) == -errno.SPIPE
    assert guest.call("fd_tell", fd, 0) == errno.SPIPE
    assert guest.read_file(fd, 1, offset=0) == -errno.BADF
    assert guest.write_file(fd, b"x", offset=0) == -errno.SPIPE
    assert guest.call("fd_filestat_set_size", fd, 0) == errno.SPIPE


def test_printing_makes_no_table() -> None:
    guest = Guest()
    guest.write_file(1, b"hello\n")
    guest.call("log", 2, 0, 1)
    assert not guest.state.has_descriptors


def test_streams_look_like_a_terminal_so_that_libc_does_not_hold_lines_back() -> None:
    guest = Guest()
    for fd in (0, 1, 2):
        assert guest.call("fd_fdstat_get", fd, 0) == 0
        kind, flags, base, _ = struct.unpack("<BxH4xQQ", guest.read(0, 24))
        assert (kind, flags) == (2, 0)
        assert not base & (1 << 2 | 1 << 5), "no SEEK, no TELL"
    assert guest.call("fd_fdstat_set_flags", 1, 4) == errno.NOTSUP


def test_a_closed_stdout_may_become_a_file() -> None:
    guest = Guest()
    assert guest.call("fd_close", 1) == 0
    assert guest.write_file(1, b"x\n") == -errno.BADF
    assert guest.open("out", WRITE, CREATE) == 1
    assert guest.write_file(1, b"x\n") == 2
    assert guest.state.finish()[0] == ()


# ── reading and writing ─────────────────────────────────────────────────────────────────────────────────────────


def test_reads_and_writes_advance_together() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.read_file(fd, 3) == b"012"
    assert guest.write_file(fd, b"ab") == 2
    assert guest.read_file(fd, 100) == b"56789"
    assert guest.read_file(fd, 100) == b""
    assert seek(guest, fd, 0, 1) == 10


def test_positioned_reads_and_writes_leave_the_position() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.write_file(fd, b"XY", offset=20) == 2
    assert guest.read_file(fd, 100, offset=8) == b"89" + b"\0" * 10 + b"XY"
    assert seek(guest, fd, 0, 1) == 0
    assert guest.read_file(fd, 1, offset=(1 << 63) - 1) == b""
    assert guest.read_file(fd, 1, offset=1 << 63) == -errno.INVAL
    assert guest.write_file(fd, b"x", offset=U64) == -errno.INVAL


def test_appending_writes_at_the_end_wherever_the_position_is() -> None:
    guest = Guest()
    made(guest)
    fd = guest.open("f", READ | WRITE, fdflags=APPEND)
    assert guest.read_file(fd, 2) == b"01"
    assert guest.write_file(fd, b"!") == 1
    assert guest.read_file(fd, 100, offset=0) == b"0123456789!"
    assert guest.call("fd_fdstat_set_flags", fd, 0) == 0
    seek(guest, fd, 0, 0)
    guest.write_file(fd, b"_")
    assert guest.read_file(fd, 100, offset=0) == b"_123456789!"
    assert guest.call("fd_fdstat_set_flags", fd, 32) == errno.INVAL


@given(st.lists(st.integers(0, 9), max_size=8))
def test_vectors_are_gathered_and_scattered_in_order(lengths: list[int]) -> None:
    guest = Guest()
    fd = made(guest, b"")
    source = bytes(range(100))
    at, vectors = guest.put(source)[0], []
    for length in lengths:
        vectors.append((at, length))
        at += length
    assert guest.call("fd_write", fd, *guest.iovecs(*vectors), 0) == 0
    assert guest.u32() == sum(lengths)
    target, _ = guest.put(bytes(200))
    out = [(target + 20 * i, length) for i, length in enumerate(reversed(lengths))]
    assert guest.call("fd_pread", fd, *guest.iovecs(*out), 0, 0) == 0
    assert guest.u32() == sum(lengths)
    assert b"".join(guest.read(*vector) for vector in out) == source[: sum(lengths)]


def test_no_vectors_are_nothing() -> None:
    guest = Guest()
    fd = made(guest)
    for name in ("fd_read", "fd_write"):
        assert guest.call(name, fd, MEMORY, 0, 0) == 0
        assert guest.u32() == 0


def test_the_number_of_vectors_is_bounded() -> None:
    guest = Guest(memory_bytes=2 * MEMORY)
    fd = made(guest)
    vector = guest.put(b"x")
    ptr, count = guest.iovecs(*[vector] * limits.IOVECS_MAX)
    assert guest.call("fd_write", fd, ptr, count, 0) == 0
    assert guest.u32() == limits.IOVECS_MAX
    for name in ("fd_read", "fd_write"):
        for stream in (fd, 0 if name == "fd_read" else 1):
            assert guest.call(name, stream, ptr, limits.IOVECS_MAX + 1, 0) == errno.INVAL
            assert guest.call(name, stream, 0, U32, 0) == errno.INVAL


@pytest.mark.parametrize("vector", [(U32, 1), (1 << 31, 1), (MEMORY - 1, 2), (0, U32), (U32, U32), (MEMORY, 1)])
def test_vectors_outside_memory_end_the_invocation(vector: tuple[int, int]) -> None:
    for name in ("fd_write", "fd_read"):
        guest = Guest()
        fd = made(guest, b"x" * 100)
        with pytest.raises(AbiViolation):
            guest.call(name, fd, *guest.iovecs((128, 4), vector), 0)
    guest = Guest()
    with pytest.raises(AbiViolation):
        guest.call("fd_write", 1, *guest.iovecs(vector), 0)


@pytest.mark.parametrize("ptr", [U32, 1 << 31, MEMORY - 7])
def test_lists_of_vectors_outside_memory_end_the_invocation(ptr: int) -> None:
    guest = Guest()
    for fd in (1, made(guest)):
        with pytest.raises(AbiViolation):
            guest.call("fd_write", fd, ptr, 1, 0)


def test_a_bomb_of_vectors_is_a_short_write() -> None:
    """1,024 vectors over the same 64 KiB: 64 MiB of work for 8 KiB of pointers, were it not capped."""
    guest = Guest(constants(memory_mb=64))
    fd = made(guest, b"")
    bomb = guest.iovecs(*[(65_536, 65_536)] * 1_024)
    assert guest.call("fd_write", fd, *bomb, 0) == 0
    assert guest.u32() == limits.IO_BYTES_MAX
    assert guest.call("fd_pread", fd, *bomb, 0, 0) == 0
    assert guest.u32() == limits.IO_BYTES_MAX


def test_copies_cost_fuel() -> None:
    guest = Guest()
    fd = made(guest, b"x" * 100_000)
    before = guest.fuel
    guest.read_file(fd, 100_000)
    assert before - guest.fuel >= limits.HOST_CALL_FUEL + 100_000 // limits.COPIED_BYTES_PER_FUEL


def test_descriptors_read_and_write_as_they_were_opened() -> None:
    guest = Guest()
    made(guest)
    reading, writing, neither = guest.open("f", READ), guest.open("f", WRITE), guest.open("f", 0)
    assert guest.write_file(reading, b"x") == -errno.BADF
    assert guest.write_file(reading, b"x", offset=0) == -errno.BADF
    assert guest.call("fd_filestat_set_size", reading, 0) == errno.BADF
    assert guest.call("fd_allocate", reading, 0, 10) == errno.BADF
    assert guest.read_file(writing, 1) == -errno.BADF
    assert guest.read_file(neither, 1) == -errno.BADF
    assert guest.write_file(neither, b"x") == -errno.BADF


@pytest.mark.parametrize("fd", [6, 7, 1023, 1024, 1 << 31, U32])
def test_what_is_not_open_is_bad(fd: int) -> None:
    guest = Guest()
    calls = {
        "fd_advise": (0, 0, 0),
        "fd_allocate": (0, 1),
        "fd_close": (),
        "fd_datasync": (),
        "fd_fdstat_get": (0,),
        "fd_fdstat_set_flags": (0,),
        "fd_fdstat_set_rights": (0, 0),
        "fd_filestat_get": (0,),
        "fd_filestat_set_size": (0,),
        "fd_filestat_set_times": (0, 0, 0),
        "fd_pread": (0, 0, 0, 0),
        "fd_prestat_get": (0,),
        "fd_prestat_dir_name": (0, 100),
        "fd_pwrite": (0, 0, 0, 0),
        "fd_read": (0, 0, 0),
        "fd_readdir": (0, 0, 0, 0),
        "fd_renumber": (1,),
        "fd_seek": (0, 0, 0),
        "fd_sync": (),
        "fd_tell": (0,),
        "fd_write": (0, 0, 0),
    }
    for name, arguments in calls.items():
        assert guest.call(name, fd, *arguments) == errno.BADF, name


# ── positions, sizes ────────────────────────────────────────────────────────────────────────────────────────────


def test_seeking() -> None:
    guest = Guest()
    fd = made(guest)
    assert seek(guest, fd, 4, 0) == 4
    assert seek(guest, fd, -2, 1) == 2
    assert seek(guest, fd, -1, 2) == 9
    assert guest.read_file(fd, 5) == b"9"
    assert seek(guest, fd, -11, 2) == -errno.INVAL
    assert seek(guest, fd, -1, 0) == -errno.INVAL
    assert seek(guest, fd, (1 << 63) - 1, 1) == -errno.INVAL, "the sum is beyond 63 bits"
    assert seek(guest, fd, 0, 3) == -errno.INVAL
    assert seek(guest, fd, 0, U32) == -errno.INVAL
    assert seek(guest, fd, 0, 1) == 10, "a failed seek moves nothing"
    assert seek(guest, fd, 100, 2) == 110
    assert guest.read_file(fd, 1) == b""
    assert guest.call("fd_tell", fd, 0) == 0
    assert guest.u64() == 110
    assert guest.write_file(fd, b"!") == 1
    assert guest.read_file(fd, 200, offset=9) == b"9" + b"\0" * 100 + b"!"


def test_sizes_are_cut_grown_and_allocated() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_filestat_set_size", fd, 4) == 0
    assert guest.call("fd_filestat_set_size", fd, 6) == 0
    assert guest.read_file(fd, 100, offset=0) == b"0123\0\0"
    assert guest.call("fd_allocate", fd, 2, 2) == 0
    assert size(guest, fd) == 6, "allocating never shrinks"
    assert guest.call("fd_allocate", fd, 8, 2) == 0
    assert size(guest, fd) == 10
    assert guest.call("fd_allocate", fd, 0, 0) == errno.INVAL
    assert guest.call("fd_allocate", fd, U64, 1) == errno.INVAL
    assert guest.call("fd_allocate", fd, 1, U64) == errno.INVAL


# ── the quota ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offset", [None, 0])
def test_bytes_are_bounded_by_the_functions_memory(offset: int | None) -> None:
    guest = Guest(constants(memory_mb=1), memory_bytes=2 * MEMORY)
    fd = made(guest, b"")
    assert guest.write_file(fd, b"x" * (MEMORY + 5), offset=offset) == MEMORY, "what fits"
    end = None if offset is None else MEMORY
    assert guest.write_file(fd, b"x", offset=end) == -errno.NOSPC
    assert guest.write_file(made(guest, b"", "other"), b"x") == -errno.NOSPC
    assert guest.write_file(fd, b"over", offset=0) == 4, "what is there may change"
    assert guest.call("fd_filestat_set_size", fd, MEMORY - 3) == 0
    assert guest.write_file(guest.open("other", WRITE), b"12345") == 3


def test_holes_count_as_bytes() -> None:
    guest = Guest(constants(memory_mb=1))
    fd = made(guest, b"")
    assert guest.write_file(fd, b"x", offset=MEMORY) == -errno.NOSPC
    assert guest.write_file(fd, b"xyz", offset=MEMORY - 1) == 1
    assert guest.call("fd_filestat_set_size", fd, MEMORY + 1) == errno.NOSPC
    assert guest.call("fd_filestat_set_size", fd, U64) == errno.NOSPC
    assert guest.call("fd_allocate", fd, MEMORY, 1) == errno.NOSPC
    assert size(guest, fd) == MEMORY


def test_bytes_of_an_unlinked_file_are_free_when_it_is_closed() -> None:
    guest = Guest(constants(memory_mb=1))
    fd = made(guest, b"")
    assert guest.call("fd_filestat_set_size", fd, MEMORY) == 0
    assert guest.path("path_unlink_file", "f") == 0
    assert guest.write_file(fd, b"still here", offset=0) == 10
    assert guest.read_file(fd, 5, offset=0) == b"still"
    assert guest.write_file(made(guest, b"", "g"), b"x") == -errno.NOSPC
    assert guest.call("fd_close", fd) == 0
    assert guest.write_file(guest.open("g", WRITE), b"x") == 1
    volume = guest.state.descriptors.tmp.volume
    assert (volume.bytes_used, volume.nodes_used) == (1, 1)


def test_files_are_bounded() -> None:
    guest = Guest()
    for i in range(limits.FILES_MAX - 1):
        fd = guest.open(f"f{i}", WRITE, CREATE)
        assert guest.call("fd_close", fd) == 0
    assert guest.path("path_create_directory", "d") == 0
    assert guest.open("one more", WRITE, CREATE) == -errno.NOSPC
    assert guest.path("path_create_directory", "e") == errno.NOSPC
    assert guest.path("path_unlink_file", "f0") == 0
    assert guest.open("one more", WRITE, CREATE) > 0
    assert len(guest.names()) == limits.FILES_MAX


def test_descriptors_are_bounded_and_their_numbers_used_again() -> None:
    guest = Guest()
    first = made(guest)
    while (fd := guest.open("f", READ)) > 0:
        last = fd
    assert fd == -errno.MFILE
    assert last == limits.DESCRIPTORS_MAX - 1
    assert guest.open("new", WRITE, CREATE) == -errno.MFILE
    assert guest.names() == ["f"], "an open that fails has no effect"
    assert guest.call("fd_close", 700) == 0
    assert guest.call("fd_close", first) == 0
    assert guest.open("f", READ) == first, "the lowest"
    assert guest.open("f", READ) == 700


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_works_after_close() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_close", fd) == 0
    assert guest.call("fd_close", fd) == errno.BADF
    assert guest.write_file(fd, b"x") == -errno.BADF
    assert guest.read_file(fd, 1) == -errno.BADF


def test_renumbering_moves_a_descriptor_over_another() -> None:
    guest = Guest()
    fd, other = made(guest), made(guest, b"other", "g")
    guest.read_file(fd, 3)
    assert guest.call("fd_renumber", fd, other) == 0
    assert guest.read_file(other, 2) == b"34", "position and all"
    assert guest.read_file(fd, 1) == -errno.BADF
    assert guest.call("fd_renumber", other, other) == 0
    assert guest.read_file(other, 1) == b"5"
    assert guest.call("fd_renumber", other, 77) == errno.BADF
    assert guest.call("fd_renumber", 77, other) == errno.BADF
    assert guest.open("g", READ) == fd


def test_stdout_may_be_redirected_into_a_file() -> None:
    guest = Guest()
    fd = made(guest, b"")
    assert guest.call("fd_renumber", fd, 1) == 0
    assert guest.write_file(1, b"kept\n") == 5
    assert guest.read_file(1, 9, offset=0) == b"kept\n"
    assert guest.state.finish()[0] == ()


@pytest.mark.parametrize(("fd", "to"), [(TMP, 5), (5, TMP), (TASK, TMP), (TMP, 1), (1, TASK), (TMP, TMP)])
def test_preopened_directories_are_not_renumbered(fd: int, to: int) -> None:
    guest = Guest()
    made(guest)
    assert guest.call("fd_renumber", fd, to) == errno.NOTSUP
    assert guest.names() == ["f"]


def test_preopened_directories_have_names() -> None:
    guest = Guest()
    for fd, name in ((TASK, b"/var/task"), (TMP, b"/tmp"), (OPT, b"/opt")):
        assert guest.call("fd_prestat_get", fd, 0) == 0
        assert struct.unpack("<B3xI", guest.read(0, 8)) == (0, len(name))
        assert guest.call("fd_prestat_dir_name", fd, 32, len(name)) == 0
        assert guest.read(32, len(name)) == name
        assert guest.call("fd_prestat_dir_name", fd, 64, len(name) - 1) == errno.NAMETOOLONG
        assert not guest.memory[64]
    made(guest)
    for fd in (0, 1, 2, 6):
        assert guest.call("fd_prestat_get", fd, 0) == errno.BADF


def test_rights_can_only_be_given_up() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_fdstat_get", fd, 0) == 0
    kind, _, base, inheriting = struct.unpack("<BxH4xQQ", guest.read(0, 24))
    assert (kind, inheriting) == (4, 0)
    assert base == READ | WRITE
    assert guest.call("fd_fdstat_set_rights", fd, READ, 0) == 0
    assert guest.write_file(fd, b"x") == -errno.BADF
    assert guest.read_file(fd, 1) == b"0"
    assert guest.call("fd_fdstat_set_rights", fd, READ | WRITE, 0) == errno.NOTCAPABLE
    assert guest.call("fd_fdstat_set_rights", fd, READ, READ) == errno.NOTCAPABLE
    assert guest.call("fd_fdstat_set_rights", TMP, 0, READ) == 0
    assert guest.open("f", READ | WRITE) > 0, "opened with what may be inherited"
    assert guest.write_file(guest.open("f", READ | WRITE), b"x") == -errno.BADF


def test_syncing_and_advising_succeed_on_what_is_open() -> None:
    guest = Guest()
    fd = made(guest)
    for name in ("fd_sync", "fd_datasync"):
        assert guest.call(name, fd) == 0
        assert guest.call(name, 1) == 0
    assert guest.call("fd_advise", fd, 0, 0, 5) == 0
    assert guest.call("fd_advise", fd, U64, U64, 6) == errno.INVAL


# ── stat and times ──────────────────────────────────────────────────────────────────────────────────────────────


def test_filestat_of_files_directories_and_streams() -> None:
    guest = Guest(constants({"a.txt": b"12345"}))
    fd = made(guest)
    device, inode, kind, links, length, atime, mtime, ctime = guest.stat("f")  # type: ignore[misc]
    assert (kind, links, length) == (4, 1, 10)
    assert inode
    assert 0 < atime <= mtime == ctime
    assert guest.call("fd_filestat_get", fd, 128) == 0
    assert struct.unpack("<QQB7xQQQQQ", guest.read(128, 64)) == guest.stat("f")
    assert guest.stat(".")[2] == 3  # type: ignore[index]
    packaged = guest.stat("a.txt", directory=TASK)
    assert packaged[0] != device, "another volume"  # type: ignore[index]
    assert packaged[2:] == (4, 1, 5, 0, 0, 0)  # type: ignore[index]
    assert guest.call("fd_filestat_get", 1, 128) == 0
    assert guest.read(128 + 16, 1) == b"\2"


def test_times_are_set_to_a_value_or_to_now() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_filestat_set_times", fd, 111, 222, 1 | 4) == 0
    assert guest.stat("f")[5:7] == (111, 222)  # type: ignore[index]
    assert guest.call("fd_filestat_set_times", fd, 333, 444, 4) == 0
    assert guest.stat("f")[5:7] == (111, 444)  # type: ignore[index]
    assert guest.call("fd_filestat_set_times", fd, 333, 444, 2) == 0
    atime, mtime = guest.stat("f")[5:7]  # type: ignore[index]
    assert atime > 10**18
    assert mtime == 444
    for flags in (3, 12, 15, 16, U32):
        assert guest.call("fd_filestat_set_times", fd, 0, 0, flags) == errno.INVAL
    assert guest.call("fd_filestat_set_times", 1, 0, 0, 1) == errno.BADF
    assert guest.call("fd_filestat_set_times", fd, U64, U64, 5) == 0
    assert guest.stat("f")[5:7] == (U64, U64)  # type: ignore[index]


# ── directories ─────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ["a", "bb", "ccc", "ü" * 20, "x" * 255, "new\nline", "\x1b[31m"]


def directory_of(guest: Guest) -> int:
    for i, name in enumerate(NAMES):
        if i % 3 == 2:
            assert guest.path("path_create_directory", name) == 0
        else:
            assert guest.call("fd_close", guest.open(name, WRITE, CREATE)) == 0
    return guest.open(".", READ, DIRECTORY)


def test_a_directory_is_read_with_a_buffer_of_any_size() -> None:
    guest = Guest()
    fd = directory_of(guest)
    expected = [(".", 3), ("..", 3), *((name, 3 if i % 3 == 2 else 4) for i, name in enumerate(NAMES))]
    for buffer_bytes in [*range(24, 700), 4096, 65_536]:
        assert guest.entries(fd, buffer_bytes) == expected, buffer_bytes


def test_a_buffer_smaller_than_an_entry_is_filled_and_no_more() -> None:
    guest = Guest()
    fd = directory_of(guest)
    guest.write(512, b"\xee" * 64)
    for length in range(25):
        assert guest.call("fd_readdir", fd, 512, length, 0, 0) == 0
        assert guest.u32() == length
        assert guest.read(512 + length, 1) == b"\xee"


def test_a_cookie_is_good_for_a_directory_that_changes() -> None:
    """What is there all the while is seen exactly once."""
    guest = Guest()
    for name in "abcdef":
        guest.call("fd_close", guest.open(name, WRITE, CREATE))
    fd = guest.open(".", READ, DIRECTORY)
    assert guest.call("fd_readdir", fd, 512, 4 * 25 + 1, 0, 0) == 0
    cookie = int.from_bytes(guest.read(512 + 3 * 25 + 1, 8), "little")  # after ".", "..", "a" and "b"
    for gone in "abc":
        assert guest.path("path_unlink_file", gone) == 0
    guest.call("fd_close", guest.open("g", WRITE, CREATE))
    assert guest.call("fd_readdir", fd, 512, 4096, cookie, 0) == 0
    raw = guest.read(512, guest.u32())
    assert [raw[at + 24 : at + 25] for at in range(0, len(raw), 25)] == [b"d", b"e", b"f", b"g"]
    for beyond in (U64, 1 << 63, 1000):
        assert guest.call("fd_readdir", fd, 512, 4096, beyond, 0) == 0
        assert guest.u32() == 0


def test_only_directories_are_listed_and_their_buffer_is_memory() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_readdir", fd, 512, 64, 0, 0) == errno.NOTDIR
    assert guest.call("fd_readdir", 1, 512, 64, 0, 0) == errno.NOTDIR
    for ptr, length in ((U32, 64), (MEMORY - 1, 2), (0, U32), (1 << 31, 1), (U32, U32)):
        with pytest.raises(AbiViolation):
            guest.call("fd_readdir", TMP, ptr, length, 0, 0)


def test_directories_are_not_read_like_files() -> None:
    guest = Guest()
    assert guest.read_file(TMP, 10) == -errno.ISDIR
    assert guest.read_file(TMP, 10, offset=0) == -errno.ISDIR
    assert guest.write_file(TMP, b"x") == -errno.BADF
    assert seek(guest, TMP, 0, 0) == -errno.BADF


def test_truncation_at_opening_empties_the_file() -> None:
    guest = Guest()
    fd = made(guest)
    assert guest.call("fd_close", guest.open("f", WRITE, TRUNCATE)) == 0
    assert guest.read_file(fd, 9) == b""
