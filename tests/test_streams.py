"""Streams end to end: a server in this process with a deployed JavaScript function, boto3 and an HTTP client."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud import Cloud
from isolet.config import Config
from isolet.model import DEFAULT_TENANT
from isolet.server import Embedded, embedded

# It writes, and then waits for what its reader does: an answer that is held back would never come.
SOURCE = """
const { kv } = require("isolet");
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { "content-type": "text/plain" } });
  out.write("first");
  while ((await kv("told").get("go")) === null) await new Promise((resolve) => setTimeout(resolve, 5));
  if (event.fails) throw new TypeError("too late");
  out.write("second");
  out.end();
});
"""


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.js", SOURCE)
    return file.getvalue()


def served(directory: Path, main: Callable[[Embedded, Cloud], Any]) -> None:
    async def live() -> None:
        async with embedded(Config(data=directory / "data", port=0)) as server:
            cloud = Cloud(server.url)
            await asyncio.to_thread(
                cloud.deploy,
                *("streams", zipped()),
                Runtime="nodejs22.x",
                Handler="index.handler",
                Timeout=60,
                Tags={"isolet:kv": '["told"]'},
            )
            try:
                await main(server, cloud)
            finally:
                cloud.client.close()

    asyncio.run(asyncio.wait_for(live(), 120))


async def url_of(cloud: Cloud) -> str:
    """The host of a function URL that streams, made by boto3."""
    made = await asyncio.to_thread(
        cloud.client.create_function_url_config,
        FunctionName="streams",
        AuthType="NONE",
        InvokeMode="RESPONSE_STREAM",
        Cors={"AllowOrigins": ["*"]},
    )
    return httpx.URL(made["FunctionUrl"]).host


async def go(server: Embedded) -> None:
    await server.keeper.kv.put(DEFAULT_TENANT, "told", "go", b"")


def test_boto3_reads_pieces_while_the_function_runs(tmp_path: Path) -> None:
    async def main(server: Embedded, cloud: Cloud) -> None:
        answer = await asyncio.to_thread(
            cloud.client.invoke_with_response_stream, FunctionName="streams", Payload=b"{}", LogType="Tail"
        )
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
        assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
        stream = iter(answer["EventStream"])
        head = (await asyncio.to_thread(next, stream))["PayloadChunk"]["Payload"]
        assert json.loads(head.removesuffix(bytes(8)))["statusCode"] == 201
        assert (await asyncio.to_thread(next, stream))["PayloadChunk"]["Payload"] == b"first"
        await go(server)
        rest = await asyncio.to_thread(list, stream)
        assert rest[0] == {"PayloadChunk": {"Payload": b"second"}}
        assert set(rest[1]["InvokeComplete"]) == {"LogResult"}
        assert len(rest) == 2

    served(tmp_path, main)


def test_boto3_is_told_of_a_failure_after_the_first_piece(tmp_path: Path) -> None:
    async def main(server: Embedded, cloud: Cloud) -> None:
        await go(server)
        answer = await asyncio.to_thread(
            cloud.client.invoke_with_response_stream, FunctionName="streams", Payload=b'{"fails": true}'
        )
        *pieces, last = await asyncio.to_thread(list, answer["EventStream"])
        assert pieces[-1] == {"PayloadChunk": {"Payload": b"first"}}
        assert last["InvokeComplete"]["ErrorCode"] == "TypeError"
        assert json.loads(last["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "too late"

    served(tmp_path, main)


def test_a_function_url_sends_pieces_while_the_function_runs(tmp_path: Path) -> None:
    async def main(server: Embedded, cloud: Cloud) -> None:
        host = {"host": await url_of(cloud), "origin": "https://www.example.com"}
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{server.url}/a", headers=host, timeout=60) as reply,
        ):
            assert (reply.status_code, reply.headers["content-type"]) == (201, "text/plain")
            assert reply.headers["access-control-allow-origin"] == "https://www.example.com"
            pieces = reply.aiter_bytes()
            assert await anext(pieces) == b"first"
            await go(server)
            assert b"".join([piece async for piece in pieces]) == b"second"

    served(tmp_path, main)


@pytest.mark.parametrize("sooner", ["client", "function"])
def test_whoever_leaves_first_leaves_nothing_behind(tmp_path: Path, sooner: str) -> None:
    async def main(server: Embedded, cloud: Cloud) -> None:
        host = {"host": await url_of(cloud)}
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", server.url, headers=host, timeout=60) as reply,
        ):
            assert await anext(reply.aiter_bytes()) == b"first"
            if sooner == "function":
                await go(server)
                await reply.aclose()
        while server.worker.invoker.in_flight:
            await asyncio.sleep(0.01)
        server.worker.invoker.drop_spares()
        assert server.worker.engine.live == 0

    served(tmp_path, main)
