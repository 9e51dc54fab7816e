"""Wrong types are refused in AWS's words; text in its three forms of time."""

from __future__ import annotations

from typing import Any

import pytest

from isolet.aws import models, parse
from isolet.errors import SerializationFailed


def read(value: Any, operation: str = "CreateFunction") -> Any:
    return parse.Readers(parse.JSON).of(models.load("lambda").operation(operation).input_shape)(value)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"Timeout": "x"}, "STRING_VALUE can not be converted to an Integer"),
        ({"Timeout": 1.5}, "NUMBER_VALUE can not be converted to an Integer"),
        ({"Timeout": 2**31}, "NUMBER_VALUE can not be converted to an Integer"),
        ({"Timeout": True}, "TRUE_VALUE can not be converted to an Integer"),
        ({"Description": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"Description": False}, "FALSE_VALUE can not be converted to a String"),
        ({"Description": []}, "Start of list found where not expected"),
        ({"Description": {}}, "Start of structure or map found where not expected."),
        ({"Publish": "true"}, "STRING_VALUE can not be converted to a Boolean"),
        ({"Layers": "x"}, "Expected list or null"),
        ({"Tags": ["x"]}, "Expected map or null"),
        ({"Code": "x"}, "Unexpected value type in payload"),
        ({"Code": {"ZipFile": "hunter2!"}}, "STRING_VALUE can not be converted to a Blob: it is not base64"),
        ("x", "Unexpected value type in payload"),
    ],
)
def test_value_of_another_type_is_refused_in_awss_words(members: Any, words: str) -> None:
    with pytest.raises(SerializationFailed) as refused:
        read(members)
    assert str(refused.value) == words


def test_null_and_unknown_members_are_absent_and_whole_floats_are_whole() -> None:
    assert read({"Timeout": 3.0, "Description": None, "Newer": 1, "Layers": [None]}) == {"Timeout": 3, "Layers": [None]}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000.5),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000),
        ("1700000000", 1_700_000_000),
        ("1700000000.25", 1_700_000_000.25),
    ],
)
def test_time_is_read_in_each_of_its_forms(text: str, seconds: float) -> None:
    assert parse.TEXT["timestamp"](text) == seconds


@pytest.mark.parametrize("text", ["", "x", "2023-13-14T22:13:20Z", "2023-11-14", "9" * 20, "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SerializationFailed):
        parse.TEXT["timestamp"](text)
