from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isolet.frames import pack
from isolet.keeper import Keeper
from isolet.records import Batch, Record
from isolet.storage.intake import Intake
from keeping import TENANT, Client, deployed, run, running_keeper

NOW_MS = 1_700_000_000_000
GROUP = "/aws/lambda/resize"


class Logs:
    """A client of CloudWatch Logs, and a worker that writes to it."""

    def __init__(self, keeper: Keeper) -> None:
        self._client = Client(keeper)
        self._intake = Intake(keeper._database)
        self._sequence = 0

    async def write(self, *ids: str, at_ms: int = NOW_MS, text: str = "hello", worker: str = "w1") -> None:
        self._sequence += 1
        records = [
            Record(i, at_ms, at_ms + 2, 2_000_000, 0, 0, 0, 0, None, [(2, at_ms + 1, f"{text} {i}".encode())], 0)
            for i in ids
        ]
        packed = b"".join(pack(list(record)) for record in records)
        batch = Batch(TENANT, "resize", "", "$LATEST", 128, 0, first_ms=at_ms, last_ms=at_ms + 2, records=packed)
        await self._intake.take(worker, self._sequence, 1, [batch], 0)

    async def __call__(self, operation: str, **members: Any) -> Any:
        status, answer = await self.status(operation, **members)
        assert status == 200, answer
        return answer

    async def status(self, operation: str, **members: Any) -> tuple[int, Any]:
        headers = [("X-Amz-Target", f"Logs_20140328.{operation}")]
        answer: tuple[int, Any] = await self._client("POST", "/", members, headers)
        assert self._client.headers["content-type"] == "application/x-amz-json-1.1"
        return answer


def said(answer: Any) -> list[str]:
    return [event["message"].split()[-1] for event in answer["events"] if event["message"].startswith("hello")]


