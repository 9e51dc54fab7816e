"""CloudWatch Logs' operations on what functions said. The lines are storage/logs.py's.

Served: DescribeLogGroups, DescribeLogStreams, FilterLogEvents, GetLogEvents, DeleteLogGroup; the group of a function is
`/aws/lambda/<name>`.

Laws:
- An event's id is its place, 56 digits as AWS's: ids grow in the order in which lines were taken in. So the largest id
  that a reader saw is also the token to go on from, whenever more has come: that is how to follow a log.
- A page is in the order of the events' times; pages follow each other in the order of intake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .. import limits
from ..deployments import Deployments
from ..errors import InvalidParameter, UnknownFunction
from ..filter_pattern import compile_pattern
from ..model import REGION
from ..storage.logs import END, START, Event, Logs, Place
from . import tokens
from .service import Call, Service
from .validate import null, refusal

_GROUP = "/aws/lambda/"
_LINES_BITS = 24  # a segment has fewer than 16 million lines: it has 4 MiB at most
_TIME_MAX_MS = 2**53
_PAGE_MAX = 50  # Precedent: of groups and streams.

# CloudWatch Logs' own names of our errors. What fails validation is an invalid parameter to it, too.
_NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "InvalidParameterException",
    "ValidationException": "InvalidParameterException",
    "ServiceException": "ServiceUnavailableException",
    "TooManyRequestsException": "ThrottlingException",
}


class LogsService:
    def __init__(self, logs: Logs, deployments: Deployments) -> None:
        self._logs = logs
        self._deployments = deployments

    def service(self) -> Service:
        operations = {
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
            "DeleteLogGroup": self._delete,
        }
        return Service("logs", operations, _NAMES)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _describe_groups(self, call: Call) -> dict[str, Any]:
        prefix, limit = call.get("logGroupNamePrefix", ""), call.get("limit", _PAGE_MAX)
        groups = [
            {
                "logGroupName": group.name,
                "creationTime": group.created_ms,
                "metricFilterCount": 0,
                "arn": f"{_arn(call.tenant, group.name)}:*",
                "storedBytes": group.bytes,
                "logGroupClass": "STANDARD",
                "logGroupArn": _arn(call.tenant, group.name),
            }
            for group in await self._logs.groups(call.tenant)
            if group.name.startswith(prefix)
        ]
        return _paged(call, "logGroups", groups, "logGroupName", limit)

    async def _describe_streams(self, call: Call) -> dict[str, Any]:
        name, prefix, limit = _group(call), call.get("logStreamNamePrefix", ""), call.get("limit", _PAGE_MAX)
        await self._require_group(call.tenant, name)
        streams: list[dict[str, Any]] = [
            {
                "logStreamName": stream.name,
                "creationTime": stream.created_ms,
                "firstEventTimestamp": stream.first_ms,
                "lastEventTimestamp": stream.last_ms,
                "lastIngestionTime": stream.taken_ms,
                "arn": f"{_arn(call.tenant, name)}:log-stream:{stream.name}",
                "storedBytes": stream.bytes,
            }
            for stream in await self._logs.streams(call.tenant, name)
            if stream.name.startswith(prefix)
        ]
        descending = call.get("descending", False)
        if call.get("orderBy") == "LastEventTime":
            streams.sort(key=lambda stream: stream["lastEventTimestamp"], reverse=descending)
            return {"logStreams": streams[:limit]}
        return _paged(call, "logStreams", streams, "logStreamName", limit, descending)

    async def _filter(self, call: Call) -> dict[str, Any]:
        name, first_ms, last_ms, count = _group(call), *_times(call), _limit(call)
        streams, prefix = set(call.get("logStreamNames", ())), call.get("logStreamNamePrefix", "")
        matches = compile_pattern(call.get("filterPattern", ""))
        token = call.get("nextToken", "")
        await self._require_group(call.tenant, name)

        def keep(event: Event) -> bool:
            wanted = (not streams or event.stream in streams) and event.stream.startswith(prefix)
            return wanted and matches(event.text)

        page = await self._logs.page(
            *(call.tenant, name),
            after=_place(token) if token else START,
            first_ms=first_ms,
            last_ms=last_ms,
            count=count,
            keep=keep,
        )
        events = [
            {
                "logStreamName": event.stream,
                "timestamp": event.ms,
                "message": event.text + "\n",
                "ingestionTime": event.taken_ms,
                "eventId": _id(event.place),
            }
            for event in sorted(page.events, key=lambda event: (event.ms, event.place))
        ]
        answer: dict[str, Any] = {"events": events, "searchedLogStreams": []}
        return answer | ({"nextToken": _id(page.place)} if page.more else {})

    async def _get(self, call: Call) -> dict[str, Any]:
        name, first_ms, last_ms, count = _group(call), *_times(call), _limit(call)
        stream, token = call["logStreamName"], call.get("nextToken", "")
        forward = token.startswith("f/") or (not token and call.get("startFromHead", False))
        await self._require_group(call.tenant, name)

        of = (call.tenant, name)
        within: Any = {"stream": stream, "first_ms": first_ms, "last_ms": last_ms, "count": count}
        if forward:
            after = _place(token[2:]) if token else START
            events = (await self._logs.page(*of, after=after, **within)).events
        else:
            before = _place(token[2:]) if token else END
            events = await self._logs.last(*of, before=before, **within)
        # At either end the same token comes again: that is how a reader knows, and may ask again later.
        here = token[2:] or _id(START)
        first, last = (_id(events[0].place), _id(events[-1].place)) if events else (here, here)
        return {
            "events": [
                {"timestamp": event.ms, "message": event.text + "\n", "ingestionTime": event.taken_ms}
                for event in events
            ],
            "nextForwardToken": f"f/{last}",
            "nextBackwardToken": f"b/{first}",
        }

    async def _delete(self, call: Call) -> None:
        name = _group(call)
        await self._require_group(call.tenant, name)
        await self._logs.delete_group(call.tenant, name)

    async def _require_group(self, tenant: str, name: str) -> None:
        """A group is there with its function's first line, and for a function that has said nothing yet."""
        if await self._logs.group(tenant, name) is not None:
            return
        try:
            if not name.startswith(_GROUP):
                raise UnknownFunction(name)
            await self._deployments.get(tenant, name.removeprefix(_GROUP))
        except UnknownFunction:
            raise UnknownFunction("The specified log group does not exist.") from None


