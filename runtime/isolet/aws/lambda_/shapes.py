"""What Lambda's operations say of functions: FunctionConfiguration in its forms. Pure.

Law: clients compare whole answers. A field that AWS omits is absent, not empty.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from ...model import LATEST, REGION, Alias, Function, State, UpdateStatus, function_arn
from ..settings import timeout

Shape = dict[str, Any]


def when(seconds: float) -> str:
    """LastModified: 2026-11-20T10:00:00.123+0000."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}+0000"


def listed(function: Function, qualifier: str = "") -> Shape:
    """What ListFunctions gives: all but the states and the runtime's version. Precedent: Lambda's documentation."""
    settings = function.settings
    optimised = settings.snap_start == "PublishedVersions" and function.version != LATEST
    logging = settings.logging
    shown: Shape = {
        "FunctionName": function.name,
        "FunctionArn": function_arn(function.tenant, function.name, qualifier),
        "Runtime": settings.runtime,
        "Role": function.role,
        "Handler": settings.handler,
        "CodeSize": function.code_bytes,
        "Description": settings.description,
        "Timeout": timeout(settings),
        "MemorySize": settings.memory_mb,
        "LastModified": when(function.last_modified_s),
        "CodeSha256": function.code_sha256,
        "Version": function.version,
        "TracingConfig": {"Mode": settings.tracing},
        "RevisionId": function.revision_id,
        "PackageType": "Zip",
        "Architectures": [settings.architecture],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": settings.snap_start, "OptimizationStatus": "On" if optimised else "Off"},
        "LoggingConfig": {
            "LogFormat": logging.format,
            "ApplicationLogLevel": logging.application_level or None,
            "SystemLogLevel": logging.system_level or None,
            "LogGroup": logging.group or f"/aws/lambda/{function.name}",
        },
    }
    if settings.environment:
        shown["Environment"] = {"Variables": dict(settings.environment)}
    if settings.dead_letter:
        shown["DeadLetterConfig"] = {"TargetArn": settings.dead_letter}
    if function.layers:
        shown["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.code_bytes} for layer in function.layers]
    return shown


def configuration(function: Function, qualifier: str = "") -> Shape:
    """Lambda's FunctionConfiguration."""
    runtime_digest = hashlib.sha256(function.settings.runtime.encode()).hexdigest()
    runtime_arn = f"arn:aws:lambda:{REGION}::runtime:{runtime_digest}"
    return listed(function, qualifier) | {"RuntimeVersionConfig": {"RuntimeVersionArn": runtime_arn}} | _state(function)


_STATE_CODES: Mapping[State, str] = {State.PENDING: "Creating", State.FAILED: "FunctionError"}
_UPDATE_CODES: Mapping[UpdateStatus, str] = {
    UpdateStatus.IN_PROGRESS: "Creating",
    UpdateStatus.FAILED: "FunctionError",
}


def _state(function: Function) -> Shape:
    state: Shape = {"State": str(function.state)}
    if function.state is not State.ACTIVE:
        return state | {"StateReason": function.state_reason, "StateReasonCode": _STATE_CODES[function.state]}
    state["LastUpdateStatus"] = str(function.update_status)
    if function.update_status is not UpdateStatus.SUCCESSFUL:
        state["LastUpdateStatusReason"] = function.update_reason
        state["LastUpdateStatusReasonCode"] = _UPDATE_CODES[function.update_status]
    return state


def details(function: Function) -> Shape:
    """What Lambda has no field for: the module and its snapshot; without `snapshot` while there is none."""
    shown: Shape = {
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


def alias_shape(tenant: str, name: str, alias: Alias) -> Shape:
    """Lambda's AliasConfiguration."""
    return {
        "AliasArn": function_arn(tenant, name, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RoutingConfig": {"AdditionalVersionWeights": dict(alias.weights)} if alias.weights else None,
        "RevisionId": alias.revision_id,
    }
