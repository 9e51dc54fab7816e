"""Who calls: the account that signed a request, and with which key, as a worker knows it.

Laws:
- A worker knows keys derived for a day, region and service, never secrets; it asks the keeper for one when it first
  meets it. With a known key and a small body nothing is awaited.
- What is remembered has signed a request: whoever only names an access key, with whatever region, pushes nothing out.
- When `forget` returns, nothing that the key signed is taken. An answer that was under way then is asked for again.
- A key that is none is asked for again after UNKNOWN_KEY_S, not at every request.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from .. import limits, sigv4
from ..clock import Clock, SystemClock
from ..errors import InvalidSignature, UnknownAccessKey
from ..sigv4 import Claim, Headers, Scope

# (access key, scope) → (account, derived key). Raises UnknownAccessKey, HostErrors.
Ask = Callable[[str, Scope], Awaitable[tuple[str, bytes]]]
Known = tuple[str, bytes]


class Caller(NamedTuple):
    account: str
    access_key: str


@dataclass(frozen=True, slots=True)
class Received:
    """What of a request is signed, as it was received."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes | bytearray


class Callers:
    """A worker's. `ask` is the keeper."""

    def __init__(self, ask: Ask, clock: Clock | None = None, service: str = "lambda") -> None:
        self._ask = ask
        self._clock = clock or SystemClock()
        self._service = service
        self._keys: OrderedDict[tuple[str, Scope], Known] = OrderedDict()
        # Access keys that are none → until when (monotonic) that is believed; the oldest first.
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[tuple[str, Scope], asyncio.Task[Known]] = {}
        self._generation = 0

    def caller(self, received: Received) -> Caller | Awaitable[Caller]:
        """Who signed it, or what will tell. Raises Unauthenticated, as the awaitable does, which raises HostErrors,
        too."""
        claim = sigv4.read(received.query, received.headers, self._clock.wall_s())
        if claim.scope.service != self._service:
            raise InvalidSignature(f"Credential should be scoped to correct service: '{self._service}'.")
        until_s = self._unknown.get(claim.access_key)
        if until_s is not None and self._clock.monotonic_s() < until_s:
            raise UnknownAccessKey
        wanted = claim.access_key, claim.scope
        known = self._keys.get(wanted)
        if known is None or len(received.body) > limits.HASH_INLINE_BYTES_MAX:
            return self._later(received, claim)
        self._keys.move_to_end(wanted)
        _verify(received, claim, known[1], sigv4.body_sha256(received.body))
        return Caller(known[0], claim.access_key)

    async def _later(self, received: Received, claim: Claim) -> Caller:
        wanted = claim.access_key, claim.scope
        if len(received.body) > limits.HASH_INLINE_BYTES_MAX:
            digest = await asyncio.to_thread(sigv4.body_sha256, received.body)
        else:
            digest = sigv4.body_sha256(received.body)
        while True:
            generation = self._generation
            known = self._keys.get(wanted) or await self._asked(*wanted)
            if generation == self._generation:
                break
        _verify(received, claim, known[1], digest)
        self._remember(wanted, known)
        return Caller(known[0], claim.access_key)

    async def _asked(self, access_key: str, scope: Scope) -> Known:
        """The keeper's answer; those that want the same wait for one."""
        wanted = access_key, scope
        asking = self._asking.get(wanted)
        if asking is None:
            asking = self._asking[wanted] = asyncio.ensure_future(self._question(access_key, scope))
            asking.add_done_callback(lambda done: self._answered(wanted, done))
        return await asyncio.shield(asking)

    def _answered(self, wanted: tuple[str, Scope], asked: asyncio.Task[Known]) -> None:
        if self._asking.get(wanted) is asked:
            del self._asking[wanted]
        if not asked.cancelled():
            asked.exception()  # told to those who wait, if anybody still does

    async def _question(self, access_key: str, scope: Scope) -> Known:
        try:
            return await self._ask(access_key, scope)
        except UnknownAccessKey:
            self._unknown[access_key] = self._clock.monotonic_s() + limits.UNKNOWN_KEY_S
            self._unknown.move_to_end(access_key)
            if len(self._unknown) > limits.UNKNOWN_KEYS_MAX:
                self._unknown.popitem(last=False)
            raise

    def _remember(self, wanted: tuple[str, Scope], known: Known) -> None:
        self._keys[wanted] = known
        self._keys.move_to_end(wanted)
        if len(self._keys) > limits.SIGNING_KEYS_MAX:
            self._keys.popitem(last=False)

    def forget(self, access_key: str | None) -> None:
        """Nothing is known of this key any more; None: of any."""
        self._generation += 1
        # An answer under way may be older than this.
        self._asking.clear()
        if access_key is None:
            self._keys.clear()
            self._unknown.clear()
            return
        for wanted in [wanted for wanted in self._keys if wanted[0] == access_key]:
            del self._keys[wanted]


def _verify(received: Received, claim: Claim, key: bytes, digest: str) -> None:
    sigv4.verify(claim, key, received.method, received.path, received.query, digest)
