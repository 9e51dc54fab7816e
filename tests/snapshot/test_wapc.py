"""waPC guests, adapted and frozen: what the glue promises them, whatever they do with their memory."""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.engine.host import Wait
from isolet.engine.isolate import Isolate, drive
from isolet.errors import AbiViolation, GuestError, ModuleInvalid, OutOfMemory, Raised
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.snapshot import sections
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Made, Maker
from isolet.snapshot.wapc import adapt

# What a guest imports; the functions that follow say what it is.
HEAD = """
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (import "wapc" "__console_log" (func $console_log (param i32 i32)))
"""
ECHO = """
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (call $request (i32.const 1024) (i32.const 4096))
    (call $response (i32.const 4096) (local.get $payload))
    (i32.const 1))"""


def guest(body: str, memory: str = "2", head: str = HEAD) -> bytes:
    return wat(f'(module {head} (memory (export "memory") {memory}) {body})')


class House:
    """The builder's engines and a worker's."""

    def __init__(self) -> None:
        self.maker = Maker(IMPORTS)
        self.worker = Engine(EngineSettings(isolates_max=4), IMPORTS)
        self.logs: list[Any] = []
        self.fuel = 0

    def deploy(
        self,
        wasm: bytes,
        directory: Path,
        *,
        handler: str = "echo",
        form: str = "",
        warmup: Any = ...,
        memory_mb: int = 2,
    ) -> Function:
        environment = [f"WAPC_PAYLOAD={form}".encode()] if form else []
        constants = HostConstants("f", "1", "arn", memory_mb, environment, {}, handler=handler)
        given = Guest(
            memory_mb * limits.MIB,
            lambda: HostState(constants, initialising=True),
            None if warmup is ... else envelope(warmup),
        )
        return Function(self, constants, self.maker.make(wasm, given), directory)


def envelope(event: Any) -> bytes:
    constants = abi.pack_constants(name="f", version="1", arn="arn", memory_mb=2, log_stream="s")
    return abi.pack_envelope(msgpack.packb(event), constants, str(uuid.UUID(int=1)), 2**50, bytes(16))


class Function:
    def __init__(self, house: House, constants: HostConstants, made: Made, directory: Path) -> None:
        self.house, self.constants, self.info = house, constants, made.info
        path = directory / uuid.uuid4().hex
        path.write_bytes(made.artifact)
        self.template = house.worker.link(house.worker.load(str(path)))
        self.waits: list[Wait] = []

    def invoke(self, event: Any) -> Any:
        state = HostState(self.constants)
        memory = self.constants.memory_mb * limits.MIB
        isolate = Isolate(self.house.worker, self.template, memory, 10**9, state)
        try:
            return abi.unpack_outcome(
                drive(isolate.serve(envelope(event), self.info.buffer_ptr, self.info.buffer_len), self._waited)
            )
        finally:
            self.house.logs = [text for _, _, text in state.finish()[0]]
            self.house.fuel = isolate.fuel_used

    def _waited(self, wait: Wait) -> None:
        self.waits.append(wait)
        wait.finish(0)

    def refused(self, event: Any) -> Raised:
        with pytest.raises(Raised) as caught:
            self.invoke(event)
        return caught.value


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = House()
    yield made
    made.worker.close()


EVENTS = [None, 5, "text", b"\0\xff", {"a": [1, {"b": None}]}, "x" * 70_000, b"x" * 3_000_000]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: repr(event)[:20])
def test_an_event_goes_in_as_msgpack_and_the_response_comes_out(house: House, tmp_path: Path, event: Any) -> None:
    function = house.deploy(guest(ECHO, "64"), tmp_path, memory_mb=16)
    assert function.info.baked
    assert function.info.warnings == ()
    assert function.invoke(event) == event


