"""From a directory to a package, in every language."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from isolet.engine.engine import wat
from isolet.errors import CompileFailed, PayloadTooLarge
from isolet.languages import package as packages
from isolet.languages import toolchain
from isolet.languages.build import build
from isolet.languages.package import Package, Step, silent
from isolet.manifest import load
from running import ROOT, Guest

C = """#include "isolet.h"
{}
static int handle(isolet_value e, isolet_context *c, isolet_writer *r) {{
{}
}}
ISOLET_HANDLER(handle)
"""


def function(directory: Path, language: str, files: dict[str, str | bytes], more: str = "") -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "function.toml").write_text(f'name = "f"\nlanguage = "{language}"\n{more}')
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


def made(directory: Path) -> Package:
    return build(directory, load(directory))


def members(package: Package) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package.zip)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def failure(directory: Path) -> CompileFailed:
    with pytest.raises(CompileFailed) as caught:
        made(directory)
    return caught.value


WAT = '(module (memory (export "memory") 1))'


def test_a_package_is_the_module_first_and_the_files_that_the_manifest_names(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"f.wat": WAT, "data/b": "b", "data/a": "a", "event.json": "1", "left-out": ""}
    more = 'files = ["data/*"]\n[snapshot]\nwarmup = "event.json"'
    package = made(function(tmp_path, "wat", files, more))
    assert list(members(package)) == ["function.wasm", "data/a", "data/b", "event.json"]
    assert members(package)["function.wasm"] == package.wasm == wat(WAT)


def test_equal_directories_give_equal_packages(tmp_path: Path) -> None:
    for language in ("c", "go"):
        one, other = tmp_path / f"one-{language}", tmp_path / f"other-{language}"
        source = ROOT / "tests" / "sdk" / "guests" / language
        for directory in (one, other):
            shutil.copytree(source, directory)
        os.utime(other / "function.toml", (0, 0))
        assert made(one).zip == made(other).zip


def test_a_build_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "f"
    shutil.copytree(ROOT / "tests" / "sdk" / "guests" / "go", directory)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    directory.chmod(0o500)
    try:
        made(directory)
    finally:
        directory.chmod(0o700)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


def test_progress_names_the_phases(tmp_path: Path) -> None:
    directory = function(tmp_path, "c", {"f.c": C.format("", "(void)e, (void)c, (void)r; return 0;")})
    steps: list[Step] = []
    build(directory, load(directory), steps.append)
    assert [step.phase.split()[0] for step in steps][-2:] == ["compile", "package"]


def test_an_error_in_c_is_the_compilers_own_with_file_and_line(tmp_path: Path) -> None:
    error = failure(function(tmp_path, "c", {"f.c": C.format("", "(void)e, (void)c, (void)r; return nothing;")}))
    assert error.message == "f.c:4:35: error: use of undeclared identifier 'nothing'"
    assert "f.c:4:35" in error.output
    assert "^" in error.output


def test_an_error_in_go_is_the_compilers_own_with_file_and_line(tmp_path: Path) -> None:
    directory = tmp_path / "f"
    shutil.copytree(ROOT / "tests" / "sdk" / "guests" / "go", directory)
    (directory / "more.go").write_text('package main\n\nvar x int = "y"\n')
    error = failure(directory)
    assert error.message.startswith('./more.go:3:13: cannot use "y"')


def test_an_error_in_wat_has_file_line_and_column(tmp_path: Path) -> None:
    error = failure(function(tmp_path, "wat", {"f.wat": "(module\n  (func (i32.nope)))"}))
    assert error.message.startswith("f.wat: ")
    assert "2:10" in error.output
    assert "UTF-8" in failure(function(tmp_path, "wat", {"f.wat": b"\xff"})).message


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    for content in (b"", WAT.encode(), b"\0asm\x0d\0\x01\0"):
        assert "no core WebAssembly module" in failure(function(tmp_path, "wasm", {"f.wasm": content})).message


def test_a_prebuilt_module_is_taken_as_it_is(tmp_path: Path) -> None:
    assert made(function(tmp_path, "wasm", {"f.wasm": wat(WAT)})).wasm == wat(WAT)


def test_warnings_are_kept(tmp_path: Path) -> None:
    package = made(function(tmp_path, "c", {"f.c": C.format("", "return 0;")}))
    assert "f.c:3:" in package.warnings
    assert "unused parameter 'e'" in package.warnings


def test_a_changed_header_is_seen_although_its_time_and_size_are_the_same(tmp_path: Path) -> None:
    """zig's cache goes by these: shared between builds, it would link the old object."""
    source = C.format('#include "v.h"', "(void)e, (void)c; isolet_put_int(r, VALUE); return 0;")
    for value in (11, 22, 11):
        directory = function(tmp_path, "c", {"f.c": source, "v.h": f"#define VALUE {value}\n"})
        for name in ("f.c", "v.h"):
            os.utime(directory / name, (1_700_000_000, 1_700_000_000))
        package = made(directory)
        (tmp_path / f"run-{value}").mkdir(exist_ok=True)
        run = function(tmp_path / f"run-{value}", "wasm", {"f.wasm": package.wasm})
        assert Guest(run).invoke(None) == value


