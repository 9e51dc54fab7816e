"""Settings ↔ what Lambda's configuration calls them, and tags under `isolet:` for what it has no field for. Pure.

| tag | of Settings | |
|---|---|---|
| `isolet:fuel` | fuel | a whole number |
| `isolet:timeout_s` | timeout_s | when it is no whole number of seconds, which is all that `Timeout` can say |
| `isolet:http` | http | `true` or `false` |
| `isolet:routes` | routes | a JSON list of `"METHOD /path"` |
| `isolet:language` | language | |
| `isolet:warmup` | warmup | a file of the package |
| `isolet:kv`, `isolet:fetch`, `isolet:invoke`, `isolet:secrets` | capabilities | JSON lists of what is granted |

Law: `with_tags(settings, tags_of(settings)) == settings`, and only what differs from the default makes a tag.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from .. import grants, limits
from ..errors import InvalidParameter
from ..grants import Refusal
from ..manifest import parse_route
from ..model import Route, Settings

PREFIX = "isolet:"
_DEFAULTS = Settings()


def is_ours(key: str) -> bool:
    return key.startswith(PREFIX)


def _fuel(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", text) or not 1 <= int(text) <= limits.FUEL_MAX:
        raise InvalidParameter(f"the tag isolet:fuel is {text!r}; write a whole number from 1 to {limits.FUEL_MAX}")
    return int(text)


def _timeout_s(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) or not 0.001 <= float(text) <= limits.TIMEOUT_S_MAX:
        raise InvalidParameter(
            f"the tag isolet:timeout_s is {text!r}; write seconds from 0.001 to {limits.TIMEOUT_S_MAX:g}"
        )
    return float(text)


def _http(text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidParameter(f'the tag isolet:http is {text!r}; write "true" or "false"')
    return text == "true"


def _routes(text: str) -> tuple[Route, ...]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or len(listed) > limits.ROUTES_MAX or not all(isinstance(r, str) for r in listed):
        raise InvalidParameter(
            f'the tag isolet:routes is not a JSON list of at most {limits.ROUTES_MAX} routes; write ["GET /path", …]'
        )
    routes = []
    for entry in listed:
        route = parse_route(entry)
        if isinstance(route, Refusal):
            raise InvalidParameter(f"the tag isolet:routes: {entry!r} {route.reason}; {route.cure}")
        routes.append(route)
    return tuple(routes)


def _word(name: str, chars_max: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) > chars_max or not text.isprintable():
            raise InvalidParameter(f"the tag isolet:{name} is not a word of at most {chars_max} characters; shorten it")
        return text

    return parse


def _granted(kind: str, text: str) -> tuple[str, ...]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise InvalidParameter(f'the tag isolet:{kind} is not a JSON list; write ["…", …]')
    if refused := grants.refusal(kind, listed):
        raise InvalidParameter(f"the tag isolet:{kind}: {refused.reason}; {refused.cure}")
    return tuple(listed)


def _list(entries: Iterable[str]) -> str:
    return json.dumps(list(entries), separators=(",", ":"))


_TAGS: Mapping[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "fuel": (_fuel, str),
    "timeout_s": (_timeout_s, lambda seconds: f"{seconds:.6f}".rstrip("0").rstrip(".")),
    "http": (_http, lambda on: "true" if on else "false"),
    "routes": (_routes, lambda routes: _list(map(str, routes))),
    "language": (_word("language", 64), str),
    "warmup": (_word("warmup", limits.PACKAGE_PATH_CHARS_MAX), str),
}
assert set(_TAGS) <= {field.name for field in fields(Settings)}, "a tag is named like its field"


def tags_of(settings: Settings) -> dict[str, str]:
    """The tags that say what Lambda's fields do not."""
    tags = {
        PREFIX + name: show(getattr(settings, name))
        for name, (_, show) in _TAGS.items()
        if name != "timeout_s" and getattr(settings, name) != getattr(_DEFAULTS, name)
    }
    for kind in grants.KINDS:
        if entries := getattr(settings.capabilities, kind):
            tags[PREFIX + kind] = _list(entries)
    if settings.timeout_s != int(settings.timeout_s):
        tags[PREFIX + "timeout_s"] = _TAGS["timeout_s"][1](settings.timeout_s)
    return tags


def with_tags(settings: Settings, tags: Mapping[str, str]) -> Settings:
    """The settings that the tags among `tags` which are ours ask for. Raises InvalidParameter."""
    changes: dict[str, Any] = {}
    granted: dict[str, tuple[str, ...]] = {}
    for key, text in tags.items():
        name = key.removeprefix(PREFIX)
        if is_ours(key) and name in grants.KINDS:
            granted[name] = _granted(name, text)
        elif is_ours(key):
            changes[name] = _parser(key)(text)
    return replace(settings, capabilities=replace(settings.capabilities, **granted), **changes)


def without_tags(settings: Settings, keys: Iterable[str]) -> Settings:
    """The settings after tags of ours were removed: their fields are as by default."""
    changes: dict[str, Any] = {}
    capabilities = settings.capabilities
    for key in keys:
        name = key.removeprefix(PREFIX)
        if is_ours(key) and name in grants.KINDS:
            capabilities = replace(capabilities, **{name: ()})
        elif is_ours(key):
            _parser(key)
            # Without its tag, the timeout is what `Timeout` says.
            changes[name] = timeout(settings) if name == "timeout_s" else getattr(_DEFAULTS, name)
    return replace(settings, capabilities=capabilities, **changes)


def timeout(settings: Settings) -> int:
    """`Timeout`: whole seconds, the exact one or the next."""
    return max(1, math.ceil(settings.timeout_s))


def _parser(key: str) -> Callable[[str], Any]:
    known = _TAGS.get(key.removeprefix(PREFIX))
    if known is None:
        raise InvalidParameter(
            f"the tag {key!r} is not one of ours; known are {', '.join(PREFIX + n for n in (*_TAGS, *grants.KINDS))}"
        )
    return known[0]


# ── what clients send ───────────────────────────────────────────────────────────────────────────────────────────


def create_body(name: str, settings: Settings, package: bytes, role: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """The request that creates a function with these settings."""
    body = configuration_body(settings) | {
        "FunctionName": name,
        "Role": role,
        "Code": {"ZipFile": base64.b64encode(package).decode("ascii")},
    }
    both = {**tags, **tags_of(settings)}
    return body | ({"Tags": both} if both else {})


def configuration_body(settings: Settings) -> dict[str, Any]:
    """The request that gives a function these settings, but for those that are tags."""
    return {
        "Runtime": settings.runtime,
        "Handler": settings.handler,
        "Description": settings.description,
        "Timeout": timeout(settings),
        "MemorySize": settings.memory_mb,
        "Environment": {"Variables": dict(settings.environment)},
    }
