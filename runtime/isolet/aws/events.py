"""Amazon EventBridge's operations on rules that fire by the clock (storage/schedules.py).

Served: rules with a ScheduleExpression on the bus "default", whose targets are functions of the account, each with an
Input or with the event itself. Event patterns, other buses, other targets and what else a target may have are refused
by name.

Law: an account sees its own rules only; a rule, bus or function of another's is answered as one that does not exist, or
may not be a target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .. import cron
from ..clock import Clock
from ..errors import AccessDenied, InvalidParameter, UnknownResource, UnsupportedOperation, ValidationFailed
from ..model import REGION
from ..storage.schedules import Rule, Schedules, Target, unknown_rule
from . import tokens
from .service import Call, Service

T = TypeVar("T")
Row = dict[str, Any]

BUS = "default"
_STATES = {True: "ENABLED", False: "DISABLED"}
_PAGE_MAX = 100
_RULE_ARN = re.compile(r"arn:aws:events:([a-z0-9-]+):(\d{12}):rule/(.+)", re.ASCII)
_TARGET_ARN = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]+):([a-z0-9-]*):(\d{12}|):(.+)", re.ASCII)
_FUNCTION = re.compile(r"function:[a-zA-Z0-9-_]{1,64}(:(\$LATEST|[a-zA-Z0-9-_]{1,128}))?", re.ASCII)
_TARGET_MEMBERS = frozenset({"Id", "Arn", "RoleArn", "Input"})

# EventBridge's own names of our errors.
_NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "ValidationException",
    "ServiceException": "InternalException",
    "ServiceUnavailableException": "InternalException",
    "TooManyRequestsException": "ThrottlingException",
}


class EventsService:
    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock

    def service(self) -> Service:
        operations = {
            "PutRule": self._put_rule,
            "DescribeRule": self._describe_rule,
            "ListRules": self._list_rules,
            "EnableRule": self._enable_rule,
            "DisableRule": self._disable_rule,
            "DeleteRule": self._delete_rule,
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "ListTargetsByRule": self._list_targets,
            "ListRuleNamesByTarget": self._list_names,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }
        return Service("events", operations, _NAMES)

    # ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _put_rule(self, call: Call) -> Row:
        name, expression, state = call["Name"], call.get("ScheduleExpression", ""), call.get("State", "ENABLED")
        if not expression and not call.get("EventPattern"):
            raise ValidationFailed("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if expression and _bus(call) != BUS:
            raise ValidationFailed("ScheduleExpression is supported only on the default event bus.")
        _require_bus(call)
        if call.get("EventPattern"):
            raise UnsupportedOperation("EventPattern is not served by this version of isolet; use ScheduleExpression")
        if state not in _STATES.values():
            raise UnsupportedOperation(f"State {state} is not served by this version of isolet; use ENABLED")
        cron.parse(expression)
        await self._schedules.put(
            *(call.tenant, name, expression, self._clock.wall_s()),
            enabled=state == "ENABLED",
            description=call.get("Description", ""),
            role=call.get("RoleArn", ""),
            tags={tag["Key"]: tag["Value"] for tag in call.get("Tags", ())},
        )
        return {"RuleArn": (await self._schedules.rule(call.tenant, name)).arn}

    async def _describe_rule(self, call: Call) -> Row:
        _require_bus(call)
        return _shape(await self._schedules.rule(call.tenant, call["Name"])) | {"CreatedBy": call.tenant}

    async def _list_rules(self, call: Call) -> Row:
        _require_bus(call)
        prefix = call.get("NamePrefix", "")
        rules = [rule for rule in await self._schedules.rules(call.tenant) if rule.name.startswith(prefix)]
        return _page(call, "Rules", rules, lambda rule: rule.name, _shape)

    async def _enable_rule(self, call: Call) -> None:
        _require_bus(call)
        await self._schedules.switch(call.tenant, call["Name"], True, self._clock.wall_s())

    async def _disable_rule(self, call: Call) -> None:
        _require_bus(call)
        await self._schedules.switch(call.tenant, call["Name"], False, self._clock.wall_s())

    async def _delete_rule(self, call: Call) -> None:
        _require_bus(call)
        await self._schedules.delete(call.tenant, call["Name"])

    # ── targets ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _put_targets(self, call: Call) -> Row:
        _require_bus(call)
        targets = [_target(call, given) for given in call["Targets"]]
        await self._schedules.put_targets(call.tenant, call["Rule"], targets)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def _remove_targets(self, call: Call) -> Row:
        _require_bus(call)
        rule = call["Rule"]
        failed = [
            {
                "TargetId": id,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": f"Rule '{rule}' does not have a target with the Id '{id}'.",
            }
            for id in await self._schedules.remove_targets(call.tenant, rule, call["Ids"])
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def _list_targets(self, call: Call) -> Row:
        _require_bus(call)
        targets = await self._schedules.targets(call.tenant, call["Rule"])
        return _page(call, "Targets", targets, lambda target: target.id, _target_shape)

    async def _list_names(self, call: Call) -> Row:
        _require_bus(call)
        names = await self._schedules.names_by_target(call.tenant, call["TargetArn"])
        return _page(call, "RuleNames", names, str, str)

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tag(self, call: Call) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in call["Tags"]}
        await self._schedules.tag(call.tenant, _rule_of(call), tags)

    async def _untag(self, call: Call) -> None:
        await self._schedules.tag(call.tenant, _rule_of(call), {}, call["TagKeys"])

    async def _list_tags(self, call: Call) -> Row:
        tags = await self._schedules.tags(call.tenant, _rule_of(call))
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def _bus(call: Call) -> str:
    """The name of the bus; an ARN that is not the account's own stays one."""
    given: str = call.get("EventBusName", BUS)
    return given.removeprefix(f"arn:aws:events:{REGION}:{call.tenant}:event-bus/")


