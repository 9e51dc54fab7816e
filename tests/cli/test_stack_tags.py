"""The tags of a stack's functions."""

from __future__ import annotations

import pytest

from isolet.cli.stack_tags import made_tags, marks_of, normal
from isolet.errors import InvalidParameter


@pytest.mark.parametrize(
    "marks",
    [set(), {"url//"}, {"alias//live", "url/live/"}, {f"alias//{'x' * 100}{number}" for number in range(9)}],
)
def test_marks_are_remembered_whole(marks: set[str]) -> None:
    tags = made_tags(marks)
    assert all(len(value) <= 256 for value in tags.values())
    assert marks_of({**tags, "team": "url//"}) == marks


def test_what_is_no_mark_is_not_one() -> None:
    assert marks_of({"isolet-stack-made": "url// nonsense other// /alias/"}) == {"url//"}


def test_tags_of_ours_are_as_a_server_answers_them() -> None:
    tags = {"team": "a", "isolet:http": "false", "isolet:kv": '["a", "b"]', "isolet:language": "wasm"}
    assert normal(tags) == {"team": "a", "isolet:kv": '["a","b"]'}


def test_tag_that_only_looks_like_ours_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="isolet:what"):
        normal({"isolet:what": "x"})
