"""Writes the vectors beside it (README.md says what they mean). No dependencies, no randomness."""

from __future__ import annotations

import itertools
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

Parts = list[tuple[str, int]]

# abi.md, section 6, and what SDKs accept of nesting in an event.
OUTCOME_DEPTH_MAX = 64
OUTCOME_LENGTH_MAX = 100_000


# ── an encoder of its own: the vectors must not lean on what they test ──────────────────────────────────────────


def canonical(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode()
        return _sized(len(raw), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + raw
    if isinstance(value, bytes):
        return _sized(len(value), None, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, list):
        return _sized(len(value), (0x90, 16), (None, 0xDC, 0xDD)) + b"".join(map(canonical, value))
    pairs = sorted(value.items(), key=lambda pair: pair[0].encode())
    return _sized(len(value), (0x80, 16), (None, 0xDE, 0xDF)) + b"".join(canonical(k) + canonical(v) for k, v in pairs)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("b", value)
    for first, form in ((0xCC, "B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")) if value >= 0 else (
        (0xD0, "b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")
    ):  # fmt: skip
        try:
            return bytes([first]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def _sized(length: int, short: tuple[int, int] | None, firsts: tuple[int | None, int, int]) -> bytes:
    if short is not None and length < short[1]:
        return bytes([short[0] | length])
    for first, form, limit in zip(firsts, ("B", ">H", ">I"), (0x100, 0x10000, 1 << 32), strict=True):
        if first is not None and length < limit:
            return bytes([first]) + struct.pack(form, length)
    raise ValueError(length)


# ── how bytes and values are spelled ────────────────────────────────────────────────────────────────────────────


# Runs of one byte or character that are longer than this are spelled as a run.
_RUN = 64


def spelled(raw: bytes | Parts) -> list[list[Any]]:
    if not isinstance(raw, bytes):
        return [[text, times] for text, times in raw]
    runs = re.split(rb"((.)\2{%d,})" % _RUN, raw, flags=re.DOTALL)
    parts: list[list[Any]] = []
    for plain, run, byte in itertools.zip_longest(runs[0::3], runs[1::3], runs[2::3]):
        parts += [[plain.hex(), 1]] if plain else []
        parts += [[byte.hex(), len(run)]] if run else []
    return parts


def shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bin": spelled(value)}
    if isinstance(value, str) and len(value) > 1000:
        assert set(value[1:]) == {"x"}, "long texts are a character and many x"
        return {"$text": [[value[0], 1], ["x", len(value) - 1]]}
    if isinstance(value, list) and len(value) > 1000:
        assert all(item is None for item in value), "long arrays are of nil"
        return {"$array": [None, len(value)]}
    if isinstance(value, float) and (not math.isfinite(value) or value == int(value)):
        return {"$float": repr(value)}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return value


# ── msgpack ─────────────────────────────────────────────────────────────────────────────────────────────────────

INTEGERS = [
    0, 1, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1,
    -1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63),
]  # fmt: skip
FLOATS = [0.0, -0.0, 1.0, 1.5, -2.25, 0.1, 1e300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
TEXTS = ["", "a", "é", "€", "😀", "\0", 'quote " and \\ and \n', "x" * 31, "x" * 32, "x" * 255, "x" * 256]


def valid_cases() -> list[dict[str, Any]]:
    cases: list[tuple[str, bytes, Any]] = []

    def case(name: str, raw: bytes, value: Any) -> None:
        cases.append((name, raw, value))

    def plain(name: str, value: Any) -> None:
        case(name, canonical(value), value)

    for value in (None, False, True):
        plain(json.dumps(value), value)
    for number in INTEGERS:
        plain(f"integer {number}", number)
    for real in FLOATS:
        plain(f"float {real!r}", real)
    for text in TEXTS:
        plain(f"string of {len(text.encode())} bytes {json.dumps(text[:8])}", text)
    for length in (0, 1, 255, 256, 70_000):
        plain(f"binary of {length} bytes", bytes([length & 0x7F]) * length)
    for length in (0, 1, 15, 16):
        plain(f"array of {length}", list(range(length)))
        plain(f"map of {length}", {f"k{i:02}": i for i in range(length)})
    plain("array of 70000", [None] * 70_000)
    plain("nested", {"a": [1, [2, [3, {"b": {"c": None}}]]], "z": {}})
    plain("64 arrays deep", _nest([], 63))

    for first, form in ((0xCC, "B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"), (0xD0, "b"), (0xD3, ">q")):
        case(f"5 in the long form {first:#x}", bytes([first]) + struct.pack(form, 5), 5)
    case("-5 in 64 bits", b"\xd3" + struct.pack(">q", -5), -5)
    case("float of 32 bits", b"\xca" + struct.pack(">f", 1.5), 1.5)
    case(
        "float of 32 bits that is no short decimal",
        b"\xca\x3d\xcc\xcc\xcd",
        struct.unpack(">f", b"\x3d\xcc\xcc\xcd")[0],
    )
    for raw in (b"\xd9\x02hi", b"\xda\0\x02hi", b"\xdb\0\0\0\x02hi"):
        case(f"string in the long form {raw[0]:#x}", raw, "hi")
    for raw in (b"\xc5\0\x01x", b"\xc6\0\0\0\x01x"):
        case(f"binary in the long form {raw[0]:#x}", raw, b"x")
    for raw in (b"\xdc\0\x01\xc0", b"\xdd\0\0\0\x01\xc0"):
        case(f"array in the long form {raw[0]:#x}", raw, [None])
    for raw in (b"\xde\0\x01\xa1a\xc0", b"\xdf\0\0\0\x01\xa1a\xc0"):
        case(f"map in the long form {raw[0]:#x}", raw, {"a": None})
    case("map with keys out of order", b"\x82\xa1b\x01\xa1a\x02", {"b": 1, "a": 2})
    return [
        {"name": n, "bytes": spelled(raw), "value": shown(value), "canonical": spelled(canonical(value))}
        for n, raw, value in cases
    ]


def _nest(value: Any, times: int) -> Any:
    for _ in range(times):
        value = [value]
    return value


WITH_NUMBER = (*range(0xC4, 0xC7), *range(0xCA, 0xD4), *range(0xD9, 0xE0))
MALFORMED: list[tuple[str, bytes | Parts]] = [
    ("nothing", b""),
    ("the byte that is never used", b"\xc1"),
    ("the byte that is never used, inside", b"\x91\xc1"),
    *((f"extension type {first:#x}", bytes([first]) + b"\x01" * 20) for first in (0xC7, 0xC8, 0xC9)),
    *((f"fixed extension {0xD4 + i:#x}", bytes([0xD4 + i]) + b"\x01" * (1 + (1 << i))) for i in range(5)),
    *((f"{first:#x} without its number", bytes([first])) for first in WITH_NUMBER),
    ("integer cut short", b"\xcf\0\0\0"),
    ("float cut short", b"\xcb\0\0\0\0\0\0\0"),
    ("string cut short", b"\xa5hell"),
    ("string of four billion bytes", b"\xdb\xff\xff\xff\xffx"),
    ("binary cut short", b"\xc4\x05\0\0\0\0"),
    ("binary of four billion bytes", b"\xc6\xff\xff\xff\xff\0"),
    ("array cut short", b"\x92\x01"),
    ("array of four billion", b"\xdd\xff\xff\xff\xff\xc0"),
    ("map without its value", b"\x81\xa1a"),
    ("map of four billion", b"\xdf\xff\xff\xff\xff\xa1a\xc0"),
    ("arrays that each promise the rest", [("dd00010000", 1000)]),
    ("a key that is an integer", b"\x81\x01\x02"),
    ("a key that is nil", b"\x81\xc0\x02"),
    ("a key that is binary", b"\x81\xc4\x01a\x02"),
    ("a key that is an array", b"\x81\x90\x02"),
    ("a key that is not UTF-8", b"\x81\xa1\xff\x02"),
    ("trailing byte", b"\xc0\xc0"),
    ("trailing bytes after a map", b"\x80\0\0"),
    ("string: lone continuation", b"\xa1\x80"),
    ("string: cut sequence", b"\xa2\xe2\x82"),
    ("string: overlong slash", b"\xa2\xc0\xaf"),
    ("string: overlong in three bytes", b"\xa3\xe0\x80\xaf"),
    ("string: surrogate", b"\xa3\xed\xa0\x80"),
    ("string: beyond the last code point", b"\xa4\xf4\x90\x80\x80"),
    ("string: 0xff", b"\xa1\xff"),
    ("a million arrays deep", [("91", 1_000_000), ("c0", 1)]),
    ("a million maps deep", [("81a161", 1_000_000), ("c0", 1)]),
    ("a million arrays deep, never closed", [("91", 1_000_000)]),
]  # fmt: skip


def msgpack_file() -> dict[str, Any]:
    return {
        "valid": valid_cases(),
        "malformed": [{"name": name, "bytes": spelled(raw), "why": name} for name, raw in MALFORMED],
    }


# ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────────────

OK = b"\x81\xa2ok"
ERROR = b"\x81\xa5error"


def outcomes_file() -> dict[str, Any]:
    results: list[tuple[str, Any]] = [
        ("nil", None), ("text", "hello"), ("binary", b"\0\xff"), ("number", 12), ("float", 0.5),
        ("a map", {"a": [1, True, None], "b": "é"}), ("the largest integer", 2**64 - 1),
        ("a response", {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "x"}),
        ("a map with a key `error`", {"error": 1}),
    ]  # fmt: skip
    errors: list[tuple[str, dict[str, Any], tuple[str, str, list[str]]]] = [
        ("whole", {"type": "T", "message": "m", "stack": ["a", "b"]}, ("T", "m", ["a", "b"])),
        ("empty", {}, ("Error", "", [])),
        ("message only", {"message": "m\nn"}, ("Error", "m\nn", [])),
        ("with a key that nobody knows", {"type": "T", "extra": 1}, ("T", "", [])),
    ]
    depth, length = OUTCOME_DEPTH_MAX, OUTCOME_LENGTH_MAX
    malformed: list[tuple[str, bytes | Parts]] = [
        ("nothing", b""),
        ("not a map", b"\xa2ok"),
        ("an empty map", b"\x80"),
        ("both keys", b"\x82\xa2ok\x01\xa5error\x80"),
        ("another key", b"\x81\xa3yes\x01"),
        ("a key that is not a string", b"\x81\x01\x01"),
        ("a key that is not a string, inside", OK + b"\x81\x01\x01"),
        ("the same key twice", b"\x82\xa2ok\x01\xa2ok\x02"),
        ("the same key twice, inside", OK + b"\x82\xa1a\x01\xa1a\x02"),
        ("trailing byte", OK + b"\x01\0"),
        ("cut short", OK),
        ("cut short, inside", OK + b"\xa5hell"),
        ("extension type", OK + b"\xd4\x01\x01"),
        ("timestamp", OK + b"\xd6\xff\0\0\0\0"),
        ("the byte that is never used", OK + b"\xc1"),
        ("a string that is not UTF-8", OK + b"\xa1\xff"),
        ("a key that is not UTF-8", OK + b"\x81\xa1\xff\x01"),
        ("an error that is not a map", ERROR + b"\xa1e"),
        ("a type that is not a string", ERROR + b"\x81\xa4type\x01"),
        ("a message that is not a string", ERROR + b"\x81\xa7message\xc0"),
        ("a stack that is not an array", ERROR + b"\x81\xa5stack\xa1s"),
        ("a stack of other things", ERROR + b"\x81\xa5stack\x91\x01"),
        (f"deeper than {depth}", [(OK.hex(), 1), ("91", depth + 1), ("c0", 1)]),
        ("a million arrays deep", [(OK.hex(), 1), ("91", 1_000_000), ("c0", 1)]),
        (f"an array of {length + 1:,}", [(OK.hex() + "dd" + f"{length + 1:08x}", 1), ("c0", length + 1)]),
        ("a megabyte of empty arrays", [(OK.hex() + "dd00100000", 1), ("90", 1 << 20)]),
        ("an array of four billion", OK + b"\xdd\xff\xff\xff\xff"),
    ]
    return {
        "ok": [{"name": n, "bytes": spelled(OK + canonical(v)), "value": shown(v)} for n, v in results],
        "error": [
            {"name": n, "bytes": spelled(ERROR + canonical(v)), "type": t, "message": m, "stack": s}
            for n, v, (t, m, s) in errors
        ],
        "malformed": [{"name": n, "bytes": spelled(raw), "why": n} for n, raw in malformed],
    }


# ── envelopes ───────────────────────────────────────────────────────────────────────────────────────────────────

CONTEXT = {
    "function_name": "resize",
    "function_version": "$LATEST",
    "function_arn": "arn:aws:lambda:local:000000000000:function:resize",
    "memory_limit_mb": 128,
    "log_group": "/aws/lambda/resize",
    "log_stream": "2026/11/20/[$LATEST]w0",
    "request_id": "8f5a3c1e-0b5d-4c43-9d2c-0123456789ab",
    "deadline_ms": 1_800_000_000_000,
    "entropy": bytes(range(16)),
}


def in_order(value: Any) -> bytes:
    """As `canonical`, but a map's keys in their order."""
    if isinstance(value, dict):
        return _sized(len(value), (0x80, 16), (None, 0xDE, 0xDF)) + b"".join(
            canonical(k) + in_order(v) for k, v in value.items()
        )
    return canonical(value)


def envelopes_file() -> dict[str, Any]:
    traced = {
        **CONTEXT,
        "trace_id": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "client_context": {"custom": {"a": "1"}},
    }
    unknown = {**CONTEXT, "later": {"version": 2}}
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("nil", None, CONTEXT),
        ("an object", {"name": "Ada", "tags": ["a", "b"], "n": 3}, CONTEXT),
        ("text", "hello", CONTEXT),
        ("binary inside", {"body": b"\0\x01\xff"}, CONTEXT),
        ("a key named context in the event", {"context": 1, "event": 2}, CONTEXT),
        ("with the optional entries", {}, traced),
        ("with an entry that nobody knows", {}, unknown),
        ("larger than the first buffer", {"text": "é" + "x" * 120_000}, CONTEXT),
        ("exactly filling the first buffer", {"text": "x" * 65_000}, CONTEXT),
    ]
    made = []
    for name, event, context in cases:
        raw = in_order({"event": event, "context": context})
        if name.startswith("exactly"):
            event = {"text": "x" * (len(event["text"]) + 65_536 - len(raw))}
            raw = in_order({"event": event, "context": context})
            assert len(raw) == 65_536
        made.append({"name": name, "bytes": spelled(raw), "event": shown(event), "context": shown(context)})
    return {"cases": made}


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


def http_event(method: str, path: str, **more: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "localhost"},
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}},
        "isBase64Encoded": False,
        **more,
    }


