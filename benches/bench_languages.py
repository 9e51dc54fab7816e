"""Python and JavaScript: what an invocation costs, from a fresh isolate and against native processes.

Per program, medians: the restore alone; the first call (what every invocation pays: its pages fault in); both together
with all that a worker does around them, from submitting the event to the decoded answer; and a second call on the same
isolate, which no invocation is, for comparison. Controls: a fresh native process that imports the handler, handles the
event and ends; and a warm one, asked through a pipe. "Pages not populated" is the total without what
engine/workingset.py does.

How it can mislead: the door and its HTTP are not in it (bench_http.py). A warm native process shares its state between
requests and tenants; ours shares nothing. The handlers are small: the longer a handler computes, the nearer the ratio
comes to the interpreters' own, 1.5–5 × slower than native CPython and far slower than V8 once it has compiled.

    python benches/bench_languages.py [--smoke] [--rounds N]
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter_ns

import msgpack

from harness import Contender, arguments, compare, write_result
from isolet import abi, limits
from isolet.engine.isolate import Isolate, drive
from isolet.engine.workingset import WorkingSet
from isolet.hostcalls.state import HostConstants, HostState
from isolet.model import SnapshotInfo
from programs import MEMORY_MB, SOURCES, House, Worker

EVENT = {"name": "Ada"}

PYTHON_HOST = """
import json, sys, importlib
sys.path.insert(0, sys.argv[1])
handler = importlib.import_module("lambda_function").lambda_handler
class Context: aws_request_id = "r"
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), Context())), flush=True)
"""

NODE_HOST = """
const handler = require(process.argv[2] + "/index.js").handler;
require("readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  process.stdout.write(JSON.stringify(await handler(JSON.parse(line), { awsRequestId: "r" })) + "\\n");
});
"""


class Native:
    """The program under its language's own interpreter."""

    def __init__(self, language: str, directory: Path, program: str) -> None:
        self.directory = directory / f"{language}-{program.replace(' ', '-')}"
        for name, text in SOURCES[language, program].items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_text(text)
        host = self.directory / ("host.py" if language == "python" else "host.cjs")
        host.write_text(PYTHON_HOST if language == "python" else NODE_HOST)
        program_path = sys.executable if language == "python" else shutil.which("node")
        self.command = [str(program_path), str(host), str(self.directory)]
        self.line = (json.dumps(EVENT) + "\n").encode()
        self.warm = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fresh_us(self) -> float:
        began_ns = perf_counter_ns()
        done = subprocess.run(self.command, input=self.line, stdout=subprocess.PIPE, check=True)
        assert json.loads(done.stdout)["hello"] == "Ada"
        return (perf_counter_ns() - began_ns) / 1000

    def warm_us(self) -> float:
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        began_ns = perf_counter_ns()
        self.warm.stdin.write(self.line)
        self.warm.stdin.flush()
        answer = self.warm.stdout.readline()
        took = (perf_counter_ns() - began_ns) / 1000
        assert json.loads(answer)["hello"] == "Ada"
        return took

    def close(self) -> None:
        self.warm.communicate()


def median_of(measure: Callable[[], float], count: int) -> Callable[[], float]:
    return lambda: statistics.median(measure() for _ in range(count))


