"""HTTP to the outside, for `fetch`: the one place from which a tenant's bytes go to addresses that a tenant chose.

Laws:
- A name is resolved once for each connection, its addresses are checked (addresses.py), and the connection goes to one
  that was checked: there is no second look-up that could answer otherwise. Every redirect begins anew, and needs its
  own grant.
- An address that is not public needs both: a grant that gives host and port themselves, and the configuration that
  opens it. What a name resolved to is not said: a refusal must not be a way to ask our own name servers.
- A connection serves one request of one function. No proxies, no cookies, no environment.
- All of it is bounded by one deadline (queue, look-up, connection, answer) and in bytes: of one answer, also decoded,
  of a tenant, of everybody; and a tenant's bytes come at a pace, since reading them takes this process's time. One who
  is cancelled leaves nothing behind.
- TLS is verified against the URL's own host.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import certifi
import httpcore

from . import limits
from .addresses import Address, Network, as_address, is_reachable
from .errors import CallRefused
from .grants import Origin, Refusal, covering, line
from .quota import BY_DEFAULT, Bucket, Quotas
from .resolver import Resolver, SystemResolver
from .turns import Turns
from .urls import Url, join, of_a_connection, parse_url

logger = logging.getLogger("isolet.outbound")
# It would write every header to its log.
logging.getLogger("httpcore").setLevel(logging.WARNING)

Headers = list[tuple[str, str]]

_FOLLOWED = (301, 302, 303, 307, 308)
_OF_A_BODY = frozenset({"content-encoding", "content-language", "content-location", "content-type"})
_OF_AN_ENCODING = frozenset({"content-encoding", "content-length"})
_OF_AN_ORIGIN = frozenset({"authorization", "cookie"})
_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a function wants to be fetched. `headers` are in lower case, without the host's own."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class Pace:
    """How fast bytes may come: `rate` a second, and as many at once as come in `burst_s`. Times are of any clock."""

    __slots__ = ("_burst_s", "_free_s", "_rate")

    def __init__(self, rate: float, burst_s: float) -> None:
        self._rate = rate
        self._burst_s = burst_s
        self._free_s = 0.0

    def pause_s(self, now_s: float, size: int) -> float:
        """How long who has just read `size` bytes waits before reading on."""
        self._free_s = max(now_s, self._free_s) + size / self._rate
        return max(0.0, self._free_s - now_s - self._burst_s)


class _Share:
    """What one tenant has under way, and how fast it may go on."""

    __slots__ = ("begun", "bytes", "pace", "turns")

    def __init__(self, at_once: Callable[[], int]) -> None:
        self.turns = Turns(at_once)
        self.begun = Bucket()
        self.bytes = 0
        self.pace = Pace(limits.FETCH_TENANT_BYTES_PER_S, limits.FETCH_BURST_S)

    async def paused(self, size: int) -> None:
        pause_s = self.pace.pause_s(asyncio.get_running_loop().time(), size)
        if pause_s > 0:
            await asyncio.sleep(pause_s)


class Outbound:
    """The keeper's. `opened`: addresses that are not public and that grants may name."""

    def __init__(
        self,
        opened: Sequence[Network] = (),
        *,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        quotas: Quotas = BY_DEFAULT,
    ) -> None:
        self._opened = tuple(opened)
        self._quotas = quotas
        self._tls = tls
        self._resolver = resolver or SystemResolver()
        self._shares: dict[str, _Share] = {}
        self._bytes = 0

    def close(self) -> None:
        self._resolver.close()

    async def serve(
        self,
        tenant: str,
        name: str,
        grants: Sequence[str],
        method: str,
        url: str,
        headers: Sequence[Sequence[str]],
        body: bytes | None,
        timeout_s: float,
        redirect: str,
    ) -> dict[str, Any]:
        """One request of the function `name`: what abi.md 5.3 calls `ok`. Raises CallRefused."""
        parsed = parse_url(url)
        if isinstance(parsed, Refusal):
            raise CallRefused("Invalid", f"fetch: the url {parsed.reason}; {parsed.cure}")
        asked = Asked(method, parsed, tuple((key, value) for key, value in headers), body)
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = _Share(lambda: int(self._quotas.value(tenant, "fetches_at_once")))
        self._require_pace(tenant, share)
        try:
            async with asyncio.timeout(timeout_s), share.turns, self._holding(share) as hold:
                hold(len(body or b""))
                return await _Errand(self, tenant, name, grants, redirect, hold, share.paused).run(asked)
        except TimeoutError:
            raise CallRefused(
                "Timeout", f"{parsed.origin.host} had not answered in full after {timeout_s * 1000:,.0f} ms"
            ) from None

    def _require_pace(self, tenant: str, share: _Share) -> None:
        per_s = self._quotas.value(tenant, "fetches_per_s")
        if not share.begun.take(asyncio.get_running_loop().time(), per_s, per_s):
            self._quotas.refuse(tenant, "fetches_per_s")
            raise CallRefused(
                "LimitExceeded", f"{tenant} begins more than {per_s:,} requests a second, its limit; begin fewer"
            )

    def used(self, tenant: str) -> dict[str, float]:
        """What a tenant has of its limits."""
        share = self._shares.get(tenant)
        return {"fetches_at_once": 0 if share is None else share.turns.taken}

    @asynccontextmanager
    async def _holding(self, share: _Share) -> AsyncIterator[Callable[[int], None]]:
        """Counts the bytes that a request holds; all are given back at its end."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if share.bytes + size > limits.FETCH_TENANT_BYTES_MAX or self._bytes + size > limits.FETCH_BYTES_MAX:
                raise CallRefused(
                    "LimitExceeded", "too many bytes of requests and answers are under way; fetch less at once"
                )
            held += size
            share.bytes += size
            self._bytes += size

        try:
            yield hold
        finally:
            share.bytes -= held
            self._bytes -= held

    # ── for errands ─────────────────────────────────────────────────────────────────────────────────────────────

    def tls(self) -> ssl.SSLContext:
        """Reading all certificates takes 20 ms: once, when they are first needed."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=certifi.where())
            self._tls.load_default_certs()  # the machine's own, and SSL_CERT_FILE
        return self._tls

    async def addresses(self, tenant: str, origin: Origin, literal: bool) -> list[Address]:
        """Where this origin may be reached. `literal`: a grant gives host and port. Raises CallRefused."""
        known = as_address(origin.host)
        if known is not None:
            found = [known]
        else:
            try:
                found = [ip_address(text) for text in await self._resolver.resolve(tenant, origin.host, origin.port)]
            except (OSError, UnicodeError, ValueError):
                raise CallRefused("ConnectionFailed", f"the name {origin.host} is unknown; correct it") from None
        opened = self._opened if literal else ()
        reachable = [address for address in found if is_reachable(address, opened)]
        if not reachable:
            raise CallRefused(
                "Refused",
                f"{origin.host} is not a public address: it is reached only if the server opens it (outbound.private) "
                f'and a grant names it with its port: fetch = ["{_spelled(origin)}"]',
            )
        return reachable[: limits.FETCH_ADDRESSES_MAX]


