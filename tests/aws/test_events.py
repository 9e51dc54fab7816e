"""EventBridge's rules as boto3 speaks to them, and what they fire: a server in one process, and real guests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from asynchronous import TENANT, Running, running
from isolet.aws.events import EventsService
from isolet.aws.service import Call
from isolet.clock import ManualClock
from isolet.errors import IsoletError
from isolet.storage.queue import Books
from keeping import running_keeper

pytestmark = pytest.mark.anyio

OTHER = "111111111111"
RULE_ARN = f"arn:aws:events:us-east-1:{TENANT}:rule/r"
RATE = "rate(1 minute)"


def function(name: str = "f", tenant: str = TENANT) -> str:
    return f"arn:aws:lambda:us-east-1:{tenant}:function:{name}"


class Events:
    """boto3's client, in a thread, against a running server."""

    def __init__(self, isolet: Running) -> None:
        self.isolet = isolet
        self.client = boto3.client(
            *("events", "us-east-1"),
            endpoint_url=isolet.server.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.isolet.ask(getattr(self.client, operation), **members)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return answer

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as refused:
            await self(operation, **members)
        error = refused.value.response["Error"]
        return error["Code"], error["Message"]

    async def pages(self, operation: str, **members: Any) -> list[list[Any]]:
        pages, token = [], {}
        while True:
            answer = await self(operation, Limit=2, **members, **token)
            (items,) = (value for value in answer.values() if isinstance(value, list))
            pages.append(items)
            if "NextToken" not in answer:
                return pages
            token = {"NextToken": answer["NextToken"]}


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Events]:
    async with running(directory) as isolet:
        yield Events(isolet)


async def test_rules_life_from_put_to_delete(tmp_path: Path) -> None:
    async with served(tmp_path) as events:
        given = {"ScheduleExpression": RATE, "Description": "d", "RoleArn": "arn:aws:iam::1:role/r"}
        assert await events("put_rule", Name="r", **given, Tags=[{"Key": "k", "Value": "v"}]) == {"RuleArn": RULE_ARN}
        rule = {"Name": "r", "Arn": RULE_ARN, "EventBusName": "default", "State": "ENABLED", **given}
        assert await events("describe_rule", Name="r") == rule | {"CreatedBy": TENANT}
        assert await events("list_rules") == {"Rules": [rule]}
        assert await events("list_rules", NamePrefix="s") == {"Rules": []}
        await events("disable_rule", Name="r")
        assert (await events("describe_rule", Name="r"))["State"] == "DISABLED"
        await events("enable_rule", Name="r", EventBusName="default")
        bus = f"arn:aws:events:us-east-1:{TENANT}:event-bus/default"
        assert (await events("describe_rule", Name="r", EventBusName=bus))["State"] == "ENABLED"

        targets = [{"Id": "a", "Arn": function("f:live"), "Input": '{"a": 1}'}, {"Id": "b", "Arn": function()}]
        assert await events("put_targets", Rule="r", Targets=targets) == {"FailedEntryCount": 0, "FailedEntries": []}
        assert await events("list_targets_by_rule", Rule="r") == {"Targets": targets}
        assert await events("list_rule_names_by_target", TargetArn=function()) == {"RuleNames": ["r"]}
        assert await events("list_rule_names_by_target", TargetArn=function("g")) == {"RuleNames": []}
        refusal = ("ValidationException", "Rule can't be deleted since it has targets.")
        assert await events.refused("delete_rule", Name="r") == refusal
        failed = await events("remove_targets", Rule="r", Ids=["a", "b", "c"])
        assert (failed["FailedEntryCount"], failed["FailedEntries"][0]["TargetId"]) == (1, "c")

        await events("tag_resource", ResourceARN=RULE_ARN, Tags=[{"Key": "l", "Value": ""}])
        await events("untag_resource", ResourceARN=RULE_ARN, TagKeys=["k"])
        tags = {"Tags": [{"Key": "l", "Value": ""}]}
        assert await events("list_tags_for_resource", ResourceARN=RULE_ARN) == tags
        await events("delete_rule", Name="r")
        await events("delete_rule", Name="r")
        unknown = ("ResourceNotFoundException", "Rule r does not exist on EventBus default.")
        assert await events.refused("describe_rule", Name="r") == unknown
        assert await events.refused("list_tags_for_resource", ResourceARN=RULE_ARN) == unknown


