"""From a template to functions that answer: build, upload, wait, attach, and remove what is no longer asked for.

What a stack has is remembered by its functions' tags: `isolet-stack` is its name, `isolet-stack-made` what hangs on the
function. Tags say more than is there while a deployment is under way, never less.

Laws:
- Nothing is changed before the whole template was understood and everything in it was built.
- A function that is not of the stack is never touched: its name is refused.
- Deploying the same template twice changes nothing; deploying another one under the same name leaves what that one asks
  for. A deployment that fails stops where it is: the next one goes on from there.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CallerError, CompileFailed, InvalidParameter
from ..languages.package import Package, Step
from ..stack import sam
from ..stack.functions import STACK_TAG
from ..stack.plans import AttachedPlan, FunctionPlan, LayerPlan, LogGroupPlan, Plan, Results, RulePlan
from ..stack.sam import Unmapped
from ..stack.stack import Stack
from . import stack_logs, stack_rules
from .client import Client, Refused
from .deployment import DeploymentFailed, applied, existing_function, settled, sha256
from .stack_code import function_package, language_of, layer_package
from .stack_tags import is_made, made_tags, marks_of, normal
from .steps import Steps

# Where several attached things go, an alias goes after what hangs on it.
_REMOVED_LAST = "alias"


class StackFailed(CallerError):
    """A resource could not be deployed; the message names it, and is the server's."""


@dataclass(frozen=True, slots=True)
class Made:
    """A function or layer version of the stack, as it is now."""

    id: str
    name: str
    arn: str
    what: str  # "created", "updated", "unchanged"


@dataclass(slots=True)
class StackDeployed:
    functions: list[Made] = field(default_factory=list)
    layers: list[Made] = field(default_factory=list)
    schedules: list[Made] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)  # by the id of the function or its alias
    routes: list[str] = field(default_factory=list)  # "GET http://…"
    removed: list[str] = field(default_factory=list)  # names of functions
    outputs: dict[str, Any] = field(default_factory=dict)
    unmapped: tuple[Unmapped, ...] = ()
    warnings: list[str] = field(default_factory=list)


