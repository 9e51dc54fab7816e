"""C, by `zig cc`: clang and a WASI libc in one program.

zig keeps two caches. The global one holds the libc that it builds on first use (some twenty seconds), from files of
its own that never change: it is shared. The local one holds objects of the user's files, known by name, size and
time. After a change that keeps these (a header from a checkout, an edit within a tick of the clock) it links the old
object, so each build gets a local cache of its own, for a tenth of a second.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..manifest import Manifest
from . import toolchain
from .package import Progress, Step

SDK = Path(__file__).parent / "sdk" / "c"


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module, and the compiler's warnings. Raises CompileFailed, ToolchainMissing."""
    zig = toolchain.ensure(toolchain.ZIG, progress)
    libc = toolchain.cache_directory() / "zig"
    progress(Step("compile C" if libc.is_dir() else "compile C, and its library once"))
    with tempfile.TemporaryDirectory(prefix="isolet-c-") as scratch:
        module = Path(scratch) / "function.wasm"
        warnings = toolchain.run(
            [zig, "cc", *flags(manifest), *manifest.cflags, *manifest.sources, "-o", module],
            directory,
            {"ZIG_GLOBAL_CACHE_DIR": str(libc), "ZIG_LOCAL_CACHE_DIR": str(Path(scratch) / "cache")},
        )
        return module.read_bytes(), warnings


def flags(manifest: Manifest) -> list[str]:
    """What every function is compiled with; the manifest's own flags come behind and win."""
    return [
        *("-target", "wasm32-wasi", "-mexec-model=reactor"),
        *("-std=gnu17", "-O2", "-s", "-Wall", "-Wextra", f"-I{SDK}"),
        # The stack lies below the data: overflowing it is a trap at address 0, never a corruption.
        f"-Wl,-z,stack-size={manifest.stack_kb * 1024}",
    ]
