"""For peers: a work in C made a module by the compiler that isolet uses, with a shim around it; packages of npm and
PyPI below a cache of the laboratory's own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from isolet.errors import CompileFailed
from isolet.lab.peers import Unavailable
from isolet.languages import toolchain
from isolet.limits import KIB

WORKS = Path(__file__).parent.parent / "works"
_INSTALL_S = 600


def module(work: str, shim: Path, cache: Path, flags: Sequence[str] = ()) -> bytes:
    """`shim` and the work as a WASI reactor, optimised as isolet's own are. Made once per source."""
    sources = [shim, WORKS / f"{work}.c", WORKS / "work.h"]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources) + repr(flags).encode()).hexdigest()[:16]
    kept = cache / "modules" / f"{work}-{key}.wasm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        zig = toolchain.ensure(toolchain.ZIG, lambda step: None)
        with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
            made = Path(scratch) / "made.wasm"
            command = [
                *(zig, "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-std=gnu17", "-O2", "-s"),
                *(f"-I{WORKS}", f"-Wl,-z,stack-size={64 * KIB}", *flags, shim, WORKS / f"{work}.c", "-o", made),
            ]
            environment = {
                "ZIG_GLOBAL_CACHE_DIR": str(toolchain.cache_directory() / "zig"),
                "ZIG_LOCAL_CACHE_DIR": str(Path(scratch) / "cache"),
            }
            said = subprocess.run(
                [str(part) for part in command], env=os.environ | environment, capture_output=True, text=True
            )
            if said.returncode:
                raise CompileFailed(f"{work} with {shim.name} does not compile", said.stderr)
            partial = kept.with_suffix(".partial")
            partial.write_bytes(made.read_bytes())
            partial.rename(kept)
    return kept.read_bytes()


def python_package(distribution: str, version: str, cache: Path) -> Path:
    """The directory where `distribution` and what it needs are installed, out of the way of our own packages."""
    target = cache / "pypi" / f"{distribution}-{version}"
    if not (target / ".done").exists():
        _run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), f"{distribution}=={version}"],
            distribution,
        )
        (target / ".done").touch()
    return target


def npm_package(name: str, version: str, cache: Path) -> Path:
    """The `node_modules` where `name` is installed."""
    target = cache / "npm" / f"{name.replace('/', '-')}-{version}"
    if not (target / ".done").exists():
        target.mkdir(parents=True, exist_ok=True)
        (target / "package.json").write_text("{}\n")
        _run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(target), f"{name}@{version}"],
            name,
        )
        (target / ".done").touch()
    return target / "node_modules"


def require(program: str, what: str) -> str:
    """The program's version. Raises Unavailable."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        raise Unavailable(f"{what} is not installed: no `{program}` on this machine's path") from None
    return said.stdout.strip().lstrip("v")


def _run(command: Sequence[str], what: str) -> None:
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what} cannot be installed: {error}") from None
    if said.returncode:
        last = said.stderr.strip().splitlines()
        raise Unavailable(f"{what} cannot be installed: {last[-1] if last else said.returncode}")


def installed(distribution: str) -> str:
    return importlib.metadata.version(distribution)