def test_the_operation_is_the_functions_handler(house: House, tmp_path: Path) -> None:
    body = """
      (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
        (call $request (i32.const 1024) (i32.const 4096))
        (call $response (i32.const 1024) (local.get $operation))
        (i32.const 1))"""
    assert (
        house.deploy(guest(body), tmp_path, handler="sample:Guest!Hello", form="raw").invoke(None)
        == "sample:Guest!Hello"
    )


FORMS = [
    ("json", {"a": [1, 2.5, "é"], "b": b"\1\2"}, {"a": [1, 2.5, "é"], "b": "AQI="}),
    ("json", None, None),
    ("raw", "é", "é"),
    ("raw", b"\xff\0", b"\xff\0"),
    ("raw", {"a": 1}, '{"a":1}'),
    ("raw", {"requestContext": {"http": {"method": "POST"}}, "body": "the body"}, "the body"),
    ("raw", {"requestContext": {"http": {"method": "GET"}}}, ""),
    ("msgpack", {"a": b"\1"}, {"a": b"\1"}),
]


@pytest.mark.parametrize(("form", "event", "answer"), FORMS, ids=lambda value: str(value)[:30])
def test_a_payload_has_the_form_that_the_environment_names(
    house: House, tmp_path: Path, form: str, event: Any, answer: Any
) -> None:
    assert house.deploy(guest(ECHO), tmp_path, form=form).invoke(event) == answer


def test_an_unknown_form_is_an_error_that_names_the_known_ones(house: House, tmp_path: Path) -> None:
    error = house.deploy(guest(ECHO), tmp_path, form="xml").refused(1)
    assert error.raised_type == "PayloadInvalid"
    assert "msgpack, json, raw" in error.message


def answering(text: str) -> str:
    data = "".join(f"\\{byte:02x}" for byte in text.encode())
    return f"""
      (data (i32.const 4096) "{data}")
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 4096) (i32.const {len(text.encode())})) (i32.const 1))"""


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "nul",
        "NaN",
        "-Infinity",
        '"\\ud800"',
        "1" * 5000,
        "9" * 30,
        "[1,]",
        "[" * 1000,
        "[" * 65 + "]" * 65,
        '{"a":' * 70 + "1" + "}" * 70,
        "[" * 60_000,
    ],
)
def test_a_response_that_is_no_json_is_a_typed_error(house: House, tmp_path: Path, text: str) -> None:
    assert house.deploy(guest(answering(text)), tmp_path, form="json").refused(None).raised_type == "PayloadInvalid"


def test_brackets_in_text_do_not_count_as_depth(house: House, tmp_path: Path) -> None:
    text = json.dumps(["[" * 200 + '"\\', {"a": "{" * 200}] + [[i] for i in range(100)])
    assert house.deploy(guest(answering(text)), tmp_path, form="json").invoke(None) == json.loads(text)


def test_an_empty_response_and_none_are_nil(house: House, tmp_path: Path) -> None:
    silent = '(func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))'
    for form in ("msgpack", "json"):
        assert house.deploy(guest(answering("")), tmp_path, form=form).invoke(1) is None
        assert house.deploy(guest(silent), tmp_path, form=form).invoke(1) is None


# ── failing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def failing(flag: int, then: str = "") -> str:
    return f"""
      (data (i32.const 4096) "too small")
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $error (i32.const 4096) (i32.const 9)) {then} (i32.const {flag}))"""


def test_a_guests_error_is_the_functions(house: House, tmp_path: Path) -> None:
    for flag in (0, 1, 7):
        error = house.deploy(guest(failing(flag)), tmp_path).refused(None)
        assert (error.raised_type, error.message) == ("GuestError", "too small")


def test_a_response_takes_an_error_back(house: House, tmp_path: Path) -> None:
    body = failing(1, "(call $response (i32.const 0) (i32.const 0))")
    assert house.deploy(guest(body), tmp_path).invoke(None) is None


