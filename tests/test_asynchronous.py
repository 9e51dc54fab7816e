"""Asynchronous invocations, end to end in one process: boto3 sends them, real guests run them, the books are open."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from asynchronous import PATIENCE_S, TENANT, running
from isolet import limits
from isolet.config import AsynchronousDelays
from isolet.event_policies import policy_in
from isolet.event_records import Ending
from isolet.model import function_arn
from isolet.quota import DEFAULTS
from isolet.storage.database import Database
from isolet.storage.queue import Accepted, Books, EventQueue

pytestmark = pytest.mark.anyio


async def test_event_is_answered_202_and_run(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        sent = [await isolet.send("answers") for _ in range(5)]
        assert len(set(sent)) == 5
        await isolet.settled()
        assert await isolet.asynchronous.books(TENANT, "answers") == Books(5, 5, 0, 0, 0)


async def test_failing_event_is_tried_three_times_under_one_request_id(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("raises")
        request_id = await isolet.send("raises")
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(1, 0, 1, 0, 0)
        await isolet.server.worker.recorder.flush()
        found = await isolet.server.keeper.logs.page(TENANT, "/aws/lambda/raises")
        starts = [event.text for event in found.events if event.text.startswith("START")]
        assert len(starts) == 3
        assert all(request_id in message for message in starts)


async def test_bad_events_are_refused_in_lambdas_words(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        for name, payload, code, words in [
            ("nobody", b"{}", "ResourceNotFoundException", "Function not found"),
            ("answers", b"{", "InvalidRequestContentException", "Could not parse request body into json"),
            (
                *("answers", b'"' + b"x" * limits.EVENT_BYTES_MAX + b'"', "RequestTooLargeException"),
                "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
            ),
        ]:
            with pytest.raises(ClientError) as refused:
                await isolet.send(name, payload)
            assert refused.value.response["Error"]["Code"] == code
            assert words in refused.value.response["Error"]["Message"]
        largest = b'"' + b"x" * (limits.EVENT_BYTES_MAX - 2) + b'"'
        await isolet.send("answers", largest)
        assert (await isolet.asynchronous.books()).accepted == 1


async def test_without_a_keeper_nothing_is_accepted(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await isolet.server.worker._keeper._link.close()
        with pytest.raises(ClientError) as refused:
            await isolet.send("answers")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


async def test_restart_keeps_events(tmp_path: Path) -> None:
    slow = AsynchronousDelays(3_600, 1)
    async with running(tmp_path, asynchronous=slow) as isolet:
        await isolet.deploy("raises")
        for _ in range(3):
            await isolet.send("raises")
    async with running(tmp_path) as isolet:
        books = await isolet.asynchronous.books()
        assert (books.accepted, books.balance) == (3, 0)
        assert books.queued == 3
        # They wait for their hour: a new event of theirs does not.
        await isolet.deploy("answers")
        await isolet.send("answers")


async def test_keeper_with_a_long_queue_serves_before_all_of_it_has_its_place(tmp_path: Path) -> None:
    count = 1_200
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await isolet.deploy("naps")
    database = Database(tmp_path / "keeper.db")
    await database.open()
    queue = EventQueue(database, policy_in)
    for name in ("answers", "naps"):
        events = [Accepted(str(uuid.uuid4()), TENANT, name, "$LATEST", b"{}") for _ in range(count)]
        await queue.accept(events, int(time.time() * 1000))
    await database.close()
    async with running(tmp_path) as isolet:
        # What is queued is known at once, whether or not it has its place yet.
        gauges = await isolet.asynchronous.gauges()
        books = await isolet.asynchronous.books()
        assert gauges["events_queued"] + books.succeeded >= count
        await isolet.settled()
        books = await isolet.asynchronous.books()
        assert (books.accepted, books.succeeded, books.balance) == (2 * count, 2 * count, 0)


async def test_event_of_a_deleted_function_is_given_up(tmp_path: Path) -> None:
    async with running(tmp_path, asynchronous=AsynchronousDelays(1, 1)) as isolet:
        await isolet.deploy("raises")
        await isolet.send("raises")
        await isolet.ask(isolet.cloud.remove, "raises")
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(1, 0, 1, 0, 0)


async def test_chain_ends_at_its_depth(tmp_path: Path) -> None:
    """What is the last of sixteen is run; the one after it is not."""
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        for depth in (limits.INVOKE_DEPTH_MAX - 1, limits.INVOKE_DEPTH_MAX):
            trace = f"Root=1-2-3;Lineage={depth}:0:0"
            await isolet.asynchronous.accept(
                [Accepted(str(uuid.uuid4()), TENANT, "answers", "", b"{}", trace_id=trace, depth=depth)]
            )
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(2, 1, 1, 0, 0)


async def test_function_that_is_its_own_destination_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("raises")
        await isolet.ask(
            isolet.cloud.client.put_function_event_invoke_config,
            FunctionName="raises",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": function_arn(TENANT, "raises")}},
        )
        await isolet.send("raises")
        async with asyncio.timeout(PATIENCE_S):
            while (await isolet.asynchronous.books()).accepted <= limits.INVOKE_DEPTH_MAX:
                pass
        await isolet.settled()
        assert isolet.server.keeper.deliveries.untold.total() == 0, "nobody is told of the last one"
        ran = limits.INVOKE_DEPTH_MAX
        assert await isolet.asynchronous.books() == Books(ran + 1, 0, ran + 1, 0, 0)


async def test_many_clients_share_commits(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        await asyncio.gather(*(isolet.send("answers") for _ in range(64)))
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(64, 64, 0, 0, 0)


async def test_tenant_with_too_many_events_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "events", 2)
    async with running(tmp_path, asynchronous=AsynchronousDelays(3_600, 1)) as isolet:
        await isolet.deploy("raises")
        await isolet.send("raises")
        await isolet.send("raises")
        with pytest.raises(ClientError) as refused:
            await isolet.send("raises")
        assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


async def test_events_that_are_throttled_are_delayed_and_all_of_them_are_run(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        bounds = isolet.server.keeper.bounds
        await isolet.deploy("answers")
        await bounds.set(TENANT, {"concurrency": "0"})
        await asyncio.gather(*(isolet.send("answers") for _ in range(40)))
        assert await isolet.asynchronous.books() == Books(40, 0, 0, 0, 40)
        await bounds.set(TENANT, {"concurrency": "1", "requests_per_s": "100", "requests_burst": "2"})
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(40, 40, 0, 0, 0)
        await isolet.server.worker.recorder.flush()
        text = (await isolet.server.keeper._metrics_text()).decode()
        for limit in ("concurrency", "requests_per_s"):
            found = re.search(rf'isolet_limit_refusals_total{{limit="{limit}",tenant="{TENANT}"}} (\S+)', text)
            assert found is not None
            assert float(found[1]) >= 1


async def test_a_function_is_not_asked_for_more_than_it_has_reserved(tmp_path: Path) -> None:
    async with running(tmp_path) as isolet:
        await isolet.deploy("naps")
        client = isolet.cloud.client
        await isolet.ask(client.put_function_concurrency, FunctionName="naps", ReservedConcurrentExecutions=1)
        await asyncio.gather(*(isolet.send("naps") for _ in range(20)))
        await isolet.settled()
        assert await isolet.asynchronous.books() == Books(20, 20, 0, 0, 0)
        await isolet.server.worker.recorder.flush()
        text = (await isolet.server.keeper._metrics_text()).decode()
        assert 'isolet_throttles_total{function="naps"} 0.0' in text, "one after the other, and none was refused"


async def test_books_and_queue_are_in_the_metrics(tmp_path: Path) -> None:
    async with running(tmp_path, asynchronous=AsynchronousDelays(3_600, 1)) as isolet:
        await isolet.deploy("answers")
        await isolet.deploy("raises")
        await isolet.send("raises")
        await isolet.send("answers")
        while (await isolet.asynchronous.books()).succeeded == 0:
            await asyncio.sleep(0.01)
        text = (await isolet.server.keeper._metrics_text()).decode()
        for line in (
            "isolet_events_queued 1.0",
            "isolet_deliveries_queued 0.0",
            'isolet_events_total{fate="accepted"} 2.0',
            'isolet_events_total{fate="succeeded"} 1.0',
        ):
            assert line in text
        assert "isolet_events_oldest_age_seconds" in text
        assert (await isolet.server.keeper.books(TENANT, "raises")).queued == 1


async def test_flood_of_one_tenant_delays_anothers_event_by_a_few_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in ends: what the keeper has under way of the flood may end first, at each of the event's commits."""
    ended: list[str] = []
    end = EventQueue.end

    async def noted(self: EventQueue, id: int, ending: Ending, now_ms: int, tenant: str = "") -> Any:
        answer = await end(self, id, ending, now_ms, tenant)
        ended.append(tenant)
        return answer

    monkeypatch.setattr(EventQueue, "end", noted)
    async with running(tmp_path) as isolet:
        await isolet.deploy("answers")
        flood = [Accepted(str(uuid.uuid4()), "999999999999", "nobody", "", b"{}") for _ in range(1_200)]
        await isolet.asynchronous.accept(flood)
        async with asyncio.timeout(PATIENCE_S):
            while len(ended) < 100:
                await asyncio.sleep(0)
            before = len(ended)
            await isolet.asynchronous.accept([Accepted(str(uuid.uuid4()), TENANT, "answers", "", b"{}")])
            while TENANT not in ended:
                await asyncio.sleep(0)
        assert ended.index(TENANT) - before <= 6 * limits.EVENTS_MOVING_MAX
