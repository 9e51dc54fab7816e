from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isolet.storage.files import PARTIAL, write_whole

WRITER = """
import sys
from pathlib import Path
from isolet.storage.files import write_whole

directory = Path(sys.argv[1])
number = 0
while True:
    write_whole(directory / f"f{number % 5}", bytes([number % 256]) * 200_000)
    print(number, flush=True)
    number += 1
"""


def test_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "runtime")}
    for lines in (1, 7, 20):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
            assert child.stdout is not None
            for _ in range(lines):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        for path in tmp_path.iterdir():
            if not path.name.endswith(PARTIAL):
                content = path.read_bytes()
                assert len(content) == 200_000
                assert len(set(content)) == 1


def test_failing_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "f", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "f", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"old")]


def test_file_is_for_its_owner(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"x")
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