async def test_what_is_not_served_is_refused_by_name(tmp_path: Path) -> None:
    async with served(tmp_path) as events:
        await events("put_rule", Name="r", ScheduleExpression=RATE)
        code, message = await events.refused("put_rule", Name="p", EventPattern='{"source": ["a"]}')
        assert (code, "EventPattern" in message) == ("ValidationException", True)
        state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        assert state in (await events.refused("put_rule", Name="p", ScheduleExpression=RATE, State=state))[1]
        for operation, members in [
            ("describe_rule", {"Name": "r"}),
            ("list_rules", {}),
            ("put_rule", {"Name": "r", "EventPattern": "{}"}),
            ("put_targets", {"Rule": "r", "Targets": [{"Id": "a", "Arn": function()}]}),
        ]:
            refusal = ("ResourceNotFoundException", "Event bus mine does not exist.")
            assert await events.refused(operation, **members, EventBusName="mine") == refusal
        queue = {"Id": "a", "Arn": f"arn:aws:sqs:us-east-1:{TENANT}:q"}
        assert "targets of sqs" in (await events.refused("put_targets", Rule="r", Targets=[queue]))[1]
        path = {"Id": "a", "Arn": function(), "InputPath": "$.detail"}
        assert "InputPath" in (await events.refused("put_targets", Rule="r", Targets=[path]))[1]
        assert "CreateEventBus" in (await events.refused("create_event_bus", Name="mine"))[1]
        assert await events("list_targets_by_rule", Rule="r") == {"Targets": []}


