"""Servers that benches start, and the client that loads them: `wrk`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes], port: int) -> Iterator[None]:
    """`process` until the block ends; the block begins when `port` answers."""
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def served(port: int, workers: int, data: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours with nothing deployed; its data in the directory `data`."""
    command = [sys.executable, "-m", "isolet.cli", "serve"]
    command += ["--port", str(port), "--workers", str(workers), "--data", data]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment() | variables)
    assert server.stdout is not None
    line = server.stdout.readline()
    if b"http://" not in line:
        server.kill()
        raise SystemExit(f"the server said {line!r}")
    with running(server, port):
        yield server
    server.stdout.close()


@contextlib.contextmanager
def isolet(port: int, workers: int) -> Iterator[None]:
    """A server of ours with hello deployed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as data, served(port, workers, data):
        deploy = [sys.executable, "-m", "isolet.cli", "deploy", str(ROOT / "functions" / "hello")]
        subprocess.run(
            deploy,
            check=True,
            env=environment() | {"ISOLET_ENDPOINT": f"http://127.0.0.1:{port}"},
            stdout=subprocess.DEVNULL,
        )
        yield


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "runtime")}


Figures = dict[str, float]


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")


def wrk(url: str, connections: int, seconds: float, options: Sequence[str] = ()) -> Figures:
    """Requests per second, p50 and p99 in µs of one run, and how many requests it was."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", *options, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", said):
        raise SystemExit(f"{url} failed under load:\n{said}")
    units = {"us": 1.0, "ms": 1e3, "s": 1e6}

    def latency(percent: str) -> float:
        found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", said)
        assert found, said
        return float(found[1]) * units[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    count = re.search(r"(\d+) requests in", said)
    assert rate, said
    assert count, said
    return {"requests": float(count[1]), "rps": float(rate[1]), "p50": latency("50"), "p99": latency("99")}
