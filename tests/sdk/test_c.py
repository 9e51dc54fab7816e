"""What isolet.h promises beyond the vectors."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path

import msgpack
import pytest

from isolet import abi, limits
from isolet.engine.inspection import Inspected
from isolet.engine.isolate import drive
from isolet.errors import OutOfMemory, Raised
from isolet.hostcalls.state import HostState
from running import ENTROPY, Guest, engine, template

HERE = Path(__file__).parent / "guests" / "c"


@functools.cache
def guest() -> Guest:
    return Guest(HERE)


def test_a_handler_that_writes_nothing_answers_nil() -> None:
    assert guest().invoke({"op": "nothing"}) is None


def test_fail_drops_what_was_written_and_carries_type_and_message() -> None:
    with pytest.raises(Raised) as caught:
        guest().invoke({"op": "fail"})
    assert (caught.value.raised_type, caught.value.message) == ("TooSmall", "7 is too small\nby far")


def test_a_status_without_fail_is_an_error_too() -> None:
    with pytest.raises(Raised) as caught:
        guest().invoke({"op": "status"})
    assert caught.value.raised_type == "Error"


def test_capabilities_answer_and_an_unknown_one_is_a_status() -> None:
    run = guest()
    slept, drawn, data, unknown = run.invoke({"op": "capabilities", "sleep_ms": 3})
    assert (slept, drawn, unknown) == (0, 0, abi.UNKNOWN)
    assert len(data) == 300
    assert len(set(data)) > 100
    assert run.waits == ["sleep"]


def test_log_lines_arrive_with_their_levels() -> None:
    run = guest()
    run.invoke({"op": "log"})
    lines = [str(entry) for entry in run.log]
    assert len(lines) == 4
    for line, expected in zip(lines, ("plain", "7 and text", "0" * 1999 + "1", "printed"), strict=True):
        assert expected in line


def test_every_generator_is_seeded_from_the_invocations_entropy() -> None:
    one, again, other = (guest().invoke({"op": "draw"}, e) for e in (ENTROPY, ENTROPY, bytes(16)))
    assert one == again
    assert one[0] == other[0], "what initialisation drew is frozen"
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))


def test_a_result_grows_past_the_buffer_whatever_lies_behind_it() -> None:
    assert guest().invoke({"op": "grow", "count": 99_999}) == list(range(99_999))


def test_a_result_that_does_not_fit_is_an_error_of_the_functions() -> None:
    with pytest.raises(Raised) as caught:
        guest().invoke({"op": "grow", "count": 99_999}, memory_mb=1)
    assert caught.value.raised_type == OutOfMemory.kind
    assert "memory_mb" in caught.value.message


def test_an_event_that_does_not_fit_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemory):
        guest().invoke({"op": "nothing", "data": b"x" * 2_000_000}, memory_mb=1)


def test_an_envelope_that_is_none_is_an_error_not_a_trap() -> None:
    for envelope in (b"", b"\xc0", b"\x81\xa7context\x80", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(Raised):
            abi.unpack_outcome(guest().serve(envelope))


VALUES = [
    None,
    True,
    0,
    -5,
    2**64 - 1,
    1.5,
    0.1,
    'é " \\ \n \x01',
    [],
    {},
    [1, [2, {"a": [], "b": {"c": 1}}], 3],
    {"a": 1, "b": [None]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_reads_back_as_the_value(value: object) -> None:
    assert json.loads(guest().invoke({"op": "json", "value": value})) == value


def test_json_of_binary_is_base64_and_of_what_is_not_finite_null() -> None:
    for length in range(5):
        data = bytes(range(250, 250 + length))
        assert json.loads(guest().invoke({"op": "json", "value": data})) == base64.b64encode(data).decode()
    assert guest().invoke({"op": "json", "value": [float("nan"), float("inf")]}) == "[null,null]"


def test_a_small_invocation_writes_few_pages_of_memory() -> None:
    """The library's state, the event and the outcome share one; the others are the stack's and the handler's own."""
    run = guest()
    isolate = Inspected(engine(), template(HERE), 128 * limits.MIB, 10**9, HostState(run.constants))
    try:
        drive(isolate.instantiate())
        drive(isolate.initialise())
        ptr = drive(isolate.call("isolet_buffer", limits.INPUT_BUFFER_BYTES))
        before = isolate.memory()
        envelope = run.envelope({"op": "respond", "response": {"status": 200, "body": "hello"}})
        outcome = drive(isolate.handle(envelope, ptr, limits.INPUT_BUFFER_BYTES))
        after = isolate.memory()
    finally:
        isolate.close()
    assert msgpack.unpackb(outcome) == {"ok": {"statusCode": 200, "body": "hello"}}
    pages = [at for at in range(0, len(after), 4096) if before[at : at + 4096] != after[at : at + 4096]]
    assert ptr // 4096 * 4096 in pages
    assert len(pages) <= 6
