"""A warm `python` or `node` process: calls one after the other in it, as Lambda's runtime clients make them."""

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

NAME = "a warm process"
KIND = "call"
LANGUAGES = ("javascript", "python")
FRESH = False
DIFFERS = {
    "instance": "one process for all calls; what one leaves in it the next one finds",
    "isolation": "a process for all calls",
    "metering": "none",
    "note": "no HTTP, no event: bodies and answers in pipes",
}
HERE = Path(__file__).parent


def install(cache: Path) -> str:
    return f"python {sys.version.split()[0]}, node {building.require('node', 'Node.js')}"


@contextlib.contextmanager
def calling(work: Work, language: str, cache: Path) -> Iterator[Callable[[str], str]]:
    suffix = SUFFIXES[language]
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        directory = Path(scratch)
        shutil.copy(HERE / f"loop{suffix}", directory)
        shutil.copy(building.WORKS / f"{work.name}{suffix}", directory / f"work{suffix}")
        program = [sys.executable, "-S", "-E"] if language == "python" else ["node"]
        process = subprocess.Popen(
            [*program, directory / f"loop{suffix}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        writing, reading = process.stdin, process.stdout

        def call(body: str) -> str:
            payload = body.encode()
            writing.write(len(payload).to_bytes(8, "little") + payload)
            writing.flush()
            return reading.read(int.from_bytes(reading.read(8), "little")).decode()

        try:
            yield call
        finally:
            writing.close()
            process.wait(10)
            reading.close()
