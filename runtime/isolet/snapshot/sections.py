"""A core wasm module as its sections: parsed once into a frozen record, emitted again from payloads.

Laws:
- Whatever the bytes are, `parse` answers a Module or raises ModuleInvalid, and nothing else; it takes time and memory
  proportional to the bytes. It is not the validator: types of code are wasmtime's to judge, at compilation.
- What nobody changes stays raw: a Module holds the bytes and where its parts lie in them, not a tree of objects.
- The vocabulary is that of core wasm 2.0 without externref: garbage collection, exceptions, threads, memory64 and
  multiple memories are switched off in the engine, so that a section, type or form of theirs is refused here.

Numbers in brackets are sections of the WebAssembly core specification, 2.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from .. import limits
from ..errors import ModuleInvalid

MAGIC: Final = b"\0asm\1\0\0\0"
_COMPONENT: Final = b"\0asm\x0d\0\1\0"

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(13)
# The order that [5.5.2] demands; DATA_COUNT was added late, before CODE.
ORDER: Final = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)
_RANK: Final = {section: rank for rank, section in enumerate(ORDER)}
# Indexed by section id.
_NAMES: Final = (
    *("custom", "type", "import", "function", "table", "memory", "global"),
    *("export", "start", "element", "code", "data", "datacount"),
)

KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL = range(4)
KINDS: Final = ("function", "table", "memory", "global")

# externref is missing on purpose: the engine has no garbage collector, and no host gives a guest such a reference.
I32, I64, F32, F64, V128, FUNCREF = 0x7F, 0x7E, 0x7D, 0x7C, 0x7B, 0x70
VALUE_TYPES: Final = {I32: "i32", I64: "i64", F32: "f32", F64: "f64", V128: "v128", FUNCREF: "funcref"}
END: Final = 0x0B


class Section(NamedTuple):
    """Where a section's payload lies."""

    id: int
    start: int
    end: int


class Signature(NamedTuple):
    params: bytes  # one value type a byte
    results: bytes

    def __str__(self) -> str:
        names = [[VALUE_TYPES[t] for t in side] for side in self]
        return f"({', '.join(names[0])}) -> ({', '.join(names[1])})"


class Import(NamedTuple):
    module: str
    name: str
    kind: int
    type: int  # index into Module.types if it is a function, else 0


class Limits(NamedTuple):
    minimum: int
    maximum: int | None


class Global(NamedTuple):
    type: int
    mutable: bool
    start: int  # the whole entry in Module.wasm, from its type to its initialiser's end
    end: int
    functions: tuple[int, ...]  # that the initialiser refers to


class Export(NamedTuple):
    name: str
    kind: int
    target: int  # the index of the function, table, memory or global


class Element(NamedTuple):
    """An element segment. `functions` is whatever its expressions refer to, in order."""

    active: bool
    declarative: bool
    table: int
    start: int  # the whole entry in Module.wasm
    end: int
    functions: tuple[int, ...]

    @property
    def passive(self) -> bool:
        return not self.active and not self.declarative


class Data(NamedTuple):
    active: bool
    start: int  # the whole entry in Module.wasm
    end: int

    @property
    def passive(self) -> bool:
        return not self.active


class Body(NamedTuple):
    """A function's code, in Module.wasm: from the number of its groups of locals to its last `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed module. Indices into `globals`, `tables` and `memories` are wasm's own if only functions come in."""

    wasm: bytes
    sections: tuple[Section, ...]
    types: tuple[Signature, ...]
    imports: tuple[Import, ...]
    functions: tuple[int, ...]  # type indices of the functions defined here
    tables: tuple[Limits, ...]  # all of funcref
    memories: tuple[Limits, ...]
    globals: tuple[Global, ...]
    exports: tuple[Export, ...]
    start: int | None
    elements: tuple[Element, ...]
    data: tuple[Data, ...]
    data_count: int | None
    bodies: tuple[Body, ...]

    def payload(self, section: int) -> bytes | None:
        """The raw payload of a section, None if the module has none. Not for custom ones, which may be many."""
        assert section != CUSTOM, "custom sections are many"
        return next((self.wasm[s.start : s.end] for s in self.sections if s.id == section), None)

    def payloads(self) -> dict[int, bytes]:
        """All payloads but the custom ones: what a pass changes and gives to `emit`."""
        return {s.id: self.wasm[s.start : s.end] for s in self.sections if s.id != CUSTOM}

    @property
    def imported_functions(self) -> int:
        return sum(i.kind == KIND_FUNCTION for i in self.imports)

    def signature(self, function: int) -> Signature:
        """Of a function by its index, imported or not."""
        imported = [i.type for i in self.imports if i.kind == KIND_FUNCTION]
        return self.types[imported[function] if function < len(imported) else self.functions[function - len(imported)]]


