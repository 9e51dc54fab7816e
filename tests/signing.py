"""Requests signed as clients sign them, with everybody's pair `test`/`test` or another."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

import httpx

from isolet.sigv4 import Signer

TEST = Signer("test", "test")


def signed(
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    by: Signer = TEST,
    service: str = "",
    now_s: float | None = None,
) -> list[tuple[str, str]]:
    """`headers`, which say the Host, and those that sign them; `target` is the path and query."""
    path, _, query = target.partition("?")
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    added = by.sign(service or service_of(raw), method, path, query, raw, body, time.time() if now_s is None else now_s)
    return [*headers, *((name.decode("latin-1"), value.decode("latin-1")) for name, value in added)]


SERVICES = {b"Logs_20140328": "logs", b"AWSEvents": "events", b"GraniteServiceVersion20100801": "monitoring"}


def service_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The service that a request is for, in its scope's words."""
    for name, value in headers:
        if name.lower() == b"x-amz-target":
            prefix = value.partition(b".")[0]
            return SERVICES.get(prefix, prefix.decode("latin-1"))
    return "lambda"


class Signing(httpx.Auth):
    """httpx's requests, signed; `ahead_s` is how far the client's clock is ahead of this machine's."""

    requires_request_body = True

    def __init__(self, by: Signer = TEST, ahead_s: float = 0.0) -> None:
        self.by = by
        self.ahead_s = ahead_s

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        added = self.by.sign(
            service_of(request.headers.raw),
            request.method,
            path,
            query,
            request.headers.raw,
            request.content,
            time.time() + self.ahead_s,
        )
        for name, value in added:
            request.headers[name.decode("ascii")] = value.decode("latin-1")
        yield request
