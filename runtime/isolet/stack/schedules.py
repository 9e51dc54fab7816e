"""Rules that fire by the clock, as EventBridge's requests, from rules and from SAM's events of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import cron
from ..errors import TemplateInvalid, ValidationFailed
from .members import Members

# (members, name of one): it is not mapped.
Miss = Callable[[Members, str], None]


def is_scheduled(properties: Any) -> bool:
    """Whether a rule has a schedule; others wait for events that do not come here."""
    return "ScheduleExpression" in properties or "Schedule" in properties


def rule(given: Members, miss: Miss) -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    """(PutRule's members but for the name, the targets). `Schedule`, `Enabled` and `Input` are SAM's. Raises
    TemplateInvalid."""
    member = "Schedule" if "Schedule" in given else "ScheduleExpression"
    expression = given.required(member)
    try:
        cron.parse(expression)
    except ValidationFailed as error:
        raise TemplateInvalid(f"{given.at(member)}: {expression!r}: {error.message}") from None
    state = given.text("State", "DISABLED" if given.truth("Enabled") is False else "ENABLED")
    if given.get("FlexibleTimeWindow") not in (None, {"Mode": "OFF"}):
        miss(given, "FlexibleTimeWindow")
    if given.text("ScheduleExpressionTimezone", "UTC") not in ("UTC", "Etc/UTC"):
        raise TemplateInvalid(f"{given.at('ScheduleExpressionTimezone')}: schedules are in UTC here")
    body = {"ScheduleExpression": expression, "State": state, "Description": given.text("Description")}
    given.ignore("RoleArn", "EventBusName", "Tags")
    return body, _targets(given, miss)


def _targets(given: Members, miss: Miss) -> tuple[dict[str, str], ...]:
    written = given.get("Targets")
    if not isinstance(written, list):
        raise TemplateInvalid(f"{given.at('Targets')}: this is a list")
    targets = []
    for number, item in enumerate(written):
        read = Members(item, f"{given.at('Targets')}[{number}]")
        target = {"Id": read.required("Id"), "Arn": read.required("Arn")}
        if "Input" in read or "Input" in given:
            target["Input"] = read.text("Input") or given.text("Input")
        read.ignore("RoleArn")
        for name in read.unread():
            miss(read, name)
        targets.append(target)
    return tuple(targets)
