"""The import table: every function of preview1 with its type, metered, and unmoved by whatever a guest passes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcalls.double import FUNCTIONS, U32, U64, Guest, constants
from isolet import limits
from isolet.engine.engine import Engine, EngineSettings
from isolet.engine.host import Wait
from isolet.errors import AbiViolation, Exited, OutOfFuel, Raised
from isolet.hostcalls.table import IMPORTS

# wasi_snapshot_preview1, from its witx: i = i32, I = i64.
PREVIEW1 = """
args_get ii i · args_sizes_get ii i · environ_get ii i · environ_sizes_get ii i · clock_res_get ii i
clock_time_get iIi i · fd_advise iIIi i · fd_allocate iII i · fd_close i i · fd_datasync i i · fd_fdstat_get ii i
fd_fdstat_set_flags ii i · fd_fdstat_set_rights iII i · fd_filestat_get ii i · fd_filestat_set_size iI i
fd_filestat_set_times iIIi i · fd_pread iiiIi i · fd_prestat_get ii i · fd_prestat_dir_name iii i · fd_pwrite iiiIi i
fd_read iiii i · fd_readdir iiiIi i · fd_renumber ii i · fd_seek iIii i · fd_sync i i · fd_tell ii i · fd_write iiii i
path_create_directory iii i · path_filestat_get iiiii i · path_filestat_set_times iiiiIIi i · path_link iiiiiii i
path_open iiiiiIIii i · path_readlink iiiiii i · path_remove_directory iii i · path_rename iiiiii i
path_symlink iiiii i · path_unlink_file iii i · poll_oneoff iiii i · proc_exit i - · proc_raise i i · random_get ii i
sched_yield - i · sock_accept iii i · sock_recv iiiiii i · sock_send iiiii i · sock_shutdown ii i
"""
EXPECTED = {
    words[0]: tuple(word.strip("-") for word in words[1:])
    for line in PREVIEW1.strip().splitlines()
    for words in (entry.split() for entry in line.split("·"))
}


def test_every_function_of_preview1_is_there_with_its_type() -> None:
    assert len(EXPECTED) == 46
    ours = {f.name: (f.params, f.results) for f in IMPORTS if f.module == "wasi_snapshot_preview1"}
    assert ours == EXPECTED


def test_isolet_has_its_five() -> None:
    ours = {f.name: (f.params, f.results, f.suspends) for f in IMPORTS if f.module == "isolet"}
    assert ours == {
        "call": ("ii", "i", True),
        "fail": ("ii", "", False),
        "library": ("ii", "i", False),
        "take": ("i", "i", False),
        "log": ("iii", "", False),
    }


def test_the_engine_links_all_of_it() -> None:
    Engine(EngineSettings(pooling=False), IMPORTS).close()


# What an argument may be, to hurt: descriptors, pointers and lengths at every edge, flags, and plausible values.
EDGES_32 = [0, 1, 2, 3, 4, 5, 6, 63, 64, 100, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 65_535, 65_536]
EDGES_32 += [(1 << 20) - n for n in (0, 1, 2, 4, 8, 24, 48, 64)] + [1 << 31, (1 << 31) - 1, U32, U32 - 1, U32 - 7]
EDGES_64 = [0, 1, 2, 64, 511, 512, 1 << 20, (1 << 20) + 1, U32, 1 << 32, (1 << 63) - 1, 1 << 63, U64 - 1, U64]
WORDS = st.one_of(st.sampled_from(EDGES_32), st.integers(0, 7), st.integers(0, U32))
LONGS = st.one_of(st.sampled_from(EDGES_64), st.integers(0, U64))


@st.composite
def storms(draw: st.DrawFn) -> list[tuple[str, list[int]]]:
    names = draw(st.lists(st.sampled_from(sorted(FUNCTIONS)), min_size=1, max_size=12))
    return [(name, [draw(WORDS if kind == "i" else LONGS) for kind in FUNCTIONS[name].params]) for name in names]


@given(storms(), st.binary(max_size=4096), st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_host_function_answers_waits_or_ends_the_guest(
    storm: list[tuple[str, list[int]]], memory: bytes, initialising: bool
) -> None:
    guest = Guest(constants({"a": b"1", "d/b": b"2"}), initialising=initialising)
    guest.memory[: len(memory)] = memory
    guest.memory[4096:4100] = b"a\0d\xff"
    for name, arguments in storm:
        try:
            answer = guest.call(name, *arguments)
        except (AbiViolation, Exited, Raised):
            return
        if isinstance(answer, Wait):
            assert isinstance(answer.argument, float)
            assert 0 <= answer.argument <= limits.SLEEP_S_MAX
            answer.finish(0)
        elif name in EXPECTED:
            assert 0 <= answer <= 76, "an errno"
    volume = guest.state.descriptors.tmp.volume
    assert 0 <= volume.bytes_used <= volume.bytes_max
    assert 0 <= volume.nodes_used <= volume.nodes_max
    assert len(guest.state.descriptors) <= limits.DESCRIPTORS_MAX
    guest.state.finish()
    guest.state.frozen_problems()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("value", [U32, 1 << 31, (1 << 20) - 1, U32 - 7])
def test_pointers_and_lengths_at_the_edges_never_reach_beyond_memory(name: str, value: int) -> None:
    """Each i32 in turn is hostile while the others are harmless; the double asserts that reads and writes stay
    inside."""
    params = FUNCTIONS[name].params
    for index, kind in enumerate(params):
        if kind != "i":
            continue
        guest = Guest(constants({"a": b"1"}))
        guest.memory[256] = ord("a")
        arguments = [
            4 if name.startswith(("fd", "path")) and i == 0 else 256 if i % 2 else 1 for i in range(len(params))
        ]
        arguments[index] = value
        with contextlib.suppress(AbiViolation, Exited, Raised):
            answer = guest.call(name, *arguments)
            assert answer is None or isinstance(answer, int | Wait)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"proc_exit"}))
def test_every_call_costs_fuel_even_one_that_fails(name: str) -> None:
    guest = Guest()
    before = guest.fuel
    with contextlib.suppress(AbiViolation):
        guest.call(name, *[U32 for _ in FUNCTIONS[name].params])
    assert before - guest.fuel >= limits.HOST_CALL_FUEL


def test_a_call_that_cannot_be_paid_does_nothing() -> None:
    guest = Guest(fuel=limits.HOST_CALL_FUEL - 1)
    with pytest.raises(OutOfFuel):
        guest.call("random_get", 64, 16)
    assert not any(guest.memory)
    guest = Guest(fuel=limits.HOST_CALL_FUEL + 100)
    with pytest.raises(OutOfFuel):
        guest.call("random_get", 64, 1_000)
    assert not any(guest.memory)


def test_the_number_of_calls_is_bounded() -> None:
    guest = Guest()
    guest.host_calls = limits.HOST_CALLS_MAX - 1
    assert guest.call("sched_yield") is not None
    with pytest.raises(OutOfFuel, match="100,000 host calls"):
        guest.call("sched_yield")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("proc_raise", 52),
        ("sock_accept", 58),
        ("sock_recv", 58),
        ("sock_send", 58),
        ("sock_shutdown", 58),
        ("path_link", 58),
        ("path_symlink", 58),
    ],
)
def test_what_is_denied_says_so(name: str, number: int) -> None:
    assert Guest().call(name, *[U32 for _ in FUNCTIONS[name].params]) == number