class StackDeployment:
    """One deployment of one stack. Use it once."""

    def __init__(self, stack: Stack, base: Path, client: Client, steps: Steps) -> None:
        self._stack = stack
        self._base = base
        self._client = client
        self._steps = steps
        self._results: Results = {}
        self._done = StackDeployed(unmapped=stack.report.unmapped)
        self._plans: Mapping[str, Plan] = {id: stack.plan(id) for id in stack.order}
        self._packages: dict[str, Package | None] = {}
        self._contents: dict[str, bytes | None] = {}
        self._existing: dict[str, dict[str, Any] | None] = {}

    def deploy(self) -> StackDeployed:
        """Raises TemplateInvalid, CompileFailed, ToolchainMissing, PayloadTooLarge, StackFailed, Unreachable."""
        functions = [plan for plan in self._plans.values() if isinstance(plan, FunctionPlan)]
        for plan in functions:
            self._existing[plan.id] = self._mine(plan)
        self._refuse_foreign_rules()
        for each in self._plans.values():
            self._build(each)
        for id in self._stack.order:
            plan_now = self._stack.plan(id, self._results)
            with _named(id):
                self._deploy(plan_now)
        for plan in functions:
            with _named(plan.id):
                self._prune(plan)
        self._remove_others({plan.name for plan in functions})
        self._steps.end()
        self._done.outputs = self._stack.outputs(self._results)
        self._done.warnings += self._stack.report.warnings
        return self._done

    def _mine(self, plan: FunctionPlan) -> dict[str, Any] | None:
        """What there is of a function. Raises StackFailed for one that is not of this stack."""
        existing = existing_function(self._client, plan.name)
        if existing is not None and existing.get("Tags", {}).get(STACK_TAG) != self._stack.name:
            raise StackFailed(
                f"Resources.{plan.id}: {plan.name} already exists and is not of the stack {self._stack.name}; give "
                f"another FunctionName, or the stack's name with --stack, or delete it first"
            )
        return existing

    def _refuse_foreign_rules(self) -> None:
        for plan in self._plans.values():
            if isinstance(plan, RulePlan) and stack_rules.is_foreign(self._client, plan.name, self._stack.name):
                raise StackFailed(
                    f"Resources.{plan.id}: the rule {plan.name} already exists and is not of the stack "
                    f"{self._stack.name}; give another Name, or delete it first"
                )

    def _build(self, plan: Plan) -> None:
        def progress(step: Step) -> None:
            self._steps.begin(f"{plan.id}: {step.phase}")
            self._steps.advance(step.done_bytes, step.total_bytes)

        with _named(plan.id):
            if isinstance(plan, FunctionPlan):
                package = self._packages[plan.id] = function_package(plan, self._base, progress)
                if package is not None and package.warnings:
                    self._done.warnings.append(f"Resources.{plan.id}: {package.warnings}")
            elif isinstance(plan, LayerPlan):
                self._contents[plan.id] = layer_package(plan, self._base, progress)

    def _deploy(self, plan: Plan) -> None:
        if isinstance(plan, FunctionPlan):
            self._function(plan)
        elif isinstance(plan, LayerPlan):
            self._layer(plan)
        elif isinstance(plan, LogGroupPlan):
            stack_logs.put(self._client, plan, self._stack.name)
        elif isinstance(plan, RulePlan):
            self._steps.begin(f"{plan.id}: schedule")
            arn, what = stack_rules.put(self._client, plan, self._stack.name)
            self._done.schedules.append(Made(plan.id, plan.name, arn, what))
        else:
            self._steps.begin(f"{plan.id}: attach")
            _ATTACH[plan.kind](self, plan)

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────────

    def _function(self, plan: FunctionPlan) -> None:
        existing = self._existing[plan.id]
        marks = self._marks(plan.name)
        tags = normal({"isolet:language": language_of(plan), **plan.tags})
        self._steps.begin(f"{plan.id}: upload")
        if existing is None:
            body = {
                **plan.configuration,
                "FunctionName": plan.name,
                "Architectures": list(plan.architectures),
                "Code": self._code(plan),
                "Tags": {**tags, **made_tags(marks)},
            }
            self._client.create(body)
            settled(self._client, plan.name, self._steps)
            what = "created"
        else:
            marks |= marks_of(existing.get("Tags", {}))
            changes = self._changes(plan, existing, {**tags, **made_tags(marks)})
            applied(changes, self._client, plan.name, self._steps)
            what = "updated" if changes else "unchanged"
        self._reserve(plan, existing)
        arn = self._client.configuration(plan.name)["FunctionArn"]
        self._done.functions.append(Made(plan.id, plan.name, arn, what))

    def _code(self, plan: FunctionPlan) -> dict[str, str]:
        package = self._packages[plan.id]
        return dict(plan.code.s3) if package is None else {"ZipFile": base64.b64encode(package.zip).decode("ascii")}

    def _changes(
        self, plan: FunctionPlan, existing: Mapping[str, Any], tags: Mapping[str, str]
    ) -> list[Callable[[], None]]:
        name, present, package = plan.name, existing["Configuration"], self._packages[plan.id]

        def change_code() -> None:
            self._client.change_code(name, {**self._code(plan), "Architectures": list(plan.architectures)})

        def change_configuration() -> None:
            self._client.update_configuration(name, plan.configuration)

        changes: list[Callable[[], None]] = []
        same_code = package is not None and present["CodeSha256"] == sha256(package.zip)
        if not same_code or present["Architectures"] != list(plan.architectures) or present.get("State") == "Failed":
            changes.append(change_code)
        if not _within(plan.configuration, _as_asked(present)):
            changes.append(change_configuration)
        if existing.get("Tags", {}) != tags:
            changes.append(lambda: self._retag(name, present["FunctionArn"], tags))
        return changes

    def _retag(self, name: str, arn: str, tags: Mapping[str, str]) -> None:
        present = self._client.get(name).get("Tags", {})
        if given := {key: value for key, value in tags.items() if present.get(key) != value}:
            self._client.tag(arn, given)
            settled(self._client, name, self._steps)
        if removed := [key for key in present if key not in tags]:
            self._client.untag(arn, removed)
            settled(self._client, name, self._steps)

    def _reserve(self, plan: FunctionPlan, existing: Mapping[str, Any] | None) -> None:
        present = ((existing or {}).get("Concurrency") or {}).get("ReservedConcurrentExecutions")
        if plan.reserved is None and present is not None:
            self._client.unreserve(plan.name)
        elif plan.reserved is not None and plan.reserved != present:
            self._client.reserve(plan.name, plan.reserved)

    # ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _layer(self, plan: LayerPlan) -> None:
        content = self._contents[plan.id]
        newest = next(self._client.layer_versions(plan.name), None)
        if newest is not None and content is not None and self._is_same(plan, content, newest):
            arn, what = newest["LayerVersionArn"], "unchanged"
        else:
            self._steps.begin(f"{plan.id}: upload")
            sent = dict(plan.code.s3) if content is None else {"ZipFile": base64.b64encode(content).decode("ascii")}
            arn = self._client.publish_layer(plan.name, {**plan.body, "Content": sent})["LayerVersionArn"]
            what = "created" if newest is None else "updated"
        self._results[plan.id] = {"": arn, "LayerVersionArn": arn, "Arn": arn}
        self._done.layers.append(Made(plan.id, plan.name, arn, what))

    def _is_same(self, plan: LayerPlan, content: bytes, newest: Mapping[str, Any]) -> bool:
        wanted = {"CompatibleRuntimes": None, "CompatibleArchitectures": None, "LicenseInfo": None, **plan.body}
        wanted.setdefault("Description", "")
        if any((newest.get(member) or None) != (value or None) for member, value in wanted.items()):
            return False
        kept = self._client.layer_version(plan.name, newest["Version"])
        return bool(kept["Content"]["CodeSha256"] == sha256(content))

    # ── what hangs on functions ─────────────────────────────────────────────────────────────────────────────────

    def _version(self, plan: AttachedPlan) -> None:
        """Lambda publishes a new one only if code or configuration are not those of the latest."""
        published = self._client.publish(plan.function, plan.body)
        arn = published["FunctionArn"]
        self._results[plan.id] = {"": arn, "FunctionArn": arn, "Version": published["Version"]}

    def _alias(self, plan: AttachedPlan) -> None:
        self._client.put_alias(plan.function, plan.name, plan.body)

    def _url(self, plan: AttachedPlan) -> None:
        made = self._client.put_url(plan.function, plan.qualifier, plan.body)
        self._results[plan.id] = {
            "": made["FunctionArn"],
            "FunctionArn": made["FunctionArn"],
            "FunctionUrl": made["FunctionUrl"],
        }
        self._done.urls[plan.id] = made["FunctionUrl"]

    def _event_invoke(self, plan: AttachedPlan) -> None:
        self._client.put_event_invoke(plan.function, plan.qualifier, plan.body)

    def _permission(self, plan: AttachedPlan) -> None:
        with _perhaps_gone():
            self._client.forbid(plan.function, plan.qualifier, plan.name)
        self._client.permit(plan.function, plan.qualifier, {"StatementId": plan.name, **plan.body})

    def _marks(self, function: str) -> set[str]:
        """What the template hangs on a function."""
        attached = (plan for plan in self._plans.values() if isinstance(plan, AttachedPlan))
        return {plan.mark for plan in attached if plan.function == function and plan.mark}

    # ── what is no longer asked for ─────────────────────────────────────────────────────────────────────────────

    def _prune(self, plan: FunctionPlan) -> None:
        """Removes what an earlier template hung on the function, and forgets it."""
        existing = self._existing[plan.id]
        if existing is None:
            return
        wanted = self._marks(plan.name)
        surplus = marks_of(existing.get("Tags", {})) - wanted
        for mark in sorted(surplus, key=lambda mark: (mark.startswith(_REMOVED_LAST), mark)):
            kind, qualifier, name = mark.split("/")
            with _perhaps_gone():
                _REMOVE[kind](self._client, plan.name, qualifier, name)
        if surplus:
            tags = {key: value for key, value in self._client.get(plan.name)["Tags"].items() if not is_made(key)}
            self._retag(plan.name, existing["Configuration"]["FunctionArn"], {**tags, **made_tags(wanted)})

    def _remove_others(self, wanted: set[str]) -> None:
        groups = {plan.name for plan in self._plans.values() if isinstance(plan, LogGroupPlan)}
        for name in list(stack_logs.groups_of(self._client, self._stack.name)):
            if name not in groups:
                stack_logs.forget(self._client, name)
        rules = {plan.name for plan in self._plans.values() if isinstance(plan, RulePlan)}
        for name in list(stack_rules.rules_of(self._client, self._stack.name)):
            if name not in rules:
                stack_rules.remove(self._client, name)
                self._done.removed.append(name)
        for name in list(functions_of(self._client, self._stack.name)):
            if name not in wanted:
                self._steps.begin(f"remove {name}")
                with _perhaps_gone():
                    self._client.delete(name)
                self._done.removed.append(name)


