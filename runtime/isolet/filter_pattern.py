"""CloudWatch Logs' filter patterns: a pattern's text in, a predicate over lines out. Pure.

    pattern    = terms | json                       an empty one keeps every line
    terms      = { [ "?" | "-" ] ( word | quoted ) }
    json       = "{" any "}"
    any        = all { "||" all }
    all        = one { "&&" one }
    one        = "(" any ")" | selector ( op value | "IS" ( "NULL" | "TRUE" | "FALSE" ) | "NOT EXISTS" | "EXISTS" )
    selector   = "$" { "." ( name | "*" ) | "[" ( number | "*" | quoted ) "]" }
    op         = "=" | "!=" | "<" | "<=" | ">" | ">="
    value      = quoted | bare                      both may hold "*" for any characters

Laws:
- Terms are looked for as they are written, case included. All plain ones must be there and none of those with `-`; of
  those with `?` one must be, but they count for nothing beside terms of another kind (CloudWatch's documentation).
- A pattern of JSON matches lines that are JSON objects only. What its selector does not find matches nothing but
  `NOT EXISTS`; of many things found (`[*]`, `.*`) one suffices.
- A number is compared as a number with a number, and as its text with a string.
- The work is linear in the line for each condition: a star is a search for what follows it, there is no backtracking,
  and a pattern is at most 1,024 characters long and NESTING_MAX deep.

Fields in brackets (`[ip, user]`) and regular expressions (`%…%`) are refused by name.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from .errors import InvalidParameter, UnsupportedOperation

Matches = Callable[[str], bool]
_Condition = Callable[[Any], bool]
# Steps of a selector: a key, an index, or None for all of an object or an array.
_Selector = tuple[str | int | None, ...]

PATTERN_CHARS_MAX = 1_024  # Precedent: FilterLogEvents' filterPattern.
NESTING_MAX = 32
# What one condition looks at of one line: a line of 8 KiB holds less than this many values.
FOUND_MAX = 10_000


def compile_pattern(text: str) -> Matches:
    """The predicate. Raises InvalidParameter in CloudWatch's words, UnsupportedOperation for the kinds not served."""
    text = text.strip()
    if len(text) > PATTERN_CHARS_MAX:
        raise _invalid(f"it has {len(text):,} characters, {PATTERN_CHARS_MAX:,} are the most")
    if text.startswith("{"):
        return _compile_json(text)
    if text.startswith(("[", "%")):
        kind = "of fields in brackets" if text[0] == "[" else "with regular expressions"
        raise UnsupportedOperation(f"filter patterns {kind} are not served; use terms, or {{ $.key = value }} for JSON")
    return _compile_terms(text)


def _invalid(why: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid filter pattern: {why}")


# ── terms ───────────────────────────────────────────────────────────────────────────────────────────────────────

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)|(\S+)')
_ESCAPED = re.compile(r"\\(.)")


