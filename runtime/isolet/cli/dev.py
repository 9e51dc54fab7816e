"""`isolet dev`: a server in this process, one function, deployed again at every change; its log as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..accounts import TEST_ID, TEST_SECRET
from ..addresses import parse_network
from ..config import Config
from ..errors import IsoletError
from . import console, deploy, logs
from .client import Client, Refused
from .credentials import TEST, is_local
from .deployment import deployed
from .options import FAILED, Verb, show_error
from .serve import configuration, log_to_stderr
from .steps import Steps

if TYPE_CHECKING:
    from watchfiles import Change

# Who develops has the other services on the same machine; a function still needs a grant that names host and port.
LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1"))


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet dev hello
  isolet dev . --port 9000 --data .isolet      keeps snapshots, logs and usage between runs
""",
)
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", metavar="N", help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--data", metavar="DIR", help="Data directory.  [default: a temporary one]")
@click.option("--verbose", "-v", is_flag=True, help="Say what the server does.")
@click.pass_context
def dev(
    ctx: click.Context, directory: Path, host: str | None, port: str | None, data: str | None, verbose: bool
) -> None:
    """Serve the function in DIRECTORY, and build and deploy it again when a file in it changes.

    What does not build is said, and the former version goes on serving. The function's log is printed as it comes.
    Ctrl-C ends it.
    """
    log_to_stderr(verbose)
    from ..engine import selftest  # here: `--help` need not wait for an engine

    with _data(data) as chosen:
        config = configuration(ctx, None, {"host": host, "port": port, "data": chosen, "workers": 1})
        if not config.outbound_private:
            config = replace(config, outbound_private=LOOPBACK)
        if failures := selftest.run():
            console.fail(str(failures[0]))
            ctx.exit(FAILED)
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(_develop(directory, config))


@contextlib.contextmanager
def _data(chosen: str | None) -> Iterator[str]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="isolet-dev-") as scratch:
        yield scratch


async def _develop(directory: Path, config: Config) -> None:
    from watchfiles import DefaultFilter, awatch

    from ..server import embedded

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with embedded(config) as server:
        console.say(f"isolet dev serves on {server.url} (data in {config.data})")
        console.note("this server is one process without a sandbox: serve other people's functions by `isolet serve`")
        if private := is_local(server.url):
            console.warn(f"whoever is on this machine may sign with {TEST_ID}/{TEST_SECRET}, everybody's key pair")
        with Client(server.url, TEST if private else None) as client:
            session = _Session(directory, client)
            changes = awatch(directory, watch_filter=DefaultFilter(ignore_paths=[config.data.resolve()]))
            # It watches from its first step on, which it makes before the first build: what changes then is not missed.
            change = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            following = asyncio.ensure_future(session.follow())
            try:
                await session.deploy()
                while True:
                    session.say_changed(await change)
                    change = asyncio.ensure_future(anext(changes))
                    await session.deploy()
            finally:
                for task in (following, change):
                    task.cancel()
                await asyncio.gather(following, change, return_exceptions=True)


class _Session:
    """What is deployed, and how far its log was shown."""

    def __init__(self, directory: Path, client: Client) -> None:
        self._directory = directory
        self._client = client
        self._follower: logs.Follower | None = None
        self._name = ""
        self._since_ms = int(time.time() * 1000)
        # Progress and log lines share the terminal.
        self._terminal = asyncio.Lock()

    async def deploy(self) -> None:
        """Builds and deploys; what goes wrong is said and changes nothing."""
        async with self._terminal:
            try:
                await asyncio.to_thread(self._deploy)
            except IsoletError as error:
                show_error(error)
                if self._name:
                    console.note(f"{self._name} goes on serving its former version; waiting for a change")
                else:
                    console.note("waiting for a change")

    def _deploy(self) -> None:
        with Steps() as steps:
            result = deployed(self._directory, self._client, steps)
        deploy.show(result, self._client.endpoint)
        if result.name != self._name:
            self._name = result.name
            self._follower = logs.Follower(self._client, result.name, self._since_ms)

    def say_changed(self, changes: set[tuple[Change, str]]) -> None:
        root = self._directory.resolve()
        for change, path in sorted(changes, key=lambda entry: entry[1]):
            name = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path(path)
            console.note(f"{name} {change.name}", "cyan")

    async def follow(self) -> None:
        while True:
            async with self._terminal:
                await asyncio.to_thread(self._show_news)
            await asyncio.sleep(logs.POLL_S)

    def _show_news(self) -> None:
        if self._follower is not None:
            with contextlib.suppress(Refused):  # deleted by another client meanwhile
                for event in self._follower.news():
                    logs.show(event)
