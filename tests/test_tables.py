"""The READMEs' tables are those of the results that they name."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "benches" / "tables.py"


@pytest.fixture
def tables(tmp_path: Path) -> ModuleType:
    """The program, for a tree of its own with one result."""
    spec = importlib.util.spec_from_file_location("tables", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path  # type: ignore[attr-defined]
    (tmp_path / "benches" / "results").mkdir(parents=True)
    table = {"title": "Ours", "columns": ["peer", "µs", "note"], "rows": [["a", "1", "x|y"], ["b", "2", ""]]}
    (tmp_path / "benches" / "results" / "r.json").write_text(json.dumps({"tables": [table]}))
    return module


def test_tables_are_those_of_the_results() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_table_behind_its_line_is_replaced_and_what_is_around_it_stays(tables: ModuleType) -> None:
    page = "before\n\n<!-- benches/results/r.json: Ours -->\n\n| old |\n|---|\n| 9 |\n\nafter\n"
    made = tables.rewritten(page)
    expected = "| peer | µs | note |\n|---|---|---|\n| a | 1 | x/y |\n| b | 2 |  |\n"
    assert made == f"before\n\n<!-- benches/results/r.json: Ours -->\n\n{expected}\nafter\n"
    assert tables.rewritten(made) == made


def test_columns_are_chosen_by_name(tables: ModuleType) -> None:
    made = tables.rewritten("<!-- benches/results/r.json: Ours: µs, peer -->\n\nafter\n")
    assert made.splitlines()[2:] == ["| µs | peer |", "|---|---|", "| 1 | a |", "| 2 | b |", "", "after"]
    assert tables.rewritten(made) == made


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<!-- benches/results/s.json: Ours -->\n", "there is no result benches/results/s.json"),
        ("<!-- benches/results/r.json: Theirs -->\n", "no table 'Theirs'; there are: Ours"),
        ("<!-- benches/results/r.json: Ours: ms -->\n", "no column 'ms'; there are peer, µs, note"),
    ],
)
def test_what_is_not_there_is_named(tables: ModuleType, line: str, words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        tables.rewritten(line)
