"""`isolet list`, `isolet invoke`, `isolet delete`: functions that are deployed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from . import console
from .client import Client, Invoked
from .options import FAILED, Verb, as_json, endpoint

# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(
    "list",
    cls=Verb,
    epilog="""\
Examples:
  isolet list
  isolet list --json | jq -r '.[].FunctionName'
""",
)
@endpoint
@as_json
def list_(endpoint: str, as_json: bool) -> None:
    """List the deployed functions."""
    with Client(endpoint) as client:
        functions = [client.get(listed["FunctionName"]) for listed in client.functions()]
    if as_json:
        console.say_json([{**one["Configuration"], "Tags": one.get("Tags", {})} for one in functions])
        return
    if not functions:
        console.note("no functions yet; `isolet init NAME` makes one, `isolet deploy NAME` deploys it")
        return
    console.say_table(
        ("name", "state", "language", "package", "memory", "timeout", "changed", "http"),
        (_row(one["Configuration"], one.get("Tags", {})) for one in functions),
        right=("package", "memory", "timeout"),
    )


def _row(configuration: dict[str, Any], tags: dict[str, str]) -> tuple[str, ...]:
    state = configuration["State"]
    if configuration.get("LastUpdateStatus", "Successful") != "Successful":
        state = f"{state}, update {configuration['LastUpdateStatus']}"
    return (
        configuration["FunctionName"],
        state,
        tags.get("isolet:language", "wasm"),
        console.size(configuration["CodeSize"]),
        f"{configuration['MemorySize']} MB",
        f"{tags.get('isolet:timeout_s', configuration['Timeout'])} s",
        configuration["LastModified"][:16].replace("T", " "),
        " ".join(json.loads(tags.get("isolet:routes", '["yes"]'))) if tags.get("isolet:http") == "true" else "",
    )


# ── invoke ──────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet invoke hello                             the event {}
  isolet invoke hello -d '{"name": "Ada"}'
  isolet invoke resize -f event.json --logs       its log lines and REPORT on stderr
  jq -n '{name: "Ada"}' | isolet invoke hello -   the event from stdin
  isolet invoke hello --json | jq .report         result, error, request id, log and report together

Exit status: 0 the function answered, 1 it failed or could not be called, 2 the command line is wrong.
""",
)
@click.argument("name")
@click.argument("stdin", required=False, metavar="[-]")
@click.option("--data", "-d", metavar="JSON", help="The event.")
@click.option(
    "--file", "-f", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True), help="Read it from FILE."
)
@click.option("--logs", is_flag=True, help="Show the log lines of this invocation.")
@endpoint
@as_json
@click.pass_context
def invoke(
    ctx: click.Context,
    name: str,
    stdin: str | None,
    data: str | None,
    file: Path | None,
    logs: bool,
    endpoint: str,
    as_json: bool,
) -> None:
    """Call a function with an event and print what it answers."""
    payload = _event(stdin, data, file)
    with Client(endpoint) as client:
        answer = client.invoke(name, payload, logs=logs or as_json)
    if logs:
        for line in answer.log:
            console.note(line, "dim")
    if as_json:
        console.say_json(_as_plain(answer))
    elif answer.function_error:
        console.fail(_failure(answer.payload))
    else:
        console.say_bytes(answer.payload)
    if answer.function_error:
        ctx.exit(FAILED)


def _event(stdin: str | None, data: str | None, file: Path | None) -> bytes:
    """The event's bytes, from the one place that was named. Raises UsageError for what is no JSON."""
    if stdin not in (None, "-"):
        raise click.UsageError(f"the event is not an argument: write -d '{stdin}', or - to read it from stdin")
    if sum(given is not None for given in (stdin, data, file)) > 1:
        raise click.UsageError("-d, -f and - all name the event: give one of them")
    if data is not None:
        payload, where = data.encode(errors="surrogateescape"), "-d"
    elif stdin or file == Path("-"):
        payload, where = sys.stdin.buffer.read(), "stdin"
    elif file is not None:
        try:
            payload, where = file.read_bytes(), str(file)
        except OSError as error:
            raise click.UsageError(f"{file} cannot be read: {error.strerror}; name a file with JSON in it") from None
    else:
        payload, where = b"{}", ""
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"{where} is not JSON: {error}; an event is a JSON value, text in double quotes"
        ) from None
    return payload


def _failure(payload: bytes) -> str:
    """A function's failure: its type and message, and its stack below."""
    try:
        said = json.loads(payload)
        lines = [f"{said['errorType']}: {said['errorMessage']}", *map(str, said.get("stackTrace") or ())]
    except (ValueError, KeyError, TypeError):
        lines = [payload.decode(errors="replace")]
    return "\n    ".join(lines)


def _as_plain(answer: Invoked) -> dict[str, Any]:
    payload = json.loads(answer.payload)
    return {
        "result": None if answer.function_error else payload,
        "error": payload if answer.function_error else None,
        "requestId": answer.request_id,
        "executedVersion": answer.executed_version,
        "report": answer.report,
        "log": list(answer.log),
    }


# ── delete ──────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(
    cls=Verb,
    epilog="""\
Example:
  isolet delete hello
""",
)
@click.argument("name")
@endpoint
def delete(name: str, endpoint: str) -> None:
    """Delete a function.

    No worker serves it any more when this returns. Its usage stays on the books.
    """
    with Client(endpoint) as client:
        client.delete(name)
    console.say(f"{name} deleted")
