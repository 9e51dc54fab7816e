"""Which compilers a test can have: what is not there is a skip that says how to get it, never a test that passes."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from isolet.errors import ToolchainMissing
from isolet.languages import rust, toolchain

# Its npm package is wasm-opt as JavaScript, one version for everybody: the modules of a seed are then the same.
BINARYEN = "132.0.0"


@functools.cache
def missing(language: str) -> str:
    """Why functions in `language` cannot be compiled here, with the cure; "" if they can, or pip and npm fetch it."""
    if language == "rust":
        try:
            rust.find()
        except ToolchainMissing as error:
            return error.message
    return ""


def require(language: str) -> None:
    """Skips the test that calls it if `language` has no compiler here."""
    if reason := missing(language):
        pytest.skip(reason)


@functools.cache
def wasm_opt() -> tuple[Path, Path]:
    """Node.js and Binaryen's wasm-opt, which it runs; installed by npm into the cache of toolchains if it is not there.
    Skips the test that calls it where neither can be had."""
    try:
        node = toolchain.ensure(toolchain.NODE, lambda step: None)
        home = toolchain.cache_directory() / "toolchains"
        home.mkdir(exist_ok=True)
        place = home / f"binaryen-{BINARYEN}"
        program = place / "node_modules" / "binaryen" / "bin" / "wasm-opt"
        npm = toolchain.npm_command(lambda step: None)
    except ToolchainMissing as error:
        pytest.skip(error.message)
    with toolchain.locked(home / ".lock", lambda: None):
        if not program.is_file():
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
            asked = ["install", "--no-audit", "--no-fund", "--ignore-scripts", f"binaryen@{BINARYEN}"]
            said = subprocess.run([*npm, *asked, "--prefix", partial], capture_output=True, text=True)
            if said.returncode:
                shutil.rmtree(partial)
                pytest.skip(f"npm cannot install binaryen {BINARYEN}: {said.stderr[-300:]}; connect to npm's registry")
            os.replace(partial, place)
    return node, program
