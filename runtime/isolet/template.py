"""A SAM / CloudFormation template as values: read from YAML or JSON, parameters chosen, functions evaluated.

Laws:
- Pure: text and parameters in, values out. What a resource is called, or has as an attribute, a callable says.
- A template that cannot be used raises TemplateInvalid, which names the place: "Resources.Hello.Properties.Timeout: …".
- A member whose value is AWS::NoValue is not there. A reference to what the template does not have is refused.

Surprises: YAML's dates stay text (`2010-09-09` is a version), and so do octal, sexagesimal and hexadecimal numbers
(`0123` is an account's beginning, `10:30` a time); `!GetAtt A.B.C` is attribute `B.C` of A; Fn::Equals
compares text, so that 1 equals "1" and true equals "true". Fn::ImportValue is refused: there are no other stacks.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from .errors import TemplateInvalid
from .model import REGION

SAM_TRANSFORM = "AWS::Serverless-2016-10-31"
# Precedent: CloudFormation's limit of a template in S3.
TEMPLATE_BYTES_MAX = 1_048_576
DEPTH_MAX = 64
# Values looked at in one evaluation. No template of the largest size has as many; with aliases of aliases, YAML
# writes as many as it likes.
VALUES_MAX = 1_000_000
# Entries that one map has by merging others (`<<`).
MERGED_MAX = 10_000

# What a resource is: (logical id, attribute or "" for Ref, path of who asks).
OfResource = Callable[[str, str, str], Any]
_NOTHING = object()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Loader(yaml.SafeLoader):
    """SafeLoader with the short forms, without dates, and without a key that is there twice."""


_TAG = "tag:yaml.org,2002:"
_NUMBERS = frozenset({f"{_TAG}timestamp", f"{_TAG}int", f"{_TAG}float"})
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(r"[-+]?(0|[1-9][0-9]*)$", re.ASCII), list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"[-+]?[0-9]*\.[0-9]+$", re.ASCII), list("-+.0123456789"))


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = _mapping(loader, node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = list(value.partition(".")[::2])
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _mapping(loader: _Loader, node: yaml.Node) -> dict[Any, Any]:
    assert isinstance(node, yaml.MappingNode)
    _require_bounded_merges(node)
    written = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<")
    for key, count in written.items():
        if count > 1:
            raise TemplateInvalid(f"line {node.start_mark.line + 1}: {key!r} is there twice; keep one")
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _require_bounded_merges(node: yaml.MappingNode) -> None:
    """`<<` copies what it names, and what that copies: eleven lines may mean a billion entries."""
    known: dict[int, int] = {}

    def entries(node: yaml.Node) -> int:
        if id(node) in known:
            return known[id(node)]
        known[id(node)] = count = len(node.value)
        if isinstance(node, yaml.SequenceNode):
            count = sum(map(entries, node.value))
        elif isinstance(node, yaml.MappingNode):
            count += sum(entries(value) for key, value in node.value if key.value == "<<")
        known[id(node)] = min(count, 2 * MERGED_MAX)
        return known[id(node)]

    if entries(node) > MERGED_MAX + len(node.value):
        raise TemplateInvalid(
            f"line {node.start_mark.line + 1}: << merges more than {MERGED_MAX:,} entries; merge less"
        )


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(text: str) -> dict[str, Any]:
    """The template's sections, not evaluated. JSON is YAML. Raises TemplateInvalid."""
    if len(text.encode()) > TEMPLATE_BYTES_MAX:
        raise TemplateInvalid(f"the template is larger than {TEMPLATE_BYTES_MAX:,} bytes")
    try:
        template = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TemplateInvalid(f"the template is not YAML or JSON: {' '.join(str(error).split())}") from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict) or not template["Resources"]:
        raise TemplateInvalid("Resources: a template needs at least one resource")
    for logical_id, resource in template["Resources"].items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateInvalid(f"Resources.{logical_id}: a resource is a map with a Type")
    for section in ("Parameters", "Mappings", "Conditions", "Globals", "Outputs"):
        if not isinstance(template.get(section, {}), dict):
            raise TemplateInvalid(f"{section}: this is a map")
    return template


