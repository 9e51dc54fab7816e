"""Functions, layers and log groups of a stack: their properties as what is deployed. Pure.

Law: a plan says all that Lambda has a default for; what a template leaves out is as by default, also where a former
template said otherwise.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import TemplateInvalid
from ..grants import Refusal
from ..manifest import METHODS, parse_route
from ..template import as_text
from .members import Members
from .plans import Code, FunctionPlan, LayerPlan, LogGroupPlan
from .report import NOTHING, Report
from .sam import Resource

# A function's tag that says of which stack it is.
STACK_TAG = "isolet-stack"
_LEVELS = ("ApplicationLogLevel", "SystemLogLevel")


def function(resource: Resource, given: Members, name: str, stack: str, report: Report) -> FunctionPlan:
    """Raises TemplateInvalid."""
    given.ignore("FunctionName")
    if given.text("PackageType", "Zip") != "Zip":
        raise TemplateInvalid(f"{given.at('PackageType')}: isolet runs WebAssembly and source, not containers")
    tags = _tags(given)
    if STACK_TAG in tags:
        raise TemplateInvalid(f"{given.at('Tags')}.{STACK_TAG}: this tag is isolet's own")
    if given.get("EphemeralStorage") not in (None, {"Size": 512}, {"Size": "512"}):
        report.miss(given.at("EphemeralStorage"), "EphemeralStorage", "/tmp is in memory")
    logging, letters = given.inner("LoggingConfig"), given.inner("DeadLetterConfig")
    log_format = logging.text("LogFormat", "Text")
    levels = {level: logging.text(level) for level in _LEVELS if level in logging}
    plan = FunctionPlan(
        id=resource.id,
        path=resource.path,
        name=name,
        code=_code(given, "Code"),
        configuration={
            "Runtime": given.required("Runtime"),
            "Handler": given.required("Handler"),
            "Role": given.required("Role"),
            "Description": given.text("Description"),
            "Timeout": _or(given.whole("Timeout"), 3),
            "MemorySize": _or(given.whole("MemorySize"), 128),
            "Environment": {"Variables": given.inner("Environment").strings("Variables")},
            "Layers": given.texts("Layers"),
            "DeadLetterConfig": {"TargetArn": letters.text("TargetArn")},
            "TracingConfig": {"Mode": given.inner("TracingConfig").text("Mode", "PassThrough")},
            "SnapStart": {"ApplyOn": given.inner("SnapStart").text("ApplyOn", "None")},
            "LoggingConfig": {
                "LogFormat": log_format,
                "LogGroup": logging.text("LogGroup", f"/aws/lambda/{name}"),
                **(dict.fromkeys(_LEVELS, "INFO") if log_format == "JSON" else {}),
                **levels,
            },
        },
        architectures=tuple(given.texts("Architectures")) or ("x86_64",),
        tags={**tags, **_route_tags(given, report), STACK_TAG: stack},
        reserved=given.whole("ReservedConcurrentExecutions"),
    )
    for inner in (logging, letters):
        for unread in inner.unread():
            report.miss(inner.at(unread), unread, NOTHING)
    return plan


def _tags(given: Members) -> dict[str, str]:
    """SAM writes a map, CloudFormation a list of Key and Value."""
    tags = given.get("Tags")
    if not isinstance(tags, list):
        return given.strings("Tags")
    found = [Members(tag, f"{given.at('Tags')}[{number}]") for number, tag in enumerate(tags)]
    return {tag.required("Key"): tag.text("Value") for tag in found}


def _code(given: Members, member: str) -> Code:
    code = given.get(member)
    if isinstance(code, str):
        if s3 := re.fullmatch(r"s3://([^/]+)/(.+)", code):
            return Code(s3={"S3Bucket": s3[1], "S3Key": s3[2]})
        return Code(path=code)
    inner = given.inner(member)
    if inline := inner.text("ZipFile"):
        return Code(inline=inline)
    if "ImageUri" in inner:
        raise TemplateInvalid(f"{inner.at('ImageUri')}: isolet runs WebAssembly and source, not containers")
    return Code(
        s3={"S3Bucket": inner.required("S3Bucket"), "S3Key": inner.required("S3Key")}
        | ({"S3ObjectVersion": inner.text("S3ObjectVersion")} if "S3ObjectVersion" in inner else {})
    )


def _route_tags(given: Members, report: Report) -> dict[str, str]:
    """Tags that make a function answer at the routes of its Api and HttpApi events."""
    routes: list[str] = []
    for event in given.get("Routes") or []:
        members = Members(event["members"], event["path"])
        if event["kind"] == "Api" or members.text("PayloadFormatVersion", "2.0") != "2.0":
            report.warn(f"{event['path']}: the event comes in payload format 2.0, as from an HttpApi")
        routes += [route for route in _routes(event["kind"], members) if route not in routes]
    return {"isolet:http": "true", "isolet:routes": json.dumps(routes, separators=(",", ":"))} if routes else {}


def _routes(kind: str, members: Members) -> list[str]:
    if kind == "HttpApi" and "Path" not in members and "Method" not in members:
        return ["ANY /", "ANY /{proxy+}"]  # $default
    path = members.required("Path")
    method = members.required("Method").upper()
    if method not in METHODS and method not in ("*", "X-AMAZON-APIGATEWAY-ANY-METHOD"):
        raise TemplateInvalid(f"{members.at('Method')}: {method!r} is none of {', '.join(METHODS)}")
    if path == "$default":
        return ["ANY /", "ANY /{proxy+}"]
    text = f"{method if method in METHODS else 'ANY'} {path.rstrip('/') or '/'}"
    route = parse_route(text)
    if isinstance(route, Refusal):
        raise TemplateInvalid(f"{members.at('Path')}: {text!r} {route.reason}; {route.cure}")
    return [str(route)]


def layer(resource: Resource, given: Members, name: str) -> LayerPlan:
    """Raises TemplateInvalid."""
    given.ignore("LayerName")
    metadata = resource.metadata if isinstance(resource.metadata, dict) else {}
    body: dict[str, Any] = {
        member: texts for member in ("CompatibleRuntimes", "CompatibleArchitectures") if (texts := given.texts(member))
    }
    body |= {member: text for member in ("Description", "LicenseInfo") if (text := given.text(member))}
    return LayerPlan(
        id=resource.id,
        path=resource.path,
        name=name,
        code=_code(given, "Content"),
        body=body,
        build=as_text(metadata.get("BuildMethod", "")),
        retained=resource.retained,
    )


def log_group(resource: Resource, given: Members, name: str) -> LogGroupPlan:
    """Raises TemplateInvalid."""
    given.ignore("LogGroupName", "Tags")
    if given.text("LogGroupClass", "STANDARD") != "STANDARD":
        raise TemplateInvalid(f"{given.at('LogGroupClass')}: groups are STANDARD here")
    return LogGroupPlan(resource.id, resource.path, name, given.whole("RetentionInDays"))


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
