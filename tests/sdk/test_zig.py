"""What module isolet of Zig promises beyond the vectors."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from isolet import abi
from isolet.errors import CompileFailed, OutOfMemory, Raised, Trapped
from isolet.languages import toolchain
from isolet.languages.build import build
from isolet.languages.package import silent
from isolet.manifest import load
from isolet.snapshot.sections import parse
from running import ENTROPY, ROOT, FrozenGuest, Guest

HERE = Path(__file__).parent / "guests" / "zig"


@functools.cache
def guest() -> Guest:
    return Guest(HERE)


@functools.cache
def frozen() -> FrozenGuest:
    return FrozenGuest(HERE)


def failure(event: dict[str, Any]) -> Raised:
    with pytest.raises(Raised) as caught:
        guest().invoke(event)
    return caught.value


def described(event: dict[str, Any]) -> tuple[str, str]:
    error = failure(event)
    return error.raised_type, error.message


def test_the_modules_own_tests_pass_natively(tmp_path: Path) -> None:
    zig = toolchain.ensure(toolchain.ZIG, silent)
    cache = ("--cache-dir", tmp_path, "--global-cache-dir", toolchain.cache_directory() / "zig")
    for source in ("msgpack.zig", "http.zig"):
        subprocess.run([zig, "test", *cache, ROOT / "sdk" / "zig" / source], check=True, capture_output=True)


def test_the_code_is_as_zig_formats_it() -> None:
    zig = toolchain.ensure(toolchain.ZIG, silent)
    done = subprocess.run([zig, "fmt", "--check", ROOT / "sdk" / "zig", HERE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_an_error_has_its_name_and_what_was_said_of_it() -> None:
    assert described({"op": "fail"}) == ("TooSmall", "7 is too small\nby far")
    assert described({"op": "error"}) == ("NoWayOn", "")


def test_a_panic_and_what_the_safety_checks_find_are_errors() -> None:
    assert described({"op": "panic"}) == ("Panic", "no way on")
    assert described({"op": "index"}) == ("Panic", "index out of bounds: index 5, len 5")
    assert described({"op": "overflow", "number": 100}) == ("Panic", "integer overflow")
    assert set(failure({"op": "panic at length"}).message.removesuffix("(msg truncated)")) == {"é"}


def test_memory_that_is_spent_is_an_error_and_a_stack_that_overflows_a_trap() -> None:
    assert failure({"op": "spend all memory"}).raised_type == OutOfMemory.kind
    with pytest.raises(Trapped):
        guest().invoke({"op": "overflow the stack"})


def test_an_event_that_does_not_fit_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemory):
        guest().invoke({"op": "nothing", "data": b"x" * 2_000_000}, memory_mb=1)


def typed(**given: Any) -> Any:
    return guest().invoke({"op": "typed", "typed": given})


def test_a_struct_is_read_and_written() -> None:
    given = {
        "renamed": 5,
        "small": -128,
        "unsigned": 2**64 - 1,
        "float": 1.0,
        "three": [1, 2, 3],
        "pair": [7, "é"],
        "numbers": b"\x01\x02",
        "color": "green",
        "optional": 7,
        "anything": {"n": 1, "list": [1.5]},
        "innermost": {"deep": [{"x": 1}, {}]},
    }
    assert typed(**given, unknown={"skipped": [1]}) == given
    assert typed(numbers="AQI=")["numbers"] == b"\x01\x02"
    assert typed(renamed=3.0)["renamed"] == 3
    assert set(typed()) == {"renamed", "small", "unsigned", "float", "numbers", "color", "anything"}


MISFITS = [
    ({"renamed": "x"}, "renamed: a string does not fit a i32"),
    ({"renamed": 1.5}, "renamed: a number does not fit a i32"),
    ({"small": 128}, "small: an integer does not fit a i8"),
    ({"unsigned": -1}, "unsigned: an integer does not fit a u64"),
    ({"three": [1]}, "three: an array does not fit a list of 3"),
    ({"color": "blue"}, "color: another text does not fit"),
    ({"innermost": {}}, "innermost.deep: it is missing"),
    ({"innermost": {"deep": [{}, {"x": []}]}}, "innermost.deep[1].x: an array does not fit a i64"),
    ({"numbers": "no base64!"}, "numbers: a string that is not base64 does not fit bytes"),
]


@pytest.mark.parametrize(("given", "message"), MISFITS, ids=[message for _, message in MISFITS])
def test_a_value_that_does_not_fit_is_refused_with_its_path(given: dict[str, Any], message: str) -> None:
    kind, said = described({"op": "typed", "typed": given})
    assert kind == "TypeError"
    assert said.startswith(message)


def test_capabilities_answer_and_an_unknown_one_is_an_error() -> None:
    run = guest()
    _, _, data, unknown = run.invoke({"op": "capabilities", "sleep_ms": 3})
    assert unknown == abi.UNKNOWN
    assert len(data) == 300
    assert len(set(data)) > 100
    assert run.waits == ["sleep"]


def test_what_std_log_writes_arrives_with_its_level() -> None:
    run = guest()
    run.invoke({"op": "log"})
    assert [(level, text[:6], text[-4:]) for level, _, text in run.log] == [
        (3, b"plain", b"lain"),
        (4, b"7 and ", b"text"),
        (2, b"000000", b"0001"),
        (1, b"(part)", b"gged"),
    ]


def test_generators_are_seeded_from_the_invocations_entropy() -> None:
    one, again, other = (guest().invoke({"op": "draw"}, e) for e in (ENTROPY, ENTROPY, bytes(16)))
    assert one == again
    assert one[0] == other[0], "what initialisation drew is frozen"
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))
    assert guest().invoke({"op": "reseeded"}) == [ENTROPY[15], 900]


def test_clones_of_one_snapshot_draw_different_numbers_and_find_what_init_made() -> None:
    assert frozen().snapshot.baked
    draws = [frozen().invoke({"op": "draw"}, bytes([n]) * 16) for n in range(20)]
    first, *fresh = zip(*draws, strict=True)
    assert len(set(first)) == 1
    assert all(len(set(generator)) == 20 for generator in fresh)
    assert frozen().invoke({"op": "reseeded"}) == [ENTROPY[15], 900]


def test_environment_and_clock_are_there() -> None:
    assert guest().invoke({"op": "environment"}) == ["guest", None]
    assert guest().invoke({"op": "clock"}) > 10**12


def test_a_large_result_and_a_deep_event_pass() -> None:
    assert guest().invoke({"op": "grow", "count": 99_999}) == list(range(99_999))
    deep: Any = None
    for _ in range(500):
        deep = [deep]
    assert guest().invoke({"op": "nothing", "deep": deep, "long": "x" * 100_000}) is None


def test_an_envelope_that_is_none_is_an_error_not_a_trap() -> None:
    for envelope in (b"", b"\xc0", b"\x81\xa7context\x80", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(Raised):
            abi.unpack_outcome(guest().serve(envelope))


def _function(directory: Path, source: str) -> Path:
    (directory / "function.toml").write_text('name = "least"\nlanguage = "zig"\n')
    (directory / "least.zig").write_text(source)
    return directory


def test_only_what_is_used_is_imported(tmp_path: Path) -> None:
    source = (
        'const i = @import("isolet");\npub fn handle(event: i.Value, _: *i.Context) i.Value {\n    return event;\n}\n'
    )
    least = Guest(_function(tmp_path, source))
    assert least.invoke({"a": [1]}) == {"a": [1]}
    assert [(entry.module, entry.name) for entry in parse(least.package.wasm).imports] == [("isolet", "fail")]
    assert len(least.package.wasm) < 30_000


def test_what_does_not_compile_is_refused_with_its_place(tmp_path: Path) -> None:
    directory = _function(tmp_path, "pub fn handle(event: u8, _: anytype) !void {\n    return evnt;\n}\n")
    with pytest.raises(CompileFailed) as caught:
        build(directory, load(directory))
    assert caught.value.message == "least.zig:2:12: error: use of undeclared identifier 'evnt'"
