"""A fresh `python` or `node` process for every call: what CGI and the simplest runners do."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from isolet.lab.works import SUFFIXES, Work

from .. import building

NAME = "a fresh process per call"
KIND = "call"
LANGUAGES = ("javascript", "python")
FRESH = True
DIFFERS = {
    "instance": "a fresh process for every call; started, initialised, ended in every one",
    "isolation": "a process",
    "metering": "none",
    "note": "no HTTP, no event: the body in a pipe, the answer in another. `python -S -E`, `node`",
}
HERE = Path(__file__).parent


def install(cache: Path) -> str:
    return f"python {sys.version.split()[0]}, node {building.require('node', 'Node.js')}"


@contextlib.contextmanager
def calling(work: Work, language: str, cache: Path) -> Iterator[Callable[[str], str]]:
    suffix = SUFFIXES[language]
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        directory = Path(scratch)
        shutil.copy(HERE / f"run{suffix}", directory)
        shutil.copy(building.WORKS / f"{work.name}{suffix}", directory / f"work{suffix}")
        program = [sys.executable, "-S", "-E"] if language == "python" else ["node"]

        def call(body: str) -> str:
            said = subprocess.run(
                [*program, directory / f"run{suffix}"], input=body.encode(), capture_output=True, check=True
            )
            return said.stdout.decode()

        yield call
