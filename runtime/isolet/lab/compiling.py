"""Programs in C for the laboratory, by the compiler that isolet's functions have, kept where they were made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import CompileFailed
from ..languages import toolchain
from ..limits import KIB


def compiled(sources: Sequence[Path], headers: Sequence[Path], cache: Path) -> bytes:
    """The sources as one WASI reactor, optimised as functions are. Raises CompileFailed, ToolchainMissing."""
    text = b"\0".join(path.read_bytes() for path in (*sources, *headers))
    kept = cache / "modules" / f"{sources[-1].stem}-{hashlib.sha256(text).hexdigest()[:16]}.wasm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        zig = toolchain.ensure(toolchain.ZIG, lambda step: None)
        with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
            made = Path(scratch) / "made.wasm"
            directories = dict.fromkeys(f"-I{header.parent}" for header in headers)
            command = [
                *(zig, "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-std=gnu17", "-O2", "-s"),
                *(*directories, f"-Wl,-z,stack-size={64 * KIB}", *sources, "-o", made),
            ]
            environment = {
                "ZIG_GLOBAL_CACHE_DIR": str(toolchain.cache_directory() / "zig"),
                "ZIG_LOCAL_CACHE_DIR": str(Path(scratch) / "cache"),
            }
            said = subprocess.run(
                [str(part) for part in command], env=os.environ | environment, capture_output=True, text=True
            )
            if said.returncode:
                raise CompileFailed(f"{sources[-1].name} does not compile", said.stderr)
            partial = kept.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(made.read_bytes())
            partial.rename(kept)
    return kept.read_bytes()
