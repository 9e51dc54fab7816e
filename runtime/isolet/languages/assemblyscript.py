"""AssemblyScript, by asc from npm: a compiler that is JavaScript itself, run by Node.js.

The SDK is found by the name `isolet`, as an installed package would be; a package that the function brings along in
node_modules is found before it. sdk/assemblyscript/asc.mjs starts the compiler; its head says what it does beside that.
Nothing is fetched: packages that the function needs beside the SDK are in its node_modules (`npm install`).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ..errors import CompileFailed
from ..manifest import Manifest
from . import toolchain
from .package import Progress, Step

SDK = Path(__file__).parent / "sdk" / "assemblyscript"
# Of references to what the collector looks after. Reading an event recurses, 512 deep at most.
_SHADOW_STACK_BYTES = 128 * 1024


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module, and the compiler's warnings. Raises CompileFailed, ToolchainMissing."""
    program = toolchain.ensure(toolchain.ASSEMBLYSCRIPT, progress)
    node = toolchain.ensure(toolchain.NODE, progress)
    progress(Step("compile AssemblyScript"))
    with tempfile.TemporaryDirectory(prefix="isolet-assemblyscript-") as scratch:
        module = Path(scratch) / "function.wasm"
        try:
            warnings = toolchain.run(
                [
                    *(node, SDK.resolve() / "asc.mjs", program.parent.parent, manifest.sources[0]),
                    *("--outFile", module, "-O3", "--noColors", "--stackSize", str(_SHADOW_STACK_BYTES)),
                    *manifest.flags,
                ],
                directory,
                {},
            )
        except CompileFailed as failed:
            raise CompileFailed(_first_error(failed.output) or failed.message, failed.output) from None
        return module.read_bytes(), warnings


def _first_error(output: str) -> str:
    """`counter.ts(3,5): ERROR TS2304: …`: asc gives the place a line of its own, below the source that it shows."""
    found = re.search(r"^(ERROR .*)$(?:\n(?!\n).*?)*?\n\s+└─ in (.+)$", output, re.MULTILINE)
    if found is None:
        found = re.search(r"^(ERROR .*)$()", output, re.MULTILINE)
    if found is None:
        return ""
    return f"{found[2]}: {found[1]}" if found[2] else found[1]