def test_events_have_awss_shape(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs.write("a")
            answer = await logs("FilterLogEvents", logGroupName=GROUP)
            assert answer["searchedLogStreams"] == []
            assert "nextToken" not in answer
            assert len(answer["events"]) == 4
            first = answer["events"][0]
            assert first["message"] == "START RequestId: a Version: $LATEST\n"
            assert (first["timestamp"], first["ingestionTime"]) == (NOW_MS, NOW_MS + 2)
            assert first["logStreamName"] == "2023/11/14/[$LATEST]w1"
            assert len(first["eventId"]) == 56

    run(main)


def test_log_is_followed_by_the_largest_id_seen(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs.write("a", "b")
            token, heard = "", []
            for number in range(5):
                members = {"nextToken": token} if token else {}
                answer = await logs("FilterLogEvents", logGroupName=GROUP, **members)
                heard += said(answer)
                token = max([event["eventId"] for event in answer["events"]], default=token)
                # Another worker's lines may be older than what was read already.
                await logs.write(f"n{number}", at_ms=NOW_MS - 1_000 * number)
            assert heard == ["a", "b", "n0", "n1", "n2", "n3"]

    run(main)


def test_pages_are_followed_by_their_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            for number in range(10):
                await logs.write(f"{number}")
            seen: list[str] = []
            members: dict[str, Any] = {}
            while True:
                answer = await logs("FilterLogEvents", logGroupName=GROUP, limit=7, **members)
                assert len(answer["events"]) <= 7
                seen += said(answer)
                if "nextToken" not in answer:
                    break
                members = {"nextToken": answer["nextToken"]}
            assert seen == [str(number) for number in range(10)]

    run(main)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", ["red apple", "green apple", "red pear"]),
        ("apple", ["red apple", "green apple"]),
        ("red apple", ["red apple"]),
        ('"red pear"', ["red pear"]),
        ("-red apple", ["green apple"]),
        ("?green ?pear", ["green apple", "red pear"]),
        ("RED", []),
    ],
)
def test_terms_of_a_pattern_are_looked_for(pattern: str, found: list[str], tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            for text in ("red apple", "green apple", "red pear"):
                await logs.write("", text=text)
            answer = await logs("FilterLogEvents", logGroupName=GROUP, filterPattern=pattern)
            texts = [event["message"].strip() for event in answer["events"]]
            assert [text for text in texts if "apple" in text or "pear" in text] == found

    run(main)


def test_events_are_chosen_by_time_and_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs.write("a")
            await logs.write("b", at_ms=NOW_MS + 5_000, worker="w2")
            whole = {"logGroupName": GROUP}
            assert said(await logs("FilterLogEvents", **whole, startTime=NOW_MS + 1_000)) == ["b"]
            assert said(await logs("FilterLogEvents", **whole, endTime=NOW_MS + 5_001)) == ["a"]
            stream = "2023/11/14/[$LATEST]w2"
            assert said(await logs("FilterLogEvents", **whole, logStreamNames=[stream])) == ["b"]
            assert said(await logs("FilterLogEvents", **whole, logStreamNamePrefix="2023/11/14/[$LATEST]w1")) == ["a"]

    run(main)


def test_stream_is_read_from_either_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            for number in range(6):
                await logs.write(f"{number}")
                await logs.write("other", worker="w2")
            of = {"logGroupName": GROUP, "logStreamName": "2023/11/14/[$LATEST]w1"}
            head = await logs("GetLogEvents", **of, startFromHead=True, limit=8)
            assert said(head) == ["0", "1"]
            more = await logs("GetLogEvents", **of, nextToken=head["nextForwardToken"], limit=8)
            assert said(more) == ["2", "3"]
            tail = await logs("GetLogEvents", **of, limit=8)
            assert said(tail) == ["4", "5"]
            before = await logs("GetLogEvents", **of, nextToken=tail["nextBackwardToken"], limit=8)
            assert said(before) == ["2", "3"]
            end = await logs("GetLogEvents", **of, nextToken=tail["nextForwardToken"])
            assert (end["events"], end["nextForwardToken"]) == ([], tail["nextForwardToken"]), "the end says so"
            await logs.write("6")
            assert said(await logs("GetLogEvents", **of, nextToken=end["nextForwardToken"])) == ["6"]

    run(main)


def test_groups_and_streams_are_described(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            assert await logs("DescribeLogGroups") == {"logGroups": []}
            await logs.write("a")
            await logs.write("b", worker="w2", at_ms=NOW_MS - 1_000)
            (group,) = (await logs("DescribeLogGroups", logGroupNamePrefix="/aws/lambda/re"))["logGroups"]
            assert group["logGroupName"] == GROUP
            assert group["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*"
            assert group["storedBytes"] > 0
            assert (await logs("DescribeLogGroups", logGroupNamePrefix="/x"))["logGroups"] == []
            page = await logs("DescribeLogStreams", logGroupName=GROUP, limit=1)
            assert [stream["logStreamName"][-2:] for stream in page["logStreams"]] == ["w1"]
            page = await logs("DescribeLogStreams", logGroupName=GROUP, nextToken=page["nextToken"])
            assert [stream["logStreamName"][-2:] for stream in page["logStreams"]] == ["w2"]
            assert "nextToken" not in page
            for descending, last in ((False, "w1"), (True, "w2")):
                page = await logs(
                    "DescribeLogStreams", logGroupName=GROUP, orderBy="LastEventTime", descending=descending
                )
                assert page["logStreams"][-1]["logStreamName"].endswith(last)
            await logs("DeleteLogGroup", logGroupName=GROUP)
            assert await logs("DescribeLogGroups") == {"logGroups": []}

    run(main)


def test_function_that_said_nothing_yet_has_an_empty_group(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await deployed(keeper, "resize")
            assert (await logs("FilterLogEvents", logGroupName=GROUP))["events"] == []

    run(main)


@pytest.mark.parametrize(
    ("operation", "members", "name", "words"),
    [
        ("FilterLogEvents", {"logGroupName": GROUP}, "ResourceNotFoundException", "log group does not exist"),
        ("FilterLogEvents", {"logGroupName": "/other"}, "ResourceNotFoundException", "log group does not exist"),
        ("FilterLogEvents", {}, "InvalidParameterException", "Exactly one of logGroupName and logGroupIdentifier"),
        ("GetLogEvents", {"logGroupName": GROUP}, "InvalidParameterException", "'logStreamName'"),
        ("FilterLogEvents", {"logGroupName": GROUP, "limit": 10_001}, "InvalidParameterException", "10000"),
        ("DescribeLogStreams", {"logGroupName": GROUP, "orderBy": "x"}, "InvalidParameterException", "orderBy"),
        ("DescribeLogStreams", {"logGroupName": GROUP, "limit": "x"}, "SerializationException", "Integer"),
        ("FilterLogEvents", {"logGroupName": GROUP, "logStreamNames": [1]}, "SerializationException", "String"),
    ],
)
def test_bad_request_is_refused_in_the_json_form(
    operation: str, members: dict[str, Any], name: str, words: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            status, answer = await Logs(keeper).status(operation, **members)
            assert (status, answer["__type"]) == (400, name)
            assert words in answer["message"]

    run(main)


@pytest.mark.parametrize("token", ["x", "1", "9" * 56])
def test_token_that_we_did_not_give_is_refused(token: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs.write("a")
            status, answer = await logs.status("FilterLogEvents", logGroupName=GROUP, nextToken=token)
            assert (status, answer["message"]) == (400, "The specified nextToken is invalid.")

    run(main)


def test_operation_that_is_not_served_is_said_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            status, answer = await logs.status("StartQuery")
            assert status == 501
            assert "FilterLogEvents" in answer["message"]
            await logs.write("a")
            status, _ = await logs.status("FilterLogEvents", logGroupName=GROUP, filterPattern="[ip, user]")
            assert status == 501

    run(main)


def test_json_pattern_finds_lines_that_are_json(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs.write("a", text='{"level": "ERROR", "id":')
            await logs("CreateLogGroup", logGroupName="/mine")
            await logs("CreateLogStream", logGroupName="/mine", logStreamName="s")
            now_ms = int(keeper._clock.wall_s() * 1000)
            events = [{"timestamp": now_ms, "message": f'{{"level": "{level}"}}'} for level in ("INFO", "ERROR")]
            put = await logs("PutLogEvents", logGroupName="/mine", logStreamName="s", logEvents=events)
            assert "rejectedLogEventsInfo" not in put
            asked = {"logGroupName": "/mine", "filterPattern": '{ $.level = "ERROR" }'}
            (event,) = (await logs("FilterLogEvents", **asked))["events"]
            assert (event["message"], event["timestamp"]) == ('{"level": "ERROR"}', now_ms)

    run(main)


def test_groups_have_retention_and_tags(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs("CreateLogGroup", logGroupName="/mine", tags={"team": "a"})
            status, answer = await logs.status("CreateLogGroup", logGroupName="/mine")
            assert (status, answer["__type"]) == (400, "ResourceAlreadyExistsException")
            assert answer["message"] == "The specified log group already exists"
            await logs("PutRetentionPolicy", logGroupName="/mine", retentionInDays=14)
            (group,) = (await logs("DescribeLogGroups"))["logGroups"]
            assert group["retentionInDays"] == 14
            await logs("DeleteRetentionPolicy", logGroupName="/mine")
            (group,) = (await logs("DescribeLogGroups"))["logGroups"]
            assert "retentionInDays" not in group
            status, answer = await logs.status("PutRetentionPolicy", logGroupName="/mine", retentionInDays=15)
            assert (status, answer["__type"]) == (400, "InvalidParameterException")
            assert "Member must satisfy enum value set: [1, 3, 5, 7, 14" in answer["message"]
            arn = group["logGroupArn"]
            await logs("TagResource", resourceArn=arn, tags={"b": "2"})
            await logs("UntagLogGroup", logGroupName="/mine", tags=["team"])
            assert (await logs("ListTagsForResource", resourceArn=arn))["tags"] == {"b": "2"}
            assert (await logs("ListTagsLogGroup", logGroupName="/mine"))["tags"] == {"b": "2"}
            theirs = arn.replace(TENANT, "111111111111")
            status, answer = await logs.status("ListTagsForResource", resourceArn=theirs)
            assert answer["message"] == "The specified log group does not exist."
            many = {f"k{number}": "" for number in range(50)}
            status, answer = await logs.status("TagResource", resourceArn=arn, tags=many)
            assert answer["__type"] == "TooManyTagsException"

    run(main)


def test_groups_are_found_by_a_part_of_their_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            for name in ("/a/red", "/a/green", "/b/red"):
                await logs("CreateLogGroup", logGroupName=name)

            async def found(**members: Any) -> list[str]:
                return [group["logGroupName"] for group in (await logs("DescribeLogGroups", **members))["logGroups"]]

            assert await found(logGroupNamePattern="red") == ["/a/red", "/b/red"]
            assert await found(logGroupNamePrefix="/a") == ["/a/green", "/a/red"]
            assert await found(logGroupIdentifiers=["/b/red"]) == ["/b/red"]
            _, answer = await logs.status("DescribeLogGroups", logGroupNamePrefix="/a", logGroupNamePattern="red")
            assert "mutually exclusive" in answer["message"]

    run(main)


def test_streams_come_by_their_last_event_page_by_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            for number in range(5):
                await logs.write(f"{number}", worker=f"w{number}", at_ms=NOW_MS + (number * 7) % 5)
            asked: dict[str, Any] = {"logGroupName": GROUP, "orderBy": "LastEventTime", "descending": True, "limit": 2}
            seen: list[str] = []
            while True:
                page = await logs("DescribeLogStreams", **asked)
                seen += [stream["logStreamName"][-2:] for stream in page["logStreams"]]
                if "nextToken" not in page:
                    break
                asked["nextToken"] = page["nextToken"]
            assert seen == ["w2", "w4", "w1", "w3", "w0"]
            _, answer = await logs.status("DescribeLogStreams", **asked | {"logStreamNamePrefix": "2"})
            assert answer["message"] == "Cannot order by LastEventTime with a logStreamNamePrefix."
            await logs("DeleteLogStream", logGroupName=GROUP, logStreamName="2023/11/14/[$LATEST]w2")
            page = await logs("DescribeLogStreams", logGroupName=GROUP)
            assert len(page["logStreams"]) == 4
            of_none = {"logGroupName": GROUP, "logStreamName": "2023/11/14/[$LATEST]w2"}
            _, answer = await logs.status("GetLogEvents", **of_none)
            assert answer["message"] == "The specified log stream does not exist."

    run(main)


def test_events_too_old_or_too_new_are_rejected_and_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            logs = Logs(keeper)
            await logs("CreateLogGroup", logGroupName="/mine")
            await logs("CreateLogStream", logGroupName="/mine", logStreamName="s")
            now_ms, day_ms = int(keeper._clock.wall_s() * 1000), 86_400_000
            events = [{"timestamp": now_ms + days * day_ms, "message": str(days)} for days in (-20, -15, 0, 1)]
            of: dict[str, Any] = {"logGroupName": "/mine", "logStreamName": "s"}
            answer = await logs("PutLogEvents", **of, logEvents=events)
            assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3}
            kept = (await logs("FilterLogEvents", logGroupName="/mine"))["events"]
            assert [event["message"] for event in kept] == ["0"]
            _, answer = await logs.status("PutLogEvents", **of, logEvents=events[::-1])
            assert answer["message"] == "Log events in a single PutLogEvents request must be in chronological order."

    run(main)