def test_failure_without_a_word_names_the_operation(house: House, tmp_path: Path) -> None:
    silent = '(func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0))'
    error = house.deploy(guest(silent), tmp_path, handler="greet").refused(None)
    assert error.raised_type == "GuestError"
    assert "'greet'" in error.message


def test_an_assemblyscript_abort_is_an_error_with_its_place(house: House, tmp_path: Path) -> None:
    def string(text: str) -> str:
        raw = text.encode("utf-16-le")
        return "".join(f"\\{byte:02x}" for byte in len(raw).to_bytes(4, "little") + raw)

    body = f"""
      (data (i32.const 4096) "{string("no é")}") (data (i32.const 4200) "{string("index.ts")}")
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $abort (i32.const 4100) (i32.const 4204) (i32.const 3) (i32.const 5)) unreachable)"""
    head = HEAD + '(import "env" "abort" (func $abort (param i32 i32 i32 i32)))'
    error = house.deploy(guest(body, head=head), tmp_path).refused(None)
    assert (error.raised_type, error.message) == ("AbortError", "no é at index.ts:3:5")


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_memory_grew_by_is_zeros_when_the_guest_runs(house: House, tmp_path: Path) -> None:
    """An allocator that begins to work now takes all memory there is, and may believe that it is fresh."""
    body = """
      (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
        (local $at i32) (local $set i32)
        (local.set $at (i32.const 131072))
        (loop
          (local.set $set (i64.ne (i64.load (local.get $at)) (i64.const 0)))
          (if (local.get $set) (then (return (i32.const 0))))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if 0 (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
        (call $response (i32.const 0) (i32.const 0))
        (i32.const 1))"""
    function = house.deploy(guest(body), tmp_path, warmup={"a": "x" * 1000})
    for event in (None, "x" * 1000, "x" * 65_536, "x" * 200_000):
        assert function.invoke(event) is None


def test_a_warm_up_changes_nothing_that_the_guest_took(house: House, tmp_path: Path) -> None:
    """In the warm-up it takes the input buffer's page and keeps something at its start; an invocation finds it."""
    body = """
      (global $kept (mut i32) (i32.const 0))
      (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
        (if (i32.eqz (global.get $kept))
          (then
            (global.set $kept (i32.const 131072))
            (i64.store (global.get $kept) (i64.const 0xa56b657074))))
        (call $response (global.get $kept) (i32.const 8))
        (i32.const 1))"""
    function = house.deploy(guest(body), tmp_path, warmup={"a": 1}, form="raw")
    assert function.info.warnings == ()
    assert function.invoke(None) == "tpek\xa5\0\0\0".encode("latin-1")


def test_an_outcome_is_placed_wherever_there_is_room(house: House, tmp_path: Path) -> None:
    """Within the buffer, on fresh pages, and over the guest's own memory when it may have no more."""
    body = """
      (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (memory.fill (i32.const 1024) (i32.const 0x78) (i32.const 1000000))
        (call $response (i32.const 1024) (i32.const 1000000))
        (i32.const 1))"""
    assert house.deploy(guest(body, "20"), tmp_path, form="raw").invoke(None) == "x" * 1_000_000
    fresh = body.replace("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))", "")
    assert house.deploy(guest(fresh, "20"), tmp_path, form="raw", memory_mb=4).invoke(None) == "x" * 1_000_000


def test_an_outcome_for_which_there_is_none_is_out_of_memory(house: House, tmp_path: Path) -> None:
    """140,000 times `1e9,`: four bytes in JSON, nine in msgpack."""
    body = """
      (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32) (local $at i32)
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (loop
          (i32.store (local.get $at) (i32.const 0x3965312c))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (br_if 0 (i32.lt_u (local.get $at) (i32.const 560000))))
        (i32.store8 (i32.const 0) (i32.const 0x5b))
        (i32.store8 (i32.const 560000) (i32.const 0x5d))
        (call $response (i32.const 0) (i32.const 560001))
        (i32.const 1))"""
    with pytest.raises(OutOfMemory, match="memory_mb"):
        house.deploy(guest(body, "10"), tmp_path, form="json", memory_mb=1).invoke(None)


