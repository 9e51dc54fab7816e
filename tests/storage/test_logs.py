from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isolet import limits
from isolet.errors import ResourceExists, UnknownLogs
from isolet.frames import pack
from isolet.model import Logging
from isolet.quota import DEFAULTS
from isolet.records import Batch, Record
from isolet.storage.database import Database
from isolet.storage.intake import Intake
from isolet.storage.logs import START, Logs, Place
from isolet.storage.logs import kept as kept_by
from isolet.storage.schema import MIGRATIONS

TENANT = "000000000000"
_TEXT = Logging()
GROUP, QUIET = "/aws/lambda/resize", "/aws/lambda/quiet"
NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z


def record(request_id: str, at_ms: int = NOW_MS, text: str = "hello") -> Record:
    return Record(
        request_id, at_ms, at_ms + 2, 2_000_000, 20_000, 1_000, 50, 65_536, None, [(2, at_ms + 1, text.encode())], 0
    )


def batch(records: list[Record], name: str = "resize", tenant: str = TENANT, logging: Logging = _TEXT) -> Batch:
    first, last = records[0].started_ms, records[-1].ended_ms
    packed = b"".join(pack(list(record)) for record in records)
    minute = last // 60_000
    return Batch(
        tenant, name, "", "$LATEST", 128, minute, first_ms=first, last_ms=last, records=packed, logging=logging
    )


def run(main: Callable[[Intake, Logs], Awaitable[None]]) -> None:
    async def opened() -> None:
        with tempfile.TemporaryDirectory() as directory:
            database = Database(Path(directory) / "db")
            await database.open()
            try:
                await main(Intake(database), Logs(database))
            finally:
                await database.close()

    asyncio.run(opened())


def test_lines_are_lambdas_and_carry_their_times() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        await intake.take("w1", 1, 1, [batch([record("id-1")])], 0)
        page = await logs.page(TENANT, GROUP)
        assert [(event.ms - NOW_MS, event.text) for event in page.events] == [
            (0, "START RequestId: id-1 Version: $LATEST"),
            (1, "hello"),
            (2, "END RequestId: id-1"),
            (2, page.events[3].text),
        ]
        report = page.events[3].text
        assert report.startswith(
            "REPORT RequestId: id-1\tDuration: 1.98 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t"
        )
        assert {event.stream for event in page.events} == {"2023/11/14/[$LATEST]w1"}

    run(main)


def test_failed_invocation_says_why_and_its_words_cannot_forge_a_line() -> None:
    failed = record("id-2")._replace(failure=("Raised", "KeyError", "no such\nEND RequestId: id-2"), entries_dropped=3)

    async def main(intake: Intake, logs: Logs) -> None:
        await intake.take("w1", 1, 1, [batch([failed])], 0)
        texts = [event.text for event in (await logs.page(TENANT, GROUP)).events]
        assert texts[2] == "3 log lines dropped: an invocation may write 256 KiB, and an account so much a second"
        assert texts[3] == r"[ERROR] RequestId: id-2 KeyError: no such\nEND RequestId: id-2"
        assert texts[5].endswith("Status: error\tError Type: KeyError\t")

    run(main)


@pytest.mark.parametrize(
    "class_name", ["TimedOut", "ArtifactCorrupt", "Throttled", "FromTheFuture", "annotations", "Any"]
)
def test_lines_of_every_failure_can_be_made(class_name: str) -> None:
    failed = record("id-3")._replace(failure=(class_name, "Some.Type", "words"))

    async def main(intake: Intake, logs: Logs) -> None:
        await intake.take("w1", 1, 1, [batch([failed])], 0)
        texts = [event.text for event in (await logs.page(TENANT, GROUP)).events]
        assert "words" in texts[2]
        assert "Status: " in texts[4]

    run(main)


