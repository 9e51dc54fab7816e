"""What is known against wasmtime: which release is loaded, what concerns it, what reaches it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from isolet.engine import advisories
from isolet.engine.advisories import Advisory, exposures, loaded, parse, read
from isolet.engine.fingerprint import WASMTIME_VERSION


def advisory(*fixed: str, needs: tuple[str, ...] = ("gc",)) -> Advisory:
    return Advisory("GHSA-0", datetime.date(2026, 11, 1), "", tuple(map(parse, fixed)), needs)


def test_release_is_read_from_the_library() -> None:
    release, said = loaded()
    assert said
    assert release[0] == int(WASMTIME_VERSION.split(".")[0])
    assert release <= parse(WASMTIME_VERSION)


def test_library_that_does_not_tell_is_taken_as_the_first_of_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Library:
        _name = str(tmp_path / "gone.so")

    monkeypatch.setattr(advisories.ffi, "dll", Library)
    assert loaded() == ((int(WASMTIME_VERSION.split(".")[0]), 0, 0), False)


@pytest.mark.parametrize(
    ("release", "concerned"),
    [("50.0.0", True), ("50.0.1", True), ("50.0.2", False), ("50.1.0", False), ("49.0.5", True), ("49.0.6", False)],
)
def test_release_is_concerned_until_its_line_was_mended(release: str, concerned: bool) -> None:
    assert advisory("49.0.6", "50.0.2").concerns(parse(release)) is concerned


def test_line_that_was_never_mended_is_concerned_and_a_newer_one_is_not() -> None:
    assert advisory("48.0.9", "50.0.2").concerns((49, 0, 9))
    assert not advisory("48.0.9", "50.0.2").concerns((51, 0, 0))


def test_advisory_reaches_us_only_through_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    one = advisory("50.0.2", needs=("gc", "windows"))
    (exposure,) = exposures((50, 0, 0), [one])
    assert exposure.absent == ("gc", "windows")
    monkeypatch.setitem(advisories.NEEDS, "gc", ("", lambda: True))
    (exposure,) = exposures((50, 0, 0), [one])
    assert exposure.absent == ("windows",)
    monkeypatch.setitem(advisories.NEEDS, "windows", ("", lambda: True))
    (exposure,) = exposures((50, 0, 0), [one])
    assert exposure.reached


def test_every_entry_is_whole_and_the_list_is_not_older_than_its_entries() -> None:
    as_of, known = read()
    assert len({entry.id for entry in known}) == len(known) >= 14
    for entry in known:
        assert entry.id.startswith("GHSA-")
        assert entry.summary
        assert entry.fixed
        assert entry.needs
        assert entry.date <= as_of


def test_nothing_that_is_known_reaches_the_loaded_release() -> None:
    assert [exposure.advisory.id for exposure in exposures(loaded()[0], read()[1]) if exposure.reached] == []


def test_need_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "advisories.toml"
    path.write_text(
        "as_of = 2026-11-27\n[[advisory]]\n"
        'id = "GHSA-1"\ndate = 2026-11-01\nsummary = "x"\nfixed = ["50.0.2"]\nneeds = ["magic"]\n'
    )
    with pytest.raises(AssertionError, match="magic"):
        read(path)
