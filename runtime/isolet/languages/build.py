"""From a function's directory to the package that is deployed: one function, whatever the language."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import limits
from ..errors import CompileFailed
from ..manifest import Manifest, package_files
from . import assemblyscript, c, go, javascript, python, rust, wasm, wat, zig
from .package import Package, Progress, Step, pack, silent

# (directory, manifest, progress) → the module, and the compiler's warnings.
Compiler = Callable[[Path, Manifest, Progress], tuple[bytes, str]]
# The same for what an interpreter runs: the files of its package by name, and warnings.
Packager = Callable[[Path, Manifest, Progress], tuple[dict[str, bytes | Path], str]]

PACKAGERS: Mapping[str, Packager] = {"python": python.package, "javascript": javascript.package}

COMPILERS: Mapping[str, Compiler] = {
    "c": c.compile,
    "assemblyscript": assemblyscript.compile,
    "go": go.compile,
    "rust": rust.compile,
    "zig": zig.compile,
    "wat": wat.compile,
    "wasm": wasm.compile,
}

_MAGIC = b"\0asm\1\0\0\0"


def build(directory: Path, manifest: Manifest, progress: Progress = silent) -> Package:
    """The package of the function in `directory`, whose loaded manifest this is.

    Blocks for as long as the compiler takes: a tenth of a second for C, seconds for Go, once more for the toolchain;
    or for as long as dependencies take to install.

    Writes nothing into `directory`. Raises CompileFailed, ToolchainMissing, PayloadTooLarge.
    """
    started_s = time.perf_counter()
    files: Mapping[str, bytes | Path]
    if packager := PACKAGERS.get(manifest.settings.language):
        wasm_bytes = b""
        files, warnings = packager(directory, manifest, progress)
    else:
        wasm_bytes, warnings = _compiled(directory, manifest, progress)
        files = package_files(directory, manifest)
    progress(Step("package", len(wasm_bytes), len(wasm_bytes)))
    packed = pack(wasm_bytes, files)
    return Package(packed, wasm_bytes, time.perf_counter() - started_s, warnings)


def _compiled(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    wasm_bytes, warnings = COMPILERS[manifest.settings.language](directory, manifest, progress)
    if wasm_bytes[:8] != _MAGIC:
        start = wasm_bytes[:8].hex(" ") or "nothing"
        raise CompileFailed(f"{manifest.sources[0]} gave no core WebAssembly module: it starts with {start}", "")
    if len(wasm_bytes) > limits.MODULE_BYTES_MAX:
        most = limits.MODULE_BYTES_MAX
        raise CompileFailed(f"the module has {len(wasm_bytes):,} bytes, and at most {most:,} are taken; link less", "")
    return wasm_bytes, warnings
