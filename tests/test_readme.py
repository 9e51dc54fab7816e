"""The README's snippets: code is that of files which tests build and run, its session is run here as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TEMPLATES = ROOT / "runtime" / "isolet" / "languages" / "templates"
SOURCES = {
    "c": TEMPLATES / "c" / "@NAME@.c",
    "go": TEMPLATES / "go" / "main.go",
    "python": TEMPLATES / "python" / "lambda_function.py",
    "toml": ROOT / "functions" / "account" / "function.toml",
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("kind", SOURCES)
def test_code_is_of_a_file_that_is_tested(kind: str) -> None:
    found = blocks(kind)
    assert found
    for block in found:
        assert block.strip() in SOURCES[kind].read_text()


def test_every_path_that_it_names_exists() -> None:
    for path in re.findall(r"`((?:tests|benches|sdk|functions|runtime)/[A-Za-z0-9_./]*)`", README):
        assert (ROOT / path).exists(), path


def test_session_goes_as_it_says(tmp_path: Path) -> None:
    """From init to the answers, with the real CLI against a real server; only the port is another."""
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks("console")[0], re.MULTILINE)
    commands = [command for command, _ in steps]
    assert commands[:2] == ["pip install .", "isolet serve &"], "what the next lines stand for"
    isolet = [sys.executable, "-m", "isolet.cli"]
    data = tmp_path / "data"
    server = subprocess.Popen(
        [*isolet, "serve", "--port", "0", "--workers", "2", "--data", str(data)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        found = re.search(r"http://\S+", ready)
        assert found, ready
        url = found[0]
        assert ready.replace(url, "http://127.0.0.1:8080").replace(str(data), ".isolet") == steps[1][1]
        environment = os.environ | {"ISOLET_ENDPOINT": url, "NO_COLOR": "1"}
        ran = 0
        for command, expected in steps[2:]:
            words = shlex.split(command.replace("http://127.0.0.1:8080", url))
            if words[0] not in ("isolet", "curl"):
                continue  # the aws CLI is not ours to install
            words = isolet + words[1:] if words[0] == "isolet" else words
            done = subprocess.run(
                words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            if expected:
                assert done.stdout.strip() == expected.strip(), command
            ran += 1
        assert ran >= 4
    finally:
        server.terminate()
        server.wait(60)
        if server.stdout is not None:
            server.stdout.close()
