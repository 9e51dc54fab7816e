"""What each target's inputs look like when they are right, and the splinters that they break into."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import msgpack

from isolet.frames import HEADER, LAST, NOTE, REPLY, REQUEST, pack
from isolet.sigv4 import Signer

SIGNED = Signer("AKIA", "secret").sign("lambda", "GET", "/", "", [(b"Host", b"a")], b"", 1_700_000_000)


def _zip(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


_OUTCOMES = [
    {"ok": None},
    {"ok": {"statusCode": 200, "headers": {"a": "b"}, "cookies": ["c=d"], "body": b"\x00\xff"}},
    {"ok": [[[[]]], {"a": {"b": {"c": [1, -1, 1.5, 2**64 - 1, "é" * 40]}}}]},
    {"error": {"type": "T", "message": "m", "stack": ["a", "b"]}},
    {"ok": ["x" * 300, *range(2_000)]},
    {"ok": {f"k{number}": [number] for number in range(1_500)}},
]
_MSGPACK = [b"\xc1", b"\xc7\x00\x00", b"\xd4\x01\x00", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x90" * 70]
_MSGPACK += [
    b"\x81" * 70,
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xa1a",
    b"\xcb\x7f\xf8" + bytes(6),
    b"\xff",
]
_HEADERS = [b"Host: a\nX-A: b\nCookie: a=b; c\nContent-Length: 5\nContent-Type: text/plain\nTransfer-Encoding: chunked"]
_HEADERS += [b"Host: f.111122223333.localhost:80\nTraceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"]
_JSON = {"FunctionName": "f", "Code": {"ZipFile": "AAAA"}, "Timeout": 3, "Environment": {"Variables": {"a": "b"}}}
_YAML = b"""
Parameters: {P: {Type: String, Default: a, AllowedPattern: '[a-z]+'}, L: {Type: CommaDelimitedList, Default: 'a,b'}}
Mappings: {M: {a: {b: c}}}
Conditions: {C: !Equals [!Ref P, a], D: !Not [Condition: C]}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Name: !Sub '${P}-${AWS::Region}', X: !If [C, !GetAtt F.Arn, !Ref AWS::NoValue], Y: &a [1, 0123, 10:30]}
  G: {Type: T, Z: *a, V: !Join [',', !Split [';', 'a;b']], W: !FindInMap [M, !Ref P, b], U: !Select [1, !Ref L]}
