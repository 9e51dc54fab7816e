"""Paths: what is found, what is created, and that nothing leads out or changes the package."""

from __future__ import annotations

import pytest

from hostcalls.double import CREATE, DIRECTORY, EXCLUSIVE, READ, TASK, TMP, TRUNCATE, U32, U64, WRITE, Guest, constants
from isolet import limits
from isolet.errors import AbiViolation
from isolet.hostcalls import errno

PACKAGE = {"a.txt": b"alpha", "lib/b.txt": b"beta", "lib/deep/c": b"", "lib/ü\n": b"odd"}


@pytest.fixture
def guest() -> Guest:
    guest = Guest(constants(PACKAGE))
    assert guest.path("path_create_directory", "d") == 0
    for name in ("f", "d/g"):
        fd = guest.open(name, WRITE, CREATE)
        guest.write_file(fd, name.encode())
        guest.call("fd_close", fd)
    return guest


def contents(guest: Guest, path: str, directory: int = TMP) -> bytes | int:
    fd = guest.open(path, READ, directory=directory)
    if fd < 0:
        return fd
    data = guest.read_file(fd, 1000)
    guest.call("fd_close", fd)
    return data


# ── the package ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_package_is_read(guest: Guest) -> None:
    assert contents(guest, "a.txt", TASK) == b"alpha"
    assert contents(guest, "lib/b.txt", TASK) == b"beta"
    assert contents(guest, "./lib//deep/../b.txt", TASK) == b"beta"
    assert contents(guest, "lib/ü\n", TASK) == b"odd"
    assert contents(guest, "none", TASK) == -errno.NOENT
    assert sorted(guest.names(TASK)) == ["a.txt", "lib"]
    lib = guest.open("lib", READ, DIRECTORY, directory=TASK)
    assert sorted(guest.names(lib)) == ["b.txt", "deep", "ü\n"]
    assert contents(guest, "b.txt", lib) == b"beta"
    assert contents(guest, "../a.txt", lib) == -errno.PERM, "a directory is where a path begins and ends"


def test_the_package_never_changes(guest: Guest) -> None:
    attempts = [
        guest.open("a.txt", WRITE, directory=TASK),
        guest.open("a.txt", READ | WRITE, directory=TASK),
        guest.open("a.txt", READ, TRUNCATE, directory=TASK),
        guest.open("new", WRITE, CREATE, directory=TASK),
        -guest.path("path_create_directory", "new", directory=TASK),
        -guest.path("path_unlink_file", "a.txt", directory=TASK),
        -guest.path("path_remove_directory", "lib/deep", directory=TASK),
        -guest.rename("a.txt", "b.txt", old_fd=TASK, new_fd=TASK),
        -guest.call("path_filestat_set_times", TASK, 0, *guest.put(b"a.txt"), 1, 1, 5),
    ]
    assert attempts == [-errno.ROFS] * len(attempts)
    fd = guest.open("a.txt", READ, directory=TASK)
    assert guest.write_file(fd, b"x") == -errno.BADF
    assert guest.write_file(fd, b"x", offset=0) == -errno.BADF
    assert guest.call("fd_filestat_set_size", fd, 0) == errno.BADF
    assert guest.call("fd_allocate", fd, 0, 10) == errno.BADF
    assert guest.call("fd_filestat_set_times", fd, 1, 1, 5) == errno.ROFS
    assert contents(guest, "a.txt", TASK) == b"alpha"
    assert guest.open("a.txt", READ, CREATE, directory=TASK) > 0, "O_CREAT on what is there only opens it"


def test_nothing_moves_between_the_volumes(guest: Guest) -> None:
    assert guest.rename("a.txt", "a.txt", old_fd=TASK) == errno.XDEV
    assert guest.rename("f", "f", new_fd=TASK) == errno.XDEV


def test_isolates_share_the_package_and_nothing_else() -> None:
    shared = constants(PACKAGE)
    one, two = Guest(shared), Guest(shared)
    assert contents(one, "a.txt", TASK) == contents(two, "a.txt", TASK) == b"alpha"
    one.call("fd_close", one.open("secret", WRITE, CREATE))
    assert two.names() == []


