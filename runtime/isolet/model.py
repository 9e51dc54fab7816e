"""The nouns, as frozen records.

What lives long (a function, a route) is a frozen dataclass. What is made once per invocation is a NamedTuple: frozen
too, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import limits

if TYPE_CHECKING:
    import asyncio

# A tenant is an account: twelve digits, as in ARNs. This one is of the well-known key pair (accounts in keys.py).
DEFAULT_TENANT = "000000000000"
# The region of every ARN that we make: SDKs check that it looks like one of AWS's, and most of them assume this one.
# Requests may be signed for any region: an endpoint was chosen, not a region.
REGION = "us-east-1"
LATEST = "$LATEST"


def function_arn(tenant: str, name: str, qualifier: str = "") -> str:
    arn = f"arn:aws:lambda:{REGION}:{tenant}:function:{name}"
    return f"{arn}:{qualifier}" if qualifier else arn


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
class Logging:
    """Lambda's LoggingConfig. `format` is "Text" or "JSON"; levels are "" with Text; `group` "": /aws/lambda/<name>."""

    format: str = "Text"
    application_level: str = ""
    system_level: str = ""
    group: str = ""


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
    # Where events go that asynchronous invocation gave up: the ARN of a queue or topic; "": nowhere.
    dead_letter: str = ""
    # ARNs of layer versions, in the order in which they are merged under /opt.
    layers: tuple[str, ...] = ()
    logging: Logging = Logging()
    # Kept and answered; what they would change does not exist here (wasm has one architecture, every function is
    # restored from a snapshot).
    architecture: str = "x86_64"
    tracing: str = "PassThrough"
    snap_start: str = "None"


@dataclass(frozen=True, slots=True)
class LayerContent:
    """A layer version as a function uses it."""

    arn: str
    digest: str  # of the package in storage/packages.py
    code_bytes: int


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
    # What `settings.layers` name.
    layers: tuple[LayerContent, ...] = ()

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
    # By what name it was asked for: a version, an alias, or "" for the function itself. Part of its ARN.
    qualifier: str = ""
    layer_digests: tuple[str, ...] = ()
    logging: Logging = Logging()
    # Whose workers run it; "": this one's (cordons.py).
    cordon: str = ""

    @property
    def arn(self) -> str:
        return function_arn(self.tenant, self.name, self.qualifier)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a version, or for two: `weights` gives the other one's share, 0.0 to 1.0."""

    name: str
    version: str
    weights: Mapping[str, float] = field(default_factory=dict)  # at most one entry
    description: str = ""
    revision_id: str = ""


@dataclass(frozen=True, slots=True)
class Cors:
    """A function URL's CORS configuration; what is empty is not answered."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: int = 0


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    """`http://<id>.lambda-url.localhost:<port>/`."""

    id: str  # 32 characters of a-z and 0-9
    qualifier: str  # an alias, or "" for $LATEST
    auth: str  # "NONE" or "AWS_IAM"
    mode: str = "BUFFERED"  # or "RESPONSE_STREAM"
    cors: Cors | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """Reserved concurrency: `limit` invocations at once, counted in `slot` of what workers share (0 needs none)."""

    limit: int
    slot: int = -1


@dataclass(frozen=True, slots=True)
class Served:
    """All that a worker must know of one function: a row of the routing table. `targets` has $LATEST and the published
    versions that can run."""

    tenant: str
    name: str
    targets: tuple[Target, ...] = ()
    aliases: tuple[Alias, ...] = ()
    urls: tuple[FunctionUrl, ...] = ()
    reserved: Reserved | None = None


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """What becomes of an asynchronous invocation of a function (Lambda's EventInvokeConfig and DeadLetterConfig)."""

    retries: int = 2  # after the first attempt
    age_s: int = 21_600  # after which nothing is tried again
    on_success: str = ""  # ARNs of destinations
    on_failure: str = ""
    dead_letter: str = ""


class Reader(Protocol):
    """Who reads a streamed answer as it is written: a door."""

    def opened(self, options: Mapping[str, Any]) -> None:
        """The answer begins: `status`, `headers`, `cookies`, `content_type`, each perhaps absent. Raises
        AbiViolation."""

    def wrote(self, data: bytes) -> asyncio.Future[None] | None:
        """Takes a piece of the answer. None, or what is done once there is room for more."""


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
    # Set where the answer may leave as it is written.
    reader: Reader | None = None
    # Makes the value of a short outcome's bytes, and raises GuestErrors; None: abi.py does.
    unpack: Callable[[bytes], Any] | None = None


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


class InPieces(Protocol):
    """A value's JSON, where it was too large to be rendered at one go (unpacking.py)."""

    def json(self) -> bytes: ...


class Outcome(NamedTuple):
    """What became of an invocation: exactly one of a value (error is None) or an error."""

    value: Any
    error: Exception | None
    usage: Usage
    logs: tuple[LogEntry, ...] = ()
    logs_dropped: int = 0
    rendered: InPieces | None = None
