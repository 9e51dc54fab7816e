import sys
from functools import cache


def depth(tree):
    return 1 + max((depth(child) for child in tree.get("children", ())), default=0)


@cache
def ackermann(m, n):
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


def down(n):
    return 0 if n == 0 else 1 + down(n - 1)


class Node:
    def __init__(self, child):
        self.child = child

    def __repr__(self):
        return f"<{self.child!r}>"

    def __eq__(self, other):
        return self.child == other.child


def chain(n):
    node = None
    for _ in range(n):
        node = Node(node)
    return node


def lambda_handler(event, context):
    kind = event["kind"]
    if kind == "tree":
        return {"depth": depth(event["tree"])}
    if kind == "ackermann":
        return ackermann(event["m"], event["n"])
    if kind == "down":
        return down(event["n"])
    if kind == "endless":
        return down(-1)
    if kind == "repr":
        return len(repr(chain(event["n"])))
    if kind == "equal":
        return chain(event["n"]) == chain(event["n"])
    if kind == "caught":
        try:
            down(-1)
        except RecursionError as error:
            return {"message": str(error), "again": down(100), "limit": sys.getrecursionlimit()}
    if kind == "sort":
        return sorted(range(5), key=lambda i: (down(50 * i), -i))
    raise LookupError(kind)
