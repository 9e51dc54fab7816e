"""The state of an invocation costs nothing until it is used, and knows what cannot be frozen."""

from __future__ import annotations

import gc
import weakref

import msgpack

from hostcalls.double import CREATE, DIRECTORY, READ, TMP, WRITE, Guest, constants
from isolet.hostcalls.state import HostState
from sources import needs_python


@needs_python
def test_a_state_holds_nothing_at_birth() -> None:
    state = HostState(constants())
    made = [name for name in HostState.__slots__ if getattr(state, name) is not None]
    assert sorted(made) == ["constants", "deadline_ns", "initialising"]


def test_initialisation_that_tidies_up_can_be_frozen() -> None:
    guest = Guest(constants({"a": b"1"}), initialising=True)
    fd = guest.open("f", READ | WRITE, CREATE)
    guest.write_file(fd, b"x")
    guest.write_file(1, b"hello")
    guest.call("random_get", 64, 16)
    guest.call("clock_time_get", 0, 0, 64)
    assert guest.call("fd_close", fd) == 0
    assert guest.path("path_unlink_file", "f") == 0
    assert guest.state.frozen_problems() == []
    assert [text for _, _, text in guest.state.finish()[0]] == [b"hello"]


def test_files_left_open_or_behind_cannot_be_frozen() -> None:
    guest = Guest(constants({"a": b"1"}), initialising=True)
    assert guest.path("path_create_directory", "d") == 0
    guest.open("d/bad\n\x1b[31mname", WRITE, CREATE)
    guest.open("d", READ, DIRECTORY)
    problems = guest.state.frozen_problems()
    assert len(problems) == 4
    text = "\n".join(problems)
    assert "descriptor 6 is left open; close it" in text
    assert "descriptor 7" in text
    assert "/tmp/d is left; remove it" in text
    assert "/tmp/d/bad\\n\\x1b[31mname is left" in text
    assert all(problem.isprintable() for problem in problems)


def test_streams_and_preopened_directories_must_stay_as_they_were() -> None:
    guest = Guest(initialising=True)
    guest.call("fd_close", 2)
    guest.call("fd_close", TMP)
    assert [problem.partition(";")[0] for problem in guest.state.frozen_problems()] == [
        "descriptor 2 was closed",
        "descriptor 4 was closed",
    ]
    guest = Guest(initialising=True)
    guest.call("fd_fdstat_set_rights", TMP, 0, 0)
    assert len(guest.state.frozen_problems()) == 1


def test_reasons_are_bounded() -> None:
    guest = Guest(initialising=True)
    for i in range(400):
        guest.open(f"f{i}", WRITE, CREATE)
        guest.state.forbid(f"act {i}")
    problems = guest.state.frozen_problems()
    assert len(problems) == 17
    assert problems[-1] == "and 800 more"


def test_a_module_that_is_not_frozen_initialises_without_restrictions() -> None:
    guest = Guest()
    guest.open("f", WRITE, CREATE)
    assert guest.state.forbidden == []


def test_a_state_is_freed_with_its_isolate_not_when_the_garbage_collector_comes() -> None:
    """A file of 128 MB is not to wait for it."""
    gc.collect()
    gc.disable()
    try:
        guest = Guest(constants({"a/b": b"1"}))
        assert guest.path("path_create_directory", "d") == 0
        guest.open("d/f", WRITE, CREATE)
        guest.open("none", READ)
        guest.write_file(1, b"partial")
        for request in (["sleep", 1], ["random", 1]):
            guest.call("call", *guest.put(msgpack.packb(request)))
        root = weakref.ref(guest.state.descriptors.tmp)
        inner = weakref.ref(guest.state.descriptors.tmp.find(b"d"))
        del guest
        assert root() is None
        assert inner() is None
    finally:
        gc.enable()
