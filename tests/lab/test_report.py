"""Reports: one file each, whole, and nothing of a function's makes markup of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from isolet.errors import InvalidParameter
from isolet.lab import plots
from isolet.lab.figures import Distribution
from isolet.lab.report import Report, Table, default_path


def report() -> Report:
    times = Distribution()
    times.record_all_ns([1_000, 2_000, 3_000])
    return Report(
        title="<script>alert(1)</script>",
        command="isolet bench hello",
        settings={"rounds": 3},
        method="One paragraph.\n\nAnother.",
        tables=[Table("Times & more", ["what", "µs"], [["<b>one</b>", "1,234.5"]], "A note.")],
        figures={"latency": lambda: plots.latencies({"one": times})},
        data={"found": 1},
    )


def test_page_is_one_file_and_escapes_what_it_shows() -> None:
    page = report().as_html()
    assert "<script" not in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_csv_has_a_row_for_each_and_numbers_without_separators() -> None:
    rows = list(csv.reader(io.StringIO(report().as_csv())))
    assert rows == [["table", "what", "µs"], ["Times & more", "<b>one</b>", "1234.5"]]


def test_json_says_how_it_was_made() -> None:
    said = json.loads(json.dumps(report().as_plain()))
    assert said["found"] == 1
    assert said["command"] == "isolet bench hello"
    assert {"cpu", "kernel", "wasmtime_library", "versions"} <= said["machine"].keys()


def test_plots_are_named_beside_each_other(tmp_path: Path) -> None:
    found = report()
    found.figures["phases"] = lambda: plots.stacked({"door": 1.0, "call": 2.0})
    written = found.save_plots(tmp_path / "out.svg")
    assert [path.name for path in written] == ["out.svg", "out-phases.svg"]
    assert all(path.read_text().startswith("<?xml") for path in written)


def test_unknown_format_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"\.svg"):
        plots.require_format(tmp_path / "out.gif")


def test_result_is_named_by_date_subject_and_machine(tmp_path: Path) -> None:
    assert default_path(tmp_path, "compare").name.endswith("c.json")
