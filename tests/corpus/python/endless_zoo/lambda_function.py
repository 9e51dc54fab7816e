"""Recursion without end, through everything that calls back: each is a RecursionError, or what native CPython says."""
import ast
import asyncio
import contextlib
import copy
import dataclasses
import functools
import json
import pickle
import re
import xml.etree.ElementTree as ET
from abc import ABC
from functools import reduce


class Everything:
    """Every special method leads back to itself."""

    def __init__(self, inner=None):
        self.inner = inner

    def __repr__(self):
        return f"<{self.inner!r}>"

    def __str__(self):
        return str([self]) + str(self)

    def __format__(self, spec):
        return f"{self}"

    def __eq__(self, other):
        return self.inner == other.inner

    def __lt__(self, other):
        return sorted([self, other])

    def __hash__(self):
        return hash((self,))

    def __getattr__(self, name):
        return getattr(self, name + "x")

    def __getitem__(self, index):
        return self[index]

    def __len__(self):
        return len(self)

    def __bool__(self):
        return not self

    def __iter__(self):
        return iter(list(self))

    def __contains__(self, item):
        return item in self

    def __call__(self, *args, **kwargs):
        return self(*args, **kwargs)

    def __add__(self, other):
        return self + other

    def __enter__(self):
        with self:
            pass

    def __exit__(self, *exc):
        pass

    @property
    def prop(self):
        return self.prop


class Made:
    def __new__(cls):
        return Made()


class Initialised:
    def __init__(self):
        Initialised()


class Missing(dict):
    def __missing__(self, key):
        return self[key + 1]


class Hooked(ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return issubclass(other, cls)


@dataclasses.dataclass
class Box:
    content: object


@functools.lru_cache(None)
def cached(n):
    return cached(n + 1)


@functools.singledispatch
def dispatched(value):
    return dispatched(value)


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


@logged
def wrapped(n):
    return wrapped(n + 1)


@contextlib.contextmanager
def managed():
    with managed():
        yield


async def awaited(n):
    return await awaited(n + 1)


def delegated(n):
    yield from delegated(n + 1)


def handled(n):
    try:
        raise ValueError(n)
    except ValueError:
        handled(n + 1)


def plain(n):
    return plain(n + 1)


def keywords(*args, **kwargs):
    return keywords(*args, **kwargs)


def nested(kind=lambda inner: [inner], depth=100_000):
    return reduce(lambda inner, _: kind(inner), range(depth), None)


CASES = {
    "function": lambda: plain(0),
    "keywords": lambda: keywords(1, 2, a=3),
    "lambda": lambda: (lambda f: f(f))(lambda f: f(f)),
    "cached": lambda: cached(0),
    "wrapped": lambda: wrapped(0),
    "dispatched": lambda: dispatched(1),
    "partial": lambda: (p := lambda n: functools.partial(p, n + 1)())(0),
    "reduce": lambda: (f := lambda n: reduce(lambda a, b: f(n + 1), [1, 2]))(0),
    "map": lambda: (f := lambda n: list(map(f, [n + 1])))(0),
    "sort key": lambda: (f := lambda n: sorted([1, 2], key=lambda _: f(n + 1)))(0),
    "sort": lambda: sorted([Everything(1), Everything(2)]),
    "comprehension": lambda: (f := lambda n: [f(n + 1) for _ in (1,)])(0),
    "generator": lambda: (f := lambda n: max(f(n + 1) for _ in (1,)))(0),
    "yield from": lambda: list(delegated(0)),
    "await": lambda: asyncio.run(awaited(0)),
    "context manager": lambda: managed().__enter__(),
    "handler": lambda: handled(0),
    "eval": lambda: (f := lambda n: eval("f(n + 1)", {"f": f, "n": n}))(0),
    "exec": lambda: (f := lambda n: exec("f(n + 1)", {"f": f, "n": n}))(0),
    "regex": lambda: (f := lambda n: re.sub("a", lambda m: f(n + 1), "a"))(0),
    "json hook": lambda: (f := lambda n: json.loads("[1]", parse_int=lambda _: f(n + 1)))(0),
    "json default": lambda: json.dumps({1}, default=lambda o: {"again": o}),
    "repr": lambda: repr(nested(Everything, 5_000)),
    "str": lambda: str(Everything()),
    "format": lambda: f"{Everything()}",
    "eq": lambda: nested(Everything, 5_000) == nested(Everything, 5_000),
    "lt": lambda: Everything(1) < Everything(2),
    "hash": lambda: hash(Everything()),
    "getattr": lambda: Everything().y,
    "getitem": lambda: Everything()[0],
    "len": lambda: len(Everything()),
    "bool": lambda: bool(Everything()),
    "iter": lambda: list(Everything()),
    "contains": lambda: 1 in Everything(),
    "call": lambda: Everything()(1, a=2),
    "add": lambda: Everything() + 1,
    "enter": lambda: Everything().__enter__(),
    "property": lambda: Everything().prop,
    "new": Made,
    "init": Initialised,
    "missing": lambda: Missing()[0],
    "subclass hook": lambda: issubclass(int, Hooked),
    "dataclass repr": lambda: repr(nested(Box, 3_000)),
    "dataclass eq": lambda: nested(Box, 3_000) == nested(Box, 3_000),
    "dataclass asdict": lambda: dataclasses.asdict(nested(Box, 3_000)),
    "list repr": lambda: repr(nested()),
    "list eq": lambda: nested() == nested(),
    "list freed": lambda: bool(nested()),
    "tuple repr": lambda: repr(nested(lambda inner: (inner,))),
    "isinstance": lambda: isinstance(1, nested(lambda inner: (inner or str,))),
    "json loads": lambda: json.loads("[" * 100_000),
    "json loads object": lambda: json.loads('{"a":' * 100_000),
    "json dumps": lambda: json.dumps(nested()),
    "json dumps indent": lambda: json.dumps(nested(), indent=1),
    "deepcopy": lambda: copy.deepcopy(nested()),
    "pickle": lambda: pickle.dumps(nested()),
    "regex groups": lambda: re.compile("(" * 20_000 + ")" * 20_000),
    "regex backtracking": lambda: bool(re.match("(?:a|b)*c", "ab" * 100_000)),
    "compile attributes": lambda: compile("a" + ".b" * 20_000, "", "eval"),
    "compile sum": lambda: compile("+".join(["1"] * 20_000), "", "eval"),
    "compile brackets": lambda: compile("[" * 150 + "]" * 150, "", "eval"),
    "literal": lambda: ast.literal_eval("[" * 5_000 + "]" * 5_000),
    "xml": lambda: ET.tostring(ET.fromstring("<a>" * 5_000 + "</a>" * 5_000)),
}


def lambda_handler(event, context):
    try:
        result = CASES[event["case"]]()
    except Exception as error:
        return {"raised": type(error).__name__, "then": [plain_sum(200), repr([1])]}
    return {"gave": type(result).__name__}


def plain_sum(n):
    return n and n + plain_sum(n - 1)
