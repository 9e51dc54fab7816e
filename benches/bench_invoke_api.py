"""Lambda's API under load: synchronous and asynchronous Invoke, and what the control plane costs.

Claims: a signed synchronous Invoke of hello in C is answered within 1.5 ms (p50) by boto3's measure; at least 1,000
asynchronous ones a second are accepted durably (each is on the disk before its 202) on one machine.

Two servers run at once: ours with two workers, and moto's, which keeps all in memory. They do the same work in one
thing only, answering GetFunctionConfiguration to boto3; moto runs no function without containers, and has no queue of
events. The others are ours alone: their control is the synchronous Invoke beside them.

`wrk` sends one signed request again and again, which is valid for five minutes: so the client costs next to nothing,
and the server verifies every signature. boto3 signs each of its own.

How a reader could be misled: boto3 takes the most of what boto3 measures. `wrk` takes one of two cores. Accepted events
are run at the same time as others are accepted: on two cores the two compete, and the drain is timed from the last
accept to the last run. The disk decides what a commit costs (group commit: many events to one fsync).
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from harness import Comparison, Contender, arguments, compare, write_result
from servers import free_port, isolet, require_wrk, running, wrk

EVENT = b'{"name": "Ada"}'
NAME = "hello"
ROLE = "arn:aws:iam::123456789012:role/service"


def client(service: str, port: int) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def script(directory: Path, port: int, kind: str) -> list[str]:
    """wrk's options that send one signed Invoke of this type again and again."""
    headers = {"host": f"127.0.0.1:{port}", "x-amz-invocation-type": kind}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path()}", headers, EVENT)
    SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items() if name != "host"]
    lua = directory / f"{kind}.lua"
    lua.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = '{EVENT.decode()}'", *lines]) + "\n")
    return ["-s", str(lua)]


def path() -> str:
    return f"/2015-03-31/functions/{NAME}/invocations"


@contextlib.contextmanager
def moto(port: int) -> Iterator[None]:
    """moto's server with a function that it can describe."""
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with running(server, port):
        client("iam", port).create_role(RoleName="service", AssumeRolePolicyDocument="{}")
        client("lambda", port).create_function(
            FunctionName=NAME, Runtime="python3.12", Role=ROLE, Handler="a.b", Code={"ZipFile": b"zip"}
        )
        yield


def timed(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """A measure: the median of some calls, in µs."""

    def measure() -> float:
        taken = []
        for _ in range(calls):
            began_ns = time.perf_counter_ns()
            call()
            taken.append((time.perf_counter_ns() - began_ns) / 1_000)
        return statistics.median(taken)

    return measure


def invocations(port: int) -> int:
    """How many invocations the keeper has in its books."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return sum(int(float(count)) for count in re.findall(r"^isolet_invocations_total\{[^}]*\} (\S+)$", text, re.M))


class Asynchronous:
    """Accepts for some seconds, then waits until all that was accepted has run."""

    def __init__(self, port: int, options: list[str], seconds: float) -> None:
        self._port = port
        self._options = options
        self._seconds = seconds
        # Runs per second, from the first accept to the last run.
        self.drains: list[float] = []

    def accept(self) -> float:
        before, began_s = invocations(self._port), time.perf_counter()
        figures = wrk(f"http://127.0.0.1:{self._port}{path()}", 32, self._seconds, self._options)
        while invocations(self._port) < before + figures["requests"]:
            time.sleep(0.05)
        self.drains.append(figures["requests"] / (time.perf_counter() - began_s))
        return figures["rps"]


def main() -> None:
    parsed = arguments(__doc__ or "")
    require_wrk()
    if importlib.util.find_spec("moto") is None:
        raise SystemExit("moto is not installed; pip install 'isolet[dev]'")
    seconds, calls = (1, 5) if parsed.smoke else (3, 300)
    ours, theirs = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack.enter_context(moto(theirs))
        stack.enter_context(isolet(ours, 2))
        synchronous, event = script(directory, ours, "RequestResponse"), script(directory, ours, "Event")
        url, aws, peer = f"http://127.0.0.1:{ours}{path()}", client("lambda", ours), client("lambda", theirs)
        comparisons = [
            compare(
                "boto3, one client after the other, median",
                "µs",
                [
                    Contender(
                        "moto, GetFunctionConfiguration",
                        timed(lambda: peer.get_function_configuration(FunctionName=NAME), calls),
                    ),
                    Contender(
                        "isolet, GetFunctionConfiguration",
                        timed(lambda: aws.get_function_configuration(FunctionName=NAME), calls),
                    ),
                    Contender(
                        "isolet, Invoke",
                        timed(lambda: aws.invoke(FunctionName=NAME, Payload=EVENT)["Payload"].read(), calls),
                    ),
                ],
                parsed.rounds,
            ),
            compare(
                "signed Invoke, one connection, median",
                "µs",
                [Contender("isolet, synchronous", lambda: wrk(url, 1, seconds, synchronous)["p50"])],
                parsed.rounds,
            ),
        ]
        events = Asynchronous(ours, event, seconds)
        comparisons.append(
            compare(
                "signed Invoke, 32 connections",
                "1/s, more is better",
                [
                    Contender("isolet, synchronous", lambda: wrk(url, 32, seconds, synchronous)["rps"]),
                    Contender("isolet, asynchronous, accepted", events.accept),
                ],
                parsed.rounds,
            )
        )
        drained = Comparison("asynchronous, accepted and run", "1/s, more is better")
        drained.rounds = {"isolet": events.drains[1:]}
        drained.print()
        comparisons.append(drained)
    write_result("invoke-api", parsed, comparisons=[one.as_json() for one in comparisons], wrk_seconds=seconds)


if __name__ == "__main__":
    main()
