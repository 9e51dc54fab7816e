"""Python's packages: the function's own files, and wheels without native code. pip is real, its index a directory."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from isolet.errors import CompileFailed
from isolet.languages import python
from isolet.languages.package import Step, pack, silent
from isolet.manifest import load

PURE = "py3-none-any"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip finds wheels in, and nothing else."""
    directory = tmp_path / "index"
    directory.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("ISOLET_CACHE", str(tmp_path / "cache"))
    return directory


def wheel(
    index: Path, name: str, files: dict[str, str], *, version: str = "1.0", tag: str = PURE, requires: str = ""
) -> Path:
    info = f"{name}-{version}.dist-info"
    fields = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    everything = {
        **files,
        f"{info}/METADATA": fields + (f"Requires-Dist: {requires}\n" if requires else "") + "\nA long description\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        f"{info}/licenses/LICENSE": "Do.\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        for path, text in everything.items()
    ]
    path = index / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**everything, f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,"]) + "\n"}.items():
            archive.writestr(file, text)
    return path


def function(directory: Path, files: dict[str, str], more: str = "") -> Path:
    written = {"function.toml": f'name = "f"\nlanguage = "python"\n{more}', "lambda_function.py": "", **files}
    for name, text in written.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def packaged(directory: Path) -> dict[str, bytes | Path]:
    return python.package(directory, load(directory), silent)[0]


def refused(directory: Path) -> str:
    with pytest.raises(CompileFailed) as caught:
        packaged(directory)
    return caught.value.message


def test_the_package_is_the_directory_without_what_tools_leave(tmp_path: Path) -> None:
    directory = function(
        tmp_path / "f",
        {"lib/x.py": "", "data/a.json": "{}", "__pycache__/x.pyc": "", ".env": "", ".venv/y.py": "", "tests/t.py": ""},
    )
    assert list(packaged(directory)) == ["data/a.json", "lambda_function.py", "lib/x.py"]


def test_requirements_are_installed_beside_it_whole_and_small(index: Path, tmp_path: Path) -> None:
    wheel(index, "solo", {"solo/__init__.py": "x = 1", "solo/py.typed": "", "solo/__init__.pyi": "x: int"})
    steps: list[Step] = []
    directory = function(tmp_path / "f", {"requirements.txt": "# ours\nsolo==1.0\n"})
    files, warnings = python.package(directory, load(directory), steps.append)
    assert warnings == ""
    assert list(files) == [
        "lambda_function.py",
        "requirements.txt",
        "solo-1.0.dist-info/METADATA",
        "solo-1.0.dist-info/entry_points.txt",
        "solo/__init__.py",
    ]
    metadata = files["solo-1.0.dist-info/METADATA"]
    assert isinstance(metadata, Path)
    assert "long description" not in metadata.read_text()
    assert steps[0].phase == "collect files"


def test_equal_requirements_are_installed_once_and_give_equal_zips(index: Path, tmp_path: Path) -> None:
    path = wheel(index, "solo", {"solo.py": "x = 1"})
    first = pack(b"", packaged(function(tmp_path / "f", {"requirements.txt": "solo\n"})))
    path.unlink()
    assert pack(b"", packaged(function(tmp_path / "g", {"requirements.txt": "solo\n"}))) == first


def test_a_wheel_named_as_a_file_is_looked_at_every_time(index: Path, tmp_path: Path) -> None:
    directory = function(tmp_path / "f", {"requirements.txt": "./solo-1.0-py3-none-any.whl\n"})
    for text in ("x = 1", "x = 2"):
        wheel(directory, "solo", {"solo.py": text})
        file = packaged(directory)["solo.py"]
        assert isinstance(file, Path)
        assert file.read_text() == text