class Ours:
    """The program in isolates, each from its snapshot."""

    def __init__(self, house: House, info: SnapshotInfo) -> None:
        self.house = house
        self.info = info
        self.target = house.target(info)
        self.event = msgpack.packb(EVENT)
        self.loop = asyncio.new_event_loop()
        self.worker = self.loop.run_until_complete(self._worker(0))
        self.ahead = self.loop.run_until_complete(self._worker(64))
        loaded = self.worker.cache.peek(info.digest)
        assert loaded is not None
        self.loaded = loaded
        package = house.packages[info.digest]
        self.constants = HostConstants("f", "1", "a", MEMORY_MB, (), package, library=loaded.library)
        self.fuel = 0

    async def _worker(self, spares: int) -> Worker:
        worker = Worker(self.house, spares)
        outcome = await worker.invoke(self.target, self.event)
        assert outcome.value["hello"] == "Ada"
        return worker

    def total_us(self) -> float:
        return self.loop.run_until_complete(self._invoke(self.worker))

    def ahead_us(self) -> float:
        """The next isolate is restored while the client has its answer."""
        return self.loop.run_until_complete(self._invoke(self.ahead))

    def faulting_us(self) -> float:
        """`total_us` without populating the pages that invocations write (engine/workingset.py)."""
        template = self.loaded.template
        written, template.written = template.written, WorkingSet(())
        try:
            return self.total_us()
        finally:
            template.written = written

    async def _invoke(self, worker: Worker) -> float:
        await asyncio.sleep(0)  # where a spare is made
        began_ns = perf_counter_ns()
        await worker.invoke(self.target, self.event)
        return (perf_counter_ns() - began_ns) / 1000

    def parts_us(self) -> tuple[float, float, float]:
        """(restore, first call, second call) of one isolate."""
        isolate = Isolate(
            self.house.engine,
            self.loaded.template,
            self.target.memory_bytes,
            self.target.fuel,
            HostState(self.constants),
        )
        packed = abi.pack_constants(name="f", version="1", arn="a", memory_mb=MEMORY_MB, log_stream="s")
        envelope = abi.pack_envelope(self.event, packed, "0" * 36, 2**40, bytes(16))
        try:
            assert isolate.prepare()
            first_ns = perf_counter_ns()
            drive(isolate.handle(envelope, self.info.buffer_ptr, self.info.buffer_len))
            second_ns = perf_counter_ns()
            self.fuel = isolate.fuel_used
            drive(isolate.handle(envelope, 0, 0))
            end_ns = perf_counter_ns()
        finally:
            isolate.close()
        return isolate.restore_ns / 1000, (second_ns - first_ns) / 1000, (end_ns - second_ns) / 1000

    def part_us(self, part: int) -> float:
        return self.parts_us()[part]

    def close(self) -> None:
        self.worker.close()
        self.ahead.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


def main() -> None:
    parsed = arguments(__doc__ or "")
    calls = 3 if parsed.smoke else 40
    processes = 1 if parsed.smoke else 3
    results = []
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        house = House(Path(scratch))
        for language, program in SOURCES:
            info = house.snapshot(language, SOURCES[language, program])
            ours = Ours(house, info)
            contenders = []
            native = None
            if language == "python" or shutil.which("node"):
                native = Native(language, Path(scratch), program)
                contenders = [
                    Contender("fresh native process", median_of(native.fresh_us, processes)),
                    Contender("warm native process", median_of(native.warm_us, calls)),
                ]
            else:
                print("node is not installed: no control for JavaScript", file=sys.stderr)
            contenders += [
                Contender("isolet, request to answer", median_of(ours.total_us, calls)),
                Contender("isolet, pages not populated", median_of(ours.faulting_us, calls)),
                Contender("isolet, restored ahead", median_of(ours.ahead_us, calls)),
                Contender("isolet, restore", median_of(partial(ours.part_us, 0), calls)),
                Contender("isolet, first call", median_of(partial(ours.part_us, 1), calls)),
                Contender("isolet, second call", median_of(partial(ours.part_us, 2), calls)),
            ]
            comparison = compare(f"{language}, {program}", "µs", contenders, parsed.rounds)
            print(
                f"  {ours.fuel:,} fuel, {info.memory_bytes / limits.MIB:.1f} MiB of memory, "
                f"{info.artifact_bytes / limits.KIB:,.0f} KiB stored"
            )
            results.append(
                comparison.as_json()
                | {
                    "fuel": ours.fuel,
                    "memory_bytes": info.memory_bytes,
                    "image_bytes": info.image_bytes,
                    "stored_bytes": info.artifact_bytes,
                }
            )
            ours.close()
            if native is not None:
                native.close()
    write_result("languages", parsed, comparisons=results)


if __name__ == "__main__":
    main()
