"""A server in one process whose asynchronous invocations tests watch: boto3 on one side, the keeper on the other."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from cloud import Cloud
from isolet.config import AsynchronousDelays, Config
from isolet.engine.engine import wat
from isolet.server import Embedded, embedded

GUESTS = Path(__file__).parent / "guests"
TENANT = "000000000000"
# No test waits this long unless it fails.
PATIENCE_S = 60
T = TypeVar("T")


def zipped(guest: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("function.wasm", wat((GUESTS / f"{guest}.wat").read_text()))
    return buffer.getvalue()


class Running:
    """An embedded server, and boto3 in a thread."""

    def __init__(self, server: Embedded) -> None:
        self.server = server
        self.asynchronous = server.keeper.asynchronous
        self.cloud = Cloud(server.url)

    async def ask(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.to_thread(call, *arguments, **named)

    async def deploy(self, guest: str, name: str = "", **settings: Any) -> None:
        given = {"Runtime": "provided.al2023", "Handler": "handle", **settings}
        await self.ask(self.cloud.deploy, name or guest, zipped(guest), **given)

    async def send(self, name: str, payload: bytes = b"{}", **more: Any) -> str:
        """Invokes asynchronously; the request id."""
        invoke = self.cloud.client.invoke
        answer = await self.ask(invoke, FunctionName=name, InvocationType="Event", Payload=payload, **more)
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        assert "ExecutedVersion" not in answer
        request_id: str = answer["ResponseMetadata"]["RequestId"]
        return request_id

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.asynchronous.settled()


@asynccontextmanager
async def running(data: Path, **changes: Any) -> AsyncIterator[Running]:
    """Retries come at once, unless `asynchronous` says otherwise."""
    given = {"port": 0, "isolates": 64, "asynchronous": AsynchronousDelays(0, 0.01), **changes}
    async with embedded(Config(data=data, **given)) as server:
        yield Running(server)
