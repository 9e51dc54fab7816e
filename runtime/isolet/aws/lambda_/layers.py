"""Lambda's operations on layers: zips whose content functions find under /opt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...clock import Clock
from ...errors import InvalidParameter, UnknownResource
from ...model import LayerContent
from ...storage.layers import Layers, LayerVersion
from ...storage.packages import Packages
from ..service import Call, Operation
from . import names, pages, policies
from .functions import Fetch, Locate, zip_of
from .shapes import Shape, when

_UNKNOWN = "The resource you requested does not exist."


class LayersService:
    def __init__(self, layers: Layers, packages: Packages, fetch: Fetch, locate: Locate, clock: Clock) -> None:
        self._layers = layers
        self._packages = packages
        self._fetch = fetch
        self._locate = locate
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        return {
            "PublishLayerVersion": self.publish,
            "GetLayerVersion": self.get,
            "GetLayerVersionByArn": self.get_by_arn,
            "ListLayers": self.list,
            "ListLayerVersions": self.list_versions,
            "DeleteLayerVersion": self.delete,
            "AddLayerVersionPermission": self.add_permission,
            "GetLayerVersionPolicy": self.get_policy,
            "RemoveLayerVersionPermission": self.remove_permission,
        }

    async def resolve(self, call: Call, arns: tuple[str, ...]) -> tuple[LayerContent, ...]:
        """What a function's layers are. Raises InvalidParameter for what is not there, or another account's."""
        contents = []
        for arn in arns:
            tenant, name, version = names.layer_version_of(call, arn)
            layer = await self._layers.get(tenant, name, version) if tenant == call.tenant else None
            if layer is None:
                raise InvalidParameter(f"Layer version {arn} does not exist.")
            contents.append(layer.content)
        return tuple(contents)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def publish(self, call: Call) -> Shape:
        name = names.layer_of(call, call["LayerName"])
        content = await zip_of(call, call["Content"], self._fetch, "Please provide a source for the layer's content.")
        await self._layers.require_room(call.tenant, len(content))
        stored = await asyncio.to_thread(self._packages.put_layer, content)
        layer = await self._layers.publish(
            LayerVersion(
                tenant=call.tenant,
                name=name,
                version=0,
                digest=stored.digest,
                code_sha256=stored.code_sha256,
                code_bytes=stored.code_bytes,
                description=call.get("Description", ""),
                created_s=self._clock.wall_s(),
                runtimes=tuple(call.get("CompatibleRuntimes") or ()),
                architectures=tuple(call.get("CompatibleArchitectures") or ()),
                license=call.get("LicenseInfo", ""),
                policy={},
            )
        )
        return self._whole(call, layer)

    async def get(self, call: Call) -> Shape:
        return self._whole(call, await self._found(call))

    async def get_by_arn(self, call: Call) -> Shape:
        tenant, name, version = names.layer_version_of(call, call["Arn"])
        layer = await self._layers.get(tenant, name, version) if tenant == call.tenant else None
        if layer is None:
            raise UnknownResource(_UNKNOWN)
        return self._whole(call, layer)

    async def list(self, call: Call) -> Shape:
        layers = [layer for layer in await self._layers.latest(call.tenant) if _fits(call, layer)]

        def shape(layer: LayerVersion) -> Shape:
            return {
                "LayerName": layer.name,
                "LayerArn": layer.layer_arn,
                "LatestMatchingVersion": _listed(layer),
            }

        return pages.page(call, layers, lambda layer: layer.name, shape, "Layers")

    async def list_versions(self, call: Call) -> Shape:
        name = names.layer_of(call, call["LayerName"])
        versions = [layer for layer in await self._layers.versions(call.tenant, name) if _fits(call, layer)]
        # The newest first: keys that grow as numbers fall.
        return pages.page(
            call, versions, lambda layer: f"{1_000_000_000 - layer.version:010d}", _listed, "LayerVersions"
        )

    async def delete(self, call: Call) -> None:
        await self._layers.delete(call.tenant, names.layer_of(call, call["LayerName"]), call["VersionNumber"])

    # ── policies ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_permission(self, call: Call) -> Shape:
        layer = await self._found(call)
        organization = call.get("OrganizationId")
        conditions = {"aws:PrincipalOrgID": organization} if organization else {}
        statement = names.statement_of(call, layer.arn, StringEquals=conditions)
        policy = policies.with_statement(_policy(layer), statement, call.get("RevisionId"))
        await self._layers.change(replace(layer, policy=policy["statements"], policy_revision=policy["revision"]))
        return {"Statement": policies.text(statement), "RevisionId": policy["revision"]}

    async def get_policy(self, call: Call) -> Shape:
        return policies.shape(_policy(await self._found(call)))

    async def remove_permission(self, call: Call) -> None:
        layer = await self._found(call)
        left = policies.without_statement(_policy(layer), call["StatementId"], call.get("RevisionId"))
        kept: dict[str, Any] = left or {"statements": {}, "revision": ""}
        await self._layers.change(replace(layer, policy=kept["statements"], policy_revision=kept["revision"]))

    async def _found(self, call: Call) -> LayerVersion:
        name = names.layer_of(call, call["LayerName"])
        layer = await self._layers.get(call.tenant, name, call["VersionNumber"])
        if layer is None:
            raise UnknownResource(_UNKNOWN)
        return layer

    def _whole(self, call: Call, layer: LayerVersion) -> Shape:
        content = {
            "Location": self._locate(call.origin, layer.digest),
            "CodeSha256": layer.code_sha256,
            "CodeSize": layer.code_bytes,
        }
        return {"Content": content, "LayerArn": layer.layer_arn} | _listed(layer)


def _listed(layer: LayerVersion) -> Shape:
    return {
        "LayerVersionArn": layer.arn,
        "Version": layer.version,
        "Description": layer.description,
        "CreatedDate": when(layer.created_s),
        "CompatibleRuntimes": list(layer.runtimes) or None,
        "CompatibleArchitectures": list(layer.architectures) or None,
        "LicenseInfo": layer.license or None,
    }


def _fits(call: Call, layer: LayerVersion) -> bool:
    runtime, architecture = call.get("CompatibleRuntime"), call.get("CompatibleArchitecture")
    return (runtime is None or runtime in layer.runtimes) and (
        architecture is None or architecture in layer.architectures
    )


def _policy(layer: LayerVersion) -> dict[str, Any] | None:
    return {"statements": layer.policy, "revision": layer.policy_revision} if layer.policy else None
