"""What the capabilities of one tenant's functions ask of those above: the keeper, and other functions of this worker.

Laws:
- A tenant has UPWARD_CALLS_MAX requests under way in a worker; more wait in their order, each until its invocation's
  deadline. So a thousand guests at a tarpit do not fill the link that others use.
- What one function invokes belongs to the same tenant, counts as any invocation, and waits for nothing: who finds no
  room is refused, so that callers which hold slots never wait for each other's.
- A chain of functions that invoke each other ends at INVOKE_DEPTH_MAX.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from . import limits
from .errors import CallRefused
from .model import Invocation, Outcome, Target
from .routing import FunctionRef

Ask = Callable[[str, Any], Awaitable[Any]]
Find = Callable[[FunctionRef], Target]
Invoke = Callable[[Invocation], Awaitable[Outcome]]


class Upward:
    """For one tenant. `asked` counts by capability, for all tenants of a worker: calls, bytes up, bytes down."""

    def __init__(self, tenant: str, ask: Ask, find: Find, invoke: Invoke, asked: dict[str, list[int]]) -> None:
        self.tenant = tenant
        self._ask = ask
        self._find = find
        self._invoke = invoke
        self._asked = asked
        self._turns = asyncio.Semaphore(limits.UPWARD_CALLS_MAX)

    async def ask(self, operation: str, body: Any) -> Any:
        async with self._turns:
            return await self._ask(operation, body)

    async def invoke(self, caller: Invocation, deadline_ns: int, ref: FunctionRef, event: bytes) -> Outcome:
        assert ref.tenant == self.tenant, "a function invokes its owner's"
        target = self._find(ref)
        depth = caller.depth + 1
        if depth >= limits.INVOKE_DEPTH_MAX:
            raise CallRefused(
                "TooDeep",
                f"{caller.target.name} is the {depth}th of functions that invoke each other, and invokes {ref.name}; "
                "end the chain earlier",
            )
        return await self._invoke(
            Invocation(
                target,
                str(uuid.uuid4()),
                event,
                perf_counter_ns(),
                trace_id=caller.trace_id,
                depth=depth,
                deadline_ns=deadline_ns,
            )
        )

    def count(self, capability: str, sent_bytes: int, received_bytes: int) -> None:
        counted = self._asked.setdefault(capability, [0, 0, 0])
        counted[0] += 1
        counted[1] += sent_bytes
        counted[2] += received_bytes
