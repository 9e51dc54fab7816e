"""Cordons: groups of worker processes that tenants are spread over, so that no process runs the code of two tiers.

A tenant carries a trust tier. Each tier with workers is a cordon of that name; a tenant that has workers of its own is
alone in a cordon `tenant-<account>`. One cordon, the *door*, listens on the public port and passes on what belongs to
the others.

Laws:
- A tenant lives in one cordon at a time. While it moves, its former cordon is where what runs there ends.
- A worker is told of its own cordon's tenants only. The door's workers must know whose a request is: of the others'
  functions they have names, routes and time limits (`sketch`), and neither code, environment nor digests.
- The digest of an artifact or a package is not guessable: who was not told it cannot ask for what it names.

What a compromised worker can learn: of an inner cordon, what its own tenants have, and nothing of another's. Of the
door, that and every request and answer that passes through: the door should be the most trusted cordon, or one without
any tenant (`door = "front"`, and nobody in the tier `front`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .model import NO_CAPABILITIES, Served, SnapshotInfo, Target

STANDARD = "standard"
_OWN = "tenant-"
# What is not told: a snapshot that nobody can load.
_UNTOLD = SnapshotInfo("", False, (), 0, 0, 0, 0, 0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Cordons:
    """What cordons a server has. `workers`: of each tier, how many."""

    door: str = STANDARD
    workers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({STANDARD: 1}))

    @property
    def seats(self) -> tuple[str, ...]:
        """The cordon of each worker: the door's first, then by name."""
        order = sorted(self.workers, key=lambda name: (name != self.door, name))
        return tuple(name for name in order for _ in range(self.workers[name]))

    @property
    def inner(self) -> tuple[str, ...]:
        """All cordons but the door, by name."""
        return tuple(sorted(name for name in self.workers if name != self.door))


def own(account: str) -> str:
    """The cordon of a tenant that has workers of its own."""
    return _OWN + account


def owner(cordon: str) -> str | None:
    """Whose own cordon it is; None for a tier's."""
    return cordon.removeprefix(_OWN) if cordon.startswith(_OWN) else None


def sketch(served: Served, cordon: str) -> Served:
    """A row as the door's workers know it when others run it: enough to find it, and not to run it."""
    return replace(served, targets=tuple(_sketched(target, cordon) for target in served.targets), reserved=None)


def _sketched(target: Target, cordon: str) -> Target:
    return replace(
        target,
        snapshot=_UNTOLD,
        package_digest="",
        layer_digests=(),
        environment={},
        capabilities=NO_CAPABILITIES,
        handler="",
        cordon=cordon,
    )


def passed_on(served: Served, cordon: str) -> Served:
    """A row of a tenant that has left for another cordon while some of its invocations still run here: whole, and what
    comes is passed on."""
    return replace(served, targets=tuple(replace(target, cordon=cordon) for target in served.targets))


def runs_here(target: Target) -> bool:
    """Whether this worker was told what it takes to run it."""
    return bool(target.snapshot.digest)
