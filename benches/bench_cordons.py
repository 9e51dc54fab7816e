"""What it costs that a tenant is in another cordon than the door: hello in C over HTTP, at 1 and 32 connections.

One server with a worker in each of two tiers. Control and ours are the same function of the same tenant, which is moved
between them: served by the door's worker itself, and passed on by it over a UNIX socket. By `wrk`, on the same machine.

How it can mislead: the hop takes processor time of two processes, so that at 32 connections the machine's processors
decide, not the hop; and a real request does more than hello, which the hop costs no more.

    python benches/bench_cordons.py [--smoke] [--rounds N]
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import Comparison, Contender, arguments, compare, write_result
from isolet.config import Config
from isolet.model import DEFAULT_TENANT
from isolet.operating import operate
from servers import ROOT, environment, free_port, require_wrk, served, wrk


def main() -> None:
    parsed = arguments(__doc__ or "")
    require_wrk()
    seconds = 1 if parsed.smoke else 3
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as data, served(port, 1, data, ISOLET_CORDONS="apart=1"):
        url = f"http://127.0.0.1:{port}"
        deploy = [sys.executable, "-m", "isolet.cli", "deploy", str(ROOT / "functions" / "hello")]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(deploy, check=True, env=environment() | {"ISOLET_ENDPOINT": url}, **quiet)

        def measured(tier: str, connections: int, figure: str) -> Callable[[], float]:
            def measure() -> float:
                asyncio.run(operate(Config(data=Path(data)), "tenants.set", [DEFAULT_TENANT, tier, None]))
                # The first requests make lines and load the snapshot.
                wrk(f"{url}/fn/hello/", connections, 1)
                return wrk(f"{url}/fn/hello/", connections, seconds)[figure]

            return measure

        def compared(title: str, unit: str, connections: int, figure: str) -> Comparison:
            tiers = {"in the door's cordon": "standard", "in another one": "apart"}
            contenders = [Contender(name, measured(tier, connections, figure)) for name, tier in tiers.items()]
            return compare(title, unit, contenders, parsed.rounds)

        found = [
            compared("median at 1 connection", "µs", 1, "p50"),
            compared("answers at 32 connections", "requests/s", 32, "rps"),
        ]
    write_result("cordons", parsed, comparisons=[comparison.as_json() for comparison in found])


if __name__ == "__main__":
    main()
