"""From a directory to a function that answers: build, upload, wait. Shared by deploy, dev and the demo.

Lambda changes code, configuration and tags by three operations, each with its own build and each undone if that fails.
Two of them may only be possible in one order: code that needs more memory after the configuration, a configuration
that names a new file after the code. So what fails as the first step is tried again as the last one.

Laws:
- What is already as it should be is not sent: deploying the same directory twice builds once.
- When this returns, every worker serves what the directory says. When it raises, the message is the builder's.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..aws.settings import configuration_body, create_body, is_ours, tags_of
from ..errors import CallerError
from ..languages.build import build
from ..languages.package import Package, Step
from ..manifest import load
from ..model import Settings
from ..routing import HOST_SUFFIX, host_name, prefix_name
from .client import Client, Refused
from .steps import Steps

# Lambda wants a role; nobody looks at it here.
ROLE = "arn:aws:iam::000000000000:role/isolet"
# Asked often at first: a small function is there in a fifth of a second.
_POLL_S = 0.05
_POLL_S_MAX = 0.5


class DeploymentFailed(CallerError):
    """The server took the function and could not build it; the message is the builder's."""


@dataclass(frozen=True, slots=True)
class Deployed:
    name: str
    arn: str
    what: str  # "created", "updated", "unchanged"
    settings: Settings
    module_bytes: int
    package_bytes: int
    build_s: float  # on this machine: the compiler
    compiler_warnings: str
    snapshot: dict[str, Any]  # the server's own words
    urls: tuple[str, ...]


def deployed(directory: Path, client: Client, steps: Steps) -> Deployed:
    """Builds and deploys what is in `directory`.

    Raises ManifestInvalid, CompileFailed, ToolchainMissing, PayloadTooLarge, Refused, Unreachable, DeploymentFailed.
    """
    manifest = load(directory)
    name, settings = manifest.name, manifest.settings
    existing = existing_function(client, name)  # first: without a server, nobody should wait for a compiler

    def progress(step: Step) -> None:
        steps.begin(step.phase)
        steps.advance(step.done_bytes, step.total_bytes)

    package = build(directory, manifest, progress)
    if existing is None:
        steps.begin("upload")
        client.create(create_body(name, settings, package.zip, ROLE, {}))
        settled(client, name, steps)
        what = "created"
    else:
        what = "updated" if _update(client, name, settings, package, existing, steps) else "unchanged"
    steps.end()
    details = client.details(name)
    arn = client.configuration(name)["FunctionArn"]
    return Deployed(
        name=name,
        arn=arn,
        what=what,
        settings=settings,
        module_bytes=len(package.wasm),
        package_bytes=len(package.zip),
        build_s=package.build_s,
        compiler_warnings=package.warnings,
        snapshot=details["snapshot"],
        urls=urls_of(arn, settings, client.endpoint),
    )


def urls_of(arn: str, settings: Settings, endpoint: str) -> tuple[str, ...]:
    """Where an HTTP function answers; empty for one that does not. Its own host name is always below `.localhost`."""
    if not settings.http:
        return ()
    account, name = arn.split(":")[4], arn.split(":")[6]
    parts = urlsplit(endpoint)
    port = f":{parts.port}" if parts.port else ""
    return (
        f"{endpoint}/fn/{prefix_name(account, name)}/",
        f"{parts.scheme}://{host_name(account, name)}{HOST_SUFFIX}{port}/",
        *(f"{route.method} {endpoint}{route.pattern}" for route in settings.routes),
    )


def existing_function(client: Client, name: str) -> dict[str, Any] | None:
    try:
        return client.get(name)
    except Refused as refusal:
        if refusal.answered == 404:
            return None
        raise


# ── changing what exists ────────────────────────────────────────────────────────────────────────────────────────


def _update(
    client: Client, name: str, settings: Settings, package: Package, existing: dict[str, Any], steps: Steps
) -> bool:
    """False if there was nothing to do."""
    arn = existing["Configuration"]["FunctionArn"]

    def change_code() -> None:
        client.update_code(name, package.zip)

    def change_settings() -> None:
        if _settings_differ(existing["Configuration"], settings):
            client.update_configuration(name, configuration_body(settings))
            settled(client, name, steps)
        # Looked at again: `Timeout` alone has no fractions, which are a tag's.
        given, removed = _tag_changes(client.get(name).get("Tags", {}), settings)
        if given:
            client.tag(arn, given)
            settled(client, name, steps)
        if removed:
            client.untag(arn, removed)

    changes: list[Callable[[], None]] = []
    failed = existing["Configuration"].get("State") == "Failed"
    if failed or existing["Configuration"]["CodeSha256"] != sha256(package.zip):
        changes.append(change_code)
    if _settings_differ(existing["Configuration"], settings) or any(_tag_changes(existing.get("Tags", {}), settings)):
        changes.append(change_settings)
    applied(changes, client, name, steps)
    return bool(changes)


def applied(changes: list[Callable[[], None]], client: Client, name: str, steps: Steps) -> None:
    """Makes the changes in their order; what cannot be done first is done last. Raises Refused, DeploymentFailed."""
    try:
        _apply(changes, client, name, steps)
    except DeploymentFailed:
        if len(changes) == 1:
            raise
        _apply(changes[::-1], client, name, steps)


def _apply(changes: list[Callable[[], None]], client: Client, name: str, steps: Steps) -> None:
    for change in changes:
        steps.begin("upload")
        change()
        settled(client, name, steps)


def _settings_differ(configuration: Mapping[str, Any], settings: Settings) -> bool:
    present = {"Environment": {"Variables": {}}, **configuration}
    return any(present.get(member) != value for member, value in configuration_body(settings).items())


def _tag_changes(present: Mapping[str, str], settings: Settings) -> tuple[dict[str, str], list[str]]:
    """(tags of ours to give, keys of ours to remove)."""
    wanted = tags_of(settings)
    given = {key: value for key, value in wanted.items() if present.get(key) != value}
    return given, [key for key in present if is_ours(key) and key not in wanted]


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def settled(client: Client, name: str, steps: Steps) -> None:
    """Returns when the function is as it was asked to be, showing what the builder does. Raises DeploymentFailed."""
    pause_s = _POLL_S
    while True:
        now = client.configuration(name)
        state, update = now["State"], now.get("LastUpdateStatus", "")
        if state == "Failed":
            raise DeploymentFailed(f"{name} was refused: {now['StateReason']}")
        if update == "Failed":
            raise DeploymentFailed(
                f"{name} still serves its former version; the new one was refused: {now['LastUpdateStatusReason']}"
            )
        if state == "Active" and update == "Successful":
            return
        reason = now.get("StateReason") or now.get("LastUpdateStatusReason") or ""
        steps.begin(_phase(reason))
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _POLL_S_MAX)


def _phase(reason: str) -> str:
    """`The function is being created. Compiling.` is the server's "compiling"."""
    last = reason.rstrip(".").rpartition(". ")[2]
    return f"server: {last.lower()}" if last else "server"
