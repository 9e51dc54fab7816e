"""`isolet limits`, where no server runs: it writes what the next one reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from isolet.cli.verbs import main
from isolet.quota import DEFAULTS, LIMITS

ACCOUNT = "111122223333"


class Isolet:
    """The command with a data directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "data"

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["limits", *arguments, "--data", str(self.directory)])

    def rows(self, *arguments: str) -> dict[str, dict[str, Any]]:
        answer = self(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return {row["Name"]: row for row in json.loads(answer.stdout)}

    def refused(self, *arguments: str) -> str:
        answer = self(*arguments)
        assert answer.exit_code == 1, answer.output
        assert answer.stdout == ""
        return answer.stderr


@pytest.fixture
def isolet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Isolet:
    monkeypatch.chdir(tmp_path)
    return Isolet(tmp_path)


def test_what_is_set_is_shown_until_it_is_reset(isolet: Isolet) -> None:
    isolet("set", ACCOUNT, "concurrency=50", "kv_bytes=64MiB")
    rows = isolet.rows(ACCOUNT)
    assert list(rows) == list(LIMITS)
    assert rows["concurrency"] == {
        "Name": "concurrency",
        "Value": 50,
        "Default": 1000,
        "Overridden": True,
        "Used": None,
        "Unit": "",
        "Meaning": LIMITS["concurrency"].meaning,
    }
    assert (rows["kv_bytes"]["Value"], rows["kv_bytes"]["Unit"]) == (64 * 2**20, "bytes")
    assert {name: row["Value"] for name, row in rows.items() if not row["Overridden"]} == {
        name: value for name, value in DEFAULTS.items() if name not in ("concurrency", "kv_bytes")
    }
    assert json.loads(isolet("--json").stdout) == {ACCOUNT: {"concurrency": 50, "kv_bytes": 64 * 2**20}}
    assert list(isolet.rows("reset", ACCOUNT, "concurrency")) == ["concurrency"]
    assert json.loads(isolet("--json").stdout) == {ACCOUNT: {"kv_bytes": 64 * 2**20}}
    assert not any(row["Overridden"] for row in isolet.rows("reset", ACCOUNT).values())
    assert json.loads(isolet("show", "--json").stdout) == {}


def test_a_person_sees_a_table(isolet: Isolet) -> None:
    said = isolet("set", ACCOUNT, "requests_per_s=2.5").stdout
    assert said.splitlines()[0].split() == ["limit", "value", "used", "unit", "default", "of", "what"]
    assert said.splitlines()[1].split()[:5] == ["requests_per_s", "2.5", "a", "second", "100,000"]
    assert len(isolet(ACCOUNT).stdout.splitlines()) == 1 + len(LIMITS)
    assert isolet().stdout.splitlines()[1].split() == [ACCOUNT, "requests_per_s", "2.5"]


def test_a_refusal_says_the_cure_and_changes_nothing(isolet: Isolet) -> None:
    assert "there is no data directory" in isolet.refused(ACCOUNT)
    isolet("set", ACCOUNT, "events=7")
    assert "did you mean concurrency?" in isolet.refused("set", ACCOUNT, "events=8", "concurency=5")
    assert "between 0 and 1,000,000,000" in isolet.refused("set", ACCOUNT, "concurrency=1,000,000,001")
    assert "write NAME=VALUE" in isolet.refused("set", ACCOUNT, "concurrency")
    assert "did you mean events?" in isolet.refused("reset", ACCOUNT, "event")
    assert "write its twelve digits" in isolet.refused("set", "12", "concurrency=5")
    assert "write its twelve digits" in isolet.refused("sett")
    assert json.loads(isolet("--json").stdout) == {ACCOUNT: {"events": 7}}
