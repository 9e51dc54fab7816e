"""Lambda's operations on function URLs. Serving them is the front door's."""

from __future__ import annotations

import secrets
import sqlite3
import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...attached import Attached
from ...clock import Clock
from ...errors import Conflict, UnknownResource
from ...model import Cors, FunctionUrl, function_arn
from ...plain import url_from_plain, url_to_plain
from ...routing import FunctionRef
from ...storage import attachments
from ...storage.attachments import Document
from ..service import Call, Operation
from . import names, pages
from .shapes import Shape, when

_ID_CHARS = string.ascii_lowercase + string.digits
_UNKNOWN = "The resource you requested does not exist."


class Urls:
    def __init__(self, attached: Attached, clock: Clock) -> None:
        self._attached = attached
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateFunctionUrlConfig": self.create,
            "GetFunctionUrlConfig": self.get,
            "UpdateFunctionUrlConfig": self.update,
            "DeleteFunctionUrlConfig": self.delete,
            "ListFunctionUrlConfigs": self.list,
        }

    async def create(self, call: Call) -> Shape:
        ref = names.function_of(call)
        url = _changed(call, FunctionUrl(_new_id(), ref.qualifier, call["AuthType"]))
        now_s = self._clock.wall_s()

        def edit(db: sqlite3.Connection, old: Document | None) -> Document:
            if old is not None:
                raise Conflict(
                    f"Failed to create function url config for [functionArn = {ref.arn()}]. Error message:  "
                    "FunctionUrlConfig exists for this Lambda function"
                )
            return {"url": url_to_plain(url), "created": now_s, "modified": now_s}

        shown = await self._change(call, ref, edit)
        del shown["LastModifiedTime"]
        return shown

    async def get(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = await self._attached.get(ref, attachments.URL)
        if kept is None:
            raise UnknownResource(_UNKNOWN)
        return _shape(call, ref, kept)

    async def update(self, call: Call) -> Shape:
        ref = names.function_of(call)

        def edit(db: sqlite3.Connection, old: Document | None) -> Document:
            if old is None:
                raise UnknownResource(_UNKNOWN)
            url = _changed(call, url_from_plain(old["url"]))
            return old | {"url": url_to_plain(url), "modified": self._clock.wall_s()}

        return await self._change(call, ref, edit)

    async def delete(self, call: Call) -> None:
        ref = names.function_of(call)

        def edit(db: sqlite3.Connection, old: Document | None) -> None:
            if old is None:
                raise UnknownResource(_UNKNOWN)

        await self._attached.change(ref, attachments.URL, edit)

    async def list(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = sorted((await self._attached.of_function(ref, attachments.URL)).items())

        def shape(item: tuple[str, Document]) -> Shape:
            return _shape(call, ref._replace(qualifier=item[0]), item[1])

        return pages.page(call, kept, lambda item: item[0], shape, "FunctionUrlConfigs")

    async def _change(
        self, call: Call, ref: FunctionRef, edit: Callable[[sqlite3.Connection, Document | None], Document]
    ) -> Shape:
        new = await self._attached.change(ref, attachments.URL, edit)
        assert new is not None, "it was put"
        return _shape(call, ref, new)


def _new_id() -> str:
    return "".join(secrets.choice(_ID_CHARS) for _ in range(32))


def _changed(call: Call, url: FunctionUrl) -> FunctionUrl:
    cors = call.get("Cors")
    return replace(
        url,
        auth=call.get("AuthType", url.auth),
        mode=call.get("InvokeMode", url.mode),
        cors=url.cors if cors is None else _cors(cors),
    )


def _cors(said: Mapping[str, Any]) -> Cors | None:
    if not said:
        return None
    return Cors(
        tuple(said.get("AllowOrigins") or ()),
        tuple(said.get("AllowMethods") or ()),
        tuple(said.get("AllowHeaders") or ()),
        tuple(said.get("ExposeHeaders") or ()),
        bool(said.get("AllowCredentials")),
        said.get("MaxAge") or 0,
    )


def _shape(call: Call, ref: FunctionRef, document: Document) -> Shape:
    url = url_from_plain(document["url"])
    cors = url.cors
    return {
        "FunctionUrl": url_text(call.origin, url.id),
        "FunctionArn": function_arn(ref.tenant, ref.name, ref.qualifier),
        "AuthType": url.auth,
        "Cors": None
        if cors is None
        else {
            "AllowOrigins": list(cors.allow_origins) or None,
            "AllowMethods": list(cors.allow_methods) or None,
            "AllowHeaders": list(cors.allow_headers) or None,
            "ExposeHeaders": list(cors.expose_headers) or None,
            "AllowCredentials": cors.allow_credentials or None,
            "MaxAge": cors.max_age_s or None,
        },
        "CreationTime": when(document["created"]),
        "LastModifiedTime": when(document["modified"]),
        "InvokeMode": url.mode,
    }


def url_text(origin: str, id: str) -> str:
    """Where a function URL is: at the port by which its owner addresses us."""
    scheme, _, authority = origin.partition("://")
    host, separator, port = authority.rpartition(":")
    known = f":{port}" if separator and port.isdigit() and not host.endswith(":") else ""
    return f"{scheme}://{id}.lambda-url.localhost{known}/"
