"""What tenants' code tries while it runs: each attack ends as a typed error of its own, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from hostile.house import (
    EXECUTION,
    TARPIT,
    Case,
    Expected,
    House,
    Seen,
    answers,
    fails,
    module,
    not_built,
    parameters,
    refused,
    trapped,
    until,
)
from hostile.writing import PAGE, chosen, forever, guest
from isolet import limits
from isolet.hostcalls import errno

SHORT = {"Tags": {"isolet:timeout_s": "0.3"}}
LONG = {"Timeout": 60}
LOOPED = fails("Sandbox.Timedout", "Task timed out after 0.30 seconds")
SPENT = fails("Runtime.OutOfFuel", "raise `fuel`")


def fuel(amount: int, **more: Any) -> dict[str, Any]:
    return {"Tags": {"isolet:fuel": str(amount)}, **more}


def execution(name: str, given: Any, expected: Expected, event: Any = None, **settings: Any) -> Case:
    return Case(name, EXECUTION, given, expected, event, settings)


# ── traps ───────────────────────────────────────────────────────────────────────────────────────────────────────

_TRAPPING = r"""
  (table $t 4 funcref) (table $empty 1 funcref) (elem (table $t) (i32.const 0) func $one $down)
  (elem $gone funcref (ref.func $one))
  (data $dropped "0123456789")
  (type $number (func (result i64)))
  (func $one)
  (func $down (param i64) (result i64) (i64.add (call $down (local.get 0)) (i64.const 1)))
  (func $there (param i64) (result i64) (i64.add (call $back (local.get 0)) (i64.const 1)))
  (func $back (param i64) (result i64) (i64.add (call $there (local.get 0)) (i64.const 1)))
  (func $around (param i64) (result i64)
    (i64.add (call_indirect (param i64) (result i64) (local.get 0) (i32.const 1)) (i64.const 1)))
