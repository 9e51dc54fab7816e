"""What a guest hands to the host: pointers, lengths, msgpack and requests, each as bad as it can be."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from hostile.house import ABI, HOSTILE, Case, Expected, House, Seen, answers, fails, parameters, refused
from hostile.writing import PAGE, chosen, guest
from isolet import abi, limits
from isolet.hostcalls import errno

VIOLATION = "Runtime.AbiViolation"
OUTSIDE = fails(VIOLATION, "outside the guest's memory")
# Where a guest decodes the bytes that its event spells in hexadecimal, behind "hex:".
DECODED = 6 * PAGE
_DECODES = rf"""
  (func $digit (param $c i32) (result i32)
    (if (i32.and (i32.ge_u (local.get $c) (i32.const 48)) (i32.le_u (local.get $c) (i32.const 57)))
      (then (return (i32.sub (local.get $c) (i32.const 48)))))
    (if (i32.and (i32.ge_u (local.get $c) (i32.const 97)) (i32.le_u (local.get $c) (i32.const 102)))
      (then (return (i32.sub (local.get $c) (i32.const 87)))))
    (i32.const -1))
  (func $decoded (param $at i32) (result i32) (local $out i32) (local $high i32) (local $low i32)
    (local.set $out (i32.const {DECODED}))
    (loop $seek (if (i32.ne (i32.load (local.get $at)) (i32.const 0x3a786568))
      (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $seek))))
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (block $end (loop $more
      (br_if $end (i32.lt_s (local.tee $high (call $digit (i32.load8_u (local.get $at)))) (i32.const 0)))
      (br_if $end (i32.lt_s (local.tee $low (call $digit (i32.load8_u offset=1 (local.get $at)))) (i32.const 0)))
      (i32.store8 (local.get $out) (i32.or (i32.shl (local.get $high) (i32.const 4)) (local.get $low)))
      (local.set $out (i32.add (local.get $out) (i32.const 1)))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (br $more)))
    (i32.sub (local.get $out) (i32.const {DECODED})))
