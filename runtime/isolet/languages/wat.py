"""WebAssembly text: assembled by the engine, no toolchain."""

from __future__ import annotations

from pathlib import Path

from ..errors import CompileFailed, ModuleInvalid
from ..manifest import Manifest
from .package import Progress, Step


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module; no warnings. Raises CompileFailed with the parser's line and column."""
    from ..engine.engine import wat  # here: the other languages need no engine to be built

    progress(Step("assemble"))
    source = manifest.sources[0]
    try:
        return wat((directory / source).read_text(encoding="utf-8")), ""
    except UnicodeDecodeError as error:
        raise CompileFailed(f"{source}: byte {error.start} is not UTF-8", "") from None
    except ModuleInvalid as error:
        raise CompileFailed(f"{source}: {error.message}", error.message) from None
