"""Names to addresses, for what functions fetch (outbound.py): by the system's resolver, or by the operator's choice of
name servers (`outbound.nameservers`).

Laws:
- What is found is only where somebody says that a name is: whether it may be connected to is outbound.py's to check.
- Look-ups of the system block a thread for as long as its servers like, also when nobody waits for them any more: a
  tenant has LOOKUPS_TENANT_MAX of those threads, and one with slow names of its own slows down nobody else.
- With name servers of its own nothing of this machine's is used: no hosts file, no search domains, no multicast. A name
  that only the machine's network knows is unknown to functions.
- One that does not answer is left after LOOKUP_TRY_S for the next, and all of them after LOOKUP_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from . import limits
from .config import NameServer


class Resolver(Protocol):
    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        """The addresses of `host`, a name in ASCII, in the order in which they are to be tried. Raises OSError."""

    def close(self) -> None: ...


def make_resolver(servers: Sequence[NameServer]) -> Resolver:
    return NameServers(servers) if servers else SystemResolver()


class SystemResolver:
    """The system's own, in threads: it blocks."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(limits.LOOKUPS_MAX, "resolve")
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        turns = self._turns.setdefault(tenant, asyncio.Semaphore(limits.LOOKUPS_TENANT_MAX))
        await turns.acquire()
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            # The thread is free, whether or not anybody still waited. The loop may be closed by then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(turns.release)

        looking = self._threads.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        looking.add_done_callback(ended)
        found = await asyncio.wrap_future(looking)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class NameServers:
    """Asks these servers, in their order, and nobody else."""

    def __init__(self, servers: Sequence[NameServer]) -> None:
        # Imported here: a keeper without name servers of its own does not need it.
        import dns.asyncresolver
        import dns.nameserver

        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(server.address, server.port) for server in servers]
        self._resolver.timeout = limits.LOOKUP_TRY_S

    async def resolve(self, tenant: str, host: str, port: int) -> Sequence[str]:
        # IPv4 first: where there is no way for IPv6, each of its addresses costs FETCH_CONNECT_S. (Not `resolve_name`,
        # which asks one after the other, and gives all servers together the time of one.)
        found = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"), return_exceptions=True)
        addresses = [address for one in found if not isinstance(one, BaseException) for address in one]
        if addresses:
            return addresses
        reasons = ", ".join(sorted({type(one).__name__ for one in found if isinstance(one, BaseException)}))
        raise socket.gaierror(socket.EAI_NONAME, f"{host}: {reasons or 'no address'}")

    async def _ask(self, host: str, kind: str) -> list[str]:
        answer = await self._resolver.resolve(
            f"{host}.", kind, search=False, lifetime=limits.LOOKUP_S, raise_on_no_answer=False
        )
        return [record.address for record in answer.rrset or ()]

    def close(self) -> None:
        """Nothing is kept open between look-ups."""
