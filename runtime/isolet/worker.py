"""One worker: the data plane's objects, wired. The door's requests become invocations; a link leads to the keeper.

Laws:
- No database, no secrets at rest, no tenant's file is opened for writing. All that a worker knows it was told by the
  keeper: the routing table comes over the link, and artifacts are read from disk and trusted by MAC only.
- Without a keeper it goes on serving what it knows; usage and logs wait, and the control plane answers 503.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any

from starlette.applications import Starlette

from . import limits
from .cordons import runs_here
from .engine.engine import Engine, EngineSettings
from .errors import UnknownFunction
from .front.acceptance import Acceptance
from .front.app import make_app
from .front.attempts import Attempts
from .front.callers import Callers
from .front.door import Door, HttpLimits
from .front.passing import Passing
from .hostcalls.table import IMPORTS
from .invoker import Invoker
from .lag import Lag
from .link import Link
from .model import Served, SnapshotInfo, Target
from .recorder import Recorder
from .routing import FunctionRef, RoutingTable
from .scheduler import Scheduler
from .sigv4 import Scope
from .snapshot.cache import SnapshotCache
from .storage.artifacts import Artifacts
from .storage.packages import Packages
from .tally import Column
from .uplink import Downcalls, Uplink
from .upward import Upward

logger = logging.getLogger("isolet.worker")


class Worker:
    """The objects of one worker. Made on its event loop; `attach` gives it the link to its keeper."""

    def __init__(
        self,
        *,
        engine: Engine,
        artifacts: Artifacts,
        packages: Packages,
        snapshots_max: int = limits.SNAPSHOTS_LOADED_MAX,
        image_bytes_max: int = limits.SNAPSHOT_IMAGES_BYTES_MAX,
        idle_image_bytes_max: int = limits.SNAPSHOT_IMAGES_IDLE_BYTES_MAX,
        billing_step_ms: int = 1,
        request_s: float = limits.CONTROL_REQUEST_S,
        tally: Column | None = None,
        http_limits: HttpLimits | None = None,
        paths: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`paths`: where the workers of other cordons listen; None: this one is not the door, which knows them."""
        # Names log streams and usage: unique among all workers that ever were.
        self.name = secrets.token_hex(16)
        self.engine = engine
        self.routes = RoutingTable()
        self.scheduler = Scheduler(asyncio.get_running_loop())
        self.lag = Lag(asyncio.get_running_loop())
        self.recorder = Recorder(self._send_records, billing_step_ms)
        self.cache = SnapshotCache(
            engine,
            artifacts,
            self._rebuild,
            packages.files,
            snapshots_max,
            image_bytes_max,
            idle_image_bytes_max,
            layers=packages.layer,
        )
        # What was asked of those above, by capability: calls, bytes up, bytes down.
        self.asked: dict[str, list[int]] = {}
        self.invoker = Invoker(
            engine, self.cache, self.scheduler, self.recorder, worker_name=self.name, upward=self._upward, tally=tally
        )
        self.callers = Callers(self._signing_key)
        self.passing = None if paths is None else Passing(paths, self._summon, monotonic)
        self.door = Door(
            self.routes,
            self.invoker,
            self.callers,
            acceptance=Acceptance(self._ask),
            passing=self.passing,
            http_limits=http_limits,
            billing_step_ms=billing_step_ms,
        )
        self.attempts = Attempts(self._find, self.invoker.invoke)
        self.app: Starlette = make_app(self.door, self._control if self.passing is not None else None)
        self.downcalls = Downcalls(
            self._take_routes,
            self.gauges,
            self.attempts,
            self.callers.forget,
            self.invoker.limit,
            self.invoker.used,
            self._take_doors,
        )
        self._request_s = request_s
        self._uplink: Uplink | None = None
        self._preloading: set[asyncio.Task[object]] = set()

    def attach(self, link: Link) -> Uplink:
        """Uses `link` for all that goes to the keeper."""
        self._uplink = Uplink(link, self.name, self._request_s)
        self.lag.start()
        return self._uplink

    def served(self) -> int:
        """Requests and attempts that were answered."""
        return self.door.counters.requests + self.attempts.ended

    def retire(self) -> None:
        """A successor serves: the keeper has this worker run no more attempts."""
        self._begin(self._keeper.leave())

    async def drain(self, patience_s: float = 0.0) -> None:
        """Waits for attempts at events, `patience_s` at the most; sends what is still to be recorded. The door has
        stopped accepting before."""
        for task in self._preloading:
            task.cancel()
        await self.attempts.drain(patience_s)
        self.invoker.drop_spares()
        await self.recorder.close()
        self.cache.close()
        self.door.close()
        self.lag.close()

    def gauges(self) -> dict[str, float]:
        """What this worker is doing right now, and what its door has seen, for metrics."""
        seen = self.door.counters
        return {
            "isolates_live": self.engine.live,
            "isolates_spare": self.invoker.spares,
            "pool_slots": self.engine.settings.isolates_max,
            "slices_runnable": self.scheduler.runnable,
            "isolates_waiting": self.scheduler.waiting,
            "invocations_in_flight": self.invoker.in_flight,
            "snapshots_loaded": len(self.cache),
            "snapshot_image_bytes": self.cache.image_bytes,
            "connections_open": len(self.door.connections),
            "http_requests": seen.requests,
            "http_refused": seen.refused.total(),
            "http_swept": seen.swept.total(),
            "http_clients_left": seen.disconnects,
            **self.lag.gauges(),
            "attempts_ended": self.attempts.ended,
            "http_passed": 0 if self.passing is None else self.passing.passed,
            **{
                f"{capability}_{what}": number
                for capability, counted in self.asked.items()
                for what, number in zip(("calls", "bytes_sent", "bytes_received"), counted, strict=True)
            },
        }

    # ── towards the keeper ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def _keeper(self) -> Uplink:
        assert self._uplink is not None, "attached before it serves"
        return self._uplink

    def _upward(self, tenant: str) -> Upward:
        return Upward(tenant, self._ask, self._find, self.invoker.invoke, self.asked)

    def _find(self, ref: FunctionRef) -> Target:
        """What this worker itself can run. Raises UnknownFunction."""
        target = self.routes.find(ref)
        if not runs_here(target):
            raise UnknownFunction(f"Function not found: {ref.arn()}")
        return target

    async def _summon(self, cordon: str) -> str:
        return await self._keeper.summon(cordon)

    async def _ask(self, operation: str, body: object) -> object:
        return await self._keeper.ask(operation, body)

    async def _send_records(self, sequence: int, batches: list[object]) -> None:
        await self._keeper.records(sequence, batches)

    async def _control(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        status, answered, content = await self._keeper.control(method, path, query, headers, body)
        return status, dict(answered), content

    async def _signing_key(self, access_key: str, scope: Scope) -> tuple[str, bytes]:
        return await self._keeper.signing_key(access_key, scope)

    async def _rebuild(self, digest: str) -> SnapshotInfo:
        return await self._keeper.rebuild(digest)

    # ── from the keeper ─────────────────────────────────────────────────────────────────────────────────────────

    async def _take_routes(self, replace: bool, rows: Sequence[Served], removed: Sequence[tuple[str, str]]) -> None:
        before = self._digests()
        if replace:
            self.routes.replace(rows)
        else:
            for tenant, name in removed:
                self.routes.remove(tenant, name)
            for served in rows:
                self.routes.put(served)
        for served in rows:
            if any(map(runs_here, served.targets)):
                self.invoker.reserve(served)
        for digest in before - self._digests():
            self.cache.forget(digest)
        self.invoker.keep_only(self.routes.targets())
        self._preload(replace, rows)

    def _digests(self) -> set[str]:
        return {target.snapshot.digest for target in self.routes.targets() if runs_here(target)}

    def _take_doors(self, pids: list[int]) -> None:
        self.door.doors = frozenset(pids)

    def _preload(self, replace: bool, rows: Sequence[Served]) -> None:
        """What the first callers would wait for: a snapshot that was just deployed; after a start, when there may be
        thousands, the interpreters only. A failure is for the first caller to meet, and to mend."""
        snapshots = {
            target.snapshot.digest: target.snapshot for served in rows for target in served.targets if runs_here(target)
        }
        for info in snapshots.values():
            if not replace:
                self._begin(self.cache.load(info))
            elif info.code_digest:
                self._begin(self.cache.interpreters.shared(info))

    def _begin(self, loading: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(loading)
        self._preloading.add(task)
        task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Task[object]) -> None:
        self._preloading.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("not done ahead: %s", error)


def make_engine(isolates_max: int, tables_max: int = 4) -> Engine:
    """A worker's engine. Reserves 4 GiB of address space per isolate; takes milliseconds."""
    return Engine(EngineSettings(pooling=True, isolates_max=isolates_max, tables_max=tables_max), IMPORTS)
