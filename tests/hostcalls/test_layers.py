"""/opt: layers over each other, beside /var/task, and never to be changed."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import pytest

from hostcalls.double import CREATE, DIRECTORY, OPT, READ, TASK, TMP, WRITE, Guest, constants
from isolet.hostcalls import errno
from isolet.hostcalls.layers import NO_LAYERS, SharedLayers
from isolet.hostcalls.nodes import paths

LOWER = {"a.txt": b"lower", "lib/shared": b"lower", "lib/lower": b"1", "was/a/directory": b"2", "file": b"3"}
UPPER = {"a.txt": b"upper", "lib/shared": b"upper", "lib/upper": b"4", "was": b"a file now", "file/below": b"5"}


def contents(guest: Guest, path: str, directory: int = OPT) -> bytes | int:
    fd = guest.open(path, READ, directory=directory)
    return fd if fd < 0 else guest.read_file(fd, 1000)


def test_later_layers_lie_over_earlier_ones() -> None:
    guest = Guest(constants(layers=(LOWER, UPPER)))
    assert contents(guest, "a.txt") == b"upper"
    assert contents(guest, "lib/shared") == b"upper"
    assert (contents(guest, "lib/lower"), contents(guest, "lib/upper")) == (b"1", b"4")
    other_way = Guest(constants(layers=(UPPER, LOWER)))
    assert contents(other_way, "a.txt") == b"lower"
    assert contents(other_way, "lib/upper") == b"4"


def test_what_is_a_file_in_one_and_a_directory_in_another_is_what_the_later_says() -> None:
    guest = Guest(constants(layers=(LOWER, UPPER)))
    assert contents(guest, "was") == b"a file now"
    assert contents(guest, "was/a/directory") == -errno.NOTDIR
    assert contents(guest, "file/below") == b"5"
    assert sorted(paths(guest.state.constants.layers.tree)) == [
        *("/a.txt", "/file", "/file/below", "/lib", "/lib/lower", "/lib/shared", "/lib/upper", "/was"),
    ]


def test_layers_and_the_package_do_not_mix() -> None:
    guest = Guest(constants({"a.txt": b"mine", "own": b"o"}, layers=(LOWER,)))
    assert contents(guest, "a.txt", TASK) == b"mine"
    assert contents(guest, "a.txt", OPT) == b"lower"
    assert contents(guest, "own", OPT) == -errno.NOENT
    assert contents(guest, "lib/lower", TASK) == -errno.NOENT
    assert contents(guest, "../var/task/own", OPT) == -errno.PERM


def test_a_module_in_a_layer_is_a_file() -> None:
    guest = Guest(constants(layers=({"function.wasm": b"\0asm"},)))
    assert contents(guest, "function.wasm") == b"\0asm"


def test_opt_cannot_be_changed() -> None:
    guest = Guest(constants(layers=(LOWER,)))
    assert guest.open("a.txt", WRITE, directory=OPT) == -errno.ROFS
    assert guest.open("new", WRITE, CREATE, directory=OPT) == -errno.ROFS
    for name in ("path_unlink_file", "path_create_directory"):
        assert guest.path(name, "lib/new" if "create" in name else "a.txt", directory=OPT) == errno.ROFS
    old, new = guest.put(b"a.txt"), guest.put(b"a.txt")
    assert guest.call("path_rename", OPT, *old, TMP, *new) == errno.XDEV


def test_without_layers_opt_is_there_and_empty() -> None:
    guest = Guest()
    assert list(paths(NO_LAYERS.tree)) == []
    assert guest.open(".", READ, DIRECTORY, directory=OPT) > OPT
    assert contents(guest, "a.txt") == -errno.NOENT


def test_versions_with_the_same_layers_share_one_tree_while_somebody_uses_it() -> None:
    opened: list[str] = []

    def files(digest: str) -> Mapping[str, bytes]:
        opened.append(digest)
        return {digest: b""}

    shared = SharedLayers(files)
    one, two = shared.of(("a", "b")), shared.of(("a", "b"))
    assert one is two
    assert opened == ["a", "b"]
    assert shared.of(("b", "a")) is not one
    assert shared.of(()) is NO_LAYERS
    assert sorted(paths(one.tree)) == ["/a", "/b"]
    del one, two
    gc.collect()
    shared.of(("a", "b"))
    assert opened[-2:] == ["a", "b"]
    assert len(opened) == 6


@pytest.mark.parametrize("name", ["../up", "a/../../up", "", "a//b", "/abs", "x\0y"])
def test_a_name_that_is_no_path_is_left_out(name: str) -> None:
    guest = Guest(constants(layers=({name: b"x", "good": b"y"},)))
    assert list(paths(guest.state.constants.layers.tree)) == ["/good"]
