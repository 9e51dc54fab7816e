"""What the AssemblyScript SDK promises beyond the vectors."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from isolet import abi
from isolet.errors import CompileFailed, OutOfMemory, Raised, Trapped
from isolet.languages.build import build
from isolet.manifest import load
from isolet.snapshot.sections import parse
from running import ENTROPY, Guest

HERE = Path(__file__).parent / "guests" / "assemblyscript"


@functools.cache
def guest() -> Guest:
    return Guest(HERE)


def failure(event: dict[str, Any]) -> Raised:
    with pytest.raises(Raised) as caught:
        guest().invoke(event)
    return caught.value


def test_fail_ends_the_invocation_with_a_type_of_ones_own() -> None:
    error = failure({"op": "fail"})
    assert (error.raised_type, error.message, error.stack) == ("TooSmall", "7 is too small\nby far", ())


def test_what_throws_is_an_error_with_its_place() -> None:
    error = failure({"op": "throw"})
    assert (error.raised_type, error.message) == ("Error", "no way on")
    assert error.stack[0].startswith("guest.ts:")
    assert failure({"op": "assert"}).message == "no such length"
    assert failure({"op": "bounds"}).message == "Index out of range"


def test_the_value_of_a_result_that_failed_ends_the_invocation_with_its_failure() -> None:
    assert failure({"op": "unwrapped"}).raised_type == "NotGranted"


def test_capabilities_answer_and_an_unknown_one_is_a_failure() -> None:
    run = guest()
    slept, drawn, data, unknown = run.invoke({"op": "capabilities", "sleep_ms": 3})
    assert (slept, drawn, unknown) == (0, 0, "unknown capability")
    assert len(data) == 300
    assert len(set(data)) > 100
    assert run.waits == ["sleep"]


def test_log_lines_arrive_with_their_levels_and_console_works() -> None:
    run = guest()
    run.invoke({"op": "log"})
    assert [(level, text) for level, _, text in run.log] == [
        (3, b"plain"),
        (4, b"7 and text"),
        (2, b"0" * 1999 + b"1"),
        (2, b"printed"),
    ]


def test_every_generator_is_seeded_from_the_invocations_entropy() -> None:
    one, again, other = (guest().invoke({"op": "draw"}, e) for e in (ENTROPY, ENTROPY, bytes(range(1, 17))))
    assert one[1:] == again[1:]
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))
    assert all(0 <= drawn < 1 for drawn in one)


def test_the_clocks_tell_the_time() -> None:
    milliseconds, remaining, later = guest().invoke({"op": "clock"})
    assert milliseconds > 1_700_000_000_000
    assert remaining > 0
    assert later is True


def test_garbage_is_collected_within_an_invocation() -> None:
    run = guest()
    run.invoke({"op": "garbage", "count": 2_000})  # forty megabytes in all
    assert run.memory_bytes < 4_000_000


def test_a_result_grows_as_far_as_an_outcome_may() -> None:
    assert guest().invoke({"op": "grow", "count": 99_999}) == list(range(99_999))


def test_text_that_is_none_is_mended() -> None:
    assert guest().invoke({"op": "not text"}) == "a\ufffdb"


def test_memory_that_is_at_its_limit_ends_the_invocation_as_the_functions_fault() -> None:
    with pytest.raises((OutOfMemory, Raised, Trapped)):
        guest().invoke({"op": "nothing", "data": b"x" * 3_000_000}, memory_mb=2)


def test_an_envelope_that_is_none_is_an_error_not_a_trap() -> None:
    for envelope in (b"", b"\xc0", b"\x81\xa7context\x80", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(Raised):
            abi.unpack_outcome(guest().serve(envelope))


VALUES = [None, True, 0, -5, 2**64 - 1, 1.5, 0.1, 'é " \\ \n \x01', [], {}, [1, [2, {"a": [], "b": {"c": 1}}], 3]]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_reads_back_as_the_value(value: object) -> None:
    assert json.loads(guest().invoke({"op": "json", "value": value})) == value


def test_json_of_binary_is_base64_and_of_what_is_not_finite_null() -> None:
    for length in range(5):
        data = bytes(range(250, 250 + length))
        assert json.loads(guest().invoke({"op": "json", "value": data})) == base64.b64encode(data).decode()
    assert guest().invoke({"op": "json", "value": [float("nan"), float("inf")]}) == "[null,null]"


def test_a_value_is_made_of_whatever_the_language_has() -> None:
    assert guest().invoke({"op": "of"}) == {
        "numbers": [1, 2, 3],
        "floats": [1.5, 2.5],
        "nested": [["a"], ["b", "c"]],
        "map": {"a": 1, "b": -2},
        "lists": {"x": ["1", "2"]},
        "null": None,
        "bytes": b"hi",
        "values": [1, "two"],
        "u64": 2**64 - 1,
        "i8": -8,
        "f32": 0.5,
        "bool": False,
    }


PARSED = [
    *(json.dumps(value) for value in VALUES),
    ' { "a" : [ ] ,\n"b":\t{} } ',
    '"\\ud83e\\udd80 \\u00e9 \\/ \\b\\f\\n\\r\\t"',
    "-0",
    "-9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "1e3",
    "-1.25E-2",
    "0.1",
    "123456789012345678901234567890",
]


@pytest.mark.parametrize("text", PARSED)
def test_json_is_parsed_as_python_does(text: str) -> None:
    answer, expected = guest().invoke({"op": "parse", "text": text}), json.loads(text)
    if isinstance(expected, int) and not -(2**63) <= expected < 2**64:
        expected = float(expected)
    assert (answer, type(answer)) == (expected, type(expected))


NO_JSON = [
    *("", "nul", "truefalse", "[", "[1", "[1,]", "[1 2]", "{", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", "01", "-", "1."),
    *(".5", "1e", "+1", '"', '"\\x"', '"\\u12"', '"\n"', "[]]", "NaN", "[" * 100_000, '{"a":' * 100_000),
]


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: repr(text)[:20])
def test_what_is_no_json_is_a_failure(text: str) -> None:
    assert guest().invoke({"op": "parse", "text": text}).startswith("malformed JSON: ")


def test_it_imports_nothing_of_a_browsers() -> None:
    imported = {(i.module, i.name) for i in parse(guest().package.wasm).imports}
    assert {module for module, _ in imported} == {"isolet", "wasi_snapshot_preview1"}


def project(directory: Path, source: str, more: str = "") -> Path:
    (directory / "function.toml").write_text(f'name = "f"\nlanguage = "assemblyscript"\n{more}')
    (directory / "f.ts").write_text(source)
    return directory


HANDLER = 'import { handle, Value } from "isolet";\n'


def test_what_does_not_compile_is_said_with_its_place(tmp_path: Path) -> None:
    directory = project(tmp_path, HANDLER + "handle((event, context) => Value.nil() + );\n")
    with pytest.raises(CompileFailed) as caught:
        build(directory, load(directory))
    assert caught.value.message.startswith("f.ts(2,")
    assert "ERROR TS" in caught.value.message


def test_a_function_without_a_handler_says_so(tmp_path: Path) -> None:
    with pytest.raises(Raised) as caught:
        Guest(project(tmp_path, "export const x = 1;\n")).invoke(None)
    assert caught.value.raised_type == "HandlerMissing"


def test_modules_of_its_own_and_flags_reach_the_compiler(tmp_path: Path) -> None:
    directory = project(
        tmp_path,
        HANDLER
        + 'import { double } from "./lib/double";\nhandle((event, context) => Value.of(double(event.asInt())));\n',
        '[build]\nflags = ["--runtime", "stub"]\n',
    )
    (directory / "lib").mkdir()
    (directory / "lib" / "double.ts").write_text("export function double(n: i64): i64 {\n  return 2 * n;\n}\n")
    assert Guest(directory).invoke(21) == 42


def test_equal_sources_give_equal_modules(tmp_path: Path) -> None:
    made = []
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        directory = project(tmp_path / name, HANDLER + "handle((event, context) => event);\n")
        made.append(build(directory, load(directory)).wasm)
    assert made[0] == made[1]
