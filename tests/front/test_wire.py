"""Errors as HTTP, and answers as bytes."""

from __future__ import annotations

import inspect
import json

import pytest

from isolet import errors
from isolet.front import wire

REQUEST_ID = "01234567-89ab-4def-8123-456789abcdef"


# Those whose constructor wants more than a message.
ARGUMENTS = {
    errors.Throttled: ("m", "CallerRateLimitExceeded", 7),
    errors.Raised: ("E", "guest's words"),
    errors.CompileFailed: ("m", "compiler's words"),
    errors.CallRefused: ("Conflict", "m"),
}


def every_error() -> list[errors.IsoletError]:
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.IsoletError)]
    return [cls(*ARGUMENTS.get(cls, ("m",))) for cls in classes]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_has_an_answer_in_both_shapes(error: errors.IsoletError) -> None:
    api = wire.aws_error(error, REQUEST_ID)
    assert 400 <= api.status <= 599
    body = json.loads(api.body)
    if isinstance(error, errors.Unauthenticated):
        assert "Type" not in body, "as Lambda's front end"
    else:
        assert body["Type"] in ("User", "Service")
    assert body.get("message") or body.get("Message")
    assert f"x-amzn-errortype: {error.name}\r\n".encode() in api.headers
    http = wire.http_failure(error, REQUEST_ID)
    assert http.status == error.http_status
    body = json.loads(http.body)
    assert body.keys() == {"message", "errorType", "requestId"}
    assert body["requestId"] == REQUEST_ID
    assert "guest's words" not in body["message"]
    assert wire.request_id_line(REQUEST_ID) in http.headers


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), AssertionError("secret")])
def test_foreign_error_says_nothing_of_itself(error: Exception) -> None:
    for answer in (wire.aws_error(error, REQUEST_ID), wire.http_failure(error, REQUEST_ID)):
        assert answer.status == 500
        assert b"secret" not in answer.body + answer.headers


def test_functions_fault_is_a_502_with_its_type() -> None:
    answer = wire.http_failure(errors.OutOfFuel("acme/x:1 spent its 5 fuel; raise `fuel`"), REQUEST_ID)
    assert answer.status == 502
    assert json.loads(answer.body) == {
        "message": "acme/x:1 spent its 5 fuel; raise `fuel`",
        "errorType": "Runtime.OutOfFuel",
        "requestId": REQUEST_ID,
    }


def test_timeout_says_so_without_its_request_id_twice() -> None:
    error = errors.TimedOut(f"RequestId: {REQUEST_ID} Error: Task timed out after 1.00 seconds")
    assert json.loads(wire.http_failure(error, REQUEST_ID).body)["message"] == "Task timed out after 1.00 seconds"


def test_throttling_and_overload_say_when_to_come_back() -> None:
    throttled = wire.http_failure(errors.Throttled("m", "CallerRateLimitExceeded", 7), REQUEST_ID)
    assert (throttled.status, b"retry-after: 7\r\n" in throttled.headers) == (429, True)
    assert b"retry-after: 1\r\n" in wire.aws_error(errors.Overloaded("m")).headers
    assert b"retry-after" not in wire.aws_error(errors.UnknownFunction("m")).headers


def test_render_has_one_length_and_head_has_no_body() -> None:
    answer = wire.Answer(200, b"x: y\r\n", b"hello")
    assert wire.render(answer, b"date: d\r\n") == (
        b"HTTP/1.1 200 OK\r\ndate: d\r\nx: y\r\ncontent-length: 5\r\n\r\nhello"
    )
    head = wire.render(answer, b"date: d\r\n", connection=wire.CLOSE, without_body=True)
    assert head.endswith(b"content-length: 5\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses_have_no_length(status: int) -> None:
    assert b"content-length" not in wire.render(wire.Answer(status, b"", b"x"), b"")


def test_every_status_has_a_line() -> None:
    for status in range(200, 600):
        line = wire.STATUS_LINES[status]
        assert line.startswith(b"HTTP/1.1 %d " % status)
        assert line.endswith(b"\r\n")


def test_an_error_in_node_has_a_trace_and_elsewhere_a_stack_trace() -> None:
    error = errors.Raised("TypeError", "no", ("TypeError: no", "    at handler (/var/task/index.js:1:7)"))
    node = json.loads(wire.function_error(error, REQUEST_ID, "nodejs22.x"))
    assert node == {"errorType": "TypeError", "errorMessage": "no", "trace": list(error.stack)}
    other = json.loads(wire.function_error(error, REQUEST_ID, "python3.11"))
    assert other == {
        "errorMessage": "no",
        "errorType": "TypeError",
        "requestId": REQUEST_ID,
        "stackTrace": list(error.stack),
    }
