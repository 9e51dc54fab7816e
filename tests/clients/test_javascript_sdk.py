"""AWS's SDK for JavaScript, as npm has it, against a server in its processes: nothing is set but an endpoint."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isolet.languages import toolchain
from served import PATIENCE_S, Served, zipped

pytestmark = pytest.mark.slow

PROGRAM = """
import { readFileSync } from "node:fs";
import * as sdk from "@aws-sdk/client-lambda";

const { LambdaClient } = sdk;
const aws = new LambdaClient({
  endpoint: process.env.SERVER, region: "eu-central-1", maxAttempts: 1,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});
const text = (bytes) => (bytes && bytes.length ? new TextDecoder().decode(bytes) : "");
const ask = (name, input) => aws.send(new sdk[name + "Command"](input));
const refused = async (name, input) => {
  try { await ask(name, input); } catch (error) {
    return { name: error.name, status: error.$metadata.httpStatusCode, message: error.message, Reason: error.Reason };
  }
  throw new Error(name + " was not refused");
};

const said = {};
const FunctionName = "sdk";
const created = await ask("CreateFunction", {
  FunctionName, Runtime: "nodejs22.x", Handler: "index.handler", Role: "arn:aws:iam::000000000000:role/service",
  Code: { ZipFile: readFileSync("code.zip") }, Environment: { Variables: { LEVEL: "3" } },
});
said.created = [created.State, created.FunctionArn, created.PackageType];
const waited = await sdk.waitUntilFunctionActiveV2({ client: aws, maxWaitTime: 120 }, { FunctionName });
said.waited = waited.state;
const Payload = JSON.stringify({ name: "Ada" });
const answer = await ask("Invoke", { FunctionName, Payload, LogType: "Tail" });
said.invoked = [answer.StatusCode, answer.ExecutedVersion, JSON.parse(text(answer.Payload))];
said.tail = Buffer.from(answer.LogResult, "base64").toString().includes("REPORT RequestId");
said.dry = (await ask("Invoke", { FunctionName, InvocationType: "DryRun" })).StatusCode;
const event = await ask("Invoke", { FunctionName, Payload, InvocationType: "Event" });
said.event = [event.StatusCode, text(event.Payload)];
const failed = await ask("Invoke", { FunctionName, Payload: JSON.stringify({ fail: true }) });
said.failed = [failed.FunctionError, JSON.parse(text(failed.Payload)).errorMessage];
const { Version } = await ask("PublishVersion", { FunctionName });
await ask("CreateAlias", { FunctionName, Name: "live", FunctionVersion: Version });
const aliased = await ask("Invoke", { FunctionName: created.FunctionArn + ":live", Payload });
said.aliased = [Version, aliased.ExecutedVersion];
const stream = await ask("InvokeWithResponseStream", { FunctionName, Payload });
let chunks = "";
let completed = false;
for await (const part of stream.EventStream) {
  chunks += text(part.PayloadChunk?.Payload);
  completed ||= part.InvokeComplete !== undefined;
}
said.streamed = [JSON.parse(chunks).hello, completed];
const url = await ask("CreateFunctionUrlConfig", { FunctionName, AuthType: "NONE" });
said.url = url.FunctionUrl;
await ask("PutFunctionConcurrency", { FunctionName, ReservedConcurrentExecutions: 0 });
said.throttled = await refused("Invoke", { FunctionName });
said.unknown = await refused("GetFunction", { FunctionName: "nobody" });
await ask("DeleteFunction", { FunctionName });
said.gone = (await refused("Invoke", { FunctionName })).name;
console.log(JSON.stringify(said));
"""
HANDLER = """
exports.handler = async (event) => {
  if (event.fail) throw new Error("as asked");
  return { hello: event.name, level: process.env.LEVEL };
};
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.end()


@pytest.fixture(scope="module")
def said(server: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program saw."""
    directory: Path = tmp_path_factory.mktemp("sdk")
    npm = toolchain.npm_command(lambda step: None)
    node = toolchain.ensure(toolchain.NODE, lambda step: None)
    path = f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [*npm, "install", "--silent", "--no-audit", "--no-fund", "@aws-sdk/client-lambda"],
        cwd=directory,
        env={**os.environ, "PATH": path},
        check=True,
    )
    (directory / "program.mjs").write_text(PROGRAM)
    (directory / "code.zip").write_bytes(zipped({"index.js": HANDLER}))
    done = subprocess.run(
        [node, "program.mjs"],
        cwd=directory,
        env={**os.environ, "SERVER": server.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_function_is_created_awaited_and_invoked_in_every_mode(said: dict[str, Any]) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:sdk"
    assert said["created"] == ["Pending", arn, "Zip"]
    assert said["waited"] == "SUCCESS"
    assert said["invoked"] == [200, "$LATEST", {"hello": "Ada", "level": "3"}]
    assert said["tail"]
    assert said["dry"] == 204
    assert said["event"] == [202, ""]
    assert said["failed"] == ["Unhandled", "as asked"]


def test_versions_aliases_streams_and_urls(server: Served, said: dict[str, Any]) -> None:
    assert said["aliased"] == ["1", "1"]
    assert said["streamed"] == ["Ada", True]
    assert said["url"].endswith(f".lambda-url.localhost:{server.url.rpartition(':')[2]}/")


def test_refusals_are_the_sdks_exceptions(said: dict[str, Any]) -> None:
    assert said["throttled"]["name"] == "TooManyRequestsException"
    assert said["throttled"]["status"] == 429
    assert said["throttled"]["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert said["unknown"]["name"] == "ResourceNotFoundException"
    assert said["unknown"]["message"] == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"
    assert said["gone"] == "ResourceNotFoundException"