def test_a_file_is_read_once_however_often_it_is_open() -> None:
    class Lazy(dict[str, bytes]):
        reads = 0

        def __getitem__(self, key: str) -> bytes:
            self.reads += 1
            return super().__getitem__(key)

    package = Lazy({"a": b"1" * 1000})
    guest = Guest(constants(package))
    guest.names(TASK)
    assert package.reads == 0, "names alone read nothing"
    for _ in range(100):
        assert guest.open("a", READ, directory=TASK) > 0
    assert package.reads == 1
    assert guest.stat("a", directory=TASK)[4] == 1000  # type: ignore[index]
    assert package.reads == 1


def test_a_package_that_cannot_be_read_is_an_error_of_the_file() -> None:
    class Broken(dict[str, bytes]):
        def __getitem__(self, key: str) -> bytes:
            raise OSError("gone")

    guest = Guest(constants(Broken({"a": b"1"})))
    assert guest.open("a", READ, directory=TASK) == -errno.IO
    assert guest.stat("a", directory=TASK) == -errno.IO


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "nul\0", "x" * 256])
def test_a_package_name_that_is_no_path_is_left_out(name: str) -> None:
    guest = Guest(constants({name: b"evil", "good": b""}))
    assert guest.names(TASK) == ["good"]


def test_a_package_where_a_file_is_also_a_directory_keeps_one() -> None:
    guest = Guest(constants({"a": b"file", "a/b": b"inside"}))
    assert contents(guest, "a", TASK) == b"file"
    assert guest.names(TASK) == ["a"]


# ── resolving ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("", errno.NOENT),
        ("none", errno.NOENT),
        ("none/x", errno.NOENT),
        ("none/../f", errno.NOENT),
        ("f/x", errno.NOTDIR),
        ("f/", errno.NOTDIR),
        ("f/.", errno.NOTDIR),
        ("f/..", errno.NOTDIR),
        ("..", errno.PERM),
        ("../f", errno.PERM),
        ("d/../../f", errno.PERM),
        ("d/../d/../../tmp/f", errno.PERM),
        ("/", errno.PERM),
        ("/f", errno.PERM),
        ("//etc/passwd", errno.PERM),
        ("x" * 256, errno.NAMETOOLONG),
        ("x" * 256 + "/f", errno.NAMETOOLONG),
        ("./" * 2048 + "f", errno.NAMETOOLONG),
        ("f\0", errno.INVAL),
        ("f\0/../../etc", errno.INVAL),
    ],
)
def test_paths_that_lead_nowhere(guest: Guest, path: str, number: int) -> None:
    assert guest.open(path, READ) == -number
    assert guest.stat(path) == -number
    assert guest.path("path_unlink_file", path) == number


@pytest.mark.parametrize("path", [b"\xff", b"d/\xc3", b"\xed\xa0\x80", b"\xc0\xae\xc0\xae/f", b"f\x80"])
def test_paths_are_utf8(guest: Guest, path: bytes) -> None:
    assert guest.open(path, WRITE, CREATE) == -errno.ILSEQ
    assert guest.path("path_create_directory", path) == errno.ILSEQ


@pytest.mark.parametrize("path", ["f", "./f", "d/../f", "d/./../f", ".//f", "d/../d/.././f"])
def test_paths_that_lead_to_the_same_file(guest: Guest, path: str) -> None:
    assert contents(guest, path) == b"f"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "..hidden", "...", " ", "名前", "x" * 255, "a\\b", "~"])
def test_names_that_only_look_odd_are_names(guest: Guest, name: str) -> None:
    assert guest.open(name, WRITE, CREATE) > 0
    assert contents(guest, name) == b""
    assert name in guest.names()


@pytest.mark.parametrize("fd", [U32])
def test_a_path_outside_every_preopened_directory_is_not_found(guest: Guest, fd: int) -> None:
    """Go's runtime passes −1 there; its os.IsNotExist must say yes."""
    assert guest.open("etc/passwd", READ, directory=fd) == -errno.NOENT
    assert guest.stat("etc/passwd", directory=fd) == -errno.NOENT


