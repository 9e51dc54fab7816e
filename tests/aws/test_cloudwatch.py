"""CloudWatch's operations, by boto3 over a real socket (in CBOR, which it speaks by default)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from isolet.config import load
from isolet.model import DEFAULT_TENANT
from isolet.records import Batch, Totals
from isolet.samples import BOUNDS, Samples
from isolet.server import embedded
from isolet.storage.intake import Intake

MINUTE = 28_333_320  # the first of an hour
START_S = 60 * MINUTE
MS = 1_000_000
RESIZE = [{"Name": "FunctionName", "Value": "resize"}]


def at(minutes: float) -> datetime:
    return datetime.fromtimestamp(START_S + 60 * minutes, UTC)


def batch(minute: int, durations_ms: list[int], name: str = "resize", qualifier: str = "", running: int = 1) -> Batch:
    numbers = [ms * MS for ms in durations_ms]
    buckets: dict[int, int] = {}
    for number in numbers:
        bucket = next(index for index, bound in enumerate(BOUNDS) if number <= bound)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    samples = {
        "Duration": Samples(len(numbers), sum(numbers), min(numbers), max(numbers), buckets),
        "FuelUsed": Samples(len(numbers), 7 * len(numbers), 5, 9),
    }
    totals = Totals(len(numbers), 1, 2)
    return Batch(DEFAULT_TENANT, name, qualifier, "3", 128, MINUTE + minute, totals, {}, samples, running)


BATCHES = [
    batch(0, [1, 2, 3, 100], running=3),
    batch(1, [10], qualifier="live", running=2),
    batch(1, [20], name="other", running=5),
    batch(4, [5, 5], running=1),
]


def with_cloudwatch(directory: Path, main: Callable[[Any], None], batches: list[Batch] = BATCHES) -> None:
    async def live() -> None:
        chosen = {"port": 0, "data": str(directory / "data"), "isolates": 16}
        async with asyncio.timeout(120), embedded(load(arguments=chosen)) as server:
            await Intake(server.keeper._database).take("w1", 1, 1, batches, 0)
            client = boto3.client(
                *("cloudwatch", "us-east-1"),
                endpoint_url=server.url,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=ClientConfig(retries={"total_max_attempts": 1}),
            )
            await asyncio.to_thread(main, client)

    asyncio.run(live())


def statistics(client: Any, metric: str, **members: Any) -> list[dict[str, Any]]:
    asked = {
        "Namespace": "AWS/Lambda",
        "MetricName": metric,
        "Dimensions": RESIZE,
        "StartTime": at(0),
        "EndTime": at(10),
        "Period": 60,
    }
    answer = client.get_metric_statistics(**asked | members)
    assert answer["Label"] == metric
    points: list[dict[str, Any]] = answer["Datapoints"]
    return points


def test_statistics_are_of_the_minutes_that_had_samples(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        every = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
        points = statistics(client, "Duration", Statistics=every)
        assert [(point["Timestamp"], point["SampleCount"], point["Sum"]) for point in points] == [
            (at(0), 4, 106),
            (at(1), 1, 10),
            (at(4), 2, 10),
        ]
        assert (points[0]["Minimum"], points[0]["Maximum"], points[0]["Average"]) == (1, 100, 26.5)
        assert points[0]["Unit"] == "Milliseconds"
        (errors, *_) = statistics(client, "Errors", Statistics=["Average", "Sum"])
        assert (errors["Sum"], errors["Average"], errors["Unit"]) == (1, 0.25, "Count")
        assert [point["Sum"] for point in statistics(client, "Throttles", Statistics=["Sum"])] == [2, 2, 2]
        (fuel, *_) = statistics(client, "FuelUsed", Namespace="isolet", Statistics=every)
        assert (fuel["Sum"], fuel["Maximum"]) == (28, 9)
        assert statistics(client, "FuelUsed", Statistics=["Sum"]) == [], "it is not Lambda's"

    with_cloudwatch(tmp_path, main)


def test_percentiles_are_interpolated_in_the_histogram(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        (point, *_) = statistics(client, "Duration", ExtendedStatistics=["p50", "p99.9", "p100"])
        said = point["ExtendedStatistics"]
        assert said["p50"] == pytest.approx(2, rel=0.16)
        assert said["p99.9"] == pytest.approx(100, rel=0.16)
        assert said["p100"] == 100

    with_cloudwatch(tmp_path, main)


def test_periods_count_from_the_start_that_is_asked_for(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        points = statistics(client, "Invocations", Statistics=["Sum"], Period=300)
        assert [(point["Timestamp"], point["Sum"]) for point in points] == [(at(0), 7)]
        points = statistics(client, "Invocations", Statistics=["Sum"], Period=180, StartTime=at(-1.5), EndTime=at(10))
        assert [(point["Timestamp"], point["Sum"]) for point in points] == [(at(-2), 4), (at(1), 1), (at(4), 2)]

    with_cloudwatch(tmp_path, main)


def test_dimensions_choose_the_function_and_the_name_it_was_asked_for_by(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        def total(metric: str = "Invocations", **dimensions: str) -> float:
            listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
            points = statistics(client, metric, Statistics=["Sum"], Period=600, Dimensions=listed)
            return sum(point["Sum"] for point in points)

        assert total() == 8
        assert total(FunctionName="resize") == 7
        assert total(FunctionName="resize", Resource="resize:live") == 1
        assert total(FunctionName="resize", Resource="resize") == 6
        assert total(FunctionName="resize", Resource="resize:live", ExecutedVersion="3") == 1
        assert total(FunctionName="resize", Resource="resize:live", ExecutedVersion="2") == 0
        assert total(FunctionName="resize", Resource="other") == 0
        assert total(Color="red") == 0

    with_cloudwatch(tmp_path, main)


def test_concurrency_is_a_level(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        whole = statistics(client, "ConcurrentExecutions", Statistics=["Maximum", "Average"], Period=600)
        assert [(point["Maximum"], point["Average"]) for point in whole] == [(3, 2)]
        points = statistics(client, "ConcurrentExecutions", Statistics=["Maximum"], Dimensions=[])
        assert [point["Maximum"] for point in points] == [3, 2 + 5, 1]

    with_cloudwatch(tmp_path, main)


def query(name: str, metric: str, stat: str, period_s: int = 60, **more: Any) -> dict[str, Any]:
    asked = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": RESIZE}
    return {"Id": name, "MetricStat": {"Metric": asked, "Period": period_s, "Stat": stat}, **more}


def test_data_are_the_same_numbers_newest_first(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        queries = [query("a", "Invocations", "Sum"), query("b", "Duration", "p50", Label="half")]
        first, second = client.get_metric_data(MetricDataQueries=queries, StartTime=at(0), EndTime=at(10))[
            "MetricDataResults"
        ]
        assert (first["Id"], first["Label"], first["StatusCode"]) == ("a", "Invocations", "Complete")
        assert first["Timestamps"] == [at(4), at(1), at(0)]
        assert first["Values"] == [2, 1, 4]
        assert (second["Label"], second["Values"][:2]) == ("half", [5, 10])
        ascending = client.get_metric_data(
            MetricDataQueries=queries[:1], StartTime=at(0), EndTime=at(10), ScanBy="TimestampAscending"
        )
        assert ascending["MetricDataResults"][0]["Values"] == [4, 1, 2]
        hidden = client.get_metric_data(
            MetricDataQueries=[query("a", "Errors", "Sum", ReturnData=False)], StartTime=at(0), EndTime=at(10)
        )
        assert hidden["MetricDataResults"] == []

    with_cloudwatch(tmp_path, main)


def test_data_come_in_pages(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        queries = [query("a", "Invocations", "Sum"), query("b", "Throttles", "Sum")]
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=at(0), EndTime=at(10), MaxDatapoints=2
        )
        found: dict[str, list[float]] = {"a": [], "b": []}
        count = 0
        for page in pages:
            count += 1
            for result in page["MetricDataResults"]:
                found[result["Id"]] += result["Values"]
        assert (count, found) == (3, {"a": [2, 1, 4], "b": [2, 2, 2]})

    with_cloudwatch(tmp_path, main)


def test_metrics_are_listed_with_their_dimensions(tmp_path: Path) -> None:
    def main(client: Any) -> None:
        def listed(**asked: Any) -> list[tuple[str, ...]]:
            metrics = [
                one for page in client.get_paginator("list_metrics").paginate(**asked) for one in page["Metrics"]
            ]
            return [
                (metric["Namespace"], metric["MetricName"], *(one["Value"] for one in metric["Dimensions"]))
                for metric in metrics
            ]

        resources = [{"Name": "Resource"}]
        assert listed(MetricName="Duration", Dimensions=resources) == [
            ("AWS/Lambda", "Duration", "other", "other"),
            ("AWS/Lambda", "Duration", "resize", "resize"),
            ("AWS/Lambda", "Duration", "resize", "resize:live"),
        ]
        assert {metric for _, metric, *_ in listed(Namespace="isolet")} == {"FuelUsed"}
        names = {metric for _, metric, *_ in listed(Namespace="AWS/Lambda", Dimensions=RESIZE)}
        assert names == {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"}
        assert listed(Namespace="AWS/EC2") == []

    now_minute = int(datetime.now(UTC).timestamp() // 60)
    with_cloudwatch(tmp_path, main, [one._replace(minute=now_minute) for one in BATCHES])


@pytest.mark.parametrize(
    ("members", "name", "words"),
    [
        ({}, "InvalidParameterCombinationException", "Exactly one of Statistics and ExtendedStatistics"),
        ({"Statistics": ["Sum"], "Period": 90}, "InvalidParameterValueException", "multiple of 60"),
        ({"Statistics": ["Sum"], "EndTime": at(0)}, "InvalidParameterValueException", "StartTime must be less than"),
        (
            {"ExtendedStatistics": ["tm90"]},
            "InvalidParameterValueException",
            "tm90 for parameter Stat",
        ),
        (
            {"Statistics": ["Sum"], "EndTime": at(0) + timedelta(days=2)},
            "InvalidParameterCombinationException",
            "You have requested up to 2,880 datapoints, which exceeds the limit of 1,440. You may reduce",
        ),
    ],
)
def test_bad_statistics_are_refused(members: dict[str, Any], name: str, words: str, tmp_path: Path) -> None:
    def main(client: Any) -> None:
        with pytest.raises(ClientError) as refused:
            statistics(client, "Duration", **members)
        error = refused.value.response["Error"]
        assert name.startswith(error["Code"]), error
        assert words in error["Message"]

    with_cloudwatch(tmp_path, main)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([{"Id": "e", "Expression": "SUM(METRICS())"}], "Expression in MetricDataQueries is not served"),
        ([{"Id": "e"}], "MetricStat of e is required"),
        ([query("a", "Errors", "Sum"), query("a", "Errors", "Sum")], "are not unique"),
        ([query("a", "FuelUsed", "p99")], "Percentiles are kept of Duration and RestoreDuration, not of FuelUsed"),
    ],
)
def test_queries_that_are_not_served_are_refused_by_name(asked: list[Any], words: str, tmp_path: Path) -> None:
    def main(client: Any) -> None:
        with pytest.raises(ClientError, match=words):
            client.get_metric_data(MetricDataQueries=asked, StartTime=at(0), EndTime=at(10))
        with pytest.raises(ClientError, match=r"InvalidNextToken.*NextToken is invalid"):
            client.get_metric_data(
                MetricDataQueries=[query("a", "Errors", "Sum")], StartTime=at(0), EndTime=at(10), NextToken="x"
            )

    with_cloudwatch(tmp_path, main)
