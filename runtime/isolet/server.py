"""build(config): the only place that knows everyone. Keeper, workers, and who keeps them running.

    serve      supervisor ─┬─ keeper × 1      control plane: database, builds, routes, logs
                           └─ worker × N      data plane: each with its own listening socket (SO_REUSEPORT)
    embedded   the same objects in one process, wired by a call: `isolet dev`, tests

Laws:
- The listening sockets are the supervisor's, one per worker: when a worker dies, connections that wait in its backlog
  are served by its replacement.
- Workers are grouped in cordons (cordons.py), each with a memory and sockets of its own (crews.py); those of the door
  listen on the port.
- Workers are ready when they have the routing table; the server is ready when all of them are.
- Nothing is served if the engine fails its self-test on this machine.
- Draining: no new connections, what is under way ends (at most `drain_s`), records are sent, then the keeper ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import importlib.metadata
import logging
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import uvicorn
import uvloop

from . import builder, heap, limits, watchdog
from .accounts import TestPair
from .admission import is_private, require_keys, taken_pair
from .aws_clients import Clients
from .building import BuildRequest
from .builds import Build
from .config import Config
from .cordons import STANDARD, own
from .crews import BACKLOG, Crews, Orders, Paths, Seat, longest_path
from .engine import selftest
from .engine.fingerprint import fingerprint
from .errors import EngineFault, InvalidParameter, IsoletError, SandboxMissing, ToolchainMissing
from .frames import error_from_plain, error_to_plain, pack, unpack
from .front.door import Door, HttpLimits
from .front.inner import inner_factory, inner_limits
from .front.protocol import protocol_factory
from .keeper import Keeper
from .languages.toolchain import cache_directory
from .link import SOCKET_PATH_BYTES_MAX, Link, listen, note, pair
from .model import SnapshotInfo
from .operating import operated
from .own_workers import OwnWorkers
from .retry import Delays
from .sandbox import audit, wall
from .sandbox.opener import Opener
from .sandbox.wall import Means
from .storage import artifacts as artifact_files
from .storage import packages as package_files
from .storage.artifacts import Artifacts, read_key
from .storage.files import make_data_directory
from .storage.packages import Packages
from .supervisor import RETIRE, Ready, Role, Supervisor
from .tally import Column, Tally
from .uplink import Reconnecting, Uplink
from .vitals import Pulse
from .watchdog import Bounds
from .worker import Worker, make_engine

logger = logging.getLogger("isolet.server")

# Container objects that may be born, beyond those that died, before the collector looks: what invocations make dies by
# its reference count, so that it hardly ever does. Nobody else has a turn while it looks, and to free so many that hold
# each other takes 6 ms.
GC_THRESHOLD = 5_000


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────


def serve(
    config: Config,
    on_ready: Callable[[str], None] = lambda url: None,
    on_warning: Callable[[str], None] = logger.warning,
    on_note: Callable[[str], None] = logger.info,
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status. `on_ready` is given the URL once everything serves.

    Raises InvalidParameter (the address cannot be used, or not without access keys), StorageUnavailable (the data
    directory cannot), EngineFault (the engine fails its self-test), SandboxMissing (it is required, and not whole).
    """
    prepare(config)
    warning = require_keys_apart(config)
    require_engine()
    raise_descriptors(config)
    means = sandbox_means(config)
    sockets = bind(config.host, config.port, config.layout.workers[config.door])
    if warning:
        on_warning(warning)
    on_note(f"sandbox: {audit.described(means) if config.sandbox else 'none, by the configuration'}")
    for missing in audit.missing(means) if config.sandbox else ():
        on_warning(f"sandbox: {missing}")
    wall.warm_up()
    port = sockets[0].getsockname()[1]
    with link_path(config) as path:
        crews = Crews(config, sockets, path)
        keeper = Role(
            "keeper", partial(run_keeper, config, path, crews), attendant=partial(Orders, lambda *said: obey(*said))
        )
        # The door is the last to open and the first to close: what it passes on finds its worker there.
        inner = [worker_role(config, path, crews, seat, means) for seat in crews.seats if not seat.is_door]
        doors = [worker_role(config, path, crews, seat, means) for seat in crews.seats if seat.is_door]
        supervisor = Supervisor(
            [[keeper], inner, doors],
            drain_s=config.drain_s + 5,  # a worker ends by itself after drain_s; the rest is for its last records
            vitals=crews.vitals,
            on_ready=lambda: on_ready(url_of(config.host, port)),
            on_stop=crews.close_port,
        )

        def obey(account: str, wanted: bool) -> None:
            """The keeper's orders: a tenant's own worker is wanted, or is not any more."""
            if not wanted:
                crews.close_own(account)
                supervisor.unwant(f"{own(account)} worker")
            elif (seat := crews.open_own(account)) is not None:
                over = partial(crews.forget_own, account)
                supervisor.want(replace(worker_role(config, path, crews, seat, means), over=over))

        return supervisor.run()


