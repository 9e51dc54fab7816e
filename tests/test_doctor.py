"""The doctor: fit machines, and what it says of others. Limits are real ones, set on a process of the test's own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isolet import doctor
from isolet.config import Config
from isolet.doctor import CHECKS, Check, Finding, Verdict


def one(name: str, **config: Any) -> Finding:
    return doctor.here(name, Config(**config))


def test_every_check_has_a_finding_in_its_order(tmp_path: Path) -> None:
    found = list(doctor.examine(Config(data=tmp_path / "data", isolates=64)))
    assert [finding.check for finding in found] == list(CHECKS)
    assert [finding for finding in found if finding.verdict is Verdict.WRONG] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["python", "wasmtime", "processor"])
def test_this_machine_is_fit(name: str) -> None:
    assert one(name).verdict is Verdict.FINE


def test_wrong_finding_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    monkeypatch.setattr("platform.machine", lambda: "sparc")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "49.0.0")
    for name in ("python", "wasmtime", "processor"):
        finding = one(name)
        assert finding.verdict is Verdict.WRONG
        assert finding.cure


def test_cordons_are_said_and_a_door_among_tenants_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one("cordons", workers=3) == Finding("cordons", Verdict.FINE, "standard 3", "")
    several = {"workers": 2, "cordons": (("front", 1), ("low", 1))}
    beside = one("cordons", **several, door="standard")
    assert (beside.verdict, "standard 2 (the door), front 1, low 1" in beside.found) == (Verdict.NOTE, True)
    assert 'door = "front"' in beside.cure
    assert one("cordons", **several, door="front").verdict is Verdict.FINE
    monkeypatch.delattr("socket.SO_PEERCRED")
    assert one("cordons", **several, door="front").verdict is Verdict.WRONG


def limited(what: int, soft: int, hard: int) -> Any:
    return lambda asked: (soft, hard) if asked == what else (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.mark.parametrize(
    ("soft", "hard", "verdict", "cure"),
    [
        (100, 100, Verdict.WRONG, "raise the hard limit: ulimit -Hn 11200"),
        (1_024, 1_048_576, Verdict.FINE, ""),
        (1_024, 4_096, Verdict.NOTE, "raise the hard limit: ulimit -Hn 11200"),
        (65_536, 65_536, Verdict.FINE, ""),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, Verdict.FINE, ""),
    ],
)
def test_open_files(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, verdict: Verdict, cure: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", limited(resource.RLIMIT_NOFILE, soft, hard))
    finding = one("open files")
    assert (finding.verdict, finding.cure) == (verdict, cure)


def test_address_space_is_counted_in_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", limited(resource.RLIMIT_AS, 50 << 30, 50 << 30))
    finding = one("address space", isolates=1_000)
    assert finding.verdict is Verdict.WRONG
    assert finding.cure == "ulimit -v unlimited, or set `isolates` to at most 12"
    assert one("address space", isolates=12).verdict is Verdict.FINE


def test_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert one("data directory", data=tmp_path / "file").found.endswith("is no directory")
    below = one("data directory", data=tmp_path / "file" / "below")
    assert (below.verdict, "--data" in below.cure) == (Verdict.WRONG, True)
    assert one("sync to disk", data=tmp_path / "file" / "below").verdict is Verdict.WRONG


def test_data_directory_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    assert one("data directory", data=tmp_path / "a" / "b").verdict is Verdict.FINE
    assert list(tmp_path.iterdir()) == []


def test_port_in_use_is_noted() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = one("port", port=taken.getsockname()[1])
    assert (finding.verdict, "in use" in finding.found) == (Verdict.NOTE, True)


def test_check_that_fails_itself_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_config: Config) -> Any:
        raise KeyError("x")

    monkeypatch.setitem(CHECKS, "python", Check("machine", broken))
    assert one("python").verdict is Verdict.WRONG


# ── checks in a process of their own ────────────────────────────────────────────────────────────────────────────


def test_child_answers_in_json() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "isolet.doctor", "recursion", "1"],
        env={**os.environ, "PYTHONPATH": str(Path(doctor.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(child.stdout) == ["recursion", "fine", "endless recursion is a trap", ""]


def test_check_that_kills_its_process_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a handler of SIGSEGV before wasmtime's does: here the interpreter itself is one that dies."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho a last word >&2\nkill -SEGV $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    (finding,) = doctor.examine(Config(), ["out of bounds"])
    assert finding.verdict is Verdict.WRONG
    assert signal.SIGSEGV.name in finding.found
    assert "a last word" in finding.found
    assert "faulthandler" in finding.cure


def test_builder_tells_its_limits_and_its_walls() -> None:
    finding = one("builder")
    assert "10 s of CPU, 1,024 MiB, no environment, no key; " in finding.found
    assert finding.verdict is (Verdict.FINE if "Landlock, seccomp" in finding.found else Verdict.NOTE)


def test_snapshots_are_made_and_restored() -> None:
    finding = one("snapshot")
    assert finding.verdict is Verdict.FINE, finding
    assert "restored in" in finding.found
