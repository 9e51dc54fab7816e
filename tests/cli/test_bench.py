"""`isolet bench`: what it takes and what it refuses before it measures; one whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from isolet.cli import main


def bench(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["bench", *words])
    return result.exit_code, result.output


def test_list_names_every_folder_and_what_it_does_otherwise() -> None:
    status, said = bench("compare", "--list", "--json")
    assert status == 0
    peers = {peer["folder"]: peer for peer in json.loads(said)}
    assert {"isolet", "isolet_inside", "wasmtime_serve", "workerd", "extism", "wasmtime_py"} <= peers.keys()
    assert {"process_fresh", "process_warm", "componentize_py"} <= peers.keys()
    assert peers["workerd"]["freshInstance"] is False


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("compare", "--peer", "nobody"), "there is no peer 'nobody'; there are isolet"),
        (("compare", "--work", "rest"), "there is no work 'rest'; there are hello"),
        (("compare", "--language", "cobol"), "there is no language 'cobol'"),
        (("compare", "--connections", "many"), "no numbers with commas"),
        (("compare", "--connections", "0"), "connections are 1 to 1,000"),
        (("compare", "--output", "there.gif"), "is no directory, and ends in none of .json"),
        (("density", "--output", "/nowhere/there.json"), "there is no directory /nowhere"),
        (("hello", "--csv", "there.txt"), "must end in .csv"),
    ],
)
def test_what_cannot_be_done_is_refused_before_minutes_are_spent(words: tuple[str, ...], cure: str) -> None:
    status, said = bench(*words)
    assert status == 2
    assert cure in said


def test_name_that_is_no_verb_is_a_function() -> None:
    status, said = bench("hello", "--help")
    assert status == 0
    assert "Measure the deployed function NAME" in said


def test_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    status, said = bench("hello", "--endpoint", "http://127.0.0.1:9")
    assert status == 1
    assert "127.0.0.1:9" in said