def _arn(tenant: str, name: str) -> str:
    return f"arn:aws:logs:{REGION}:{tenant}:log-group:{name}"


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def _group(call: Call) -> str:
    """The group that a request names, by its name or ARN."""
    group: str = call.get("logGroupName") or call.get("logGroupIdentifier", "")
    group = group.rpartition("log-group:")[2].removesuffix(":*")
    if not group:
        raise refusal([null("logGroupName")])
    return group


def _times(call: Call) -> tuple[int, int]:
    """The first and the last millisecond that are asked for. CloudWatch's endTime itself is not."""
    first, end = call.get("startTime", 0), call.get("endTime", _TIME_MAX_MS)
    return min(first, _TIME_MAX_MS), min(end, _TIME_MAX_MS) - 1


def _limit(call: Call) -> int:
    limit: int = call.get("limit", limits.LOG_EVENTS_MAX)
    return limit


def _id(place: Place) -> str:
    return f"{(place.segment << _LINES_BITS) | place.line:056d}"


def _place(text: str) -> Place:
    if not re.fullmatch(r"[0-9]{56}", text) or int(text) >= 1 << (62 + _LINES_BITS):
        raise InvalidParameter("The specified nextToken is invalid.")
    return Place(int(text) >> _LINES_BITS, int(text) & ((1 << _LINES_BITS) - 1))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _paged(
    call: Call, what: str, rows: list[dict[str, Any]], key: str, limit: int, descending: bool = False
) -> dict[str, Any]:
    """A page of rows in the order of `key`; its token is of the last key of the page before."""
    rows = sorted(rows, key=lambda row: str(row[key]), reverse=descending)
    if "nextToken" in call:
        after = str(tokens.decode(what, call["nextToken"], InvalidParameter("The specified nextToken is invalid.")))
        rows = [row for row in rows if (row[key] < after if descending else row[key] > after)]
    page = {what: rows[:limit]}
    return page | ({"nextToken": tokens.encode(what, rows[limit - 1][key])} if len(rows) > limit else {})
