"""What verbs have in common: the endpoint, `--json`, and what becomes of errors."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from ..errors import CompileFailed, IsoletError
from . import console
from .client import ENDPOINT, checked_endpoint
from .credentials import Endpoint

F = TypeVar("F", bound=Callable[..., Any])

# Exit statuses: 0; a request or a function that failed; a command line that says nothing that can be done (click's).
FAILED = 1
USAGE = 2


def show_error(error: IsoletError) -> None:
    """One line on stderr; above it, a compiler's own words."""
    if isinstance(error, CompileFailed) and error.output.strip():
        console.note(error.output.rstrip())
    console.fail(error.message)


class Verb(click.Command):
    """A verb. Errors of ours become one line on stderr and status 1; anything else is a defect and shows its trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IsoletError as error:
            show_error(error)
            ctx.exit(FAILED)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            write_examples(self.epilog, formatter)


def write_examples(text: str, formatter: click.HelpFormatter) -> None:
    """Text as it is written: click would run its lines together."""
    formatter.write_paragraph()
    for line in text.splitlines():
        formatter.write(f"{line}\n")


def _endpoint(_ctx: click.Context, _parameter: click.Parameter, value: str) -> Endpoint:
    try:
        return Endpoint(checked_endpoint(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def endpoint(command: F) -> F:
    """`--endpoint URL` and `--profile NAME`, as one argument: an Endpoint."""

    @functools.wraps(command)
    def call(*args: Any, endpoint: Endpoint, profile: str, **others: Any) -> Any:
        endpoint.profile = profile
        return command(*args, endpoint=endpoint, **others)

    named = click.option(
        "--profile", default="", metavar="NAME", help="Sign with the key of this profile of ~/.aws/credentials."
    )(call)
    return click.option(
        "--endpoint",
        envvar="ISOLET_ENDPOINT",
        default=ENDPOINT,
        show_default=True,
        show_envvar=True,
        metavar="URL",
        callback=_endpoint,
        help="The server to talk to.",
    )(named)  # type: ignore[return-value]


def as_json(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Since(click.ParamType[float]):
    """An instant in the past, as Unix seconds: `10m`, `2h`, `1d`, or an ISO 8601 time, local if it names no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if ago := re.fullmatch(r"([0-9]{1,9})([smhdw])", value):
            return max(time.time() - int(ago[1]) * _UNITS[ago[2]], 0.0)
        try:
            return max(datetime.fromisoformat(value).timestamp(), 0.0)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no time; write 10m, 2h, 1d, or 2026-11-20T18:00", param, ctx)
