"""The protocols against botocore's own client: what it sends is what handlers get, what handlers give is what it
reads. For every operation of every model that is served."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.parsers import create_parser

from isolet.aws import models
from isolet.aws.protocol import Protocol
from isolet.aws.request import Answer, Request
from isolet.aws.service import Call, Service
from isolet.errors import (
    Conflict,
    InvalidParameter,
    IsoletError,
    Overloaded,
    Throttled,
    UnknownFunction,
    UnsupportedOperation,
)
from keeping import run
from modelled import SERVICES, Maker, plain, sent

SEEDS = range(6)
PAIRS = [(service, protocol) for service in SERVICES for protocol in models.load(service).protocols]
# What has no constraint is never refused: the laws here are about the way, not about validation.
_UNBOUND = {"min": None, "max": None, "pattern": None, "enum": None, "required": None}


class Echo:
    """A service whose handlers keep what they got and give what they are told to."""

    def __init__(self, service: str) -> None:
        self.model = models.load(service)
        self.got: Call | None = None
        self.gives: Mapping[str, Any] | Exception | None = None
        shapes = self.model.shape_names
        names = sorted(self.model.operation_names)
        made = Service(service, dict.fromkeys(names, self._handle), constraints=dict.fromkeys(shapes, _UNBOUND))
        self.protocol = Protocol([made])

    async def _handle(self, call: Call) -> Mapping[str, Any] | None:
        self.got = call
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    async def __call__(self, request: Request) -> Answer:
        self.got = None
        return await self.protocol.serve(request)

    def read(self, protocol: str, operation: str, answer: Answer) -> dict[str, Any]:
        """As botocore's client reads it."""
        called = self.model.operation(operation)
        streams = called.has_streaming_output and answer.status < 300
        body = io.BytesIO(answer.body) if streams else answer.body
        response = {"status_code": answer.status, "headers": dict(answer.headers), "body": body}
        read: dict[str, Any] = create_parser(protocol).parse(response, called.output_shape)
        return read


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_what_botocore_sends_is_what_a_handler_gets(service: str, protocol: str) -> None:
    async def main() -> None:
        echo = Echo(service)
        for name in sorted(echo.model.operation_names):
            operation = echo.model.operation(name)
            if operation.input_shape is None:
                continue
            for seed in SEEDS:
                members = Maker(seed, empties=protocol != models.QUERY).value(operation.input_shape)
                request = sent(protocol, operation, members)
                answer = await echo(request)
                assert echo.got is not None, (name, seed, answer, request)
                assert without_nothing(echo.got.input, protocol) == without_nothing(plain(members), protocol), (
                    name,
                    seed,
                )

    run(main)


def without_nothing(members: Any, protocol: str) -> Any:
    """An empty list or map in a query string or in headers is not there."""
    if protocol != models.REST_JSON:
        return members
    return {name: value for name, value in members.items() if value not in ([], {}, b"", "")}


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_what_a_handler_gives_is_what_botocore_reads(service: str, protocol: str) -> None:
    async def main() -> None:
        echo = Echo(service)
        for name in sorted(echo.model.operation_names):
            operation = echo.model.operation(name)
            shape = operation.output_shape
            if shape is None or operation.has_event_stream_output:
                continue
            request = sent(protocol, operation, Maker(0).value(operation.input_shape) if operation.input_shape else {})
            for seed in SEEDS:
                members = Maker(seed, empties=protocol != models.QUERY).value(shape)
                echo.gives = plain(members)
                answer = await echo(request)
                read = echo.read(protocol, name, answer)
                metadata = read.pop("ResponseMetadata")
                assert metadata["HTTPHeaders"]["x-amzn-requestid"] == echo.got.request_id  # type: ignore[union-attr]
                if hasattr(read.get("Payload"), "read"):
                    read["Payload"] = read["Payload"].read()
                assert comparable(read, members) == plain(members), (name, seed, answer)

    run(main)