def _require_bus(call: Call) -> None:
    if _bus(call) != BUS:
        raise UnknownResource(f"Event bus {_bus(call).rpartition('event-bus/')[2]} does not exist.")


def _rule_of(call: Call) -> str:
    """The rule that a ResourceARN names."""
    arn = call["ResourceARN"]
    match = _RULE_ARN.fullmatch(arn)
    if match is None:
        raise ValidationFailed(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
    region, tenant, name = match.groups()
    if (region, tenant) != (REGION, call.tenant):
        raise unknown_rule(name)
    return name


def _target(call: Call, given: Mapping[str, Any]) -> Target:
    id, arn, text = given["Id"], given["Arn"], given.get("Input")
    match = _TARGET_ARN.fullmatch(arn)
    if match is None:
        raise ValidationFailed(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
    service, region, tenant, resource = match.groups()
    if service != "lambda":
        raise UnsupportedOperation(
            f"targets of {service} are not served by this version of isolet; use a function's ARN"
        )
    if tenant != call.tenant:
        raise AccessDenied(
            f"Access to the resource {arn} is denied. Reason: Adding cross-account target is not permitted."
        )
    if region != REGION or not _FUNCTION.fullmatch(resource):
        raise ValidationFailed(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
    for member in given:
        if member not in _TARGET_MEMBERS:
            raise UnsupportedOperation(f"{member} of a target is not served by this version of isolet; leave it out")
    if text is not None and not _is_json(text):
        raise ValidationFailed(f"JSON syntax error in input for target {id}")
    return Target(id, arn, text, given.get("RoleArn", ""))


def _is_json(text: str) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
        text.encode()
    except (ValueError, RecursionError):
        return False
    return True


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _shape(rule: Rule) -> Row:
    return {
        "Name": rule.name,
        "Arn": rule.arn,
        "ScheduleExpression": rule.expression,
        "State": _STATES[rule.enabled],
        "Description": rule.description or None,
        "RoleArn": rule.role or None,
        "EventBusName": BUS,
    }


def _target_shape(target: Target) -> Row:
    return {"Id": target.id, "Arn": target.arn, "RoleArn": target.role or None, "Input": target.input}


def _page(
    call: Call, member: str, items: Sequence[T], key: Callable[[T], str], shape: Callable[[T], Any]
) -> dict[str, Any]:
    """A page of items, which are all there are, in the order of their keys."""
    if "NextToken" in call:
        after = tokens.decode(
            call.operation, call["NextToken"], InvalidParameter("The specified NextToken is invalid.")
        )
        items = [item for item in items if key(item) > str(after)]
    count = call.get("Limit", _PAGE_MAX)
    more = tokens.encode(call.operation, key(items[count - 1])) if len(items) > count else None
    return {member: [shape(item) for item in items[:count]], "NextToken": more}
