"""A real `isolet serve` with two tenants: one who attacks, and a neighbour whose canary must sing meanwhile.

A test file of this directory has tables of `Case`s, each one attack: a name, its heading in HEADINGS, an input and what
must come of it. `House.attacked` runs one; `House.watched` is for what is no single request. Either way, around it:

- The canary is called over and over from another thread, and answers its own question with its own words each time.
- The error carries its request's id, and the function's log has one line about it, bounded and harmless.
- Afterwards every worker is the process that it was, and so is the keeper (unless the case says that it kills one).
- Every slot of the pools is free, every descriptor and mapping as before, and the resident memory within RSS_SLACK.

What is compared is polled until it holds: each look is a request of its own (a scrape of `/metrics`),
nothing sleeps.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import httpx
import pytest
from botocore.exceptions import ClientError

from isolet import limits
from isolet.engine.engine import wat
from isolet.sigv4 import Signer
from served import PATIENCE_S, Served, zipped
from signing import Signing

HERE = Path(__file__).parent
GUESTS = HERE / "guests"
# The guests of the other tests, each of one behaviour; many of them are attacks.
SHARED_GUESTS = HERE.parent / "guests"

EXECUTION = "Guest execution"
BUILD = "Upload and build"
ABI = "ABI"
HTTP = "HTTP"
OUTBOUND = "Outbound"
TENANCY = "Cache and tenancy"
DURABILITY = "Durability"
HEADINGS = (EXECUTION, BUILD, ABI, HTTP, OUTBOUND, TENANCY, DURABILITY)

HOSTILE, NEIGHBOUR = "666666666666", "111111111111"
# Where a test may listen for what guests fetch; the server opens it, and no other address that is not public.
TARPIT = "127.0.0.66"
ROLE = "arn:aws:iam::000000000000:role/r"
# How long what is given back may take: a turn of the loop, a second for spares, a busy machine.
SETTLE_S = 30
# What a worker may have more in memory after an attack than before: caches that filled, an allocator's reserve.
RSS_SLACK = 1.05
RSS_SLACK_BYTES = 16 * limits.MIB


# ── what a case says ────────────────────────────────────────────────────────────────────────────────────────────


class _Anything:
    def __repr__(self) -> str:
        return "anything"


ANYTHING: Any = _Anything()


class Seen(NamedTuple):
    """An answer, as the attacker has it. `error` is its type ("" for none): a function's, or AWS's name."""

    status: int
    error: str = ""
    says: str = ""
    value: Any = None
    request_id: str = ""
    headers: Sequence[tuple[str, str]] = ()

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(frozen=True)
class Expected:
    """What must come of an attack. `says` is a part of the message; `value` of an answer, ANYTHING for any."""

    status: int = 200
    error: str = ""
    says: str = ""
    value: Any = ANYTHING

    def check(self, seen: Seen) -> None:
        assert (seen.status, seen.error) == (self.status, self.error), f"{seen} is not {self}"
        assert self.says in seen.says, f"{seen.says!r} does not say {self.says!r}"
        if self.value is not ANYTHING:
            assert seen.value == self.value, f"{seen.value!r} is not {self.value!r}"


def answers(value: Any = ANYTHING) -> Expected:
    """The function answers: the attack came to nothing."""
    return Expected(value=value)


def fails(error: str, says: str = "") -> Expected:
    """The function's own error, 200 by Lambda's Invoke."""
    return Expected(200, error, says)


def refused(status: int, error: str = "", says: str = "") -> Expected:
    """The request is refused."""
    return Expected(status, error, says)


def not_built(says: str) -> Expected:
    """The upload is taken, and its build says why it failed."""
    return Expected(201, "Failed", says)


def trapped(says: str) -> Expected:
    return fails("Runtime.Trapped", says)


# A script speaks for itself: it is given the house, and says what it saw.
Script = Callable[["House"], Seen]


@dataclass(frozen=True)
class Case:
    """One attack.

    `input`: a guest's file (`x.wat`, of this directory's guests/ or of tests/guests), its text, a module's bytes, or a
    script. A guest is deployed with `settings` (CreateFunction's) and called with `event` (JSON bytes, or what becomes
    them). `kills_worker`: the attack ends a worker by its nature; its replacement must serve.
    """

    name: str
    heading: str
    input: str | bytes | Script
    expected: Expected
    event: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    kills_worker: bool = False
    # A guest that a script calls, deployed before: `House.function` is its name.
    guest: str | bytes = ""

    def __str__(self) -> str:
        return self.name

    @property
    def payload(self) -> bytes:
        return self.event if isinstance(self.event, bytes) else json.dumps(self.event).encode()

    @property
    def module(self) -> bytes:
        given = self.guest if callable(self.input) else self.input
        assert given, f"{self.name} is a script without a guest"
        return module(given)

    @property
    def has_guest(self) -> bool:
        return bool(self.guest) or not callable(self.input)


def parameters(*tables: Sequence[Case]) -> list[Any]:
    """Cases as pytest's parameters. The quick run has the first two of each table, the slow one the others."""
    return [
        pytest.param(case, marks=pytest.mark.slow if number > 1 else ())
        for table in tables
        for number, case in enumerate(table)
    ]


