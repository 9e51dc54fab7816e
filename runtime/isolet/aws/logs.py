"""CloudWatch Logs' operations on what functions said: its JSON over `X-Amz-Target`. The lines are storage/logs.py's.

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
from ..model import DEFAULT_TENANT, REGION
from ..storage.logs import END, START, Event, Logs, Place
from .constraints import Body
from .targets import Service

TARGET = "Logs_20140328"
_GROUP = "/aws/lambda/"
_LINES_BITS = 24  # a segment has fewer than 16 million lines: it has 4 MiB at most
_TIME_MAX_MS = 2**53
_PAGE_MAX = 50  # Precedent: of groups and streams.

# JSON's names of our errors, where CloudWatch Logs has its own.
_NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "InvalidParameterException",
    "ValidationException": "InvalidParameterException",
    "InvalidRequestContentException": "SerializationException",
}


class LogsService:
    def __init__(self, logs: Logs, deployments: Deployments, tenant: str = DEFAULT_TENANT) -> None:
        self._logs = logs
        self._deployments = deployments
        self._tenant = tenant

    def service(self) -> Service:
        operations = {
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
            "DeleteLogGroup": self._delete,
        }
        return Service(TARGET, operations, _NAMES)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _describe_groups(self, body: Body) -> dict[str, Any]:
        prefix, after = body.text("logGroupNamePrefix"), body.text("nextToken")
        limit = body.whole("limit", 1, _PAGE_MAX, _PAGE_MAX)
        body.finish()
        groups = [
            {
                "logGroupName": group.name,
                "creationTime": group.created_ms,
                "metricFilterCount": 0,
                "arn": f"{self._arn(group.name)}:*",
                "storedBytes": group.bytes,
                "logGroupClass": "STANDARD",
                "logGroupArn": self._arn(group.name),
            }
            for group in await self._logs.groups(self._tenant)
            if group.name.startswith(prefix)
        ]
        return _paged("logGroups", groups, "logGroupName", after, limit)

    async def _describe_streams(self, body: Body) -> dict[str, Any]:
        name, prefix, after = _group(body), body.text("logStreamNamePrefix"), body.text("nextToken")
        limit = body.whole("limit", 1, _PAGE_MAX, _PAGE_MAX)
        order = body.text("orderBy", must="LogStreamName|LastEventTime", default="LogStreamName")
        body.finish()
        await self._require_group(name)
        streams: list[dict[str, Any]] = [
            {
                "logStreamName": stream.name,
                "creationTime": stream.created_ms,
                "firstEventTimestamp": stream.first_ms,
                "lastEventTimestamp": stream.last_ms,
                "lastIngestionTime": stream.taken_ms,
                "arn": f"{self._arn(name)}:log-stream:{stream.name}",
                "storedBytes": stream.bytes,
            }
            for stream in await self._logs.streams(self._tenant, name)
            if stream.name.startswith(prefix)
        ]
        descending = body.flag("descending")
        if order == "LastEventTime":
            streams.sort(key=lambda stream: stream["lastEventTimestamp"], reverse=descending)
            return {"logStreams": streams[:limit]}
        return _paged("logStreams", streams, "logStreamName", after, limit, descending)

    async def _filter(self, body: Body) -> dict[str, Any]:
        name, first_ms, last_ms, count = _group(body), *_times(body), _limit(body)
        streams, prefix = set(body.texts("logStreamNames")), body.text("logStreamNamePrefix")
        matches = compile_pattern(body.text("filterPattern"))
        token = body.text("nextToken")
        body.finish()
        await self._require_group(name)

        def keep(event: Event) -> bool:
            wanted = (not streams or event.stream in streams) and event.stream.startswith(prefix)
            return wanted and matches(event.text)

        page = await self._logs.page(
            *(self._tenant, name),
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

    async def _get(self, body: Body) -> dict[str, Any]:
        body.require("logStreamName")
        name, first_ms, last_ms, count = _group(body), *_times(body), _limit(body)
        stream, token = body.text("logStreamName"), body.text("nextToken")
        forward = token.startswith("f/") or (not token and body.flag("startFromHead"))
        body.finish()
        await self._require_group(name)

        of = (self._tenant, name)
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

    async def _delete(self, body: Body) -> dict[str, Any]:
        name = _group(body)
        body.finish()
        await self._require_group(name)
        await self._logs.delete_group(self._tenant, name)
        return {}

    async def _require_group(self, name: str) -> None:
        """A group is there with its function's first line, and for a function that has said nothing yet."""
        if await self._logs.group(self._tenant, name) is not None:
            return
        try:
            if not name.startswith(_GROUP):
                raise UnknownFunction(name)
            await self._deployments.get(self._tenant, name.removeprefix(_GROUP))
        except UnknownFunction:
            raise UnknownFunction("The specified log group does not exist.") from None

    def _arn(self, name: str) -> str:
        return f"arn:aws:logs:{REGION}:{self._tenant}:log-group:{name}"


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def _group(body: Body) -> str:
    """The group that a request names, by its name or ARN."""
    group = body.text("logGroupName") or body.text("logGroupIdentifier")
    group = group.rpartition("log-group:")[2].removesuffix(":*")
    if not group:
        body.require("logGroupName")
        body.finish()
    return group


def _times(body: Body) -> tuple[int, int]:
    """The first and the last millisecond that are asked for. CloudWatch's endTime itself is not."""
    first = body.whole("startTime", 0, _TIME_MAX_MS, 0)
    return first, body.whole("endTime", 0, _TIME_MAX_MS, _TIME_MAX_MS) - 1


def _limit(body: Body) -> int:
    return body.whole("limit", 1, limits.LOG_EVENTS_MAX, limits.LOG_EVENTS_MAX)


def _id(place: Place) -> str:
    return f"{(place.segment << _LINES_BITS) | place.line:056d}"


def _place(text: str) -> Place:
    if not re.fullmatch(r"[0-9]{56}", text) or int(text) >= 1 << (62 + _LINES_BITS):
        raise InvalidParameter("The specified nextToken is invalid.")
    return Place(int(text) >> _LINES_BITS, int(text) & ((1 << _LINES_BITS) - 1))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _paged(
    what: str, rows: list[dict[str, Any]], key: str, after: str, limit: int, descending: bool = False
) -> dict[str, Any]:
    """A page of rows in the order of `key`; the token is the last key of the page before."""
    rows = sorted(rows, key=lambda row: str(row[key]), reverse=descending)
    if after:
        rows = [row for row in rows if (row[key] < after if descending else row[key] > after)]
    page = {what: rows[:limit]}
    return page | ({"nextToken": rows[limit - 1][key]} if len(rows) > limit else {})