def test_an_event_for_which_there_is_no_room_is_out_of_memory(house: House, tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory):
        house.deploy(guest(ECHO), tmp_path).invoke(b"x" * 2_000_000)


def test_a_guest_that_bounds_its_memory_gets_its_events_all_the_same(house: House, tmp_path: Path) -> None:
    assert house.deploy(guest(ECHO, "2 2"), tmp_path).invoke("x" * 60_000) == "x" * 60_000


# ── initialisation ──────────────────────────────────────────────────────────────────────────────────────────────


def test_start_and_init_run_once_in_this_order_before_the_snapshot(house: House, tmp_path: Path) -> None:
    body = """
      (func (export "_start") (i32.store8 (i32.const 0) (i32.const 0x61)))
      (func (export "wapc_init")
        (i32.store8 (i32.const 1) (i32.load8_u (i32.const 0)))
        (call $console_log (i32.const 0) (i32.const 2)))
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 0) (i32.const 2)) (i32.const 1))"""
    function = house.deploy(guest(body), tmp_path, form="raw")
    assert function.info.baked
    assert function.invoke(None) == "aa"
    assert house.logs == [], "what it said was said at deployment"


def test_host_calls_are_refused_before_there_is_an_event_and_the_guest_then_runs_unfrozen(
    house: House, tmp_path: Path
) -> None:
    body = f"""
      (data (i32.const 16) "isoletsleep\\91\\01")
      (func (export "wapc_init")
        (i32.store8 (i32.const 0) (call $host_call {CALL})))
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 0) (i32.const 1)) (i32.const 1))"""
    function = house.deploy(guest(body), tmp_path)
    assert not function.info.baked
    assert "sleep" in " ".join(function.info.warnings)
    assert function.invoke(None) == 1


CALL = """(i32.const 16) (i32.const 6) (i32.const 0) (i32.const 0)
  (i32.const 22) (i32.const 5) (i32.const 27) (i32.const 2)"""


# ── capabilities ────────────────────────────────────────────────────────────────────────────────────────────────

# The event is the request, laid out by `asking`: as msgpack it begins with its head, of two bytes.
ASKS = """
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (call $request (i32.const 1024) (i32.const 4096))
    (if (result i32)
        (call $host_call
          (i32.const 4098) (i32.const 6) (i32.const 4096) (i32.const 0)
          (i32.const 4104) (i32.const 8) (i32.const 4112) (i32.sub (local.get $payload) (i32.const 16)))
      (then
        (call $host_response (i32.const 32768))
        (call $response (i32.const 32768) (call $host_response_len))
        (i32.const 1))
      (else
        (call $host_error (i32.const 32768))
        (call $error (i32.const 32768) (call $host_error_len))
        (i32.const 0))))"""


def asking(binding: str, operation: str, payload: bytes) -> bytes:
    return binding.encode().ljust(6) + operation.encode().ljust(8) + payload


def asks(operation: str) -> bytes:
    return guest(ASKS.replace("(i32.const 8) (i32.const 4112)", f"(i32.const {len(operation)}) (i32.const 4112)"), "8")


def test_a_capability_answers_through_the_binding_isolet(house: House, tmp_path: Path) -> None:
    function = house.deploy(asks("random"), tmp_path)
    for payload in (msgpack.packb([4]), msgpack.packb(4), b"\xdc\0\1\4"):
        answer = function.invoke(asking("isolet", "random", payload))
        assert isinstance(answer, bytes)
        assert len(answer) == 4


def test_a_capability_that_waits_suspends_the_guest(house: House, tmp_path: Path) -> None:
    function = house.deploy(asks("sleep"), tmp_path)
    assert function.invoke(asking("isolet", "sleep", b"\x91\5")) is None
    assert [(wait.kind, wait.argument) for wait in function.waits] == [("sleep", 0.005)]


