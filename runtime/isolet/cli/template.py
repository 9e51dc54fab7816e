"""`isolet deploy TEMPLATE`: the options of a stack, and what was made of it for people and for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from .. import limits
from ..errors import TemplateInvalid
from ..manifest import FILE
from ..stack.plans import FunctionPlan
from ..stack.sam import Unmapped
from ..stack.stack import NAME, Stack
from ..template import read
from . import console
from .client import Client
from .options import FAILED
from .stack import StackDeployed, StackDeployment, removed
from .steps import Steps

# In this order, in a directory without a function.toml.
NAMES = ("template.yaml", "template.yml", "template.json")
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Options:
    parameters: tuple[str, ...]
    stack: str | None
    strict: bool
    delete: bool

    def for_stacks(self) -> str:
        """The option that only a template takes; "" if none was given."""
        given = {
            "--parameter": self.parameters,
            "--stack": self.stack,
            "--strict": self.strict,
            "--delete": self.delete,
        }
        return next((name for name, value in given.items() if value), "")


def template_of(path: Path) -> Path | None:
    """The template that a path names; None if it names a function's directory. Raises UsageError."""
    if path.is_file():
        if path.suffix not in _SUFFIXES:
            raise click.UsageError(f"{path} is neither a directory nor a template (.yaml, .yml, .json)")
        return path
    if (path / FILE).exists():
        return None
    return next((path / name for name in NAMES if (path / name).is_file()), None)


def deploy_template(ctx: click.Context, template: Path, options: Options, endpoint: str, as_json: bool) -> None:
    """Deploys or deletes the stack, and says what came of it."""
    name = _stack_name(template, options.stack)
    parameters = _parameters(options.parameters)
    with Client(endpoint) as client, Steps() as steps:
        stack = Stack(
            _read(template), parameters, name, client.account(name[: limits.FUNCTION_NAME_CHARS_MAX]), client.endpoint
        )
        if options.delete:
            names = removed(stack, client, steps)
        elif options.strict and stack.report.unmapped:
            _refuse(stack.report.unmapped)
            ctx.exit(FAILED)
        else:
            done = StackDeployment(stack, template.parent, client, steps).deploy()
            done.routes = routes_of(stack, client.endpoint)
    if options.delete:
        _show_deleted(name, names, as_json)
    elif as_json:
        console.say_json(_as_plain(name, done))
    else:
        _show(name, done)


def routes_of(stack: Stack, endpoint: str) -> list[str]:
    """Where the functions' routes are served: "GET http://…"."""
    plans = [plan for plan in map(stack.plan, stack.order) if isinstance(plan, FunctionPlan)]
    routes = [route for plan in plans for route in json.loads(plan.tags.get("isolet:routes", "[]"))]
    return [f"{method} {endpoint}{path}" for method, _, path in (route.partition(" ") for route in routes)]


def _read(template: Path) -> dict[str, Any]:
    try:
        return read(template.read_text(encoding="utf-8"))
    except TemplateInvalid as error:
        raise TemplateInvalid(f"{template}: {error.message}") from None
    except UnicodeDecodeError as error:
        raise TemplateInvalid(f"{template}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise TemplateInvalid(f"{template}: {error.strerror or error}; make it a readable file") from None


def _stack_name(template: Path, given: str | None) -> str:
    if given is None:
        return _from_directory(template)
    if not NAME.fullmatch(given):
        raise click.UsageError(f"--stack {given!r} is no name: use letters, digits and -, a letter first")
    return given


def _from_directory(template: Path) -> str:
    directory = template.resolve().parent.name
    name = re.sub(r"[^A-Za-z0-9]+", "-", directory).strip("-")
    if not NAME.fullmatch(name):
        raise click.UsageError(f"the directory {directory!r} gives no name of a stack; name it with --stack")
    return name


def _parameters(given: Iterable[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--parameter {text!r} is not of the form NAME=VALUE")
        parameters[name] = value
    return parameters


# ── saying ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse(unmapped: tuple[Unmapped, ...]) -> None:
    for each in unmapped:
        console.fail(f"{each.path}: {each.what} is not mapped: {each.reason}")


def _show_deleted(name: str, names: list[str], as_json: bool) -> None:
    if as_json:
        console.say_json({"stack": name, "deleted": names})
    elif not names:
        console.say(f"{name} has nothing that could be deleted")
    else:
        console.say(f"{name} deleted", "bold")
        console.pairs({"deleted": names})


def _show(name: str, done: StackDeployed) -> None:
    console.say(f"{name} deployed", "bold")
    rows: dict[str, str | list[str]] = {}
    if done.layers:
        rows["layers"] = [f"{each.name} {each.what}" for each in done.layers]
    rows["functions"] = [f"{each.name} {each.what}" for each in done.functions]
    if done.schedules:
        rows["schedules"] = [f"{each.name} {each.what}" for each in done.schedules]
    if done.removed:
        rows["removed"] = done.removed
    if done.routes:
        rows["routes"] = done.routes
    if done.urls:
        rows["urls"] = list(done.urls.values())
    if done.outputs:
        rows["outputs"] = [f"{key} = {_text(value)}" for key, value in done.outputs.items()]
    console.pairs(rows)
    for warning in done.warnings:
        console.warn(warning)
    for each in done.unmapped:
        console.warn(f"{each.path}: {each.what} is not mapped: {each.reason}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_plain(name: str, done: StackDeployed) -> dict[str, Any]:
    return {
        "stack": name,
        "functions": [asdict(each) for each in done.functions],
        "layers": [asdict(each) for each in done.layers],
        "schedules": [asdict(each) for each in done.schedules],
        "removed": done.removed,
        "routes": done.routes,
        "urls": done.urls,
        "outputs": done.outputs,
        "warnings": done.warnings,
        "notMapped": [each._asdict() for each in done.unmapped],
    }
