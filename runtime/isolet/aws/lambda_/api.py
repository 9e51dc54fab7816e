"""Lambda as a service of ours: its operations, and what differs from its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import limits
from ...attached import Attached
from ...clock import Clock
from ...deployments import Deployments
from ...quota import Quotas
from ...storage.database import Database
from ...storage.layers import Layers
from ...storage.packages import Packages
from ...storage.stock import Stock
from ...versions import Versions
from ..service import Service
from .concurrency import Concurrency
from .event_invoke import EventInvoke
from .functions import Fetch, Functions, Locate
from .layers import LayersService
from .mappings import Mappings
from .policies import Policies
from .posture import Posture
from .urls import Urls
from .versions import VersionsService

# Where the model's constraints are a container's, or AWS's fleet's.
_CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
    "MemorySize": {"min": limits.MEMORY_MB_MIN, "max": limits.MEMORY_MB_MAX},
    # Runtimes of ours have names of their own; what is asked of one decides what it is (languages/interpreters.py).
    "Runtime": {"enum": None},
    # Not in the model, and refused by Lambda.
    "Timeout": {"max": int(limits.TIMEOUT_S_MAX)},
    # Tags of ours are JSON; those of users are held to the model's constraints in requests.py.
    "TagValue": {"max": None, "pattern": None},
}


def lambda_service(
    database: Database,
    deployments: Deployments,
    versions: Versions,
    attached: Attached,
    layers: Layers,
    packages: Packages,
    stock: Stock,
    quotas: Quotas,
    clock: Clock,
    *,
    fetch: Fetch,
    locate: Locate,
) -> Service:
    layers_service = LayersService(layers, packages, fetch, locate, clock)
    parts = (
        Functions(deployments, versions, fetch, layers_service.resolve, locate),
        VersionsService(deployments, versions),
        Policies(attached),
        Concurrency(attached, stock, quotas, clock),
        EventInvoke(attached, clock),
        Urls(attached, clock),
        layers_service,
        Mappings(database, clock),
        Posture(attached),
    )
    operations = {name: operation for part in parts for name, operation in part.operations().items()}
    return Service("lambda", operations, constraints=_CONSTRAINTS)
