"""Which service and which operation a request is for.

In this order: `X-Amz-Target: <prefix>.<operation>` (json), `/service/<prefix>/operation/<operation>` (CBOR),
`Action` and `Version` of a form or a query at `/` (query), and last the paths of REST services.

Laws:
- Paths are compared segment by segment before they are decoded: an encoded slash is part of a label. A slash at the end
  means nothing (some SDKs send it), an empty label is none.
- The service that a request was signed for decides between services that share a path.
- Among templates that match, one with more literal segments and constant parameters wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from ..errors import UnknownOperation, UnknownRoute
from . import models
from .models import Model
from .request import Request, decoded

_CBOR_PATH = re.compile(r"/service/([A-Za-z0-9_.]+)/operation/([A-Za-z0-9_]+)", re.ASCII)
_FORM = "application/x-www-form-urlencoded"


class Route(NamedTuple):
    """What a request is for. `labels` of a REST path are decoded; `form` has the fields of the query protocol."""

    model: Model
    operation: str
    protocol: str
    labels: Mapping[str, str] = {}
    form: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Template:
    model: Model
    operation: str
    segments: tuple[str, ...]
    greedy: int  # the place of a label that takes several segments; -1: none does
    constants: Mapping[str, str]
    weight: tuple[int, int] = field(default=(0, 0))

    def match(self, segments: list[str]) -> dict[str, str] | None:
        if self.greedy >= 0:
            after = len(self.segments) - self.greedy - 1
            middle = segments[self.greedy : len(segments) - after]
            if not middle:
                return None
            segments = [*segments[: self.greedy], "/".join(middle), *segments[len(segments) - after :]]
        if len(segments) != len(self.segments):
            return None
        labels: dict[str, str] = {}
        for wanted, given in zip(self.segments, segments, strict=True):
            if not wanted.startswith("{"):
                if wanted != given:
                    return None
            elif not given:
                return None
            else:
                labels[wanted.strip("{}+")] = unquote(given)
        return labels


class Router:
    """Over the models that are served; there is at most one of each name."""

    def __init__(self, served: Iterable[Model]) -> None:
        self._models = tuple(served)
        self._targets = {m.target_prefix: m for m in self._models if m.target_prefix}
        self._queries = [m for m in self._models if models.QUERY in m.protocols]
        # By method and number of segments; those with a greedy label by method and -1.
        self._rest: dict[tuple[str, int], list[_Template]] = {}
        for model in self._models:
            if models.REST_JSON in model.protocols:
                for name in model.operation_names:
                    http = model.operation(name).http
                    template = _template(model, name, http["requestUri"])
                    count = -1 if template.greedy >= 0 else len(template.segments)
                    self._rest.setdefault((http["method"], count), []).append(template)
        for listed in self._rest.values():
            listed.sort(key=lambda template: template.weight, reverse=True)

    def find(self, request: Request) -> Route:
        """Raises UnknownRoute, and UnknownOperation for an operation that the service does not have."""
        if target := request.header("x-amz-target"):
            return self._by_target(target)
        if cbor := _CBOR_PATH.fullmatch(request.path):
            return self._rpc(cbor[1], cbor[2], models.CBOR)
        if request.path in ("/", "") and (route := self._by_action(request)):
            return route
        if route := self._by_path(request):
            return route
        raise UnknownRoute(f"no operation at {request.method} {unquote(request.path)}")

    def _by_target(self, target: str) -> Route:
        prefix, _, operation = target.rpartition(".")
        return self._rpc(prefix, operation, models.JSON)

    def _rpc(self, prefix: str, operation: str, protocol: str) -> Route:
        model = self._targets.get(prefix)
        if model is None or protocol not in model.protocols:
            served = ", ".join(f"{one}.*" for one, m in self._targets.items() if protocol in m.protocols)
            raise UnknownOperation(f"The operation {prefix}.{operation} is not served; {served or 'none'} are")
        return self._known(Route(model, operation, protocol))

    def _by_action(self, request: Request) -> Route | None:
        fields = request.parameters
        if request.method == "POST" and request.media_type == _FORM:
            fields = fields + decoded(request.body.decode("latin-1"))
        form = dict(fields)
        if "Action" not in form:
            return None
        of_version = [m for m in self._queries if m.api_version == form.get("Version", m.api_version)]
        signed = [m for m in of_version if m.signing_name == request.signed_for]
        having = [m for m in signed or of_version if form["Action"] in m.operation_names]
        for model in having or signed or of_version:
            return self._known(Route(model, form["Action"], models.QUERY, form=tuple(fields)))
        return None

    def _known(self, route: Route) -> Route:
        if route.operation not in route.model.operation_names:
            raise UnknownOperation(
                f"The service {route.model.name} has no operation {route.operation}", route.model.name
            )
        return route

    def _by_path(self, request: Request) -> Route | None:
        segments = request.path.strip("/").split("/")
        parameters = dict(request.parameters) if request.query else {}
        listed = self._rest.get((request.method, len(segments)), []) + self._rest.get((request.method, -1), [])
        found: Route | None = None
        for template in listed:
            if any(parameters.get(name) != value for name, value in template.constants.items()):
                continue
            labels = template.match(segments)
            if labels is None:
                continue
            route = Route(template.model, template.operation, models.REST_JSON, labels)
            if template.model.signing_name == request.signed_for:
                return route
            found = found or route
        return found


def _template(model: Model, operation: str, uri: str) -> _Template:
    path, _, query = uri.partition("?")
    segments = tuple(path.strip("/").split("/"))
    greedy = next((at for at, one in enumerate(segments) if one.endswith("+}")), -1)
    constants = dict(decoded(query))
    literal = sum(not segment.startswith("{") for segment in segments)
    return _Template(model, operation, segments, greedy, constants, (literal, len(constants)))
