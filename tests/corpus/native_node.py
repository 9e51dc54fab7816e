"""A Lambda function under native Node.js, by AWS's own code: `aws-lambda-ric`, which Lambda runs functions with.

Each event gets a process of its own: a function is then as it was when its module had been loaded, which is what a
first invocation sees in Lambda, and every invocation here.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from isolet.languages import toolchain
from isolet.languages.package import silent

SHIM = Path(__file__).parent / "lambda_node.cjs"
RIC = "aws-lambda-ric@3.3.0"
RIC_SHA256 = "32894075502fb0541500700c5a6aff14fb3f16485e73e6a8d009eef60dfd5faa"
WAIT_S = 60


class Outcome(NamedTuple):
    """`answer` as Lambda's Invoke has it; `text` is its JSON."""

    answer: Any
    text: str
    log: str


@functools.cache
def runtime_client() -> Path:
    """AWS's runtime interface client, fetched from npm into the cache of toolchains. Its native half is not built."""
    home = toolchain.cache_directory() / "tests"
    home.mkdir(exist_ok=True)
    target = home / f"aws-lambda-ric-{RIC_SHA256[:16]}.mjs"
    if not target.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            npm = [str(part) for part in toolchain.npm_command(silent)]
            subprocess.run([*npm, "pack", RIC, "--silent"], cwd=scratch, check=True, capture_output=True)
            (packed,) = Path(scratch).glob("*.tgz")
            with tarfile.open(packed) as archive:
                module = archive.extractfile("package/dist/index.mjs")
                assert module is not None
                content = module.read()
        assert hashlib.sha256(content).hexdigest() == RIC_SHA256
        partial = target.with_suffix(f".{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(target)
    return target


def invoke(
    directory: Path, handler: str, events: Mapping[str, Any], variables: Mapping[str, str]
) -> dict[str, Outcome]:
    """What each event comes to; the package is in `directory`, which is /var/task in what is answered."""
    with tempfile.TemporaryDirectory(prefix="isolet-native-") as scratch:
        written = Path(scratch) / "events.json"
        written.write_text(json.dumps([json.dumps(event, ensure_ascii=False) for event in events.values()]))
        return {
            name: _one(directory.resolve(), handler, written, index, variables) for index, name in enumerate(events)
        }


def _one(directory: Path, handler: str, events: Path, index: int, variables: Mapping[str, str]) -> Outcome:
    answer, tmp = events.parent / f"answer-{index}", events.parent / f"tmp-{index}"
    tmp.mkdir()
    # Lambda's users turn source maps on with NODE_OPTIONS; a guest always applies them.
    maps = ["--enable-source-maps"] if any(directory.rglob("*.map")) else []
    node = toolchain.ensure(toolchain.NODE, silent)
    ran = subprocess.run(
        [node, *maps, "--require", SHIM, runtime_client(), directory, handler, events, str(index), answer],
        env={
            "PATH": os.environ["PATH"],
            "TZ": "UTC",
            "TMPDIR": str(tmp),
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9",
            "LAMBDA_TASK_ROOT": str(directory),
            "_HANDLER": handler,
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    places = ((str(directory), "/var/task"), (str(tmp), "/tmp"), (str(runtime_client()), "/var/runtime/index.mjs"))
    log = _placed(ran.stdout, places)
    if not answer.is_file():
        # The platform answers for a process that ended.
        how = f"with error: exit status {ran.returncode}" if ran.returncode else "without providing a reason"
        ended = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: <id> Error: Runtime exited {how}"}
        return Outcome(ended, json.dumps(ended), log)
    text = _placed(json.loads(answer.read_text())["body"], places)
    return Outcome(json.loads(text), text, log)


def _placed(text: str, places: tuple[tuple[str, str], ...]) -> str:
    for here, there in places:
        text = text.replace(here, there)
    return text
