"""Lambda's operations on functions themselves: create, read, list, change, delete, tag. What they do is in
deployments.py."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from ... import limits
from ...deployments import Change, Deployments
from ...errors import InvalidParameter, UnknownFunction, ValidationFailed
from ...model import LATEST, Function, LayerContent, Settings
from ...routing import FunctionRef
from ...versions import Versions
from .. import constraints
from ..service import Call, Operation
from ..settings import tags_of, with_tags, without_tags
from . import names, pages
from .requests import refuse_unserved, settings_of, tags_of_request, users_tags
from .shapes import Shape, configuration, listed

# The zip at (bucket, key, version), which (tenant) asks for.
Fetch = Callable[[str, str, str, str | None], Awaitable[bytes]]
# What the ARNs of layer versions mean to a tenant.
Resolve = Callable[[Call, tuple[str, ...]], Awaitable[tuple[LayerContent, ...]]]
# Where a package can be had: (origin, digest) → URL.
Locate = Callable[[str, str], str]

_ALL = 10_000


class Functions:
    def __init__(
        self, deployments: Deployments, versions: Versions, fetch: Fetch, resolve: Resolve, locate: Locate
    ) -> None:
        self._deployments = deployments
        self._versions = versions
        self._fetch = fetch
        self._resolve = resolve
        self._locate = locate

    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateFunction": self.create,
            "GetFunction": self.get,
            "GetFunctionConfiguration": self.get_configuration,
            "ListFunctions": self.list,
            "UpdateFunctionCode": self.update_code,
            "UpdateFunctionConfiguration": self.update_configuration,
            "DeleteFunction": self.delete,
            "ListTags": self.list_tags,
            "TagResource": self.tag,
            "UntagResource": self.untag,
        }

    async def found(self, ref: FunctionRef) -> Function:
        """What a name and its qualifier mean. Raises UnknownFunction, with the name as it was asked for."""
        number = await self._versions.number(ref.tenant, ref.name, ref.qualifier)
        try:
            if number == LATEST:
                return await self._deployments.get(ref.tenant, ref.name)
            return await self._versions.get(ref.tenant, ref.name, number)
        except UnknownFunction:
            raise UnknownFunction(f"Function not found: {ref.arn()}") from None

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, call: Call) -> Shape:
        ref = names.function_of(call)
        if len(ref.name) > limits.FUNCTION_NAME_CHARS_MAX:
            too_long = f"less than or equal to {limits.FUNCTION_NAME_CHARS_MAX}"
            raise ValidationFailed(constraints.violations([constraints.length("functionName", ref.name, too_long)]))
        if ref.qualifier:
            raise InvalidParameter("The function name of a new function has no qualifier; leave it out")
        settings = settings_of(call, Settings(runtime="", handler=""))
        tags = tags_of_request(call.get("Tags") or {})
        if not settings.runtime or not settings.handler:
            raise InvalidParameter(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        settings = with_tags(settings, tags)
        function = await self._deployments.create(
            call.tenant,
            ref.name,
            settings,
            await self._package(call, call["Code"]),
            call["Role"],
            users_tags(tags),
            await self._resolve(call, settings.layers),
            bool(call.get("Publish")),
        )
        return configuration(function)

    async def get(self, call: Call) -> Shape:
        ref = names.function_of(call)
        function = await self.found(ref)
        tags = {**function.tags, **tags_of(function.settings)}
        kept = await self._deployments.reserved(ref.tenant, ref.name)
        return {
            "Configuration": configuration(function, ref.qualifier),
            "Code": {"RepositoryType": "S3", "Location": self._locate(call.origin, function.package_digest)},
            "Tags": tags or None,
            "Concurrency": None if kept is None else {"ReservedConcurrentExecutions": kept},
        }

    async def get_configuration(self, call: Call) -> Shape:
        ref = names.function_of(call)
        return configuration(await self.found(ref), ref.qualifier)

    async def list(self, call: Call) -> Shape:
        if call.get("FunctionVersion") == "ALL":
            return await self._list_all_versions(call)
        count = pages.size(call)
        # One more than is shown tells whether there is a next page.
        functions = await self._deployments.page(call.tenant, pages.marked(call), count + 1)
        answer: Shape = {"Functions": [listed(function) for function in functions[:count]]}
        if len(functions) > count:
            answer["NextMarker"] = pages.marker(call, functions[count - 1].name)
        return answer

    async def _list_all_versions(self, call: Call) -> Shape:
        versions: list[Function] = []
        for function in await self._deployments.page(call.tenant, "", _ALL):
            published = await self._versions.page(call.tenant, function.name, 0, _ALL)
            versions += [function, *published]

        def key(function: Function) -> str:
            number = 0 if function.version == LATEST else int(function.version)
            return f"{function.name}:{number:09d}"

        return pages.page(call, versions, key, lambda function: listed(function, function.version), "Functions")

    async def update_code(self, call: Call) -> Shape:
        ref = _latest(names.function_of(call))
        refuse_unserved(call)
        architectures = call.get("Architectures")

        def settings(old: Settings) -> Settings:
            return replace(old, architecture=architectures[0]) if architectures else old

        package = await self._package(call, call.input)
        publish = bool(call.get("Publish"))
        if call.get("DryRun"):
            return configuration(await self._deployments.get(ref.tenant, ref.name))
        change = Change(package=package, settings=settings, revision_id=call.get("RevisionId"), publish=publish)
        function = await self._deployments.update(ref.tenant, ref.name, change)
        return configuration(function, function.version if publish else "")

    async def update_configuration(self, call: Call) -> Shape:
        ref = _latest(names.function_of(call))
        # Against the defaults first, to refuse what is wrong before anything is asked of the registry.
        wanted = settings_of(call, Settings())
        layers = await self._resolve(call, wanted.layers) if "Layers" in call else None
        change = Change(
            settings=lambda old: settings_of(call, old),
            role=call.get("Role"),
            revision_id=call.get("RevisionId"),
            layers=layers,
        )
        return configuration(await self._deployments.update(ref.tenant, ref.name, change))

    async def delete(self, call: Call) -> Shape:
        ref = names.function_of(call)
        if not ref.qualifier:
            await self._deployments.delete(ref.tenant, ref.name)
        elif ref.qualifier == LATEST:
            raise InvalidParameter("$LATEST version cannot be deleted without deleting the function.")
        elif not ref.qualifier.isdigit():
            raise InvalidParameter("Deletion of aliases is not currently supported.")
        else:
            await self._versions.delete(ref.tenant, ref.name, ref.qualifier)
            self._deployments.prune_soon()
        return {"StatusCode": 204}

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_tags(self, call: Call) -> Shape:
        ref = names.tagged_function(call, call["Resource"])
        function = await self._deployments.get(ref.tenant, ref.name)
        return {"Tags": {**function.tags, **tags_of(function.settings)}}

    async def tag(self, call: Call) -> None:
        ref = names.tagged_function(call, call["Resource"])
        tags = tags_of_request(call["Tags"])
        change = Change(
            settings=lambda old: with_tags(old, tags),
            tags=lambda old: tags_of_request({**old, **users_tags(tags)}),
        )
        await self._deployments.update(ref.tenant, ref.name, change)

    async def untag(self, call: Call) -> None:
        ref = names.tagged_function(call, call["Resource"])
        keys = call["TagKeys"]
        change = Change(
            settings=lambda old: without_tags(old, keys),
            tags=lambda old: {key: value for key, value in old.items() if key not in keys},
        )
        await self._deployments.update(ref.tenant, ref.name, change)

    # ── code ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _package(self, call: Call, code: Mapping[str, Any]) -> bytes:
        """The zip that a request sends or names."""
        refuse_unserved(call)
        return await zip_of(call, code, self._fetch, "Please provide a source for function code.")


async def zip_of(call: Call, code: Mapping[str, Any], fetch: Fetch, nothing: str) -> bytes:
    """The zip of a Code or a Content: sent, or in S3. Raises InvalidParameter: `nothing`, where there is none."""
    if code.get("S3Bucket") or code.get("S3Key"):
        if code.get("ZipFile"):
            raise InvalidParameter("Please do not provide other FunctionCode parameters when providing a ZipFile.")
        if not (code.get("S3Bucket") and code.get("S3Key")):
            raise InvalidParameter("S3Bucket and S3Key name a zip together; give both")
        return await fetch(call.tenant, code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
    sent: bytes = code.get("ZipFile") or b""
    if not sent:
        raise InvalidParameter(nothing)
    return sent


def _latest(ref: FunctionRef) -> FunctionRef:
    """For what changes $LATEST. Raises InvalidParameter for another qualifier."""
    if ref.qualifier not in ("", LATEST):
        raise InvalidParameter(
            constraints.violations(
                [constraints.pattern("functionName", f"{ref.name}:{ref.qualifier}", "[a-zA-Z0-9-_\\.]+(:\\$LATEST)?")]
            )
            if not re.fullmatch(r"[0-9]+", ref.qualifier)
            else f"{ref.arn()} is a version: it cannot be changed; change the function and publish another"
        )
    return ref
