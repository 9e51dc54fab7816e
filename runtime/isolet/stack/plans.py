"""What is to be deployed for each resource of a stack: records, and nothing that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import sam


@dataclass(frozen=True, slots=True)
class Code:
    """Where a package comes from: one of the three."""

    inline: str = ""
    s3: Mapping[str, str] = field(default_factory=dict)  # S3Bucket, S3Key, S3ObjectVersion
    path: str = ""  # as written, relative to the template


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    id: str
    path: str
    name: str
    code: Code
    # UpdateFunctionConfiguration's members, all that have a default too: what the template leaves out is as by default.
    configuration: Mapping[str, Any]
    architectures: tuple[str, ...]
    tags: Mapping[str, str]
    reserved: int | None


@dataclass(frozen=True, slots=True)
class LayerPlan:
    id: str
    path: str
    name: str
    code: Code
    body: Mapping[str, Any]  # of PublishLayerVersion, without its Content
    build: str  # Metadata.BuildMethod; "": the content is as it lies there
    retained: bool


@dataclass(frozen=True, slots=True)
class AttachedPlan:
    """What hangs on a function. `kind` is the type of its resource."""

    id: str
    kind: str
    path: str
    function: str  # its name
    qualifier: str
    name: str  # of an alias, of a statement; "" for what there is one of
    body: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """What is remembered of it, in characters that a tag may have."""
        return "/".join((_MARKS[self.kind], self.qualifier, self.name)) if self.kind in _MARKS else ""


@dataclass(frozen=True, slots=True)
class RulePlan:
    """A schedule."""

    id: str
    path: str
    name: str
    body: Mapping[str, str]  # PutRule's ScheduleExpression, State, Description
    targets: tuple[Mapping[str, str], ...]  # PutTargets' Id, Arn, Input


@dataclass(frozen=True, slots=True)
class LogGroupPlan:
    id: str
    path: str
    name: str
    retention_days: int | None  # None: as by default


# Versions stay: aliases and people may mean them.
_MARKS = {sam.ALIAS: "alias", sam.URL: "url", sam.EVENT_INVOKE: "event", sam.PERMISSION: "permission"}

Plan = FunctionPlan | LayerPlan | AttachedPlan | RulePlan | LogGroupPlan
# Results of a server: of a resource's id, its attributes by name; "" is its Ref.
Results = dict[str, Mapping[str, str]]