def _compile_terms(text: str) -> Matches:
    needed: list[str] = []
    any_of: list[str] = []
    none_of: list[str] = []
    for sign, quoted, word, stray in _TERM.findall(text):
        if stray or not (quoted or word or sign == ""):
            raise _invalid(f"Invalid character(s) in term '{stray or sign}'")
        if word and not word.replace("_", "a").isalnum():
            raise _invalid(f"Invalid character(s) in term '{word}'")
        term = word or _ESCAPED.sub(r"\1", quoted)
        (any_of if sign == "?" else none_of if sign == "-" else needed).append(term)
    if needed or none_of:
        return lambda line: all(term in line for term in needed) and not any(term in line for term in none_of)
    if any_of:
        return lambda line: any(term in line for term in any_of)
    return lambda line: True


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<selector> \$ (?: \. [A-Za-z0-9_-]+ | \.\* | \[ \s* (?: \d{1,9} | \* | "[^"]*" | '[^']*' ) \s* \] )* )
      | (?P<op> != | <= | >= | = | < | > | && | \|\| | \( | \) )
      | (?P<quoted> "(?:[^"\\]|\\.)*" )
      | (?P<bare> [^\s"()&|=<>!{}]+ )
    )\s*""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.([A-Za-z0-9_-]+)|(\.\*|\[\s*\*\s*\])|\[\s*(\d+)\s*\]|\[\s*(?:"([^"]*)"|'([^']*)')\s*\]""")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_Token = tuple[str, str]  # (kind, text)


def _compile_json(text: str) -> Matches:
    if not text.endswith("}"):
        raise InvalidParameter("If a filter pattern starts with '{' it must end with '}'")
    tokens = list(_tokens(text[1:-1]))
    condition = _Parser(tokens).whole()

    def matches(line: str) -> bool:
        if not line.lstrip().startswith("{"):
            return False
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and condition(value)

    return matches


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _invalid(f"Invalid character(s) in term '{text[at : at + 32].strip()}'")
        kind = match.lastgroup
        assert kind is not None, "one of the groups matched"
        yield kind, match[kind]
        at = match.end()


class _Parser:
    """Recursive descent over the tokens of one pattern."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> _Condition:
        condition = self._any()
        if self._at < len(self._tokens):
            raise _invalid(f"'{self._tokens[self._at][1]}' is not expected there")
        return condition

    def _any(self) -> _Condition:
        conditions = [self._all()]
        while self._accept("op", "||"):
            conditions.append(self._all())
        return conditions[0] if len(conditions) == 1 else lambda value: any(each(value) for each in conditions)

    def _all(self) -> _Condition:
        conditions = [self._one()]
        while self._accept("op", "&&"):
            conditions.append(self._one())
        return conditions[0] if len(conditions) == 1 else lambda value: all(each(value) for each in conditions)

    def _one(self) -> _Condition:
        if self._accept("op", "("):
            self._depth += 1
            if self._depth > NESTING_MAX:
                raise _invalid(f"parentheses are more than {NESTING_MAX} deep")
            condition = self._any()
            if not self._accept("op", ")"):
                raise _invalid("a parenthesis is not closed")
            self._depth -= 1
            return condition
        return self._comparison(_selector(self._take("selector", "a selector such as $.level")))

    def _comparison(self, selector: _Selector) -> _Condition:
        if self._accept("bare", "IS"):
            word = self._take("bare", "NULL, TRUE or FALSE")
            if word not in _NAMED:
                raise _invalid(f"IS {word} is none of IS NULL, IS TRUE, IS FALSE")
            wanted = _NAMED[word]
            return lambda value: any(found is wanted for found in _found(value, selector))
        if self._accept("bare", "NOT"):
            if not self._accept("bare", "EXISTS"):
                raise _invalid("NOT is followed by EXISTS")
            return lambda value: not any(True for _ in _found(value, selector))
        if self._accept("bare", "EXISTS"):
            return lambda value: any(True for _ in _found(value, selector))
        op = self._take("op", "an operator")
        if op not in _COMPARE:
            raise _invalid(f"'{op}' is no operator of a comparison")
        compares = _comparing(op, *self._value())
        return lambda value: any(compares(found) for found in _found(value, selector))

    def _value(self) -> _Token:
        kind, text = self._next("a value")
        if kind not in ("quoted", "bare"):
            raise _invalid(f"'{text}' stands where a value is expected")
        if kind == "bare" and text.startswith("%"):
            raise UnsupportedOperation("filter patterns with regular expressions are not served; use * in a value")
        return kind, text

    def _next(self, what: str) -> _Token:
        if self._at == len(self._tokens):
            raise _invalid(f"it ends where {what} is expected")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str, what: str) -> str:
        found, text = self._next(what)
        if found != kind:
            raise _invalid(f"'{text}' stands where {what} is expected")
        return text

    def _accept(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, text):
            self._at += 1
            return True
        return False


_NAMED = {"NULL": None, "TRUE": True, "FALSE": False}


def _selector(text: str) -> _Selector:
    steps: list[str | int | None] = []
    for key, every, index, double, single in _STEP.findall(text):
        steps.append(None if every else int(index) if index else key or double or single)
    return tuple(steps)


def _found(value: Any, selector: _Selector) -> Iterator[Any]:
    """What a selector finds in a value, FOUND_MAX at the most."""
    found = [value]
    for step in selector:
        found = [inner for outer in found for inner in _step(outer, step)][:FOUND_MAX]
    return iter(found)


def _step(value: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and step < len(value) else []
    return [value[step]] if isinstance(value, dict) and step in value else []


def _comparing(op: str, kind: str, text: str) -> _Condition:
    """The comparison of something found with the value that the pattern gives."""
    compare = _COMPARE[op]
    number = float(text) if kind == "bare" and _NUMBER.fullmatch(text) else None
    if op not in ("=", "!="):
        if number is None:
            raise _invalid(f"{op} compares numbers, and '{text}' is none")
        return lambda found: _is_number(found) and compare(found, number)
    like = _like(_ESCAPED.sub(r"\1", text[1:-1]) if kind == "quoted" else text)
    equal = op == "="

    def same(found: Any) -> bool:
        if number is not None and _is_number(found):
            return (found == number) is equal
        if isinstance(found, bool) or found is None:
            return like(json.dumps(found)) is equal
        if isinstance(found, str):
            return like(found) is equal
        # An object, an array, or a number beside a word: never the same.
        return not equal

    return same


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _like(pattern: str) -> Matches:
    """Equality in which a star stands for any characters."""
    first, *others = pattern.split("*")
    if not others:
        return lambda text: text == pattern
    *middle, last = others

    def matches(text: str) -> bool:
        if not (text.startswith(first) and text.endswith(last)) or len(text) < len(first) + len(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches
