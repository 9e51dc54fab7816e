"""rustc is found where it has the target; cargo builds packages, rustc alone the rest; what fails says its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import toolchains
from isolet.errors import CompileFailed, Raised, ToolchainMissing
from isolet.languages import rust, starter
from isolet.languages.build import build
from isolet.languages.package import silent
from isolet.manifest import load
from isolet.snapshot.sections import parse
from running import Guest

SOURCE = """
fn handle(_event: (), _context: &isolet::Context) -> isolet::Result<&'static str> {
    Ok("hello")
}

isolet::handler!(handle);
"""

needs_rust = pytest.mark.skipif(bool(toolchains.missing("rust")), reason=toolchains.missing("rust") or "-")


def function(directory: Path, source: str = SOURCE, build: str = "") -> Path:
    (directory / "function.toml").write_text(f'name = "f"\nlanguage = "rust"\n[build]\n{build}\n')
    (directory / "f.rs").write_text(source)
    return directory


def play_rustc(directory: Path, version: str, *targets: str) -> Path:
    """A rustc that says who it is, and where its libraries are."""
    for target in targets:
        library = directory / "lib" / "rustlib" / target / "lib"
        library.mkdir(parents=True)
        (library / "libstd-0123456789abcdef.rlib").touch()
    program = directory / "bin" / "rustc"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -vV) echo "rustc {version}"; echo "release: {version}";; *) echo {directory};; esac\n'
    )
    program.chmod(0o755)
    return program


def on_path(monkeypatch: pytest.MonkeyPatch, *programs: Path) -> None:
    monkeypatch.setattr(rust, "_candidates", lambda: list(programs))


def test_the_first_rustc_with_the_target_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = play_rustc(tmp_path / "bare", "1.95.0")
    old = play_rustc(tmp_path / "old", "1.50.0", rust.TARGET)
    good = play_rustc(tmp_path / "good", "1.63.0", rust.TARGET, "wasm32-wasi")
    on_path(monkeypatch, bare, old, good)
    found = rust.find()
    assert (found.rustc, found.version, found.target, found.cargo) == (good, "1.63.0", rust.TARGET, None)
    assert rust.find("wasm32-wasip1").target == "wasm32-wasi", "its name until 1.78"


def test_without_one_it_says_what_was_found_and_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = play_rustc(tmp_path / "bare", "1.95.0", "x86_64-unknown-linux-gnu")
    old = play_rustc(tmp_path / "old", "1.50.0", rust.TARGET)
    on_path(monkeypatch, bare, old)
    with pytest.raises(ToolchainMissing) as caught:
        rust.find()
    message = caught.value.message
    assert f"{bare} 1.95.0 has no {rust.TARGET}; {old} 1.50.0 is older than 1.63" in message
    assert "rustup target add wasm32-unknown-unknown" in message
    assert "apt-get install rustc cargo libstd-rust-dev-wasm32 lld" in message
    on_path(monkeypatch)
    with pytest.raises(ToolchainMissing, match="there is no rustc on PATH"):
        build(function(tmp_path), load(tmp_path))


@needs_rust
def test_a_file_alone_is_compiled_by_rustc_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    assert Guest(function(tmp_path)).invoke(None) == "hello"
    assert {path.name for path in tmp_path.iterdir()} == {"function.toml", "f.rs"}


@needs_rust
def test_equal_sources_give_equal_modules_wherever_they_lie(tmp_path: Path) -> None:
    modules = set()
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        directory = function(tmp_path / name)
        modules.add(build(directory, load(directory)).wasm)
    assert len(modules) == 1
    assert str(rust.SDK.resolve()).encode() not in modules.pop()


@needs_rust
def test_wasi_is_a_target_too_where_the_compiler_has_it(tmp_path: Path) -> None:
    try:
        rust.find("wasm32-wasip1")
    except ToolchainMissing as missing:
        pytest.skip(missing.message)
    source = SOURCE.replace('Ok("hello")', 'println!("printed"); assert!(std::env::args().count() == 1); Ok("hello")')
    guest = Guest(function(tmp_path, source, 'target = "wasm32-wasip1"'))
    assert guest.invoke(None) == "hello"
    assert b"printed" in guest.log[0][2]
    assert "fd_write" in {entry.name for entry in parse(guest.package.wasm).imports}


@needs_rust
def test_a_panic_is_told_in_wasi_as_well(tmp_path: Path) -> None:
    try:
        rust.find("wasm32-wasip1")
    except ToolchainMissing as missing:
        pytest.skip(missing.message)
    source = SOURCE.replace('Ok("hello")', 'panic!("no way on")')
    with pytest.raises(Raised, match="no way on"):
        Guest(function(tmp_path, source, 'target = "wasm32-wasip1"')).invoke(None)


@needs_rust
def test_the_stack_is_as_large_as_the_manifest_says(tmp_path: Path) -> None:
    for kb in (64, 1024):
        (tmp_path / str(kb)).mkdir()
        directory = function(tmp_path / str(kb), build=f"stack_kb = {kb}")
        (memory,) = parse(build(directory, load(directory)).wasm).memories
        assert kb * 1024 // 65536 <= memory.minimum <= kb * 1024 // 65536 + 3


@needs_rust
def test_what_does_not_compile_is_refused_with_its_place(tmp_path: Path) -> None:
    directory = function(tmp_path, SOURCE.replace('"hello"', "helo"))
    with pytest.raises(CompileFailed) as caught:
        build(directory, load(directory))
    assert caught.value.message.startswith("f.rs:3:8: error[E0425]: cannot find value `helo`")
    assert "f.rs:3:8" in caught.value.output


@needs_rust
def test_warnings_are_passed_on(tmp_path: Path) -> None:
    directory = function(tmp_path, SOURCE + "fn unused() {}\n")
    assert "`unused` is never used" in build(directory, load(directory)).warnings.replace("function is", "`unused` is")


# ── cargo ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def package(tmp_path: Path) -> Path:
    toolchains.require("rust")
    directory = tmp_path / "packaged"
    starter.create("packaged", "rust", directory)
    return directory


def require_cargo() -> None:
    found = rust.find()
    if found.cargo is None:
        pytest.skip(f"there is no cargo beside {found.rustc}; on Debian and Ubuntu: apt-get install cargo")


def test_a_package_is_built_by_cargo_and_nothing_is_written_beside_it(package: Path) -> None:
    require_cargo()
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    (package / "packaged.rs").write_text((package / "packaged.rs").read_text() + "mod more;\n")
    (package / "more.rs").write_text("// Found by cargo and rustc alike.\n")
    assert Guest(package).invoke({"name": "Ada"}) == {"hello": "Ada", "greetings": 1}
    assert {path.name for path in package.iterdir()} == {*before, "more.rs"}
    assert (package / "Cargo.lock").read_bytes() == before["Cargo.lock"]


def test_the_target_directory_of_a_package_that_is_gone_is_removed(package: Path, tmp_path: Path) -> None:
    require_cargo()
    kept = rust._target_directory(package)
    shutil.rmtree(package)
    assert rust._target_directory(tmp_path) != kept
    assert not kept.exists()


def test_without_cargo_a_package_of_the_sdk_alone_is_built_by_rustc(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rust.find()
    without = rust.Rust(found.rustc, found.version, found.target, None, found.verbose)
    monkeypatch.setattr(rust, "find", lambda *_: without)
    wasm, warnings = rust.compile(package, load(package), silent)
    assert wasm[:4] == b"\0asm"
    assert warnings == ""
    cargo = package / "Cargo.toml"
    cargo.write_text(cargo.read_text().replace("[dependencies]", '[dependencies]\nserde = "1"\nregex = "1"'))
    with pytest.raises(ToolchainMissing, match="depends on regex, serde, and there is no cargo"):
        rust.compile(package, load(package), silent)


BAD_PACKAGES = [
    ('crate-type = ["cdylib"]', "", 'write `crate-type = ["cdylib"]` below [lib]'),
    ("[package]", "[package", "Cargo.toml: "),
    ('name = "function"', "", "package.name is missing"),
]


@pytest.mark.parametrize(("text", "instead", "refusal"), BAD_PACKAGES, ids=[case[2] for case in BAD_PACKAGES])
def test_a_package_that_makes_no_module_is_refused_with_the_cure(
    package: Path, text: str, instead: str, refusal: str
) -> None:
    require_cargo()
    cargo = package / "Cargo.toml"
    cargo.write_text(cargo.read_text().replace(text, instead, 1))
    with pytest.raises(CompileFailed) as caught:
        build(package, load(package))
    assert refusal in caught.value.message


def test_a_package_whose_sdk_moved_is_told_where_it_is_now(package: Path) -> None:
    require_cargo()
    cargo = package / "Cargo.toml"
    cargo.write_text(cargo.read_text().replace(str(rust.SDK.resolve()), "../elsewhere"))
    with pytest.raises(CompileFailed) as caught:
        build(package, load(package))
    assert f'write `isolet = {{ path = "{rust.SDK.resolve()}" }}`' in caught.value.message
