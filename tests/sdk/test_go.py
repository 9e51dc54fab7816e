"""What package isolet promises beyond the vectors."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import msgpack
import pytest

from isolet import abi
from isolet.errors import Raised
from isolet.languages import toolchain
from isolet.languages.package import silent
from running import ENTROPY, ROOT, Guest
from scripted import ScriptedGuest

HERE = Path(__file__).parent / "guests" / "go"


@functools.cache
def guest() -> Guest:
    return Guest(HERE)


def failure(event: dict[str, Any]) -> Raised:
    with pytest.raises(Raised) as caught:
        guest().invoke(event)
    return caught.value


def typed(**given: Any) -> Any:
    return guest().invoke({"op": "typed", "typed": given})


def test_an_error_carries_its_type_and_message() -> None:
    error = failure({"op": "fail"})
    assert (error.raised_type, error.message, error.stack) == ("tooSmall", "7 is too small\nby far", ())
    assert failure({"op": "wrapped"}).message == "outside: inside"


def test_a_panic_is_an_error_with_the_stack_of_the_handler() -> None:
    error = failure({"op": "panic"})
    assert (error.raised_type, error.message) == ("Panic", "no way on")
    assert "main.perform" in error.stack[0]
    assert "main.go:" in error.stack[0]
    assert not any("gopanic" in line or "isolet." in line for line in error.stack)


def test_a_runtime_panic_has_the_errors_type() -> None:
    error = failure({"op": "panic with error"})
    assert error.raised_type == "boundsError"
    assert "index out of range" in error.message


def test_results_that_have_no_form_are_errors() -> None:
    assert failure({"op": "unencodable"}).raised_type == "UnsupportedError"
    assert "holds itself" in failure({"op": "cycle"}).message


def test_text_that_is_not_utf8_is_mended_as_encoding_json_does() -> None:
    assert guest().invoke({"op": "not text"}) == "a\ufffdb"


def test_a_struct_looks_as_encoding_json_would_make_it() -> None:
    given = {
        "inherited": "i",
        "conflict": "outer",
        "fromPointer": "p",
        "renamed": 5,
        "Skipped": 9,
        "when": "2026-11-20T17:00:00Z",
        "raw": {"a": [1, 2.5, "é\n", None, True]},
        "numbers": "AQID",
        "three": [1, 2, 3, 4],
        "byNumber": {"7": "seven"},
        "optional": 0,
        "pointer": None,
        "float": 1,
        "small": -128,
        "unsigned": 2**64 - 1,
        "anything": {"n": 1, "list": [1.5]},
        "labels": {"a": "b"},
        "untagged": True,
        "innermost": {"deep": [{"x": 1}, {"X": 2}]},
        "unknown": {"skipped": [1, 2, 3]},
    }
    assert typed(**given) == {
        "inherited": "i",
        "conflict": "outer",
        "fromPointer": "p",
        "renamed": 5,
        "when": "2026-11-20T17:00:00Z",
        "raw": {"a": [1, 2.5, "é\n", None, True]},
        "numbers": b"\x01\x02\x03",
        "three": [1, 2, 3],
        "byNumber": {"7": "seven"},
        "optional": 0,
        "pointer": None,
        "float": 1.0,
        "small": -128,
        "unsigned": 2**64 - 1,
        "anything": {"n": 1, "list": [1.5]},
        "labels": {"a": "b"},
        "Untagged": True,
        "innermost": {"deep": [{"X": 1}, {"X": 2}]},
    }


def test_an_empty_struct_shows_its_zero_values_but_for_omitted_ones() -> None:
    answer = typed()
    assert answer["numbers"] is None
    assert answer["three"] == [0, 0, 0]
    assert not {"empty", "zero", "fromPointer", "hidden", "Skipped"} & set(answer)
    assert answer["when"] == "0001-01-01T00:00:00Z"


MISFITS = [
    ({"renamed": "x"}, "typed.renamed: a string does not fit a int"),
    ({"renamed": 1.5}, "typed.renamed: a number does not fit a int"),
    ({"small": 128}, "typed.small: an integer does not fit a int8"),
    ({"unsigned": -1}, "typed.unsigned: an integer does not fit a uint64"),
    ({"three": {}}, "typed.three: an object does not fit a [3]int"),
    ({"innermost": {"deep": [{}, {"x": []}]}}, "typed.innermost.deep[1].x: an array does not fit a int"),
    ({"numbers": "no base64!"}, "typed.numbers: a string that is not base64 does not fit a []uint8"),
    ({"byNumber": {"x": "y"}}, 'typed.byNumber: the key "x" does not fit a int'),
]


@pytest.mark.parametrize(("given", "message"), MISFITS, ids=[message for _, message in MISFITS])
def test_a_value_that_does_not_fit_is_refused_with_its_path(given: dict[str, Any], message: str) -> None:
    error = failure({"op": "typed", "typed": given})
    assert (error.raised_type, error.message) == ("TypeError", f"isolet: {message}")


def test_whole_floats_fit_integers_and_integers_fit_floats() -> None:
    answer = typed(renamed=3.0, float=7)
    assert (answer["renamed"], answer["float"]) == (3, 7.0)


def test_capabilities_answer_and_an_unknown_one_is_an_error() -> None:
    run = guest()
    _, _, data, unknown = run.invoke({"op": "capabilities", "sleep_ms": 3})
    assert unknown == abi.UNKNOWN
    assert len(data) == 300
    assert len(set(data)) > 100
    assert run.waits == ["sleep"]


def test_a_goroutine_that_sleeps_suspends_the_function() -> None:
    run = guest()
    assert run.invoke({"op": "sleep in a goroutine"}) == "slept"
    assert set(run.waits) == {"sleep"}


def test_log_lines_arrive_with_their_levels() -> None:
    run = guest()
    run.invoke({"op": "log"})
    lines = [str(entry) for entry in run.log]
    assert len(lines) == 4
    for line, expected in zip(lines, ("plain", "7 and text", "0" * 1999 + "1", "printed"), strict=True):
        assert expected in line


def test_gos_generators_are_seeded_from_the_invocations_entropy() -> None:
    one, again, other = (guest().invoke({"op": "draw"}, e) for e in (ENTROPY, ENTROPY, bytes(16)))
    assert one[1:] == again[1:]
    assert all(a != b for a, b in zip(one[1:3], other[1:3], strict=True))


def test_an_envelope_that_is_none_is_an_error_not_a_trap() -> None:
    for envelope in (b"", b"\xc0", b"\x81\xa7context\x80", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(Raised):
            abi.unpack_outcome(guest().serve(envelope))


# ── net/http over the capability fetch ──────────────────────────────────────────────────────────────────────────


@functools.cache
def over_http() -> ScriptedGuest:
    return ScriptedGuest(HERE.parent / "gohttp")


def reply(status: int = 200, **more: Any) -> bytes:
    answer = {"status": status, "url": "http://x.example/", "headers": [["content-type", "text/plain"]], "body": b"hi"}
    packed: bytes = msgpack.packb({"ok": {**answer, **more}})
    return packed


def fetch(event: dict[str, Any], *replies: bytes) -> tuple[Any, list[Any]]:
    run = over_http()
    outcome, requests = run.asked(run.envelope(event), *replies)
    return abi.unpack_outcome(outcome), [msgpack.unpackb(request)[1] for request in requests]


def test_net_http_makes_its_requests_through_fetch() -> None:
    event = {"method": "POST", "url": "http://x.example/a?b=1", "body": "data"}
    answer, (request,) = fetch(event, reply(201, headers=[["set-cookie", "a=1"], ["set-cookie", "b=2"]]))
    assert answer == {
        "status": 201,
        "url": "http://x.example/a?b=1",
        "headers": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "hi",
    }
    assert request == {
        "url": "http://x.example/a?b=1",
        "method": "POST",
        "headers": [["X-A", "1"]],
        "body": b"data",
        "redirect": "manual",
    }


def test_net_http_follows_redirects_each_as_a_request_of_its_own() -> None:
    moved = reply(302, headers=[["location", "/there"]])
    answer, requests = fetch({"method": "GET", "url": "http://x.example/"}, moved, reply())
    assert [request["url"] for request in requests] == ["http://x.example/", "http://x.example/there"]
    assert answer["url"] == "http://x.example/there"


def test_net_http_s_errors_are_found_within() -> None:
    refused = msgpack.packb({"error": {"type": "Refused", "message": "link-local"}})
    assert fetch({"method": "GET", "url": "http://169.254.169.254/"}, refused)[0] == "refused"
    late = msgpack.packb({"error": {"type": "Timeout", "message": "20 ms"}})
    with pytest.raises(Raised, match="Timeout: 20 ms"):
        fetch({"method": "GET", "url": "http://x.example/", "timeout_ms": 60_000}, late)
    assert fetch({"method": "GET", "url": "http://x.example/", "cancelled": True}) == ("cancelled", [])


def test_net_http_s_timeout_is_the_requests() -> None:
    _, (request,) = fetch({"method": "GET", "url": "http://x.example/", "timeout_ms": 60_000}, reply())
    assert 0 < request["timeout_ms"] <= 60_000


def test_a_functions_own_tests_run_outside(tmp_path: Path) -> None:
    go_mod = f"module guest\n\ngo 1.24\n\nrequire isolet v0.0.0\n\nreplace isolet => {ROOT / 'sdk' / 'go'}\n"
    (tmp_path / "go.mod").write_text(go_mod)
    for file in HERE.glob("*.go"):
        shutil.copy(file, tmp_path)
    program = toolchain.ensure(toolchain.GO, silent)
    variables = {
        "GOCACHE": str(toolchain.cache_directory() / "go"),
        "GOROOT": str(program.resolve().parent.parent),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    assert "PASS" in toolchain.run([program, "test", "-v", "./..."], tmp_path, variables)
