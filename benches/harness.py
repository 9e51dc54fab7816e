"""How every bench measures and reports.

Laws:
- Control and ours in one run, in interleaved rounds (A B A B …): these machines are shared, and their speed drifts.
- What is quoted is the median of the rounds, and ratios round by round; a single round is never quoted.
- A result is a JSON file with the machine, the versions and the command, so that a reader can run it again.
- `--smoke` runs everything once, briefly: it proves that the bench runs, and its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Contender:
    """One side of a comparison: `measure()` runs one round and returns its figure (in `unit`, lower is better if a
    time)."""

    name: str
    measure: Callable[[], float]


@dataclass
class Comparison:
    """The rounds of all contenders; the first one is the control."""

    title: str
    unit: str
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    def ratio(self, name: str) -> float:
        """The median of the ratios to the control, round by round."""
        control = self.rounds[next(iter(self.rounds))]
        return statistics.median(ours / theirs for ours, theirs in zip(self.rounds[name], control, strict=True))

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "contenders": {
                name: {
                    "median": round(self.median(name), 3),
                    "min": round(min(values), 3),
                    "max": round(max(values), 3),
                    "ratio_to_control": round(self.ratio(name), 3),
                    "rounds": [round(value, 3) for value in values],
                }
                for name, values in self.rounds.items()
            },
        }

    def print(self) -> None:
        width = max(len(name) for name in self.rounds)
        print(f"\n{self.title} ({self.unit}; median of {len(next(iter(self.rounds.values())))} rounds)")
        for name, values in self.rounds.items():
            spread = f"{min(values):,.1f} … {max(values):,.1f}"
            print(f"  {name:<{width}}  {self.median(name):>12,.1f}   × {self.ratio(name):.2f}   ({spread})")


def compare(title: str, unit: str, contenders: Sequence[Contender], rounds: int) -> Comparison:
    """Runs the rounds interleaved, after one that is not counted. Progress goes to standard error."""
    comparison = Comparison(title, unit, {contender.name: [] for contender in contenders})
    for number in range(-1, rounds):
        for contender in contenders:
            progress(f"{title}: round {number + 1} of {rounds}, {contender.name}")
            figure = contender.measure()
            if number >= 0:
                comparison.rounds[contender.name].append(figure)
    progress("")
    comparison.print()
    return comparison


def progress(line: str) -> None:
    """One line that the next one replaces; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r{line:<100}", end="" if line else "\r", file=sys.stderr, flush=True)


def microseconds(run: Callable[[], object], calls: int) -> Callable[[], float]:
    """A measure: microseconds per call, over `calls` calls in a row."""

    def measure() -> float:
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            run()
        return (time.perf_counter_ns() - began_ns) / calls / 1000

    return measure


def arguments(description: str) -> argparse.Namespace:
    """`--smoke`, `--rounds`, `--json`, as every bench takes them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--smoke", action="store_true", help="one brief round: does it run?")
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds (default %(default)s)")
    parser.add_argument("--json", type=Path, help="where the result goes (default benches/results/<date>-<bench>.json)")
    parsed = parser.parse_args()
    if parsed.smoke:
        parsed.rounds = 1
    return parsed


def write_result(bench: str, parsed: argparse.Namespace, **content: Any) -> Path | None:
    """Writes benches/results/<date>-<bench>.json; a smoke run writes only where `--json` says."""
    if parsed.smoke and parsed.json is None:
        return None
    path: Path = parsed.json or RESULTS / f"{time.strftime('%Y-%m-%d')}-{bench}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"bench": bench, "machine": machine(), **content}, indent=1, ensure_ascii=False) + "\n")
    print(f"\nwritten: {path}", file=sys.stderr)
    return path


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("wasmtime", "uvicorn", "uvloop", "httptools", "msgpack", "starlette"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **versions,
    }
