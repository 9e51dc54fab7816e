"""`isolet tenants`, where no server runs: it writes what the next one reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from isolet.cli.verbs import main

ACCOUNT = "111122223333"


class Isolet:
    """The command with a data directory of its own, and three tiers."""

    def __init__(self, directory: Path) -> None:
        (directory / "isolet.toml").write_text("[cordons]\nlow = 1\nhigh = 2\n")
        self.directory = directory / "data"

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["tenants", *arguments, "--data", str(self.directory)])

    def shown(self, *arguments: str) -> Any:
        answer = self(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)


@pytest.fixture
def isolet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Isolet:
    monkeypatch.chdir(tmp_path)
    return Isolet(tmp_path)


def test_what_is_set_is_shown_and_listed(isolet: Isolet) -> None:
    set_ = isolet.shown("set", ACCOUNT, "--tier", "low")
    assert set_ == {
        "Account": ACCOUNT,
        "Tier": "low",
        "OwnWorkers": False,
        "Cordon": "low",
        "Functions": None,
        "Workers": None,
        "Limits": [],
    }
    assert isolet.shown("show", ACCOUNT) == set_
    assert isolet.shown("list") == [set_]
    own = isolet.shown("set", ACCOUNT, "--own-workers")
    assert (own["Tier"], own["OwnWorkers"], own["Cordon"]) == ("low", True, f"tenant-{ACCOUNT}")
    assert isolet.shown("set", ACCOUNT, "--shared-workers") == set_


def test_people_read_lines_and_a_table(isolet: Isolet) -> None:
    answer = isolet("set", ACCOUNT, "--tier", "high")
    assert answer.stdout.splitlines() == [f"account    {ACCOUNT}", "tier       high", "cordon     high"]
    assert isolet("list").stdout.splitlines()[1].split() == [ACCOUNT, "high", "high"]


def test_nobody_is_listed_before_anything_was_set(isolet: Isolet) -> None:
    isolet("set", ACCOUNT, "--tier", "nowhere")
    answer = isolet("list")
    assert answer.stdout == ""
    assert "all are in the tier standard" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("set", ACCOUNT, "--tier", "lowest"), 1, "the tier lowest has no workers; choose one of high, low, standard"),
        (("set", "12", "--tier", "low"), 1, "write its twelve digits"),
        (("show", "12"), 1, "write its twelve digits"),
        (("set", ACCOUNT), 2, "nothing to set; give --tier, --own-workers or --shared-workers"),
    ],
)
def test_what_cannot_be_is_refused_with_its_cure(
    isolet: Isolet, arguments: tuple[str, ...], code: int, words: str
) -> None:
    isolet("set", ACCOUNT, "--tier", "standard")
    answer = isolet(*arguments)
    assert answer.exit_code == code, answer.output
    assert words in answer.stderr