@pytest.mark.parametrize(("fd", "number"), [(99, errno.BADF), (1 << 31, errno.BADF), (1, errno.NOTDIR)])
def test_a_path_needs_an_open_directory(guest: Guest, fd: int, number: int) -> None:
    assert guest.open("f", READ, directory=fd) == -number
    assert guest.path("path_create_directory", "x", directory=fd) == number
    assert guest.rename("f", "x", new_fd=fd) == number


@pytest.mark.parametrize(
    ("ptr", "length"), [(U32, 1), (1 << 31, 5), ((1 << 20) - 1, 2), (0, U32), (U32, U32), (1 << 20, 1)]
)
def test_paths_outside_memory_end_the_invocation(guest: Guest, ptr: int, length: int) -> None:
    for name in ("path_create_directory", "path_remove_directory", "path_unlink_file"):
        with pytest.raises(AbiViolation):
            guest.call(name, TMP, ptr, length)
    with pytest.raises(AbiViolation):
        guest.call("path_open", TMP, 0, ptr, length, 0, READ, U64, 0, 0)
    with pytest.raises(AbiViolation):
        guest.call("path_rename", TMP, *guest.put(b"f"), TMP, ptr, length)
    assert sorted(guest.names()) == ["d", "f"]


def test_a_path_of_five_megabytes_is_refused_before_it_is_copied() -> None:
    guest = Guest(memory_bytes=6 * limits.MIB)
    guest.write(64, b"x" * 5_000_000)
    before = guest.fuel
    assert guest.call("path_create_directory", TMP, 64, 5_000_000) == errno.NAMETOOLONG
    assert before - guest.fuel == limits.HOST_CALL_FUEL


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "rights", "oflags", "number"),
    [
        ("new", WRITE, 0, errno.NOENT),
        ("f", WRITE, CREATE | EXCLUSIVE, errno.EXIST),
        ("d", READ, CREATE | EXCLUSIVE, errno.EXIST),
        ("d", WRITE, 0, errno.ISDIR),
        ("d", READ, CREATE, errno.ISDIR),
        ("d", READ, TRUNCATE, errno.ISDIR),
        ("new/", WRITE, CREATE, errno.ISDIR),
        ("f", READ, DIRECTORY, errno.NOTDIR),
        ("new", READ, DIRECTORY | CREATE, errno.INVAL),
        ("f", READ, 16, errno.INVAL),
        ("f", READ, U32, errno.INVAL),
    ],
)
def test_opens_that_fail(guest: Guest, path: str, rights: int, oflags: int, number: int) -> None:
    assert guest.open(path, rights, oflags) == -number
    assert sorted(guest.names()) == ["d", "f"]


def test_unknown_descriptor_flags_are_refused(guest: Guest) -> None:
    assert guest.open("f", READ, fdflags=32) == -errno.INVAL
    assert guest.open("f", READ, fdflags=31) > 0


def test_a_directory_opens_whatever_rights_are_asked_for(guest: Guest) -> None:
    fd = guest.open("d", U64, DIRECTORY)
    assert fd > 0
    assert guest.names(fd) == ["g"]


def test_a_descriptor_outlives_its_directory(guest: Guest) -> None:
    assert guest.path("path_create_directory", "gone") == 0
    fd = guest.open("gone", READ, DIRECTORY)
    assert guest.path("path_remove_directory", "gone") == 0
    assert guest.names(fd) == []
    assert guest.open("x", WRITE, CREATE, directory=fd) == -errno.NOENT
    assert guest.path("path_create_directory", "x", directory=fd) == errno.NOENT
    assert guest.rename("f", "x", new_fd=fd) == errno.NOENT
    assert guest.stat(".", directory=fd)[3] == 0  # type: ignore[index]
    used = guest.state.descriptors.tmp.volume.nodes_used
    assert guest.call("fd_close", fd) == 0
    assert guest.state.descriptors.tmp.volume.nodes_used == used - 1


# ── renaming, removing ──────────────────────────────────────────────────────────────────────────────────────────


