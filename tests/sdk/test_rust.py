"""What crate isolet promises beyond the vectors."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import toolchains
from isolet import abi
from isolet.errors import OutOfMemory, Raised, Trapped
from isolet.languages import rust
from isolet.snapshot.sections import parse
from running import ENTROPY, ROOT, FrozenGuest, Guest

HERE = Path(__file__).parent / "guests" / "rust"
pytestmark = pytest.mark.skipif(bool(toolchains.missing("rust")), reason=toolchains.missing("rust") or "-")


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


def test_the_crate_and_its_guest_compile_without_warnings() -> None:
    assert guest().package.warnings == ""


@pytest.mark.parametrize("rustc", [str(path) for path in rust._candidates()])
def test_the_crates_own_tests_pass_natively_with_every_compiler_here(rustc: str, tmp_path: Path) -> None:
    """A current compiler too, where one is: natively nothing needs the target."""
    program = tmp_path / "tests"
    source = ROOT / "sdk" / "rust" / "src" / "lib.rs"
    subprocess.run([rustc, "--edition", "2021", "-Dwarnings", "--test", source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert "test result: ok" in done.stdout


@pytest.mark.parametrize("rustc", [str(path) for path in rust._candidates()])
def test_what_is_for_webassembly_alone_compiles_with_every_compiler_here(rustc: str, tmp_path: Path) -> None:
    """Checked, not linked: a current compiler may be here without the target's libraries."""
    for source in (ROOT / "sdk" / "rust" / "src").glob("*.rs"):
        text = source.read_text().replace('not(target_arch = "wasm32")', "any()")
        (tmp_path / source.name).write_text(text.replace('target_arch = "wasm32"', "all()"))
    guest = HERE / "guest.rs"
    check = (rustc, "--edition", "2021", "-Dwarnings", "--emit=metadata")
    library = tmp_path / "libisolet.rmeta"
    crate = ("--crate-name", "isolet", "--crate-type", "rlib")
    subprocess.run([*check, *crate, tmp_path / "lib.rs", "-o", library], check=True)
    extern = ("--extern", f"isolet={library}")
    subprocess.run([*check, *extern, "--crate-type", "cdylib", guest, "-o", tmp_path / "guest.rmeta"], check=True)


