"""Requests per second and latency of hello in C over HTTP, by `wrk`, at 1 and 32 connections.

Claims: at 32 connections one worker answers at least as many requests as `wasmtime serve`, two at least 1.6 times as
many; at one connection the median is not above its.

All servers run at once and idle but for the one that is measured; rounds are interleaved. Every server answers a few
bytes of text on keep-alive connections to the same client. Ours makes a Lambda event of each request, runs it in a
fresh isolate with fuel, deadline and limits, checks the outcome, and records usage and log lines durably.

How a reader could be misled: `wrk` takes one of the two cores that the servers need, so that one worker beside it is as
good as alone, while two workers and wasmtime's threads compete with the client; `wasmtime serve` uses all cores from
the start. On more cores all of them scale differently. The bare ASGI application does no work at all. The component of
`wasmtime serve` is written by hand and as small as one can be; the same in a language's SDK is slower.

What was tried on the way of a request is in benches/README.md, with numbers.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import Comparison, Contender, arguments, compare, write_result
from peers.wasmtime_serve import peer as wasmtime_serve
from servers import Figures, free_port, isolet, require_wrk, running, wrk

ASGI = """
import uvicorn
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"hello\\n"})
uvicorn.run(
    app, host="127.0.0.1", port=%d, http="httptools", loop="uvloop",
    access_log=False, log_level="warning", lifespan="off",
)
"""


def main() -> None:
    parsed = arguments(__doc__ or "")
    require_wrk()
    seconds = 1 if parsed.smoke else 3
    ports = {name: free_port() for name in ("asgi", "wasmtime", "one", "two")}
    with contextlib.ExitStack() as stack:
        asgi = subprocess.Popen([sys.executable, "-c", ASGI % ports["asgi"]])
        stack.enter_context(running(asgi, ports["asgi"]))
        stack.enter_context(running(wasmtime_serve.start(ports["wasmtime"]), ports["wasmtime"]))
        stack.enter_context(isolet(ports["one"], 1))
        stack.enter_context(isolet(ports["two"], 2))
        urls = {
            "wasmtime serve": f"http://127.0.0.1:{ports['wasmtime']}/",
            "bare ASGI on uvicorn": f"http://127.0.0.1:{ports['asgi']}/",
            "isolet, one worker": f"http://127.0.0.1:{ports['one']}/fn/hello/",
            "isolet, two workers": f"http://127.0.0.1:{ports['two']}/fn/hello/",
        }
        comparisons: list[Comparison] = []
        for connections in (1, 32):
            comparisons += measure(urls, connections, seconds, parsed.rounds)
    write_result("http", parsed, comparisons=[comparison.as_json() for comparison in comparisons], wrk_seconds=seconds)


def measure(urls: dict[str, str], connections: int, seconds: float, rounds: int) -> list[Comparison]:
    """Three comparisons out of one set of runs: rate, median, 99th percentile."""
    seen: dict[str, list[Figures]] = {name: [] for name in urls}

    def round_of(name: str) -> Callable[[], float]:
        def run() -> float:
            figures = wrk(urls[name], connections, seconds)
            seen[name].append(figures)
            return figures["rps"]

        return run

    plural = "s" if connections > 1 else ""
    rate = compare(
        f"hello over HTTP, {connections} connection{plural}, requests per second",
        "1/s, more is better",
        [Contender(name, round_of(name)) for name in urls],
        rounds,
    )
    comparisons = [rate]
    for what, label in (("p50", "median"), ("p99", "99th percentile")):
        comparison = Comparison(f"the same, latency, {label}", "µs")
        comparison.rounds = {name: [figures[what] for figures in runs[1:]] for name, runs in seen.items()}
        comparison.print()
        comparisons.append(comparison)
    print(json.dumps({name: round(rate.ratio(name), 2) for name in urls}))
    return comparisons


if __name__ == "__main__":
    main()