# ── emitting ────────────────────────────────────────────────────────────────────────────────────────────────────


def unsigned(value: int) -> bytes:
    """LEB128 of a number ≥ 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def name(text: str) -> bytes:
    encoded = text.encode()
    return unsigned(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return unsigned(len(listed)) + b"".join(listed)


def bounds(minimum: int, maximum: int | None) -> bytes:
    """The limits of a memory or a table."""
    if maximum is None:
        return b"\0" + unsigned(minimum)
    return b"\1" + unsigned(minimum) + unsigned(maximum)


def emit(payloads: Mapping[int, bytes]) -> bytes:
    """A module of these sections, in the order that the specification demands."""
    parts = [MAGIC]
    for section in ORDER:
        payload = payloads.get(section)
        if payload is not None:
            parts += (bytes((section,)), unsigned(len(payload)), payload)
    return b"".join(parts)


# ── parsing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def parse(wasm: bytes) -> Module:
    """The module's parts. ModuleInvalid names the place and the reason."""
    _require_core_module(wasm)
    sections = tuple(_sections(wasm))
    readers = {s.id: Reader(wasm, s.start, s.end, _NAMES[s.id]) for s in sections if s.id != CUSTOM}

    types = _vector(readers, TYPE, _signature, limits.MODULE_TYPES_MAX)
    imports = _vector(readers, IMPORT, lambda r: _import(r, len(types)))
    functions = _vector(readers, FUNCTION, lambda r: r.index(len(types), "type"))
    tables = _vector(readers, TABLE, _table)
    memories = _vector(readers, MEMORY, _memory)
    count = sum(i.kind == KIND_FUNCTION for i in imports) + len(functions)
    globals_ = _vector(readers, GLOBAL, lambda r: _global(r, count))
    exports = _vector(readers, EXPORT, _export)
    start = _single(readers, START)
    elements = _vector(readers, ELEMENT, lambda r: _element(r, count))
    data_count = _single(readers, DATA_COUNT)
    bodies = _vector(readers, CODE, _body)
    data = _vector(readers, DATA, lambda r: _data(r, count))

    if len(functions) != len(bodies):
        raise ModuleInvalid(f"the module declares {len(functions):,} functions but has code for {len(bodies):,}")
    if data_count is not None and data_count != len(data):
        raise ModuleInvalid(f"the module announces {data_count:,} data segments but has {len(data):,}")
    if start is not None and start >= count:
        raise ModuleInvalid(f"the start function is number {start:,}, but there are {count:,} functions")
    return Module(
        wasm, sections, types, imports, functions, tables, memories, globals_, exports, start, elements, data,
        data_count, bodies,
    )  # fmt: skip


def _require_core_module(wasm: bytes) -> None:
    if wasm[:8] == MAGIC:
        return
    if wasm[:8] == _COMPONENT:
        raise ModuleInvalid(
            "this is a component, and functions are core modules: build for wasm32-wasi (preview 1) without wrapping it"
        )
    if wasm[:4] == MAGIC[:4]:
        raise ModuleInvalid(f"wasm version {wasm[4:8].hex(' ')!r} is not known: build a version 1 core module")
    if wasm[:64].lstrip().startswith((b"(", b";;")):
        raise ModuleInvalid(
            "this is WebAssembly text: assemble it first (wat2wasm, or `isolet deploy` of its directory)"
        )
    raise ModuleInvalid(
        f"not a WebAssembly module: it starts with {wasm[:8].hex(' ') or 'nothing'!r} instead of '{MAGIC.hex(' ')}'"
    )


def _sections(wasm: bytes) -> Iterable[Section]:
    reader = Reader(wasm, len(MAGIC), len(wasm), "module")
    rank = -1
    while reader.position < reader.end:
        at = reader.position
        section = reader.byte()
        length = reader.u32()
        if section >= len(_NAMES):
            raise ModuleInvalid(f"offset {at:#x}: section {section} belongs to a proposal that is switched off here")
        start = reader.position
        reader.skip(length)
        if section != CUSTOM:
            if _RANK[section] <= rank:
                raise ModuleInvalid(f"offset {at:#x}: the {_NAMES[section]} section is there twice or out of order")
            rank = _RANK[section]
        yield Section(section, start, reader.position)