"""


def spelled(content: bytes) -> str:
    return f"hex:{content.hex()}!"


def case(name: str, given: Any, expected: Expected, event: Any = None, **settings: Any) -> Case:
    return Case(name, ABI, given, expected, event, settings)


def violation(says: str) -> Expected:
    return fails(VIOLATION, says)


# ── the outcome's bytes ─────────────────────────────────────────────────────────────────────────────────────────

_SAYS = guest(
    f"(local.set $n (call $decoded (local.get $ptr))) (i64.or (i64.const {DECODED << 32})"
    " (i64.extend_i32_u (local.get $n)))",
    fields=_DECODES,
    pages=8,
)
_OK = b"\x81\xa2ok"
_ERROR = b"\x81\xa5error"


def _nested(depth: int) -> bytes:
    return _OK + b"\x91" * depth + b"\xc0"


OUTCOMES: dict[str, tuple[bytes, Expected]] = {
    "no bytes": (b"", violation("the outcome")),
    "a map cut after its header": (b"\x81", violation("the outcome")),
    "a map cut within its value": (_OK + b"\xda\x00\xff" + b"abc", violation("the outcome")),
    "bytes behind the value": (_OK + b"\x01\x01", violation("bytes follow its value")),
    "no map": (b"\x01", violation("not a map")),
    "an empty map": (b"\x80", violation("exactly one of")),
    "both ok and error": (b"\x82\xa2ok\x01\xa5error\x80", violation("exactly one of")),
    "another key": (b"\x81\xa4okay\x01", violation("must be `ok` or `error`")),
    "a key with ESC and newline": (b"\x81\xa6\x1b[2J\n\0\x01", violation("must be `ok` or `error`")),
    "the same key twice": (_OK + b"\x82\xa1a\x01\xa1a\x02", violation("same key twice")),
    "a number as a key": (_OK + b"\x81\x01\x02", violation("not a string")),
    "binary as a key": (_OK + b"\x81\xc4\x01a\x02", violation("not a string")),
    "an array as a key": (_OK + b"\x81\x90\x02", violation("within the limits")),
    "an extension type": (_OK + b"\xd4\x05\x01", violation("within the limits")),
    "an extension of 4 GiB": (_OK + b"\xc9\xff\xff\xff\xff\x05\x01", violation("within the limits")),
    "a timestamp": (_OK + b"\xd6\xff\0\0\0\0", violation("within the limits")),
    "the byte that msgpack does not use": (_OK + b"\xc1", violation("within the limits")),
    "text that is not UTF-8": (_OK + b"\xa2\xff\xfe", violation("not UTF-8")),
    "text with half a surrogate pair": (_OK + b"\xa3\xed\xa0\x80", violation("not UTF-8")),
    "a key that is not UTF-8": (b"\x81\xa2\xff\xfe\x01", violation("not UTF-8")),
    "text of 4 GiB in three bytes": (_OK + b"\xdb\xff\xff\xff\xffabc", violation("within the limits")),
    "binary of 4 GiB in three bytes": (_OK + b"\xc6\xff\xff\xff\xffabc", violation("within the limits")),
    "an array of 4 G elements in three bytes": (_OK + b"\xdd\xff\xff\xff\xff\1\2\3", violation("within the limits")),
    "a map of 4 G entries in three bytes": (_OK + b"\xdf\xff\xff\xff\xff\xa1a\1", violation("within the limits")),
    "64 levels": (_nested(63), answers()),
    "65 levels": (_nested(64), violation("nested more than 64 deep")),
    "2,000 levels": (_nested(2_000), violation("the outcome")),
    "NaN": (_OK + b"\xcb\x7f\xf8\0\0\0\0\0\0", violation("not finite")),
    "Infinity in an array": (_OK + b"\x91\xca\x7f\x80\0\0", violation("not finite")),
    "the largest integer": (_OK + b"\xcf" + b"\xff" * 8, answers(2**64 - 1)),
    "the smallest integer": (_OK + b"\xd3\x80" + b"\0" * 7, answers(-(2**63))),
    "the smallest number above zero": (_OK + b"\xcb\0\0\0\0\0\0\0\1", answers(5e-324)),
    "numbers in their longest forms": (_OK + b"\xcf" + b"\0" * 8, answers(0)),
    "an error that is no map": (_ERROR + b"\x90", violation("`error` is not a map")),
    "an error whose type is a number": (_ERROR + b"\x81\xa4type\x01", violation("not a string")),
    "an error whose stack is a map": (_ERROR + b"\x81\xa5stack\x80", violation("`stack`")),
    "an error whose stack has numbers": (_ERROR + b"\x81\xa5stack\x91\x01", violation("`stack`")),
    "an error with nothing in it": (_ERROR + b"\x80", fails("Error")),
}
OUTCOME_CASES = [
    case(f"outcome: {name}", _SAYS, expected, spelled(content)) for name, (content, expected) in OUTCOMES.items()
]

# Those that a guest makes itself, too large to be spelled; at 0x60000 in memory. Each answers (ptr << 32 | len).
_LARGE = 6 << 20
LARGE: dict[str, tuple[bytes, int, int, Expected]] = {
    # What comes first, the byte that is repeated, how often.
    "a megabyte of empty arrays": (_OK + b"\xdd\x00\x10\x00\x00", 0x90, 1 << 20, violation("exceeds")),
    "a megabyte of 0x90 and no header": (b"", 0x90, 1 << 20, violation("the outcome")),
    "99,999 empty maps": (_OK + b"\xdd\x00\x01\x86\x9f", 0x80, 99_999, answers()),
    "a million levels": (_OK, 0x91, 1_000_000, violation("the outcome")),
    "a million levels of maps": (_OK, 0x81, 1_000_000, violation("the outcome")),
    "a map of 100,000 equal keys": (_OK + b"\xdf\x00\x01\x86\x9f", 0x00, 199_998, violation("same key twice")),
    "seven megabytes": (b"", 0x00, 7 << 20, fails("Function.ResponseSizeTooLarge", "6291556")),
}
_MAKES = chosen(
    [
        f"(drop (memory.grow (i32.const 300))) (memory.copy (i32.const {_LARGE}) (i32.const {1024 + 64 * number})"
        f" (i32.const 64)) (memory.fill (i32.const {_LARGE + len(start)}) (i32.const {byte}) (i32.const {count}))"
        f" (i64.const {(_LARGE << 32) + len(start) + count})"
        for number, (start, byte, count, _) in enumerate(LARGE.values())
    ],
    data={1024 + 64 * number: start for number, (start, *_) in enumerate(LARGE.values()) if start},
)
LARGE_CASES = [
    case(f"outcome: {name}", _MAKES, expected, number, Timeout=60)
    for number, (name, (*_, expected)) in enumerate(LARGE.items())
]

# ── where the outcome is said to be ─────────────────────────────────────────────────────────────────────────────

_END = 4 * PAGE
_TOO_LARGE = fails("Function.ResponseSizeTooLarge")
PLACES: dict[str, tuple[int, int, Expected]] = {
    "at -1": (0xFFFFFFFF, 1, OUTSIDE),
    "at 2³¹": (1 << 31, 1, OUTSIDE),
    "at the end": (_END, 1, OUTSIDE),
    "across the end": (_END - 1, 2, OUTSIDE),
    "nothing at the end": (_END, 0, violation("the outcome")),
    "nothing beyond the end": (_END + 1, 0, OUTSIDE),
    "2³¹ bytes": (0, 1 << 31, _TOO_LARGE),
    "2³²-1 bytes": (0, 0xFFFFFFFF, _TOO_LARGE),
    "a sum that overflows": (0xFFFFFFFF, 2, OUTSIDE),
    "all of its memory": (0, _END, violation("the outcome")),
}
_PLACED = chosen(
    [f"(i64.const {(at << 32 | length) - (1 << 64 if at >> 31 else 0)})" for at, length, _ in PLACES.values()]
)
PLACE_CASES = [
    case(f"the outcome's place: {name}", _PLACED, expected, number)
    for number, (name, (*_, expected)) in enumerate(PLACES.items())
]

# ── the buffer for events ───────────────────────────────────────────────────────────────────────────────────────

EVENT = b'"' + b"a" * 200_000 + b'"'  # longer than the buffer of the snapshot, and than the guest's memory behind it


def buffered(name: str, then: str, expected: Expected, handle: str = "(call $answer (i32.const 7))") -> Case:
    fits = f"(if (i32.le_u (local.get $len) (i32.const 65536)) (then (return (i32.const {PAGE}))))"
    return case(f"isolet_buffer: {name}", guest(handle, buffer=f"{fits} {then}"), expected, EVENT)


BUFFER_CASES = [
    buffered("0", "(i32.const 0)", fails("Runtime.OutOfMemory", "no buffer for an event")),
    buffered("-1", "(i32.const -1)", OUTSIDE),
    buffered("2³¹", "(i32.const 0x80000000)", OUTSIDE),
    buffered("the same address again, too small", f"(i32.const {PAGE})", OUTSIDE),
    buffered("beyond the end", f"(i32.const {_END})", OUTSIDE),
    buffered("over its own constants", "(i32.const 1)", answers(7)),
    buffered(
        "memory that has grown meanwhile",
        "(i32.mul (memory.grow (i32.const 8)) (i32.const 65536))",
        answers(7),
    ),
    buffered(
        "an event that the guest's outcome overlaps",
        "(drop (memory.grow (i32.const 8))) (i32.const 262144)",
        answers("a" * 31),
        "(i32.store8 offset=7 (local.get $ptr) (i32.const 0xbf))"
        " (memory.copy (i32.add (local.get $ptr) (i32.const 8)) (i32.add (local.get $ptr) (i32.const 40))"
        " (i32.const 31)) (call $ok (i32.add (local.get $ptr) (i32.const 7)) (i32.const 32))",
    ),
    case("isolet_buffer: outside when the snapshot is made", "buffer_outside.wat", Expected(201, "Failed", "outside")),
    case("isolet_buffer: 0 when the snapshot is made", "no_buffer.wat", Expected(201, "Failed", "buffer")),
]  # fmt: skip

# ── what host functions are given ───────────────────────────────────────────────────────────────────────────────

_ERRNO = answers
# A vector of one that is outside; one that is itself; one of all memory twice.
_VECTORS = {
    0: b"\xff\xff\xff\xff\x01\0\0\0",
    16: b"\x10\0\0\0\x08\0\0\0",
    32: b"\0\0\0\0\xff\xff\xff\xff",
    64: b"\x92\xa6random\x10",
}
POINTERS: dict[str, tuple[str, Expected]] = {
    "log at -1": ("(call $log (i32.const 2) (i32.const -1) (i32.const 1)) (i64.const 0)", OUTSIDE),
    "log of 2³²-1 bytes": ("(call $log (i32.const 2) (i32.const 0) (i32.const -1)) (i64.const 0)", OUTSIDE),
    "log whose sum overflows": ("(call $log (i32.const 2) (i32.const -1) (i32.const -1)) (i64.const 0)", OUTSIDE),
    "log of an unknown level": (
        "(call $log (i32.const -1) (i32.const 0) (i32.const 8)) (call $answer (i32.const 1))",
        answers(1),
    ),
    "call across the end": (f"(call $answer (call $call (i32.const {_END - 1}) (i32.const 2)))", OUTSIDE),
    "call of 2³¹ bytes": ("(call $answer (call $call (i32.const 0) (i32.const 0x80000000)))", OUTSIDE),
    "take to -1": (
        "(drop (call $call (i32.const 64) (i32.const 9))) (call $answer (call $take (i32.const -1)))",
        OUTSIDE,
    ),
    "take across the end": (
        f"(drop (call $call (i32.const 64) (i32.const 9))) (call $answer (call $take (i32.const {_END - 4})))",
        OUTSIDE,
    ),
    "take twice": (
        "(drop (call $call (i32.const 64) (i32.const 9))) (drop (call $take (i32.const 512)))"
        " (call $answer (call $take (i32.const 512)))",
        answers(abi.NOTHING_PENDING),
    ),
    "fail of 2³² bytes": ("(call $fail (i32.const 0) (i32.const -1)) unreachable", OUTSIDE),
    "fail of 100,000 bytes": ("(call $fail (i32.const 0) (i32.const 100000)) unreachable", violation("isolet.fail")),
    "fail with garbage": ("(call $fail (i32.const 0) (i32.const 9)) unreachable", violation("")),
    "library of 2³²-1 bytes": ("(call $answer (call $library (i32.const 0) (i32.const -1)))", OUTSIDE),
    "random_get at -1": ("(call $answer (call $random_get (i32.const -1) (i32.const 4)))", OUTSIDE),
    "clock_time_get across the end": (
        f"(call $answer (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const {_END - 4})))",
        OUTSIDE,
    ),
    "fd_write from outside": (
        "(call $answer (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 512)))",
        OUTSIDE,
    ),
    "fd_write of 2³² bytes": (
        "(call $answer (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 512)))",
        OUTSIDE,
    ),
    "fd_write with 2³²-1 vectors": (
        "(call $answer (call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 512)))",
        _ERRNO(errno.INVAL),
    ),
    "fd_read into its own vector": (
        "(call $answer (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 16)))",
        _ERRNO(0),
    ),
    "fd_readdir into its own size": (
        "(call $answer (call $fd_readdir (i32.const 4) (i32.const 512) (i32.const 64) (i64.const -1) (i32.const 512)))",
        _ERRNO(0),
    ),
    "environ_get over itself": (
        "(call $answer (call $environ_get (i32.const 4096) (i32.const 4096)))",
        _ERRNO(0),
    ),
    "environ_get across the end": (
        f"(call $answer (call $environ_get (i32.const {_END - 8}) (i32.const 512)))",
        OUTSIDE,
    ),
    "poll_oneoff whose events overlap its subscriptions": (
        "(i32.store (i32.const 528) (i32.const 1))"
        " (call $answer (call $poll_oneoff (i32.const 512) (i32.const 512) (i32.const 1) (i32.const 512)))",
        _ERRNO(0),
    ),
    "poll_oneoff across the end": (
        f"(call $answer (call $poll_oneoff (i32.const {_END - 40}) (i32.const 512) (i32.const 1) (i32.const 900)))",
        OUTSIDE,
    ),
    "path_open whose path is outside": (
        "(call $answer (call $path_open (i32.const 3) (i32.const 0) (i32.const -9) (i32.const 4) (i32.const 0)"
        " (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 512)))",
        OUTSIDE,
    ),
    "descriptor -1": ("(call $answer (call $fd_close (i32.const -1)))", _ERRNO(errno.BADF)),
    "fd_seek before the beginning": (
        "(call $answer (call $fd_seek (i32.const 1) (i64.const -9223372036854775808) (i32.const 0) (i32.const 512)))",
        _ERRNO(errno.SPIPE),
    ),
}
_POINTED = chosen([body for body, _ in POINTERS.values()], data=_VECTORS)
POINTER_CASES = [
    case(f"host call: {name}", _POINTED, expected, number)
    for number, (name, (_, expected)) in enumerate(POINTERS.items())
]

# ── capability requests ─────────────────────────────────────────────────────────────────────────────────────────

_ASKS = guest(
    f"(local.set $n (call $call (i32.const {DECODED}) (call $decoded (local.get $ptr))))"
    " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (call $answer (local.get $n)))))"
    f" (drop (call $take (i32.const {7 * PAGE}))) (call $ok (i32.const {7 * PAGE}) (local.get $n))",
    fields=_DECODES,
    pages=9,
)
_GRANTED = {
    "Tags": {
        "isolet:kv": '["mine"]',
        "isolet:fetch": '["example.com"]',
        "isolet:invoke": '["callee"]',
        "isolet:secrets": '["KEY"]',
    }
}
_MALFORMED, _REFUSED, _UNKNOWN = answers(abi.MALFORMED), answers(abi.REFUSED), answers(abi.UNKNOWN)


class Told(Expected):
    """The host answers the guest in words: an `error` of this type (abi.md, 5.1)."""

    def check(self, seen: Seen) -> None:
        told = seen.value["error"]
        assert told["type"] == self.error, told
        assert self.says in told["message"], told
        assert told["message"].isprintable()
        assert len(told["message"]) <= 2_000


def told(kind: str, says: str = "") -> Told:
    return Told(200, kind, says)


_INVALID = told("Invalid")
_p = msgpack.packb
REQUESTS: dict[str, tuple[bytes, Expected]] = {
    "nothing": (b"", _MALFORMED),
    "a map": (b"\x81\xa5sleep\x01", _MALFORMED),
    "an empty array": (b"\x90", _MALFORMED),
    "a name that is binary": (b"\x91\xc4\x05sleep", _MALFORMED),
    "a name that is not UTF-8": (b"\x91\xa2\xff\xff", _MALFORMED),
    "two values": (_p(["sleep", 0]) * 2, _MALFORMED),
    "an array of 4 G elements": (b"\xdd\xff\xff\xff\xff\xa5sleep", _MALFORMED),
    "an extension": (b"\x92\xa5sleep\xd4\x01\x01", _MALFORMED),
    "65 levels": (b"\x92\xa5sleep" + b"\x91" * 65 + b"\xc0", _MALFORMED),
    "an unknown name": (_p(["open", "/etc/passwd"]), _UNKNOWN),
    "a name of 10,000 characters": (_p(["n" * 10_000]), _UNKNOWN),
    "a name of Python's": (_p(["__class__"]), _UNKNOWN),
    "sleep without an argument": (_p(["sleep"]), _MALFORMED),
    "sleep for ever": (_p(["sleep", float("inf")]), _REFUSED),
    "sleep NaN": (_p(["sleep", float("nan")]), _MALFORMED),
    "sleep -1": (_p(["sleep", -1]), _MALFORMED),
    "sleep true": (_p(["sleep", True]), _MALFORMED),
    "sleep 2⁶⁴-1": (_p(["sleep", 2**64 - 1]), _REFUSED),
    "random -1": (_p(["random", -1]), _MALFORMED),
    "random 1 GiB": (_p(["random", 1 << 30]), _REFUSED),
    "kv.put without a value": (_p(["kv.put", "mine", "k"]), _INVALID),
    "kv.put of text": (_p(["kv.put", "mine", "k", "text"]), _INVALID),
    "kv.put with an unknown option": (_p(["kv.put", "mine", "k", b"", {"tenant": "111111111111"}]), _INVALID),
    "kv.put that lives for NaN": (_p(["kv.put", "mine", "k", b"", {"ttl_s": float("nan")}]), _INVALID),
    "kv.put at version -1": (_p(["kv.put", "mine", "k", b"", {"if_version": -1}]), _INVALID),
    "kv.get of another's namespace": (_p(["kv.get", "../111111111111/mine", "k"]), told("NotGranted")),
    "kv.get of a namespace with ESC": (_p(["kv.get", "\x1b[2J\n", "k"]), told("NotGranted")),
    "kv.get of no key": (_p(["kv.get", "mine", ""]), _INVALID),
    "kv.get of a key of 513 bytes": (_p(["kv.get", "mine", "k" * 513]), told("TooLarge")),
    "kv.list of -1": (_p(["kv.list", "mine", "", {"limit": -1}]), _INVALID),
    "fetch of nothing": (_p(["fetch", {}]), _INVALID),
    "fetch with a newline in its URL": (
        _p(["fetch", {"url": "http://example.com/\r\nHost: localhost"}]),
        _INVALID,
    ),
    "fetch with a newline in its method": (
        _p(["fetch", {"url": "http://example.com/", "method": "GET / HTTP/1.1\r\nX: y"}]),
        _INVALID,
    ),
    "fetch with a newline in a header": (
        _p(["fetch", {"url": "http://example.com/", "headers": [["a", "b\r\nc: d"]]}]),
        _INVALID,
    ),
    "fetch by CONNECT": (_p(["fetch", {"url": "http://example.com/", "method": "CONNECT"}]), _INVALID),
    "fetch from a file": (_p(["fetch", {"url": "file:///etc/passwd"}]), _INVALID),
    "fetch with a password": (_p(["fetch", {"url": "http://u:p@example.com/"}]), _INVALID),
    "fetch of what is not granted": (_p(["fetch", {"url": "http://example.com.evil.test/"}]), told("NotGranted")),
    "fetch with a deadline of 10¹⁸ ms": (
        _p(["fetch", {"url": "http://example.com/", "timeout_ms": 10**18}]),
        _INVALID,
    ),
    "invoke of nobody": (_p(["invoke", "", None]), _INVALID),
    "invoke of another's function": (
        _p(["invoke", "arn:aws:lambda:us-east-1:111111111111:function:canary", "x"]),
        told("UnknownFunction"),
    ),
    "invoke of what is not granted": (_p(["invoke", "canary", None]), told("NotGranted")),
    "invoke with a path for a name": (_p(["invoke", "../../callee", None]), _INVALID),
    "secrets.get of a path": (_p(["secrets.get", "../KEY"]), told("NotGranted")),
    "secrets.get of a number": (_p(["secrets.get", 1]), _INVALID),
    "stream.write to what is not open": (_p(["stream.write", b"x"]), _INVALID),
    "stream.open where nobody reads": (_p(["stream.open", {"status": 99}]), answers({"ok": False})),
    "stream.open of text": (_p(["stream.open", "x"]), _INVALID),
    "stream.write of text": (_p(["stream.write", "x"]), _INVALID),
}
REQUEST_CASES = [
    case(f"request: {name}", _ASKS, expected, spelled(content), **_GRANTED)
    for name, (content, expected) in REQUESTS.items()
]

# ── what an HTTP function answers ───────────────────────────────────────────────────────────────────────────────


_HTTP = {"Tags": {"isolet:http": "true"}}


def _answered(house: House, function: str, result: Any) -> Seen:
    """What the client of an HTTP function sees; the bytes are looked at, since clients are lenient."""
    body = spelled(_OK + _p(result)).encode()
    host = f"{function}.{HOSTILE}.localhost".encode()
    raw = house.say(
        b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (host, len(body), body)
    )
    head, _, content = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = [tuple(line.decode("latin-1").split(": ", 1)) for line in lines]
    assert all(len(header) == 2 for header in headers), lines
    assert not any(name.lower() in ("transfer-encoding", "upgrade", "x-forged") for name, _ in headers), lines
    status = int(first.split(b" ")[1])
    lengths = [int(value) for name, value in headers if name.lower() == "content-length"]
    assert lengths == ([] if status in (204, 304) else [len(content)]), lines
    answer = Seen(status, "", content.decode("latin-1"), None, "", headers)  # type: ignore[arg-type]
    (request_id,) = answer.header("x-amzn-requestid")
    if status == 502:
        house.check_error(function, Seen(200, VIOLATION, request_id=request_id))
    return answer


def _result(**entries: Any) -> dict[str, Any]:
    return {"statusCode": 200, "body": "b", **entries}


_BAD_GATEWAY = refused(502, says=VIOLATION)
RESULTS: dict[str, tuple[Any, Expected]] = {
    "CR and LF in a header": (_result(headers={"a": "b\r\nx-forged: 1"}), _BAD_GATEWAY),
    "LF in a header": (_result(headers={"a": "b\nx-forged: 1"}), _BAD_GATEWAY),
    "NUL in a header": (_result(headers={"a": "b\0"}), _BAD_GATEWAY),
    "CR and LF in a header's name": (_result(headers={"a\r\nx-forged": "1"}), _BAD_GATEWAY),
    "a space in a header's name": (_result(headers={"a b": "1"}), _BAD_GATEWAY),
    "an empty header's name": (_result(headers={"": "1"}), _BAD_GATEWAY),
    "a header beyond Latin-1": (_result(headers={"a": "\u2028"}), _BAD_GATEWAY),
    "a header that is an array": (_result(headers={"a": ["b"]}), _BAD_GATEWAY),
    "101 headers": (_result(headers={f"a{n}": "b" for n in range(101)}), _BAD_GATEWAY),
    "a cookie with CR and LF": (_result(cookies=["a=b\r\nx-forged: 1"]), _BAD_GATEWAY),
    "cookies that are text": (_result(cookies="a=b"), _BAD_GATEWAY),
    "a body that is no base64": (_result(body="%%%", isBase64Encoded=True), _BAD_GATEWAY),
    "a body that is a map": (_result(body={}), _BAD_GATEWAY),
    "status 0": (_result(statusCode=0), _BAD_GATEWAY),
    "status 99": (_result(statusCode=99), _BAD_GATEWAY),
    "status 101": (_result(statusCode=101), _BAD_GATEWAY),
    "status 1000": (_result(statusCode=1000), _BAD_GATEWAY),
    "status 200 in words": (_result(statusCode="200 OK\r\nx-forged: 1"), _BAD_GATEWAY),
    "status true": (_result(statusCode=True), _BAD_GATEWAY),
    "its own Content-Length": (_result(headers={"Content-Length": "1000"}), refused(200)),
    "two Content-Lengths": (_result(headers={"Content-Length": "1", "content-length": "1000"}), refused(200)),
    "Transfer-Encoding": (_result(headers={"Transfer-Encoding": "chunked"}), refused(200)),
    "Upgrade and Connection": (
        _result(headers={"Upgrade": "websocket", "Connection": "upgrade, close", "Keep-Alive": "1"}),
        refused(200),
    ),
    "Date and Server": (_result(headers={"Date": "never", "Server": "forged", "server": "twice"}), refused(200)),
    "204 with a body": (_result(statusCode=204), refused(204)),
    "304 with a body": (_result(statusCode=304), refused(304)),
}  # fmt: skip


def _script(name: str, result: Any) -> Any:
    def script(house: House) -> Seen:
        answer = _answered(house, house.function(_SAYS, **_HTTP), result)
        if name == "Date and Server":
            assert len(answer.header("date")) <= 1
            assert "forged" not in answer.header("server")
        return answer

    return script


RESULT_CASES = [
    Case(f"HTTP result: {name}", ABI, _script(name, result), expected, settings=_HTTP, guest=_SAYS)
    for name, (result, expected) in RESULTS.items()
]


@pytest.mark.parametrize(
    "case",
    parameters(OUTCOME_CASES, LARGE_CASES, PLACE_CASES, BUFFER_CASES, POINTER_CASES, REQUEST_CASES, RESULT_CASES),
    ids=str,
)
def test_what_a_guest_hands_over_is_checked(house: House, case: Case) -> None:
    house.attacked(case)


assert limits.OUTCOME_DEPTH_MAX == 64, "the cases around the depth"