def worker_role(config: Config, path: Path, crews: Crews, seat: Seat, means: Means) -> Role:
    neighbours = crews.directory if seat.is_door else None
    opener = partial(Opener, seat.name, _readable(config), path, note("vouch", seat.cordon), neighbours)
    return Role(
        seat.name,
        partial(run_worker, config, path, crews, seat, means),
        worker_bounds(config),
        opener if means.opener else None,
        seat.places,
        crews.roster.leave,
    )


def worker_bounds(config: Config) -> Bounds:
    """What the supervisor holds workers to."""
    memory_bytes = config.worker_memory_bytes or watchdog.memory_bytes_default(
        config.image_bytes, config.isolates, len(config.layout.seats), watchdog.machine_bytes()
    )
    return Bounds(memory_bytes, config.worker_requests_max, config.worker_age_s_max)


def sandbox_means(config: Config) -> Means:
    """What the workers' second wall is made of. Raises SandboxMissing if it is required and not whole."""
    means = audit.survey() if config.sandbox else Means()
    if config.require_sandbox and not means.whole:
        reasons = "; ".join(audit.missing(means)) if config.sandbox else "`sandbox` is false in the configuration"
        raise SandboxMissing(f"a sandbox is required, and this machine has no whole one: {reasons}")
    return means


def prepare(config: Config) -> None:
    """Makes the data directory and its key. Raises StorageUnavailable."""
    make_data_directory(config.data)
    read_key(config.key_path)


