"""The works: each language's source gives the answer that is expected."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from isolet.lab.works import SUFFIXES, WORKS, Work

SOURCES = Path(__file__).parents[2] / "benches" / "works"
ALL = pytest.mark.parametrize("work", WORKS.values(), ids=list(WORKS))


@ALL
def test_every_work_is_there_in_every_language(work: Work) -> None:
    for suffix in SUFFIXES.values():
        assert (SOURCES / f"{work.name}{suffix}").is_file()


@ALL
def test_python_answers_as_expected(work: Work) -> None:
    spec = importlib.util.spec_from_file_location(f"work_{work.name}", SOURCES / f"{work.name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.prepare()
    assert module.work(work.body("python")) == work.expected("python")


@ALL
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_javascript_answers_as_expected(work: Work, tmp_path: Path) -> None:
    (tmp_path / "body").write_text(work.body("javascript"))
    text = (
        f'import {{ prepare, work }} from "{SOURCES / work.name}.mjs"; import {{ readFileSync }} from "node:fs";'
        f'prepare(); process.stdout.write(work(readFileSync("{tmp_path / "body"}", "utf8")));'
    )
    said = subprocess.run(["node", "--input-type=module", "-e", text], capture_output=True, text=True, check=True)
    assert said.stdout == work.expected("javascript")