FORM = "amount=12&note=a+b%26c%3D%C3%A9&bad=%zz%4&empty=&bare&amount=13"


def http_file() -> dict[str, Any]:
    requests: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (
            "the least",
            http_event("GET", "/"),
            {"method": "GET", "path": "/", "body": None, "header": {"host": "localhost", "x-none": None},
             "query": {"q": None}, "cookie": {"c": None}, "path_parameter": {"id": None}, "form": {"f": None}},
        ),
        (
            "headers in any case",
            http_event("GET", "/", headers={"accept": "text/html, */*", "x-empty": "", "x-é": "ü"}),
            {"method": "GET", "path": "/",
             "header": {"Accept": "text/html, */*", "ACCEPT": "text/html, */*", "x-empty": ""}},
        ),
        (
            "query, cookies, path parameters",
            http_event("GET", "/accounts/7/x", rawQueryString="q=a%20b&empty=",
                       cookies=["session=abc=", "theme=dark", "x="],
                       queryStringParameters={"q": "a b", "empty": ""}, pathParameters={"id": "7"}),
            {"method": "GET", "path": "/accounts/7/x", "query": {"q": "a b", "empty": "", "none": None},
             "cookie": {"session": "abc=", "theme": "dark", "x": "", "sess": None},
             "path_parameter": {"id": "7", "no": None}},
        ),
        (
            "a form",
            http_event("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"},
                       body=FORM),
            {"method": "POST", "path": "/", "body": FORM.encode(),
             "form": {"amount": "12", "note": "a b&c=é", "bad": "%zz%4", "empty": "", "bare": "", "none": None}},
        ),
        (
            "a body that is not text",
            http_event("PUT", "/é", body=b"\xff\xd8\xff\0", isBase64Encoded=True),
            {"method": "PUT", "path": "/é", "body": b"\xff\xd8\xff\0"},
        ),
        ("an empty body", http_event("POST", "/", body=""), {"method": "POST", "path": "/", "body": b""}),
    ]  # fmt: skip
    responses: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("a status", {"status": 204}, {"statusCode": 204}),
        ("no status", {}, {"statusCode": 200}),
        ("text", {"status": 200, "headers": {"content-type": "text/plain"}, "body": "é"},
         {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "é"}),
        ("cookies", {"status": 303, "headers": {"location": "/"}, "cookies": ["a=1; Path=/", "b=2"]},
         {"statusCode": 303, "headers": {"location": "/"}, "cookies": ["a=1; Path=/", "b=2"]}),
        ("bytes", {"status": 200, "body": b"\xff\0"}, {"statusCode": 200, "body": b"\xff\0", "isBase64Encoded": True}),
    ]  # fmt: skip
    return {
        "requests": [{"name": n, "event": shown(e), "reads": shown(r)} for n, e, r in requests],
        "responses": [{"name": n, "response": shown(r), "result": shown(e)} for n, r, e in responses],
    }


