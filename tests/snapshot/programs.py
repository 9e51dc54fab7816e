"""Small random guests, valid by construction, that touch every kind of state a module has.

A program is WAT text. Statements are drawn for the start function, `_initialize`, `isolet_init` and `isolet_handle`
alike: stores, growth and bulk operations on memory; globals of every type, with NaNs of any payload; tables written,
filled, copied, grown and initialised from segments; segments dropped, used again, dropped twice. Some statements trap:
in initialisation, that refuses the module; in the handler, the trap is what both sides must show.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from isolet import limits

PAGES = 2
# The lower half of the first page is for stores, the input buffer lies in the second page.
STORE_AT = st.one_of(st.integers(0, 64), st.integers(0, 32_000), st.just(131_064))
BITS32 = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from((0, 0x7FC0_0001, 0xFFA0_0000, 0x8000_0000, 2**32 - 1)))
BITS64 = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from((0, 0x7FF8_0000_0000_0001, 0xFFF4_0000_0000_0000, 2**63)))
NUMERIC = ("i32", "i64", "f32", "f64", "v128")
RESULTS = {"i32": "(result i32)", "i64": "(result i64)"}


@dataclass(frozen=True)
class Shape:
    """What a program has, so that statements can refer to it."""

    globals: tuple[tuple[str, bool], ...]
    functions: int  # $f0 … return an i32
    imports_function: bool
    tables: tuple[int, ...]  # initial sizes
    data: tuple[tuple[str, int], ...]  # (mode, length)
    elements: tuple[tuple[str, int, int], ...]  # (mode, table, length)

    @property
    def referable(self) -> list[str]:
        return [f"$f{i}" for i in range(self.functions)] + (["$answer"] if self.imports_function else [])


@st.composite
def programs(draw: st.DrawFn) -> str:
    """The text of a guest."""
    tables = tuple(draw(st.lists(st.integers(0, 6), max_size=2)))
    shape = Shape(
        globals=tuple(draw(st.lists(st.tuples(st.sampled_from((*NUMERIC, "funcref")), st.booleans()), max_size=6))),
        functions=draw(st.integers(1, 3)),
        imports_function=draw(st.booleans()),
        tables=tables,
        data=tuple(draw(st.lists(st.tuples(st.sampled_from(("active", "passive")), st.integers(0, 12)), max_size=4))),
        elements=tuple(
            draw(st.sampled_from(("active", "passive", "declare"))) and (mode, table, length)
            for mode, table, length in draw(
                st.lists(
                    st.tuples(
                        st.sampled_from(("active", "passive", "declare")),
                        st.integers(0, len(tables) - 1),
                        st.integers(0, 3),
                    ),
                    max_size=4,
                )
            )
        )
        if tables
        else (),
    )
    parts = ["(module"]
    if shape.imports_function:
        parts.append('(import "isolet" "answer" (func $answer (result i32)))')
    parts.append('(memory (export "memory") 2 40)')
    parts += [f"(table $t{i} {size} 12 funcref)" for i, size in enumerate(tables)]
    parts += [_global(draw, shape, i, type_, mutable) for i, (type_, mutable) in enumerate(shape.globals)]
    parts += [_data(draw, mode, length) for mode, length in shape.data]
    parts += [_element(draw, shape, *element) for element in shape.elements]
    # Whatever code refers to is declared once.
    parts.append(f"(elem declare func {' '.join(shape.referable)})")
    parts += [f"(func $f{i} (result i32) (i32.const {100 + i}))" for i in range(shape.functions)]
    for kind, head in (("start", "(func $start"), ("_initialize", '(func (export "_initialize")'), ("init", "")):
        if draw(st.booleans()):
            head = head or '(func (export "isolet_init")'
            parts.append(f"{head} {_body(draw, shape, 5)})")
            if kind == "start":
                parts.append("(start $start)")
    parts.append('(func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))')
    parts.append(
        '(func (export "isolet_handle") (param i32 i32) (result i64) '
        f"{_body(draw, shape, 6)} (i64.load (i32.and (local.get 0) (i32.const 1023))))"
    )
    parts.append(")")
    return "\n".join(parts)


def _global(draw: st.DrawFn, shape: Shape, index: int, type_: str, mutable: bool) -> str:
    declared = f"(mut {type_})" if mutable else type_
    if type_ == "funcref":
        value = draw(st.sampled_from(["(ref.null func)", *(f"(ref.func {f})" for f in shape.referable)]))
    elif type_ == "v128":
        value = f"(v128.const i64x2 {draw(BITS64)} {draw(BITS64)})"
    else:
        value = f"({type_}.const {draw(st.integers(-5, 1000))})"
    return f"(global $g{index} {declared} {value})"


def _data(draw: st.DrawFn, mode: str, length: int) -> str:
    text = "".join(f"\\{byte:02x}" for byte in draw(st.binary(min_size=length, max_size=length)))
    where = f"(i32.const {draw(st.integers(0, 40_000))})" if mode == "active" else ""
    return f'(data {where} "{text}")'


def _element(draw: st.DrawFn, shape: Shape, mode: str, table: int, length: int) -> str:
    functions = [draw(st.sampled_from(shape.referable)) for _ in range(length)]
    if mode == "declare":
        return f"(elem declare func {' '.join(functions)})"
    # Expressions may hold null.
    items = " ".join(f"(ref.func {f})" if draw(st.booleans()) else "(ref.null func)" for f in functions)
    spelled = f"funcref {items}" if draw(st.booleans()) else f"func {' '.join(functions)}"
    if mode == "passive":
        return f"(elem {spelled})"
    room = shape.tables[table] - length
    return f"(elem (table $t{table}) (i32.const {draw(st.integers(0, max(0, room)))}) {spelled})"


def _body(draw: st.DrawFn, shape: Shape, statements: int) -> str:
    return " ".join(_statement(draw, shape) for _ in range(draw(st.integers(0, statements))))


def _statement(draw: st.DrawFn, shape: Shape) -> str:
    # First the kind of state, so that each is as likely as another.
    areas = [["store", "store", "grow", "fill", "copy", "loop", "host"]]
    if any(mutable for _, mutable in shape.globals):
        areas.append(["global"])
    if shape.data:
        areas.append(["data_init", "data_drop"])
    if shape.tables:
        areas.append(["table_set", "table_fill", "table_grow", "table_copy", "call_indirect"])
        if shape.elements:
            areas.append(["table_init", "element_drop"])
    return _STATEMENTS[draw(st.sampled_from(draw(st.sampled_from(areas))))](draw, shape)


def _store(draw: st.DrawFn, shape: Shape) -> str:
    at = draw(STORE_AT)
    match draw(st.sampled_from(("i32", "i64", "byte", "count"))):
        case "i32":
            return f"(i32.store (i32.const {at}) (i32.const {draw(BITS32)}))"
        case "i64":
            return f"(i64.store (i32.const {at}) (i64.const {draw(BITS64)}))"
        case "byte":
            return f"(i32.store8 (i32.const {at}) (i32.const {draw(st.integers(0, 255))}))"
        case _:
            return f"(i32.store (i32.const {at}) (i32.add (i32.load (i32.const {at})) (i32.const 1)))"


def _grow(draw: st.DrawFn, shape: Shape) -> str:
    pages = draw(st.sampled_from((0, 1, 1, 2, 60)))
    return (
        f"(drop (memory.grow (i32.const {pages})))"
        "(i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (memory.size))"
    )


# Seldom more than a chunk of bulk work, since it covers what else the program did.
_LENGTH = st.sampled_from((*[7] * 9, limits.BULK_CHUNK_BYTES + 99))


def _fill(draw: st.DrawFn, shape: Shape) -> str:
    value, length = draw(st.integers(0, 255)), draw(_LENGTH)
    return f"(memory.fill (i32.const {draw(STORE_AT)}) (i32.const {value}) (i32.const {length}))"


def _copy(draw: st.DrawFn, shape: Shape) -> str:
    return f"(memory.copy (i32.const {draw(STORE_AT)}) (i32.const {draw(STORE_AT)}) (i32.const {draw(_LENGTH)}))"


def _set_global(draw: st.DrawFn, shape: Shape) -> str:
    index = draw(st.sampled_from([i for i, (_, mutable) in enumerate(shape.globals) if mutable]))
    type_ = shape.globals[index][0]
    match type_:
        case "i32":
            value = f"(i32.add (global.get $g{index}) (i32.const {draw(BITS32)}))"
        case "i64":
            value = f"(i64.add (global.get $g{index}) (i64.const {draw(BITS64)}))"
        case "f32":
            value = f"(f32.reinterpret_i32 (i32.const {draw(BITS32)}))"
        case "f64":
            value = f"(f64.reinterpret_i64 (i64.const {draw(BITS64)}))"
        case "v128":
            value = f"(i64x2.add (global.get $g{index}) (v128.const i64x2 {draw(BITS64)} {draw(BITS64)}))"
        case _:
            value = _reference(draw, shape)
    return f"(global.set $g{index} {value})"


def _reference(draw: st.DrawFn, shape: Shape) -> str:
    choices = ["(ref.null func)", *(f"(ref.func {f})" for f in shape.referable)]
    choices += [f"(table.get $t{t} (i32.const 0))" for t, size in enumerate(shape.tables) if size]
    choices += [f"(global.get $g{i})" for i, (type_, _) in enumerate(shape.globals) if type_ == "funcref"]
    return draw(st.sampled_from(choices))


def _table(draw: st.DrawFn, shape: Shape) -> int:
    return draw(st.integers(0, len(shape.tables) - 1))


def _slot(draw: st.DrawFn, shape: Shape, table: int) -> int:
    """Mostly inside the table."""
    return draw(st.integers(0, max(0, shape.tables[table] - 1)))


def _table_set(draw: st.DrawFn, shape: Shape) -> str:
    table = _table(draw, shape)
    return f"(table.set $t{table} (i32.const {_slot(draw, shape, table)}) {_reference(draw, shape)})"


def _table_fill(draw: st.DrawFn, shape: Shape) -> str:
    table = _table(draw, shape)
    slot = _slot(draw, shape, table)
    length = draw(st.integers(0, shape.tables[table] - slot))
    return f"(table.fill $t{table} (i32.const {slot}) {_reference(draw, shape)} (i32.const {length}))"


def _table_grow(draw: st.DrawFn, shape: Shape) -> str:
    table = _table(draw, shape)
    return f"(drop (table.grow $t{table} {_reference(draw, shape)} (i32.const {draw(st.integers(0, 4))})))"


def _table_copy(draw: st.DrawFn, shape: Shape) -> str:
    to, source = _table(draw, shape), _table(draw, shape)
    length = draw(st.integers(0, min(shape.tables[to], shape.tables[source])))
    return f"(table.copy $t{to} $t{source} (i32.const 0) (i32.const 0) (i32.const {length}))"


def _table_init(draw: st.DrawFn, shape: Shape) -> str:
    segment = draw(st.integers(0, len(shape.elements) - 1))
    table = _table(draw, shape)
    length = draw(st.integers(0, min(shape.elements[segment][2], shape.tables[table])))
    return f"(table.init $t{table} {segment} (i32.const 0) (i32.const 0) (i32.const {length}))"


def _element_drop(draw: st.DrawFn, shape: Shape) -> str:
    return f"(elem.drop {draw(st.integers(0, len(shape.elements) - 1))})"


def _data_init(draw: st.DrawFn, shape: Shape) -> str:
    segment = draw(st.integers(0, len(shape.data) - 1))
    length = draw(st.integers(0, shape.data[segment][1]))
    return f"(memory.init {segment} (i32.const {draw(STORE_AT)}) (i32.const 0) (i32.const {length}))"


def _data_drop(draw: st.DrawFn, shape: Shape) -> str:
    return f"(data.drop {draw(st.integers(0, len(shape.data) - 1))})"


def _call_indirect(draw: st.DrawFn, shape: Shape) -> str:
    table = _table(draw, shape)
    slot = _slot(draw, shape, table)
    return f"(i32.store (i32.const {draw(STORE_AT)}) (call_indirect $t{table} (result i32) (i32.const {slot})))"


def _loop(draw: st.DrawFn, shape: Shape) -> str:
    at, times = draw(st.integers(0, 32_000)), draw(st.integers(1, 2_000))
    count = f"(i32.load (i32.const {at}))"
    return (
        f"(i32.store (i32.const {at}) (i32.const 0)) (block (loop "
        f"(br_if 1 (i32.ge_u {count} (i32.const {times})))"
        f"(i32.store (i32.const {at}) (i32.add {count} (i32.const 1))) (br 0)))"
    )


def _host(draw: st.DrawFn, shape: Shape) -> str:
    if not shape.imports_function:
        return "(nop)"
    return f"(i32.store (i32.const {draw(STORE_AT)}) (call $answer))"


_STATEMENTS = {
    "store": _store,
    "grow": _grow,
    "fill": _fill,
    "copy": _copy,
    "global": _set_global,
    "table_set": _table_set,
    "table_fill": _table_fill,
    "table_grow": _table_grow,
    "table_copy": _table_copy,
    "table_init": _table_init,
    "element_drop": _element_drop,
    "data_init": _data_init,
    "data_drop": _data_drop,
    "call_indirect": _call_indirect,
    "loop": _loop,
    "host": _host,
}
