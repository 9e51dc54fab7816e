"""Templates are working functions."""

from __future__ import annotations

import compileall
import re
import shutil
from pathlib import Path

import pytest

import toolchains
from isolet.errors import Conflict, InvalidParameter
from isolet.languages import starter
from running import FrozenGuest, Guest, http_event

# What interpreters run is tested where they are: tests/corpus.
INTERPRETED = {"python", "javascript", "typescript"}
COMPILED = sorted({*starter.LANGUAGES} - INTERPRETED)


@pytest.mark.parametrize("language", COMPILED)
def test_a_new_function_answers_its_sample_event_and_http(language: str, tmp_path: Path) -> None:
    toolchains.require(language)
    directory = tmp_path / "greeter-1"
    written = starter.create("greeter-1", language, directory)
    assert {"function.toml", "event.json", "README.md"} <= {path.name for path in written}
    assert not any(re.search("@[A-Z]+@", path.read_text()) for path in written)
    guest = Guest(directory) if language == "go" else FrozenGuest(directory)
    assert guest.package.warnings == ""
    name = "world" if language == "wat" else "Ada"
    expected = {"hello": name} if language == "wat" else {"hello": name, "greetings": 1}
    assert guest.invoke({"name": "Ada"}) == expected
    assert guest.invoke(http_event("GET", "/", queryStringParameters={"name": "Ada"})) == expected
    assert guest.invoke(http_event("GET", "/"))["hello"] == "world"
    if language != "wat":
        assert "greeting world for" in str(guest.log[0])


def test_what_an_installation_compiled_is_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(starter.TEMPLATES, templates)
    compileall.compile_dir(templates, quiet=2)
    assert (templates / "python" / "__pycache__").is_dir()
    monkeypatch.setattr(starter, "TEMPLATES", templates)
    written = starter.create("mine", "python", tmp_path / "mine")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "mine").iterdir())


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(Conflict):
        starter.create("f", "c", tmp_path)
    with pytest.raises(Conflict):
        starter.create("f", "c", tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "language"), [("a b", "c"), ("", "c"), ("../x", "c"), ("x" * 65, "c"), ("f", "cobol")]
)
def test_a_bad_name_or_language_writes_nothing(name: str, language: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter):
        starter.create(name, language, tmp_path / "f")
    assert not (tmp_path / "f").exists()