def chosen(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The value of every parameter: as given, or its default. Raises TemplateInvalid."""
    declared = template.get("Parameters", {})
    for name in given:
        if name not in declared:
            raise TemplateInvalid(f"Parameters: the template has no parameter {name!r}")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        if not isinstance(declaration, dict):
            raise TemplateInvalid(f"Parameters.{name}: a parameter is a map with a Type")
        if name not in given and "Default" not in declaration:
            raise TemplateInvalid(f"Parameters.{name}: it has no default; give --parameter {name}=VALUE")
        value = as_text(given.get(name, declaration.get("Default")), f"Parameters.{name}.Default")
        _check(f"Parameters.{name}", value, declaration)
        kind = str(declaration.get("Type", "String"))
        if kind == "Number" and not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value, re.ASCII):
            raise TemplateInvalid(f"Parameters.{name}: {value!r} is not a number")
        listed = kind == "CommaDelimitedList" or kind.startswith("List<")
        values[name] = [part.strip() for part in value.split(",")] if listed else value
    return values


def _check(path: str, value: str, declaration: Mapping[str, Any]) -> None:
    """What a declaration demands of its parameter's value."""
    allowed = declaration.get("AllowedValues", [])
    if not isinstance(allowed, list):
        raise TemplateInvalid(f"{path}.AllowedValues: this is a list")
    choices = [as_text(each, f"{path}.AllowedValues") for each in allowed]
    if choices and value not in choices:
        raise TemplateInvalid(f"{path}: {value!r} is not one of {', '.join(choices)}")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None:
        try:
            fits = re.fullmatch(as_text(pattern, f"{path}.AllowedPattern"), value)
        except re.error as error:
            raise TemplateInvalid(f"{path}.AllowedPattern: {error}") from None
        if fits is None:
            raise TemplateInvalid(f"{path}: {value!r} does not match the AllowedPattern {pattern}")
    for member, measured in (("MinLength", len(value)), ("MaxLength", len(value))):
        bound = declaration.get(member)
        if bound is None:
            continue
        if not re.fullmatch("[0-9]{1,6}", as_text(bound, f"{path}.{member}"), re.ASCII):
            raise TemplateInvalid(f"{path}.{member}: {bound!r} is not a whole number")
        if measured < int(bound) if member == "MinLength" else measured > int(bound):
            raise TemplateInvalid(f"{path}: {value!r} has {measured} characters; {member} is {bound}")


def merged(globally: Any, own: Any) -> Any:
    """SAM's Globals: maps are merged, lists follow each other, anything else is the resource's own."""
    if isinstance(globally, dict) and isinstance(own, dict):
        return {**globally, **{k: merged(globally[k], v) if k in globally else v for k, v in own.items()}}
    if isinstance(globally, list) and isinstance(own, list):
        return [*globally, *own]
    return own


def as_text(value: Any, path: str = "") -> str:
    """A scalar as CloudFormation writes it in text. Raises TemplateInvalid for a list or a map, which by its aliases
    may be larger than any memory."""
    if isinstance(value, dict | list):
        what = "map" if isinstance(value, dict) else "list"
        raise TemplateInvalid(f"{path}: a {what} stands where a text is expected" if path else f"a {what} is no text")
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


# ── evaluating ──────────────────────────────────────────────────────────────────────────────────────────────────


class Evaluator:
    """Evaluates values of one template with its parameters. Knows nothing of what resources mean."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        stack: str,
        account: str,
        of_resource: OfResource,
    ) -> None:
        self._template = template
        self._of_resource = of_resource
        self._known: dict[str, Any] = {
            "AWS::Region": REGION,
            "AWS::AccountId": account,
            "AWS::Partition": "aws",
            "AWS::StackName": stack,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _NOTHING,
            **parameters,
        }
        self._left = VALUES_MAX
        self._asked: list[str] = []  # conditions under evaluation: one that needs itself is refused

    def value(self, value: Any, path: str) -> Any:
        """`value` without functions; None where it is AWS::NoValue. Raises TemplateInvalid."""
        self._left = VALUES_MAX
        found = self._value(value, path, 0)
        return None if found is _NOTHING else found

    def condition(self, name: Any, path: str) -> bool:
        """A condition of the template, by name."""
        conditions = self._template.get("Conditions", {})
        name = as_text(name, path)
        if name not in conditions:
            raise TemplateInvalid(f"{path}: the template has no condition {name!r}")
        if name in self._asked:
            raise TemplateInvalid(f"Conditions.{name}: it needs itself")
        self._asked.append(name)
        try:
            return self._truth(conditions[name], f"Conditions.{name}", 0)
        finally:
            self._asked.pop()

    def _value(self, value: Any, path: str, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise TemplateInvalid(f"{path}: nested deeper than {DEPTH_MAX}")
        self._left -= 1
        if self._left < 0:
            raise TemplateInvalid(f"{path}: more than {VALUES_MAX:,} values; write fewer aliases")
        if isinstance(value, list):
            items = [self._value(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(value)]
            return [item for item in items if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._function(str(name), argument, path, depth)
        members = {key: self._value(member, f"{path}.{key}", depth + 1) for key, member in value.items()}
        return {key: member for key, member in members.items() if member is not _NOTHING}

    def _function(self, name: str, argument: Any, path: str, depth: int) -> Any:
        if name == "Ref":
            return self._reference(argument, path)
        if name == "Fn::If":
            condition, yes, no = self._arguments(argument, 3, name, path)
            return self._value(yes if self.condition(condition, path) else no, path, depth + 1)
        if name == "Fn::Sub":
            return self._substituted(argument, path, depth)
        if name == "Fn::ImportValue":
            raise TemplateInvalid(f"{path}: Fn::ImportValue is not supported: there are no other stacks to import from")
        if name in ("Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not"):
            return self._truth({name: argument}, path, depth + 1)
        argument = self._value(argument, path, depth + 1)
        if name == "Fn::GetAtt":
            logical_id, attribute = self._arguments(argument, 2, name, path)
            return self._attribute(str(logical_id), as_text(attribute, path), path)
        if name == "Fn::Join":
            separator, parts = self._arguments(argument, 2, name, path)
            return as_text(separator, path).join(as_text(part, path) for part in self._listed(parts, name, path))
        if name == "Fn::Split":
            separator, text = self._arguments(argument, 2, name, path)
            if not isinstance(separator, str) or not separator or not isinstance(text, str):
                raise TemplateInvalid(f"{path}: Fn::Split takes a separator and a text")
            return text.split(separator)
        if name == "Fn::Select":
            index, parts = self._arguments(argument, 2, name, path)
            parts = self._listed(parts, name, path)
            if not re.fullmatch("[0-9]{1,6}", as_text(index, path), re.ASCII) or int(index) >= len(parts):
                raise TemplateInvalid(f"{path}: Fn::Select has no element {index} of {len(parts)}")
            return parts[int(index)]
        if name == "Fn::FindInMap":
            found: Any = self._template.get("Mappings", {})
            for key in self._arguments(argument, 3, name, path):
                wanted = as_text(key, path)
                members = {as_text(each): member for each, member in found.items()} if isinstance(found, dict) else {}
                if wanted not in members:
                    raise TemplateInvalid(f"{path}: Fn::FindInMap finds no {wanted!r} in Mappings")
                found = members[wanted]
            return self._value(found, path, depth + 1)
        if name == "Fn::Base64":
            return base64.b64encode(as_text(argument, path).encode()).decode("ascii")
        if name == "Fn::ToJsonString":
            return json.dumps(argument, separators=(",", ":"))
        if name == "Fn::Length":
            return len(self._listed(argument, name, path))
        raise TemplateInvalid(f"{path}: {name} is not supported")

    def _reference(self, name: Any, path: str) -> Any:
        if isinstance(name, str) and name in self._known:
            return self._known[name]
        return self._attribute(as_text(name, path), "", path)

    def _attribute(self, logical_id: str, attribute: str, path: str) -> Any:
        if logical_id not in self._template["Resources"]:
            raise TemplateInvalid(f"{path}: the template has no resource or parameter {logical_id!r}")
        return self._of_resource(logical_id, attribute, path)

    def _substituted(self, argument: Any, path: str, depth: int) -> str:
        text, own = argument, {}
        if isinstance(argument, list):
            text, own = self._arguments(argument, 2, "Fn::Sub", path)
        if not isinstance(text, str) or not isinstance(own, dict):
            raise TemplateInvalid(f"{path}: Fn::Sub takes a text, or a list of a text and a map")
        values = {name: self._value(value, path, depth + 1) for name, value in own.items()}

        def found(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                value = values[name]
            elif "." in name:
                logical_id, _, attribute = name.partition(".")
                value = self._attribute(logical_id, attribute, path)
            else:
                value = self._reference(name, path)
            if value is _NOTHING or isinstance(value, dict | list):
                raise TemplateInvalid(f"{path}: ${{{name}}} is not a text")
            return as_text(value)

        return re.sub(r"\$\{([^}]*)\}", found, text)

    def _truth(self, value: Any, path: str, depth: int) -> bool:
        if not isinstance(value, dict) or len(value) != 1:
            raise TemplateInvalid(f"{path}: a condition is one of Fn::Equals, Fn::And, Fn::Or, Fn::Not, Condition")
        name, argument = next(iter(value.items()))
        if name == "Condition":
            return self.condition(argument, path)
        if name == "Fn::Equals":
            left, right = self._arguments(self._value(argument, path, depth + 1), 2, name, path)
            return left == right if isinstance(left, dict | list) else as_text(left) == as_text(right)
        if name == "Fn::Not":
            (inner,) = self._arguments(argument, 1, name, path)
            return not self._truth(inner, path, depth + 1)
        if name in ("Fn::And", "Fn::Or"):
            truths = [self._truth(inner, path, depth + 1) for inner in self._listed(argument, name, path)]
            return all(truths) if name == "Fn::And" else any(truths)
        raise TemplateInvalid(f"{path}: {name} is not a condition")

    def _arguments(self, argument: Any, count: int, name: str, path: str) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != count:
            raise TemplateInvalid(f"{path}: {name} takes a list of {count}")
        return argument

    def _listed(self, argument: Any, name: str, path: str) -> list[Any]:
        if not isinstance(argument, list):
            raise TemplateInvalid(f"{path}: {name} takes a list")
        return argument
