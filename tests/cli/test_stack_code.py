"""The packages of a template's functions and layers: what becomes of what is written in it, or lies beside it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from isolet.cli.stack_code import function_package, language_of, layer_package
from isolet.engine.engine import wat
from isolet.errors import TemplateInvalid
from isolet.languages.package import silent
from isolet.stack.plans import Code, FunctionPlan, LayerPlan

MODULE = wat("(module)")


def function(runtime: str, path: str = "", inline: str = "", s3: Mapping[str, str] | None = None) -> FunctionPlan:
    configuration = {"Runtime": runtime, "Handler": "index.handler"}
    code = Code(inline, s3 or {}, path)
    return FunctionPlan("Hello", "Resources.Hello.Properties", "shop-Hello", code, configuration, (), {}, None)


def layer(path: str, build: str = "") -> LayerPlan:
    return LayerPlan("Common", "Resources.Common.Properties", "shop-Common", Code(path=path), {}, build, False)


def files(package: bytes | None) -> dict[str, bytes]:
    assert package is not None
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packaged(plan: FunctionPlan, base: Path) -> dict[str, bytes]:
    package = function_package(plan, base, silent)
    assert package is not None
    return files(package.zip)


@pytest.mark.parametrize(("runtime", "name"), [("python3.12", "index.py"), ("nodejs20.x", "index.js")])
def test_inline_code_is_a_file_called_index(runtime: str, name: str, tmp_path: Path) -> None:
    assert packaged(function(runtime, inline="x"), tmp_path) == {name: b"x"}


def test_source_is_packaged_as_its_directory_would_be(tmp_path: Path) -> None:
    (tmp_path / "hello" / "__pycache__").mkdir(parents=True)
    (tmp_path / "hello" / "__pycache__" / "app.pyc").write_bytes(b"")
    (tmp_path / "hello" / "app.py").write_text("x = 1\n")
    assert packaged(function("python3.13", "hello/"), tmp_path) == {"app.py": b"x = 1\n"}


def test_zip_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(b"whatever")
    package = function_package(function("python3.12", "code.zip"), tmp_path, silent)
    assert package is not None
    assert package.zip == b"whatever"


@pytest.mark.parametrize("path", ["function.wasm", "."])
def test_module_becomes_a_package(path: str, tmp_path: Path) -> None:
    (tmp_path / "function.wasm").write_bytes(MODULE)
    assert packaged(function("provided.al2023", path), tmp_path) == {"function.wasm": MODULE}


def test_directory_with_a_manifest_is_built_by_it(tmp_path: Path) -> None:
    (tmp_path / "function.toml").write_text('name = "other"\nlanguage = "wat"\n')
    (tmp_path / "other.wat").write_text("(module)")
    assert packaged(function("provided.al2023", "."), tmp_path) == {"function.wasm": MODULE}


def test_what_is_in_s3_is_the_servers_to_fetch(tmp_path: Path) -> None:
    plan = function("python3.12", s3={"S3Bucket": "b", "S3Key": "k"})
    assert function_package(plan, tmp_path, silent) is None


def test_layer_is_what_its_directory_holds(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python").mkdir(parents=True)
    (tmp_path / "lib" / "python" / "common.py").write_text("")
    assert list(files(layer_package(layer("lib"), tmp_path, silent))) == ["python/common.py"]


def test_layer_that_is_to_be_built_is_below_its_languages_name(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "common.py").write_text("")
    (tmp_path / "lib" / "requirements.txt").write_text("# nothing\n")
    built = files(layer_package(layer("lib", "python3.12"), tmp_path, silent))
    assert list(built) == ["python/common.py", "python/requirements.txt"]


@pytest.mark.parametrize(
    ("runtime", "language"), [("python3.9", "python"), ("nodejs22.x", "javascript"), ("provided.al2023", "wasm")]
)
def test_runtime_says_the_language(runtime: str, language: str) -> None:
    assert language_of(function(runtime)) == language


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (function("python3.12", "nowhere"), "there is no nowhere beside the template"),
        (function("python3.12", "file.txt"), "file.txt is neither a directory nor a .zip nor a .wasm"),
        (function("provided.al2023", inline="x"), "inline code is source, and provided.al2023 runs none"),
        (function("provided.al2023", "."), ". is nothing that provided.al2023 can run here"),
    ],
)
def test_function_that_cannot_be_packaged_is_refused_with_its_place(
    plan: FunctionPlan, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(TemplateInvalid) as caught:
        function_package(plan, tmp_path, silent)
    assert caught.value.message.startswith(f"Resources.Hello.Properties: {said}")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (layer("nowhere"), "Resources.Common.Properties: there is no nowhere beside the template"),
        (layer("file.txt"), "Resources.Common.Properties: file.txt is neither a directory nor a .zip"),
        (layer(".", "makefile"), "Resources.Common.Metadata.BuildMethod: 'makefile' is not built here"),
    ],
)
def test_layer_that_cannot_be_packaged_is_refused_with_its_place(plan: LayerPlan, said: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(TemplateInvalid) as caught:
        layer_package(plan, tmp_path, silent)
    assert caught.value.message.startswith(said)
