"""Who will be let in by a server that is about to start: what its address and its access keys say together.

Laws:
- Where others than this machine reach the server, nobody is let in without a key of one's own: it does not start
  before there is one.
- Where only this machine does, everybody's pair `test`/`test` signs as well, and a person is told so.
"""

from __future__ import annotations

import ipaddress
import socket

from .accounts import TEST_ID, TEST_SECRET, TestPair
from .clock import SystemClock
from .config import Config
from .errors import InvalidParameter
from .storage.database import Database
from .storage.keys import Keys


def is_private(host: str) -> bool:
    """Whether only this machine reaches the address that `host` is. Raises InvalidParameter."""
    try:
        name = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4][0]
    except OSError as reason:
        raise InvalidParameter(
            f"cannot listen on {host} ({reason.strerror}); choose another address with --host"
        ) from None
    address = ipaddress.ip_address(str(name).partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def taken_pair(config: Config, private: TestPair) -> TestPair:
    """When `test`/`test` signs: as `private` says, and never where others than this machine reach us."""
    return private if is_private(config.host) else TestPair.NEVER


async def require_keys(config: Config, private: TestPair) -> str:
    """What a person should know of who will be let in, "" for nothing. Raises InvalidParameter, StorageUnavailable."""
    taken = taken_pair(config, private)
    keys = await _keys(config)
    if taken is TestPair.NEVER and not len(keys):
        raise InvalidParameter(
            f"others than this machine reach {config.host}, and there is no access key by which to tell them apart; "
            f"make one first: isolet keys create --data {config.data}"
        )
    if taken is TestPair.ALWAYS:
        return f"whoever is on this machine may sign with {TEST_ID}/{TEST_SECRET}, everybody's key pair"
    if taken is TestPair.UNTIL_KEYS and not keys.any:
        return (
            f"whoever is on this machine may sign with {TEST_ID}/{TEST_SECRET}, everybody's key pair; "
            "the first `isolet keys create` ends that"
        )
    return ""


async def _keys(config: Config) -> Keys:
    """Those of a data directory that nobody serves at the moment."""
    database = Database(config.database_path)
    keys = Keys(database, SystemClock(), config.secrets_key_path)
    if config.database_path.exists():
        await database.open()
        try:
            await keys.load()
        finally:
            await database.close()
    return keys
