from __future__ import annotations

import json
from typing import Any

import pytest

from isolet import limits
from isolet.errors import IsoletError, OutOfFuel, Raised, TimedOut
from isolet.json_log import application_level, application_line, kept, lines, variables
from isolet.model import Invocation, Logging, Outcome, Settings, SnapshotInfo, Target, Usage
from isolet.report import lines as tail_lines

ID = "8f507cfc-8f50-4f50-8f50-8f507cfc8f50"
MS = 1_700_000_000_123
USAGE = Usage(111_420_000, 5, 1_420_000, 9, 22 * limits.MIB - 5, 1, 0)
ENTRIES = [(2, MS, b"hello"), (4, MS + 1, b'{"level":"DEBUG","n":1}'), (1, MS + 2, b"quiet"), (3, MS + 3, b'{"n":2}')]


def rendered(
    system: str = "", error: IsoletError | None = None, dropped: int = 0, entries: Any = ENTRIES
) -> list[dict[str, Any]]:
    logging = Logging("JSON", "INFO", system)
    times = (MS - 100, MS + 11)
    told = lines(logging, ID, "7", 128, times, USAGE, kept(entries, application_level(logging)), dropped, error, 1)
    assert all("\n" not in text for _, text in told)
    return [json.loads(text) for _, text in told]


def test_platforms_events_stand_around_the_functions_lines() -> None:
    start, hello, own, report = rendered()
    assert start == {
        "time": "2023-11-14T22:13:20.023Z",
        "type": "platform.start",
        "record": {"requestId": ID, "version": "7"},
    }
    assert hello == {"timestamp": "2023-11-14T22:13:20.123Z", "level": "INFO", "message": "hello", "requestId": ID}
    assert own == {"n": 2}, "an object stays"
    assert report == {
        "time": "2023-11-14T22:13:20.134Z",
        "type": "platform.report",
        "record": {
            "requestId": ID,
            "metrics": {
                "durationMs": 110.0,
                "billedDurationMs": 112,
                "memorySizeMB": 128,
                "maxMemoryUsedMB": 22,
                "restoreDurationMs": 1.42,
            },
            "status": "success",
        },
    }


@pytest.mark.parametrize(
    ("system", "error", "types"),
    [
        ("DEBUG", None, ["start", "runtimeDone", "report"]),
        ("INFO", None, ["start", "report"]),
        ("WARN", None, []),
        ("WARN", OutOfFuel("spent"), ["runtimeDone", "report"]),
        ("INFO", OutOfFuel("spent"), ["start", "runtimeDone", "report"]),
    ],
)
def test_system_level_filters_the_platforms_events(system: str, error: IsoletError | None, types: list[str]) -> None:
    told = rendered(system, error, entries=[])
    assert [line["type"].removeprefix("platform.") for line in told if "type" in line] == types


@pytest.mark.parametrize(
    ("level", "found"),
    [
        ("TRACE", ["hello", "DEBUG", "quiet", "n"]),
        ("DEBUG", ["hello", "DEBUG", "quiet", "n"]),
        ("INFO", ["hello", "n"]),
        ("WARN", []),
        ("FATAL", []),
    ],
)
def test_application_level_filters_lines_by_what_they_say_of_themselves(level: str, found: list[str]) -> None:
    texts = [text for _, _, text in kept(ENTRIES, application_level(Logging("JSON", level)))]
    of = {b"hello": "hello", b"quiet": "quiet", b'{"n":2}': "n", ENTRIES[1][2]: "DEBUG"}
    assert [of[text] for text in texts] == found


@pytest.mark.parametrize("level", ["error", "Critical", "FATAL", "WARNING", "warn"])
def test_levels_are_known_by_the_names_that_loggers_give_them(level: str) -> None:
    line = json.dumps({"level": level}).encode()
    assert kept([(0, 0, line)], application_level(Logging("JSON", "WARN")))


def test_text_is_not_filtered() -> None:
    assert application_level(Logging()) == 0


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (TimedOut("RequestId: x Error: Task timed out after 1.00 seconds"), "timeout", None),
        (Raised("KeyError", "no\nkey", ("File a", "File b")), "error", "KeyError"),
        (OutOfFuel("spent"), "error", "Runtime.OutOfFuel"),
    ],
)
def test_failure_has_the_documented_fields(error: IsoletError, status: str, kind: str | None) -> None:
    _, said, done, report = rendered(error=error, entries=[])
    assert said["level"] == "ERROR"
    assert (said["errorMessage"], said["requestId"]) == (error.message, ID)
    assert said.get("stackTrace") == (["File a", "File b"] if isinstance(error, Raised) else None)
    assert done["record"]["status"] == report["record"]["status"] == status
    assert done["record"].get("errorType") == report["record"].get("errorType") == kind


def test_dropped_lines_are_said() -> None:
    told = rendered(dropped=3, entries=[])
    (dropped,) = [line for line in told if line["type"] == "platform.logsDropped"]
    assert dropped["record"]["droppedRecords"] == 3


@pytest.mark.parametrize("text", [b"[1]", b"{", b"{}x", b"{" * 5_000 + b"}", b"\xff", b'"s"'])
def test_what_is_no_object_becomes_a_message(text: bytes) -> None:
    line = json.loads(application_line((4, MS, text), ID))
    assert (line["message"], line["level"]) == (text.decode("utf-8", "replace"), "ERROR")


def test_tail_of_an_invocation_is_the_same_lines() -> None:
    snapshot = SnapshotInfo("ab" * 32, True, (), 0, 0, 0, 0, 0, 0.0, 0)
    logging = Logging("JSON", "INFO", "INFO")
    target = Target("0" * 12, "f", "7", snapshot, "", 3.0, 128 * limits.MIB, 1, {}, False, (), logging=logging)
    outcome = Outcome(None, None, USAGE, tuple(ENTRIES))
    told = [json.loads(line) for line in tail_lines(Invocation(target, ID, b"", 0), outcome, 1, MS + 11)]
    assert [line.get("type", line.get("message")) for line in told] == [
        *("platform.start", "hello", None, "platform.report"),
    ]
    assert told[-1] == rendered()[-1]


def test_functions_are_told_the_format_as_lambda_tells_them() -> None:
    own = {"A": "1", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
    assert variables(Settings(environment=own)) == own
    told = {"A": "1", "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    assert variables(Settings(environment=own, logging=Logging("JSON"))) == told
    warn = variables(Settings(logging=Logging("JSON", "WARN")))
    assert warn == {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}
