"""The host and every SDK, held to the same vectors."""

from __future__ import annotations

import functools
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

import toolchains
import vectors
from isolet import abi
from isolet.errors import AbiViolation, Raised
from native import serve_many_natively, serve_natively
from running import Guest
from vectors import named, ordered, same

GUESTS = Path(__file__).parent / "guests"
SDK = vectors.DIRECTORY.parent
Serve = Callable[[bytes], bytes]


@functools.cache
def guest(language: str) -> Guest:
    toolchains.require(language)
    return Guest(GUESTS / language)


def served(sdk: str) -> Serve:
    return serve_natively if sdk == "c-native" else guest(sdk).serve


SDKS = ("c", "c-native", "go", "rust", "zig", "assemblyscript")


def ask(sdk: str, event: dict[str, Any]) -> Any:
    return abi.unpack_outcome(served(sdk)(guest("c").envelope(event)))


def test_the_files_are_what_the_generator_writes() -> None:
    generator = runpy.run_path(str(vectors.DIRECTORY / "generate.py"))
    for name in generator["FILES"]:
        assert (vectors.DIRECTORY / name).read_text() == generator["text"](name), "run sdk/vectors/generate.py"


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", vectors.cases("msgpack.json", "valid"), ids=named)
def test_a_valid_value_is_understood_and_written_in_its_canonical_form(case: dict[str, Any], sdk: str) -> None:
    assert ask(sdk, {"op": "recode", "data": vectors.raw(case["bytes"])}) == vectors.raw(case["canonical"])


@pytest.mark.parametrize("case", vectors.cases("msgpack.json", "valid"), ids=named)
def test_the_host_reads_and_writes_the_same_values(case: dict[str, Any]) -> None:
    value = vectors.value(case["value"])
    assert same(abi.decode(vectors.raw(case["bytes"]), "vector"), value)
    if not case["name"].startswith("map with keys out of order"):
        assert abi.pack(value) == vectors.raw(case["canonical"])


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", vectors.cases("msgpack.json", "malformed"), ids=named)
def test_malformed_bytes_are_refused_and_read_without_harm(case: dict[str, Any], sdk: str) -> None:
    raw = vectors.raw(case["bytes"])
    with pytest.raises(Raised) as caught:
        ask(sdk, {"op": "recode", "data": raw})
    assert caught.value.raised_type == "MalformedError"
    assert ask(sdk, {"op": "read anyway", "data": raw}) is True


@pytest.mark.parametrize("case", vectors.cases("msgpack.json", "malformed"), ids=named)
def test_the_host_refuses_malformed_bytes(case: dict[str, Any]) -> None:
    with pytest.raises(AbiViolation):
        abi.decode(vectors.raw(case["bytes"]), "vector")


@pytest.mark.parametrize("case", vectors.cases("outcomes.json", "ok"), ids=named)
def test_the_host_takes_a_result(case: dict[str, Any]) -> None:
    assert same(abi.unpack_outcome(vectors.raw(case["bytes"])), vectors.value(case["value"]))


@pytest.mark.parametrize("case", vectors.cases("outcomes.json", "error"), ids=named)
def test_the_host_takes_an_error(case: dict[str, Any]) -> None:
    with pytest.raises(Raised) as caught:
        abi.unpack_outcome(vectors.raw(case["bytes"]))
    error = caught.value
    assert (error.raised_type, error.message, list(error.stack)) == (case["type"], case["message"], case["stack"])


@pytest.mark.parametrize("case", vectors.cases("outcomes.json", "malformed"), ids=named)
def test_the_host_calls_a_malformed_outcome_an_abi_violation(case: dict[str, Any]) -> None:
    with pytest.raises(AbiViolation):
        abi.unpack_outcome(vectors.raw(case["bytes"]))


