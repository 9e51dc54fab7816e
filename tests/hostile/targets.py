"""What reads bytes of strangers, as functions that fuzzers call: each takes any bytes, and has found a defect if it
raises.

A target states what may come of any input: a value within its bounds, or an error of the kinds that it names. They are
used by test_fuzz.py (hypothesis, every run) and by atheris_targets.py (coverage-guided, on demand).
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack

from front.house import target as routed
from isolet import abi, cron, limits, sigv4, template, trace
from isolet.aws import cbor, form, models, parse, tokens, wires
from isolet.aws.request import decoded
from isolet.errors import (
    AbiViolation,
    CallerError,
    ExpectationFailed,
    InvalidParameter,
    MalformedRequest,
    ModuleInvalid,
    Raised,
    SerializationFailed,
    StorageUnavailable,
    TemplateInvalid,
    UnsupportedOperation,
    ValidationFailed,
)
from isolet.filter_pattern import compile_pattern
from isolet.frames import FrameReader, Garbage, error_from_plain, unpack
from isolet.front import head
from isolet.front.dispatch import METHODS
from isolet.front.door import peer_of
from isolet.grants import Refusal
from isolet.model import DEFAULT_TENANT, Route, Served
from isolet.routing import RoutingTable, parse_function_name
from isolet.storage.packages import PackageFiles, check
from isolet.unpacking import unpacking
from isolet.urls import parse_url

NOW_S = 1_700_000_000.0
OTHER = "111122223333"

# ── what guests say ─────────────────────────────────────────────────────────────────────────────────────────────


def _bounded(value: Any, depth: int = limits.OUTCOME_DEPTH_MAX) -> int:
    """How many containers a value has; asserts that it is one of the ABI's, within its caps."""
    if isinstance(value, dict):
        assert depth, "nested too deeply"
        assert all(type(key) is str for key in value)
        assert len(value) <= limits.OUTCOME_MAP_LEN_MAX
        return 1 + sum(_bounded(inner, depth - 1) for inner in value.values())
    if isinstance(value, list):
        assert depth, "nested too deeply"
        assert len(value) <= limits.OUTCOME_ARRAY_LEN_MAX
        return 1 + sum(_bounded(inner, depth - 1) for inner in value)
    assert value is None or type(value) in (bool, int, float, str, bytes), type(value)
    return 0


def outcome(data: bytes) -> None:
    """A value within the caps, a handler's error, or AbiViolation; and the same of it in steps."""
    whole = _said(lambda: abi.unpack_outcome(data))
    if not isinstance(whole, Exception):
        assert _bounded(whole) <= abi.CONTAINERS_MAX
    assert _same(whole, _said(lambda: _in_steps(data)))


def _said(unpacked: Callable[[], Any]) -> Any:
    try:
        return unpacked()
    except (AbiViolation, Raised) as error:
        return error


def _in_steps(data: bytes) -> Any:
    steps = unpacking(data)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Raised):
        return isinstance(other, Raised) and (one.error_type, one.message) == (other.error_type, other.message)
    if isinstance(one, Exception):
        return type(one) is type(other)
    return not isinstance(other, Exception) and msgpack.packb(one) == msgpack.packb(other)  # a NaN is not itself


def request(data: bytes) -> None:
    try:
        value, weight = abi.unpack_request(data)
    except AbiViolation:
        return
    assert (value is None or _bounded(value) >= 0) if weight <= limits.REQUEST_WEIGHT_MAX else value is None


# ── what callers say ────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Headers, as the parser gives them: names that are tokens, no controls in values."""
    found = (line.partition(b":") for line in data.split(b"\n"))
    return [
        (name, value.translate(None, bytes(range(9))).strip())
        for name, _, value in found
        if name.isalnum() or b"-" in name
    ]


