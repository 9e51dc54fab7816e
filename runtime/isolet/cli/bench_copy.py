"""A deployed function, taken from one server to another: what `isolet bench` measures on a server of its own."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from ..errors import StorageUnavailable
from .client import Client
from .deployment import settled
from .steps import Steps

# Of GetFunction's Configuration: what CreateFunction takes as it is.
_KEPT = ("FunctionName", "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "Architectures")


@dataclass
class Copy:
    """All that makes a function, and its layers."""

    name: str
    body: dict[str, Any]
    # Bodies of PublishLayerVersion, in the function's order.
    layers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def deploy(self, client: Client, steps: Steps) -> None:
        """Makes it again. Raises DeploymentFailed, Refused."""
        arns = [client.publish_layer(name, body)["LayerVersionArn"] for name, body in self.layers]
        client.create(self.body | ({"Layers": arns} if arns else {}))
        settled(client, self.name, steps)


def take(client: Client, name: str) -> Copy:
    """The function as it is deployed. Raises Refused (there is none), StorageUnavailable (no package to be had)."""
    said = client.get(name)
    configuration = said["Configuration"]
    body: dict[str, Any] = {key: configuration[key] for key in _KEPT if configuration.get(key)}
    if environment := configuration.get("Environment", {}).get("Variables"):
        body["Environment"] = {"Variables": environment}
    if tags := said.get("Tags"):
        body["Tags"] = tags
    body["Code"] = {"ZipFile": _base64(said["Code"]["Location"])}
    layers = []
    for layer in configuration.get("Layers", ()):
        _, _, numbered = layer["Arn"].partition(":layer:")
        layer_name, _, version = numbered.partition(":")
        content = client.layer_version(layer_name, int(version))["Content"]
        layers.append((layer_name, {"Content": {"ZipFile": _base64(content["Location"])}}))
    return Copy(name, body, layers)


def _base64(location: str) -> str:
    import httpx

    try:
        answer = httpx.get(location, timeout=60)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise StorageUnavailable(f"the package cannot be downloaded: {error}") from None
    return base64.b64encode(answer.content).decode("ascii")
