"""Lambda's Invoke, through the door: every row of what its clients rely on."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import Any
from urllib.parse import quote

import msgpack
import pytest

from front.house import House, Opener, Reply, outcome, target
from isolet import limits
from isolet.errors import (
    AbiViolation,
    ArtifactCorrupt,
    EngineFault,
    Exited,
    OutOfFuel,
    OutOfMemory,
    Overloaded,
    Raised,
    ResponseTooLarge,
    StorageUnavailable,
    Throttled,
    TimedOut,
    Trapped,
    WorkerLost,
)
from isolet.model import Invocation, Outcome, Route

pytestmark = pytest.mark.anyio

PREFIX = "/2015-03-31/functions/"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"


def invoke(name: str = "hello", body: bytes = b"", query: str = "", **headers: str) -> bytes:
    lines = "".join(f"X-Amz-{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
    path = f"{PREFIX}{quote(name, safe=':$')}/invocations{query}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def returns(value: Any) -> Any:
    return lambda _: outcome(value)


def fails(error: Exception) -> Any:
    return lambda _: outcome(error=error)


def raises(error: Exception) -> Any:
    def submit(_: Invocation) -> Outcome:
        raise error

    return submit


async def refused(house: House, data: bytes, status: int, name: str, **body: Any) -> Reply:
    reply = await house.ask(data)
    assert (reply.status, reply.get("x-amzn-errortype")) == (status, name)
    assert reply.get("content-type") == "application/json"
    assert reply.get("x-amz-function-error") is None
    assert json.loads(reply.body).items() >= body.items()
    assert len(reply.get("x-amzn-requestid") or "") == 36
    return reply


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_result_is_json_with_the_executed_version(open_house: Opener) -> None:
    house = await open_house(script=returns({"a": [1, "é", b"\xff"]}))
    reply = await house.ask(invoke(body=b'{"x": 1}'))
    assert (reply.status, reply.body) == (200, '{"a":[1,"é","/w=="]}'.encode())
    assert reply.get("content-type") == "application/json"
    assert reply.get("x-amz-executed-version") == "$LATEST"
    assert reply.get("x-amz-function-error") is None
    assert reply.get("x-amz-log-result") is None
    (invocation,) = house.invoker.submitted
    assert reply.get("x-amzn-requestid") == invocation.request_id
    assert msgpack.unpackb(invocation.event) == {"x": 1}


async def test_no_return_value_is_null(open_house: Opener) -> None:
    house = await open_house(script=returns(None))
    assert (await house.ask(invoke())).body == b"null"


async def test_empty_body_is_the_empty_object(open_house: Opener) -> None:
    house = await open_house(script=returns(1))
    await house.ask(invoke())
    assert msgpack.unpackb(house.invoker.submitted[0].event) == {}


async def test_functions_without_http_are_invoked_too(open_house: Opener) -> None:
    house = await open_house(script=returns(1), targets=(target(http=False),))
    assert (await house.ask(invoke())).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "hello",
        "hello:$LATEST",
        "function:hello",
        "000000000000:function:hello",
        "000000000000:function:hello:$LATEST",
        ARN,
        f"{ARN}:$LATEST",
    ],
)
async def test_function_is_named_in_many_ways(open_house: Opener, name: str) -> None:
    house = await open_house(script=returns(1))
    assert (await house.ask(invoke(name))).status == 200
    encoded = invoke(name).replace(quote(name, safe=":$").encode(), quote(name, safe="").encode())
    assert (await house.ask(encoded)).status == 200


async def test_qualifier_chooses_the_version(open_house: Opener) -> None:
    house = await open_house(script=lambda i: outcome(i.target.version), targets=(target(), target(version="2")))
    for name, query, version in [
        ("hello", "?Qualifier=2", "2"),
        ("hello:2", "", "2"),
        (f"{ARN}:2", "?Qualifier=2", "2"),
        ("hello", "?Qualifier=%24LATEST", "$LATEST"),
        ("hello", "?Qualifier=", "$LATEST"),
    ]:
        reply = await house.ask(invoke(name, query=query))
        assert (reply.status, reply.get("x-amz-executed-version")) == (200, version)
        assert json.loads(reply.body) == version


async def test_dry_run_runs_nothing(house: House) -> None:
    reply = await house.ask(invoke(Invocation_Type="DryRun"))
    assert (reply.status, reply.body) == (204, b"")
    assert reply.get("x-amz-executed-version") is None
    assert not house.invoker.submitted
    await refused(house, invoke("nope", Invocation_Type="DryRun"), 404, "ResourceNotFoundException")


async def test_client_context_and_trace_reach_the_invocation(open_house: Opener) -> None:
    house = await open_house(script=returns(1))
    context = {"client": {"app_title": "t"}, "custom": {"k": "v"}}
    encoded = b64encode(json.dumps(context).encode()).decode()
    data = invoke(Client_Context=encoded).replace(b"Host:", b"X-Amzn-Trace-Id: Root=1-2-3\r\nHost:")
    assert (await house.ask(data)).status == 200
    (invocation,) = house.invoker.submitted
    assert msgpack.unpackb(invocation.client_context) == context
    assert re.fullmatch(r"Root=1-2-3;Lineage=1:[0-9a-f]{8}:0", invocation.trace_id)


async def test_invocation_without_a_trace_is_given_one_that_counts_the_chain(open_house: Opener) -> None:
    house = await open_house(script=returns(1))
    assert (await house.ask(invoke())).status == 200
    (invocation,) = house.invoker.submitted
    root, lineage = invocation.trace_id.split(";")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", root)
    assert lineage.startswith("Lineage=1:")
    last = invoke().replace(b"Host:", f"X-Amzn-Trace-Id: {root};Lineage=16:x:0\r\nHost:".encode())
    assert (await house.ask(last)).status == 400
    assert len(house.invoker.submitted) == 1


async def test_tail_is_the_last_4_kb_of_the_log(open_house: Opener) -> None:
    logs = tuple((2, 0, b"line %d" % i) for i in range(1000))
    house = await open_house(script=lambda _: outcome(1, logs=logs))
    reply = await house.ask(invoke(Log_Type="Tail"))
    (invocation,) = house.invoker.submitted
    tail = b64decode(reply.get("x-amz-log-result") or "", validate=True)
    assert len(tail) == limits.LOG_TAIL_BYTES
    *lines, end, report = tail.decode().splitlines()
    assert lines[-1] == "line 999"
    assert end == f"END RequestId: {invocation.request_id}"
    assert report.startswith(f"REPORT RequestId: {invocation.request_id}\tDuration: 1.05 ms\tBilled Duration: 2 ms\t")
    assert (await house.ask(invoke(Log_Type="None"))).get("x-amz-log-result") is None


async def test_tail_of_a_failure_says_how_it_failed(open_house: Opener) -> None:
    house = await open_house(script=fails(Trapped("unreachable")))
    reply = await house.ask(invoke(Log_Type="Tail"))
    tail = b64decode(reply.get("x-amz-log-result") or "").decode()
    assert tail.startswith("START RequestId: ")
    assert "Status: error\tError Type: Runtime.Trapped" in tail


# ── functions that fail: 200, and the header says it ────────────────────────────────────────────────────────────


async def function_failed(house: House) -> tuple[dict[str, Any], str]:
    reply = await house.ask(invoke())
    assert (reply.status, reply.get("x-amz-function-error")) == (200, "Unhandled")
    assert reply.get("x-amz-executed-version") == "$LATEST"
    return json.loads(reply.body), house.invoker.submitted[-1].request_id


async def test_error_of_the_handler(open_house: Opener) -> None:
    house = await open_house(script=fails(Raised("ValueError", "bad\nvalue é", ("at a", "at b"))))
    body, request_id = await function_failed(house)
    assert body == {
        "errorMessage": "bad\nvalue é",
        "errorType": "ValueError",
        "requestId": request_id,
        "stackTrace": ["at a", "at b"],
    }


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TimedOut("Task timed out after 1.00 seconds"), "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        (
            Exited("Runtime exited with error: exit status 3"),
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        ),
        (Trapped("unreachable"), "Runtime.Trapped", "unreachable"),
        (OutOfFuel("spent 5 fuel"), "Runtime.OutOfFuel", "spent 5 fuel"),
        (OutOfMemory("128 MB"), "Runtime.OutOfMemory", "128 MB"),
        (AbiViolation("bad pointer"), "Runtime.AbiViolation", "bad pointer"),
    ],
)
async def test_error_of_the_runtime(open_house: Opener, error: Exception, kind: str, message: str) -> None:
    house = await open_house(script=fails(error))
    body, request_id = await function_failed(house)
    assert body == {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}


async def test_message_that_names_its_request_is_not_named_twice(open_house: Opener) -> None:
    def script(invocation: Invocation) -> Outcome:
        return outcome(error=TimedOut(f"RequestId: {invocation.request_id} Error: Task timed out after 1.00 seconds"))

    house = await open_house(script=script)
    body, request_id = await function_failed(house)
    assert body["errorMessage"] == f"RequestId: {request_id} Error: Task timed out after 1.00 seconds"


@pytest.mark.parametrize(
    "script",
    [
        returns("x" * limits.PAYLOAD_BYTES_MAX),
        fails(ResponseTooLarge("Response payload size exceeded maximum allowed payload size (6291556 bytes).")),
    ],
)
async def test_response_that_is_too_large(open_house: Opener, script: Any) -> None:
    house = await open_house(script=script)
    body, _ = await function_failed(house)
    assert body == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }


async def test_result_that_json_cannot_say(open_house: Opener) -> None:
    house = await open_house(script=returns([float("nan")]))
    body, _ = await function_failed(house)
    assert body["errorType"] == "Runtime.AbiViolation"


# ── requests that are refused ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "query", "arn"),
    [
        ("nope", "", ARN.replace("hello", "nope")),
        ("hello:7", "", f"{ARN}:7"),
        ("hello", "?Qualifier=live", f"{ARN}:live"),
    ],
)
async def test_unknown_function_is_a_404_naming_its_arn(house: House, name: str, query: str, arn: str) -> None:
    reply = await refused(house, invoke(name, query=query), 404, "ResourceNotFoundException")
    assert json.loads(reply.body) == {"Type": "User", "Message": f"Function not found: {arn}"}


@pytest.mark.parametrize("name", ["hello", "nope"])
async def test_another_accounts_function_is_refused_whether_or_not_it_is_there(open_house: Opener, name: str) -> None:
    theirs = "111111111111"
    house = await open_house(targets=(target(tenant=theirs),))
    arn = f"arn:aws:lambda:us-east-1:{theirs}:function:{name}"
    for asked in (arn, f"{theirs}:function:{name}"):
        await refused(
            house,
            invoke(asked),
            403,
            "AccessDeniedException",
            message="User: arn:aws:iam::000000000000:root is not authorized to perform: lambda:InvokeFunction on "
            f"resource: {arn} because no resource-based policy allows the lambda:InvokeFunction action",
        )
    assert not house.invoker.submitted


async def test_arn_of_another_region_is_not_reachable(house: House) -> None:
    await refused(
        house,
        invoke(ARN.replace("us-east-1", "eu-west-1")),
        404,
        "ResourceNotFoundException",
        Message="Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )


async def test_two_qualifiers_that_differ(house: House) -> None:
    await refused(
        house,
        invoke("hello:1", query="?Qualifier=2"),
        400,
        "InvalidParameterValueException",
        message="The derived qualifier from the function name does not match the specified qualifier.",
    )


NO_NAMES = ["a b", "hello:", "hello:1:2", "é", "x" * 171, "a/b", "arn:aws:s3:::x", "../hello", "%00"]


@pytest.mark.parametrize("name", NO_NAMES)
async def test_name_that_is_none_violates_its_constraint(house: House, name: str) -> None:
    reply = await refused(house, invoke(name), 400, "ValidationException")
    message = json.loads(reply.body)["message"]
    assert message.startswith("1 validation error detected: Value '")
    assert "' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression" in message


async def test_invocation_type_that_is_none(house: House) -> None:
    await refused(
        house,
        invoke(Invocation_Type="Sync"),
        400,
        "ValidationException",
        message="1 validation error detected: Value 'Sync' at 'invocationType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
    )
    await refused(house, invoke(Log_Type="All"), 400, "ValidationException")


async def test_event_invocations_are_not_served_yet(house: House) -> None:
    await refused(house, invoke(Invocation_Type="Event"), 501, "InvalidParameterValueException")
    assert not house.invoker.submitted


@pytest.mark.parametrize("body", [b"{", b"NaN", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000, rb'"\ud800"', b"1e999"])
async def test_body_that_is_not_json(house: House, body: bytes) -> None:
    reply = await refused(house, invoke(body=body), 400, "InvalidRequestContentException", Type="User")
    assert json.loads(reply.body)["message"].startswith("Could not parse request body into json: ")
    assert not house.invoker.submitted


@pytest.mark.parametrize("context", ["!", "e30", b64encode(b"[]").decode(), b64encode(b"{").decode(), "e30=" * 900])
async def test_client_context_that_is_no_base64_of_an_object(house: House, context: str) -> None:
    await refused(
        house,
        invoke(Client_Context=context),
        400,
        "InvalidRequestContentException",
        message="Client context must be a valid Base64-encoded JSON object.",
    )


async def test_body_over_the_limit(house: House) -> None:
    reply = await house.ask(invoke(body=b"x" * (limits.PAYLOAD_BYTES_MAX + 1)))
    assert (reply.status, reply.get("x-amzn-errortype")) == (413, "RequestTooLargeException")
    assert "6291556 bytes for the InvokeFunction operation" in json.loads(reply.body)["message"]


LARGE = b"[" + b'{"a": [1, "x"]},' * 20_000 + b"1]"


async def test_large_body_is_packed_between_other_requests(open_house: Opener) -> None:
    order: list[int] = []

    def script(invocation: Invocation) -> Outcome:
        order.append(len(invocation.event))
        return outcome(len(msgpack.unpackb(invocation.event)))

    house = await open_house(script=script)
    client, other = await house.client(), await house.client()
    assert (await other.ask(invoke())).status == 200
    order.clear()
    client.send(invoke(body=LARGE))
    await house.until(lambda: bool(house.connections[0]._active or house.connections[1]._active))
    assert (await other.ask(invoke())).status == 200
    assert json.loads((await client.reply()).body) == 20_001
    assert len(order) == 2
    assert order[0] == 1, "the small one did not wait for the large one"


async def test_large_body_that_is_not_json(house: House) -> None:
    await refused(house, invoke(body=LARGE + b"]"), 400, "InvalidRequestContentException")
    assert not house.invoker.submitted


async def test_client_that_leaves_while_its_body_is_packed_invokes_nothing(house: House) -> None:
    client = await house.client()
    client.send(invoke(body=LARGE))
    await house.until(lambda: bool(house.connections) and house.connections[0]._active is not None)
    client.reset()
    await house.until(lambda: not house.door.connections)
    assert not house.invoker.submitted
    assert (await house.ask(invoke(body=LARGE, Invocation_Type="DryRun"))).status == 204


async def test_throttled_says_why_and_when_to_come_back(open_house: Opener) -> None:
    house = await open_house(script=raises(Throttled("too many", "ConcurrentInvocationLimitExceeded", 2)))
    reply = await refused(house, invoke(), 429, "TooManyRequestsException")
    assert json.loads(reply.body) == {
        "Reason": "ConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }
    assert reply.get("retry-after") == "2"


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (Overloaded("full"), 503, "ServiceUnavailableException"),
        (WorkerLost("gone"), 503, "ServiceException"),
        (StorageUnavailable("disk"), 503, "ServiceException"),
        (ArtifactCorrupt("mac"), 500, "ServiceException"),
        (EngineFault("defect"), 500, "ServiceException"),
        (RuntimeError("secret"), 500, "ServiceException"),
    ],
)
async def test_our_faults_are_5xx_raised_or_in_the_outcome(
    open_house: Opener, error: Exception, status: int, name: str
) -> None:
    for script in (raises(error), fails(error)):
        house = await open_house(script=script)
        reply = await refused(house, invoke(), status, name, Type="Service")
        assert b"secret" not in reply.body
        assert reply.get("retry-after") == ("1" if status == 503 else None)


async def test_other_methods_and_paths_are_the_control_planes(open_house: Opener) -> None:
    seen: list[tuple[str, str, str]] = []

    async def control(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        seen.append((method, path, query))
        return 200, {"content-type": "application/json"}, b"{}"

    house = await open_house(control=control)
    client = await house.client()
    for line in (f"GET {PREFIX}hello/invocations", f"GET {PREFIX}a%2Fb?x=y", f"DELETE {PREFIX}hello"):
        assert (await client.ask(f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 200
    assert seen == [
        ("GET", f"{PREFIX}hello/invocations", ""),
        ("GET", f"{PREFIX}a%2Fb", "x=y"),
        ("DELETE", f"{PREFIX}hello", ""),
    ]
    assert not house.invoker.submitted


async def test_declared_route_never_hides_the_api(open_house: Opener) -> None:
    house = await open_house(script=returns("mine"), targets=(target(routes=(Route("ANY", "/{proxy+}"),)),))
    assert (await house.ask(b"GET /anything HTTP/1.1\r\nHost: a\r\n\r\n")).body == b'"mine"'
    assert (await house.ask(f"GET {PREFIX}hello HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 404
    assert json.loads((await house.ask(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")).body)["status"] == "ok"


class Acceptance:
    """Takes events, and answers as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[list[Any]] = []
        self.error = error

    def submit(self, event: list[Any], size: int, done: Any) -> None:
        self.events.append(event)
        assert size == len(event[4])
        done(self.error)


