"""Every import that a guest may have, and what each call costs: the one list that the engine links.

Laws:
- Each call pays HOST_CALL_FUEL before it does anything, and more for what it copies; the HOST_CALLS_MAX-th is the last.
  Fuel is not time: without both, a storm of the cheapest call would run a thousand times longer than its fuel says.
- What leaves a host function is a number, a Wait or a GuestError: `Refused` becomes its errno here.
"""

from __future__ import annotations

from dataclasses import replace

from .. import limits
from ..engine.host import GuestView, HostFunction, Wait
from ..errors import OutOfFuel
from . import failure, library, log, random, wapc, wasi, wasi_fd, wasi_path, wasi_time
from .capability import Capability, calls
from .errno import Refused
from .fetch import Fetch
from .invoke import Invoke
from .kv import Kv
from .random import Random
from .secrets import Secrets
from .sleep import Sleep
from .stream import Stream

CAPABILITIES: tuple[Capability, ...] = (Sleep(), Random(), Kv(), Fetch(), Invoke(), Secrets(), Stream())


def _metered(function: HostFunction) -> HostFunction:
    run = function.func

    def metered(guest: GuestView, *arguments: int) -> int | Wait | None:
        if guest.host_calls > limits.HOST_CALLS_MAX:
            raise OutOfFuel(f"made more than {limits.HOST_CALLS_MAX:,} host calls; do more in each")
        guest.charge(limits.HOST_CALL_FUEL)
        try:
            return run(guest, *arguments)
        except Refused as refused:
            return refused.errno

    return replace(function, func=metered)


def imports(capabilities: tuple[Capability, ...] = CAPABILITIES) -> tuple[HostFunction, ...]:
    """The import table with these capabilities behind `isolet.call`."""
    asking = calls(capabilities)
    functions = (
        *asking,
        *failure.FUNCTIONS,
        *library.FUNCTIONS,
        *log.FUNCTIONS,
        *random.FUNCTIONS,
        *wapc.functions(asking[0]),
        *wasi.FUNCTIONS,
        *wasi_fd.FUNCTIONS,
        *wasi_path.FUNCTIONS,
        *wasi_time.FUNCTIONS,
    )
    assert len({(f.module, f.name) for f in functions}) == len(functions), "every import once"
    return tuple(_metered(function) for function in functions)


IMPORTS = imports()
