"""Lambda handlers as people write them, unchanged: what native CPython answers, isolet answers.

Each directory of python/ is a function: its source, function.toml, and events.json, events by name. The native side is
native.py; a test holds that to AWS's own runtime. Compared are results, errors (type, message, the user's own frames)
and what was logged.

What is not compared, and why:
- frames of the standard library: a guest's library has no source lines;
- how deep a recursion went: a RecursionError comes at the same limit, but the frames below the handler differ, and with
  them whether it is a call, a comparison or a repr that meets it; what is behind "maximum recursion depth exceeded" in
  the message says which.
- what is named in DIFFERENCES, each with its reason; what is there must differ.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cloud import Cloud, environment
from isolet.languages import starter, toolchain
from isolet.languages.build import build
from isolet.manifest import Manifest, load

HERE = Path(__file__).parent
CORPUS = HERE / "python"
NAMES = sorted(path.name for path in CORPUS.iterdir() if (path / "events.json").is_file())
# One of each kind: results, errors, ends. The others take their time.
QUICK = ("product_api", "error_zoo", "exits")

# Event → why the guest answers otherwise than native CPython.
_ERRNO = "the numbers of errors, and the words of some, are WASI's: compare `errno.ENOENT`, not 2"
_FINITE = "an outcome has finite numbers only (abi.md, 3); AWS's runtime writes NaN, which is not JSON"
_PARSER = "CPython's parser nests two thirds as deep when it is built for WASI, and says MemoryError first"
DIFFERENCES: dict[tuple[str, str], str] = {
    ("error_zoo", "file"): _ERRNO,
    ("error_zoo", "overflow"): _ERRNO,
    ("page_template", "missing page"): _ERRNO,
    ("error_zoo", "memory"): "sizes have 32 bits: a terabyte is an OverflowError before it is a MemoryError",
    ("endless_zoo", "compile brackets"): _PARSER,
    ("endless_zoo", "literal"): _PARSER,
    ("odd_results", "nan"): _FINITE,
    ("odd_results", "infinity"): _FINITE,
    ("odd_results", "huge_int"): "a whole number beyond 64 bits is a float (abi.md, 2.2)",
    ("odd_results", "lone_surrogate"): "an outcome is UTF-8, which has no half of a surrogate pair",
}

# What AWS's own runtime would say to a coroutine is that it is no JSON.
BEYOND_AWS = ("async_handler",)
AWS_RUNTIME = "awslambdaric==4.2.2"


class Case(NamedTuple):
    """A function of the corpus."""

    name: str
    manifest: Manifest
    zip: bytes
    events: dict[str, Any]


class Outcome(NamedTuple):
    answer: Any
    log: str


def case(name: str) -> Case:
    manifest = load(CORPUS / name)
    return Case(
        name, manifest, build(CORPUS / name, manifest).zip, json.loads((CORPUS / name / "events.json").read_text())
    )


# ── the native side ─────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def python311() -> str:
    """A CPython 3.11, with nothing but its standard library."""
    found = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if found is None:
        pytest.skip("there is no python3.11 on this machine to compare with")
    return found


def native(case: Case, directory: Path, *runner: str | Path) -> dict[str, Outcome]:
    """What each event comes to under native CPython; the package is unpacked into `directory`."""
    with zipfile.ZipFile(BytesIO(case.zip)) as archive:
        archive.extractall(directory)
    settings = case.manifest.settings
    request = {
        "directory": str(directory),
        "handler": settings.handler,
        "events": [json.dumps(event) for event in case.events.values()],
        "variables": {
            "AWS_LAMBDA_FUNCTION_NAME": case.manifest.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
            "LANG": "en_US.UTF-8",
            "TZ": "UTC",
            **settings.environment,
            "_X_AMZN_TRACE_ID": "Root=1-6b0979c2-000000000000000000000000",
        },
    }
    command = runner or ("-I", HERE / "native.py")
    ran = subprocess.run(
        [python311(), *command], input=json.dumps(request), capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    # NaN by its name: it is not equal to itself.
    outcomes = [json.loads(line, parse_constant=str) for line in ran.stdout.splitlines()]
    assert len(outcomes) == len(case.events), ran.stderr
    return {
        event: Outcome(
            exited(outcome["status"]) if outcome["status"] is not None else outcome["answer"], outcome["log"]
        )
        for event, outcome in zip(case.events, outcomes, strict=True)
    }


def exited(status: int) -> dict[str, str]:
    """What Lambda answers for a function whose process ended."""
    how = f"with error: exit status {status}" if status else "without providing a reason"
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: <id> Error: Runtime exited {how}"}


# ── what is compared ────────────────────────────────────────────────────────────────────────────────────────────

_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
# Ids, moments as Lambda, powertools and CloudWatch's metrics write them, durations.
_VARYING = re.compile(
    _ID.pattern
    + r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d{3}(?:Z|[+]\d{4})"
    + r"|\b1[6-9]\d{11}\b"
    + r"|\b1-[0-9a-f]{8}-[0-9a-f]{24}\b"  # trace ids: every invocation has one
    + r"|\b\d+\.\d+ ms\b"
)
_HOST_LINE = re.compile(r"(START|END|REPORT) RequestId: .*")
_FRAME = re.compile(r'  File "(?P<file>[^"]*)"')
_REPEATED = re.compile(r"\[Previous line repeated \d+ more times\]")
_RECURSION = "maximum recursion depth exceeded"


def comparable(answer: Any) -> Any:
    """An answer without what is not compared."""
    if not isinstance(answer, dict) or "errorType" not in answer:
        return answer
    error = {key: value for key, value in answer.items() if key != "requestId"}
    error["errorMessage"] = _ID.sub("<id>", error["errorMessage"])
    error["stackTrace"] = [_REPEATED.sub("[…]", line) for line in error.get("stackTrace", []) if _own(line)]
    if error["errorMessage"].startswith(_RECURSION):
        error["errorMessage"] = _RECURSION
        error["stackTrace"] = list(dict.fromkeys(error["stackTrace"]))
    return error


def _own(line: str) -> bool:
    frame = _FRAME.match(line)
    return frame is None or frame["file"].startswith("/var/task/")


def logged(text: str) -> list[str]:
    """The function's own log lines, without what varies; in tracebacks, the user's own frames."""
    lines: list[str] = []
    own = True
    for line in text.splitlines():
        if _HOST_LINE.fullmatch(line):
            continue
        if frame := _FRAME.match(line):
            own = frame["file"].startswith("/var/task/")
        elif not line.startswith("    "):
            own = True
        if own and not re.fullmatch(r"\s*[~^]+", line):
            lines.append(_VARYING.sub("<varies>", _REPEATED.sub("[…]", line)))
    return [line for line in lines if line.strip()]


# ── the laws ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_isolet_answers_what_native_python_answers(name: str, cloud: Cloud, tmp_path: Path) -> None:
    function = case(name)
    settings = function.manifest.settings
    expected = native(function, tmp_path)
    cloud.deploy(
        function.manifest.name,
        function.zip,
        Runtime="python3.11",
        Handler=settings.handler,
        MemorySize=settings.memory_mb,
        Timeout=int(settings.timeout_s),
        **environment(settings.environment),
    )
    wrong = {}
    for event, value in function.events.items():
        answer = cloud.invoke(function.manifest.name, value)
        ours = (comparable(answer.value), logged(answer.log))
        theirs = (comparable(expected[event].answer), logged(expected[event].log))
        if (ours == theirs) is ((name, event) in DIFFERENCES):
            wrong[event] = {"isolet": ours, "native": theirs}
    assert not wrong, json.dumps(wrong, indent=2, ensure_ascii=False)


def test_every_difference_that_is_named_is_an_event() -> None:
    for name, event in DIFFERENCES:
        assert event in json.loads((CORPUS / name / "events.json").read_text())


def test_a_new_python_function_answers_its_sample_event(cloud: Cloud, tmp_path: Path) -> None:
    written = starter.create("greeter-1", "python", tmp_path / "greeter-1")
    assert {"function.toml", "event.json", "README.md", "lambda_function.py"} == {path.name for path in written}
    manifest = load(tmp_path / "greeter-1")
    handler = manifest.settings.handler
    cloud.deploy("greeter-1", build(tmp_path / "greeter-1", manifest).zip, Runtime="python3.11", Handler=handler)
    sample = json.loads((tmp_path / "greeter-1" / "event.json").read_text())
    for _ in range(2):
        answer = cloud.invoke("greeter-1", sample)
        assert answer.value == {"hello": "Ada", "greetings": 1}
        assert "greeting Ada for" in answer.log


@pytest.fixture(scope="session")
def awslambdaric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("awslambdaric")
    command = [
        python311(),
        "-m",
        "pip",
        "install",
        *toolchain.PIP_OPTIONS,
        "--target",
        str(scratch / "site"),
        AWS_RUNTIME,
    ]
    complaint = toolchain.install(command, scratch, scratch, lambda size: None)
    assert not complaint, complaint
    return scratch / "site"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in BEYOND_AWS])
def test_the_native_side_answers_what_awss_own_runtime_answers(name: str, awslambdaric: Path, tmp_path: Path) -> None:
    function = case(name)
    ours = native(function, tmp_path / "ours")
    theirs = native(function, tmp_path / "theirs", HERE / "aws_runtime.py", awslambdaric)
    for event in function.events:
        assert comparable(ours[event].answer) == comparable(theirs[event].answer), event
