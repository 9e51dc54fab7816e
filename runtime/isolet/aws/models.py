"""AWS's services as botocore describes them: which operations there are, their shapes and their errors.

Laws:
- A model is loaded once (Lambda's takes 13 ms, 80 from a cold disk) and never changes.
- Only the keeper's process imports botocore; a worker does not (tests/test_tidy.py).
"""

from __future__ import annotations

import functools
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from ..errors import ConfigInvalid

__all__ = ["Model", "OperationModel", "Shape", "load"]

REST_JSON, JSON, QUERY, CBOR = "rest-json", "json", "query", "smithy-rpc-v2-cbor"
_SPOKEN = (REST_JSON, JSON, QUERY, CBOR)


class Model:
    """One service: `name` is botocore's ("lambda", "logs")."""

    def __init__(self, name: str, description: dict[str, Any]) -> None:
        self.name = name
        self._service = ServiceModel(description, name)
        metadata = description["metadata"]
        self.protocols: tuple[str, ...] = tuple(p for p in metadata["protocols"] if p in _SPOKEN)
        # What the scope of a signature calls it, and `X-Amz-Target` and CBOR's paths.
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.target_prefix: str = metadata.get("targetPrefix", "")
        self.json_version: str = metadata.get("jsonVersion", "1.1")
        self.api_version: str = metadata["apiVersion"]
        self.xml_namespace: str = metadata.get("xmlNamespace", "")
        # Clients that once spoke query expect its error codes in a header, whatever they speak now.
        self.query_compatible = "awsQueryCompatible" in metadata
        self.operation_names = frozenset(description["operations"])
        self.shape_names = frozenset(description["shapes"])
        self._errors = {name for name, shape in description["shapes"].items() if shape.get("exception")}

    @functools.cache  # noqa: B019 - models live as long as the process
    def operation(self, name: str) -> OperationModel:
        """An operation by its name, which must be one of `operation_names`."""
        return self._service.operation_model(name)

    def shape(self, name: str) -> Shape:
        return self._service.shape_for(name)

    @functools.cache  # noqa: B019
    def error(self, name: str) -> Shape | None:
        """The exception of this name; None if the model has none."""
        return self.shape(name) if name in self._errors else None


@functools.cache
def _loader() -> Loader:
    # Only botocore's own data: what a user's ~/.aws/models says is about another machine's services.
    return Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])


@functools.cache
def load(name: str) -> Model:
    description = _loader().load_service_model(name, "service-2")
    model = Model(name, description)
    if not model.protocols:
        raise ConfigInvalid(f"the service {name} speaks {description['metadata']['protocols']}; none of them is served")
    return model
