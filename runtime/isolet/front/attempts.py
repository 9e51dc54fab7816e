"""Attempts of asynchronous invocations: what the keeper has this worker run.

An attempt is an invocation like any other: admitted or refused, billed, recorded; only its answer goes to the keeper,
as `[how it ended, executed version, JSON, message]` (retry.Ended says how). The JSON of a success goes only where
somebody is told of it: six megabytes each would fill the link for nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from .. import lineage
from ..errors import GuestError, IsoletError, UnknownFunction
from ..model import Invocation, Outcome, Target
from ..retry import Ended
from ..routing import FunctionRef
from . import payload, wire

Find = Callable[[FunctionRef], Target]
Invoke = Callable[[Invocation], Awaitable[Outcome]]


class Attempts:
    """One worker's."""

    def __init__(self, find: Find, invoke: Invoke) -> None:
        self._find = find
        self._invoke = invoke
        self._under_way: set[asyncio.Task[list[Any]]] = set()
        self._draining = False
        # How many have ended.
        self.ended = 0

    async def __call__(self, body: list[Any]) -> list[Any]:
        if self._draining:
            return [Ended.THROTTLED, "", b"", "the worker is about to end"]
        task = asyncio.ensure_future(self._attempt(*body))
        self._under_way.add(task)
        task.add_done_callback(self._over)
        return await task

    async def drain(self, timeout_s: float) -> None:
        """Takes no more; returns when what is under way has ended, or the time is over."""
        self._draining = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=timeout_s)

    def _over(self, task: asyncio.Task[list[Any]]) -> None:
        self._under_way.discard(task)
        self.ended += 1

    async def _attempt(
        self,
        request_id: str,
        tenant: str,
        name: str,
        qualifier: str,
        body: bytes,
        client_context: bytes,
        trace_id: str,
        depth: int,
        wants_result: bool = True,
    ) -> list[Any]:
        try:
            target = self._find(FunctionRef(tenant, name, qualifier))
        except UnknownFunction as unknown:  # the keeper knows it: its row is on the way
            return [Ended.THROTTLED, "", b"", unknown.message]
        trace_id = lineage.onward(trace_id, depth, target.arn)
        event = await _packed(body)
        invocation = Invocation(target, request_id, event, perf_counter_ns(), client_context, trace_id, depth)
        try:
            outcome = await self._invoke(invocation)
            if outcome.error is not None:
                # Not raised: it would hold this frame, which holds it, until the collector comes. (A queue of failing
                # events: 8,000 of them at a time, and for 60 ms nobody else had a turn.)
                return _unsuccessful(outcome.error, request_id, target)
            # Rendered in any case: a result that JSON cannot say is a failure.
            result = payload.render_json(outcome.value, outcome.rendered)
            return [Ended.SUCCEEDED, target.version, result if wants_result else b"", ""]
        except IsoletError as error:
            return _unsuccessful(error, request_id, target)


def _unsuccessful(error: Exception, request_id: str, target: Target) -> list[Any]:
    if not isinstance(error, IsoletError):
        raise error
    if not isinstance(error, GuestError):
        return [Ended.THROTTLED, "", b"", error.message]
    answer = wire.function_error(error, request_id, target.runtime)
    return [Ended.FAILED, target.version, answer, json.loads(answer)["errorMessage"]]


async def _packed(body: bytes) -> bytes:
    """The event that an accepted body is."""
    if len(body) <= payload.QUICK_BYTES_MAX:
        return payload.pack_json(body)
    packing = payload.packing_json(body)
    while True:
        try:
            next(packing)
        except StopIteration as packed:
            value: bytes = packed.value
            return value
        await asyncio.sleep(0)