@pytest.mark.parametrize(
    ("binding", "operation", "payload", "said"),
    [
        ("wasmcc", "sleep", b"\x91\1", "no binding 'wasmcc'"),
        ("isolet", "nonesuch", b"", "no capability of this name"),
        ("isolet", "sleep   ", b"\x91\1", "no capability of this name"),
        ("isolet", "\xff", b"", "no capability"),
        ("isolet", "nonesuch", b"\xc1", "malformed"),
        ("isolet", "nonesuch", b"\x92\1", "malformed"),
        ("isolet", "nonesuch", b"\x91\1\1", "malformed"),
    ],
    ids=repr,
)
def test_a_request_that_is_not_served_is_the_hosts_error_for_the_guest(
    house: House, tmp_path: Path, binding: str, operation: str, payload: bytes, said: str
) -> None:
    error = house.deploy(guest(ASKS, "8"), tmp_path).refused(asking(binding, operation, payload))
    assert error.raised_type == "GuestError"
    assert said in error.message


# ── the pass ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_module_that_is_no_wapc_guest_stays_the_same_object() -> None:
    ours = wat('(module (func (export "isolet_handle")) (func (export "__guest_call")))')
    other = wat('(module (func (export "f")))')
    named = wat('(module (global (export "__guest_call") i32 (i32.const 0)))')
    for wasm in (ours, other, named):
        assert adapt(wasm) is wasm


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('(func (export "__guest_call") (param i32) (result i32) (i32.const 0))', "waPC has it as"),
        (ECHO + '(func (export "wapc_init") (param i32))', "`wapc_init`"),
        (ECHO + '(func (export "_start") (result i32) (i32.const 0))', "`_start`"),
    ],
)
def test_exports_of_other_types_are_refused_by_name(body: str, said: str) -> None:
    with pytest.raises(ModuleInvalid, match="SDK") as caught:
        adapt(guest(body))
    assert said in caught.value.message


def test_a_guest_that_cannot_ask_for_its_request_is_refused() -> None:
    body = '(func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))'
    with pytest.raises(ModuleInvalid, match="__guest_request"):
        adapt(guest(body, head=""))


def test_a_guest_without_code_of_its_own_is_one_too(house: House, tmp_path: Path) -> None:
    head = HEAD + '(import "wasi_snapshot_preview1" "args_sizes_get" (func $f (param i32 i32) (result i32)))'
    error = house.deploy(guest('(export "__guest_call" (func $f))', head=head), tmp_path).refused(None)
    assert error.raised_type == "GuestError"


def test_whatever_the_bytes_are_they_are_adapted_or_refused() -> None:
    whole = guest(ECHO + '(func (export "wapc_init")) (global $g (mut i32) (i32.const 7)) (table 2 funcref)')
    seed = 20261120
    chance = random.Random(seed)
    adapted = 0
    for _ in range(3_000):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(8, len(raw))] = chance.choice((chance.randrange(256), 0, 1, 0x7F, 0x80, 0xFF))
        spoilt = bytes(raw)
        with contextlib.suppress(ModuleInvalid):
            adapted += adapt(spoilt) is not spoilt
    assert adapted > 100, f"seed {seed}"


def test_indices_of_what_was_there_stay() -> None:
    before = guest(ECHO + "(global $g (mut i32) (i32.const 7)) (table 2 funcref) (elem (i32.const 0) 9)")
    was, now = sections.parse(before), sections.parse(adapt(before))
    assert now.imports == was.imports
    assert now.functions[: len(was.functions)] == was.functions
    assert [now.wasm[b.start : b.end] for b in now.bodies[: len(was.bodies)]] == [
        was.wasm[b.start : b.end] for b in was.bodies
    ]
    assert [e.functions for e in now.elements] == [e.functions for e in was.elements]
    assert len(now.globals) == len(was.globals) + 2
    exported = {e.name for e in now.exports}
    assert {"isolet_buffer", "isolet_handle", "memory"} <= exported
    assert "isolet_init" not in exported


