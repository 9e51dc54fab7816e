"""Whether an uploaded module can be a guest: `sdk/abi.md`, sections 1, 4 and 8.

Laws:
- It runs before wasmtime sees a byte, so that whatever the ABI forbids is refused in the ABI's words and cheaply.
- Every refusal is a ModuleInvalid that gives the value and the cure. What is left to refuse (types of code) the engine
  refuses at compilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .. import limits
from ..engine.host import HostFunction
from ..errors import ModuleInvalid
from . import sections
from .sections import KIND_FUNCTION, KIND_MEMORY, KINDS, Export, Import, Module, Signature

# Ours; what instrumentation adds has names that start with it.
RESERVED_PREFIX: Final = "__isolet_"

_TYPES: Final = {"i": sections.I32, "I": sections.I64, "f": sections.F32, "d": sections.F64}


def _signature(params: str, results: str = "") -> Signature:
    """From the spelling of HostFunction: `_signature("ii", "I")` is (i32, i32) -> (i64)."""
    return Signature(bytes(_TYPES[p] for p in params), bytes(_TYPES[r] for r in results))


_REQUIRED: Final = {"isolet_buffer": _signature("i", "i"), "isolet_handle": _signature("ii", "I")}
_OPTIONAL: Final = {"_initialize": _signature(""), "isolet_init": _signature("")}
# And from `wapc`, if they are waPC guests.
_MODULES: Final = ("isolet", "wasi_snapshot_preview1")


def validate(wasm: bytes, imports: Sequence[HostFunction], memory_bytes_max: int) -> Module:
    """The parsed module. `imports`: all that a guest may import; `memory_bytes_max`: what the function may have."""
    if len(wasm) > limits.MODULE_BYTES_MAX:
        raise ModuleInvalid(
            f"the module has {len(wasm):,} bytes, and at most {limits.MODULE_BYTES_MAX:,} are allowed; "
            "strip it (wasm-strip, -s) or move data into files of the package"
        )
    module = sections.parse(wasm)
    if len(module.functions) > limits.MODULE_FUNCTIONS_MAX:
        raise ModuleInvalid(
            f"the module has {len(module.functions):,} functions, and at most {limits.MODULE_FUNCTIONS_MAX:,} are "
            "allowed; split the program"
        )
    _check_imports(module, imports)
    _check_memory(module, memory_bytes_max)
    _check_tables(module)
    _check_exports(module)
    return module


def _check_imports(module: Module, known: Sequence[HostFunction]) -> None:
    signatures = {(f.module, f.name): _signature(f.params, f.results) for f in known}
    for wanted in module.imports:
        spelled = f"`{wanted.module}.{wanted.name}`"
        if wanted.kind != KIND_FUNCTION:
            raise ModuleInvalid(
                f"the module imports the {KINDS[wanted.kind]} {spelled}, and only functions may be imported; "
                "define it in the module (no --import-memory, no --import-table)"
            )
        expected = signatures.get((wanted.module, wanted.name))
        if expected is None:
            raise ModuleInvalid(f"the module imports {spelled}, which does not exist; {_import_cure(wanted)}")
        actual = module.types[wanted.type]
        if actual != expected:
            raise ModuleInvalid(f"the module imports {spelled} as {actual}, and it is {expected}; use the SDK's header")


def _import_cure(wanted: Import) -> str:
    if wanted.module == "env":
        return "define that function (the linker allowed it to be undefined)"
    if wanted.module not in _MODULES:
        listed = " and ".join(f"`{module}`" for module in _MODULES)
        return f"guests import from {listed} only; build for wasm32-wasi, not for a browser"
    return "see sdk/abi.md for what there is"


def _check_memory(module: Module, memory_bytes_max: int) -> None:
    if len(module.memories) != 1:
        raise ModuleInvalid(f"the module defines {len(module.memories)} memories, and a guest has exactly one")
    minimum, maximum = module.memories[0]
    size = minimum * limits.WASM_PAGE_BYTES
    if size > memory_bytes_max:
        raise ModuleInvalid(
            f"the module starts with {size / limits.MIB:,.1f} MiB of memory, and the function has "
            f"{memory_bytes_max / limits.MIB:,.0f}; raise `memory_mb`"
        )
    if maximum is not None and maximum < minimum:
        raise ModuleInvalid(f"the memory's maximum of {maximum:,} pages is less than its minimum of {minimum:,}")


def _check_tables(module: Module) -> None:
    if len(module.tables) > limits.TABLES_MAX:
        raise ModuleInvalid(
            f"the module has {len(module.tables):,} tables, and at most {limits.TABLES_MAX} are allowed"
        )
    for index, table in enumerate(module.tables):
        if table.minimum > limits.TABLE_ELEMENTS_MAX:
            raise ModuleInvalid(
                f"table {index} starts with {table.minimum:,} elements, and at most "
                f"{limits.TABLE_ELEMENTS_MAX:,} are allowed; take the address of fewer functions"
            )


def _check_exports(module: Module) -> None:
    counts = (module.imported_functions + len(module.functions), len(module.tables), 1, len(module.globals))
    exports: dict[str, Export] = {}
    for export in module.exports:
        if export.name in exports:
            raise ModuleInvalid(f"the module exports `{export.name}` twice")
        if export.target >= counts[export.kind]:
            raise ModuleInvalid(
                f"the export `{export.name}` is {KINDS[export.kind]} {export.target:,}, "
                f"but there are {counts[export.kind]:,}"
            )
        if export.name.startswith(RESERVED_PREFIX):
            raise ModuleInvalid(
                f"the export `{export.name}` starts with `{RESERVED_PREFIX}`, which is reserved; rename it"
            )
        exports[export.name] = export
    if "_start" in exports:
        raise ModuleInvalid(
            "the module exports `_start`: it is a program that runs once, and a guest is a reactor; "
            "build with -mexec-model=reactor (Go: -buildmode=c-shared)"
        )
    if "memory" not in exports or exports["memory"].kind != KIND_MEMORY:
        raise ModuleInvalid("the module does not export its memory as `memory`; link with --export-memory")
    for required in _REQUIRED:
        if required not in exports:
            raise ModuleInvalid(
                f"the module does not export `{required}`; write the function with an SDK "
                f"(sdk/c/isolet.h, sdk/go), or export it yourself as {_REQUIRED[required]}"
            )
    for name, expected in (_REQUIRED | _OPTIONAL).items():
        if name in exports:
            _check_function(module, exports[name], expected)


def _check_function(module: Module, export: Export, expected: Signature) -> None:
    if export.kind != KIND_FUNCTION:
        raise ModuleInvalid(
            f"the export `{export.name}` is a {KINDS[export.kind]}, and it must be a function {expected}"
        )
    actual = module.signature(export.target)
    if actual != expected:
        raise ModuleInvalid(f"the export `{export.name}` is {actual}, and it must be {expected}")
