"""What many functions and many live isolates cost: memory, time, and how both grow.

    deployed     a row of the routing table, never called
    loaded       called once: its snapshot is mapped
    live         an isolate that waits (for a sleep that outlasts the measurement)

One worker of the product's own, its door and all, in a process of its own; no keeper: its records are thrown away.
Functions are small programs, each with a snapshot that differs from all others. Memory is the process's proportional
set (Pss of smaps_rollup): pages that it alone has, and its share of others.

How it can mislead: real programs are larger; a snapshot's image is then most of what a loaded function costs, until it
leaves (SNAPSHOTS_LOADED_MAX, SNAPSHOT_IDLE_S; here nothing leaves). Packages are read when a function asks for a file,
and not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import msgpack

from .. import limits
from ..config import Config
from ..config import load as configured
from ..engine.engine import wat
from ..engine.isolate import Isolate, drive
from ..errors import IsoletError, WorkerLost
from ..hostcalls.state import HostConstants, HostState
from ..hostcalls.table import IMPORTS
from ..link import pair, refused
from ..model import Invocation, Served, SnapshotInfo, Target
from ..plain import snapshot_from_plain, snapshot_to_plain
from ..server import bind, http_server, make_worker
from ..snapshot.capture import Guest
from ..snapshot.make import Maker
from ..storage.artifacts import Artifacts, read_key
from ..storage.files import make_data_directory
from ..worker import Worker
from . import load
from .figures import Estimate, ratio
from .phases import lives_per_second

TENANT: Final = "000000000000"
# {number} makes each another module with another snapshot.
_ANSWERS: Final = """
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\\81\\a2ok\\ce{number}")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x00000010_00000009)))
"""
_SLEEPS: Final = """
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 32) "\\92\\a5sleep\\ce\\00\\0c\\35\\00")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (drop (call $call (i32.const 32) (i32.const 12)))
    (unreachable)))
"""
_MEMORY_MB: Final = 1


@dataclass
class Density:
    """What `measure` found. Bytes, µs."""

    empty_bytes: int = 0
    # By the number of functions: bytes of the process.
    deployed: dict[int, int] = field(default_factory=dict)
    loaded: dict[int, int] = field(default_factory=dict)
    # By the number of live isolates.
    live: dict[int, int] = field(default_factory=dict)
    # By the number of functions: medians over HTTP of the first and of the last one, a round each.
    first_us: dict[int, list[float]] = field(default_factory=dict)
    last_us: dict[int, list[float]] = field(default_factory=dict)
    load_ms: float = 0.0
    isolates_per_s: float = 0.0

    def each(self, points: dict[int, int]) -> float:
        """Bytes of one: the slope of a line through the points."""
        return fit([(float(number), float(size)) for number, size in points.items()])[0]

    def last_to_first(self, number: int) -> Estimate:
        return ratio(self.last_us[number], self.first_us[number])

    def against_alone(self, number: int) -> Estimate:
        """The last of so many functions to the only one of a server."""
        alone = self.first_us[min(self.first_us)]
        return ratio(self.last_us[number], alone)

    def as_plain(self) -> dict[str, Any]:
        return {
            "empty_bytes": self.empty_bytes,
            "deployed_bytes": self.deployed,
            "loaded_bytes": self.loaded,
            "live_bytes": self.live,
            "each": {
                "deployed_bytes": round(self.each(self.deployed)),
                "loaded_bytes": round(self.each(self.loaded)),
                "live_bytes": round(self.each(self.live)),
            },
            "load_ms": round(self.load_ms, 3),
            "isolates_per_s": round(self.isolates_per_s),
            "first_us": self.first_us,
            "last_us": self.last_us,
            "last_to_first": {number: self.last_to_first(number).as_plain() for number in self.last_us},
            "against_alone": {number: self.against_alone(number).as_plain() for number in self.last_us},
        }


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """(slope, intercept, R²) of the line with the least squares; of one point, a line through nothing."""
    if len(points) < 2:
        return (points[0][1] / points[0][0] if points else 0.0), 0.0, 1.0
    middle_x, middle_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    intercept = middle_y - slope * middle_x
    off = sum((y - slope * x - intercept) ** 2 for x, y in points)
    whole = sum((y - middle_y) ** 2 for _, y in points)
    return slope, intercept, 1 - off / whole if whole else 1.0


def sizes(largest: int) -> list[int]:
    """1, 10, 100 … and the largest."""
    found, size = [], 1
    while size < largest:
        found.append(size)
        size *= 10
    return [*found, largest]


def measure(functions: int, live: int, rounds: int = 5, progress: Callable[[str], None] = lambda _: None) -> Density:
    """Makes `functions` snapshots, which takes some milliseconds each, and measures in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as data:
        _make(Path(data), functions, progress)
        return _apart(Path(data), live, rounds, progress)


