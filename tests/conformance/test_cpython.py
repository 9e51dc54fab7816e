"""CPython's own tests, run by isolet's Python as a function: no more of them fail than python.json says.

The tests are those of the source that the interpreter is built of, fetched as its recipe fetches it; nothing of them is
kept here. python.json holds how many ran and succeeded, why others were left out (their own decision: no threads, no
processes, no time zones …), and which fail, each with the reason.

    PYTHONPATH=tests python tests/conformance/test_cpython.py        writes python.json anew
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from cloud import Cloud
from isolet.languages.package import silent
from isolet.languages.recipes.python import RECIPE
from isolet.languages.recipes.sources import gather
from test_server import serving

HERE = Path(__file__).parent
RECORD = HERE / "python.json"
RUNNER = HERE / "python" / "lambda_function.py"
# Module → what else it needs, below Lib/test.
MODULES: dict[str, tuple[str, ...]] = {
    "test_json": (),
    "test_re": ("re_tests.py",),
    "test_datetime": ("datetimetester.py",),
    "test_collections": (),
    "test_decimal": ("decimaltestdata",),
    "test_dataclasses": (
        *("dataclass_module_1.py", "dataclass_module_1_str.py", "dataclass_module_2.py", "dataclass_module_2_str.py"),
        "dataclass_textanno.py",
    ),
    "test_textwrap": (),
    "test_csv": (),
    "test_functools": (),
}
_SHARED = ("__init__.py", "support")
_TESTS = "Lib/test/"
# test_json encodes lists a hundred thousand deep, test_decimal runs 140 files of cases.
MEMORY_MB, TIMEOUT_S = 1024, 900


def package() -> bytes:
    """The zip of a function that runs any of MODULES."""
    (source,) = (source for source in RECIPE.sources if source.file.endswith(f"{RECIPE.version}.orig.tar.gz"))
    wanted = {f"{name}{suffix}" for name in MODULES for suffix in ("", ".py")}
    wanted |= {name for names in MODULES.values() for name in names} | set(_SHARED)
    buffer = io.BytesIO()
    with tarfile.open(gather([source], {}, silent)[source.file]) as archive, zipfile.ZipFile(buffer, "w") as packed:
        for member in archive:
            path = PurePosixPath(member.name.partition(_TESTS)[2])
            content = archive.extractfile(member) if path.parts and path.parts[0] in wanted else None
            if content is not None:
                packed.writestr(f"test/{path}", content.read(), zipfile.ZIP_DEFLATED)
        packed.writestr("lambda_function.py", RUNNER.read_bytes())
    return buffer.getvalue()


def deployed(url: str) -> Cloud:
    cloud = Cloud(url, read_timeout_s=TIMEOUT_S)
    handler = "lambda_function.lambda_handler"
    cloud.deploy("cpython", package(), Runtime="python3.11", Handler=handler, MemorySize=MEMORY_MB, Timeout=TIMEOUT_S)
    return cloud


def run(cloud: Cloud, module: str) -> dict[str, Any]:
    """What came of a module's tests, as python.json has it."""
    answer = cloud.invoke("cpython", {"module": module})
    assert not answer.failed, answer
    found: dict[str, Any] = answer.value
    return {
        "run": found["run"],
        "succeeded": found["succeeded"],
        "left out": dict(sorted(Counter(found["skipped"].values()).items())),
        "failing": found["failing"],
    }


@pytest.fixture(scope="module")
def cpython(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("cpython"), workers=1) as server:
        yield deployed(server.url)
        server.end()


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("module", MODULES)
def test_no_test_of_cpython_fails_that_is_not_known_to(module: str, cpython: Cloud) -> None:
    known, found = json.loads(RECORD.read_text())[module], run(cpython, module)
    assert found["failing"].keys() <= known["failing"].keys(), found["failing"]
    assert found["run"] >= known["run"]
    assert found["succeeded"] >= known["succeeded"], found["left out"]


def test_every_failure_that_is_known_has_its_reason() -> None:
    for module in json.loads(RECORD.read_text()).values():
        assert all(module["failing"].values())


def main() -> None:
    with tempfile.TemporaryDirectory() as data, serving(Path(data), workers=1) as server:
        cloud = deployed(server.url)
        known, record = json.loads(RECORD.read_text()), {}
        for module in MODULES:
            record[module] = run(cloud, module)
            record[module]["failing"].update(  # a person's words about it stay
                {name: why for name, why in known[module]["failing"].items() if name in record[module]["failing"]}
            )
            print(module, {key: value for key, value in record[module].items() if key != "left out"}, file=sys.stderr)
        server.end()
    RECORD.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
