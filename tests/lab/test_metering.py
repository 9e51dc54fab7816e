"""What fuel costs: the three ways to run a kernel answer the same."""

from __future__ import annotations

import pytest

from isolet.engine.control import Control
from isolet.engine.engine import wat
from isolet.errors import AbiViolation
from isolet.lab import metering

# Adds up its argument's worth of numbers.
_ADDS = """
(module
  (memory (export "memory") 1)
  (func (export "isolet_buffer") (param $count i32) (result i32) (local $sum i32)
    (loop $more
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $count)))
      (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $sum)))
"""
# Answers another number each time.
_COUNTS = """
(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "isolet_buffer") (param i32) (result i32)
    (loop $more (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.get $calls)))
"""


def test_all_variants_are_timed_and_agree() -> None:
    kernel = metering._timed(metering.Kernel("adds"), wat(_ADDS), 2, lambda _: None)
    assert {variant: len(seconds) for variant, seconds in kernel.seconds.items()} == dict.fromkeys(metering.VARIANTS, 2)
    assert kernel.fuel > kernel.rounds_each
    assert kernel.slices > 1
    assert kernel.cost(metering.UNMETERED).value == 1.0


def test_checksum_that_differs_is_refused() -> None:
    with pytest.raises(AbiViolation, match="checksum"):
        metering._timed(metering.Kernel("counts"), wat(_COUNTS), 1, lambda _: None)


def test_control_without_fuel_runs_the_same_module() -> None:
    assert Control(wat(_ADDS), metered=False).call("isolet_buffer", 1000) == Control(wat(_ADDS), metered=True).call(
        "isolet_buffer", 1000
    )