"""


def _frame(kind: int, number: int, part: bytes) -> bytes:
    return HEADER.pack(5 + len(part), kind, number) + part


_ZIPS = (
    [_zip({"function.wasm": b"\0asm\x01\0\0\0", "a/b.txt": b"x" * 99}), _zip({"a": b"b"}, zipfile.ZIP_STORED)],
    [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07", b"\xff\xff\xff\xff", b"../", b"\0", bytes(20)],
)

# target → (inputs that are right or nearly, what is put between)
SEEDS: Mapping[str, tuple[Sequence[bytes], Sequence[bytes]]] = {
    "outcome": ([msgpack.packb(one) for one in _OUTCOMES], _MSGPACK),
    "request": (
        [msgpack.packb(one) for one in (["fetch", {"url": "http://a/", "body": b"x"}], ["kv.get", "n", "k"])],
        _MSGPACK,
    ),
    "signature": (
        [
            b"\n" + b"\n".join(name + b": " + value for name, value in [(b"Host", b"a"), *SIGNED]),
            b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20231114%2Fus-east-1%2Flambda%2Faws4_request"
            b"&X-Amz-Date=20231114T221320Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00\nHost: a",
        ],
        [
            b"%",
            b"%2F",
            b"%ff",
            b"&",
            b"=",
            b";",
            b",",
            b"/",
            b"+",
            b"\nX-Amz-Date: 99999999T999999Z",
            b"\xff",
            b"-1",
            b"host",
        ],
    ),
    "headers": (
        _HEADERS,
        [
            b"\nHost: b",
            b"\nExpect: 100-continue",
            b"[::1]:80",
            b"\xff",
            b":",
            b";",
            b"=",
            b"\nContent-Length: ",
            b"%00",
        ],
    ),
    "routes": (
        [
            b"fn/mine/x",
            b"a/b",
            b"a/%2F",
            b"c/d/e",
            b"fn/111122223333:theirs/",
            b"mine.111122223333",
            b"arn:aws:lambda:us-east-1:111122223333:function:f:1",
        ],
        [b"/", b"%2F", b"%", b"%00", b"..", b"{", b"+", b":", b"111122223333:", b"%3A", b"\xff", b"*"],
    ),
    "url": (
        [b"http://a.example:80/b?c#d", b"https://[::1]:443/", b"http://1.2.3.4/", "http://ä.example/é?ü".encode()],
        [
            b"@",
            b":",
            b"/",
            b"\\",
            b"%",
            b"#",
            b"?",
            b"[",
            b"]",
            b".",
            b"\t",
            "。".encode(),
            "１".encode(),
            b"0x7f",
            b"xn--",
            b"//",
        ],
    ),
    "package": _ZIPS,
    "stored_package": _ZIPS,
    "json_body": (
        [json.dumps(_JSON).encode(), b'[1e999, -0, 1.5, "\\ud800", null]', b"[" * 200 + b"]" * 200],
        [b"[", b"{", b'"', b"null", b"NaN", b"1e400", b"9" * 400, b"\\u0000", b'"a":', b",", b"true", b"\xff", b"-"],
    ),
    "cbor_body": (
        [
            b"\xa2\x61a\x01\x61b\x9f\x01\xff",
            b"\xbf\x61a\xc1\xfb" + bytes(8) + b"\xff",
            b"\x82\x5f\x41a\xff\x7f\x61b\xff",
            b"\xf9\x7e\x00",
        ],
        [
            b"\xff",
            b"\x9f",
            b"\xbf",
            b"\x5f",
            b"\x7f",
            b"\xdb",
            b"\x9b" + b"\xff" * 8,
            b"\xf7",
            b"\xf8\x20",
            b"\x81" * 70,
            b"\xc1",
        ],
    ),
    "form_body": (
        [
            b"Action=PutMetricData&Namespace=a&MetricData.member.1.MetricName=b&MetricData.member.1.Value=1",
            b"MetricData.1.Dimensions.1.Name=a&MetricData.1.Timestamp=2026-01-01T00:00:00Z&Tags=&Tags.member.2.Key=x",
        ],
        [b".", b"=", b"&", b".member", b".1", b".999999999999", b".a" * 70, b"%", b"%ff", b"+", b"NaN", b"1e9999"],
    ),
    "token": ([b"WyJ3aGF0IixbMSwyXV0", b"WyJ3aGF0IixudWxsXQ"], [b"=", b"-", b"_", b"+", b"/", b"\xff", b"W"]),
    "pattern": (
        [
            b"a -b ?c",
            b'"a \\" b" d',
            b'{ $.a.b[0] = "x*y" && ($.c IS NULL || $.d > 1.5) }',
            b'{ $["k"].* != x && $.e NOT EXISTS }',
        ],
        [
            b"*" * 50,
            b"(" * 40,
            b")",
            b"&&",
            b"||",
            b"$",
            b"[*]",
            b'"',
            b"\\",
            b"%",
            b"{",
            b"}",
            b"IS",
            b"9" * 30,
            b"?",
            b"-",
            "é".encode(),
        ],
    ),
    "schedule": (
        [
            b"cron(0 12 ? * MON-FRI *)",
            b"cron(0/5 8-17 L * ? 2026-2030)",
            b"cron(1,2 * 15W JAN ? *)",
            b"cron(0 0 ? * 6L *)",
            b"cron(0 0 ? * 2#3 *)",
            b"rate(5 minutes)",
        ],
        [b"*", b"?", b"/", b"-", b",", b"L", b"W", b"#", b"0", b"99", b" ", "٣".encode(), b"2199", b"FEB", b"30"],
    ),
    "stack": (
        [_YAML, json.dumps({"Resources": {"A": {"Type": "T", "P": {"Fn::Join": ["", [1, True]]}}}}).encode()],
        [
            b"!Ref ",
            b"!Sub ",
            b"*a",
            b"&a ",
            b"<<: *a\n",
            b"{",
            b"}",
            b"[",
            b"]",
            b": ",
            b"- ",
            b"!!python/object:os.system ",
            b"!GetAtt ",
            b"!If [",
            b"Fn::Length: ",
            b"\t",
            b"? ",
            b"'",
            b"${",
            b"!!binary ",
            b"!Transform ",
        ],
    ),
    "frames": (
        [
            _frame(REQUEST | LAST, 1, pack(["hello", None])),
            _frame(NOTE, 2, b"ab") + _frame(NOTE | LAST, 2, b"c"),
            _frame(REPLY | LAST, 3, pack({"a": [1]})),
            _frame(3 | LAST, 4, pack(["Throttled", {"message": "m", "reason": "r", "retry_after_s": 1}])),
        ],
        [
            HEADER.pack(5, REQUEST, 9),
            HEADER.pack(2**32 - 1, REQUEST, 9),
            HEADER.pack(4, 1, 1),
            HEADER.pack(6, LAST | 5, 1),
            b"\x91" * 90,
            b"\xdd\xff\xff\xff\xff",
            b"\xc7\x08\xff" + bytes(8),
        ],
    ),
}