# ── capabilities ────────────────────────────────────────────────────────────────────────────────────────────────

STATUSES = (
    ("malformed", -1),
    ("unknown", -2),
    ("not granted", -3),
    ("a limit, or a snapshot", -4),
    ("the host's", -6),
)
PNG = b"\x89PNG\r\n\x1a\n\0\xff"


def refused(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, **more}}


def capabilities_file() -> dict[str, Any]:
    get, put, delete, keys = "kv.get", "kv.put", "kv.delete", "kv.list"
    answer = {
        "status": 200,
        "url": "https://api.example.com/v1",
        "headers": [["content-type", "text/plain"]],
        "body": b"hi",
    }
    posted = {"status": 201, "url": "http://127.0.0.1:8090/items", "headers": [], "body": b""}
    cookies = [["set-cookie", "a=1"], ["x-\u00e9", "\u00ff"], ["set-cookie", "b=2"]]
    nothing = refused(
        "NotGranted",
        "greet has no grant for the kv namespace 'users'; add to its function.toml: [capabilities] kv = [\"users\"]",
    )
    cause = {"type": "ValueError", "message": "line 1\nline 2"}
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("get what is not there", [get, "counters", "visits"], {"ok": None}),
        ("get", [get, "counters", "visits"], {"ok": {"value": b"7", "version": 1}}),
        ("get an empty value of a large version", [get, "n", "\u00e9\0k"], {"ok": {"value": b"", "version": 2**53}}),
        ("get a large value", [get, "n", "k"], {"ok": {"value": b"v" * 100_000, "version": 3}}),
        ("get without a grant", [get, "users", "k"], nothing),
        ("put", [put, "counters", "visits", b"7"], {"ok": {"version": 1}}),
        ("put if it is not there", [put, "counters", "visits", b"8", {"if_version": 0}],
         refused("Conflict", "the entry 'visits' is at version 1, not at 0; get it and try again")),
        ("put if it is at a version", [put, "n", "k", PNG, {"if_version": 2**53}], {"ok": {"version": 2**53 + 1}}),
        ("put for a while", [put, "n", "k", b"", {"ttl_s": 60}], {"ok": {"version": 5}}),
        ("put for a short while", [put, "n", "k", b"\0", {"if_version": 5, "ttl_s": 0.5}], {"ok": {"version": 6}}),
        ("put too much", [put, "n", "k", b"v" * ((1 << 20) + 1)],
         refused("TooLarge", "kv.put: the value has 1,048,577 bytes; use at most 1,048,576, or cut it up")),
        ("put beyond the quota", [put, "n", "k", b"v"], refused("LimitExceeded", "full")),
        ("delete", [delete, "n", "k"], {"ok": True}),
        ("delete what is not there", [delete, "n", "k"], {"ok": False}),
        ("delete if it is at a version", [delete, "n", "k", {"if_version": 4}], refused("Conflict", "it is at 5")),
        ("list nothing", [keys, "n", ""], {"ok": {"keys": [], "more": False}}),
        ("list", [keys, "counters", "v", {"limit": 2}], {"ok": {"keys": ["v", "visits"], "more": True}}),
        ("list on", [keys, "counters", "v", {"after": "visits", "limit": 1000}],
         {"ok": {"keys": ["v\u00e9"], "more": False}}),
        ("fetch", ["fetch", {"url": "https://api.example.com/v1"}], {"ok": answer}),
        ("fetch with all that there is",
         ["fetch", {"method": "POST", "url": "http://127.0.0.1:8090/items?a=%20", "headers": [["accept", "*/*"],
                    ["x-a", "1"]], "body": PNG, "timeout_ms": 1500, "redirect": "manual"}], {"ok": posted}),
        ("fetch headers twice", ["fetch", {"url": "http://x.example/"}],
         {"ok": {"status": 404, "url": "http://x.example/", "headers": cookies, "body": PNG}}),
        ("fetch what is refused", ["fetch", {"url": "http://169.254.169.254/"}], refused("Refused", "link-local")),
        ("fetch in vain", ["fetch", {"url": "http://x.example/"}], refused("ConnectionFailed", "nobody listens")),
        ("fetch for too long", ["fetch", {"url": "http://x.example/", "timeout_ms": 1}], refused("Timeout", "1 ms")),
        ("fetch in circles", ["fetch", {"url": "http://x.example/", "redirect": "error"}],
         refused("TooManyRedirects", "it redirects")),
        ("invoke", ["invoke", "resize", {"width": 10}], {"ok": {"width": 10, "data": PNG}}),
        ("invoke with nothing", ["invoke", "resize:7", None], {"ok": None}),
        ("invoke who fails", ["invoke", "resize", [1]], refused("FunctionError", "resize failed", cause=cause)),
        ("invoke nobody", ["invoke", "nobody", "x"], refused("UnknownFunction", "Function not found: nobody")),
        ("invoke too many", ["invoke", "busy", 1], refused("Throttled", "Rate Exceeded")),
        ("invoke too deep", ["invoke", "me", 1], refused("TooDeep", "16")),
        ("a secret", ["secrets.get", "API_KEY"], {"ok": "s3cr3t"}),
        ("a secret of bytes", ["secrets.get", "prod/key"], {"ok": b"\0\xff"}),
        ("a secret that is not there", ["secrets.get", "NONE"], refused("UnknownSecret", "there is none")),
        ("an error of a type that nobody knows", ["secrets.get", "K"],
         refused("Later", "of another host", hint={"a": 1})),
    ]  # fmt: skip
    malformed: list[tuple[str, bytes]] = [
        ("nothing", b""),
        ("nil", b"\xc0"),
        ("an empty map", b"\x80"),
        ("another key", b"\x81\xa3yes\x01"),
        ("an error that is not a map", ERROR + b"\xa1e"),
        ("cut short", OK + b"\xa5hell"),
    ]
    return {
        "calls": [
            {"name": n, "request": shown(r), "bytes": spelled(canonical(r)), "reply": spelled(canonical(a)),
             **{key: shown(value) for key, value in a.items()}}
            for n, r, a in calls
        ],
        "malformed": [{"name": n, "reply": spelled(raw), "why": n} for n, raw in malformed],
        "statuses": [{"name": n, "status": s} for n, s in STATUSES],
    }  # fmt: skip


FILES = {
    "msgpack.json": msgpack_file,
    "outcomes.json": outcomes_file,
    "envelopes.json": envelopes_file,
    "http.json": http_file,
    "capabilities.json": capabilities_file,
}


def text(name: str) -> str:
    """A file as it must be: one case a line."""
    lists = FILES[name]()
    parts = []
    for key, cases in lists.items():
        names = [case["name"] for case in cases]
        assert len(set(names)) == len(names), f"{name}: a name in {key} is there twice"
        lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
        parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    for name in FILES:
        (HERE / name).write_text(text(name))
