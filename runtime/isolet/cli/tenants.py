"""`isolet tenants`: in which trust tier accounts are, and which have workers of their own. For whoever owns the data
directory, as `isolet keys`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Config
from . import console
from .options import Verb, as_json
from .serve import configuration

F = TypeVar("F", bound=Callable[..., Any])


def _data(command: F) -> F:
    return click.option(
        "--data", metavar="DIR", help="The server's data directory.  [default: as `isolet serve` has it]"
    )(command)


@click.group()
def tenants() -> None:
    """Say how far accounts are trusted: tiers never share a worker process.

    Run it on the server's machine, as the server's user.
    """


@tenants.command(
    "list",
    cls=Verb,
    epilog="""\
Examples:
  isolet tenants list
  isolet tenants list --json | jq -r '.[] | select(.Tier == "untrusted") | .Account'
""",
)
@_data
@as_json
@click.pass_context
def list_(ctx: click.Context, data: str | None, as_json: bool) -> None:
    """List the accounts that have functions or settings, and their cordons."""
    found = [_shown(tenant) for tenant in _ask(configuration(ctx, None, {"data": data}), "tenants.list", [])]
    if as_json:
        console.say_json(found)
        return
    if not found:
        console.note("no account has functions or settings; all are in the tier standard")
        return
    console.say_table(("account", "tier", "cordon", "functions", "worker processes"), map(_row, found))


@tenants.command(
    cls=Verb,
    epilog="""\
Example:
  isolet tenants show 111122223333
""",
)
@click.argument("account")
@_data
@as_json
@click.pass_context
def show(ctx: click.Context, account: str, data: str | None, as_json: bool) -> None:
    """Show an account's tier and cordon, and who runs its functions."""
    _say(_ask(configuration(ctx, None, {"data": data}), "tenants.show", [account]), as_json)


@tenants.command(
    "set",
    cls=Verb,
    epilog="""\
Examples:
  isolet tenants set 111122223333 --tier untrusted
  isolet tenants set 111122223333 --own-workers

A tier has workers if isolet.toml says so: [cordons] untrusted = 2. A server that runs moves the account at once, and no
request fails by it.
""",
)
@click.argument("account")
@click.option("--tier", metavar="TIER", help="The trust tier, such as standard.")
@click.option("--own-workers/--shared-workers", "own", default=None, help="A worker process that is its alone, or not.")
@_data
@as_json
@click.pass_context
def set_(ctx: click.Context, account: str, tier: str | None, own: bool | None, data: str | None, as_json: bool) -> None:
    """Move an account to another tier, or to workers of its own."""
    if tier is None and own is None:
        raise click.UsageError("nothing to set; give --tier, --own-workers or --shared-workers")
    _say(_ask(configuration(ctx, None, {"data": data}), "tenants.set", [account, tier, own]), as_json)


def _say(tenant: dict[str, Any], as_json: bool) -> None:
    shown = _shown(tenant)
    if as_json:
        console.say_json(shown)
        return
    console.say(f"account    {shown['Account']}")
    console.say(f"tier       {shown['Tier']}")
    console.say(f"cordon     {shown['Cordon']}")
    if shown["Functions"] is not None:
        console.say(f"functions  {shown['Functions']}")
        console.say(f"workers    {_workers(shown)}")
    if shown["Limits"]:
        console.say(f"limits     {', '.join(shown['Limits'])} (isolet limits {shown['Account']})")


def _shown(tenant: dict[str, Any]) -> dict[str, Any]:
    return {
        "Account": tenant["account"],
        "Tier": tenant["tier"],
        "OwnWorkers": tenant["own"],
        "Cordon": tenant["cordon"],
        # Of a server that runs; else null.
        "Functions": tenant["functions"],
        "Workers": tenant["workers"],
        "Limits": tenant["limits"],
    }


def _row(shown: dict[str, Any]) -> tuple[str, ...]:
    functions = "" if shown["Functions"] is None else str(shown["Functions"])
    return shown["Account"], shown["Tier"], shown["Cordon"], functions, _workers(shown)


def _workers(shown: dict[str, Any]) -> str:
    if shown["Workers"] is None:
        return ""
    return ", ".join(map(str, shown["Workers"])) or "none at the moment"


def _ask(config: Config, operation: str, body: list[Any]) -> Any:
    """What the server that has the data directory answers, or the database where none runs."""
    from ..operating import operate  # here: a database and a link; `--help` need not wait for them

    return asyncio.run(operate(config, operation, body))
