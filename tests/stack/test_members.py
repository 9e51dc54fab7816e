"""Members of a template's maps: what types are taken, and errors that name their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isolet.errors import TemplateInvalid
from isolet.stack.members import Members

GIVEN = Members(
    {
        "Text": "a",
        "Whole": 5,
        "Written": "7",
        "Yes": "true",
        "No": False,
        "List": ["a", 1, True],
        "Map": {"A": 1, "B": True, "C": None},
        "Deep": {"X": {"Y": []}},
    },
    "R.Properties",
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (lambda m: m.text("Text"), "a"),
        (lambda m: m.text("Whole"), "5"),
        (lambda m: m.text("No"), "false"),
        (lambda m: m.text("Missing", "b"), "b"),
        (lambda m: m.whole("Whole"), 5),
        (lambda m: m.whole("Written"), 7),
        (lambda m: m.whole("Missing"), None),
        (lambda m: m.truth("Yes"), True),
        (lambda m: m.truth("No"), False),
        (lambda m: m.texts("List"), ["a", "1", "true"]),
        (lambda m: m.texts("Missing"), []),
        (lambda m: m.strings("Map"), {"A": "1", "B": "true", "C": ""}),
    ],
)
def test_scalars_are_taken_as_cloudformation_takes_them(asked: Callable[[Members], Any], expected: Any) -> None:
    assert asked(GIVEN) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda m: m.text("Map"), "R.Properties.Map: this is a text"),
        (lambda m: m.required("Missing"), "R.Properties: Missing is missing"),
        (lambda m: m.whole("Text"), "R.Properties.Text: 'a' is not a whole number"),
        (lambda m: m.whole("No"), "R.Properties.No: False is not a whole number"),
        (lambda m: m.truth("Text"), "R.Properties.Text: 'a' is neither true nor false"),
        (lambda m: m.inner("List"), "R.Properties.List: this is a map"),
        (lambda m: m.texts("Text"), "R.Properties.Text: this is a list of texts"),
        (lambda m: m.inner("Deep").inner("X").text("Y"), "R.Properties.Deep.X.Y: this is a text"),
    ],
)
def test_another_type_is_refused_with_its_place(asked: Callable[[Members], Any], message: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        asked(GIVEN)
    assert caught.value.message == message


def test_what_nobody_asked_for_is_unread() -> None:
    members = Members({"A": 1, "B": 2, "C": 3}, "R")
    members.text("A")
    members.ignore("C")
    assert members.unread() == ["B"]
