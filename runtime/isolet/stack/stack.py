"""A template as what is to be deployed: its functions, layers, and what is attached to functions.

Laws:
- Pure. A stack with the same name, template, parameters and account asks for the same names and the same requests.
- Everything is checked before anything is deployed: `plan` without results puts placeholders where only a server knows
  (the version of a layer, the number of a version, the id of a URL); with them, it says what they are.
- `order` puts what gives such a result before what needs it; a circle is refused.

Surprises: a resource that is not mapped still has a name, so that `!Ref Table` in an environment is what the table
would be called. The URL of an API is the server's endpoint: routes are served there, without a stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import TemplateInvalid
from ..model import REGION, function_arn
from ..template import Evaluator, as_text, chosen
from . import elsewhere, functions, sam, schedules
from .attached import BODIES
from .members import Members
from .plans import AttachedPlan, Plan, Results, RulePlan
from .report import Report
from .sam import Resource, expanded

# Precedent: CloudFormation's names of stacks.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}", re.ASCII)
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9-_]{1,64}", re.ASCII)


_APIS = frozenset({sam.REST_API, sam.HTTP_API})
# What only a server knows.
_LATE = frozenset({sam.LAYER, sam.VERSION, sam.URL})
# What is made, in this order where nothing else decides.
_ORDER = (
    sam.LOG_GROUP,
    sam.LAYER,
    sam.FUNCTION,
    sam.VERSION,
    sam.ALIAS,
    sam.URL,
    sam.EVENT_INVOKE,
    sam.PERMISSION,
    sam.RULE,
)


class Stack:
    def __init__(
        self, template: Mapping[str, Any], given: Mapping[str, str], name: str, account: str, endpoint: str
    ) -> None:
        """`endpoint` is where routes are served. Raises TemplateInvalid."""
        self.name = name
        self._account = account
        self._endpoint = endpoint
        parameters = chosen(template, given)
        # Where SAM's resources become CloudFormation's, only parameters are known.
        self._template = template
        evaluator = Evaluator(template, parameters, name, account, self._attribute)
        self._resources, found = expanded(template, evaluator)
        self._template = {**template, "Resources": {**self._resources, **self._spoken()}}
        self._evaluator = Evaluator(self._template, parameters, name, account, self._attribute)
        self._results: Results = {}
        self._names: dict[str, str] = {}
        self._naming: list[str] = []
        self._asked: set[str] = set()
        self.report = Report(found)
        self.order = self._ordered()

    # ── what there is ───────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, id: str, results: Results | None = None) -> Plan:
        """What is to be deployed for a resource of `order`; `results` are those of the ones before. Raises
        TemplateInvalid."""
        self._results = results or {}
        resource = self._resources[id]
        return self._planned(resource, Members(self._value(resource.properties, resource.path), resource.path))

    def outputs(self, results: Results) -> dict[str, Any]:
        """The template's outputs by name. Raises TemplateInvalid."""
        self._results = results
        outputs: dict[str, Any] = {}
        for name, output in (self._template.get("Outputs") or {}).items():
            path = f"Outputs.{name}"
            if not isinstance(output, dict) or "Value" not in output:
                raise TemplateInvalid(f"{path}: an output is a map with a Value")
            if output.get("Condition") is None or self._evaluator.condition(output["Condition"], path):
                outputs[str(name)] = self._value(output["Value"], f"{path}.Value")
        return outputs

    def _present(self) -> Iterator[Resource]:
        for resource in self._resources.values():
            if self._is_present(resource):
                yield resource

    def _is_present(self, resource: Resource) -> bool:
        if resource.condition is None:
            return True
        return self._evaluator.condition(resource.condition, f"Resources.{resource.id}.Condition")

    def _ordered(self) -> tuple[str, ...]:
        """Plans everything once, with placeholders, and sees who asks for whose results."""
        needs: dict[str, set[str]] = {}
        for resource in self._present():
            if _is_planned(resource):
                self._asked = set()
                plan = self.plan(resource.id)
                needs[resource.id] = self._asked | self._owners(plan)
            elif resource.type in _APIS:
                self._api_misses(resource)
            elif resource.type == sam.RULE:
                self.report.miss(f"Resources.{resource.id}", resource.type, "rules fire by a schedule only")
            elif resource.type != sam.ROLE and not resource.type.startswith(("AWS::IAM::", "AWS::CloudFormation::")):
                self.report.miss(f"Resources.{resource.id}", resource.type)
        waiting = sorted(needs, key=lambda id: _ORDER.index(self._resources[id].type))
        done: list[str] = []
        while waiting:
            ready = [id for id in waiting if needs[id] <= set(done)]
            if not ready:
                raise TemplateInvalid(f"Resources: Circular dependency between resources: [{', '.join(waiting)}]")
            done.append(ready[0])
            waiting.remove(ready[0])
        return tuple(done)

    def _owners(self, plan: Plan) -> set[str]:
        """The function that something hangs on, and its alias."""
        if not isinstance(plan, AttachedPlan):
            return set()
        owner = next(
            id
            for id, resource in self._resources.items()
            if resource.type == sam.FUNCTION and self._name(resource) == plan.function
        )
        aliases = {
            resource.id
            for resource in self._present()
            if resource.type == sam.ALIAS
            and resource.id != plan.id
            and plan.qualifier
            and as_text(self._value(resource.properties.get("Name"), resource.path)) == plan.qualifier
        }
        return {owner} | aliases

    # ── references ──────────────────────────────────────────────────────────────────────────────────────────────

    def _spoken(self) -> dict[str, Resource]:
        """`!Ref Hello.Alias` and `!Ref Hello.Version`, as SAM knows them."""
        spoken = {}
        for resource in self._resources.values():
            if resource.generated and resource.type in (sam.ALIAS, sam.VERSION):
                kind = resource.type.rpartition("::")[2]
                owner = resource.properties["FunctionName"]["Ref"]
                spoken[f"{owner}.{kind}"] = resource
        return spoken

    def _value(self, written: Any, path: str) -> Any:
        return self._with_endpoint(self._evaluator.value(written, path))

    def _attribute(self, id: str, attribute: str, path: str) -> str:
        """OfResource. Raises TemplateInvalid."""
        resources = self._template["Resources"]
        if f"{id}.{attribute}" in resources:
            id, attribute = f"{id}.{attribute}", ""
        resource = resources[id]
        if not isinstance(resource, Resource):
            raise TemplateInvalid(f"{path}: only parameters are known here, not {id}")
        known = self._attributes(resource)
        if attribute not in known:
            has = ", ".join(name for name in known if name) or "none"
            raise TemplateInvalid(f"{path}: {id} ({resource.type}) has no attribute {attribute!r} here; known: {has}")
        if not self._is_present(resource):
            raise TemplateInvalid(f"{path}: {id} is not there: its condition is false")
        if resource.type in _LATE:
            self._asked.add(resource.id)
            return self._results.get(resource.id, {}).get(attribute, known[attribute])
        return known[attribute]

    def _attributes(self, resource: Resource) -> Mapping[str, str]:
        kind, name = resource.type, self._name(resource)
        if kind == sam.FUNCTION:
            return {"": name, "Arn": self._arn(name)}
        if kind == sam.LAYER:
            arn = f"arn:aws:lambda:{REGION}:{self._account}:layer:{name}:1"
            return {"": arn, "LayerVersionArn": arn, "Arn": arn}
        if kind in (sam.VERSION, sam.ALIAS, sam.URL):
            return self._attributes_on_function(resource)
        if kind in _APIS:
            return {"": name, "ApiEndpoint": self._endpoint, "ApiId": name, "RootResourceId": "root", "Stage": "Prod"}
        return elsewhere.attributes(kind, name, self._account)

    def _attributes_on_function(self, resource: Resource) -> Mapping[str, str]:
        member = "TargetFunctionArn" if resource.type == sam.URL else "FunctionName"
        function, _ = self._function_of(self._value(resource.properties.get(member), resource.path), resource.path)
        arn = self._arn(function)
        if resource.type == sam.VERSION:
            return {"": f"{arn}:1", "FunctionArn": f"{arn}:1", "Version": "1"}
        if resource.type == sam.ALIAS:
            alias = f"{arn}:{as_text(self._value(resource.properties.get('Name'), resource.path))}"
            return {"": alias, "AliasArn": alias}
        return {"": arn, "FunctionArn": arn, "FunctionUrl": f"{self._endpoint}/"}

    def _arn(self, function: str) -> str:
        return function_arn(self._account, function)

    _NAME_MEMBERS: Mapping[str, str] = {
        sam.LAYER: "LayerName",
        sam.ROLE: "RoleName",
        sam.RULE: "Name",
        sam.HTTP_API: "",
        sam.REST_API: "",
    }

    def _name(self, resource: Resource) -> str:
        """What it is called: as the template says, or after the stack. Raises TemplateInvalid."""
        if resource.id in self._names:
            return self._names[resource.id]
        if resource.type in _APIS:
            return resource.id.lower()
        last = resource.type.rpartition("::")[2]
        member = self._NAME_MEMBERS.get(resource.type, f"{last}Name")
        path = f"{resource.path}.{member}"
        written = resource.properties.get(member)
        if resource.id in self._naming:
            raise TemplateInvalid(f"{path}: it needs its own name")
        self._naming.append(resource.id)
        try:
            value = self._evaluator.value(written, path)
        finally:
            self._naming.pop()
        if isinstance(value, dict | list):
            raise TemplateInvalid(f"{path}: this is a text")
        name = f"{self.name}-{resource.id}" if value is None else as_text(value)
        if resource.type == sam.FUNCTION and not _FUNCTION_NAME.fullmatch(name):
            raise TemplateInvalid(
                f"{path}: {name!r} is no name of a function; give a FunctionName of at most 64 letters, digits, - and _"
            )
        self._names[resource.id] = name
        if resource.type == sam.FUNCTION and (twin := self._twin(resource, name)):
            raise TemplateInvalid(f"{path}: {name!r} is the name of {twin} too")
        return name

    def _twin(self, resource: Resource, name: str) -> str:
        """The id of another function that is there under the same name; "" if none is."""
        if not self._is_present(resource):
            return ""
        return next(
            (
                other.id
                for other in self._resources.values()
                if other.type == sam.FUNCTION
                and other.id != resource.id
                and self._names.get(other.id) == name
                and self._is_present(other)
            ),
            "",
        )

    def _function_of(self, said: Any, path: str) -> tuple[str, str]:
        """(name, qualifier) that a name or an ARN means. It has to be of this template. Raises TemplateInvalid."""
        text = "" if said is None or isinstance(said, dict | list) else as_text(said)
        prefix = self._arn("")
        name, _, qualifier = text.removeprefix(prefix).partition(":")
        mine = {self._name(each) for each in self._present() if each.type == sam.FUNCTION}
        if name not in mine:
            raise TemplateInvalid(f"{path}: {text!r} is no function of this template; name one by !Ref or !GetAtt")
        return name, qualifier

    def _with_endpoint(self, value: Any) -> Any:
        """`value` with the URLs of APIs made the server's: those of AWS lead nowhere."""
        if isinstance(value, list):
            return [self._with_endpoint(item) for item in value]
        if isinstance(value, dict):
            return {key: self._with_endpoint(item) for key, item in value.items()}
        if not isinstance(value, str) or ".execute-api." not in value:
            return value
        for resource in self._resources.values():
            if resource.type not in _APIS:
                continue
            stage = as_text(self._evaluator.value(resource.properties.get("StageName"), resource.path) or "$default")
            host = rf"https?://{re.escape(self._name(resource))}\.execute-api\.[a-z0-9-]+\.[a-z.]+[a-z]"
            found = re.compile(rf"{host}(?:/{re.escape(stage)}(?=/|$))?")
            if found.search(value):
                value = found.sub(lambda _: self._endpoint, value)
                # API Gateway takes a slash at the end of a path for nothing; a route here is exact.
                return value if value == f"{self._endpoint}/" else value.removesuffix("/")
        return value

    # ── plans ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _planned(self, resource: Resource, given: Members) -> Plan:
        if resource.type == sam.FUNCTION:
            plan: Plan = functions.function(resource, given, self._name(resource), self.name, self.report)
        elif resource.type == sam.LAYER:
            plan = functions.layer(resource, given, self._name(resource))
        elif resource.type == sam.LOG_GROUP:
            plan = functions.log_group(resource, given, self._name(resource))
        elif resource.type == sam.RULE:
            plan = self._rule(resource, given)
        else:
            plan = self._attached(resource, given)
        for name in given.unread():
            self.report.miss(given.at(name), name)
        return plan

    def _rule(self, resource: Resource, given: Members) -> RulePlan:
        given.ignore("Name")
        body, targets = schedules.rule(given, lambda members, name: self.report.miss(members.at(name), name))
        return RulePlan(resource.id, resource.path, self._name(resource), body, targets)

    def _attached(self, resource: Resource, given: Members) -> AttachedPlan:
        member = "TargetFunctionArn" if resource.type == sam.URL else "FunctionName"
        function, qualifier = self._function_of(given.get(member), given.at(member))
        qualifier = given.text("Qualifier", qualifier)
        name, body = BODIES[resource.type](resource.id, given)
        return AttachedPlan(
            id=resource.id,
            kind=resource.type,
            path=resource.path,
            function=function,
            qualifier="" if qualifier == "$LATEST" else qualifier,
            name=name,
            body=body,
        )

    def _api_misses(self, resource: Resource) -> None:
        for member in resource.properties:
            if member not in ("Name", "StageName", "Description", "Tags", "EndpointConfiguration", "OpenApiVersion"):
                self.report.miss(f"{resource.path}.{member}", str(member), "routes have a method and a path only")


def _is_planned(resource: Resource) -> bool:
    return resource.type in _ORDER and (resource.type != sam.RULE or schedules.is_scheduled(resource.properties))
