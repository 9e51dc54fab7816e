"""`isolet deploy`: a directory becomes a function that answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..limits import FUEL_DEFAULT
from . import console
from .client import ENDPOINT, Client
from .deployment import Deployed, deployed
from .options import Verb, as_json, endpoint
from .steps import Steps


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet deploy hello                   the directory with function.toml in it
  isolet deploy . --endpoint http://edge-7:8080
  isolet deploy hello --json | jq .snapshot.imageBytes
""",
)
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@endpoint
@as_json
def deploy(directory: Path, endpoint: str, as_json: bool) -> None:
    """Build the function in DIRECTORY and deploy it.

    Compiles it (the first build of a language installs its compiler), uploads it, and waits until its snapshot is
    made and every worker serves it. What exists is changed, and serves its former version until the new one is there.
    """
    with Client(endpoint) as client, Steps() as steps:
        result = deployed(directory, client, steps)
    if as_json:
        console.say_json(as_plain(result))
    else:
        show(result, endpoint)


def show(result: Deployed, endpoint: str) -> None:
    """What was deployed, for people."""
    settings, snapshot = result.settings, result.snapshot
    console.say(f"{result.name} {result.what}", "bold")
    # The default is beyond any timeout: saying it would look like a choice.
    fuel = "" if settings.fuel == FUEL_DEFAULT else f", {console.whole(settings.fuel)} fuel"
    rows: dict[str, str | list[str]] = {
        **_code(result),
        "snapshot": _snapshot(snapshot),
        "limits": f"{settings.memory_mb} MB, {settings.timeout_s:g} s{fuel}",
    }
    if result.urls:
        rows["urls"] = list(result.urls)
    elsewhere = "" if endpoint in (ENDPOINT, os.environ.get("ISOLET_ENDPOINT")) else f" --endpoint {endpoint}"
    rows["invoke"] = f"isolet invoke {result.name}{elsewhere} -d '{{}}'"
    console.pairs(rows)
    if result.compiler_warnings:
        console.note(result.compiler_warnings)
    for warning in snapshot["warnings"]:
        console.warn(warning)


def _code(result: Deployed) -> dict[str, str]:
    """The module, or the source where an interpreter runs it."""
    language, built = result.settings.language, console.seconds(result.build_s)
    if result.module_bytes:
        return {"module": f"{console.size(result.module_bytes)}, {language}, built in {built}"}
    return {"package": f"{console.size(result.package_bytes)}, {language}, {result.settings.runtime}"}


def _snapshot(snapshot: dict[str, Any]) -> str:
    if snapshot["frozen"]:
        what = f"{console.size(snapshot['imageBytes'])} of memory"
    else:
        what = "none: it initialises in every invocation"
    artifact = console.size(snapshot["artifactBytes"])
    return f"{what}, {artifact} stored, made in {console.seconds(snapshot['buildS'])}"


def as_plain(result: Deployed) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "name": result.name,
        "arn": result.arn,
        "what": result.what,
        "language": result.settings.language,
        "moduleBytes": result.module_bytes,
        "packageBytes": result.package_bytes,
        "buildS": round(result.build_s, 6),
        "snapshot": result.snapshot,
        "compilerWarnings": result.compiler_warnings,
        "urls": list(result.urls),
    }