def signature(data: bytes) -> None:
    """A claim that is refused, or one that nobody without the key has made."""
    query, _, rest = data.partition(b"\n")
    text = query.decode("latin-1")
    try:
        claim = sigv4.read(text, lines_of(rest), NOW_S)
        sigv4.verify(claim, b"a key that nobody has", "GET", "/" + text, text, sigv4.body_sha256(rest))
    except CallerError:
        return
    raise AssertionError("a forged signature")


def headers(data: bytes) -> None:
    try:
        read = head.read(lines_of(data))
    except (MalformedRequest, ExpectationFailed):
        return
    entries = msgpack.unpackb(bytes([0x80 | read.event_entries]) + read.event_part)
    assert all(type(value) is str for value in entries["headers"].values())
    assert entries["headers"].keys().isdisjoint({name.decode() for name in head.HOP_BY_HOP})
    assert msgpack.unpackb(b"\x82" + read.domain)["domainName"] == read.host.decode("latin-1")


def _table() -> RoutingTable:
    table = RoutingTable()
    routes = tuple(Route(*route.split(" ")) for route in ("GET /", "ANY /a/{id}", "GET /a/b", "POST /c/{rest+}"))
    table.put(Served(DEFAULT_TENANT, "mine", (routed("mine", routes=routes),)))
    table.put(Served(OTHER, "theirs", (routed("theirs", tenant=OTHER),)))
    table.put(Served(OTHER, "mine", (routed("mine", tenant=OTHER),)))
    return table


TABLE = _table()


def routes(data: bytes) -> None:
    """Found or not; another tenant's function only by its account's name."""
    text = data.decode("latin-1")
    path = "/" + text.encode("ascii", "replace").decode("ascii")
    for method in METHODS:
        match = TABLE.route(method.decode("ascii"), path)
        assert match is None or match.target.tenant == DEFAULT_TENANT
        assert match is None or not path.startswith(("/fn/", "/healthz/", "/2015-03-31/"))
    match = TABLE.prefixed("/fn" + path)
    assert match is None or match.target.tenant == DEFAULT_TENANT or OTHER in path.replace("%3", "3") or "%" in path
    for name in (text, text.lower()):
        found = TABLE.host(name)
        assert found is None or found.tenant == (OTHER if name.endswith("." + OTHER) else DEFAULT_TENANT)
        assert TABLE.url(name) is None
    for qualifier in ("", text):
        try:
            ref = parse_function_name(text, qualifier, OTHER)
        except CallerError:
            continue
        assert ref.tenant == OTHER or ref.tenant in text
    peer_of(text)
    trace.from_traceparent(text)


def url(data: bytes) -> None:
    """A URL that is read as other parsers read it, and as itself once it is written again; or a refusal."""
    text = data.decode("utf-8", "replace")
    read = parse_url(text)
    if isinstance(read, Refusal):
        return
    assert parse_url(str(read)) == read
    other = urlsplit(str(read))
    assert (other.scheme, other.hostname) == (read.origin.scheme, read.origin.host)
    assert (other.port or {"http": 80, "https": 443}[other.scheme]) == read.origin.port
    assert (other.username, other.password, other.fragment) == (None, None, "")
    assert str(read).isascii()
    assert not set(str(read)) & set(map(chr, (*range(33), 92, 127)))


def package(data: bytes) -> None:
    for source in (True, False):
        try:
            check(data, source)
        except (InvalidParameter, ModuleInvalid):
            continue
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            assert sum(len(archive.read(name)) for name in names) <= limits.PACKAGE_BYTES_MAX
        assert not any(name.startswith(("/", "..")) or "/../" in name or "\0" in name or "\\" in name for name in names)
        assert len(set(names)) == len(names) <= limits.PACKAGE_FILES_MAX


