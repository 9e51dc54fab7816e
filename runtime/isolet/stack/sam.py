"""SAM's resources as CloudFormation's: what `Transform: AWS::Serverless-2016-10-31` makes of a template.

A function becomes a function, and a version, an alias, a URL, a configuration of asynchronous invocation and a
permission of its own, under the ids that SAM gives them: references to those (`HelloUrl.FunctionUrl`, `Hello.Alias`)
mean what they mean on AWS.

Laws:
- Pure. Properties stay as they are written, to be evaluated where they are used; `path` says where they were written.
- What becomes nothing is Unmapped by name, never silently gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..errors import TemplateInvalid
from ..template import SAM_TRANSFORM, Evaluator, as_text, merged

FUNCTION = "AWS::Lambda::Function"
LAYER = "AWS::Lambda::LayerVersion"
VERSION = "AWS::Lambda::Version"
ALIAS = "AWS::Lambda::Alias"
URL = "AWS::Lambda::Url"
EVENT_INVOKE = "AWS::Lambda::EventInvokeConfig"
PERMISSION = "AWS::Lambda::Permission"
RULE = "AWS::Events::Rule"
LOG_GROUP = "AWS::Logs::LogGroup"
ROLE = "AWS::IAM::Role"
REST_API = "AWS::Serverless::Api"
HTTP_API = "AWS::Serverless::HttpApi"
SAM_FUNCTION = "AWS::Serverless::Function"
SAM_LAYER = "AWS::Serverless::LayerVersion"

# Members of CloudFormation's function that SAM's has under the same name.
_SAME = (
    *("FunctionName", "Handler", "Runtime", "MemorySize", "Timeout", "Environment", "Description", "Layers", "Role"),
    *("Architectures", "LoggingConfig", "PackageType", "SnapStart", "EphemeralStorage", "VpcConfig", "KmsKeyArn"),
    *("FileSystemConfigs", "CodeSigningConfigArn", "ImageConfig", "RecursiveLoop", "RuntimeManagementConfig"),
)
_SCHEDULES = ("Schedule", "ScheduleV2")
# Members of SAM's function that are read here.
_READ = frozenset(
    {
        *_SAME,
        *("CodeUri", "InlineCode", "Tags", "Tracing", "DeadLetterQueue", "ReservedConcurrentExecutions", "Events"),
        *("EventInvokeConfig", "AutoPublishAlias", "FunctionUrlConfig", "VersionDescription"),
        # Who may do what is decided by accounts and grants: policies stay in the template.
        *("Policies", "PermissionsBoundary", "AssumeRolePolicyDocument", "RolePath", "PropagateTags"),
        *("AutoPublishCodeSha256", "AutoPublishAliasAllProperties"),
    }
)


@dataclass(frozen=True, slots=True)
class Resource:
    id: str
    type: str
    properties: Mapping[str, Any]  # as written
    path: str  # of its properties in the template
    metadata: Any = None
    condition: Any = None  # the name of one
    retained: bool = False  # DeletionPolicy: Retain
    generated: bool = False  # by SAM: the template does not name it


class Unmapped(NamedTuple):
    """Something of the template that nothing is made of."""

    path: str
    what: str  # its type, or the property's name
    reason: str


class Expanded(NamedTuple):
    resources: Mapping[str, Resource]  # in the template's order
    unmapped: tuple[Unmapped, ...]


def expanded(template: Mapping[str, Any], evaluator: Evaluator) -> Expanded:
    """The resources that a template means. `evaluator` is asked for parameters only. Raises TemplateInvalid."""
    unmapped: list[Unmapped] = []
    resources: dict[str, Resource] = {}
    for id, written in template["Resources"].items():
        for resource in _resources(_written(str(id), written), template, evaluator, unmapped):
            resources.setdefault(resource.id, resource)
    return Expanded(resources, tuple(unmapped))


def _written(id: str, written: Mapping[str, Any]) -> Resource:
    properties = {} if written.get("Properties") is None else written["Properties"]
    if not isinstance(properties, dict):
        raise TemplateInvalid(f"Resources.{id}.Properties: this is a map")
    return Resource(
        id,
        written["Type"],
        properties,
        f"Resources.{id}.Properties",
        written.get("Metadata"),
        written.get("Condition"),
        written.get("DeletionPolicy") == "Retain",
    )


def _resources(
    written: Resource, template: Mapping[str, Any], evaluator: Evaluator, unmapped: list[Unmapped]
) -> Iterator[Resource]:
    if not written.type.startswith("AWS::Serverless::"):
        yield written
        return
    if SAM_TRANSFORM not in _listed(template.get("Transform")):
        raise TemplateInvalid(f"Resources.{written.id}.Type: {written.type} needs Transform: {SAM_TRANSFORM}")
    if written.type == SAM_FUNCTION:
        globally = (template.get("Globals") or {}).get("Function") or {}
        yield from _Function(written, merged(globally, written.properties), evaluator, unmapped).resources()
    elif written.type == SAM_LAYER:
        yield _layer(written)
    else:
        yield written


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _layer(written: Resource) -> Resource:
    """SAM keeps layer versions unless it is told not to; CloudFormation removes them. Here they go with the stack."""
    properties = dict(written.properties)
    content = properties.pop("ContentUri", None)
    retained = properties.pop("RetentionPolicy", None) == "Retain"
    if content is not None:
        properties["Content"] = content if isinstance(content, str) else _s3(content)
    return _like(written, type=LAYER, properties=properties, retained=retained or written.retained)


def _s3(location: Any) -> Any:
    """SAM's Bucket, Key and Version as CloudFormation names them; anything else as it is."""
    renamed = {"Bucket": "S3Bucket", "Key": "S3Key", "Version": "S3ObjectVersion"}
    if isinstance(location, dict) and set(location) <= set(renamed):
        return {renamed[key]: value for key, value in location.items()}
    return location


