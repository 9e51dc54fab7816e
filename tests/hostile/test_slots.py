"""Slots of the pool, used again: what one tenant's guest leaves behind, the next one's must not find.

One engine with one slot, so that every guest is born where the last one died. A writer dirties all that it has: each
byte of its memory, also of what it grew by, each element of its tables, its globals. Then a scanner of another module
is born in the same slot, grows to the same size, and counts what is not as its own module says. Writers and scanners
take turns of several kinds, since a slot that keeps its image is reset in another way than one that is mapped anew.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings, Template, wat
from isolet.engine.isolate import Isolate, drive
from isolet.errors import OutOfFuel, OutOfMemory, Trapped

PAGES_MAX = 40
# Memory is scanned in words; the scanner's own constants are where it says.
_SCAN = """
  (func (export "run")
    (local $at i32) (local $end i32) (local $found i32)
    (drop (memory.grow (i32.sub (i32.const {pages_max}) (memory.size))))
    (local.set $at (i32.const 64))
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (loop $word
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
        (then (if (i32.ne (local.get $at) (i32.const {constant_at}))
          (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))))
      (br_if $word (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
    (if (i64.ne (i64.load (i32.const {constant_at})) (i64.const 0x6161616161616161))
      (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
    (local.set $at (i32.const 0))
    (drop (table.grow $t (ref.null func) (i32.sub (i32.const 1000) (table.size $t))))
    (loop $element
      (if (i32.eqz (ref.is_null (table.get $t (local.get $at))))
        (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
      (br_if $element (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 1000))))
    (if (i64.ne (global.get $g) (i64.const 0)) (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
    (i32.store (i32.const 0) (local.get $found)) (i32.store (i32.const 4) (i32.const 1)))
"""
_WRITE = """
  (func $f) (elem declare func $f)
  (func (export "run")
    (drop (memory.grow (i32.sub (i32.const {pages_max}) (memory.size))))
    (memory.fill (i32.const 0) (i32.const 0xa5) (i32.mul (memory.size) (i32.const 65536)))
    (drop (table.grow $t (ref.func $f) (i32.sub (i32.const 1000) (table.size $t))))
    (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1000))
    (global.set $g (i64.const -1)) {end})
"""


def _module(body: str, pages: int, table: int, constant_at: int, end: str = "") -> bytes:
    functions = body.format(pages_max=PAGES_MAX, constant_at=constant_at, end=end)
    data = f'(data (i32.const {constant_at}) "aaaaaaaa")'
    return wat(f"""(module (memory (export "memory") {pages}) (table $t {table} funcref)
      (global $g (mut i64) (i64.const 0)) {data} {functions})""")


WRITERS = {
    "one page": (1, 1, 1_024, ""),
    "as large as it may be": (PAGES_MAX, 1000, 100_000, ""),
    "an image beyond what stays resident": (20, 500, 1_200_000, ""),
    "it traps": (3, 10, 1_024, "unreachable"),
    "its fuel ends": (3, 10, 1_024, "(loop (br 0))"),
}
SCANNERS = {"one page": (1, 1, 2_048), "three pages": (3, 10, 140_000), "twenty": (20, 500, 1_300_000)}


class Slot:
    """An engine with one slot, and the modules that take turns in it."""

    def __init__(self, directory: Path) -> None:
        self.engine = Engine(EngineSettings(isolates_max=1))
        self.directory = directory
        self.writers = [self._template(_module(_WRITE, *given)) for given in WRITERS.values()]
        self.scanners = [self._template(_module(_SCAN, *given)) for given in SCANNERS.values()]

    def _template(self, wasm: bytes) -> Template:
        path = self.directory / f"{len(list(self.directory.iterdir()))}.cwasm"
        path.write_bytes(self.engine.compile(wasm).serialize())
        return self.engine.link(self.engine.load(str(path)))

    def dirty(self, number: int) -> None:
        isolate = Isolate(self.engine, self.writers[number], PAGES_MAX * limits.WASM_PAGE_BYTES, 20_000_000)
        try:
            drive(isolate.instantiate())
            with contextlib.suppress(Trapped, OutOfFuel, OutOfMemory):
                drive(isolate.call("run"))
            assert isolate.read(PAGES_MAX * limits.WASM_PAGE_BYTES - 8, 8) == b"\xa5" * 8, "all of it is dirty"
        finally:
            isolate.close()

    def residue(self, number: int) -> int:
        """Words, elements and globals that a newborn guest finds and its module does not have."""
        isolate = Isolate(self.engine, self.scanners[number], PAGES_MAX * limits.WASM_PAGE_BYTES, 1_000_000_000)
        try:
            drive(isolate.instantiate())
            drive(isolate.call("run"))
            assert isolate.read_u32(4) == 1, "it looked at everything"
            return isolate.read_u32(0)
        finally:
            isolate.close()


def _reuses(directory: Path, count: int) -> None:
    slot = Slot(directory)
    choose = random.Random(count)
    found = 0
    for _ in range(count):
        slot.dirty(choose.randrange(len(slot.writers)))
        found += slot.residue(choose.randrange(len(slot.scanners)))
    scanned = count * (PAGES_MAX * limits.WASM_PAGE_BYTES + 1_000 * 8 + 8)
    print(f"0 non-zero words in {count:,} reuses, {scanned:,} bytes")
    assert found == 0, f"{found} in {count} reuses"


def test_the_scanner_finds_what_is_there(tmp_path: Path) -> None:
    """Else it would find nothing of anybody's, either."""
    slot = Slot(tmp_path)
    isolate = Isolate(slot.engine, slot.scanners[0], PAGES_MAX * limits.WASM_PAGE_BYTES, 1_000_000_000)
    try:
        drive(isolate.instantiate())
        isolate.write(4_096, b"residue!")
        drive(isolate.call("run"))
        assert isolate.read_u32(0) == 1
    finally:
        isolate.close()


def test_nothing_is_left_in_a_slot(tmp_path: Path) -> None:
    _reuses(tmp_path, 60)


@pytest.mark.slow
def test_nothing_is_left_in_a_slot_however_often(tmp_path: Path, exhaustive: bool) -> None:
    _reuses(tmp_path, 100_000 if exhaustive else 1_000)
