"""`isolet secrets`: values that functions get by name. A value is never an argument: everybody sees those."""

from __future__ import annotations

import base64
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import click

from .. import limits
from . import console
from .client import Client, Refused
from .options import Verb, as_json, endpoint


@click.group()
def secrets() -> None:
    """Keep values for functions: passwords, keys, tokens.

    A function gets those that its function.toml lists: [capabilities] secrets = ["NAME"].
    """


@secrets.command(
    "set",
    cls=Verb,
    epilog="""\
Examples:
  isolet secrets set API_KEY                    asks for the value, and does not show it
  pass show api | isolet secrets set API_KEY    the value from stdin, without its last newline
  isolet secrets set TLS_KEY --binary < key.der

The value is not an argument: those are in the shell's history and in everybody's list of processes.
""",
)
@click.argument("name")
@click.option("--binary", is_flag=True, help="Take stdin's bytes as they are; functions get bytes.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@endpoint
def set_(name: str, binary: bool, description: str, endpoint: str) -> None:
    """Set the secret NAME, anew or again; functions see it with their next request."""
    value = _value(name, binary)
    with Client(endpoint) as client:
        console.say(f"{name} {_set(client, name, value, description)}")


def _value(name: str, binary: bool) -> dict[str, str]:
    """The value as a request has it, from stdin or a person. Raises UsageError."""
    if sys.stdin.isatty() and not binary:
        return {"SecretString": _checked(click.prompt(f"Value of {name}", hide_input=True, err=True).encode()).decode()}
    raw = sys.stdin.buffer.read(limits.SECRET_BYTES_MAX + 3)
    if binary:
        return {"SecretBinary": base64.b64encode(_checked(raw)).decode("ascii")}
    try:
        return {"SecretString": _checked(raw.removesuffix(b"\n").removesuffix(b"\r")).decode()}
    except UnicodeDecodeError:
        raise click.UsageError("stdin is not UTF-8; with --binary its bytes are taken as they are") from None


def _checked(raw: bytes) -> bytes:
    if not raw:
        raise click.UsageError("stdin is empty; a secret has at least one byte")
    if len(raw) > limits.SECRET_BYTES_MAX:
        raise click.UsageError(
            f"a secret has at most {limits.SECRET_BYTES_MAX:,} bytes; put a key to larger data in it"
        )
    return raw


def _set(client: Client, name: str, value: dict[str, str], description: str) -> str:
    """Changes the secret, or makes it if there is none: "set" or "created"."""
    request = {"ClientRequestToken": str(uuid.uuid4()), **value}
    described = {"Description": description} if description else {}
    try:
        client.secret("UpdateSecret", {"SecretId": name, **request, **described})
    except Refused as refusal:
        if refusal.kind != "ResourceNotFoundException":
            raise
        client.secret("CreateSecret", {"Name": name, **request, **described})
        return "created"
    return "set"


@secrets.command(
    "list",
    cls=Verb,
    epilog="""\
Examples:
  isolet secrets list
  isolet secrets list --json | jq -r '.[].Name'
""",
)
@endpoint
@as_json
def list_(endpoint: str, as_json: bool) -> None:
    """List the secrets: their names, never their values."""
    with Client(endpoint) as client:
        found = list(_all(client))
    if as_json:
        console.say_json(found)
        return
    if not found:
        console.note("no secrets yet; `isolet secrets set NAME` makes one")
        return
    console.say_table(("name", "changed", "description"), (_row(secret) for secret in found))


def _all(client: Client) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        page = client.secret("ListSecrets", {"NextToken": token} if token else {})
        yield from page["SecretList"]
        token = page.get("NextToken", "")
        if not token:
            return


def _row(secret: dict[str, Any]) -> tuple[str, ...]:
    changed = time.strftime("%Y-%m-%d %H:%M", time.gmtime(secret["LastChangedDate"]))
    return secret["Name"], changed, secret.get("Description", "")


@secrets.command(
    cls=Verb,
    epilog="""\
Example:
  isolet secrets delete API_KEY
""",
)
@click.argument("name")
@endpoint
def delete(name: str, endpoint: str) -> None:
    """Delete a secret, at once and for good."""
    with Client(endpoint) as client:
        client.secret("DeleteSecret", {"SecretId": name, "ForceDeleteWithoutRecovery": True})
    console.say(f"{name} deleted")
