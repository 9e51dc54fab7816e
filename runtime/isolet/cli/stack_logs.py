"""A stack's log groups: how long their lines are kept. Remembered by the tag `isolet-stack`.

Law: lines are never deleted. Functions log to their groups with and without a stack; a group that a template no longer
has keeps its lines as by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..stack.functions import STACK_TAG
from ..stack.plans import LogGroupPlan
from .client import Client, Refused


def put(client: Client, plan: LogGroupPlan, stack: str) -> None:
    """The group is there, is the stack's, and keeps its lines for as long as is asked."""
    group = {"logGroupName": plan.name}
    try:
        client.log_groups("CreateLogGroup", {**group, "tags": {STACK_TAG: stack}})
    except Refused as refusal:
        if refusal.kind != "ResourceAlreadyExistsException":
            raise
        client.log_groups("TagLogGroup", {**group, "tags": {STACK_TAG: stack}})
    if plan.retention_days is None:
        client.log_groups("DeleteRetentionPolicy", group)
    else:
        client.log_groups("PutRetentionPolicy", {**group, "retentionInDays": plan.retention_days})


def forget(client: Client, name: str) -> None:
    client.log_groups("DeleteRetentionPolicy", {"logGroupName": name})
    client.log_groups("UntagLogGroup", {"logGroupName": name, "tags": [STACK_TAG]})


def groups_of(client: Client, stack: str) -> Iterator[str]:
    """The names of a stack's log groups."""
    for group in _groups(client):
        tags = client.log_groups("ListTagsLogGroup", {"logGroupName": group["logGroupName"]})["tags"]
        if tags.get(STACK_TAG) == stack:
            yield group["logGroupName"]


def _groups(client: Client) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        page = client.log_groups("DescribeLogGroups", {"nextToken": token} if token else {})
        yield from page["logGroups"]
        token = page.get("nextToken", "")
        if not token:
            return