@pytest.mark.parametrize("case", vectors.cases("envelopes.json", "cases"), ids=named)
def test_the_host_writes_an_envelope_of_this_meaning(case: dict[str, Any]) -> None:
    event, context = vectors.value(case["event"]), vectors.value(case["context"])
    if "later" in context:
        return  # of a host that does not exist yet
    constants = abi.pack_constants(
        name=context["function_name"],
        version=context["function_version"],
        arn=context["function_arn"],
        memory_mb=context["memory_limit_mb"],
        log_stream=context["log_stream"],
    )
    packed = abi.pack_envelope(
        abi.pack(event),
        constants,
        context["request_id"],
        context["deadline_ms"],
        context["entropy"],
        context.get("trace_id", ""),
        abi.pack(context.get("client_context")),
    )
    assert msgpack.unpackb(packed) == {"event": event, "context": context}
    assert list(msgpack.unpackb(packed)) == ["event", "context"]


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", vectors.cases("envelopes.json", "cases"), ids=named)
def test_a_handler_sees_event_and_context(case: dict[str, Any], sdk: str) -> None:
    seen = abi.unpack_outcome(served(sdk)(vectors.raw(case["bytes"])))
    context = {"trace_id": None, "client_context": None, **vectors.value(case["context"])}
    context.pop("later", None)
    if sdk == "go":
        del context["entropy"]  # it has seeded the generators; nothing else may see it
    assert same(seen["event"], vectors.value(case["event"]))
    assert seen["context"] == context


KINDS = ("header", "query", "path_parameter", "cookie", "form")


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", vectors.cases("http.json", "requests"), ids=named)
def test_http_helpers_read_a_request(case: dict[str, Any], sdk: str) -> None:
    reads = vectors.value(case["reads"])
    asked = {kind: list(reads.get(kind, {})) for kind in KINDS}
    answer = ask(sdk, {"op": "http", "request": vectors.value(case["event"]), **asked})
    expected = {"body": answer["body"], **{kind: {} for kind in KINDS}, **reads}
    if sdk == "go":  # where an absent text is an empty one
        expected = {k: {n: t or "" for n, t in v.items()} if k in KINDS else v for k, v in expected.items()}
        expected["body"] = expected["body"] or b""
        answer["body"] = answer["body"] or b""
    assert answer == expected


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", vectors.cases("http.json", "responses"), ids=named)
def test_http_helpers_write_a_response(case: dict[str, Any], sdk: str) -> None:
    answer = ask(sdk, {"op": "respond", "response": vectors.value(case["response"])})
    assert same(answer, vectors.value(case["result"]))


SPOILT_SEED = 20261120


@functools.cache
def spoilt() -> list[bytes]:
    """Values of the ABI with some bytes changed, or an end cut off."""
    chance = random.Random(SPOILT_SEED)
    whole = [vectors.raw(case["bytes"]) for case in vectors.cases("msgpack.json", "valid")]
    whole = [raw for raw in whole if 0 < len(raw) < 500]
    made = []
    for _ in range(5_000):
        raw = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw))] = chance.choice((chance.randrange(256), 0x81, 0x91, 0xA1, 0xC4, 0xDE))
        made.append(bytes(raw[: chance.randint(1, len(raw))] if chance.random() < 0.2 else raw))
    return made


def test_spoilt_values_are_refused_or_understood_as_the_host_understands_them() -> None:
    for op in ("recode", "read anyway"):
        envelopes = [guest("c").envelope({"op": op, "data": raw}) for raw in spoilt()]
        outcomes = serve_many_natively(envelopes)
        assert len(outcomes) == len(spoilt())
        for raw, outcome in zip(spoilt(), outcomes, strict=True):
            if op == "recode":
                agrees(raw, outcome, f"seed {SPOILT_SEED}: {raw.hex()}")


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk not in ("c", "c-native")])
def test_spoilt_values_mean_the_same_to_every_sdk(sdk: str) -> None:
    """Fewer than natively: each has an isolate of its own."""
    for raw in spoilt()[:200]:
        try:
            outcome = served(sdk)(guest("c").envelope({"op": "recode", "data": raw}))
        except Raised:  # by isolet.fail
            outcome = msgpack.packb({"error": {}})
        agrees(raw, outcome, f"seed {SPOILT_SEED}: {raw.hex()}")
        assert ask(sdk, {"op": "read anyway", "data": raw}) in (True, False)


def agrees(raw: bytes, outcome: bytes, which: str) -> None:
    try:
        understood: Any = abi.decode(raw, "vector")
    except AbiViolation as refused:
        # The host refuses twin keys, too; an SDK reads the first.
        if "same key twice" not in refused.message:
            with pytest.raises(Raised):
                abi.unpack_outcome(outcome)
        return
    assert ordered(msgpack.unpackb(abi.unpack_outcome(outcome))) == ordered(understood), which