def _make(data: Path, functions: int, progress: Callable[[str], None]) -> None:
    make_data_directory(data)
    config = _config(data)
    maker = Maker(IMPORTS)
    artifacts = Artifacts(config.artifacts_path, read_key(config.key_path), maker.fingerprint)
    constants = HostConstants("bench", "$LATEST", "arn:bench", _MEMORY_MB, (), {})
    guest = Guest(_MEMORY_MB * limits.MIB, lambda: HostState(constants, initialising=True), None)

    def snapshot(text: str) -> dict[str, Any]:
        made = maker.make(wat(text), guest)
        return dict(snapshot_to_plain(artifacts.write(made.artifact, made.info)))

    made = []
    for number in range(functions):
        if number % 100 == 0:
            progress(f"density: snapshot {number:,} of {functions:,}")
        spelt = "".join(f"\\{byte:02x}" for byte in number.to_bytes(4, "big"))
        made.append(snapshot(_ANSWERS.replace("{number}", spelt)))
    noted = {"answers": made, "sleeps": snapshot(_SLEEPS)}
    (data / "snapshots").write_bytes(msgpack.packb(noted))


def _apart(data: Path, live: int, rounds: int, progress: Callable[[str], None]) -> Density:
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "isolet.lab.density", str(data), str(live), str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent.parent.parent), "PATH": "/usr/bin:/bin"},
    )
    assert child.stdout is not None
    found = None
    with child.stdout:
        for line in child.stdout:
            said = json.loads(line)
            if "progress" in said:
                progress(said["progress"])
            else:
                found = said
    if child.wait() or found is None:
        raise WorkerLost(f"the worker that was measured ended with status {child.returncode}")
    density = Density()
    for name, value in found.items():
        numbered = isinstance(value, dict)
        setattr(density, name, {int(number): one for number, one in value.items()} if numbered else value)
    return density


# ── in the measured process ─────────────────────────────────────────────────────────────────────────────────────


def _config(data: Path) -> Config:
    return configured(None, arguments={"host": "127.0.0.1", "port": "0", "data": str(data), "workers": "1"})


def _resident() -> int:
    gc.collect()
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None, "this kernel tells what a process holds"
    return int(found[1]) * 1024


def _target(info: SnapshotInfo, name: str) -> Target:
    return Target(
        tenant=TENANT,
        name=name,
        version="$LATEST",
        snapshot=info,
        package_digest=info.digest,
        timeout_s=limits.TIMEOUT_S_MAX,
        memory_bytes=_MEMORY_MB * limits.MIB,
        fuel=limits.FUEL_DEFAULT,
        environment={},
        http=True,
        routes=(),
    )


def _row(target: Target) -> Served:
    return Served(TENANT, target.name, (target,))


@contextlib.asynccontextmanager
async def _worker(data: Path, functions: int, live: int) -> AsyncIterator[tuple[Worker, str]]:
    """A worker that answers, and its URL."""
    from dataclasses import replace

    config = replace(
        _config(data),
        isolates=max(live + 64, 256),
        snapshots=functions + 1,
        image_bytes=2**40,
        idle_image_bytes=2**40,
    )
    worker = make_worker(config)

    async def forget(operation: str, body: Any) -> Any:
        return None if operation == "records" else await refused(operation, body)

    mine, _ = pair(worker.downcalls, lambda _: forget)
    worker.attach(mine)
    (listening,) = bind(config.host, config.port, 1)
    server = http_server(config, worker)
    serving = asyncio.ensure_future(server.serve([listening]))
    await server.serving.wait()
    try:
        yield worker, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.stop()
        await serving
        await worker.drain()


