"""CloudWatch's operations on what functions did: GetMetricData, GetMetricStatistics, ListMetrics. The numbers are
storage/metrics.py's, and which they are is said in datapoints.py.

Laws:
- Periods are multiples of a minute. A minute's datapoints are there for 15 days, after that an hour's: a shorter period
  finds nothing then.
- Expressions (metric math, queries) are refused by name; what is refused is refused before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..clock import Clock
from ..datapoints import METRICS, periods, require_statistic, value, wanted
from ..errors import InvalidParameter, InvalidToken, ParametersClash, UnsupportedOperation
from ..records import MINUTE_S
from ..storage.metrics import MetricRows, Row
from . import tokens
from .service import Call, Service

# Precedent: CloudWatch's, each.
_DATAPOINTS_MAX = 1_440
_DATA_MAX = 100_800
_QUERIES_MAX = 500
_LISTED_MAX = 500
# A metric is listed for so long after its last sample.
_LISTED_S = 14 * 86_400
_RECENT_S = 3 * 3_600

_NAMES: Mapping[str, str] = {
    "InvalidNextTokenException": "InvalidNextToken",
    "ServiceException": "InternalServiceFault",
    "ValidationException": "InvalidParameterValueException",
}

Answer = dict[str, Any]


class CloudWatchService:
    def __init__(self, rows: MetricRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def service(self) -> Service:
        operations = {
            "GetMetricData": self._data,
            "GetMetricStatistics": self._statistics,
            "ListMetrics": self._list,
        }
        return Service("cloudwatch", operations, _NAMES)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _statistics(self, call: Call) -> Answer:
        metric, period_s = call["MetricName"], _period(call["Period"])
        statistics, extended = call.get("Statistics", ()), call.get("ExtendedStatistics", ())
        if bool(statistics) == bool(extended):
            raise ParametersClash("Exactly one of Statistics and ExtendedStatistics must be specified.")
        for statistic in (*statistics, *extended):
            require_statistic(metric, statistic)
        start_s, end_s = _times(call)
        asked = -(-(end_s - start_s) // period_s)
        if asked > _DATAPOINTS_MAX:
            raise ParametersClash(
                f"You have requested up to {asked:,} datapoints, which exceeds the limit of {_DATAPOINTS_MAX:,}. "
                "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        if not _is_known(call["Namespace"], metric, call.get("Unit")):
            return {"Label": metric, "Datapoints": []}
        rows = await self._rows.rows(call.tenant, None, start_s, end_s, period_s)
        found = periods(rows, metric, wanted(_dimensions(call.get("Dimensions", ()))), start_s, period_s)
        datapoints = []
        for at, samples in found.items():
            point: Answer = {"Timestamp": float(at), "Unit": METRICS[metric].unit}
            point |= {statistic: value(metric, statistic, samples) for statistic in statistics}
            if extended:
                point["ExtendedStatistics"] = {each: value(metric, each, samples) for each in extended}
            datapoints.append(point)
        return {"Label": metric, "Datapoints": datapoints}

    async def _data(self, call: Call) -> Answer:
        queries, (start_s, end_s) = call["MetricDataQueries"], _times(call)
        _require_queries(queries)
        newest_first = call.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        limit: int = call.get("MaxDatapoints", _DATA_MAX)
        if not 1 <= limit <= _DATA_MAX:
            raise InvalidParameter(f"The value {limit} for parameter MaxDatapoints must be from 1 to {_DATA_MAX}.")
        skip = _skip(call)
        shown = [query for query in queries if query.get("ReturnData", True)]
        read: dict[int, list[Row]] = {}
        results, passed, left = [], 0, limit
        for query in shown:
            period_s = query["MetricStat"]["Period"]
            if period_s not in read:
                read[period_s] = await self._rows.rows(call.tenant, None, start_s, end_s, period_s)
            points = _points(query["MetricStat"], read[period_s], start_s)
            if newest_first:
                points.reverse()
            here = points[max(0, skip - passed) :][:left]
            passed += len(points)
            left -= len(here)
            complete = passed <= skip + limit
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
                    "Timestamps": [float(at) for at, _ in here],
                    "Values": [number for _, number in here],
                    "StatusCode": "Complete" if complete else "PartialData",
                }
            )
        more = passed > skip + limit
        return {
            "MetricDataResults": results,
            "Messages": [],
            "NextToken": tokens.encode("data", skip + limit) if more else None,
        }

    async def _list(self, call: Call) -> Answer:
        now_s = int(self._clock.wall_s())
        since_s = now_s - (_RECENT_S if call.get("RecentlyActive") == "PT3H" else _LISTED_S)
        rows = await self._rows.names(call.tenant, since_s)
        listed = [
            metric
            for metric in _listed(rows)
            if call.get("Namespace", metric["Namespace"]) == metric["Namespace"]
            and call.get("MetricName", metric["MetricName"]) == metric["MetricName"]
            and _matches(call.get("Dimensions", ()), metric["Dimensions"])
        ]
        first = 0
        if "NextToken" in call:
            first = _number(tokens.decode("metrics", call["NextToken"], _BAD_TOKEN), _BAD_TOKEN)
        more = len(listed) > first + _LISTED_MAX
        return {
            "Metrics": listed[first : first + _LISTED_MAX],
            "NextToken": tokens.encode("metrics", first + _LISTED_MAX) if more else None,
        }


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────

_BAD_TOKEN = InvalidParameter("Invalid nextToken")


def _period(seconds: int) -> int:
    if seconds < MINUTE_S or seconds % MINUTE_S:
        raise InvalidParameter(f"The value {seconds} for parameter Period is not supported: use a multiple of 60.")
    return seconds


def _times(call: Call) -> tuple[int, int]:
    """Start, rounded down to the minute, and end."""
    start, end = call["StartTime"], call["EndTime"]
    if start >= end:
        raise InvalidParameter("The parameter StartTime must be less than the parameter EndTime.")
    return int(start // MINUTE_S) * MINUTE_S, int(-(-end // 1))


def _require_queries(queries: list[Mapping[str, Any]]) -> None:
    if len(queries) > _QUERIES_MAX:
        raise InvalidParameter(f"The collection MetricDataQueries must not have a size greater than {_QUERIES_MAX}.")
    if len({query["Id"] for query in queries}) < len(queries):
        raise InvalidParameter("The values for parameter Id in MetricDataQueries are not unique.")
    for query in queries:
        if "Expression" in query:
            raise UnsupportedOperation(
                f"Expression in MetricDataQueries is not served by isolet ({query['Id']}); ask for the MetricStats"
            )
        if "MetricStat" not in query:
            raise InvalidParameter(f"The parameter MetricStat of {query['Id']} is required.")
        stat = query["MetricStat"]
        _period(stat["Period"])
        require_statistic(stat["Metric"].get("MetricName", ""), stat["Stat"])


def _skip(call: Call) -> int:
    """Datapoints that the pages before have given."""
    if "NextToken" not in call:
        return 0
    refusal = InvalidToken("The specified NextToken is invalid.")
    return _number(tokens.decode("data", call["NextToken"], refusal), refusal)


def _number(place: Any, refusal: InvalidParameter | InvalidToken) -> int:
    if not isinstance(place, int) or not 0 <= place < 2**53:
        raise refusal
    return place


def _dimensions(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in listed}


def _is_known(namespace: str, metric: str, unit: str | None) -> bool:
    known = METRICS.get(metric)
    return known is not None and known.namespace == namespace and unit in (None, known.unit)


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _points(stat: Mapping[str, Any], rows: list[Row], start_s: int) -> list[tuple[int, float]]:
    asked = stat["Metric"]
    metric = asked.get("MetricName", "")
    if not _is_known(asked.get("Namespace", ""), metric, stat.get("Unit")):
        return []
    of = wanted(_dimensions(asked.get("Dimensions", ())))
    found = periods(rows, metric, of, start_s, stat["Period"])
    return [(at, value(metric, stat["Stat"], samples)) for at, samples in found.items()]


def _listed(rows: Iterable[tuple[str, str, frozenset[str]]]) -> list[Answer]:
    """Every metric with each set of dimensions that it has."""
    found: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for name, qualifier, metrics in rows:
        resource = f"{name}:{qualifier}" if qualifier else name
        for metric in metrics & METRICS.keys():
            found.add((metric, ()))
            found.add((metric, (("FunctionName", name),)))
            found.add((metric, (("FunctionName", name), ("Resource", resource))))
    return [
        {
            "Namespace": METRICS[metric].namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": said} for key, said in dimensions],
        }
        for metric, dimensions in sorted(found)
    ]


def _matches(filters: Iterable[Mapping[str, str]], dimensions: Iterable[Mapping[str, str]]) -> bool:
    has = _dimensions(dimensions)
    return all(each["Name"] in has and each.get("Value", has[each["Name"]]) == has[each["Name"]] for each in filters)
