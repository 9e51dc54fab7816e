"""Which languages there are on this machine: interpreters, and compilers with their toolchains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...errors import ToolchainMissing
from .. import rust, toolchain
from ..build import COMPILERS
from ..interpreters import INTERPRETERS, Interpreter
from .recipe import kept
from .table import RECIPES

_TOOLS: Mapping[str, toolchain.Tool] = {
    "c": toolchain.ZIG,
    "go": toolchain.GO,
    "zig": toolchain.ZIG,
    "assemblyscript": toolchain.ASSEMBLYSCRIPT,
}


@dataclass(frozen=True, slots=True)
class Language:
    name: str
    kind: Literal["interpreted", "compiled"]
    version: str  # of the interpreter, or of the compiler that a build would take; "" if there is none
    runtimes: str  # what a Lambda runtime that it serves is called: "python3.*"
    ready: bool  # a build, or an invocation, fetches nothing first
    note: str


def languages() -> list[Language]:
    return [*map(_interpreted, INTERPRETERS), *(_compiled(n) for n in COMPILERS if n not in _interpreter_names())]


def _interpreter_names() -> set[str]:
    return {interpreter.name for interpreter in INTERPRETERS}


def _interpreted(interpreter: Interpreter) -> Language:
    recipe = RECIPES.get(interpreter.name)
    there = interpreter.module_path.is_file()
    if recipe is not None and kept(recipe).is_dir():
        note = "built on this machine"
    else:
        note = "comes with isolet" if there else f"isolet languages build {interpreter.name}"
    version = recipe.version if recipe else ""
    return Language(interpreter.name, "interpreted", version, f"{interpreter.prefix}*", there, note)


def _compiled(name: str) -> Language:
    if name == "rust":
        return _rust()
    tool = _TOOLS.get(name)
    if tool is None:
        return Language(name, "compiled", "", "provided.*", True, "needs no compiler")
    there = toolchain.find(tool) is not None and (not tool.by_node or toolchain.find(toolchain.NODE) is not None)
    note = f"by {tool.name}" if there else f"by {tool.name}, which the first build installs from {tool.registry}"
    return Language(name, "compiled", tool.version, "provided.*", there, note)


def _rust() -> Language:
    """The one that the machine has: no registry of packages that we install from carries it."""
    try:
        found = rust.find()
    except ToolchainMissing:
        return Language(
            "rust", "compiled", "", "provided.*", False, f"by rustc; {rust.CURE.format(target=rust.TARGET)}"
        )
    return Language("rust", "compiled", found.version, "provided.*", True, f"by {found.rustc}")
