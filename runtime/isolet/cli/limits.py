"""`isolet limits`: what tenants may have. For whoever owns the data directory, as `isolet keys`; where no server runs,
what tenants use is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from ..config import Config
from ..errors import InvalidParameter
from . import console
from .options import Verb, as_json
from .serve import configuration

F = TypeVar("F", bound=Callable[..., Any])


class Limits(click.Group):
    """A group that shows what it is not told to do else: `isolet limits 111122223333` is `isolet limits show
    111122223333`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def _data(command: F) -> F:
    return click.option(
        "--data", metavar="DIR", help="The server's data directory.  [default: as `isolet serve` has it]"
    )(command)


@click.group(cls=Limits)
def limits() -> None:
    """Show and set what accounts may have: how much runs, how fast, how much is kept.

    `isolet limits ACCOUNT` shows one's; without an account, whose differ from the defaults. Run it on the server's
    machine, as the server's user.
    """


@limits.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet limits
  isolet limits 111122223333
  isolet limits show 111122223333 --json | jq '.[] | select(.Overridden)'
""",
)
@click.argument("account", default="")
@_data
@as_json
@click.pass_context
def show(ctx: click.Context, account: str, data: str | None, as_json: bool) -> None:
    """Show every limit of an account, and what it uses of them; without one, all that was set."""
    config = configuration(ctx, None, {"data": data})
    if account:
        _say(_ask(config, "limits.show", [account]), as_json)
        return
    found: dict[str, dict[str, float]] = _ask(config, "limits.overrides", [])
    if as_json:
        console.say_json(found)
    elif not found:
        console.note("all accounts have the defaults; `isolet limits ACCOUNT` shows them")
    else:
        rows = [(account, name, _number(value)) for account, set_ in found.items() for name, value in set_.items()]
        console.say_table(("account", "limit", "value"), rows, ("value",))


@limits.command(
    "set",
    cls=Verb,
    epilog="""\
Examples:
  isolet limits set 111122223333 concurrency=50
  isolet limits set 111122223333 requests_per_s=100 requests_burst=200 kv_bytes=64MiB
  isolet limits set 111122223333 concurrency=0

They hold at once, for the next invocation; what runs goes on. With concurrency=0 nothing runs any more.
""",
)
@click.argument("account")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE…")
@_data
@as_json
@click.pass_context
def set_(ctx: click.Context, account: str, values: Sequence[str], data: str | None, as_json: bool) -> None:
    """Give an account limits of its own."""
    named: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidParameter(f"{text!r} sets nothing; write NAME=VALUE, such as concurrency=50")
        named[name] = value
    _say(_ask(configuration(ctx, None, {"data": data}), "limits.set", [account, named]), as_json, named)


@limits.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet limits reset 111122223333 concurrency
  isolet limits reset 111122223333
""",
)
@click.argument("account")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@_data
@as_json
@click.pass_context
def reset(ctx: click.Context, account: str, names: Sequence[str], data: str | None, as_json: bool) -> None:
    """Give an account the defaults again: of these limits, or of all."""
    _say(_ask(configuration(ctx, None, {"data": data}), "limits.reset", [account, list(names)]), as_json, names)


def _say(rows: list[dict[str, Any]], as_json: bool, only: Sequence[str] | dict[str, str] = ()) -> None:
    """The limits, or those that were changed."""
    shown = [row for row in rows if not only or row["name"] in only]
    if as_json:
        console.say_json([{name.capitalize(): value for name, value in row.items()} for row in shown])
        return
    columns = ("limit", "value", "used", "unit", "default", "of what")
    table = (
        (
            row["name"],
            _number(row["value"]),
            "" if row["used"] is None else _number(row["used"]),
            row["unit"],
            _number(row["default"]) if row["overridden"] else "",
            row["meaning"],
        )
        for row in shown
    )
    console.say_table(columns, table, ("value", "used", "default"))


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.3f}".rstrip("0")


def _ask(config: Config, operation: str, body: list[Any]) -> Any:
    """What the server that has the data directory answers, or the database where none runs."""
    from ..operating import operate  # here: a database and a link; `--help` need not wait for them

    return asyncio.run(operate(config, operation, body))
