"""From an upload to the first answer, and what is stored: a whole server in its processes, asked by one client.

For each language a small program is uploaded as a zip (CreateFunction), its state is polled until it is Active, and it
is invoked once. The first program in a language compiles its interpreter, once for that data directory; it is shown
apart.

How it can mislead: the client polls a hundred times a second, as no tool does (boto3's waiter looks once a second): up
to 10 ms of every figure are the client's. The builder runs niced beside the server; on a busy machine it waits.

    python benches/bench_deploy.py [--smoke] [--rounds N]
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx

from harness import arguments, write_result
from isolet.cli.credentials import TEST
from isolet.languages.interpreters import named
from programs import SOURCES

SERVER = """
import sys
from isolet.config import load
from isolet.server import serve
config = load(arguments={"port": 0, "workers": 1, "data": sys.argv[1], "isolates": 64})
sys.exit(serve(config, lambda url: print(url, flush=True)))
"""


# Between two looks at the state. Without a pause a build that takes long meets the tenant's rate (CALLS_TENANT_PER_S).
LOOK_S = 0.01


class Signed(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        headers, body = request.headers.raw, request.content
        for name, value in TEST.signer.sign("lambda", request.method, path, query, headers, body, time.time()):
            request.headers[name.decode("ascii")] = value.decode("latin-1")
        yield request


@contextlib.contextmanager
def server(data: Path) -> Iterator[httpx.Client]:
    # A cache of its own: the first program in a language compiles its interpreter here, as on a new machine.
    environment = os.environ | {"ISOLET_CACHE": str(data / "cache")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            with httpx.Client(base_url=process.stdout.readline().strip(), timeout=120, auth=Signed()) as http:
                yield http
        finally:
            process.terminate()


def zipped(files: dict[str, str]) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return base64.b64encode(buffer.getvalue()).decode()


def deploy_ms(http: httpx.Client, name: str, language: str, files: dict[str, str]) -> float:
    """Milliseconds from the upload to the answer."""
    interpreter = named(language)
    assert interpreter is not None
    body = {
        "FunctionName": name,
        "Runtime": interpreter.runtime,
        "Handler": interpreter.handler,
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": zipped(files)},
    }
    began_s = time.perf_counter()
    http.post("/2015-03-31/functions", json=body).raise_for_status()
    while True:
        answer = http.get(f"/2015-03-31/functions/{name}/configuration").raise_for_status()
        function = answer.json()
        if function["State"] != "Pending":
            break
        time.sleep(LOOK_S)
    assert function["State"] == "Active", function["StateReason"]
    answer = http.post(f"/2015-03-31/functions/{name}/invocations", json={"name": "Ada"})
    assert answer.json()["hello"] == "Ada", answer.text
    return (time.perf_counter() - began_s) * 1000


def stored_bytes(data: Path) -> int:
    return sum(file.stat().st_size for file in (data / "artifacts").glob("*"))


def main() -> None:
    parsed = arguments(__doc__ or "")
    results = []
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch, server(Path(scratch)) as http:
        for language in ("python", "javascript"):
            (name, text), *others = SOURCES[language, "hello"].items()
            comment = "#" if language == "python" else "//"
            first_ms, rounds, sizes = 0.0, list[float](), list[int]()
            for number in range(parsed.rounds + 1):
                before = stored_bytes(Path(scratch))
                files = {name: f"{text}\n{comment} {number}\n", **dict(others)}
                took_ms = deploy_ms(http, f"{language}-{number}", language, files)
                if number == 0:
                    first_ms = took_ms
                else:
                    rounds.append(took_ms)
                    sizes.append(stored_bytes(Path(scratch)) - before)
            result = {
                "language": language,
                "first_ms": round(first_ms, 1),
                "median_ms": round(statistics.median(rounds), 1),
                "rounds_ms": [round(each, 1) for each in rounds],
                "stored_bytes": round(statistics.median(sizes)),
            }
            print(
                f"{language}: first {first_ms:,.0f} ms; then {result['median_ms']:,.0f} ms (median of {len(rounds)}); "
                f"{result['stored_bytes'] / 1024:,.0f} KiB stored"
            )
            results.append(result)
    write_result("deploy", parsed, languages=results)


if __name__ == "__main__":
    main()