async def _measure(data: Path, live: int, rounds: int, say: Callable[[str], None]) -> Density:
    noted = msgpack.unpackb((data / "snapshots").read_bytes())
    infos = [snapshot_from_plain(plain) for plain in noted["answers"]]
    sleeper = _target(snapshot_from_plain(noted["sleeps"]), "sleeps")
    found = Density()
    async with _worker(data, len(infos), live) as (worker, url):
        found.empty_bytes = _resident()
        targets = [_target(info, f"f{number}") for number, info in enumerate(infos)]
        began = 0
        loading_s = 0.0
        for size in sizes(len(targets)):
            say(f"density: {size:,} functions")
            worker.routes.replace([_row(target) for target in [*targets[:size], sleeper]])
            if size not in found.deployed:
                found.deployed[size] = _resident() - (found.loaded[began] if began else found.empty_bytes)
            before_s = time.perf_counter()
            for target in targets[began:size]:
                await _called(worker, target)
            loading_s += time.perf_counter() - before_s
            began = size
            found.loaded[size] = _resident()
            for _ in range(rounds):
                for times, number in ((found.first_us, 0), (found.last_us, size - 1)):
                    job = load.Job(url=f"{url}/fn/f{number}/", seconds=0.5, warmup_s=0.2)
                    result = await asyncio.to_thread(load.run, job)
                    times.setdefault(size, []).append(round(result.times.median, 3))
        found.load_ms = loading_s * 1000 / len(targets)
        # What was deployed alone, of all sizes: each step's own growth, added up.
        found.deployed = _summed(found.deployed)
        await _live(worker, sleeper, live, found, say)
        found.isolates_per_s = _lives(worker, targets[0])
    return found


def _summed(steps: dict[int, int]) -> dict[int, int]:
    total, sums = 0, {}
    for size, grown in steps.items():
        total += grown
        sums[size] = total
    return sums


async def _called(worker: Worker, target: Target) -> None:
    outcome = await worker.invoker.invoke(Invocation(target, str(uuid.uuid4()), b"\xc0", time.perf_counter_ns()))
    if outcome.error is not None:
        raise outcome.error


async def _live(worker: Worker, sleeper: Target, most: int, found: Density, say: Callable[[str], None]) -> None:
    tickets: list[Any] = []
    ended: list[object] = []
    for size in sizes(most):
        say(f"density: {size:,} live isolates")
        while len(tickets) < size:
            invocation = Invocation(sleeper, str(uuid.uuid4()), b"\xc0", time.perf_counter_ns())
            tickets.append(worker.invoker.submit(invocation, ended.append))
        while worker.scheduler.waiting < size:
            assert not ended, f"a sleeper ended: {ended[:1]}"
            await asyncio.sleep(0.001)
        found.live[size] = _resident()
    for ticket in tickets:
        ticket.cancel()
    while len(ended) < len(tickets):
        await asyncio.sleep(0.001)


def _lives(worker: Worker, target: Target) -> float:
    loaded = worker.cache.peek(target.snapshot.digest)
    assert loaded is not None, "it was called"
    info, engine = loaded.info, worker.engine
    constants = HostConstants(target.name, "$LATEST", target.arn, _MEMORY_MB, (), {})

    def life() -> None:
        isolate = Isolate(engine, loaded.template, target.memory_bytes, target.fuel)
        isolate.state = HostState(constants)
        drive(isolate.serve(b"\xc0", info.buffer_ptr, info.buffer_len))

    return lives_per_second(engine, life)


def main(arguments: list[str]) -> int:
    data, live, rounds = Path(arguments[0]), int(arguments[1]), int(arguments[2])

    def say(what: str) -> None:
        print(json.dumps({"progress": what}), flush=True)

    try:
        found = asyncio.run(_measure(data, live, rounds, say))
    except IsoletError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(vars(found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
