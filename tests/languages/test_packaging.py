"""What `pip install` of a checkout brings along: `isolet init` and `isolet deploy` work without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from isolet.languages import assemblyscript, c, go, rust, starter, zig
from running import ROOT


def test_the_sdks_are_links_to_the_one_copy() -> None:
    assert c.SDK.resolve() == ROOT / "sdk" / "c"
    assert go.SDK.resolve() == ROOT / "sdk" / "go"
    assert rust.SDK.resolve() == ROOT / "sdk" / "rust"
    assert zig.SDK.resolve() == ROOT / "sdk" / "zig"
    assert assemblyscript.SDK.resolve() == ROOT / "sdk" / "assemblyscript"


@pytest.mark.slow
def test_a_wheel_holds_the_sdks_and_the_templates(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"  # a build leaves files beside the sources
    checkout.mkdir()
    for name in ("runtime", "sdk"):
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so")
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, checkout], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = "isolet/languages"
    expected = {f"{here}/sdk/c/isolet.h"}
    for module in (go, rust, zig, assemblyscript):
        sdk = module.SDK.resolve()
        expected |= {f"{here}/sdk/{module.SDK.name}/{file.relative_to(sdk)}" for file in sdk.rglob("*.*")}
    for language in starter.LANGUAGES:
        expected |= {f"{here}/templates/{language}/{file.name}" for file in (starter.TEMPLATES / language).iterdir()}
    assert expected <= names, expected - names
    assert any(name.startswith("isolet/engine/_calls.") and name.endswith(".so") for name in names), "compiled here"