def _function_of(case: Case) -> tuple[str, str]:
    """What tells a case's function from others."""
    return hashlib.sha256(case.module).hexdigest(), json.dumps(case.settings, sort_keys=True)


@functools.cache
def module(given: str | bytes) -> bytes:
    """The module of a guest's file, of its text, or as it is."""
    if isinstance(given, bytes):
        return given
    if not given.endswith(".wat"):
        return wat(given)
    return wat(next(path for home in (GUESTS, SHARED_GUESTS) if (path := home / given).exists()).read_text())


# ── tenants ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Failed(Exception):
    """A function that could not be built; the message is its StateReason."""


class Tenant:
    """An account with its key. Each request has its own connection, which the kernel gives to whichever worker."""

    def __init__(self, server: Served, account: str, key: str, secret: str) -> None:
        self.server = server
        self.account = account
        self.key = key
        self.secret = secret
        self._clients: dict[str, Any] = {}
        self.http = httpx.Client(
            base_url=server.url,
            auth=Signing(Signer(key, secret)),
            timeout=PATIENCE_S,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def client(self, service: str = "lambda") -> Any:
        """boto3's. It keeps connections, which are descriptors of workers: close it before they are counted."""
        return self.server.client(service, self.key, self.secret)

    @contextlib.contextmanager
    def speaking(self, service: str = "lambda") -> Iterator[Any]:
        """boto3's client, whose connections are closed when the block ends. (To make one takes 50 ms.)"""
        if service not in self._clients:
            self._clients[service] = self.client(service)
        try:
            yield self._clients[service]
        finally:
            self._clients[service].close()

    def deploy(self, name: str, code: bytes | Mapping[str, bytes], **settings: Any) -> str:
        """A function of a module or of a package's files, ready to be called. Raises Failed, boto3's ClientError."""
        self.create(name, code, **settings)
        self.built(name)
        return name

    def create(self, name: str, code: bytes | Mapping[str, bytes], **settings: Any) -> None:
        """The same, without waiting for its build."""
        files = {"function.wasm": code} if isinstance(code, bytes) else code
        given = {"Runtime": "provided.al2023", "Handler": "handle", "Role": ROLE, **settings}
        with self.speaking() as client:
            client.create_function(FunctionName=name, Code={"ZipFile": zipped(files)}, **given)

    def built(self, name: str) -> None:
        """Waits for a function's build. Raises Failed."""
        deadline_s = monotonic() + PATIENCE_S
        with self.speaking() as client:
            while (state := _configuration(client, name))["State"] == "Pending":
                assert monotonic() < deadline_s, f"{name} is still being built"
        if state["State"] != "Active":
            raise Failed(state["StateReason"])

    def remove(self, name: str) -> None:
        answer = self.http.delete(f"/2015-03-31/functions/{name}")
        assert answer.status_code == 204, answer.text

    def invoke(self, name: str, payload: bytes = b"null", **headers: str) -> Seen:
        """Lambda's Invoke."""
        answer = self.http.post(f"/2015-03-31/functions/{name}/invocations", content=payload, headers=headers)
        return seen(answer.status_code, answer.headers.multi_items(), answer.content)

    def log_lines(self, name: str, request_id: str = "") -> list[str]:
        """A function's log: of one invocation, the lines that name it."""
        asked = {"filterPattern": f'"{request_id}"'} if request_id else {}
        found: list[Any] = []
        with self.speaking("logs") as client:
            try:
                for page in client.get_paginator("filter_log_events").paginate(
                    logGroupName=f"/aws/lambda/{name}", **asked
                ):
                    found += page["events"]
            except client.exceptions.ResourceNotFoundException:
                return []
        return [event["message"].removesuffix("\n") for event in found]


def _configuration(client: Any, name: str) -> dict[str, Any]:
    """What is known of a function; it is as good as pending for whoever asks too often."""
    try:
        found: dict[str, Any] = client.get_function_configuration(FunctionName=name)
    except client.exceptions.TooManyRequestsException:
        return {"State": "Pending"}
    return found


def seen(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Seen:
    """An answer of Lambda's API in its parts."""
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = body
    said = {key.lower(): text for key, text in headers}
    request_id = said.get("x-amzn-requestid", "")
    error = says = ""
    if "x-amz-function-error" in said:
        error, says = value["errorType"], value["errorMessage"]
    elif status >= 400:
        error = said.get("x-amzn-errortype", "").partition(":")[0]
        told = value if isinstance(value, dict) else {}
        says = str(told.get("message", told.get("Message", value)))
    return Seen(status, error, says, value, request_id, tuple(headers))


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+) *(.*)")
# Mappings that touch and have so much address space together are the pool: 4 GiB for each of its slots.
_POOL_BYTES_MIN = 1 << 40


class Footprint(NamedTuple):
    """What a process holds of the machine."""

    # But for packages: a worker opens one when its function first looks at its files, and keeps it while it has the
    # function.
    descriptors: int
    packages: int
    # Files that are mapped outside of the pool, each as often as it is: artifacts. Libraries, which an import maps, are
    # among the others.
    files: Counter[str]
    # Of the pool: a slot that was used keeps its last image mapped, so that they grow to two a slot and no further.
    pool_mappings: int
    other_mappings: int
    rss_bytes: int


def footprint(pid: int) -> Footprint:
    process = Path(f"/proc/{pid}")
    # Mappings that touch each other, as a run: its bytes, and what is mapped ("" for no file).
    runs: list[tuple[int, list[str]]] = []
    end = -1
    for line in (process / "maps").read_text().splitlines():
        found = _MAPPING.match(line)
        assert found, line
        low, high, inode = int(found[1], 16), int(found[2], 16), int(found[3])
        size, members = runs.pop() if low == end else (0, [])
        members.append(found[4] if inode else "")
        runs.append((size + high - low, members))
        end = high
    pool = sum(len(members) for size, members in runs if size >= _POOL_BYTES_MIN)
    others = [member for size, members in runs if size < _POOL_BYTES_MIN for member in members]
    files = Counter(member for member in others if member and ".so" not in member)
    pages = int((process / "statm").read_text().split()[1])
    packages = descriptors = 0
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            is_package = os.readlink(descriptor).endswith(".zip")
            packages += is_package
            descriptors += not is_package
    return Footprint(descriptors, packages, files, pool, len(others), pages * os.sysconf("SC_PAGESIZE"))


_AT_REST = ("isolates_waiting", "slices_runnable", "invocations_in_flight")


class Baseline(NamedTuple):
    """The server at rest. `workers`: by their number."""

    keeper: int
    workers: Mapping[int, int]
    footprints: Mapping[int, Footprint]


class Canary:
    """The neighbour's function, called over and over by a thread until told to stop."""

    def __init__(self, neighbour: Tenant) -> None:
        self._neighbour = neighbour
        self.calls = 0
        self.problems: list[str] = []
        self.first_answered = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sing, name="canary")

    def sing(self) -> None:
        """One call. Notes whatever is not its answer."""
        question = str(uuid.uuid4())
        answer = self._neighbour.invoke("canary", json.dumps(question).encode())
        self.calls += 1
        if (answer.status, answer.error, answer.value) != (200, "", ["neighbour's own", question]):
            self.problems.append(f"asked {question}, the canary answered {answer}")

    def _sing(self) -> None:
        try:
            while not self._stop.is_set():
                self.sing()
                self.first_answered.set()
        except Exception as error:
            self.problems.append(f"the canary was not answered: {error!r}")
        finally:
            self.first_answered.set()

    def __enter__(self) -> Canary:
        self._thread.start()
        assert self.first_answered.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


