"""A keeper with a builder that only says it built, and workers that only remember: for tests of the control plane."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from isolet.accounts import TestPair
from isolet.building import BuildRequest
from isolet.clock import ManualClock
from isolet.keeper import Keeper
from isolet.link import LocalLink, pair
from isolet.model import LATEST, Function, Invocation, Outcome, Served, Settings, SnapshotInfo, Target, Usage
from isolet.quota import DEFAULTS, Quotas
from isolet.recorder import Recorder
from isolet.sigv4 import Signer
from isolet.storage.packages import WASM_MAGIC
from isolet.uplink import Downcalls, Uplink
from signing import TEST, signed

ROLE = "arn:aws:iam::000000000000:role/service"
TENANT = "000000000000"
NOW_S = 1_700_000_000.5
MS = 1_000_000


def package(content: str = "v1") -> bytes:
    """A zip that is accepted; another content makes another digest."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("function.wasm"), WASM_MAGIC + content.encode())
    return buffer.getvalue()


class Given(Quotas):
    """Limits of all tenants, where they are not the defaults; and which were in the way."""

    def __init__(self, **values: float) -> None:
        self.values = values
        self.refused: list[tuple[str, str]] = []

    def value(self, account: str, name: str) -> float:
        return self.values.get(name, DEFAULTS[name])

    def refuse(self, account: str, name: str, count: int = 1) -> None:
        self.refused += [(account, name)] * count


class FakeBuilder:
    """Builds at once, or when told to; fails when told to. Every build makes another digest."""

    def __init__(self) -> None:
        self.requests: list[BuildRequest] = []
        self.running = 0
        self.running_max = 0
        self.phases: tuple[str, ...] = ("compiling",)
        self.fails: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()

    async def __call__(self, request: BuildRequest, progress: Callable[[str], None]) -> SnapshotInfo:
        self.requests.append(request)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            for phase in self.phases:
                progress(phase)
            self.began.set()
            await self.gate.wait()
            if self.fails is not None:
                raise self.fails
        finally:
            self.running -= 1
        digest = hashlib.sha256(f"{request.package_path} {len(self.requests)}".encode()).hexdigest()
        return SnapshotInfo(digest, True, (), 4_096, 65_536, 1 << 20, 70_000, 123_456, 0.25, 10_000)

    def hold(self) -> None:
        self.gate.clear()
        self.began.clear()


class FakeWorker:
    """Takes routes as a worker does, and remembers them."""

    def __init__(self, keeper: Keeper, name: str = "w" * 32) -> None:
        # Of each function $LATEST, and its whole row.
        self.table: dict[tuple[str, str], Target] = {}
        self.rows: dict[tuple[str, str], Served] = {}
        self.pushes = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.fails: Exception | None = None
        self.link: LocalLink
        # The keys that it was told to forget, None for all.
        self.forgotten: list[str | None] = []
        # What it was told of tenants' limits, what it says that they have of them, and the order of what it was told.
        self.limits: dict[str, tuple[int | None, dict[str, float]]] = {}
        self.used: dict[str, float] = {}
        self.film: list[tuple[str, str]] = []
        downcalls = Downcalls(
            self._routes,
            lambda: {"isolates_live": 1, "pool_slots": 8},
            forget_key=self.forgotten.append,
            limit=self._limit,
            used=lambda account: self.used,
        )
        self.link, _ = pair(downcalls, keeper.serve)
        self.uplink = Uplink(self.link, name)

    async def _routes(self, replace: bool, rows: Sequence[Served], removed: Sequence[tuple[str, str]]) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        self.pushes += 1
        if replace:
            self.rows.clear()
        for name in removed:
            self.rows.pop(name, None)
        self.rows |= {(served.tenant, served.name): served for served in rows}
        self.film += [("routes", served.name) for served in rows]
        latest = [target for served in self.rows.values() for target in served.targets if target.version == LATEST]
        self.table = {(target.tenant, target.name): target for target in latest}

    def _limit(self, account: str, slot: int | None, values: dict[str, float]) -> None:
        self.limits[account] = (slot, values)
        self.film.append(("limits", account))

    def names(self) -> list[str]:
        return sorted(name for _, name in self.table)


@asynccontextmanager
async def running_keeper(directory: Path, builder: FakeBuilder | None = None, **options: Any) -> AsyncIterator[Keeper]:
    keeper = Keeper(
        database_path=directory / "keeper.db",
        packages_path=directory / "packages",
        artifacts_path=directory / "artifacts",
        key_path=directory / "artifacts.key",
        build=builder or FakeBuilder(),
        clock=ManualClock(),
        **{"test_pair": TestPair.ALWAYS, "metrics_open": True, **options},
    )
    await keeper.open()
    try:
        yield keeper
    finally:
        await keeper.close()


async def create(keeper: Keeper, name: str = "f", settings: Settings | None = None, content: str = "v1") -> Function:
    return await keeper.deployments.create(TENANT, name, settings or Settings(), package(content), ROLE, {})


async def deployed(keeper: Keeper, name: str = "f", settings: Settings | None = None, content: str = "v1") -> Function:
    await create(keeper, name, settings, content)
    await keeper.deployments.settled()
    return await keeper.deployments.get(TENANT, name)


class Client:
    """Talks to a keeper's control plane as HTTP clients do, in JSON; signs with `signer`."""

    def __init__(self, keeper: Keeper, signer: Signer = TEST) -> None:
        self._keeper = keeper
        self._signer = signer
        self.headers: dict[str, str] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = signed(
            method, path, [("host", "x"), *headers], content, by=self._signer, now_s=self._keeper._clock.wall_s()
        )
        path, _, query = path.partition("?")
        status, answered, answer = await self._keeper.control(method, path, query, sent, content)
        self.headers = dict(answered)
        assert self.headers["x-amzn-requestid"]
        if "json" not in self.headers.get("content-type", ""):
            return status, answer
        return status, json.loads(answer)


def run(main: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


def recorded(recorder: Recorder, target: Target, count: int, error: Exception | None = None) -> None:
    for number in range(count):
        invocation = Invocation(target, f"id-{number}", b"", 0)
        outcome = Outcome(
            None, error, Usage(2 * MS, 1_000, 20_000, 100, 65_536, 1, 0), ((2, 1_700_000_000_499, b"hi"),)
        )
        recorder.record(invocation, outcome, NOW_S)