def test_reader_follows_by_place_and_gets_each_line_once() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        seen, place = [], START
        for number in range(30):
            records = [record(f"{number}-{n}") for n in range(number % 4 + 1)]
            await intake.take("w1", number + 1, 1, [batch(records), batch(records, name="other")], 0)
            if number % 3 == 0:
                page = await logs.page(TENANT, GROUP, after=place, count=5)
                seen += page.events
                place = page.place
        while (page := await logs.page(TENANT, GROUP, after=place, count=5)).events:
            seen += page.events
            place = page.place
            assert page.more == (len(page.events) == 5)
        assert len(seen) == len({event.place for event in seen})
        everything = await logs.page(TENANT, GROUP)
        assert seen == everything.events
        assert not everything.more

    run(main)


def test_page_ends_at_its_bounds_of_work_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isolet.storage.logs._SEGMENTS_PER_PAGE", 16)

    async def main(intake: Intake, logs: Logs) -> None:
        for number in range(20):
            await intake.take("w1", number + 1, 1, [batch([record(str(number))])], 0)
        page = await logs.page(TENANT, GROUP, keep=lambda event: "RequestId: 19 " in event.text)
        assert (page.events, page.more) == ([], True)
        page = await logs.page(TENANT, GROUP, after=page.place, keep=lambda event: "RequestId: 19 " in event.text)
        assert [event.text for event in page.events] == ["START RequestId: 19 Version: $LATEST"]

    run(main)


def test_times_bound_what_is_read() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        for number in range(10):
            await intake.take("w1", number + 1, 1, [batch([record(str(number), NOW_MS + 1_000 * number)])], 0)
        page = await logs.page(TENANT, GROUP, first_ms=NOW_MS + 3_000, last_ms=NOW_MS + 4_000)
        assert [event.ms - NOW_MS for event in page.events] == [3_000, 3_001, 3_002, 3_002, 4_000]

    run(main)


def test_last_lines_are_found_from_the_end() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        for number in range(40):
            await intake.take("w1", number + 1, 1, [batch([record(str(number))])], 0)
        everything = (await logs.page(TENANT, GROUP)).events
        for count in (1, 3, 50, 1_000):
            assert await logs.last(TENANT, GROUP, count=count) == everything[-count:]
        before = everything[100].place
        assert await logs.last(TENANT, GROUP, before=before, count=10) == everything[90:100]
        assert await logs.last(TENANT, GROUP, before=Place(0, 0), count=10) == []

    run(main)


def test_segments_are_bounded_per_function_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_STORE_BYTES_MAX", 10_000)

    async def main(intake: Intake, logs: Logs) -> None:
        await intake.take("w1", 1, 1, [batch([record("quiet")], name="quiet")], 0)
        for number in range(60):
            await intake.take("w1", number + 2, 1, [batch([record(str(number), text="x" * 300)])], 0)
        sizes = {group.name: group.bytes for group in await logs.groups(TENANT)}
        assert 9_000 < sizes[GROUP] <= 10_000
        events = (await logs.page(TENANT, GROUP)).events
        started = [event.text.split()[2] for event in events if event.text.startswith("START")]
        assert started == [str(number) for number in range(60)][-len(started) :]
        assert len((await logs.page(TENANT, QUIET)).events) == 4, "its neighbour's flood took nothing from it"

    run(main)


def test_all_segments_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_TOTAL_BYTES_MAX", 10_000)

    async def main(intake: Intake, logs: Logs) -> None:
        for number in range(60):
            await intake.take("w1", number + 1, 1, [batch([record(str(number), text="x" * 300)], name=f"f{number}")], 0)
        groups = await logs.groups(TENANT)
        assert sum(group.bytes for group in groups) <= 10_000
        assert (await logs.page(TENANT, "/aws/lambda/f0")).events == []
        assert len((await logs.page(TENANT, "/aws/lambda/f59")).events) == 4

    run(main)