def test_the_old_name_of_wasi_is_understood_where_it_means_the_same() -> None:
    head = (
        HEAD
        + """
      (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
      (import "wasi_unstable" "fd_seek" (func (param i32 i64 i32 i32) (result i32)))"""
    )
    imported = [(i.module, i.name) for i in sections.parse(adapt(guest(ECHO, head=head))).imports][-2:]
    assert imported == [("wasi_snapshot_preview1", "fd_write"), ("wasi_unstable", "fd_seek")]


@pytest.mark.parametrize("command", [-1, -2, -3, -4])
@pytest.mark.parametrize("argument", [0, 4096, -1])
@pytest.mark.parametrize("form", ["msgpack", "json", "raw"])
def test_a_guest_that_speaks_as_the_glue_harms_itself_alone(
    house: House, tmp_path: Path, command: int, argument: int, form: str
) -> None:
    body = f"""
      (func (export "wapc_init") (call $host_error (i32.const 0)) (call $request (i32.const 0) (i32.const 0)))
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const {command}) (i32.const {argument}))
        (call $request (i32.const {command}) (i32.const {argument}))
        (i32.const 1))"""
    function = house.deploy(guest(body), tmp_path, form=form)
    with contextlib.suppress(GuestError):
        function.invoke("event")


@pytest.mark.parametrize("form", ["msgpack", "json", "raw"])
@pytest.mark.parametrize(
    "event", ["c1", "a1ff", "8101c0", "81c0c0", "81c40161c0", "d40101", "dd", "91" * 1500 + "c0", "cb7ff8000000000000"]
)
def test_an_envelope_of_a_guests_own_making_ends_it_as_its_own_fault(
    house: House, tmp_path: Path, event: str, form: str
) -> None:
    raw = b"\x82\xa5event" + bytes.fromhex(event)
    data = "".join(f"\\{byte:02x}" for byte in raw)
    body = f"""
      (data (i32.const 4096) "{data}")
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const -1) (i32.const 4096))
        (call $request (i32.const -2) (i32.const {len(raw)}))
        (i32.const 1))"""
    with contextlib.suppress(GuestError):
        house.deploy(guest(body), tmp_path, form=form).invoke("event")


def test_an_envelope_is_taken_apart_once(house: House, tmp_path: Path) -> None:
    body = """
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const -1) (i32.const 0))
        (call $request (i32.const -2) (i32.const 65536))
        (i32.const 1))"""
    with pytest.raises(AbiViolation, match="come already"):
        house.deploy(guest(body), tmp_path).invoke("event")


def test_what_is_longer_than_any_event_is_not_read(house: House, tmp_path: Path) -> None:
    body = """
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 0) (i32.const 8000000)) (i32.const 1))"""
    with pytest.raises(AbiViolation, match="longer"):
        house.deploy(guest(body, "130"), tmp_path, memory_mb=16).invoke("event")
    names = """
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $host_call (i32.const 0) (i32.const 1025) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"""
    with pytest.raises(AbiViolation, match="1,024"):
        house.deploy(guest(names), tmp_path).invoke("event")


def test_of_an_error_a_person_reads_the_beginning(house: House, tmp_path: Path) -> None:
    body = """
      (func (export "__guest_call") (param i32 i32) (result i32)
        (memory.fill (i32.const 0) (i32.const 0x78) (i32.const 100000))
        (call $error (i32.const 0) (i32.const 100000)) (i32.const 0))"""
    assert house.deploy(guest(body), tmp_path).refused(None).message == "x" * 65_536


def test_what_has_no_form_in_json_is_a_typed_error(house: House, tmp_path: Path) -> None:
    assert house.deploy(guest(ECHO), tmp_path, form="json").refused(float("nan")).raised_type == "PayloadInvalid"
