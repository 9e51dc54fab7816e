"""Modules that nobody wrote: made of random bytes by wasm-opt, and mutants of the tests' own guests.

Each is built and called: what comes of it is an answer or a typed error, whatever it is. Most of them in processes that
drive the builder's and a worker's engine themselves; some dozens are uploaded to the real server. Every failure is
found again with the seed that is printed, by ISOLET_SEED.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hostile.house import HERE, House, Seen, module
from hostile.mutating import parents, write
from isolet import errors
from served import ENVIRONMENT
from toolchains import wasm_opt

SEED = int(os.environ.get("ISOLET_SEED") or random.randrange(1 << 32))
# Uploads that wait for their builds, of BUILDS_TENANT_WAITING_MAX that a tenant may have.
AT_ONCE = 24
FEATURES = (
    *("--mvp-features", "--enable-bulk-memory", "--enable-simd", "--enable-multivalue", "--enable-sign-ext"),
    *("--enable-nontrapping-float-to-int", "--enable-mutable-globals"),
)


def translated(directory: Path, count: int, choose: random.Random) -> None:
    """`count` valid modules, by wasm-opt, of random bytes and of guests whose imports and exports they keep."""
    node, program = wasm_opt()
    jobs = []
    for number in range(count):
        seed, base, made = (directory / f"translated-{number:05}.{end}" for end in ("seed", "base", "wasm"))
        seed.write_bytes(choose.randbytes(choose.randrange(100, 6_000)))
        base.write_bytes(choose.choice(parents()))
        given = ["--initial-fuzz", str(base), "--fuzz-preserve-imports-exports"]
        jobs.append([str(seed), "-ttf", *given, *FEATURES, "-o", str(made)])
    listed = directory / "jobs.json"
    listed.write_text(json.dumps(jobs))
    subprocess.run([node, HERE / "translate.js", program, listed], capture_output=True, timeout=count + 120)


def driven(directory: Path, count: int) -> Counter[str]:
    """What came of each module, after all were built and called in one process (driving.py)."""
    path = f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{HERE.parent}"
    run = subprocess.run(
        [sys.executable, HERE / "driving.py", directory],
        env={**ENVIRONMENT, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=5 * count + 120,
    )
    lines = run.stdout.splitlines()
    assert run.returncode == 0, f"seed {SEED}: {lines[-1:]} ended the process: {run.returncode}; {run.stderr[-2000:]}"
    assert lines[-1] == "end"
    return Counter(line.split()[1] for line in lines[:-1])


def only_typed(came: Counter[str]) -> None:
    """Nothing was our own fault."""
    for name in came.keys() - {"ok"}:
        kind = getattr(errors, name)
        assert issubclass(kind, errors.CallerError | errors.GuestError), f"seed {SEED}: {came}"


@pytest.fixture
def shares(exhaustive: bool, request: pytest.FixtureRequest) -> int:
    """How many of each kind: together 200, or 10,000."""
    print(f"seed {SEED}: set ISOLET_SEED to it to have the same modules")
    return 5_000 if exhaustive else 100


@pytest.mark.slow
def test_random_bytes_made_valid_are_built_and_called(tmp_path: Path, shares: int) -> None:
    translated(tmp_path, shares, random.Random(SEED))
    made = list(tmp_path.glob("*.wasm"))
    assert len(made) > shares * 0.8, "wasm-opt refuses few"
    came = driven(tmp_path, shares)
    print(f"{came.total()} modules: {dict(came)}")
    only_typed(came)
    assert came["ModuleInvalid"] < came.total() / 2, "most can be built"


@pytest.mark.slow
def test_mutants_are_built_and_called(tmp_path: Path, shares: int) -> None:
    write(tmp_path, shares, random.Random(SEED + 1))
    came = driven(tmp_path, shares)
    print(f"{came.total()} mutants: {dict(came)}")
    only_typed(came)
    assert came["ModuleInvalid"], "some are refused"


@pytest.mark.slow
def test_a_server_survives_what_nobody_wrote(house: House, tmp_path: Path, exhaustive: bool) -> None:
    count = 500 if exhaustive else AT_ONCE
    write(tmp_path, count, random.Random(SEED + 2))
    modules = [(f"mutant-{number}", path.read_bytes()) for number, path in enumerate(sorted(tmp_path.glob("*.wasm")))]
    settings = {"Tags": {"isolet:fuel": "2000000"}, "Timeout": 10}
    with house.watched():
        came: Counter[str] = Counter()
        for first in range(0, count, AT_ONCE):
            some = modules[first : first + AT_ONCE]
            refusals = {name: house.begin(name, wasm, settings) for name, wasm in some}
            came.update(called(house, refusals[name] or house.finish(name)) for name, _ in some)
    print(f"seed {SEED}, {count} mutants at a server: {dict(came)}")


def called(house: House, function: str | Seen) -> str:
    """Calls a function, if it could be built, and removes it; what came of it."""
    if isinstance(function, Seen):
        assert function.status in (201, 400), function
        assert function.says, "it says why"
        return function.error
    try:
        answer = house.hostile.invoke(function)
        house.check_error(function, answer)
        assert answer.status == 200, answer
        return answer.error or "ok"
    finally:
        house.hostile.remove(function)


def test_mutants_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        write(directory, 20, random.Random(7))
    assert [path.read_bytes() for path in sorted(one.iterdir())] == [
        path.read_bytes() for path in sorted(other.iterdir())
    ]
    assert module("answers.wat") in parents()
