"""What host functions know of their invocation (HostState) and of its function version (HostConstants).

Laws:
- A HostState is made for every invocation and must cost next to nothing: it holds nothing until the guest asks for it.
- HostConstants are made once per function version in a process and shared by its invocations; their caches are filled
  once and hold nothing of any invocation.
- While a snapshot is made (`initialising`), what it could not bring back is noted in `forbidden`, one line each with
  the cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from .. import limits, model
from ..errors import HostError, printable
from ..model import NO_CAPABILITIES, Capabilities, Invocation, Outcome
from ..routing import FunctionRef
from .descriptors import Descriptors
from .files import make_task
from .layers import NO_LAYERS, Layers
from .log import Entry, LogBuffer
from .nodes import Directory, Package, paths

if TYPE_CHECKING:
    from .capability import Capability, Session
    from .wapc import Conversation


class Upward(Protocol):
    """What capabilities ask of those above. One for each tenant of a worker (upward.py)."""

    async def ask(self, operation: str, body: Any) -> Any:
        """The keeper's answer. Raises CallRefused and other CallerErrors; HostError when there is no keeper."""

    async def invoke(self, caller: Invocation, deadline_ns: int, ref: FunctionRef, event: bytes) -> Outcome:
        """Another function's outcome. Raises UnknownFunction, Throttled, PayloadTooLarge."""

    def count(self, capability: str, sent_bytes: int, received_bytes: int) -> None:
        """Takes note of a call that was answered."""


# A hostile initialisation may do forbidden things without end; these are for a person to read.
_REASONS_MAX = 16


class Strings:
    """A list of C strings as args_get and environ_get hand it out: `block` is the strings, each with its NUL."""

    __slots__ = ("block", "offsets")

    def __init__(self, strings: Iterable[bytes]) -> None:
        self.offsets: list[int] = []
        self.block = b""
        for string in strings:
            self.offsets.append(len(self.block))
            self.block += string + b"\0"


class HostConstants:
    """What all invocations of one function version share.

    `environment` are entries `K=V`; one that WASI cannot carry (NUL in it) is left out. `package` is /var/task,
    `layers` /opt, `library` the language's own files (library.py).
    """

    __slots__ = (
        "_arguments",
        "_environ",
        "_task",
        "_upward",
        "arn",
        "capabilities",
        "environment",
        "grants",
        "handler",
        "layers",
        "library",
        "memory_mb",
        "name",
        "package",
        "tenant",
        "version",
    )

    def __init__(
        self,
        name: str,
        version: str,
        arn: str,
        memory_mb: int,
        environment: Sequence[bytes],
        package: Package,
        handler: str = "handle",
        library: Mapping[str, bytes] | None = None,
        tenant: str = model.DEFAULT_TENANT,
        capabilities: Capabilities = NO_CAPABILITIES,
        upward: Upward | None = None,
        layers: Layers = NO_LAYERS,
    ) -> None:
        self.name = name
        self.version = version
        self.arn = arn
        self.memory_mb = memory_mb
        self.environment = tuple(environment)
        self.package = package
        self.layers = layers
        self.handler = handler
        self.tenant = tenant
        self.capabilities = capabilities
        self._upward = upward
        # What an interpreter's `isolet.library` answers from; a compiled module has none.
        self.library: Mapping[str, bytes] = library if library is not None else {}
        # What each capability said when it was first asked for (capability.py); None: not granted.
        self.grants: dict[Capability, Any] = {}
        self._arguments: Strings | None = None
        self._environ: Strings | None = None
        self._task: Directory | None = None

    @property
    def upward(self) -> Upward:
        if self._upward is None:
            raise HostError("nobody is above: this function has no keeper")
        return self._upward

    @property
    def arguments(self) -> Strings:
        if self._arguments is None:
            self._arguments = Strings([self.name.encode()])
        return self._arguments

    @property
    def environ(self) -> Strings:
        """Lambda's variables, which a function cannot replace, and the function's own."""
        if self._environ is None:
            reserved = {
                b"AWS_LAMBDA_FUNCTION_NAME": self.name.encode(),
                b"AWS_LAMBDA_FUNCTION_VERSION": self.version.encode(),
                b"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": b"%d" % self.memory_mb,
                b"AWS_REGION": model.REGION.encode(),
                b"_HANDLER": self.handler.encode(),
                b"LAMBDA_TASK_ROOT": b"/var/task",
            }
            variables = {b"TZ": b"UTC"}  # a default: in Lambda, too, a function may choose another
            for entry in self.environment:
                key, separator, value = entry.partition(b"=")
                if separator and key and b"\0" not in entry:
                    variables[key] = value
            variables.update(reserved)
            self._environ = Strings(key + b"=" + value for key, value in variables.items())
        return self._environ

    @property
    def task(self) -> Directory:
        if self._task is None:
            self._task = make_task(self.package)
        return self._task


