"""`isolet keys`: who may sign requests. For whoever owns the data directory: not over HTTP, but over a socket that only
the server's user opens, or, where no server runs, in the database itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Config
from . import console
from .options import Verb, as_json
from .serve import configuration

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def keys() -> None:
    """Make and revoke access keys: whoever signs with one is its account.

    Run it on the server's machine, as the server's user.
    """


def _data(command: F) -> F:
    return click.option(
        "--data", metavar="DIR", help="The server's data directory.  [default: as `isolet serve` has it]"
    )(command)


@keys.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet keys create
  isolet keys create --account 111122223333 --description "the build server"
  isolet keys create --json | jq -r .SecretAccessKey

The secret is shown this once. Clients take the two as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile of
~/.aws/credentials; `isolet` itself also as ISOLET_ACCESS_KEY_ID and ISOLET_SECRET_ACCESS_KEY.
""",
)
@click.option("--account", default="000000000000", show_default=True, metavar="ID", help="Whose key: twelve digits.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@_data
@as_json
@click.pass_context
def create(ctx: click.Context, account: str, description: str, data: str | None, as_json: bool) -> None:
    """Make an access key, and show its secret."""
    made = _ask(configuration(ctx, None, {"data": data}), "create", [account, description])
    if as_json:
        console.say_json(_shown(made) | {"SecretAccessKey": made["secret"]})
        return
    console.say(f"account            {made['account']}")
    console.say(f"access key id      {made['id']}")
    console.say(f"secret access key  {made['secret']}")
    console.note("the secret is not shown again")


@keys.command(
    "list",
    cls=Verb,
    epilog="""\
Examples:
  isolet keys list
  isolet keys list --json | jq -r '.[] | select(.Status == "Active") | .AccessKeyId'
""",
)
@_data
@as_json
@click.pass_context
def list_(ctx: click.Context, data: str | None, as_json: bool) -> None:
    """List the access keys of all accounts; also those revoked."""
    found = [_shown(key) for key in _ask(configuration(ctx, None, {"data": data}), "list", [])]
    if as_json:
        console.say_json(found)
        return
    if not found:
        console.note("no access keys yet; `isolet keys create` makes one")
        return
    rows = ((key["AccessKeyId"], key["Account"], key["Status"], key["CreateDate"], key["Description"]) for key in found)
    console.say_table(("access key id", "account", "status", "created", "description"), rows)


@keys.command(
    cls=Verb,
    epilog="""\
Example:
  isolet keys revoke AKIAIOSFODNN7EXAMPLE
""",
)
@click.argument("id")
@_data
@as_json
@click.pass_context
def revoke(ctx: click.Context, id: str, data: str | None, as_json: bool) -> None:
    """Take an access key away, at once and for good: what it signs is refused from then on."""
    revoked = _shown(_ask(configuration(ctx, None, {"data": data}), "revoke", [id]))
    if as_json:
        console.say_json(revoked)
    else:
        console.say(f"{revoked['AccessKeyId']} of {revoked['Account']} revoked")


def _shown(key: dict[str, Any]) -> dict[str, str]:
    """A key as IAM names its parts."""
    return {
        "AccessKeyId": key["id"],
        "Account": key["account"],
        "Status": "Active" if key["revoked_ms"] is None else "Revoked",
        "CreateDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(key["created_ms"] / 1000)),
        "Description": key["description"],
    }


def _ask(config: Config, operation: str, body: list[str]) -> Any:
    """What the server that has the data directory answers, or the database where none runs."""
    from ..operating import operate  # here: a database and a link; `--help` need not wait for them

    return asyncio.run(operate(config, operation, body))
