"""A stack's schedules: rules of EventBridge's, remembered by the tag `isolet-stack`.

Law: a rule that is not of the stack is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..stack.functions import STACK_TAG
from ..stack.plans import RulePlan
from .client import Client, Refused


def is_foreign(client: Client, name: str, stack: str) -> bool:
    """Whether there is a rule of that name which is not of the stack."""
    rule = _found(client, name)
    return rule is not None and _stack_of(client, rule) != stack


def put(client: Client, plan: RulePlan, stack: str) -> tuple[str, str]:
    """(its ARN, "created", "updated" or "unchanged")."""
    rule = _found(client, plan.name)
    targets = [] if rule is None else client.events("ListTargetsByRule", {"Rule": plan.name})["Targets"]
    wanted = sorted(plan.targets, key=lambda target: target["Id"])
    same_rule = rule is not None and all((rule.get(name) or "") == value for name, value in plan.body.items())
    if not same_rule:
        tags = [{"Key": STACK_TAG, "Value": stack}]
        client.events("PutRule", {"Name": plan.name, **plan.body, "Tags": tags})
    if targets != wanted:
        if surplus := [target["Id"] for target in targets if target["Id"] not in {each["Id"] for each in wanted}]:
            client.events("RemoveTargets", {"Rule": plan.name, "Ids": surplus})
        if wanted:
            client.events("PutTargets", {"Rule": plan.name, "Targets": wanted})
    arn = client.events("DescribeRule", {"Name": plan.name})["Arn"]
    return arn, "created" if rule is None else "unchanged" if same_rule and targets == wanted else "updated"


def remove(client: Client, name: str) -> None:
    targets = client.events("ListTargetsByRule", {"Rule": name})["Targets"]
    if targets:
        client.events("RemoveTargets", {"Rule": name, "Ids": [target["Id"] for target in targets]})
    client.events("DeleteRule", {"Name": name})


def rules_of(client: Client, stack: str) -> Iterator[str]:
    """The names of a stack's rules."""
    token = ""
    while True:
        page = client.events("ListRules", {"NextToken": token} if token else {})
        for rule in page["Rules"]:
            if _stack_of(client, rule) == stack:
                yield rule["Name"]
        token = page.get("NextToken", "")
        if not token:
            return


def _found(client: Client, name: str) -> dict[str, Any] | None:
    try:
        return client.events("DescribeRule", {"Name": name})
    except Refused as refusal:
        if refusal.kind != "ResourceNotFoundException":
            raise
        return None


def _stack_of(client: Client, rule: dict[str, Any]) -> str:
    tags = client.events("ListTagsForResource", {"ResourceARN": rule["Arn"]})["Tags"]
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == STACK_TAG), "")
