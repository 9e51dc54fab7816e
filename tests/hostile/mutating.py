"""Modules that nobody would write: mutants of the tests' own guests, by their bytes and by their structure."""

from __future__ import annotations

import functools
import random
from pathlib import Path

from hostile.house import GUESTS, SHARED_GUESTS
from isolet.engine.engine import MAGIC, wat
from isolet.errors import ModuleInvalid

# Numbers at which something ends: lengths, signs, encodings.
_EDGES = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFE, 0xFF)
# Opcodes that stand for each other: same operands, another meaning.
_KIN = (
    bytes(range(0x45, 0xC5)),  # comparisons, arithmetic, conversions
    bytes(range(0x28, 0x3F)),  # loads and stores
    b"\x20\x21\x22",  # local.get, set, tee
    b"\x02\x03\x04",  # block, loop, if
    b"\x0c\x0d",  # br, br_if
)


@functools.cache
def parents() -> tuple[bytes, ...]:
    """The guests that are modules."""
    found = []
    for path in sorted([*GUESTS.glob("*.wat"), *SHARED_GUESTS.glob("*.wat")]):
        try:
            found.append(wat(path.read_text()))
        except ModuleInvalid:
            continue
    return tuple(found)


def by_bytes(choose: random.Random) -> bytes:
    """One to eight changes anywhere behind the magic: bits, edges, pieces doubled, moved and lost."""
    mutant = bytearray(choose.choice(parents()))
    for _ in range(choose.randint(1, 8)):
        at = choose.randrange(8, len(mutant)) if len(mutant) > 8 else 8
        size = choose.randint(1, 16)
        match choose.randrange(6):
            case 0:
                mutant[at : at + 1] = bytes([mutant[at] ^ 1 << choose.randrange(8)]) if at < len(mutant) else b""
            case 1:
                mutant[at : at + 1] = bytes([choose.choice(_EDGES)])
            case 2:
                mutant[at:at] = mutant[at : at + size]
            case 3:
                del mutant[at : at + size]
            case 4:
                mutant[at:at] = choose.randbytes(size)
            case 5:
                other = choose.randrange(8, len(mutant) + 1)
                mutant[other:other] = mutant[at : at + size]
    return bytes(mutant)


def by_structure(choose: random.Random) -> bytes:
    """Changes that mostly still validate: sections dropped, doubled, in another order or of another parent; in code,
    instructions for their kin and constants at the edges."""
    sections = _sections(choose.choice(parents()))
    for _ in range(choose.randint(1, 4)):
        at = choose.randrange(len(sections))
        match choose.randrange(40):
            case 0:
                del sections[at]
            case 1:
                sections.insert(at, sections[at])
            case 2:
                choose.shuffle(sections)
            case 3:
                theirs = _sections(choose.choice(parents()))
                sections[at] = choose.choice(theirs)
            case _:
                sections = [
                    (number, _other_code(choose, content) if number == 10 else content) for number, content in sections
                ]
        if not sections:
            break
    return MAGIC + b"".join(bytes([number]) + _leb(len(content)) + content for number, content in sections)


def _other_code(choose: random.Random, code: bytes) -> bytes:
    """The code section with one function's body changed; its length stays."""
    count, at = _number(code, 0)
    bodies = []
    for _ in range(count):
        size, at = _number(code, at)
        bodies.append((at, at + size))
        at += size
    mutant = bytearray(code)
    start, end = choose.choice(bodies) if bodies else (0, 0)
    _, inside = _number(code, start) if bodies else (0, 0)  # its locals' count
    places = [(at, kin) for at in range(inside, end - 1) for kin in _KIN if mutant[at] in kin]
    for at, kin in choose.sample(places, min(len(places), 1)):
        mutant[at] = choose.choice(kin)
    constants = [at for at in range(inside, end - 2) if mutant[at] in (0x41, 0x42) and mutant[at + 1] < 0x80]
    for at in choose.sample(constants, min(len(constants), choose.randint(0, 3))):
        mutant[at + 1] = choose.choice((0x00, 0x01, 0x3F, 0x40, 0x7F))
    return bytes(mutant)


def _number(content: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte, at = content[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _sections(wasm: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 8
    while at < len(wasm):
        number, at = wasm[at], at + 1
        size, at = _number(wasm, at)
        found.append((number, wasm[at : at + size]))
        at += size
    return found


def _leb(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def write(directory: Path, count: int, choose: random.Random) -> None:
    """`count` mutants, every second one by its structure."""
    for number in range(count):
        mutant = by_structure(choose) if number % 2 else by_bytes(choose)
        (directory / f"mutant-{number:05}.wasm").write_bytes(mutant)
