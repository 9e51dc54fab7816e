"""`isolet serve`: keeper and workers in their processes, until it is told to end."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from ..config import Config, load
from ..errors import ConfigInvalid
from . import console
from .options import FAILED, USAGE, Verb


def configuration(ctx: click.Context, path: Path | None, arguments: dict[str, Any]) -> Config:
    """The configuration; one that cannot be used ends the program with its reason and cure."""
    try:
        return load(path, arguments=arguments)
    except ConfigInvalid as error:
        console.fail(error.message)
        ctx.exit(USAGE)


def log_to_stderr(verbose: bool) -> None:
    """What the server says of itself: trouble only, or everything."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet serve
  isolet serve --port 9000 --data /var/lib/isolet
  isolet serve --host 0.0.0.0 --workers 4 --config /etc/isolet.toml

Keys of isolet.toml, and ISOLET_* variables that mean the same, are described in the README.
SIGTERM or Ctrl-C drains: what is under way is finished. A second one does not wait.
""",
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", metavar="N", help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--data", metavar="DIR", help="Directory of functions, snapshots, logs and usage.  [default: .isolet]")
@click.option("--workers", metavar="N", help="Processes that run functions.  [default: one per CPU]")
@click.option("--cordons", metavar="TIER=N,…", help="Workers of further trust tiers, which share no process.")
@click.option("--door", metavar="TIER", help="Whose workers listen and pass on what is others'.  [default: standard]")
@click.option(
    "--config",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration.  [default: isolet.toml, if there is one]",
)
@click.option(
    "--require-sandbox",
    is_flag=True,
    default=None,
    help="Refuse to serve where the kernel lacks a part of the workers' sandbox.",
)
@click.option("--verbose", "-v", is_flag=True, help="Say what the processes do.")
@click.pass_context
def serve(
    ctx: click.Context,
    host: str | None,
    port: str | None,
    data: str | None,
    workers: str | None,
    cordons: str | None,
    door: str | None,
    path: Path | None,
    require_sandbox: bool | None,
    verbose: bool,
) -> None:
    """Run a server on this machine.

    Prints one line once it serves, and answers until it is told to end.
    """
    arguments = {
        "host": host,
        "port": port,
        "data": data,
        "workers": workers,
        "cordons": cordons,
        "door": door,
        "require_sandbox": require_sandbox,
    }
    config = configuration(ctx, path, arguments)
    log_to_stderr(verbose)
    from ..doctor import Verdict, here  # here: everything; `--help` need not wait for it
    from ..server import serve as run

    space = here("address space", config)
    if space.verdict is Verdict.WRONG:  # a worker could only abort
        console.fail(f"address space: {space.found}; {space.cure}")
        ctx.exit(FAILED)
    if config.require_sandbox:
        builders = here("builder", config)  # a builder says what it was not given
        if builders.verdict is not Verdict.FINE:
            console.fail(f"a sandbox is required, and builders have no whole one: {builders.found}; {builders.cure}")
            ctx.exit(FAILED)

    def ready(url: str) -> None:
        count = f"{config.workers} worker{'' if config.workers == 1 else 's'}"
        if config.cordons:
            count += "".join(f", {number} {tier}" for tier, number in config.cordons) + f"; door: {config.door}"
        console.say(f"isolet serves on {url} ({count}, data in {config.data})")
        sys.stdout.flush()

    status = run(config, on_ready=ready, on_warning=console.warn, on_note=console.note)
    if status:
        console.fail("the server did not come up; the lines above say why, and `isolet doctor` looks at the machine")
        ctx.exit(FAILED)
