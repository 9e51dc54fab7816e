"""Zig, by the zig that compiles C: a WASI reactor without libc, with the SDK's start.zig as its root.

A function is one file, with whatever it imports beside it. Safety checks stay (`ReleaseSafe`): what they find is an
error of the function's, where `ReleaseFast` would go on with whatever is in memory; `flags` choose otherwise.

About zig's two caches see c.py.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ..errors import CompileFailed
from ..manifest import Manifest
from . import toolchain
from .package import Progress, Step

SDK = Path(__file__).parent / "sdk" / "zig"


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module, and the compiler's warnings. Raises CompileFailed, ToolchainMissing."""
    zig = toolchain.ensure(toolchain.ZIG, progress)
    progress(Step("compile Zig"))
    with tempfile.TemporaryDirectory(prefix="isolet-zig-") as scratch:
        module = Path(scratch) / "function.wasm"
        warnings = _run(
            [
                *(zig, "build-exe", "-target", "wasm32-wasi", "-mexec-model=reactor", "-fno-entry", "-rdynamic"),
                # The stack lies below the data: overflowing it is a trap at address 0, never a corruption.
                *("-O", "ReleaseSafe", "-fstrip", "--stack", str(manifest.stack_kb * 1024)),
                *manifest.flags,
                *("--dep", "isolet", "--dep", "function", f"-Mroot={SDK.resolve() / 'start.zig'}"),
                f"-Misolet={SDK.resolve() / 'isolet.zig'}",
                *("--dep", "isolet", f"-Mfunction={manifest.sources[0]}"),
                f"-femit-bin={module}",
            ],
            directory,
            Path(scratch),
        )
        return module.read_bytes(), warnings


def _run(command: list[str | Path], directory: Path, scratch: Path) -> str:
    variables = {
        "ZIG_GLOBAL_CACHE_DIR": str(toolchain.cache_directory() / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(scratch / "cache"),
    }
    try:
        return toolchain.run(command, directory, variables)
    except CompileFailed as failed:
        found = re.search(r"^\S+:\d+:\d+: error: .*", failed.output, re.MULTILINE)
        if found is None:
            raise
        raise CompileFailed(found[0].removeprefix(f"{directory}/"), failed.output) from None
