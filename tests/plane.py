"""A data plane for tests: the real engine, cache and invoker around .wat guests, frozen by the real builder's maker."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.errors import IsoletError, WorkerLost
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.invoker import Invoker
from isolet.model import NO_CAPABILITIES, Capabilities, Invocation, Outcome, Route, SnapshotInfo, Target
from isolet.routing import FunctionRef, RoutingTable
from isolet.scheduler import Scheduler
from isolet.snapshot.cache import SnapshotCache
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Made, Maker
from isolet.storage.artifacts import Artifacts, read_key
from isolet.tally import Tally
from isolet.upward import Upward

GUESTS = Path(__file__).parent / "guests"


@functools.cache
def engine(isolates_max: int) -> Engine:
    return Engine(EngineSettings(isolates_max=isolates_max), IMPORTS)


@functools.cache
def maker() -> Maker:
    return Maker(IMPORTS)


@functools.cache
def frozen(guest: str) -> Made:
    constants = HostConstants(guest, "$LATEST", "arn", 2, (), {})
    given = Guest(2 * limits.MIB, lambda: HostState(constants, initialising=True), None)
    return maker().make(wat((GUESTS / f"{guest}.wat").read_text()), given)


class Notes:
    """A recorder that keeps everything."""

    def __init__(self) -> None:
        self.kept: list[tuple[Invocation, Outcome]] = []
        self.refused: list[IsoletError] = []
        self.lines_dropped = 0

    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float, running: int = 1) -> None:
        self.kept.append((invocation, outcome))

    def refuse(self, target: Target, error: IsoletError, now_s: float) -> None:
        self.refused.append(error)

    def drop_lines(self, target: Target, count: int) -> None:
        self.lines_dropped += count


class Plane:
    """One worker's invocations, without door and keeper. Made on a running event loop."""

    def __init__(
        self,
        directory: Path,
        *,
        concurrency: int = 1000,
        isolates_max: int = 1100,
        spares: int = 0,
        in_steps: bool = False,
    ) -> None:
        self.engine = engine(isolates_max)
        self.artifacts = Artifacts(directory / "artifacts", read_key(directory / "key"), self.engine.fingerprint)
        self.rebuilt: list[str] = []
        self.notes = Notes()
        self.scheduler = Scheduler(asyncio.get_running_loop())
        self.cache = SnapshotCache(self.engine, self.artifacts, self._rebuild, lambda digest: _NOTHING)
        # What capabilities ask of the keeper comes here; functions find each other in `routes`.
        self.ask: Callable[[str, Any], Awaitable[Any]] = _nobody
        self.asked: dict[str, list[int]] = {}
        self.routes = RoutingTable()
        self.tally = Tally(1)
        self.invoker = Invoker(
            self.engine,
            self.cache,
            self.scheduler,
            self.notes,
            concurrency_tenant_max=concurrency,
            spares_max=spares,
            upward=self._upward,
            tally=self.tally.column(0),
        )
        if not in_steps:
            # Large isolates are freed at once: the engine is shared with other tests, whose loops are other ones.
            self.engine.bury = None
        self._targets: dict[tuple[str, str], Target] = {}
        self._guests: dict[str, str] = {}

    async def _rebuild(self, digest: str) -> SnapshotInfo:
        self.rebuilt.append(digest)
        made = frozen(self._guests[digest])
        return self.artifacts.write(made.artifact, made.info)

    def _upward(self, tenant: str) -> Upward:
        return Upward(tenant, lambda what, body: self.ask(what, body), self._find, self.invoker.invoke, self.asked)

    def _find(self, ref: FunctionRef) -> Target:
        return self.routes.find(ref)

    def target(
        self,
        guest: str,
        *,
        name: str = "",
        capabilities: Capabilities = NO_CAPABILITIES,
        tenant: str = "000000000000",
        timeout_s: float = 3.0,
        fuel: int = limits.FUEL_DEFAULT,
        memory_mb: int = 2,
        routes: tuple[Route, ...] = (),
    ) -> Target:
        made = frozen(guest)
        info = self.artifacts.write(made.artifact, made.info)
        self._guests[info.digest] = guest
        return Target(
            tenant=tenant,
            name=name or guest,
            version="$LATEST",
            snapshot=info,
            package_digest="0" * 64,
            timeout_s=timeout_s,
            memory_bytes=memory_mb * limits.MIB,
            fuel=fuel,
            environment={},
            http=bool(routes),
            routes=routes,
            capabilities=capabilities,
        )

    def invocation(self, target: Target, event: bytes = b"\x80") -> Invocation:
        return Invocation(target, str(uuid.uuid4()), event, perf_counter_ns())

    def submit(self, target: Target, done: Callable[[Outcome], Any], event: bytes = b"\x80"):  # type: ignore[no-untyped-def]
        return self.invoker.submit(self.invocation(target, event), done)

    async def invoke(self, target: Target, event: bytes = b"\x80") -> Outcome:
        return await self.invoker.invoke(self.invocation(target, event))


async def _nobody(operation: str, body: Any) -> Any:
    raise WorkerLost("there is no keeper")


_NOTHING: Mapping[str, bytes] = {}
