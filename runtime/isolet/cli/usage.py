"""`isolet usage`: what functions used, and what that costs."""

from __future__ import annotations

from typing import Any

import click

from . import console
from .client import Client
from .options import Since, Verb, as_json, endpoint


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet usage                          everything, per function
  isolet usage --per day --since 7d
  isolet usage --function hello --per hour --since 1d
  isolet usage --json | jq .total.cost.total

Prices are set in [billing] of isolet.toml.
""",
)
@click.option("--per", type=click.Choice(["hour", "day", "month", "all"]), default="all", show_default=True)
@click.option("--since", type=Since(), help="From when on, in whole hours: 10m, 2h, 7d, or a time.")
@click.option("--function", metavar="NAME", help="Of one function only.")
@endpoint
@as_json
def usage(per: str, since: float | None, function: str | None, endpoint: str, as_json: bool) -> None:
    """Show what functions used and what it costs."""
    asked = {"per": per} | ({"from": str(int(since))} if since is not None else {})
    with Client(endpoint) as client:
        table = client.usage(asked | ({"function": function} if function else {}))
    if as_json:
        console.say_json(table)
        return
    if not table["rows"]:
        console.note("nothing was used yet; a call is on the books a moment after it ended")
        return
    currency = table["currency"]
    period = () if per == "all" else (per,)
    numbers = ("calls", "errors", "throttled", "billed ms", "CPU ms", "fuel", "GB-s", currency)
    rows = [
        (row["function"], *((row["period"],) if period else ()), *_numbers(row))
        for row in [*table["rows"], {**table["total"], "function": "", "period": ""}]
    ]
    console.say_table(("function", *period, *numbers), rows, right=numbers)
    prices = table["prices"]
    console.note(
        f"{currency} {prices['perMillionRequests']} per million calls, {prices['perGbSecond']} per GB-second, "
        f"{prices['perBillionFuel']} per billion fuel",
        "dim",
    )


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['invocations']:,}",
        f"{row['errors']:,}",
        f"{row['throttles']:,}",
        f"{row['billedMs']:,}",
        f"{row['cpuMs']:,.1f}",
        console.whole(row["fuel"]),
        f"{float(row['gbSeconds']):,.4f}",
        f"{float(row['cost']['total']):,.8f}",
    )