def test_renaming_replaces_what_was_there(guest: Guest) -> None:
    assert guest.rename("f", "d/g") == 0
    assert guest.names() == ["d"]
    assert contents(guest, "d/g") == b"f"
    volume = guest.state.descriptors.tmp.volume
    assert (volume.nodes_used, volume.bytes_used) == (2, 1)


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("none", "x", errno.NOENT),
        ("f", "none/x", errno.NOENT),
        ("f", "d", errno.ISDIR),
        ("d", "f", errno.NOTDIR),
        ("f", "x/", errno.NOTDIR),
        ("f/", "x", errno.NOTDIR),
        ("d", "d/inside", errno.INVAL),
        ("d", "d/../d/inside", errno.INVAL),
        ("d/g", "d", errno.NOTEMPTY),
        ("e", "d", errno.NOTEMPTY),
        (".", "x", errno.BUSY),
        ("d", "d/..", errno.BUSY),
        ("d/..", "x", errno.BUSY),
        ("f", "../f", errno.PERM),
        ("../f", "f", errno.PERM),
        ("f", "x\0", errno.INVAL),
        ("f", "", errno.NOENT),
    ],
)
def test_renames_that_fail_change_nothing(guest: Guest, old: str, new: str, number: int) -> None:
    assert guest.path("path_create_directory", "e") == 0
    assert guest.rename(old, new) == number
    assert sorted(guest.names()) == ["d", "e", "f"]
    assert contents(guest, "f") == b"f"
    assert contents(guest, "d/g") == b"d/g"


def test_directories_move_with_what_is_in_them(guest: Guest) -> None:
    assert guest.path("path_create_directory", "e") == 0
    assert guest.rename("d", "e") == 0, "over an empty one"
    assert contents(guest, "e/g") == b"d/g"
    assert guest.path("path_create_directory", "p/") == 0
    assert guest.rename("e/", "p/q/") == 0
    assert contents(guest, "p/q/g") == b"d/g"
    assert guest.rename("p", "p") == 0
    fd = guest.open("p/q", READ, DIRECTORY)
    assert ("..", 3) in guest.entries(fd)


@pytest.mark.parametrize(
    ("name", "path", "number"),
    [
        ("path_unlink_file", "d", errno.ISDIR),
        ("path_unlink_file", ".", errno.ISDIR),
        ("path_remove_directory", "d", errno.NOTEMPTY),
        ("path_remove_directory", "f", errno.NOTDIR),
        ("path_remove_directory", "none", errno.NOENT),
        ("path_remove_directory", ".", errno.INVAL),
        ("path_remove_directory", "d/..", errno.NOTEMPTY),
        ("path_create_directory", "f", errno.EXIST),
        ("path_create_directory", "d", errno.EXIST),
        ("path_create_directory", ".", errno.EXIST),
        ("path_create_directory", "none/x", errno.NOENT),
    ],
)
def test_removals_and_creations_that_fail(guest: Guest, name: str, path: str, number: int) -> None:
    assert guest.path(name, path) == number
    assert sorted(guest.names()) == ["d", "f"]


def test_there_are_no_links(guest: Guest) -> None:
    f, x = guest.put(b"f"), guest.put(b"x")
    assert guest.call("path_symlink", *f, TMP, *x) == errno.NOTSUP
    assert guest.call("path_link", TMP, 0, *f, TMP, *x) == errno.NOTSUP
    assert guest.call("path_readlink", TMP, *f, 0, 64, 0) == errno.INVAL, "what realpath expects of a file"
    assert guest.call("path_readlink", TMP, *x, 0, 64, 0) == errno.NOENT


def test_times_are_set_by_path(guest: Guest) -> None:
    assert guest.call("path_filestat_set_times", TMP, 1, *guest.put(b"d/g"), 5, 6, 1 | 4) == 0
    assert guest.stat("d/g")[5:7] == (5, 6)  # type: ignore[index]
    assert guest.call("path_filestat_set_times", TMP, 1, *guest.put(b"d/g"), 5, 6, 3) == errno.INVAL
    assert guest.call("path_filestat_set_times", TMP, 1, *guest.put(b"none"), 5, 6, 5) == errno.NOENT
