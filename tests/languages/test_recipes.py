"""Recipes: sources known by digest, products made once, and what --check says. No compiler runs here."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from isolet.cli import main
from isolet.errors import CompileFailed, ToolchainMissing
from isolet.languages import interpreters, toolchain
from isolet.languages.package import Progress, Step, silent
from isolet.languages.recipes import python, table
from isolet.languages.recipes.recipe import Recipe, Workshop, differences, kept, make
from isolet.languages.recipes.sources import Source, gather

CONTENT = b"source"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOLET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Registry:
    """Brings one file, and counts how often."""

    def __init__(self, content: bytes = CONTENT, name: str = "a.tar") -> None:
        self.asked = 0
        self._content, self._name = content, name

    def __call__(self, directory: Path, progress: object) -> None:
        self.asked += 1
        (directory / self._name).write_bytes(self._content)


def test_a_source_is_fetched_once_and_then_in_the_cache() -> None:
    registry = Registry()
    source = Source("a.tar", DIGEST, registry)
    first = gather([source], {}, silent)
    assert gather([source], {}, silent) == first
    assert first["a.tar"].read_bytes() == CONTENT
    assert registry.asked == 1


def test_a_source_with_another_digest_is_refused_and_not_kept(cache: Path) -> None:
    source = Source("a.tar", DIGEST, Registry(b"something else"))
    with pytest.raises(ToolchainMissing, match=r"the recipe wants .*--source PATH/a\.tar"):
        gather([source], {}, silent)
    assert not [path for path in (cache / "sources").iterdir() if path.name == "a.tar"]


def test_a_source_that_does_not_come_is_named_with_the_cure() -> None:
    with pytest.raises(ToolchainMissing, match=r"a\.tar was not among what came \(b\.tar\)"):
        gather([Source("a.tar", DIGEST, Registry(name="b.tar"))], {}, silent)


def test_a_given_file_needs_no_network_but_the_right_digest(tmp_path: Path) -> None:
    registry = Registry()
    given = tmp_path / "a.tar"
    given.write_bytes(CONTENT)
    assert gather([Source("a.tar", DIGEST, registry)], {"a.tar": given}, silent) == {"a.tar": given}
    given.write_bytes(b"other")
    with pytest.raises(ToolchainMissing, match="has SHA-256"):
        gather([Source("a.tar", DIGEST, registry)], {"a.tar": given}, silent)
    assert registry.asked == 0


class Kitchen:
    """A recipe whose product is its file in capitals."""

    def __init__(self) -> None:
        self.built = 0
        self.content = b"ours"
        self.recipe = Recipe("cook", "1", (Source("a.tar", DIGEST, Registry()),), self.files, self.build)

    def files(self) -> Mapping[str, bytes]:
        return {"file": self.content}

    def build(self, shop: Workshop) -> Mapping[str, bytes]:
        self.built += 1
        assert list(shop.directory.iterdir()) == []
        return {"product": shop.files["file"].upper() + shop.sources["a.tar"].read_bytes()}


@pytest.fixture
def kitchen(monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.setattr(toolchain, "ensure", lambda tool, progress: Path("/zig"))
    return Kitchen()


def test_what_was_built_from_the_same_inputs_is_not_built_again(kitchen: Kitchen) -> None:
    assert make(kitchen.recipe, {}, silent) == {"product": b"OURSsource"}
    assert make(kitchen.recipe, {}, silent) == {"product": b"OURSsource"}
    assert kitchen.built == 1
    kitchen.content = b"changed"
    assert make(kitchen.recipe, {}, silent) == {"product": b"CHANGEDsource"}
    assert kitchen.built == 2


def test_a_build_that_fails_leaves_nothing_behind(kitchen: Kitchen) -> None:
    def failing(shop: Workshop) -> Mapping[str, bytes]:
        (shop.directory / "half").touch()
        raise CompileFailed("no", "")

    recipe = Recipe("cook", "1", (), kitchen.files, failing)
    with pytest.raises(CompileFailed):
        make(recipe, {}, silent)
    assert [path.name for path in kept(recipe).parent.iterdir()] == [".lock"]


def test_differences_name_what_is_missing_and_what_is_other(tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    found = differences({"same": b"x", "other": b"yy", "absent": b"z"}, tmp_path)
    assert found == ["absent is not there", "other holds 1 bytes, and the recipe makes 2 that are others"]


def test_what_is_compressed_is_compared_as_what_it_contains(tmp_path: Path) -> None:
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"x" * 1000, preset=0))
    assert differences({"a.xz": lzma.compress(b"x" * 1000, preset=9)}, tmp_path) == []
    assert differences({"a.xz": lzma.compress(b"y" * 1000, preset=0)}, tmp_path) != []
    (tmp_path / "a.xz").write_bytes(b"torn")
    assert differences({"a.xz": lzma.compress(b"x")}, tmp_path) != []


def test_check_says_what_differs_and_writes_nothing(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "sdk" / "cook"
    monkeypatch.setattr(interpreters, "_SDK", tmp_path / "sdk")
    monkeypatch.setitem(table.RECIPES, "cook", kitchen.recipe)  # type: ignore[misc]
    monkeypatch.setattr(interpreters, "named", lambda name: interpreters.Interpreter("cook", "cook"))
    place.mkdir(parents=True)
    check = CliRunner().invoke(main, ["languages", "build", "cook", "--check"])
    assert (check.exit_code, "product is not there" in check.output) == (1, True)
    assert list(place.iterdir()) == []
    assert CliRunner().invoke(main, ["languages", "build", "cook"]).exit_code == 0
    assert (place / "product").read_bytes() == b"OURSsource"
    again = CliRunner().invoke(main, ["languages", "build", "cook", "--check"])
    assert (again.exit_code, "the files are what the recipe makes" in again.output) == (0, True)


def test_a_source_that_is_gone_is_told_apart_from_a_difference(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(directory: Path, progress: Progress) -> None:
        raise ToolchainMissing("it was replaced; name the file: --source FILE")

    recipe = Recipe("cook", "1", (Source("gone.tar", DIGEST, gone),), kitchen.files, kitchen.build)
    monkeypatch.setitem(table.RECIPES, "cook", recipe)  # type: ignore[misc]
    monkeypatch.setattr(interpreters, "named", lambda name: interpreters.Interpreter("cook", "cook"))
    check = CliRunner().invoke(main, ["languages", "build", "cook", "--check"])
    assert (check.exit_code, "--source FILE" in check.output) == (3, True)


def test_languages_are_listed_for_people_and_for_programs() -> None:
    listed = CliRunner().invoke(main, ["languages", "list", "--json"])
    languages = {language["name"]: language for language in json.loads(listed.output)}
    assert languages["python"]["runtimes"] == "python3.*"
    assert languages["python"]["version"] == python.VERSION
    assert languages["c"]["kind"] == "compiled"
    assert "python" in CliRunner().invoke(main, ["languages"]).output


def test_a_name_without_a_recipe_is_a_wrong_command_line() -> None:
    answer = CliRunner().invoke(main, ["languages", "build", "cobol"])
    assert answer.exit_code == 2
    assert "has no recipe" in answer.output


def test_an_edit_must_find_its_text_exactly_once(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("one two two")
    python._apply(python.Edit("a.c", "one", "1"), tmp_path)
    assert (tmp_path / "a.c").read_text() == "1 two two"
    for old in ("two", "three"):
        with pytest.raises(CompileFailed, match="is not the one that the recipe edits"):
            python._apply(python.Edit("a.c", old, ""), tmp_path)


def test_the_committed_products_are_xz_of_a_module_and_of_a_map() -> None:
    interpreter = interpreters.INTERPRETERS[0]
    assert interpreter.read_module()[:8] == b"\0asm\1\0\0\0"
    library = interpreter.read_library()
    assert {"json/decoder", "encodings", "isolet", ".modules"} <= set(library)
    assert set(library[".modules"].decode().split()) <= set(library)


def test_the_interpreters_are_small_enough_to_be_committed() -> None:
    """Together, as the package carries them."""
    paths = [path for i in interpreters.INTERPRETERS for path in (i.module_path, i.library_path) if path.is_file()]
    assert sum(path.stat().st_size for path in paths) <= 5_000_000
    assert all(lzma.decompress(path.read_bytes()) for path in paths)


def test_progress_names_every_step(kitchen: Kitchen) -> None:
    seen: list[Step] = []
    make(kitchen.recipe, {}, seen.append)
    assert [step.phase for step in seen] == ["fetch a.tar"]
