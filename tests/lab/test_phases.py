"""An invocation taken apart: on the path that serves, whose functions are left as they were."""

from __future__ import annotations

import asyncio
from pathlib import Path

from isolet import abi
from isolet.cli.client import Client
from isolet.cli.credentials import TEST
from isolet.cli.deployment import deployed
from isolet.cli.steps import Quiet
from isolet.config import load as configured
from isolet.engine.isolate import Isolate
from isolet.front.protocol import Connection
from isolet.invoker import Attempt, Invoker
from isolet.lab import load, phases, stamps
from isolet.recorder import Recorder
from isolet.server import embedded
from laboratory import HTTP_WAT
from sources import needs_python

pytestmark = needs_python


async def _measured(directory: Path) -> phases.Phases:
    (directory / "one").mkdir()
    (directory / "one" / "one.wat").write_text(HTTP_WAT)
    (directory / "one" / "function.toml").write_text('name = "one"\nlanguage = "wat"\n[http]\n')
    config = configured(
        None, arguments={"host": "127.0.0.1", "port": "0", "data": str(directory / "d"), "workers": "1"}
    )
    async with embedded(config) as server:

        def deploy() -> None:
            with Client(server.url, TEST) as client:
                deployed(directory / "one", client, Quiet())

        await asyncio.to_thread(deploy)
        before = server.worker.invoker.spares_max
        found = await phases.measure(server, load.Job(url=f"{server.url}/fn/one/"), rounds=2, requests=50)
        assert server.worker.invoker.spares_max == before
        return found


def _path() -> list[object]:
    return [
        Connection.data_received,
        Invoker.submit,
        Attempt.start,
        abi.pack_envelope,
        abi.unpack_outcome,
        Isolate._begin,
        Isolate._born,
        Isolate.close,
        Recorder.record,
    ]


def test_every_phase_of_every_request_is_seen_and_nothing_stays_wrapped(tmp_path: Path) -> None:
    before = _path()
    found = asyncio.run(_measured(tmp_path))
    assert _path() == before
    for name in (*phases.PHASES, *phases.SUMS):
        assert found.times[name].all.count == 100
    medians = {name: found.times[name].all.median for name in phases.PHASES}
    assert all(median > 0 for median in medians.values())
    # The parts are the whole: each phase begins where the one before it ends.
    assert sum(medians.values()) <= 1.5 * found.times["whole"].all.median
    assert found.first_call.all.count == found.second_call.all.count > 0
    assert found.faults["whole"] >= found.faults["call"] >= 0


def test_phases_follow_each_other_without_a_gap() -> None:
    ends = [until for _, until in phases.PHASES.values()]
    begins = [since for since, _ in phases.PHASES.values()]
    assert begins[0] == stamps.RECEIVED
    assert begins[1:] == ends[:-1]
    assert ends[-1] == stamps.RECORDED