class _Errand:
    """One request of a function, with all of its redirects."""

    def __init__(
        self,
        outbound: Outbound,
        tenant: str,
        name: str,
        grants: Sequence[str],
        redirect: str,
        hold: Callable[[int], None],
        paused: Callable[[int], Awaitable[None]],
    ) -> None:
        self._outbound = outbound
        self._tenant = tenant
        self._name = name
        self._grants = grants
        self._redirect = redirect
        self._hold = hold
        self._paused = paused

    async def run(self, asked: Asked) -> dict[str, Any]:
        for _ in range(limits.FETCH_REDIRECTS_MAX + 1):
            status, headers, body = await self._once(asked)
            location = next((value for name, value in headers if name == "location"), None)
            if status not in _FOLLOWED or location is None or self._redirect == "manual":
                return {"status": status, "url": str(asked.url), "headers": headers, "body": body}
            if self._redirect == "error":
                raise CallRefused("TooManyRedirects", f'{asked.url.authority} redirects, and `redirect` is "error"')
            asked = redirected(asked, status, location)
        raise CallRefused(
            "TooManyRedirects", f"{asked.url.authority} is behind more than {limits.FETCH_REDIRECTS_MAX} redirects"
        )

    async def _once(self, asked: Asked) -> tuple[int, Headers, bytes]:
        origin = asked.url.origin
        grants = covering(self._grants, origin)
        if not grants:
            raise CallRefused(
                "NotGranted",
                f"{self._name} has no grant for {origin.scheme}://{asked.url.authority}; add to its function.toml: "
                f"{line('fetch', _spelled(origin))}",
            )
        literal = any(grant.is_literal for grant in grants)
        addresses = await self._outbound.addresses(self._tenant, origin, literal)
        connection = httpcore.AsyncHTTPConnection(
            httpcore.Origin(origin.scheme.encode(), origin.host.encode(), origin.port),
            ssl_context=self._outbound.tls() if origin.scheme == "https" else None,
            network_backend=_Checked(addresses),
        )
        try:
            return await self._exchange(connection, asked)
        except httpcore.LocalProtocolError as reason:
            raise CallRefused("Invalid", f"fetch: the request cannot be sent: {reason}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as reason:
            what = f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
            raise CallRefused("ConnectionFailed", f"{asked.url.authority} could not be asked: {what}") from None
        finally:
            await connection.aclose()

    async def _exchange(self, connection: httpcore.AsyncHTTPConnection, asked: Asked) -> tuple[int, Headers, bytes]:
        sent, decodes = _sent_headers(asked)
        request = httpcore.Request(
            asked.method.encode(),
            httpcore.URL(
                scheme=asked.url.origin.scheme.encode(),
                host=asked.url.origin.host.encode(),
                port=asked.url.origin.port,
                target=asked.url.target.encode(),
            ),
            headers=sent,
            content=asked.body or b"",
        )
        response = await connection.handle_async_request(request)
        try:
            headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
            size = sum(len(name) + len(value) for name, value in headers)
            if size > limits.HEADERS_BYTES_MAX:
                raise CallRefused("TooLarge", f"{asked.url.authority} answered {size:,} bytes of headers")
            self._hold(size)
            if response.status == 101:
                raise CallRefused("ConnectionFailed", f"{asked.url.authority} wants to speak another protocol")
            body = _Body(asked.url.authority, self._hold, _decoder(headers) if decodes else None)
            async for chunk in response.aiter_stream():
                for _ in body.add(chunk):
                    await asyncio.sleep(0)
                await self._paused(len(chunk))
            whole = body.finish()
        finally:
            await response.aclose()
        gone = _OF_AN_ENCODING if body.decoded else ()
        kept = [(name, value) for name, value in headers if name not in gone and not of_a_connection(name)]
        return response.status, kept, whole


def redirected(asked: Asked, status: int, location: str) -> Asked:
    """The request that a redirect leads to. Precedent: the Fetch standard, HTTP-redirect fetch."""
    try:
        text = location.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        text = location
    url = join(asked.url, text)
    if isinstance(url, Refusal):
        raise CallRefused("ConnectionFailed", f"{asked.url.authority} redirects to a URL that {url.reason}")
    headers, method, body = asked.headers, asked.method, asked.body
    if (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = tuple((name, value) for name, value in headers if name not in _OF_A_BODY)
    if url.origin != asked.url.origin:
        headers = tuple((name, value) for name, value in headers if name not in _OF_AN_ORIGIN)
    return replace(asked, method=method, url=url, headers=headers, body=body)


def _spelled(origin: Origin) -> str:
    """An origin as a grant may name it."""
    return f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"


def _sent_headers(asked: Asked) -> tuple[list[tuple[bytes, bytes]], bool]:
    """(what is sent, whether the answer's body is ours to decode)."""
    given = {name for name, _ in asked.headers}
    headers = [("host", asked.url.authority), *asked.headers]
    headers += [(name, value) for name, value in _DEFAULTS if name not in given]
    if asked.body is not None or asked.method in _WITH_A_BODY:
        headers.append(("content-length", str(len(asked.body or b""))))
    headers.append(("connection", "close"))
    return [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
    ], "accept-encoding" not in given


_DEFAULTS = (("accept", "*/*"), ("accept-encoding", "gzip, deflate"), ("user-agent", "isolet"))


# ── the answer's body ───────────────────────────────────────────────────────────────────────────────────────────


# What is decoded at once: a third of a millisecond.
_DECODED_BYTES = 256 * limits.KIB


class _Body:
    """An answer's body as it comes, decoded or not, and never more of it than FETCH_RESPONSE_BYTES_MAX."""

    def __init__(self, who: str, hold: Callable[[int], None], decode: Callable[[], zlib._Decompress] | None) -> None:
        self._who = who
        self._hold = hold
        self._decode = decode
        self._stream: zlib._Decompress | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self.decoded = decode is not None

    def add(self, chunk: bytes) -> Iterator[None]:
        """Yields between steps of decoding: 64 KiB may become 64 MiB, and others wait for this loop."""
        if self._decode is None:
            self._keep(chunk)
            return
        try:
            while chunk:
                if self._stream is None:
                    self._stream = self._decode()
                self._keep(self._stream.decompress(chunk, _DECODED_BYTES))
                yield
                chunk = self._stream.unconsumed_tail or self._stream.unused_data
                if self._stream.eof:
                    self._stream = None  # gzip may have another member
        except zlib.error:
            raise CallRefused(
                "ConnectionFailed", f"{self._who} answered what it calls compressed, and is not"
            ) from None

    def _keep(self, part: bytes) -> None:
        if self._size + len(part) > limits.FETCH_RESPONSE_BYTES_MAX:
            most = limits.FETCH_RESPONSE_BYTES_MAX
            raise CallRefused("TooLarge", f"{self._who} answered more than {most:,} bytes; ask for less")
        self._hold(len(part))
        self._size += len(part)
        self._parts.append(part)

    def finish(self) -> bytes:
        if self._stream is not None and not self._stream.eof:
            raise CallRefused("ConnectionFailed", f"{self._who} answered a compressed body that ends too early")
        return b"".join(self._parts)


def _decoder(headers: Headers) -> Callable[[], zlib._Decompress] | None:
    """Makes what decodes a body with these headers; None where it is to stay as it is."""
    encodings = [value.strip().lower() for name, value in headers if name == "content-encoding"]
    if encodings in (["gzip"], ["x-gzip"]):
        return lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)
    if encodings == ["deflate"]:
        return lambda: zlib.decompressobj(zlib.MAX_WBITS)
    return None


# ── names and connections ───────────────────────────────────────────────────────────────────────────────────────


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name it is asked for."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("there is no address")
        for index, address in enumerate(self._addresses):
            # The last has all the time that is left.
            patience = limits.FETCH_CONNECT_S if index < len(self._addresses) - 1 else None
            try:
                return await self._backend.connect_tcp(str(address), port, patience)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as reason:
                failure = reason
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("not to the outside")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
