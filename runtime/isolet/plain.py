"""The nouns of `model.py` as plain values (maps, lists, strings, numbers) and back: for msgpack, JSON and the database.

Law: `x_from_plain(x_to_plain(x)) == x`, also after a round through JSON or msgpack. Reading ignores keys it does not
know and fills in defaults for keys that are missing, so that a record stored by an older version can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .model import (
    Alias,
    Capabilities,
    Cors,
    Function,
    FunctionUrl,
    LayerContent,
    Logging,
    Reserved,
    Route,
    Served,
    Settings,
    SnapshotInfo,
    State,
    Target,
    UpdateStatus,
)

Plain = dict[str, Any]


def _to_plain(record: Any) -> Plain:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _known(cls: Any, plain: Mapping[str, Any]) -> Plain:
    return {field.name: plain[field.name] for field in fields(cls) if field.name in plain}


def _routes_from_plain(plain: list[list[str]]) -> tuple[Route, ...]:
    return tuple(Route(method, pattern) for method, pattern in plain)


def _routes_to_plain(routes: tuple[Route, ...]) -> list[list[str]]:
    return [[route.method, route.pattern] for route in routes]


def _capabilities_to_plain(capabilities: Capabilities) -> Plain:
    return {kind: list(entries) for kind, entries in _to_plain(capabilities).items() if entries}


def _capabilities_from_plain(plain: Mapping[str, Any]) -> Capabilities:
    return Capabilities(**{kind: tuple(entries) for kind, entries in _known(Capabilities, plain).items()})


def settings_to_plain(settings: Settings) -> Plain:
    return _to_plain(settings) | {
        "environment": dict(settings.environment),
        "routes": _routes_to_plain(settings.routes),
        "capabilities": _capabilities_to_plain(settings.capabilities),
        "layers": list(settings.layers),
        "logging": _to_plain(settings.logging),
    }


def settings_from_plain(plain: Mapping[str, Any]) -> Settings:
    return Settings(
        **_known(Settings, plain)
        | {
            "routes": _routes_from_plain(plain.get("routes", [])),
            "capabilities": _capabilities_from_plain(plain.get("capabilities", {})),
            "layers": tuple(plain.get("layers", ())),
            "logging": _logging_from_plain(plain.get("logging", {})),
        }
    )


def _logging_from_plain(plain: Mapping[str, Any]) -> Logging:
    return Logging(**_known(Logging, plain))


def snapshot_to_plain(snapshot: SnapshotInfo) -> Plain:
    return _to_plain(snapshot) | {"warnings": list(snapshot.warnings)}


def snapshot_from_plain(plain: Mapping[str, Any]) -> SnapshotInfo:
    return SnapshotInfo(**_known(SnapshotInfo, plain) | {"warnings": tuple(plain["warnings"])})


def function_to_plain(function: Function) -> Plain:
    return _to_plain(function) | {
        "settings": settings_to_plain(function.settings),
        "state": str(function.state),
        "update_status": str(function.update_status),
        "snapshot": None if function.snapshot is None else snapshot_to_plain(function.snapshot),
        "tags": dict(function.tags),
        "layers": [_to_plain(layer) for layer in function.layers],
    }


def function_from_plain(plain: Mapping[str, Any]) -> Function:
    snapshot = plain["snapshot"]
    return Function(
        **_known(Function, plain)
        | {
            "settings": settings_from_plain(plain["settings"]),
            "state": State(plain["state"]),
            "update_status": UpdateStatus(plain.get("update_status", UpdateStatus.SUCCESSFUL)),
            "snapshot": None if snapshot is None else snapshot_from_plain(snapshot),
            "layers": tuple(LayerContent(**_known(LayerContent, layer)) for layer in plain.get("layers", ())),
        }
    )


def target_to_plain(target: Target) -> Plain:
    return _to_plain(target) | {
        "snapshot": snapshot_to_plain(target.snapshot),
        "environment": dict(target.environment),
        "routes": _routes_to_plain(target.routes),
        "capabilities": _capabilities_to_plain(target.capabilities),
        "layer_digests": list(target.layer_digests),
        "logging": _to_plain(target.logging),
    }


def target_from_plain(plain: Mapping[str, Any]) -> Target:
    return Target(
        **_known(Target, plain)
        | {
            "snapshot": snapshot_from_plain(plain["snapshot"]),
            "routes": _routes_from_plain(plain["routes"]),
            "capabilities": _capabilities_from_plain(plain.get("capabilities", {})),
            "layer_digests": tuple(plain.get("layer_digests", ())),
            "logging": _logging_from_plain(plain.get("logging", {})),
        }
    )


def alias_to_plain(alias: Alias) -> Plain:
    return _to_plain(alias) | {"weights": dict(alias.weights)}


def alias_from_plain(plain: Mapping[str, Any]) -> Alias:
    return Alias(**_known(Alias, plain))


def url_to_plain(url: FunctionUrl) -> Plain:
    if url.cors is None:
        return _to_plain(url)
    cors = {name: list(value) if isinstance(value, tuple) else value for name, value in _to_plain(url.cors).items()}
    return _to_plain(url) | {"cors": cors}


def url_from_plain(plain: Mapping[str, Any]) -> FunctionUrl:
    cors = plain.get("cors")
    if cors is not None:
        listed = {name: tuple(value) if isinstance(value, list) else value for name, value in cors.items()}
        cors = Cors(**_known(Cors, listed))
    return FunctionUrl(**_known(FunctionUrl, plain) | {"cors": cors})


def served_to_plain(served: Served) -> Plain:
    return {
        "tenant": served.tenant,
        "name": served.name,
        "targets": [target_to_plain(target) for target in served.targets],
        "aliases": [alias_to_plain(alias) for alias in served.aliases],
        "urls": [url_to_plain(url) for url in served.urls],
        "reserved": None if served.reserved is None else _to_plain(served.reserved),
    }


def served_from_plain(plain: Mapping[str, Any]) -> Served:
    reserved = plain.get("reserved")
    return Served(
        tenant=plain["tenant"],
        name=plain["name"],
        targets=tuple(map(target_from_plain, plain["targets"])),
        aliases=tuple(map(alias_from_plain, plain.get("aliases", ()))),
        urls=tuple(map(url_from_plain, plain.get("urls", ()))),
        reserved=None if reserved is None else Reserved(**_known(Reserved, reserved)),
    )
