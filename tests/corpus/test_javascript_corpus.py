"""Lambda handlers as people write them, unchanged: what native Node.js answers, isolet answers.

Each directory of javascript/ is a function: its source, and events.json: events by name, and what is not Lambda's
default. TypeScript is built as `isolet deploy` does; everything else is zipped as it lies there, node_modules included,
as boto3's users do. The native side is AWS's own runtime interface client (native_node.py).

Compared are
- results: as JSON, with the order of keys, integers and floats told apart;
- errors: type, message, and of the trace its first lines (the message) and the user's own frames;
- what was logged: levels and texts.

Of frames, the file and the line are compared, and the function's name without what V8 puts around it (`Object.`, `new`,
`async`, `[as x]`). Left out are frames that V8 alone has, because it
- goes on behind an `await` (`at async f`): the guest's stacks end there;
- names the place where a class or an anonymous function stands.
What the guest has must be in V8's trace, in its order, beginning with the same frame.

`engine_words` names the events whose message is made by the JavaScript engine itself: there the error's type and the
frames are compared, not the words. What else differs is in DIFFERENCES, each with its reason, and must differ.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cloud import Answer, Cloud, environment
from corpus import native_node
from isolet.languages.build import build
from isolet.manifest import load

CORPUS = Path(__file__).parent / "javascript"
NAMES = sorted(path.name for path in CORPUS.iterdir() if (path / "events.json").is_file())
# CommonJS with modules of its own, ES modules with errors, a state machine. The others take their time.
QUICK = ("web_api_v2", "calculator", "step_function")
RUNTIME = "nodejs22.x"

# (function, event) → why the guest answers otherwise than native Node.js.
DIFFERENCES: dict[tuple[str, str], str] = {}


class Case(NamedTuple):
    """A function of the corpus. `directory` is where its package lies unpacked."""

    name: str
    directory: Path
    handler: str
    variables: dict[str, str]
    events: dict[str, Any]
    engine_words: frozenset[str]

    @property
    def zip(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in sorted(self.directory.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(self.directory))
        return buffer.getvalue()


def case(name: str, scratch: Path) -> Case:
    described = json.loads((CORPUS / name / "events.json").read_text(encoding="utf-8"))
    source = CORPUS / described.get("source", name)
    handler = described.get("handler", "index.handler")
    directory = scratch / "task"
    shutil.copytree(source, directory)
    (directory / "events.json").unlink()
    if any(directory.rglob("*.[mc]ts")) or any(directory.rglob("*.ts")):
        (directory / "function.toml").write_text(f'name = "{name}"\nlanguage = "javascript"\nhandler = "{handler}"\n')
        packed = build(directory, load(directory)).zip
        shutil.rmtree(directory)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(directory)
    words = frozenset(described.get("engine_words", ()))
    return Case(name, directory, handler, described.get("environment", {}), described["events"], words)


# ── what is compared ────────────────────────────────────────────────────────────────────────────────────────────

_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_FRAME = re.compile(r"    at (?:(?P<name>.*) \()?(?:file://)?/var/task/(?P<file>[^:]+):(?P<line>\d+):\d+\)?$")
_AROUND = re.compile(r"^async |^new | \[as [^\]]*\]$")
_LOG = re.compile(r"^\S+Z\t(?P<id>\S+)\t(?P<level>[A-Z]+)\t(?P<text>.*)$", re.S)
_HOST_LINE = re.compile(r"(START|END|REPORT) RequestId: .*")


class Frame(NamedTuple):
    name: str
    file: str
    line: int


def frames(trace: list[str]) -> list[Frame]:
    found = []
    for line in trace:
        if frame := _FRAME.match(line):
            name = _AROUND.sub("", _AROUND.sub("", frame["name"] or ""))
            found.append(Frame(name.rpartition(".")[2].strip("<>"), frame["file"], int(frame["line"])))
    return found


def same_frames(ours: list[Frame], theirs: list[Frame]) -> bool:
    """Whether the guest's frames are in V8's trace, in its order, and begin as it does."""
    if not theirs or not ours:
        return ours == theirs
    rest = iter(theirs)
    return _same(ours[0], theirs[0]) and all(any(_same(frame, other) for other in rest) for frame in ours)


def _same(ours: Frame, theirs: Frame) -> bool:
    return ours[1:] == theirs[1:] and (
        ours.name == theirs.name or "anonymous" in (ours.name or "anonymous", theirs.name)
    )


def is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "errorType" in answer


def message(error: dict[str, Any]) -> str:
    return _ID.sub("<id>", str(error.get("errorMessage")))


def head(trace: list[str]) -> list[str]:
    """The lines of a trace before its frames."""
    return trace[: next((index for index, line in enumerate(trace) if line.startswith("    at ")), None)]


def differs(case: Case, event: str, ours: Answer, theirs: native_node.Outcome) -> str:
    """In what an answer differs from the native one; "" if in nothing."""
    answer, expected = ours.value, theirs.answer
    if ours.failed != is_error(expected):
        return "one is an error"
    if not is_error(expected):
        return "" if ordered(answer) == ordered(expected) else "results"
    if answer.get("errorType") != expected["errorType"]:
        return "types of errors"
    words = event not in case.engine_words
    if words and message(answer) != message(expected):
        return "messages"
    if ("trace" in answer) != ("trace" in expected):
        return "one has no trace"
    trace, native = answer.get("trace", []), expected.get("trace", [])
    if words and head(trace) != head(native):
        return "heads of traces"
    return "" if same_frames(frames(trace), frames(native)) else "frames"


def ordered(value: Any) -> str:
    """JSON that keeps the order of keys, and 1 from 1.0."""
    return json.dumps(value, ensure_ascii=False)


def logged(text: str) -> list[tuple[str, str]]:
    """The function's own lines, by level and text; what the runtime logs of an error is in the answer, too."""
    lines = []
    for line in text.splitlines():
        if (found := _LOG.match(line)) and not re.match(r"(Invoke Error|Uncaught Exception|Unhandled)", found["text"]):
            lines.append((found["level"], _ID.sub("<id>", found["text"])))
    return lines


