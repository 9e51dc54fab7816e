"""What it was measured on: what a reader needs to judge a number, and to try it again."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any, Final

from ..engine import binding, isolate
from ..engine.advisories import loaded

_PACKAGES: Final = ("isolet", "wasmtime", "uvicorn", "uvloop", "httptools", "msgpack", "starlette", "hdrhistogram")


def describe() -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": [round(figure, 2) for figure in os.getloadavg()],
        "python": " ".join(sys.version.split()),  # which build: they differ by a tenth of a request
        "compiled": compiled(),
        "wasmtime_library": ".".join(map(str, loaded()[0])),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def compiled() -> str:
    """Which form of isolet runs: nothing compiled, its calls of wasmtime, or the whole path of an invocation."""
    if not str(isolate.__file__).endswith(".py"):
        return "the path of an invocation"
    return "calls of wasmtime" if binding.are_compiled else "nothing"


def cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def short_name() -> str:
    """For a file's name: the processor and the number of cores."""
    words = re.sub(r"\(R\)|\(TM\)|CPU|Processor|@.*|\d+-Core", " ", cpu_model())
    return re.sub(r"[^a-z0-9]+", "-", f"{words.lower()} {os.cpu_count()}c").strip("-")
