"""Lambda's operations on functions: its paths, its JSON, its words. What they do is in deployments.py.

Served: CreateFunction, GetFunction, GetFunctionConfiguration, ListFunctions, UpdateFunctionCode,
UpdateFunctionConfiguration, DeleteFunction, ListTags, TagResource, UntagResource.

Laws:
- A field that AWS omits is absent, not empty.
- What this version does not do is refused by name, not ignored: a function that silently lacks its layers is worse than
  one that is not created.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import limits
from ..deployments import Change, Deployments
from ..errors import InvalidParameter, UnknownFunction, ValidationFailed
from ..model import DEFAULT_TENANT, LATEST, REGION, Function, Settings, State, UpdateStatus, function_arn
from ..routing import FunctionRef, parse_function_name
from .constraints import Body, bound, null, pattern, violations
from .http import guarded, json_body, json_response
from .settings import is_ours, tags_of, timeout, with_tags, without_tags

_FUNCTIONS = "/2015-03-31/functions"
_TAGS = "/2017-03-31/tags/{arn}"
PACKAGE_PATH = "/isolet/packages/"
DETAILS_PATH = "/isolet/functions/"

# Precedent: ListFunctions gives at most 50, whatever MaxItems says.
_PAGE_MAX = 50
_TAGS_MAX = 50  # Precedent: Lambda.

_ROLE = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
_HANDLER = r"[^\s]+"
_NAME = r"[a-zA-Z0-9-_]+"
_VARIABLE = r"[a-zA-Z]([a-zA-Z0-9_])+"
# What the runtime itself sets (sdk/abi.md, section 8). Precedent: Lambda refuses its own.
_RESERVED_VARIABLES = frozenset(
    {
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_REGION"),
        *("LAMBDA_TASK_ROOT", "TZ", "_HANDLER"),
    }
)
# Members that mean something we do not do; the value with which they mean nothing.
_NOT_SERVED: Mapping[str, Any] = {
    "CapacityProviderConfig": {},
    "CodeSigningConfigArn": "",
    "DeadLetterConfig": {},
    "DryRun": False,
    "DurableConfig": {},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "ImageConfig": {},
    "KMSKeyArn": "",
    "Layers": [],
    "PackageType": "Zip",
    "Publish": False,
    "SnapStart": {"ApplyOn": "None"},
    "TenancyConfig": {},
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {},
}


class Functions:
    """The endpoints. One tenant until accounts exist."""

    def __init__(self, deployments: Deployments, tenant: str = DEFAULT_TENANT) -> None:
        self._deployments = deployments
        self._tenant = tenant

    def routes(self) -> list[Route]:
        one = _FUNCTIONS + "/{name}"
        table = [
            ("POST", _FUNCTIONS, self._create),
            ("GET", _FUNCTIONS, self._list),
            ("GET", one, self._get),
            ("DELETE", one, self._delete),
            ("GET", f"{one}/configuration", self._get_configuration),
            ("PUT", f"{one}/configuration", self._update_configuration),
            ("PUT", f"{one}/code", self._update_code),
            ("GET", _TAGS, self._list_tags),
            ("POST", _TAGS, self._tag),
            ("DELETE", _TAGS, self._untag),
            ("GET", PACKAGE_PATH + "{name}.zip", self._download),
            ("GET", DETAILS_PATH + "{name}", self._details),
        ]
        # Lambda's own paths end in a slash in some operations, and SDKs send it.
        slashed = [("POST", f"{_FUNCTIONS}/", self._create), ("GET", f"{_FUNCTIONS}/", self._list)]
        return [Route(path, guarded(endpoint), methods=[method]) for method, path, endpoint in table + slashed]

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, request: Request) -> Response:
        body = Body(await json_body(request))
        body.require("FunctionName", "Role", "Code")
        name = body.text("FunctionName", must=_NAME, chars=(1, limits.FUNCTION_NAME_CHARS_MAX))
        role = body.text("Role", must=_ROLE)
        settings = _settings(body, Settings(runtime="", handler=""))
        body.finish()
        tags = _tags(body.mapping("Tags"))
        if not settings.runtime or not settings.handler:
            raise InvalidParameter(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        settings = with_tags(settings, tags)
        package = _package(Body(body.mapping("Code")))
        users = {key: value for key, value in tags.items() if not is_ours(key)}
        function = await self._deployments.create(self._tenant, name, settings, package, role, users)
        return json_response(configuration(function), 201)

    async def _list(self, request: Request) -> Response:
        count = _count(request.query_params.get("MaxItems", str(_PAGE_MAX)))
        after = _marker(request.query_params.get("Marker", ""))
        # One more than is shown tells whether there is a next page.
        functions = await self._deployments.page(self._tenant, after, count + 1)
        answer: dict[str, Any] = {"Functions": [listed(function) for function in functions[:count]]}
        if len(functions) > count:
            answer["NextMarker"] = base64.urlsafe_b64encode(functions[count - 1].name.encode()).decode("ascii")
        return json_response(answer)

    async def _get(self, request: Request) -> Response:
        function = await self._found(request)
        tags = {**function.tags, **tags_of(function.settings)}
        place = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        answer: dict[str, Any] = {
            "Configuration": configuration(function),
            "Code": {"RepositoryType": "S3", "Location": f"{place}{PACKAGE_PATH}{function.name}.zip"},
        }
        if tags:
            answer["Tags"] = tags
        return json_response(answer)

    async def _get_configuration(self, request: Request) -> Response:
        return json_response(configuration(await self._found(request)))

    async def _update_code(self, request: Request) -> Response:
        ref = _ref(request)
        body = Body(await json_body(request))
        body.refuse_unserved(_NOT_SERVED)
        change = Change(package=_package(body), revision_id=body.optional_text("RevisionId"))
        body.finish()
        return json_response(configuration(await self._deployments.update(ref.tenant, ref.name, change)))

    async def _update_configuration(self, request: Request) -> Response:
        ref = _ref(request)
        body = Body(await json_body(request))
        role = body.text("Role", must=_ROLE) if body.has("Role") else None
        revision_id = body.optional_text("RevisionId")
        # Against the defaults first, to refuse all that is wrong at once.
        _settings(body, Settings())
        body.finish()
        change = Change(settings=lambda old: _settings(body, old), role=role, revision_id=revision_id)
        return json_response(configuration(await self._deployments.update(ref.tenant, ref.name, change)))

    async def _delete(self, request: Request) -> Response:
        ref = _ref(request)
        await self._deployments.delete(ref.tenant, ref.name)
        return Response(status_code=204)

    async def _list_tags(self, request: Request) -> Response:
        ref = _tagged(request)
        function = await self._deployments.get(ref.tenant, ref.name)
        return json_response({"Tags": {**function.tags, **tags_of(function.settings)}})

    async def _tag(self, request: Request) -> Response:
        ref = _tagged(request)
        body = Body(await json_body(request))
        body.require("Tags")
        body.finish()
        tags = _tags(body.mapping("Tags"))
        users = {key: value for key, value in tags.items() if not is_ours(key)}
        change = Change(settings=lambda old: with_tags(old, tags), tags=lambda old: _tags({**old, **users}))
        await self._deployments.update(ref.tenant, ref.name, change)
        return Response(status_code=204)

    async def _untag(self, request: Request) -> Response:
        ref = _tagged(request)
        keys = request.query_params.getlist("tagKeys")
        if not keys:
            raise ValidationFailed(violations([null("tagKeys")]))
        change = Change(
            settings=lambda old: without_tags(old, keys),
            tags=lambda old: {key: value for key, value in old.items() if key not in keys},
        )
        await self._deployments.update(ref.tenant, ref.name, change)
        return Response(status_code=204)

    async def _download(self, request: Request) -> Response:
        ref = _ref(request)
        return Response(await self._deployments.package(ref.tenant, ref.name), media_type="application/zip")

    async def _details(self, request: Request) -> Response:
        """What Lambda has no field for: the module, and the snapshot that it became."""
        function = await self._found(request)
        return json_response(details(function))

    async def _found(self, request: Request) -> Function:
        ref = _ref(request)
        return await self._deployments.get(ref.tenant, ref.name)


def _ref(request: Request) -> FunctionRef:
    """The function that a path and its `Qualifier` name. Raises UnknownFunction for versions that do not exist."""
    ref = parse_function_name(request.path_params["name"], request.query_params.get("Qualifier", ""))
    if ref.qualifier not in ("", LATEST):
        raise UnknownFunction(f"Function not found: {ref.arn()}")
    return ref


def _tagged(request: Request) -> FunctionRef:
    arn = request.path_params["arn"]
    if not arn.startswith("arn:"):
        raise ValidationFailed(
            violations([pattern("resource", arn, r"arn:(aws[a-zA-Z-]*):lambda:[a-z0-9-]+:\d{12}:function:.+")])
        )
    return parse_function_name(arn)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= 10_000:
        raise ValidationFailed(violations([bound("maxItems", text, "greater than or equal to 1")]))
    return min(int(text), _PAGE_MAX)


def _marker(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text).decode("utf-8")
    except ValueError:
        raise InvalidParameter(f"the Marker {text[:64]!r} is not one that ListFunctions gave; start without") from None


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────


def _settings(body: Body, old: Settings) -> Settings:
    """The settings with what the body says; what is wrong is noted for `finish` or raised."""
    body.refuse_unserved(_NOT_SERVED)
    seconds = body.whole("Timeout", 1, int(limits.TIMEOUT_S_MAX), timeout(old))
    return replace(
        old,
        runtime=body.text("Runtime", chars=(1, 64), must=r"[a-zA-Z0-9._-]+", default=old.runtime),
        handler=body.text("Handler", chars=(0, 128), must=_HANDLER, default=old.handler),
        description=body.text("Description", chars=(0, limits.DESCRIPTION_CHARS_MAX), default=old.description),
        timeout_s=float(seconds) if body.has("Timeout") else old.timeout_s,
        memory_mb=body.whole("MemorySize", limits.MEMORY_MB_MIN, limits.MEMORY_MB_MAX, old.memory_mb),
        environment=_environment(body) if body.has("Environment") else old.environment,
    )


def _environment(body: Body) -> Mapping[str, str]:
    variables = Body(body.mapping("Environment")).mapping("Variables")
    what = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    for name, value in variables.items():
        if not isinstance(value, str):
            raise InvalidParameter(f"the environment variable {name} is {json.dumps(value)[:64]}; write a string")
        if not re.fullmatch(_VARIABLE, name, re.ASCII):
            # AWS's constraint is on the keys of the map.
            raise ValidationFailed(violations([pattern("environment.variables", name, _VARIABLE)]))
        if "\0" in value:
            raise InvalidParameter(
                f"the environment variable {name} holds a NUL, which no environment can; leave it out"
            )
    if reserved := sorted(_RESERVED_VARIABLES & variables.keys()):
        raise InvalidParameter(
            f"{what} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogatepass")) for name, value in variables.items())
    if size > limits.ENVIRONMENT_BYTES_MAX:
        raise InvalidParameter(f"{what} exceeded the 4KB limit. They measure {size} bytes; shorten or remove some")
    return dict(variables)


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    if len([key for key in tags if not is_ours(key)]) > _TAGS_MAX:
        raise InvalidParameter(f"a function may have {_TAGS_MAX} tags of yours; remove some")
    for key, value in tags.items():
        if not isinstance(value, str):
            raise InvalidParameter(f"the tag {key!r} is {json.dumps(value)[:64]}; write a string")
        if not is_ours(key) and (not 1 <= len(key) <= 128 or len(value) > 256):
            raise InvalidParameter(
                f"the tag {key[:64]!r} has a key of {len(key)} and a value of {len(value)} characters; "
                "at most 128 and 256 are taken"
            )
    return dict(tags)


def _package(code: Body) -> bytes:
    """The zip in `ZipFile`."""
    for member in ("S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri", "SourceKMSKeyArn"):
        if code.has(member):
            raise InvalidParameter(f"code from {member} is not served; send the zip itself in ZipFile")
    encoded = code.optional_text("ZipFile")
    if not encoded:
        raise InvalidParameter("Please provide a source for function code.")
    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidParameter("ZipFile is not base64; encode the zip's bytes") from None


# ── what is answered ────────────────────────────────────────────────────────────────────────────────────────────


def _when(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}+0000"


def configuration(function: Function) -> dict[str, Any]:
    """Lambda's FunctionConfiguration."""
    runtime_digest = hashlib.sha256(function.settings.runtime.encode()).hexdigest()
    runtime_arn = f"arn:aws:lambda:{REGION}::runtime:{runtime_digest}"
    return listed(function) | {"RuntimeVersionConfig": {"RuntimeVersionArn": runtime_arn}} | _state(function)


