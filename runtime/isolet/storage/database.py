"""The keeper's SQLite file: one connection, on one thread of its own, off the event loop.

Laws:
- `write` returns only after its transaction is on the disk (WAL, synchronous=FULL).
- Group commit: the writes that wait together share one transaction and one fsync, each in its own savepoint; a job that
  raises is undone alone, and a commit that fails fails every job in it.
- Those for whom jobs are (tenants) take turns, job by job, and no batch begins another job after DATABASE_BATCH_S: who
  has a thousand waiting delays another's one by a batch.
- A `read` sees every write that was awaited before it was asked for. Jobs for one are run in their order.
- One process owns the file (locking_mode=EXCLUSIVE); the lock goes with the process, however it ends.
- SQLite's errors leave here as StorageUnavailable, in words.

A job is a plain function that takes the connection and runs on the thread: short, and without calls of its own to the
outside. It never begins, commits or rolls back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .. import limits
from ..errors import StorageUnavailable
from .schema import MIGRATIONS

logger = logging.getLogger("isolet.database")

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

# "isol": `file` and a careful opener can tell whose database this is.
APPLICATION_ID = 0x69736F6C


@dataclass(slots=True)
class _Task:
    job: Job
    writes: bool
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return  # Its caller left; what was written stays written.
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _Turns:
    """What waits for the thread: those for whom it is take turns. Filled by the loop, emptied by the thread."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._waiting: dict[str, deque[_Task]] = {}
        self._ring: deque[str] = deque()
        self._closed = False

    def __len__(self) -> int:
        with self._news:
            return sum(map(len, self._waiting.values()))

    def put(self, whose: str, task: _Task) -> None:
        with self._news:
            waiting = self._waiting.get(whose)
            if waiting is None:
                waiting = self._waiting[whose] = deque()
                self._ring.append(whose)
            waiting.append(task)
            self._news.notify()

    def close(self) -> None:
        """Nothing more comes."""
        with self._news:
            self._closed = True
            self._news.notify()

    def take(self) -> _Task | None:
        """The next; waits for one. None when closed and nothing is left."""
        with self._news:
            while not self._ring and not self._closed:
                self._news.wait()
            return self._next()

    def take_now(self) -> _Task | None:
        """The next, if there is one."""
        if not self._ring:
            return None
        with self._news:
            return self._next()

    def _next(self) -> _Task | None:
        if not self._ring:
            return None
        whose = self._ring.popleft()
        waiting = self._waiting[whose]
        task = waiting.popleft()
        if waiting:
            self._ring.append(whose)
        else:
            del self._waiting[whose]
        return task


