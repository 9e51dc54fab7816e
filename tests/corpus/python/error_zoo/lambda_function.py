"""Ways to fail, as people meet them."""
import builtins
import json
from collections import namedtuple


class AppError(Exception):
    """Carries what it needs in attributes and says it in __str__."""

    def __init__(self, code, *, hint=None):
        self.code, self.hint = code, hint

    def __str__(self):
        return f"[{self.code}] {self.hint or 'no hint'}"


class Silent(Exception):
    pass


class Nested:
    class Inner(LookupError):
        pass


class Resource:
    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        raise RuntimeError("closing failed") from value


def cause():
    try:
        return {}["missing"]
    except KeyError as e:
        raise AppError("E42", hint="look at the key") from e


def context():
    try:
        int("forty-two")
    except ValueError:
        return [][0]


def generator():
    yield 1
    raise StopIteration("inside a generator")


def recursive(n):
    if n == 0:
        raise Nested.Inner(n)
    return recursive(n - 1)


def multi_line():
    return json.loads(
        "[1, 2,"
        " 3"
    )


def with_note():
    error = ValueError("noted")
    error.add_note("this is a note")
    raise error


def group():
    raise ExceptionGroup("several", [ValueError(1), TypeError("two")])


CASES = {
    "key": lambda: {"a": 1}["b"],
    "int_key": lambda: {}[3],
    "tuple_key": lambda: {}[(1, "a")],
    "index": lambda: [1, 2][5],
    "attribute": lambda: None.strip(),
    "attribute_near": lambda: namedtuple("P", "alpha beta")(1, 2).alhpa,
    "type": lambda: "1" + 1,
    "call": lambda: recursive(),
    "unpack": lambda: [a for a, b in [(1, 2, 3)]],
    "zero": lambda: 1 / 0,
    "value": lambda: int("12a"),
    "unicode": lambda: "ä".encode("ascii"),
    "decode": lambda: b"\xff\xfe".decode("utf-8"),
    "overflow": lambda: 10.0 ** 400,
    "name": lambda: undefined_name,
    "assertion": lambda: exec("assert 1 == 2, 'no'"),
    "silent": lambda: (_ for _ in ()).throw(Silent),
    "args": lambda: (_ for _ in ()).throw(Exception("one", 2, None)),
    "cause": cause,
    "context": context,
    "generator": lambda: list(generator()),
    "recursive": lambda: recursive(5),
    "file": lambda: open("/var/task/nothing.txt"),
    "json": multi_line,
    "note": with_note,
    "group": group,
    "import": lambda: __import__("not_installed"),
    "from_import": lambda: exec("from json import nothing"),
    "syntax": lambda: compile("1 +", "<rule>", "eval"),
    "eval": lambda: eval("1 + x", {}),
    "big_int": lambda: int("9" * 5000),
    "recursion": lambda: (lambda f: f(f))(lambda f: f(f)),
    "memory": lambda: bytearray(10 ** 12),
    "not_implemented": lambda: builtins.iter(NotImplemented),
    "base": lambda: (_ for _ in ()).throw(AppError(7)),
    "os": lambda: (_ for _ in ()).throw(OSError(28, "No space left on device", "/tmp/x")),
    "stop": lambda: next(iter([])),
}


def lambda_handler(event, context):
    if event["case"] == "with":
        with Resource():
            raise ValueError("first")
    return CASES[event["case"]]()
