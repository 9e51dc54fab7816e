"""The spine: invoke(Invocation) → Outcome. Admit, restore, run, meter, record.

Laws:
- For every `submit` that returns, `done` is called exactly once, perhaps before `submit` returns. The guest has ended
  then; its memory is given back and its usage recorded right after. A refusal is raised by `submit` itself, before an
  isolate exists.
- An isolate serves one invocation. One may be restored ahead of it, while the loop has nothing else to do: it has run
  nothing yet, and is dropped when its function changes or nobody calls for a while.

The path of an ordinary request is straight: no task, no future, no await. Only what is not there yet (a snapshot that
this worker has not loaded) goes through a task.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from math import ceil
from os import urandom
from time import perf_counter_ns
from typing import Any, Protocol

from . import abi, limits, unpacking
from .allowance import Allowance, Meter
from .engine.engine import Engine
from .engine.host import Wait
from .engine.isolate import Isolate
from .errors import (
    Cancelled,
    EngineFault,
    GuestError,
    IsoletError,
    PayloadTooLarge,
    Throttled,
    TimedOut,
    without_frames,
)
from .hostcalls.layers import Layers, SharedLayers
from .hostcalls.state import HostConstants, HostState, Upward
from .log_lines import group_name, stream_name
from .model import InPieces, Invocation, Outcome, Reserved, Served, Target, Usage
from .quota import Number
from .records import Entry
from .scheduler import ENDED, Run, Scheduler, Timer
from .snapshot.cache import Loaded, SnapshotCache
from .tally import Column, Tally

logger = logging.getLogger("isolet.invoker")

# Takes the outcome. What it returns is why the value cannot be its answer: the function's error after all.
Done = Callable[[Outcome], GuestError | None]
_EVENT_BYTES_MAX = limits.PAYLOAD_BYTES_MAX + limits.ENVELOPE_BYTES_MAX


class Ticket(Protocol):
    """What `submit` answers: the handle of one invocation under way."""

    def cancel(self) -> None:
        """The client left. `done` is still called, with Cancelled, unless the invocation has ended."""


class Recorder(Protocol):
    """Takes note of every invocation; must cost next to nothing (recorder.py)."""

    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float, running: int) -> None: ...

    def refuse(self, target: Target, error: IsoletError, now_s: float) -> None: ...

    def drop_lines(self, target: Target, count: int) -> None:
        """Log lines that the tenant's rate had no room for."""


class Tenant(Allowance):
    """What admission counts of one tenant."""

    __slots__ = ("functions", "upward")

    def __init__(self, upward: Upward | None, column: Column, concurrency: int) -> None:
        super().__init__(column, concurrency)
        self.upward = upward
        # By name; what all versions and aliases of a function share.
        self.functions: dict[str, Share] = {}


class Share:
    """What is counted of one function, by whichever name it was asked for."""

    __slots__ = ("reserved", "running")

    def __init__(self) -> None:
        self.running = 0
        self.reserved: Reserved | None = None


class Prepared:
    """What invocations of one target have in common, made at its first one in this worker. Keeps its target alive."""

    __slots__ = (
        "constants",
        "envelope",
        "loaded",
        "log_stream",
        "share",
        "spare",
        "target",
        "tenant",
        "timeout_ms",
        "timeout_ns",
    )

    def __init__(
        self, target: Target, tenant: Tenant, package: Mapping[str, bytes], layers: Layers, worker_name: str
    ) -> None:
        self.target = target
        self.tenant = tenant
        self.share = tenant.functions.setdefault(target.name, Share())
        self.timeout_ns = int(target.timeout_s * 1e9)
        self.timeout_ms = int(target.timeout_s * 1e3)
        # An isolate restored while the loop had nothing else to do, for the next invocation; and what it is made of.
        self.spare: Isolate | None = None
        # Weakly: a snapshot that leaves the cache must not stay for the next call of its function.
        self.loaded: weakref.ref[Loaded] | None = None
        logging = target.logging
        self.log_stream = stream_name(int(time.time() * 1000), target.name, target.version, worker_name, logging)
        memory_mb = target.memory_bytes // limits.MIB
        self.envelope = abi.pack_constants(
            name=target.name,
            version=target.version,
            arn=target.arn,
            memory_mb=memory_mb,
            log_group=group_name(target.name, logging),
            log_stream=self.log_stream,
        )
        self.constants = HostConstants(
            name=target.name,
            version=target.version,
            arn=target.arn,
            memory_mb=memory_mb,
            environment=[f"{key}={value}".encode() for key, value in target.environment.items()],
            package=package,
            handler=target.handler,
            tenant=target.tenant,
            capabilities=target.capabilities,
            upward=tenant.upward,
            layers=layers,
        )

    def snapshot(self) -> Loaded | None:
        """What it was run from last, if that is still loaded."""
        return None if self.loaded is None else self.loaded()