class Reader:
    """A cursor over one section. Every method moves it forward or raises ModuleInvalid."""

    __slots__ = ("data", "end", "position", "where")

    def __init__(self, data: bytes, start: int, end: int, where: str) -> None:
        self.data = data
        self.position = start
        self.end = end
        self.where = where

    def invalid(self, reason: str) -> ModuleInvalid:
        return ModuleInvalid(f"{self.where} section, offset {self.position:#x}: {reason}")

    def byte(self) -> int:
        at = self.position
        if at >= self.end:
            raise self.invalid("it ends too early")
        self.position = at + 1
        return self.data[at]

    def skip(self, length: int) -> None:
        if length > self.end - self.position:
            raise self.invalid(f"{length:,} bytes announced, {self.end - self.position:,} left")
        self.position += length

    def u32(self) -> int:
        value = self.byte()
        if value < 0x80:  # nearly always
            return value
        value &= 0x7F
        for shift in (7, 14, 21, 28):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > 0xFFFF_FFFF:
                    break
                return value
        raise self.invalid("an integer of more than 32 bits")

    def leb(self, bytes_max: int) -> None:
        """Skips a signed integer. Its unused bits are for the validator."""
        for _ in range(bytes_max):
            if self.byte() < 0x80:
                return
        raise self.invalid(f"an integer of more than {bytes_max} bytes")

    def count(self, most: int = limits.MODULE_ITEMS_MAX) -> int:
        """The length of a vector. Every entry takes a byte at least, so that what follows can hold it."""
        count = self.u32()
        if count > most:
            raise self.invalid(f"{count:,} entries, and at most {most:,} are allowed; split the program")
        if count > self.end - self.position:
            raise self.invalid(f"{count:,} entries in {self.end - self.position:,} bytes")
        return count

    def index(self, bound: int, what: str) -> int:
        index = self.u32()
        if index >= bound:
            raise self.invalid(f"{what} {index:,}, but there are {bound:,}")
        return index

    def text(self) -> str:
        length = self.u32()
        if length > limits.MODULE_NAME_BYTES_MAX:
            raise self.invalid(f"a name of {length:,} bytes, and at most {limits.MODULE_NAME_BYTES_MAX:,} are allowed")
        start = self.position
        self.skip(length)
        try:
            return self.data[start : self.position].decode()
        except UnicodeDecodeError:
            raise self.invalid("a name that is not UTF-8") from None

    def value_type(self) -> int:
        value = self.byte()
        if value not in VALUE_TYPES:
            raise self.invalid(f"value type {value:#04x} is not known or switched off here")
        return value

    def reference_type(self) -> int:
        value = self.byte()
        if value != FUNCREF:
            raise self.invalid(f"reference type {value:#04x} is not known or switched off here: only funcref is")
        return value

    def flag(self, values: str, most: int) -> int:
        value = self.byte()
        if value > most:
            raise self.invalid(f"{values} {value:#04x} is not known or switched off here")
        return value


_Item = TypeVar("_Item")


def _vector(
    readers: Mapping[int, Reader],
    section: int,
    item: Callable[[Reader], _Item],
    most: int = limits.MODULE_ITEMS_MAX,
) -> tuple[_Item, ...]:
    """The entries of a section that is one vector; none if the section is not there."""
    reader = readers.get(section)
    if reader is None:
        return ()
    entries = tuple([item(reader) for _ in range(reader.count(most))])
    _require_end(reader)
    return entries


def _single(readers: Mapping[int, Reader], section: int) -> int | None:
    reader = readers.get(section)
    if reader is None:
        return None
    value = reader.u32()
    _require_end(reader)
    return value


def _require_end(reader: Reader) -> None:
    if reader.position != reader.end:
        raise reader.invalid(f"{reader.end - reader.position:,} bytes too many")


# ── the entries of each section, [5.5.4] to [5.5.14] ────────────────────────────────────────────────────────────


def _signature(reader: Reader) -> Signature:
    form = reader.byte()
    if form != 0x60:
        raise reader.invalid(f"type {form:#04x} is not a function type; others are switched off here")
    return Signature(_value_types(reader), _value_types(reader))


