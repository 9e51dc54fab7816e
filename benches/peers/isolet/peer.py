"""isolet: `isolet serve` with its workers, each request a fresh isolate from a snapshot, over HTTP."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isolet.cli.client import Client
from isolet.cli.credentials import TEST
from isolet.cli.deployment import deployed
from isolet.cli.steps import Quiet
from isolet.lab import house
from isolet.lab.works import Work
from isolet.languages.c import SDK

from .. import building

NAME = "isolet"
KIND = "http"
LANGUAGES = ("c", "javascript", "python")
FRESH = True
DIFFERS = {
    "instance": "fresh for every request, restored from a snapshot",
    "isolation": "wasm; worker processes, which may not open files or sockets",
    "metering": "fuel, deadline, memory; usage and log lines recorded for each request",
    "note": "a Lambda event is made of each request, and the answer is checked",
}
HERE = Path(__file__).parent


def install(cache: Path) -> str:
    return building.installed("isolet")


def source(work: Work, language: str, directory: Path) -> Path:
    """A directory that `isolet deploy` takes."""
    manifest = f'name = "work-{work.name}-{language}"\nlanguage = "{language}"\ntimeout_s = 10\n'
    if language == "c":
        manifest += f'memory_mb = 8\nsource = ["shim.c", "{work.name}.c"]\n[build]\nstack_kb = 64\n'
    else:
        manifest += "memory_mb = 128\n"
    manifest += "[http]\n"
    (directory / "function.toml").write_text(manifest)
    if language == "c":
        for path in (HERE / "shim.c", building.WORKS / f"{work.name}.c", building.WORKS / "work.h"):
            shutil.copy(path, directory)
        shutil.copy(SDK / "isolet.h", directory)
    elif language == "javascript":
        shutil.copy(HERE / "index.mjs", directory)
        shutil.copy(building.WORKS / f"{work.name}.mjs", directory / "work.mjs")
    else:
        shutil.copy(HERE / "lambda_function.py", directory)
        shutil.copy(building.WORKS / f"{work.name}.py", directory / "work.py")
    return directory


@contextlib.contextmanager
def serving(work: Work, language: str, cache: Path, workers: int) -> Iterator[str]:
    with house.serving(workers) as server, tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        with Client(server.url, TEST) as client, Quiet() as steps:
            made = deployed(source(work, language, Path(scratch)), client, steps)
        yield f"{server.url}/fn/{made.name}/"