class HostState:
    """One invocation, as its host functions see it. Made by the invoker or the builder, gone with the isolate."""

    __slots__ = (
        "_descriptors",
        "_forbidden",
        "_log",
        "_sessions",
        "constants",
        "deadline_ns",
        "initialising",
        "invocation",
        "reply",
        "wapc",
    )

    def __init__(self, constants: HostConstants, initialising: bool = False) -> None:
        self.constants = constants
        # True while a snapshot is made; a module that could not be frozen initialises in its isolate without
        # restrictions.
        self.initialising = initialising
        # Of the last capability request, until the guest takes it.
        self.reply: bytes | None = None
        # Set by the invoker: what runs, and the perf_counter_ns at which it is stopped.
        self.invocation: Invocation | None = None
        self.deadline_ns = 0
        # Of a waPC guest.
        self.wapc: Conversation | None = None
        self._descriptors: Descriptors | None = None
        self._forbidden: list[str] | None = None
        self._log: LogBuffer | None = None
        self._sessions: dict[Capability, Session] | None = None

    @property
    def descriptors(self) -> Descriptors:
        if self._descriptors is None:
            constants = self.constants
            self._descriptors = Descriptors(constants.task, constants.layers.tree, constants.memory_mb * limits.MIB)
        return self._descriptors

    @property
    def has_descriptors(self) -> bool:
        """False while the table is as it was at birth: 1 and 2 are stdout and stderr without looking."""
        return self._descriptors is not None

    @property
    def log(self) -> LogBuffer:
        if self._log is None:
            self._log = LogBuffer()
        return self._log

    @property
    def sessions(self) -> dict[Capability, Session]:
        if self._sessions is None:
            self._sessions = {}
        return self._sessions

    @property
    def left_s(self) -> float:
        """How long the invocation may still run."""
        return max(0.0, (self.deadline_ns - perf_counter_ns()) / 1e9)

    def finish(self) -> tuple[tuple[Entry, ...], int]:
        """The log of the invocation, its last lines included, and how many were dropped. Called once, at the end."""
        return self._log.finish() if self._log is not None else ((), 0)

    # ── while a snapshot is made ────────────────────────────────────────────────────────────────────────────────

    @property
    def forbidden(self) -> list[str]:
        """What initialisation did that cannot be frozen."""
        if self._forbidden is None:
            self._forbidden = []
        return self._forbidden

    def forbid(self, reason: str) -> None:
        reason = printable(reason)
        if len(self.forbidden) < _REASONS_MAX and reason not in self.forbidden:
            self.forbidden.append(reason)

    def frozen_problems(self) -> list[str]:
        """Why this state cannot be frozen: what was done, and what is left open or lying about. Empty: it can."""
        problems = list(self.forbidden)
        if self._descriptors is not None:
            problems += self._descriptors.differences()
            problems += [
                f"/tmp{path} is left; remove it before initialisation ends" for path in paths(self._descriptors.tmp)
            ]
        if len(problems) > _REASONS_MAX:
            problems[_REASONS_MAX:] = [f"and {len(problems) - _REASONS_MAX} more"]
        return [printable(problem) for problem in problems]
