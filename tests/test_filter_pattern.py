from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.errors import InvalidParameter, UnsupportedOperation
from isolet.filter_pattern import NESTING_MAX, compile_pattern

LINES = ["red apple", "green apple", "red pear", 'say "hi" red']


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("", LINES),
        (" ", LINES),
        ("apple", ["red apple", "green apple"]),
        ("red apple", ["red apple"]),
        ("apple red", ["red apple"]),
        ('"red pear"', ["red pear"]),
        ('"d p"', ["red pear"]),
        ("-red apple", ["green apple"]),
        ('apple -"red a"', ["green apple"]),
        ("-apple", ["red pear", 'say "hi" red']),
        ("?green ?pear", ["green apple", "red pear"]),
        ('?"green a" ?pear', ["green apple", "red pear"]),
        ("?green red", ["red apple", "red pear", 'say "hi" red']),
        (r'"\"hi\""', ['say "hi" red']),
        ("RED", []),
    ],
)
def test_terms_keep_the_lines_that_have_them(pattern: str, kept: list[str]) -> None:
    assert list(filter(compile_pattern(pattern), LINES)) == kept


EVENT = {
    "level": "ERROR",
    "status": 404,
    "took": 1.5,
    "ok": False,
    "yes": True,
    "none": None,
    "code": "404",
    "ip": "123.123.7.9",
    "user": {"name": "ann lee", "tags": ["a", "b"], "many": [{"n": 1}, {"n": 9}]},
    "two words": "x",
}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.level = "ERROR" }', True),
        ("{$.level=ERROR}", True),
        ('{ $.level = "error" }', False),
        ('{ $.level != "INFO" }', True),
        ('{ $.absent != "INFO" }', False),
        ("{ $.absent NOT EXISTS }", True),
        ("{ $.level NOT EXISTS }", False),
        ("{ $.level EXISTS }", True),
        ("{ $.none IS NULL }", True),
        ("{ $.level IS NULL }", False),
        ("{ $.absent IS NULL }", False),
        ("{ $.yes IS TRUE }", True),
        ("{ $.ok IS FALSE }", True),
        ("{ $.status IS TRUE }", False),
        ("{ $.ok = false }", True),
        ("{ $.status = 404 }", True),
        ("{ $.status = 4.04e2 }", True),
        ("{ $.status != 404 }", False),
        ("{ $.code = 404 }", True),
        ("{ $.status > 400 }", True),
        ("{ $.status >= 404 && $.took < 2 }", True),
        ("{ $.took <= -1 }", False),
        ("{ $.level > 3 }", False),
        ("{ $.ip = 123.123.* }", True),
        ('{ $.ip = "*.9" }', True),
        ('{ $.ip = "1*1*.*9" }', True),
        ('{ $.ip = "123.123.7.9*9" }', False),
        ("{ $.ip != 123.* }", False),
        ('{ $.user.name = "ann lee" }', True),
        ('{ $.user.tags[1] = "b" }', True),
        ('{ $.user.tags[2] = "b" }', False),
        ('{ $.user.tags[*] = "b" }', True),
        ("{ $.user.many[*].n > 8 }", True),
        ("{ $.user.many[*].n > 9 }", False),
        ('{ $.user.* = "ann lee" }', True),
        ("{ $['two words'] = x }", True),
        ('{ $["two words"] = "x" }', True),
        ("{ $.level = INFO || $.status = 404 && $.took = 1.5 }", True),
        ("{ ($.level = INFO || $.status = 404) && $.took = 2 }", False),
        ("{ (($.level = ERROR)) }", True),
        ("{ $.user = ann }", False),
        ("{ $.user != ann }", True),
    ],
)
def test_conditions_are_about_what_selectors_find(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(json.dumps(EVENT)) is matches


@pytest.mark.parametrize("line", ["", "plain", "[1]", "{", '{"level": "ERROR"', "{" * 5_000, '"level"', "3"])
def test_line_that_is_no_object_matches_no_condition(line: str) -> None:
    assert not compile_pattern("{ $.level NOT EXISTS }")(line)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{ $.level = ERROR", "If a filter pattern starts with '{' it must end with '}'"),
        ("{ }", "Invalid filter pattern: it ends where a selector such as $.level is expected"),
        ("{ $.level }", "Invalid filter pattern: it ends where an operator is expected"),
        ("{ $.level = }", "Invalid filter pattern: it ends where a value is expected"),
        ("{ $.level = ERROR $.x = 1 }", "Invalid filter pattern: '$.x' is not expected there"),
        ("{ level = ERROR }", "Invalid filter pattern: 'level' stands where a selector such as $.level is expected"),
        ("{ ($.level = ERROR }", "Invalid filter pattern: a parenthesis is not closed"),
        ("{ $.level && 1 }", "Invalid filter pattern: '&&' is no operator of a comparison"),
        ("{ $.a > b }", "Invalid filter pattern: > compares numbers, and 'b' is none"),
        ("{ $.a IS THERE }", "Invalid filter pattern: IS THERE is none of IS NULL, IS TRUE, IS FALSE"),
        ("{ $.a NOT THERE }", "Invalid filter pattern: NOT is followed by EXISTS"),
        ("{ $.a = {} }", "Invalid filter pattern: Invalid character(s) in term '{}'"),
        ('a"b', "Invalid filter pattern: Invalid character(s) in term 'a\"b'"),
        ('"open', "Invalid filter pattern: Invalid character(s) in term '\"open'"),
        ("foo:bar", "Invalid filter pattern: Invalid character(s) in term 'foo:bar'"),
        ("x" * 1_025, "Invalid filter pattern: it has 1,025 characters, 1,024 are the most"),
        ("{" + "(" * 40 + "$.a = 1" + ")" * 40 + "}", f"parentheses are more than {NESTING_MAX} deep"),
    ],
)
def test_what_is_no_pattern_is_refused_in_words(pattern: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        compile_pattern(pattern)
    assert words in str(refused.value)


@pytest.mark.parametrize("pattern", ["[ip, user]", "%ERR.*%", "{ $.a = %x% }"])
def test_kinds_that_are_not_served_are_named(pattern: str) -> None:
    with pytest.raises(UnsupportedOperation, match="filter patterns"):
        compile_pattern(pattern)


@given(st.text(max_size=80), st.text(max_size=200))
def test_any_text_is_a_pattern_or_refused(pattern: str, line: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except (InvalidParameter, UnsupportedOperation):
        return
    assert matches(line) in (True, False)


@given(
    st.lists(st.sampled_from(["$.a", "$[*]", "$.*.b", "=", "!=", ">", "&&", "||", "(", ")", "1", '"x*"', "IS", "NULL"]))
)
def test_any_tokens_are_a_condition_or_refused(tokens: list[str]) -> None:
    try:
        matches = compile_pattern("{ " + " ".join(tokens) + " }")
    except InvalidParameter:
        return
    assert matches('{"a": [{"b": 1}], "b": "x1"}') in (True, False)


@given(st.lists(st.sampled_from(["a", "b", "*"]), max_size=12), st.text("ab", max_size=12))
def test_star_stands_for_any_characters(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    matches = compile_pattern('{ $.v = "' + pattern + '" }')(json.dumps({"v": text}))
    assert matches is _like(pattern, text)


def _like(pattern: str, text: str) -> bool:
    """The definition, tried out."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_like(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and _like(pattern[1:], text[1:])


def test_hostile_patterns_and_lines_cost_little() -> None:
    """Stars, stars upon stars of arrays, and deep values: none of them is tried in every combination."""
    stars = compile_pattern('{ $.v = "' + "*a" * 500 + '*b" }')
    assert not stars(json.dumps({"v": "a" * 8_000}))
    every = compile_pattern("{ $" + "[*]" * 60 + " = 1 }")
    nested: Any = 1
    for _ in range(12):
        nested = [nested, nested]
    assert not every(json.dumps({"v": nested}))
