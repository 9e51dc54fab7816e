from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isolet.errors import (
    Conflict,
    WorkerLost,
)
from isolet.link import Link, listen, pair
from isolet.model import Target
from isolet.recorder import Recorder
from isolet.uplink import Downcalls, Reconnecting, Uplink
from keeping import TENANT, deployed, recorded, run, running_keeper


def test_worker_finds_the_next_keeper_and_its_records_are_taken_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A keeper ends while a worker lives: the worker comes back to the next one, with its records."""
    directory = tmp_path_factory.mktemp("k")
    path = directory / "keeper.sock"

    async def main() -> None:
        tables: list[list[str]] = []

        async def take(replace: bool, rows: Any, removed: Any) -> None:
            tables.append([served.name for served in rows])
            recording.extend(target for served in rows for target in served.targets)

        async def greet(link: Link) -> None:
            await Uplink(link, "w").hello()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await asyncio.sleep(0)

        pauses: list[float] = []
        recording: list[Target] = []
        link = Reconnecting(path, Downcalls(take, dict), greet, pause)
        uplink = Uplink(link, "w")
        with pytest.raises(WorkerLost, match="keeper is not there"):
            await uplink.control("GET", "/healthz", "", [], b"")
        async with running_keeper(directory) as keeper:
            listener = await listen(path, keeper.serve)
            await link.wait_up()
            await deployed(keeper)
            assert tables == [[], ["f"]]
            recorder = Recorder(uplink.records)
            recorded(recorder, recording[-1], 10)
            await recorder.flush()
            await listener.close()
        assert pauses[:5] == [0.05, 0.1, 0.2, 0.2, 0.2]
        recorded(recorder, recording[-1], 10)
        with pytest.raises(WorkerLost):
            await recorder.flush()
        async with running_keeper(directory) as keeper:
            listener = await listen(path, keeper.serve)
            await link.wait_up()
            assert tables[-1] == ["f"]
            await recorder.close()
            (row,) = await keeper.ledger.rows(TENANT)
            assert row.totals.invocations == 20
            status, headers, body = await uplink.control("GET", "/healthz", "", [], b"")
            assert (status, body) == (200, b'{"status":"ok","workers":1,"functions":1}')
            assert ("content-type", "application/json") in headers
            await link.close()
            await listener.close()

    run(main)


def test_search_for_a_keeper_ends_when_the_keeper_refuses_the_worker(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("k") / "keeper.sock"

    async def main() -> None:
        async def serve(operation: str, body: Any) -> Any:
            raise Conflict("restart the server")

        async def greet(link: Link) -> None:
            await Uplink(link, "w").hello()

        listener = await listen(path, lambda _: serve)
        link = Reconnecting(path, serve, greet)
        with pytest.raises(Conflict, match="restart the server"):
            await link.wait_up()
        await listener.close()

    run(main)


def test_keeper_that_ends_before_it_answers_is_said_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("k") / "keeper.sock"

    async def main() -> None:
        asked, served = asyncio.Event(), []

        async def serve(operation: str, body: Any) -> Any:
            if operation == "refuse":
                raise WorkerLost("said by the keeper")
            asked.set()
            await asyncio.Event().wait()

        def accept(link: Any) -> Any:
            served.append(link)
            return serve

        async def greet(link: Link) -> None:
            pass

        listener = await listen(path, accept)
        link = Reconnecting(path, serve, greet)
        await link.wait_up()
        with pytest.raises(WorkerLost, match="said by the keeper"):
            await link.request("refuse")
        asking = asyncio.ensure_future(link.request("wait"))
        await asked.wait()
        await served[0].close()
        with pytest.raises(WorkerLost, match="the keeper ended before it answered; try again in a second"):
            await asking
        await link.close()
        await listener.close()

    run(main)


def test_keeper_that_cannot_answer_in_time_is_said_so() -> None:
    async def main() -> None:
        async def never(operation: str, body: Any) -> Any:
            await asyncio.Event().wait()

        link, _ = pair(never, lambda _: never)
        with pytest.raises(WorkerLost, match=r"did not answer within 0.001 s \(GET /x\)"):
            await Uplink(link, "w", request_s=0.001).control("GET", "/x", "", [], b"")

    run(main)
