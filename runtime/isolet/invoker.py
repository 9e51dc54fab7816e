"""The spine: invoke(Invocation) → Outcome. Admit, restore, run, meter, record.

Law: for every `submit` that returns, `done` is called exactly once (perhaps before `submit` returns), after the isolate is
gone and its usage recorded. A refusal is raised by `submit` itself, before an isolate exists.

The path of an ordinary request is straight: no task, no future, no await. Only what is not there yet (a snapshot that this
worker has not loaded) goes through a task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from os import urandom
from time import perf_counter_ns
from typing import Any, Protocol

from . import abi, limits
from .engine.engine import Engine
from .engine.host import Wait
from .engine.isolate import Isolate
from .errors import Cancelled, EngineFault, IsoletError, PayloadTooLarge, Throttled, TimedOut
from .hostcalls.state import HostConstants, HostState
from .lifecycle import RunState
from .model import Invocation, Outcome, Target, Usage
from .scheduler import Run, Scheduler
from .snapshot.cache import Loaded, SnapshotCache

Done = Callable[[Outcome], None]
_EVENT_BYTES_MAX = limits.PAYLOAD_BYTES_MAX + limits.ENVELOPE_BYTES_MAX


class Ticket(Protocol):
    """What `submit` answers: the handle of one invocation under way."""

    def cancel(self) -> None:
        """The client left. `done` is still called, with Cancelled, unless the invocation has ended."""


class Recorder(Protocol):
    """Takes note of every invocation; must cost next to nothing (recorder.py)."""

    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float) -> None: ...


class Prepared:
    """What invocations of one target have in common, made at its first one in this worker."""

    __slots__ = ("constants", "envelope", "in_flight", "log_stream", "target")

    def __init__(self, target: Target, worker_name: str) -> None:
        day = time.strftime("%Y/%m/%d", time.gmtime())
        self.target = target
        self.log_stream = f"{day}/[{target.version}]{worker_name}"
        memory_mb = target.memory_bytes // limits.MIB
        self.envelope = abi.pack_constants(
            name=target.name, version=target.version, arn=target.arn, memory_mb=memory_mb, log_stream=self.log_stream
        )
        self.constants: HostConstants | None = None
        self.in_flight = 0


class Attempt(Run):
    """One invocation on its way through the scheduler. It is the Ticket, too."""

    __slots__ = ("_cancelled", "_done", "_invoker", "_isolate", "_prepared", "_state", "invocation")

    def __init__(self, invoker: Invoker, prepared: Prepared, invocation: Invocation, done: Done) -> None:
        target = invocation.target
        super().__init__(target.tenant, target.name, invocation.started_ns + int(target.timeout_s * 1e9))
        self.invocation = invocation
        self._invoker = invoker
        self._prepared = prepared
        self._done = done
        self._isolate: Isolate | None = None
        self._state: HostState | None = None
        self._cancelled = False

    def cancel(self) -> None:
        if self.scheduler is not None:
            super().cancel()
        else:  # its snapshot is still being loaded
            self._cancelled = True

    def start(self, loaded: Loaded) -> None:
        """Gives the attempt its isolate and its first slice."""
        invoker, prepared, invocation = self._invoker, self._prepared, self.invocation
        target, info = invocation.target, loaded.info
        constants = prepared.constants
        if constants is None:
            constants = prepared.constants = invoker.host_constants(target)
        deadline_ms = int((time.time() + (self.deadline_ns - perf_counter_ns()) / 1e9) * 1000)
        payload = abi.pack_envelope(
            invocation.event,
            prepared.envelope,
            invocation.request_id,
            deadline_ms,
            invoker.entropy(),
            invocation.trace_id,
            invocation.client_context,
        )
        self._state = state = HostState(constants)
        self._isolate = isolate = Isolate(invoker.engine, loaded.template, target.memory_bytes, target.fuel, state)
        self.generator = isolate.serve(payload, info.buffer_ptr, info.buffer_len)
        invoker.scheduler.submit(self)

    # ── called by the scheduler ─────────────────────────────────────────────────────────────────────────────────

    def waits(self, wait: Any) -> None:
        self._invoker.serve_wait(self, wait)

    def timed_out(self) -> Exception:
        target, request_id = self.invocation.target, self.invocation.request_id
        return TimedOut(f"RequestId: {request_id} Error: Task timed out after {target.timeout_s:.2f} seconds")

    def ended(self, result: bytes | None, error: Exception | None) -> None:
        value: Any = None
        if result is not None:
            try:
                value = abi.unpack_outcome(result)
            except IsoletError as malformed:
                error = malformed
                error.__traceback__ = None
        self._finish(value, error)

    def _finish(self, value: Any, error: Exception | None) -> None:
        isolate, state = self._isolate, self._state
        duration_ns = perf_counter_ns() - self.invocation.started_ns
        if isolate is None:
            usage = Usage(duration_ns, 0, 0, 0, 0, 0, 0)
        else:
            usage = Usage(
                duration_ns,
                self.cpu_ns,
                isolate.restore_ns,
                isolate.fuel_used,
                isolate.memory_bytes,
                isolate.slices + 1,
                isolate.host_calls,
            )
        logs: tuple[Any, ...] = ()
        dropped = 0
        if state is not None:
            logs, dropped = state.finish()
        self._isolate = self._state = None
        self.state = RunState.ENDED
        outcome = Outcome(value, error, usage, logs, dropped)
        self._invoker.finished(self._prepared, self.invocation, outcome)
        self._done(outcome)


class Invoker:
    """One worker's invocations. Owns admission; borrows engine, cache, scheduler and recorder."""

    def __init__(
        self,
        engine: Engine,
        cache: SnapshotCache,
        scheduler: Scheduler,
        recorder: Recorder,
        *,
        worker_name: str = "0" * 32,
        concurrency_tenant_max: int = limits.CONCURRENCY_TENANT_MAX,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.engine = engine
        self.cache = cache
        self.scheduler = scheduler
        self.recorder = recorder
        self.in_flight = 0
        self._worker_name = worker_name
        self._concurrency_max = concurrency_tenant_max
        self._wall_s = wall_s
        self._prepared: dict[tuple[str, str, str], Prepared] = {}
        self._tenants: dict[str, int] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._entropy = b""
        self._entropy_at = 0

    def submit(self, invocation: Invocation, done: Done) -> Attempt:
        """Starts one invocation. Raises PayloadTooLarge, Throttled; everything later is in the Outcome."""
        target = invocation.target
        if len(invocation.event) > _EVENT_BYTES_MAX:
            raise PayloadTooLarge(
                f"{len(invocation.event):,} byte payload is too large for the RequestResponse invocation type "
                f"(limit {limits.PAYLOAD_BYTES_MAX:,} bytes)"
            )
        running = self._tenants.get(target.tenant, 0)
        if running >= self._concurrency_max:
            raise Throttled(
                f"Rate Exceeded: {running:,} invocations of {target.tenant} are running, which is its limit",
                "ConcurrentInvocationLimitExceeded",
            )
        prepared = self._prepare(target)
        attempt = Attempt(self, prepared, invocation, done)
        self._tenants[target.tenant] = running + 1
        prepared.in_flight += 1
        self.in_flight += 1
        loaded = self.cache.peek(target.snapshot.digest)
        if loaded is not None:
            attempt.start(loaded)
        else:
            task = asyncio.ensure_future(self._load_then_start(attempt))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return attempt

    async def invoke(self, invocation: Invocation) -> Outcome:
        """`submit` for those who await; cancelling the await cancels the invocation."""
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not ended.done():
                ended.set_result(outcome)

        ticket = self.submit(invocation, done)
        try:
            return await ended
        except asyncio.CancelledError:
            ticket.cancel()
            raise

    def _prepare(self, target: Target) -> Prepared:
        key = (target.tenant, target.name, target.version)
        prepared = self._prepared.get(key)
        if prepared is None or prepared.target is not target:
            prepared = self._prepared[key] = Prepared(target, self._worker_name)
        return prepared

    def keep_only(self, targets: Sequence[Target]) -> None:
        """Forgets what was prepared for targets that are not in the routing table any more."""
        kept = {(target.tenant, target.name, target.version) for target in targets}
        for key in [key for key in self._prepared if key not in kept]:
            del self._prepared[key]

    async def _load_then_start(self, attempt: Attempt) -> None:
        try:
            loaded = await self.cache.load(attempt.invocation.target.snapshot)
            if attempt._cancelled:
                raise Cancelled("the client left before the answer")
        except IsoletError as error:
            attempt._finish(None, error)
        except Exception as error:
            attempt._finish(None, EngineFault(f"loading the snapshot failed: {type(error).__name__}: {error}"))
        else:
            attempt.start(loaded)

    def finished(self, prepared: Prepared, invocation: Invocation, outcome: Outcome) -> None:
        """Gives back what admission took, and takes note."""
        target = prepared.target
        self.in_flight -= 1
        prepared.in_flight -= 1
        left = self._tenants[target.tenant] - 1
        if left:
            self._tenants[target.tenant] = left
        else:
            del self._tenants[target.tenant]
        self.recorder.record(invocation, outcome, self._wall_s())

    # ── for attempts ────────────────────────────────────────────────────────────────────────────────────────────

    def entropy(self) -> bytes:
        """16 fresh random bytes. Drawn 4 KiB at a time: a system call each costs 0.5 µs. Used bytes are never given twice."""
        at = self._entropy_at
        if at >= len(self._entropy):
            self._entropy = urandom(4096)
            at = 0
        self._entropy_at = at + limits.ENTROPY_BYTES
        return self._entropy[at : at + limits.ENTROPY_BYTES]

    def host_constants(self, target: Target) -> HostConstants:
        return HostConstants(
            name=target.name,
            version=target.version,
            arn=target.arn,
            memory_mb=target.memory_bytes // limits.MIB,
            environment=[f"{key}={value}".encode() for key, value in target.environment.items()],
            package=self.cache.package(target.package_digest),
        )

    def serve_wait(self, attempt: Attempt, wait: Wait) -> None:
        """Starts what a guest waits for."""
        loop = self.scheduler.loop
        assert loop is not None
        if wait.kind == "sleep":
            seconds = wait.argument
            assert isinstance(seconds, int | float)
            loop.call_later(max(0.0, float(seconds)), wait.finish, 0)
        else:
            raise EngineFault(f"nobody serves a wait of kind {wait.kind!r}")

