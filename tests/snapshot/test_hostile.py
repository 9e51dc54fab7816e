"""Modules that are broken or made to harm: a snapshot is made of them or they are ModuleInvalid, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from isolet.engine.engine import wat
from isolet.errors import ModuleInvalid
from isolet.snapshot import sections
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Made, Maker
from isolet.snapshot.sections import parse
from snapshot.observed import HOST, MEMORY, NoWitness
from snapshot.programs import programs


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker(HOST)


def made_or_refused(maker: Maker, wasm: bytes) -> Made | None:
    """An EngineFault would mean that a valid module was frozen into an invalid one."""
    try:
        made = maker.make(wasm, Guest(MEMORY, NoWitness, None, fuel=1_000_000))
    except ModuleInvalid:
        event("refused")
        return None
    event("made")
    return made


def mutate(wasm: bytes, chance: random.Random) -> bytes:
    changed = bytearray(wasm)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(8, len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at : at + chance.randint(1, 3)]
            case _:
                changed[at:at] = chance.randbytes(chance.randint(1, 3))
        if len(changed) <= 8:
            break
    return bytes(changed)


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
@given(programs(), st.randoms(use_true_random=False))
def test_mutant_is_made_or_refused(maker: Maker, text: str, chance: random.Random) -> None:
    made_or_refused(maker, mutate(wat(text), chance))


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, suppress_health_check=CHECKS)
@given(programs(), st.randoms(use_true_random=False))
def test_mutant_is_made_or_refused_thoroughly(maker: Maker, text: str, chance: random.Random) -> None:
    made_or_refused(maker, mutate(wat(text), chance))


@given(programs())
@settings(max_examples=50, deadline=None, suppress_health_check=CHECKS)
def test_program_is_made_or_its_initialisation_fails(maker: Maker, text: str) -> None:
    made_or_refused(maker, wat(text))


# ── made to harm (hostile/test_uploads.py gives these to builders) ─────────────────────────────────────────────────

GUEST = wat("""(module (memory (export "memory") 2) (table 1 funcref)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0))
  (func))""")


def with_body(code: bytes) -> bytes:
    """A guest whose last function, () -> (), has this code."""
    module = parse(GUEST)
    payloads = module.payloads()
    bodies = [module.wasm[b.start : b.end] for b in module.bodies[:-1]] + [b"\0" + code + b"\x0b"]
    payloads[sections.CODE] = sections.vector(sections.unsigned(len(body)) + body for body in bodies)
    return sections.emit(payloads)


def with_functions(count: int) -> bytes:
    module = parse(GUEST)
    payloads = module.payloads()
    kind = sections.unsigned(module.functions[-1])
    payloads[sections.FUNCTION] = sections.vector([*map(sections.unsigned, module.functions), *[kind] * count])
    bodies = [module.wasm[b.start : b.end] for b in module.bodies] + [b"\0\x0b"] * count
    payloads[sections.CODE] = sections.vector(sections.unsigned(len(body)) + body for body in bodies)
    return sections.emit(payloads)


def with_types(count: int) -> bytes:
    module = parse(GUEST)
    payloads = module.payloads()
    types = [b"\x60" + b"".join(bytes((len(side), *side)) for side in signature) for signature in module.types]
    # No two alike: the digits of a number in base 4, one numeric type a digit.
    for n in range(count):
        digits = [bytes((sections.I32 - (n >> 2 * i & 3),)) for i in range(9)]
        types.append(b"\x60" + sections.vector(digits) + b"\0")
    payloads[sections.TYPE] = sections.vector(types)
    return sections.emit(payloads)


VOID = sections.unsigned(parse(GUEST).functions[-1])  # the type () -> ()
DEEP = 15_000

HARM: dict[str, Callable[[], bytes]] = {
    "nested blocks": lambda: with_body(b"\x02\x40" * DEEP + b"\x41\0\x0d\0" * DEEP + b"\x0b" * DEEP),
    "nested loops": lambda: with_body(b"\x03\x40" * DEEP + b"\x0b" * DEEP),
    "nested conditions": lambda: with_body(b"\x41\0\x04\x40" * DEEP + b"\x0b" * DEEP),
    "indirect calls": lambda: with_body((b"\x41\0\x11" + VOID + b"\0") * 60_000),
    "types": lambda: with_types(9_900),
    "functions": lambda: with_functions(99_000),
    "a giant branch table": lambda: with_body(
        b"\x02\x40\x41\0\x0e" + sections.unsigned(1_000_000) + b"\0" * 1_000_001 + b"\x0b"
    ),
    "a large function": lambda: with_body(b"\x41\1\x1a" * 1_300_000),
    "drops without end": lambda: with_body(b"\xfc\x0d\0" * 1_000_000),
    "many branch tables": lambda: with_body(b"\x02\x40" + b"\x41\0\x0e\0\0" * 800_000 + b"\x0b"),
}