async def test_bad_input_is_refused_in_eventbridges_words(tmp_path: Path) -> None:
    async with served(tmp_path) as events:
        await events("put_rule", Name="r", ScheduleExpression=RATE)
        invalid = "ValidationException"
        for expression in ("rate(1 minutes)", "rate(0 minutes)", "cron(* * * * * *)", "cron(0 12)", "at(2030-01-01)"):
            refusal = (invalid, "Parameter ScheduleExpression is not valid.")
            assert await events.refused("put_rule", Name="x", ScheduleExpression=expression) == refusal
        refusal = (invalid, "Parameter(s) EventPattern or ScheduleExpression must be specified.")
        assert await events.refused("put_rule", Name="x") == refusal
        refusal = (invalid, "ScheduleExpression is supported only on the default event bus.")
        assert await events.refused("put_rule", Name="x", ScheduleExpression=RATE, EventBusName="mine") == refusal
        assert "at 'name' failed to satisfy constraint" in (await events.refused("describe_rule", Name="a b"))[1]

        async def put(**target: Any) -> tuple[str, str]:
            return await events.refused("put_targets", Rule="r", Targets=[{"Id": "a", "Arn": function(), **target}])

        for arn in ("f", "arn:aws:lambda:us-east-1:function:f", function("a b"), function().replace("east", "west")):
            refusal = (invalid, f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
            assert await put(Arn=arn) == refusal
        for text in ("{", "hello", "NaN", "[" * 5_000):
            assert await put(Input=text) == (invalid, "JSON syntax error in input for target a")
        code, message = await put(Arn=function(tenant=OTHER))
        assert (code, "Adding cross-account target is not permitted." in message) == ("AccessDeniedException", True)
        many = [{"Id": f"t{number}", "Arn": function()} for number in range(6)]
        refusal = ("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
        assert await events.refused("put_targets", Rule="r", Targets=many) == refusal
        assert (await events.refused("list_rules", NextToken="x"))[0] == invalid


async def test_lists_come_in_pages(tmp_path: Path) -> None:
    async with served(tmp_path) as events:
        targets = [{"Id": name, "Arn": function()} for name in "abc"]
        for name in ("q", "r", "s"):
            await events("put_rule", Name=name, ScheduleExpression=RATE)
            await events("put_targets", Rule=name, Targets=targets)
        rules = await events.pages("list_rules")
        assert [[rule["Name"] for rule in page] for page in rules] == [["q", "r"], ["s"]]
        assert await events.pages("list_targets_by_rule", Rule="q") == [targets[:2], targets[2:]]
        assert await events.pages("list_rule_names_by_target", TargetArn=function()) == [["q", "r"], ["s"]]


async def test_account_sees_no_rule_of_another(tmp_path: Path) -> None:
    async with running_keeper(tmp_path) as keeper:
        operations = EventsService(keeper.schedules, ManualClock()).service().operations

        async def ask(tenant: str, operation: str, **members: Any) -> Any:
            return await operations[operation](Call(tenant, "id", "http://x", members, operation))

        await ask(TENANT, "PutRule", Name="r", ScheduleExpression=RATE)
        await ask(TENANT, "PutTargets", Rule="r", Targets=[{"Id": "a", "Arn": function()}])
        assert (await ask(OTHER, "ListRules"))["Rules"] == []
        assert (await ask(OTHER, "ListRuleNamesByTarget", TargetArn=function()))["RuleNames"] == []
        for name in ("r", "none"):
            arn = RULE_ARN[:-1] + name
            for operation, members in [
                ("DescribeRule", {"Name": name}),
                ("EnableRule", {"Name": name}),
                ("DisableRule", {"Name": name}),
                ("ListTargetsByRule", {"Rule": name}),
                ("PutTargets", {"Rule": name, "Targets": [{"Id": "b", "Arn": function(tenant=OTHER)}]}),
                ("RemoveTargets", {"Rule": name, "Ids": ["a"]}),
                ("ListTagsForResource", {"ResourceARN": arn}),
                ("TagResource", {"ResourceARN": arn, "Tags": []}),
                ("UntagResource", {"ResourceARN": arn, "TagKeys": ["k"]}),
            ]:
                with pytest.raises(IsoletError) as refused:
                    await ask(OTHER, operation, **members)
                assert refused.value.message == f"Rule {name} does not exist on EventBus default."
        await ask(OTHER, "PutRule", Name="r", ScheduleExpression="rate(1 hour)", State="DISABLED")
        assert (await ask(TENANT, "DescribeRule", Name="r"))["ScheduleExpression"] == RATE
        assert len((await ask(TENANT, "ListTargetsByRule", Rule="r"))["Targets"]) == 1


async def test_rate_of_one_minute_invokes_its_function_each_minute(tmp_path: Path) -> None:
    async with served(tmp_path) as events:
        isolet, trigger = events.isolet, events.isolet.server.keeper.schedule_trigger
        await isolet.deploy("answers")
        fires: asyncio.Queue[None] = asyncio.Queue()
        hand_over = trigger._hand_over

        async def noticed(*arguments: Any) -> None:
            await hand_over(*arguments)
            fires.put_nowait(None)

        trigger._hand_over = noticed
        await events("put_rule", Name="r", ScheduleExpression=RATE)
        await events("put_targets", Rule="r", Targets=[{"Id": "a", "Arn": function("answers")}])
        # From here on the trigger alone lives ahead: a minute passes at once.
        rule = await isolet.server.keeper.schedules.rule(TENANT, "r")
        clock = trigger._clock = ManualClock(rule.standing.anchor_s)
        for minute in range(1, 4):
            clock.advance(60)
            trigger.wake()
            async with asyncio.timeout(60):
                await fires.get()
            await isolet.settled()
            assert await isolet.asynchronous.books(TENANT, "answers") == Books(minute, minute, 0, 0, 0)
        await events("disable_rule", Name="r")
        assert await isolet.server.keeper.schedules.armed() == []
