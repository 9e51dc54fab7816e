"""Whose a request is: the keeper's access keys, the well-known pair, and signatures held against them.

Laws:
- A request is somebody's only if it is signed with a key that is valid now. Nothing of it is acted upon before.
- What a worker is given is a key derived for one day, region and service; never a secret.
- When `revoke` returns, no attached worker takes what the key signed (fleet.py).
- The well-known pair `test`/`test`, which AWS's emulators have in common, is the default account's. It is for servers
  that only this machine reaches: `TestPair` says when it is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from . import limits, sigv4
from .clock import Clock
from .errors import UnknownAccessKey, UnsupportedOperation
from .fleet import Fleet
from .model import DEFAULT_TENANT
from .sigv4 import Scope
from .storage.keys import AccessKey, Credential, Keys

TEST_ID, TEST_SECRET = "test", "test"
_TEST = Credential(DEFAULT_TENANT, TEST_SECRET)


class TestPair(Enum):
    """When `test`/`test` is taken."""

    __test__ = False  # pytest would look for tests in it

    ALWAYS = "always"
    UNTIL_KEYS = "until the first key is created"
    NEVER = "never"


class Accounts:
    """The keeper's. For the event loop's thread."""

    def __init__(self, keys: Keys, fleet: Fleet, clock: Clock, test_pair: TestPair) -> None:
        self._keys = keys
        self._fleet = fleet
        self._clock = clock
        self._test_pair = test_pair

    # ── who signed ──────────────────────────────────────────────────────────────────────────────────────────────

    async def account(
        self, method: str, path: str, query: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> str:
        """Whose request this is; path and query as received. Raises Unauthenticated."""
        claim = sigv4.read(query, headers, self._clock.wall_s())
        account, key = self.signing_key(claim.access_key, claim.scope)
        if len(body) > limits.HASH_INLINE_BYTES_MAX:
            digest = await asyncio.to_thread(sigv4.body_sha256, body)
        else:
            digest = sigv4.body_sha256(body)
        sigv4.verify(claim, key, method, path, query, digest)
        return account

    def signing_key(self, access_key: str, scope: Scope) -> tuple[str, bytes]:
        """(account, the key for this scope). Raises UnknownAccessKey."""
        credential = self._keys.get(access_key)
        if credential is None and access_key == TEST_ID and self.takes_test_pair:
            credential = _TEST
        if credential is None:
            raise UnknownAccessKey
        return credential.account, sigv4.signing_key(credential.secret, scope)

    @property
    def takes_test_pair(self) -> bool:
        return self._test_pair is TestPair.ALWAYS or (self._test_pair is TestPair.UNTIL_KEYS and not self._keys.any)

    # ── what the operator asks ──────────────────────────────────────────────────────────────────────────────────

    async def create(self, account: str, description: str) -> tuple[AccessKey, str]:
        """(a new key, its secret). Raises InvalidParameter, CallRefused, StorageUnavailable."""
        took_test_pair = self.takes_test_pair
        created = await self._keys.create(account, description)
        if took_test_pair and not self.takes_test_pair:
            await self._fleet.forget_key(TEST_ID)
        return created

    async def revoke(self, id: str) -> AccessKey:
        """Raises InvalidParameter, StorageUnavailable."""
        key = await self._keys.revoke(id)
        await self._fleet.forget_key(id)
        return key

    async def serve(self, operation: str, body: Any) -> Any:
        """The operator's calls, as they come over operator.sock: `create [account, description]`, `list`,
        `revoke [id]`."""
        if operation == "create":
            key, secret = await self.create(*body)
            return {**asdict(key), "secret": secret}
        if operation == "list":
            return [asdict(key) for key in await self._keys.all()]
        if operation == "revoke":
            return asdict(await self.revoke(*body))
        raise UnsupportedOperation(f"a server has no operation {operation} for its operator")
