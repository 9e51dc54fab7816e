"""What requests that create and change functions ask for: settings, code, tags. Pure.

Law: what we do not do is refused by name, not ignored: a function that silently lacks its file system is worse than one
that is not created.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ... import limits
from ...errors import InvalidParameter, UnsupportedOperation, ValidationFailed
from ...model import Logging, Settings
from .. import constraints
from ..service import Call
from ..settings import is_ours

TAGS_MAX = 50  # Precedent: Lambda.
LAYERS_MAX = 5  # Precedent: Lambda.

_TAG_VALUE = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
_VARIABLE = r"[a-zA-Z]([a-zA-Z0-9_])+"
# What the runtime itself sets (sdk/abi.md, section 8). Precedent: Lambda refuses its own.
_RESERVED_VARIABLES = frozenset(
    {
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_REGION"),
        *("LAMBDA_TASK_ROOT", "TZ", "_HANDLER"),
    }
)
# Members that mean something we do not do; the values with which they mean nothing.
_NOT_SERVED: Mapping[str, Any] = {
    "CapacityProviderConfig": {},
    "CodeSigningConfigArn": "",
    "DurableConfig": {},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "ImageConfig": {},
    "KMSKeyArn": "",
    "TenancyConfig": {},
    "VpcConfig": {},
}
_NO_VPC: Mapping[str, Any] = {"SubnetIds": [], "SecurityGroupIds": []}


def refuse_unserved(call: Call) -> None:
    """Raises UnsupportedOperation for a member that asks for what is not here."""
    for member, nothing in _NOT_SERVED.items():
        value = call.get(member)
        if value in (None, nothing, {}, [], "") or (member == "VpcConfig" and _is_no_vpc(value)):
            continue
        raise UnsupportedOperation(f"{member} is not served by this version of isolet; leave it out")
    if call.get("PackageType") == "Image" or (call.get("Code") or {}).get("ImageUri") or call.get("ImageUri"):
        raise InvalidParameter(
            "PackageType Image is not served: isolet runs WebAssembly and the source of its language runtimes, not "
            "containers; send a zip"
        )


def _is_no_vpc(value: Mapping[str, Any]) -> bool:
    return all(_NO_VPC.get(member, None) == given for member, given in value.items())


def settings_of(call: Call, old: Settings) -> Settings:
    """The settings with what the request says. Raises InvalidParameter, ValidationFailed, UnsupportedOperation."""
    refuse_unserved(call)
    layers = call.get("Layers")
    return replace(
        old,
        runtime=call.get("Runtime", old.runtime),
        handler=call.get("Handler", old.handler),
        description=call.get("Description", old.description),
        timeout_s=float(call["Timeout"]) if "Timeout" in call else old.timeout_s,
        memory_mb=call.get("MemorySize", old.memory_mb),
        environment=_environment(call) if "Environment" in call else old.environment,
        dead_letter=_dead_letter(call) if "DeadLetterConfig" in call else old.dead_letter,
        layers=old.layers if layers is None else _layers(layers),
        logging=_logging(call, old.logging),
        architecture=(call.get("Architectures") or [old.architecture])[0],
        tracing=(call.get("TracingConfig") or {}).get("Mode", old.tracing),
        snap_start=(call.get("SnapStart") or {}).get("ApplyOn", old.snap_start),
    )


def _layers(arns: list[str]) -> tuple[str, ...]:
    if len(arns) > LAYERS_MAX:
        raise InvalidParameter(f"Cannot reference more than {LAYERS_MAX} layers.")
    names = [arn.rpartition(":")[0] for arn in arns]
    if len(set(names)) != len(names):
        twice = next(arn for arn, name in zip(arns, names, strict=True) if names.count(name) > 1)
        others = [arn for arn in arns if arn.rpartition(":")[0] == twice.rpartition(":")[0]]
        raise InvalidParameter(
            "Two different versions of the same layer are not allowed to be referenced in the same function. "
            f"{others[0]} and {others[1]} are versions of the same layer."
        )
    return tuple(arns)


_DEAD_LETTER = re.compile(r"arn:aws[a-zA-Z-]*:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+", re.ASCII)


def _dead_letter(call: Call) -> str:
    arn: str = (call["DeadLetterConfig"] or {}).get("TargetArn") or ""
    if arn and not _DEAD_LETTER.fullmatch(arn):
        raise InvalidParameter(
            f"The provided target ARN {arn[:200]} is not one of an SQS queue or an SNS topic; write such an ARN"
        )
    return arn


def _logging(call: Call, old: Logging) -> Logging:
    said = call.get("LoggingConfig")
    if said is None:
        return old
    form = said.get("LogFormat", old.format)
    if form == "Text":
        if said.get("ApplicationLogLevel") or said.get("SystemLogLevel"):
            raise InvalidParameter(
                "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON; set it, or leave "
                "the levels out"
            )
        return Logging(group=said.get("LogGroup", old.group))
    return Logging(
        form,
        said.get("ApplicationLogLevel") or old.application_level or "INFO",
        said.get("SystemLogLevel") or old.system_level or "INFO",
        said.get("LogGroup", old.group),
    )


def _environment(call: Call) -> Mapping[str, str]:
    variables: Mapping[str, str] = (call["Environment"] or {}).get("Variables") or {}
    what = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    for name, value in variables.items():
        if not re.fullmatch(_VARIABLE, name, re.ASCII):
            # AWS's constraint is on the keys of the map.
            violation = constraints.pattern("environment.variables", name, _VARIABLE)
            raise ValidationFailed(constraints.violations([violation]))
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


def tags_of_request(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they may be kept. Raises InvalidParameter."""
    if len([key for key in tags if not is_ours(key)]) > TAGS_MAX:
        raise InvalidParameter(f"a function may have {TAGS_MAX} tags of yours; remove some")
    for key, value in tags.items():
        if key.startswith("aws:"):
            raise InvalidParameter(f"the tag {key[:64]!r} begins with aws:, which AWS keeps to itself; choose another")
        if is_ours(key):
            continue
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidParameter(
                f"the tag {key[:64]!r} has a key of {len(key)} and a value of {len(value)} characters; "
                "at most 128 and 256 are taken"
            )
        if not all(unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@" for character in value):
            raise ValidationFailed(constraints.violations([constraints.pattern("tags", value, _TAG_VALUE)]))
    return dict(tags)


def users_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that are no settings of ours."""
    return {key: value for key, value in tags.items() if not is_ours(key)}