async def test_event_is_accepted_as_it_came(house: House) -> None:
    house.door.acceptance = acceptance = Acceptance()
    body = b' {"a" : 1} '
    data = invoke("hello:$LATEST", body, Invocation_Type="Event")
    reply = await house.ask(data.replace(b"Host:", b"X-Amzn-Trace-Id: Root=1;Lineage=4:0:0\r\nHost:"))
    assert (reply.status, reply.body, reply.get("x-amz-executed-version")) == (202, b"", None)
    ((request_id, tenant, name, qualifier, kept, context, trace, depth),) = acceptance.events
    assert (reply.get("x-amzn-requestid"), tenant, name) == (request_id, "000000000000", "hello")
    assert (qualifier, kept, context, depth) == ("$LATEST", body, b"\xc0", 4)
    assert trace == "Root=1;Lineage=4:0:0"
    assert not house.invoker.submitted
    assert [target.name for target in house.invoker.admitted] == ["hello"]


async def test_event_that_is_not_durable_is_never_202(house: House) -> None:
    house.door.acceptance = Acceptance(WorkerLost("the keeper is not there"))
    await refused(house, invoke(Invocation_Type="Event"), 503, "ServiceException")
    house.door.acceptance = Acceptance(Throttled("Rate Exceeded", "CallerRateLimitExceeded"))
    reason = "CallerRateLimitExceeded"
    await refused(house, invoke(Invocation_Type="Event"), 429, "TooManyRequestsException", Reason=reason)


async def test_event_over_a_mebibyte_is_refused(house: House) -> None:
    house.door.acceptance = acceptance = Acceptance()
    body = b'"' + b"x" * (limits.EVENT_BYTES_MAX - 1) + b'"'
    message = "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    data = invoke(body=body, Invocation_Type="Event")
    await refused(house, data, 413, "RequestTooLargeException", message=message)
    assert not acceptance.events


async def test_chain_of_functions_is_counted_and_ends(open_house: Opener) -> None:
    house = await open_house(script=returns(1))
    for depth, status in ((3, 200), (limits.INVOKE_DEPTH_MAX, 400)):
        head = f"X-Amzn-Trace-Id: Root=1;Lineage={depth}:0:0\r\nHost:".encode()
        reply = await house.ask(invoke().replace(b"Host:", head))
        assert reply.status == status
    assert reply.get("x-amzn-errortype") == "RecursiveInvocationException"
    (invocation,) = house.invoker.submitted
    assert invocation.depth == 3
    assert "Lineage=4:" in invocation.trace_id
