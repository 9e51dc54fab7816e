"""The keeper: the control plane's objects, wired. One process (or one object, when embedded), and the only one that
opens the database.

Laws:
- What workers and clients were told is on the disk first.
- A keeper that starts serves the routes of the one before at once, from the database, without building anything.
- Workers may come, die and come again at any time; each is told the whole table when it says hello.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import event_policies, limits
from .accounts import Accounts, TestPair
from .addresses import Network
from .asynchronous import Asynchronous
from .attached import Attached
from .aws.app import control_app
from .aws.http import Headers, call
from .aws.lambda_.api import lambda_service
from .aws.locations import Locations
from .aws_clients import Clients
from .bounds import Bounds
from .build_turns import BuildTurns
from .builds import Build, Builds
from .clock import Clock, SystemClock
from .code_sources import CodeSources
from .config import AwsClients, NameServer, Prices
from .cordons import STANDARD, Cordons, owner
from .deliveries import Deliveries
from .deployments import Deployments, Evict
from .destinations import Destinations
from .errors import AccessDenied, Conflict, InvalidParameter, Overloaded, StorageUnavailable, UnsupportedOperation
from .fleet import Fleet, Member
from .link import Handler, Link
from .metrics import Metrics
from .model import SnapshotInfo
from .outbound import Outbound
from .own_workers import OwnWorkers
from .plain import snapshot_to_plain
from .quota import Number
from .records import Batch
from .residence import Residence
from .resolver import make_resolver
from .retry import Delays
from .roster import Roster
from .serving import Serving
from .sigv4 import Scope
from .spans import Spans, exporter
from .storage.artifacts import read_key
from .storage.database import Database
from .storage.intake import Intake
from .storage.keys import Keys
from .storage.kv import Kv
from .storage.layers import Layers
from .storage.ledger import Ledger
from .storage.logs import Logs
from .storage.logs import kept as kept_logs
from .storage.metrics import MetricRows
from .storage.outbox import Outbox
from .storage.packages import Packages
from .storage.queue import Accepted, Books, EventQueue
from .storage.refusals import Refusals
from .storage.registry import Registry
from .storage.schedules import Schedules
from .storage.secrets import Secrets
from .storage.stock import Stock
from .storage.tenants import Tenants
from .tally import Tally
from .triggers.schedule import ScheduleTrigger
from .uplink import PROTOCOL
from .versions import Versions

logger = logging.getLogger("isolet.keeper")


class Keeper:
    """Made on its event loop; `open` it, give its `serve` to `listen` (or `pair`), `close` it."""

    def __init__(
        self,
        *,
        database_path: Path,
        packages_path: Path,
        artifacts_path: Path,
        key_path: Path,
        secrets_key_path: Path | None = None,
        build: Build,
        evict: Evict = lambda in_use: None,
        prices: Prices | None = None,
        billing_step_ms: int = 1,
        builds_at_once: int = limits.BUILDS_AT_ONCE,
        build_edition: bytes = b"",
        routes_ack_s: float = limits.ROUTES_ACK_S,
        outbound_private: Sequence[Network] = (),
        outbound_nameservers: Sequence[NameServer] = (),
        otel_endpoint: str = "",
        event_delays: Delays | None = None,
        aws_clients: Clients | None = None,
        test_pair: TestPair = TestPair.NEVER,
        tallies: Mapping[str, Tally] | None = None,
        layout: Cordons | None = None,
        roster: Roster | None = None,
        own_workers: OwnWorkers | None = None,
        metrics_open: bool = False,
        workers_ended: Callable[[], Mapping[str, int]] = dict,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._step_ms = billing_step_ms
        self._workers_ended = workers_ended
        self._database = Database(database_path)
        self.fleet = Fleet(routes_ack_s)
        self.metrics = Metrics()
        self._tenants = Tenants(self._database)
        self.serving = Serving(self._database, self.fleet)
        self._own_workers = own_workers or OwnWorkers()
        self._own_workers.fleet = self.fleet
        self.residence = Residence(self._tenants, layout, self.fleet, self.serving, self._own_workers.summon)
        self.bounds = Bounds(self._tenants, tallies, self.residence.home, self._tell_limits, self._used)
        self.fleet.limits_of = self.bounds.of_workers
        self._intake = Intake(self._database, self.bounds)
        self.fleet.home = self.residence.home
        # None: one process, whose worker is all that there is.
        self._roster = roster
        # Whose worker is at the other end of a link that the supervisor has made.
        self._vouched: weakref.WeakKeyDictionary[Link, str] = weakref.WeakKeyDictionary()
        if layout is not None and roster is not None:
            self.fleet.door = layout.door
            # Behind their wall, workers of the door connect through the supervisor; nobody else's reach others so.
            self.fleet.door_pids = lambda: [*roster.pids_of(layout.door), os.getppid()]
        self.attached = Attached(self._database, self.serving)
        self._stock = Stock(self._database, self.bounds)
        self._build_turns = BuildTurns(builds_at_once, self._clock, self.bounds)
        self.versions = Versions(Registry(self._database), self.serving, self._stock)
        self.packages = Packages(packages_path)
        self.layers = Layers(self._database, self._stock)
        self._refusals = Refusals(self._database, self._clock)
        self.deployments = Deployments(
            Registry(self._database),
            self.packages,
            self.serving,
            self.fleet.table,
            Builds(
                self.packages,
                self.metrics,
                build,
                self._refusals,
                artifacts_path=artifacts_path,
                key_path=key_path,
                turns=self._build_turns,
                edition=build_edition,
            ),
            clock=self._clock,
            evict=evict,
            layer_digests=self.layers.digests,
            stock=self._stock,
            quotas=self.bounds,
        )
        self.asynchronous = Asynchronous(
            EventQueue(self._database, event_policies.policy_in, event_delays), self.fleet, self._clock, self.bounds
        )
        outbox = Outbox(self._database)
        clients = aws_clients or Clients(AwsClients())

        async def hand_over(id: int, event: Accepted) -> None:
            await self.asynchronous.hand_over(event, lambda now_ms: outbox.hand_over(id, event, now_ms))

        self._code = CodeSources(clients)
        self.deliveries = Deliveries(outbox, Destinations(clients), hand_over, self._clock)
        self.asynchronous.summon = self._own_workers.summon
        self.asynchronous.on_told = self.deliveries.posted
        self.asynchronous.untold = lambda tenant: self.deliveries.untold[tenant]
        self.schedules = Schedules(self._database, self.bounds)
        self.schedule_trigger = ScheduleTrigger(self.schedules, self.asynchronous.hand_over_all, self._clock)
        self.schedules.on_change = self.schedule_trigger.changed
        self.ledger = Ledger(self._database)
        self.logs = Logs(self._database)
        self.metric_rows = MetricRows(self._database)
        self.spans = Spans(exporter(otel_endpoint)) if otel_endpoint else None
        self.kv = Kv(self._database, self._clock, self.bounds)
        resolver = make_resolver(outbound_nameservers)
        self.outbound = Outbound(outbound_private, resolver=resolver, quotas=self.bounds)
        secrets_key_path = secrets_key_path or key_path.with_name("secrets.key")
        self.secrets = Secrets(self._database, self._clock, secrets_key_path, self.bounds)
        self._keys = Keys(self._database, self._clock, secrets_key_path)
        self.accounts = Accounts(self._keys, self.fleet, self._clock, test_pair)
        locations = Locations(lambda: read_key(key_path), self._clock)
        self._app = control_app(
            self.deployments,
            self.packages,
            self.logs,
            self.ledger,
            self.secrets,
            prices or Prices(),
            self._metrics_text,
            self._health,
            lambda_service(
                self._database,
                self.deployments,
                self.versions,
                self.attached,
                self.layers,
                self.packages,
                self._stock,
                self.bounds,
                self._clock,
                fetch=self._code.fetch,
                locate=locations.url,
            ),
            locations,
            self.metric_rows,
            self.schedules,
            self._clock,
            self.accounts.account,
            self._admit_call,
            metrics_open=metrics_open,
        )
        self._watching: set[asyncio.Task[None]] = set()
        self._controlling: set[asyncio.Task[Any]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ready to serve when this returns. Raises StorageUnavailable."""
        self._database.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._database.open()
        await self._keys.load()
        await self._refusals.load()
        await self._tenants.load()
        self.residence.say_who_is_homeless()
        await self.deployments.restore()
        await self.deliveries.open()
        await self.asynchronous.open()
        await self.schedule_trigger.open()
        self._sweeping = asyncio.ensure_future(self._sweep())

    async def close(self) -> None:
        """Ends in order: what was accepted is finished or, as far as it is a build, goes on at the next start."""
        if self._controlling:
            await asyncio.wait(self._controlling)
        for task in [*self._watching, *([self._sweeping] if self._sweeping is not None else [])]:
            task.cancel()
        await self._own_workers.close()
        await self.residence.close()
        await self.schedule_trigger.close()
        await self.asynchronous.close()
        await self.deliveries.close()
        await self.deployments.close()
        if self.spans is not None:
            await self.spans.close()
        self.outbound.close()
        self._code.close()
        await self._database.close()

    async def _sweep(self) -> None:
        """Removes what is over: nobody sees it any more, this gives its room back."""
        while True:
            await asyncio.sleep(limits.SWEEP_STORAGE_S)
            try:
                await self.kv.sweep()
                await self._database.write(event_policies.forget)
                await self.secrets.sweep()
                await self.deliveries.sweep()
                await self.logs.sweep(int(self._clock.wall_s() * 1000))
                await self.metric_rows.sweep(int(self._clock.wall_s()))
            except StorageUnavailable as reason:
                logger.warning("what is over stays a little longer: %s", reason)

    async def control(
        self, method: str, path: str, query: str, headers: Headers, body: bytes
    ) -> tuple[int, Headers, bytes]:
        """One request to the control plane. A client that leaves does not stop what it began."""
        task = asyncio.ensure_future(call(self._app, method, path, query, headers, body))
        self._controlling.add(task)
        task.add_done_callback(self._controlling.discard)
        return await asyncio.shield(task)

    # ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, link: Link) -> Handler:
        """What serves the calls of the worker at the other end of a link."""

        async def handle(operation: str, body: Any) -> Any:
            return await self._serve(link, operation, body)

        watch = asyncio.ensure_future(self._watch(link))
        self._watching.add(watch)
        watch.add_done_callback(self._watching.discard)
        return handle

    async def _watch(self, link: Link) -> None:
        await link.wait_closed()
        self.fleet.detach(link)

    async def _serve(self, link: Link, operation: str, body: Any) -> Any:
        if operation == "hello":
            return await self._welcome(link, **body)
        if operation == "vouch":
            return self._vouch(link, body)
        member = self.fleet.member(link)
        if member is None:
            raise AccessDenied("a worker says hello first")
        if operation == "records":
            return await self._take(member, *body)
        if operation == "accept":
            return await self._accept(member, body)
        if operation in ("kv", "fetch", "secret"):
            self._require_own(member, operation, body[0])
            if operation == "kv":
                return await self.kv.serve(*body)
            return await (self.outbound.serve(*body) if operation == "fetch" else self.secrets.serve(*body))
        if operation == "rebuild":
            return snapshot_to_plain(await self._rebuild(member, *body))
        if operation == "leave":
            return self.fleet.leave(link)
        if operation in ("control", "signing_key", "summon"):
            return await self._serve_door(member, operation, body)
        raise UnsupportedOperation(f"a keeper has no operation {operation}; is the worker of another version?")

    async def _serve_door(self, member: Member, operation: str, body: Any) -> Any:
        """What only the door's workers may ask."""
        if member.cordon != self.fleet.door:
            raise self._refused(member, operation, "it is not the door")
        if operation == "control":
            method, path, query, headers, content = body
            return await self.control(method, path, query, [(name, value) for name, value in headers], content)
        if operation == "signing_key":
            access_key, *scope = body
            return self.accounts.signing_key(access_key, Scope(*scope))
        account = owner(body)
        if account is None or not self.fleet.hosts(body, account):
            raise Overloaded(f"the cordon {body[:64]} is nobody's at the moment; try again later")
        return await self._own_workers.summon(account)

    def _require_own(self, member: Member, operation: str, tenant: Any) -> None:
        """Raises AccessDenied: the tenant is not of the worker's cordon."""
        if not isinstance(tenant, str) or not self.fleet.speaks_for(member, tenant):
            raise self._refused(member, operation, f"{tenant!r:.40} is not of its cordon")

    async def _rebuild(self, member: Member, digest: str) -> SnapshotInfo:
        """Raises AccessDenied: the artifact is of other cordons' functions."""
        if not self._is_told(member, digest) and any(digest in of.digests for of in self._snapshots()):
            raise self._refused(member, "rebuild", "the artifact is of no function of its cordon")
        # Or it was rebuilt a moment ago, and this one has not heard of it: it is told what is there now.
        built = await self.deployments.rebuild(digest)
        if not self._is_told(member, built.digest):
            raise self._refused(member, "rebuild", "the artifact was of no function of its cordon")
        return built

    def _is_told(self, member: Member, digest: str) -> bool:
        return any(
            digest in snapshot.digests
            for snapshot in self._snapshots(lambda tenant: self.fleet.speaks_for(member, tenant))
        )

    def _snapshots(self, of: Callable[[str], bool] = lambda tenant: True) -> Iterable[SnapshotInfo]:
        rows = (served for served in self.fleet.table.served() if of(served.tenant))
        return (target.snapshot for served in rows for target in served.targets)

    def _refused(self, member: Member, operation: str, why: str) -> AccessDenied:
        """A worker asks for what no worker of ours asks for: it is not ours any more."""
        member.refusals += 1
        if member.refusals <= limits.REFUSALS_LOGGED:
            who = f"worker {member.number} (pid {member.pid}, {member.cordon})"
            logger.error("%s is refused %s: %s", who, operation, why)
        return AccessDenied(f"a worker of the cordon {member.cordon} may not ask for this")

    async def _welcome(self, link: Link, worker: str, pid: int, protocol: int) -> None:
        if protocol != PROTOCOL:
            raise Conflict(f"worker {pid} speaks protocol {protocol}, this keeper {PROTOCOL}; restart the server")
        cordon: str | None = STANDARD
        if self._roster is not None:
            pid = pid if link.peer_pid == os.getppid() else link.peer_pid
            cordon = self._vouched.get(link) or self._roster.cordon_of(link.peer_pid)
        if cordon is None:
            logger.error("the process %d says that it is a worker, and is none", pid)
            raise AccessDenied(f"the process {pid} is no worker of this server")
        if any(member.worker == worker and member.pid != pid for member in self.fleet.everyone()):
            raise AccessDenied("another worker has this name")
        await self.fleet.attach(link, worker, pid, cordon)
        self._own_workers.joined(cordon)
        self.asynchronous.wake()

    def _vouch(self, link: Link, cordon: str) -> None:
        """The supervisor says whose worker is at the other end, before that one says anything (sandbox/opener.py)."""
        if self._roster is None or link.peer_pid != os.getppid() or link in self._vouched or self.fleet.member(link):
            logger.error("somebody (pid %d) vouches for a worker who may not", link.peer_pid)
            raise AccessDenied("only the supervisor vouches for a worker, and once")
        self._vouched[link] = cordon

    async def _accept(self, member: Member, plain: list[Any]) -> list[bool]:
        try:
            events = [Accepted(*event) for event in plain]
        except TypeError as reason:
            raise InvalidParameter(f"a worker sent what are no events: {reason}") from None
        for event in events:
            self._require_own(member, "accept", event.tenant)
        return await self.asynchronous.accept(events)

    async def _take(self, member: Member, worker: str, sequence: int, plain: list[Any]) -> None:
        if worker != member.worker:
            raise self._refused(member, "records", "they have another worker's name")
        try:
            batches = [Batch.from_plain(batch) for batch in plain]
        except (TypeError, ValueError) as reason:
            raise InvalidParameter(f"worker {worker[:8]} sent what are no batches: {reason}") from None
        own = [batch for batch in batches if self.fleet.speaks_for(member, batch.tenant)]
        if len(own) < len(batches):
            # Taken without them: a message that is refused would come again and again.
            self._refused(member, "records", "some are of tenants that are not of its cordon, and are dropped")
            batches = own
        if await self._intake.take(worker, sequence, self._step_ms, batches, int(self._clock.wall_s())):
            self.metrics.add(batches)
            if self.spans is not None:
                self.spans.add(batches)

    def _admit_call(self, account: str) -> None:
        self.bounds.admit_call(account, self._clock.monotonic_s())

    # ── for the operator ────────────────────────────────────────────────────────────────────────────────────────

    async def operate(self, operation: str, body: Any) -> Any:
        """The calls of whoever runs the server (operating.py)."""
        if operation.startswith("limits."):
            return await self.bounds.serve(operation, body)
        if operation.startswith("tenants."):
            return await self.residence.serve(operation, body)
        return await self.accounts.serve(operation, body)

    async def _tell_limits(self, account: str) -> None:
        await self.fleet.tell_limits(account)
        self.asynchronous.wake()  # it may have more attempts under way

    async def _used(self, account: str) -> dict[str, Number]:
        """What a tenant has of its limits at the moment."""
        return {
            **await self.fleet.used(account),
            **self.bounds.used(account, self._clock.monotonic_s()),
            **self.asynchronous.used(account),
            **self._build_turns.used(account),
            **self.outbound.used(account),
            **await self.kv.used(account),
            **(await self._stock.held(account))._asdict(),
            "log_stored_bytes": await kept_logs(self._database, account),
            "secrets": await self.secrets.used(account),
            "schedules": await self.schedules.used(account),
        }

    # ── what it says of itself ──────────────────────────────────────────────────────────────────────────────────

    def _health(self) -> dict[str, object]:
        return {"status": "ok", "workers": len(self.fleet), "functions": len(self.fleet.table)}

    async def _metrics_text(self) -> bytes:
        events = await self.asynchronous.gauges() | {"deliveries_queued": self.deliveries.untold.total()}
        books = (await self.asynchronous.totals())._asdict()
        gauges, ended = await self.fleet.gauges(), self._workers_ended()
        cordons = self.fleet.cordons()
        return self.metrics.text(gauges, len(self.fleet.table), events, books, ended, self.bounds.refused, cordons)

    async def books(self, tenant: str | None = None, name: str | None = None) -> Books:
        """What became of asynchronous events: of a tenant, of one function, or of all."""
        return await self.asynchronous.books(tenant, name)