def test_the_examples_in_the_documentation_compile_and_hold(tmp_path: Path) -> None:
    found = rust.find()
    rustdoc = found.rustc.parent / "rustdoc"
    if not os.access(rustdoc, os.X_OK):
        pytest.skip(f"{rustdoc} is not there; on Debian and Ubuntu: apt-get install rust-doc rustc")
    source, library = ROOT / "sdk" / "rust" / "src" / "lib.rs", tmp_path / "libisolet.rlib"
    crate = ("--edition", "2021", "--crate-name", "isolet")
    subprocess.run([found.rustc, *crate, "--crate-type", "rlib", source, "-o", library], check=True)
    done = subprocess.run(
        [rustdoc, *crate, "--test", "--extern", f"isolet={library}", source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_error_has_the_name_of_its_type_and_its_message() -> None:
    error = failure({"op": "fail"})
    assert (error.raised_type, error.message, error.stack) == ("TooSmall", "7 is too small\nby far", ())
    assert (failure({"op": "bail"}).raised_type, failure({"op": "bail"}).message) == ("Odd", "7 is odd")
    assert failure({"op": "parse"}).raised_type == "ParseIntError"


def test_a_panic_is_an_error_with_its_message_and_place() -> None:
    error = failure({"op": "panic"})
    assert (error.raised_type, error.message) == ("Panic", "no way on, panic")
    assert error.stack[0].startswith("guest.rs:")
    assert "index out of bounds: the len is 5" in failure({"op": "index"}).message
    assert failure({"op": "panic with nothing to say"}).message == ""
    assert set(failure({"op": "panic at length"}).message) == {"é"}


def test_a_stack_that_overflows_and_memory_that_is_spent_are_not_the_panics() -> None:
    with pytest.raises(Trapped):
        guest().invoke({"op": "overflow the stack"})
    with pytest.raises(OutOfMemory):
        guest().invoke({"op": "spend all memory"})


def typed(**given: Any) -> Any:
    return guest().invoke({"op": "typed", "typed": given})


def test_a_record_is_read_and_written() -> None:
    given = {
        "renamed": 5,
        "small": -128,
        "unsigned": 2**64 - 1,
        "float": 1.0,
        "three": [1, 2, 3],
        "numbers": b"\x01\x02",
        "labels": {"a": "b"},
        "optional": 7,
        "anything": {"n": 1, "list": [1.5]},
        "innermost": {"deep": [{"x": 1}, {}]},
    }
    assert typed(**given, unknown={"skipped": [1]}) == given
    assert typed(numbers="AQI=")["numbers"] == b"\x01\x02"
    assert typed(numbers=[1, 2])["numbers"] == b"\x01\x02"
    assert typed(renamed=3.0, float=7)["renamed"] == 3


MISFITS = [
    ({"renamed": "x"}, "renamed: a string does not fit an i32"),
    ({"renamed": 1.5}, "renamed: a number does not fit an i32"),
    ({"small": 128}, "small: an integer does not fit an i8"),
    ({"unsigned": -1}, "unsigned: an integer does not fit an u64"),
    ({"three": [1]}, "three: an array does not fit a list of 3"),
    ({"innermost": {}}, "innermost.deep: it is missing"),
    ({"innermost": {"deep": [{}, {"x": []}]}}, "innermost.deep[1].x: an array does not fit an i64"),
    ({"numbers": "no base64!"}, "numbers: a string that is not base64 does not fit bytes"),
    ({"labels": {"a": 1}}, "labels.a: an integer does not fit a string"),
]


@pytest.mark.parametrize(("given", "message"), MISFITS, ids=[message for _, message in MISFITS])
def test_a_value_that_does_not_fit_is_refused_with_its_path(given: dict[str, Any], message: str) -> None:
    error = failure({"op": "typed", "typed": given})
    assert (error.raised_type, error.message) == ("TypeError", message)


def test_capabilities_answer_and_an_unknown_one_is_an_error() -> None:
    run = guest()
    _, _, data, unknown = run.invoke({"op": "capabilities", "sleep_ms": 3})
    assert unknown == abi.UNKNOWN
    assert len(data) == 300
    assert len(set(data)) > 100
    assert run.waits == ["sleep"]


def test_log_lines_arrive_with_their_levels() -> None:
    run = guest()
    run.invoke({"op": "log"})
    assert [(level, text[-4:]) for level, _, text in run.log] == [
        (3, b"lain"),
        (4, b"text"),
        (2, b"0001"),
        (1, b"gged"),
    ]


def test_the_generator_is_seeded_from_the_invocations_entropy() -> None:
    one, again, other = (guest().invoke({"op": "draw"}, e) for e in (ENTROPY, ENTROPY, bytes(16)))
    assert one == again
    assert one[0] == other[0], "what initialisation drew is frozen"
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))
    assert guest().invoke({"op": "given"}) == ENTROPY[15], "and so are those that on_reseed knows"
    assert sorted(guest().invoke({"op": "shuffle"})) == list(range(100))


def test_clones_of_one_snapshot_draw_different_numbers() -> None:
    assert frozen().snapshot.baked
    draws = [frozen().invoke({"op": "draw"}, bytes([n]) * 16) for n in range(20)]
    first, *fresh = zip(*draws, strict=True)
    assert len(set(first)) == 1
    assert all(len(set(generator)) == 20 for generator in fresh)


def test_environment_and_clock_are_there_without_std() -> None:
    assert guest().invoke({"op": "environment"}) == {"name": "guest", "none": None}
    assert guest().invoke({"op": "clock"}) > 10**9


def test_a_large_result_and_a_deep_event_pass() -> None:
    assert guest().invoke({"op": "grow", "count": 99_999}) == list(range(99_999))
    deep: Any = None
    for _ in range(500):
        deep = [deep]
    assert guest().invoke({"op": "nothing", "deep": deep}) is None


def test_an_envelope_that_is_none_is_an_error_not_a_trap() -> None:
    for envelope in (b"", b"\xc0", b"\x81\xa7context\x80", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(Raised):
            abi.unpack_outcome(guest().serve(envelope))


def test_only_what_is_used_is_imported(tmp_path: Path) -> None:
    (tmp_path / "function.toml").write_text('name = "least"\nlanguage = "rust"\n')
    (tmp_path / "least.rs").write_text(
        "fn handle(event: isolet::Value, _: &isolet::Context) -> isolet::Result<isolet::Value> { Ok(event) }\n"
        "isolet::handler!(handle);\n"
    )
    least = Guest(tmp_path)
    assert least.invoke({"a": [1]}) == {"a": [1]}
    assert [(entry.module, entry.name) for entry in parse(least.package.wasm).imports] == [("isolet", "fail")]
