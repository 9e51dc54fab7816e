"""Destinations and dead letters, delivered to a real server of AWS's other services."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from asynchronous import TENANT, Running, running
from elsewhere import ACCOUNT, REGION, Elsewhere
from isolet import limits, quota
from isolet.aws_clients import Clients
from isolet.config import AwsClients
from isolet.destinations import Destinations, kind_of
from isolet.errors import InvalidParameter, StorageUnavailable
from isolet.storage.outbox import Posted
from isolet.storage.queue import Books

pytestmark = pytest.mark.anyio

ARN = f"arn:aws:lambda:us-east-1:{TENANT}:function:"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.close()


async def configure(isolet: Running, name: str, **destinations: str) -> None:
    given = {member: {"Destination": arn} for member, arn in destinations.items()}
    put = isolet.cloud.client.put_function_event_invoke_config
    await isolet.ask(put, FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=given)


async def test_success_is_told_to_a_queue(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("success")
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        await isolet.deploy("answers")
        await configure(isolet, "answers", OnSuccess=queue)
        request_id = await isolet.send("answers", b'{"a": 1}')
        (message,) = await isolet.ask(elsewhere.messages, queue)
    record = json.loads(message["Body"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}answers:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": 1,
    }


async def test_exhausted_event_becomes_a_dead_letter(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("dead")
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        await isolet.deploy("raises", DeadLetterConfig={"TargetArn": queue})
        request_id = await isolet.send("raises", b' {"a" : 1} ')
        (message,) = await isolet.ask(elsewhere.messages, queue)
        assert await isolet.asynchronous.books() == Books(1, 0, 1, 0, 0)
    assert message["Body"] == ' {"a" : 1} '
    attributes = message["MessageAttributes"]
    assert {name: (of["DataType"], of["StringValue"]) for name, of in attributes.items()} == {
        "RequestID": ("String", request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "no"),
    }


async def test_failure_is_told_to_a_topic(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("of-topic")
    sns = elsewhere.client("sns")
    topic = sns.create_topic(Name="failures")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        await isolet.deploy("raises")
        await configure(isolet, "raises", OnFailure=topic)
        await isolet.send("raises")
        (message,) = await isolet.ask(elsewhere.messages, queue)
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"] == "no"


async def test_both_ends_are_told_to_a_bus(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("of-bus")
    events = elsewhere.client("events")
    bus = events.create_event_bus(Name="ends")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="ends", EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="all", EventBusName="ends", Targets=[{"Id": "1", "Arn": queue}])
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        for name in ("answers", "raises"):
            await isolet.deploy(name)
            await configure(isolet, name, OnSuccess=bus, OnFailure=bus)
            await isolet.send(name)
        messages = await isolet.ask(elsewhere.messages, queue, 2)
    seen = {}
    for body in (json.loads(message["Body"]) for message in messages):
        assert body["source"] == "lambda"
        assert body["resources"] == [bus, body["detail"]["requestContext"]["functionArn"]]
        seen[body["detail-type"]] = body["detail"]["requestContext"]["condition"]
    assert seen == {
        "Lambda Function Invocation Result - Success": "Success",
        "Lambda Function Invocation Result - Failure": "RetriesExhausted",
    }


async def test_failure_is_kept_in_a_bucket(tmp_path: Path, elsewhere: Elsewhere) -> None:
    s3 = elsewhere.client("s3")
    s3.create_bucket(Bucket="failures")
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        await isolet.deploy("raises")
        await configure(isolet, "raises", OnFailure="arn:aws:s3:::failures")
        request_id = await isolet.send("raises")
        await isolet.settled()
        while not (found := (await isolet.ask(s3.list_objects_v2, Bucket="failures")).get("Contents")):
            await asyncio.sleep(0.02)
    (key,) = [each["Key"] for each in found]
    day = r"\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d"
    assert re.fullmatch(rf"aws/lambda/async/raises/{day}-[0-9a-f-]{{36}}", key)
    record = json.loads(s3.get_object(Bucket="failures", Key=key)["Body"].read())
    assert record["requestContext"]["requestId"] == request_id


async def test_function_is_told_by_an_invocation_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await isolet.deploy("answers", "listens")
        await configure(isolet, "answers", OnSuccess=f"{ARN}listens")
        for _ in range(3):
            await isolet.send("answers")
        while (await isolet.asynchronous.books(TENANT, "listens")).succeeded < 3:
            await asyncio.sleep(0.02)
        assert await isolet.asynchronous.books(TENANT, "listens") == Books(3, 3, 0, 0, 0)
        assert (await isolet.asynchronous.books()).balance == 0


async def test_functions_that_tell_each_other_for_ever_are_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await configure(isolet, "answers", OnSuccess=f"{ARN}answers")
        await isolet.send("answers")
        while (await isolet.asynchronous.books()).dead_lettered == 0:
            await asyncio.sleep(0.02)
        assert await isolet.asynchronous.books() == Books(17, 16, 1, 0, 0)


async def test_what_could_not_be_told_is_told_after_a_restart(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("later")
    nobody = AwsClients(endpoint_sqs="http://127.0.0.1:9")
    async with running(tmp_path, aws=nobody) as isolet:
        await isolet.deploy("answers")
        await configure(isolet, "answers", OnSuccess=queue)
        sent = {await isolet.send("answers") for _ in range(3)}
        await isolet.settled()
    async with running(tmp_path, aws=elsewhere.config):
        messages = await asyncio.to_thread(elsewhere.messages, queue, 3)
    assert {json.loads(message["Body"])["requestContext"]["requestId"] for message in messages} == sent


async def test_destination_that_takes_nothing_holds_up_nobody_else(tmp_path: Path, elsewhere: Elsewhere) -> None:
    queue = elsewhere.queue("works")
    async with running(tmp_path, aws=elsewhere.config) as isolet:
        await isolet.deploy("answers")
        await isolet.deploy("answers", "astray")
        await configure(isolet, "answers", OnSuccess=queue)
        await configure(isolet, "astray", OnSuccess=queue_of("nowhere"))
        for _ in range(20):
            await isolet.send("astray")
        await isolet.send("answers")
        await isolet.ask(elsewhere.messages, queue)
        await isolet.settled()
        while isolet.server.keeper.deliveries.untold[TENANT] > 20:
            await asyncio.sleep(0.01)
        assert isolet.server.keeper.deliveries.untold[TENANT] == 20
        # Found once it is made: the probe passes, and the others follow.
        await isolet.ask(elsewhere.queue, "nowhere")
        await isolet.ask(elsewhere.messages, queue_of("nowhere"), 20)


async def test_untold_ends_count_as_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(quota.DEFAULTS, "events", 2)  # type: ignore[arg-type]
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await configure(isolet, "answers", OnSuccess=queue_of("nowhere"))
        await isolet.send("answers")
        await isolet.send("answers")
        await isolet.settled()
        with pytest.raises(ClientError) as refused:
            await isolet.send("answers")
        assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
        monkeypatch.setattr(limits, "DELIVERY_AGE_S", -1)
        await isolet.server.keeper.deliveries.sweep()
        await isolet.send("answers")


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────


def posted(destination: str, **changes: Any) -> Posted:
    return Posted(1, TENANT, "f", destination, "id", "", "", 0, 0, 0, 0, b"{}")._replace(**changes)


def queue_of(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def test_refused_message_is_told_apart_from_a_destination_that_takes_none(elsewhere: Elsewhere) -> None:
    sender = Destinations(Clients(elsewhere.config))
    queue = elsewhere.queue("refuses")
    with pytest.raises(InvalidParameter, match="refused: "):
        sender.send(posted(queue, body=b"x" * 2_000_000))
    with pytest.raises(StorageUnavailable, match="NonExistentQueue"):
        sender.send(posted(queue_of("neither")))
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        Destinations(Clients(AwsClients(endpoint_sqs="http://127.0.0.1:9"))).send(posted(queue_of("q")))


def test_service_without_endpoint_is_said_with_the_cure() -> None:
    with pytest.raises(StorageUnavailable, match=r"set aws\.endpoint_sqs"):
        Destinations(Clients(AwsClients())).send(posted(queue_of("q")))


@pytest.mark.parametrize(
    ("destination", "kind"),
    [
        (f"{ARN}f:live", "lambda"),
        ("arn:aws:s3:::bucket", "s3"),
        ("arn:aws:events:us-east-1:123456789012:event-bus/default", "events"),
        ("nonsense", ""),
    ],
)
def test_kind_of_a_destination_is_in_its_arn(destination: str, kind: str) -> None:
    assert kind_of(destination) == kind
