"""Lambda handlers as people write them, unchanged: what native Node.js answers, isolet answers.

Each directory of javascript/ is a function: its source, and events.json: events by name, and what is not Lambda's
default. TypeScript is built as `isolet deploy` does; everything else is zipped as it lies there, node_modules included,
as boto3's users do. The native side is AWS's own runtime interface client (native_node.py).

Compared are
- results: as JSON, with the order of keys, integers and floats told apart (beyond 2**53 all numbers are floats, which
  one side writes as 1e19 and the other with all digits);
- errors: type, message, and of the trace its first lines (the message) and the user's own frames. The trace of an error
  of the runtime's own (`Runtime.…`) is that of AWS's client natively, and the user's here: not compared;
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
from isolet.languages import starter
from isolet.languages.build import build
from isolet.manifest import load

CORPUS = Path(__file__).parent / "javascript"
NAMES = sorted(path.name for path in CORPUS.iterdir() if (path / "events.json").is_file())
# CommonJS with modules of its own, ES modules with errors, a state machine. The others take their time.
QUICK = ("web_api_v2", "calculator", "step_function")
RUNTIME = "nodejs22.x"

# (function, event) → why the guest answers otherwise than native Node.js.
_DESTRUCTURING = "QuickJS says the line where the pattern begins, V8 the one of the value"
_SYMBOL = "AWS's client itself fails when a symbol is thrown, with a stack of its own"
DIFFERENCES: dict[tuple[str, str], str] = {
    (
        "clone_revive",
        "what JSON has no word for",
    ): "half a surrogate pair has no UTF-8, and becomes U+FFFD on its way out",
    ("error_zoo", "classWithoutNew"): "QuickJS has a frame for the class that was called without `new`",
    ("error_zoo", "symbol"): _SYMBOL,
    ("error_zoo_sync", "symbol"): _SYMBOL,
    ("log_parser", "bad month day"): _DESTRUCTURING,
    ("step_function", "unknown state"): _DESTRUCTURING,
    ("url_tools", "windows"): "path.win32 is not there",
}


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
_LOG = re.compile(r"^\S+Z\t(?P<id>\S+)\t(?P<level>[A-Z]+)\t(?P<text>.*)$", re.S)
_HOST_LINE = re.compile(r"(START|END|REPORT) RequestId: .*")


class Frame(NamedTuple):
    names: frozenset[str]  # V8 may have two: `f [as handler]`
    place: tuple[str, str]  # file, line
    behind_await: bool


def frames(trace: list[str]) -> list[Frame]:
    """The user's own frames in a trace."""
    found = []
    for line in trace:
        if frame := _FRAME.match(line):
            name, _, other = (frame["name"] or "").partition(" [as ")
            bare = re.sub("^(async |new )+", "", name).rpartition(".")[2].strip("<>")
            names = {bare or "anonymous", other.rstrip("]")} - {""}
            place = frame["file"], frame["line"]
            found.append(Frame(frozenset(names), place, name.startswith("async ")))
    return found


def same_frames(ours: list[Frame], theirs: list[Frame]) -> bool:
    """Whether the guest's frames are in V8's trace, in its order, and begin as it does."""
    if not ours:
        return all(frame.behind_await for frame in theirs)
    rest = iter(theirs)
    first = bool(theirs) and _same(ours[0], theirs[0])
    return first and all(any(_same(frame, other) for other in rest) for frame in ours)


def _same(ours: Frame, theirs: Frame) -> bool:
    unnamed = "anonymous" in ours.names | theirs.names
    return ours.place == theirs.place and (unnamed or bool(ours.names & theirs.names))


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
    if answer["errorType"].startswith("Runtime."):
        return ""
    trace, native = answer.get("trace", []), expected.get("trace", [])
    if words and head(trace) != head(native):
        return "heads of traces"
    return "" if same_frames(frames(trace), frames(native)) else "frames"


def ordered(value: Any) -> str:
    """JSON that keeps the order of keys, and 1 from 1.0."""
    return json.dumps(_as_numbers(value), ensure_ascii=False)


def _as_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    exact = not isinstance(value, int) or abs(value) < 2**53
    return value if exact else float(value)


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
    # One looks at the time that is left; how long the others take on a busy machine is not what is asked here.
    timeout_s = 3 if name == "context_probe" else 30
    settings = {"Runtime": RUNTIME, "Handler": function.handler, "Timeout": timeout_s}
    cloud.deploy(name, function.zip, **settings, **environment(function.variables))
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


def test_an_error_in_typescript_names_the_typescript(cloud: Cloud, tmp_path: Path) -> None:
    function = case("ts_orders", tmp_path)
    assert not list(function.directory.rglob("*.ts"))
    cloud.deploy("ts_trace", function.zip, Runtime=RUNTIME, Handler=function.handler)
    answer = cloud.invoke("ts_trace", function.events["bad quantity"])
    source = (CORPUS / "ts_orders/src/pricing.ts").read_text().splitlines()
    line = next(number for number, text in enumerate(source, 1) if "throw new RangeError" in text)
    assert answer.value["errorMessage"] == "quantity of a is 0"
    assert answer.value["trace"][0] == "RangeError: quantity of a is 0"
    assert answer.value["trace"][1].startswith(f"    at /var/task/src/pricing.ts:{line}:")
    assert any("(/var/task/src/index.ts:" in frame for frame in answer.value["trace"])
    assert not any("index.js" in frame for frame in answer.value["trace"])
    cloud.remove("ts_trace")


@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_a_new_function_answers_its_sample_event_and_http(language: str, cloud: Cloud, tmp_path: Path) -> None:
    name = f"greeter-{language}"
    written = starter.create(name, language, tmp_path / name)
    assert {"function.toml", "event.json", "README.md"} <= {path.name for path in written}
    assert not any("@" in path.read_text() for path in written)
    manifest = load(tmp_path / name)
    packed = build(tmp_path / name, manifest)
    assert packed.warnings == ""
    cloud.deploy(name, packed.zip, Runtime=manifest.settings.runtime, Handler=manifest.settings.handler)
    answer = cloud.invoke(name, {"name": "Ada"})
    assert answer.value == {"hello": "Ada", "greetings": 1}
    assert "greeting Ada for" in answer.log
    query = {"requestContext": {"http": {"method": "GET"}}, "queryStringParameters": {"name": "Eve"}}
    assert cloud.invoke(name, query).value == {"hello": "Eve", "greetings": 1}
    assert cloud.invoke(name, {"requestContext": {"http": {"method": "GET"}}}).value["hello"] == "world"
    cloud.remove(name)


def test_every_event_that_is_named_is_there() -> None:
    named = {(name, event) for name in NAMES for event in _described(name).get("engine_words", ())} | {*DIFFERENCES}
    assert not {(name, event) for name, event in named if event not in _described(name)["events"]}


def _described(name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((CORPUS / name / "events.json").read_text(encoding="utf-8"))
    return described
