"""CloudWatch Logs' operations on what functions said. The lines are storage/logs.py's; the group of a function is
`/aws/lambda/<name>`, or the one that its LoggingConfig names.

Laws:
- An event's id is its place, 56 digits as AWS's: ids grow in the order in which lines were taken in. So the largest id
  that a reader saw is also the token to go on from, whenever more has come: that is how to follow a log.
- A page is in the order of the events' times; pages follow each other in the order of intake.
- An account sees its own groups only; an ARN of another account is answered as a group that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from .. import limits
from ..clock import Clock
from ..errors import InvalidParameter, TooManyTags, UnknownFunction, UnknownLogs, ValidationFailed
from ..filter_pattern import compile_pattern
from ..model import REGION
from ..storage.logs import END, START, Event, Group, Logs, Place, Stream
from . import tokens
from .service import Call, Service

_GROUP = "/aws/lambda/"
_LINES_BITS = 24  # a segment has fewer than 16 million lines: it has 4 MiB at most
_TIME_MAX_MS = 2**53
_PAGE_MAX = 50  # Precedent: of groups and streams.
_TAGS_MAX = 50  # Precedent: of a log group.
# What one PutLogEvents may bring, each event counting 26 bytes more than its text, and how old and how new its events
# may be. Precedent: CloudWatch's.
_PUT_BYTES_MAX = 1_048_576
_PUT_OLD_MS = 14 * 86_400_000
_PUT_NEW_MS = 2 * 3_600_000
# Precedent: PutRetentionPolicy's.
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

# CloudWatch Logs' own names of our errors. What fails validation is an invalid parameter to it, too.
_NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "InvalidParameterException",
    "ValidationException": "InvalidParameterException",
    "ServiceException": "ServiceUnavailableException",
    "TooManyRequestsException": "ThrottlingException",
}

# (tenant, name): raises UnknownFunction when there is no such function.
Find = Callable[[str, str], Awaitable[object]]
Row = dict[str, Any]


class LogsService:
    def __init__(self, logs: Logs, find: Find, clock: Clock) -> None:
        self._logs = logs
        self._find = find
        self._clock = clock

    def service(self) -> Service:
        operations = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "DeleteLogGroup": self._delete_group,
            "DeleteLogStream": self._delete_stream,
            "DeleteRetentionPolicy": self._forget_retention,
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "DescribeMetricFilters": self._describe_metric_filters,
            "DescribeSubscriptionFilters": self._describe_subscription_filters,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
            "ListTagsForResource": self._tags_of_resource,
            "ListTagsLogGroup": self._tags_of_group,
            "PutLogEvents": self._put,
            "PutRetentionPolicy": self._retain,
            "TagLogGroup": self._tag_group,
            "TagResource": self._tag_resource,
            "UntagLogGroup": self._untag_group,
            "UntagResource": self._untag_resource,
        }
        return Service("logs", operations, _NAMES)

    # ── groups and streams ──────────────────────────────────────────────────────────────────────────────────────

    async def _describe_groups(self, call: Call) -> Row:
        prefix, part = call.get("logGroupNamePrefix", ""), call.get("logGroupNamePattern", "")
        if prefix and part:
            raise InvalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        named = {_name_of(call, identifier) for identifier in call.get("logGroupIdentifiers", ())}
        groups = [
            _group_row(call.tenant, group)
            for group in await self._logs.groups(call.tenant)
            if group.name.startswith(prefix) and part in group.name and (not named or group.name in named)
        ]
        return _page(call, "logGroups", groups, lambda row: row["logGroupName"])

    async def _describe_streams(self, call: Call) -> Row:
        group, prefix = _group_of(call), call.get("logStreamNamePrefix", "")
        by_time = call.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        await self._require_group(call.tenant, group)
        arn = _arn(call.tenant, group)
        streams = [
            _stream_row(arn, stream)
            for stream in await self._logs.streams(call.tenant, group)
            if stream.name.startswith(prefix)
        ]

        def key(row: Row) -> Any:
            name = row["logStreamName"]
            return [row.get("lastEventTimestamp") or row["creationTime"], name] if by_time else name

        return _page(call, "logStreams", streams, key, call.get("descending", False))

    async def _create_group(self, call: Call) -> None:
        await self._logs.create_group(call.tenant, call["logGroupName"], call.get("tags", {}), self._now_ms())

    async def _create_stream(self, call: Call) -> None:
        group = await self._made_group(call.tenant, call["logGroupName"])
        await self._logs.create_stream(call.tenant, group, call["logStreamName"], self._now_ms())

    async def _delete_group(self, call: Call) -> None:
        await self._logs.delete_group(call.tenant, call["logGroupName"])

    async def _delete_stream(self, call: Call) -> None:
        await self._logs.delete_stream(call.tenant, call["logGroupName"], call["logStreamName"])

    async def _retain(self, call: Call) -> None:
        days = call["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise ValidationFailed(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(map(str, RETENTION_DAYS))}]"
            )
        await self._logs.retain(call.tenant, await self._made_group(call.tenant, call["logGroupName"]), days)

    async def _forget_retention(self, call: Call) -> None:
        await self._logs.retain(call.tenant, await self._made_group(call.tenant, call["logGroupName"]), None)

    async def _describe_metric_filters(self, call: Call) -> Row:
        """There are none; infrastructure tools ask."""
        if "logGroupName" in call:
            await self._require_group(call.tenant, call["logGroupName"])
        return {"metricFilters": []}

    async def _describe_subscription_filters(self, call: Call) -> Row:
        """There are none; infrastructure tools ask."""
        await self._require_group(call.tenant, call["logGroupName"])
        return {"subscriptionFilters": []}

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tags_of_group(self, call: Call) -> Row:
        return {"tags": await self._tags(call.tenant, call["logGroupName"])}

    async def _tags_of_resource(self, call: Call) -> Row:
        return {"tags": await self._tags(call.tenant, _name_of(call, call["resourceArn"]))}

    async def _tags(self, tenant: str, group: str) -> Mapping[str, str]:
        found = await self._require_group(tenant, group)
        return found.tags if found is not None else {}

    async def _tag_group(self, call: Call) -> None:
        await self._tag(call.tenant, call["logGroupName"], call["tags"])

    async def _tag_resource(self, call: Call) -> None:
        await self._tag(call.tenant, _name_of(call, call["resourceArn"]), call["tags"])

    async def _tag(self, tenant: str, group: str, tags: Mapping[str, str]) -> None:
        group = await self._made_group(tenant, group)
        if len({*await self._tags(tenant, group), *tags}) > _TAGS_MAX:
            raise TooManyTags(f"A log group can have at most {_TAGS_MAX} tags; remove some first")
        await self._logs.tag(tenant, group, tags)

    async def _untag_group(self, call: Call) -> None:
        await self._logs.tag(call.tenant, call["logGroupName"], {}, call["tags"])

    async def _untag_resource(self, call: Call) -> None:
        await self._logs.tag(call.tenant, _name_of(call, call["resourceArn"]), {}, call["tagKeys"])

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _filter(self, call: Call) -> Row:
        group, (first_ms, last_ms) = _group_of(call), _times(call)
        streams, prefix = frozenset(call.get("logStreamNames", ())), call.get("logStreamNamePrefix", "")
        if streams and prefix:
            raise InvalidParameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        matches, token = compile_pattern(call.get("filterPattern", "")), call.get("nextToken")
        await self._require_group(call.tenant, group)

        def keep(event: Event) -> bool:
            wanted = (not streams or event.stream in streams) and event.stream.startswith(prefix)
            return wanted and matches(event.text)

        page = await self._logs.page(
            *(call.tenant, group),
            stream=next(iter(streams)) if len(streams) == 1 else None,
            after=_place(token) if token else START,
            first_ms=first_ms,
            last_ms=last_ms,
            count=_limit(call),
            keep=keep,
        )
        events = [
            {
                "logStreamName": event.stream,
                "timestamp": event.ms,
                "message": event.text + event.end,
                "ingestionTime": event.taken_ms,
                "eventId": _id(event.place),
            }
            for event in sorted(page.events, key=lambda event: (event.ms, event.place))
        ]
        return {"events": events, "searchedLogStreams": [], "nextToken": _id(page.place) if page.more else None}

    async def _get(self, call: Call) -> Row:
        group, stream, (first_ms, last_ms) = _group_of(call), call["logStreamName"], _times(call)
        token = call.get("nextToken", "")
        if token and token[:2] not in ("f/", "b/"):
            raise InvalidParameter("The specified nextToken is invalid.")
        forward = token.startswith("f/") or (not token and call.get("startFromHead", False))
        await self._require_group(call.tenant, group)
        if not any(one.name == stream for one in await self._logs.streams(call.tenant, group)):
            raise UnknownLogs("The specified log stream does not exist.")
        within: Any = {"stream": stream, "first_ms": first_ms, "last_ms": last_ms, "count": _limit(call)}
        if forward:
            after = _place(token[2:]) if token else START
            events = (await self._logs.page(call.tenant, group, after=after, **within)).events
        else:
            before = _place(token[2:]) if token else END
            events = await self._logs.last(call.tenant, group, before=before, **within)
        # At either end the same token comes again: that is how a reader knows, and may ask again later.
        here = token[2:] or _id(START)
        first, last = (_id(events[0].place), _id(events[-1].place)) if events else (here, here)
        return {
            "events": [
                {"timestamp": event.ms, "message": event.text + event.end, "ingestionTime": event.taken_ms}
                for event in events
            ],
            "nextForwardToken": f"f/{last}",
            "nextBackwardToken": f"b/{first}",
        }

    async def _put(self, call: Call) -> Row:
        now_ms = self._now_ms()
        lines = [(event["timestamp"], event["message"]) for event in call["logEvents"]]
        size = sum(len(text.encode("utf-8", "surrogatepass")) + limits.LOG_ENTRY_BYTES for _, text in lines)
        if size > _PUT_BYTES_MAX:
            raise InvalidParameter(f"Upload too large: {size} bytes exceeds limit of {_PUT_BYTES_MAX}")
        if any(after[0] < before[0] for before, after in pairwise(lines)):
            raise InvalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
        kept = [line for line in lines if now_ms - _PUT_OLD_MS <= line[0] <= now_ms + _PUT_NEW_MS]
        group, stream = await self._made_group(call.tenant, call["logGroupName"]), call["logStreamName"]
        await self._logs.put(call.tenant, group, stream, kept, now_ms)
        too_old = sum(ms < now_ms - _PUT_OLD_MS for ms, _ in lines)
        too_new = sum(ms > now_ms + _PUT_NEW_MS for ms, _ in lines)
        rejected = {
            "tooOldLogEventEndIndex": too_old or None,
            "tooNewLogEventStartIndex": len(lines) - too_new if too_new else None,
        }
        return {
            "nextSequenceToken": _id(START),
            "rejectedLogEventsInfo": rejected if too_old or too_new else None,
        }

    # ── what must be there ──────────────────────────────────────────────────────────────────────────────────────

    async def _require_group(self, tenant: str, group: str) -> Group | None:
        """A group is there from its first line on; and, as None, for a function that has said nothing yet."""
        found = await self._logs.group(tenant, group)
        if found is not None:
            return found
        try:
            if not group.startswith(_GROUP):
                raise UnknownFunction(group)
            await self._find(tenant, group.removeprefix(_GROUP))
        except UnknownFunction:
            raise UnknownLogs("The specified log group does not exist.") from None
        return None

    async def _made_group(self, tenant: str, group: str) -> str:
        """The same for what changes a group: one of a function that has said nothing yet is made first."""
        if await self._require_group(tenant, group) is None:
            await self._logs.create_group(tenant, group, {}, self._now_ms())
        return group

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def _group_of(call: Call) -> str:
    """The group that a request names, by its name or by a name or ARN."""
    named = [call[member] for member in ("logGroupName", "logGroupIdentifier") if member in call]
    if len(named) != 1:
        raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    return _name_of(call, named[0])


def _name_of(call: Call, identifier: str) -> str:
    if not identifier.startswith("arn:"):
        return identifier
    match = re.fullmatch(r"arn:[^:]*:logs:[^:]*:([0-9]{12}):log-group:([^:*]+)(:\*)?", identifier)
    if match is None:
        raise InvalidParameter("The specified log group ARN is invalid.")
    if match[1] != call.tenant:
        raise UnknownLogs("The specified log group does not exist.")
    return match[2]


def _times(call: Call) -> tuple[int, int]:
    """The first and the last millisecond that are asked for. CloudWatch's endTime itself is not."""
    return call.get("startTime", 0), min(call.get("endTime", _TIME_MAX_MS), _TIME_MAX_MS) - 1


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