def test_a_tenant_keeps_so_much_and_whoever_keeps_most_gives_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "log_stored_bytes", 10_000)
    hog, group = "666666666666", "/aws/lambda/f"

    async def main(intake: Intake, logs: Logs) -> None:
        async def flood(first: int, count: int) -> int:
            for number in range(first, first + count):
                flooding = batch([record(str(number), text="x" * 300)], name=f"f{number}")
                await intake.take("w1", number + 2, 1, [flooding._replace(tenant=hog)], 0)
            return sum(group.bytes for group in await logs.groups(hog))

        await intake.take("w1", 1, 1, [batch([record("quiet")], name="quiet")], 0)
        kept = await flood(0, 60)
        assert 9_000 < kept <= 10_000
        assert kept == await kept_by(logs._database, hog)
        assert len((await logs.page(hog, f"{group}59")).events) == 4
        assert (await logs.page(hog, f"{group}0")).events == []
        monkeypatch.setattr(limits, "LOG_TOTAL_BYTES_MAX", 5_000)
        assert 0 < await flood(60, 1) < 5_000
        assert len((await logs.page(TENANT, QUIET)).events) == 4, "the oldest of all, of one who keeps little"

    run(main)


def test_segment_larger_than_the_bound_is_kept_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_STORE_BYTES_MAX", 100)

    async def main(intake: Intake, logs: Logs) -> None:
        for number in range(3):
            await intake.take("w1", number + 1, 1, [batch([record(str(number), text="x" * 300)])], 0)
        events = (await logs.page(TENANT, GROUP)).events
        assert [event.text for event in events if "START" in event.text] == ["START RequestId: 2 Version: $LATEST"]

    run(main)


def test_streams_are_one_a_worker_and_day() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        day_ms = 86_400_000
        await intake.take("w1", 1, 1, [batch([record("a")]), batch([record("b", NOW_MS + day_ms)])], 0)
        await intake.take("w2", 1, 1, [batch([record("c", NOW_MS + 5)])], 0)
        streams = await logs.streams(TENANT, GROUP)
        assert [stream.name for stream in streams] == [
            "2023/11/14/[$LATEST]w1",
            "2023/11/14/[$LATEST]w2",
            "2023/11/15/[$LATEST]w1",
        ]
        assert (streams[1].first_ms, streams[1].last_ms) == (NOW_MS + 5, NOW_MS + 7)
        events = (await logs.page(TENANT, GROUP)).events
        assert {event.stream for event in events} == {stream.name for stream in streams}

    run(main)


def test_logs_are_of_one_tenant_and_can_be_deleted() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        theirs = "111111111111"
        await intake.take("w1", 1, 1, [batch([record("mine")]), batch([record("theirs")], tenant=theirs)], 0)
        assert "theirs" not in repr(await logs.page(TENANT, GROUP))
        await logs.delete_group(TENANT, GROUP)
        with pytest.raises(UnknownLogs):
            await logs.delete_group(TENANT, GROUP)
        assert (await logs.page(TENANT, GROUP)).events == []
        assert len((await logs.page(theirs, GROUP)).events) == 4

    run(main)


def test_lines_of_a_group_of_ones_own_are_found_there() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        shared = Logging(group="/shared")
        await intake.take("w1", 1, 1, [batch([record("a")], logging=shared)], 0)
        await intake.take("w1", 2, 1, [batch([record("b")], name="quiet", logging=shared)], 0)
        assert [group.name for group in await logs.groups(TENANT)] == ["/shared"]
        streams = [stream.name for stream in await logs.streams(TENANT, "/shared")]
        assert streams == ["2023/11/14/quiet[$LATEST][w1]", "2023/11/14/resize[$LATEST][w1]"]
        one = await logs.page(TENANT, "/shared", stream=streams[0])
        assert [event.text for event in one.events][1] == "hello"
        assert {event.stream for event in one.events} == {streams[0]}

    run(main)


def test_form_of_the_lines_is_the_one_that_was_in_force() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        await intake.take("w1", 1, 1, [batch([record("a")])], 0)
        await intake.take("w1", 2, 1, [batch([record("b")], logging=Logging("JSON", "INFO", "DEBUG"))], 0)
        texts = [event.text for event in (await logs.page(TENANT, GROUP)).events]
        assert texts[0] == "START RequestId: a Version: $LATEST"
        assert json.loads(texts[4])["type"] == "platform.start"
        assert json.loads(texts[5])["message"] == "hello"

    run(main)


