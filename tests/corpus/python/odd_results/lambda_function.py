"""Results that JSON may or may not have a word for."""
import collections
import dataclasses
import datetime
import decimal
import enum
import math
import types
import uuid

Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Kind(str, enum.Enum):
    A = "a"


@dataclasses.dataclass
class Thing:
    size: int = 1


class Text(str):
    pass


def circular():
    a = []
    a.append(a)
    return a


def deep(n):
    value = []
    for _ in range(n):
        value = [value]
    return value


CASES = {
    "none": lambda: None,
    "nothing": lambda: {},
    "text": lambda: "äöü €  \" \\ \n\t\u2028 😀",
    "lone_surrogate": lambda: "\ud800",
    "numbers": lambda: [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, -0.0, 1e300, 1e-300, 1 / 3, True, False],
    "big_int": lambda: 2**64,
    "huge_int": lambda: -(10**30),
    "floats": lambda: [1.0, 1e16, 123456789.125, 5e-324],
    "tuple": lambda: (1, (2, 3), []),
    "keys": lambda: {1: "int", 2.5: "float", True: "bool", None: "none", "s": "str"},
    "tuple_key": lambda: {(1, 2): 3},
    "nan": lambda: math.nan,
    "infinity": lambda: [math.inf, -math.inf],
    "set": lambda: {1, 2},
    "bytes": lambda: {"data": b"abc"},
    "datetime": lambda: {"at": datetime.datetime(2024, 2, 29)},
    "date_list": lambda: [1, datetime.date(2024, 2, 29)],
    "decimal": lambda: {"price": decimal.Decimal("9.95"), "n": decimal.Decimal("10")},
    "uuid": lambda: uuid.UUID(int=1),
    "enum": lambda: Color.RED,
    "int_enum": lambda: {"level": Level.HIGH},
    "str_enum": lambda: [Kind.A, Text("sub")],
    "dataclass": lambda: Thing(),
    "namedtuple": lambda: Point(1, 2),
    "generator": lambda: (i for i in range(3)),
    "map": lambda: map(str, [1]),
    "range": lambda: range(3),
    "dict_view": lambda: {"a": 1}.keys(),
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "counter": lambda: collections.Counter("abca"),
    "defaultdict": lambda: collections.defaultdict(list, x=[1]),
    "proxy": lambda: types.MappingProxyType({"a": 1}),
    "function": lambda: print,
    "class": lambda: Thing,
    "object": lambda: object,
    "circular": circular,
    "deep": lambda: deep(50),
    "bytearray": lambda: [bytearray(b"x")],
    "exception": lambda: ValueError("returned, not raised"),
    "complex": lambda: 1j,
    "ellipsis": lambda: ...,
}


def lambda_handler(event, context):
    return CASES[event["case"]]()
