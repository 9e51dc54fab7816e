"""The nouns, as frozen records.

What lives long (a function, a route) is a frozen dataclass. What is made once per invocation is a NamedTuple: frozen
too, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from . import limits

# One account until accounts exist: Lambda's ARNs need twelve digits.
DEFAULT_TENANT = "000000000000"
REGION = "local"
LATEST = "$LATEST"


def function_arn(tenant: str, name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{tenant}:function:{name}"


class State(StrEnum):
    """Lambda's states of a function version."""

    PENDING = "Pending"
    ACTIVE = "Active"
    FAILED = "Failed"


class UpdateStatus(StrEnum):
    """Lambda's states of the last change to a function that exists."""

    SUCCESSFUL = "Successful"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Route:
    """A declared HTTP route: `GET /accounts/{id}`. `method` is upper case or `ANY`; a last segment `{name+}` is
    greedy."""

    method: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a function was granted, as `[capabilities]` lists it (grants.py says what an entry means)."""

    kv: tuple[str, ...] = ()  # namespaces
    fetch: tuple[str, ...] = ()  # hosts
    invoke: tuple[str, ...] = ()  # functions
    secrets: tuple[str, ...] = ()  # names


NO_CAPABILITIES = Capabilities()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user chooses for a function; the same fields as in `function.toml` and in Lambda's configuration."""

    runtime: str = "provided.al2023"
    handler: str = "handle"
    description: str = ""
    timeout_s: float = limits.TIMEOUT_S_DEFAULT
    memory_mb: int = limits.MEMORY_MB_DEFAULT
    fuel: int = limits.FUEL_DEFAULT
    environment: Mapping[str, str] = field(default_factory=dict)
    # True when `[http]` is present: served at /fn/<name>/, <name>.localhost and `routes`.
    http: bool = False
    routes: tuple[Route, ...] = ()
    # The language it was written in, for tables and lists: "c", "go", "python" …
    language: str = "wasm"
    # A file of the package holding a sample event: called once before the snapshot, so that lazily filled caches are in
    # it.
    warmup: str = ""
    capabilities: Capabilities = NO_CAPABILITIES


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What the builder says of a snapshot; stored beside the artifact, under its MAC."""

    digest: str  # of the compiled artifact; its name in the artifact store
    baked: bool  # False: initialisation could not be frozen and runs in every isolate
    warnings: tuple[str, ...]
    # The address of the input buffer that the guest gave at snapshot time, 0 when not baked.
    buffer_ptr: int
    buffer_len: int
    memory_bytes: int  # linear memory at the snapshot
    image_bytes: int  # the dense segment in it
    artifact_bytes: int  # the file on disk
    build_s: float  # compile, initialise, snapshot: wall time in the builder
    init_fuel: int  # what initialisation spent
    # Split: the artifact is a state without code (snapshot/state.py). What it needs beside it, shared by all programs
    # of its interpreter; "": the artifact is a compiled module, or the interpreter has no library.
    code_digest: str = ""
    base_digest: str = ""
    library_digest: str = ""

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all artifacts that it is loaded from."""
        return tuple(filter(None, (self.digest, self.code_digest, self.base_digest, self.library_digest)))


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed function as the keeper knows it."""

    tenant: str
    name: str
    settings: Settings
    package_digest: str  # sha-256 hex of the uploaded zip
    code_sha256: str  # the same in base64: Lambda's CodeSha256
    code_bytes: int
    module_bytes: int
    state: State
    state_reason: str
    snapshot: SnapshotInfo | None
    revision_id: str
    last_modified_s: float
    version: str = LATEST
    # Lambda's LastUpdateStatus: while a new build is under way or has failed, the function serves what it served
    # before.
    update_status: UpdateStatus = UpdateStatus.SUCCESSFUL
    update_reason: str = ""
    role: str = ""
    # The user's own; those under `isolet:` are in the settings.
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return function_arn(self.tenant, self.name)


@dataclass(frozen=True, slots=True)
class Target:
    """A row of a worker's routing table: all that is needed to run one function version."""

    tenant: str
    name: str
    version: str
    snapshot: SnapshotInfo
    package_digest: str
    timeout_s: float
    memory_bytes: int
    fuel: int
    environment: Mapping[str, str]
    http: bool
    routes: tuple[Route, ...]
    capabilities: Capabilities = NO_CAPABILITIES
    runtime: str = "provided.al2023"
    handler: str = "handle"

    @property
    def arn(self) -> str:
        return function_arn(self.tenant, self.name)


class Invocation(NamedTuple):
    """One attempt to run a function: made by a door or a trigger, consumed by the invoker."""

    target: Target
    request_id: str
    # The event, already packed as msgpack: doors know how to pack theirs best.
    event: bytes
    started_ns: int  # perf_counter_ns at the door
    client_context: bytes = b"\xc0"  # msgpack; nil
    trace_id: str = ""
    # How many functions are waiting for this one, each invoked by the one before.
    depth: int = 0
    # perf_counter_ns at which the caller's own time is over; 0: nobody waits who has a deadline.
    deadline_ns: int = 0


class Usage(NamedTuple):
    """What one invocation spent. Durations in nanoseconds, memory in bytes."""

    duration_ns: int  # from admission to outcome, restore included, also one that was made ahead
    cpu_ns: int  # inside slices
    restore_ns: int  # Store, limits and instance from the snapshot
    fuel: int
    memory_bytes: int  # peak of linear memory
    slices: int
    host_calls: int


# One line of a guest: level (0 trace … 5 fatal), Unix milliseconds, the text without its newline.
LogEntry = tuple[int, int, bytes]


class Outcome(NamedTuple):
    """What became of an invocation: exactly one of a value (error is None) or an error."""

    value: Any
    error: Exception | None
    usage: Usage
    logs: tuple[LogEntry, ...] = ()
    logs_dropped: int = 0