def comparable(read: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """What botocore made up (an empty payload, a status that nobody set) is not compared."""
    return {name: value for name, value in plain(read).items() if name in given}


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@pytest.mark.parametrize(
    "error",
    [
        InvalidParameter("the value <x> & 'y' is refused; send another: ü"),
        UnknownFunction("Function not found: arn"),
        Conflict("it exists"),
        Throttled("slow down", "CallerRateLimitExceeded", 7),
        Overloaded("later"),
        UnsupportedOperation("not that"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_is_read_back_by_botocore(service: str, protocol: str, error: IsoletError) -> None:
    async def main() -> None:
        echo = Echo(service)
        name = min(echo.model.operation_names)
        operation = echo.model.operation(name)
        echo.gives = error
        answer = await echo(sent(protocol, operation, Maker(1).value(operation.input_shape)))
        read = echo.read(protocol, name, answer)
        assert answer.status >= 400
        shape = echo.model.error(error.name)
        modelled = shape.metadata.get("error", {}).get("code", error.name) if shape is not None else error.name
        assert read["Error"]["Code"] == modelled
        said = "Rate Exceeded." if isinstance(error, Throttled) else error.message
        assert read["Error"]["Message"] == said
        if isinstance(error, Throttled):
            assert dict(answer.headers)["Retry-After"] == "7"

    run(main)


def lambda_with(handler: Any = None, tenant_of: Any = None) -> Protocol:
    return Protocol([Service("lambda", {"GetFunction": handler} if handler else {})], tenant_of)


GET = Request("GET", "/2015-03-31/functions/f", "", [("host", "here:1")], b"")


def test_handler_is_told_who_calls_what_and_where() -> None:
    async def main() -> None:
        calls: list[Call] = []

        async def get(call: Call) -> None:
            calls.append(call)

        async def tenant_of(request: Request) -> str:
            assert request is GET
            return "123456789012"

        answer = await lambda_with(get, tenant_of).serve(GET)
        (call,) = calls
        assert (call.tenant, call.origin, call.operation) == ("123456789012", "http://here:1", "GetFunction")
        assert dict(answer.headers)["x-amzn-requestid"] == call.request_id
        assert (call["FunctionName"], call.get("Qualifier")) == ("f", None)

    run(main)


def test_operation_without_a_handler_is_refused_by_name() -> None:
    async def main() -> None:
        answer = await lambda_with().serve(GET)
        assert answer.status == 501
        assert b"The operation GetFunction of lambda is not served by isolet" in answer.body
        assert dict(answer.headers)["x-amzn-errortype"] == "InvalidParameterValueException"

    run(main)


def test_who_is_not_let_in_learns_nothing_of_what_is_served() -> None:
    async def main() -> None:
        async def nobody(request: Request) -> str:
            raise Conflict("not you")

        answer = await lambda_with(tenant_of=nobody).serve(GET)
        assert (answer.status, b"not you" in answer.body) == (409, True)

    run(main)


def test_defect_is_answered_without_its_words_and_logged_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def broken(call: Call) -> None:
            raise ZeroDivisionError("secret")

        answer = await lambda_with(broken).serve(GET)
        assert answer.status == 500
        assert json.loads(answer.body) == {"Type": "Service", "Message": "internal error"}
        assert dict(answer.headers)["x-amzn-requestid"] in caplog.text
        assert "secret" in caplog.text

    run(main)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff", b'{"Timeout": NaN}', b"9" * 5_000])
def test_body_that_is_no_object_is_refused_in_lambdas_words(body: bytes) -> None:
    async def main() -> None:
        served = Protocol([Service("lambda", {"CreateFunction": _unreached})])
        answer = await served.serve(Request("POST", "/2015-03-31/functions", "", [], body))
        assert answer.status == 400
        assert dict(answer.headers)["x-amzn-errortype"] in ("InvalidRequestContentException", "SerializationException")

    run(main)


async def _unreached(call: Call) -> None:
    raise AssertionError("it is refused before")
