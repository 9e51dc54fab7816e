"""What peers are compared on: five works, bytes in and bytes out, and the answer that each must give.

The sources are in benches/works, in C, JavaScript and Python; what is around them in benches/peers. The answers here
are made by other means than theirs, so that a peer that is wrong is not measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

LANGUAGES: Final = ("c", "javascript", "python")
SUFFIXES: Final = {"c": ".c", "javascript": ".mjs", "python": ".py"}


@dataclass(frozen=True)
class Work:
    name: str
    what: str
    answer: Callable[[str], str]
    # By language, else the one for all.
    bodies: Mapping[str, str]

    def body(self, language: str) -> str:
        return self.bodies.get(language, self.bodies.get("", ""))

    def expected(self, language: str) -> str:
        return self.answer(self.body(language))


def _order() -> str:
    items = [
        {"name": f"item number {number}", "cents": 100 + 37 * number, "quantity": number % 7 + 1}
        for number in range(50)
    ]
    return json.dumps({"items": items}, separators=(",", ":"))


def _summed(body: str) -> str:
    items = json.loads(body)["items"]
    total = 0
    names = []
    for item in items:
        total += item["cents"] * item["quantity"]
        names.append(item["name"].upper())
    return json.dumps({"count": len(names), "total": total, "names": names}, separators=(",", ":"))


def _chained(body: str) -> str:
    digest = hashlib.sha256(b"").digest()
    for _ in range(int(body) - 1):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def _value(body: str) -> str:
    return str(int(body.removeprefix("key-")) * 2654435761 % 2**32)


WORKS: Final = {
    work.name: work
    for work in (
        Work("hello", "answers six bytes", lambda _: "hello\n", {"": ""}),
        Work("json", "an order of 50 items in JSON summed and renamed", _summed, {"": _order()}),
        Work("echo", "1 MiB comes back", lambda body: body, {"": "0123456789abcdef" * 65_536}),
        Work(
            "cpu",
            "SHA-256 again and again, in the language itself: about 10 ms of a guest's time",
            _chained,
            {"c": "20000", "javascript": "30", "python": "30"},
        ),
        Work("state", "one of 20,000 entries that were made before", _value, {"": "key-12345"}),
    )
}
