"""What the ABI forbids is refused before the engine sees it, with the value and the cure."""

from __future__ import annotations

from typing import Any

import pytest

from isolet import limits
from isolet.engine.engine import wat
from isolet.engine.host import HostFunction
from isolet.errors import ModuleInvalid
from isolet.snapshot.validate import validate

MEMORY = 16 * limits.MIB


def nothing(*_: Any) -> int:
    return 0


IMPORTS = (
    HostFunction("isolet", "log", "iii", "", nothing),
    HostFunction("wasi_snapshot_preview1", "clock_time_get", "iIi", "i", nothing),
)

EXPORTS = {
    "memory": '(memory (export "memory") 1)',
    "isolet_buffer": '(func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))',
    "isolet_handle": '(func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0))',
}


def guest(*more: str, **instead: str) -> bytes:
    """The smallest guest, with `more` in front and some exports replaced."""
    return wat(f"(module {' '.join(more)} {' '.join((EXPORTS | instead).values())})")


def refusal(wasm: bytes, memory_bytes_max: int = MEMORY) -> str:
    with pytest.raises(ModuleInvalid) as refused:
        validate(wasm, IMPORTS, memory_bytes_max)
    return refused.value.message


@pytest.mark.parametrize(
    "more",
    [
        (),
        ('(import "isolet" "log" (func (param i32 i32 i32)))',),
        ('(import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))',),
        ('(func (export "_initialize"))', '(func (export "isolet_init"))'),
        ('(func $s) (start $s) (table 5 funcref) (global (export "more") i32 (i32.const 1))',),
    ],
)
def test_guest_of_the_abi_is_accepted(more: tuple[str, ...]) -> None:
    assert validate(guest(*more), IMPORTS, MEMORY).memories == ((1, None),)


REFUSED = {
    "no memory": (guest(memory=""), "defines 0 memories"),
    "memory not exported": (guest(memory="(memory 1)"), "--export-memory"),
    "a global named memory": (
        guest('(memory 1) (global (export "memory") i32 (i32.const 0))', memory=""),
        "--export-memory",
    ),
    "imported memory": (
        guest('(import "env" "memory" (memory 1))', memory=""),
        "imports the memory `env.memory`, and only functions may be imported; define it in the module",
    ),
    "imported table": (guest('(import "env" "table" (table 1 funcref))'), "imports the table `env.table`"),
    "imported global": (guest('(import "env" "g" (global i32))'), "imports the global `env.g`"),
    "no handler": (guest(isolet_handle=""), "does not export `isolet_handle`; write the function with an SDK"),
    "no buffer": (guest(isolet_buffer=""), "does not export `isolet_buffer`"),
    "handler of another type": (
        guest(isolet_handle='(func (export "isolet_handle") (param i32 i32) (result i32) (i32.const 0))'),
        "`isolet_handle` is (i32, i32) -> (i32), and it must be (i32, i32) -> (i64)",
    ),
    "handler that is a global": (
        guest(isolet_handle='(global (export "isolet_handle") i32 (i32.const 0))'),
        "`isolet_handle` is a global, and it must be a function (i32, i32) -> (i64)",
    ),
    "initialiser with a parameter": (
        guest('(func (export "isolet_init") (param i32))'),
        "`isolet_init` is (i32) -> (), and it must be () -> ()",
    ),
    "a program": (guest('(func (export "_start"))'), "-mexec-model=reactor"),
    "our names": (guest('(func (export "__isolet_table_0"))'), "which is reserved; rename it"),
    "unknown import of ours": (
        guest('(import "isolet" "launch" (func))'),
        "imports `isolet.launch`, which does not exist; see sdk/abi.md",
    ),
    "unknown import of WASI": (
        guest('(import "wasi_snapshot_preview1" "sock_open" (func))'),
        "`wasi_snapshot_preview1.sock_open`, which does not exist",
    ),
    "undefined symbol": (guest('(import "env" "printf" (func))'), "define that function"),
    "a browser's import": (guest('(import "gojs" "runtime.wasmExit" (func))'), "build for wasm32-wasi"),
    "import of another type": (
        guest('(import "isolet" "log" (func (param i32 i32)))'),
        "imports `isolet.log` as (i32, i32) -> (), and it is (i32, i32, i32) -> ()",
    ),
    "memory larger than the function's": (
        guest(memory='(memory (export "memory") 257)'),
        "starts with 16.1 MiB of memory, and the function has 16; raise `memory_mb`",
    ),
    "many tables": (guest("(table 0 funcref)" * 5), "has 5 tables, and at most 4"),
    "a giant table": (guest("(table 100001 funcref)"), "table 0 starts with 100,001 elements"),
}


@pytest.mark.parametrize(("wasm", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_with_value_and_cure(wasm: bytes, reason: str) -> None:
    assert reason in refusal(wasm)


def test_module_larger_than_the_limit_is_refused_unread() -> None:
    assert "strip it" in refusal(bytes(limits.MODULE_BYTES_MAX + 1))


def test_text_is_refused_though_the_engine_would_take_it() -> None:
    assert "WebAssembly text" in refusal(b"(module)")


def test_export_of_nothing_is_refused() -> None:
    wasm = guest().replace(b"\x06memory\x02\x00", b"\x06memory\x02\x09")
    assert "`memory` is memory 9, but there are 1" in refusal(wasm)


def test_export_twice_is_refused() -> None:
    wasm = guest('(func (export "isolet_handlf"))').replace(b"isolet_handlf", b"isolet_handle")
    assert "exports `isolet_handle` twice" in refusal(wasm)


def test_hostile_names_are_shown_harmless() -> None:
    message = refusal(guest('(import "isolet" "\\0a\\1b[31m\\00" (func))'))
    assert message.isprintable()
    assert "\\n\\x1b[31m\\x00" in message