"""
# A trap's name, what makes it, what the error says.
TRAPS = {
    "unreachable": ("unreachable", "an unreachable instruction"),
    "a load beyond memory": ("(drop (i32.load (i32.const -4))) unreachable", "outside linear memory"),
    "a store whose address and offset overflow": (
        "(i32.store offset=0xffffffff (i32.const -1) (i32.const 1)) unreachable",
        "outside linear memory",
    ),
    "a 16-byte load across the end": ("(drop (v128.load (i32.const 262136))) unreachable", "outside linear memory"),
    "memory.fill across the end": (
        "(memory.fill (i32.const 262000) (i32.const 1) (i32.const 1000)) unreachable",
        "outside linear memory",
    ),
    "memory.copy from beyond": (
        "(memory.copy (i32.const 0) (i32.const -1) (i32.const 1)) unreachable",
        "outside linear memory",
    ),
    "memory.init of dropped data": (
        "(data.drop $dropped) (memory.init $dropped (i32.const 0) (i32.const 0) (i32.const 4)) unreachable",
        "outside linear memory",
    ),
    "a call beyond the table": ("(call_indirect (i32.const 9)) (i64.const 0)", "a table access out of bounds"),
    "a call through an empty slot": ("(call_indirect (i32.const 3)) (i64.const 0)", "empty table slot"),
    "a call by another signature": ("(call_indirect (type $number) (i32.const 0))", "another signature"),
    "table.get beyond the table": ("(drop (table.get $t (i32.const 4))) unreachable", "a table access out of bounds"),
    "table.init of dropped elements": (
        "(elem.drop $gone) (table.init $t $gone (i32.const 0) (i32.const 0) (i32.const 1)) unreachable",
        "a table access out of bounds",
    ),
    "table.fill across the end": (
        "(table.fill $t (i32.const 3) (ref.null func) (i32.const 9)) unreachable",
        "a table access out of bounds",
    ),
    "an overflow in a division": (
        "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1))) unreachable",
        "an integer overflow",
    ),
    "a division by zero": ("(i64.rem_u (i64.const 1) (i64.const 0))", "an integer division by zero"),
    "a conversion of NaN": ("(i64.trunc_f64_s (f64.const nan))", "a float that does not fit"),
    "a conversion of a large float": ("(i64.trunc_f64_s (f64.const 1e300))", "an integer overflow"),
    "recursion without an end": ("(call $down (i64.const 0))", "call stack is exhausted"),
    "two functions that call each other": ("(call $there (i64.const 0))", "call stack is exhausted"),
    "recursion through a table": ("(call $back (call $down (i64.const 1)))", "call stack is exhausted"),
}
_TRAPS = chosen([body for body, _ in TRAPS.values()], fields=_TRAPPING)
TRAP_CASES = [
    execution(f"trap: {name}", _TRAPS, trapped(says), number) for number, (name, (_, says)) in enumerate(TRAPS.items())
]

# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

LOOPS = {
    "an empty loop": "",
    "memory.grow that is refused, over and over": "(drop (memory.grow (i32.const 65000)))",
    "memory.fill of 64 MiB": "(drop (memory.grow (i32.const 1024)))"
    " (memory.fill (i32.const 262144) (i32.const 7) (i32.const 60000000))",
    "memory.copy of 32 MiB onto itself": "(drop (memory.grow (i32.const 1024)))"
    " (memory.copy (i32.const 262145) (i32.const 262144) (i32.const 32000000))",
    "memory.init, over and over": "(memory.init $large (i32.const 131072) (i32.const 0) (i32.const 100000))",
    "table.fill, over and over": "(drop (table.grow $t (ref.null func) (i32.const 90000)))"
    " (table.fill $t (i32.const 0) (ref.null func) (i32.const 90000))",
    "table.copy, over and over": "(drop (table.grow $t (ref.null func) (i32.const 90000)))"
    " (table.copy (i32.const 1) (i32.const 0) (i32.const 80000))",
    "a byte in each page": "(drop (memory.grow (i32.const 1024)))"
    " (local.set $i (i32.const 0)) (loop $page (i32.store8 (i32.mul (local.get $i) (i32.const 4096)) (i32.const 1))"
    " (br_if $page (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16384))))",
    "denormal numbers": "(f64.store (i32.const 0) (f64.mul (f64.load (i32.const 8)) (f64.const 0.9999999)))",
    "square roots and divisions": "(f64.store (i32.const 0) (f64.sqrt (f64.div (f64.const 1e-310) (f64.const 3.3))))",
    "a branch table of one branch": "(block $x (br_table $x $x (i32.const 7)))",
}
_LOOPS = chosen(
    [forever(work) for work in LOOPS.values()],
    fields=f'(table $t 1 100000 funcref) (data $large "{"a" * 100_000}")',
    data={8: bytes.fromhex("0100000000000000")},
)
LOOP_CASES = [execution(f"for ever: {name}", _LOOPS, LOOPED, number, **SHORT) for number, name in enumerate(LOOPS)] + [
    execution("for ever: an empty loop, by its fuel", _LOOPS, SPENT, 0, **fuel(1_000_000)),
    execution("for ever: memory.fill, by its fuel", _LOOPS, SPENT, 2, **fuel(1_000_000)),
]

# ── host calls ──────────────────────────────────────────────────────────────────────────────────────────────────

# A request of each kind: at 16 its bytes, at 0 a vector of nothing, at 8 one of 4 KiB.
STORMS = {
    "isolet.call of nothing": "(drop (call $call (i32.const 16) (i32.const 0)))",
    "sleep 0": "(drop (call $call (i32.const 16) (i32.const 8)))",
    "random 16": "(drop (call $call (i32.const 32) (i32.const 9)))",
    "isolet.take": "(drop (call $take (i32.const 0)))",
    "isolet.log": "(call $log (i32.const 2) (i32.const 16) (i32.const 8))",
    "isolet.library": "(drop (call $library (i32.const 16) (i32.const 8)))",
    "clock_time_get": "(drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 900)))",
    "random_get": "(drop (call $random_get (i32.const 900) (i32.const 16)))",
    "sched_yield": "(drop (call $sched_yield))",
    "poll_oneoff of nothing": "(drop (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 900)))",
    "fd_write of nothing": "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 900)))",
    "fd_write of 4 KiB": "(drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 900)))",
    "fd_read of stdin": "(drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 900)))",
    "fd_readdir": "(drop (call $fd_readdir (i32.const 3) (i32.const 900) (i32.const 64) (i64.const 0)"
    " (i32.const 990)))",
    "fd_close of what is not open": "(drop (call $fd_close (i32.const 77)))",
    "environ_get": "(drop (call $environ_get (i32.const 4096) (i32.const 8192)))",
    "args_sizes_get": "(drop (call $args_sizes_get (i32.const 900) (i32.const 904)))",
    "path_filestat_get": "(drop (call $path_filestat_get (i32.const 4) (i32.const 0) (i32.const 16) (i32.const 4)"
    " (i32.const 512)))",
    "path_create_directory": "(drop (call $path_create_directory (i32.const 4) (i32.const 56) (i32.const 1)))",
    "sock_accept": "(drop (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 900)))",
}
_STORMS = chosen(
    [forever(work) for work in STORMS.values()],
    data={8: b"\0\x20\0\0\0\x10\0\0", 16: b"\x92\xa5sleep\0", 32: b"\x92\xa6random\x10", 56: b"d"},
)
STORM_CASES = [
    execution(f"host calls for ever: {name}", _STORMS, SPENT, number, **fuel(50_000_000, Timeout=60))
    for number, name in enumerate(STORMS)
] + [
    execution(
        "host calls for ever: the cheapest, by their number",
        _STORMS,
        fails("Runtime.OutOfFuel", "made more than 100,000 host calls"),
        6,
        **LONG,
    )
]

# ── memory, tables, what initialisation keeps for later ─────────────────────────────────────────────────────────

_GROWS = "(loop $more (br_if $more (i32.ne ({}) (i32.const -1))))"
SPACE_CASES = [
    execution(
        "memory.grow until it is refused, then a trap",
        "grow_until_refused.wat",
        fails("Runtime.OutOfMemory", "raise `memory_mb`"),
    ),
    execution(
        "memory.grow until it is refused, then an answer",
        guest(_GROWS.format("memory.grow (i32.const 1)") + "(call $answer (memory.size))"),
        answers(128 * 16),
    ),
    execution(
        "table.grow until it is refused",
        guest(
            _GROWS.format("table.grow $t (ref.null func) (i32.const 1000)") + "(call $answer (table.size $t))",
            fields="(table $t 1 funcref)",
        ),
        answers(99_001),
    ),
    execution("more memory at birth than it may have", guest("unreachable", pages=4_000), not_built("memory")),
    execution("two memories", guest("unreachable", fields="(memory 1)"), not_built("a guest has exactly one")),
    execution(
        "a hundred memories of 64 MiB",
        guest("unreachable", fields="(memory 1024)" * 99),
        not_built("a guest has exactly one"),
    ),
    execution("a memory of 64 bits", '(module (memory (export "memory") i64 1))', not_built("memory64")),
    execution("a table of a million", guest("unreachable", fields="(table 1000000 funcref)"), not_built("table")),
    execution("five tables", guest("unreachable", fields="(table 1 funcref)" * 5), not_built("table")),
    execution(
        "a start function that never ends", "start_loop.wat", not_built("the start function: it took more than 10 s")
    ),
    execution(
        "an initialiser that waits for the first invocation, then never ends",
        guest(
            "(i64.const 0)",
            data={16: b"\x92\xa5sleep\0"},
            rest=[
                '(func (export "isolet_init") (if (i32.ge_s (call $call (i32.const 16) (i32.const 8)) (i32.const 0))'
                " (then (loop (br 0)))))"
            ],
        ),
        LOOPED,
        **SHORT,
    ),
    execution(
        "a start function that waits for the first invocation, then never ends",
        guest(
            "(i64.const 0)",
            data={16: b"\x92\xa5sleep\0"},
            rest=[
                "(start $begin) (func $begin (if (i32.ge_s (call $call (i32.const 16) (i32.const 8)) (i32.const 0))"
                " (then (loop (br 0)))))"
            ],
        ),
        LOOPED,
        **SHORT,
    ),
]

# ── the host's side of a call ───────────────────────────────────────────────────────────────────────────────────

LARGE = b'"' + b"a" * 100_000 + b'"'  # longer than the buffer of the snapshot: isolet_buffer is called again


def reentered(name: str, then: str, expected: Expected, event: Any = LARGE, **settings: Any) -> Case:
    """An `isolet_buffer` that does something else when the host calls it during an invocation."""
    fits = f"(if (i32.le_u (local.get $len) (i32.const 65536)) (then (return (i32.const {PAGE}))))"
    given = guest(
        "(call $answer (i32.const 7))",
        buffer=f"{fits} {then}",
        data={16: b"\x92\xa5sleep\x01", 32: b"\x81\xa5error\x81\xa7message\xa4mine"},
        pages=5,
    )
    return execution(f"isolet_buffer during an invocation: {name}", given, expected, event, **settings)


REENTRY_CASES = [
    reentered("never ends", "(loop (br 0)) (i32.const 0)", LOOPED, **SHORT),
    reentered("traps", "unreachable", trapped("unreachable")),
    reentered("sleeps", f"(drop (call $call (i32.const 16) (i32.const 8))) (i32.const {PAGE})", answers(7)),
    reentered("fails", "(call $fail (i32.const 32) (i32.const 21)) unreachable", fails("Error", "mine")),
    reentered("exits", "(call $proc_exit (i32.const 1)) unreachable", fails("Runtime.ExitError")),
    execution(
        "a guest that calls itself by the host's names",
        guest(
            "(if (result i64) (i32.eqz (global.get $deep)) (then (global.set $deep (i32.const 1))"
            " (call $handle (call $buffer (i32.const 10)) (local.get $len))) (else (call $answer (global.get $deep))))",
            fields="(global $deep (mut i32) (i32.const 0))",
        )
        .replace('(func (export "isolet_handle")', '(func $handle (export "isolet_handle")')
        .replace('(func (export "isolet_buffer")', '(func $buffer (export "isolet_buffer")'),
        answers(1),
    ),
]

# ── names, logs ─────────────────────────────────────────────────────────────────────────────────────────────────


def named(function: bytes) -> bytes:
    """A module that traps in a function of this name: in its custom section `name`, which backtraces read."""
    plain = module(guest("unreachable"))

    def sized(content: bytes) -> bytes:
        return leb(len(content)) + content

    names = b"".join(leb(index) + sized(function) for index in range(6))
    subsection = b"\x01" + sized(leb(6) + names)
    return plain + b"\0" + sized(sized(b"name") + subsection)


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def exporting(name: str) -> str:
    return guest("unreachable", rest=[f'(export "{name}" (memory 0))'])


_NOISE = "plain\0nul\x1b[31mred\x1b[0m\r\nforged\x07\u202egnp.exe\x9b2J\u2028line".encode()
_NOISE_OUT = {0: b"\0\x20\0\0" + len(_NOISE).to_bytes(4, "little"), 8_192: _NOISE}
_FORGED = msgpack.packb({"error": {"type": "a\x1b[2J\n", "message": "b\0\r\n"}})
NAME_CASES = [
    execution("a function's name of 5 MB", named(b"n" * 5_000_000), trapped("unreachable")),
    execution("a function's name with newline, ESC and NUL", named(b"a\nb\x1b[2Jc\0d"), trapped("unreachable")),
    execution("a function's name that is not UTF-8", named(b"\xff\xfe"), trapped("unreachable")),
    execution("an export's name of 5 KB", exporting("n" * 5_000), not_built("name")),
    execution("an export's name with control characters", exporting("a\\0a\\1b[2J\\00"), trapped("unreachable")),
    execution(
        "AssemblyScript's abort with a broken surrogate",
        guest(
            "(call $abort (i32.const 20) (i32.const 0) (i32.const 1) (i32.const 2)) unreachable",
            data={16: b"\x06\0\0\0h\0\0\xd8\x1b\0"},
        ),
        fails("AbortError", "h"),
    ),
    execution(
        "an error's type and message with control characters",
        guest(f"(i64.const {(512 << 32) + len(_FORGED)})", data={512: _FORGED}),
        fails("a\x1b[2J\n", "b\0\r\n"),
    ),
]


def logs(name: str, work: str, check: Any, **settings: Any) -> Case:
    """A guest that logs, and what its log must be then."""
    given = module(
        guest(f"{work} (call $answer (i32.const 1))", data=_NOISE_OUT)
        if "ever" not in work
        else guest(work, data=_NOISE_OUT)
    )

    def script(house: House) -> Seen:
        function = house.hostile.deploy(f"logs-{uuid.uuid4()}", given, **settings)
        try:
            answer = house.hostile.invoke(function)
            lines: list[str] = []

            def complete() -> bool:
                lines[:] = house.hostile.log_lines(function)
                return any(line.startswith("REPORT") for line in lines)

            until(complete, "the log is complete")
            lines = [line for line in lines if not line.startswith(("START", "END", "REPORT"))]
            assert all(line.replace("\t", "").isprintable() for line in lines), "nothing that a terminal would obey"
            assert max((len(line.encode()) for line in lines), default=0) <= limits.LOG_LINE_BYTES_MAX
            assert sum(map(len, lines)) <= limits.LOG_INVOCATION_BYTES_MAX + limits.LOG_LINE_BYTES_MAX
            check(lines)
        finally:
            house.hostile.remove(function)
        return answer

    return Case(f"log: {name}", EXECUTION, script, answers())


def _noise_is_two_lines(lines: list[str]) -> None:
    assert len(lines) == 2, lines
    assert lines[0].startswith("plain\\x00nul\\x1b[31mred\\x1b[0m")
    assert lines[1].startswith("forged\\x07")


def _is_cut(lines: list[str]) -> None:
    (line,) = lines
    assert line.endswith("…[cut]")


def _says_what_was_dropped(least: int) -> Any:
    def check(lines: list[str]) -> None:
        number, _, rest = lines[-1].partition(" ")
        assert rest.startswith("log lines dropped"), lines[-1]
        assert int(number) >= least

    return check


_TIMES = (
    "(local.set $n (i32.const {})) (loop $more {} (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
)
LOG_CASES = [
    logs(
        "control characters, escapes, a forged line",
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 900)))",
        _noise_is_two_lines,
    ),
    logs(
        "a line of 10 MB",
        "(drop (memory.grow (i32.const 200))) (memory.fill (i32.const 262144) (i32.const 97) (i32.const 10485760))"
        " (call $log (i32.const 4) (i32.const 262144) (i32.const 10485760))",
        _is_cut,
    ),
    logs(
        "a million lines in few writes",
        "(drop (memory.grow (i32.const 4))) (memory.fill (i32.const 262144) (i32.const 10) (i32.const 65536))"
        " (i32.store (i32.const 0) (i32.const 262144)) (i32.store (i32.const 4) (i32.const 65536))"
        + _TIMES.format(16, "(drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 900)))"),
        _says_what_was_dropped(1_000_000),
        Timeout=60,
    ),
    logs(
        "99,000 lines, one by one",
        _TIMES.format(99_000, "(call $log (i32.const 9) (i32.const 8192) (i32.const 3))"),
        _says_what_was_dropped(80_000),
        Timeout=60,
    ),
    logs(
        "lines without an end on both streams",
        "(i32.store (i32.const 4) (i32.const 5))"
        + _TIMES.format(
            2_000,
            "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 900)))"
            "(drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 900)))",
        ),
        lambda lines: [_is_cut([line]) for line in lines] and None,
    ),
]

# ── WASI ────────────────────────────────────────────────────────────────────────────────────────────────────────

_STAT = (
    "(call $answer (call $path_filestat_get (i32.const {fd}) (i32.const 0)"
    " (call $text (local.get $ptr)) (call $text_len (local.get $ptr)) (i32.const 512)))"
)
_OPEN = (
    "(call $answer (call $path_open (i32.const {fd}) (i32.const 0) (call $text (local.get $ptr))"
    " (call $text_len (local.get $ptr)) (i32.const {oflags}) (i64.const -1) (i64.const -1) (i32.const 0)"
    " (i32.const 512)))"
)
PATHS = {
    "../../../etc/passwd": errno.PERM,
    "/etc/passwd": errno.PERM,
    "x/../../etc/passwd": errno.NOENT,
    "./././.././../proc/self/mem": errno.PERM,
    "..": errno.PERM,
    "function.wasm/../../keeper.db": errno.NOENT,
    "a\0b": errno.INVAL,
    "": errno.NOENT,
    "a" * 5_000: errno.NAMETOOLONG,
    "a/" * 2_000: errno.NOENT,
    "\\..\\..\\windows": errno.NOENT,
    "%2e%2e/%2e%2e/etc": errno.NOENT,
}
_TASK = guest(_STAT.format(fd=3))
PATH_CASES = [
    execution(f"a path out of /var/task: {json.dumps(path[:40])}", _TASK, answers(number), path)
    for path, number in PATHS.items()
] + [
    execution(
        "creating a file outside of /tmp",
        guest(_OPEN.format(fd=4, oflags=1)),
        answers(errno.PERM),
        "../var/task/function.wasm",
    ),
    execution(
        "overwriting the function's own code", guest(_OPEN.format(fd=3, oflags=9)), answers(errno.ROFS), "function.wasm"
    ),
    execution(
        "a symbolic link out of /tmp",
        guest(
            "(call $answer (call $path_symlink (call $text (local.get $ptr)) (call $text_len (local.get $ptr))"
            " (i32.const 4) (i32.const 16) (i32.const 1)))",
            data={16: b"l"},
        ),
        answers(errno.NOTSUP),
        "/etc/passwd",
    ),
]

_OPENS = (
    "(local.set $n (call $path_open (i32.const 4) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 1)"
    " (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 512)))"
    " (if (i32.eqz (local.get $n)) (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))"
)
WASI_CASES = [
    execution(
        "descriptors until there are no more",
        guest(f"(loop $more {_OPENS}) (call $answer (local.get $i))", data={16: b"f"}),
        answers(limits.DESCRIPTORS_MAX - 6),
        **LONG,
    ),
    execution(
        "files in /tmp until there are no more",
        guest(
            "(loop $more (i32.store8 (i32.const 16) (i32.add (i32.and (local.get $i) (i32.const 31)) (i32.const 65)))"
            " (i32.store8 (i32.const 17) (i32.add (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 65)))"
            + _OPENS.replace("(i32.const 16) (i32.const 1)", "(i32.const 16) (i32.const 2)", 1).replace(
                "(br $more)", "(drop (call $fd_close (i32.load (i32.const 512)))) (br $more)"
            )
            + ") (call $answer (local.get $n))",
        ),
        answers(errno.NOSPC),
        **LONG,
    ),
    execution(
        "/tmp until it is full",
        guest(
            f"{_OPENS.replace('(br $more)', '')}"
            " (loop $write (local.set $j (call $fd_write (i32.load (i32.const 512)) (i32.const 0) (i32.const 1)"
            " (i32.const 900))) (br_if $write (i32.eqz (local.get $j)))) (call $answer (local.get $j))",
            data={0: (2 * PAGE).to_bytes(4, "little") + (2 * PAGE).to_bytes(4, "little"), 16: b"f"},
        ),
        answers(errno.NOSPC),
        MemorySize=128,
        **LONG,
    ),
    execution(
        "a sparse file of an exabyte",
        guest(
            f"{_OPENS.replace('(br $more)', '')} (call $answer (call $fd_filestat_set_size (i32.load (i32.const 512))"
            " (i64.const 0x1000000000000000)))",
            data={16: b"f"},
        ),
        answers(errno.NOSPC),
    ),
    execution(
        "a write behind the end of an exabyte",
        guest(
            f"{_OPENS.replace('(br $more)', '')} (call $answer (call $fd_pwrite (i32.load (i32.const 512))"
            " (i32.const 0) (i32.const 1) (i64.const 0x1000000000000000) (i32.const 900)))",
            data={0: b"\x10\0\0\0\x01\0\0\0", 16: b"f"},
        ),
        answers(errno.NOSPC),
    ),
    execution(
        "poll_oneoff with a million subscriptions",
        guest(
            "(drop (memory.grow (i32.const 1500))) (call $answer (call $poll_oneoff (i32.const 0) (i32.const 65536)"
            " (i32.const 1000000) (i32.const 900)))"
        ),
        answers(errno.INVAL),
    ),
    execution(
        "poll_oneoff until the end of time",
        guest(
            "(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const -1))"
            " (call $answer (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)))"
        ),
        LOOPED,
        **SHORT,
    ),
    execution(
        "random_get of a gibibyte",
        guest("(call $answer (call $random_get (i32.const 0) (i32.const 1073741824)))"),
        fails("Runtime.AbiViolation", "outside the guest's memory"),
    ),
    execution(
        "random_get of all of its memory",
        guest(
            "(drop (memory.grow (i32.const 1500)))"
            " (call $answer (call $random_get (i32.const 0) (i32.mul (memory.size) (i32.const 65536))))"
        ),
        answers(errno.INVAL),
    ),
    execution(
        "its own stdout, closed and written to",
        guest(
            "(drop (call $fd_close (i32.const 1)))"
            " (call $answer (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 900)))"
        ),
        answers(errno.BADF),
    ),
    execution(
        "stderr renumbered over the preopened directories",
        guest(
            "(drop (call $fd_renumber (i32.const 2) (i32.const 3)))"
            " (call $answer (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1)"
            " (i32.const 512)))",
            data={16: b"f"},
        ),
        answers(errno.NOENT),
    ),
    execution("an exit with a number of its own", guest("(call $proc_exit (i32.const -1)) unreachable"),
              fails("Runtime.ExitError")),
    execution("an environment of 5 KB", guest("(i64.const 0)"),
              refused(400, "InvalidParameterValueException", "4KB"),
              Environment={"Variables": {"VALUE": "x" * 5_000}}),
    execution(
        "an environment that names the host's own variables",
        guest("(i64.const 0)"),
        refused(400, "InvalidParameterValueException", "reserved"),
        Environment={"Variables": {"AWS_LAMBDA_FUNCTION_NAME": "root"}},
    ),
]  # fmt: skip

# ── what it asks of others ──────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def tarpit() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server((TARPIT, 0), backlog=100) as listening:
        yield listening.getsockname()[1]


def asking(*request: Any) -> str:
    """A guest that asks one thing again and again, and answers the first reply."""
    packed = msgpack.packb(list(request))
    return guest(
        f"(local.set $n (call $call (i32.const 131072) (i32.const {len(packed)})))"
        " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (call $answer (local.get $n)))))"
        " (drop (call $take (i32.const 196608))) (call $ok (i32.const 196608) (local.get $n))",
        data={131_072: packed},
    )


def fetching(house: House, **entries: Any) -> Seen:
    with tarpit() as port:
        url = f"http://{TARPIT}:{port}/"
        tags = {"isolet:fetch": json.dumps([f"{TARPIT}:{port}"]), "isolet:timeout_s": "1"}
        name = house.hostile.deploy("tarpit", module(asking("fetch", {"url": url, **entries})), Tags=tags)
        try:
            answer = house.hostile.invoke(name)
            house.check_error(name, answer)
        finally:
            house.hostile.remove(name)
    return answer


def _told(answer: Seen) -> Seen:
    """An error that the guest was told by the host, as if it were its own."""
    error = answer.value["ok"]["error"] if "ok" in answer.value else answer.value["error"]
    return answer._replace(error=error["type"], says=error["message"])


def a_fetch_from_a_tarpit(house: House) -> Seen:
    return fetching(house)


def a_fetch_from_a_tarpit_with_patience(house: House) -> Seen:
    return _told(fetching(house, timeout_ms=100))


def itself(house: House, *, twice: bool = False, **tags: str) -> Seen:
    """A function that invokes itself, and answers what it was answered."""
    packed = msgpack.packb(["invoke", "itself", None])
    ask = f"(local.set $n (call $call (i32.const 131072) (i32.const {len(packed)})))"
    text = guest(
        (ask if twice else "") + ask + " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return"
        " (call $answer (local.get $n))))) (drop (call $take (i32.const 196608)))"
        " (call $ok (i32.const 196608) (local.get $n))",
        data={131_072: packed},
    )
    name = house.hostile.deploy("itself", module(text), Tags={"isolet:invoke": '["itself"]', **tags})
    try:
        answer = house.hostile.invoke(name)
    finally:
        house.hostile.remove(name)
    return answer


def deepest(value: Any) -> Any:
    while isinstance(value, dict) and "ok" in value:
        value = value["ok"]
    return value


def a_function_that_invokes_itself(house: House) -> Seen:
    answer = itself(house)
    error = deepest(answer.value)["error"]
    return answer._replace(error=error["type"], says=error["message"])


def a_tree_of_itself(house: House) -> Seen:
    return itself(house, twice=True, **{"isolet:timeout_s": "1"})


def a_circle_of_two(house: House) -> Seen:
    names = ("one", "other")
    for name, next_ in zip(names, reversed(names), strict=True):
        house.hostile.deploy(name, module(asking("invoke", next_, None)), Tags={"isolet:invoke": '["*"]'})
    try:
        answer = house.hostile.invoke("one")
    finally:
        for name in names:
            house.hostile.remove(name)
    error = deepest(answer.value)["error"]
    return answer._replace(error=error["type"], says=error["message"])


def calling_on_after_a_trap(house: House) -> Seen:
    """On one connection: a trap, then the same function; it must be another isolate."""
    name = house.hostile.deploy("traps", module(guest(
        "(local.set $n (i32.load (i32.const 64))) (i32.store (i32.const 64) (i32.const 1))"
        " (if (i32.eqz (call $choice (local.get $ptr))) (then unreachable)) (call $answer (local.get $n))"
    )))  # fmt: skip
    try:
        first = house.hostile.invoke(name, b"0")
        trapped("unreachable").check(first)
        return house.hostile.invoke(name, b"1")
    finally:
        house.hostile.remove(name)


OTHERS_CASES = [
    execution("a fetch from a tarpit", a_fetch_from_a_tarpit, fails("Sandbox.Timedout")),
    execution("a fetch from a tarpit, given up", a_fetch_from_a_tarpit_with_patience, Expected(200, "Timeout")),
    execution("a function that invokes itself", a_function_that_invokes_itself, Expected(200, "TooDeep")),
    execution("a function that invokes itself twice each time", a_tree_of_itself, fails("Sandbox.Timedout")),
    execution("two functions that invoke each other", a_circle_of_two, Expected(200, "TooDeep")),
    execution("calling on after a trap", calling_on_after_a_trap, answers(0)),
]


@pytest.mark.parametrize(
    "case",
    parameters(
        TRAP_CASES,
        LOOP_CASES,
        STORM_CASES,
        SPACE_CASES,
        REENTRY_CASES,
        NAME_CASES,
        LOG_CASES,
        PATH_CASES,
        WASI_CASES,
        OTHERS_CASES,
    ),
    ids=str,
)
def test_what_a_guest_tries_is_its_own_error(house: House, case: Case) -> None:
    house.attacked(case)