def details(function: Function) -> dict[str, Any]:
    """Of the module and its snapshot; without `snapshot` while there is none."""
    shown: dict[str, Any] = {
        "name": function.name,
        "language": function.settings.language,
        "moduleBytes": function.module_bytes,
        "packageBytes": function.code_bytes,
    }
    snapshot = function.snapshot
    if snapshot is None:
        return shown
    return shown | {
        "snapshot": {
            "frozen": snapshot.baked,
            "warnings": list(snapshot.warnings),
            "memoryBytes": snapshot.memory_bytes,
            "imageBytes": snapshot.image_bytes,
            "artifactBytes": snapshot.artifact_bytes,
            "buildS": round(snapshot.build_s, 6),
            "initFuel": snapshot.init_fuel,
        }
    }


def listed(function: Function) -> dict[str, Any]:
    """What ListFunctions gives: all but the states and the runtime's version. Precedent: Lambda's documentation."""
    settings = function.settings
    shown: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": function_arn(function.tenant, function.name),
        "Runtime": settings.runtime,
        "Role": function.role,
        "Handler": settings.handler,
        "CodeSize": function.code_bytes,
        "Description": settings.description,
        "Timeout": timeout(settings),
        "MemorySize": settings.memory_mb,
        "LastModified": _when(function.last_modified_s),
        "CodeSha256": function.code_sha256,
        "Version": function.version,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": function.revision_id,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
    }
    if settings.environment:
        shown["Environment"] = {"Variables": dict(settings.environment)}
    return shown


_STATE_CODES: Mapping[State, str] = {State.PENDING: "Creating", State.FAILED: "FunctionError"}
_UPDATE_CODES: Mapping[UpdateStatus, str] = {
    UpdateStatus.IN_PROGRESS: "Creating",
    UpdateStatus.FAILED: "FunctionError",
}


def _state(function: Function) -> dict[str, str]:
    state = {"State": str(function.state)}
    if function.state is not State.ACTIVE:
        return state | {"StateReason": function.state_reason, "StateReasonCode": _STATE_CODES[function.state]}
    state["LastUpdateStatus"] = str(function.update_status)
    if function.update_status is not UpdateStatus.SUCCESSFUL:
        state["LastUpdateStatusReason"] = function.update_reason
        state["LastUpdateStatusReasonCode"] = _UPDATE_CODES[function.update_status]
    return state