def _arn(tenant: str, group: str) -> str:
    return f"arn:aws:logs:{REGION}:{tenant}:log-group:{group}"


def _group_row(tenant: str, group: Group) -> Row:
    arn = _arn(tenant, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "retentionInDays": group.retention_days,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": group.bytes,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    }


def _stream_row(group_arn: str, stream: Stream) -> Row:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": stream.taken_ms,
        "arn": f"{group_arn}:log-stream:{stream.name}",
        # Precedent: CloudWatch says zero of every stream since 2019; of a group it says the truth.
        "storedBytes": 0,
    }


def _page(call: Call, what: str, rows: Sequence[Row], key: Callable[[Row], Any], descending: bool = False) -> Row:
    """A page of rows in the order of `key`; the token is the last key of the page before."""
    ordered = sorted(rows, key=key, reverse=descending)
    if "nextToken" in call:
        after = tokens.decode(what, call["nextToken"], InvalidParameter("The specified nextToken is invalid."))
        try:
            ordered = [row for row in ordered if (key(row) < after if descending else key(row) > after)]
        except TypeError:
            raise InvalidParameter("The specified nextToken is invalid.") from None
    limit: int = call.get("limit", _PAGE_MAX)
    more = len(ordered) > limit
    return {what: ordered[:limit], "nextToken": tokens.encode(what, key(ordered[limit - 1])) if more else None}