def test_options_reach_the_c_compiler(tmp_path: Path) -> None:
    source = C.format("int other(void);", "(void)e, (void)c; isolet_put_int(r, other() + MORE); return 0;")
    directory = function(
        tmp_path / "f",
        "c",
        {
            "a.c": source,
            "src/b.c": '#include "isolet.h"\nint other(void) { return isolet__state.input[0] == 0 ? 0 : 40; }',
        },
        'source = ["a.c", "src/b.c"]\n[build]\ncflags = ["-DMORE=2"]\nstack_kb = 128',
    )
    assert Guest(directory).invoke(None) == 42


def test_the_environment_does_not_reach_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = function(tmp_path, "c", {"f.c": C.format("", "(void)e, (void)c, (void)r; return 0;")})
    before = made(directory).zip
    for name in ("CPATH", "C_INCLUDE_PATH", "CCC_OVERRIDE_OPTIONS", "ZIG_LIB_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    assert made(directory).zip == before


def test_build_tags_reach_go(tmp_path: Path) -> None:
    directory = tmp_path / "f"
    shutil.copytree(ROOT / "tests" / "sdk" / "guests" / "go", directory)
    (directory / "tagged.go").write_text("//go:build loud\n\npackage main\n\nvar _ = undefinedWhenLoud\n")
    made(directory)
    with (directory / "function.toml").open("a") as toml:
        toml.write('[build]\ntags = ["loud"]\n')
    assert "undefinedWhenLoud" in failure(directory).message


def test_a_vendored_sdk_is_the_users_choice(tmp_path: Path) -> None:
    directory = tmp_path / "f"
    shutil.copytree(ROOT / "tests" / "sdk" / "guests" / "go", directory)
    shutil.copytree(ROOT / "sdk" / "go", directory / "vendored")
    (directory / "vendored" / "broken.go").write_text("package isolet\n\nvar _ = onlyInTheVendoredOne\n")
    with (directory / "go.mod").open("a") as go_mod:
        go_mod.write("\nrequire isolet v0.0.0\n\nreplace isolet => ./vendored\n")
    assert "onlyInTheVendoredOne" in failure(directory).output
    shutil.rmtree(directory / "vendored")
    made(directory)


def test_a_go_module_built_without_us_does_not_compile(tmp_path: Path) -> None:
    """It would draw the same numbers in every invocation."""
    program = toolchain.ensure(toolchain.GO, silent)
    variables = {
        "GOOS": "wasip1",
        "GOARCH": "wasm",
        "GOCACHE": str(toolchain.cache_directory() / "go"),
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
    }
    with pytest.raises(CompileFailed, match="build_this_module_with_isolet_deploy"):
        toolchain.run([program, "vet", "."], ROOT / "sdk" / "go", variables)


def test_a_package_that_cannot_be_uploaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = function(tmp_path, "wat", {"f.wat": WAT, "big": os.urandom(5_000)}, 'files = ["big"]')
    for name, most in (("PACKAGE_BYTES_MAX", 4_000), ("PACKAGE_ZIP_BYTES_MAX", 4_500)):
        with monkeypatch.context() as limited:
            limited.setattr(packages.limits, name, most)
            with pytest.raises(PayloadTooLarge, match=f"at most {most:,}"):
                made(directory)