def raise_descriptors(config: Config) -> None:
    """As many open files as all connections need, where the machine allows it: shells give 1,024, for the sake of
    select(2), which nothing here uses. Precedent: Go's runtime does so at start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.http.connections + config.snapshots + limits.DESCRIPTORS_BESIDE + passages(config)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def passages(config: Config) -> int:
    """Descriptors that the door may need for requests that are with other cordons."""
    return limits.PASSAGES_MAX * len(config.layout.inner)


def snapshots_max(config: Config) -> int:
    """Snapshots that a worker may have loaded: each image has a descriptor, and they have a quarter of all at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return config.snapshots if soft == resource.RLIM_INFINITY else min(config.snapshots, max(1, soft // 4))


def http_limits(config: Config) -> HttpLimits:
    """What a worker's door takes: no more connections than leave it the descriptors that it needs itself."""
    http = config.http
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    beside = limits.DESCRIPTORS_BESIDE + passages(config) + snapshots_max(config)
    room = http.connections if soft == resource.RLIM_INFINITY else max(1, soft - beside)
    return HttpLimits(
        connections=min(http.connections, room),
        connections_per_address=http.connections_per_address,
        bodies_bytes_per_address=http.bodies_bytes_per_address,
        headers_timeout_s=http.headers_s,
        body_bytes_per_s=http.body_bytes_per_s,
        keep_alive_s=http.keep_alive_s,
    )


def require_keys_apart(config: Config) -> str:
    """`require_keys`, in a process of its own: what it has read of secrets is in no memory that workers inherit."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        said: list[object] = ["", error_to_plain(EngineFault("the access keys could not be read; the log says more"))]
        with contextlib.suppress(BaseException):
            try:
                said = [asyncio.run(require_keys(config, TestPair.UNTIL_KEYS)), None]
            except IsoletError as error:
                said = ["", error_to_plain(error)]
            except Exception:
                logger.exception("the access keys could not be read")
        with contextlib.suppress(BaseException):
            os.write(writing, pack(said))  # an error's message is bounded, a pipe takes more
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    warning, failure = unpack(answer)
    if failure is not None:
        raise error_from_plain(failure)
    return str(warning)


def require_engine() -> None:
    """Runs the engine's self-test in a process of its own: what fails it may be a crash. Raises EngineFault."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        failures = ["the self-test did not run"]
        with contextlib.suppress(BaseException):
            failures = [str(failure) for failure in selftest.run()]
            for failure in failures:
                print(failure, file=sys.stderr)
            sys.stderr.flush()
        os._exit(1 if failures else 0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "failed"
        raise EngineFault(f"the engine's self-test {how} on this machine; `isolet doctor` says more")


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address; the kernel spreads connections over them. Raises InvalidParameter."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        _require_free(family, address)
        sockets = []
        for _ in range(count):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Connections inherit it. A streamed answer's second piece would wait 40 ms for the first one's delayed ACK
            # on asyncio's loop, which sets it only for sockets that name their protocol; uvloop sets it itself.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.bind(address)
            address = listening.getsockname()  # port 0 becomes a number with the first
            listening.listen(BACKLOG)
            listening.setblocking(False)
        return sockets
    except OSError as reason:
        raise InvalidParameter(
            f"cannot listen on {host}:{port} ({reason.strerror}); choose another address with --host and --port"
        ) from None


def _require_free(family: int, address: tuple[object, ...]) -> None:
    """SO_REUSEPORT would let us share the port with a server of the same user that has it, too: two halves of
    requests."""
    if address[1] == 0:
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


@contextlib.contextmanager
def link_path(config: Config) -> Iterator[Path]:
    """Where keeper and workers meet: in the data directory, or in a temporary one if that path is too long for a
    socket.

    Only one server of the data comes here: it has opened the database before, which a living one's keeper has locked.
    """
    path = config.socket_path.resolve()
    if len(os.fsencode(longest_path(path.parent))) <= SOCKET_PATH_BYTES_MAX:
        yield path
    else:
        directory = _short_directory(path.parent)
        try:
            yield directory / "keeper.sock"
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _short_directory(data: Path) -> Path:
    """A temporary one that only this user can use, and the same for the same data: what a server that was killed has
    left there the next one finds, and removes in the end."""
    name = f"isolet-{os.geteuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    directory = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return directory
    return Path(tempfile.mkdtemp(prefix="isolet-"))  # somebody else's, who got there first


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


# ── the keeper's process ────────────────────────────────────────────────────────────────────────────────────────


def make_keeper(
    config: Config, private: TestPair, tally: Tally | None = None, crews: Crews | None = None, pipe: int = -1
) -> Keeper:
    """`tally`: of the only worker of one process; or `crews`, and where orders to their supervisor go."""
    tallies = {STANDARD: tally or Tally(1)} if crews is None else crews.by_cordon
    return Keeper(
        database_path=config.database_path,
        packages_path=config.packages_path,
        artifacts_path=config.artifacts_path,
        key_path=config.key_path,
        secrets_key_path=config.secrets_key_path,
        build=_build(config),
        evict=_evict(config),
        prices=config.prices,
        billing_step_ms=config.billing_step_ms,
        builds_at_once=config.build.at_once,
        build_edition=_build_edition(config),
        routes_ack_s=config.routes_ack_s,
        outbound_private=config.outbound_private,
        outbound_nameservers=config.outbound_nameservers,
        otel_endpoint=config.otel_endpoint,
        aws_clients=Clients(config.aws),
        event_delays=Delays(config.asynchronous.retry_s, config.asynchronous.throttle_s),
        test_pair=taken_pair(config, private),
        tallies=tallies,
        layout=None if crews is None else config.layout,
        roster=None if crews is None else crews.roster,
        own_workers=None if crews is None else OwnWorkers(pipe, crews.own_path),
        metrics_open=is_private(config.host),
        workers_ended=dict if crews is None else crews.vitals.endings,
    )


def _build(config: Config) -> Build:
    cache = _cache()

    async def build(request: BuildRequest, progress: Callable[[str], None]) -> SnapshotInfo:
        limits = config.build
        request = replace(request, cache_path=cache)
        return await builder.build(
            request, progress, cpu_s=limits.cpu_s, wall_s=limits.wall_s, memory_bytes=limits.memory_bytes
        )

    return build


def _build_edition(config: Config) -> bytes:
    """Changes with whatever may make a build succeed that was refused."""
    bounds = config.build
    version = importlib.metadata.version("isolet")
    return fingerprint() + f"{version} {bounds.cpu_s} {bounds.wall_s} {bounds.memory_bytes}".encode()


def _cache() -> str:
    """Where the user's compiled interpreters are; "" on a machine that has no place for them."""
    try:
        return str(cache_directory() / "interpreters")
    except ToolchainMissing:
        return ""


def _evict(config: Config) -> Callable[[Collection[str]], object]:
    # To evict, nothing of an artifact is read: the engine it was made for does not matter.
    artifacts = Artifacts(config.artifacts_path, read_key(config.key_path), b"", config.artifact_bytes)
    return artifacts.evict


def run_keeper(config: Config, path: Path, crews: Crews, ready: Ready) -> None:
    """The keeper's whole life, in its process."""
    crews.close()
    assert isinstance(ready.attendant, Orders)
    pipe = ready.attendant.pipe

    async def live() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        keeper = make_keeper(config, TestPair.UNTIL_KEYS, crews=crews, pipe=pipe)
        await keeper.open()
        listener = await listen(path, keeper.serve)
        try:
            async with operated(config, keeper.operate):
                ready()
                await stop.wait()
        finally:
            await listener.close()
            await keeper.close()

    sys.setswitchinterval(limits.SWITCH_S)
    # The standard loop: builds are child processes, and nothing here is on the path of an invocation.
    asyncio.run(live())


# ── a worker's process ──────────────────────────────────────────────────────────────────────────────────────────


class HttpServer(uvicorn.Server):
    """uvicorn's server, told when it serves. Signals are ours: uvicorn would raise them again once it has stopped, and
    the process would be gone before its last records are sent."""

    def __init__(self, config: uvicorn.Config, door: Door, drain_s: float) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()
        self._door = door
        self._drain_s = drain_s
        self._ends_s = 0.0

    def patience_s(self) -> float:
        """What is left of the time that `stop` or `retire` gave: whoever takes longer is killed with its records."""
        return max(0.0, self._ends_s - time.monotonic())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Begins to drain: no new connections, what is under way ends, what is idle ends at once."""
        self._door.draining, self._door.retiring = True, False
        if self.should_exit:  # it was retiring, with all its time
            for connection in list(self.server_state.connections):
                connection.shutdown()
            asyncio.get_running_loop().call_later(self._drain_s, self._cut)
        self._end_within(self._drain_s)

    def retire(self) -> None:
        """The same with time, while a successor serves: what is idle may ask once more, what is under way takes as long
        as it may."""
        if not self.should_exit:
            self._door.draining = self._door.retiring = True
            self._end_within(limits.RETIRE_S)

    def _end_within(self, seconds: float) -> None:
        self._ends_s = time.monotonic() + seconds
        self.config.timeout_graceful_shutdown = max(1, round(seconds))
        self.should_exit = True

    def _cut(self) -> None:
        for member in list(self._door.connections):
            member.abort("the server's end")


def make_worker(config: Config, tally: Column | None = None, paths: Paths = MappingProxyType({})) -> Worker:
    """A worker's objects, on the running loop. `paths`: as Worker has it."""
    engine = make_engine(config.isolates)
    return Worker(
        engine=engine,
        artifacts=Artifacts(
            config.artifacts_path, read_key(config.key_path), engine.fingerprint, config.artifact_bytes
        ),
        packages=Packages(config.packages_path),
        snapshots_max=snapshots_max(config),
        image_bytes_max=config.image_bytes,
        idle_image_bytes_max=config.idle_image_bytes,
        request_s=config.request_s,
        billing_step_ms=config.billing_step_ms,
        tally=tally,
        http_limits=http_limits(config) if paths is not None else inner_limits(http_limits(config)),
        paths=paths,
    )


def http_server(config: Config, worker: Worker) -> HttpServer:
    settings = uvicorn.Config(
        worker.app,
        # It asks for a class, and calls what it is given.
        http=protocol_factory(worker.door) if worker.passing is not None else inner_factory(worker.door),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
    )
    return HttpServer(settings, worker.door, config.drain_s)


def _readable(config: Config) -> dict[Path, frozenset[str]]:
    """What a worker may open once it serves."""
    return {config.artifacts_path: artifact_files.READ_SUFFIXES, config.packages_path: package_files.READ_SUFFIXES}


def worker_threads() -> ThreadPoolExecutor:
    """The running loop's. Its own number of threads would be read from /proc/stat, which is behind the wall."""
    threads = ThreadPoolExecutor(limits.WORKER_THREADS_MAX, "worker")
    asyncio.get_running_loop().set_default_executor(threads)
    return threads


def run_worker(config: Config, path: Path, crews: Crews, seat: Seat, means: Means, ready: Ready) -> None:
    """A worker's whole life, in its process. A successor has its predecessor's seat, and a place of its own."""
    column = seat.enter(crews, ready.place)
    keeps = heap.keep()
    wall.before_loop(means)

    async def live() -> None:
        threads = worker_threads()
        worker = make_worker(config, column, crews.paths if seat.is_door else None)

        async def greet(link: Link) -> None:
            uplink = Uplink(link, worker.name)
            await uplink.hello()
            if worker.door.retiring:
                await uplink.leave()

        link = Reconnecting(path, worker.downcalls, greet)
        worker.attach(link)
        await link.wait_up()
        server = http_server(config, worker)

        def retire() -> None:
            server.retire()
            worker.retire()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        asyncio.get_running_loop().add_signal_handler(RETIRE, retire)
        server.config.load()
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        tender = heap.Tender() if keeps else None
        # Threads hash large bodies and load snapshots: the loop takes the lock back from them.
        sys.setswitchinterval(limits.SWITCH_S)
        if config.sandbox:
            # What was deployed a moment ago is being loaded already. Those threads would stay outside; others come.
            threads.shutdown()
            opener = ready.attendant
            wall.enter(means, opener.channel if isinstance(opener, Opener) else None, tuple(_readable(config)))
            worker_threads()
        # Behind the wall: no request is met before it.
        serving = asyncio.ensure_future(server.serve([seat.listening]))
        await server.serving.wait()
        pulse = Pulse(crews.vitals.column(ready.place), worker.served)
        ready()
        await serving
        pulse.stop()
        if tender is not None:
            tender.stop()
        await worker.drain(server.patience_s())
        await link.close()

    uvloop.run(live())


# ── one process ─────────────────────────────────────────────────────────────────────────────────────────────────


class Embedded:
    """Keeper and one worker in this process. `url` answers; `worker` and `keeper` are the objects themselves."""

    def __init__(self, url: str, worker: Worker, keeper: Keeper) -> None:
        self.url = url
        self.worker = worker
        self.keeper = keeper


@contextlib.asynccontextmanager
async def embedded(config: Config) -> AsyncIterator[Embedded]:
    """A server in the running loop, until the block ends. Raises as `serve` does, but without a self-test."""
    prepare(config)
    if warning := await require_keys(config, TestPair.ALWAYS):
        logger.info(warning)
    # The database's thread must get the interpreter's lock beside guests that compute. It asks for it aloud only after
    # this long without being woken, and each turn of the loop, a millisecond, wakes it in vain.
    sys.setswitchinterval(limits.SWITCH_S)
    sockets = bind(config.host, config.port, 1)
    tally = Tally(1)
    keeper = make_keeper(config, TestPair.ALWAYS, tally)
    await keeper.open()
    worker = make_worker(config, tally.column(0))
    link, theirs = pair(worker.downcalls, keeper.serve)
    try:
        await worker.attach(link).hello()
        server = http_server(config, worker)
        serving = asyncio.ensure_future(server.serve(sockets))
        await server.serving.wait()
        try:
            async with operated(config, keeper.operate):
                yield Embedded(url_of(config.host, sockets[0].getsockname()[1]), worker, keeper)
        finally:
            server.stop()
            await serving
            await worker.drain(server.patience_s())
    finally:
        await link.close()
        await theirs.close()
        await keeper.close()
        _close(sockets)