def test_lists_that_a_list_names_count(index: Path, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        wheel(index, "solo", {"solo.py": f"x = {version}"}, version=version)
    directory = function(tmp_path / "f", {"requirements.txt": "-r more.txt\n", "more.txt": "solo==1.0\n"})
    assert "solo-1.0.dist-info/METADATA" in packaged(directory)
    (directory / "more.txt").write_text("solo==2.0\n")
    assert "solo-2.0.dist-info/METADATA" in packaged(directory)
    (directory / "more.txt").unlink()
    assert "more.txt cannot be read" in refused(directory)


def test_markers_are_those_of_the_guest(index: Path, tmp_path: Path) -> None:
    """Whatever Python isolet runs on."""
    for name in ("yes", "no"):
        wheel(index, name, {f"{name}.py": ""})
    lines = [
        "yes; python_version == '3.11' and sys_platform == 'wasi' and platform_machine == 'wasm32'",
        "no; sys_platform == 'linux'",
        "no; python_version >= '3.12'",
    ]
    files = packaged(function(tmp_path / "f", {"requirements.txt": "\n".join(lines)}))
    assert "yes.py" in files
    assert "no.py" not in files


def test_the_functions_own_file_wins(index: Path, tmp_path: Path) -> None:
    wheel(index, "solo", {"solo.py": "theirs"})
    file = packaged(function(tmp_path / "f", {"requirements.txt": "solo\n", "solo.py": "ours"}))["solo.py"]
    assert isinstance(file, Path)
    assert file.read_text() == "ours"


def test_native_code_is_refused_by_its_name_also_when_another_requires_it(index: Path, tmp_path: Path) -> None:
    from pip._vendor.packaging.tags import sys_tags  # as pip itself will see this machine

    tag = str(next(iter(sys_tags())))
    wheel(index, "speedy", {"speedy.py": ""}, tag=tag)
    wheel(index, "wrapper", {"wrapper.py": ""}, requires="speedy")
    for requirement in ("speedy", "wrapper"):
        message = refused(function(tmp_path / requirement, {"requirements.txt": f"{requirement}\n"}))
        assert "speedy 1.0 would come with native code, which does not run in a guest" in message
        assert message.endswith("pip install --target . speedy")


def test_native_code_in_a_wheel_that_says_it_has_none_is_found(index: Path, tmp_path: Path) -> None:
    wheel(index, "liar", {"truth/_fast.so": "\x7fELF", "truth/__init__.py": ""})
    message = refused(function(tmp_path / "f", {"requirements.txt": "liar\n"}))
    assert "liar brings native code, truth/_fast.so" in message


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("nobody", "no package index here has a wheel of nobody"),
        ("solo==9", "no package index here has a wheel of solo==9"),
        ("what is this", "Invalid requirement: 'what is this'"),
        ("solo==1.0\nsolo==1.1", "solo==1.0 and solo==1.1"),
    ],
)
def test_what_cannot_be_installed_is_said_with_the_cure(
    index: Path, tmp_path: Path, requirement: str, reason: str
) -> None:
    for version in ("1.0", "1.1"):
        wheel(index, "solo", {"solo.py": ""}, version=version)
    message = refused(function(tmp_path / "f", {"requirements.txt": requirement}))
    assert reason in message
    assert ";" in message
    assert sorted(path.name for path in (tmp_path / "cache" / "requirements").iterdir()) == [".lock"]


def test_native_code_in_the_directory_is_left_out_and_said_so(tmp_path: Path) -> None:
    directory = function(tmp_path / "f", {"markupsafe/__init__.py": "", "markupsafe/_speedups.so": ""})
    files, warnings = python.package(directory, load(directory), silent)
    assert list(files) == ["lambda_function.py", "markupsafe/__init__.py"]
    assert warnings.startswith("markupsafe/_speedups.so left out: native code")


def test_parts_of_requirements_can_be_excluded(index: Path, tmp_path: Path) -> None:
    wheel(index, "solo", {"solo/__init__.py": "", "solo/data/a/1.json": "", "solo/data/b/1.json": ""})
    more = '[build]\nexclude = ["solo/data/[!a]*", "*.dist-info", "requirements.txt"]\n'
    files = packaged(function(tmp_path / "f", {"requirements.txt": "solo\n"}, more))
    assert list(files) == ["lambda_function.py", "solo/__init__.py", "solo/data/a/1.json"]


def test_too_many_files_are_refused_with_the_count(index: Path, tmp_path: Path) -> None:
    wheel(index, "many", {f"many/{number}.py": "" for number in range(1_000)})
    message = refused(function(tmp_path / "f", {"requirements.txt": "many\n"}))
    assert "1,004 files, 1,002 of them from requirements.txt, and at most 999 can be deployed" in message
