"""`isolet deploy`: a directory becomes a function that answers, a template several."""

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
from .template import Options, deploy_template, template_of


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet deploy hello                   the directory with function.toml in it
  isolet deploy . --endpoint http://edge-7:8080
  isolet deploy hello --json | jq .snapshot.imageBytes
  isolet deploy template.yaml           AWS SAM or CloudFormation: all its functions
  isolet deploy template.yaml --parameter Stage=prod --stack shop
  isolet deploy template.yaml --strict  fails if anything in it is not mapped, and changes nothing
  isolet deploy template.yaml --stack shop --delete
""",
)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--parameter",
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template; may be repeated.",
)
@click.option("--stack", metavar="NAME", help="What the template's functions are kept as.  [default: its directory]")
@click.option("--strict", is_flag=True, help="Refuse a template of which something is not mapped.")
@click.option("--delete", is_flag=True, help="Remove what the template made.")
@endpoint
@as_json
@click.pass_context
def deploy(
    ctx: click.Context,
    path: Path,
    parameters: tuple[str, ...],
    stack: str | None,
    strict: bool,
    delete: bool,
    endpoint: str,
    as_json: bool,
) -> None:
    """Build the function in the directory PATH, or the functions of the template PATH, and deploy.

    Compiles (the first build of a language installs its compiler), uploads, and waits until snapshots are made and
    every worker serves them. What exists is changed, and serves its former version until the new one is there.

    A template is one of AWS SAM or CloudFormation: a .yaml, .yml or .json, or a directory with a template.yaml and no
    function.toml. What was deployed from it before and is no longer in it is removed. What isolet cannot map is named.
    """
    options = Options(parameters, stack, strict, delete)
    if template := template_of(path):
        deploy_template(ctx, template, options, endpoint, as_json)
        return
    if only := options.for_stacks():
        raise click.UsageError(f"{only} is for templates, and {path} is a function's directory")
    with Client(endpoint) as client, Steps() as steps:
        result = deployed(path, client, steps)
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
