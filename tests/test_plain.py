from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.frames import pack, unpack
from isolet.model import Function, Route, Settings, SnapshotInfo, State, Target
from isolet.plain import (
    function_from_plain,
    function_to_plain,
    settings_from_plain,
    settings_to_plain,
    snapshot_from_plain,
    snapshot_to_plain,
    target_from_plain,
    target_to_plain,
)

text = st.text(max_size=20)
number = st.integers(0, 2**53)
seconds = st.floats(0, 900)
environment = st.dictionaries(text, text, max_size=3)
routes = st.lists(st.builds(Route, text, text), max_size=3).map(tuple)
# What fields of a type may hold, where they may not hold everything of it.
BY_TYPE = {"int": number, "str": text, "float": seconds, "Mapping[str, str]": environment, "tuple[Route, ...]": routes}


def records(cls: Any, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = {field.name: BY_TYPE[field.type] for field in fields(cls) if field.type in BY_TYPE}
    return st.builds(cls, **(named | strategies))


settings = records(Settings)
snapshots = records(SnapshotInfo, warnings=st.lists(text, max_size=3).map(tuple))
functions = records(Function, settings=settings, snapshot=st.none() | snapshots)
targets = records(Target, snapshot=snapshots)


def rounds(plain: Any) -> list[Any]:
    return [plain, json.loads(json.dumps(plain)), unpack(pack(plain))]


@given(settings)
def test_settings_come_back(record: Settings) -> None:
    assert [settings_from_plain(plain) for plain in rounds(settings_to_plain(record))] == [record] * 3


@given(snapshots)
def test_snapshots_come_back(record: SnapshotInfo) -> None:
    assert [snapshot_from_plain(plain) for plain in rounds(snapshot_to_plain(record))] == [record] * 3


@given(functions)
def test_functions_come_back(record: Function) -> None:
    assert [function_from_plain(plain) for plain in rounds(function_to_plain(record))] == [record] * 3


@given(targets)
def test_targets_come_back(record: Target) -> None:
    assert [target_from_plain(plain) for plain in rounds(target_to_plain(record))] == [record] * 3


SNAPSHOT = SnapshotInfo("ab" * 32, True, (), 4_096, 65_536, 1 << 20, 70_000, 123_456, 0.25, 10_000)
FUNCTION = Function("t", "n", Settings(), "d", "c", 1, 1, State.ACTIVE, "", SNAPSHOT, "r", 1.5)
TARGET = Target("t", "n", "$LATEST", SNAPSHOT, "d", 3.0, 1, 1, {}, False, ())


@pytest.mark.parametrize(
    ("record", "to_plain", "from_plain"),
    [
        (Settings(), settings_to_plain, settings_from_plain),
        (SNAPSHOT, snapshot_to_plain, snapshot_from_plain),
        (FUNCTION, function_to_plain, function_from_plain),
        (TARGET, target_to_plain, target_from_plain),
    ],
)
def test_what_a_newer_version_added_is_ignored(
    record: Any, to_plain: Callable[[Any], dict[str, Any]], from_plain: Callable[[Any], Any]
) -> None:
    assert from_plain(to_plain(record) | {"from_the_future": 1}) == record


def test_what_an_older_version_did_not_have_is_the_default() -> None:
    plain = function_to_plain(FUNCTION)
    for name in ("update_status", "update_reason", "role", "tags", "version"):
        del plain[name]
    del plain["settings"]["fuel"], plain["settings"]["routes"]
    assert function_from_plain(plain) == FUNCTION
