"""Guests, written: what every attack needs around the one thing that it does.

Memory: constants below 1,024, the event in the second page, what lies beyond is the attack's. `$ptr` and `$len` are the
event's envelope, `$i`, `$j` and `$n` are for loops, and there are

    $choice   the event, a whole number below 128
    $text     where the event's text begins, and $text_len its bytes
    $answer   {"ok": a signed number} as the result of isolet_handle
    $ok       {"ok": what lies at a place, so many bytes of it, one msgpack value}

Imports are declared where their names are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

PAGE = 65_536
_WASI = "wasi_snapshot_preview1"
# (module, parameters, results), by the import's name.
IMPORTS: Mapping[str, tuple[str, str, str]] = {
    "call": ("isolet", "ii", "i"),
    "take": ("isolet", "i", "i"),
    "fail": ("isolet", "ii", ""),
    "library": ("isolet", "ii", "i"),
    "log": ("isolet", "iii", ""),
    "abort": ("env", "iiii", ""),
    "args_get": (_WASI, "ii", "i"),
    "args_sizes_get": (_WASI, "ii", "i"),
    "environ_get": (_WASI, "ii", "i"),
    "environ_sizes_get": (_WASI, "ii", "i"),
    "proc_exit": (_WASI, "i", ""),
    "random_get": (_WASI, "ii", "i"),
    "clock_time_get": (_WASI, "iIi", "i"),
    "poll_oneoff": (_WASI, "iiii", "i"),
    "sched_yield": (_WASI, "", "i"),
    "fd_allocate": (_WASI, "iII", "i"),
    "fd_close": (_WASI, "i", "i"),
    "fd_filestat_get": (_WASI, "ii", "i"),
    "fd_filestat_set_size": (_WASI, "iI", "i"),
    "fd_pwrite": (_WASI, "iiiIi", "i"),
    "fd_read": (_WASI, "iiii", "i"),
    "fd_readdir": (_WASI, "iiiIi", "i"),
    "fd_renumber": (_WASI, "ii", "i"),
    "fd_seek": (_WASI, "iIii", "i"),
    "fd_write": (_WASI, "iiii", "i"),
    "path_create_directory": (_WASI, "iii", "i"),
    "path_filestat_get": (_WASI, "iiiii", "i"),
    "path_open": (_WASI, "iiiiiIIii", "i"),
    "path_rename": (_WASI, "iiiiii", "i"),
    "path_symlink": (_WASI, "iiiii", "i"),
    "path_unlink_file": (_WASI, "iii", "i"),
    "sock_accept": (_WASI, "iii", "i"),
}
_TYPES = {"i": "i32", "I": "i64"}

_COMMON = r"""
  (func $choice (param $ptr i32) (result i32) (i32.load8_u offset=7 (local.get $ptr)))
  (func $text (param $ptr i32) (result i32) (local $kind i32)
    (local.set $kind (i32.load8_u offset=7 (local.get $ptr)))
    (if (i32.lt_u (local.get $kind) (i32.const 0xc0)) (then (return (i32.add (local.get $ptr) (i32.const 8)))))
    (if (i32.eq (local.get $kind) (i32.const 0xd9)) (then (return (i32.add (local.get $ptr) (i32.const 9)))))
    (i32.add (local.get $ptr) (i32.const 10)))
  (func $text_len (param $ptr i32) (result i32) (local $kind i32)
    (local.set $kind (i32.load8_u offset=7 (local.get $ptr)))
    (if (i32.lt_u (local.get $kind) (i32.const 0xc0)) (then (return (i32.and (local.get $kind) (i32.const 31)))))
    (if (i32.eq (local.get $kind) (i32.const 0xd9)) (then (return (i32.load8_u offset=8 (local.get $ptr)))))
    (i32.or (i32.shl (i32.load8_u offset=8 (local.get $ptr)) (i32.const 8)) (i32.load8_u offset=9 (local.get $ptr))))
  (func $answer (param $n i32) (result i64)
    (i32.store (i32.const 1000) (i32.const 0x6b6fa281)) (i32.store8 (i32.const 1004) (i32.const 0xd2))
    (i32.store8 (i32.const 1005) (i32.shr_u (local.get $n) (i32.const 24)))
    (i32.store8 (i32.const 1006) (i32.shr_u (local.get $n) (i32.const 16)))
    (i32.store8 (i32.const 1007) (i32.shr_u (local.get $n) (i32.const 8)))
    (i32.store8 (i32.const 1008) (local.get $n))
    (i64.const 0x000003e8_00000009))
  (func $ok (param $at i32) (param $len i32) (result i64)
    (i32.store (i32.sub (local.get $at) (i32.const 4)) (i32.const 0x6b6fa281))
    (i64.or (i64.shl (i64.extend_i32_u (i32.sub (local.get $at) (i32.const 4))) (i64.const 32))
      (i64.extend_i32_u (i32.add (local.get $len) (i32.const 4)))))
"""


def guest(
    handle: str,
    *,
    fields: str = "",
    pages: int = 4,
    data: Mapping[int, bytes] | None = None,
    buffer: str = f"(i32.const {PAGE})",
    rest: Sequence[str] = (),
) -> str:
    """A module's text. `handle` is the body of `isolet_handle`, `buffer` of `isolet_buffer`; `fields` and `rest` are
    what else it has, before and after its functions."""
    body = "\n".join([handle, fields, buffer, *rest])
    imports = "\n  ".join(
        f'(import "{module}" "{name}" (func ${name} {_types("param", takes)} {_types("result", gives)}))'
        for name, (module, takes, gives) in IMPORTS.items()
        if re.search(rf"\$\b{name}\b", body)
    )
    constants = "\n  ".join(f'(data (i32.const {at}) "{_escaped(content)}")' for at, content in (data or {}).items())
    return f"""(module
  {imports}
  (memory (export "memory") {pages})
  {constants}
  {fields}
  {_COMMON}
  (func (export "isolet_buffer") (param $len i32) (result i32) {buffer})
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (local $i i32) (local $j i32) (local $n i32)
    {handle})
  {" ".join(rest)})"""


def chosen(behaviours: Sequence[str], **more: object) -> str:
    """A guest with many behaviours: its event says which one, by its number."""
    functions = [
        f"""(func $b{number} (param $ptr i32) (param $len i32) (result i64)
      (local $i i32) (local $j i32) (local $n i32) {body})"""
        for number, body in enumerate(behaviours)
    ]
    cases = "".join(
        f"(if (i32.eq (call $choice (local.get $ptr)) (i32.const {number}))"
        f" (then (return (call $b{number} (local.get $ptr) (local.get $len)))))\n"
        for number in range(len(behaviours))
    )
    assert len(behaviours) < 128, "a number of one byte says which"
    return guest(f"{cases} unreachable", rest=functions, **more)  # type: ignore[arg-type]


def forever(work: str) -> str:
    return f"(loop $ever {work} (br $ever)) (i64.const 0)"


def _types(word: str, letters: str) -> str:
    return f"({word} {' '.join(_TYPES[letter] for letter in letters)})" if letters else ""


def _escaped(content: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in content)
