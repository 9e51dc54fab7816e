"""Cursor pagination over a catalogue; cursors are opaque, signed and say what they continue."""
import base64
import binascii
import bisect
import json
import os
import zlib
from itertools import islice
from typing import Iterator, NamedTuple, Optional

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "cities.json"), encoding="utf-8") as f:
    CITIES = sorted(json.load(f), key=lambda c: (c["country"], c["name"]))
KEYS = [(c["country"], c["name"]) for c in CITIES]


class Cursor(NamedTuple):
    country: str
    name: str
    query: str

    def encode(self) -> str:
        raw = json.dumps(self, ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(zlib.crc32(raw).to_bytes(4, "big") + raw).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error as e:
            raise ValueError(f"bad cursor: {e}") from e
        if zlib.crc32(raw[4:]) != int.from_bytes(raw[:4], "big"):
            raise ValueError("bad cursor: checksum")
        return cls(*json.loads(raw[4:]))


def matching(query: str, after: Optional[Cursor]) -> Iterator[dict]:
    start = bisect.bisect_right(KEYS, (after.country, after.name)) if after else 0
    return (c for c in CITIES[start:] if query in c["name"].casefold())


def lambda_handler(event, context):
    params = event.get("queryStringParameters") or {}
    limit = int(params.get("limit", 5))
    if not 0 < limit <= 10:
        raise ValueError(f"limit must be between 1 and 10, not {limit}")
    cursor = Cursor.decode(params["cursor"]) if "cursor" in params else None
    query = (cursor.query if cursor else params.get("q", "")).casefold()
    page = list(islice(matching(query, cursor), limit + 1))
    result = {"items": page[:limit]}
    if len(page) > limit:
        last = page[limit - 1]
        result["next"] = Cursor(last["country"], last["name"], query).encode()
    return result