# ── the laws ────────────────────────────────────────────────────────────────────────────────────────────────────


def native(function: Case) -> dict[str, native_node.Outcome]:
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2024/01/01/[$LATEST]0",
        "AWS_REGION": "us-east-1",
        **function.variables,
    }
    return native_node.invoke(function.directory, function.handler, function.events, variables)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_isolet_answers_what_native_node_answers(name: str, cloud: Cloud, tmp_path: Path) -> None:
    function = case(name, tmp_path)
    expected = native(function)
    cloud.deploy(
        name, function.zip, Runtime=RUNTIME, Handler=function.handler, Timeout=3, **environment(function.variables)
    )
    wrong = {}
    for event, value in function.events.items():
        ours, theirs = cloud.invoke(name, value), expected[event]
        difference = differs(function, event, ours, theirs)
        if not difference and logged(ours.log) != logged(theirs.log):
            difference = "logs"
        if bool(difference) is not ((name, event) in DIFFERENCES):
            wrong[event] = {
                "difference": difference or "none any more",
                "isolet": [ours.value, logged(ours.log)],
                "native": [theirs.answer, logged(theirs.log)],
            }
    cloud.remove(name)
    assert not wrong, json.dumps(wrong, indent=2, ensure_ascii=False)


def test_every_event_that_is_named_is_there() -> None:
    named = {(name, event) for name in NAMES for event in _described(name).get("engine_words", ())} | {*DIFFERENCES}
    assert not {(name, event) for name, event in named if event not in _described(name)["events"]}


def _described(name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((CORPUS / name / "events.json").read_text(encoding="utf-8"))
    return described