_ATTACH: Mapping[str, Callable[[StackDeployment, AttachedPlan], None]] = {
    sam.VERSION: StackDeployment._version,
    sam.ALIAS: StackDeployment._alias,
    sam.URL: StackDeployment._url,
    sam.EVENT_INVOKE: StackDeployment._event_invoke,
    sam.PERMISSION: StackDeployment._permission,
}
# By the first part of a mark: (client, function, qualifier, name).
_REMOVE: Mapping[str, Callable[[Client, str, str, str], None]] = {
    "alias": lambda client, function, _, name: client.delete_alias(function, name),
    "url": lambda client, function, qualifier, _: client.delete_url(function, qualifier),
    "event": lambda client, function, qualifier, _: client.delete_event_invoke(function, qualifier),
    "permission": lambda client, function, qualifier, name: client.forbid(function, qualifier, name),
}


def removed(stack: Stack, client: Client, steps: Steps) -> list[str]:
    """Removes the stack's schedules, its functions with all that hangs on them, and the versions of the layers that the
    template has now, unless it retains them. Answers their names. Raises Refused, Unreachable."""
    for name in list(stack_logs.groups_of(client, stack.name)):
        stack_logs.forget(client, name)
    rules = list(stack_rules.rules_of(client, stack.name))
    for name in rules:
        steps.begin(f"remove {name}")
        stack_rules.remove(client, name)
    names = list(functions_of(client, stack.name))
    for name in names:
        steps.begin(f"remove {name}")
        with _perhaps_gone():
            client.delete(name)
    for plan in map(stack.plan, stack.order):
        if not isinstance(plan, LayerPlan) or plan.retained:
            continue
        versions = list(client.layer_versions(plan.name))
        for version in versions:
            steps.begin(f"remove {plan.name}:{version['Version']}")
            client.delete_layer_version(plan.name, version["Version"])
        names += [plan.name] if versions else []
    steps.end()
    return [*rules, *names]


