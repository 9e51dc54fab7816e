"""Functions in an interpreted language, for tests: the real booter, engine and invoker, one interpreter a session.

python = house("python")
function = python.function({"app.py": "def f(event, context): return 1"}, handler="app.f")
answer = function.invoke({"key": 1})        # .value or .error, .logs, .usage
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import textwrap
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings
from isolet.errors import GuestError, Raised
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.invoker import Invoker
from isolet.languages.interpreters import Interpreter, named
from isolet.model import NO_CAPABILITIES, Capabilities, Invocation, Outcome, SnapshotInfo, Target
from isolet.scheduler import Scheduler
from isolet.snapshot.boot import Booted, Booter
from isolet.snapshot.cache import SnapshotCache
from isolet.snapshot.capture import Guest
from isolet.storage.artifacts import Artifacts, read_key

_MEMORY_MB = 128


class Answer:
    """What an invocation came to. `value`, or `error` with `kind`, `message` and `stack`."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.value: Any = outcome.value
        self.error = outcome.error
        self.usage = outcome.usage
        self.logs = [text.decode() for _, _, text in outcome.logs]
        self.levels = [level for level, _, _ in outcome.logs]

    def __repr__(self) -> str:
        return f"<Answer {self.value!r} {self.error!r} {self.logs}>"

    @property
    def ok(self) -> Any:
        assert self.error is None, (self.error, self.logs)
        return self.value

    @property
    def failure(self) -> tuple[str, str]:
        """(type, message) as Lambda's answer has them."""
        assert isinstance(self.error, GuestError), self
        return self.error.error_type, self.error.message

    @property
    def stack(self) -> list[str]:
        assert isinstance(self.error, Raised), self
        return list(self.error.stack)


class _Notes:
    def record(self, invocation: Invocation, outcome: Outcome, ended_s: float, running: int = 1) -> None: ...

    def refuse(self, target: Target, error: Exception, now_s: float) -> None:
        raise error


# The keeper's side of capabilities: (operation, body) → answer. May raise CallRefused.
Asked = Callable[[str, Any], Any]


class _Above:
    """What a test says in the keeper's place."""

    def __init__(self, asked: Asked | None) -> None:
        self._asked = asked

    async def ask(self, operation: str, body: Any) -> Any:
        assert self._asked is not None, f"{operation}: nobody is above"
        return self._asked(operation, body)

    async def invoke(self, caller: Invocation, deadline_ns: int, ref: Any, event: bytes) -> Outcome:
        raise AssertionError("no other functions")

    def count(self, capability: str, sent_bytes: int, received_bytes: int) -> None: ...


class Function:
    def __init__(
        self, house: House, target: Target, booted: Booted, files: Mapping[str, bytes], asked: Asked | None
    ) -> None:
        self._house = house
        self._files = files
        self._asked = asked
        self.target = target
        self.info = booted.info
        self.init_logs = [text.decode() for text in booted.logs]

    def invoke(self, event: Any = None, **context: Any) -> Answer:
        """One invocation. `context` may have request_id, client_context, trace_id."""
        return asyncio.run(self._invoke([(event, context)]))[0]

    def invoke_together(self, *events: Any) -> list[Answer]:
        return asyncio.run(self._invoke([(event, {}) for event in events]))

    async def _invoke(self, calls: list[tuple[Any, dict[str, Any]]]) -> list[Answer]:
        invoker = self._house.invoker(self._files, self._asked)
        return await asyncio.gather(*(self._one(invoker, event, context) for event, context in calls))

    async def _one(self, invoker: Invoker, event: Any, context: dict[str, Any]) -> Answer:
        invocation = Invocation(
            self.target,
            context.get("request_id", str(uuid.uuid4())),
            abi.pack(event),
            perf_counter_ns(),
            client_context=abi.pack(context.get("client_context")),
            trace_id=context.get("trace_id", ""),
        )
        return Answer(await invoker.invoke(invocation))


class House:
    """One interpreter: booted once, then any number of functions."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.engine = Engine(EngineSettings(isolates_max=8), IMPORTS)
        self._kept = tempfile.TemporaryDirectory(prefix="isolet-interpreted-")
        home = Path(self._kept.name)
        self.artifacts = Artifacts(home / "artifacts", read_key(home / "key"), self.engine.fingerprint)
        self.interpreter = interpreter
        self.booter = Booter(self.engine, self.artifacts, interpreter)

    def function(
        self,
        files: Mapping[str, str | bytes] | str,
        handler: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        capabilities: Capabilities = NO_CAPABILITIES,
        memory_mb: int = _MEMORY_MB,
        timeout_s: float = 30,
        fuel: int = 50_000_000_000,
        name: str = "f",
        asked: Asked | None = None,
    ) -> Function:
        """A deployed function; a string is the content of the default handler's file."""
        if isinstance(files, str):
            suffix = "py" if self.interpreter.name == "python" else "js"
            files = {f"{self.interpreter.handler.rpartition('.')[0]}.{suffix}": files}
        package = {path: _content(text) for path, text in files.items()}
        target = Target(
            tenant="000000000000",
            name=name,
            version="$LATEST",
            snapshot=_NONE,
            package_digest="0" * 64,
            timeout_s=timeout_s,
            memory_bytes=memory_mb * limits.MIB,
            fuel=fuel,
            environment=environment or {},
            http=False,
            routes=(),
            capabilities=capabilities,
            runtime=self.interpreter.runtime,
            handler=handler or self.interpreter.handler,
        )
        booted = self.booter.boot(self._base_guest, lambda library: self._guest(target, package, library))
        return Function(self, replace(target, snapshot=booted.info), booted, package, asked)

    def invoker(self, files: Mapping[str, bytes], asked: Asked | None = None) -> Invoker:
        cache = SnapshotCache(self.engine, self.artifacts, self._rebuild, lambda digest: files)
        scheduler = Scheduler(asyncio.get_running_loop())
        invoker = Invoker(
            *(self.engine, cache, scheduler, _Notes()),
            concurrency_tenant_max=100,
            spares_max=0,
            upward=lambda tenant: _Above(asked),
        )
        # Large isolates are freed at once: each invocation has a loop of its own.
        self.engine.bury = None
        return invoker

    async def _rebuild(self, digest: str) -> SnapshotInfo:
        raise AssertionError("a state that was just stored is missing")

    def _base_guest(self, library: Mapping[str, bytes]) -> Guest:
        constants = HostConstants("", "$LATEST", "", _MEMORY_MB, (), {}, handler="", library=library)
        return Guest(_MEMORY_MB * limits.MIB, lambda: HostState(constants, initialising=True), None)

    def _guest(self, target: Target, package: Mapping[str, bytes], library: Mapping[str, bytes]) -> Guest:
        constants = HostConstants(
            target.name,
            target.version,
            target.arn,
            target.memory_bytes // limits.MIB,
            [f"{key}={value}".encode() for key, value in target.environment.items()],
            package,
            handler=target.handler,
            library=library,
        )
        return Guest(target.memory_bytes, lambda: HostState(constants, initialising=True), None)


def _content(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else textwrap.dedent(text).encode()


_NONE = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


@functools.cache
def house(name: str) -> House:
    interpreter = named(name)
    assert interpreter is not None
    return House(interpreter)