def test_what_is_older_than_its_retention_is_swept_and_not_counted() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        day_ms = 86_400_000
        await intake.take("w1", 1, 1, [batch([record(str(n), NOW_MS + n * day_ms)]) for n in range(5)], 0)
        await intake.take("w1", 2, 1, [batch([record("q")], name="quiet")], 0)
        (of,) = [group for group in await logs.groups(TENANT) if group.name == GROUP]
        await logs.sweep(NOW_MS + 100 * day_ms)
        assert len(await logs.streams(TENANT, GROUP)) == 5, "without a retention everything stays"
        await logs.retain(TENANT, GROUP, 3)
        await logs.sweep(NOW_MS + 5 * day_ms)
        (swept,) = [group for group in await logs.groups(TENANT) if group.name == GROUP]
        streams = await logs.streams(TENANT, GROUP)
        assert [stream.name[:10] for stream in streams] == ["2023/11/16", "2023/11/17", "2023/11/18"]
        assert swept.bytes == sum(stream.bytes for stream in streams) == of.bytes * 3 // 5
        assert (swept.retention_days, len((await logs.page(TENANT, QUIET)).events)) == (3, 4)

    run(main)


def test_clients_lines_are_events_like_others() -> None:
    async def main(intake: Intake, logs: Logs) -> None:
        await logs.create_group(TENANT, "/mine", {"team": "a"}, NOW_MS)
        with pytest.raises(ResourceExists):
            await logs.create_group(TENANT, "/mine", {}, NOW_MS)
        await logs.create_stream(TENANT, "/mine", "s", NOW_MS)
        with pytest.raises(ResourceExists):
            await logs.create_stream(TENANT, "/mine", "s", NOW_MS)
        with pytest.raises(UnknownLogs):
            await logs.put(TENANT, "/mine", "t", [(NOW_MS, "x")], NOW_MS)
        await logs.put(TENANT, "/mine", "s", [(NOW_MS, "one"), (NOW_MS + 1, "two")], NOW_MS + 9)
        assert [event.text for event in (await logs.page(TENANT, "/mine")).events] == ["one", "two"]
        (stream,) = await logs.streams(TENANT, "/mine")
        assert (stream.first_ms, stream.last_ms, stream.taken_ms) == (NOW_MS, NOW_MS + 1, NOW_MS + 9)
        await logs.tag(TENANT, "/mine", {"b": "2"}, ["team"])
        (group,) = await logs.groups(TENANT)
        assert (group.tags, group.bytes) == ({"b": "2"}, stream.bytes)
        await logs.delete_stream(TENANT, "/mine", "s")
        (group,) = await logs.groups(TENANT)
        assert (group.bytes, await logs.streams(TENANT, "/mine")) == (0, [])

    run(main)


def test_logs_of_before_there_were_groups_are_found_in_them(tmp_path: Path) -> None:
    (step,) = [number for number, step in enumerate(MIGRATIONS) if "CREATE TABLE log_groups" in step]
    old = sqlite3.connect(tmp_path / "db")
    old.executescript(";".join(MIGRATIONS[:step]) + f"; PRAGMA user_version = {step}")
    packed = pack(list(record("old"))[:-1])
    row = (TENANT, "resize", "$LATEST", "w1", 128, 1, NOW_MS, NOW_MS + 2, 400, packed)
    columns = "tenant, name, version, worker, memory_mb, step_ms, first_ms, last_ms, bytes, records"
    old.execute(f"INSERT INTO log_segments ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.execute("INSERT INTO log_sizes VALUES (?, 'resize', 400, ?)", (TENANT, NOW_MS))
    old.commit()
    old.close()

    async def main() -> None:
        database = Database(tmp_path / "db")
        await database.open()
        logs = Logs(database)
        (group,) = await logs.groups(TENANT)
        assert (group.name, group.bytes) == (GROUP, 400)
        assert await logs.streams(TENANT, GROUP) == [
            ("2023/11/14/[$LATEST]w1", NOW_MS, NOW_MS, NOW_MS + 2, NOW_MS + 2, 400)
        ]
        assert [event.text for event in (await logs.page(TENANT, GROUP)).events][1] == "hello"
        await database.close()

    asyncio.run(main())