# ── the house ───────────────────────────────────────────────────────────────────────────────────────────────────


class House:
    """The server, its two tenants, and the law around every attack."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self.server = Served(directory, *arguments, **{"ISOLET_OUTBOUND_PRIVATE": f"{TARPIT}/32"} | variables)
        self._functions: dict[tuple[str, str], str | Seen] = {}
        self._plain = httpx.Client(
            base_url=self.server.url, timeout=PATIENCE_S, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._bare: Baseline | None = None  # before the first of them
        self.hostile = self.tenant(HOSTILE)
        self.neighbour = self.tenant(NEIGHBOUR)
        self.neighbour.deploy("canary", module("canary.wat"))
        self._warm_up()

    def _warm_up(self) -> None:
        """Every path that an attack takes was taken before the first baseline: what is imported late, is imported."""
        self.hostile.deploy("warm-up", module("out_of_bounds.wat"))
        canary = Canary(self.neighbour)
        until(lambda: self._all_have_loaded(canary), "the canary was called at every worker")
        answer = self.hostile.invoke("warm-up")
        until(lambda: self.error_lines("warm-up", answer.request_id), "the log was asked")
        self.hostile.remove("warm-up")
        assert canary.problems == []

    def _all_have_loaded(self, canary: Canary) -> bool:
        canary.sing()
        self.hostile.invoke("warm-up")
        return all(gauges["snapshots_loaded"] == 2 for gauges in self.gauges().values())

    def close(self) -> None:
        self.server.end()

    def tenant(self, account: str) -> Tenant:
        """Another account, with a key of its own."""
        made = self.server.isolet("keys", "create", "--account", account, "--data", "data", "--json")
        assert made.returncode == 0, made.stderr.decode()
        key = json.loads(made.stdout)
        return Tenant(self.server, account, key["AccessKeyId"], key["SecretAccessKey"])

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────

    def log(self) -> str:
        return (self.server.directory / "log").read_text()

    def workers(self) -> dict[int, int]:
        """The present process of each worker, by its number."""
        joined = re.findall(r"worker (\d+) \(\w+, pid (\d+)\) has joined", self.log())
        return {int(number): int(pid) for number, pid in joined}

    def gauges(self) -> dict[int, dict[str, float]]:
        """What each worker says of itself, by its number."""
        text = self._plain.get("/metrics").text
        found: dict[int, dict[str, float]] = {}
        for name, number, value in re.findall(
            r'^isolet_(\w+)\{cordon="[^"]+",worker="(\d+)"\} (\S+)$', text, re.MULTILINE
        ):
            found.setdefault(int(number), {})[name] = float(value)
        return found

    def at_rest(self) -> bool:
        return not self.unrest()

    def unrest(self) -> str:
        """What is not over yet: slots that are used but by spares, what is under way but our own look, and snapshots
        that only some workers have loaded ahead. "" at rest."""
        found = []
        for number, gauges in self.gauges().items():
            counted = {name: gauges[name] for name in _AT_REST if gauges[name]}
            counted["isolates_used"] = gauges["isolates_live"] - gauges["isolates_spare"]
            if any(counted.values()) or gauges["connections_open"] > 1:
                found.append(f"worker {number}: {counted}, {gauges['connections_open']} connections")
        loaded = [set(footprint(pid).files) for pid in self.workers().values()]
        if any(files != loaded[0] for files in loaded):
            found.append(f"only some have loaded {set.union(*loaded) - set.intersection(*loaded)}")
        return "; ".join(found)

    def settle(self) -> None:
        until(self.at_rest, "the server is at rest", self.unrest)

    def baseline(self) -> Baseline:
        self.settle()
        workers = self.workers()
        return Baseline(self.server.keeper(), workers, {number: footprint(pid) for number, pid in workers.items()})

    # ── around an attack ────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def watched(self, *, kills_worker: bool = False) -> Iterator[Canary]:
        """Around any attack: the canary sings during it, and afterwards everything is as it was."""
        before = self.baseline()
        with Canary(self.neighbour) as canary:
            yield canary
        if kills_worker:
            until(lambda: len(self.gauges()) == len(before.workers), "every worker was replaced")
        else:
            assert canary.problems == []
        self.after_check(before, kills_worker=kills_worker)

    def after_check(self, before: Baseline, *, kills_worker: bool = False, memory: bool = True) -> None:
        """The server is as it was before: asserts it, within SETTLE_S."""
        canary = Canary(self.neighbour)
        canary.sing()
        assert canary.problems == []
        os.kill(before.keeper, 0)
        assert self.server.keeper() == before.keeper, "the keeper was replaced"
        if kills_worker:
            self.settle()
            return
        assert self.workers() == before.workers, "a worker was replaced"
        self.settle()
        for number, was in before.footprints.items():
            pid = before.workers[number]
            self._until_same(pid, was if memory else was._replace(rss_bytes=2**62))

    def _until_same(self, pid: int, was: Footprint) -> None:
        until(
            lambda: not self._differences(pid, was), "a worker holds what it held", lambda: self._differences(pid, was)
        )

    def _differences(self, pid: int, was: Footprint) -> str:
        self.gauges()  # the loop turns, and a client's last connection is closed
        now = footprint(pid)
        found = []
        if now.descriptors > was.descriptors:
            found.append(f"{now.descriptors} descriptors instead of {was.descriptors}")
        if now.packages > was.packages + len(self._functions):
            found.append(f"{now.packages} packages instead of {was.packages}")
        if now.files != was.files:
            found.append(f"files are mapped: {now.files - was.files}, and not any more: {was.files - now.files}")
        if now.other_mappings > was.other_mappings + OTHER_MAPPINGS_SLACK:
            found.append(f"{now.other_mappings} mappings instead of {was.other_mappings}")
        if now.pool_mappings > POOL_MAPPINGS_MAX:
            found.append(f"{now.pool_mappings} mappings of the pool")
        if now.rss_bytes > was.rss_bytes * RSS_SLACK + RSS_SLACK_BYTES:
            found.append(f"{now.rss_bytes:,} bytes resident instead of {was.rss_bytes:,}")
        return "; ".join(found)

    def attacked(self, case: Case) -> Seen:
        """Runs a case and everything around it."""
        self.prepare([case])
        with self.watched(kills_worker=case.kills_worker):
            answer = case.input(self) if callable(case.input) else self._called(case)
            case.expected.check(answer)
        return answer

    def _called(self, case: Case) -> Seen:
        name = self._functions[_function_of(case)]
        if isinstance(name, Seen):
            return name
        answer = self.hostile.invoke(name, case.payload)
        self.check_error(name, answer)
        return answer

    # ── the attacker's functions ────────────────────────────────────────────────────────────────────────────────

    def prepare(self, cases: Iterable[Case]) -> None:
        """Deploys what the cases call and is not there yet, all at once; cases of one guest and settings share it."""
        if not self._functions:
            self._bare = self.baseline()
        wanted = {_function_of(case): case for case in cases if case.has_guest}
        made = {key: self._created(case) for key, case in wanted.items() if key not in self._functions}
        for key, name in made.items():
            self._functions[key] = name if isinstance(name, Seen) else self.finish(name)

    def function(self, given: str | bytes, **settings: Any) -> str:
        """The name of a function that is prepared."""
        name = self._functions[_function_of(Case("", "", given, answers(), settings=settings))]
        assert isinstance(name, str), name
        return name

    def upload(self, code: bytes | Mapping[str, bytes], **settings: Any) -> Seen:
        """What becomes of an upload: status 201 and its State, or the refusal. Whatever was made is removed again."""
        built = self.build(f"u{uuid.uuid4().hex[:12]}", code, **settings)
        if isinstance(built, Seen):
            return built
        self.hostile.remove(built)
        return Seen(201, "", "Active")

    def build(self, name: str, code: bytes | Mapping[str, bytes], **settings: Any) -> str | Seen:
        """The name of a function that can be called, or why there is none."""
        return self.begin(name, code, settings) or self.finish(name)

    def _created(self, case: Case) -> str | Seen:
        name = f"c{hashlib.sha256(repr(_function_of(case)).encode()).hexdigest()[:12]}"
        return self.begin(name, case.module, case.settings) or name

    def begin(self, name: str, code: bytes | Mapping[str, bytes], settings: Mapping[str, Any]) -> Seen | None:
        """Uploads a function; why it was refused, or None: it is being built."""
        try:
            self.hostile.create(name, code, **settings)
        except ClientError as error:
            told = error.response
            return Seen(told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"], told["Error"]["Message"])
        return None

    def finish(self, name: str) -> str | Seen:
        """The name of a function that was built, or why it was not; it is removed then."""
        try:
            self.hostile.built(name)
        except Failed as failed:
            self.hostile.remove(name)
            return Seen(201, "Failed", str(failed))
        return name

    def clear(self) -> None:
        """Removes all functions that cases were prepared with: artifacts are unmapped, descriptors closed."""
        for name in self._functions.values():
            if not isinstance(name, Seen):
                self.hostile.remove(name)
        self._functions.clear()
        if self._bare is not None:
            # But for memory, which is looked at around each attack: a slot that was used once stays resident.
            self.after_check(self._bare, memory=False)

    def check_error(self, name: str, answer: Seen) -> None:
        """An answer carries its request's id; the log has one bounded line about an error."""
        assert str(uuid.UUID(answer.request_id)) == answer.request_id
        if not answer.error or answer.status != 200:
            return
        until(lambda: self.error_lines(name, answer.request_id), f"{answer.request_id} is in the log")
        (line,) = self.error_lines(name, answer.request_id)
        assert line.isprintable(), line
        assert len(line.encode()) <= limits.LOG_LINE_BYTES_MAX

    def error_lines(self, name: str, request_id: str) -> list[str]:
        lines = self.hostile.log_lines(name, request_id)
        return [line for line in lines if line.startswith("[ERROR]")]

    # ── for scripts ─────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> socket.socket:
        """A connection in bytes; it fails after PATIENCE_S rather than hang."""
        url = httpx.URL(self.server.url)
        assert url.port is not None
        return socket.create_connection((url.host, url.port), timeout=PATIENCE_S)

    def say(self, *pieces: bytes) -> bytes:
        """Sends pieces on one connection; all that is answered until the server closes it."""
        with self.connect() as connection:
            answer = bytearray()
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                for piece in pieces:
                    connection.sendall(piece)
                while more := connection.recv(1 << 16):
                    answer += more
        return bytes(answer)


# The allocator maps and unmaps arenas as it likes; a leak would be a mapping for each request.
OTHER_MAPPINGS_SLACK = 16
# A memory's image, what is behind it, and tables; for each of a worker's slots.
POOL_MAPPINGS_MAX = 8 * limits.ISOLATES_MAX


def until(holds: Callable[[], object], what: str, found: Callable[[], str] = lambda: "") -> None:
    """Looks until it holds; what it looks at takes its own time."""
    deadline_s = monotonic() + SETTLE_S
    while not holds():
        assert monotonic() < deadline_s, f"{what}: not within {SETTLE_S} s; {found()}"
