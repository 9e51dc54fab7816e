"""Lambda's operations on versions and aliases. What they do is in versions.py of the keeper."""

from __future__ import annotations

from collections.abc import Mapping

from ...deployments import Deployments
from ...errors import InvalidParameter, UnknownFunction
from ...model import LATEST, Alias, Function
from ...versions import Versions
from ..service import Call, Operation
from . import names, pages
from .shapes import Shape, alias_shape, configuration, listed

_ALL = 1_000_000


class VersionsService:
    def __init__(self, deployments: Deployments, versions: Versions) -> None:
        self._deployments = deployments
        self._versions = versions

    def operations(self) -> Mapping[str, Operation]:
        return {
            "PublishVersion": self.publish,
            "ListVersionsByFunction": self.list,
            "CreateAlias": self.create_alias,
            "GetAlias": self.get_alias,
            "UpdateAlias": self.update_alias,
            "DeleteAlias": self.delete_alias,
            "ListAliases": self.list_aliases,
        }

    async def publish(self, call: Call) -> Shape:
        ref = names.function_of(call)
        version = await self._versions.publish(
            ref.tenant, ref.name, call.get("CodeSha256"), call.get("Description"), call.get("RevisionId")
        )
        return configuration(version, version.version)

    async def list(self, call: Call) -> Shape:
        ref = names.function_of(call)
        latest = await self._deployments.get(ref.tenant, ref.name)
        published = await self._versions.page(ref.tenant, ref.name, 0, _ALL)

        def key(function: Function) -> str:
            return "0" if function.version == LATEST else f"{int(function.version):010d}"

        return pages.page(
            call, [latest, *published], key, lambda function: listed(function, function.version), "Versions"
        )

    async def create_alias(self, call: Call) -> Shape:
        ref = names.function_of(call)
        alias = Alias(call["Name"], call["FunctionVersion"], _weights(call) or {}, call.get("Description", ""))
        return alias_shape(ref.tenant, ref.name, await self._versions.create_alias(ref.tenant, ref.name, alias))

    async def get_alias(self, call: Call) -> Shape:
        ref = names.function_of(call)
        return alias_shape(ref.tenant, ref.name, await self._versions.alias(ref.tenant, ref.name, call["Name"]))

    async def update_alias(self, call: Call) -> Shape:
        ref = names.function_of(call)
        alias = await self._versions.update_alias(
            ref.tenant,
            ref.name,
            call["Name"],
            version=call.get("FunctionVersion"),
            weights=_weights(call),
            description=call.get("Description"),
            revision_id=call.get("RevisionId"),
        )
        return alias_shape(ref.tenant, ref.name, alias)

    async def delete_alias(self, call: Call) -> None:
        ref = names.function_of(call)
        await self._versions.delete_alias(ref.tenant, ref.name, call["Name"])

    async def list_aliases(self, call: Call) -> Shape:
        ref = names.function_of(call)
        try:
            await self._deployments.get(ref.tenant, ref.name)
        except UnknownFunction:
            raise UnknownFunction(f"Function not found: {ref.arn()}") from None
        wanted = call.get("FunctionVersion")
        aliases = [
            alias
            for alias in await self._versions.aliases(ref.tenant, ref.name)
            if wanted is None or wanted == alias.version or wanted in alias.weights
        ]
        return pages.page(
            call, aliases, lambda alias: alias.name, lambda alias: alias_shape(ref.tenant, ref.name, alias), "Aliases"
        )


def _weights(call: Call) -> Mapping[str, float] | None:
    """None where the request says nothing of it; {} takes the second version away."""
    routing = call.get("RoutingConfig")
    if routing is None:
        return None
    weights: Mapping[str, float] = routing.get("AdditionalVersionWeights") or {}
    if len(weights) > 1:
        raise InvalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
    return weights
