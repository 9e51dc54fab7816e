"""Programs in interpreted languages, for benches: their source, the snapshots made of them, and a worker around these.

What runs here is the product's own: the booter that a builder uses, artifacts on disk, the worker's cache, scheduler
and invoker. Left out are the door (bench_http.py measures it) and the processes between an upload and a snapshot.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns

from isolet import limits
from isolet.engine.engine import Engine, EngineSettings
from isolet.errors import IsoletError
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.invoker import Invoker
from isolet.languages.interpreters import named
from isolet.model import Invocation, Outcome, SnapshotInfo, Target
from isolet.scheduler import Scheduler
from isolet.snapshot.boot import Booter
from isolet.snapshot.cache import SnapshotCache
from isolet.snapshot.capture import Guest
from isolet.storage.artifacts import Artifacts, read_key

MEMORY_MB = 128

PYTHON_HELLO = """
def lambda_handler(event, context):
    return {"hello": event["name"], "request": context.aws_request_id}
"""

# Thirty modules of the standard library, as a handler of some size has them.
PYTHON_IMPORTS = [
    "argparse",
    "base64",
    "bisect",
    "calendar",
    "collections",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email.message",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "html.parser",
    "io",
    "itertools",
    "json",
    "logging",
    "operator",
    "re",
    "statistics",
    "string",
    "textwrap",
    "typing",
    "urllib.parse",
    "uuid",
][:30]

PYTHON_THIRTY = (
    "\n".join(f"import {name}" for name in PYTHON_IMPORTS)
    + """

PATTERN = re.compile(r"(?P<word>\\w+)")

def lambda_handler(event, context):
    words = collections.Counter(m["word"].lower() for m in PATTERN.finditer(event["name"]))
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
    return {"hello": event["name"], "words": len(words), "digest": digest, "request": context.aws_request_id}
"""
)

JAVASCRIPT_HELLO = """
exports.handler = async (event, context) => ({ hello: event.name, request: context.awsRequestId });
"""

JAVASCRIPT_MODULE = """
class Rule{number} {{
  constructor(name) {{ this.name = name; this.pattern = new RegExp("(" + name + ")+", "g"); }}
  count(text) {{ return (text.match(this.pattern) || []).length; }}
}}
const rules = ["a", "b", "c"].map((name) => new Rule{number}(name));
exports.score = (text) => rules.reduce((sum, rule) => sum + rule.count(text), {number});
"""

JAVASCRIPT_THIRTY = (
    "\n".join(f'const m{number} = require("./lib/m{number}");' for number in range(30))
    + """
const modules = ["""
    + ", ".join(f"m{number}" for number in range(30))
    + """];
exports.handler = async (event, context) => ({
  hello: event.name,
  score: modules.reduce((sum, module) => sum + module.score(event.name), 0),
  request: context.awsRequestId,
});
"""
)

SOURCES: Mapping[tuple[str, str], dict[str, str]] = {
    ("python", "hello"): {"lambda_function.py": PYTHON_HELLO},
    ("python", "30 imports"): {"lambda_function.py": PYTHON_THIRTY},
    ("javascript", "hello"): {"index.js": JAVASCRIPT_HELLO},
    ("javascript", "30 imports"): {"index.js": JAVASCRIPT_THIRTY}
    | {f"lib/m{number}.js": JAVASCRIPT_MODULE.format(number=number) for number in range(30)},
}


class Notes:
    """A recorder that keeps nothing."""

    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float, running: int = 1) -> None: ...

    def refuse(self, target: Target, error: IsoletError, now_s: float) -> None: ...


class House:
    """Snapshots of programs in `directory`, and targets for them."""

    def __init__(self, directory: Path, isolates_max: int = 64) -> None:
        self.engine = Engine(EngineSettings(isolates_max=isolates_max), IMPORTS)
        self.artifacts = Artifacts(directory / "artifacts", read_key(directory / "key"), self.engine.fingerprint)
        self.packages: dict[str, Mapping[str, bytes]] = {}

    def snapshot(self, language: str, files: Mapping[str, str], name: str = "f") -> SnapshotInfo:
        """The snapshot of a program, made as a builder makes it; compiles the interpreter if it is the first."""
        interpreter = named(language)
        assert interpreter is not None
        package = {path: text.encode() for path, text in files.items()}

        def guest(package: Mapping[str, bytes], handler: str, library: Mapping[str, bytes]) -> Guest:
            constants = HostConstants(
                name, "$LATEST", f"arn:{name}", MEMORY_MB, (), package, handler=handler, library=library
            )
            return Guest(MEMORY_MB * limits.MIB, lambda: HostState(constants, initialising=True), None)

        booter = Booter(self.engine, self.artifacts, interpreter)
        booted = booter.boot(
            lambda library: guest({}, "", library), lambda library: guest(package, interpreter.handler, library)
        )
        self.packages[booted.info.digest] = package
        return booted.info

    def target(self, info: SnapshotInfo, name: str = "f") -> Target:
        return Target(
            tenant="000000000000",
            name=name,
            version="$LATEST",
            snapshot=info,
            package_digest=info.digest,
            timeout_s=10.0,
            memory_bytes=MEMORY_MB * limits.MIB,
            fuel=limits.FUEL_DEFAULT,
            environment={},
            http=False,
            routes=(),
        )


class Worker:
    """A worker's invocations without its door. Made on a running loop."""

    def __init__(self, house: House, spares: int = 0, idle_s: float = limits.SNAPSHOT_IDLE_S) -> None:
        self.scheduler = Scheduler(asyncio.get_running_loop())
        self.cache = SnapshotCache(
            house.engine,
            house.artifacts,
            self._rebuild,
            lambda digest: house.packages.get(digest, {}),
            idle_s=idle_s,
        )
        self.invoker = Invoker(house.engine, self.cache, self.scheduler, Notes(), spares_max=spares)

    async def _rebuild(self, digest: str) -> SnapshotInfo:
        raise AssertionError("nothing is lost here")

    async def invoke(self, target: Target, event: bytes) -> Outcome:
        """The outcome; raises what the function raised."""
        outcome = await self.invoker.invoke(Invocation(target, str(uuid.uuid4()), event, perf_counter_ns()))
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def close(self) -> None:
        self.invoker.drop_spares()
        self.cache.close()
