"""workerd (npm): Cloudflare's runtime for Workers, V8 in one process."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isolet.lab.peers import free_port, serve_until_ended
from isolet.lab.works import Work

from .. import building

NAME = "workerd"
KIND = "http"
LANGUAGES = ("javascript",)
FRESH = False
DIFFERS = {
    "instance": "one V8 isolate for all requests of a Worker; what one leaves in it the next one finds",
    "isolation": "V8's isolates in one process",
    "metering": "none in the open-source server",
    "note": "one thread; JavaScript is compiled as it runs",
}
_VERSION = "1.20261117.1"
_CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker", esModule = embed "shim.mjs"), (name = "work", esModule = embed "work.mjs")],
    compatibilityDate = "2026-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")],
);
"""


def install(cache: Path) -> str:
    building.npm_package("workerd", _VERSION, cache)
    return _VERSION


@contextlib.contextmanager
def serving(work: Work, language: str, cache: Path, workers: int) -> Iterator[str]:
    binary = building.npm_package("workerd", _VERSION, cache) / "@cloudflare" / "workerd-linux-64" / "bin" / "workerd"
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        directory, port = Path(scratch), free_port()
        shutil.copy(Path(__file__).parent / "shim.mjs", directory)
        shutil.copy(building.WORKS / f"{work.name}.mjs", directory / "work.mjs")
        (directory / "config.capnp").write_text(_CONFIG % port)
        process = subprocess.Popen(
            [binary, "serve", directory / "config.capnp"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with serve_until_ended(f"http://127.0.0.1:{port}/", process) as url:
            yield url
