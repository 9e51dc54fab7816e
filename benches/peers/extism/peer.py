"""Extism's Python SDK: a new plug-in for every call, from code that was compiled before; in this process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from isolet.lab.works import Work

from .. import building

NAME = "extism, a new plug-in per call"
KIND = "call"
LANGUAGES = ("c",)
FRESH = True
DIFFERS = {
    "instance": "fresh for every call, from compiled code; initialised in every one",
    "isolation": "wasm, in the caller's process",
    "metering": "none by default",
    "note": "no HTTP, no event: bytes in, bytes out, through the host's memory",
}
_VERSION = "1.1.1"


def install(cache: Path) -> str:
    path = building.python_package("extism", _VERSION, cache)
    if str(path) not in sys.path:
        sys.path.append(str(path))
    return _VERSION


@contextlib.contextmanager
def calling(work: Work, language: str, cache: Path) -> Iterator[Callable[[str], str]]:
    import extism

    wasm = building.module(work.name, Path(__file__).parent / "shim.c", cache)
    compiled = extism.CompiledPlugin(wasm, wasi=True) if hasattr(extism, "CompiledPlugin") else None
    if compiled is None:
        from extism.extism import CompiledPlugin

        compiled = CompiledPlugin(wasm, wasi=True)

    def call(body: str) -> str:
        plugin = extism.Plugin(compiled)
        return bytes(plugin.call("run", body.encode())).decode()

    yield call
