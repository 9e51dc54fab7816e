import hashlib
import operator
from fnmatch import fnmatchcase
from functools import reduce

OPERATORS = {"==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<": operator.lt, "in": lambda a, b: a in b, "like": fnmatchcase}


def bucket(flag, user):
    digest = hashlib.md5(f"{flag}:{user}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100


def attribute(user, path):
    return reduce(lambda value, key: value[key], path.split("."), user)


def enabled(name, flag, user):
    for path, op, value in flag.get("when", []):
        try:
            if not OPERATORS[op](attribute(user, path), value):
                return False, f"{path} {op} {value}"
        except KeyError as error:
            return False, f"no {error.args[0]}"
    if "percent" in flag:
        share = bucket(name, user["id"])
        return share < flag["percent"], f"bucket {share}"
    return flag.get("on", False), "default"