def stored_package(data: bytes) -> None:
    """A package that a disk has damaged, or somebody: its files, or StorageUnavailable."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / ("0" * 64 + ".zip")
        path.write_bytes(data)
        try:
            files = PackageFiles(path)
            assert sum(len(files[name]) for name in files) <= limits.PACKAGE_BYTES_MAX
        except StorageUnavailable:
            return


# ── what AWS's clients say ──────────────────────────────────────────────────────────────────────────────────────

_SHAPES = [
    ("lambda", "CreateFunction"),
    ("lambda", "UpdateFunctionConfiguration"),
    ("logs", "PutLogEvents"),
    ("logs", "FilterLogEvents"),
    ("events", "PutRule"),
    ("secretsmanager", "CreateSecret"),
    ("cloudwatch", "PutMetricData"),
    ("cloudwatch", "GetMetricData"),
]
SHAPES = [models.load(service).operation(operation).input_shape for service, operation in _SHAPES]
_JSON, _CBOR, _TEXT = (parse.Readers(scalars) for scalars in (parse.JSON, parse.CBOR, parse.TEXT))


def _read_all(readers: parse.Readers, value: Any) -> None:
    for shape in SHAPES:
        try:
            readers.of(shape)(value)
        except SerializationFailed:
            continue


def json_body(data: bytes) -> None:
    try:
        value = wires.load(data)
    except ValueError:
        return
    _read_all(_JSON, value)


def cbor_body(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except cbor.Malformed:
        return
    assert cbor.encode(cbor.decode(cbor.encode(value))) == cbor.encode(value)
    _read_all(_CBOR, value)


def form_body(data: bytes) -> None:
    try:
        fields = decoded(data.decode("latin-1"))
    except InvalidParameter:
        return
    for shape in SHAPES:
        try:
            _TEXT.of(shape)(form.nested(fields, shape))
        except SerializationFailed:
            continue


def token(data: bytes) -> None:
    refusal = InvalidParameter("no token")
    try:
        place = tokens.decode("what", data.decode("latin-1"), refusal)
    except InvalidParameter:
        return
    assert tokens.decode("what", tokens.encode("what", place), refusal) == place or place != place


# ── what deployers write ────────────────────────────────────────────────────────────────────────────────────────

_LINES = [
    "",
    "a b c",
    '{"a": {"b": [1, "x", null, {"c": 1.5}]}}',
    "{" * 500,
    '{"a":' * 500 + "1" + "}" * 500,
    "*" * 8_000,
]


def pattern(data: bytes) -> None:
    try:
        matches = compile_pattern(data.decode("utf-8", "replace"))
    except (InvalidParameter, UnsupportedOperation):
        return
    for line in _LINES:
        assert matches(line) in (True, False)


def schedule(data: bytes) -> None:
    try:
        when = cron.parse(data.decode("utf-8", "replace"))
    except ValidationFailed:
        return
    at: float = NOW_S
    for _ in range(5):
        found = when.next_after(at, NOW_S)
        if found is None:
            return
        assert found > at
        at = found


def stack(data: bytes) -> None:
    try:
        read = template.read(data.decode("utf-8", "replace"))
        evaluator = template.Evaluator(
            read, template.chosen(read, {}), "stack", DEFAULT_TENANT, lambda id, attribute, path: f"{id}.{attribute}"
        )
        evaluator.value(read["Resources"], "Resources")
    except TemplateInvalid:
        return


# ── what a worker that is not ours any more says to the keeper ──────────────────────────────────────────────────


def frames(data: bytes) -> None:
    reader = FrameReader()
    try:
        messages = reader.feed(data[: len(data) // 2]) + reader.feed(data[len(data) // 2 :])
    except Garbage:
        return
    for _, _, message in messages:
        try:
            error_from_plain(unpack(message))
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
    assert sum(map(len, reader._partial.values())) <= reader._partial_bytes


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        *(
            outcome,
            request,
            signature,
            headers,
            routes,
            url,
            package,
            stored_package,
            json_body,
            cbor_body,
            form_body,
            token,
        ),
        *(pattern, schedule, stack, frames),
    )
}
