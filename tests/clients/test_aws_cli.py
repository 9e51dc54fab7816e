"""The aws CLI, version 1 (PyPI's package) and 2 (Debian's), against a server in its processes: nothing is set but an
endpoint."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from served import PATIENCE_S, Served, zipped

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::000000000000:role/service"
SOURCE = 'def handler(event, context):\n    print("said", event.get("name"))\n    return {"hello": event.get("name")}\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.end()


class Aws:
    """`aws …` with the well-known keys and the server's endpoint. `version` is 1 or 2."""

    def __init__(self, program: Path, version: int, url: str, directory: Path) -> None:
        self.version = version
        # Version 2 takes blobs as base64 unless it is told; that of Debian does not know AWS_ENDPOINT_URL.
        raw = ("--cli-binary-format", "raw-in-base64-out") if version == 2 else ()
        self.program = (str(program), "--endpoint-url", url, *raw)
        self.directory = directory
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_PAGER": "",
            "HOME": str(directory),
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def __call__(self, *arguments: str) -> Any:
        """The answer, as JSON; None where there is none."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.program, *arguments], cwd=self.directory, env=self.environment, stdout=subprocess.PIPE, text=True
        )


def _version_1(directory: Path) -> Path:
    """In an environment of its own: the CLI's botocore is another than boto3's."""
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    subprocess.run([directory / "venv/bin/python", "-m", "pip", "install", "--quiet", "awscli"], check=True)
    return directory / "venv/bin/aws"


def _version_2() -> Path:
    """Not on PyPI. CI installs it."""
    for program in (Path("/usr/bin/aws"), Path("/usr/local/bin/aws")):
        if program.exists():
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            if said.startswith("aws-cli/2."):
                return program
    pytest.skip("the aws CLI, version 2, is not here; `apt-get install awscli` brings it")


@pytest.fixture(scope="module", params=[1, 2], ids=["v1", "v2"])
def aws(server: Served, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    directory = tmp_path_factory.mktemp("aws")
    program = _version_1(directory) if request.param == 1 else _version_2()
    (directory / "app.zip").write_bytes(zipped({"app.py": SOURCE}))
    return Aws(program, request.param, server.url, directory)


@pytest.fixture(scope="module")
def hello(aws: Aws) -> str:
    aws(
        *("lambda", "create-function", "--function-name", "hello", "--runtime", "python3.12", "--role", ROLE),
        *("--handler", "app.handler", "--zip-file", "fileb://app.zip", "--timeout", "10"),
    )
    aws("lambda", "wait", "function-active-v2", "--function-name", "hello")
    return "hello"


def invoke(aws: Aws, name: str, *arguments: str) -> tuple[dict[str, Any], Any]:
    head = aws("lambda", "invoke", "--function-name", name, "--payload", '{"name": "Ada"}', *arguments, "answer.json")
    text = (aws.directory / "answer.json").read_text()
    return head, json.loads(text) if text else None


def test_invoke_in_every_mode(aws: Aws, hello: str) -> None:
    head, value = invoke(aws, hello, "--log-type", "Tail")
    assert (head["StatusCode"], head["ExecutedVersion"], value) == (200, "$LATEST", {"hello": "Ada"})
    assert "said Ada" in base64.b64decode(head["LogResult"]).decode()
    assert invoke(aws, hello, "--invocation-type", "DryRun")[0]["StatusCode"] == 204
    assert invoke(aws, hello, "--invocation-type", "Event")[0]["StatusCode"] == 202


def test_versions_and_aliases(aws: Aws, hello: str) -> None:
    version = aws("lambda", "publish-version", "--function-name", hello)["Version"]
    aws("lambda", "create-alias", "--function-name", hello, "--name", "live", "--function-version", version)
    assert invoke(aws, f"{hello}:live")[0]["ExecutedVersion"] == version
    weights = f"AdditionalVersionWeights={{{version}=0.5}}"
    refused = aws.run("lambda", "update-alias", "--function-name", hello, "--name", "live", "--routing-config", weights)
    assert refused.returncode != 0
    assert f"Invalid function version {version}." in refused.stderr


def test_throttle_has_its_reason(aws: Aws, hello: str) -> None:
    reserve = ("lambda", "put-function-concurrency", "--function-name", hello, "--reserved-concurrent-executions", "0")
    assert aws(*reserve) == {"ReservedConcurrentExecutions": 0}
    aws.environment["AWS_MAX_ATTEMPTS"] = "1"
    refused = aws.run("lambda", "invoke", "--function-name", hello, "answer.json")
    assert "TooManyRequestsException" in refused.stderr
    aws("lambda", "delete-function-concurrency", "--function-name", hello)
    assert invoke(aws, hello)[1] == {"hello": "Ada"}


def test_logs_tail_follows(aws: Aws, hello: str) -> None:
    if aws.version == 1:
        refused = aws.run("logs", "tail", "x")
        assert "Invalid choice" in refused.stderr or "invalid choice" in refused.stderr, "version 1 has no `logs tail`"
        return
    following = aws.start("logs", "tail", f"/aws/lambda/{hello}", "--follow", "--since", "5m")
    guard = threading.Timer(PATIENCE_S, following.kill)
    guard.start()
    try:
        invoke(aws, hello)
        assert following.stdout is not None
        assert any("said Ada" in line for line in following.stdout), "tail ended without the line"
    finally:
        guard.cancel()
        following.kill()
        following.communicate()


def test_logs_are_described_and_filtered(aws: Aws, hello: str) -> None:
    invoke(aws, hello)
    group = f"/aws/lambda/{hello}"
    described = aws("logs", "describe-log-groups", "--log-group-name-prefix", group)["logGroups"]
    assert [one["logGroupName"] for one in described] == [group]
    streams = aws("logs", "describe-log-streams", "--log-group-name", group)["logStreams"]
    assert streams
    found = aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", '"said Ada"')["events"]
    assert found
    assert all("said Ada" in event["message"] for event in found)
    stream = found[-1]["logStreamName"]
    events = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream)["events"]
    assert any("REPORT RequestId" in event["message"] for event in events)


def test_refusal_is_lambdas(aws: Aws) -> None:
    refused = aws.run("lambda", "get-function", "--function-name", "nobody")
    assert refused.returncode != 0
    assert "An error occurred (ResourceNotFoundException) when calling the GetFunction operation" in refused.stderr
    assert refused.stderr.endswith(": Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody\n")


def test_function_is_deleted(aws: Aws, hello: str) -> None:
    aws("lambda", "delete-function", "--function-name", hello)
    assert "Function not found" in aws.run("lambda", "invoke", "--function-name", hello, "answer.json").stderr