def functions_of(client: Client, stack: str) -> Iterator[str]:
    """The names of a stack's functions."""
    for listed in client.functions():
        with _perhaps_gone():
            if client.get(listed["FunctionName"]).get("Tags", {}).get(STACK_TAG) == stack:
                yield listed["FunctionName"]


# ── configurations ─────────────────────────────────────────────────────────────────────────────────────


def _as_asked(present: Mapping[str, Any]) -> dict[str, Any]:
    """A function's configuration in the members of a request that asks for it."""
    return {
        "Environment": {"Variables": {}},
        "DeadLetterConfig": {"TargetArn": ""},
        **present,
        "Layers": [layer["Arn"] for layer in present.get("Layers") or []],
    }


def _within(wanted: Any, present: Any) -> bool:
    """Whether what is wanted is there; an answer may say more."""
    if not isinstance(wanted, dict) or not isinstance(present, dict):
        return bool(wanted == present)
    if "Variables" in wanted:
        return wanted == present
    return all(name in present and _within(value, present[name]) for name, value in wanted.items())


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _named(id: str) -> Iterator[None]:
    """What fails within is said with the resource's id."""
    try:
        yield
    except CompileFailed as error:
        raise CompileFailed(f"Resources.{id}: {error.message}", error.output) from None
    except (Refused, DeploymentFailed, InvalidParameter) as error:
        raise StackFailed(f"Resources.{id}: {error.message}") from None


@contextlib.contextmanager
def _perhaps_gone() -> Iterator[None]:
    """Somebody else may have removed it already."""
    try:
        yield
    except Refused as refusal:
        if refusal.answered != 404:
            raise
