"""The routing table of a worker: which function answers to a name, an ARN, a host or a path.

Laws:
- The table is a function of the *set* of its rows: the order in which they came never shows. A host name or route
  that two functions claim belongs to the one whose (tenant, name) sorts first; `conflicts` tells a deployer beforehand.
- A qualifier is a version, an alias or $LATEST. An alias with two versions is drawn anew for every invocation. What is
  found is a Target of its own for every qualifier, made once: its ARN has the qualifier that was asked for.
- Only functions with `[http]` answer HTTP; all answer Invoke.
- Of the declared routes the most specific wins, segment by segment from the left: literal before `{name}` before
  `{name+}`; then the request's own method before ANY. A path that matches with the wrong method goes on to less
  specific routes. HEAD is answered by a route for GET where none is declared for HEAD. Precedent: API Gateway's HTTP
  APIs.
- Every account has names of its own. At `/fn/` and as a host, the default account's function is `<name>`; another
  account's is `/fn/<account>:<name>/` and `<name>.<account>.localhost`. Declared routes are all accounts' together: who
  is refused one hears that it is taken, not whose it is.
- A declared route never hides the control plane: reserved paths (`/fn/…`, `/healthz`, `/2015-03-31/…`) match no route.

What a function is told as its path: at its own host and at declared routes, the whole path. At `/fn/<name>/…`, what
follows the name, so that the same function works at its host and under its prefix; the stage is `$default` in all
three. Refused: keeping the prefix in `rawPath`, as API Gateway does with named stages. Every handler would have to
strip it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from random import random
from typing import NamedTuple
from urllib.parse import unquote

from .errors import AccessDenied, InvalidParameter, UnknownFunction, ValidationFailed
from .model import DEFAULT_TENANT, LATEST, REGION, Alias, FunctionUrl, Reserved, Route, Served, Target, function_arn

DEFAULT_ROUTE = "$default"
HOST_SUFFIX = ".localhost"
PREFIX = "/fn/"
# First segments that belong to us. A date is a version of one of AWS's APIs.
RESERVED = frozenset({"fn", "healthz", "metrics", "isolet"})
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")

# Lambda's own pattern admits `region:` alone in front of a name; nobody sends that, and with our region's name it would
# swallow `name:qualifier`.
FUNCTION_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
QUALIFIER_PATTERN = "(|[a-zA-Z0-9$_-]+)"
_FUNCTION_NAME = re.compile(
    r"(?:(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?P<account>\d{12}):function:|function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?",
    re.ASCII,
)
_QUALIFIER = re.compile(r"[a-zA-Z0-9$_-]{1,128}", re.ASCII)
_PARAMETER = re.compile(r"\{([A-Za-z0-9_.:-]+)(\+?)\}", re.ASCII)
# Precedent: botocore's model, the longest NamespacedFunctionName.
FUNCTION_NAME_CHARS_MAX = 170


class FunctionRef(NamedTuple):
    """What a caller means by a FunctionName: tenant, name and the qualifier in it ("" when it has none)."""

    tenant: str
    name: str
    qualifier: str

    def arn(self, qualifier: str = "") -> str:
        """The ARN as error messages spell it: with the qualifier only where the caller gave one."""
        arn = function_arn(self.tenant, self.name)
        return f"{arn}:{qualifier or self.qualifier}" if qualifier or self.qualifier else arn


@lru_cache(maxsize=1024)
def parse_function_name(text: str, qualifier: str = "", tenant: str = DEFAULT_TENANT) -> FunctionRef:
    """The function that `FunctionName` and `?Qualifier=` name together, both already percent-decoded; of `tenant` where
    no account is in the name.

    Raises ValidationFailed, InvalidParameter (two different qualifiers) or UnknownFunction (another region's ARN).
    """
    match = _FUNCTION_NAME.fullmatch(text) if len(text) <= FUNCTION_NAME_CHARS_MAX else None
    if match is None:
        raise ValidationFailed(_violation(text, "functionName", FUNCTION_NAME_PATTERN))
    if qualifier and not _QUALIFIER.fullmatch(qualifier):
        raise ValidationFailed(_violation(qualifier, "qualifier", QUALIFIER_PATTERN))
    inside = match["qualifier"] or ""
    if inside and qualifier and inside != qualifier:
        raise InvalidParameter("The derived qualifier from the function name does not match the specified qualifier.")
    region = match["region"]
    if region is not None and region != REGION:
        raise UnknownFunction(f"Functions from '{region}' are not reachable in this region ('{REGION}')")
    return FunctionRef(match["account"] or tenant, match["name"], inside or qualifier)


def prefix_name(tenant: str, name: str) -> str:
    """What follows `/fn/` for a function."""
    return name if tenant == DEFAULT_TENANT else f"{tenant}:{name}"


def host_name(tenant: str, name: str) -> str:
    """What stands before `.localhost` for a function."""
    return name.lower() if tenant == DEFAULT_TENANT else f"{name.lower()}.{tenant}"


def denied(account: str, operation: str, resource: str) -> AccessDenied:
    """What an account hears of a resource of another one, whether or not it is there."""
    return AccessDenied(
        f"User: arn:aws:iam::{account}:root is not authorized to perform: lambda:{operation} on resource: "
        f"{resource} because no resource-based policy allows the lambda:{operation} action"
    )


def _violation(value: str, member: str, pattern: str) -> str:
    return (
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


class Match(NamedTuple):
    """Where an HTTP request goes: the function, the path it is told, and the route that led there."""

    target: Target
    path: str  # percent-encoded as received
    route_key: str = DEFAULT_ROUTE
    parameters: Mapping[str, str] | None = None


def reserved(path: str) -> bool:
    """True for paths that declared routes cannot have."""
    return _is_ours(path[1:].partition("/")[0])


def _is_ours(first_segment: str) -> bool:
    return first_segment in RESERVED or _API_VERSION.fullmatch(first_segment) is not None


# A function's claim: the function, the route, and the names of its parameters from the left.
_Declared = tuple[Target, Route, tuple[str, ...]]


class _Node:
    """One segment of the trie of declared routes."""

    __slots__ = ("greedy", "literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.greedy: _Node | None = None
        self.routes: dict[str, _Declared] = {}


class _Row:
    """What the table has of one function: a Target for each way to ask for it."""

    __slots__ = ("aliases", "by_qualifier", "served")

    def __init__(self, served: Served) -> None:
        self.served = served
        versions = {target.version: target for target in served.targets}
        # The qualifiers that mean one target. "" is the function itself.
        self.by_qualifier = {version: replace(target, qualifier=version) for version, target in versions.items()}
        if LATEST in versions:
            self.by_qualifier[""] = versions[LATEST]
        # Those that mean two: (the share of the second, the second, the first).
        self.aliases: dict[str, tuple[float, Target, Target]] = {}
        for alias in served.aliases:
            self._name(alias, versions)

    def _name(self, alias: Alias, versions: Mapping[str, Target]) -> None:
        first = versions.get(alias.version)
        if first is None:
            return  # its version cannot run
        first = replace(first, qualifier=alias.name)
        for version, weight in alias.weights.items():
            second = versions.get(version)
            if second is not None and weight > 0:
                self.aliases[alias.name] = (weight, replace(second, qualifier=alias.name), first)
                return
        self.by_qualifier[alias.name] = first

    def find(self, qualifier: str, draw: Callable[[], float]) -> Target | None:
        target = self.by_qualifier.get(qualifier)
        if target is None and (shares := self.aliases.get(qualifier)) is not None:
            weight, second, first = shares
            return second if draw() < weight else first
        return target

    def targets(self) -> Iterable[Target]:
        yield from self.by_qualifier.values()
        for _, second, first in self.aliases.values():
            yield from (first, second)

    @property
    def site(self) -> Target | None:
        """What answers HTTP at the function's own names and routes."""
        target = self.by_qualifier.get("")
        return target if target is not None and target.http else None


class RoutingTable:
    """All functions that a worker may run. Mutated by `put`, `remove` and `replace` only; everything else reads."""

    def __init__(self, draw: Callable[[], float] = random) -> None:
        self._draw = draw
        self._rows: dict[tuple[str, str], _Row] = {}
        self._sites: dict[str, Target] = {}
        self._hosts: dict[str, Target] = {}
        self._urls: dict[str, tuple[FunctionUrl, _Row]] = {}
        self._routes = _Node()
        self._routed = False

    def __len__(self) -> int:
        """How many functions."""
        return len(self._rows)

    def served(self) -> list[Served]:
        """Every row, in the order of tenant and name."""
        return [self._rows[key].served for key in sorted(self._rows)]

    def get(self, tenant: str, name: str) -> Served | None:
        row = self._rows.get((tenant, name))
        return None if row is None else row.served

    def targets(self) -> list[Target]:
        """Every target that an invocation may have; of one version as many as there are ways to ask for it."""
        return [target for key in sorted(self._rows) for target in self._rows[key].targets()]

    def reserved(self, tenant: str, name: str) -> Reserved | None:
        row = self._rows.get((tenant, name))
        return None if row is None else row.served.reserved

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, served: Served) -> None:
        """This row is in the table, in place of an older one of the same function."""
        self._rows[served.tenant, served.name] = _Row(served)
        self._index()

    def remove(self, tenant: str, name: str) -> None:
        """The function is not in the table. Removing what is not there is no error."""
        if self._rows.pop((tenant, name), None) is not None:
            self._index()

    def replace(self, rows: Iterable[Served]) -> None:
        """The table is exactly `rows`: what a worker does with the keeper's first, full push."""
        self._rows = {(served.tenant, served.name): _Row(served) for served in rows}
        self._index()

    def _index(self) -> None:
        # Rebuilt whole: deployments are rare, and so the order of arrival cannot matter.
        self._sites, self._hosts, self._urls, self._routes, self._routed = {}, {}, {}, _Node(), False
        for row in (self._rows[key] for key in sorted(self._rows)):
            for url in row.served.urls:
                self._urls.setdefault(url.id, (url, row))
            if (target := row.site) is not None:
                self._sites.setdefault(prefix_name(target.tenant, target.name), target)
                self._hosts.setdefault(host_name(target.tenant, target.name), target)
                for route in target.routes:
                    self._declare(route, target)

    def _declare(self, route: Route, target: Target) -> None:
        node, names = self._routes, []
        for segment in route.pattern[1:].split("/"):
            parameter = _PARAMETER.fullmatch(segment)
            if parameter is None:
                node = node.literals.setdefault(segment, _Node())
            elif parameter[2]:
                node.greedy = node = node.greedy or _Node()
                names.append(parameter[1])
            else:
                node.parameter = node = node.parameter or _Node()
                names.append(parameter[1])
        node.routes.setdefault(route.method, (target, route, tuple(names)))
        self._routed = True

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, ref: FunctionRef) -> Target:
        """The target of an Invoke. Raises UnknownFunction in Lambda's words."""
        row = self._rows.get((ref.tenant, ref.name))
        target = None if row is None else row.find(ref.qualifier, self._draw)
        if target is None:
            raise UnknownFunction(f"Function not found: {ref.arn()}")
        return target

    def url(self, id: str) -> tuple[FunctionUrl, Target] | None:
        """The function URL of this id, and what it calls this time. None also for one whose alias cannot run."""
        known = self._urls.get(id)
        if known is None:
            return None
        target = known[1].find(known[0].qualifier, self._draw)
        return None if target is None else (known[0], target)

    def host(self, name: str) -> Target | None:
        """The function whose host name is `<name>.localhost`, as `host_name` has it; `name` in lower case."""
        return self._hosts.get(name)

    def prefixed(self, path: str) -> Match | None:
        """The match of a path that starts with `/fn/`."""
        name, _, rest = path[4:].partition("/")
        target = self._sites.get(unquote(name) if "%" in name else name)
        return None if target is None else Match(target, "/" + rest)

    def route(self, method: str, path: str) -> Match | None:
        """The most specific declared route for `method` and `path` (no query, percent-encoded), or None."""
        if not self._routed or path[:1] != "/":
            return None
        segments = path[1:].split("/")
        if "%" in path:
            segments = [unquote(segment) for segment in segments]
        if _is_ours(segments[0]):
            return None
        methods = ("HEAD", "GET", "ANY") if method == "HEAD" else (method, "ANY")
        found = _search(self._routes, segments, 0, (), methods)
        if found is None:
            return None
        (target, route, names), values = found
        return Match(target, path, str(route), dict(zip(names, values, strict=True)) or None)

    def conflicts(self, target: Target) -> tuple[str, ...]:
        """Why `target` cannot be served as it claims: routes that are reserved or taken, a host name that is taken.
        Names what other functions of its account have, and of another account's nothing."""
        if not target.http:
            return ()
        me = (target.tenant, target.name)
        sites = [self._rows[key].site for key in sorted(self._rows) if key != me]
        others = [target for target in sites if target is not None]
        taken = {_shape(route): other for other in reversed(others) for route in other.routes}
        problems = [
            f"{route}: the path is reserved for the server" for route in target.routes if reserved(route.pattern)
        ]
        for route in target.routes:
            if (other := taken.get(_shape(route))) is not None:
                whose = f"{other.arn} has this route" if other.tenant == target.tenant else "the route is taken"
                problems.append(f"{route}: {whose}")
        host = host_name(target.tenant, target.name)
        for other in others:
            if other.tenant == target.tenant and other.name.lower() == target.name.lower():
                problems.append(f"host {host}{HOST_SUFFIX}: {other.arn} has it")
        return tuple(problems)


def _search(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...], methods: tuple[str, ...]
) -> tuple[_Declared, tuple[str, ...]] | None:
    """Depth first, most specific first. A pattern's length bounds the depth, its two branches a segment the breadth."""
    if at == len(segments):
        for method in methods:
            if method in node.routes:
                return node.routes[method], values
        return None
    segment = segments[at]
    child = node.literals.get(segment)
    if child is not None:
        found = _search(child, segments, at + 1, values, methods)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        found = _search(node.parameter, segments, at + 1, (*values, segment), methods)
        if found is not None:
            return found
    if node.greedy is not None:
        rest = "/".join(segments[at:])
        if rest:
            return _search(node.greedy, segments, len(segments), (*values, rest), methods)
    return None


def _shape(route: Route) -> str:
    """Two routes of one shape are the same route, whatever their parameters are called."""
    return f"{route.method} {_PARAMETER.sub(lambda m: '{' + m[2] + '}', route.pattern)}"