class Attempt(Run):
    """One invocation on its way through the scheduler. It is the Ticket, too."""

    # mypyc wants to know which attributes end before their object.
    __deletable__ = ("invocation",)

    _isolate: Isolate | None = None
    _state: HostState | None = None
    _cancelled = False
    # What it waits for, if that is work of ours.
    _work: asyncio.Future[int] | None = None
    # Where it is counted among those of a function with reserved concurrency.
    _slot = -1
    # What its restore took if it was made ahead: part of what the invocation cost, though nobody waited for it.
    _ahead_ns = 0
    # The JSON of a large result.
    _rendered: InPieces | None = None

    def __init__(self, invoker: Invoker, prepared: Prepared, invocation: Invocation, done: Done) -> None:
        # What Run's own would do, without the call.
        self.wait = self.timer = None
        self.tenant = prepared.target.tenant
        self.function = prepared.target.name
        self.deadline_ns = invocation.started_ns + prepared.timeout_ns
        if 0 < invocation.deadline_ns < self.deadline_ns:
            self.deadline_ns = invocation.deadline_ns
        self.invocation = invocation
        self._invoker = invoker
        self._prepared = prepared
        self._done = done

    def cancel(self) -> None:
        if self.scheduler is not None:
            super().cancel()
        else:  # its snapshot is still being loaded
            self._cancelled = True

    def start(self, loaded: Loaded) -> None:
        """Gives the attempt its isolate and its first slice."""
        invoker, prepared, invocation = self._invoker, self._prepared, self.invocation
        target, info = prepared.target, loaded.info
        if prepared.snapshot() is not loaded:
            prepared.loaded = weakref.ref(loaded)
            prepared.constants.library = loaded.library
        self._loaded: Loaded | None = loaded
        payload = abi.pack_envelope(
            invocation.event,
            prepared.envelope,
            invocation.request_id,
            int(time.time() * 1000) + (prepared.timeout_ms if invocation.deadline_ns == 0 else self._left_ms()),
            invoker.entropy(),
            invocation.trace_id,
            invocation.client_context,
        )
        self._state = state = HostState(prepared.constants)
        state.invocation, state.deadline_ns = invocation, self.deadline_ns
        isolate, prepared.spare = prepared.spare, None
        if isolate is None:
            engine = invoker.engine
            if engine.live >= engine.settings.isolates_max:
                invoker.drop_spares()  # a slot that only waits is one that this invocation may have
            isolate = Isolate(engine, loaded.template, target.memory_bytes, target.fuel)
        else:
            self._ahead_ns = isolate.restore_ns
        isolate.state = state
        self._isolate = isolate
        self.generator = isolate.run(payload, info.buffer_ptr, info.buffer_len)
        invoker.scheduler.submit(self)

    def _left_ms(self) -> int:
        return max(0, (self.deadline_ns - perf_counter_ns()) // 1_000_000)

    def work(self, wait: Wait) -> None:
        """Starts the work that the guest waits for; it ends with the guest at the latest."""
        run = wait.argument
        assert callable(run)
        self._work = work = asyncio.ensure_future(run())
        work.add_done_callback(partial(_worked, wait))

    # ── called by the scheduler ─────────────────────────────────────────────────────────────────────────────────

    def waits(self, wait: Any) -> None:
        self._invoker.serve_wait(self, wait)

    def timed_out(self) -> Exception:
        target, request_id = self.invocation.target, self.invocation.request_id
        return TimedOut(f"RequestId: {request_id} Error: Task timed out after {target.timeout_s:.2f} seconds")

    def ended(self, result: Any, error: Exception | None) -> None:
        """`result` is what its generator returned: the guest's, or that of `_unpacking` after it."""
        value: Any = None
        if result is not None:
            if type(result) is tuple:
                value, self._rendered = result
            elif unpacking.is_quick(result):
                unpack = self.invocation.unpack
                try:
                    value = abi.unpack_outcome(result) if unpack is None else unpack(result)
                except IsoletError as malformed:
                    error = malformed
                    without_frames(error)
            else:
                assert self.scheduler is not None, "it has run"
                self.scheduler.go_on(self, unpacking.unpacking(result))
                return
        self._finish(value, error)

    def _finish(self, value: Any, error: Exception | None) -> None:
        """Gives back what admission took, tells the door, frees the guest, takes note.

        In this order: the answer is on its way while we clean up, which takes a quarter of an ordinary invocation.
        """
        invocation, isolate, state = self.invocation, self._isolate, self._state
        invoker, prepared = self._invoker, self._prepared
        if self._work is not None:
            self._work.cancel()
            self._work = None
        duration_ns = perf_counter_ns() - invocation.started_ns + self._ahead_ns
        tenant = prepared.tenant
        logs, dropped = state.finish() if state is not None else ((), 0)
        if logs:
            lines = len(logs)
            logs = _fitting(logs, tenant.log_bytes)
            if lines > len(logs):
                dropped += lines - len(logs)
                invoker.recorder.drop_lines(invocation.target, lines - len(logs))
        usage = (
            _NO_USAGE._replace(duration_ns=duration_ns)
            if isolate is None
            else _new(
                Usage,
                (
                    duration_ns,
                    self.cpu_ns,
                    isolate.restore_ns,
                    isolate.fuel_used,
                    isolate.memory_bytes,
                    isolate.slices + 1,
                    isolate.host_calls,
                ),
            )
        )
        outcome = _new(Outcome, (value, error, usage, logs, dropped, self._rendered))
        self._isolate = self._state = None
        self.state = ENDED
        invoker.in_flight -= 1
        if self._slot >= 0:
            invoker.tally.leave(self._slot)
        tenant.running = left = tenant.running - 1
        if left < tenant.floor:
            tenant.shrink()
        running = prepared.share.running
        prepared.share.running = running - 1
        # Whoever asked may hold this ticket: the two would keep each other, and the event, until the collector came.
        done, self._done = self._done, _nobody
        try:
            if (unanswerable := done(outcome)) is not None:
                without_frames(unanswerable)
                outcome = outcome._replace(value=None, error=unanswerable)
        finally:
            if isolate is not None:
                if error is None and not isolate.noted and self._loaded is not None:
                    isolate.note_written(self._loaded.info.memory_bytes)
                isolate.close()
            invoker.recorder.record(invocation, outcome, time.time(), running)
            # A ticket that somebody keeps holds nothing more: its invocation may name them as its reader.
            self._loaded = None
            del self.invocation
        if prepared.spare is None and error is None:
            invoker.want_spare(prepared)


class _Burial(Run):
    """What is left of an isolate being freed, in its function's turns: nobody waits for it, and nothing ends it."""

    finishing = True

    def __init__(self, state: HostState, freeing: Generator[None, None, None]) -> None:
        super().__init__(state.constants.tenant, state.constants.name, _NEVER_NS)
        self.generator = freeing

    def ended(self, result: Any, error: Exception | None) -> None:
        if error is not None:
            logger.error("an isolate of %s could not be freed: %s", self.function, error)


_NEVER_NS = 2**62


def _nobody(outcome: Outcome) -> GuestError | None:
    raise AssertionError("an invocation ends once")


def _worked(wait: Wait, work: asyncio.Future[int]) -> None:
    """The guest goes on, if it is still there."""
    if work.cancelled():
        wait.finish(abi.FAILED)
    elif (failure := work.exception()) is not None:
        logger.error("what a guest waited for failed", exc_info=failure)
        wait.finish(abi.FAILED)
    else:
        wait.finish(work.result())


def _fitting(logs: tuple[Entry, ...], room: Meter) -> tuple[Entry, ...]:
    """The first lines, as far as there is room for them: a log with holes would mislead more than one that ends."""
    size = sum([len(entry[2]) + limits.LOG_ENTRY_BYTES for entry in logs])
    left = room.up_to(size)
    if left == size:
        return logs
    for count, entry in enumerate(logs):
        left -= len(entry[2]) + limits.LOG_ENTRY_BYTES
        if left < 0:
            return logs[:count]
    return logs


_NO_USAGE = Usage(0, 0, 0, 0, 0, 0, 0)
# A NamedTuple's own constructor is a Python function, at 0.15 µs each.
_new = tuple.__new__


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
        spares_max: int = limits.SPARES_MAX,
        upward: Callable[[str], Upward] | None = None,
        tally: Column | None = None,
    ) -> None:
        self.engine = engine
        engine.bury = self._bury
        self.cache = cache
        self.scheduler = scheduler
        self.recorder = recorder
        self.in_flight = 0
        # What this worker counts together with the others.
        self.tally = tally or Tally(1).column(0)
        self._worker_name = worker_name
        self._layers = SharedLayers(cache.layer)
        # Makes what the capabilities of a tenant's functions ask of those above.
        self._upward = upward
        self._concurrency_max = concurrency_tenant_max
        # By the identity of its target, which a Prepared keeps alive: targets are compared by many fields otherwise.
        self._prepared: dict[int, Prepared] = {}
        self._tenants: dict[str, Tenant] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._wanted: Prepared | None = None
        # Who was given a spare, in that order; it may have been used since.
        self._spares: dict[int, Prepared] = {}
        self.spares_max = spares_max
        self._sweep: Timer | None = None
        self._entropy: list[bytes] = []

    def submit(self, invocation: Invocation, done: Done) -> Attempt:
        """Starts one invocation. Raises PayloadTooLarge, Throttled; everything later is in the Outcome."""
        target = invocation.target
        if len(invocation.event) > _EVENT_BYTES_MAX:
            raise PayloadTooLarge(
                f"{len(invocation.event):,} byte payload is too large for the RequestResponse invocation type "
                f"(limit {limits.PAYLOAD_BYTES_MAX:,} bytes)"
            )
        prepared = self._prepared.get(id(target)) or self._prepare(target)
        tenant = prepared.tenant
        if tenant.running >= tenant.allowed and not tenant.grow():
            raise self._too_many(target, tenant)
        requests = tenant.requests
        if requests.held <= 0 and not requests.fill():
            raise self._too_fast(target, tenant)
        requests.held -= 1
        attempt = Attempt(self, prepared, invocation, done)
        if (reserved := prepared.share.reserved) is not None:
            attempt._slot = self._enter(target, reserved)
        tenant.running += 1
        prepared.share.running += 1
        self.in_flight += 1
        loaded = self.cache.peek(target.snapshot.digest)
        if loaded is not None:
            attempt.start(loaded)
        else:
            task = asyncio.ensure_future(self._load_then_start(attempt))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return attempt

    def _bury(self, state: HostState, freeing: Generator[None, None, None]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # there will be no turns
            freeing.close()
        else:
            self.scheduler.submit(_Burial(state, freeing))

    def _enter(self, target: Target, reserved: Reserved) -> int:
        """The slot in which an invocation is counted. Raises Throttled."""
        if reserved.limit and self.tally.enter(reserved.slot, reserved.limit):
            return reserved.slot
        raise self._refused(
            target,
            self._tenant(target.tenant),
            Throttled(
                f"Rate Exceeded: {reserved.limit:,} invocations of {target.name} are reserved",
                "ReservedFunctionConcurrentInvocationLimitExceeded",
            ),
        )

    def _too_many(self, target: Target, tenant: Tenant) -> Throttled:
        message = f"Rate Exceeded: {tenant.concurrency:,} invocations of {target.tenant} run at a time, its limit"
        refusal = Throttled(message, "ConcurrentInvocationLimitExceeded", limit="concurrency")
        return self._refused(target, tenant, refusal)

    def _too_fast(self, target: Target, tenant: Tenant) -> Throttled:
        wait_s = max(1, min(ceil(tenant.requests.wait_s()), limits.RETRY_AFTER_S_MAX))
        message = f"Rate Exceeded: invocations of {target.tenant} begin faster than its limit, requests_per_s"
        refusal = Throttled(message, "CallerRateLimitExceeded", wait_s, "requests_per_s")
        return self._refused(target, tenant, refusal)

    def _refused(self, target: Target, tenant: Tenant, refusal: Throttled) -> Throttled:
        """`refusal`, noted. What was found for the invocation before is given back."""
        tenant.shrink()
        self.recorder.refuse(target, refusal, time.time())
        return refusal

    def admit_event(self, target: Target) -> None:
        """Takes of the tenant's rate for an event that asks to be accepted; its attempts take theirs. Raises
        Throttled."""
        tenant = self._tenant(target.tenant)
        requests = tenant.requests
        if requests.held <= 0 and not requests.fill():
            raise self._too_fast(target, tenant)
        requests.held -= 1

    def limit(self, account: str, slot: int | None, values: Mapping[str, Number]) -> None:
        """Holds a tenant to these limits from now on."""
        self._tenant(account).set(slot, values)

    def used(self, account: str) -> dict[str, Number]:
        """What the tenant has of its limits in this worker."""
        return {"concurrency": self._tenant(account).running}

    def reserve(self, served: Served) -> None:
        """Holds a function to its reserved concurrency from now on; those that run go on."""
        self._tenant(served.tenant).functions.setdefault(served.name, Share()).reserved = served.reserved

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
        tenant = self._tenant(target.tenant)
        package, layers = self.cache.package(target.package_digest), self._layers.of(target.layer_digests)
        prepared = Prepared(target, tenant, package, layers, self._worker_name)
        self._prepared[id(target)] = prepared
        return prepared

    def _tenant(self, name: str) -> Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            upward = None if self._upward is None else self._upward(name)
            tenant = self._tenants[name] = Tenant(upward, self.tally, self._concurrency_max)
        return tenant

    def keep_only(self, targets: Sequence[Target]) -> None:
        """Forgets what was prepared for targets that are not in the routing table any more."""
        kept = {id(target) for target in targets}
        for key in [key for key in self._prepared if key not in kept]:
            self._drop_spare(self._prepared.pop(key))

    # ── isolates restored ahead ─────────────────────────────────────────────────────────────────────────────────

    def want_spare(self, prepared: Prepared) -> None:
        """Restores an isolate for the next invocation of this function, once the loop comes to it and is idle."""
        loaded = prepared.snapshot()
        if self._wanted is None and self.spares_max and loaded is not None and loaded.info.baked:
            self._wanted = prepared
            loop = self.scheduler.loop
            assert loop is not None
            loop.call_soon(self._make_spare)

    def _make_spare(self) -> None:
        prepared, self._wanted = self._wanted, None
        assert prepared is not None, "wanted once"
        loaded, target = prepared.snapshot(), prepared.target
        if self.scheduler.runnable or prepared.spare is not None or loaded is None or id(target) not in self._prepared:
            return  # busy: whoever comes next restores its own
        isolate = Isolate(self.engine, loaded.template, target.memory_bytes, target.fuel)
        if not isolate.prepare():
            return
        prepared.spare = isolate
        self._spares.pop(id(prepared), None)
        self._spares[id(prepared)] = prepared
        if len(self._spares) > self.spares_max:
            self._drop_spare(self._spares.pop(next(iter(self._spares))))
        if self._sweep is None:
            loop = self.scheduler.loop
            assert loop is not None
            self._sweep = loop.call_later(limits.SPARE_IDLE_S, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        self.drop_spares()

    @property
    def spares(self) -> int:
        """Isolates that are restored and wait for an invocation."""
        return sum(prepared.spare is not None for prepared in self._spares.values())

    def drop_spares(self) -> None:
        """Gives back the slots of all isolates that nobody has called for."""
        while self._spares:
            self._drop_spare(self._spares.popitem()[1])

    def _drop_spare(self, prepared: Prepared) -> None:
        isolate, prepared.spare = prepared.spare, None
        if isolate is not None:
            isolate.close()

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

    # ── for attempts ────────────────────────────────────────────────────────────────────────────────────────────

    def entropy(self) -> bytes:
        """16 fresh random bytes. Drawn 4 KiB at a time: a system call each costs 0.5 µs. Used bytes are never given
        twice."""
        if not self._entropy:
            drawn, size = urandom(4096), limits.ENTROPY_BYTES
            self._entropy = [drawn[at : at + size] for at in range(0, len(drawn), size)]
        return self._entropy.pop()

    def serve_wait(self, attempt: Attempt, wait: Wait) -> None:
        """Starts what a guest waits for."""
        loop = self.scheduler.loop
        assert loop is not None
        if wait.kind == "sleep":
            seconds = wait.argument
            assert isinstance(seconds, int | float)
            loop.call_later(max(0.0, float(seconds)), wait.finish, 0)
        elif wait.kind == "work":
            attempt.work(wait)
        else:
            raise EngineFault(f"nobody serves a wait of kind {wait.kind!r}")
