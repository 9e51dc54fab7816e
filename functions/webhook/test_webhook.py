"""The webhook: signatures made here, verified there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from interpreted import Function, house
from isolet.manifest import load
from running import http_event

HERE = Path(__file__).parent
SECRET = load(HERE).settings.environment["WEBHOOK_SECRET"]
PUSH = {"ref": "refs/heads/main", "commits": [{}, {}], "pusher": {"name": "ada"}}


@pytest.fixture(scope="module")
def guest() -> Function:
    files = {"index.js": (HERE / "index.js").read_bytes()}
    return house("javascript").function(files, name="webhook", environment={"WEBHOOK_SECRET": SECRET})


def delivery(body: bytes, kind: str, signature: str | None = None, binary: bool = False) -> dict[str, Any]:
    signed = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": kind, "x-github-delivery": "d-1", "x-hub-signature-256": signature or signed}
    text = base64.b64encode(body).decode() if binary else body.decode()
    return http_event("POST", "/webhook", headers=headers, body=text) | {"isBase64Encoded": binary}


def ask(guest: Function, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = guest.invoke(event).ok
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize("binary", [False, True], ids=["text", "base64"])
def test_what_is_signed_is_told(guest: Function, binary: bool) -> None:
    status, body = ask(guest, delivery(json.dumps(PUSH).encode(), "push", binary=binary))
    assert (status, body["text"], body["delivery"]) == (200, "ada pushed 2 commits to main", "d-1")


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "sha256=", "nonsense"])
def test_what_is_not_signed_is_refused_and_logged(guest: Function, signature: str) -> None:
    answer = guest.invoke(delivery(b"{}", "ping", signature))
    assert answer.ok["statusCode"] == 401
    assert any("the signature does not match" in line for line in answer.logs)


def test_an_event_that_it_does_not_know_is_ignored(guest: Function) -> None:
    assert ask(guest, delivery(b"{}", "star")) == (202, {"ignored": "star"})


def test_a_signed_body_that_is_no_json_is_an_error_of_the_function(guest: Function) -> None:
    assert guest.invoke(delivery(b"{", "push")).error is not None
