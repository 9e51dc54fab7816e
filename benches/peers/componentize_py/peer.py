"""Python guests by componentize-py (PyPI), served by `wasmtime serve`: CPython in a component, and a snapshot of it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isolet.lab.peers import Unavailable, free_port, serve_until_ended
from isolet.lab.works import Work

from .. import building
from ..wasmtime_serve import peer as wasmtime

NAME = "componentize-py on wasmtime serve"
KIND = "http"
LANGUAGES = ("python",)
FRESH = True
DIFFERS = {
    "instance": "fresh for every request; what the module's top level did is in the component",
    "isolation": "wasm, in one process",
    "metering": "fuel (-W fuel); no deadline, no record of a request",
    "note": "Rust from the socket to the guest; compiled before it serves; no event is made, no answer checked",
}
HERE = Path(__file__).parent
_VERSION = "0.25.1"
_BUILD_S = 600
# What both the compiler and the server must be told alike.
_OPTIONS = ("-W", "fuel=1000000000000")


def install(cache: Path) -> str:
    building.python_package("componentize-py", _VERSION, cache)
    return f"{_VERSION}, wasmtime {wasmtime.install(cache)}"


@contextlib.contextmanager
def serving(work: Work, language: str, cache: Path, workers: int) -> Iterator[str]:
    compiled = _compiled(work, cache)
    port = free_port()
    process = wasmtime.serve(compiled, port, workers, (*_OPTIONS, "-S", "cli=y", "--allow-precompiled"))
    with serve_until_ended(f"http://127.0.0.1:{port}/", process) as url:
        yield url


def _compiled(work: Work, cache: Path) -> Path:
    """The component, made and compiled once per source: some ten seconds."""
    sources = [HERE / "app.py", building.WORKS / f"{work.name}.py"]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    kept = cache / "modules" / f"{work.name}-{_VERSION}-{wasmtime.VERSION}-{key}.cwasm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        program = building.python_package("componentize-py", _VERSION, cache)
        with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
            directory = Path(scratch)
            shutil.copy(sources[0], directory / "app.py")
            shutil.copy(sources[1], directory / "work.py")
            componentize = [program / "bin" / "componentize-py", "-q", "-d", HERE / "wit", "-w", "works"]
            _run([*componentize, "componentize", "app", "-o", "app.wasm"], directory, program)
            _run([wasmtime.binary(), "compile", *_OPTIONS, "app.wasm", "-o", "app.cwasm"], directory, program)
            shutil.move(directory / "app.cwasm", kept.with_suffix(".partial"))
            kept.with_suffix(".partial").rename(kept)
    return kept


def _run(command: list[str | Path], directory: Path, packages: Path) -> None:
    environment = {"PYTHONPATH": str(packages), "PATH": "/usr/bin:/bin", "HOME": str(directory)}
    try:
        said = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_BUILD_S, env=environment)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} took more than {_BUILD_S} s") from None
    if said.returncode:
        last = (said.stderr or said.stdout).strip().splitlines()
        raise Unavailable(f"{Path(command[0]).name}: {last[-1] if last else said.returncode}")
