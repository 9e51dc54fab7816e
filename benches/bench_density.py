"""A thousand functions deployed in one worker: the memory that they cost, called and idle.

Each is a program of its own (another text, another snapshot). All are called once; then the worker is left alone for
longer than `SNAPSHOT_IDLE_S` (shortened here) and its memory is read: what it holds beyond what it held with one
function.

Memory is the process's proportional set (Pss of /proc/self/smaps_rollup): pages that it alone maps, the memory files
behind copy-on-write images among them, and its share of others.

How it can mislead: the programs are small. A program's own image is the interpreter's base and what its modules left
there; large ones cost more while they are loaded. Packages are read from disk when a function asks for a file, and not
counted.

    python benches/bench_density.py [--smoke] [--language python]
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgpack

from harness import RESULTS, machine
from isolet import limits
from isolet.plain import snapshot_from_plain, snapshot_to_plain
from programs import SOURCES, House, Worker

IDLE_S = 0.2


def pss_bytes() -> int:
    gc.collect()
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def make(directory: str, language: str, count: int) -> None:
    """The builders' part: `count` snapshots, noted in `directory`/snapshots."""
    house = House(Path(directory))
    (name, text), *others = SOURCES[language, "hello"].items()
    comment = "#" if language == "python" else "//"
    made = []
    began_s = time.perf_counter()
    for number in range(count):
        files = {name: f"{text}\n{comment} {number}\nSEED_{number} = {number}\n", **dict(others)}
        made.append(snapshot_to_plain(house.snapshot(language, files, f"f{number}")))
        if number == 0:
            began_s = time.perf_counter()  # the first one compiled the interpreter
        if sys.stderr.isatty():
            print(f"\rmade {number + 1} of {count}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    each_ms = (time.perf_counter() - began_s) * 1000 / max(1, count - 1)
    Path(directory, "snapshots").write_bytes(msgpack.packb({"made": made, "each_ms": each_ms}))


async def serve(directory: str, results: Any) -> None:
    """The worker's part."""
    house = House(Path(directory), isolates_max=256)
    noted = msgpack.unpackb(Path(directory, "snapshots").read_bytes())
    targets = [house.target(snapshot_from_plain(info), f"f{n}") for n, info in enumerate(noted["made"])]
    worker = Worker(house, idle_s=IDLE_S)
    event = msgpack.packb({"name": "Ada"})
    await worker.invoke(targets[0], event)
    one_bytes = pss_bytes()
    began_s = time.perf_counter()
    for target in targets:
        outcome = await worker.invoke(target, event)
        assert outcome.value["hello"] == "Ada"
    load_ms = (time.perf_counter() - began_s) * 1000 / len(targets)
    called_bytes, loaded = pss_bytes(), len(worker.cache)
    # Two sweeps: the first one clears the marks of use, the second one drops what nobody used since. What may stay
    # stays.
    deadline_s = time.perf_counter() + 30
    while worker.cache.image_bytes > limits.SNAPSHOT_IMAGES_IDLE_BYTES_MAX and time.perf_counter() < deadline_s:
        await asyncio.sleep(IDLE_S)
    idle_bytes, kept = pss_bytes(), len(worker.cache)
    outcome = await worker.invoke(targets[-1], event)
    assert outcome.value["hello"] == "Ada"
    worker.close()
    results.put(
        {
            "functions": len(targets),
            "stored_bytes_each": sum(t.snapshot.artifact_bytes for t in targets) // len(targets),
            "image_bytes_each": sum(t.snapshot.image_bytes for t in targets) // len(targets),
            "make_ms_each": round(noted["each_ms"], 2),
            "load_and_call_ms_each": round(load_ms, 3),
            "loaded_when_called": loaded,
            "loaded_when_idle": kept,
            "worker_with_one_bytes": one_bytes,
            "called_bytes": called_bytes - one_bytes,
            "idle_bytes": idle_bytes - one_bytes,
        }
    )


def serve_in_process(directory: str, results: Any) -> None:
    asyncio.run(serve(directory, results))


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few functions: does it run?")
    parser.add_argument("--language", choices=("javascript", "python"), default="javascript")
    parser.add_argument("--functions", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args()
    count = 20 if parsed.smoke else parsed.functions
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        maker = spawn.Process(target=make, args=(scratch, parsed.language, count))
        maker.start()
        maker.join()
        assert maker.exitcode == 0
        results = spawn.Queue()
        server = spawn.Process(target=serve_in_process, args=(scratch, results))
        server.start()
        result: dict[str, Any] = results.get()
        server.join()
    print(f"{count:,} functions in {parsed.language}, one worker")
    for name, value in result.items():
        shown = f"{value / limits.MIB:,.2f} MiB" if "bytes" in name else f"{value:,}"
        print(f"  {name.replace('_', ' ').replace(' bytes', ''):<28} {shown:>14}")
    if not parsed.smoke or parsed.json:
        path = parsed.json or RESULTS / f"{time.strftime('%Y-%m-%d')}-density-{parsed.language}.json"
        content = {"bench": "density", "machine": machine(), "language": parsed.language, **result}
        path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