def _like(
    written: Resource,
    *,
    type: str,
    properties: Mapping[str, Any],
    id: str = "",
    path: str = "",
    retained: bool = False,
) -> Resource:
    """Another resource of the same place in the template; with an `id`, a generated one."""
    return Resource(
        id or written.id,
        type,
        properties,
        path or written.path,
        None if id else written.metadata,
        written.condition,
        retained or written.retained,
        bool(id),
    )


class _Function:
    """One AWS::Serverless::Function."""

    def __init__(
        self, written: Resource, properties: Mapping[str, Any], evaluator: Evaluator, unmapped: list[Unmapped]
    ) -> None:
        self._written = written
        self._given = properties
        self._evaluator = evaluator
        self._unmapped = unmapped

    def resources(self) -> Iterator[Resource]:
        for name in self._given:
            if name not in _READ:
                self._miss(name, name, "isolet has nothing of the kind")
        properties = self._properties()
        if "Role" not in self._given:
            role = f"{self._written.id}Role"
            properties["Role"] = {"Fn::GetAtt": [role, "Arn"]}
            yield _like(self._written, type=ROLE, properties={}, id=role)
        yield _like(self._written, type=FUNCTION, properties=properties)
        yield from self._apis()
        alias = self._alias()
        yield from self._published(alias)
        yield from self._url(alias)
        yield from self._event_invoke(alias)
        yield from self._rules(alias)

    def _miss(self, member: str, what: str, reason: str) -> None:
        self._unmapped.append(Unmapped(f"{self._written.path}.{member}", what, reason))

    def _member(self, name: str, kind: type) -> Any:
        value = self._given.get(name)
        if value is not None and not isinstance(value, kind):
            raise TemplateInvalid(f"{self._written.path}.{name}: this is a {'map' if kind is dict else 'list'}")
        return value

    def _properties(self) -> dict[str, Any]:
        given = self._given
        properties = {name: given[name] for name in _SAME if name in given}
        if "InlineCode" in given:
            properties["Code"] = {"ZipFile": given["InlineCode"]}
        else:
            # Precedent: `sam build`, which takes the template's directory where no CodeUri is given.
            properties["Code"] = _s3(given.get("CodeUri", "."))
        if "Tags" in given:
            properties["Tags"] = given["Tags"]
        if "Tracing" in given:
            properties["TracingConfig"] = {"Mode": given["Tracing"]}
        if queue := self._member("DeadLetterQueue", dict):
            properties["DeadLetterConfig"] = {key: value for key, value in queue.items() if key != "Type"}
        if "ReservedConcurrentExecutions" in given:
            properties["ReservedConcurrentExecutions"] = given["ReservedConcurrentExecutions"]
        if routes := list(self._events()):
            properties["Routes"] = routes
        return properties

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _events(self) -> Iterator[dict[str, Any]]:
        """What the stack makes routes of: the members of an Api or HttpApi event, and where they are written."""
        for name, event in (self._member("Events", dict) or {}).items():
            place = f"Events.{name}"
            if not isinstance(event, dict) or not isinstance(event.get("Type"), str):
                raise TemplateInvalid(f"{self._written.path}.{place}: an event is a map with a Type")
            kind, members = event["Type"], event.get("Properties") or {}
            if kind in ("Api", "HttpApi"):
                for member in members:
                    if member not in (
                        "Path",
                        "Method",
                        "RestApiId",
                        "ApiId",
                        "PayloadFormatVersion",
                        "TimeoutInMillis",
                    ):
                        self._miss(f"{place}.Properties.{member}", member, "routes have a method and a path only")
                yield {"kind": kind, "path": f"{self._written.path}.{place}.Properties", "members": members}
            elif kind not in _SCHEDULES:
                self._miss(place, kind, "isolet has no such event source")

    def _apis(self) -> Iterator[Resource]:
        for event in self._events_quietly():
            if event["Type"] == "Api" and "RestApiId" not in (event.get("Properties") or {}):
                api = _like(self._written, type=REST_API, properties={"StageName": "Prod"}, id="ServerlessRestApi")
                yield replace(api, condition=None)
            elif event["Type"] == "HttpApi" and "ApiId" not in (event.get("Properties") or {}):
                api = _like(self._written, type=HTTP_API, properties={}, id="ServerlessHttpApi")
                yield replace(api, condition=None)

    def _events_quietly(self) -> list[dict[str, Any]]:
        return list((self._given.get("Events") or {}).values())

    # ── versions and what hangs on them ─────────────────────────────────────────────────────────────────────────

    def _alias(self) -> str:
        """The alias that is published to at every deployment; "" for none."""
        if self._given.get("AutoPublishAlias") is None:
            return ""
        path = f"{self._written.path}.AutoPublishAlias"
        name = self._evaluator.value(self._given["AutoPublishAlias"], path)
        if isinstance(name, dict | list):
            raise TemplateInvalid(f"{path}: this is a text")
        return "" if name is None else as_text(name)

    def _published(self, alias: str) -> Iterator[Resource]:
        if not alias:
            return
        id, path = self._written.id, f"{self._written.path}.AutoPublishAlias"
        version: dict[str, Any] = {"FunctionName": {"Ref": id}}
        if "VersionDescription" in self._given:
            version["Description"] = self._given["VersionDescription"]
        yield _like(self._written, type=VERSION, properties=version, id=f"{id}Version", path=path)
        target = {"Name": alias, "FunctionName": {"Ref": id}, "FunctionVersion": _attribute(f"{id}Version", "Version")}
        yield _like(self._written, type=ALIAS, properties=target, id=f"{id}Alias{alias}", path=path)

    def _url(self, alias: str) -> Iterator[Resource]:
        config = self._member("FunctionUrlConfig", dict)
        if config is None:
            return
        id, path = self._written.id, f"{self._written.path}.FunctionUrlConfig"
        target = {"TargetFunctionArn": {"Ref": id}, **({"Qualifier": alias} if alias else {})}
        yield _like(self._written, type=URL, properties={**config, **target}, id=f"{id}Url", path=path)
        if config.get("AuthType") == "NONE":
            public = {
                "FunctionName": {"Ref": f"{id}Alias{alias}" if alias else id},
                "Action": "lambda:InvokeFunctionUrl",
                "Principal": "*",
                "FunctionUrlAuthType": "NONE",
            }
            name = f"{id}UrlPublicPermissions"
            yield _like(self._written, type=PERMISSION, properties=public, id=name, path=path)

    def _event_invoke(self, alias: str) -> Iterator[Resource]:
        config = self._member("EventInvokeConfig", dict)
        if config is None:
            return
        id, path = self._written.id, f"{self._written.path}.EventInvokeConfig"
        properties = {**config, "FunctionName": {"Ref": id}, "Qualifier": alias or "$LATEST"}
        if isinstance(destinations := config.get("DestinationConfig"), dict):
            properties["DestinationConfig"] = {
                when: {key: value for key, value in target.items() if key != "Type"}
                for when, target in destinations.items()
                if isinstance(target, dict)
            }
        yield _like(self._written, type=EVENT_INVOKE, properties=properties, id=f"{id}EventInvokeConfig", path=path)

    def _rules(self, alias: str) -> Iterator[Resource]:
        """A rule for each event that is a schedule; what such an event says is its properties."""
        id = self._written.id
        arn = {"Ref": f"{id}Alias{alias}"} if alias else _attribute(id, "Arn")
        for name, event in (self._given.get("Events") or {}).items():
            if event["Type"] not in _SCHEDULES:
                continue
            path = f"{self._written.path}.Events.{name}.Properties"
            if not isinstance(properties := event.get("Properties"), dict):
                raise TemplateInvalid(f"{path}: this is a map")
            targets = [{"Id": f"{id}{name}LambdaTarget"[-64:], "Arn": arn}]
            yield _like(
                self._written, type=RULE, properties={**properties, "Targets": targets}, id=f"{id}{name}", path=path
            )


def _attribute(id: str, name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [id, name]}
