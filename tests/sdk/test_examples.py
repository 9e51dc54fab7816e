"""The examples are the same in every language: each is built, deployed to a real server and held to its cases.

A language without a compiler here is a skip that names what is missing and how to get it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import toolchains
from isolet.cli.client import Client
from isolet.cli.deployment import deployed
from isolet.cli.steps import Steps
from isolet.config import Config
from isolet.manifest import LANGUAGES, load
from isolet.server import Embedded, embedded
from isolet.storage.kv import Kv
from running import ROOT

FUNCTIONS = ROOT / "functions"
EXAMPLES = ("hello", "counter", "wordcount")
# All but those that are bytes or text of WebAssembly itself.
IN = tuple(language for language in LANGUAGES if language not in ("wat", "wasm"))
# Those that build in a second.
QUICK = ("c", "python", "javascript")
# As many can be at once without one of them being too late 16 times: in each round somebody is first.
WRITERS = 8


def directory_of(example: str, language: str) -> Path:
    own = FUNCTIONS / example / language
    return FUNCTIONS / example if (example, language) == ("hello", "c") else own


def cases_of(example: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FUNCTIONS / example / "cases.json").read_text())["cases"]
    return cases


class Rivals:
    """The keeper's store, with another writer who is first as often as is wanted."""

    def __init__(self, kv: Kv) -> None:
        self.kv = kv
        self.interfering = 0

    async def serve(self, tenant: str, verb: str, namespace: str, key: str, value: Any, options: Any) -> Any:
        if verb == "put" and self.interfering:
            self.interfering -= 1
            found = await self.kv.get(tenant, namespace, key)
            number = int(found["value"]) if found else 0
            await self.kv.put(tenant, namespace, key, str(number + 1).encode())
        return await self.kv.serve(tenant, verb, namespace, key, value, options)

    async def fill(self, tenant: str, wanted: dict[str, dict[str, str]]) -> None:
        for namespace in {"counters", *wanted}:
            for key in (await self.kv.keys(tenant, namespace, ""))["keys"]:
                await self.kv.delete(tenant, namespace, key)
            for key, text in wanted.get(namespace, {}).items():
                await self.kv.put(tenant, namespace, key, text.encode())

    async def content(self, tenant: str, namespace: str) -> dict[str, str]:
        content = {}
        for key in (await self.kv.keys(tenant, namespace, ""))["keys"]:
            found = await self.kv.get(tenant, namespace, key)
            assert found is not None
            content[key] = found["value"].decode()
        return content


class Server:
    """A server in a thread of its own."""

    def __init__(self, data: Path) -> None:
        self._config = Config(port=0, data=data, workers=1, isolates=64)
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._server: Embedded | None = None
        self.rivals: Rivals
        self._thread.start()
        self._up.wait()
        assert self._server is not None, "the server did not come up"
        self.url = self._server.url

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with embedded(self._config) as server:
                self.rivals = Rivals(server.keeper.kv)
                server.keeper.kv = self.rivals  # type: ignore[assignment]
                self._server = server
                self._up.set()
                await self._stop.wait()
                server.keeper.kv = self.rivals.kv
        finally:
            self._up.set()

    def run(self, work: Any) -> Any:
        """Awaits `work` on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    interval_s = sys.getswitchinterval()
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.close()
    sys.setswitchinterval(interval_s)


def outcome(client: Client, name: str, event: Any) -> dict[str, Any]:
    """What a case calls it: `result`, or `error`."""
    invoked = client.invoke(name, json.dumps(event).encode())
    answer = json.loads(invoked.payload)
    if not invoked.function_error:
        return {"result": answer}
    return {"error": {"type": answer["errorType"], "message": answer["errorMessage"]}}


def check(server: Server, client: Client, name: str, tenant: str, case: dict[str, Any]) -> None:
    server.run(server.rivals.fill(tenant, case.get("kv", {})))
    server.rivals.interfering = case.get("interfering", 0)
    found = outcome(client, name, case["event"])
    assert found == {kind: case[kind] for kind in ("result", "error") if kind in case}, case["name"]
    assert server.rivals.interfering == 0, case["name"]
    for namespace, content in case.get("kv_after", {}).items():
        assert server.run(server.rivals.content(tenant, namespace)) == content, case["name"]


def check_writers_at_once(server: Server, name: str, tenant: str) -> None:
    """Each adds one, all at once: none of them is lost."""

    def write(_: int) -> Any:
        with Client(server.url) as client:
            return outcome(client, name, {"name": "visits"})["result"]["value"]

    server.run(server.rivals.fill(tenant, {}))
    with ThreadPoolExecutor(WRITERS) as writers:
        values = list(writers.map(write, range(WRITERS)))
    assert sorted(values) == list(range(1, WRITERS + 1))
    assert server.run(server.rivals.content(tenant, "counters")) == {"visits": str(WRITERS)}


@pytest.mark.parametrize(
    "language", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in IN]
)
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_answers_as_its_cases_say_in_every_language(example: str, language: str, server: Server) -> None:
    toolchains.require(language)
    with Client(server.url) as client, Steps() as steps:
        function = deployed(directory_of(example, language), client, steps)
        assert function.compiler_warnings == ""
        tenant = function.arn.split(":")[4]
        try:
            for case in cases_of(example):
                check(server, client, function.name, tenant, case)
            if example == "counter":
                check_writers_at_once(server, function.name, tenant)
        finally:
            client.delete(function.name)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_there_in_every_language_and_says_the_same_of_itself(example: str) -> None:
    manifests = {language: load(directory_of(example, language)) for language in IN}
    assert {manifest.settings.language for manifest in manifests.values()} == set(IN)
    assert len({manifest.name for manifest in manifests.values()}) == len(IN)
    assert len({manifest.settings.capabilities for manifest in manifests.values()}) == 1


@pytest.mark.parametrize("example", EXAMPLES)
def test_cases_are_named_once_and_have_one_outcome(example: str) -> None:
    cases = cases_of(example)
    assert len({case["name"] for case in cases}) == len(cases)
    assert all(("result" in case) != ("error" in case) for case in cases)
