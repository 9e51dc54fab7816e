"""The keeper's HTTP side: one Starlette application for all of the control plane. It has no socket: workers pass
requests on to it over their links, and the embedded mode calls it.

`/healthz` here says that the keeper answers; at the public port a worker answers for itself.

Law: everything is signed, and answered for the account that signed it; but for `/healthz`, packages, whose URLs are
signed (locations.py), and `/metrics` on a server that only its machine reaches. Elsewhere that is the default
account's, which is the operator's.
"""

from __future__ import annotations

import asyncio
import re
import time
from calendar import timegm
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from ..clock import Clock
from ..config import Prices
from ..deployments import Deployments
from ..errors import AccessDenied, InvalidParameter
from ..metrics import CONTENT_TYPE
from ..model import DEFAULT_TENANT
from ..price import PERIODS, usage_table
from ..records import HOUR_S
from ..storage.ledger import Ledger
from ..storage.logs import Logs
from ..storage.metrics import MetricRows
from ..storage.packages import Packages
from ..storage.schedules import Schedules
from ..storage.secrets import Secrets
from .cloudwatch import CloudWatchService
from .events import EventsService
from .http import guarded, json_response
from .lambda_.shapes import details
from .locations import PATH as LOCATIONS
from .locations import Locations
from .logs import LogsService
from .protocol import Protocol
from .request import Request as AwsRequest
from .secrets import SecretsService
from .service import Service
from .sts import sts

# What Lambda's API has no operation for: what became of a function's module.
DETAILS_PATH = "/isolet/functions/"

# (method, path, query, headers, body) as received → the account that signed it. Raises Unauthenticated.
AccountOf = Callable[[str, str, str, Sequence[tuple[bytes, bytes]], bytes], Awaitable[str]]


def control_app(
    deployments: Deployments,
    packages: Packages,
    logs: Logs,
    ledger: Ledger,
    secrets: Secrets,
    prices: Prices,
    metrics_text: Callable[[], Awaitable[bytes]],
    health: Callable[[], dict[str, object]],
    lambda_: Service,
    locations: Locations,
    metric_rows: MetricRows,
    schedules: Schedules,
    clock: Clock,
    account_of: AccountOf,
    admit: Callable[[str], None],
    *,
    metrics_open: bool,
) -> Starlette:
    async def account(request: Request) -> str:
        scope = request.scope
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        asker = await account_of(request.method, path, query, request.headers.raw, await request.body())
        admit(asker)
        return asker

    async def tenant_of(request: AwsRequest) -> str:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        return await account_of(request.method, request.path, request.query, headers, request.body)

    async def healthz(request: Request) -> Response:
        return json_response(health())

    async def metrics(request: Request) -> Response:
        if not metrics_open and (asker := await account(request)) != DEFAULT_TENANT:
            raise AccessDenied(f"{asker} may not see what all accounts do; sign with a key of {DEFAULT_TENANT}")
        return Response(await metrics_text(), media_type=CONTENT_TYPE)

    async def usage(request: Request) -> Response:
        tenant = await account(request)
        asked = request.query_params
        per = asked.get("per", "all")
        if per not in PERIODS:
            raise InvalidParameter(f"per is {per!r}; use one of {', '.join(PERIODS)}")
        first, last = _hour(asked.get("from"), "from", 0), _hour(asked.get("to"), "to", 2**40)
        rows = await ledger.rows(tenant, asked.get("function"), first, last)
        return json_response(usage_table(rows, prices, per))

    async def package(request: Request) -> Response:
        digest, asked = request.path_params["digest"], request.query_params
        locations.require(digest, asked.get("Expires", ""), asked.get("Signature", ""))
        content = await asyncio.to_thread(packages.read, digest)
        return Response(content, media_type="application/zip")

    async def described(request: Request) -> Response:
        return json_response(details(await deployments.get(await account(request), request.path_params["name"])))

    services = [
        lambda_,
        LogsService(logs, deployments.get, clock).service(),
        CloudWatchService(metric_rows, clock).service(),
        SecretsService(secrets).service(),
        EventsService(schedules, clock).service(),
        sts(),
    ]
    return Starlette(
        routes=[
            Route("/healthz", guarded(healthz), methods=["GET"]),
            Route("/metrics", guarded(metrics), methods=["GET"]),
            Route("/isolet/usage", guarded(usage), methods=["GET"]),
            Route(LOCATIONS + "{digest:str}.zip", guarded(package), methods=["GET"]),
            Route(DETAILS_PATH + "{name:str}", guarded(described), methods=["GET"]),
            # Whatever is left, and what is nobody's too: it answers in the words of the protocol that it was asked in.
            Mount("/", Protocol(services, tenant_of, admit)),
        ],
    )


def _hour(text: str | None, name: str, default: int) -> int:
    """An hour of the ledger: from Unix seconds, or a date of ISO 8601 in UTC."""
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text) // HOUR_S
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return timegm(time.strptime(text, form)) // HOUR_S
        except ValueError:
            continue
    raise InvalidParameter(f"{name} is {text[:64]!r}; write Unix seconds, 2026-11-20 or 2026-11-20T13")
