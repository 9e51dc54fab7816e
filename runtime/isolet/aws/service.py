"""What an AWS service is to us: botocore's model of it, and a handler per operation.

The seam between protocol.py, which reads requests and writes answers by the model, and the services beside it, which
never see a byte of HTTP.

Laws:
- A handler gets the members of its operation's input, by their names in the model, already parsed, typed and held to
  the model's constraints: blobs are bytes, timestamps Unix seconds (float), what was not sent is absent.
- It returns the members of the output in the same types; None stands for nothing, and a member that is None is left
  out. It refuses by raising an IsoletError, whose `name` is an exception of the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation."""

    tenant: str  # the account that signed it
    request_id: str
    origin: str  # "http://host:port", as the client addressed us
    input: Mapping[str, Any]
    operation: str = ""  # its name in the model

    def __getitem__(self, member: str) -> Any:
        """A member that the model requires."""
        return self.input[member]

    def get(self, member: str, default: Any = None) -> Any:
        return self.input.get(member, default)

    def __contains__(self, member: str) -> bool:
        return member in self.input


Operation = Callable[[Call], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Service:
    """`model` is botocore's name of it ("lambda", "logs"). An operation of the model that is not in `operations` is
    answered with a modelled error that says so."""

    model: str
    operations: Mapping[str, Operation]
    # Its own names of our errors: IsoletError.name → the model's exception.
    names: Mapping[str, str] = field(default_factory=dict)
    # Constraints that are ours and not the model's, by shape: {"MemorySize": {"min": 1, "max": 1024}}; None of a
    # constraint lifts it ({"Runtime": {"enum": None}}).
    constraints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