class Database:
    """Made by the keeper only. `await open()` first; `close()` waits for what was asked before it."""

    def __init__(self, path: Path, batch_s: float = limits.DATABASE_BATCH_S) -> None:
        self.path = path
        self._batch_s = batch_s
        self._tasks = _Turns()
        self._thread: threading.Thread | None = None
        self._closing = False
        # Transactions committed so far, for tests and metrics: far fewer than writes when many wait together.
        self.commits = 0

    async def open(self) -> None:
        """Opens or creates the file and brings its schema up to date. Raises StorageUnavailable."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(
            target=self._run, args=(opened, asyncio.get_running_loop()), name="database", daemon=True
        )
        self._thread.start()
        await opened

    async def write(self, job: Callable[[sqlite3.Connection], T], whose: str = "") -> T:
        """What `job` returned, once durable. Raises what it raised (nothing was written then); StorageUnavailable.
        `whose` turn it takes: a tenant's, or that of all who are nobody's."""
        return await self._submit(job, True, whose)

    async def read(self, job: Callable[[sqlite3.Connection], T], whose: str = "") -> T:
        return await self._submit(job, False, whose)

    async def close(self) -> None:
        if self._thread is None or self._closing:
            return
        self._closing = True
        self._tasks.close()
        await asyncio.to_thread(self._thread.join)

    async def _submit(self, job: Callable[[sqlite3.Connection], T], writes: bool, whose: str) -> T:
        if self._thread is None or self._closing:
            raise StorageUnavailable(f"the database {self.path} is closed")
        loop = asyncio.get_running_loop()
        task = _Task(job, writes, loop.create_future(), loop)
        self._tasks.put(whose, task)
        result: T = await task.future
        return result

    # -- on the thread

    def _run(self, opened: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> None:
        start = _Task(lambda _: None, False, opened, loop)
        try:
            connection = open_connection(self.path)
        except StorageUnavailable as error:
            start.error = error
            _deliver([start])
            return
        _deliver([start])
        with contextlib.closing(connection):
            while (first := self._tasks.take()) is not None:
                _deliver(self._perform(connection, first))

    def _perform(self, connection: sqlite3.Connection, first: _Task) -> list[_Task]:
        """Runs what waits, in turn, in one transaction from the first write on; answers all that it ran."""
        batch: list[_Task] = []
        task: _Task | None = first
        writes = False
        ends_s = time.monotonic() + self._batch_s
        try:
            while task is not None:
                batch.append(task)
                if task.writes and not writes:
                    connection.execute("BEGIN IMMEDIATE")
                    writes = True
                _perform_one(connection, task)
                full = len(batch) >= limits.DATABASE_BATCH_MAX or time.monotonic() >= ends_s
                task = None if full else self._tasks.take_now()
            if writes:
                connection.execute("COMMIT")
                self.commits += 1
        except sqlite3.Error as reason:
            self._undo(connection, batch, unavailable(self.path, reason))
        return batch

    def _undo(self, connection: sqlite3.Connection, batch: list[_Task], error: StorageUnavailable) -> None:
        """Nothing of this batch is on the disk: every job of it failed, also those that had gone well."""
        logger.error("a transaction of %d jobs failed: %s", len(batch), error)
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        for task in batch:
            task.error = task.error or error


def _perform_one(connection: sqlite3.Connection, task: _Task) -> None:
    """Runs one job; its own failure is undone and noted, the transaction's is raised (sqlite3.Error)."""
    if task.writes:
        connection.execute("SAVEPOINT job")
    try:
        task.result = task.job(connection)
    except Exception as reason:
        if task.writes and not connection.in_transaction:
            raise  # SQLite gave up the whole transaction (disk full, I/O error).
        task.error = unavailable(Path("the database"), reason) if isinstance(reason, sqlite3.Error) else reason
        if task.writes:
            connection.execute("ROLLBACK TO job")
    if task.writes:
        connection.execute("RELEASE job")


def _deliver(batch: Iterable[_Task]) -> None:
    """Settles futures on their loops: one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Task]] = {}
    for task in batch:
        by_loop.setdefault(task.loop, []).append(task)
    for loop, tasks in by_loop.items():
        # A loop that ended took its callers along.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_all, tasks)


def _settle_all(tasks: list[_Task]) -> None:
    for task in tasks:
        task.settle()


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────


def open_connection(path: Path) -> sqlite3.Connection:
    """An exclusive connection with the newest schema. Raises StorageUnavailable with the cure."""
    connection = None
    # For its owner only, whatever the umask; SQLite gives the write-ahead log the same mode, and says what is wrong.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=limits.DATABASE_LOCK_S)
        _configure(connection)
        _migrate(connection, path)
    except (sqlite3.Error, StorageUnavailable) as reason:
        if connection is not None:
            connection.close()
        raise reason if isinstance(reason, StorageUnavailable) else unavailable(path, reason) from None
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # A write-ahead log that grew in a burst is cut back to this at the next checkpoint.
    connection.execute(f"PRAGMA journal_size_limit = {64 * limits.MIB}")
    # A hostile or damaged file does not run triggers or views of its own.
    connection.execute("PRAGMA trusted_schema = OFF")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # Takes the exclusive lock, which then stays: from here on nobody else writes.
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    connection.execute("COMMIT")
    if application not in (0, APPLICATION_ID):
        raise StorageUnavailable(f"{path} is another program's database; choose another data directory")
    if version > len(MIGRATIONS):
        raise StorageUnavailable(
            f"{path} has schema {version}, this isolet knows {len(MIGRATIONS)}; use the newer isolet that wrote it"
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        script = f"{step}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}"
        connection.executescript(f"BEGIN IMMEDIATE; {script}; COMMIT")


def unavailable(path: Path, reason: Exception) -> StorageUnavailable:
    """`reason` in words, with what to do about it."""
    text = str(reason)
    if "locked" in text:
        return StorageUnavailable(f"{path} is in use by another keeper; stop it or choose another data directory")
    if "disk is full" in text:
        return StorageUnavailable(f"no room to write {path}; free some disk space")
    if "malformed" in text or "not a database" in text:
        return StorageUnavailable(
            f"{path} is damaged ({text}); restore it from a copy or choose another data directory"
        )
    if "unable to open" in text:
        return StorageUnavailable(f"{path} cannot be opened; does its directory exist, and may this user write there?")
    return StorageUnavailable(f"{path} failed: {text}")