def _value_types(reader: Reader) -> bytes:
    # Precedent: 1,000 parameters and 1,000 results, the limits of browsers and of wasmtime.
    return bytes([reader.value_type() for _ in range(reader.count(1_000))])


def _import(reader: Reader, types: int) -> Import:
    module, field = reader.text(), reader.text()
    kind = reader.flag("kind of import", len(KINDS) - 1)
    if kind == KIND_FUNCTION:
        return Import(module, field, kind, reader.index(types, "type"))
    if kind == KIND_TABLE:
        _table(reader)
    elif kind == KIND_MEMORY:
        _memory(reader)
    else:
        reader.value_type()
        reader.flag("mutability", 1)
    return Import(module, field, kind, 0)


def _limits(reader: Reader) -> Limits:
    form = reader.byte()
    if form > 1:
        refused = {2: "shared", 3: "shared", 4: "64-bit", 5: "64-bit"}.get(form, f"of form {form:#04x}")
        raise reader.invalid(
            f"it is {refused}, and only 32-bit ones that nobody shares are allowed; build without threads or memory64"
        )
    return Limits(reader.u32(), reader.u32() if form else None)


def _table(reader: Reader) -> Limits:
    reader.reference_type()
    return _limits(reader)


def _memory(reader: Reader) -> Limits:
    return _limits(reader)


def _global(reader: Reader, functions: int) -> Global:
    start = reader.position
    type = reader.value_type()
    mutable = bool(reader.flag("mutability", 1))
    referred = _expression(reader, functions)
    return Global(type, mutable, start, reader.position, referred)


def _export(reader: Reader) -> Export:
    return Export(reader.text(), reader.flag("kind of export", len(KINDS) - 1), reader.u32())


def _element(reader: Reader, functions: int) -> Element:
    start = reader.position
    # [5.5.12]: bit 0 says passive or declarative, bit 1 an explicit table (or: declarative), bit 2 expressions.
    form = reader.flag("element segment of form", 7)
    active = not form & 1
    table = reader.u32() if active and form & 2 else 0
    if active:
        _expression(reader, functions)
    if form & 3:
        if form & 4:
            reader.reference_type()
        else:
            reader.flag("element kind", 0)
    referred: list[int] = []
    for _ in range(reader.count()):
        if form & 4:
            referred += _expression(reader, functions)
        else:
            referred.append(reader.index(functions, "function"))
    return Element(active, form & 3 == 3, table, start, reader.position, tuple(referred))


def _data(reader: Reader, functions: int) -> Data:
    start = reader.position
    form = reader.flag("data segment of form", 2)
    if form == 2:
        reader.u32()  # a memory's index
    if form != 1:
        _expression(reader, functions)
    reader.skip(reader.u32())
    return Data(form != 1, start, reader.position)


def _body(reader: Reader) -> Body:
    length = reader.u32()
    if length > limits.MODULE_FUNCTION_BYTES_MAX:
        raise reader.invalid(
            f"a function of {length:,} bytes, and at most {limits.MODULE_FUNCTION_BYTES_MAX:,} are allowed; split it"
        )
    start = reader.position
    reader.skip(length)
    return Body(start, reader.position)


# What a constant instruction's immediate is: the most bytes of a LEB128, or how many bytes exactly.
_LEB_BYTES: Final = {0x41: 5, 0x42: 10}
_FIXED_BYTES: Final = {0x43: 4, 0x44: 8}
# i32 and i64 add, sub, mul: the extended constant expressions.
_ARITHMETIC: Final = frozenset((0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E))


def _expression(reader: Reader, functions: int) -> tuple[int, ...]:
    """Skips a constant expression [3.3.10] and answers the functions that it refers to."""
    referred: list[int] = []
    while (opcode := reader.byte()) != END:
        if opcode in _LEB_BYTES:
            reader.leb(_LEB_BYTES[opcode])
        elif opcode in _FIXED_BYTES:
            reader.skip(_FIXED_BYTES[opcode])
        elif opcode == 0xD2:
            referred.append(reader.index(functions, "function"))
        elif opcode == 0xD0:
            reader.reference_type()
        elif opcode == 0x23:
            reader.u32()
        elif opcode == 0xFD and reader.u32() == 12:
            reader.skip(16)
        elif opcode not in _ARITHMETIC:
            raise reader.invalid(f"instruction {opcode:#04x} is not constant")
    return tuple(referred)
