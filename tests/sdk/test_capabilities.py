"""Capabilities in every SDK, held to the vectors: what is asked, what is understood, what harms nobody.

Each guest has an op `ask`: it makes the request `call` by the function of its SDK that is for it, and answers what that
gave as a result of abi.md 5.1, `{ok: …}` or `{error: {type, message, cause?}}`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgpack
import pytest

import toolchains
import vectors
from isolet import abi
from native import serve_natively
from scripted import Reply, ScriptedGuest
from vectors import named, ordered

GUESTS = Path(__file__).parent / "guests"
SDKS = ("c", "c-native", "go", "rust", "zig", "assemblyscript")
CALLS = vectors.cases("capabilities.json", "calls")


@functools.cache
def guest(sdk: str) -> ScriptedGuest:
    toolchains.require(sdk)
    return ScriptedGuest(GUESTS / sdk)


def ask(sdk: str, request: list[Any], reply: Reply) -> tuple[dict[str, Any], Any]:
    """What the call gave, and what was requested (None natively, where the guest itself plays the host)."""
    event: dict[str, Any] = {"op": "ask", "call": request}
    if sdk != "c-native":
        outcome, requests = guest(sdk).asked(guest(sdk).envelope(event), reply)
        assert len(requests) == 1
        return abi.unpack_outcome(outcome), msgpack.unpackb(requests[0])
    return abi.unpack_outcome(serve_natively(guest("c").envelope({**event, "reply": reply}))), None


def meaning(request: Any) -> Any:
    """Without what is nil and may be absent; numbers of JSON are one type."""
    if isinstance(request, dict):
        return {key: meaning(value) for key, value in request.items() if value is not None}
    if isinstance(request, list):
        return [meaning(item) for item in request]
    return float(request) if type(request) is int else request


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("case", CALLS, ids=named)
def test_a_call_asks_for_what_it_means_and_understands_the_reply(case: dict[str, Any], sdk: str) -> None:
    wanted = vectors.value(case["request"])
    answer, requested = ask(sdk, wanted, vectors.raw(case["reply"]))
    if requested is not None:
        while len(wanted) > 1 and wanted[-1] is None and wanted[0] != "invoke":
            wanted.pop()
        assert meaning(requested) == meaning(wanted)
    if "error" in case:
        expected = vectors.value(case["error"])
        got = answer["error"]
        assert (got["type"], got["message"]) == (expected["type"], expected["message"])
        assert (got.get("cause") or None) == expected.get("cause")
    else:
        assert ordered(answer) == ordered({"ok": vectors.value(case["ok"])})


# One of each kind: what is malformed must be noticed by whatever reads it.
KINDS = list({case["request"][0]: case["request"] for case in CALLS}.values())


def kind(request: Any) -> str:
    return str(request[0])


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("request_", KINDS, ids=kind)
@pytest.mark.parametrize("case", vectors.cases("capabilities.json", "malformed"), ids=named)
def test_a_reply_that_is_no_result_is_an_error(case: dict[str, Any], request_: list[Any], sdk: str) -> None:
    if sdk == "c-native" and not case["reply"]:
        return  # nothing at all is how the guest, as its own host, says that it does not know
    answer, _ = ask(sdk, vectors.value(request_), vectors.raw(case["reply"]))
    assert answer["error"]["type"]


# `ok` of another shape than that capability's; invoke has none, and a secret is str or bin.
MISFITS = [
    *(
        (request, ok)
        for request in KINDS
        if request[0] in ("kv.put", "kv.list", "fetch")
        for ok in (None, 1, "x", [], {})
    ),
    *((request, ok) for request in KINDS if request[0] == "kv.get" for ok in (1, "x", [], {}, {"value": 1}, True)),
    *((request, ok) for request in KINDS if request[0] == "kv.delete" for ok in (None, 1, "x", [], {})),
    *((request, ok) for request in KINDS if request[0] == "secrets.get" for ok in (None, 1, [], {})),
]


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize(("request_", "ok"), MISFITS, ids=lambda value: repr(value)[:24])
def test_a_result_of_another_shape_is_an_error(request_: list[Any], ok: Any, sdk: str) -> None:
    answer, _ = ask(sdk, vectors.value(request_), msgpack.packb({"ok": ok}))
    assert answer["error"]["type"]


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk != "c-native"])
@pytest.mark.parametrize("request_", KINDS, ids=kind)
@pytest.mark.parametrize("case", vectors.cases("capabilities.json", "statuses"), ids=named)
def test_a_status_in_place_of_a_reply_is_an_error(case: dict[str, Any], request_: list[Any], sdk: str) -> None:
    answer, _ = ask(sdk, vectors.value(request_), case["status"])
    assert answer["error"]["type"]
    assert answer["error"]["message"]
